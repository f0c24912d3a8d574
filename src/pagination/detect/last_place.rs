//! Place of the last page, as a page says it: by a number of pages, or by a link to the last one.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::member_names::{self, PageParam, page_param};
use super::page_members::{digits, query_of};
use crate::pagination::envelope_names::{PAGE_HEADERS, TOTAL_PAGES_HEADERS, has_part, paging_objects};
use crate::pagination::link_header_parser::links;
use crate::pagination::path::{Path, Segment};
use crate::pagination::request::PageRequest;
use crate::pagination::value_source::whole_number;

/// Depth down to which objects around the records are read.
const DEPTH: usize = 3;
/// An object with more members than this is data keyed by id.
const MEMBERS: usize = 64;

/// Number by which a page names the last one. Its name is only likely: it proves no end, but it refutes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::pagination) struct LastPlace {
    /// The number and where it stands, as a phrase.
    shown: String,
    /// Number of the page that says so, where it stands beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<u64>,
    last: LastNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum LastNumber {
    /// Number of pages.
    Pages(u64),
    /// Number of the last page, which may be counted from 0.
    Page(u64),
    /// Number of records before the last page.
    Offset(u64),
}

/// Extent of what came of a collection up to its end, in the numbers that pages have, too.
#[derive(Clone, Copy, Debug)]
pub(in crate::pagination) struct CrawledExtent {
    /// Number of records; none where the crawl began midway.
    pub(in crate::pagination) records: Option<u64>,
    /// Number of pages, empty ones included; none where the crawl began midway, or its pages are not those that the upstream counts.
    pub(in crate::pagination) pages: Option<u64>,
}

impl LastPlace {
    /// Reads the head of an answer; `asked` is a request whose parameters a link may repeat.
    pub(in crate::pagination) fn of_head(headers: &HeaderMap, asked: &PageRequest) -> Vec<Self> {
        let number = |wanted: &&str| {
            let (name, value) = headers.iter().find(|(name, _)| name.as_str() == *wanted)?;
            Some((name.as_str(), digits(value.to_str().ok()?.trim())?))
        };
        let own = PAGE_HEADERS.iter().find_map(number).map(|(_, own)| own);
        let named = |(name, pages)| Self::pages((&format!("the header field `{name}`"), pages), own);
        let mut found: Vec<_> = TOTAL_PAGES_HEADERS.iter().filter_map(number).map(named).collect();
        // A Link header that can't be read fails the crawls that follow it; for all others it is no sign.
        for link in
            links(headers).unwrap_or_default().iter().filter(|link| link.has_rel("last") && !link.has_rel("first"))
        {
            found.extend(Self::of_link("the Link header with rel=last", &link.target, asked));
        }
        for (name, object) in paging_objects(headers) {
            let named = |word: Self| Self { shown: format!("the header field `{name}`: {}", word.shown), ..word };
            found.extend(Self::of_page(&object, asked).into_iter().map(named));
        }
        found
    }

    /// Reads a page by its outline.
    pub(in crate::pagination) fn of_page(page: &Value, asked: &PageRequest) -> Vec<Self> {
        let mut found = Vec::new();
        let parts = match page {
            Value::Array(parts) if parts.iter().any(Value::is_array) => parts.as_slice(),
            // Its elements are the records.
            Value::Array(_) => return found,
            page => std::slice::from_ref(page),
        };
        for (at, part) in parts.iter().enumerate() {
            let mut path = if page.is_array() { vec![Segment::Index(at)] } else { Vec::new() };
            if let Some(members) = part.as_object().filter(|members| members.len() <= MEMBERS) {
                Self::read(members, &mut path, None, asked, &mut found);
            }
        }
        found
    }

    fn read(
        members: &Map<String, Value>,
        path: &mut Vec<Segment>,
        outer: Option<u64>,
        asked: &PageRequest,
        found: &mut Vec<Self>,
    ) {
        // An object with an id is a thing of its own, as a document with its pages; the page itself may have that of its parent.
        if path.iter().any(|segment| matches!(segment, Segment::Name(_)))
            && members.get("id").is_some_and(|id| id.is_string() || id.is_number())
        {
            return;
        }
        let counts = |name: &str| has_word(name, "page") && member_names::is_total_pages(name);
        let is_own =
            |name: &str| member_names::is_page(name) || name == "number" && members.keys().any(|name| counts(name));
        let own = || members.iter().find_map(|(name, value)| number(value).filter(|_| is_own(name))).or(outer);
        let is_only = members.len() == 1;
        for (name, value) in members {
            let place = |path: &[Segment]| Path::new([path, &[Segment::Name(name.clone())]].concat()).to_string();
            match value {
                Value::Number(_) | Value::String(_) if counts(name) && number(value).is_some() => {
                    // These names mean other things, too.
                    let is_plain = !matches!(member_names::plain(name).as_str(), "pages" | "pagecount");
                    let own = own();
                    let named = number(value).filter(|_| is_plain || own.is_some());
                    found.extend(named.map(|pages| Self::pages((&format!("`{}`", place(path)), pages), own)));
                }
                Value::String(_) | Value::Object(_) if is_last(name) => {
                    let url = value.as_str().or_else(|| url_in(value));
                    found.extend(
                        url.into_iter().flat_map(|url| Self::of_link(&format!("`{}`", place(path)), url, asked)),
                    );
                }
                Value::Array(elements) if matches!(member_names::plain(name).as_str(), "links" | "link") => {
                    let last = elements.iter().find(|link| link.get("rel").and_then(Value::as_str) == Some("last"));
                    let url = last.and_then(url_in);
                    found.extend(
                        url.into_iter().flat_map(|url| Self::of_link(&format!("`{}`", place(path)), url, asked)),
                    );
                }
                Value::Object(inner) if path.len() < DEPTH && inner.len() <= MEMBERS => {
                    let is_near = is_only || member_names::is_container(name) || inner.values().any(Value::is_array);
                    if is_near {
                        path.push(Segment::Name(name.clone()));
                        Self::read(inner, path, own(), asked, found);
                        path.pop();
                    }
                }
                _ => {}
            }
        }
    }

    fn pages((name, pages): (&str, u64), own: Option<u64>) -> Self {
        Self { shown: format!("{name} is {pages}"), own, last: LastNumber::Pages(pages) }
    }

    /// Numbers in a link to the last page, without the parameters that the request has, too.
    fn of_link(place: &str, link: &str, asked: &PageRequest) -> Vec<Self> {
        let known = asked.params();
        let is_new = |name: &str, value: &str| !known.iter().any(|param| param.name == name && param.value == value);
        let numbers =
            query_of(link).into_iter().filter(|(name, value)| is_new(name, value)).filter_map(|(name, value)| {
                let number = digits(&value)?;
                let last = match page_param(&name)? {
                    PageParam::Page => LastNumber::Page(number),
                    PageParam::Offset => LastNumber::Offset(number),
                    PageParam::Size => return None,
                };
                Some(Self { shown: format!("{place} has {name}={number}"), own: None, last })
            });
        numbers.collect()
    }

    /// Word that refutes the end of a crawl: one of its last page, if that has records, else one of its first, too. Of several numbers, one
    /// that agrees is enough.
    pub(in crate::pagination) fn refuting<'a>(
        first: &'a [Self],
        last: &'a [Self],
        is_past: bool,
        extent: CrawledExtent,
    ) -> Option<&'a Self> {
        let first = if extent.pages.is_none() || !is_past && !last.is_empty() { &[] } else { first };
        let words = || first.iter().chain(last);
        let agrees =
            |word: &Self| matches!((word.last, extent.pages), (LastNumber::Pages(last), Some(pages)) if last == pages);
        // An empty page makes its numbers up, and agrees with nothing.
        let agreeing = if is_past { &[] } else { last };
        if first.iter().chain(agreeing).any(agrees) { None } else { words().find(|word| word.refutes(extent)) }
    }

    fn refutes(&self, extent: CrawledExtent) -> bool {
        match (self.last, extent) {
            (LastNumber::Pages(last) | LastNumber::Page(last), CrawledExtent { pages: Some(pages), .. }) => {
                pages < last
            }
            // Numbers may be counted from 0.
            (LastNumber::Pages(last), CrawledExtent { pages: None, .. }) => self.own.is_some_and(|own| own + 1 < last),
            (LastNumber::Page(_), CrawledExtent { pages: None, .. }) => false,
            (LastNumber::Offset(last), extent) => extent.records.is_some_and(|records| records < last),
        }
    }

    /// Returns true if the page that says so, which answers `request` and is the last of those that came, is plainly not the last. A page that
    /// always says 1 is refuted by the pages that came, and an offset in a list of tokens by the records.
    pub(super) fn is_later(&self, request: &PageRequest, walked: CrawledExtent) -> bool {
        let asked = |wanted: PageParam| {
            let params = request.params();
            let mut numbers = params.iter().filter(|param| page_param(&param.name) == Some(wanted));
            numbers.find_map(|param| digits(&param.value))
        };
        let page = || asked(PageParam::Page);
        match self.last {
            LastNumber::Pages(last) | LastNumber::Page(last) if walked.pages.is_some_and(|pages| pages >= last) => {
                false
            }
            LastNumber::Pages(last) => self.own.map(|own| own + 1).or_else(page).is_some_and(|own| own < last),
            LastNumber::Page(last) => page().is_none_or(|own| own < last),
            LastNumber::Offset(last) => asked(PageParam::Offset).or(walked.records).is_some_and(|before| before < last),
        }
    }

    pub(in crate::pagination) fn shown(&self) -> &str {
        &self.shown
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole_number(&number.to_string())),
        value => digits(value.as_str()?),
    }
}

/// Returns true for the name of a link to the last page.
fn is_last(name: &str) -> bool {
    has_word(name, "last")
        && matches!(
            member_names::plain(name).as_str(),
            "last" | "lastpage" | "lastpageurl" | "lasturl" | "lastlink" | "lasthref"
        )
}

fn url_in(link: &Value) -> Option<&str> {
    ["href", "url"].iter().find_map(|name| link.get(*name)?.as_str())
}

/// Returns true if the name has this word in any case: nearly all names end here, and are not copied.
fn has_word(name: &str, word: &str) -> bool {
    has_part(name, word) || name.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn asked(query: &str) -> PageRequest {
        PageRequest::get(format!("http://a/orders?{query}").parse().unwrap())
    }

    fn shown(page: &Value, query: &str) -> Vec<String> {
        LastPlace::of_page(page, &asked(query)).into_iter().map(|word| word.shown).collect()
    }

    #[test]
    fn the_last_page_is_read_from_its_usual_places() {
        for (page, place) in [
            (json!({"page": 3, "pages": 5}), "`pages` is 5"),
            (json!({"id": 550, "page": 3, "total_pages": 5}), "`total_pages` is 5"),
            (json!({"total_pages": "5"}), "`total_pages` is 5"),
            (json!({"total_pages": 5.0}), "`total_pages` is 5"),
            (json!({"number": 2, "totalPages": 5}), "`totalPages` is 5"),
            (json!({"meta": {"page": 3, "pageCount": 5}}), "`meta.pageCount` is 5"),
            (json!({"page": 3, "meta": {"pages": 5}}), "`meta.pages` is 5"),
            (json!({"result": {"items": [], "current_page": 3, "last_page": 5}}), "`result.last_page` is 5"),
            (json!({"list": {"total_pages": 5}}), "`list.total_pages` is 5"),
            (json!([{"page": 3, "pages": 5}, []]), "`[0].pages` is 5"),
            (json!({"_links": {"last": {"href": "/x?page=5&size=10"}}}), "`_links.last` has page=5"),
            (json!({"links": {"last": "https://b/x?page[number]=5"}}), "`links.last` has page[number]=5"),
            (json!({"links": [{"rel": "last", "href": "?offset=40"}]}), "`links` has offset=40"),
            (json!({"last_page_url": "http://b/x?page=5"}), "`last_page_url` has page=5"),
            (json!({"hydra:view": {"hydra:last": "/x?page=5"}}), "`[\"hydra:view\"][\"hydra:last\"]` has page=5"),
        ] {
            assert_eq!(shown(&page, "from=1"), [place], "{page}");
        }
        for (name, value, place) in [
            ("x-total-pages", "5", "the header field `x-total-pages` is 5"),
            (
                "x-pagination",
                "{\"CurrentPage\":3,\"TotalPages\":5}",
                "the header field `x-pagination`: `TotalPages` is 5",
            ),
            ("link", "</x?page=5>; rel=last", "the Link header with rel=last has page=5"),
        ] {
            let headers =
                HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value))]);
            assert_eq!(LastPlace::of_head(&headers, &asked("")).first().map(LastPlace::shown), Some(place));
        }
    }

    #[test]
    fn other_numbers_and_links_name_no_last_page() {
        for page in [
            json!({"pages": 5, "page_count": 5}),
            json!([{"page": 3, "pages": 5}, {"id": 7, "page": 3, "total_pages": 5}]),
            json!({"document": {"page": 3, "pages": 5}, "items": []}),
            json!({"author": {"id": 7, "page": 3, "pages": [], "total_pages": 5}}),
            json!({"last": true, "last_id": "/x?page=5", "last_page": null}),
            json!({"links": {"last": "/x?from=20240101&limit=100&sort=page"}}),
        ] {
            assert_eq!(shown(&page, "from=20240101"), [""; 0], "{page}");
        }
    }

    #[test]
    fn a_crawl_is_held_to_the_last_place_of_its_last_page() {
        let of = |page: Value| LastPlace::of_page(&page, &asked(""));
        let numbers = |own: u64, pages: u64| of(json!({"page": own, "pages": pages}));
        let came = |pages: Option<u64>| CrawledExtent { records: pages.map(|pages| 10 * pages), pages };
        for (first, last, is_past, pages, is_refuted) in [
            (numbers(1, 5), numbers(4, 5), false, Some(4), true),
            (numbers(1, 5), numbers(5, 5), false, Some(5), false),
            (numbers(1, 5), numbers(4, 4), false, Some(4), false),
            (numbers(1, 3), numbers(3, 5), false, Some(3), true),
            (numbers(1, 5), Vec::new(), false, Some(4), true),
            // An empty page behind the last one.
            (numbers(1, 4), numbers(5, 9), true, Some(5), true),
            (numbers(1, 4), numbers(5, 4), true, Some(5), false),
            (numbers(1, 5), numbers(4, 3), true, Some(4), true),
            (numbers(1, 5), numbers(3, 3), true, Some(3), true),
            // One that agrees is enough.
            (of(json!({"page": 1, "pages": 120, "total_pages": 4})), Vec::new(), false, Some(4), false),
            // From the middle, where numbers may be counted from 0.
            (numbers(2, 5), numbers(3, 5), false, None, true),
            (numbers(2, 5), numbers(4, 5), false, None, false),
            (of(json!({"links": {"last": "?offset=40"}})), Vec::new(), false, Some(3), true),
            (of(json!({"links": {"last": "?offset=40"}})), Vec::new(), false, Some(4), false),
        ] {
            let refuted = LastPlace::refuting(&first, &last, is_past, came(pages));
            assert_eq!(refuted.is_some(), is_refuted, "{first:?} {last:?} {pages:?}");
        }
    }
}
