//! Log lines about long waits: one for each, however many requests wait.

use std::time::Duration;

use crate::pace::{Governor, HoldReason};

/// Longest wait that is not logged.
const LONG: Duration = Duration::from_secs(1);

/// Waits that have been logged. Times are since the governor's start.
#[derive(Debug)]
pub(super) struct WaitLog {
    /// Origin of the upstream, and the member of its pool.
    name: String,
    /// The end of the last wait that was logged.
    until: Duration,
    /// True once it was logged that requests are far apart.
    is_slow: bool,
}

impl WaitLog {
    pub(super) fn new(origin: &str, member: Option<usize>) -> Self {
        let member = member.map(|member| format!(", credentials.pool[{member}]")).unwrap_or_default();
        Self { name: format!("{origin}{member}"), until: Duration::ZERO, is_slow: false }
    }

    /// Logs that no request is sent before `at`, and the reason.
    pub(super) fn log(&mut self, governor: &Governor, now: Duration, at: Duration, hold: HoldReason) {
        if hold == HoldReason::Rate {
            return self.log_rate(governor, now);
        }
        if at <= now + LONG || at <= self.until + LONG {
            return;
        }
        self.until = at;
        let wait = humantime::format_duration(Duration::from_secs((at - now).as_secs_f64().round() as u64));
        tracing::info!("{}: waiting {wait}: {hold}", self.name);
    }

    /// Logs once that requests are far apart, until they are much closer: a line for each would be noise.
    fn log_rate(&mut self, governor: &Governor, now: Duration) {
        let apart = governor.load(now).rate.map_or(0.0, |rate| 1.0 / rate);
        if !self.is_slow && apart > LONG.as_secs_f64() {
            self.is_slow = true;
            let apart =
                humantime::format_duration(Duration::from_millis(((apart * 10.0).round() as u64).saturating_mul(100)));
            tracing::info!("{}: one request every {apart}: {}", self.name, HoldReason::Rate);
        } else if apart < LONG.as_secs_f64() / 2.0 {
            self.is_slow = false;
        }
    }
}
