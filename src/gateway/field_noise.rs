//! Noise: header fields that differ in each request of one caller, so that no two of its requests share a crawl.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::ask::StreamRequest;
use crate::id::CacheKey;

/// Number of different values in as many crawls of one caller that make a field noise.
const DIFFERENT: usize = 4;

/// Number of callers that are remembered, and time for which they are.
const CALLERS: u64 = 1 << 12;
const REMEMBERED: Duration = Duration::from_secs(600);

/// Number of fields that are compared in a request.
const FIELDS: usize = 32;

/// Number of fields that are named in the log while this process lives.
const NAMED: usize = 32;

/// Fields of the crawls that callers have begun of late.
#[derive(Debug)]
pub(super) struct FieldNoise {
    callers: Cache<CacheKey, Arc<Mutex<Vec<RecentValues>>>>,
    /// Fields that were named in the log, which is done once for each.
    named: Mutex<HashSet<HeaderName>>,
    hasher: RandomState,
}

/// Hashes of the last values of a field, all of them different.
#[derive(Clone, Debug)]
struct RecentValues {
    name: HeaderName,
    hashes: Vec<u64>,
}

impl FieldNoise {
    pub(super) fn new() -> Self {
        let callers = Cache::builder().max_capacity(CALLERS).time_to_idle(REMEMBERED).build();
        Self { callers, named: Mutex::default(), hasher: RandomState::new() }
    }

    /// Notes a crawl that begins for the caller with this reader's key, and names the fields in the log that are noise.
    pub(super) fn note(&self, reader: CacheKey, request: &StreamRequest) {
        let headers = &request.first.headers;
        let hash = |name| self.hasher.hash_one(headers.get_all(name).iter().collect::<Vec<_>>());
        let others = request.caller.others.iter().take(FIELDS);
        let fields: Vec<(HeaderName, u64)> = others.map(|name| (name.clone(), hash(name))).collect();
        if fields.is_empty() {
            return;
        }
        for name in self.noisy(reader, fields) {
            tracing::warn!(
                "the header field {name} differs in each request of one caller to {}, so that none of them share a crawl; if the \
                 upstream doesn't need it, write ignore_fields = [\"{name}\"] for the upstream",
                request.collection.path
            );
        }
    }

    /// Returns the fields that are noise and were not named before.
    fn noisy(&self, reader: CacheKey, fields: Vec<(HeaderName, u64)>) -> Vec<HeaderName> {
        let values = self.callers.get_with(reader, Arc::default);
        let mut values = values.lock();
        let mut before = std::mem::take(&mut *values);
        let recent: Vec<RecentValues> = fields
            .into_iter()
            .map(|(name, hash)| {
                let at = before.iter().position(|values| values.name == name);
                let hashes = at.map_or_else(Vec::new, |at| before.swap_remove(at).hashes);
                RecentValues { name, hashes: with(hashes, hash) }
            })
            .collect();
        let mut named = self.named.lock();
        let noisy = recent.iter().filter(|values| values.hashes.len() >= DIFFERENT).map(|values| values.name.clone());
        let noisy = noisy.filter(|name| named.len() < NAMED && named.insert(name.clone())).collect();
        *values = recent;
        noisy
    }
}

/// Returns the last values with another one; a value that comes again is the only one.
fn with(mut hashes: Vec<u64>, hash: u64) -> Vec<u64> {
    if hashes.contains(&hash) {
        hashes.clear();
    }
    if hashes.len() >= DIFFERENT {
        hashes.remove(0);
    }
    hashes.push(hash);
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_noise_when_none_of_its_last_values_came_twice_and_is_named_once() {
        let noise = FieldNoise::new();
        let reader = CacheKey::from_bytes([1; 32]);
        let (each, some) = (HeaderName::from_static("x-each"), HeaderName::from_static("x-some"));
        let named: Vec<_> =
            (0..9).map(|at| noise.noisy(reader, vec![(each.clone(), at), (some.clone(), at % 3)])).collect();
        let nothing = Vec::new();
        assert!(
            named
                .iter()
                .enumerate()
                .all(|(at, names)| *names == if at == 3 { vec![each.clone()] } else { nothing.clone() })
        );
        // Another caller has values of its own.
        let other = CacheKey::from_bytes([2; 32]);
        assert_eq!(noise.noisy(other, vec![(some.clone(), 9)]), nothing);
    }

    #[test]
    fn names_that_a_client_makes_up_take_no_more_than_their_memory() {
        let noise = FieldNoise::new();
        let reader = CacheKey::from_bytes([1; 32]);
        let names: Vec<HeaderName> = (0..4 * NAMED).map(|number| format!("x-{number}").parse().unwrap()).collect();
        let named: usize =
            (0..8).map(|at| noise.noisy(reader, names.iter().map(|name| (name.clone(), at)).collect()).len()).sum();
        assert_eq!((named, noise.named.lock().len()), (NAMED, NAMED));
    }
}
