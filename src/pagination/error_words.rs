//! Words by which a page of status 200 says itself that it failed: an error, a flag, a status, a code, or a message in place of records.
//! Such a page is never an end.

use serde_json::{Map, Value};

use super::envelope_names::WordRole;
use super::error::{PageError, excerpt};
use super::page_envelope::{PageEnvelope, PageWord};
use super::value_source::says_none;

/// Parts of a failure's words, separated by `|` as those below.
const FAILURES: &str = "\
    error|fail|denied|invalid|exceed|unavailable|timeout|timed out|time out|forbidden|unauthori|not authorized|throttl|overload|\
    maintenance|try again|too many|not allowed|not permitted|no access|temporar|over query|rate limit|not ready|bad request|\
    exception|could not|unable to";
/// Those of them that pass.
const PASSING: &str = "\
    timeout|timed out|time out|try again|retry|later|temporar|unavailable|busy|overload|throttl|rate limit|ratelimit|too many|pending|\
    processing|in progress|queued|not ready|maintenance|internal|server error|over query";
/// Words of a page that is good, or empty because nothing is there.
const GOOD: &str = "\
    ok|okay|success|successful|successfully|succeeded|complete|completed|done|finished|last|end|empty|none|zero|nothing|exhausted|\
    found|fetched|retrieved|loaded|listed|returned|executed|\
    not found|0|true";
/// Words behind "no" that make it English, beside plurals: in other languages it may mean "not".
const NONE_OF: &str = "more|further|additional|other|new|data|content|result|record|item|entry|row|match|matching|page";
const NO_FAILURES: [&str; 3] = ["no error", "without error", "0 error"];

/// Hope that the same request is answered better a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    MayPass,
    Lasting,
}

/// Outlook of a failure that is described by this text.
pub(super) fn outlook_of(text: &str) -> Outlook {
    let code: Option<u16> = text.trim().trim_matches('"').parse().ok();
    let may_pass = has_any(PASSING, &normal(text)) || matches!(code, Some(408 | 429 | 500..=599));
    if may_pass { Outlook::MayPass } else { Outlook::Lasting }
}

/// Checks a page without records, of which nothing else is known.
pub(super) fn check_empty(page: &PageEnvelope) -> Result<(), PageError> {
    page.words().find(|word| is_failure(word) && !is_overruled(word, page)).map_or(Ok(()), |word| Err(failed(word)))
}

/// Checks a record that stands where the page's own words may: one that has nothing but words of a failure is none.
pub(super) fn check_record(record: &[u8]) -> Result<(), PageError> {
    let Ok(members) = serde_json::from_slice::<Map<String, Value>>(record) else { return Ok(()) };
    let roles = || members.iter().map(|(path, value)| Some((path, WordRole::of(path)?, value)));
    let failure = roles().flatten().find_map(|(path, role, value)| {
        // One message may be data; several are a list of mistakes.
        let is_telling = role == WordRole::Error || role == WordRole::Message && value.is_array();
        let word = PageWord { path, role, value: &role.text_of(value) };
        (is_telling && is_failure(&word)).then(|| failed(word))
    });
    failure.filter(|_| roles().all(|role| role.is_some())).map_or(Ok(()), Err)
}

/// Returns true for a word that may be data beside records, as a token named `state`, which changes from page to page.
fn may_be_data(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("state" | "result" | "outcome"))
}

/// Returns true for a message beside a flag or a status that says that the page is good.
fn is_overruled(word: &PageWord<'_>, page: &PageEnvelope) -> bool {
    let says_good = |word: &PageWord<'_>| matches!(word.role, WordRole::Flag | WordRole::Status) && is_good(word.value);
    word.role == WordRole::Message && page.words().any(|word| says_good(&word))
}

/// Checks a page that may be the end, beside what the first page said of itself, where that was another page.
pub(super) fn check_beside(first: Option<&PageEnvelope>, page: &PageEnvelope) -> Result<(), PageError> {
    let before = |word: &PageWord<'_>| first.and_then(|first| first.word(word.path));
    let is_other = |word: &PageWord<'_>| first.is_some() && before(word) != Some(word.value);
    let failure = page.words().find(|word| match word.role {
        WordRole::Error => is_failure(word) && is_other(word),
        WordRole::Flag | WordRole::Partial => is_failure(word),
        // One that the first page did not have is judged by itself, in a page without records.
        WordRole::Status if !page.is_empty() && may_be_data(word.path) => is_other(word) && is_failure(word),
        WordRole::Status => before(word).is_some() && is_other(word) && !is_good(word.value),
        WordRole::Message if !page.is_empty() || is_overruled(word, page) => false,
        // A first page that says that nothing is there says so by a count, or in its message.
        WordRole::Message if first.is_none() && !page.counts_nothing() => {
            is_failure(word) || !says_none(word.value) && !is_good(word.value)
        }
        WordRole::Message if !is_other(word) => false,
        WordRole::Message if before(word).is_some() => is_failure(word),
        // A message that the first page did not have must be about the end.
        WordRole::Message => !says_none(word.value) && !is_good(word.value),
    });
    // In place of records, any text for people may be the message of a failure.
    let is_telling = |word: &PageWord<'_>| !is_good(word.value) && !is_overruled(word, page);
    let text = || page.new_texts(first.filter(|_| page.is_empty())?).find(is_telling);
    failure.or_else(text).map_or(Ok(()), |word| Err(failed(word)))
}

fn failed(PageWord { path, value, .. }: PageWord<'_>) -> PageError {
    let value = value.to_string();
    let outlook = outlook_of(&value);
    PageError::ErrorInPage { path: path.parse().unwrap_or_default(), value: excerpt(&value), outlook }
}

/// Returns true for a word that means a failure, whatever other pages say.
fn is_failure(PageWord { role, value, .. }: &PageWord<'_>) -> bool {
    let text = value.as_str().map(normal);
    match (role, value) {
        (WordRole::Error | WordRole::Partial, Value::Number(number)) => number.as_f64() != Some(0.0),
        (WordRole::Error, Value::String(_)) => !says_none(value) && !is_good(value),
        (WordRole::Error, _) => !says_none(value),
        (WordRole::Partial, Value::Bool(is_partial)) => *is_partial,
        (WordRole::Partial, _) => text.as_deref() == Some("true"),
        (WordRole::Flag | WordRole::Status, Value::Bool(flag)) => !flag,
        (WordRole::Flag, Value::Number(number)) => number.as_f64() == Some(0.0),
        (WordRole::Flag, _) => text.is_some_and(|text| matches!(text.as_str(), "false" | "no") || is_bad(&text)),
        (WordRole::Status, _) => match code(value) {
            Some(code) => code < 0 || (400..600).contains(&code) && !matches!(code, 404 | 410 | 416),
            None => text.is_some_and(|text| is_bad(&text)),
        },
        (WordRole::Message, _) => text.is_some_and(|text| is_bad(&text)),
    }
}

fn is_bad(text: &str) -> bool {
    let text = NO_FAILURES.iter().fold(text.to_owned(), |text, none| text.replace(none, ""));
    has_any(FAILURES, &text)
}

/// Returns true for a word of success, or of nothing being there.
fn is_good(value: &Value) -> bool {
    match (value, code(value)) {
        (_, Some(code)) => matches!(code, 0 | 200..300 | 404 | 410 | 416),
        (Value::String(text), None) => {
            let text = normal(text);
            let is_good = || GOOD.split('|').any(|good| format!(" {text} ").contains(&format!(" {good} ")));
            !is_bad(&text) && (is_good() || says_no_records(&text))
        }
        (value, None) => *value == Value::Bool(true) || says_none(value),
    }
}

/// Returns true for "no" alone, or before a word for records.
fn says_no_records(text: &str) -> bool {
    let mut words = text.split(' ').skip_while(|word| *word != "no").skip(1);
    let is_plural = |word: &str| word.len() > 3 && word.ends_with('s');
    text == "no" || words.next().is_some_and(|word| is_plural(word) || NONE_OF.split('|').any(|none| none == word))
}

/// A whole number, also where it is spelled as a string.
fn code(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn has_any(parts: &str, text: &str) -> bool {
    parts.split('|').any(|part| text.contains(part))
}

/// A text in lower case, with one space between its words: `OVER_QUERY_LIMIT` and `overQueryLimit` are alike.
fn normal(text: &str) -> String {
    let mut normal = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && before.is_lowercase() {
            normal.push(' ');
        }
        normal.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        before = c;
    }
    normal.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::pagination::request::PageRequest;

    fn envelope(page: &Value, records: u64) -> PageEnvelope {
        let asked = PageRequest::get(Url::parse("http://a/items").unwrap());
        PageEnvelope::read(&HeaderMap::new(), page, &asked, records)
    }

    #[test]
    fn an_empty_page_that_says_that_it_failed_is_none() {
        let failures = [
            json!({"status": "INVALID_REQUEST"}),
            json!({"status": "error"}),
            json!({"status": false}),
            json!({"stat": "fail"}),
            json!({"state": "queryTimedOut"}),
            json!({"success": false}),
            json!({"ok": false, "why": 1}),
            json!({"success": 0}),
            json!({"code": 500}),
            json!({"code": "429"}),
            json!({"errcode": -1}),
            json!({"meta": {"status_code": 503}}),
            json!({"error_message": "quota"}),
            json!({"error": {"code": 7}}),
            json!({"message": "Please try again later"}),
            json!({"msg": "No access to this list"}),
        ];
        for page in failures {
            assert!(check_empty(&envelope(&page, 0)).is_err(), "{page}");
        }
    }

    #[test]
    fn an_empty_page_of_an_empty_collection_is_one() {
        let pages = [
            json!({"status": "ZERO_RESULTS"}),
            json!({"status": "OK", "code": 0, "message": ""}),
            json!({"success": true, "message": "No records found"}),
            json!({"code": 404, "message": "not found"}),
            json!({"error": null, "errors": [], "error_message": "", "errcode": 0}),
            json!({"errors": "0 errors", "msg": "ok"}),
            json!({"status": "active"}),
            json!({"build": {"id": 7, "status": "failed"}}),
            json!({"items": [{"status": "error"}]}),
        ];
        for page in pages {
            assert!(check_empty(&envelope(&page, 0)).is_ok(), "{page}");
        }
    }

    #[test]
    fn at_an_end_a_page_is_held_to_the_words_of_the_first() {
        let first = envelope(&json!({"status": "active", "code": 1, "warnings": 0, "errors": ["old note"]}), 10);
        let good = [
            json!({"status": "active", "code": 1, "errors": ["old note"]}),
            json!({"status": "no more results", "code": 0}),
            json!({"status": "complete", "code": 204, "message": "end of list"}),
            json!({"state": "gone elsewhere"}),
        ];
        for page in good {
            assert!(check_beside(Some(&first), &envelope(&page, 0)).is_ok(), "{page}");
        }
        for page in
            [json!({"status": "suspended"}), json!({"code": 2}), json!({"errors": ["new"]}), json!({"ok": false})]
        {
            assert!(check_beside(Some(&first), &envelope(&page, 0)).is_err(), "{page}");
            assert!(check_beside(Some(&first), &envelope(&page, 3)).is_err(), "{page}");
        }
        let message = json!({"message": "you can only have the first 50"});
        assert!(check_beside(Some(&first), &envelope(&message, 0)).is_err());
        assert!(check_beside(Some(&first), &envelope(&message, 3)).is_ok());
    }

    #[test]
    fn a_record_of_nothing_but_a_failure_is_none() {
        for record in [r#"{"error":"stream aborted"}"#, r#"{"status":500,"error":{"message":"no"},"message":"no"}"#] {
            assert!(check_record(record.as_bytes()).is_err(), "{record}");
        }
        for record in [r#"{"error":null}"#, r#"{"id":1,"error":"late"}"#, r#"{"message":"hi"}"#, "7", "{}"] {
            assert!(check_record(record.as_bytes()).is_ok(), "{record}");
        }
    }

    #[test]
    fn words_of_ordinary_pages_are_no_failures() {
        let first = envelope(&json!({"success": true, "message": "Page 1 retrieved", "state": "abc"}), 10);
        let last = [
            json!({"success": true, "message": "Page 2 retrieved", "state": "abc"}),
            json!({"success": true, "message": "No errors, and no failed orders"}),
        ];
        for page in last {
            assert!(check_beside(Some(&first), &envelope(&page, 0)).is_ok(), "{page}");
        }
        assert!(check_beside(Some(&first), &envelope(&json!({"success": true, "state": "def"}), 3)).is_ok());
        for page in [
            json!({"status": "pending"}),
            json!({"success": true, "message": "No permissions found"}),
            json!({"message": "No quotations found"}),
            json!({"_shards": {"total": 0, "successful": 0}}),
        ] {
            assert!(check_empty(&envelope(&page, 0)).is_ok(), "{page}");
        }
    }

    #[test]
    fn a_page_that_says_that_records_are_missing_is_no_end() {
        let first = envelope(&json!({"truncated": true}), 10);
        for name in
            ["truncated", "isTruncated", "incomplete_results", "incompleteSearch", "partialResults", "timed_out"]
        {
            for (value, is_end) in [
                (json!(true), false),
                (json!("true"), false),
                (json!(1), false),
                (json!(false), true),
                (json!(0), true),
            ] {
                let page = json!({name: value});
                for records in [0, 3] {
                    for first in [None, Some(&first)] {
                        assert_eq!(check_beside(first, &envelope(&page, records)).is_ok(), is_end, "{page}");
                    }
                }
            }
        }
        let thing = json!({"owner": {"id": 7, "truncated": true}});
        assert!(check_beside(None, &envelope(&thing, 3)).is_ok());
    }

    #[test]
    fn a_message_on_an_empty_first_page_says_that_nothing_is_there_or_is_a_failure() {
        for (page, is_end) in [
            (json!({"message": "token expired"}), false),
            (json!({"message": "You do not have access"}), false),
            (json!({"message": "No orders yet"}), true),
            (json!({"message": "Orders fetched"}), true),
            (json!({"message": "", "detail": null}), true),
            (json!({"message": "a list of orders", "total": 0}), true),
            (json!({"message": "a list of orders", "success": true}), true),
        ] {
            assert_eq!(check_beside(None, &envelope(&page, 0)).is_ok(), is_end, "{page}");
            assert!(check_beside(None, &envelope(&page, 3)).is_ok(), "{page}");
        }
    }

    #[test]
    fn failures_that_pass_are_told_from_those_that_last() {
        for text in ["Try again", "THROTTLED", "internalServerError", "503", "\"OVER_QUERY_LIMIT\"", "in_progress"] {
            assert_eq!(outlook_of(text), Outlook::MayPass, "{text}");
        }
        for text in ["REQUEST_DENIED", "invalid token", "403", "no such list"] {
            assert_eq!(outlook_of(text), Outlook::Lasting, "{text}");
        }
    }
}
