//! `since` and `valid_at`: parameters that name a state of the collection, and the record behind which it is requested.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{DATE, ETAG, IF_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde_json::Value;

use super::{OpenedState, Param, Path, Source};

const DAY: u64 = 24 * 3600;

/// The request for the records behind a known one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Parameter of the record's value in the first request.
    pub param: Param,
    /// Path of that value in a record.
    pub field: Path,
}

/// The parameter by which all pages are requested in one state of the collection.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidAt {
    pub param: Param,
    /// Origin of its value.
    pub from: VersionSource,
}

/// Origin of the name of a collection's state.
#[derive(Clone, Debug, PartialEq)]
pub enum VersionSource {
    /// The time of the crawl, in every request.
    Clock(TimeFormat),
    /// A value of the first page, in every later request.
    Page(Source),
    /// A value of the answer to a request of its own, in every request.
    Opened(Box<OpenedState>),
}

impl ValidAt {
    /// State that is opened for the crawl, and the parameter of its name.
    pub(super) fn opened(&self) -> Option<(&Param, &OpenedState)> {
        match &self.from {
            VersionSource::Opened(opened) => Some((&self.param, opened)),
            VersionSource::Clock(_) | VersionSource::Page(_) => None,
        }
    }

    /// Path in a page of the name, or of a newer one.
    pub(super) fn field(&self) -> Option<&Path> {
        match &self.from {
            VersionSource::Page(Source::Body(path)) => Some(path),
            VersionSource::Opened(opened) => opened.renewed.as_ref(),
            VersionSource::Page(_) | VersionSource::Clock(_) => None,
        }
    }
}

/// Format of a time in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// `2020-01-01T00:00:00Z`.
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// `2020-01-01`, in UTC.
    Date,
}

/// Condition of the requests for later pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    None,
    /// The collection still has the first page's validator (RFC 9110 §13.1.1, §13.1.4).
    Match,
}

impl TimeFormat {
    /// The moment that this format writes for a time: HTTP's dates and most APIs have whole seconds, and a date is the beginning of its day.
    pub fn moment(self, time: SystemTime) -> SystemTime {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let seconds = if self == Self::Date { seconds / DAY * DAY } else { seconds };
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// The full second of a time in this format.
    pub fn value(self, time: SystemTime) -> Value {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let timestamp = || {
            let seconds = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            seconds.unwrap_or(Timestamp::MAX)
        };
        match self {
            Self::Rfc3339 => Value::from(timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            Self::Unix => Value::from(seconds),
            Self::UnixMs => Value::from(seconds.saturating_mul(1_000)),
            Self::Date => Value::from(timestamp().strftime("%Y-%m-%d").to_string()),
        }
    }
}

/// The condition that the collection is unchanged since an answer with this head; none without a strong validator.
pub(super) fn unchanged_since(headers: &HeaderMap) -> Option<(HeaderName, &str)> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // A weak validator never matches (RFC 9110 §13.1.1).
    let strong = text(ETAG).filter(|etag| etag.starts_with('"'));
    strong.map(|etag| (IF_MATCH, etag)).or_else(|| {
        let seconds = |name| httpdate::parse_http_date(text(name)?).ok();
        // Within the second that it names, the list may change again under the same date (RFC 9110 §8.8.2.2).
        let is_over = seconds(DATE)?.duration_since(seconds(LAST_MODIFIED)?).is_ok_and(|since| since.as_secs() > 0);
        Some((IF_UNMODIFIED_SINCE, text(LAST_MODIFIED)?)).filter(|_| is_over)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_written_as_the_upstream_reads_it() {
        let time = UNIX_EPOCH + Duration::from_millis(1_577_836_861_999);
        let written = [TimeFormat::Rfc3339, TimeFormat::Unix, TimeFormat::UnixMs, TimeFormat::Date];
        let written = written.map(|format| format.value(time));
        let expected =
            [json!("2020-01-01T00:01:01Z"), json!(1_577_836_861), json!(1_577_836_861_000_u64), json!("2020-01-01")];
        assert_eq!(written, expected);
    }

    #[test]
    fn a_written_time_is_its_moment_and_no_later_one() {
        let time = UNIX_EPOCH + Duration::from_millis(1_577_836_861_999);
        for (format, seconds) in [
            (TimeFormat::Rfc3339, 1_577_836_861),
            (TimeFormat::Unix, 1_577_836_861),
            (TimeFormat::UnixMs, 1_577_836_861),
            (TimeFormat::Date, 1_577_836_800),
        ] {
            let moment = format.moment(time);
            assert_eq!(moment, UNIX_EPOCH + Duration::from_secs(seconds), "{format:?}");
            assert_eq!((format.value(moment), format.moment(moment)), (format.value(time), moment), "{format:?}");
        }
    }

    #[test]
    fn a_weak_validator_is_no_condition() {
        const FIRST: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
        const NEXT: &str = "Wed, 01 Jan 2020 00:00:01 GMT";
        let condition = |etag: &'static str, modified: &'static str, date: &'static str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(ETAG, etag), (LAST_MODIFIED, modified), (DATE, date)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            unchanged_since(&headers).map(|(name, value)| format!("{name}: {value}"))
        };
        let by_date = Some(format!("if-unmodified-since: {FIRST}"));
        assert_eq!(condition("\"a\"", FIRST, NEXT).as_deref(), Some("if-match: \"a\""));
        assert_eq!(condition("W/\"a\"", FIRST, NEXT), by_date);
        assert_eq!(condition("", FIRST, NEXT), by_date);
        for (modified, date) in [("", NEXT), (FIRST, FIRST), (NEXT, FIRST), (FIRST, ""), ("then", NEXT)] {
            assert_eq!(condition("W/\"a\"", modified, date), None, "{modified} {date}");
        }
    }
}
