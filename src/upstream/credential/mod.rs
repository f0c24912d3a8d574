//! Credentials of an upstream's requests: the secret of the configuration or the newest one of its file, or a token.

mod followed_secret;
mod placed_secret;
mod token;

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use url::Url;

use self::followed_secret::FollowedSecret;
use self::placed_secret::PlacedSecret;
use self::token::TokenHolder;
pub use self::token::{TokenError, TokenRenewals};
use super::error::ConnectorError;
use crate::config::{Credentials, Upstream};

/// Source of the credentials of an upstream's requests; clones share it.
#[derive(Clone, Debug)]
pub(super) enum CredentialSource {
    /// The client's own credentials are passed on.
    Passed,
    Fixed(Arc<FollowedSecret>),
    Token(Arc<TokenHolder>),
}

/// Credentials of one request; none where the client's own are passed on.
#[derive(Clone, Debug)]
pub(super) struct RequestCredentials(Option<Arc<PlacedSecret>>);

impl CredentialSource {
    /// Makes the source of the configured credentials; that of a token requests it on the way of the upstream's requests.
    ///
    /// # Errors
    /// Fails where that way can't be set up.
    pub(super) fn new(upstream: &Upstream, renewals: &TokenRenewals) -> Result<Self, ConnectorError> {
        Ok(match &upstream.credentials {
            Credentials::Passed => Self::Passed,
            Credentials::Fixed(place, secret) => Self::Fixed(Arc::new(FollowedSecret::new(place, secret))),
            Credentials::Token(place, settings) => {
                Self::Token(Arc::new(TokenHolder::new(place, settings, upstream, renewals.clone())?))
            }
        })
    }

    /// Returns the credentials for a request that is sent now.
    pub(super) async fn current(&self) -> Result<RequestCredentials, TokenError> {
        Ok(RequestCredentials(match self {
            Self::Passed => None,
            Self::Fixed(secret) => Some(secret.current()),
            Self::Token(token) => Some(token.current().await?),
        }))
    }

    /// Returns other credentials than these, with which a request for this path was answered so; none where they were not refused (401), or
    /// where there are no others.
    pub(super) async fn after(
        &self,
        sent: &RequestCredentials,
        status: StatusCode,
        path: &str,
    ) -> Result<Option<RequestCredentials>, TokenError> {
        let Some(placed) = &sent.0 else { return Ok(None) };
        if status != StatusCode::UNAUTHORIZED {
            self.answered(sent, status, path);
            return Ok(None);
        }
        let renewed = match self {
            Self::Passed => None,
            Self::Fixed(secret) => secret.after(placed),
            Self::Token(token) => token.after(placed, path).await?,
        };
        Ok(renewed.map(|renewed| RequestCredentials(Some(renewed))))
    }

    /// Notes how a request for this path was answered that is not sent again.
    pub(super) fn answered(&self, sent: &RequestCredentials, status: StatusCode, path: &str) {
        if let (Self::Token(token), Some(placed)) = (self, &sent.0) {
            token.answered(placed, status, path);
        }
    }

    /// Returns texts that no message may repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::Passed => Vec::new(),
            Self::Fixed(secret) => secret.secrets(),
            Self::Token(token) => token.secrets(),
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
