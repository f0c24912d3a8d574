//! Expectation of the next key: lists that count up have it next, and it is found and counted by one comparison.

use std::ops::Range;

use super::numbered_key::{DIGITS, PREFIX};

/// Bytes of a line's start that are compared at once.
const COMPARED: usize = 32;

/// Text of the key whose number is one more than that of the last key, behind the text that a line has in front of it.
#[derive(Debug)]
pub(super) struct NextKey {
    text: [u8; COMPARED + PREFIX + DIGITS + 1],
    /// Start of the key in the text.
    start: usize,
    /// Length of the text; 0 where the number has no next one of as many digits.
    length: usize,
    digits: Range<usize>,
    number: u64,
    /// Bits of the text among the first bytes of a line; none where it is longer, or no key.
    mask: [u64; COMPARED / 8],
}

impl NextKey {
    /// An expectation of keys behind this text; none of them is found in a line where it is empty or longer than 32 bytes.
    pub(super) fn behind(opening: &[u8]) -> Self {
        let opening = if opening.len() > COMPARED { &[] } else { opening };
        let mut text = [0; COMPARED + PREFIX + DIGITS + 1];
        text[..opening.len()].copy_from_slice(opening);
        Self { text, start: opening.len(), length: 0, digits: 0..0, number: 0, mask: [0; COMPARED / 8] }
    }

    /// Number of a key that is this one. The key after it is the next one then.
    pub(super) fn number_of(&mut self, key: &[u8]) -> Option<u64> {
        if self.length == 0 || self.text[self.start..self.length] != *key {
            return None;
        }
        let number = self.number;
        self.count_up();
        Some(number)
    }

    /// Place of the key in a line that begins with the text. The key after it is the next one then.
    #[inline(always)]
    pub(super) fn place_in(&mut self, line: &[u8]) -> Option<Range<usize>> {
        let begins = line.first_chunk::<COMPARED>()?;
        let ((line_words, _), (words, _)) = (begins.as_chunks(), self.text.as_chunks());
        let mut differing = 0;
        for ((line, word), mask) in line_words.iter().zip(words).zip(&self.mask) {
            differing |= (u64::from_le_bytes(*line) ^ u64::from_le_bytes(*word)) & mask;
        }
        // A number ends where the next byte can't be of it.
        let is_whole = || self.text[self.length - 1] == b'"' || matches!(line.get(self.length), Some(b',' | b'}'));
        if differing != 0 || self.length == 0 || self.mask[0] == 0 || !is_whole() {
            return None;
        }
        let place = self.start..self.length;
        self.count_up();
        Some(place)
    }

    /// Sets the key that follows another one, which has this number behind `prefix` bytes.
    pub(super) fn follow(&mut self, key: &[u8], prefix: usize, number: u64) {
        self.length = self.start + key.len();
        self.text[self.start..self.length].copy_from_slice(key);
        self.digits = self.start + prefix..self.length - usize::from(key.ends_with(b"\""));
        self.number = number;
        let compared = if self.start > 0 && self.length <= COMPARED { self.length } else { 0 };
        self.mask = std::array::from_fn(|word| match compared.saturating_sub(8 * word) {
            bytes @ 0..8 => (1 << (8 * bytes)) - 1,
            _ => u64::MAX,
        });
        self.count_up();
    }

    /// Expects no key.
    pub(super) fn forget(&mut self) {
        self.length = 0;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::keys::numbered_key::split;

    #[test]
    fn the_next_key_is_split_as_any_other() {
        for width in 1..5 {
            let of = |number: u64| format!("\"ord_{number:0width$}\"");
            let (mut next, mut foretold) = (NextKey::behind(b""), 0);
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
    fn the_next_key_is_found_in_a_line() {
        let mut next = NextKey::behind(b"{\"id\":");
        let line = |key: &str| format!("{{\"id\":{key},\"name\":\"a record of more than 32 bytes\"}}\n");
        assert_eq!(next.place_in(line("7").as_bytes()), None);
        next.follow(b"7", 0, 7);
        for key in ["7", "80", "8.5", "8e1", "\"8\"", "9"] {
            assert_eq!(next.place_in(line(key).as_bytes()), None, "{key}");
        }
        assert_eq!(next.place_in(b"{\"id\":8}\n"), None, "a short line is searched");
        assert_eq!(next.place_in(line("8").as_bytes()), Some(6..7));
        assert_eq!(next.place_in(line("9").as_bytes()), Some(6..7));
        assert_eq!(next.place_in(line("10").as_bytes()), None, "it has a digit more");
        next.follow(b"\"a_09\"", 4, 9);
        assert_eq!(next.place_in(line("\"a_10\"").as_bytes()), None, "it has a digit more");
        next.follow(b"\"a_10\"", 3, 10);
        assert_eq!(next.place_in(line("\"a_11\"").as_bytes()), Some(6..12));
    }
}
