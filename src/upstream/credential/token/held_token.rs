//! A token and the times of its renewal and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::credential::placed_secret::PlacedSecret;

/// Longest time before its end at which a token is renewed. Of a short-lived one it is a tenth of its life.
const EARLY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(super) struct HeldToken {
    pub(super) placed: Arc<PlacedSecret>,
    /// Times from which on it is renewed, and no longer valid; none where its life is not known.
    times: Option<(Instant, Instant)>,
}

impl HeldToken {
    pub(super) fn new(placed: &Arc<PlacedSecret>, now: Instant, lifetime: Option<Duration>) -> Self {
        let times = lifetime.and_then(|lifetime| {
            let early = EARLY.min(lifetime / 10);
            Some((now.checked_add(lifetime - early)?, now.checked_add(lifetime)?))
        });
        Self { placed: Arc::clone(placed), times }
    }

    /// Returns true before the time of its renewal.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.times.is_none_or(|(renewal, _)| now < renewal)
    }

    /// Returns true before its end.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.times.is_none_or(|(_, end)| now < end)
    }
}
