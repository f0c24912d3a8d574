//! Hints for keys that their table does not have.

use super::collection::COLLECTION;
use super::key_names::{KeyNames, TOP};
use super::keywords::nearest;
use super::upstream::{self, UPSTREAM};
use super::{
    collection, collection_pagination, credentials_key, opened_state, pace, pagination_key, pagination_values, parent,
    partition_key, secrets, server, since_valid_at, snapshots, tls, token_key,
};
use crate::pagination::Style;

/// All tables but the styles', in the order in which a hint looks for a key's own.
pub(super) static LEVELS: [&dyn KeyNames; 42] = [
    &TOP,
    &snapshots::SNAPSHOTS,
    &COLLECTION,
    &UPSTREAM,
    &credentials_key::CREDENTIALS,
    &credentials_key::POOL,
    &credentials_key::AWS,
    &credentials_key::BASIC,
    &credentials_key::NAMED,
    &secrets::SECRET,
    &token_key::TOKEN,
    &token_key::CLIENT,
    &token_key::JWT,
    &token_key::PUT,
    &upstream::CLIENT_CERT,
    &upstream::TIMEOUTS,
    &upstream::RETRY,
    &upstream::WAIT,
    &pace::RATE_LIMIT,
    &collection_pagination::RECORDS,
    &collection_pagination::PAGE_SIZE,
    &collection_pagination::LIMITS,
    &collection_pagination::ERROR,
    &collection::CAPS,
    &parent::PARENT,
    &partition_key::RANGE,
    &partition_key::VALUES,
    &partition_key::NUMBERED,
    &partition_key::WINDOW,
    &since_valid_at::SINCE,
    &since_valid_at::VALID_AT,
    &opened_state::OPENED,
    &opened_state::CLOSE,
    &pagination_key::MORE,
    &pagination_key::END,
    &pagination_values::LINKS,
    &server::LIMITS,
    &server::HTTP2,
    &server::DRAIN,
    &server::PROXY_PROTOCOL,
    &tls::TLS,
    &tls::PAIR,
];

/// Place of a key of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// `[[collection]]` itself.
    Collection,
    /// Inside `pagination`.
    Style,
}

/// Returns the place of a key, or of the table in front of its dot.
pub fn key_place(key: &str) -> Option<KeyPlace> {
    let (table, inner) = key.split_once('.').map_or((key, None), |(table, inner)| (table, Some(inner)));
    if table == "pagination" && inner.is_some_and(is_of_style) {
        return Some(KeyPlace::Style);
    }
    if COLLECTION.keys().contains(&table) && inner.is_none_or(|inner| inner.split('.').all(KeyPlace::exists)) {
        return Some(KeyPlace::Collection);
    }
    is_of_style(key).then_some(KeyPlace::Style)
}

fn is_of_style(key: &str) -> bool {
    Style::SCHEMAS.iter().any(|style| KeyNames::keys(*style).contains(&key))
}

impl KeyPlace {
    /// Returns true for a key of any table, styles of pagination included.
    pub(crate) fn exists(key: &str) -> bool {
        LEVELS.iter().any(|level| level.keys().contains(&key)) || is_of_style(key)
    }
}

/// Returns the hint for a key that the table `level` does not have.
pub(super) fn unknown_key(key: &str, level: &dyn KeyNames) -> String {
    let known = level.keys();
    let all = || known.join(", ");
    if let Some(near) = nearest(key, known.iter().copied()) {
        return format!("did you mean {near:?}?");
    }
    let owners: Vec<_> =
        Style::SCHEMAS.iter().filter(|style| KeyNames::keys(**style).contains(&key)).map(|style| style.name).collect();
    let in_style = Style::SCHEMAS.iter().any(|style| style.name == level.name());
    if in_style && !owners.is_empty() {
        return format!("{key} belongs to type {}; known for type {}: {}", owners.join(", "), level.name(), all());
    }
    if in_style && COLLECTION.keys().contains(&key) {
        return format!("{key} belongs beside pagination, in [[collection]]");
    }
    if !owners.is_empty() && level.name() == COLLECTION.name() {
        return format!("{key} belongs inside pagination = {{ … }}, of type {}", owners.join(", "));
    }
    match LEVELS.iter().find(|other| other.keys().contains(&key)) {
        Some(other) => format!("{key} belongs in {}", other.name()),
        None => format!("known here: {}", all()),
    }
}
