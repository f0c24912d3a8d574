//! Deterministic faults of a legacy API: wrong totals, overlapping pages, tokens in a cycle.

use http::StatusCode;
use serde_json::{Value, json};

/// Faults of a legacy API; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    pub total: Total,
    /// Status of numbered pages past the end; none for empty pages.
    pub past_end: Option<StatusCode>,
    /// Number of records that each page repeats of the page before.
    pub overlap: u64,
    /// Index, from 0, of a page without its records.
    pub empty: Option<u64>,
    /// Number of tokens after which the first one is repeated.
    pub circle: Option<u64>,
}

/// Reported number of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Total {
    /// The true number.
    #[default]
    True,
    /// The true number and this difference.
    Off(i64),
    /// The true number as a string.
    Text,
    /// The true number, negated.
    Negative,
    /// The true number on the first page, no number on the others.
    FirstPage,
    /// No number.
    Absent,
}

/// Placeholder in an envelope for an absent member; no other string in an envelope is equal to it.
const ABSENT: &str = "<absent>";

impl Total {
    /// The number of records that is reported.
    pub(super) fn records(self, records: u64) -> u64 {
        match self {
            Self::Off(by) => records.saturating_add_signed(by),
            Self::True | Self::Text | Self::Negative | Self::FirstPage | Self::Absent => records,
        }
    }

    /// Value of a reported number on the page behind `skipped` records.
    pub(super) fn reported(self, number: u64, skipped: u64) -> Value {
        match self {
            Self::FirstPage if skipped > 0 => json!(ABSENT),
            Self::True | Self::Off(_) | Self::FirstPage => json!(number),
            Self::Text => json!(number.to_string()),
            Self::Negative => json!(-i128::from(number)),
            Self::Absent => json!(ABSENT),
        }
    }
}

/// Text of a reported number in a header field; none if it is absent.
pub(super) fn in_header(number: &Value) -> Option<String> {
    match number {
        Value::String(text) if text == ABSENT => None,
        Value::String(text) => Some(text.clone()),
        number => Some(number.to_string()),
    }
}

pub(super) fn without_absent(envelope: &mut Value) {
    if let Value::Object(members) = envelope {
        members.retain(|_, value| value != ABSENT);
        members.values_mut().for_each(without_absent);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Response};

    use super::*;
    use crate::demo::Legacy;

    fn ask(quirks: Quirks, target: &str) -> Response<bytes::Bytes> {
        let legacy = Legacy { quirks, ..Legacy::of(100) };
        legacy.answer(&Method::GET, &target.parse().unwrap(), &HeaderMap::new(), b"")
    }

    fn page(quirks: Quirks, target: &str) -> Value {
        serde_json::from_slice(ask(quirks, target).body()).unwrap()
    }

    fn sequences(records: &Value) -> Vec<u64> {
        let sequence = |order: &Value| order["sequence"].as_u64().unwrap() - 9_007_199_254_740_993;
        records.as_array().unwrap().iter().map(sequence).collect()
    }

    #[test]
    fn totals_are_reported_as_configured() {
        for (total, first, later) in [
            (Total::True, Some(json!(100)), Some(json!(100))),
            (Total::Off(-30), Some(json!(70)), Some(json!(70))),
            (Total::Off(30), Some(json!(130)), Some(json!(130))),
            (Total::Text, Some(json!("100")), Some(json!("100"))),
            (Total::Negative, Some(json!(-100)), Some(json!(-100))),
            (Total::FirstPage, Some(json!(100)), None),
            (Total::Absent, None, None),
        ] {
            let quirks = Quirks { total, ..Quirks::default() };
            for (offset, expected) in [(0, first), (40, later)] {
                let page = page(quirks, &format!("/offset/orders?limit=20&offset={offset}"));
                assert_eq!(page.get("total"), expected.as_ref(), "{total:?}");
                assert_eq!(sequences(&page["items"])[0], offset + 1);
                let link = ask(quirks, &format!("/link/orders?per_page=20&page={}", 1 + offset / 20));
                let header = link.headers().get("x-total-count").map(|value| value.to_str().unwrap().to_owned());
                assert_eq!(header, expected.map(|total| total.as_str().map_or(total.to_string(), ToOwned::to_owned)));
            }
        }
        let pages = page(Quirks { total: Total::Off(30), ..Quirks::default() }, "/page/orders?size=20");
        assert_eq!((&pages["total"], &pages["pages"]), (&json!(130), &json!(7)));
    }

    #[test]
    fn past_the_end_is_an_error_where_it_is_configured() {
        let quirks = Quirks { past_end: Some(StatusCode::NOT_FOUND), ..Quirks::default() };
        for (target, status) in [
            ("/page/orders?size=20&page=5", 200),
            ("/page/orders?size=20&page=6", 404),
            ("/offset/orders?limit=20&offset=99", 200),
            ("/offset/orders?limit=20&offset=100", 404),
        ] {
            assert_eq!(ask(quirks, target).status(), status, "{target}");
            assert_eq!(ask(Quirks::default(), target).status(), 200, "{target}");
        }
    }

    #[test]
    fn pages_overlap_and_lose_nothing() {
        let quirks = Quirks { overlap: 2, ..Quirks::default() };
        let second = page(quirks, "/page/orders?size=20&page=2");
        assert_eq!(sequences(&second["items"]), (19..=40).collect::<Vec<_>>());
        let first = page(quirks, "/cursor/orders?limit=20");
        assert_eq!(sequences(&first["data"]), (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_in_the_middle_is_empty_and_has_a_next_page() {
        let quirks = Quirks { empty: Some(2), ..Quirks::default() };
        let lengths = (0..5).map(|page| {
            let body = self::page(quirks, &format!("/offset/orders?limit=20&offset={}", 20 * page));
            body["items"].as_array().unwrap().len()
        });
        assert_eq!(lengths.collect::<Vec<_>>(), [20, 20, 0, 20, 20]);
        let body = page(quirks, "/cursor/orders?limit=20&cursor=aWQ%2BNDA=");
        assert_eq!((body["data"].clone(), body["meta"]["next_cursor"].is_string()), (json!([]), true));
    }

    #[test]
    fn tokens_form_a_cycle() {
        let quirks = Quirks { circle: Some(3), ..Quirks::default() };
        let (mut tokens, mut at) = (Vec::new(), String::new());
        for _ in 0..6 {
            let body = page(quirks, &format!("/cursor/orders?limit=20{at}"));
            tokens.push(body["meta"]["next_cursor"].as_str().unwrap().to_owned());
            at = format!("&cursor={}", tokens.last().unwrap().replace('+', "%2B"));
        }
        assert_eq!(tokens[..3], tokens[3..]);
        assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2] && tokens[0] != tokens[2]);
    }
}
