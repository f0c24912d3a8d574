//! A page without a sign of pagination: a few requests show if its API numbers pages or records all the same.

use http::Method;
use serde_json::Value;

use super::Crawl;
use super::whole_page::whole;
use crate::pagination::{Advance, Encode, Offset, PageNumber, Pagination, Param, Style, detect};

/// Returns the paginations by number that the API shows to understand: page 2 has records of its own, and page 1 exactly these; or the offset of
/// the last record has that one alone. An empty page behind shows nothing: the parameter may be a filter, or need a login. An API that ignores the parameter answers with the same page.
pub(super) async fn numbered(crawl: &Crawl, lone: &Pagination, page: &[u8]) -> Vec<Pagination> {
    let Some(first) = records(lone, page).filter(|first| !first.is_empty() && crawl.first.method == Method::GET) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let by_page = PageNumber { param: Param::Query("page".to_owned()), start: 1, template: None };
    let second = asked(crawl, lone, "page", 2).await;
    let is_another = second.is_some_and(|second| !second.is_empty() && second.iter().all(|own| !first.contains(own)));
    if is_another && asked(crawl, lone, "page", 1).await.as_ref() == Some(&first) {
        found.push(Pagination { style: by_page.into(), ..lone.clone() });
        return found;
    }
    let count = first.len();
    let param = Param::Query("offset".to_owned());
    let by_offset: Style = Offset { param, start: 0, step: Advance::Returned, template: None }.into();
    let is_moved = |page: Vec<Value>| page.first() == first.last() && !page.contains(&first[0]);
    if count > 1 && asked(crawl, lone, "offset", count - 1).await.is_some_and(is_moved) {
        found.push(Pagination { style: by_offset, ..lone.clone() });
    }
    found
}

/// Returns the records of the page at a number; none where the request names one already, or is refused.
async fn asked(crawl: &Crawl, lone: &Pagination, param: &str, number: usize) -> Option<Vec<Value>> {
    let param = Param::Query(param.to_owned());
    let mut first = crawl.first.clone();
    if first.value_at(&param).is_some() {
        return None;
    }
    first.set(&param, &Value::from(number), Encode::Plain).ok()?;
    let asked = Crawl { first, ..crawl.clone() };
    records(lone, &whole(&asked).await.ok()?.json)
}

fn records(lone: &Pagination, page: &[u8]) -> Option<Vec<Value>> {
    let page: Value = serde_json::from_slice(page).ok()?;
    Some(detect::elements(lone.records.paths.first()?, &page)?.into_iter().cloned().collect())
}
