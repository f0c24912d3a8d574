//! Refusal of a pool's member where another member is accepted: it is asked last for a while. Nothing waits for its end.

use std::time::Duration;

use tokio::time::Instant;

/// Time for which one refusal counts.
const LENGTH: Duration = Duration::from_mins(1);

/// End of the time for which the last refusal counts, if there was one.
#[derive(Debug, Default)]
pub(super) struct MemberRefusal(Option<Instant>);

impl MemberRefusal {
    /// Notes a refusal; all that find it out at a time are told once.
    pub(super) fn note(&mut self, origin: &str, member: usize) {
        let end = Instant::now() + LENGTH;
        if self.0.replace(end).is_none_or(|before| before + LENGTH / 2 < end) {
            tracing::warn!(
                "{origin}: the upstream refuses credentials.pool[{member}] with 401, and accepts another member: the member is asked last for a minute; check its secret"
            );
        }
    }

    /// Returns the time for which the refusal still counts.
    pub(super) fn left(&self) -> Duration {
        self.0.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()))
    }
}
