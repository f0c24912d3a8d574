//! Hold of a pool's member whose credentials were refused where those of another member were not.

use std::time::Duration;

use tokio::time::Instant;

/// Time of one hold.
const LENGTH: Duration = Duration::from_mins(1);

/// End of the last hold, if there was one.
#[derive(Debug, Default)]
pub(super) struct RefusedHold(Option<Instant>);

impl RefusedHold {
    /// Begins a hold, and returns its length; all that find the refusal out at a time are told once.
    pub(super) fn begin(&mut self, origin: &str, member: usize) -> Duration {
        let end = Instant::now() + LENGTH;
        if self.0.replace(end).is_none_or(|before| before + LENGTH / 2 < end) {
            tracing::warn!(
                "{origin}: the upstream refuses credentials.pool[{member}] with 401, and accepts another member: the member is held for a minute; check its secret"
            );
        }
        LENGTH
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.0.is_some_and(|end| Instant::now() < end)
    }
}
