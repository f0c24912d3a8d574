//! A guessed place of the next page, shown by a request whose answer the first page knows.

use serde_json::Value;

use super::Crawl;
use super::whole_page::whole;
use crate::pagination::{Encode, Keyset, Offset, PageNumber, Pagination, Param, Path, UnnamedCounts, detect};
use crate::pagination::{RecordsShape, Style};

const UNREAD: &str = "an element of the first page has no record, so that its number can't be tried";

/// Returns the reason for which the parameter is not what it seems to be. The second page alone can't show that: records may follow that are
/// not the next ones.
///
/// The page behind the last key but one begins with the last record. An upstream that ignores the parameter begins with the first record, and
/// one that takes it for a filter, a number of records or of pages with another one. The page at the number of the last record begins with a
/// record of the first page, and the page at the number of the first page has its first record; others may have come in front of them. An
/// upstream that shows 1 first may be asked from 0, and a record, or a page, would be missed between each two: there the page at the number
/// of the last record begins with that one. A total, or a number of pages, shows the loss at the end.
pub(super) async fn refuting(crawl: &Crawl, pagination: &Pagination, page: &[u8]) -> Option<&'static str> {
    let asked = |param: &Param| crawl.first.value_at(param);
    let is_ignored = crawl.pagination.unnamed_counts == UnnamedCounts::Ignored;
    match &pagination.style {
        Style::Keyset(keyset) => {
            let why = "the key of the last record but one did not lead to the last one";
            (!is_behind_key(crawl, pagination, keyset, page).await).then_some(why)
        }
        // A number of pages may pass for one of records, too.
        Style::Offset(Offset { param, start, template: None, .. })
            if pagination.total.is_none() && (is_ignored || asked(param).is_none()) =>
        {
            let Some(records) = records(pagination, page) else { return Some(UNREAD) };
            let last = records.last()?;
            let asked = asked(param).and_then(|number| number.parse().ok());
            let is_one_shown = *start == 1 && asked.is_none();
            let number = asked.unwrap_or(*start).saturating_add(u64::try_from(records.len() - 1).unwrap_or(u64::MAX));
            let there = at_number(crawl, pagination, param, number).await;
            let is_there = match there.as_deref() {
                Some([first, ..]) if is_one_shown => has(crawl, std::slice::from_ref(first), last),
                // Some APIs have offsets of whole pages alone, or round others down.
                Some([first, ..]) => has(crawl, &records, first),
                Some([]) | None => !is_one_shown,
            };
            (!is_there).then_some(
                "the number of the last record did not lead to it (set `key` if records change all the time)",
            )
        }
        Style::Page(PageNumber { param, start: 1, template: None })
            if pagination.total.is_none() && pagination.total_pages.is_none() && asked(param).is_none() =>
        {
            let Some(records) = records(pagination, page) else { return Some(UNREAD) };
            let there = at_number(crawl, pagination, param, 1).await.unwrap_or_default();
            let is_there = has(crawl, &there, records.first()?);
            (!is_there).then_some(
                "the number of the first page did not lead to it (set `key` if its records change all the time)",
            )
        }
        _ => None,
    }
}

/// Returns the records of the page at this number; none where it can't be had.
async fn at_number(crawl: &Crawl, pagination: &Pagination, param: &Param, number: u64) -> Option<Vec<Value>> {
    let mut first = crawl.first.clone();
    first.set(param, &Value::from(number), Encode::Plain).ok()?;
    let page = whole(&Crawl { first, ..crawl.clone() }).await.ok()?;
    records(pagination, &page.json)
}

/// Returns true if the record is among these, by the configured key or its id: other properties may change from answer to answer.
fn has(crawl: &Crawl, records: &[Value], record: &Value) -> bool {
    let id = |record: &Value| {
        let named = match &crawl.pagination.key {
            Some(key) => key.of_value(record),
            None => record.get("id"),
        };
        named.filter(|id| id.is_string() || id.is_number()).cloned()
    };
    let own = id(record);
    records.iter().any(|other| other == record || own.is_some() && id(other) == own)
}

fn records(pagination: &Pagination, page: &[u8]) -> Option<Vec<Value>> {
    let page: Value = serde_json::from_slice(page).ok()?;
    let path = pagination.records.paths.first()?;
    match (pagination.records.shape, path.of_value(&page)) {
        (RecordsShape::Values, Some(Value::Object(members))) => Some(members.values().cloned().collect()),
        _ => Some(detect::elements(path, &page)?.into_iter().cloned().collect()),
    }
}

async fn is_behind_key(crawl: &Crawl, pagination: &Pagination, keyset: &Keyset, page: &[u8]) -> bool {
    let (Some(records), [key]) = (pagination.records.paths.first(), keyset.key.as_slice()) else { return false };
    let Some(keys) = keys(records, key, page) else { return false };
    let [.., before, last] = keys.as_slice() else { return false };
    let mut first = crawl.first.clone();
    if first.set(&keyset.param, before, keyset.encode).is_err() {
        return false;
    }
    match whole(&Crawl { first, ..crawl.clone() }).await {
        Ok(second) => self::keys(records, key, &second.json).is_some_and(|keys| keys.first() == Some(last)),
        Err(_) => false,
    }
}

/// The keys of a page's records; none if a record has none.
fn keys(records: &Path, key: &Path, page: &[u8]) -> Option<Vec<Value>> {
    let page: Value = serde_json::from_slice(page).ok()?;
    detect::elements(records, &page)?.into_iter().map(|record| key.of_value(record).cloned()).collect()
}
