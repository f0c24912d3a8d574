//! Errors of a page, its address or the proof of its end. Each variant stands with its message, who must act, and a hint.

use http::StatusCode;

use super::error_status::{RefusalCause, status_hint};
use super::error_words::Outlook;
pub(super) use super::excerpt::{excerpt, start_of};
use super::link_guard::{ALIAS_HINT, BadAddress};
use super::not_json_hint::{BAD_TEXT_HINT, NOT_JSON_HINT, not_json_hint};
use super::object_in_place::{KEYED_HINT, ObjectInPlace};
use super::path::Path;
use super::request::{BadPlace, Param};
use super::unsettled::Unsettled;

/// The party that must act on an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The paginated API.
    Upstream,
    /// The author of the collection's configuration.
    Configuration,
    /// unpage itself.
    Unpage,
    /// No party is at fault: the known facts don't prove that the collection is complete.
    Unproven,
    /// No party is at fault: the collection changed while it was read, and records may be missing.
    Moved,
}

/// Hint for a page that shares a record with the one before.
pub const SHARED_RECORD_HINT: &str = "key = \"id\", or the field that identifies a record, drops what comes twice; without it either the upstream's cursor gives a record twice, or records were inserted before this page during the crawl, and unpage does not guess which; consistency = \"none\" compares nothing";
const MOVED_HINT: &str = "the list changed during the crawl, and numbered pages then double and skip records: consistency = \"repair\" with a `key` reads again what moved, \"verify\" reads all until two reads are equal; or crawl again, or use a cursor or key if the upstream has one";
const IGNORED_HINT: &str = "the upstream ignores the parameter, counts from another number than `start`, or gives its last page for each later one: correct `pagination.param` by the upstream's documentation; for its end, its total (total, total_pages) or its flag (more); a keyset whose upstream looks the record up needs anchor = \"looked_up\"";
const CYCLE_HINT: &str = "the upstream ignores the parameter, or its pages form a cycle: check `pagination` (param, key, type); where the last page leads to itself, set same_token = \"end\", which asks for such a page once more to be sure";
const COUNT_HINT: &str = "if the list changed during the crawl, consistency = \"repair\" or \"verify\" with a `key` heeds that; if records are missing in each crawl, `pagination` begins too late (start) or ends too early (end), or a range `partition` leaves out records without its field; if the number isn't the collection's size, take it out of `total` / `total_pages`";

/// Defines [`PageError`] from one entry a variant: its message, its name and fields, its [`Blame`] and its hint.
macro_rules! page_errors {
    (
        $(#[$attribute:meta])*
        pub enum PageError {
            $(#[error $message:tt] $name:ident $({ $($named:tt)* })? $(( $($unnamed:tt)* ))? => $blame:ident, $hint:expr;)*
        }
    ) => {
        $(#[$attribute])*
        pub enum PageError {
            $(#[error $message] $name $({ $($named)* })? $(( $($unnamed)* ))?,)*
        }

        impl PageError {
            pub fn blame(&self) -> Blame {
                match self { $(Self::$name { .. } => Blame::$blame,)* }
            }

            fn usual_hint(&self) -> &'static str {
                match self { $(Self::$name { .. } => $hint,)* }
            }
        }
    };
}

page_errors! {
    /// A page can't become records, or the crawl can't continue behind it or end with it.
    #[derive(Clone, Debug, thiserror::Error)]
    pub enum PageError {
        #[error("the page is empty where {0} was expected")]
        EmptyPage(&'static str) => Upstream, NOT_JSON_HINT;
        #[error("the page isn't JSON at byte {at}: {what}; {shown}")]
        NotJson { at: u64, what: String, shown: String } => Upstream, NOT_JSON_HINT;
        #[error("the page is markup, as HTML is, and no JSON; {shown}")]
        Markup { shown: String } => Upstream, NOT_JSON_HINT;
        #[error("the page isn't {encoding} that unpage reads, at byte {at}: {what}; {shown}")]
        BadText { encoding: &'static str, at: u64, what: String, shown: String } => Upstream, BAD_TEXT_HINT;
        #[error("the columns are {found}, and those of the first page {first}")]
        ColumnsChanged { first: String, found: String } => Upstream, "records of other columns are no records of one list: ask for the columns by their names, if the upstream can, or crawl again if it was changed meanwhile";
        #[error("the first page has one line and no rows below it, as an error message has")]
        NoRows => Unproven, "if the list may be empty, set records_optional = true, with which a Content-Type of CSV is asked for";
        #[error("the page isn't UTF-8 at byte {0}")]
        NotUtf8(u64) => Upstream, "pages must be UTF-8, as JSON is (RFC 8259 §8.1): the upstream must send it so, as for an `accept` with charset=utf-8";
        #[error("the records' text isn't base64 at byte {at} of the page: {what}")]
        NotBase64 { at: u64, what: String } => Upstream, "check `encoding` in the configuration: the value at `records` must be base64 (RFC 4648 §4)";
        #[error("the page is nested more than {0} deep")]
        TooDeep(usize) => Upstream, "unpage reads no deeper page; ask the upstream for a flatter one";
        #[error("the page is larger than {0} bytes")]
        PageTooLarge(u64) => Upstream, "ask for smaller pages (page_size), or raise caps.page";
        #[error("the page is larger than {0} bytes, and has to be held as a whole")]
        WholePageTooLarge(u64) => Upstream, "a page is held as a whole where its pagination is to be recognised, or where values behind its records say what they are: configure `pagination` and `records`, ask for smaller pages (page_size), or set caps.page";
        #[error("{0} bytes of the page came, and no record ended in them")]
        GapTooLarge(u64) => Upstream, "the page does not seem to end; if it has so many bytes without a record, raise caps.gap";
        #[error("record {} is larger than {limit} bytes", .index + 1)]
        RecordTooLarge { index: usize, limit: u64 } => Upstream, "raise caps.record";
        #[error("the value at `{path}` is larger than {limit} bytes")]
        FieldTooLarge { path: Path, limit: u64 } => Upstream, "a configured path names a token, URL, number, flag or a few links, of 256 KiB and caps.record at most: correct it";
        #[error("no record array at {paths}; the page has {arrays}")]
        NoRecords { paths: String, arrays: String } => Upstream, "set `records` to the array that holds them; if this is how the upstream reports an error under status 200, set error_path to its place; only if a page without records leaves the array out, set records_optional = true";
        #[error("no record array at {paths}; the page has {object}")]
        NotAnArray { paths: String, object: ObjectInPlace } => Upstream, KEYED_HINT;
        #[error("the records are null on a page that leads on, where earlier pages had arrays")]
        NullRecords => Upstream, "records are missing there: report it to the upstream; only if null is how it writes an empty page, set records_optional = true";
        #[error("the columns have different lengths: {0}")]
        UnevenColumns(String) => Upstream, "report it to the upstream: values of different records would be put together";
        #[error("record {} has nothing at `{path}`", .index + 1)]
        NoInner { index: usize, path: Path } => Configuration, "correct the part of `records` after [*]; if it is null where there is no record, set records_optional = true";
        #[error("`{0}` stands in the page more than once")]
        Duplicate(Path) => Upstream, "the upstream's page is ambiguous; report it there";
        #[error("the value at `{path}` can't be read: {what}")]
        Unreadable { path: Path, what: String } => Upstream, "the upstream cuts characters in two (a lone surrogate is no Unicode); report it there, or configure another value";
        #[error("the page changed between two attempts, after {0} of its records had been read")]
        Changed(u64) => Unproven, "the upstream broke off in the middle of the page, and sent another page when it was requested again: retry, with smaller pages (page_size) if that happens often";
        #[error("the page says that it failed or is partial: `{path}` is {value}")]
        ErrorInPage { path: Path, value: String, outlook: Outlook } => Upstream,
            "the upstream reported this under status 200; see its documentation; where such pages are good, name their values: error_path = { path = …, ok = […] }, or set error_path = false";
        #[error("the page is empty, and asks to come again later (Retry-After)")]
        NotYet => Upstream, "the upstream was not ready, or refuses more requests for now: fetch the collection again later, with a lower rate";
        #[error("the upstream answered 204 No Content where a page was expected")]
        NoContent => Upstream, "if that is how it answers past its last page, set end = { status = 204 } in `pagination`; if it is a page without records, set records_optional = true";
        #[error("the page's lines end where its connection does, so that a broken page looks like a whole one")]
        Undelimited => Upstream, "lines are read of answers with a length or in chunks, or over HTTP/2: ask the upstream for those, or for one JSON text a page";
        #[error("{records} records came, and {place} is {number}")]
        CountContradicts { place: String, number: u64, records: u64 } => Unproven,
            "the upstream gives fewer records than it counts: its limit was reached, a page was lost, or `pagination` begins too late (start) or ends too early (end); if this number doesn't count the collection's records, set total to the one that does, or total = false";
        #[error("the page repeats the records of page {page}{}", super::excerpt::ignored(.param.as_ref()))]
        Repeat { page: u64, param: Option<Param> } => Upstream, CYCLE_HINT;
        #[error("the next address is that of page {0}")]
        AddressRepeats(u64) => Upstream, CYCLE_HINT;
        #[error("the next token is the one that was just sent{}", super::excerpt::ignored(.0.as_ref()))]
        TokenRepeats(Option<Param>) => Upstream,
            "check `pagination.param`: the upstream may ignore it; a token that is the same on every page is a handle for a place that the upstream keeps itself (a scroll), set same_token = \"again\" in `pagination` for it; where the last page alone leads to itself, set same_token = \"end\"";
        #[error("the next token is the one that was just sent, and the page behind it had other records{}", super::excerpt::ignored(.0.as_ref()))]
        HandleRepeats(Option<Param>) => Upstream,
            "the token names no place that could be asked for twice: the upstream keeps the place itself (a scroll): set same_token = \"again\" in `pagination`, or use another way of the upstream's, as page numbers or a key";
        #[error("the next address can't be read from {source_name}: {found}")]
        BadPointer { source_name: String, found: String } => Upstream, "check `pagination.next`";
        #[error(transparent)]
        BadLink(#[from] super::link_header_parser::BadLink) => Upstream, "report it to the upstream, or use another style of pagination";
        #[error("the Link header has the relation `{0}`, which is none (RFC 8288 §3.3), and may be the link to the next page")]
        ImpossibleRelation(String) => Upstream,
            "report it to the upstream; if this is its link to the next page, set rel = \"…\" in `pagination` to the text as it stands there, else use another style of pagination";
        #[error("the Link header has two links with rel={0}, to different addresses")]
        TwoNextLinks(String) => Upstream,
            "if one of them is another format's, choose by a parameter of the link: link_attr = { type = \"application/json\" } in `pagination`; else the upstream is ambiguous: report it there";
        #[error(transparent)]
        BadAddress(#[from] BadAddress) => Upstream, ALIAS_HINT;
        #[error("`{path}` says that there is more, but nothing in the page leads on")]
        MoreWithoutNext { path: Path } => Unproven,
            "check `pagination.more`, which may mean something else; where pages have a next address or token, check `pagination.next`";
        #[error("the page would be the end, but {0}")]
        NotTheLast(String) => Unproven, "the upstream names a later page: its flag (more), its next address or `end` may mean something else, or pages were lost; if this number isn't that of the last page, set total = false";
        #[error("the collection is configured as one page, but {0}")]
        MoreThanOnePage(String) => Configuration, "set `pagination` to the style that the upstream uses";
        #[error("the page has nothing at {configured}, but {live}")]
        PointerElsewhere { configured: String, live: String } => Configuration,
            "correct `pagination.next`; where pages have their next address in one of several places, it takes a list of them";
        #[error("{records} records came, and the upstream's total is {total}")]
        TotalDisagrees { records: u64, total: u64 } => Unproven, COUNT_HINT;
        #[error("the upstream's total shrank from {before} to {after}")]
        TotalShrank { before: u64, after: u64 } => Moved, MOVED_HINT;
        #[error("the upstream's number of pages shrank from {before} to {after}")]
        PagesShrank { before: u64, after: u64 } => Moved, MOVED_HINT;
        #[error("the page would be the end, but a page behind it has {records} records")]
        RecordsBehindTheEnd { records: u64 } => Unproven,
            "the upstream gives empty or short pages between full ones: configure its total (total, total_pages) or its flag (more), or use a cursor";
        #[error("more records follow after the upstream's total of {0}")]
        TotalLied(u64) => Unproven, COUNT_HINT;
        #[error("{pages} pages came, and the upstream says {total_pages}")]
        PagesDisagree { pages: u64, total_pages: u64 } => Unproven, COUNT_HINT;
        #[error("{source_name} should be a whole number: {found}")]
        NotANumber { source_name: String, found: String } => Upstream, "correct or take out the path in the configuration";
        #[error("the last record has nothing at `{0}`")]
        NoKey(Path) => Configuration, "correct `pagination.key`";
        #[error("no record of the page has anything at `{0}`")]
        KeyNowhere(Path) => Configuration, "correct `key`: it names the field that identifies a record; where records have none, take it out";
        #[error("the last record's key is the one that was just sent, as if the upstream ignored {0}")]
        KeyRepeats(Param) => Upstream, "check `pagination.param` and `pagination.key` by the upstream's documentation; where the list has one record, its total or a page_size above 1 shows that";
        #[error("the last record's key is shared by another record")]
        KeyIsShared => Configuration, "a key that several records share loses or doubles them where a page ends between them: use a unique key";
        #[error("two records of the page have the same {paths}, {key}, behind which a next page would begin")]
        KeyTies { paths: String, key: String } => Configuration,
            "records that share a key are lost where a page ends between them: name a unique one as `pagination.key`, or several that are unique together, if the upstream takes them";
        #[error("the keys at `{path}` are in no order: {after} came after {before}, against the direction of those before them")]
        KeyFalls { path: Path, before: String, after: String } => Configuration,
            "the upstream does not sort by this key, so that a page behind it may leave records out: ask it to sort by it; only if it looks up the record that has the key, instead of comparing, set anchor = \"looked_up\" in `pagination`";
        #[error("the records behind which the list could be read on are gone; {0} records had come")]
        KeysGone(u64) => Moved,
            "many records were removed during the crawl: crawl again; if the upstream compares keys instead of looking records up, set anchor = \"compared\" in `pagination`";
        #[error(transparent)]
        Unsettled(#[from] Unsettled) => Configuration, "";
        #[error("a record of page {0} stands in this page too: records were inserted before it during the crawl")]
        Moved(u64) => Moved, MOVED_HINT;
        #[error("the page begins with the record that the page before ended with: both have the same bytes, and one `{member}`")]
        SharesRecord { member: &'static str } => Unproven, SHARED_RECORD_HINT;
        #[error("the record with the key {key} came before, and not at the end of the page before: the upstream's order isn't one, or records moved during the crawl")]
        NoOrder { key: String } => Unproven,
            "ask the upstream to sort by a unique field, often the id: records that are equal in its order come in another order on each page, some twice and others never; on_double = \"drop\" leaves doubles out, and on_missed decides on the verdict `moved`";
        #[error("the record with the key {key} came before, in this part of the collection or in another")]
        DoubleInParts { key: String } => Unproven,
            "parts that share records double them: correct `partition`, or take it out; a record that changes its part during the crawl comes twice, too: on_double = \"drop\" keeps the first, and on_missed decides on the verdict `moved`";
        #[error("the record with the key {key} came twice, and has other bytes now")]
        DoubleChanged { key: String } => Unproven,
            "it changed during the crawl, or several records share the value at `key`: name a unique one; on_double = \"drop\" keeps the first, and on_missed decides on the verdict `moved`";
        #[error("the keys of earlier records can't be read again: {0}")]
        KeysLost(String) => Unpage, "check the folder for temporary files (TMPDIR), and crawl again";
        #[error("{0} requests did not find where the list goes on: it changes faster than it can be read, or the upstream's answers contradict each other")]
        Drifted(u64) => Moved,
            "crawl again when fewer records are added and removed, ask for larger pages (page_size), or use a cursor or key if the upstream has one; consistency = \"detect\" spends nothing on moved records";
        #[error("none of the {0} records that had come is where the collection is read on")]
        Vanished(u64) => Moved,
            "the records before this page were removed meanwhile, or the upstream answers with another collection: crawl again; consistency = \"detect\" does not look for them";
        #[error("the upstream answered {status} for a page that begins with known records")]
        SharedRefused { status: StatusCode, excerpt: String } => Upstream,
            "see the upstream's documentation for this status; if it refuses the number of the page, consistency = \"detect\" asks for no known records";
        #[error("the last page ends with record {reach} of the list, and the upstream's total is {total}")]
        ReachDisagrees { reach: u64, total: u64 } => Unproven,
            "records were added or removed as the last page was read, or the upstream's pages leave records out that its numbers count: crawl again, or set consistency = \"detect\", which counts records alone; if the number isn't the collection's size, take it out of `total`";
        #[error("`{0}` is of another type than the value that it is compared with")]
        BadFlag(Path) => Configuration, "write `while` as the upstream writes the flag: true, 1 or \"true\"";
        #[error("no page had anything at `{0}`")]
        NeverSeen(Path) => Configuration, "correct the path of `pagination.more`, or take it out";
        #[error("the answer to a range request: {0}")]
        BadRange(String) => Upstream, "check `pagination.unit`";
        #[error("{name} = {value} is reached, and the end is not proven")]
        Limit { name: &'static str, value: u64 } => Unproven,
            "this is a cap, not the end: narrow the request with the upstream's own filters, cut the collection into parts below it (partition), or raise the cap if it is unpage's";
        #[error("{0} pages without a record came in a row")]
        EmptyPages(u64) => Upstream,
            "if the upstream leads on from its last page and an empty page is its end, set end = \"empty_page\" in `pagination`; if it gives so many empty pages between others, raise caps.empty_pages";
        #[error("the upstream answered {status}")]
        Status { status: StatusCode, cause: RefusalCause, excerpt: String } => Upstream,
            "see the upstream's documentation for this status; if it marks the page past the last, set end = { status = … }";
        #[error("the upstream answered {status}, {why}")]
        Redirect { status: StatusCode, why: super::redirects::BadRedirect } => Upstream, "";
        #[error("the first page was redirected to `{0}`, and the list there is empty")]
        EmptyElsewhere(String) => Unproven,
            "it may be another list, or that of a caller who is not logged in: check the credentials; if the path is right, write it in the URL of the collection (serve: upstream_path)";
        #[error("the page had begun to arrive, and when it was requested again the upstream answered {0}")]
        Gone(StatusCode) => Unproven, "this status would end the collection, but the page was there a moment ago: retry, and if that doesn't help read the upstream's answer for the page";
        #[error("the next value can't be put into the request")]
        BadPlace(#[from] BadPlace) => Configuration, "correct `pagination.param`";
        #[error("the parameter {0} should be a whole number in the request")]
        BadStart(Param) => Configuration, "correct `pagination.param`";
        #[error("a record has nothing at `{0}`, by which the collection is cut into parts")]
        NoRangeValue(Path) => Configuration, "correct `field` of `partition` or `windows`: every record must have it, since a record without it belongs to no part";
        #[error("`{path}`, by which the collection is read in parts, should be {kind}: {found}")]
        BadRangeValue { path: Path, kind: &'static str, found: String } => Configuration, "correct `kind` or `field` of `partition` or `windows`";
        #[error("the records are not sorted by `{path}` as configured: {after} came after {before}")]
        OutOfOrder { path: Path, before: String, after: String } => Configuration,
            "correct `partition.order`, and ask the upstream to sort by that field; if it can't, take `partition` out";
        #[error("a record lies outside of the range that was asked for: its `{path}` is {found}")]
        OutOfRange { path: Path, found: String } => Configuration,
            "the upstream ignores the parameters of the range or reads them otherwise: correct `from`, `to` and `kind` of `partition` or `windows`";
        #[error("two parts of the collection don't meet: the records whose `{path}` is {skipped} came in one and are missing in the other")]
        PartsApart { path: Path, skipped: String } => Unproven,
            "records were inserted during the crawl, or the upstream's range filter leaves out more than its bounds: crawl again, and if that doesn't help correct `partition.kind` or take it out";
        #[error("part {part} of the collection starts with the same page as part {twin}")]
        PartsAlike { part: u64, twin: u64 } => Configuration,
            "the upstream ignores the parameter that tells the parts apart: correct `partition.param` or `partition.segment`; where parts share records, they would be doubled: take `partition` out";
        #[error("the first page has nothing at {0}, by which the collection's state is known")]
        NoVersion(String) => Configuration, "correct `valid_at.from`, or take valid_at out";
        #[error("the upstream answered {0}, as if the state of the collection that was opened for the crawl were gone")]
        StateGone(StatusCode) => Upstream, "ask the upstream to keep it for longer, by its path and merge in `valid_at.from`, and crawl again";
        #[error("consistency = \"upstream\" asks for one state of the collection, and {0}")]
        NoState(String) => Unproven,
            "name a state that the upstream keeps (valid_at), or set another consistency: \"verify\" reads the list until two reads are equal and \"repair\" reads what moved again, both with `key`; \"detect\" takes pages of different moments";
        #[error("the collection changed during the crawl: it is not in the state of the first page any more")]
        CollectionChanged => Upstream, "crawl again, for the collection as it is now";
        #[error("the checkpoint of the pages before can't be resumed: {0}")]
        BadCheckpoint(String) => Unpage, "request the collection again, for a new snapshot";
        #[error("one page, and nothing shows that it is the whole collection")]
        LonePage => Unproven, "single_page = \"accept\" takes it for all there is; else set `records` and `pagination`";
        #[error("the pagination was not recognised: {}", .0.join("; "))]
        Unrecognised(Vec<String>) => Unproven, "set `records` and `pagination` for it; where one page is all there is, pagination = \"none\", or single_page = \"accept\"";
    }
}

impl PageError {
    /// Returns whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        let is_no_json = matches!(self, Self::NotJson { .. } | Self::Markup { .. } | Self::BadText { .. });
        match self {
            Self::EmptyPage(_) | Self::NotUtf8(_) | Self::NotBase64 { .. } => true,
            Self::ErrorInPage { outlook, .. } => *outlook == Outlook::MayPass,
            _ => is_no_json,
        }
    }

    pub fn hint(&self) -> &'static str {
        match self {
            Self::Status { status, cause, .. } => status_hint(*status, *cause).unwrap_or(self.usual_hint()),
            Self::Redirect { why, .. } => why.hint(),
            Self::NotAnArray { object, .. } => object.hint(),
            Self::Unsettled(why) => why.hint(),
            Self::EmptyPage("XML" | "CSV") => BAD_TEXT_HINT,
            Self::NotJson { what, shown, .. } => not_json_hint(what, shown),
            Self::Repeat { param: Some(_), .. } => IGNORED_HINT,
            _ => self.usual_hint(),
        }
    }
}
