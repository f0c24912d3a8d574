//! When a page is asked for again, and how long to wait before that. Pure: the caller brings the clock and the dice.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::Path;

/// When to ask again: connect errors, timeouts, cut bodies, 408, 429, 5xx, and `statuses`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// How often one page is asked for at most, the first time included; 1 … 100, default 5.
    pub attempts: u32,
    /// The first wait, doubled each time and jittered; default 200 ms.
    pub base: Duration,
    /// The longest wait, `Retry-After` included: an upstream that demands more gets its stream broken; default 5 min.
    pub cap: Duration,
    /// Statuses that are retried beside 408, 429 and 5xx.
    pub statuses: Vec<u16>,
    /// Where an error's JSON body says how long to wait, and the unit of that number.
    pub wait: Option<(Path, Duration)>,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No whole answer: connection refused or cut, timeout, a body that isn't a page.
    Broken,
    /// An answer of this status, which demands to wait this long if it says so.
    Answered(StatusCode, Option<Duration>),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ask again after this long.
    Again(Duration),
    /// Report the failure.
    GiveUp,
}

/// Decides about attempt number `attempt` (from 1); `dice` is uniform in 0 … 1.
///
/// Backoff is exponential with full jitter; a demanded wait is never undercut, and one beyond the cap gives up.
pub fn decide(policy: &Retry, outcome: &Outcome, attempt: u32, dice: f64) -> Decision {
    if attempt >= policy.attempts {
        return Decision::GiveUp;
    }
    let doubled = policy.base.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(policy.cap);
    let jittered = doubled.mul_f64(dice.clamp(0.0, 1.0));
    match outcome {
        Outcome::Answered(status, _) if !retried(policy, *status) => Decision::GiveUp,
        Outcome::Answered(_, Some(demanded)) if *demanded > policy.cap => Decision::GiveUp,
        Outcome::Answered(_, Some(demanded)) => Decision::Again(*demanded + jittered.min(Duration::from_secs(1))),
        Outcome::Answered(..) | Outcome::Broken => Decision::Again(jittered),
    }
}

/// How long an answer demands to wait: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), or the configured value
/// in its body.
pub fn demanded(policy: &Retry, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let in_head = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => httpdate::parse_http_date(text).ok().map(|at| at.duration_since(now).unwrap_or_default()),
        }
    });
    let in_body = policy.wait.as_ref().and_then(|(path, unit)| {
        let body: Value = serde_json::from_slice(body).ok()?;
        let number = path.of_value(&body)?.as_f64().filter(|number| number.is_finite() && *number >= 0.0)?;
        Duration::try_from_secs_f64(unit.as_secs_f64() * number).ok()
    });
    in_head.max(in_body)
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(200),
            cap: Duration::from_secs(300),
            statuses: Vec::new(),
            wait: None,
        }
    }
}

fn retried(policy: &Retry, status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500..=599) || policy.statuses.contains(&status.as_u16())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn policy() -> Retry {
        Retry { attempts: 4, base: Duration::from_millis(100), cap: Duration::from_secs(10), ..Retry::default() }
    }

    #[test]
    fn backs_off_within_its_attempts() {
        let waits: Vec<_> = (1..=4).map(|attempt| decide(&policy(), &Outcome::Broken, attempt, 1.0)).collect();
        let again = |millis| Decision::Again(Duration::from_millis(millis));
        assert_eq!(waits, [again(100), again(200), again(400), Decision::GiveUp]);
        assert_eq!(decide(&policy(), &Outcome::Broken, 3, 0.0), again(0));
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let of =
            |status: u16| decide(&policy(), &Outcome::Answered(StatusCode::from_u16(status).unwrap(), None), 1, 1.0);
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_ne!(of(status), Decision::GiveUp, "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 416, 422] {
            assert_eq!(of(status), Decision::GiveUp, "{status}");
        }
        let also = Retry { statuses: vec![403], ..policy() };
        assert_ne!(decide(&also, &Outcome::Answered(StatusCode::FORBIDDEN, None), 1, 1.0), Decision::GiveUp);
    }

    #[test]
    fn a_demanded_wait_is_never_undercut() {
        let of = |seconds| {
            let demanded = Some(Duration::from_secs(seconds));
            decide(&policy(), &Outcome::Answered(StatusCode::TOO_MANY_REQUESTS, demanded), 1, 0.0)
        };
        assert_eq!(of(7), Decision::Again(Duration::from_secs(7)));
        assert_eq!(of(11), Decision::GiveUp);
    }

    #[test]
    fn reads_seconds_dates_and_bodies() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            demanded(&policy(), &headers, b"", now)
        };
        assert_eq!(wait("3"), Some(Duration::from_secs(3)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
        let in_body = Retry { wait: Some(("retry_after_ms".parse().unwrap(), Duration::from_millis(1))), ..policy() };
        let body = br#"{"retry_after_ms": 1500}"#;
        assert_eq!(demanded(&in_body, &HeaderMap::new(), body, now), Some(Duration::from_millis(1500)));
    }
}
