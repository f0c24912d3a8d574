//! Credentials of an upstream's requests: secrets of the configuration or the newest ones of their files, and tokens.

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
use crate::config::{Credential, Credentials, Upstream};

/// Sources of the credentials of an upstream's requests; clones share them. There is none where the client's own are passed on.
#[derive(Clone, Debug)]
pub(super) struct CredentialSources(Arc<[CredentialSource]>);

#[derive(Clone, Debug)]
enum CredentialSource {
    Fixed(Arc<FollowedSecret>),
    Token(Arc<TokenHolder>),
}

/// Credentials of one request, those of each source.
#[derive(Clone, Debug)]
pub(super) struct RequestCredentials(Vec<Arc<PlacedSecret>>);

impl CredentialSources {
    /// Makes the sources of the configured credentials; that of a token requests it on the way of the upstream's requests.
    ///
    /// # Errors
    /// Fails where that way can't be set up.
    pub(super) fn new(upstream: &Upstream, renewals: &TokenRenewals) -> Result<Self, ConnectorError> {
        let sources = upstream.credentials.all.iter().map(|credential| {
            Ok(match credential {
                Credential::Fixed(place, secret) => {
                    CredentialSource::Fixed(Arc::new(FollowedSecret::new(place, secret)))
                }
                Credential::Token(place, settings) => {
                    CredentialSource::Token(Arc::new(TokenHolder::new(place, settings, upstream, renewals.clone())?))
                }
            })
        });
        Ok(Self(sources.collect::<Result<_, ConnectorError>>()?))
    }

    /// Source of none: the client's own credentials are passed on.
    pub(super) fn passed() -> Self {
        Self(Arc::default())
    }

    /// The same sources with the tokens of old ones, where both request them by the same settings.
    pub(super) fn with_tokens_of(&self, credentials: &Credentials, old: &Self, old_credentials: &Credentials) -> Self {
        let held = |credential: &Credential| {
            let Credential::Token(place, settings) = credential else { return None };
            let is_same = |old: &Credential| matches!(old, Credential::Token(p, s) if p == place && s == settings);
            old.0.get(old_credentials.all.iter().position(is_same)?).cloned()
        };
        let sources = self.0.iter().zip(&credentials.all);
        Self(sources.map(|(source, credential)| held(credential).unwrap_or_else(|| source.clone())).collect())
    }

    /// Returns the credentials for a request that is sent now.
    pub(super) async fn current(&self) -> Result<RequestCredentials, TokenError> {
        let mut all = Vec::with_capacity(self.0.len());
        for source in &*self.0 {
            all.push(match source {
                CredentialSource::Fixed(secret) => secret.current(),
                CredentialSource::Token(token) => token.current().await?,
            });
        }
        Ok(RequestCredentials(all))
    }

    /// Returns other credentials than these, with which a request for this path was answered so; none where they were not refused, or where
    /// there are no others.
    pub(super) async fn after(
        &self,
        sent: &RequestCredentials,
        status: StatusCode,
        path: &str,
    ) -> Result<Option<RequestCredentials>, TokenError> {
        let mut renewed = None;
        for (at, (source, placed)) in self.0.iter().zip(&sent.0).enumerate() {
            let other = match source {
                CredentialSource::Fixed(secret) if status == StatusCode::UNAUTHORIZED => secret.after(placed),
                CredentialSource::Fixed(_) => None,
                CredentialSource::Token(token) if token.is_refusal(status) => token.after(placed, path).await?,
                CredentialSource::Token(token) => {
                    token.answered(placed, status, path);
                    None
                }
            };
            if let Some(other) = other {
                renewed.get_or_insert_with(|| sent.clone()).0[at] = other;
            }
        }
        Ok(renewed)
    }

    /// Notes how a request for this path was answered that is not sent again.
    pub(super) fn answered(&self, sent: &RequestCredentials, status: StatusCode, path: &str) {
        for (source, placed) in self.0.iter().zip(&sent.0) {
            if let CredentialSource::Token(token) = source {
                token.answered(placed, status, path);
            }
        }
    }

    /// Returns texts that no message may repeat.
    pub(super) fn secrets(&self) -> Vec<String> {
        let of = |source: &CredentialSource| match source {
            CredentialSource::Fixed(secret) => secret.secrets(),
            CredentialSource::Token(token) => token.secrets(),
        };
        self.0.iter().flat_map(of).collect()
    }
}

impl RequestCredentials {
    /// Returns credentials that don't change with time, by which callers are told apart.
    pub(super) fn identity(credentials: &Credentials) -> Self {
        let placed = |credential: &Credential| Arc::new(PlacedSecret::new(credential.place(), &credential.identity()));
        Self(credentials.all.iter().map(placed).collect())
    }

    /// Adds the credentials to a request.
    pub(super) fn add_to(&self, url: &mut Cow<'_, Url>, headers: &mut HeaderMap) {
        self.0.iter().for_each(|placed| placed.add_to(url, headers));
    }
}
