//! The names that paginated APIs give to their pointers, numbers, totals, flags and record arrays.
//!
//! Names are compared without case and punctuation: `next_page_url`, `nextPageUrl` and `NEXTPAGEURL` are one name.

use memchr::memmem;

/// Kind of value that a pointer's name implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointerKind {
    Url,
    Token,
    Either,
}

/// Trust in a name as a pointer forward; the first is trusted most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NameTrust {
    /// "next" and a word of paging: `next_page_token`.
    NextPage,
    /// "next" alone, which can refer to other things.
    Next,
    /// A name of continuation tokens: `endCursor`, `continuation`.
    Cursor,
    /// The last record, so that only a flag beside it says that more follow.
    LastRecord,
    /// A name of request parameters, so that the answer may only repeat the request.
    Echo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PointerName {
    pub(super) kind: PointerKind,
    pub(super) trust: NameTrust,
}

/// Use of a parameter in the address of a numbered page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageParam {
    Page,
    /// Number of records before the page.
    Offset,
    Size,
}

// Lists of names without case and punctuation, separated by spaces.
const URLS: &str = "url uri link href";
/// Words that may follow "next" in a pointer's name; a longer word precedes its own beginning.
const AFTER_NEXT: &str = "\
    pagination continuation starting position records results request stream marker cursor offset number result \
    index start after token items batch page part link href set key url uri id";
/// Words of [`AFTER_NEXT`] that leave the kind of value open.
const OPEN: &str = "page records results result items batch set request stream";
/// Members of an object at a next-like key, as in `pages.next.starting_after`.
const TOKENS_IN_NEXT: &str = "\
    cursor token startingafter after offset page pagenumber pagetoken id marker start skip";
const CURSORS: &str = "\
    endcursor aftercursor cursorafter cursornext continuationtoken continuation lastevaluatedkey scrollid \
    scrollparam bookmark";
const ECHOES: &str = "\
    cursor after marker offset pagetoken pagemarker paginationtoken skiptoken startingafter continue searchafter";
const CONTAINERS: &str = "\
    meta metadata links link pagination paging paginator pager page pages pageinfo pageinformation pagedetails \
    paginginfo paginationinfo cursor cursors responsemetadata additionaldata info resultinfo responseinfo \
    navigation hypermedia searchmetadata view batching records resultset listmetadata listinfo header response";
const PAGES: &str = "\
    page pagenumber pagenum pageno pageindex currentpage currentpagenumber pagecurrent p pg pagepage \
    paginationpage pageinfoindex";
const OFFSETS: &str = "\
    offset skip start startat startindex startposition startrow from pageoffset pgoffset paginationoffset \
    paginationstart pagestart sysparmoffset resultoffset firstresult recordoffset";
const SIZES: &str = "\
    limit perpage pagesize size count maxresults top first take rows length pagelimit pglimit pagelen sysparmlimit \
    itemsperpage resultsperpage pagelength maxitems maxrecords paginationlimit paginationperpage maxsize \
    pagepagesize pagepersize numrecords";
const TOTALS: &str = "\
    total totalcount totalresults totalitems totalrecords totalelements totalentries totalsize totalnumber \
    totalrows totalhits totalfound totalresultcount totalrecordcount totalitemcount totalsetsize \
    totalfilteredcount fullresultsize filteredtablerowscount numfound recordsfiltered counttotal resultstotal \
    resulttotal itemstotal";
/// Totals in some APIs, the size of this page in others.
const COUNTS: &str = "count size itemcount resultcount recordcount odatacount resultscount";
const TOTAL_PAGES: &str = "\
    totalpages totalpage pagecount pages lastpage pagetotal numpages numberofpages totalpagecount pagestotal";
const MORE: &str = "\
    hasmore hasnext hasnextpage havenextpage hasmoreitems hasmorepages hasmoreresults hasmorerecords moreresults \
    moreresultsavailable moreitemsincollection moredataavailable moreavailable more istruncated";
const NO_MORE: &str = "islast islastpage endofstream paginationcomplete";
const NOT_RECORDS: &str = "\
    links link error errors warning warnings included includes meta metadata responsemetadata extensions facets \
    aggregations breadcrumbs relatedobjects pagination paging";
const RECORDS: &str = "\
    data results items records value values entries result list rows collection content contents nodes edges \
    objects elements resources hits docs documents features entry dataset member";

/// A name without case and punctuation, and without the prefix of OData's annotations or Hydra's vocabulary.
pub(super) fn plain(name: &str) -> String {
    let name = name.strip_prefix("hydra:").unwrap_or(name);
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.strip_prefix("odata") {
        Some(rest) if rest != "count" && !rest.is_empty() => rest.to_owned(),
        _ => plain,
    }
}

fn is_in(list: &str, name: &str) -> bool {
    let is_whole = |at: usize| {
        let (before, after) = (&list.as_bytes()[..at], &list.as_bytes()[at + name.len()..]);
        matches!(before.last(), None | Some(b' ')) && matches!(after.first(), None | Some(b' '))
    };
    !name.is_empty() && memmem::find_iter(list.as_bytes(), name).any(is_whole)
}

/// Meaning of a page's member as a pointer, by its own name and the name of its object.
pub(super) fn pointer(name: &str, parent: &str) -> Option<PointerName> {
    let (name, parent) = (plain(name), plain(parent));
    let of = |kind, trust| Some(PointerName { kind, trust });
    match name.as_str() {
        url if is_in(URLS, url) => next(&parent).and_then(|_| of(PointerKind::Url, NameTrust::NextPage)),
        token if is_in(TOKENS_IN_NEXT, token) && next(&parent).is_some() => of(PointerKind::Token, NameTrust::NextPage),
        "after" | "end" if matches!(parent.as_str(), "cursor" | "cursors") => of(PointerKind::Token, NameTrust::Cursor),
        "afterurl" => of(PointerKind::Url, NameTrust::Cursor),
        cursor if is_in(CURSORS, cursor) => of(PointerKind::Token, NameTrust::Cursor),
        last if last.starts_with("last") && last.ends_with("id") => of(PointerKind::Token, NameTrust::LastRecord),
        echo if is_in(ECHOES, echo) => of(PointerKind::Token, NameTrust::Echo),
        other => next(other),
    }
}

/// Reads a name of "next" and words of paging only: not `next_run_at`, not `nextSyncToken`.
fn next(name: &str) -> Option<PointerName> {
    let mut rest = name.strip_prefix("next")?;
    let mut kind = PointerKind::Either;
    let trust = if rest.is_empty() { NameTrust::Next } else { NameTrust::NextPage };
    while !rest.is_empty() {
        let word = AFTER_NEXT.split(' ').find(|word| rest.starts_with(word))?;
        kind = match kind {
            _ if is_in(URLS, word) => PointerKind::Url,
            PointerKind::Either if !is_in(OPEN, word) => PointerKind::Token,
            kind => kind,
        };
        rest = &rest[word.len()..];
    }
    Some(PointerName { kind, trust })
}

/// Returns whether an object of this name is about paging, or wraps responses.
pub(super) fn is_container(name: &str) -> bool {
    let name = plain(name);
    is_in(CONTAINERS, &name) || next(&name).is_some()
}

pub(super) fn is_page(name: &str) -> bool {
    is_in(PAGES, &plain(name))
}

pub(super) fn is_offset(name: &str) -> bool {
    is_in(OFFSETS, &plain(name))
}

/// Returns whether this name is an offset only beside a page size or a total; alone it may be a time, an id or a setting.
pub(super) fn is_common_word(name: &str) -> bool {
    matches!(plain(name).as_str(), "start" | "from" | "skip" | "p" | "pg" | "number")
}

/// Returns true for a parameter that holds a token of pages, and no credential.
pub(super) fn is_token(name: &str) -> bool {
    const PARTS: [&str; 6] = ["cursor", "marker", "continuation", "startingafter", "pageafter", "bookmark"];
    const CREDENTIALS: [&str; 8] = ["access", "auth", "api", "csrf", "id", "private", "refresh", "session"];
    let name = plain(name);
    let is_credential = || CREDENTIALS.iter().any(|word| name.contains(word));
    matches!(name.as_str(), "after" | "searchafter" | "startafter")
        || PARTS.iter().any(|part| name.contains(part))
        || name.contains("token") && !is_credential()
}

/// Returns true for a parameter with the record at which the answer begins or ends.
pub(super) fn is_record_bound(name: &str) -> bool {
    matches!(plain(name).as_str(), "before" | "beforeid" | "afterid" | "maxid" | "minid" | "sinceid" | "untilid")
}

pub(super) fn is_size(name: &str) -> bool {
    is_in(SIZES, &plain(name))
}

pub(super) fn is_total(name: &str) -> bool {
    is_in(TOTALS, &plain(name))
}

pub(super) fn is_count(name: &str) -> bool {
    is_in(COUNTS, &plain(name))
}

pub(super) fn is_total_pages(name: &str) -> bool {
    is_in(TOTAL_PAGES, &plain(name))
}

/// Usual use of a parameter of this name.
pub fn page_param(name: &str) -> Option<PageParam> {
    let uses =
        [(is_page(name), PageParam::Page), (is_offset(name), PageParam::Offset), (is_size(name), PageParam::Size)];
    uses.into_iter().find(|(is_name, _)| *is_name).map(|(_, param)| param)
}

/// Value of a has-more flag while more pages follow.
pub(super) fn more_while(name: &str) -> Option<bool> {
    let name = plain(name);
    if is_in(MORE, &name) { Some(true) } else { is_in(NO_MORE, &name).then_some(false) }
}

pub(super) fn is_not_records(name: &str) -> bool {
    is_in(NOT_RECORDS, &plain(name))
}

pub(super) fn is_records(name: &str) -> bool {
    is_in(RECORDS, &plain(name))
}

/// Names of the end of a time or key range that starts with the parameter `name`: `from` … `to` is no offset.
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
            ("next", "", Some((PointerKind::Either, NameTrust::Next))),
            ("__next", "d", Some((PointerKind::Either, NameTrust::Next))),
            ("next_page", "", Some((PointerKind::Either, NameTrust::NextPage))),
            ("@odata.nextLink", "", Some((PointerKind::Url, NameTrust::NextPage))),
            ("NEXTPAGEURL", "", Some((PointerKind::Url, NameTrust::NextPage))),
            ("nextRecordsUrl", "", Some((PointerKind::Url, NameTrust::NextPage))),
            ("href", "next", Some((PointerKind::Url, NameTrust::NextPage))),
            ("href", "self", None),
            ("nextPageToken", "", Some((PointerKind::Token, NameTrust::NextPage))),
            ("next_starting_after", "", Some((PointerKind::Token, NameTrust::NextPage))),
            ("nextPartNumberMarker", "", Some((PointerKind::Token, NameTrust::NextPage))),
            ("starting_after", "next", Some((PointerKind::Token, NameTrust::NextPage))),
            ("endCursor", "pageInfo", Some((PointerKind::Token, NameTrust::Cursor))),
            ("after", "cursors", Some((PointerKind::Token, NameTrust::Cursor))),
            ("after", "paging", Some((PointerKind::Token, NameTrust::Echo))),
            ("cursor", "", Some((PointerKind::Token, NameTrust::Echo))),
            ("last_id", "", Some((PointerKind::Token, NameTrust::LastRecord))),
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
            let found = pointer(name, parent).map(|pointer| (pointer.kind, pointer.trust));
            assert_eq!(found, expected, "{parent}.{name}");
        }
    }

    #[test]
    fn a_credential_or_a_filter_is_no_token_of_pages() {
        assert!(
            ["cursor", "page_token", "starting_after", "page[after]", "$skiptoken", "token"].into_iter().all(is_token)
        );
        assert!(!["access_token", "api-token", "id_token", "created_after", "tok"].into_iter().any(is_token));
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
