//! Drain: the stop of a server in its phases.

use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainSettings {
    /// Time for which a server that stops still accepts connections, until others have learnt that it stops.
    pub delay: Duration,
    /// Time for the responses in progress after that; `None`: 30 s.
    pub grace: Option<Duration>,
}

const GRACE: Duration = Duration::from_secs(30);

impl DrainSettings {
    pub(super) fn grace(&self) -> Duration {
        self.grace.unwrap_or(GRACE)
    }

    /// Returns the settings under an orchestrator that kills the process this long after its signal to stop: a grace that is not
    /// configured leaves 5 s of it to end in, 1 s of a time below 10 s.
    #[must_use]
    pub fn within(self, kill_after: Duration) -> Self {
        let margin = Duration::from_secs(if kill_after < Duration::from_secs(10) { 1 } else { 5 });
        let grace = self.grace.unwrap_or(kill_after.saturating_sub(margin + self.delay));
        Self { grace: Some(grace), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_ends_before_the_orchestrators() {
        let seconds = Duration::from_secs;
        for (kill_after, delay, grace) in [(30, 0, 25), (660, 15, 640), (8, 0, 7), (8, 10, 0), (0, 0, 0)] {
            let settings = DrainSettings { delay: seconds(delay), grace: None };
            assert_eq!(settings.grace(), seconds(30));
            assert_eq!(settings.within(seconds(kill_after)).grace(), seconds(grace));
            let configured = DrainSettings { grace: Some(seconds(100)), ..settings };
            assert_eq!(configured.within(seconds(kill_after)), configured);
        }
    }
}
