//! How a collection's pages are addressed, and how its end is proven: the pure heart of unpage. No IO, no clock, no tasks.

pub mod detect;
pub mod error;
mod json_extract;
pub mod link;
pub mod link_guard;
pub mod page;
pub mod partition;
pub mod path;
pub mod plan;
mod range_unit;
pub mod request;
pub mod retry;
pub mod split;
pub mod validity;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderName, StatusCode};
use serde_json::Value;

pub use error::{Blame, PageError};
pub use partition::{PartOrder, Partition};
pub use path::Path;
use path::Segment;
use request::BadPlace;
pub use request::{BodyKind, PageRequest, Param};
pub use validity::{Precondition, Since, TimeFormat, ValidAt, VersionSource};

/// How one collection's pages are addressed, read and ended; made only by `config`, by the command line and by [`detect`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pagination {
    /// What addresses the next page.
    pub style: Style,
    /// Where a page keeps its records.
    pub records: Records,
    /// What identifies a record, where it has such a thing.
    pub key: Option<Path>,
    /// How a page's size is asked for.
    pub page_size: Option<PageSize>,
    /// The upstream's own "there is more" flag.
    pub more: Option<More>,
    /// What ends the collection, where it is not the style's default.
    pub end: End,
    /// What a token or link means that is the same as the one that was just sent.
    pub same_token: SameToken,
    /// How many records the collection has, as the upstream says.
    pub total: Option<Source>,
    /// How many pages the collection has, as the upstream says.
    pub total_pages: Option<Source>,
    /// Depths at which the upstream stops answering truthfully.
    pub limits: Limits,
    /// What in a page of status 200 means that it failed or is partial.
    pub error: Option<Path>,
    /// What cuts the collection into parts that are walked side by side.
    pub partition: Option<Partition>,
    /// In which order the parts leave.
    pub order: PartOrder,
    /// How a client asks for what follows a record that it has.
    pub since: Option<Since>,
    /// How the upstream is asked for one state of the collection in all pages.
    pub valid_at: Option<ValidAt>,
    /// Under which condition later pages are asked for.
    pub precondition: Precondition,
}

/// What addresses the next page.
#[derive(Clone, Debug, PartialEq)]
pub enum Style {
    /// One page is all there is.
    Single,
    /// To be recognised from the first page, and verified on the second.
    Auto,
    /// `Link` header (RFC 8288) with relation `rel`, followed while its attribute has the value, where one is given.
    LinkHeader { rel: String, attribute: Option<(String, String)> },
    /// A URL in the page or in a header field; the first of `next` that is present.
    NextUrl { next: Vec<Source>, base: Base },
    /// Opaque tokens that the answer hands out and the next request hands back.
    Cursor(Cursor),
    /// A page number that grows by one.
    Page { param: Param, start: u64, template: Option<Template> },
    /// A record number that grows by what came.
    Offset { param: Param, start: u64, step: Advance, template: Option<Template> },
    /// The last record's key.
    Keyset { key: Vec<Path>, param: Param, encode: Encode, overlap: Overlap },
    /// The `Range` header field with a unit of the upstream's own (RFC 9110 §14).
    Range { unit: String, size: u64 },
}

/// Tokens from one page to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// Each token's source and destination; the end is reached when none of them is there.
    pub tokens: Vec<Token>,
    /// An object whose members are merged into the first request's query (MediaWiki's `continue`).
    pub merge: Option<Path>,
    /// Values that mean "no token", beside absent, `null`, `false` and the empty string, object or array.
    pub end_values: Vec<Value>,
    /// A value that the token is written into.
    pub template: Option<Template>,
}

/// One token's way from an answer into the next request.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Where it comes from; the first that is present.
    pub next: Vec<Source>,
    /// Where it goes.
    pub param: Param,
    /// The query parameter to take it from, where `next` is a URL.
    pub from_url_param: Option<String>,
}

/// Where a value stands in an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// In the page.
    Body(Path),
    /// In a header field.
    Header(HeaderName),
    /// In an array of link objects, the one with this relation; its `method`, `body` and `merge` are honoured.
    Links { path: Path, rel: String },
    /// In the `Link` to the last page, whose `param` is that page's number; only for a number of pages, which count from `start`.
    LastLink { param: String, start: u64 },
}

/// What a relative next URL is resolved against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The request that the page answered (RFC 3986 §5).
    Request,
    /// A URL of the upstream, as configured: an API's root.
    Url(url::Url),
}

/// How far an offset advances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// By the records that came.
    Returned,
    /// By the page size that was asked for.
    PageSize,
    /// By a number in the page.
    Body(Path),
}

/// How a keyset token is written into a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encode {
    /// Its text.
    Plain,
    /// As JSON (CouchDB's `startkey`).
    Json,
}

/// Whether a keyset page starts with the record that its token named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It starts after it.
    None,
    /// It starts with it, so that the record is read twice and emitted once.
    First,
}

/// What a token or link means that is the same as the one that was just sent; any longer cycle is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameToken {
    /// A cycle.
    Error,
    /// The upstream's way to say that there is no more (CloudWatch, Okta).
    End,
}

/// A value with `{offset}`, `{limit}`, `{page}`, `{cursor}`, `{end_offset}` (offset + limit) or `{NAME}`, the parameter's
/// own value in the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub String);

/// Where a page keeps its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The first of these that is there holds them.
    pub paths: Vec<Path>,
    /// Whether they are an array's elements or an object's values.
    pub shape: RecordsShape,
    /// Whether they may be missing.
    pub presence: Presence,
    /// How the text that holds them stands in the page.
    pub encoding: Encoding,
    /// How much of a page's grammar is checked.
    pub validation: Validation,
    /// What becomes of white space between a record's tokens.
    pub whitespace: Whitespace,
}

/// How the text that holds the records stands in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As a part of the page.
    None,
    /// In a string, as base64 (RFC 4648 §4).
    Base64,
}

/// How much of the grammar of JSON is checked in records, and in what nobody wants; all else is always checked in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// That it is UTF-8, that brackets and quotes match, and that no control character or empty element is there.
    Structure,
    /// All of it (RFC 8259).
    Full,
}

/// What becomes of white space between a record's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whitespace {
    /// Line breaks become spaces.
    Kept,
    /// It is left out.
    Dropped,
}

/// What holds the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsShape {
    /// An array.
    Elements,
    /// An object keyed by id.
    Values,
}

/// Whether a page without a record array is an empty page or a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A mistake.
    Required,
    /// An empty page.
    Optional,
}

/// How a page's size is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Where the size goes, unless a template holds it.
    pub param: Option<Param>,
    /// Records per page; at most `max`.
    pub value: Option<u64>,
    /// The most that the upstream gives.
    pub max: Option<u64>,
}

/// The upstream's flag that more pages follow: while the value at `path` equals `while_`.
#[derive(Clone, Debug, PartialEq)]
pub struct More {
    /// Where the flag stands.
    pub path: Path,
    /// What it is while there is more.
    pub while_: Value,
}

/// What ends a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What the style says: no next address for links and tokens, an empty page past the last for numbers and keys.
    Style,
    /// No next address.
    NoNext,
    /// A page without records.
    EmptyPage,
    /// A page with fewer records than were asked for; unsafe where the upstream caps or filters.
    ShortPage,
    /// An error status past the last page.
    Status(StatusCode),
}

/// Depths beyond which the upstream doesn't answer; reaching one is an error, never an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The largest offset that may be asked for.
    pub max_offset: Option<u64>,
    /// The most pages.
    pub max_pages: Option<u64>,
    /// The most records.
    pub max_results: Option<u64>,
}

/// unpage's own caps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// The most bytes of one page; default 64 MiB.
    pub page_bytes: u64,
    /// The most bytes of one record; default 16 MiB.
    pub record_bytes: u64,
    /// The most pages of one crawl; default 1,000,000.
    pub pages: u64,
    /// The most pages without a record in a row; default 100.
    pub empty_pages: u64,
    /// The most bytes of records that wait in memory for their turn; default 16 MiB.
    pub window_bytes: u64,
    /// The most bytes of them that wait on disk when that is full; default 1 GiB, 0 for none.
    pub spool_bytes: u64,
}

impl Pagination {
    /// A pagination of this style with nothing else said about it.
    pub fn of(style: Style, records: Records) -> Self {
        Self {
            style,
            records,
            key: None,
            page_size: None,
            more: None,
            end: End::Style,
            same_token: SameToken::Error,
            total: None,
            total_pages: None,
            limits: Limits::default(),
            error: None,
            partition: None,
            order: PartOrder::Listed,
            since: None,
            valid_at: None,
            precondition: Precondition::None,
        }
    }
}

impl Pagination {
    /// The request with the page size in it, unless the client chose its own.
    pub fn sized(&self, mut first: PageRequest) -> Result<PageRequest, BadPlace> {
        if let Some(size) = &self.page_size
            && let (Some(param), Some(records)) = (&size.param, size.asked())
            && first.value_at(param).is_none()
        {
            first.set(param, &Value::from(records), Encode::Plain)?;
        }
        Ok(first)
    }

    /// What means that a page failed or is partial where nothing is said of it. An answer to a GraphQL query has `errors` beside
    /// its `data`, under status 200, and what failed of it is `null` or left out (GraphQL, October 2021, §7.1).
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
            .then(|| Path::of(vec![Segment::Name("errors".to_owned())]))
    }

    /// Sources of the next address or token in an answer.
    fn pointers(&self) -> Vec<&Source> {
        match &self.style {
            Style::NextUrl { next, .. } => next.iter().collect(),
            Style::Cursor(cursor) => cursor.tokens.iter().flat_map(|token| &token.next).collect(),
            _ => Vec::new(),
        }
    }

    /// The header fields that are set from page to page.
    pub fn own_headers(&self) -> Vec<HeaderName> {
        let size = self.page_size.as_ref().and_then(|size| size.param.as_ref());
        let version = self.valid_at.as_ref().map(|valid_at| &valid_at.param);
        let set = self.style.params().into_iter().chain(size).chain(version).filter_map(|param| match param {
            Param::Header(name) => Some(name.clone()),
            _ => None,
        });
        let range = matches!(self.style, Style::Range { .. }).then_some(http::header::RANGE);
        let conditions = [IF_MATCH, IF_UNMODIFIED_SINCE].into_iter();
        set.chain(range).chain(conditions.filter(|_| self.precondition == Precondition::Match)).collect()
    }

    /// What the pages' requests must have as their body.
    pub fn body_kind(&self) -> BodyKind {
        let size = self.page_size.as_ref().and_then(|size| size.param.as_ref());
        let parts = self.partition.as_ref().map(Partition::params).unwrap_or_default();
        let since = self.since.as_ref().map(|since| &since.param);
        let own = since.into_iter().chain(self.valid_at.as_ref().map(|valid_at| &valid_at.param));
        let params: Vec<_> = self.style.params().into_iter().chain(size).chain(parts).chain(own).collect();
        let puts = |wanted: fn(&Param) -> bool| params.iter().any(|param| wanted(param));
        if puts(|param| matches!(param, Param::Body(_))) {
            BodyKind::Json
        } else if puts(|param| matches!(param, Param::Form(_))) {
            BodyKind::Form
        } else {
            BodyKind::Labelled
        }
    }
}

impl Records {
    /// An array at one path, which must be there.
    pub fn at(path: Path) -> Self {
        Self {
            paths: vec![path],
            shape: RecordsShape::Elements,
            presence: Presence::Required,
            encoding: Encoding::None,
            validation: Validation::Structure,
            whitespace: Whitespace::Kept,
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            page_bytes: 64 << 20,
            record_bytes: 16 << 20,
            pages: 1_000_000,
            empty_pages: 100,
            window_bytes: 16 << 20,
            spool_bytes: 1 << 30,
        }
    }
}

impl PageSize {
    /// The size that is asked for: the configured one, else the most that the upstream gives.
    pub fn asked(&self) -> Option<u64> {
        self.value.or(self.max)
    }
}

impl Style {
    /// The style's name in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Single => "none",
            Self::Auto => "auto",
            Self::LinkHeader { .. } => "link_header",
            Self::NextUrl { .. } => "next_url",
            Self::Cursor(_) => "cursor",
            Self::Page { .. } => "page",
            Self::Offset { .. } => "offset",
            Self::Keyset { .. } => "keyset",
            Self::Range { .. } => "range",
        }
    }

    /// Whether each page says where the next one is; otherwise that follows from its number or its last key.
    pub fn is_pointed(&self) -> bool {
        matches!(self, Self::LinkHeader { .. } | Self::NextUrl { .. } | Self::Cursor(_))
    }

    /// Whether pages are addressed by a number, which moves when records before it are added or removed.
    pub fn is_numbered(&self) -> bool {
        matches!(self, Self::Page { .. } | Self::Offset { .. } | Self::Range { .. })
    }

    /// The parameters that something is put into from page to page.
    pub fn params(&self) -> Vec<&Param> {
        match self {
            Self::Page { param, .. } | Self::Offset { param, .. } | Self::Keyset { param, .. } => vec![param],
            Self::Cursor(cursor) => cursor.tokens.iter().map(|token| &token.param).collect(),
            Self::Single | Self::Auto | Self::LinkHeader { .. } | Self::NextUrl { .. } | Self::Range { .. } => {
                Vec::new()
            }
        }
    }

    /// The parameters that name a page and nothing else: one with a template also holds what the collection is asked with.
    pub fn page_params(&self) -> Vec<&Param> {
        match self {
            Self::Page { template: Some(_), .. }
            | Self::Offset { template: Some(_), .. }
            | Self::Cursor(Cursor { template: Some(_), .. }) => Vec::new(),
            style => style.params(),
        }
    }
}
