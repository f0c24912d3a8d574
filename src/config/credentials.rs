//! Credentials that unpage adds to requests: secrets and tokens, each with its place in a request.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

use super::secret::Secret;
use super::token::TokenSettings;

/// Credentials that unpage adds to requests. The client's own are passed on, unless they stand in the same field or
/// parameter.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Credentials that a request has at once, or several of such sets that are interchangeable (a pool); none where the client's own are all.
    pub members: Vec<Vec<Credential>>,
    pub choice: MemberChoice,
}

/// Choice of a member of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberChoice {
    /// For each page where unpage computes its address, for each crawl where the upstream hands it out: it may be bound to the credentials.
    #[default]
    ByStyle,
    /// For each crawl.
    Crawl,
    /// For each page.
    Page,
}

/// Secret or token with its place in a request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A secret of the configuration.
    Fixed(SecretPlace, Secret),
    /// A token that is requested from an endpoint.
    Token(SecretPlace, Box<TokenSettings>),
}

/// Place of a secret in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// A header field: `Authorization: Bearer …`, `Authorization: Basic …`, or one of the API's own.
    Header(HeaderName, FieldForm),
    /// A query parameter.
    Query(String),
}

/// Form of a header field's value with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// The secret behind this text: `Bearer `, or none.
    Prefixed(&'static str),
    /// The password of this user (RFC 7617).
    Basic(String),
}

impl Credentials {
    /// Returns true where no credentials but the client's own go upstream.
    pub fn are_passed(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns true for several that are interchangeable.
    pub fn are_pooled(&self) -> bool {
        self.members.len() > 1
    }

    /// Returns those of a member; none where the client's own are all.
    pub fn of(&self, member: usize) -> &[Credential] {
        self.members.get(member).map_or(&[], Vec::as_slice)
    }

    /// Returns those of all members.
    pub fn all(&self) -> impl Iterator<Item = &Credential> {
        self.members.iter().flatten()
    }

    /// Returns the settings of the tokens among them.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenSettings> {
        self.all().filter_map(|credential| match credential {
            Credential::Fixed(..) => None,
            Credential::Token(_, settings) => Some(&**settings),
        })
    }

    /// Returns the names of the query parameters that have them.
    pub fn query_params(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(|credential| match credential.place() {
            SecretPlace::Query(name) => Some(name.as_str()),
            SecretPlace::Header(..) => None,
        })
    }
}

impl From<Credential> for Credentials {
    fn from(credential: Credential) -> Self {
        Self { members: vec![vec![credential]], choice: MemberChoice::default() }
    }
}

impl Credential {
    pub fn place(&self) -> &SecretPlace {
        match self {
            Self::Fixed(place, _) | Self::Token(place, _) => place,
        }
    }

    /// Returns a text that identifies its owner and does not change while unpage runs.
    pub fn identity(&self) -> Cow<'_, str> {
        match self {
            Self::Fixed(_, secret) => secret.expose().into(),
            Self::Token(_, settings) => settings.identity().into(),
        }
    }
}

impl SecretPlace {
    /// Returns true for the same field or parameter.
    pub(super) fn is_that_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(name, _), Self::Header(other, _)) => name == other,
            (Self::Query(name), Self::Query(other)) => name == other,
            (Self::Header(..), Self::Query(_)) | (Self::Query(_), Self::Header(..)) => false,
        }
    }

    /// Returns true where a request can have this secret in its place.
    pub fn carries(&self, secret: &str) -> bool {
        match self {
            Self::Header(_, form) => form.value(secret).is_some(),
            Self::Query(_) => true,
        }
    }
}

impl FieldForm {
    /// Returns the field's value, which no `Debug` output shows; none where no header field can carry the secret.
    pub fn value(&self, secret: &str) -> Option<HeaderValue> {
        let text = match self {
            Self::Prefixed(prefix) => format!("{prefix}{secret}"),
            Self::Basic(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{secret}"))),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
