//! Edge between two pages of which one leads to the other: a page must not begin with the record that the one before ended with.
//!
//! A cursor that is rounded or compared with `>=` gives that record twice. Where a key is configured, the double is dropped. Without one it
//! breaks the walk, if a member shows that the two are one record: others may be equal and still two. Where the member or the record
//! repeats inside a page, it identifies nothing.

use serde_json::Value;

use super::fingerprint::{first_line, hash_of, last_line};
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::path::{Path, Segment};
use crate::pagination::record_values::values_of;
use crate::pagination::settings::Pagination;

/// Members that identify a record by their usual meaning.
const IDENTIFIERS: [&str; 3] = ["id", "_id", "uuid"];

/// Comparison of the current page's first record with the last one before it: one hash a page and one a batch.
#[derive(Debug, Default)]
pub(super) struct PageEdge {
    /// Hash of the last record before this page.
    before: Option<u64>,
    /// Hash of the last record of this page so far.
    last: Option<u64>,
    /// The last two records of a batch of this page are equal.
    has_equals: bool,
    /// Member that identifies the record which both pages have.
    shared: Option<&'static str>,
}

impl PageEdge {
    /// The comparison for a pagination; none where a key finds doubles, where pages may share records, or where nothing is to be watched.
    pub(super) fn of(pagination: &Pagination) -> Option<Self> {
        let is_watched = pagination.key.is_none() && pagination.watches_moves();
        (is_watched && pagination.style.is_pointed()).then(Self::default)
    }

    pub(super) fn start_page(&mut self) {
        (self.last, self.has_equals, self.shared) = (None, false, None);
    }

    /// Takes the next records of the page, whose first record has the hash `start`.
    pub(super) fn add(&mut self, batch: &Batch, start: u64) -> Result<(), PageError> {
        if self.last.is_none() && self.before == Some(start) {
            self.shared = identifier_in(batch)?;
        }
        let last = last_line(batch.lines());
        let rest = batch.lines().trim_ascii_end();
        let before_last = last_line(&rest[..rest.len().saturating_sub(last.len())]);
        self.has_equals |= batch.records() > 1 && before_last.trim_ascii() == last.trim_ascii();
        self.last = Some(hash_of(last.trim_ascii()));
        Ok(())
    }

    /// Refuses a page that has been found to be no repetition of an earlier one.
    pub(super) fn check(&self) -> Result<(), PageError> {
        self.shared.map_or(Ok(()), |member| Err(PageError::SharesRecord { member }))
    }

    pub(super) fn end_page(&mut self) {
        self.before = if self.has_equals { None } else { self.last.or(self.before) };
    }

    pub(super) fn resume(&mut self, last: Option<&[u8]>) {
        self.before = last.map(|last| hash_of(last.trim_ascii()));
    }
}

/// Returns the member by which the first record of a batch is told apart from an equal one.
fn identifier_in(batch: &Batch) -> Result<Option<&'static str>, PageError> {
    let identifiers = |line: &[u8]| {
        if !line.trim_ascii_start().starts_with(b"{") {
            return Ok(vec![None; IDENTIFIERS.len()]);
        }
        values_of(line, &IDENTIFIERS.map(|name| Path::new(vec![Segment::Name(name.to_owned())])))
    };
    let is_value = |value: &Value| value.is_number() || value.as_str().is_some_and(|text| !text.is_empty());
    let first = identifiers(first_line(batch.lines()))?;
    let Some(at) = first.iter().position(|value| value.as_ref().is_some_and(is_value)) else { return Ok(None) };
    for other in batch.each().skip(1) {
        if identifiers(other)?[at] == first[at] {
            return Ok(None);
        }
    }
    Ok(Some(IDENTIFIERS[at]))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Result of a page of these records, which come in pieces, behind a page that ended with `last`.
    fn page(last: &str, records: &[&str]) -> Result<(), PageError> {
        let mut edge = PageEdge::default();
        edge.resume(Some(last.as_bytes()));
        edge.start_page();
        let start = hash_of(records[0].trim().as_bytes());
        for record in records {
            edge.add(&Batch::new(Bytes::from(format!("{record}\n")), 1), start)?;
        }
        let checked = edge.check();
        edge.end_page();
        assert_eq!(edge.before, Some(hash_of(records[records.len() - 1].trim().as_bytes())));
        checked
    }

    #[test]
    fn a_page_that_begins_with_the_last_record_shares_it_where_a_member_identifies_it() {
        for (record, member) in [
            (r#"{"id":7,"n":1}"#, Some("id")),
            (r#"{"n":1,"_id":"a"}"#, Some("_id")),
            (r#"{"uuid":"0-1"}"#, Some("uuid")),
            (r#"{"id":null,"uuid":"0-1"}"#, Some("uuid")),
            // These may be two records that are equal.
            (r#"{"id":null}"#, None),
            (r#"{"id":""}"#, None),
            (r#"{"n":1}"#, None),
            (r#"{"a":{"id":1}}"#, None),
            ("7", None),
            (r#""id""#, None),
            (r#"["id"]"#, None),
        ] {
            let found = match page(&format!("{record}\n"), &[record, r#"{"id":9}"#]) {
                Ok(()) => None,
                Err(PageError::SharesRecord { member }) => Some(member),
                Err(other) => panic!("{record}: {other}"),
            };
            assert_eq!(found, member, "{record}");
        }
    }

    #[test]
    fn a_member_or_a_record_that_repeats_inside_a_page_identifies_nothing() {
        let ping = r#"{"id":7}"#;
        let mut edge = PageEdge::default();
        let lines = |lines: String, records| Batch::new(Bytes::from(lines), records);
        for (first, second, is_shared) in [
            (format!("{ping}\n{ping}\n"), format!("{ping}\n{{\"id\":8}}\n"), false),
            (format!("{{\"id\":6}}\n{ping}\n"), format!("{ping}\n{{\"id\":7,\"n\":1}}\n"), false),
            (format!("{{\"id\":6}}\n{ping}\n"), format!("{ping}\n{{\"id\":8}}\n"), true),
        ] {
            edge.start_page();
            edge.add(&lines(first, 2), 0).unwrap();
            edge.end_page();
            edge.start_page();
            edge.add(&lines(second, 2), hash_of(ping.as_bytes())).unwrap();
            assert_eq!(edge.check().is_err(), is_shared);
        }
    }

    #[test]
    fn only_the_records_at_the_edge_are_compared_and_byte_for_byte() {
        let last = r#"{"id":7,"n":1}"#;
        assert!(page(last, &[r#"{"id":7,"n":2}"#, last]).is_ok());
        assert!(page(last, &[r#"{"id":8}"#, last]).is_ok());
        assert!(page(last, &[" {\"id\":7,\"n\":1} "]).is_err());
    }
}
