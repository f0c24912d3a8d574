//! The upstream's budget in the head of an answer: `RateLimit` (IETF drafts), the `X-RateLimit-*` fields in their many spellings,
//! and configured fields.

use std::hash::{DefaultHasher, Hash, Hasher};
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
    /// Each budget of requests; empty where none is reported.
    pub left: Vec<RemainingBudget>,
    /// Most requests at a time.
    pub at_a_time: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemainingBudget {
    /// Hash of the name by which the upstream tells the budget from others; 0 where it has none.
    pub name: u64,
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
        let is_configured = fields.remaining.is_some() || fields.used.is_some() || fields.at_a_time.is_some();
        let names_a_limit = is_configured || headers.keys().any(|name| name.as_str().contains("limit"));
        if !names_a_limit && !headers.contains_key(header::RETRY_AFTER) {
            return Self::default();
        }
        let now = clock(headers, now);
        let wait = text(headers, &header::RETRY_AFTER).and_then(|text| wait(text, now));
        let one = |left| vec![left];
        let left = configured(fields, headers, now).map(one).or_else(|| used(fields, headers));
        let left = left.or_else(|| drafted(headers)).or_else(|| usual(headers, now).map(one));
        let named = fields.at_a_time.as_ref().and_then(|name| count(text(headers, name)?));
        Self { wait, left: left.unwrap_or_default(), at_a_time: named.or_else(|| drafted_at_a_time(headers)) }
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
    Some(RemainingBudget { name: resource(headers), remaining, reset, limit, window: window.flatten() })
}

/// Reads the counts of used requests: one or several, each perhaps with its limit (`32/40`) or the seconds of its window (`5:1,90:120`), as
/// the limits then have, too.
fn used(fields: &BudgetFields, headers: &HeaderMap) -> Option<Vec<RemainingBudget>> {
    let (name, limits) = match &fields.used {
        Some(name) => (name, fields.limit.as_ref().and_then(|name| text(headers, name)).unwrap_or_default()),
        None => (&USED, ""),
    };
    let with_window = |member: &str| match member.split_once(':') {
        Some((count, window)) => (count.trim().to_owned(), seconds(window.trim())),
        None => (member.trim().to_owned(), None),
    };
    let limits: Vec<_> = limits.split(',').map(with_window).collect();
    let budgets = text(headers, name).into_iter().flat_map(|text| text.split(',')).map(with_window).filter_map(
        |(used, window)| {
            let (used, own) = used.split_once('/').map_or((used.as_str(), None), |(used, limit)| (used, Some(limit)));
            let beside = || limits.iter().find(|(_, other)| *other == window).map(|(limit, _)| limit.as_str());
            let (used, limit) = (count(used.trim())?, count(own.or_else(beside)?.trim())?);
            let name = window.map_or(0, |window| name_of(&window.as_secs_f64().to_string()));
            Some(RemainingBudget {
                name,
                remaining: limit.saturating_sub(used),
                reset: window,
                limit: Some(limit),
                window,
            })
        },
    );
    Some(budgets.collect()).filter(|budgets: &Vec<_>| !budgets.is_empty())
}

/// Name of the budget of a request, where the upstream has several and reports the one of this request (GitHub, Discord).
fn resource(headers: &HeaderMap) -> u64 {
    first(headers, &["x-ratelimit-resource", "x-ratelimit-bucket"], |text| Some(name_of(text))).unwrap_or_default()
}

fn name_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Reads three fields in their usual spellings.
fn usual(headers: &HeaderMap, now: SystemTime) -> Option<RemainingBudget> {
    let remaining = first(headers, &REMAINING, count)?;
    let reset = first(headers, &RESET, |text| wait(text, now));
    let (limit, window) = first(headers, &LIMIT, policy).unzip();
    Some(RemainingBudget { name: resource(headers), remaining, reset, limit, window: window.flatten() })
}

/// The drafts of the IETF: `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60`, and before them
/// `RateLimit: limit=100, remaining=50, reset=30`.
fn drafted(headers: &HeaderMap) -> Option<Vec<RemainingBudget>> {
    let name = HeaderName::from_static("ratelimit");
    let items: Vec<ListMember<'_>> = all(headers, &name).flat_map(items).collect();
    let policies = policies(headers);
    let lefts = items.iter().filter_map(|item| {
        let policy = policies.iter().find(|policy| policy.name == item.name);
        // A budget may also count bytes, or requests at a time.
        let policy = policy.filter(|policy| policy.counts("requests"));
        if policy.is_none() && policies.iter().any(|policy| policy.name == item.name) {
            return None;
        }
        let window = policy.and_then(|policy| policy.value("w")).and_then(seconds);
        Some(RemainingBudget {
            name: name_of(item.name) ^ item.value("pk").map_or(0, name_of),
            remaining: count(item.value("r")?)?,
            reset: item.value("t").and_then(seconds),
            limit: policy.and_then(|policy| policy.value("q")).and_then(count),
            window,
        })
    });
    let lefts: Vec<_> = lefts.collect();
    if lefts.is_empty() { dictionary(&items).map(|left| vec![left]) } else { Some(lefts) }
}

/// Least quota of requests at a time, which a policy of the drafts has.
fn drafted_at_a_time(headers: &HeaderMap) -> Option<u64> {
    let policies = policies(headers);
    let quotas = policies.iter().filter(|policy| policy.counts("concurrent-requests"));
    quotas.filter_map(|policy| count(policy.value("q")?)).min()
}

fn policies(headers: &HeaderMap) -> Vec<ListMember<'_>> {
    let name = HeaderName::from_static("ratelimit-policy");
    all(headers, &name).flat_map(items).collect()
}

fn dictionary(items: &[ListMember<'_>]) -> Option<RemainingBudget> {
    let value = |key: &str| items.iter().find_map(|item| item.name.strip_prefix(key)?.strip_prefix('='));
    Some(RemainingBudget {
        name: 0,
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

    /// Returns true for a policy of this unit; requests are the default.
    fn counts(&self, unit: &str) -> bool {
        self.value("qu").map_or("requests", |unit| unit.trim_matches('"')) == unit
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

    fn left(remaining: u64, reset: u64, limit: Option<u64>, window: Option<u64>) -> Vec<RemainingBudget> {
        let window = window.map(Duration::from_secs);
        vec![RemainingBudget { name: 0, remaining, reset: Some(Duration::from_secs(reset)), limit, window }]
    }

    fn unnamed(left: Vec<RemainingBudget>) -> Vec<RemainingBudget> {
        left.into_iter().map(|left| RemainingBudget { name: 0, ..left }).collect()
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
            // Both hold; a name may hold what separates others.
            (
                vec![
                    ("ratelimit", "\"a,b;c\";r=900;t=3600, \"burst\";r=9;t=2"),
                    ("ratelimit-policy", "\"burst\";q=10;w=5"),
                    ("ratelimit-policy", "\"a,b;c\";q=1000;w=3600"),
                ],
                [left(900, 3600, Some(1000), Some(3600)), left(9, 2, Some(10), Some(5))].concat(),
            ),
            // Bytes are no requests.
            (
                vec![
                    ("ratelimit", "\"x\";r=5;t=1, \"y\";r=7;t=1"),
                    ("ratelimit-policy", "\"x\";q=65535;qu=\"content-bytes\";w=10"),
                ],
                left(7, 1, None, None),
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
            let left = read(&fields).left;
            let names: std::collections::BTreeSet<_> = left.iter().map(|left| left.name).collect();
            assert_eq!(names.len(), left.len(), "{fields:?}");
            assert_eq!(unnamed(left), expected, "{fields:?}");
        }
        let policies = "\"all\";q=100;w=60, \"busy\";q=4;qu=\"concurrent-requests\"";
        let busy = read(&[("ratelimit", "\"all\";r=9;t=5, \"busy\";r=0"), ("ratelimit-policy", policies)]);
        assert_eq!((busy.at_a_time, unnamed(busy.left)), (Some(4), left(9, 5, Some(100), Some(60))));
    }

    #[test]
    fn budgets_of_several_resources_have_names() {
        let of =
            |resource: &str| read(&[("x-ratelimit-remaining", "9"), ("x-ratelimit-resource", resource)]).left[0].name;
        assert!(of("core") != of("search") && of("core") == of("core"));
        let own = BudgetFields { at_a_time: Some(HeaderName::from_static("busy")), ..BudgetFields::default() };
        assert_eq!(read_by(&own, &[("busy", "3")]), BudgetReport { at_a_time: Some(3), ..BudgetReport::default() });
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
        assert_eq!(read_by(&own, &fields[..1]).left[0].remaining, 1);
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
            prop_assert!(budget.left.iter().all(|left| left.reset.is_none_or(|reset| reset <= LONGEST)));
        }
    }

    #[test]
    fn counts_of_used_requests_are_held_to_their_limits() {
        let name = HeaderName::from_static;
        let own = |limit| BudgetFields { used: Some(name("x-count")), limit, ..BudgetFields::default() };
        let budget = |remaining, limit, window: Option<u64>| {
            let window = window.map(Duration::from_secs);
            vec![RemainingBudget { name: 0, remaining, reset: window, limit: Some(limit), window }]
        };
        assert_eq!(read(&[("x-shopify-shop-api-call-limit", "32/40")]).left, budget(8, 40, None));
        assert_eq!(read_by(&own(None), &[("x-count", "41/40")]).left, budget(0, 40, None));
        let beside = own(Some(name("x-limit")));
        assert_eq!(read_by(&beside, &[("x-count", "7"), ("x-limit", "10")]).left, budget(3, 10, None));
        // 15 in a second, and 10 in two minutes.
        let several = [("x-count", "5:1, 90:120"), ("x-limit", "20:1,100:120")];
        let both = [budget(15, 20, Some(1)), budget(10, 100, Some(120))].concat();
        assert_eq!(unnamed(read_by(&beside, &several).left), both);
        for (count, limit) in [("7", ""), ("many", "10"), ("7:1", "10:2"), ("", "10")] {
            assert_eq!(read_by(&beside, &[("x-count", count), ("x-limit", limit)]).left, [], "{count} of {limit}");
        }
    }
}
