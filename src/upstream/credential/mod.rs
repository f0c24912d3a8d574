//! Credentials of an upstream's requests: secrets of the configuration or the newest ones of their files, and tokens.

mod aws_keys;
mod aws_signature;
mod followed_secret;
mod placed_secret;
mod token;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use url::Url;

use self::aws_keys::FollowedAwsKeys;
pub(crate) use self::followed_secret::FollowedSecret;
use self::placed_secret::PlacedSecret;
use self::token::TokenHolder;
pub use self::token::{TokenError, TokenRenewals};
use super::error::ConnectorError;
use crate::config::{Credential, Credentials, Upstream};

/// Sources of the credentials of an upstream's requests, a set for each member of the pool; clones share them. Empty if the
/// client's own credentials are passed on.
#[derive(Clone, Debug)]
pub(super) struct CredentialSources(Arc<[Vec<CredentialSource>]>);

#[derive(Clone, Debug)]
enum CredentialSource {
    Fixed(Arc<FollowedSecret>),
    Token(Arc<TokenHolder>),
    Aws(Arc<FollowedAwsKeys>),
}

/// Credentials of one request, those of each source of one member.
#[derive(Clone, Debug)]
pub(super) struct RequestCredentials {
    member: usize,
    placed: Vec<Arc<PlacedSecret>>,
}

impl CredentialSources {
    /// Makes the sources of the configured credentials. A token is requested through the upstream's proxy and TLS settings.
    ///
    /// # Errors
    /// Fails where the connector can't be set up.
    pub(super) fn new(upstream: &Upstream, renewals: &TokenRenewals) -> Result<Self, ConnectorError> {
        let source = |credential: &Credential| {
            Ok(match credential {
                Credential::Fixed(place, secret) => {
                    CredentialSource::Fixed(Arc::new(FollowedSecret::new(place, secret)))
                }
                Credential::Token(place, settings) => {
                    CredentialSource::Token(Arc::new(TokenHolder::new(place, settings, upstream, renewals.clone())?))
                }
                Credential::Aws(keys) => CredentialSource::Aws(Arc::new(FollowedAwsKeys::new(keys))),
            })
        };
        let members = upstream.credentials.members.iter().map(|member| member.iter().map(source).collect());
        Ok(Self(members.collect::<Result<_, ConnectorError>>()?))
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
            old.0.iter().flatten().nth(old_credentials.all().position(is_same)?).cloned()
        };
        let member = |(sources, credentials): (&Vec<CredentialSource>, &Vec<Credential>)| {
            let sources = sources.iter().zip(credentials);
            sources.map(|(source, credential)| held(credential).unwrap_or_else(|| source.clone())).collect()
        };
        Self(self.0.iter().zip(&credentials.members).map(member).collect())
    }

    /// Returns the credentials of this member for a request that is sent now.
    pub(super) async fn current(&self, member: usize) -> Result<RequestCredentials, TokenError> {
        let sources = self.of(member);
        let mut placed = Vec::with_capacity(sources.len());
        for source in sources {
            placed.push(match source {
                CredentialSource::Fixed(secret) => secret.current(),
                CredentialSource::Token(token) => token.current().await?,
                CredentialSource::Aws(keys) => keys.current(),
            });
        }
        Ok(RequestCredentials { member, placed })
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
        for (at, (source, placed)) in self.of(sent.member).iter().zip(&sent.placed).enumerate() {
            let other = match source {
                CredentialSource::Fixed(secret) if status == StatusCode::UNAUTHORIZED => secret.after(placed),
                CredentialSource::Fixed(_) => None,
                CredentialSource::Aws(keys) => keys.after(placed, status),
                CredentialSource::Token(token) if token.is_refusal(status) => token.after(placed, path).await?,
                CredentialSource::Token(token) => {
                    token.answered(placed, status, path);
                    None
                }
            };
            if let Some(other) = other {
                renewed.get_or_insert_with(|| sent.clone()).placed[at] = other;
            }
        }
        Ok(renewed)
    }

    /// Notes how a request for this path was answered that is not sent again.
    pub(super) fn answered(&self, sent: &RequestCredentials, status: StatusCode, path: &str) {
        for (source, placed) in self.of(sent.member).iter().zip(&sent.placed) {
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
            CredentialSource::Aws(keys) => keys.secrets(),
        };
        self.0.iter().flatten().flat_map(of).collect()
    }

    fn of(&self, member: usize) -> &[CredentialSource] {
        self.0.get(member).map_or(&[], Vec::as_slice)
    }
}

impl RequestCredentials {
    /// Returns credentials of this member that don't change with time, by which callers are told apart.
    pub(super) fn identity(credentials: &Credentials, member: usize) -> Self {
        let placed = |credential: &Credential| Arc::new(PlacedSecret::new(credential.place(), &credential.identity()));
        Self { member, placed: credentials.of(member).iter().map(placed).collect() }
    }

    /// Adds the credentials to a request, but for a signature.
    pub(super) fn add_to(&self, url: &mut Cow<'_, Url>, headers: &mut HeaderMap) {
        self.placed.iter().for_each(|placed| placed.add_to(url, headers));
    }

    /// Writes the URL of a request as it is signed, since some stores sign it as it is sent.
    pub(super) fn spell(&self, url: &mut Cow<'_, Url>) {
        self.placed.iter().filter_map(|placed| placed.signer()).for_each(|signer| signer.spell(url.to_mut()));
    }

    /// Returns true where the request is signed when all else of it is there.
    pub(super) fn are_signatures(&self) -> bool {
        self.placed.iter().any(|placed| placed.signer().is_some())
    }

    /// Signs a request that is otherwise as it is sent. `body` is none where it is not known before it is sent.
    pub(super) fn sign(&self, head: &mut Parts, body: Option<&[u8]>) {
        let signers = self.placed.iter().filter_map(|placed| placed.signer());
        signers.for_each(|signer| signer.sign(head, body, SystemTime::now()));
    }
}
