//! Addresses of a collection's pages, their records, and the proof of the collection's end: the pure heart of unpage. No IO, no
//! clock, no tasks.

mod aws_refusal;
mod bad_bound;
mod best_verdict;
pub mod children;
mod content_range;
mod cookie_settings;
pub mod detect;
pub mod dot_segments;
mod doubt;
mod end_settings;
mod envelope_names;
pub mod error;
mod error_settings;
mod error_status;
mod error_words;
mod excerpt;
pub mod first_value;
pub(crate) mod followed_advice;
#[cfg(feature = "cli")]
mod greatest_value;
mod json_extract;
pub mod keys;
pub mod link_guard;
pub mod link_header_parser;
mod not_json_hint;
mod object_in_place;
mod opened_state;
pub mod page;
mod page_envelope;
mod page_size_settings;
mod pagination_author;
pub mod partition_settings;
mod partition_value_unit;
pub mod path;
pub mod path_change;
pub mod path_parser;
pub mod plan;
mod proof;
mod record_settings;
mod record_values;
pub mod redirects;
pub mod request;
mod request_params;
pub mod retry;
mod settings;
pub mod since_valid_at;
pub mod splitter;
pub mod styles;
mod unsettled;
mod url_query;
mod value_source;
pub mod verdict;
pub mod windows;

pub use aws_refusal::AwsRefusal;
pub use best_verdict::BestVerdict;
pub use cookie_settings::Cookies;
pub use end_settings::{End, EndStatuses, Limits, LonePage, More, SameToken, UnnamedCounts};
pub use error::{Blame, PageError};
pub use error_settings::{ErrorCondition, ErrorSettings, OwnWords};
pub use error_status::RefusalCause;
pub use error_words::Outlook;
#[cfg(feature = "cli")]
pub(crate) use greatest_value::{GreatestValue, UnorderedValue};
pub(crate) use object_in_place::{KEYED_HINT, ONE_RECORD_HINT};
pub use opened_state::{ClosingRequest, OpenedState};
pub use page_size_settings::PageSize;
pub use pagination_author::PaginationAuthor;
pub use partition_settings::{PartOrder, Partition};
pub use path::Path;
pub use record_settings::{Encoding, OnDouble, Presence, Records, RecordsShape, Validation, Whitespace};
pub use request::{BodyKind, Encode, PageRequest, Param};
pub use settings::{ConsistencyLevel, Pagination};
pub use since_valid_at::{Precondition, Since, TimeFormat, ValidAt, VersionSource};
pub use styles::{
    Advance, Base, Cursor, KeyUse, Keyset, LinkHeader, NextRequest, NextUrl, Offset, Overlap, PageNumber, RangeHeader,
    Style, Template, Token,
};
pub use value_source::Source;
pub use verdict::{Consistency, OnMissed, RecordOrder, Verdict};
pub use windows::Windows;
