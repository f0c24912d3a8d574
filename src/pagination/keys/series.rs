//! Keys that are a number behind a text of its own, as `17`, `"17"` or `"ord_0017"`.

use std::ops::Range;

use super::numbers::NumberRanges;
use super::set::Novelty;

/// Most digits of a number: all numbers of so many are in a `u64`.
const DIGITS: usize = 18;

/// Most bytes before the number.
const PREFIX: usize = 64;

/// Numbers behind one text.
#[derive(Debug)]
pub(super) struct Series {
    /// The text before the number: of a string with its quotation mark, of a number with leading zeros with the zeros.
    prefix: Box<[u8]>,
    ranges: NumberRanges,
    density: SeriesDensity,
}

/// Expectation of the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeriesDensity {
    /// It lies beside a range.
    Dense,
    /// It lies anywhere: the ranges stay as they are, and other numbers are kept elsewhere.
    Sparse,
}

/// Result of adding a number to a series.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SeriesInsert {
    Ranged(Novelty),
    /// The number was new, and there were too many ranges: these numbers have left them.
    Overflow(Vec<u64>),
    /// The number is in no range, and may be elsewhere.
    Elsewhere,
}

/// Text of the key whose number is one more than that of the last key: lists that count up have it next, and it needs no splitting.
#[derive(Debug)]
pub(super) struct NextKey {
    text: [u8; PREFIX + DIGITS + 1],
    /// Length of the text; 0 where the number has no next one of as many digits.
    length: usize,
    digits: Range<usize>,
    number: u64,
}

impl NextKey {
    /// Number of a key that is this one. The key after it is the next one then.
    pub(super) fn number_of(&mut self, key: &[u8]) -> Option<u64> {
        if self.length == 0 || self.text[..self.length] != *key {
            return None;
        }
        let number = self.number;
        self.count_up();
        Some(number)
    }

    /// Sets the key that follows another one, which has this number behind so many bytes.
    pub(super) fn follow(&mut self, key: &[u8], prefix: usize, number: u64) {
        self.text[..key.len()].copy_from_slice(key);
        self.length = key.len();
        self.digits = prefix..key.len() - usize::from(key.ends_with(b"\""));
        self.number = number;
        self.count_up();
    }

    fn count_up(&mut self) {
        self.number += 1;
        for digit in self.text[self.digits.clone()].iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
        // One more digit, for which a text may have a zero less before it.
        self.length = 0;
    }
}

impl Default for NextKey {
    fn default() -> Self {
        Self { text: [0; PREFIX + DIGITS + 1], length: 0, digits: 0..0, number: 0 }
    }
}

/// Splits a key into its series and its number; none if it doesn't end in digits. The key can be made of the two again: leading zeros stand
/// in the prefix, and a string's closing mark follows from its first one.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let text = if key.first() == Some(&b'"') { key.strip_suffix(b"\"")? } else { key };
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let zeros =
        text[text.len() - digits..].iter().take(digits.saturating_sub(1)).take_while(|byte| **byte == b'0').count();
    let (prefix, number) = text.split_at(text.len() - digits + zeros);
    if !(1..=DIGITS).contains(&number.len()) || prefix.len() > PREFIX {
        return None;
    }
    Some((prefix, number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
}

impl Series {
    pub(super) fn new(prefix: &[u8]) -> Self {
        Self { prefix: prefix.into(), ranges: NumberRanges::default(), density: SeriesDensity::Dense }
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Adds a number, if it is dense or known; the series may have `most` ranges.
    pub(super) fn insert(&mut self, number: u64, most: usize) -> SeriesInsert {
        match self.density {
            SeriesDensity::Sparse if self.ranges.contains(number) => return SeriesInsert::Ranged(Novelty::Known),
            SeriesDensity::Sparse => return SeriesInsert::Elsewhere,
            SeriesDensity::Dense => {}
        }
        let novelty = self.ranges.insert(number);
        if self.ranges.len() <= most {
            return SeriesInsert::Ranged(novelty);
        }
        self.density = SeriesDensity::Sparse;
        let (mut loose, mut length) = (Vec::new(), 1);
        while self.ranges.len() > most / 2 {
            length *= 2;
            loose.extend(self.ranges.take_short(length));
        }
        SeriesInsert::Overflow(loose)
    }

    pub(super) fn ranges(&self) -> usize {
        self.ranges.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_key_is_split_as_any_other() {
        for width in 1..5 {
            let of = |number: u64| format!("\"ord_{number:0width$}\"");
            let (mut next, mut foretold) = (NextKey::default(), 0);
            for number in 0..2_000 {
                let key = of(number);
                let (prefix, split_number) = split(key.as_bytes()).unwrap();
                if let Some(told) = next.number_of(key.as_bytes()) {
                    let before = of(number - 1);
                    assert_eq!((told, prefix), (split_number, split(before.as_bytes()).unwrap().0));
                    foretold += 1;
                } else {
                    next.follow(key.as_bytes(), prefix.len(), split_number);
                }
                assert_eq!(next.number_of(key.as_bytes()), None);
            }
            assert_eq!(foretold, 1_996);
        }
    }

    #[test]
    fn a_key_is_split_where_its_number_begins() {
        let cases: [(&str, Option<(&str, u64)>); 12] = [
            ("17", Some(("", 17))),
            ("0", Some(("", 0))),
            ("-5", Some(("-", 5))),
            ("\"17\"", Some(("\"", 17))),
            ("\"ord_0017\"", Some(("\"ord_00", 17))),
            ("\"00\"", Some(("\"0", 0))),
            ("\"a\"", None),
            ("\"\"", None),
            ("true", None),
            ("1.50", Some(("1.", 50))),
            ("999999999999999999", Some(("", 999_999_999_999_999_999))),
            ("1000000000000000000", None),
        ];
        for (key, split_key) in cases {
            let expected = split_key.map(|(prefix, number)| (prefix.as_bytes(), number));
            assert_eq!(split(key.as_bytes()), expected, "{key}");
        }
    }
}
