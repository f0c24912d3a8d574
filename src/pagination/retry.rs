//! Retries of a page: the policy, the decision after an attempt, and the retry budget of a crawl. Pure: the caller brings the clock
//! and the random numbers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use parking_lot::Mutex;
use serde_json::Value;

use super::Path;
use super::page::PageFields;

/// Policy for retries, which follow connect errors, timeouts, cut bodies, 202, 408, 429, 5xx, and `statuses`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Most attempts at one page, the first included; 1 … 100, default 5.
    pub attempts: u32,
    /// First wait, doubled each time and jittered; default 200 ms.
    pub base: Duration,
    /// Longest wait, `Retry-After` included: if an upstream demands more, the stream fails; default 5 min.
    pub cap: Duration,
    /// Statuses that are retried beside 408, 429 and 5xx.
    pub statuses: Vec<u16>,
    /// Path of the demanded wait in an error's JSON body, and the unit of that number.
    pub wait: Option<(Path, Duration)>,
}

/// Outcome of an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// No whole answer: the connection was refused or cut, or the body isn't a page.
    Broken,
    /// No answer, or no part of its body, within the time limit.
    TimedOut,
    /// An answer of this status, and the wait that it demands.
    Answered(StatusCode, Option<Duration>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Send the request again after this wait.
    Again(Duration),
    GiveUp,
}

/// Likelihood that the page was too large for the upstream, so that a smaller one is worth an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    No,
    Likely,
}

/// Possibility to request a smaller page instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halvable {
    No,
    Yes,
}

/// Answers to a page's request that the plan can do with, beside the page itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTraits {
    pub halvable: Halvable,
    pub no_content: NoContent,
    pub place: PagePlace,
    pub resend: Resend,
    /// Time to wait before the first attempt.
    pub wait: Duration,
}

/// Permission to send a page's request again after an answer that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    Allowed,
    /// The upstream may have moved on behind the page (a scroll): only a request that it did not serve is sent again.
    Unserved,
}

/// Place of a page in its part of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PagePlace {
    First,
    Later,
}

/// Meaning of 204 No Content (RFC 9110 §15.3.5) as the answer to a page's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoContent {
    /// The page, which has no records.
    Page,
    /// The upstream has led to the page, which is not there yet.
    NotYet,
}

/// Retry budget of a crawl; clones share it.
///
/// `retries ≤ max(10, attempts − 1) + pages / 5`, where `pages` is the number of pages that were requested so far. The fifth keeps the
/// load on a failing upstream close to that on a healthy one. The first term lets any one page have all its attempts, and lets a short
/// crawl survive some bad pages, since so few requests are no storm.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    least: u64,
    counts: Arc<Mutex<RetryCounts>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct RetryCounts {
    pages: u64,
    retries: u64,
}

/// The retry budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream failed too often: {retries} retries for {pages} pages")]
pub struct RetryBudgetSpent {
    pub pages: u64,
    pub retries: u64,
}

/// Attempts at a page that is likely too large, before a smaller one is requested.
const BEFORE_HALVING: u32 = 3;

/// Retries that any crawl may have.
const LEAST: u64 = 10;

/// Pages that allow one more retry.
const SHARE: u64 = 5;

/// Decides after attempt number `attempt` (from 1); `dice` is uniform in 0 … 1.
///
/// Backoff is exponential with full jitter. A demanded wait is always kept, and one beyond the cap gives up.
pub fn decide(
    policy: &RetryPolicy,
    outcome: &AttemptOutcome,
    overload: Overload,
    attempt: u32,
    dice: f64,
) -> RetryDecision {
    let attempts = match overload {
        Overload::Likely => policy.attempts.min(BEFORE_HALVING),
        Overload::No => policy.attempts,
    };
    if attempt >= attempts {
        return RetryDecision::GiveUp;
    }
    let doubled = policy.base.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(policy.cap);
    let jittered = doubled.mul_f64(dice.clamp(0.0, 1.0));
    match outcome {
        AttemptOutcome::Answered(status, _) if !retried(policy, *status) => RetryDecision::GiveUp,
        AttemptOutcome::Answered(_, Some(demanded)) if *demanded > policy.cap => RetryDecision::GiveUp,
        AttemptOutcome::Answered(_, Some(demanded)) => {
            RetryDecision::Again(*demanded + jittered.min(Duration::from_secs(1)))
        }
        AttemptOutcome::Answered(..) | AttemptOutcome::Broken | AttemptOutcome::TimedOut => {
            RetryDecision::Again(jittered)
        }
    }
}

/// Judges whether the page may be too large, so that a smaller one is requested when it is given up. With a policy of one attempt
/// none is.
pub fn overload(policy: &RetryPolicy, outcome: &AttemptOutcome, halvable: Halvable) -> Overload {
    if halvable == Halvable::Yes && policy.attempts > 1 { outcome.overload() } else { Overload::No }
}

impl PageTraits {
    /// Traits of a page that no plan has ordered.
    pub fn of_one_page(place: PagePlace) -> Self {
        Self {
            halvable: Halvable::No,
            no_content: NoContent::Page,
            place,
            resend: Resend::Allowed,
            wait: Duration::ZERO,
        }
    }
}

impl AttemptOutcome {
    /// Judges the failure: 503 says that no request is served now, and an upstream that names a wait knows better.
    fn overload(&self) -> Overload {
        match self {
            Self::TimedOut => Overload::Likely,
            Self::Answered(status, None) if matches!(status.as_u16(), 500 | 502 | 504) => Overload::Likely,
            Self::Answered(..) | Self::Broken => Overload::No,
        }
    }

    /// Returns whether the upstream has named the time of the next attempt, which then doesn't count against the retry budget.
    fn is_appointment(&self) -> bool {
        let is_told = |status: &StatusCode| matches!(status.as_u16(), 202 | 429 | 503);
        matches!(self, Self::Answered(status, Some(_)) if is_told(status))
    }
}

impl RetryBudget {
    /// The budget of a new crawl.
    pub fn new(policy: &RetryPolicy) -> Self {
        let least = LEAST.max(u64::from(policy.attempts.saturating_sub(1)));
        Self { least, counts: Arc::default() }
    }

    /// Counts a page that is requested for the first time.
    pub fn count_page(&self) {
        self.counts.lock().pages += 1;
    }

    /// Takes a retry after this outcome.
    pub fn spend(&self, outcome: &AttemptOutcome) -> Result<(), RetryBudgetSpent> {
        if outcome.is_appointment() {
            return Ok(());
        }
        self.check()?;
        self.count_retries(1);
        Ok(())
    }

    /// Fails if no retry is left.
    pub fn check(&self) -> Result<(), RetryBudgetSpent> {
        let RetryCounts { pages, retries } = *self.counts.lock();
        if retries >= self.least + pages / SHARE { Err(RetryBudgetSpent { pages, retries }) } else { Ok(()) }
    }

    pub fn count_retries(&self, retries: u64) {
        self.counts.lock().retries += retries;
    }
}

impl RetryBudgetSpent {
    /// Advice for the user.
    pub fn hint(&self) -> &'static str {
        "the upstream answers too many of its pages only after retries: read its log, ask for smaller pages (page_size), or for fewer at a time (width)"
    }
}

/// Wait that an answer demands: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), or the configured value in its body.
pub fn demanded(policy: &RetryPolicy, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Duration> {
    let in_head = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| {
        let text = text.trim();
        match text.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Err(_) => httpdate::parse_http_date(text).ok().map(|at| at.duration_since(now).unwrap_or_default()),
        }
    });
    let in_body = policy.wait.as_ref().and_then(|(path, unit)| {
        let body: Value = serde_json::from_slice(body).ok()?;
        wait_of(path.of_value(&body)?, *unit)
    });
    in_head.max(in_body)
}

/// Wait that a whole page demands before the next request, by the configured value in it (Stack Exchange's `backoff`).
pub fn demanded_by_page(policy: &RetryPolicy, fields: &PageFields) -> Option<Duration> {
    let (path, unit) = policy.wait.as_ref()?;
    wait_of(fields.get(path)?, *unit)
}

fn wait_of(value: &Value, unit: Duration) -> Option<Duration> {
    let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)?;
    Duration::try_from_secs_f64(unit.as_secs_f64() * number).ok()
}

impl RetryPolicy {
    /// Path of the demanded wait, in refusals and in pages.
    pub(crate) fn wait_path(&self) -> Option<&Path> {
        self.wait.as_ref().map(|(path, _)| path)
    }
}

impl Default for RetryPolicy {
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

fn retried(policy: &RetryPolicy, status: StatusCode) -> bool {
    // A page that is being prepared (RFC 9110 §15.3.3). An answer without content (204) comes here only where it is no page.
    matches!(status.as_u16(), 202 | 204 | 408 | 429 | 500..=599) || policy.statuses.contains(&status.as_u16())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn backs_off_within_its_attempts() {
        let waits: Vec<_> =
            (1..=4).map(|attempt| decide(&policy(), &AttemptOutcome::Broken, Overload::No, attempt, 1.0)).collect();
        let again = |millis| RetryDecision::Again(Duration::from_millis(millis));
        assert_eq!(waits, [again(100), again(200), again(400), RetryDecision::GiveUp]);
        assert_eq!(decide(&policy(), &AttemptOutcome::Broken, Overload::No, 3, 0.0), again(0));
    }

    #[test]
    fn only_transient_statuses_are_retried() {
        let of = |status: u16| {
            decide(
                &policy(),
                &AttemptOutcome::Answered(StatusCode::from_u16(status).unwrap(), None),
                Overload::No,
                1,
                1.0,
            )
        };
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_ne!(of(status), RetryDecision::GiveUp, "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 416, 422] {
            assert_eq!(of(status), RetryDecision::GiveUp, "{status}");
        }
        let also = RetryPolicy { statuses: vec![403], ..policy() };
        assert_ne!(
            decide(&also, &AttemptOutcome::Answered(StatusCode::FORBIDDEN, None), Overload::No, 1, 1.0),
            RetryDecision::GiveUp
        );
    }

    #[test]
    fn a_demanded_wait_is_always_kept() {
        let of = |seconds| {
            let demanded = Some(Duration::from_secs(seconds));
            decide(&policy(), &AttemptOutcome::Answered(StatusCode::TOO_MANY_REQUESTS, demanded), Overload::No, 1, 0.0)
        };
        assert_eq!(of(7), RetryDecision::Again(Duration::from_secs(7)));
        assert_eq!(of(11), RetryDecision::GiveUp);
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
        let in_body =
            RetryPolicy { wait: Some(("retry_after_ms".parse().unwrap(), Duration::from_millis(1))), ..policy() };
        let body = br#"{"retry_after_ms": 1500}"#;
        assert_eq!(demanded(&in_body, &HeaderMap::new(), body, now), Some(Duration::from_millis(1500)));
    }

    fn outcome() -> impl Strategy<Value = AttemptOutcome> {
        let status = prop::sample::select(vec![408_u16, 429, 500, 501, 502, 503, 504]);
        let status = status.prop_map(|status| StatusCode::from_u16(status).unwrap());
        let wait = prop::option::of((0..20_u64).prop_map(Duration::from_secs));
        prop_oneof![
            Just(AttemptOutcome::Broken),
            Just(AttemptOutcome::TimedOut),
            (status, wait).prop_map(|(status, wait)| AttemptOutcome::Answered(status, wait)),
        ]
    }

    proptest! {
        /// The retries of all pages of a crawl stay within the budget in all orders of failures; those at a demanded time don't count.
        #[test]
        fn retries_never_exceed_the_least_and_a_fifth_of_the_pages(
            attempts in 1..101_u32,
            pages in prop::collection::vec(prop::collection::vec(outcome(), 0..9), 0..99),
        ) {
            let budget = RetryBudget::new(&RetryPolicy { attempts, ..policy() });
            let least = 10.max(u64::from(attempts) - 1);
            let (mut asked, mut counted) = (0, 0);
            for outcomes in pages {
                budget.clone().count_page();
                asked += 1;
                for outcome in outcomes {
                    let is_agreed = matches!(&outcome, AttemptOutcome::Answered(status, Some(_)) if matches!(status.as_u16(), 429 | 503));
                    match budget.spend(&outcome) {
                        Ok(()) => counted += u64::from(!is_agreed),
                        Err(spent) => {
                            prop_assert_eq!(spent, RetryBudgetSpent { pages: asked, retries: counted });
                            prop_assert!(!is_agreed && counted == least + asked / 5);
                        }
                    }
                    prop_assert!(counted <= least + asked / 5);
                }
            }
        }

        /// The decision for a page that could be smaller differs only in that it is given up sooner.
        #[test]
        fn a_page_that_can_be_halved_is_given_up_sooner(outcome in outcome(), attempt in 1..9_u32, dice in 0.0..1.0) {
            let overload_of = |halvable| overload(&policy(), &outcome, halvable);
            let whole = decide(&policy(), &outcome, overload_of(Halvable::No), attempt, dice);
            let halvable = decide(&policy(), &outcome, overload_of(Halvable::Yes), attempt, dice);
            let is_sooner = overload_of(Halvable::Yes) == Overload::Likely && attempt >= 3;
            prop_assert_eq!(halvable, if is_sooner { RetryDecision::GiveUp } else { whole });
        }
    }

    #[test]
    fn one_bad_page_has_all_its_attempts() {
        for attempts in [1, 5, 11, 12, 100] {
            let budget = RetryBudget::new(&RetryPolicy { attempts, ..policy() });
            budget.count_page();
            assert!((1..attempts).all(|_| budget.spend(&AttemptOutcome::Broken).is_ok()), "{attempts}");
        }
    }

    #[test]
    fn only_a_server_that_fails_or_is_slow_counts_as_overloaded() {
        let once = RetryPolicy { attempts: 1, ..policy() };
        let likely = |outcome: &AttemptOutcome| {
            assert_eq!(overload(&policy(), outcome, Halvable::No), Overload::No);
            assert_eq!(overload(&once, outcome, Halvable::Yes), Overload::No);
            overload(&policy(), outcome, Halvable::Yes) == Overload::Likely
        };
        for status in [403, 408, 429, 500, 501, 502, 503, 504, 505, 507, 524] {
            let of = |wait| AttemptOutcome::Answered(StatusCode::from_u16(status).unwrap(), wait);
            assert_eq!(likely(&of(None)), matches!(status, 500 | 502 | 504), "{status}");
            assert!(!likely(&of(Some(Duration::ZERO))), "{status}");
        }
        assert!(likely(&AttemptOutcome::TimedOut) && !likely(&AttemptOutcome::Broken));
    }
}
