//! A moment of a connection that is set, read and cleared without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time since a connection's begin, in milliseconds and one more; 0 for none.
#[derive(Debug, Default)]
pub(super) struct Moment(AtomicU64);

impl Moment {
    pub(super) fn set(&self, at: Duration) {
        self.0.store(u64::try_from(at.as_millis()).unwrap_or(u64::MAX - 1) + 1, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Clears it; returns true where it was set.
    pub(super) fn take(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) != 0
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    pub(super) fn get(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }
}
