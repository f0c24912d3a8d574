//! Token of the operator's address, as a bearer token or as the password of a browser.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue, header};
use ring::digest::{SHA256, digest};

use crate::config::Secret;
use crate::upstream::FollowedSecret;

/// Challenges of a request without the token (RFC 6750 §3, RFC 7617 §2.1): a browser asks for a user and a password, which is the token.
pub(super) const CHALLENGES: [HeaderValue; 2] =
    [HeaderValue::from_static("Bearer"), HeaderValue::from_static("Basic realm=\"unpage\", charset=\"UTF-8\"")];

/// Configured token or, where a file has it, the newest one of that file.
#[derive(Clone, Debug)]
pub(super) struct AdminToken(Arc<FollowedSecret>);

/// Way in which a request shows the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownToken {
    Bearer,
    /// A browser sends it with each request, also with one that another site's page makes.
    Basic,
}

impl AdminToken {
    pub(super) fn new(token: &Secret) -> Self {
        Self(Arc::new(FollowedSecret::unplaced(token)))
    }

    /// Returns the way in which a request shows the token; none if it does not.
    pub(super) fn shown_in(&self, headers: &HeaderMap) -> Option<ShownToken> {
        let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.is(credentials.as_bytes()).then_some(ShownToken::Bearer);
        }
        let pair = BASE64_STANDARD.decode(credentials).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        self.is(&pair[colon + 1..]).then_some(ShownToken::Basic)
    }

    /// Compares two digests, so that the time tells nothing of the token.
    fn is(&self, token: &[u8]) -> bool {
        let [shown, own] = [token, self.0.text().expose().as_bytes()].map(|text| digest(&SHA256, text));
        shown.as_ref() == own.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_as_a_bearer_token_or_as_a_password() {
        let token = AdminToken::new(&Secret::new("s3cret:x".to_owned()));
        let shown = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            token.shown_in(&headers)
        };
        assert_eq!(shown("bearer  s3cret:x"), Some(ShownToken::Bearer));
        assert_eq!(shown(&format!("BASIC {}", BASE64_STANDARD.encode("any:s3cret:x"))), Some(ShownToken::Basic));
        let wrong = BASE64_STANDARD.encode("any:s3cret");
        for value in ["Bearer", "Bearer x", "s3cret:x", &format!("Basic {wrong}"), "Basic s3cret:x", "Digest s3cret:x"]
        {
            assert_eq!(shown(value), None, "{value}");
        }
        assert_eq!(token.shown_in(&HeaderMap::new()), None);
    }
}
