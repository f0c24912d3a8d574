//! The names that paginated APIs give to their pointers, numbers, totals, flags and record arrays.
//!
//! Names are compared without case and punctuation: `next_page_url`, `nextPageUrl` and `NEXTPAGEURL` are one name.

/// What a pointer's name says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Url,
    Token,
    Either,
}

/// How far a name can be trusted to point forward; the first is trusted most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trust {
    /// It says "next" and something of pages: `next_page_token`.
    NextPage,
    /// It says "next", and would say so of other things too.
    Next,
    /// It names tokens for going on: `endCursor`, `continuation`.
    Cursor,
    /// It names the last record, so that only a flag beside it tells whether more follow.
    LastRecord,
    /// Request parameters have this name too, so that the answer may only repeat what it was asked.
    Echo,
}

/// What a name says as a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) says: Says,
    pub(super) trust: Trust,
}

const URLS: &[&str] = &["url", "uri", "link", "href"];
/// What may follow "next" in a pointer's name; a longer word stands before its own beginning.
const AFTER_NEXT: &[&str] = &[
    "pagination",
    "continuation",
    "starting",
    "position",
    "records",
    "results",
    "request",
    "stream",
    "marker",
    "cursor",
    "offset",
    "number",
    "result",
    "index",
    "start",
    "after",
    "token",
    "items",
    "batch",
    "page",
    "part",
    "link",
    "href",
    "set",
    "key",
    "url",
    "uri",
    "id",
];
/// Those of them that leave open what the value is.
const OPEN: &[&str] = &["page", "records", "results", "result", "items", "batch", "set", "request", "stream"];
/// Members of an object at a next-like key, as in `pages.next.starting_after`.
const TOKENS_IN_NEXT: &[&str] = &[
    "cursor",
    "token",
    "startingafter",
    "after",
    "offset",
    "page",
    "pagenumber",
    "pagetoken",
    "id",
    "marker",
    "start",
    "skip",
];
const CURSORS: &[&str] = &[
    "endcursor",
    "aftercursor",
    "cursorafter",
    "cursornext",
    "continuationtoken",
    "continuation",
    "lastevaluatedkey",
    "scrollid",
    "scrollparam",
    "bookmark",
];
const ECHOES: &[&str] = &[
    "cursor",
    "after",
    "marker",
    "offset",
    "pagetoken",
    "pagemarker",
    "paginationtoken",
    "skiptoken",
    "startingafter",
    "continue",
    "searchafter",
];
const CONTAINERS: &[&str] = &[
    "meta",
    "metadata",
    "links",
    "link",
    "pagination",
    "paging",
    "paginator",
    "pager",
    "page",
    "pages",
    "pageinfo",
    "pageinformation",
    "pagedetails",
    "paginginfo",
    "paginationinfo",
    "cursor",
    "cursors",
    "responsemetadata",
    "additionaldata",
    "info",
    "resultinfo",
    "responseinfo",
    "navigation",
    "hypermedia",
    "searchmetadata",
    "records",
    "resultset",
    "listmetadata",
    "listinfo",
    "header",
    "response",
];
const PAGES: &[&str] = &[
    "page",
    "pagenumber",
    "pagenum",
    "pageno",
    "pageindex",
    "currentpage",
    "currentpagenumber",
    "pagecurrent",
    "p",
    "pg",
    "pagepage",
    "paginationpage",
    "pageinfoindex",
];
const OFFSETS: &[&str] = &[
    "offset",
    "skip",
    "start",
    "startat",
    "startindex",
    "startposition",
    "startrow",
    "from",
    "pageoffset",
    "pgoffset",
    "paginationoffset",
    "paginationstart",
    "pagestart",
    "sysparmoffset",
    "resultoffset",
    "firstresult",
    "recordoffset",
];
const SIZES: &[&str] = &[
    "limit",
    "perpage",
    "pagesize",
    "size",
    "count",
    "maxresults",
    "top",
    "first",
    "take",
    "rows",
    "length",
    "pagelimit",
    "pglimit",
    "pagelen",
    "sysparmlimit",
    "itemsperpage",
    "resultsperpage",
    "pagelength",
    "maxitems",
    "maxrecords",
    "paginationlimit",
    "paginationperpage",
    "maxsize",
    "pagepagesize",
    "pagepersize",
    "numrecords",
];
const TOTALS: &[&str] = &[
    "total",
    "totalcount",
    "totalresults",
    "totalitems",
    "totalrecords",
    "totalelements",
    "totalentries",
    "totalsize",
    "totalnumber",
    "totalrows",
    "totalhits",
    "totalfound",
    "totalresultcount",
    "totalrecordcount",
    "totalitemcount",
    "totalsetsize",
    "totalfilteredcount",
    "fullresultsize",
    "filteredtablerowscount",
    "numfound",
    "recordsfiltered",
    "counttotal",
    "resultstotal",
    "resulttotal",
    "itemstotal",
];
/// Totals in some APIs, the size of this page in others.
const COUNTS: &[&str] = &["count", "size", "itemcount", "resultcount", "recordcount", "odatacount", "resultscount"];
const TOTAL_PAGES: &[&str] = &[
    "totalpages",
    "totalpage",
    "pagecount",
    "pages",
    "lastpage",
    "pagetotal",
    "numpages",
    "numberofpages",
    "totalpagecount",
    "pagestotal",
];
const MORE: &[&str] = &[
    "hasmore",
    "hasnext",
    "hasnextpage",
    "havenextpage",
    "hasmoreitems",
    "hasmorepages",
    "hasmoreresults",
    "hasmorerecords",
    "moreresults",
    "moreresultsavailable",
    "moreitemsincollection",
    "moredataavailable",
    "moreavailable",
    "more",
    "istruncated",
];
const NO_MORE: &[&str] = &["islast", "islastpage", "endofstream", "paginationcomplete"];
const NOT_RECORDS: &[&str] = &[
    "links",
    "link",
    "error",
    "errors",
    "warning",
    "warnings",
    "included",
    "includes",
    "meta",
    "metadata",
    "responsemetadata",
    "extensions",
    "facets",
    "aggregations",
    "breadcrumbs",
    "relatedobjects",
    "pagination",
    "paging",
];
const RECORDS: &[&str] = &[
    "data",
    "results",
    "items",
    "records",
    "value",
    "values",
    "entries",
    "result",
    "list",
    "rows",
    "collection",
    "content",
    "contents",
    "nodes",
    "edges",
    "objects",
    "elements",
    "resources",
    "hits",
    "docs",
    "documents",
    "features",
    "entry",
    "dataset",
];

/// A name without case and punctuation, and without the prefix of OData's annotations.
pub(super) fn plain(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.strip_prefix("odata") {
        Some(rest) if rest != "count" && !rest.is_empty() => rest.to_owned(),
        _ => plain,
    }
}

/// What a member of a page says as a pointer, by its own name and the name of the object that it stands in.
pub(super) fn pointer(name: &str, parent: &str) -> Option<Pointer> {
    let (name, parent) = (plain(name), plain(parent));
    let of = |says, trust| Some(Pointer { says, trust });
    match name.as_str() {
        url if URLS.contains(&url) => next(&parent).and_then(|_| of(Says::Url, Trust::NextPage)),
        token if TOKENS_IN_NEXT.contains(&token) && next(&parent).is_some() => of(Says::Token, Trust::NextPage),
        "after" | "end" if matches!(parent.as_str(), "cursor" | "cursors") => of(Says::Token, Trust::Cursor),
        "afterurl" => of(Says::Url, Trust::Cursor),
        cursor if CURSORS.contains(&cursor) => of(Says::Token, Trust::Cursor),
        last if last.starts_with("last") && last.ends_with("id") => of(Says::Token, Trust::LastRecord),
        echo if ECHOES.contains(&echo) => of(Says::Token, Trust::Echo),
        other => next(other),
    }
}

/// A name that begins with "next" and goes on with words of paging only: not `next_run_at`, not `nextSyncToken`.
fn next(name: &str) -> Option<Pointer> {
    let mut rest = name.strip_prefix("next")?;
    let mut says = Says::Either;
    let trust = if rest.is_empty() { Trust::Next } else { Trust::NextPage };
    while !rest.is_empty() {
        let word = AFTER_NEXT.iter().find(|word| rest.starts_with(**word))?;
        says = match says {
            _ if URLS.contains(word) => Says::Url,
            Says::Either if !OPEN.contains(word) => Says::Token,
            says => says,
        };
        rest = &rest[word.len()..];
    }
    Some(Pointer { says, trust })
}

/// An object that speaks of paging, or that responses are wrapped in.
pub(super) fn is_container(name: &str) -> bool {
    let name = plain(name);
    CONTAINERS.contains(&name.as_str()) || next(&name).is_some()
}

pub(super) fn is_page(name: &str) -> bool {
    PAGES.contains(&plain(name).as_str())
}

pub(super) fn is_offset(name: &str) -> bool {
    OFFSETS.contains(&plain(name).as_str())
}

/// Names that are offsets only beside a page size or a total; alone they may be times, ids or settings.
pub(super) fn is_common_word(name: &str) -> bool {
    matches!(plain(name).as_str(), "start" | "from" | "skip" | "p" | "pg" | "number")
}

pub(super) fn is_size(name: &str) -> bool {
    SIZES.contains(&plain(name).as_str())
}

pub(super) fn is_total(name: &str) -> bool {
    TOTALS.contains(&plain(name).as_str())
}

pub(super) fn is_count(name: &str) -> bool {
    COUNTS.contains(&plain(name).as_str())
}

pub(super) fn is_total_pages(name: &str) -> bool {
    TOTAL_PAGES.contains(&plain(name).as_str())
}

/// For a has-more flag: its value while more pages follow.
pub(super) fn more_while(name: &str) -> Option<bool> {
    let name = plain(name);
    if MORE.contains(&name.as_str()) { Some(true) } else { NO_MORE.contains(&name.as_str()).then_some(false) }
}

pub(super) fn is_not_records(name: &str) -> bool {
    NOT_RECORDS.contains(&plain(name).as_str())
}

pub(super) fn is_records(name: &str) -> bool {
    RECORDS.contains(&plain(name).as_str())
}

/// The end of a time or key range that starts with the parameter `name`: `from` … `to` is no offset.
pub(super) fn range_end(name: &str) -> &'static [&'static str] {
    match plain(name).as_str() {
        "from" => &["to", "until"],
        "start" => &["end", "stop", "until"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pointers() {
        let cases = [
            ("next", "", Some((Says::Either, Trust::Next))),
            ("__next", "d", Some((Says::Either, Trust::Next))),
            ("next_page", "", Some((Says::Either, Trust::NextPage))),
            ("@odata.nextLink", "", Some((Says::Url, Trust::NextPage))),
            ("NEXTPAGEURL", "", Some((Says::Url, Trust::NextPage))),
            ("nextRecordsUrl", "", Some((Says::Url, Trust::NextPage))),
            ("href", "next", Some((Says::Url, Trust::NextPage))),
            ("href", "self", None),
            ("nextPageToken", "", Some((Says::Token, Trust::NextPage))),
            ("next_starting_after", "", Some((Says::Token, Trust::NextPage))),
            ("nextPartNumberMarker", "", Some((Says::Token, Trust::NextPage))),
            ("starting_after", "next", Some((Says::Token, Trust::NextPage))),
            ("endCursor", "pageInfo", Some((Says::Token, Trust::Cursor))),
            ("after", "cursors", Some((Says::Token, Trust::Cursor))),
            ("after", "paging", Some((Says::Token, Trust::Echo))),
            ("cursor", "", Some((Says::Token, Trust::Echo))),
            ("last_id", "", Some((Says::Token, Trust::LastRecord))),
            ("next_run_at", "", None),
            ("nextSyncToken", "", None),
            ("nextstep", "", None),
            ("previous", "", None),
            ("prev_cursor", "", None),
            ("before", "cursors", None),
            ("startCursor", "pageInfo", None),
            ("self", "links", None),
            ("@odata.deltaLink", "", None),
        ];
        for (name, parent, expected) in cases {
            let found = pointer(name, parent).map(|pointer| (pointer.says, pointer.trust));
            assert_eq!(found, expected, "{parent}.{name}");
        }
    }

    #[test]
    fn a_page_size_is_no_page_number() {
        assert!(is_page("page[number]") && is_page("pageNumber") && is_page("_page"));
        assert!(!is_page("per_page") && !is_page("page_size") && is_size("per_page") && is_size("page[size]"));
        assert!(
            is_offset("$skip") && is_offset("page[offset]") && is_offset("start-index") && !is_offset("start_time")
        );
    }
}
