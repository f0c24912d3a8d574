//! Counts of the requests for tokens, by their result.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct TokenRenewals(Arc<[AtomicU64; 2]>);

impl TokenRenewals {
    pub(super) fn note<T, E>(&self, renewed: &Result<T, E>) {
        self.0[usize::from(renewed.is_err())].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the label of each result and its count.
    pub fn counts(&self) -> [(&'static str, u64); 2] {
        [("good", self.0[0].load(Ordering::Relaxed)), ("failed", self.0[1].load(Ordering::Relaxed))]
    }
}
