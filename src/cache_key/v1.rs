//! Cache keys of version 1, which held `Debug` text of the pagination: frozen, so that what unpage kept before version 2 is found again.
//!
//! Names and values are as commit dc8a922 wrote them. `{:?}` is that of std, `http`, `url`, `serde_json`, `Template` and later options.

use std::time::{Duration, UNIX_EPOCH};

use super::{KeyedRequest, configured, fields};
use crate::config::{Collection, Scope, Upstream, written};
use crate::pagination::partition_settings::{Bound, Direction, RangeKind, RangePartition};
use crate::pagination::path::Segment;
use crate::pagination::request::RequestBody;
use crate::pagination::{
    Advance, Base, Cursor, Encode, Encoding, End, ErrorCondition, ErrorSettings, Keyset, Limits, LinkHeader, More,
    NextUrl, Offset, OnDouble, Overlap, PageNumber, PageRequest, PageSize, Pagination, Param, PartOrder, Partition,
    Path, Precondition, Presence, RangeHeader, Records, RecordsShape, SameToken, Source, Style, TimeFormat, Token,
    ValidAt, Validation, VersionSource, Whitespace,
};

/// Parts of a snapshot's key; `body` is the client's own, as it came.
pub fn shared(
    request: &KeyedRequest<'_>,
    collection: &Collection,
    pagination: &Pagination,
    body: &[u8],
    part: &mut dyn FnMut(&[u8]),
) {
    let Collection { path, upstream_path, body: default_body, sharing, .. } = collection;
    let Upstream { url, accept, headers, credentials, .. } = request.upstream;
    let scope = if sharing.scope == Scope::Public { "Public" } else { "Caller" };
    let moment: Option<Duration> = request.valid_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let credentials = configured(credentials.of(0), "").next().unwrap_or_default();
    let PageRequest { method, url: first, headers: sent, .. } = request.first;
    let parts = [
        format!("{path:?} {upstream_path:?} {default_body:?} {scope}").into_bytes(),
        format!("{} {url:?} {accept:?} {headers:?}", text_of(pagination)).into_bytes(),
        credentials,
        method.as_str().as_bytes().to_vec(),
        first.as_str().as_bytes().to_vec(),
        body.to_vec(),
        format!("{:?}", request.since.map(str::to_owned)).into_bytes(),
        format!("{moment:?}").into_bytes(),
    ];
    parts.into_iter().chain(fields(sent)).for_each(|bytes| part(&bytes));
}

/// Parts of the key of a file that `fetch` writes.
pub fn file(first: &PageRequest, pagination: &Pagination, part: &mut dyn FnMut(&[u8])) {
    part(first.method.as_str().as_bytes());
    part(first.url.as_str().as_bytes());
    part(&first.body.as_ref().map(RequestBody::to_bytes).unwrap_or_default());
    part(written(pagination).as_bytes());
}

/// Parts of the hash of the header fields with which such a file was begun.
pub fn file_fields(first: &PageRequest, upstream: &Upstream, part: &mut dyn FnMut(&[u8])) {
    part(upstream.accept.as_bytes());
    for (name, value) in &first.headers {
        part(name.as_str().as_bytes());
        part(value.as_bytes());
    }
}

fn text_of(pagination: &Pagination) -> String {
    // Without `..`: an option that is added to the pagination must be decided here.
    let Pagination {
        style,
        records,
        key,
        on_double,
        page_size,
        more,
        end,
        same_token,
        total,
        total_pages,
        limits,
        failures,
        partition,
        order,
        windows,
        since,
        valid_at,
        precondition,
        consistency: _, // a crawl that was begun without it resumes without shared records
        settle,
        keep,
        // Came later, and are in no key of version 1; what is recognised in place of `author` stands in the journal.
        single_page: _,
        unnamed_counts: _,
        on_missed: _,
        record_order: _,
        cookies: _,
        author: _,
    } = pagination;
    let fields = [
        ("style", style_text(style)),
        ("records", records_text(records)),
        ("key", maybe(key, path)),
        ("page_size", maybe(page_size, page_size_text)),
        ("more", maybe(more, |More { path: at, while_ }| format!("More {{ path: {}, while_: {while_:?} }}", path(at)))),
        ("end", end_text(end)),
        ("same_token", pick(*same_token == SameToken::End, "End", "Error")),
        ("total", maybe(total, source)),
        ("total_pages", maybe(total_pages, source)),
        ("limits", limits_text(limits)),
        ("error", error_text(failures)),
        ("partition", maybe(partition, partition_text)),
        ("order", pick(*order == PartOrder::Any, "Any", "Listed")),
        (
            "since",
            maybe(since, |since| format!("Since {{ param: {}, field: {} }}", param(&since.param), path(&since.field))),
        ),
        ("valid_at", maybe(valid_at, valid_at_text)),
        ("precondition", pick(*precondition == Precondition::Match, "Match", "None")),
    ];
    // Options that came later are left out where they have their defaults, so that keys stay what they were.
    let later = [
        (*on_double == OnDouble::Drop).then_some(("on_double", "Drop".to_owned())),
        settle.map(|time| ("settle", format!("{time:?}"))),
        windows.as_ref().map(|windows| ("windows", format!("{windows:?}"))),
        (!keep.is_empty()).then(|| ("keep", keep.join(","))),
    ];
    let fields = fields.into_iter().chain(later.into_iter().flatten());
    let fields: Vec<_> = fields.map(|(name, text)| format!("{name}: {text}")).collect();
    format!("Pagination {{ {} }}", fields.join(", "))
}

/// Version 1 knew one path; a newer condition has a text that no key of it has.
fn error_text(failures: &ErrorSettings) -> String {
    match failures.conditions.as_slice() {
        [] => "None".to_owned(),
        [ErrorCondition { path: at, ok: None, retry: None }] => format!("Some({})", path(at)),
        newer => format!("{newer:?}"),
    }
}

fn style_text(style: &Style) -> String {
    match style {
        Style::Single(_) => "Single".to_owned(),
        Style::Auto(_) => "Auto".to_owned(),
        Style::LinkHeader(LinkHeader { rel, attribute }) => {
            format!("LinkHeader {{ rel: {rel:?}, attribute: {attribute:?} }}")
        }
        Style::NextUrl(NextUrl { next, base }) => {
            let base = match base {
                Base::Request => "Request".to_owned(),
                Base::Url(url) => format!("Url({url:?})"),
            };
            format!("NextUrl {{ next: {}, base: {base} }}", list(next, source))
        }
        // `encode` and `next_request` came later.
        Style::Cursor(Cursor { tokens, merge, end_values, template, encode: _, next_request: _ }) => format!(
            "Cursor(Cursor {{ tokens: {}, merge: {}, end_values: {end_values:?}, template: {template:?} }})",
            list(tokens, token),
            maybe(merge, path)
        ),
        Style::Page(PageNumber { param: at, start, template }) => {
            format!("Page {{ param: {}, start: {start}, template: {template:?} }}", param(at))
        }
        Style::Offset(Offset { param: at, start, step, template }) => {
            let step = match step {
                Advance::Returned => "Returned".to_owned(),
                Advance::PageSize => "PageSize".to_owned(),
                Advance::Body(at) => format!("Body({})", path(at)),
            };
            format!("Offset {{ param: {}, start: {start}, step: {step}, template: {template:?} }}", param(at))
        }
        // What the upstream makes of a key changes no record.
        Style::Keyset(Keyset { key, param: at, encode, overlap, usage: _ }) => {
            let (encode, overlap) = (*encode == Encode::Json, *overlap == Overlap::First);
            let (encode, overlap) = (pick(encode, "Json", "Plain"), pick(overlap, "First", "None"));
            let (key, at) = (list(key, path), param(at));
            format!("Keyset {{ key: {key}, param: {at}, encode: {encode}, overlap: {overlap} }}")
        }
        Style::Range(RangeHeader { unit, size }) => format!("Range {{ unit: {unit:?}, size: {size} }}"),
    }
}

fn token(Token { next, param: at, from_url_param, first: _ }: &Token) -> String {
    format!("Token {{ next: {}, param: {}, from_url_param: {from_url_param:?} }}", list(next, source), param(at))
}

/// Shapes and encodings that came later have the text of the default.
fn records_text(Records { paths, shape, presence, encoding, validation, whitespace }: &Records) -> String {
    format!(
        "Records {{ paths: {}, shape: {}, presence: {}, encoding: {}, validation: {}, whitespace: {} }}",
        list(paths, path),
        pick(*shape == RecordsShape::Values, "Values", "Elements"),
        pick(*presence == Presence::Optional, "Optional", "Required"),
        pick(*encoding == Encoding::Base64, "Base64", "None"),
        pick(*validation == Validation::Full, "Full", "Structure"),
        pick(*whitespace == Whitespace::Dropped, "Dropped", "Kept")
    )
}

fn page_size_text(PageSize { param: at, value, max }: &PageSize) -> String {
    format!("PageSize {{ param: {}, value: {value:?}, max: {max:?} }}", maybe(at, param))
}

fn end_text(end: &End) -> String {
    match end {
        End::Style => "Style".to_owned(),
        End::NoNext => "NoNext".to_owned(),
        End::EmptyPage => "EmptyPage".to_owned(),
        End::ShortPage => "ShortPage".to_owned(),
        End::Status(statuses) => list(&statuses.0, |status| format!("Status({})", status.as_str())),
    }
}

fn limits_text(Limits { max_offset, max_pages, max_results }: &Limits) -> String {
    format!("Limits {{ max_offset: {max_offset:?}, max_pages: {max_pages:?}, max_results: {max_results:?} }}")
}

fn partition_text(partition: &Partition) -> String {
    match partition {
        Partition::Range(RangePartition { from, to, kind, field, lower, upper, direction }) => {
            let kind = match kind {
                RangeKind::Unix => "Unix",
                RangeKind::Rfc3339 => "Rfc3339",
                RangeKind::Date => "Date",
                RangeKind::Integer => "Integer",
            };
            let (from, to, field, lower, upper) =
                (param(from), param(to), path(field), maybe(lower, bound), maybe(upper, bound));
            let direction = pick(*direction == Direction::Descending, "Descending", "Ascending");
            format!(
                "Range(RangePartition {{ from: {from}, to: {to}, kind: {kind}, field: {field}, lower: {lower}, upper: {upper}, \
                 direction: {direction} }})"
            )
        }
        Partition::Values { param: at, values } => format!("Values {{ param: {}, values: {values:?} }}", param(at)),
        Partition::Numbered { param: at, count_param, count } => {
            format!("Numbered {{ param: {}, count_param: {}, count: {count} }}", param(at), param(count_param))
        }
    }
}

fn bound(bound: &Bound) -> String {
    match bound {
        Bound::At(value) => format!("At({value:?})"),
        Bound::Now => "Now".to_owned(),
    }
}

fn valid_at_text(ValidAt { param: at, from }: &ValidAt) -> String {
    let from = match from {
        VersionSource::Clock(TimeFormat::Rfc3339) => "Clock(Rfc3339)".to_owned(),
        VersionSource::Clock(TimeFormat::Unix) => "Clock(Unix)".to_owned(),
        VersionSource::Clock(TimeFormat::UnixMs) => "Clock(UnixMs)".to_owned(),
        VersionSource::Clock(TimeFormat::Date) => "Clock(Date)".to_owned(),
        VersionSource::Page(at) => format!("Page({})", source(at)),
        VersionSource::Opened(_) => "Opened".to_owned(),
    };
    format!("ValidAt {{ param: {}, from: {from} }}", param(at))
}

fn source(place: &Source) -> String {
    match place {
        Source::Body(at) => format!("Body({})", path(at)),
        Source::Header(name) => format!("Header({name:?})"),
        Source::Links { path: at, rel } => format!("Links {{ path: {}, rel: {rel:?} }}", path(at)),
        Source::LastLink { param, start } => format!("LastLink {{ param: {param:?}, start: {start} }}"),
    }
}

fn param(param: &Param) -> String {
    match param {
        Param::Query(name) => format!("Query({name:?})"),
        Param::Body(at) => format!("Body({})", path(at)),
        Param::Form(name) => format!("Form({name:?})"),
        Param::Header(name) => format!("Header({name:?})"),
        Param::Path(name) => format!("Path({name:?})"),
    }
}

fn path(path: &Path) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Name(name) => format!("Name({name:?})"),
        Segment::Index(at) => format!("Index({at})"),
        Segment::FromEnd(back) => format!("FromEnd({back})"),
        Segment::Each => "Each".to_owned(),
    };
    format!("Path {{ segments: {} }}", list(path.segments(), segment))
}

fn list<T>(all: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", all.iter().map(text).collect::<Vec<_>>().join(", "))
}

fn maybe<T>(value: &Option<T>, text: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or("None".to_owned(), |value| format!("Some({})", text(value)))
}

fn pick(is_set: bool, set: &str, unset: &str) -> String {
    if is_set { set } else { unset }.to_owned()
}
