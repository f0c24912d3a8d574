//! What can be wrong with a page, its address or its end: whose fault it is, and what to do.

use http::StatusCode;

use super::link_guard::BadAddress;
use super::path::Path;
use super::request::{BadPlace, Param};

/// Who has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The paginated API.
    Upstream,
    /// Whoever wrote the collection's configuration.
    Configuration,
    /// unpage itself.
    Unpage,
    /// Nobody is to blame: what is known does not prove that the collection is complete.
    Unproven,
}

/// Why a page can't become records, or why the crawl can't go on from it or end with it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PageError {
    #[error("the page is empty where JSON was expected")]
    EmptyPage,
    #[error("the page isn't JSON at byte {at}: {what}; it starts with `{start}`")]
    NotJson { at: u64, what: String, start: String },
    #[error("the page isn't UTF-8 at byte {0}")]
    NotUtf8(u64),
    #[error("the records' text isn't base64 at byte {at} of the page: {what}")]
    NotBase64 { at: u64, what: String },
    #[error("the page is nested more than {0} deep")]
    TooDeep(usize),
    #[error("the page is larger than {0} bytes")]
    PageTooLarge(u64),
    #[error("record {} is larger than {limit} bytes", .index + 1)]
    RecordTooLarge { index: usize, limit: u64 },
    #[error("the value at `{path}` is larger than {limit} bytes")]
    FieldTooLarge { path: Path, limit: u64 },
    #[error("no record array at {paths}; the page has {arrays}")]
    NoRecords { paths: String, arrays: String },
    #[error("record {} has nothing at `{path}`", .index + 1)]
    NoInner { index: usize, path: Path },
    #[error("`{0}` stands in the page more than once")]
    Duplicate(Path),
    #[error("the value at `{path}` can't be read: {what}")]
    Unreadable { path: Path, what: String },
    #[error("the page changed between two attempts, after {0} of its records had been read")]
    Changed(u64),
    #[error("the page says that it failed or is partial: `{path}` is {value}")]
    ErrorInPage { path: Path, value: String },
    #[error("the page repeats the records of page {0}")]
    Repeat(u64),
    #[error("the next address is that of page {0}")]
    AddressRepeats(u64),
    #[error("the next token is the one that was just sent")]
    TokenRepeats,
    #[error("the next address can't be read from {source_name}: {found}")]
    BadPointer { source_name: String, found: String },
    #[error(transparent)]
    BadLink(#[from] super::link::BadLink),
    #[error(transparent)]
    BadAddress(#[from] BadAddress),
    #[error("`{path}` says that there is more, but the page has no next address")]
    MoreWithoutNext { path: Path },
    #[error("the collection is configured as one page, but {0}")]
    MoreThanOnePage(String),
    #[error("the page has nothing at {configured}, but {live}")]
    PointerElsewhere { configured: String, live: String },
    #[error("{records} records came, and the upstream's total is {total}")]
    TotalDisagrees { records: u64, total: u64 },
    #[error("the upstream's total shrank from {before} to {after}")]
    TotalShrank { before: u64, after: u64 },
    #[error("the page would be the end, but a page behind it, which was asked for ahead, has {records} records")]
    RecordsBehindTheEnd { records: u64 },
    #[error("more records follow after the upstream's total of {0}")]
    TotalLied(u64),
    #[error("{pages} pages came, and the upstream says {total_pages}")]
    PagesDisagree { pages: u64, total_pages: u64 },
    #[error("{source_name} should be a whole number: {found}")]
    NotANumber { source_name: String, found: String },
    #[error("the last record has nothing at `{0}`")]
    NoKey(Path),
    #[error("the last record's key is the one that was just sent")]
    KeyRepeats,
    #[error("the last record's key is shared by another record")]
    KeyIsShared,
    #[error("a record of page {0} stands in this page too: records were inserted before it while the pages were read")]
    Moved(u64),
    #[error("`{0}` is of another type than the value that it is compared with")]
    BadFlag(Path),
    #[error("no page had anything at `{0}`")]
    NeverSeen(Path),
    #[error("the answer to a range request: {0}")]
    BadRange(String),
    #[error("{name} = {value} is reached, and the end is not proven")]
    Limit { name: &'static str, value: u64 },
    #[error("{0} pages without a record came in a row")]
    EmptyPages(u64),
    #[error("the upstream answered {status}")]
    Status { status: StatusCode, excerpt: String },
    #[error("the page had begun to come, and when it was asked for again the upstream answered {0}")]
    Gone(StatusCode),
    #[error("the next value can't be put into the request")]
    BadPlace(#[from] BadPlace),
    #[error("the parameter {0} should be a whole number in the request")]
    BadStart(Param),
    #[error("a record has nothing at `{0}`, by which the collection is cut into parts")]
    NoRangeValue(Path),
    #[error("`{path}`, by which the collection is cut into parts, should be {kind}: {found}")]
    BadRangeValue { path: Path, kind: &'static str, found: String },
    #[error("the records are not sorted by `{path}` as configured: {after} came after {before}")]
    OutOfOrder { path: Path, before: String, after: String },
    #[error("a record lies outside of the range that was asked for: its `{path}` is {found}")]
    OutOfRange { path: Path, found: String },
    #[error(
        "two parts of the collection don't meet: the records whose `{path}` is {skipped} came in one and are missing in the other"
    )]
    PartsApart { path: Path, skipped: String },
    #[error("part {part} of the collection starts with the same page as part {twin}")]
    PartsAlike { part: u64, twin: u64 },
    #[error("the first page has nothing at {0}, by which the collection's state is known")]
    NoVersion(String),
    #[error("the collection changed while its pages were read: it is not the one of the first page any more")]
    CollectionChanged,
    #[error("what was noted of the pages before is not to be gone on from: {0}")]
    BadCheckpoint(String),
    #[error("the pagination was not recognised: {}", .0.join("; "))]
    Unrecognised(Vec<String>),
}

impl PageError {
    /// Who has to do something about it.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NoInner { .. }
            | Self::MoreThanOnePage(_)
            | Self::PointerElsewhere { .. }
            | Self::NoKey(_)
            | Self::KeyIsShared
            | Self::BadFlag(_)
            | Self::NeverSeen(_)
            | Self::BadPlace(_)
            | Self::BadStart(_)
            | Self::NoRangeValue(_)
            | Self::BadRangeValue { .. }
            | Self::OutOfOrder { .. }
            | Self::OutOfRange { .. }
            | Self::NoVersion(_)
            | Self::PartsAlike { .. } => Blame::Configuration,
            Self::TotalDisagrees { .. }
            | Self::TotalShrank { .. }
            | Self::TotalLied(_)
            | Self::RecordsBehindTheEnd { .. }
            | Self::Moved(_)
            | Self::Changed(_)
            | Self::Gone(_)
            | Self::PagesDisagree { .. }
            | Self::MoreWithoutNext { .. }
            | Self::PartsApart { .. }
            | Self::Unrecognised(_)
            | Self::Limit { .. } => Blame::Unproven,
            Self::BadCheckpoint(_) => Blame::Unpage,
            _ => Blame::Upstream,
        }
    }

    /// Whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::EmptyPage | Self::NotJson { .. } | Self::NotUtf8(_) | Self::NotBase64 { .. })
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotUtf8(_) => "JSON is UTF-8 (RFC 8259 §8.1): the upstream must send it so",
            Self::EmptyPage | Self::NotJson { .. } => {
                "ask the upstream for the same URL with `Accept: application/json` and look at what comes; an HTML page is often a login or an error page"
            }
            Self::NotBase64 { .. } => {
                "check `encoding` in the configuration: the records' place must hold base64 (RFC 4648 §4)"
            }
            Self::TooDeep(_) => "the upstream's page is not one that unpage reads",
            Self::PageTooLarge(_) => "ask for smaller pages (page_size), or raise caps.page",
            Self::RecordTooLarge { .. } => "raise caps.record",
            Self::FieldTooLarge { .. } => {
                "a configured path names a token, URL, number, flag or a few links, of 256 KiB and caps.record at most: correct it"
            }
            Self::NoRecords { .. } => {
                "set `records` to the array that holds them; if this is how the upstream reports an error under status 200, set error_path to where it stands; only if a page without records leaves the array out, set records_optional = true"
            }
            Self::NoInner { .. } => {
                "correct what stands after [*] in `records`; if it is null where there is no record, set records_optional = true"
            }
            Self::Duplicate(_) => "the upstream's page is ambiguous; report it there",
            Self::Unreadable { .. } => {
                "the upstream cuts characters in two (a lone surrogate is no Unicode); report it there, or configure another value"
            }
            Self::ErrorInPage { .. } => {
                "the upstream reported this under status 200; see its documentation; where its pages are whole in spite of it, set error_path = false"
            }
            Self::Repeat(_) | Self::AddressRepeats(_) | Self::TokenRepeats | Self::KeyRepeats => {
                "the upstream ignores the parameter or walks in a circle: check `pagination` (param, key, type); where an unchanged token means the end, set same_token = \"end\""
            }
            Self::BadPointer { .. } => "check `next` in `pagination`",
            Self::BadLink(_) => "report it to the upstream, or use another style of pagination",
            Self::BadAddress(_) => {
                "if the upstream is also known by that origin, add it to upstream_aliases; otherwise the link must not be followed"
            }
            Self::MoreWithoutNext { .. } => "check `next` and `more` in `pagination`",
            Self::MoreThanOnePage(_) => "set `pagination` to the style that the upstream uses",
            Self::PointerElsewhere { .. } => "correct `next` in `pagination`",
            Self::TotalDisagrees { .. } | Self::PagesDisagree { .. } | Self::TotalLied(_) => {
                "records were added or removed while the pages were read, or `pagination` ends too early, or a range `partition` leaves out records without its field, or the number isn't the collection's size: in that case take it out of `total` / `total_pages`"
            }
            Self::RecordsBehindTheEnd { .. } => {
                "the upstream gives empty or short pages between full ones: say where its total stands (total, total_pages) or what flag it has (more), or ask it for a cursor"
            }
            Self::TotalShrank { .. } => {
                "records were removed while the pages were read, and numbered pages then skip others: read again, or use a cursor or key if the upstream has one"
            }
            Self::NotANumber { .. } => "correct or take out the path in the configuration",
            Self::NoKey(_) => "correct `key` in `pagination`",
            Self::KeyIsShared => {
                "a key that several records share loses or doubles them where a page ends between them: use one that is unique"
            }
            Self::Moved(_) => {
                "numbered pages double and skip records when others are inserted: read again, or use a cursor or key, or an order in which new records come last"
            }
            Self::Changed(_) => {
                "the upstream broke off in the middle of the page, and gave another one when it was asked again: ask again, for smaller pages if that happens often"
            }
            Self::Gone(_) => {
                "this status would end the collection, but the page was there a moment ago: ask again, and if that doesn't help look at what the upstream sends for the page"
            }
            Self::BadFlag(_) => "write `while` as the upstream writes the flag: true, 1 or \"true\"",
            Self::NeverSeen(_) => "correct the path of `more` in `pagination`, or take it out",
            Self::BadRange(_) => "check `unit` in `pagination`",
            Self::Limit { .. } => {
                "this is a cap, not the end: narrow the request with the upstream's own filters, or raise the cap if it is unpage's"
            }
            Self::EmptyPages(_) => "raise caps.empty_pages if this is normal for the upstream",
            Self::Status { status, .. } => status_hint(*status),
            Self::BadPlace(_) | Self::BadStart(_) => "correct `param` in `pagination`",
            Self::NoRangeValue(_) => {
                "correct `field` in `partition`: every record must have it, since a record without it belongs to no part"
            }
            Self::BadRangeValue { .. } => "correct `kind` or `field` in `partition`",
            Self::OutOfOrder { .. } => {
                "correct `order` in `partition`, and ask the upstream to sort by that field; if it can't, take `partition` out"
            }
            Self::OutOfRange { .. } => {
                "the upstream ignores the parameters of the range or reads them otherwise: correct `from`, `to` and `kind` in `partition`"
            }
            Self::PartsApart { .. } => {
                "records were inserted while they were read, or the upstream's range filter leaves out more than its bounds: read again, and if that doesn't help correct `kind` in `partition` or take it out"
            }
            Self::PartsAlike { .. } => {
                "the upstream ignores the parameter that tells the parts apart: correct `param` or `segment` in `partition`; where parts share records, they would be doubled: take `partition` out"
            }
            Self::NoVersion(_) => "correct `from` in `valid_at`, or take valid_at out",
            Self::CollectionChanged => "ask again, for the collection as it is now",
            Self::BadCheckpoint(_) => "ask again, for a snapshot of its own",
            Self::Unrecognised(_) => {
                "set `records` and `pagination` for it (a [[collection]], or --records and --pagination); `none` says that one page is all there is"
            }
        }
    }
}

/// Returns the start of a text that came from outside, fit for one line of a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn status_hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        301..=308 => "redirects are not followed: use the address it points to (upstream, upstream_path)",
        401 | 403 => "send the credentials that the upstream asks for, or configure `credentials`",
        404 | 410 => {
            "check the path; if this status is how the upstream says that a page lies past the last, set end = { status = 404 }"
        }
        406 => "set `accept` to a media type that the upstream offers",
        408 | 429 | 500..=599 => {
            "the upstream kept failing, or demands a longer wait than retry.cap: try later, or raise retry.attempts or retry.cap"
        }
        _ => {
            "see the upstream's documentation for this status; if it marks the page past the last, set end = { status = … }"
        }
    }
}
