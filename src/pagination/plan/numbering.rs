//! Numbers in addresses: pages that lead to each other by a link, URL or token may be numbered pages underneath.

use crate::pagination::detect::{self, PageParam};
use crate::pagination::request::PageRequest;

/// Returns true if `next`, to which the page of `request` with so many records leads, differs from it in a growing page number or offset
/// alone. Such pages move like numbered ones when records before them are added or removed.
pub(super) fn counts_on(request: &PageRequest, next: &PageRequest, records: u64) -> bool {
    let [path, path_of_next] = [request, next].map(|request| request.url.path().trim_end_matches('/'));
    if request.method != next.method || request.body != next.body || path != path_of_next {
        return false;
    }
    let (before, after): (Vec<_>, Vec<_>) = (request.url.query_pairs().collect(), next.url.query_pairs().collect());
    let value_before = |name: &str| before.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if before.iter().any(|(name, _)| after.iter().all(|(kept, _)| kept != name)) {
        return false;
    }
    let mut numbers = 0;
    for (name, value) in after.iter().filter(|pair| !before.contains(pair)) {
        // Before the names, since a token is told at once.
        if digits(value).is_none() {
            return false;
        }
        let last = value_before(name).map(AsRef::as_ref);
        let step = match (detect::page_param(name), last) {
            // A link may add the page size that the first request left to the upstream.
            (Some(PageParam::Size), None) => continue,
            (Some(PageParam::Page), _) => {
                growth(last, value, None).filter(|step| *step == 1 || !detect::has_other_uses(name))
            }
            (Some(PageParam::Offset), _) => {
                growth(last, value, Some(0)).filter(|step| *step == records || !detect::has_other_uses(name))
            }
            _ => None,
        };
        if step.is_none() {
            return false;
        }
        numbers += 1;
    }
    numbers == 1
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
    use url::Url;

    use super::*;

    #[test]
    fn only_a_number_that_grows_alone_makes_numbered_pages() {
        let counts = |from: &str, to: &str| {
            let request = |query: &str| PageRequest::get(Url::parse(&format!("http://a/x?{query}")).unwrap());
            counts_on(&request(from), &request(to), 20)
        };
        assert!(counts("q=1", "q=1&page=2") && counts("", "page=2&per_page=30") && counts("page=2", "page=3"));
        assert!(counts("offset=20&limit=20", "limit=20&offset=40") && counts("page[number]=1", "page%5Bnumber%5D=2"));
        assert!(counts("start=0", "start=20") && !counts("start=0", "start=1700000000"));
        assert!(!counts("page=3", "page=2") && !counts("page=2", "page=2") && !counts("page=2", "page=x"));
        assert!(!counts("cursor=1", "cursor=2") && !counts("", "page=2&after=abc") && !counts("q=1", "page=2"));
        assert!(!counts("page=1&after=a", "page=2&after=b") && !counts("per_page=30", "page=2&per_page=10"));
    }
}
