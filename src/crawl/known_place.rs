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
/// one that takes it for a filter or a number of records with another one. The first page is at its number, and its last record at its own: an
/// upstream that shows 1 first may be asked from 0, and a record, or a page, would be missed between each two. A number that the request has
/// needs no proof, and a total, or a number of pages, shows the loss at the end.
pub(super) async fn refuting(crawl: &Crawl, pagination: &Pagination, page: &[u8]) -> Option<&'static str> {
    let is_asked = |param: &Param| crawl.first.value_at(param).is_some();
    let is_counted = pagination.total.is_some();
    match &pagination.style {
        Style::Keyset(keyset) => {
            let why = "the key of the last record but one did not lead to the last one";
            (!is_behind_key(crawl, pagination, keyset, page).await).then_some(why)
        }
        Style::Offset(Offset { param, start, template: None, .. })
            if !is_counted && (!is_asked(param) || crawl.pagination.unnamed_counts == UnnamedCounts::Ignored) =>
        {
            let Some(records) = records(pagination, page) else { return Some(UNREAD) };
            let number = start.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX)).saturating_sub(1);
            let is_there = begins_with(crawl, pagination, (param, number), records.last()?).await;
            (!is_there).then_some("the number of the last record did not lead to it")
        }
        Style::Page(PageNumber { param, start, template: None })
            if !is_counted && pagination.total_pages.is_none() && !is_asked(param) =>
        {
            let Some(records) = records(pagination, page) else { return Some(UNREAD) };
            let is_there = begins_with(crawl, pagination, (param, *start), records.first()?).await;
            (!is_there).then_some("the number of the first page did not lead to it")
        }
        _ => None,
    }
}

/// Returns true if the page at this number begins with the record. Other properties than its id may change from answer to answer.
async fn begins_with(crawl: &Crawl, pagination: &Pagination, (param, number): (&Param, u64), record: &Value) -> bool {
    let mut first = crawl.first.clone();
    if first.set(param, &Value::from(number), Encode::Plain).is_err() {
        return false;
    }
    let Ok(second) = whole(&Crawl { first, ..crawl.clone() }).await else { return false };
    let records = records(pagination, &second.json).unwrap_or_default();
    records.first().is_some_and(|other| {
        let id = |record: &Value| record.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
        other == record || id(other).is_some() && id(other) == id(record)
    })
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
