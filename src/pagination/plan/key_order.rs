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

/// Compares two JSON texts whose order is the same for every upstream: whole numbers, and strings of one form, as times (RFC 3339), padded
/// numbers and UUIDs. Other texts depend on a collation.
fn compare(before: &[u8], after: &[u8]) -> Option<Ordering> {
    let whole = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i128>().ok();
    if let (Some(before), Some(after)) = (whole(before), whole(after)) {
        return Some(before.cmp(&after));
    }
    let is_alike = |(one, other): (&u8, &u8)| one == other || [one, other].into_iter().all(|byte| is_hex(*byte));
    let is_comparable =
        before.starts_with(b"\"") && before.len() == after.len() && before.iter().zip(after).all(is_alike);
    is_comparable.then(|| before.cmp(after))
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
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
        assert_eq!(of("\"ch_1a\"", "\"ch_1b\""), Some(Ordering::Less));
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
