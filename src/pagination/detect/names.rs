//! The names that paginated APIs give to their pointers, numbers, totals, flags and record arrays.
//!
//! Names are compared without case and punctuation: `next_page_url`, `nextPageUrl` and `NEXTPAGEURL` are one name.

use super::name_lists::{
    AFTER_NEXT, CONTAINERS, COUNTS, CURSORS, ECHOES, MORE, NO_MORE, NOT_RECORDS, OFFSETS, OPEN, PAGES, RECORDS, SIZES,
    TOKENS_IN_NEXT, TOTAL_PAGES, TOTALS, URLS,
};

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

/// Meaning of a name as a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PointerName {
    pub(super) kind: PointerKind,
    pub(super) trust: NameTrust,
}

/// A name without case and punctuation, and without the prefix of OData's annotations.
pub(super) fn plain(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match plain.strip_prefix("odata") {
        Some(rest) if rest != "count" && !rest.is_empty() => rest.to_owned(),
        _ => plain,
    }
}

/// Meaning of a page's member as a pointer, by its own name and the name of its object.
pub(super) fn pointer(name: &str, parent: &str) -> Option<PointerName> {
    let (name, parent) = (plain(name), plain(parent));
    let of = |kind, trust| Some(PointerName { kind, trust });
    match name.as_str() {
        url if URLS.contains(&url) => next(&parent).and_then(|_| of(PointerKind::Url, NameTrust::NextPage)),
        token if TOKENS_IN_NEXT.contains(&token) && next(&parent).is_some() => {
            of(PointerKind::Token, NameTrust::NextPage)
        }
        "after" | "end" if matches!(parent.as_str(), "cursor" | "cursors") => of(PointerKind::Token, NameTrust::Cursor),
        "afterurl" => of(PointerKind::Url, NameTrust::Cursor),
        cursor if CURSORS.contains(&cursor) => of(PointerKind::Token, NameTrust::Cursor),
        last if last.starts_with("last") && last.ends_with("id") => of(PointerKind::Token, NameTrust::LastRecord),
        echo if ECHOES.contains(&echo) => of(PointerKind::Token, NameTrust::Echo),
        other => next(other),
    }
}

/// Reads a name of "next" and words of paging only: not `next_run_at`, not `nextSyncToken`.
fn next(name: &str) -> Option<PointerName> {
    let mut rest = name.strip_prefix("next")?;
    let mut kind = PointerKind::Either;
    let trust = if rest.is_empty() { NameTrust::Next } else { NameTrust::NextPage };
    while !rest.is_empty() {
        let word = AFTER_NEXT.iter().find(|word| rest.starts_with(**word))?;
        kind = match kind {
            _ if URLS.contains(word) => PointerKind::Url,
            PointerKind::Either if !OPEN.contains(word) => PointerKind::Token,
            kind => kind,
        };
        rest = &rest[word.len()..];
    }
    Some(PointerName { kind, trust })
}

/// Returns whether an object of this name is about paging, or wraps responses.
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

/// Returns whether this name is an offset only beside a page size or a total; alone it may be a time, an id or a setting.
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

/// Value of a has-more flag while more pages follow.
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
    fn a_page_size_is_no_page_number() {
        assert!(is_page("page[number]") && is_page("pageNumber") && is_page("_page"));
        assert!(!is_page("per_page") && !is_page("page_size") && is_size("per_page") && is_size("page[size]"));
        assert!(
            is_offset("$skip") && is_offset("page[offset]") && is_offset("start-index") && !is_offset("start_time")
        );
    }
}
