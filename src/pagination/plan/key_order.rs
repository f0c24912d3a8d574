//! Order of the keys behind which the pages of a keyset begin.

use std::cmp::Ordering;

/// Number of pairs of neighbours that show a direction. Keys in no order have so many in a row once in 180,000 lists.
const SHOWN_BY: u32 = 8;

/// Direction of a list's keys, as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum KeyOrder {
    #[default]
    Unknown,
    /// So many pairs of neighbours are in this order, and none in the other.
    Directed(Ordering, u32),
    /// Keys rise and fall: the list is in another order.
    Mixed,
}

impl KeyOrder {
    /// Takes two keys that follow each other; returns false if they contradict the direction that those before them have shown.
    pub(super) fn admits(&mut self, before: &[u8], after: &[u8]) -> bool {
        let Some(ordering) = compare(before, after).filter(|ordering| *ordering != Ordering::Equal) else {
            return true;
        };
        match self {
            Self::Unknown => *self = Self::Directed(ordering, 1),
            Self::Directed(direction, pairs) if *direction == ordering => *pairs = pairs.saturating_add(1),
            Self::Directed(_, SHOWN_BY..) => return false,
            Self::Directed(..) => *self = Self::Mixed,
            Self::Mixed => {}
        }
        true
    }
}

/// Compares two JSON texts whose order is the same for every upstream: whole numbers, and times in UTC (RFC 3339) of equal length. The
/// order of other texts depends on a collation, a time zone, or the upstream's own type, as that of UUIDs.
fn compare(before: &[u8], after: &[u8]) -> Option<Ordering> {
    let whole = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i128>().ok();
    if let (Some(before), Some(after)) = (whole(before), whole(after)) {
        return Some(before.cmp(&after));
    }
    (before.len() == after.len() && is_utc(before) && is_utc(after)).then(|| before.cmp(after))
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
        let of = |before: &str, after: &str| compare(before.as_bytes(), after.as_bytes());
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
            keys.windows(2).all(|pair| order.admits(pair[0].to_string().as_bytes(), pair[1].to_string().as_bytes()))
        };
        assert!(admitted(&[1, 2, 3, 4, 3, 2, 9, 1]) && admitted(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 0]));
        assert!(admitted(&[1, 2, 3, 4, 5, 6, 7, 8, 7]));
        assert!(!admitted(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 8]) && !admitted(&[9, 8, 7, 6, 5, 4, 3, 2, 1, 2]));
    }
}
