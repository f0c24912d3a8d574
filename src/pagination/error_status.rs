//! Error statuses: answers that bring no page, with their cause and advice.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::aws_refusal::AwsRefusal;
use super::error::{PageError, excerpt};

/// Cause of a refusal, as far as its answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// The answer says when to come again.
    TooMany,
    /// AWS names it. Other APIs may use a word of AWS's for something else.
    Aws(AwsRefusal),
    Unsaid,
}

impl PageError {
    /// Error of a status that brings no page.
    pub fn of_refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let location = headers.get(header::LOCATION).filter(|_| status.is_redirection());
        let said = location.map_or(body, HeaderValue::as_bytes);
        let is_spent = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let cause = if is_spent || headers.contains_key(header::RETRY_AFTER) {
            RefusalCause::TooMany
        } else {
            let names_cause = matches!(status.as_u16(), 400 | 401 | 403);
            AwsRefusal::of(if names_cause { body } else { b"" }).map_or(RefusalCause::Unsaid, RefusalCause::Aws)
        };
        Self::Status { status, cause, excerpt: excerpt(&String::from_utf8_lossy(said)) }
    }
}

impl PageError {
    /// Advice where the first page is concerned, behind which no end lies that a status could mark.
    pub fn hint_of_first(&self) -> &'static str {
        match self {
            Self::Status { status, .. } => match status.as_u16() {
                404 | 410 => {
                    "check the host and the path, and the credentials, without which some upstreams say this too"
                }
                400 | 422 => {
                    "the upstream refuses a parameter of the request, and its answer may say which: check `param`, `start` and page_size (its largest) by its documentation"
                }
                _ => self.hint(),
            },
            _ => self.hint(),
        }
    }
}

/// Advice for a status; `None` where nothing is known of it.
pub(super) fn status_hint(status: StatusCode, cause: RefusalCause) -> Option<&'static str> {
    Some(match (status.as_u16(), cause) {
        (100..=199, _) => {
            "no page is asked for with another protocol: correct the URL of the upstream and the path, which may be those of a WebSocket, or report it to the upstream"
        }
        (301..=308, _) => {
            "this redirect is not followed (redirects = \"off\", or the page is a POST): use the address that it leads to, as URL of the upstream or of the collection"
        }
        (202, _) => {
            "the upstream was still preparing the page after all attempts: try later, or raise retry.attempts or retry.base"
        }
        (204, _) => {
            "a page that the upstream leads to has no content: try later; if that is how its collections end, set end = { status = 204 } in `pagination`"
        }
        (403, RefusalCause::TooMany) => {
            "the upstream has had too many requests, though it says 403: wait as long as its answer says, and lower `rate` or `width`"
        }
        (401 | 403, _) => "send the credentials that the upstream asks for, or configure `credentials`",
        (404 | 410, _) => {
            "check the path, and the credentials, without which some upstreams say this too; if this status is how the upstream says that a page lies past the last, set end = { status = 404 }"
        }
        (400 | 422, _) => {
            "the upstream refuses a parameter of the request, and its answer may say which: check `param`, `start` and page_size (its largest) by its documentation; if this status is how it says that a page lies past the last, set end = { status = … }"
        }
        (406, _) => "set `accept` to a media type that the upstream offers",
        (408 | 429 | 500..=599, _) => {
            "the upstream kept failing, or demands a longer wait than retry.cap: try later, or raise retry.attempts or retry.cap"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |status: u16, fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            PageError::of_refusal(StatusCode::from_u16(status).unwrap(), &fields.collect(), b"no")
        };
        assert!(refused(403, &[]).hint().contains("credentials"));
        for field in [("retry-after", "7"), ("x-ratelimit-remaining", "0")] {
            let hint = refused(403, &[field]).hint();
            assert!(hint.contains("too many requests") && !hint.contains("credentials"), "{hint}");
        }
        let switched = refused(101, &[]).hint();
        assert!(switched.contains("URL of the upstream") && !switched.contains("end ="), "{switched}");
        let moved = refused(301, &[("location", "https://b/items")]);
        assert!(matches!(&moved, PageError::Status { excerpt, .. } if excerpt == "https://b/items"));
        assert!(moved.hint().contains("redirect is not followed"));
    }
}
