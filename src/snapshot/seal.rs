//! How a snapshot ended: complete with its verdict, or failed with its cause.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// How a snapshot ended.
#[derive(Clone, Debug)]
pub enum Seal {
    /// Every record is there.
    Complete(Verdict),
    /// The crawl broke; what is there is a prefix.
    Failed(Arc<Failure>),
}

/// What is known about a complete snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How many records it has.
    pub records: u64,
    /// How many pages they came from.
    pub pages: u64,
    /// What proves the end, as a phrase.
    pub proof: String,
}

/// Why a crawl broke, or could not start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// What happened, on one line.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Header fields of the upstream's that a client needs to act on its status.
    #[serde(with = "fields")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The upstream answered with this status.
    Refused(#[serde(with = "status")] StatusCode),
    /// No connection to the upstream.
    Unreachable,
    /// The upstream did not answer in time.
    Timeout,
    /// What the upstream sent is no page.
    Upstream,
    /// The collection is configured wrongly.
    Configuration,
    /// What came does not prove that the collection is complete.
    Unproven,
    /// The upstream has something else now than what the crawl began with.
    Changed,
    /// What was noted of the crawl is not to be gone on from.
    Lost,
    /// unpage itself stopped.
    Stopped,
}

impl Failure {
    /// A failure without header fields.
    pub fn new(fault: Fault, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: hint.into(), headers: Vec::new() }
    }
}

impl Fault {
    /// Whether what broke a crawl may be over a moment later, so that going on is worth a try.
    pub fn may_pass(self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreachable | Self::Timeout | Self::Upstream | Self::Stopped => true,
            Self::Configuration | Self::Unproven | Self::Changed | Self::Lost => false,
        }
    }

    /// The name by which a problem report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused(_) | Self::Unreachable | Self::Timeout | Self::Upstream | Self::Changed => "upstream",
            Self::Configuration => "configuration",
            Self::Unproven => "unproven",
            Self::Lost | Self::Stopped => "unpage",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let Self { records, pages, proof } = self;
        write!(f, "{records} record{} in {pages} page{}; end proven by {proof}", plural(*records), plural(*pages))
    }
}

/// A status as its number.
mod status {
    use http::StatusCode;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Header fields as pairs of texts, with a character for each byte of a value.
mod fields {
    use http::{HeaderName, HeaderValue};
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    type Fields = Vec<(HeaderName, HeaderValue)>;

    pub(super) fn serialize<S: Serializer>(fields: &Fields, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect::<String>();
        serializer.collect_seq(fields.iter().map(|(name, value)| (name.as_str(), text(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        let fields = Vec::<(String, String)>::deserialize(deserializer)?;
        let bytes =
            |text: &str| text.chars().map(u8::try_from).collect::<Result<Vec<_>, _>>().map_err(D::Error::custom);
        let field = |(name, value): (String, String)| {
            let name = name.parse().map_err(D::Error::custom)?;
            Ok((name, HeaderValue::from_bytes(&bytes(&value)?).map_err(D::Error::custom)?))
        };
        fields.into_iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn a_failure_is_read_as_it_was_written() {
        let faults =
            [Fault::Refused(StatusCode::FORBIDDEN), Fault::Unproven, Fault::Changed, Fault::Lost, Fault::Stopped];
        for fault in faults {
            let value = HeaderValue::from_bytes(b"a \"quote\" \xff").unwrap();
            let failure = Failure { headers: vec![(RETRY_AFTER, value)], ..Failure::new(fault, "what", "do") };
            let text = serde_json::to_string(&failure).unwrap();
            let read: Failure = serde_json::from_str(&text).unwrap();
            let parts = |failure: Failure| (failure.fault, failure.message, failure.hint, failure.headers);
            assert_eq!(parts(read), parts(failure), "{text}");
        }
    }
}
