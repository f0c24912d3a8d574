//! Credentials of an upstream's requests: the secret of the configuration, or the newest one of its file.

mod followed_secret;
mod placed_secret;

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use url::Url;

use self::followed_secret::FollowedSecret;
use self::placed_secret::PlacedSecret;
use crate::config::Credentials;

/// Source of the credentials of an upstream's requests; clones share it.
#[derive(Clone, Debug)]
pub(super) enum CredentialSource {
    /// The client's own credentials are passed on.
    Passed,
    Fixed(Arc<FollowedSecret>),
}

/// Credentials of one request; none where the client's own are passed on.
#[derive(Clone, Debug)]
pub(super) struct RequestCredentials(Option<Arc<PlacedSecret>>);

impl CredentialSource {
    pub(super) fn new(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::Passed => Self::Passed,
            Credentials::Fixed(place, secret) => Self::Fixed(Arc::new(FollowedSecret::new(place, secret))),
        }
    }

    /// Returns the credentials for a request that is sent now.
    pub(super) fn current(&self) -> RequestCredentials {
        RequestCredentials(match self {
            Self::Passed => None,
            Self::Fixed(secret) => Some(secret.current()),
        })
    }

    /// Returns other credentials than these, which the upstream has refused (401); none where there are no others.
    pub(super) fn after(&self, refused: &RequestCredentials) -> Option<RequestCredentials> {
        match (self, &refused.0) {
            (Self::Fixed(secret), Some(refused)) => Some(RequestCredentials(Some(secret.after(refused)?))),
            (Self::Passed, _) | (_, None) => None,
        }
    }

    /// Returns texts that no message may repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Passed => Vec::new(),
            Self::Fixed(secret) => secret.secrets(),
        }
    }
}

impl RequestCredentials {
    /// Returns credentials that don't change with time, by which callers are told apart.
    pub(super) fn identity(credentials: &Credentials) -> Self {
        Self(credentials.identity().map(|(place, text)| Arc::new(PlacedSecret::new(place, &text))))
    }

    /// Adds the credentials to a request.
    pub(super) fn add_to(&self, url: &mut Cow<'_, Url>, headers: &mut HeaderMap) {
        if let Some(placed) = &self.0 {
            placed.add_to(url, headers);
        }
    }
}
