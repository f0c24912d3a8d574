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
//! # Readers
//!
//! A snapshot has a second key, by which its caller reads it under its name: the key of a request with those header fields alone that identify
//! the caller. Fields that differ in each request would else keep a caller from resuming its own download.
//!
//! # Version
//!
//! [`KEY_VERSION`] counts changes of this layout. It stands next to each key in a journal; where it is missing, the version is 1 ([`v1`]).

pub mod v1;
pub mod v2;

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{Collection, Credential, Scope, SecretPlace, Upstream, written};
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

/// A request for the records of a collection.
#[derive(Clone, Copy, Debug)]
pub struct KeyedRequest<'a> {
    pub pagination: &'a CanonicalPagination,
    pub order: PartOrder,
    /// Its URL has sorted parameters, so that their order tells no two requests apart.
    pub first: &'a PageRequest,
    /// Text of the parents whose lists are asked for; none for one list.
    pub parents: Option<&'a str>,
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

/// Each method gives the byte strings of a key to `part`, in order.
impl KeyedRequest<'_> {
    /// Parts that decide which records the collection has.
    pub fn records(&self, part: &mut dyn FnMut(&[u8])) {
        let Self { pagination, order, first, parents, upstream, since, valid_at } = *self;
        part(TAG);
        named("method", first.method.as_str(), part);
        named("url", first.url.as_str(), part);
        named_some("socket", upstream.socket.as_ref().map(|socket| socket.as_os_str().as_encoded_bytes()), part);
        if let Some(body) = &first.body {
            named("body", body.to_bytes(), part);
            named_some("media_type", body.media_type(), part);
        }
        named("pagination", &pagination.0, part);
        named_some("parents", parents, part);
        named_some("order", (order == PartOrder::Any).then_some("any"), part);
        named_some("since", since, part);
        let seconds = valid_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|at| at.as_secs().to_string());
        named_some("valid_at", seconds, part);
    }

    /// Parts by which the upstream may tell callers apart.
    pub fn caller(&self, part: &mut dyn FnMut(&[u8])) {
        part(TAG);
        of_upstream(self.upstream, part);
        of_fields(&self.first.headers, part);
    }

    /// First parts of both keys of a snapshot; the others are those [`of_sender`].
    pub fn common(&self, part: &mut dyn FnMut(&[u8])) {
        self.records(part);
        part(TAG);
        of_upstream(self.upstream, part);
    }

    /// Parts that two requests to a gateway must have in common to share a snapshot.
    pub fn shared(&self, collection: &Collection, part: &mut dyn FnMut(&[u8])) {
        self.common(part);
        of_sender(collection, &self.first.headers, part);
    }
}

/// Parts that the configuration of an upstream adds to each request.
pub fn of_upstream(upstream: &Upstream, part: &mut dyn FnMut(&[u8])) {
    let Upstream { accept, headers, credentials, client_cert, .. } = upstream;
    named("accept", accept, part);
    headers.iter().for_each(|(name, value)| named("configured", field(name, value), part));
    for (number, member) in credentials.members.iter().enumerate() {
        named_some("member", credentials.are_pooled().then(|| number.to_string()), part);
        configured(member, "?").for_each(|credential| named("credentials", credential, part));
    }
    // Its file stays where the certificate is renewed.
    named_some("client_cert", client_cert.as_ref().map(|files| files.cert.as_os_str().as_encoded_bytes()), part);
}

/// Returns the field or, behind `mark`, the parameter that each of the configured credentials adds to a request.
fn configured(credentials: &[Credential], mark: &str) -> impl Iterator<Item = Vec<u8>> {
    credentials.iter().filter_map(move |credential| {
        let text = credential.identity();
        match credential.place() {
            SecretPlace::Header(name, form) => Some(field(name, &form.value(&text)?)),
            SecretPlace::Query(name) => Some(format!("{mark}{name}={text}").into_bytes()),
        }
    })
}

/// Parts of header fields.
pub fn of_fields(headers: &HeaderMap, part: &mut dyn FnMut(&[u8])) {
    fields(headers).into_iter().for_each(|field| named("field", field, part));
}

/// Last parts of a key: with all fields of a request, of the key that requests share; with those alone that identify its caller, of the key by
/// which that caller reads a snapshot.
pub fn of_sender(collection: &Collection, fields: &HeaderMap, part: &mut dyn FnMut(&[u8])) {
    of_fields(fields, part);
    of_collection(collection, part);
}

fn of_collection(collection: &Collection, part: &mut dyn FnMut(&[u8])) {
    named("collection", &collection.path, part);
    named_some("scope", (collection.sharing.scope == Scope::Public).then_some("public"), part);
}

fn named(name: &str, value: impl AsRef<[u8]>, part: &mut dyn FnMut(&[u8])) {
    part(name.as_bytes());
    part(value.as_ref());
}

fn named_some(name: &str, value: Option<impl AsRef<[u8]>>, part: &mut dyn FnMut(&[u8])) {
    if let Some(value) = value {
        named(name, value, part);
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
