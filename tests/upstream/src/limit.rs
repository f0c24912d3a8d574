//! Rate limits of a scripted upstream: counting, and the fields of its answers.

use std::collections::VecDeque;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::fault::whole_seconds;

/// This many requests in so long; what is beyond gets 429 and doesn't count.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Number of requests.
    pub requests: u32,
    /// In how long.
    pub period: Duration,
    /// Way of counting.
    pub counted: Counted,
    /// Fields of the answers; none if empty.
    pub says: Vec<Says>,
}

/// Way of counting requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// From the start of each period on; twice as many may come around its end.
    FixedWindow,
    /// Over the period that ends now.
    SlidingWindow,
    /// By tokens that come back one by one, of which this many are kept.
    Bucket(u32),
}

/// Fields of an answer about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// `Retry-After` in seconds, with a refusal.
    RetryAfter,
    /// `Retry-After` as a date, with a refusal.
    RetryAfterDate,
    /// `RateLimit` and `RateLimit-Policy`, as in the IETF's draft.
    RateLimit,
    /// `RateLimit-Limit`, `-Remaining` and `-Reset`, as in the draft's first versions.
    RateLimitFields,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    XRateLimit(Reset),
}

/// Form of a reset in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// In seconds since 1970.
    Epoch,
    /// In seconds from now.
    Delta,
}

/// Counts of a limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    /// Until when each of those that came counts, the first one first.
    count_until: VecDeque<Duration>,
    /// Time at which the bucket is full again.
    full: Duration,
}

/// Verdict on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Refused,
}

/// Budget after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) verdict: Verdict,
    remaining: u32,
    /// Time until the reset.
    reset: Duration,
}

impl RateLimit {
    /// This many requests a second, each in its turn, which answers say nothing of.
    pub fn per_second(requests: u32) -> Self {
        Self { requests, period: Duration::from_secs(1), counted: Counted::Bucket(1), says: Vec::new() }
    }

    /// Counts a request that comes now, unless it is one too many.
    pub(super) fn count(&self, meter: &mut Meter, now: Duration) -> Budget {
        match self.counted {
            Counted::Bucket(kept) => self.take(meter, kept.max(1), now),
            Counted::FixedWindow => {
                let period = self.period.as_nanos().max(1);
                let left = period - now.as_nanos() % period;
                self.enter(meter, now, now + Duration::from_nanos_u128(left))
            }
            Counted::SlidingWindow => self.enter(meter, now, now + self.period),
        }
    }

    /// Counts a request until a moment, if there is room for it.
    fn enter(&self, meter: &mut Meter, now: Duration, until: Duration) -> Budget {
        let counting = &mut meter.count_until;
        while counting.front().is_some_and(|until| *until <= now) {
            counting.pop_front();
        }
        let free = (self.requests as usize).saturating_sub(counting.len());
        let verdict = if free == 0 { Verdict::Refused } else { Verdict::Admitted };
        if verdict == Verdict::Admitted {
            counting.push_back(until);
        }
        let remaining = u32::try_from(free.saturating_sub(1)).unwrap_or(u32::MAX);
        let first = counting.front().copied().unwrap_or(until);
        Budget { verdict, remaining, reset: first - now }
    }

    fn take(&self, meter: &mut Meter, kept: u32, now: Duration) -> Budget {
        let each = (self.period / self.requests.max(1)).max(Duration::from_nanos(1));
        let free = (each * kept).saturating_sub(meter.full.saturating_sub(now));
        if free < each {
            return Budget { verdict: Verdict::Refused, remaining: 0, reset: each - free };
        }
        meter.full = meter.full.max(now) + each;
        let left = free - each;
        let remaining = u32::try_from(left.as_nanos() / each.as_nanos()).unwrap_or(kept);
        let reset = if remaining == 0 { each.saturating_sub(left) } else { meter.full - now };
        Budget { verdict: Verdict::Admitted, remaining, reset }
    }

    /// Writes what is left into the head of an answer; `clock` is the time since 1970.
    pub(super) fn tell(&self, budget: Budget, clock: Duration, headers: &mut HeaderMap) {
        let Budget { verdict, remaining, reset } = budget;
        let (requests, remaining, delta) = (u64::from(self.requests), u64::from(remaining), whole_seconds(reset));
        let refused = verdict == Verdict::Refused;
        for says in &self.says {
            match says {
                Says::RetryAfter if refused => drop(headers.insert(header::RETRY_AFTER, delta.into())),
                Says::RetryAfterDate if refused => {
                    let at = UNIX_EPOCH + Duration::from_secs(whole_seconds(clock + reset));
                    let date = HeaderValue::try_from(httpdate::fmt_http_date(at));
                    headers.insert(header::RETRY_AFTER, date.expect("a date is ASCII"));
                }
                Says::RetryAfter | Says::RetryAfterDate => {}
                Says::RateLimit => {
                    let period = whole_seconds(self.period);
                    for (name, value) in [
                        ("ratelimit-policy", format!(r#""default";q={requests};w={period}"#)),
                        ("ratelimit", format!(r#""default";r={remaining};t={delta}"#)),
                    ] {
                        let value = HeaderValue::try_from(value).expect("numbers and ASCII");
                        headers.insert(HeaderName::from_static(name), value);
                    }
                }
                Says::RateLimitFields => {
                    let names = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
                    insert(headers, names, [requests, remaining, delta]);
                }
                Says::XRateLimit(how) => {
                    let at = match how {
                        Reset::Delta => delta,
                        Reset::Epoch => whole_seconds(clock + reset),
                    };
                    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
                    insert(headers, names, [requests, remaining, at]);
                }
            }
        }
    }
}

fn insert(headers: &mut HeaderMap, names: [&'static str; 3], values: [u64; 3]) {
    for (name, value) in names.into_iter().zip(values) {
        headers.insert(HeaderName::from_static(name), value.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limit(counted: Counted) -> RateLimit {
        RateLimit { requests: 3, period: 1_000 * MS, counted, says: Vec::new() }
    }

    /// The remaining budget after each of these requests, none where it was refused, and the time to the reset.
    fn seen(counted: Counted, at: &[u32]) -> Vec<(Option<u32>, u128)> {
        let (limit, mut meter) = (limit(counted), Meter::default());
        let budgets = at.iter().map(|at| limit.count(&mut meter, *at * MS));
        let seen = |budget: Budget| {
            ((budget.verdict == Verdict::Admitted).then_some(budget.remaining), budget.reset.as_millis())
        };
        budgets.map(seen).collect()
    }

    #[test]
    fn a_fixed_window_starts_anew_at_its_end() {
        let at = [800, 810, 820, 830, 1_000, 1_010, 1_020, 1_999];
        let (left, reset): (Vec<_>, Vec<_>) = seen(Counted::FixedWindow, &at).into_iter().unzip();
        assert_eq!(left, [Some(2), Some(1), Some(0), None, Some(2), Some(1), Some(0), None]);
        assert_eq!(reset, [200, 190, 180, 170, 1_000, 990, 980, 1]);
    }

    #[test]
    fn a_sliding_window_has_room_when_the_oldest_leaves() {
        let at = [0, 800, 810, 999, 1_000, 1_799, 1_800];
        let (left, reset): (Vec<_>, Vec<_>) = seen(Counted::SlidingWindow, &at).into_iter().unzip();
        assert_eq!(left, [Some(2), Some(1), Some(0), None, Some(0), None, Some(0)]);
        assert_eq!(reset, [1_000, 200, 190, 1, 800, 1, 10]);
    }

    #[test]
    fn a_bucket_fills_evenly() {
        let at = [0, 0, 0, 333, 334, 2_000, 2_000];
        let (left, reset): (Vec<_>, Vec<_>) = seen(Counted::Bucket(2), &at).into_iter().unzip();
        assert_eq!(left, [Some(1), Some(0), None, None, Some(0), Some(1), Some(0)]);
        assert_eq!((reset[2], reset[3]), (333, 0), "the rest of a millisecond");
    }

    #[test]
    fn each_way_to_say_it_is_spelled_as_its_apis_do() {
        let clock = Duration::from_millis(1_600_000_000_250);
        let says = vec![Says::RetryAfter, Says::RateLimit, Says::RateLimitFields, Says::XRateLimit(Reset::Epoch)];
        let limit = RateLimit { says, ..limit(Counted::SlidingWindow) };
        let told = |limit: &RateLimit, verdict, remaining| {
            let mut headers = HeaderMap::new();
            limit.tell(Budget { verdict, remaining, reset: 1_500 * MS }, clock, &mut headers);
            let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
            headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>()
        };
        let common = [
            r#"ratelimit-policy: "default";q=3;w=1"#,
            r#"ratelimit: "default";r=2;t=2"#,
            "ratelimit-limit: 3",
            "ratelimit-remaining: 2",
            "ratelimit-reset: 2",
            "x-ratelimit-limit: 3",
            "x-ratelimit-remaining: 2",
            "x-ratelimit-reset: 1600000002",
        ];
        assert_eq!(told(&limit, Verdict::Admitted, 2), common);
        assert_eq!(told(&limit, Verdict::Refused, 0)[0], "retry-after: 2");
        let limit = RateLimit { says: vec![Says::RetryAfterDate, Says::XRateLimit(Reset::Delta)], ..limit };
        let told = told(&limit, Verdict::Refused, 0);
        assert_eq!(told[0], "retry-after: Sun, 13 Sep 2020 12:26:42 GMT");
        assert_eq!(told[3], "x-ratelimit-reset: 2");
    }

    proptest! {
        #[test]
        fn whoever_comes_when_it_says_is_admitted(
            kind in 0_usize..3, gaps in prop::collection::vec(0_u64..700, 1..40), requests in 1_u32..5, kept in 1_u32..5
        ) {
            let counted = [Counted::FixedWindow, Counted::SlidingWindow, Counted::Bucket(kept)][kind];
            let limit = RateLimit { requests, ..limit(counted) };
            let (mut meter, mut now, mut admitted) = (Meter::default(), Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                let mut budget = limit.count(&mut meter, now);
                if budget.verdict == Verdict::Refused {
                    now += budget.reset;
                    budget = limit.count(&mut meter, now);
                }
                prop_assert_eq!(budget.verdict, Verdict::Admitted);
                admitted.push(now);
            }
            let most = match counted {
                Counted::FixedWindow => 2 * requests,
                Counted::SlidingWindow => requests,
                Counted::Bucket(kept) => requests + kept,
            };
            for at in &admitted {
                let within = admitted.iter().filter(|other| (*at..*at + limit.period).contains(*other)).count();
                prop_assert!(within <= most as usize, "{} within a period", within);
            }
        }
    }
}
