//! Cache keys of version 1, which held `Debug` text of the pagination: frozen, so that what unpage kept before version 2 is found again.
//!
//! Each name and each value here is as commit dc8a922 wrote it, whatever the types are called today. An option that is newer than
//! version 1 has no text here: a configuration that uses it has no key of version 1 ([`None`]).

use std::time::{Duration, UNIX_EPOCH};

use super::{KeyParts, KeyedRequest, fields};
use crate::config::{Collection, Credentials, Scope, Upstream, written};
use crate::pagination::partition::{Bound, Direction, RangeKind, RangePartition};
use crate::pagination::path::Segment;
use crate::pagination::request::RequestBody;
use crate::pagination::{
    Advance, Base, Cursor, Encode, Encoding, End, Keyset, Limits, LinkHeader, More, NextUrl, Offset, Overlap,
    PageNumber, PageRequest, PageSize, Pagination, Param, PartOrder, Partition, Path, Precondition, Presence,
    RangeHeader, Records, RecordsShape, SameToken, Since, Source, Style, Template, TimeFormat, Token, ValidAt,
    Validation, VersionSource, Whitespace,
};

/// Parts of a snapshot's key; `body` is the client's own, as it came.
pub fn shared(request: &KeyedRequest<'_>, collection: &Collection, pagination: &Pagination, body: &[u8]) -> KeyParts {
    let Collection { path, upstream_path, body: default_body, sharing, .. } = collection;
    let Upstream { url, accept, headers, credentials, .. } = request.upstream;
    let scope = if sharing.scope == Scope::Public { "Public" } else { "Caller" };
    let moment: Option<Duration> = request.valid_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let credentials = match credentials {
        Credentials::Passed => Vec::new(),
        Credentials::Header(name, value) => super::field(name, value),
        Credentials::Query(name, secret) => format!("{name}={}", secret.expose()).into_bytes(),
    };
    let PageRequest { method, url: first, headers: sent, .. } = request.first;
    let mut parts = vec![
        format!("{path:?} {upstream_path:?} {default_body:?} {scope}").into_bytes(),
        format!("{} {url:?} {accept:?} {headers:?}", text_of(pagination)).into_bytes(),
        credentials,
        method.as_str().as_bytes().to_vec(),
        first.as_str().as_bytes().to_vec(),
        body.to_vec(),
        format!("{:?}", request.since.map(str::to_owned)).into_bytes(),
        format!("{moment:?}").into_bytes(),
    ];
    parts.extend(fields(sent));
    KeyParts(parts)
}

/// Parts of the key of a file that `fetch` writes.
pub fn file(first: &PageRequest, pagination: &Pagination) -> KeyParts {
    let body = first.body.as_ref().map(RequestBody::to_bytes).unwrap_or_default();
    let (method, url) = (first.method.as_str().into(), first.url.as_str().into());
    KeyParts(vec![method, url, body.to_vec(), written(pagination).into_bytes()])
}

/// Parts of the hash of the header fields with which such a file was begun.
pub fn file_fields(first: &PageRequest, upstream: &Upstream) -> KeyParts {
    let mut parts = vec![upstream.accept.as_bytes().to_vec()];
    parts.extend(first.headers.iter().flat_map(|(name, value)| [name.as_str().into(), value.as_bytes().to_vec()]));
    KeyParts(parts)
}

fn text_of(pagination: &Pagination) -> String {
    let Pagination { records, key, page_size, more, total, total_pages, limits, error, partition, .. } = pagination;
    let Limits { max_offset, max_pages, max_results } = limits;
    node(
        "Pagination",
        &[
            ("style", style(&pagination.style)),
            ("records", records_of(records)),
            ("key", maybe(key, path)),
            ("page_size", maybe(page_size, page_size_of)),
            (
                "more",
                maybe(more, |More { path: at, while_ }| node("More", &[("path", path(at)), ("while_", debug(while_))])),
            ),
            ("end", end(&pagination.end)),
            ("same_token", pick(pagination.same_token == SameToken::End, "End", "Error")),
            ("total", maybe(total, source)),
            ("total_pages", maybe(total_pages, source)),
            (
                "limits",
                node(
                    "Limits",
                    &[
                        ("max_offset", debug(max_offset)),
                        ("max_pages", debug(max_pages)),
                        ("max_results", debug(max_results)),
                    ],
                ),
            ),
            ("error", maybe(error, path)),
            ("partition", maybe(partition, partition_of)),
            ("order", pick(pagination.order == PartOrder::Any, "Any", "Listed")),
            (
                "since",
                maybe(&pagination.since, |Since { param: at, field }| {
                    node("Since", &[("param", param(at)), ("field", path(field))])
                }),
            ),
            ("valid_at", maybe(&pagination.valid_at, valid_at)),
            ("precondition", pick(pagination.precondition == Precondition::Match, "Match", "None")),
        ],
    )
}

fn style(style: &Style) -> String {
    match style {
        Style::Single(_) => "Single".to_owned(),
        Style::Auto(_) => "Auto".to_owned(),
        Style::LinkHeader(LinkHeader { rel, attribute }) => {
            node("LinkHeader", &[("rel", debug(rel)), ("attribute", debug(attribute))])
        }
        Style::NextUrl(NextUrl { next, base }) => node(
            "NextUrl",
            &[
                ("next", list(next, source)),
                (
                    "base",
                    match base {
                        Base::Request => "Request".to_owned(),
                        Base::Url(url) => wrapped("Url", &debug(url)),
                    },
                ),
            ],
        ),
        Style::Cursor(Cursor { tokens, merge, end_values, template }) => wrapped(
            "Cursor",
            &node(
                "Cursor",
                &[
                    (
                        "tokens",
                        list(tokens, |Token { next, param: at, from_url_param }| {
                            let from = debug(from_url_param);
                            node(
                                "Token",
                                &[("next", list(next, source)), ("param", param(at)), ("from_url_param", from)],
                            )
                        }),
                    ),
                    ("merge", maybe(merge, path)),
                    ("end_values", debug(end_values)),
                    ("template", maybe(template, template_of)),
                ],
            ),
        ),
        Style::Page(PageNumber { param: at, start, template }) => node(
            "Page",
            &[("param", param(at)), ("start", start.to_string()), ("template", maybe(template, template_of))],
        ),
        Style::Offset(Offset { param: at, start, step, template }) => node(
            "Offset",
            &[
                ("param", param(at)),
                ("start", start.to_string()),
                (
                    "step",
                    match step {
                        Advance::Returned => "Returned".to_owned(),
                        Advance::PageSize => "PageSize".to_owned(),
                        Advance::Body(at) => wrapped("Body", &path(at)),
                    },
                ),
                ("template", maybe(template, template_of)),
            ],
        ),
        Style::Keyset(Keyset { key, param: at, encode, overlap }) => node(
            "Keyset",
            &[
                ("key", list(key, path)),
                ("param", param(at)),
                ("encode", pick(*encode == Encode::Json, "Json", "Plain")),
                ("overlap", pick(*overlap == Overlap::First, "First", "None")),
            ],
        ),
        Style::Range(RangeHeader { unit, size }) => node("Range", &[("unit", debug(unit)), ("size", size.to_string())]),
        #[allow(unreachable_patterns, reason = "a style that is newer than version 1 has no text that was ever kept")]
        newer => newer.name().to_owned(),
    }
}

fn records_of(records: &Records) -> String {
    node(
        "Records",
        &[
            ("paths", list(&records.paths, path)),
            ("shape", pick(records.shape == RecordsShape::Values, "Values", "Elements")),
            ("presence", pick(records.presence == Presence::Optional, "Optional", "Required")),
            ("encoding", pick(records.encoding == Encoding::Base64, "Base64", "None")),
            ("validation", pick(records.validation == Validation::Full, "Full", "Structure")),
            ("whitespace", pick(records.whitespace == Whitespace::Dropped, "Dropped", "Kept")),
        ],
    )
}

fn page_size_of(PageSize { param: at, value, max }: &PageSize) -> String {
    node("PageSize", &[("param", maybe(at, param)), ("value", debug(value)), ("max", debug(max))])
}

fn end(end: &End) -> String {
    match end {
        End::Style => "Style".to_owned(),
        End::NoNext => "NoNext".to_owned(),
        End::EmptyPage => "EmptyPage".to_owned(),
        End::ShortPage => "ShortPage".to_owned(),
        End::Status(status) => wrapped("Status", status.as_str()),
    }
}

fn partition_of(partition: &Partition) -> String {
    match partition {
        Partition::Range(RangePartition { from, to, kind, field, lower, upper, direction }) => wrapped(
            "Range",
            &node(
                "RangePartition",
                &[
                    ("from", param(from)),
                    ("to", param(to)),
                    (
                        "kind",
                        match kind {
                            RangeKind::Unix => "Unix".to_owned(),
                            RangeKind::Rfc3339 => "Rfc3339".to_owned(),
                            RangeKind::Date => "Date".to_owned(),
                            RangeKind::Integer => "Integer".to_owned(),
                        },
                    ),
                    ("field", path(field)),
                    ("lower", maybe(lower, bound)),
                    ("upper", maybe(upper, bound)),
                    ("direction", pick(*direction == Direction::Descending, "Descending", "Ascending")),
                ],
            ),
        ),
        Partition::Values { param: at, values } => node("Values", &[("param", param(at)), ("values", debug(values))]),
        Partition::Numbered { param: at, count_param, count } => {
            node("Numbered", &[("param", param(at)), ("count_param", param(count_param)), ("count", count.to_string())])
        }
    }
}

fn bound(bound: &Bound) -> String {
    match bound {
        Bound::At(value) => wrapped("At", &debug(value)),
        Bound::Now => "Now".to_owned(),
    }
}

fn valid_at(ValidAt { param: at, from }: &ValidAt) -> String {
    let from = match from {
        VersionSource::Clock(format) => wrapped(
            "Clock",
            match format {
                TimeFormat::Rfc3339 => "Rfc3339",
                TimeFormat::Unix => "Unix",
                TimeFormat::UnixMs => "UnixMs",
                TimeFormat::Date => "Date",
            },
        ),
        VersionSource::Page(at) => wrapped("Page", &source(at)),
    };
    node("ValidAt", &[("param", param(at)), ("from", from)])
}

fn source(place: &Source) -> String {
    match place {
        Source::Body(at) => wrapped("Body", &path(at)),
        Source::Header(name) => wrapped("Header", &debug(name)),
        Source::Links { path: at, rel } => node("Links", &[("path", path(at)), ("rel", debug(rel))]),
        Source::LastLink { param: name, start } => {
            node("LastLink", &[("param", debug(name)), ("start", start.to_string())])
        }
    }
}

fn param(param: &Param) -> String {
    match param {
        Param::Query(name) => wrapped("Query", &debug(name)),
        Param::Body(at) => wrapped("Body", &path(at)),
        Param::Form(name) => wrapped("Form", &debug(name)),
        Param::Header(name) => wrapped("Header", &debug(name)),
        Param::Path(name) => wrapped("Path", &debug(name)),
    }
}

fn path(path: &Path) -> String {
    let segments = list(path.segments(), |segment| match segment {
        Segment::Name(name) => wrapped("Name", &debug(name)),
        Segment::Index(at) => wrapped("Index", &at.to_string()),
        Segment::FromEnd(back) => wrapped("FromEnd", &back.to_string()),
        Segment::Each => "Each".to_owned(),
    });
    node("Path", &[("segments", segments)])
}

fn template_of(Template(text): &Template) -> String {
    wrapped("Template", &debug(text))
}

fn node(name: &str, members: &[(&str, String)]) -> String {
    let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{name} {{ {} }}", members.join(", "))
}

fn wrapped(name: &str, value: &str) -> String {
    format!("{name}({value})")
}

fn list<T>(all: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", all.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn maybe<T>(value: &Option<T>, text: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or_else(|| "None".to_owned(), |value| wrapped("Some", &text(value)))
}

fn pick(is_set: bool, set: &str, unset: &str) -> String {
    if is_set { set } else { unset }.to_owned()
}

/// `Debug` text of what is not a type of unpage: of std, `http`, `url` and `serde_json`.
fn debug(value: &(impl std::fmt::Debug + ?Sized)) -> String {
    format!("{value:?}")
}
