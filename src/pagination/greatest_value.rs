//! Greatest value of the `since` field among the records of a crawl, behind which a later crawl begins.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::Path;
use super::record_values::raw_values_of;

/// Digits of a fraction that are compared.
const FRACTION: usize = 9;

/// Greatest number or time at a path of the records so far. A time in the future is passed over: behind it, nothing that comes until then would
/// be asked for.
#[derive(Clone, Debug)]
pub(crate) struct GreatestValue {
    path: [Path; 1],
    /// Latest time that is not in the future.
    latest: Timestamp,
    greatest: Option<(OrderedValue, String)>,
    differs: bool,
    has_later: bool,
}

/// Value whose order is the same for every upstream. The order of other texts depends on a collation or a time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OrderedValue {
    /// In billionths.
    Number(i128),
    Time(Timestamp),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record has no number, and no time with its offset (RFC 3339), at `{0}`")]
pub(crate) struct UnorderedValue(Path);

impl GreatestValue {
    pub(crate) fn new(path: Path) -> Self {
        Self { path: [path], latest: Timestamp::MAX, greatest: None, differs: false, has_later: false }
    }

    /// Passes over times later than `latest`, and than that of an earlier call.
    pub(crate) fn pass_over_later(&mut self, latest: SystemTime) {
        self.latest = self.latest.min(latest.try_into().unwrap_or(Timestamp::MIN));
    }

    /// Takes the record in `line`; one with `null` is passed over, since no request for later records has it.
    ///
    /// # Errors
    /// A record without the value, and one that is compared with no earlier one.
    pub(crate) fn add(&mut self, line: &[u8]) -> Result<(), UnorderedValue> {
        let unordered = || UnorderedValue(self.path[0].clone());
        let raw = raw_values_of(line, &self.path).ok().and_then(|values| values.into_iter().next().flatten());
        let raw = raw.ok_or_else(unordered)?.get();
        if raw == "null" {
            return Ok(());
        }
        let (value, text) = ordered(raw).ok_or_else(unordered)?;
        let known = self.greatest.as_ref().map(|(greatest, _)| *greatest);
        if known.is_some_and(|known| std::mem::discriminant(&known) != std::mem::discriminant(&value)) {
            return Err(unordered());
        }
        if matches!(value, OrderedValue::Time(time) if time > self.latest) {
            self.has_later = true;
            return Ok(());
        }
        self.differs |= known.is_some_and(|known| known != value);
        if known.is_none_or(|known| known < value) {
            self.greatest = Some((value, text.into_owned()));
        }
        Ok(())
    }

    /// Text of the greatest value, as the record spells it; none without records.
    pub(crate) fn text(&self) -> Option<&str> {
        self.greatest.as_ref().map(|(_, text)| text.as_str())
    }

    /// Returns true once two records had different values.
    pub(crate) fn differs(&self) -> bool {
        self.differs
    }

    /// Returns true once a time was passed over.
    pub(crate) fn has_later(&self) -> bool {
        self.has_later
    }

    /// Returns true where the greatest value is less than `other`, or is not compared with it.
    pub(crate) fn is_below(&self, other: &str) -> bool {
        let other = RawValue::from_string(serde_json::Value::from(other).to_string()).ok();
        let other = other.as_deref().and_then(|other| ordered(other.get())).map(|(value, _)| value);
        let greatest = self.greatest.as_ref().map(|(greatest, _)| *greatest);
        let same_kind = other.zip(greatest).filter(|(a, b)| std::mem::discriminant(a) == std::mem::discriminant(b));
        greatest.is_some() && same_kind.is_none_or(|(other, greatest)| greatest < other)
    }
}

/// Returns the value of a JSON text, and its text without quotes.
fn ordered(raw: &str) -> Option<(OrderedValue, Cow<'_, str>)> {
    let text: Cow<'_, str> =
        if raw.starts_with('"') { serde_json::from_str::<String>(raw).ok()?.into() } else { raw.into() };
    let time = || text.parse().ok().map(OrderedValue::Time);
    let value = number(&text).map(OrderedValue::Number).or_else(time)?;
    Some((value, text))
}

/// Returns a decimal number in billionths: of at most 19 digits in front of the point and 9 behind it, without an exponent.
fn number(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits =
        |digits: &str, most| (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole, 19) || !is_digits(fraction, FRACTION) {
        return None;
    }
    let billionths: i128 = format!("{whole}{fraction:0<FRACTION$}").parse().ok()?;
    Some(if digits.len() < text.len() { -billionths } else { billionths })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greatest(lines: &[&str]) -> Result<Option<String>, UnorderedValue> {
        let mut greatest = GreatestValue::new("at".parse().unwrap());
        for at in lines {
            greatest.add(format!("{{\"at\":{at}}}").as_bytes())?;
        }
        Ok(greatest.text().map(ToOwned::to_owned))
    }

    #[test]
    fn numbers_and_times_are_compared_and_keep_their_spelling() {
        for (lines, expected) in [
            (&["9", "10", "2"][..], Some("10")),
            (&["\"9\"", "10"], Some("10")),
            (&["-1", "-2.5"], Some("-1")),
            (&["\"1503435956.000247\"", "\"1503435956.000246\""], Some("1503435956.000247")),
            (&["\"2026-10-25T02:40:00+02:00\"", "\"2026-10-25T02:00:00+01:00\""], Some("2026-10-25T02:00:00+01:00")),
            (&["null", "\"2026-01-02T03:04:05.000Z\"", "null"], Some("2026-01-02T03:04:05.000Z")),
            (&["null"], None),
            (&[], None),
        ] {
            assert_eq!(greatest(lines).unwrap().as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn other_values_and_mixed_ones_have_no_order() {
        for line in [
            "\"ch_1a\"",
            "\"\"",
            "true",
            "{}",
            "1e3",
            "\"31.01.2026\"",
            "\"2026-01-02T03:04:05\"",
            "12345678901234567890",
        ] {
            assert!(greatest(&[line]).is_err(), "{line}");
        }
        assert!(greatest(&["1", "\"2026-01-02T03:04:05Z\""]).is_err());
        let mut greatest = GreatestValue::new("at".parse().unwrap());
        assert!(greatest.add(b"{\"id\":1}").is_err());
    }

    #[test]
    fn times_in_the_future_are_passed_over() {
        let mut greatest = GreatestValue::new("at".parse().unwrap());
        greatest.pass_over_later("2026-02-01T00:00:00Z".parse::<Timestamp>().unwrap().into());
        greatest.pass_over_later("2099-01-01T00:00:00Z".parse::<Timestamp>().unwrap().into());
        greatest.add(b"{\"at\":\"2026-01-31T23:00:00Z\"}").unwrap();
        assert!(!greatest.has_later());
        for later in ["2026-02-01T00:00:00.1Z", "2026-02-01T00:30:00-01:00", "2098-01-01T00:00:00Z"] {
            greatest.add(format!("{{\"at\":\"{later}\"}}").as_bytes()).unwrap();
        }
        assert!(greatest.has_later() && !greatest.differs());
        greatest.add(b"{\"at\":\"2026-02-01T01:00:00+01:00\"}").unwrap();
        assert_eq!((greatest.text(), greatest.differs()), (Some("2026-02-01T01:00:00+01:00"), true));
    }

    #[test]
    fn a_greatest_value_below_another_is_seen() {
        let mut greatest = GreatestValue::new("at".parse().unwrap());
        assert!(!greatest.is_below("5"), "no records");
        for at in ["4", "4"] {
            greatest.add(format!("{{\"at\":{at}}}").as_bytes()).unwrap();
        }
        assert!(!greatest.differs() && greatest.is_below("5") && greatest.is_below("2026-01-02T03:04:05Z"));
        greatest.add(b"{\"at\":5}").unwrap();
        assert!(greatest.differs() && !greatest.is_below("5"));
    }
}
