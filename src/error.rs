//! A failed crawl: its cause, the party at fault, and the remedy.

use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

/// Cause of a crawl that broke or could not start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Party at fault.
    pub fault: Fault,
    /// Description of the event, on one line.
    pub message: String,
    /// Remedy, as an instruction to the user or the operator.
    pub hint: String,
    /// Header fields of the upstream's response that a client needs to act on its status, such as `Retry-After`.
    #[serde(with = "fields")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Party at fault, with the kind of the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The upstream answered with this status, for a reason of its own.
    Refused(#[serde(with = "status")] StatusCode),
    /// The upstream answered with this status to what the client asked for, or to its credentials.
    #[serde(rename = "refused_client")]
    RefusedClient(#[serde(with = "status")] StatusCode),
    /// The upstream answered with this status to what the configuration has added to the client's request.
    #[serde(rename = "refused_configuration")]
    RefusedConfiguration(#[serde(with = "status")] StatusCode),
    /// No connection to the upstream.
    Unreachable,
    /// The upstream did not answer in time.
    Timeout,
    /// The upstream's response is no page.
    Upstream,
    /// The collection is configured wrongly.
    Configuration,
    /// The configured credentials yield no token.
    Credentials,
    /// The pages do not prove that the collection is complete.
    Unproven,
    /// Records moved while the collection was read: some may be missing.
    Moved,
    /// The upstream's collection has changed since the crawl began.
    Changed,
    /// The checkpoint of the crawl is unusable: the crawl cannot be resumed.
    Lost,
    /// unpage itself stopped.
    Stopped,
}

impl Failure {
    /// Makes a failure without header fields.
    pub fn new(fault: Fault, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { fault, message: message.into(), hint: hint.into(), headers: Vec::new() }
    }
}

impl Fault {
    /// Returns true for a failure that may be over a moment later, so that a resumed crawl may succeed.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Refused(_)
            | Self::RefusedClient(_)
            | Self::RefusedConfiguration(_)
            | Self::Unreachable
            | Self::Timeout
            | Self::Upstream
            | Self::Credentials
            | Self::Stopped => true,
            Self::Configuration | Self::Unproven | Self::Moved | Self::Changed | Self::Lost => false,
        }
    }

    /// Status with which the upstream refused a page, if it did.
    pub fn refusal(self) -> Option<StatusCode> {
        match self {
            Self::Refused(status) | Self::RefusedClient(status) | Self::RefusedConfiguration(status) => Some(status),
            _ => None,
        }
    }

    /// Returns the name used in problem reports (RFC 9457).
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused(_) | Self::Unreachable | Self::Timeout | Self::Upstream | Self::Changed => "upstream",
            Self::RefusedClient(_) => "client",
            Self::Configuration | Self::RefusedConfiguration(_) | Self::Credentials => "configuration",
            Self::Unproven => "unproven",
            Self::Moved => "moved",
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

/// Serialises a status code as its number.
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

/// Serialises header fields as pairs of strings, one character for each byte of a value.
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
        let faults = [Fault::Refused, Fault::RefusedClient, Fault::RefusedConfiguration];
        let faults = faults.map(|fault| fault(StatusCode::FORBIDDEN)).into_iter();
        for fault in faults.chain([Fault::Unproven, Fault::Moved, Fault::Lost, Fault::Stopped]) {
            let value = HeaderValue::from_bytes(b"a \"quote\" \xff").unwrap();
            let failure = Failure { headers: vec![(RETRY_AFTER, value)], ..Failure::new(fault, "what", "do") };
            let text = serde_json::to_string(&failure).unwrap();
            let read: Failure = serde_json::from_str(&text).unwrap();
            let parts = |failure: Failure| (failure.fault, failure.message, failure.hint, failure.headers);
            assert_eq!(parts(read), parts(failure), "{text}");
        }
    }
}
