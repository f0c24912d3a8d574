//! Envelope of a page: what stands around its records, read as words of its success and as counts.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content_range::content_range;
use super::detect::last_place::{CrawledExtent, LastPlace};
use super::envelope_names::{
    CountName, WordRole, is_count, is_remaining, is_same_word, may_count_page, paging_objects, total_headers,
};
use super::error::PageError;
use super::path::{Path, Segment};
use super::request::PageRequest;
use super::request_params::RequestParam;

/// Depth down to which objects around the records are read.
const DEPTH: usize = 3;
/// An object with more members than this is data keyed by id.
const MEMBERS: usize = 64;
/// Longest word that is kept, in bytes of JSON.
const WORD: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PageEnvelope {
    records: u64,
    /// Path and value of each word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    words: Vec<(String, Value)>,
    /// Path and value of each text for people with another name; `None` where an older unpage has read the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<(String, Value)>>,
    /// Place and value of each number that may count the collection's records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<(String, u64)>,
    /// Place and value of a number of records behind the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remaining: Option<(String, u64)>,
    /// Places of the last page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    last_places: Vec<LastPlace>,
}

/// First request of a page's walk, whose values the page may repeat: they tell nothing of its success, and count nothing.
struct Asked<'a> {
    request: &'a PageRequest,
    params: Vec<RequestParam>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PageWord<'a> {
    pub(super) path: &'a str,
    pub(super) role: WordRole,
    pub(super) value: &'a Value,
}

impl PageEnvelope {
    /// Reads the words of a page without records by its outline.
    pub(super) fn words_of(page: &Value, asked: Option<&PageRequest>) -> Self {
        let mut envelope = Self::default();
        envelope.read_page(page, asked.map(Asked::of).as_ref());
        envelope
    }

    /// Reads a page by its head and its outline, of `records` records; `asked` is the first request, whose values a page may repeat.
    pub(super) fn read(headers: &HeaderMap, page: &Value, asked: &PageRequest, records: u64) -> Self {
        Self::of_head(headers, asked, records).with_page(page, asked)
    }

    pub(super) fn of_head(headers: &HeaderMap, asked: &PageRequest, records: u64) -> Self {
        let mut envelope = Self { records, last_places: LastPlace::of_head(headers, asked), ..Self::default() };
        envelope.counts.extend(total_headers(headers, &asked.url).map(|(name, number)| (name.to_string(), number)));
        for (name, object) in paging_objects(headers) {
            let paging = Self::default().with_page(&object, asked);
            envelope.counts.extend(paging.counts.into_iter().map(|(path, number)| (format!("{name}: {path}"), number)));
        }
        let range = content_range(headers).ok().flatten().and_then(|range| range.total);
        envelope.counts.extend(range.map(|total| ("content-range".to_owned(), total)));
        envelope.forget_asked(&Asked::of(asked));
        envelope
    }

    /// The envelope with what the page itself says.
    pub(super) fn with_page(mut self, page: &Value, asked: &PageRequest) -> Self {
        self.last_places.extend(LastPlace::of_page(page, asked));
        let asked = Asked::of(asked);
        self.read_page(page, Some(&asked));
        self.forget_asked(&asked);
        self
    }

    fn read_page(&mut self, page: &Value, asked: Option<&Asked<'_>>) {
        self.texts.get_or_insert_default();
        match page {
            Value::Object(members) => self.read_object(members, &mut Vec::new(), asked),
            // Objects beside the array of the records.
            Value::Array(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    if let Some(members) = part.as_object().filter(|members| members.len() <= MEMBERS) {
                        self.read_object(members, &mut vec![Segment::Index(at)], asked);
                    }
                }
            }
            _ => {}
        }
    }

    /// Forgets numbers that the request has, too: a page size is no count.
    fn forget_asked(&mut self, asked: &Asked<'_>) {
        let is_asked = |number: u64| asked.params.iter().any(|param| param.value == number.to_string());
        self.counts.retain(|(_, number)| !is_asked(*number));
    }

    fn read_object(&mut self, members: &Map<String, Value>, path: &mut Vec<Segment>, asked: Option<&Asked<'_>>) {
        // An object with an id is a thing of its own: its state is not the page's.
        let is_thing = members.get("id").is_some_and(|id| id.is_string() || id.is_number());
        let is_link = is_thing || members.keys().any(|name| matches!(&**name, "href" | "url"));
        for (name, value) in members {
            path.push(Segment::Name(name.clone()));
            let role = WordRole::of(name).filter(|role| match role {
                WordRole::Error => true,
                WordRole::Flag => !value.is_object() && !value.is_array(),
                WordRole::Partial => !value.is_object() && !value.is_array() && (!is_thing || path.len() == 1),
                WordRole::Status => !value.is_object() && !value.is_array() && !is_thing,
                WordRole::Message => !value.is_object() && !is_thing,
            });
            match (role, value) {
                (Some(_), _) if asked.is_some_and(|asked| asked.has(name, value)) => {}
                (Some(role), _) if !(role == WordRole::Status && value.is_object()) => {
                    self.words.push((Path::new(path.clone()).to_string(), shortened(&role.text_of(value))));
                }
                (None, Value::String(text)) if !is_link && is_prose(text) => {
                    let text = (Path::new(path.clone()).to_string(), shortened(value));
                    self.texts.get_or_insert_default().push(text);
                }
                (None, Value::Array(elements)) if !is_link => {
                    let text = elements.iter().find(|element| element.as_str().is_some_and(is_prose));
                    let text = text.map(|text| (Path::new(path.clone()).to_string(), shortened(text)));
                    self.texts.get_or_insert_default().extend(text);
                }
                (_, Value::Object(inner)) if path.len() < DEPTH && inner.len() <= MEMBERS => {
                    self.read_object(inner, path, asked);
                }
                _ => {}
            }
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            if let (Some(number), Some(asked)) = (number.filter(|_| !is_thing), asked)
                && is_count(CountName { name, parent: parent_of(path), siblings: members, url: &asked.request.url })
            {
                self.counts.push((Path::new(path.clone()).to_string(), number));
            }
            if let Some(number) = number.filter(|_| !is_thing && is_remaining(name, parent_of(path))) {
                self.remaining = Some((Path::new(path.clone()).to_string(), number));
            }
            path.pop();
        }
    }

    /// The envelope without the words at these paths.
    pub(super) fn without(mut self, is_judged: impl Fn(&str) -> bool) -> Self {
        self.words.retain(|(path, _)| !is_judged(path));
        self.texts.iter_mut().for_each(|texts| texts.retain(|(path, _)| !is_judged(path)));
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns true if the page says that the collection is empty.
    pub(super) fn counts_nothing(&self) -> bool {
        self.counts.iter().any(|(_, number)| *number == 0)
    }

    pub(super) fn words(&self) -> impl Iterator<Item = PageWord<'_>> {
        self.words.iter().filter_map(|(path, value)| {
            let name = path.rsplit(['.', '[']).next().unwrap_or_default();
            Some(PageWord { path, role: WordRole::of(name)?, value })
        })
    }

    /// Texts for people that the first page did not have.
    pub(super) fn new_texts<'a>(&'a self, first: &'a Self) -> impl Iterator<Item = PageWord<'a>> {
        let known = first.texts.as_ref();
        let is_new = move |path: &str| known.is_some_and(|known| known.iter().all(|(other, _)| other != path));
        let texts = self.texts.iter().flatten().filter(move |(path, _)| is_new(path));
        texts.map(|(path, value)| PageWord { path, role: WordRole::Message, value })
    }

    pub(super) fn word(&self, path: &str) -> Option<&Value> {
        self.words.iter().find(|(known, _)| known == path).map(|(_, value)| value)
    }

    pub(super) fn has_counts(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Returns true if a number counts as many records: of several, as all records and the filtered ones, one is enough. Where a greater one
    /// stands beside it, the number of the page's own records agrees with nothing, unless its name says that it is more.
    pub(super) fn agrees(&self, records: u64) -> bool {
        let has_greater = self.counts.iter().any(|(_, number)| *number > records);
        let is_own = |place: &str| has_greater && records == self.records && may_count_page(place);
        self.counts.iter().any(|(place, number)| *number == records && !is_own(place))
    }

    /// Checks the end of a collection against the numbers of its first page, which this is, and of its last.
    /// Such a number can't prove an end, since its name is only likely, but it refutes one.
    pub(super) fn check_counts(&self, last: Option<&Self>, extent: CrawledExtent) -> Result<(), PageError> {
        if let Some((place, number)) = last.unwrap_or(self).remaining.clone().filter(|(_, number)| *number > 0) {
            return Err(PageError::CountContradicts { place, number, records: extent.records.unwrap_or(self.records) });
        }
        // Past the last page some upstreams make their numbers up.
        let is_past = last.is_some_and(Self::is_empty);
        if let Some(records) = extent.records {
            let last_counts = || last.into_iter().flat_map(|last| &last.counts);
            let agrees = self.agrees(records) || last.is_some_and(|last| last.agrees(records));
            let still = |place: &str| last_counts().find(|(other, _)| other == place).filter(|_| !is_past);
            let refuting = self.counts.iter().find_map(|(place, number)| {
                let number = still(place).map_or(*number, |(_, number)| *number);
                (number > records && !agrees).then(|| PageError::CountContradicts {
                    place: place.clone(),
                    number,
                    records,
                })
            });
            refuting.map_or(Ok(()), Err)?;
        }
        let of_last = last.map_or(&[][..], |last| &last.last_places);
        let refuting = LastPlace::refuting(&self.last_places, of_last, is_past, extent);
        refuting.map_or(Ok(()), |word| Err(PageError::NotTheLast(word.shown().to_owned())))
    }
}

impl<'a> Asked<'a> {
    fn of(request: &'a PageRequest) -> Self {
        Self { params: request.params(), request }
    }

    /// Returns true for a member that repeats a parameter: `?filter[status]=failed` may come back as `"status": "failed"`.
    fn has(&self, name: &str, value: &Value) -> bool {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        self.params.iter().any(|param| {
            param.value.eq_ignore_ascii_case(&text)
                && (is_same_word(&param.name, name) || param.name.ends_with(&format!("[{name}]")))
        })
    }
}

/// Returns true for a page, an object, that has nothing to say but the values `told`, which are parts of it: all other members, at any depth, are
/// empty or repeat a parameter of its request.
pub(super) fn is_hollow(page: &Value, request: &PageRequest, told: &[&Value]) -> bool {
    page.as_object().is_some_and(|members| are_hollow(members, &Asked::of(request), told))
}

fn are_hollow(members: &Map<String, Value>, asked: &Asked<'_>, told: &[&Value]) -> bool {
    members.iter().all(|(name, value)| match value {
        _ if told.iter().any(|told| std::ptr::eq(*told, value)) => true,
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(_) => asked.has(name, value),
        Value::String(text) => text.is_empty() || asked.has(name, value),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => are_hollow(members, asked, told),
    })
}

fn parent_of(path: &[Segment]) -> &str {
    match path {
        [.., Segment::Name(parent), _] => parent,
        _ => "",
    }
}

/// Returns true for a text for people in any language: of several words, or of letters beyond ASCII. No token or address is one.
fn is_prose(text: &str) -> bool {
    let is_address = text.contains("://") || text.starts_with(['/', '?', '<']);
    let is_word = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() > 1;
    let has_words = || text.split_whitespace().filter(is_word).nth(1).is_some();
    let has_letters = || text.chars().filter(|c| !c.is_ascii() && c.is_alphabetic()).nth(1).is_some();
    !is_address && (has_words() || has_letters())
}

/// The value, or the start of its text where it is long.
fn shortened(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= WORD { value.clone() } else { Value::from(text.chars().take(WORD / 4).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::pagination::request::RequestBody;

    fn envelope(page: &Value, records: u64) -> PageEnvelope {
        PageEnvelope::read(&HeaderMap::new(), page, &asked("limit=100"), records)
    }

    fn came(records: u64) -> CrawledExtent {
        CrawledExtent { records: Some(records), pages: None }
    }

    fn asked(query: &str) -> PageRequest {
        PageRequest::get(Url::parse(&format!("http://a/v1/orders?{query}")).unwrap())
    }

    #[test]
    fn an_echo_of_the_request_is_no_word_of_the_page() {
        let read = |query: &str, page: &Value| {
            PageEnvelope::read(&HeaderMap::new(), page, &asked(query), 0)
                .words()
                .map(|word| word.path.to_owned())
                .collect::<Vec<_>>()
        };
        let page = json!({"status": "failed", "filters": {"state": "Error"}, "success": false});
        assert_eq!(read("status=failed&filter%5Bstate%5D=error", &page), ["success"]);
        assert_eq!(read("status=FAILED", &page), ["filters.state", "success"]);
        assert_eq!(read("q=failed&status=open", &page), ["status", "filters.state", "success"]);
        let body = Some(RequestBody::Json(json!({"query": {"status": "failed", "success": false}, "size": 70})));
        let by_body = PageRequest { body, ..asked("") };
        let envelope = PageEnvelope::read(
            &HeaderMap::new(),
            &json!({"status": "failed", "success": false, "count": 70}),
            &by_body,
            0,
        );
        assert_eq!((envelope.words().count(), envelope.check_counts(None, came(5)).is_ok()), (0, true));
    }

    #[test]
    fn a_count_is_known_whatever_its_name() {
        let pages = [
            json!({"nbHits": 70}),
            json!({"total": "70"}),
            json!({"responseSummary": {"numTotalResults": 70}}),
            json!({"hits": {"total": {"value": 70}}}),
            json!({"meta": {"total_orders": 70}}),
            json!({"count": 70}),
            json!({"number_of_results": 70, "found": 50}),
        ];
        for page in pages {
            let refuted = envelope(&page, 10).check_counts(Some(&envelope(&page, 0)), came(69));
            assert!(matches!(refuted, Err(PageError::CountContradicts { number: 70, records: 69, .. })), "{page}");
            assert!(envelope(&page, 10).check_counts(Some(&envelope(&page, 0)), came(70)).is_ok(), "{page}");
        }
    }

    #[test]
    fn other_numbers_refute_nothing() {
        let pages = [
            json!({"page": 70, "pages": 70, "total_pages": 70, "per_page": 70, "page_count": 70, "nbPages": 70}),
            json!({"limit": 70, "offset": 70, "size": 70, "number": 70, "took": 70, "processingTimeMS": 70}),
            json!({"paging": {"count": 70, "start": 0}}),
            json!({"total": 100}),
            json!({"total_amount": 70, "unread_count": 70, "remaining": 70, "max_results": 70, "rate_limit": {"total": 3}}),
            json!({"order": {"id": 1, "total": 70}}),
            json!({"recordsTotal": 70, "recordsFiltered": 35}),
            json!({"count": 35, "numberOfElements": 35}),
        ];
        for page in pages {
            assert!(envelope(&page, 35).check_counts(None, came(35)).is_ok(), "{page}");
        }
    }

    #[test]
    fn the_number_of_a_pages_own_records_agrees_with_no_end() {
        for page in [
            json!({"numberOfElements": 10, "totalElements": 47}),
            json!({"itemCount": 10, "total": 47}),
            json!({"count": 10, "number": 0, "totalPages": 5}),
            json!({"total": 10, "page": 1, "total_pages": 5}),
        ] {
            let extent = CrawledExtent { pages: Some(1), ..came(10) };
            assert!(envelope(&page, 10).check_counts(None, extent).is_err(), "{page}");
        }
    }

    #[test]
    fn records_behind_the_last_page_refute_an_end() {
        let page = |remaining| envelope(&json!({"metadata": {"remainingItemCount": remaining}}), 10);
        let refuted = page(90).check_counts(Some(&page(3)), came(97));
        assert!(matches!(refuted, Err(PageError::CountContradicts { number: 3, .. })), "{refuted:?}");
        assert!(page(90).check_counts(Some(&page(0)), came(100)).is_ok());
        assert!(page(90).check_counts(Some(&envelope(&json!({"metadata": {}}), 10)), came(100)).is_ok());
        let budget = envelope(&json!({"rate_limit": {"remaining_items": 3}, "remaining": 3, "remaining_time": 3}), 10);
        assert!(budget.check_counts(None, came(10)).is_ok());
    }

    #[test]
    fn the_last_page_with_records_knows_best() {
        let (first, shrunk) = (envelope(&json!({"total": 36}), 10), envelope(&json!({"total": 35}), 5));
        assert!(
            first.check_counts(Some(&shrunk), came(35)).is_ok() && first.check_counts(Some(&shrunk), came(34)).is_err()
        );
        let past = envelope(&json!({"total": 0}), 0);
        assert!(
            first.check_counts(Some(&past), came(36)).is_ok() && first.check_counts(Some(&past), came(35)).is_err()
        );
    }

    #[test]
    fn header_fields_count_too() {
        for (name, value) in [("x-total-count", "70"), ("content-range", "items 0-9/70")] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            let page = PageEnvelope::read(&headers, &Value::Null, &asked(""), 10);
            assert!(page.check_counts(None, came(10)).is_err() && page.check_counts(None, came(70)).is_ok(), "{name}");
        }
    }
}
