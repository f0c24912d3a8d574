//! Credentials that unpage adds to requests: a secret, and its place in a request.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

use super::secret::Secret;
use super::token::TokenSettings;

/// Credentials that unpage adds to a request. The client's own are passed on, unless they stand in the same field or
/// parameter.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// None but the client's own.
    Passed,
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
    /// Name of the query parameter that has them.
    pub fn query_param(&self) -> Option<&str> {
        match self.place()? {
            SecretPlace::Query(name) => Some(name),
            SecretPlace::Header(..) => None,
        }
    }

    /// Place of the configured ones.
    pub fn place(&self) -> Option<&SecretPlace> {
        match self {
            Self::Passed => None,
            Self::Fixed(place, _) | Self::Token(place, _) => Some(place),
        }
    }

    /// Returns what identifies their owner: their place, and a text that does not change while unpage runs.
    pub fn identity(&self) -> Option<(&SecretPlace, Cow<'_, str>)> {
        match self {
            Self::Passed => None,
            Self::Fixed(place, secret) => Some((place, secret.expose().into())),
            Self::Token(place, settings) => Some((place, settings.identity().into())),
        }
    }
}

impl SecretPlace {
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
