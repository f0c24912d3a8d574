//! Credentials that unpage adds to requests: a secret, and its place in a request.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

/// Credentials that unpage adds to a request. The client's own are passed on, unless they stand in the same field or
/// parameter.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// None but the client's own.
    Passed,
    /// A secret of the configuration.
    Fixed(SecretPlace, Secret),
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

/// Text that no message and no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
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
            Self::Fixed(place, _) => Some(place),
        }
    }

    /// Returns what identifies their owner: their place, and a text that does not change while unpage runs.
    pub fn identity(&self) -> Option<(&SecretPlace, Cow<'_, str>)> {
        match self {
            Self::Passed => None,
            Self::Fixed(place, secret) => Some((place, secret.expose().into())),
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

impl Secret {
    pub fn new(text: String) -> Self {
        Self { text, file: None }
    }

    /// The secret that stood in this file when the configuration was read.
    pub fn in_file(text: String, file: &Path) -> Self {
        Self { text, file: Some(file.to_owned()) }
    }

    /// Returns the text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// File that the secret came from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
