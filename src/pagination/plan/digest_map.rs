//! Map from digests of pages, records and requests.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Map from XXH3 digests, whose bits need no further hash. An upstream that aimed at equal ones would slow down its own crawl.
pub(super) type DigestMap<V> = HashMap<u64, V, BuildHasherDefault<DigestHasher>>;

/// Hasher of a digest, which is the digest.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
