//! Request: a client's request for a stream, or for the upstream's own answer.

mod accept;
mod conditions;
mod directive_list;
mod freshness;
mod prefer;
mod range;
mod stream_options;
mod trailers;
mod want_digest;

use http::HeaderName;

use crate::config::Config;

pub use accept::{EndMark, MediaType};
pub use conditions::{EntityTag, IfNoneMatch, IfRange};
pub use freshness::{Freshness, Otherwise, Reuse, StorePolicy};
pub use prefer::PREFER;
pub use range::{Range, RangeSpec};
pub use stream_options::{StreamOptions, View};
pub use trailers::Trailers;
pub use want_digest::WantDigest;

/// Value of the parameter for an end marker.
pub const END_MARKER: &str = "marker";

/// Moment that the stream shall be of (RFC 7089).
pub const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// Names of unpage's own query parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamNames {
    /// Parameter for the format, for clients that can't set `Accept`.
    pub format: String,
    /// Parameter for the id of a snapshot.
    pub snapshot: String,
    /// Parameter for the key of the record after which the stream begins.
    pub since: String,
    /// Parameter for an end marker; with another value than `marker` it is the upstream's own.
    pub end: String,
}

/// Error in a request for a stream; the upstream is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("unknown format `{format}` in the parameter `{param}`")]
    Format { param: String, format: String },
    #[error("the parameter `{param}` names no snapshot: `{name}`")]
    Snapshot { param: String, name: String },
    #[error("the parameter `{param}` asks for a status, and the URL names no snapshot")]
    StatusOfNone { param: String },
    #[error("the parameter `{param}` asks for the records behind one, and this collection has no `since`")]
    Since { param: String },
    #[error("a stream can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one")]
    Http10,
    #[error("the request asks for several ranges of a stream at once")]
    Ranges,
    #[error("the Accept-Datetime field is not a date in the format of HTTP")]
    Datetime,
}

impl ParamNames {
    pub fn new(config: &Config) -> Self {
        Self {
            format: config.format_param.clone(),
            snapshot: config.snapshot_param.clone(),
            since: config.since_param.clone(),
            end: config.end_param.clone(),
        }
    }
}
