//! The cache key (RFC 9111 §2): all that decides which records a crawl yields, and for whom, in a form that outlives the process.
//!
//! # Constraints
//!
//! - A key is written to journals and read after an upgrade, so it is made of named values and never of Rust's `Debug` text.
//! - A value that is absent or at its default has no part: a new option leaves the keys of all who don't use it as they were.
//! - Two requests with one key get the same records. A value that may change them has a part, even where it rarely does.
//!
//! # Layout
//!
//! A key is a hash over a sequence of byte strings, each after its length: first `TAG`, then for each part its name and its value.
//! The pagination is its `[[collection]]` keys as JSON with sorted members, since that vocabulary is public and versioned.
//!
//! # Version
//!
//! [`KEY_VERSION`] counts changes of this layout. It stands next to each key in a journal; where it is missing, the version is 1 ([`v1`]).

pub mod v1;

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{Collection, Credentials, Scope, Upstream, written};
use crate::pagination::{PageRequest, Pagination, PartOrder};

/// Version of the layout.
pub const KEY_VERSION: u32 = 2;

/// First byte string of a key of this version.
const TAG: &[u8] = b"unpage cache key 2";

/// Keys of a `[[collection]]` that decide nothing about its records, or have a part of their own.
const WITHOUT: [&str; 3] = ["allow", "method", "order"];

/// Version of a key without a version.
pub fn first_version() -> u32 {
    1
}

/// A pagination as JSON, without its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPagination(String);

/// Byte strings of a key, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyParts(Vec<Vec<u8>>);

/// A request for the records of a collection.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    pub pagination: &'a CanonicalPagination,
    pub order: PartOrder,
    /// Its URL has sorted parameters, so that their order tells no two requests apart.
    pub first: &'a PageRequest,
    pub upstream: &'a Upstream,
    /// Value of the record after which the stream begins.
    pub since: Option<&'a str>,
    /// Moment that the upstream is asked for; none where it can't be asked for one.
    pub valid_at: Option<SystemTime>,
}

impl CanonicalPagination {
    pub fn new(pagination: &Pagination) -> Self {
        let text = written(pagination);
        let json = text.parse::<toml::Table>().ok().and_then(|mut table| {
            WITHOUT.iter().for_each(|key| drop(table.remove(*key)));
            serde_json::to_string(&table).ok()
        });
        // What is written can be read (a property test of `config`); a key of the text itself would still be a right one.
        Self(json.unwrap_or(text))
    }
}

impl KeyedRequest<'_> {
    /// Parts that decide which records the collection has.
    pub fn records(&self) -> KeyParts {
        let Self { pagination, order, first, since, valid_at, .. } = *self;
        let mut parts = KeyParts(vec![TAG.to_vec()]);
        parts.add("method", first.method.as_str());
        parts.add("url", first.url.as_str());
        if let Some(body) = &first.body {
            parts.add("body", body.to_bytes());
            parts.add_some("media_type", body.media_type());
        }
        parts.add("pagination", &pagination.0);
        parts.add_some("order", (order == PartOrder::Any).then_some("any"));
        parts.add_some("since", since);
        let seconds = valid_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_secs().to_string());
        parts.add_some("valid_at", seconds);
        parts
    }

    /// Parts by which the upstream may tell callers apart.
    pub fn caller(&self) -> KeyParts {
        let Upstream { accept, headers, credentials, .. } = self.upstream;
        let mut parts = KeyParts(vec![TAG.to_vec()]);
        parts.add("accept", accept);
        headers.iter().for_each(|(name, value)| parts.add("configured", field(name, value)));
        match credentials {
            Credentials::Passed => {}
            Credentials::Header(name, value) => parts.add("credentials", field(name, value)),
            Credentials::Query(name, secret) => parts.add("credentials", format!("?{name}={}", secret.expose())),
        }
        fields(&self.first.headers).into_iter().for_each(|field| parts.add("field", field));
        parts
    }

    /// Parts that two requests to a gateway must have in common to share a snapshot.
    pub fn shared(&self, collection: &Collection) -> KeyParts {
        let mut parts = self.records();
        parts.0.extend(self.caller().0);
        parts.add("collection", &collection.path);
        parts.add_some("scope", (collection.sharing.scope == Scope::Public).then_some("public"));
        parts
    }
}

impl KeyParts {
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.extend([name.as_bytes().to_vec(), value.as_ref().to_vec()]);
    }

    fn add_some(&mut self, name: &str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}

fn field(name: &HeaderName, value: &HeaderValue) -> Vec<u8> {
    [name.as_str().as_bytes(), b": ", value.as_bytes()].concat()
}

/// Header fields sorted by name; those of one name keep their order.
fn fields(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut names: Vec<&HeaderName> = headers.keys().collect();
    names.sort_unstable_by_key(|name| name.as_str());
    names.iter().flat_map(|name| headers.get_all(*name).iter().map(move |value| field(name, value))).collect()
}

#[cfg(test)]
mod tests;
