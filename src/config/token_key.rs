//! `credentials = { token = { … } }`.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use http::header::AUTHORIZATION;
use url::Url;

use super::credentials::{Credential, FieldForm, SecretPlace};
use super::key_names::Level;
use super::keywords::Words;
use super::pagination_values::{path, source};
use super::secret::Secret;
use super::secrets::{self, Secrets};
use super::times_and_sizes::{duration, wait};
use super::token::{
    Assertion, ClientAuthentication, Grant, ParamEncoding, SigningAlgorithm, TokenClient, TokenParam, TokenSettings,
};
use super::toml_node::{TomlNode, TomlTable};
use super::urls_and_headers::secret_field;
use crate::pagination::path::Segment;
use crate::pagination::{Path, Source};

pub(super) static TOKEN: Level = Level {
    name: "credentials.token",
    keys: &[
        "url",
        "grant",
        "method",
        "client",
        "refresh_token",
        "keep",
        "jwt",
        "params",
        "as",
        "access",
        "expires_in",
        "lifetime",
        "expired",
        "put",
    ],
    others: &[],
};
pub(super) static CLIENT: Level = Level { name: "token.client", keys: &["id", "secret", "send"], others: &[] };
pub(super) static JWT: Level =
    Level { name: "token.jwt", keys: &["key", "algorithm", "key_id", "claims", "lifetime"], others: &[] };
pub(super) static PUT: Level = Level { name: "token.put", keys: &["header", "query"], others: &[] };

/// Longest life of an assertion: servers refuse one of more than an hour.
const AN_HOUR: Duration = Duration::from_secs(3600);

static GRANTS: Words<GrantWord> = Words(&[
    ("client_credentials", GrantWord::ClientCredentials),
    ("refresh_token", GrantWord::RefreshToken),
    ("jwt_bearer", GrantWord::JwtBearer),
    ("login", GrantWord::Login),
]);

#[derive(Clone, Copy, PartialEq)]
enum GrantWord {
    ClientCredentials,
    RefreshToken,
    JwtBearer,
    Login,
}

static METHODS: Words<Method> = Words(&[("POST", Method::POST), ("GET", Method::GET)]);

static ENCODINGS: Words<ParamEncoding> =
    Words(&[("form", ParamEncoding::Form), ("json", ParamEncoding::Json), ("query", ParamEncoding::Query)]);

static SENDS: Words<ClientAuthentication> =
    Words(&[("basic", ClientAuthentication::Basic), ("body", ClientAuthentication::Body)]);

static ALGORITHMS: Words<SigningAlgorithm> =
    Words(&[("RS256", SigningAlgorithm::Rs256), ("ES256", SigningAlgorithm::Es256)]);

pub(super) fn read(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credential> {
    let table = node.table(&TOKEN)?;
    let url = table.must("url", "write the token endpoint: url = \"https://login.example.com/oauth2/token\"", endpoint);
    let word = table.must(
        "grant",
        "write grant = \"client_credentials\", \"refresh_token\", \"jwt_bearer\" or \"login\"",
        |node| GRANTS.read(node),
    );
    let client = table.maybe("client", |node| client(node, secrets));
    let grant = word.and_then(|word| grant(&table, word, url.as_ref(), secrets));
    let params = table.maybe("params", |node| params(node, secrets)).unwrap_or_default();
    let method = table.or("method", METHODS.usual(), |node| METHODS.read(node));
    let default = if method == Method::GET { ParamEncoding::Query } else { ENCODINGS.usual() };
    let encoding = table.or("as", default, |node| match ENCODINGS.read(node)? {
        encoding if method == Method::GET && encoding != ParamEncoding::Query => {
            node.refuse("a GET has its parameters in the query", "leave it out, or write method = \"POST\"")
        }
        encoding => Some(encoding),
    });
    let access = table.or("access", Source::Body(member("access_token")), source);
    let expires_in = table.or("expires_in", member("expires_in"), path);
    let lifetime = table.maybe("lifetime", duration);
    let expired = table.maybe("expired", |node| node.each(expired_status)).unwrap_or_default();
    let place = table.or("put", SecretPlace::Header(AUTHORIZATION, FieldForm::Prefixed("Bearer ")), put);
    let (url, grant) = (url?, grant?);
    Some(Credential::Token(
        place,
        Box::new(TokenSettings { url, method, grant, client, params, encoding, access, expires_in, lifetime, expired }),
    ))
}

/// Reads a status with which the upstream refuses an expired token.
fn expired_status(node: &TomlNode<'_>) -> Option<u16> {
    match node.number(0)? {
        number @ 400..=499 => u16::try_from(number).ok(),
        number => node.refuse(format!("no status of a refusal: {number}"), "write one of 400 to 499, as in [403]"),
    }
}

fn member(name: &str) -> Path {
    Path::new(vec![Segment::Name(name.to_owned())])
}

/// Reads the URL of the endpoint. It may have a query, and is told without it.
fn endpoint(node: &TomlNode<'_>) -> Option<Url> {
    let hint = "write the whole URL: \"https://login.example.com/oauth2/token\"";
    let url = Url::parse(node.text()?).map_err(|error| node.refuse::<()>(format!("not a URL: {error}"), hint)).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.fragment().is_some() {
        return node.refuse("not an http or https URL without a fragment", hint);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return node
            .refuse("a user or password in a URL", "write client = { id = \"…\", secret = { env = \"NAME\" } }");
    }
    Some(url)
}

fn grant(table: &TomlTable<'_>, word: GrantWord, url: Option<&Url>, secrets: &dyn Secrets) -> Option<Grant> {
    let unused: &[&str] = match word {
        GrantWord::ClientCredentials | GrantWord::Login => &["refresh_token", "keep", "jwt"],
        GrantWord::RefreshToken => &["jwt"],
        GrantWord::JwtBearer => &["refresh_token", "keep"],
    };
    for key in unused.iter().filter(|key| table.get(key).is_some()) {
        table.refuse_at::<()>(key, "the grant has no use for it", "leave it out, or write another grant");
    }
    Some(match word {
        GrantWord::ClientCredentials => {
            let hint = "write client = { id = \"…\", secret = { env = \"NAME\" } }";
            table.must("client", hint, |_| Some(()))?;
            Grant::ClientCredentials
        }
        GrantWord::RefreshToken => {
            let hint = "write refresh_token = { env = \"NAME\" } or { file = \"PATH\" }";
            let first = table.must("refresh_token", hint, |node| secrets::secret(node, secrets));
            Grant::RefreshToken { first: first?, keep: table.maybe("keep", |node| node.text().map(PathBuf::from)) }
        }
        GrantWord::JwtBearer => {
            let hint = "write jwt = { key = { file = \"key.pem\" }, claims = { iss = \"…\", sub = \"…\" } }";
            Grant::JwtBearer(Box::new(table.must("jwt", hint, |node| assertion(node, url, secrets))?))
        }
        GrantWord::Login => Grant::Login,
    })
}

fn client(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<TokenClient> {
    let table = node.table(&CLIENT)?;
    let id = table.must("id", "write id = \"…\"", |node| param(node, secrets));
    let secret = table.maybe("secret", |node| secrets::secret(node, secrets));
    let send = table.or("send", SENDS.usual(), |node| SENDS.read(node));
    Some(TokenClient { id: id?, secret, send })
}

fn params(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Vec<(String, TokenParam)>> {
    let params: Vec<_> = node.named()?.into_iter().map(|(name, value)| (name, param(&value, secrets))).collect();
    params.into_iter().map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Reads a text, or the place of a secret.
fn param(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<TokenParam> {
    match node.value.is_str() {
        true => node.text().map(|text| TokenParam::Text(text.to_owned())),
        false => secrets::secret(node, secrets).map(TokenParam::Secret),
    }
}

fn assertion(node: &TomlNode<'_>, url: Option<&Url>, secrets: &dyn Secrets) -> Option<Assertion> {
    let table = node.table(&JWT)?;
    let key: Option<Secret> =
        table.must("key", "write key = { file = \"key.pem\" }", |node| secrets::secret(node, secrets));
    let algorithm = table.or("algorithm", ALGORITHMS.usual(), |node| ALGORITHMS.read(node));
    let key_id = table.maybe("key_id", |node| node.text().map(ToOwned::to_owned));
    let mut claims =
        table.must("claims", "write claims = { iss = \"…\", sub = \"…\" } (RFC 7523 §3)", claims).unwrap_or_default();
    if let Some(url) = url.filter(|_| !claims.iter().any(|(name, _)| name == "aud")) {
        claims.push(("aud".to_owned(), url.as_str().to_owned()));
    }
    let lifetime = table.or("lifetime", Duration::from_secs(300), |node| match wait(node)? {
        lifetime if lifetime > AN_HOUR => node.refuse("longer than an hour", "write a time up to \"1h\""),
        lifetime => Some(lifetime),
    });
    Some(Assertion { key: key?, algorithm, key_id, claims, lifetime })
}

fn claims(node: &TomlNode<'_>) -> Option<Vec<(String, String)>> {
    let claim = |(name, value): (&str, TomlNode<'_>)| match name {
        "iat" | "exp" | "nbf" | "jti" => value.refuse(format!("{name} is new in each assertion"), "leave it out"),
        name => Some((name.to_owned(), value.text()?.to_owned())),
    };
    let claims: Vec<_> = node.named()?.into_iter().map(claim).collect();
    claims.into_iter().collect()
}

/// Reads the place of the token in requests.
fn put(node: &TomlNode<'_>) -> Option<SecretPlace> {
    let hint = "write put = \"bearer\", { header = \"X-Auth-Token\" } or { query = \"access_token\" }";
    if node.value.is_str() {
        return match node.text()? {
            "bearer" => Some(SecretPlace::Header(AUTHORIZATION, FieldForm::Prefixed("Bearer "))),
            word => node.refuse(format!("unknown put {word:?}"), hint),
        };
    }
    let table = node.table(&PUT)?;
    match (table.get("header"), table.get("query")) {
        (Some(header), None) => Some(SecretPlace::Header(secret_field(&header)?, FieldForm::Prefixed(""))),
        (None, Some(query)) => Some(SecretPlace::Query(query.text()?.to_owned())),
        _ => node.refuse("a token has exactly one place", hint),
    }
}
