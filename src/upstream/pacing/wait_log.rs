//! Log lines about long waits: one for each, however many requests wait.

use std::fmt;
use std::time::Duration;

use crate::pace::{Governor, HoldReason};

/// Longest wait that is not logged.
const LONG: Duration = Duration::from_secs(1);

/// Waits that have been logged. Times are since the governor's start.
#[derive(Debug, Default)]
pub(super) struct WaitLog {
    /// The end of the last wait that was logged.
    until: Duration,
    /// True once it was logged that requests are far apart.
    is_slow: bool,
}

/// Origin of the upstream, and the member of its pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingName<'a> {
    pub(super) origin: &'a str,
    pub(super) member: Option<usize>,
}

impl fmt::Display for WaitingName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin)?;
        self.member.map_or(Ok(()), |member| write!(f, ", credentials.pool[{member}]"))
    }
}

impl WaitLog {
    /// Logs that no request is sent before `at`, and the reason.
    pub(super) fn log(
        &mut self,
        name: WaitingName<'_>,
        governor: &Governor,
        now: Duration,
        at: Duration,
        hold: HoldReason,
    ) {
        if hold == HoldReason::Rate {
            return self.log_rate(name, governor, now);
        }
        if at <= now + LONG || at <= self.until + LONG {
            return;
        }
        self.until = at;
        let wait = humantime::format_duration(Duration::from_secs((at - now).as_secs_f64().round() as u64));
        tracing::info!("{name}: waiting {wait}: {hold}");
    }

    /// Logs once that requests are far apart, until they are much closer: a line for each would be noise.
    fn log_rate(&mut self, name: WaitingName<'_>, governor: &Governor, now: Duration) {
        let apart = governor.load(now).rate.map_or(0.0, |rate| 1.0 / rate);
        if !self.is_slow && apart > LONG.as_secs_f64() {
            self.is_slow = true;
            let apart =
                humantime::format_duration(Duration::from_millis(((apart * 10.0).round() as u64).saturating_mul(100)));
            tracing::info!("{name}: one request every {apart}: {}", HoldReason::Rate);
        } else if apart < LONG.as_secs_f64() / 2.0 {
            self.is_slow = false;
        }
    }
}
