//! Order of the keys behind which the pages of a keyset begin.

use std::cmp::Ordering;

/// Number of pairs of neighbours that show a direction. Keys in no order have eight in a row once in 180,000 lists.
const SHOWN_BY: u32 = 8;

/// Order of a list's keys, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct KeyOrder {
    direction: KeyDirection,
    /// Last key, and its number if it is one.
    last: Vec<u8>,
    number: Option<i128>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum KeyDirection {
    #[default]
    Unknown,
    /// Order of all pairs of neighbours, and their number.
    Shown(Ordering, u32),
    /// Keys rise and fall: the list is in another order.
    Mixed,
}

impl KeyOrder {
    /// Takes the next key; returns false, and takes nothing, if it contradicts the direction that those before it have shown.
    pub(super) fn admits(&mut self, key: &[u8]) -> bool {
        let number = whole_number(key);
        let ordering = self.compare(key, number);
        match (self.direction, ordering.filter(|ordering| *ordering != Ordering::Equal)) {
            (KeyDirection::Unknown, Some(ordering)) => self.direction = KeyDirection::Shown(ordering, 1),
            (KeyDirection::Shown(direction, pairs), Some(ordering)) if direction == ordering => {
                self.direction = KeyDirection::Shown(direction, pairs.saturating_add(1));
            }
            (KeyDirection::Shown(_, SHOWN_BY..), Some(_)) => return false,
            (KeyDirection::Shown(..), Some(_)) => self.direction = KeyDirection::Mixed,
            (KeyDirection::Mixed, Some(_)) | (_, None) => {}
        }
        self.last.clear();
        self.last.extend_from_slice(key);
        self.number = number;
        true
    }

    /// The last key; empty if there is none.
    pub(super) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Forgets the last key: the next one need not follow it.
    pub(super) fn forget_last(&mut self) {
        self.last.clear();
        self.number = None;
    }

    /// Compares the last key with the next one, if their order is the same for every upstream: whole numbers, and times in UTC (RFC 3339) of
    /// equal length. The order of other texts depends on a collation, a time zone, or the upstream's own type, as that of UUIDs.
    fn compare(&self, key: &[u8], number: Option<i128>) -> Option<Ordering> {
        match (self.number, number) {
            (Some(last), Some(number)) => Some(last.cmp(&number)),
            (None, None) if self.last.len() == key.len() && is_utc(&self.last) && is_utc(key) => {
                Some(self.last.as_slice().cmp(key))
            }
            _ => None,
        }
    }
}

fn whole_number(key: &[u8]) -> Option<i128> {
    // As many digits as are surely in a `u64` are most keys, and are read without the checks of a parser.
    if matches!(key.len(), 1..=18) && key.iter().all(u8::is_ascii_digit) {
        return Some(i128::from(key.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'))));
    }
    let begins = matches!(key.first(), Some(b'-' | b'0'..=b'9'));
    begins.then(|| std::str::from_utf8(key).ok()?.parse().ok()).flatten()
}

/// Returns true for a time such as `"2026-01-02T03:04:05.678Z"`.
fn is_utc(text: &[u8]) -> bool {
    const SECOND: &[u8] = b"0000-00-00T00:00:00";
    let time = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"Z\""));
    let Some((second, fraction)) = time.and_then(|time| time.split_at_checked(SECOND.len())) else { return false };
    let has_form =
        second.iter().zip(SECOND).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form });
    let is_fraction =
        |fraction: &[u8]| matches!(fraction, [b'.', digits @ ..] if digits.iter().all(u8::is_ascii_digit));
    has_form && (fraction.is_empty() || is_fraction(fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_whose_order_every_upstream_shares_are_compared() {
        let of = |before: &str, after: &str| {
            let mut order = KeyOrder::default();
            assert!(order.admits(before.as_bytes()) && order.last() == before.as_bytes());
            order.compare(after.as_bytes(), whole_number(after.as_bytes()))
        };
        assert_eq!(of("9", "10"), Some(Ordering::Less));
        assert_eq!(of("-1", "-2"), Some(Ordering::Greater));
        assert_eq!(of("\"2026-01-02T03:04:05Z\"", "\"2026-01-02T03:04:06Z\""), Some(Ordering::Less));
        assert_eq!(of("\"9\"", "\"10\""), None, "texts or numbers");
        assert_eq!(of("\"apple\"", "\"Banana\""), None);
        assert_eq!(of("1.5", "2"), None);
        let fractions = ["\"2026-01-02T03:04:05.250Z\"", "\"2026-01-02T03:04:05.125Z\""];
        assert_eq!(of(fractions[0], fractions[1]), Some(Ordering::Greater));
        assert_eq!(of(fractions[0], "\"2026-01-02T03:04:06Z\""), None, "of another length");
        for (before, after) in [
            ("\"2026-10-25T02:40:00+02:00\"", "\"2026-10-25T02:00:00+01:00\""),
            ("\"2026-10-25T02:40:00\"", "\"2026-10-25T02:00:00\""),
            ("\"31.01.2026\"", "\"01.02.2026\""),
            ("\"ffffffff-0000-4000-8000-000000000000\"", "\"00000000-0000-4000-8000-000000000000\""),
            ("\"ch_1a\"", "\"ch_1b\""),
        ] {
            assert_eq!(of(before, after), None, "{before}");
        }
    }

    #[test]
    fn a_direction_is_shown_by_several_pairs_before_a_key_can_contradict_it() {
        let admitted = |keys: &[u64]| {
            let mut order = KeyOrder::default();
            keys.iter().all(|key| order.admits(key.to_string().as_bytes()))
        };
        assert!(admitted(&[1, 2, 3, 4, 3, 2, 9, 1]) && admitted(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0]));
        assert!(admitted(&[1, 2, 3, 4, 5, 6, 7, 8, 7]));
        assert!(!admitted(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 8]) && !admitted(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 2]));
    }
}
