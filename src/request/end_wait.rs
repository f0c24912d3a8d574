//! Wait for the proven end of a stream before its head is sent: `_wait=complete`, or `wait` in the `Prefer` field (RFC 7240 §4.3).

use std::time::Duration;

use http::HeaderMap;

use super::PREFER;
use super::directive_list::directives;

/// Longest wait, in seconds.
const LONGEST: u64 = 600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndWait {
    /// By the parameter.
    Demanded,
    /// By a preference for this many seconds, 1 to 600.
    Preferred(u64),
}

impl EndWait {
    /// Reads the field, of which the first `wait` counts; `default` is for a request without one. A wait of 0 s is none.
    pub(super) fn read(headers: &HeaderMap, default: Option<Self>) -> Option<Self> {
        let preferences = directives(headers, &PREFER);
        let wait = preferences.into_iter().find(|(name, _)| name == "wait");
        let seconds = wait.and_then(|(_, seconds)| seconds.parse().ok()).filter(|seconds| *seconds > 0);
        seconds.map(|seconds: u64| Self::Preferred(seconds.min(LONGEST))).or(default)
    }

    pub fn longest(self) -> Duration {
        match self {
            Self::Demanded => Duration::from_secs(LONGEST),
            Self::Preferred(seconds) => Duration::from_secs(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_preferred_wait_is_a_number_of_seconds_and_ten_minutes_at_most() {
        for (field, wait) in [
            ("wait=5", Some(5)),
            ("respond-async, WAIT = \"7\"; x, wait=9", Some(7)),
            ("wait=100000", Some(600)),
            ("wait=0", None),
            ("wait", None),
            ("wait=-1", None),
            ("wait=5s", None),
            ("waiting=5", None),
        ] {
            let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(field))]);
            assert_eq!(EndWait::read(&headers, None), wait.map(EndWait::Preferred), "{field}");
            let or = EndWait::read(&headers, Some(EndWait::Demanded));
            assert_eq!(or, Some(wait.map_or(EndWait::Demanded, EndWait::Preferred)), "{field}");
        }
        assert_eq!(EndWait::Demanded.longest(), EndWait::Preferred(LONGEST).longest());
    }
}
