//! Values of a range partition in whole units: the second, day or number that a value lies in, counted from 1970 or 0.
//!
//! Upstreams compare fractions of seconds or cut them off, and sort by either. Neither matters, because a unit is never cut in
//! two.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use jiff::{Timestamp, civil};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::error::excerpt;
use super::partition_settings::RangeKind;
use super::{PageError, Path};

const DAY: i128 = 86_400;
/// A quarter of the largest `i128`, so that sums of a few values fit.
const MOST: i128 = i128::MAX / 4;
/// Seconds of the years 1 to 9999, which RFC 3339 can write.
const SECONDS: (i64, i64) = (-62_135_596_800, 253_402_207_199);

impl RangeKind {
    /// The unit of a value: its second since 1970, its day since 1970 as it is written, or the whole number.
    pub fn unit_of(self, value: &Value) -> Option<i128> {
        match value {
            Value::String(text) => self.unit_of_text(text),
            Value::Number(number) => self.unit_of_number(number.as_str()),
            _ => None,
        }
    }

    pub(super) fn unit_of_number(self, digits: &str) -> Option<i128> {
        match self {
            Self::Unix => seconds(digits),
            Self::Integer => whole(digits),
            Self::Rfc3339 | Self::Date => None,
        }
    }

    pub(super) fn unit_of_text(self, text: &str) -> Option<i128> {
        match self {
            Self::Unix | Self::Integer => self.unit_of_number(text.trim()),
            Self::Rfc3339 => second_of(&Pieces::parse(text).ok()?),
            Self::Date => {
                let midnight = Pieces::parse(text).ok()?.date().to_datetime(Time::midnight());
                Some(second_at(midnight, Offset::UTC)? / DAY)
            }
        }
    }

    /// The unit of a value as it is spelled in JSON.
    pub(super) fn unit_of_raw(self, raw: &RawValue) -> Option<i128> {
        let raw = raw.get();
        match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => self.unit_of_number(raw),
            Some(text) if !text.contains('\\') => self.unit_of_text(text),
            Some(_) => self.unit_of(&serde_json::from_str(raw).ok()?),
        }
    }

    /// The error for a value at `path` that is of another kind.
    pub(super) fn bad_value(self, path: &Path, raw: &RawValue) -> PageError {
        PageError::BadRangeValue { path: path.clone(), kind: self.name(), found: excerpt(raw.get()) }
    }

    /// The unit of the present; none for whole numbers.
    pub(super) fn unit_now(self, now: SystemTime) -> Option<i128> {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| i128::from(since.as_secs()));
        match self {
            Self::Unix | Self::Rfc3339 => Some(seconds),
            Self::Date => Some(seconds / DAY),
            Self::Integer => None,
        }
    }

    /// The first moment of a unit, as a request writes it. Times outside of the years 1 to 9999 become the nearest inside.
    pub(super) fn value(self, unit: i128) -> Value {
        match self {
            Self::Unix | Self::Integer => {
                Number::from_i128(unit).map_or_else(|| Value::from(unit.to_string()), Value::Number)
            }
            Self::Rfc3339 => Value::from(time_at(unit).to_string()),
            Self::Date => Value::from(Offset::UTC.to_datetime(time_at(unit.saturating_mul(DAY))).date().to_string()),
        }
    }

    /// Units by which a request begins below its lowest unit, so that a filter that excludes its bound loses no record. Dates have
    /// one more: in the upstream's time zone they may be those of the day before.
    pub(super) fn margin(self) -> i128 {
        match self {
            Self::Unix | Self::Rfc3339 | Self::Integer => 1,
            Self::Date => 2,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unix => "a number of seconds since 1970",
            Self::Rfc3339 => "a date with a time (RFC 3339)",
            Self::Date => "a date",
            Self::Integer => "a whole number",
        }
    }
}

fn whole(digits: &str) -> Option<i128> {
    digits.parse().ok().filter(|number: &i128| number.unsigned_abs() <= MOST.unsigned_abs())
}

/// The whole part of a decimal number, rounded down.
fn seconds(digits: &str) -> Option<i128> {
    if digits.contains(['e', 'E']) {
        let float = digits.parse::<f64>().ok()?.floor();
        #[expect(clippy::cast_possible_truncation, reason = "a float of this size is a whole number that fits")]
        return (float.abs() < 9.0e15).then_some(float as i128);
    }
    let Some((before, fraction)) = digits.split_once('.') else { return whole(digits) };
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let is_below = before.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    Some(whole(before)? - i128::from(is_below))
}

fn second_of(pieces: &Pieces<'_>) -> Option<i128> {
    let time = pieces.time().unwrap_or(Time::midnight());
    second_at(pieces.date().to_datetime(time), pieces.to_numeric_offset().unwrap_or(Offset::UTC))
}

fn second_at(time: civil::DateTime, offset: Offset) -> Option<i128> {
    Some(offset.to_timestamp(time).ok()?.as_nanosecond().div_euclid(1_000_000_000))
}

fn time_at(second: i128) -> Timestamp {
    let (first, last) = SECONDS;
    let second = i64::try_from(second.clamp(first.into(), last.into())).unwrap_or(last);
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECOND: i128 = 1_577_934_245;

    #[test]
    fn times_are_read_as_apis_write_them() {
        let texts = [
            "2020-01-02T03:04:05Z",
            "2020-01-02t03:04:05z",
            "2020-01-02 03:04:05",
            "2020-01-02T03:04:05.999999999Z",
            "2020-01-02T03:04:05.1234567",
            "2020-01-02T04:04:05+01:00",
            "2020-01-01T22:04:05-0500",
            "2020-01-02 03:04:05.5+00",
        ];
        for text in texts {
            assert_eq!(RangeKind::Rfc3339.unit_of(&json!(text)), Some(SECOND), "{text}");
        }
        assert_eq!(RangeKind::Rfc3339.unit_of(&json!("1969-12-31T23:59:59.5Z")), Some(-1));
        assert_eq!(RangeKind::Rfc3339.unit_of(&json!("2020-01-02")), Some(SECOND / 86_400 * 86_400));
        for bad in [json!("2020"), json!("yesterday"), json!(SECOND as i64), json!(null), json!("2020-13-01T00:00:00Z")]
        {
            assert_eq!(RangeKind::Rfc3339.unit_of(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_date_is_the_one_that_is_written() {
        let day = SECOND / 86_400;
        for text in ["2020-01-02", "2020-01-02T23:59:59-12:00", "2020-01-02T00:00:00+14:00", "2020-01-02 01:02:03.4"] {
            assert_eq!(RangeKind::Date.unit_of(&json!(text)), Some(day), "{text}");
        }
        assert_eq!(RangeKind::Date.value(day), json!("2020-01-02"));
        assert_eq!(RangeKind::Date.unit_of(&json!("1969-12-31")), Some(-1));
        assert_eq!(RangeKind::Date.unit_of(&json!(20200102)), None);
    }

    #[test]
    fn seconds_and_whole_numbers_are_numbers_or_digits() {
        for (text, second) in [("1.9", 1), ("-0.5", -1), ("-1.0", -1), ("1.5e9", 1_500_000_000), ("17", 17), ("-3", -3)]
        {
            assert_eq!(RangeKind::Unix.unit_of(&json!(text)), Some(second), "{text}");
            assert_eq!(RangeKind::Unix.unit_of(&serde_json::from_str(text).unwrap()), Some(second), "{text}");
        }
        let large = "9223372036854775808123";
        assert_eq!(RangeKind::Integer.unit_of(&json!(large)), large.parse().ok());
        assert_eq!(RangeKind::Integer.unit_of(&serde_json::from_str(large).unwrap()), large.parse().ok());
        for bad in [json!("1.5"), json!(""), json!("0x10"), json!([1]), json!(i128::MAX.to_string())] {
            assert_eq!(RangeKind::Integer.unit_of(&bad), None, "{bad}");
        }
        assert_eq!(RangeKind::Unix.unit_of(&json!("1.")), None);
        assert_eq!(RangeKind::Unix.unit_of(&json!("1.-5")), None);
    }

    #[test]
    fn now_is_a_time() {
        let now = UNIX_EPOCH + std::time::Duration::from_millis(1_577_934_245_900);
        assert_eq!(RangeKind::Rfc3339.unit_now(now), Some(SECOND));
        assert_eq!(RangeKind::Date.unit_now(now), Some(SECOND / 86_400));
        assert_eq!(RangeKind::Integer.unit_now(now), None);
    }

    #[test]
    fn times_beyond_the_calendar_are_its_ends() {
        assert_eq!(RangeKind::Rfc3339.value(i128::MIN), json!("0001-01-01T00:00:00Z"));
        assert_eq!(RangeKind::Rfc3339.value(SECOND), json!("2020-01-02T03:04:05Z"));
        assert_eq!(RangeKind::Date.value(i128::MAX), json!("9999-12-30"));
    }

    proptest! {
        #[test]
        fn a_written_value_has_the_same_unit(unit in -700_000_i128..2_900_000) {
            for kind in [RangeKind::Unix, RangeKind::Rfc3339, RangeKind::Date, RangeKind::Integer] {
                prop_assert_eq!(kind.unit_of(&kind.value(unit)), Some(unit));
            }
        }
    }
}
