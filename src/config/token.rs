//! Settings of a token: the request that yields it, and the places of the token and its lifetime in the answer.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use ring::digest::{SHA256, digest};
use url::Url;

use super::secret::Secret;
use crate::pagination::{Path, Source};

/// A token that is requested from an endpoint and renewed before its end.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// Token endpoint, the only place that the token's secrets are sent to.
    pub url: Url,
    pub method: Method,
    pub grant: Grant,
    pub client: Option<TokenClient>,
    /// Further parameters of the request.
    pub params: Vec<(String, TokenParam)>,
    pub encoding: ParamEncoding,
    /// Place of the token in the answer.
    pub access: Source,
    /// Place of its lifetime in seconds.
    pub expires_in: Path,
    /// Its lifetime where the answer names none; without one it is renewed when the upstream refuses it.
    pub lifetime: Option<Duration>,
    /// Statuses, beside 401, with which the upstream refuses a token whose end has come.
    pub expired: Vec<u16>,
}

/// Right by which a token is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The client's own (RFC 6749 §4.4).
    ClientCredentials,
    /// A refresh token (§6), which may be replaced by each answer; the file keeps the newest one.
    RefreshToken { first: Secret, keep: Option<PathBuf> },
    /// A signed assertion (RFC 7523 §2.1).
    JwtBearer(Box<Assertion>),
    /// The parameters alone, such as a user name and a password.
    Login,
}

/// OAuth client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClient {
    pub id: TokenParam,
    /// None for a public client.
    pub secret: Option<Secret>,
    pub send: ClientAuthentication,
}

/// Way in which a client authenticates itself (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    Basic,
    Body,
}

/// Form of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamEncoding {
    Form,
    Json,
    Query,
}

/// Value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenParam {
    Text(String),
    Secret(Secret),
}

/// Claims and key of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Private key in PEM.
    pub key: Secret,
    pub algorithm: SigningAlgorithm,
    pub key_id: Option<String>,
    /// Claims but for the times and the identifier: `iss`, `sub`, `aud` and others.
    pub claims: Vec<(String, String)>,
    /// Time until the assertion expires, one hour at most.
    pub lifetime: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    Rs256,
    Es256,
}

impl TokenParam {
    /// Returns the value as the configuration has it.
    pub fn expose(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl TokenSettings {
    /// Returns a digest of all that decides whose token it is. The secret of a client and the key of an assertion are left out: they change
    /// while their owner stays.
    pub(super) fn identity(&self) -> String {
        let mut parts = vec![self.url.as_str(), self.method.as_str()];
        match &self.grant {
            Grant::ClientCredentials => parts.push("client_credentials"),
            Grant::RefreshToken { first, .. } => parts.extend(["refresh_token", first.expose()]),
            Grant::JwtBearer(assertion) => {
                parts.push("jwt_bearer");
                parts.extend(assertion.claims.iter().flat_map(|(name, value)| [name.as_str(), value]));
            }
            Grant::Login => parts.push("login"),
        }
        parts.extend(self.client.iter().flat_map(|client| ["client", client.id.expose()]));
        parts.extend(self.params.iter().flat_map(|(name, value)| [name.as_str(), value.expose()]));
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        let mut hex = String::new();
        for byte in digest(&SHA256, &text).as_ref() {
            write!(hex, "{byte:02x}").expect("writing to a String never fails");
        }
        hex
    }

    /// Endpoint in messages: its query may hold a secret.
    pub fn endpoint(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}
