//! A guessed key as the place of the next page, shown at a place that the first page knows.

use serde_json::Value;

use super::Crawl;
use super::whole_page::whole;
use crate::pagination::{Keyset, Pagination, Path, detect};

/// Returns true if the page behind the last record but one begins with the last record. An upstream that ignores the parameter begins with the
/// first record, and one that takes it for a filter or a number of records with another one.
pub(super) async fn is_behind_key(crawl: &Crawl, pagination: &Pagination, keyset: &Keyset, page: &[u8]) -> bool {
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
