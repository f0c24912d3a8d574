//! The upstream's budget in the head of an answer: `RateLimit` (IETF drafts), the `X-RateLimit-*` fields in their many spellings,
//! and configured fields.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::BudgetFields;

/// Longest wait and window; longer ones are nonsense.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Difference from `Date`, which has whole seconds, up to which the upstream's clock is taken for ours.
const SAME_CLOCK: Duration = Duration::from_secs(2);

/// Least number that is read as milliseconds since 1970 (a time in 1973; as seconds, one in 5138).
const MILLISECONDS: f64 = 1e11;

/// Least number that is read as seconds since 1970; as a wait it would be three years.
const EPOCH: f64 = 1e8;

/// The suffix `-requests` is that of upstreams that also count something else.
const REMAINING: [&str; 5] = [
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "x-ratelimit-remaining-requests",
    "x-rate-limit-remaining-requests",
];
const RESET: [&str; 7] = [
    "ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-rate-limit-reset-after",
    "x-ratelimit-reset-requests",
    "x-rate-limit-reset-requests",
];
const LIMIT: [&str; 5] = [
    "ratelimit-limit",
    "x-ratelimit-limit",
    "x-rate-limit-limit",
    "x-ratelimit-limit-requests",
    "x-rate-limit-limit-requests",
];

/// Shopify's count of used requests, with its limit behind a slash.
static USED: HeaderName = HeaderName::from_static("x-shopify-shop-api-call-limit");

/// The budget as the head of an answer reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetReport {
    /// Wait that `Retry-After` demands (RFC 9110 §10.2.3).
    pub wait: Option<Duration>,
    pub left: Option<RemainingBudget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingBudget {
    /// Requests that are left.
    pub remaining: u64,
    /// Time to the next renewal.
    pub reset: Option<Duration>,
    /// Requests of the whole budget.
    pub limit: Option<u64>,
    /// Period of the whole budget.
    pub window: Option<Duration>,
}

impl BudgetReport {
    /// Reads a head that arrived at `now` by our wall clock. Values that make no sense count as absent.
    pub fn from_headers(fields: &BudgetFields, headers: &HeaderMap, now: SystemTime) -> Self {
        // Most heads tell of no limit, and each field that is looked for below costs a hash of its name.
        let is_configured = fields.remaining.is_some() || fields.used.is_some();
        let names_a_limit = is_configured || headers.keys().any(|name| name.as_str().contains("limit"));
        if !names_a_limit && !headers.contains_key(header::RETRY_AFTER) {
            return Self::default();
        }
        let now = clock(headers, now);
        let wait = text(headers, &header::RETRY_AFTER).and_then(|text| wait(text, now));
        let left = configured(fields, headers, now).or_else(|| used(fields, headers));
        let left = left.or_else(|| drafted(headers)).or_else(|| usual(headers, now));
        Self { wait, left }
    }
}

/// The upstream's time, as precisely as it is known.
fn clock(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    let Some(date) = text(headers, &header::DATE).and_then(|text| httpdate::parse_http_date(text).ok()) else {
        return now;
    };
    let apart = date.duration_since(now).unwrap_or_else(|error| error.duration());
    if apart <= SAME_CLOCK { now } else { date }
}

fn configured(fields: &BudgetFields, headers: &HeaderMap, now: SystemTime) -> Option<RemainingBudget> {
    let remaining = count(text(headers, fields.remaining.as_ref()?)?)?;
    let reset = match &fields.reset {
        Some(name) => text(headers, name).and_then(|text| wait(text, now)),
        None => first(headers, &RESET, |text| wait(text, now)),
    };
    let (limit, window) = match &fields.limit {
        Some(name) => text(headers, name).and_then(policy).unzip(),
        None => first(headers, &LIMIT, policy).unzip(),
    };
    Some(RemainingBudget { remaining, reset, limit, window: window.flatten() })
}

/// Reads the counts of used requests: one or several, each perhaps with its limit (`32/40`) or the seconds of its window (`5:1,90:120`), as
/// the limits then have, too. Of several budgets the tightest one holds.
fn used(fields: &BudgetFields, headers: &HeaderMap) -> Option<RemainingBudget> {
    let (name, limits) = match &fields.used {
        Some(name) => (name, fields.limit.as_ref().and_then(|name| text(headers, name)).unwrap_or_default()),
        None => (&USED, ""),
    };
    let with_window = |member: &str| match member.split_once(':') {
        Some((count, window)) => (count.trim().to_owned(), seconds(window.trim())),
        None => (member.trim().to_owned(), None),
    };
    let limits: Vec<_> = limits.split(',').map(with_window).collect();
    let budgets = text(headers, name)?.split(',').map(with_window).filter_map(|(used, window)| {
        let (used, own) = used.split_once('/').map_or((used.as_str(), None), |(used, limit)| (used, Some(limit)));
        let beside = || limits.iter().find(|(_, other)| *other == window).map(|(limit, _)| limit.as_str());
        let (used, limit) = (count(used.trim())?, count(own.or_else(beside)?.trim())?);
        Some(RemainingBudget { remaining: limit.saturating_sub(used), reset: window, limit: Some(limit), window })
    });
    budgets.min_by(|one, other| pace_of(one).total_cmp(&pace_of(other)))
}

/// Requests a second that the rest of a budget allows until it is renewed.
fn pace_of(left: &RemainingBudget) -> f64 {
    left.remaining as f64 / left.reset.unwrap_or(LONGEST).as_secs_f64().max(1.0)
}

/// Reads three fields in their usual spellings.
fn usual(headers: &HeaderMap, now: SystemTime) -> Option<RemainingBudget> {
    let remaining = first(headers, &REMAINING, count)?;
    let reset = first(headers, &RESET, |text| wait(text, now));
    let (limit, window) = first(headers, &LIMIT, policy).unzip();
    Some(RemainingBudget { remaining, reset, limit, window: window.flatten() })
}

/// The drafts of the IETF: `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60`, and before them
/// `RateLimit: limit=100, remaining=50, reset=30`.
fn drafted(headers: &HeaderMap) -> Option<RemainingBudget> {
    let name = HeaderName::from_static("ratelimit");
    let items: Vec<ListMember<'_>> = all(headers, &name).flat_map(items).collect();
    let policies = HeaderName::from_static("ratelimit-policy");
    let policies: Vec<ListMember<'_>> = all(headers, &policies).flat_map(items_of_requests).collect();
    let lefts = items.iter().filter_map(|item| {
        let policy = policies.iter().find(|policy| policy.name == item.name);
        let window = policy.and_then(|policy| policy.value("w")).and_then(seconds);
        Some(RemainingBudget {
            remaining: count(item.value("r")?)?,
            reset: item.value("t").and_then(seconds),
            limit: policy.and_then(|policy| policy.value("q")).and_then(count),
            window,
        })
    });
    // Of several budgets the tightest one holds.
    lefts.min_by(|one, other| pace_of(one).total_cmp(&pace_of(other))).or_else(|| dictionary(&items))
}

fn dictionary(items: &[ListMember<'_>]) -> Option<RemainingBudget> {
    let value = |key: &str| items.iter().find_map(|item| item.name.strip_prefix(key)?.strip_prefix('='));
    Some(RemainingBudget {
        remaining: count(value("remaining")?)?,
        reset: value("reset").and_then(seconds),
        limit: value("limit").and_then(count),
        window: None,
    })
}

struct ListMember<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> ListMember<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

fn items(text: &str) -> impl Iterator<Item = ListMember<'_>> {
    outside_quotes(text, ',').map(|member| {
        let mut parts = outside_quotes(member, ';');
        let name = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('='));
        ListMember { name, parameters: parameters.map(|(key, value)| (key.trim(), value.trim())).collect() }
    })
}

/// Members that count requests: a budget may also count bytes, or requests at a time.
fn items_of_requests(text: &str) -> impl Iterator<Item = ListMember<'_>> {
    items(text).filter(|item| item.value("qu").is_none_or(|unit| unit.trim_matches('"') == "requests"))
}

fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = text.split(move |c| {
        is_quoted ^= c == '"';
        c == separator && !is_quoted
    });
    parts.map(str::trim)
}

fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn first<'a, T>(headers: &'a HeaderMap, names: &[&str], read: impl Fn(&'a str) -> Option<T>) -> Option<T> {
    names.iter().find_map(|name| read(headers.get(*name)?.to_str().ok()?.trim()))
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn count(text: &str) -> Option<u64> {
    number(text).filter(|number| *number < 1e15).map(|number| number as u64)
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).and_then(|number| Duration::try_from_secs_f64(number).ok()).map(|wait| wait.min(LONGEST))
}

/// Reads a limit, and the window that an old draft writes after it: `100, 100;w=60`.
fn policy(text: &str) -> Option<(u64, Option<Duration>)> {
    let mut members = items(text);
    let first = members.next()?;
    let window = first.value("w").or_else(|| members.find_map(|item| item.value("w")));
    Some((count(first.name)?, window.and_then(seconds)))
}

/// Reads a wait: seconds, an instant as seconds or milliseconds since 1970 or as a date, or `1m30s`.
fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let until = |at: SystemTime| at.duration_since(now).unwrap_or_default();
    let wait = match number(text) {
        Some(millis) if millis >= MILLISECONDS => until(since_epoch(millis / 1e3)?),
        Some(seconds) if seconds >= EPOCH => until(since_epoch(seconds)?),
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        None => match httpdate::parse_http_date(text) {
            Ok(at) => until(at),
            Err(_) => humantime::parse_duration(text).ok()?,
        },
    };
    Some(wait.min(LONGEST))
}

fn since_epoch(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn read(fields: &[(&'static str, &str)]) -> BudgetReport {
        read_by(&BudgetFields::default(), fields)
    }

    fn read_by(own: &BudgetFields, fields: &[(&'static str, &str)]) -> BudgetReport {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        BudgetReport::from_headers(own, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn left(remaining: u64, reset: u64, limit: Option<u64>, window: Option<u64>) -> Option<RemainingBudget> {
        let window = window.map(Duration::from_secs);
        Some(RemainingBudget { remaining, reset: Some(Duration::from_secs(reset)), limit, window })
    }

    #[test]
    fn an_epoch_and_a_wait_are_told_apart_by_their_size() {
        for reset in ["30", "1700000030", "1700000030000", "Tue, 14 Nov 2023 22:13:50 GMT", "30s", "30.0"] {
            let fields = [("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", reset), ("x-ratelimit-limit", "10")];
            assert_eq!(read(&fields).left, left(7, 30, Some(10), None), "{reset}");
        }
        let past = [("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1600000000")];
        assert_eq!(read(&past).left, left(0, 0, None, None));
    }

    #[test]
    fn an_instant_is_compared_with_the_upstreams_own_clock() {
        for (date, wait) in [
            ("Tue, 14 Nov 2023 22:13:19 GMT", 30),
            ("Tue, 14 Nov 2023 22:03:20 GMT", 630),
            ("Tue, 14 Nov 2023 23:03:20 GMT", 0),
            ("soon", 30),
        ] {
            let budget = read(&[("date", date), ("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT")]);
            assert_eq!(budget.wait, Some(Duration::from_secs(wait)), "{date}");
        }
    }

    #[test]
    fn the_drafts_are_read() {
        for (fields, expected) in [
            (
                vec![("ratelimit", "\"default\";r=50;t=30"), ("ratelimit-policy", "\"default\";q=100;w=60")],
                left(50, 30, Some(100), Some(60)),
            ),
            // Of two budgets the tighter one; a name may hold what separates others.
            (
                vec![
                    ("ratelimit", "\"a,b;c\";r=900;t=3600, \"burst\";r=9;t=2"),
                    ("ratelimit-policy", "\"burst\";q=10;w=5"),
                    ("ratelimit-policy", "\"a,b;c\";q=1000;w=3600"),
                ],
                left(900, 3600, Some(1000), Some(3600)),
            ),
            (
                vec![("ratelimit", "\"x\";r=5;t=1"), ("ratelimit-policy", "\"x\";q=65535;qu=\"content-bytes\";w=10")],
                left(5, 1, None, None),
            ),
            (vec![("ratelimit", "limit=100, remaining=50, reset=30")], left(50, 30, Some(100), None)),
            (
                vec![("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "50"), ("ratelimit-reset", "30")],
                left(50, 30, Some(100), Some(60)),
            ),
            (
                vec![("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-reset-requests", "1m30s")],
                left(9, 90, None, None),
            ),
        ] {
            assert_eq!(read(&fields).left, expected, "{fields:?}");
        }
    }

    #[test]
    fn the_names_of_the_configuration_come_first() {
        let own = BudgetFields {
            remaining: Some(HeaderName::from_static("calls-left")),
            reset: Some(HeaderName::from_static("calls-renewed")),
            ..BudgetFields::default()
        };
        let fields = [("x-ratelimit-remaining", "1"), ("calls-left", "42"), ("calls-renewed", "1700000005")];
        assert_eq!(read_by(&own, &fields).left, left(42, 5, None, None));
        assert_eq!(read_by(&own, &fields[..1]).left.map(|left| left.remaining), Some(1));
    }

    #[test]
    fn nonsense_is_as_good_as_absent() {
        for value in ["", "-1", "many", "NaN", "inf", "1e400", "0x10", "٣"] {
            for name in ["x-ratelimit-remaining", "ratelimit", "retry-after", "ratelimit-remaining"] {
                assert_eq!(read(&[(name, value)]), BudgetReport::default(), "{name}: {value}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_head_is_read(
            names in proptest::collection::vec(0..15_usize, 0..8),
            values in proptest::collection::vec(any::<Vec<u8>>(), 8),
            numbers in proptest::collection::vec(any::<f64>(), 8),
            now in 0..u64::from(u32::MAX),
        ) {
            let mut headers = HeaderMap::new();
            let known = REMAINING.iter().chain(&RESET).chain(&["retry-after", "date", "ratelimit"]).collect::<Vec<_>>();
            for ((name, value), number) in names.iter().zip(values).zip(numbers) {
                let name = HeaderName::from_static(known[*name]);
                headers.append(&name, HeaderValue::from_str(&number.to_string()).unwrap());
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(name, value);
                }
            }
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            let budget = BudgetReport::from_headers(&BudgetFields::default(), &headers, now);
            prop_assert!(budget.wait.is_none_or(|wait| wait <= LONGEST));
            prop_assert!(budget.left.and_then(|left| left.reset).is_none_or(|reset| reset <= LONGEST));
        }
    }

    #[test]
    fn counts_of_used_requests_are_held_to_their_limits() {
        let name = HeaderName::from_static;
        let own = |limit| BudgetFields { used: Some(name("x-count")), limit, ..BudgetFields::default() };
        let budget = |remaining, limit, window: Option<u64>| {
            let window = window.map(Duration::from_secs);
            Some(RemainingBudget { remaining, reset: window, limit: Some(limit), window })
        };
        assert_eq!(read(&[("x-shopify-shop-api-call-limit", "32/40")]).left, budget(8, 40, None));
        assert_eq!(read_by(&own(None), &[("x-count", "41/40")]).left, budget(0, 40, None));
        let beside = own(Some(name("x-limit")));
        assert_eq!(read_by(&beside, &[("x-count", "7"), ("x-limit", "10")]).left, budget(3, 10, None));
        // 15 in a second, or 10 in two minutes.
        let several = [("x-count", "5:1, 90:120"), ("x-limit", "20:1,100:120")];
        assert_eq!(read_by(&beside, &several).left, budget(10, 100, Some(120)));
        for (count, limit) in [("7", ""), ("many", "10"), ("7:1", "10:2"), ("", "10")] {
            assert_eq!(read_by(&beside, &[("x-count", count), ("x-limit", limit)]).left, None, "{count} of {limit}");
        }
    }
}
