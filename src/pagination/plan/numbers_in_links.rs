//! Numbers in addresses: pages that lead to each other by a link, URL or token may be numbered pages underneath.

use std::borrow::Cow;

use serde_json::Value;

use crate::pagination::detect::{self, PageParam, PathNumber};
use crate::pagination::request::{Encode, PageRequest, RequestBody};
use crate::pagination::request_params::RequestParam;

/// Value that the next request has, and the one before has not.
struct Change<'a> {
    param: Option<PageParam>,
    /// The parameter's name is usual for other things, too.
    is_common: bool,
    before: Option<Cow<'a, str>>,
    after: Cow<'a, str>,
}

/// Returns true if `next`, to which the page of `request` with its `records` leads, differs from it in a growing page number or offset
/// alone, beside parameters that it drops. Such pages move like numbered ones when records before them are added or removed.
pub(super) fn counts_on(request: &PageRequest, next: &PageRequest, records: u64) -> bool {
    let numbers = || {
        let query = query_changes(request, next);
        // Before all else, since a token is told at once.
        query.iter().all(Change::is_number).then_some(())?;
        let body = body_changes(request, next)?;
        let path = path_change(request, next)?;
        let changes = query.into_iter().chain(body).chain(path);
        changes.map(|change| change.counts(records)).sum::<Option<usize>>()
    };
    request.method == next.method && numbers() == Some(1)
}

/// Request behind that of a page with its `records`, by the one number of it that counts pages or records and that the walk's first request has
/// not; none where it has several.
pub(super) fn behind(first: &PageRequest, request: &PageRequest, records: u64) -> Option<PageRequest> {
    let known = first.params();
    let next = |RequestParam { param, name, value }: RequestParam| {
        let step = match detect::page_param(&name)? {
            PageParam::Page => 1,
            PageParam::Offset => records,
            PageParam::Size => return None,
        };
        let mut next = request.clone();
        next.set(&param, &Value::from(digits(&value)?.checked_add(step)?), Encode::Plain).ok()?;
        Some(next)
    };
    let in_path = PathNumber::of(&request.url).and_then(|number| {
        let step = if number.param == PageParam::Page { 1 } else { records };
        let mut next = request.clone();
        let end = if request.url.path().ends_with('/') { &[""][..] } else { &[] };
        let value = number.value.checked_add(step)?.to_string();
        next.url.path_segments_mut().ok()?.pop_if_empty().pop().push(&value).extend(end);
        Some(next)
    });
    let mut nexts = request.params().into_iter().filter(|param| !known.contains(param)).filter_map(next).chain(in_path);
    nexts.next().filter(|_| nexts.next().is_none())
}

impl<'a> Change<'a> {
    fn of(name: &str, before: Option<Cow<'a, str>>, after: Cow<'a, str>) -> Self {
        Self { param: detect::page_param(name), is_common: detect::has_other_uses(name), before, after }
    }

    fn is_number(&self) -> bool {
        digits(&self.after).is_some()
    }

    /// Number of page numbers and offsets that grow by this change; none for any other change.
    fn counts(self, records: u64) -> Option<usize> {
        let before = self.before.as_deref();
        let step = match (self.param, before) {
            // A link may add the page size that the first request left to the upstream.
            (Some(PageParam::Size), None) => return self.is_number().then_some(0),
            (Some(PageParam::Page), _) => {
                growth(before, &self.after, None).filter(|step| *step == 1 || !self.is_common)
            }
            (Some(PageParam::Offset), _) => {
                growth(before, &self.after, Some(0)).filter(|step| *step == records || !self.is_common)
            }
            _ => None,
        };
        step.map(|_| 1)
    }
}

fn query_changes<'a>(request: &'a PageRequest, next: &'a PageRequest) -> Vec<Change<'a>> {
    let before: Vec<_> = request.url.query_pairs().collect();
    let value_before = |name: &str| before.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let changed = next.url.query_pairs().filter(|pair| !before.contains(pair));
    changed.map(|(name, value)| Change::of(&name, value_before(&name), value)).collect()
}

/// Changes in a form or in JSON; `None` for bodies that can't be compared.
fn body_changes(request: &PageRequest, next: &PageRequest) -> Option<Vec<Change<'static>>> {
    if request.body == next.body {
        return Some(Vec::new());
    }
    if matches!((&request.body, &next.body), (Some(RequestBody::Other(_)), _) | (_, Some(RequestBody::Other(_)))) {
        return None;
    }
    let before = request.body_params();
    let value_before = |name| before.iter().find(|known| known.param == name).map(|known| known.value.clone().into());
    let changed = next.body_params().into_iter().filter(|param| !before.contains(param));
    Some(changed.map(|change| Change::of(&change.name, value_before(change.param), change.value.into())).collect())
}

/// Change of the path; `None` for one that is no number of a page.
fn path_change(request: &PageRequest, next: &PageRequest) -> Option<Option<Change<'static>>> {
    if request.url.path().trim_end_matches('/') == next.url.path().trim_end_matches('/') {
        return Some(None);
    }
    let number = PathNumber::of(&next.url)?;
    let before = match PathNumber::of(&request.url) {
        Some(before) if (before.param, &before.before) == (number.param, &number.before) => Some(before.value),
        None if detect::segments(&request.url) == number.before => None,
        Some(_) | None => return None,
    };
    let before = before.map(|before| before.to_string().into());
    Some(Some(Change { param: Some(number.param), is_common: false, before, after: number.value.to_string().into() }))
}

/// Growth of a number; without `first`, the first page may have any number, and one that is not named is one less than the next.
fn growth(before: Option<&str>, after: &str, first: Option<u64>) -> Option<u64> {
    let after = digits(after)?;
    let before = before.map_or_else(|| first.or(after.checked_sub(1)), digits)?;
    after.checked_sub(before).filter(|step| *step > 0)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use url::Url;

    use super::*;

    #[test]
    fn only_a_number_that_grows_alone_makes_numbered_pages() {
        let counts = |from: &str, to: &str| {
            let request = |query: &str| PageRequest::get(Url::parse(&format!("http://a/x?{query}")).unwrap());
            counts_on(&request(from), &request(to), 20)
        };
        assert!(counts("q=1&page=1", "page=2") && counts("q=1&limit=5", "page=2") && !counts("q=1&page=2", "page=2"));
        assert!(counts("q=1", "q=1&page=2") && counts("", "page=2&per_page=30") && counts("page=2", "page=3"));
        assert!(counts("offset=20&limit=20", "limit=20&offset=40") && counts("page[number]=1", "page%5Bnumber%5D=2"));
        assert!(counts("start=0", "start=20") && !counts("start=0", "start=1700000000"));
        assert!(!counts("page=3", "page=2") && !counts("page=2", "page=2") && !counts("page=2", "page=x"));
        assert!(!counts("cursor=1", "cursor=2") && !counts("", "page=2&after=abc"));
        assert!(!counts("page=1&after=a", "page=2&after=b") && !counts("per_page=30", "page=2&per_page=10"));
    }

    #[test]
    fn the_page_behind_one_has_the_next_number() {
        let behind = |query: &str| {
            let request = |path: &str| PageRequest::get(Url::parse(&format!("http://a/{path}")).unwrap());
            let next = behind(&request("x?from=20240101&size=10"), &request(query), 10)?;
            next.url.as_str().strip_prefix("http://a/").map(ToOwned::to_owned)
        };
        for (request, next) in [
            ("x?from=20240101&page=4", Some("x?from=20240101&page=5")),
            ("x?page%5Bnumber%5D=4&size=20", Some("x?page%5Bnumber%5D=5&size=20")),
            ("x?start=30", Some("x?start=40")),
            ("x/page/4/?size=10", Some("x/page/5/?size=10")),
            ("x?page=4&offset=30", None),
            ("x?page=four", None),
            ("x?page=18446744073709551615", None),
            ("x?cursor=4", None),
        ] {
            assert_eq!(behind(request).as_deref(), next, "{request}");
        }
    }

    #[test]
    fn a_number_may_stand_in_the_path_or_in_the_body() {
        let path = |from: &str, to: &str| {
            let request = |path: &str| PageRequest::get(Url::parse(&format!("http://a/{path}")).unwrap());
            counts_on(&request(from), &request(to), 20)
        };
        assert!(
            path("items/page/2", "items/page/3") && path("items?q=1", "items/page/2?q=1") && path("a/", "a/page/2/")
        );
        assert!(path("items/offset/20", "items/offset/40") && !path("items/page/3", "items/page/2"));
        assert!(!path("items/2", "items/3") && !path("items/p/5", "items/p/6") && !path("a/page/2", "b/page/3"));
        assert!(!path("items", "items/page/2?after=abc") && !path("items/page/1", "items/page/2?page=2"));

        let body = |from: RequestBody, to: RequestBody| {
            let url = Url::parse("http://a/items").unwrap();
            let [from, to] = [from, to].map(|body| PageRequest { body: Some(body), ..PageRequest::get(url.clone()) });
            counts_on(&from, &to, 20)
        };
        let json = |value: Value| RequestBody::Json(value);
        assert!(body(json(json!({"q": "a"})), json(json!({"q": "a", "page": 2}))));
        assert!(body(json(json!({"variables": {"offset": 20}})), json(json!({"variables": {"offset": 40}}))));
        assert!(!body(json(json!({"page": 1})), json(json!({"page": 2, "search_after": [7]}))));
        assert!(!body(json(json!({"cursor": 1})), json(json!({"cursor": 2}))));
        let form = |page: &str| RequestBody::Form(vec![("page".to_owned(), page.to_owned())]);
        assert!(body(form("1"), form("2")) && !body(form("2"), form("2")) && !body(form("1"), json(json!({"x": 2}))));
        let other = |text: &'static str| RequestBody::Other(bytes::Bytes::from_static(text.as_bytes()));
        assert!(!body(other("page=1"), other("page=2")));
    }
}
