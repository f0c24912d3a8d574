//! The answer of a token endpoint: a token and its lifetime, or the endpoint's own error.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::error::TokenErrorCause;
use crate::config::TokenSettings;
use crate::pagination::Source;

/// Most characters of an endpoint's text in a message.
const EXCERPT: usize = 200;

/// Tokens of an answer.
pub(super) struct TokenAnswer {
    pub(super) access: String,
    pub(super) lifetime: Option<Duration>,
    /// Refresh token that replaces the one before (RFC 6749 §6).
    pub(super) refresh: Option<String>,
}

/// Reads an answer. The description of a failure may repeat secrets.
pub(super) fn read(
    settings: &TokenSettings,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<TokenAnswer, (TokenErrorCause, String)> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = json.get("error").and_then(Value::as_str);
    let access = match &settings.access {
        Source::Header(name) => headers.get(name).and_then(|value| value.to_str().ok()),
        Source::Body(path) => path.of_value(&json).and_then(Value::as_str),
        Source::Links { .. } | Source::LastLink { .. } => None,
    };
    let access = access.filter(|access| !access.is_empty());
    match access {
        // Some servers tell an error with 200.
        Some(access) if status.is_success() && error.is_none() => Ok(TokenAnswer {
            access: access.to_owned(),
            lifetime: settings.expires_in.of_value(&json).and_then(seconds).or(settings.lifetime),
            refresh: json.get("refresh_token").and_then(Value::as_str).map(ToOwned::to_owned),
        }),
        None if status.is_success() && error.is_none() => {
            let kind = if json.is_null() { "no JSON" } else { "JSON" };
            Err((TokenErrorCause::Answer, format!("no token at {} of its answer, which is {kind}", settings.access)))
        }
        _ => Err((cause(status, error), refusal(status, error, &json))),
    }
}

/// Reads a number of seconds, also one that is spelled as a string. Zero says that the lifetime is not known.
fn seconds(value: &Value) -> Option<Duration> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Cause of a refusal, by its code (RFC 6749 §5.2) or its status.
fn cause(status: StatusCode, error: Option<&str>) -> TokenErrorCause {
    match (error, status.as_u16()) {
        (Some("temporarily_unavailable" | "server_error" | "slow_down"), _) => TokenErrorCause::Unavailable,
        (Some("invalid_client" | "unauthorized_client"), _) => TokenErrorCause::Client,
        (Some("invalid_grant"), _) => TokenErrorCause::Grant,
        (Some(_), 200..=499) => TokenErrorCause::Request,
        (_, 408 | 425 | 429 | 500..=599) => TokenErrorCause::Unavailable,
        (_, 401 | 403) => TokenErrorCause::Grant,
        _ => TokenErrorCause::Request,
    }
}

fn refusal(status: StatusCode, error: Option<&str>, json: &Value) -> String {
    let mut text = format!("it answered {status}");
    let description = ["error_description", "message", "detail"].iter().find_map(|name| json.get(name)?.as_str());
    for part in error.into_iter().chain(description) {
        let printable = part.chars().map(|c| if c.is_control() { ' ' } else { c });
        text.extend(": ".chars().chain(printable.take(EXCERPT)));
    }
    text
}
