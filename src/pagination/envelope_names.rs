//! Names in the envelope of a page: members that tell of its success, or count the collection.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use url::Url;

/// Meaning of a member beside the records, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordRole {
    /// Present only where something failed.
    Error,
    /// True where nothing failed.
    Flag,
    /// True where records are missing.
    Partial,
    /// Word or code of the outcome.
    Status,
    /// Text for people.
    Message,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct CountName<'a> {
    pub(super) name: &'a str,
    /// Name of its object; empty at the top.
    pub(super) parent: &'a str,
    pub(super) siblings: &'a Map<String, Value>,
    pub(super) url: &'a Url,
}

/// Returns whether a short name has this part; `str::contains` prepares a search that costs more than it saves.
pub(super) fn has_part(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

/// Objects of JSON in header fields about paging, as `X-Pagination` is, each with the name of its field.
pub(super) fn paging_objects(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, Value)> {
    let objects = headers.iter().filter(|(name, value)| {
        value.as_bytes().first() == Some(&b'{')
            && ["pagination", "paging"].iter().any(|part| has_part(name.as_str(), part))
    });
    objects.filter_map(|(name, value)| Some((name, serde_json::from_slice(value.as_bytes()).ok()?)))
}

/// Numbers in header fields that may count the collection's records, whatever the rest of their name: `X-Total-Orders`.
pub(super) fn total_headers<'a>(headers: &'a HeaderMap, url: &'a Url) -> impl Iterator<Item = (&'a HeaderName, u64)> {
    let siblings = Map::new();
    let totals = headers.iter().filter(move |(name, _)| {
        let name = name.as_str();
        let is_total = || words(name).iter().any(|word| word == "total");
        let bare = name.strip_prefix("x-").unwrap_or(name);
        let bare = ["pagination-", "paging-"].iter().find_map(|about| bare.strip_prefix(about)).unwrap_or(bare);
        let is_count = || is_count(CountName { name: bare, parent: "", siblings: &siblings, url });
        TOTAL_HEADERS.contains(&name) || has_part(name, "total") && is_total() && is_count()
    });
    totals.filter_map(|(name, value)| Some((name, value.to_str().ok()?.trim().parse().ok()?)))
}

/// Header fields of the collection's number of records.
pub(super) const TOTAL_HEADERS: [&str; 5] =
    ["x-total-count", "x-total", "x-wp-total", "x-pagination-total-count", "x-total-records"];
/// Header fields of the collection's number of pages.
pub(super) const TOTAL_PAGES_HEADERS: &[&str] =
    &["x-total-pages", "x-wp-totalpages", "x-pagination-page-count", "x-pagination-total-pages"];
pub(super) const PAGE_HEADERS: &[&str] = &["x-page", "x-current-page", "x-pagination-current-page"];
/// Words of which a name of a count has at least one.
const COUNTING: &str = "\
    total totals count hits found matches matched results records items entries elements rows documents docs objects";
/// The same, where another word stands beside it: `number` alone is a page's number.
const COUNTING_WITH_ANOTHER: &str = "num nb number";
/// Words that may stand beside them, and the words of the collection's own name.
const BESIDE: &str = "of in the all set size search query filtered result record item entry element document object entities resources collection";
/// Words of objects whose numbers count something else.
const ELSEWHERE: &str =
    "quota quotas timing stats statistics shards usage limit limits rate ratelimit budget credits cost costs price";
/// Members that make a `count` beside them the size of a page.
const PAGING: &str = "start offset skip from limit page";

// Lists of names without case and punctuation.
const ERRORS: &str =
    "error errors errormessage errormessages errormsg errmsg errordescription exception fault faultstring failures";
const FLAGS: &str = "success ok succeeded issuccess issuccessful";
const PARTIALS: &str = "\
    truncated istruncated resultstruncated incomplete isincomplete incompleteresults incompletesearch partial ispartial partialresult \
    partialresults timedout terminatedearly";
const STATUSES: &str = "\
    status state stat code result outcome statuscode resultcode responsecode returncode retcode ret errcode errorcode errno \
    responsestatus statustext resultstatus querystatus requeststatus";
const MESSAGES: &str = "message msg detail reason notice statusmessage resultmessage";

/// Returns true for the name of a flag that also says that a next page has the rest.
pub(super) fn is_truncation(name: &str) -> bool {
    matches!(plain(name).as_str(), "truncated" | "istruncated")
}

/// Returns true for the place of a count that may be that of one page: no word in it speaks of the whole collection.
pub(super) fn may_count_page(place: &str) -> bool {
    const WHOLE: [&str; 8] = ["total", "totals", "filtered", "found", "match", "matches", "matched", "hits"];
    !words(place).iter().any(|word| WHOLE.contains(&&**word))
}

/// Returns true for names that differ in case and punctuation alone.
pub(super) fn is_same_word(name: &str, other: &str) -> bool {
    plain(name) == plain(other)
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl WordRole {
    /// Value of a member with this role; of several messages, their text.
    pub(super) fn text_of(self, value: &Value) -> Cow<'_, Value> {
        match value {
            Value::Array(messages) if self == Self::Message && !messages.is_empty() => {
                Cow::Owned(Value::from(value.to_string()))
            }
            _ => Cow::Borrowed(value),
        }
    }

    /// Role of a member with this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let plain = plain(name);
        let (partials, messages) = ((PARTIALS, Self::Partial), (MESSAGES, Self::Message));
        let roles = [(ERRORS, Self::Error), (FLAGS, Self::Flag), partials, (STATUSES, Self::Status), messages];
        roles
            .into_iter()
            .find(|(names, _)| names.split_ascii_whitespace().any(|name| name == plain))
            .map(|(_, role)| role)
    }
}

/// Returns true for a name by which the collection's records are counted.
pub(super) fn is_count(CountName { name, parent, siblings, url }: CountName<'_>) -> bool {
    // Elasticsearch: `total: { value: 70, relation: "eq" }`.
    let name = if name == "value" && words(parent).iter().any(|word| word == "total") { parent } else { name };
    let words = words(name);
    let is_in = |list: &str, word: &str| list.split_ascii_whitespace().any(|known| known == word);
    let resource = url.path_segments().and_then(|segments| segments.rev().find(|segment| !segment.is_empty()));
    let own = self::words(resource.unwrap_or_default());
    let counts = |word: &String| is_in(COUNTING, word) || words.len() > 1 && is_in(COUNTING_WITH_ANOTHER, word);
    let fits = |word: &String| counts(word) || is_in(BESIDE, word) || own.contains(word);
    // Beside a currency, a number is an amount of money.
    let is_elsewhere = self::words(parent).iter().any(|word| is_in(ELSEWHERE, word));
    let is_money = siblings.keys().any(|sibling| matches!(sibling.as_str(), "currency" | "subtotal" | "tax"));
    let is_page_size = words == ["count"] && siblings.keys().any(|sibling| is_in(PAGING, sibling));
    words.iter().any(counts) && words.iter().all(fits) && !(is_page_size || is_elsewhere || is_money)
}

/// Returns true for the name of a number of records behind a page: Kubernetes' `remainingItemCount`.
pub(super) fn is_remaining(name: &str, parent: &str) -> bool {
    const REMAINING: &str = "remaining";
    const RECORDS: [&str; 6] = ["item", "items", "record", "records", "result", "results"];
    // Nearly all names end here, without their words.
    if !name.get(..REMAINING.len()).is_some_and(|start| start.eq_ignore_ascii_case(REMAINING)) {
        return false;
    }
    let words = words(name);
    let is_elsewhere = |word: &String| ELSEWHERE.split_ascii_whitespace().any(|known| known == word);
    let is_of_records = match &words[..] {
        [first, what] => first == REMAINING && RECORDS.contains(&what.as_str()),
        [first, what, count] => first == REMAINING && RECORDS.contains(&what.as_str()) && count == "count",
        _ => false,
    };
    is_of_records && !self::words(parent).iter().any(is_elsewhere)
}

/// Words of a name: `numTotalResults`, `num_total_results`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before.is_lowercase() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}
