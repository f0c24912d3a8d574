//! Request: a client's request for a stream, or for the upstream's own answer.

mod accept;
mod accept_encoding;
mod conditions;
mod directive_list;
mod end_wait;
mod freshness;
mod prefer_order;
mod range;
mod snapshot_name;
mod stream_options;
mod trailers;
mod want_digest;

use http::HeaderName;
use url::form_urlencoded;

use crate::config::Config;
use crate::format::{ColumnNamesError, FieldNamesError};

pub use accept::{EndMark, MediaType};
pub use accept_encoding::AcceptEncoding;
pub use conditions::{EntityTag, IfNoneMatch, IfRange};
pub use end_wait::EndWait;
pub use freshness::{Freshness, Otherwise, Reuse, StorePolicy};
pub use prefer_order::PREFER;
pub use range::{Range, RangeSpec};
pub use snapshot_name::{SessionName, SnapshotName};
pub use stream_options::{StreamOptions, View};
pub use trailers::Trailers;
pub use want_digest::WantDigest;

const END_MARKER: &str = "marker";

const WAIT_COMPLETE: &str = "complete";

/// Moment that the stream shall be of (RFC 7089).
pub const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// Names of unpage's own query parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamNames {
    /// Parameter for the format, for clients that can't set `Accept`.
    pub format: String,
    /// Parameter for the id of a snapshot, or the name of a session.
    pub snapshot: String,
    /// Parameter for the key of the record after which the stream begins.
    pub since: String,
    /// Parameter for an end marker; where its first value begins with a digit it is the upstream's own, as json-server's is.
    pub end: String,
    /// Parameter for a wait; where its first value is another than `complete`, a request that is passed on keeps it.
    pub wait: String,
    /// Parameter for the columns of a table.
    pub columns: String,
    /// Parameter for the members of records; none for requests that are passed on, since APIs have parameters of this name.
    pub fields: Option<String>,
}

/// Error in a request for a stream; the upstream is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("unknown format `{format}` in the parameter `{param}`")]
    Format { param: String, format: String },
    #[error("this unpage was built without the format `{format}`")]
    FormatNotBuilt { format: &'static str },
    #[error("the Accept field excludes NDJSON, and the URL names no other format")]
    NotAcceptable,
    #[error("the parameter `{param}` names no snapshot: `{name}`")]
    Snapshot { param: String, name: String },
    #[error("the parameter `{param}` asks for a status, and the URL names no snapshot")]
    StatusOfNone { param: String },
    #[error("the parameter `{param}` asks for the records behind one, and this collection has no `since`")]
    Since { param: String },
    #[error(
        "the parameter `{param}` asks for the records behind one, and the lists of several parents have no common record"
    )]
    SinceOfAll { param: String },
    #[error("the parameter `{param}` names no record: its value is empty")]
    SinceNothing { param: String },
    #[error("unknown kind of end `{end}` in the parameter `{param}`")]
    End { param: String, end: String },
    #[error("an end marker is a line of NDJSON, and the request asks for the format `{format}`")]
    EndOfFormat { format: &'static str },
    #[error("unknown kind of wait `{wait}` in the parameter `{param}`")]
    Wait { param: String, wait: String },
    #[error("the parameter `{param}` names the columns of a table, and the request asks for the format `{format}`")]
    Columns { param: String, format: &'static str },
    #[error("the parameter `{param}` names no columns of a table: {error}")]
    ColumnNames { param: String, error: ColumnNamesError },
    #[error("the parameter `{param}` has several values")]
    Several { param: String },
    #[error("the parameter `{param}` names no members of records: {error}")]
    FieldNames { param: String, error: FieldNamesError },
    #[error("the parameter `{param}` names members of records, and the format `{format}` has columns")]
    FieldsOfTable { param: String, format: &'static str },
    #[error("a stream can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one")]
    Http10,
    #[error(
        "records without all of their members can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one: its length is not known before it was sent"
    )]
    Http10Length,
    #[error("the request refuses a stream without a content coding, and accepts none that is to be had")]
    Coding,
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
            wait: config.wait_param.clone(),
            columns: config.columns_param.clone(),
            fields: Some(config.fields_param.clone()),
        }
    }

    /// Returns the names in requests that are passed on.
    #[must_use]
    pub fn of_pages(self) -> Self {
        Self { fields: None, ..self }
    }

    #[cfg(test)]
    pub(crate) fn usual() -> Self {
        let [format, snapshot, since, end, wait, columns] =
            ["_format", "_snapshot", "_since", "_end", "_wait", "_columns"].map(ToOwned::to_owned);
        Self { format, snapshot, since, end, wait, columns, fields: Some("_fields".to_owned()) }
    }

    /// Returns the pairs of a query that are not unpage's own, as they are spelled.
    pub fn foreign_pairs<'q>(&self, query: &'q str) -> Vec<&'q str> {
        let (mut has_marker, mut has_wait) = (None, None);
        let is_foreign = |pair: &&str| {
            let (name, value) = form_urlencoded::parse(pair.as_bytes()).next().unwrap_or_default();
            if name == self.end.as_str() {
                return !*has_marker.get_or_insert(value == END_MARKER);
            }
            if name == self.wait.as_str() {
                return !*has_wait.get_or_insert(value == WAIT_COMPLETE);
            }
            let always = [&self.format, &self.snapshot, &self.since, &self.columns];
            !always.into_iter().chain(&self.fields).any(|own| name == own.as_str())
        };
        query.split('&').filter(is_foreign).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_parameters_are_found_however_they_are_spelled_and_the_others_keep_their_bytes() {
        let names = ParamNames::usual();
        for (query, foreign) in [
            ("", ""),
            ("a=1&&b", "a=1&&b"),
            ("_format=ndjson&a=%41+b&_%73napshot=1&_since", "a=%41+b"),
            ("_end=marker&x=1&_end=5", "x=1"),
            ("_end=5&x=1&_end=marker", "_end=5&x=1&_end=marker"),
            ("_wait=complete&x=1&_wait=5", "x=1"),
            ("_wait=5&x=1&_wait=complete", "_wait=5&x=1&_wait=complete"),
            ("_format=a&_format=b&_formats=c", "_formats=c"),
            ("_fields=a&x=1", "x=1"),
        ] {
            assert_eq!(names.foreign_pairs(query).join("&"), foreign, "{query}");
        }
        assert_eq!(names.of_pages().foreign_pairs("_format=a&_fields=b"), ["_fields=b"]);
    }
}
