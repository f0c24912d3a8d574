//! The first page with its request: sizes, totals, flags and parameters; pointers are read in `next_pointer.rs`.

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::page_members::{self, OuterField, digits, query_of};
use super::{Candidate, member_names};
use crate::pagination::end_settings::UnnamedCounts;
use crate::pagination::envelope_names::{PAGE_HEADERS, TOTAL_HEADERS, TOTAL_PAGES_HEADERS};
use crate::pagination::link_header_parser::Link;
use crate::pagination::path::Segment;
use crate::pagination::request::RequestBody;
use crate::pagination::request_params::RequestParam;
use crate::pagination::{
    ErrorCondition, More, PageRequest, Pagination, Param, Path, Records, RecordsShape, Source, Style,
};

pub(super) struct FirstPage<'a> {
    pub(super) request: &'a PageRequest,
    pub(super) headers: &'a HeaderMap,
    pub(super) links: &'a [Link<'a>],
    pub(super) fields: Vec<OuterField<'a>>,
    pub(super) records: Path,
    pub(super) shape: RecordsShape,
    pub(super) count: u64,
    pub(super) asked: Vec<RequestParam>,
    /// Query parameters of the URLs in the page and its head, as the API spells them.
    pub(super) linked: Vec<(String, String)>,
    pub(super) unnamed_counts: UnnamedCounts,
}

/// Path and shape of a page's records.
#[derive(Clone, Debug)]
pub(super) struct RecordsPlace {
    pub(super) path: Path,
    pub(super) shape: RecordsShape,
}

/// Records in an array.
impl From<Path> for RecordsPlace {
    fn from(path: Path) -> Self {
        Self { path, shape: RecordsShape::Elements }
    }
}

/// Use of names, as `count`, that mean the total in some APIs and the size of the page in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AmbiguousCounts {
    Refused,
    Allowed,
}

/// A number in the answer, and its source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SourcedNumber {
    pub(super) source: Source,
    pub(super) name: String,
    pub(super) shown: String,
    pub(super) value: u64,
}

impl<'a> FirstPage<'a> {
    pub(super) fn of(
        request: &'a PageRequest,
        headers: &'a HeaderMap,
        links: &'a [Link<'a>],
        page: &'a Value,
        records: RecordsPlace,
    ) -> Self {
        let RecordsPlace { path: records, shape } = records;
        let fields = page_members::fields(page, Some(&records));
        let count = match records.split_at_each().0.of_value(page) {
            Some(Value::Array(elements)) => elements.len(),
            Some(Value::Object(members)) if shape == RecordsShape::Values => members.len(),
            _ => 0,
        };
        let urls = fields.iter().filter_map(|field| field.value.as_str());
        let linked = urls.chain(links.iter().map(|link| &*link.target)).flat_map(query_of).collect();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let (asked, unnamed_counts) = (request.params(), UnnamedCounts::Heeded);
        Self { request, headers, links, fields, records, shape, count, asked, linked, unnamed_counts }
    }

    pub(super) fn candidate(&self, style: impl Into<Style>, counts: AmbiguousCounts, why: String) -> Candidate {
        let mut pagination =
            Pagination::of(style.into(), Records { shape: self.shape, ..Records::at(self.records.clone()) });
        pagination.more = self.more();
        pagination.total = self.total(counts).map(|total| total.source);
        if pagination.style.counts_pages() {
            pagination.total_pages = self.total_pages().map(|pages| pages.source);
        }
        pagination.failures.conditions.extend(pagination.usual_error().map(ErrorCondition::at));
        Candidate { pagination, why }
    }

    pub(super) fn near(&self) -> impl Iterator<Item = &OuterField<'a>> {
        self.fields.iter().filter(|field| field.is_near())
    }

    /// The upstream's flag that more pages follow; none if two flags disagree.
    pub(super) fn more(&self) -> Option<More> {
        let flags: Vec<_> = self
            .near()
            .filter_map(|field| Some((field, flag(field.value)?, member_names::more_while(field.name)?)))
            .collect();
        let (first, value, while_) = flags.first()?;
        let agree = flags.iter().all(|(_, other, other_while)| (other == other_while) == (value == while_));
        let while_ = if first.value.is_boolean() { Value::Bool(*while_) } else { Value::from(while_.to_string()) };
        agree.then(|| More { path: first.path.clone(), while_ })
    }

    /// Value of that flag.
    pub(super) fn says_more(&self) -> Option<bool> {
        let more = self.more()?;
        self.fields.iter().find(|field| field.path == more.path).map(|field| *field.value == more.while_)
    }

    /// Number of records in the collection, where one is to be used.
    pub(super) fn total(&self, counts: AmbiguousCounts) -> Option<SourcedNumber> {
        self.named_total(counts).filter(|_| self.unnamed_counts == UnnamedCounts::Heeded)
    }

    /// The same as the page names it; none if two totals disagree, or if the page alone has more.
    pub(super) fn named_total(&self, counts: AmbiguousCounts) -> Option<SourcedNumber> {
        let mut totals = self.numbers(member_names::is_total, &TOTAL_HEADERS);
        if totals.is_empty() && counts == AmbiguousCounts::Allowed {
            let asked = self.size();
            let beside_size = self.near().any(|field| is_size_field(field.name));
            totals = self.numbers(member_names::is_count, &[]);
            totals.retain(|total| total.value > self.count && Some(total.value) != asked);
            totals.retain(|total| beside_size || member_names::plain(&total.name) != "size");
        }
        let first = totals.first()?.clone();
        (first.value >= self.count && totals.iter().all(|total| total.value == first.value)).then_some(first)
    }

    /// Number of pages in the collection, where one is to be used.
    pub(super) fn total_pages(&self) -> Option<SourcedNumber> {
        self.named_pages().filter(|_| self.unnamed_counts == UnnamedCounts::Heeded)
    }

    /// The same as the page names it.
    pub(super) fn named_pages(&self) -> Option<SourcedNumber> {
        self.numbers(member_names::is_total_pages, TOTAL_PAGES_HEADERS).into_iter().next()
    }

    pub(super) fn page_number(&self) -> Option<SourcedNumber> {
        self.numbers(member_names::is_page, PAGE_HEADERS).into_iter().next().or_else(|| {
            // Spring's `number` means the page only beside its `totalPages`.
            let pages = self.numbers(|name| member_names::plain(name) == "totalpages", &[]);
            self.numbers(|name| name == "number", &[]).into_iter().next().filter(|_| !pages.is_empty())
        })
    }

    fn numbers(&self, is: impl Fn(&str) -> bool, headers: &[&'static str]) -> Vec<SourcedNumber> {
        let fields = self.near().filter(|field| is(field.name)).filter_map(|field| {
            let source = Source::Body(field.path.clone());
            Some(SourcedNumber {
                source,
                name: field.name.to_owned(),
                shown: field.path.to_string(),
                value: field.number()?,
            })
        });
        // An answer has few fields: their names are compared faster than these names are hashed.
        let field = |wanted: &str| self.headers.iter().find(|(name, _)| name.as_str() == wanted);
        let headers = headers.iter().filter_map(|name| {
            let value = digits(field(name)?.1.to_str().ok()?.trim())?;
            let source = Source::Header(HeaderName::from_static(name));
            Some(SourcedNumber { source, name: (*name).to_owned(), shown: (*name).to_owned(), value })
        });
        fields.chain(headers).collect()
    }

    /// Number of records in a full page, according to the request or the answer.
    pub(super) fn size(&self) -> Option<u64> {
        let asked =
            self.asked.iter().find(|asked| member_names::is_size(&asked.name)).and_then(|asked| digits(&asked.value));
        asked.or_else(|| self.near().filter(|field| is_size_field(field.name)).find_map(OuterField::number))
    }

    /// Page numbers among the request's parameters.
    pub(super) fn asked_pages(&self) -> impl Iterator<Item = (&RequestParam, u64)> {
        let pages = self.asked.iter().filter(|asked| member_names::is_page(&asked.name));
        pages.filter_map(|asked| Some((asked, digits(&asked.value)?)))
    }

    /// Offsets among the request's parameters, without starts of time ranges and times.
    pub(super) fn asked_offsets(&self) -> impl Iterator<Item = (&RequestParam, u64)> {
        let offsets = self.asked.iter().filter(|asked| member_names::is_offset(&asked.name));
        let offsets = offsets.filter_map(|asked| Some((asked, digits(&asked.value)?)));
        offsets.filter(|(asked, value)| {
            let ends = member_names::range_end(&asked.name);
            let is_range = self.asked.iter().any(|other| ends.contains(&member_names::plain(&other.name).as_str()));
            !is_range && (*value < 100_000_000 || !member_names::is_common_word(&asked.name))
        })
    }

    /// Reason for which this page can't be the last one, independently of its pointers.
    pub(super) fn must_go_on(&self) -> Option<String> {
        let at_start = self.asked_pages().all(|(_, page)| page <= 1) && self.asked_offsets().all(|(_, at)| at <= 1);
        if self.says_more() == Some(true) {
            return self.more().map(|more| format!("`{}` says that there is more", more.path));
        }
        if self.unnamed_counts == UnnamedCounts::Ignored {
            return None;
        }
        if let Some(total) = self.greater_count().filter(|_| at_start) {
            return Some(format!("`{}` is {} and the page has {} records", total.shown, total.value, self.count));
        }
        let (current, pages) = (self.page_number(), self.total_pages());
        let page = current.map(|page| page.value).or_else(|| self.asked_pages().next().map(|(_, page)| page));
        let pages = pages.filter(|pages| pages.value > page.unwrap_or(1).max(1))?;
        Some(format!("`{}` is {}", pages.shown, pages.value))
    }

    /// A total that is greater than the page; where there is none, also a count that may be one.
    fn greater_count(&self) -> Option<SourcedNumber> {
        let mut totals = self.numbers(member_names::is_total, &TOTAL_HEADERS);
        if totals.is_empty() && self.says_more().is_none() {
            let asked: Vec<_> = self.asked.iter().filter(|asked| member_names::is_size(&asked.name)).collect();
            let is_asked = |count: &SourcedNumber| asked.iter().any(|asked| digits(&asked.value) == Some(count.value));
            totals.extend(self.numbers(member_names::is_count, &[]).into_iter().filter(|count| !is_asked(count)));
        }
        totals.into_iter().find(|total| total.value > self.count)
    }

    /// Returns whether the page's number, or its total, says that it is the last one.
    pub(super) fn is_last_by_number(&self) -> bool {
        let pages = self.page_number().zip(self.total_pages());
        pages.is_some_and(|(page, pages)| page.value >= pages.value)
            || self.total(AmbiguousCounts::Refused).is_some_and(|total| total.value == self.count)
    }

    /// The request's parameter of this name in any spelling.
    pub(super) fn asked_as(&self, name: &str) -> Option<&RequestParam> {
        let plain = member_names::plain(name);
        self.asked.iter().find(|asked| member_names::plain(&asked.name) == plain)
    }

    /// Destination of a parameter of this name: that of the request's own one, else that of its other parameters.
    pub(super) fn param(&self, name: &str) -> Param {
        if let Some(asked) = self.asked_as(name) {
            return asked.param.clone();
        }
        match &self.request.body {
            Some(RequestBody::Form(_)) => Param::Form(name.to_owned()),
            Some(RequestBody::Json(_)) => Param::Body(Path::new(vec![Segment::Name(name.to_owned())])),
            None if self.request.method == http::Method::POST && self.request.url.query().is_none() => {
                Param::Body(Path::new(vec![Segment::Name(name.to_owned())]))
            }
            _ => Param::Query(name.to_owned()),
        }
    }
}

/// Reads a flag, which XML spells as text.
fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// Returns whether this is the name of a page size, and of no count.
fn is_size_field(name: &str) -> bool {
    member_names::is_size(name)
        && !matches!(
            member_names::plain(name).as_str(),
            "count" | "size" | "rows" | "length" | "first" | "top" | "take"
        )
}
