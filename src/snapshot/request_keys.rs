//! Keys of a request, by which it finds snapshots.

use crate::id::CacheKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKeys {
    /// Cache key: of the snapshots that the request shares, and whose crawls it may resume.
    pub shared: CacheKey,
    /// Key of the snapshots that its caller may read by their names.
    pub reader: CacheKey,
}

impl RequestKeys {
    /// Returns `true` where the request may read the snapshot with these keys.
    pub(super) fn may_read(self, shared: CacheKey, reader: Option<CacheKey>) -> bool {
        self.shared == shared || reader == Some(self.reader)
    }
}
