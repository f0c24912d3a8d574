//! Pagination of one collection, as configured or recognised.

use std::time::Duration;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::cookie_settings::Cookies;
use super::end_settings::{End, Limits, LonePage, More, SameToken, UnnamedCounts};
use super::error::PageError;
use super::error_settings::ErrorSettings;
use super::opened_state::OpenedState;
use super::page::Head;
use super::page_size_settings::PageSize;
use super::pagination_author::PaginationAuthor;
use super::partition_settings::{PartOrder, Partition};
use super::path::{Path, Segment};
use super::record_settings::{Encoding, OnDouble, Presence, Records, RecordsShape};
use super::request::{BadPlace, BodyKind, Encode, PageRequest, Param};
use super::since_valid_at::{Precondition, Since, ValidAt};
use super::styles::{Style, Template};
use super::value_source::Source;
use super::verdict::{OnMissed, RecordOrder};
use super::windows::Windows;

/// Rules by which the pages of one collection are addressed, read and ended; made only by `config`, by the command line and by
/// [`detect`](super::detect).
#[derive(Clone, Debug, PartialEq)]
pub struct Pagination {
    pub style: Style,
    pub records: Records,
    /// Path of a value that identifies a record.
    pub key: Option<Path>,
    pub on_double: OnDouble,
    pub page_size: Option<PageSize>,
    /// The upstream's own "there is more" flag.
    pub more: Option<More>,
    pub end: End,
    pub same_token: SameToken,
    /// Of a page without a sign of a pagination; where one is recognised, or another type than `none` configured, it decides nothing.
    pub single_page: LonePage,
    /// Place of the upstream's number of records.
    pub total: Option<Source>,
    /// Place of the upstream's number of pages.
    pub total_pages: Option<Source>,
    pub limits: Limits,
    /// Signs by which a page of status 200 says that it failed or is partial.
    pub failures: ErrorSettings,
    pub unnamed_counts: UnnamedCounts,
    pub partition: Option<Partition>,
    pub order: PartOrder,
    pub windows: Option<Windows>,
    pub since: Option<Since>,
    pub valid_at: Option<ValidAt>,
    pub precondition: Precondition,
    pub on_missed: OnMissed,
    /// Time within which a record appears in a list that is sorted by time, and whose end is read again for late ones.
    pub settle: Option<Duration>,
    /// As configured; otherwise the best that costs next to nothing.
    pub consistency: Option<ConsistencyLevel>,
    /// Word for it that records keep their order, on which `steady` and `mended` rely.
    pub record_order: RecordOrder,
    /// Query parameters of the first request that each next address gets again where it lacks them.
    pub keep: Vec<String>,
    pub cookies: Cookies,
    pub author: PaginationAuthor,
}

/// Effort against records that move while they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsistencyLevel {
    /// Nothing is compared that the end doesn't need.
    None,
    /// Moves are looked for where that costs nothing.
    Detect,
    /// Pages share records, and what a move leaves uncertain is read again.
    Repair,
    /// The collection is read until two reads are equal.
    Verify,
    /// Every request names one state of the upstream, or the condition that it still holds.
    Upstream,
}

impl Pagination {
    /// Pagination with the default of everything but the style and the records.
    pub fn of(style: Style, records: Records) -> Self {
        Self {
            style,
            records,
            key: None,
            on_double: OnDouble::Fail,
            page_size: None,
            more: None,
            end: End::Style,
            same_token: SameToken::Error,
            single_page: LonePage::Refuse,
            total: None,
            total_pages: None,
            limits: Limits::default(),
            failures: ErrorSettings::default(),
            unnamed_counts: UnnamedCounts::Heeded,
            partition: None,
            order: PartOrder::Listed,
            windows: None,
            since: None,
            valid_at: None,
            precondition: Precondition::None,
            on_missed: OnMissed::Fail,
            settle: None,
            consistency: None,
            record_order: RecordOrder::Assumed,
            keep: Vec::new(),
            cookies: Cookies::Dropped,
            author: PaginationAuthor::Operator,
        }
    }

    /// Pagination to be recognised in place of this one, with the keys that hold for each list of an API.
    pub(crate) fn unrecognised(&self) -> Self {
        Self {
            style: Style::AUTO,
            records: Records { paths: Vec::new(), shape: RecordsShape::Elements, ..self.records.clone() },
            key: None,
            more: None,
            end: End::Style,
            same_token: SameToken::Error,
            total: None,
            total_pages: None,
            valid_at: self.valid_at.clone().filter(|_| self.opened_state().is_none()),
            author: PaginationAuthor::Operator,
            ..self.clone()
        }
    }

    /// Returns the request with the page size in it, unless the client chose its own.
    pub fn sized(&self, mut first: PageRequest) -> Result<PageRequest, BadPlace> {
        if let Some(size) = &self.page_size
            && let (Some(param), Some(records)) = (&size.param, size.asked())
            && first.value_at(param).is_none()
        {
            first.set(param, &Value::from(records), Encode::Plain)?;
        }
        Ok(first)
    }

    /// Default of the conditions of [`Pagination::failures`]: `errors` beside the `data` of a GraphQL query (October 2021, §7.1).
    pub fn usual_error(&self) -> Option<Path> {
        let starts = |path: &Path, names: &[&str]| match path.segments() {
            [Segment::Name(first), ..] => names.contains(&first.as_str()),
            _ => false,
        };
        // JSON:API and others keep the records in `data` itself, where partial errors may be notes.
        let below_data = |path: &Path| starts(path, &["data"]) && path.segments().len() > 1;
        let answered = !self.records.paths.is_empty() && self.records.paths.iter().all(below_data);
        let queried = |param: &Param| matches!(param, Param::Body(path) if starts(path, &["variables", "query"]));
        (answered && self.style.params().into_iter().any(queried))
            .then(|| Path::new(vec![Segment::Name("errors".to_owned())]))
    }

    /// Returns true if what moves can be read again: a key tells records apart, and pages begin with the record of a number, so that they
    /// can share some, or are numbered in a size that is free, or begin behind that key.
    pub fn can_repair(&self) -> bool {
        let Some(key) = self.key.as_ref().filter(|_| self.partition.is_none()) else { return false };
        match &self.style {
            Style::Keyset(keyset) => keyset.key.contains(key),
            Style::Page(page) => page.template.is_none() && self.page_size.as_ref().is_some_and(PageSize::is_sent),
            style => style.rules().is_windowed(),
        }
    }

    /// Returns true if pages share records: by the operator's word, since records have to keep their order.
    pub(super) fn shares_records(&self) -> bool {
        self.promises_order() && (self.style.rules().is_windowed() || self.style.counts_pages())
    }

    /// Returns true if records keep their order, by the operator's word, and a key identifies each of them.
    pub(super) fn promises_order(&self) -> bool {
        self.consistency == Some(ConsistencyLevel::Repair) && self.can_repair()
    }

    /// Returns true if repair is configured and nothing can be repaired, as where `auto` has recognised links.
    pub(crate) fn lacks_repair(&self) -> bool {
        self.consistency == Some(ConsistencyLevel::Repair) && !self.can_repair()
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.consistency == Some(ConsistencyLevel::Verify)
    }

    /// Returns true if records that move are looked for.
    pub(super) fn watches_moves(&self) -> bool {
        self.consistency != Some(ConsistencyLevel::None)
    }

    /// Returns true if a crawl that was interrupted needs the keys of the records that had left.
    pub(crate) fn recalls_keys(&self) -> bool {
        self.key.is_some() || matches!(self.style, Style::Keyset(_))
    }

    /// Returns true if any page, the first included, may be an answer without content (204).
    pub(super) fn allows_no_content(&self) -> bool {
        self.records.presence == Presence::Optional || self.end.is_by(StatusCode::NO_CONTENT)
    }

    /// Checks that an answer can have a whole page: with content, unless a page may lack it, and of lines with an end of its own.
    pub(super) fn check_content(&self, head: &Head, pages: u64) -> Result<(), PageError> {
        if head.status == StatusCode::NO_CONTENT && pages == 0 && !self.allows_no_content() {
            return Err(PageError::NoContent);
        }
        let is_of_lines = matches!(self.records.encoding, Encoding::Lines | Encoding::Csv(_));
        let is_cut_unseen = is_of_lines && head.status != StatusCode::NO_CONTENT && head.ends_with_connection();
        if is_cut_unseen { Err(PageError::Undelimited) } else { Ok(()) }
    }

    /// Returns true if the upstream moves on with each answer to a page's request, so that none may be sent twice.
    pub(crate) fn is_sent_once(&self) -> bool {
        self.same_token == SameToken::Again
    }

    /// Reason for which a crawl can't be resumed behind a page.
    pub(crate) fn unresumable(&self) -> Option<&'static str> {
        let reasons = [
            (self.is_sent_once(), "the upstream keeps its place (same_token = \"again\") and has moved on"),
            (self.opened_state().is_some(), "the state that its pages were asked for is closed with it"),
            (self.cookies == Cookies::Kept, "the cookies of its first page are in no file"),
        ];
        reasons.into_iter().find_map(|(holds, why)| holds.then_some(why))
    }

    /// State that is opened for the crawl, and the parameter of its name.
    pub(crate) fn opened_state(&self) -> Option<(&Param, &OpenedState)> {
        self.valid_at.as_ref().and_then(ValidAt::opened)
    }

    /// Header fields that change from page to page.
    pub fn own_headers(&self) -> Vec<HeaderName> {
        let size = self.page_size.as_ref().and_then(|size| size.param.as_ref());
        let version = self.valid_at.as_ref().map(|valid_at| &valid_at.param);
        let set = self.style.params().into_iter().chain(size).chain(version).filter_map(|param| match param {
            Param::Header(name) => Some(name.clone()),
            _ => None,
        });
        let own = self.style.rules().headers();
        let conditions = [IF_MATCH, IF_UNMODIFIED_SINCE].into_iter();
        set.chain(own).chain(conditions.filter(|_| self.precondition == Precondition::Match)).collect()
    }

    /// Parameters of parts and windows.
    pub fn ranges(&self) -> Vec<&Param> {
        let parts = self.partition.as_ref().map(Partition::params).unwrap_or_default();
        parts.into_iter().chain(self.windows.iter().flat_map(Windows::params)).collect()
    }

    /// Form of the body that the parameters of the pagination need.
    pub fn body_kind(&self) -> BodyKind {
        let size = self.page_size.as_ref().and_then(|size| size.param.as_ref());
        let parts = self.ranges();
        let since = self.since.as_ref().map(|since| &since.param);
        let own = since.into_iter().chain(self.valid_at.as_ref().map(|valid_at| &valid_at.param));
        let mut kind = BodyKind::Labelled;
        for param in self.style.params().into_iter().chain(size).chain(parts).chain(own) {
            match param {
                Param::Body(_) => return BodyKind::Json,
                Param::Form(_) => kind = BodyKind::Form,
                _ => {}
            }
        }
        kind
    }

    /// Places of an answer that a next address or token is read from.
    pub fn pointers(&self) -> Vec<&Source> {
        self.style.rules().pointers()
    }

    /// Place of the upstream's total: the configured one, else the one that each answer of the style has.
    pub(super) fn total_source(&self) -> Option<&Source> {
        self.total.as_ref().or_else(|| self.style.rules().total())
    }

    /// Paths whose values are needed of each page.
    pub fn fields(&self) -> Vec<Path> {
        let sources = self.pointers().into_iter().chain(&self.total).chain(&self.total_pages);
        let version = self.valid_at.as_ref().and_then(ValidAt::field);
        let more = self.more.as_ref().map(|more| &more.path);
        let fields = sources.filter_map(Source::path).chain(version).chain(more).chain(self.style.rules().fields());
        fields.cloned().chain(self.failures.fields()).chain(self.records.columns()).collect()
    }

    /// Template of the token's or number's parameter.
    pub fn template(&self) -> Option<&Template> {
        self.style.rules().template()
    }
}
