//! The field `Unpage-Verdict`: a verdict as an item of structured fields (RFC 9651), in a head or after a body.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use crate::format::ColumnUse;
use crate::pagination::verdict::{Consistency, RecordOrder, Verdict};

pub(super) const UNPAGE_VERDICT: HeaderName = HeaderName::from_static("unpage-verdict");

/// Largest integer of a structured field (RFC 9651 §3.3.1).
const LARGEST: u64 = 999_999_999_999_999;

/// Returns the word of the consistency, with everything else as parameters: `steady;records=3;pages=1;requests=1;proof="no next address"`.
pub(super) fn value(verdict: &Verdict, column_use: Option<&ColumnUse>) -> HeaderValue {
    let Verdict { records, pages, requests, proof, consistency, order, doubles, late, lists } = verdict;
    let mut item = Item(consistency.word().to_owned());
    item.counts([("records", *records), ("pages", *pages), ("requests", *requests)]);
    if let Some(lists) = lists {
        item.counts([("parents", lists.parents), ("gone", lists.gone)]);
    }
    item.text("proof", proof);
    match consistency {
        Consistency::Steady => {}
        Consistency::Mended { shifts, again, back } => {
            item.counts([("shifts", *shifts), ("again", *again), ("back", *back)]);
        }
        Consistency::Moved { why } | Consistency::Unverified { why } => item.text("why", why),
        Consistency::Snapshot { at } => at.iter().for_each(|at| item.date("at", *at)),
        Consistency::Upstream { by } => item.text("by", by),
    }
    match order {
        Some(RecordOrder::Assumed) => item.add("order", "assumed"),
        Some(RecordOrder::Configured) => item.add("order", "configured"),
        None => {}
    }
    item.counts([("doubles", *doubles), ("late", *late)].into_iter().filter(|(_, count)| *count > 0));
    item.counts(column_use.map(|of| ("beyond_columns", of.beyond_columns)));
    HeaderValue::try_from(item.0).expect("an item has visible ASCII and spaces only")
}

/// Text of an item that parameters are added to.
struct Item(String);

impl Item {
    fn counts(&mut self, counts: impl IntoIterator<Item = (&'static str, u64)>) {
        for (name, count) in counts {
            self.add(name, &count.min(LARGEST).to_string());
        }
    }

    /// Adds a string, or a display string where it is not ASCII (RFC 9651 §3.3.3, §3.3.8).
    fn text(&mut self, name: &str, text: &str) {
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let value = if is_plain {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            text.bytes().fold("%\"".to_owned(), |value, byte| match byte {
                b'%' | b'"' | ..b' ' | b'\x7f'.. => value + &format!("%{byte:02x}"),
                _ => value + &char::from(byte).to_string(),
            }) + "\""
        };
        self.add(name, &value);
    }

    /// Adds a date (RFC 9651 §3.3.7).
    fn date(&mut self, name: &str, at: SystemTime) {
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.add(name, &format!("@{}", seconds.min(LARGEST)));
    }

    fn add(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ok = write!(self.0, ";{name}={value}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_verdict_is_an_item_with_parameters() {
        let counts = "records=3;pages=1;requests=1;proof=\"no next address\"";
        let at = Some(UNIX_EPOCH + Duration::from_secs(1_577_836_861));
        for (consistency, item) in [
            (Consistency::Steady, format!("steady;{counts}")),
            (Consistency::Mended { shifts: 1, again: 2, back: 0 }, format!("mended;{counts};shifts=1;again=2;back=0")),
            (Consistency::Moved { why: "a \"b\" \\".to_owned() }, format!("moved;{counts};why=\"a \\\"b\\\" \\\\\"")),
            (
                Consistency::Unverified { why: "ü % \"\n".to_owned() },
                format!("unverified;{counts};why=%\"%c3%bc %25 %22%0a\""),
            ),
            (Consistency::Snapshot { at }, format!("snapshot;{counts};at=@1577836861")),
            (Consistency::Snapshot { at: None }, format!("snapshot;{counts}")),
            (Consistency::Upstream { by: "`if-match`".to_owned() }, format!("upstream;{counts};by=\"`if-match`\"")),
        ] {
            let verdict = Verdict { consistency, ..Verdict::in_test(3, 1) };
            assert_eq!(value(&verdict, None), item);
            let column_use = ColumnUse { records: 3, beyond_columns: 2, absent: Vec::new() };
            assert_eq!(value(&verdict, Some(&column_use)), item + ";beyond_columns=2");
        }
        let verdict = Verdict {
            records: u64::MAX,
            doubles: 1,
            late: 2,
            consistency: Consistency::Steady,
            ..Verdict::in_test(0, 1)
        };
        let value = value(&verdict, None);
        let value = value.to_str().unwrap();
        assert!(
            value.starts_with("steady;records=999999999999999;") && value.ends_with(";doubles=1;late=2"),
            "{value}"
        );
    }
}
