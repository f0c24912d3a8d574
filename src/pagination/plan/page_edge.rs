//! Edge between two pages of which one leads to the other: a page must not begin with the record that the one before ended with.
//!
//! A cursor that is rounded or compared with `>=` gives that record twice. Where a key is configured, the double is dropped. Without one it
//! breaks the walk, if a member shows that the two are one record: others may be equal and still two.

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
        (self.last, self.shared) = (None, None);
    }

    /// Takes the next records of the page, whose first record has the hash `start`.
    pub(super) fn add(&mut self, batch: &Batch, start: u64) -> Result<(), PageError> {
        if self.last.is_none() && self.before == Some(start) {
            self.shared = identifier_of(first_line(batch.lines()))?;
        }
        self.last = Some(hash_of(last_line(batch.lines()).trim_ascii()));
        Ok(())
    }

    /// Refuses a page that has been found to be no repetition of an earlier one.
    pub(super) fn check(&self) -> Result<(), PageError> {
        self.shared.map_or(Ok(()), |member| Err(PageError::SharesRecord { member }))
    }

    pub(super) fn end_page(&mut self) {
        self.before = self.last.or(self.before);
    }

    pub(super) fn resume(&mut self, last: Option<&[u8]>) {
        self.before = last.map(|last| hash_of(last.trim_ascii()));
    }
}

/// Returns the member by which a record is told apart from an equal one.
fn identifier_of(record: &[u8]) -> Result<Option<&'static str>, PageError> {
    if !record.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    let paths = IDENTIFIERS.map(|name| Path::new(vec![Segment::Name(name.to_owned())]));
    let found = values_of(record, &paths)?;
    let is_value = |value: &serde_json::Value| value.is_number() || value.as_str().is_some_and(|text| !text.is_empty());
    let mut named = IDENTIFIERS.into_iter().zip(found);
    Ok(named.find(|(_, value)| value.as_ref().is_some_and(is_value)).map(|(name, _)| name))
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
    fn only_the_records_at_the_edge_are_compared_and_byte_for_byte() {
        let last = r#"{"id":7,"n":1}"#;
        assert!(page(last, &[r#"{"id":7,"n":2}"#, last]).is_ok());
        assert!(page(last, &[r#"{"id":8}"#, last]).is_ok());
        assert!(page(last, &[" {\"id\":7,\"n\":1} "]).is_err());
    }
}
