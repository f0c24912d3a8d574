//! Paths whose requests were refused with a renewed token, too: another renewal would not help.

use std::collections::HashMap;

use tokio::time::Instant;

use super::PAUSE;

/// Number of paths with a renewal in vain within [`PAUSE`] from which on no path may renew.
const MAX_PATHS: usize = 5;

/// Paths whose last renewal was in vain, each with its time.
#[derive(Debug, Default)]
pub(super) struct VainRenewals {
    by_path: HashMap<String, Instant>,
}

impl VainRenewals {
    /// Returns true where no request for this path may renew the token now. Where many paths have tried in vain, no path may: their renewals have
    /// left a token that is at most [`PAUSE`] old.
    pub(super) fn forbid(&mut self, path: &str, now: Instant) -> bool {
        self.by_path.retain(|_, at| now.duration_since(*at) < PAUSE);
        self.by_path.len() >= MAX_PATHS || self.by_path.contains_key(path)
    }

    pub(super) fn add(&mut self, path: &str, now: Instant) {
        self.by_path.insert(path.to_owned(), now);
    }

    /// Forgets a path whose request was accepted.
    pub(super) fn remove(&mut self, path: &str) {
        if !self.by_path.is_empty() {
            self.by_path.remove(path);
        }
    }
}
