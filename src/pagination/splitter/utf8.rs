//! The check for UTF-8 over pieces that may cut characters.

use simdutf8::{basic, compat};

/// State of the check between two pieces.
#[derive(Debug, Default)]
pub(super) struct Utf8Checker {
    /// Start of a character that a piece has cut.
    begun: [u8; 4],
    begun_len: usize,
    /// Bytes before `begun`.
    checked: u64,
}

impl Utf8Checker {
    /// Checks the next piece; `Err` is the offset of the first byte that is no UTF-8.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while self.begun_len > 0 {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            self.begun[self.begun_len] = *first;
            self.begun_len += 1;
            bytes = rest;
            match std::str::from_utf8(&self.begun[..self.begun_len]) {
                Ok(_) => {
                    self.checked += self.begun_len as u64;
                    self.begun_len = 0;
                }
                Err(error) if error.error_len().is_some() => return Err(self.checked),
                Err(_) => {}
            }
        }
        let whole = bytes.len() - begun_at_end(bytes);
        if basic::from_utf8(&bytes[..whole]).is_err() {
            let valid = compat::from_utf8(&bytes[..whole]).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(self.checked + valid as u64);
        }
        self.checked += whole as u64;
        self.begun_len = bytes.len() - whole;
        self.begun[..self.begun_len].copy_from_slice(&bytes[whole..]);
        match std::str::from_utf8(&self.begun[..self.begun_len]) {
            Err(error) if error.error_len().is_some() => Err(self.checked),
            _ => Ok(()),
        }
    }

    /// Ends the text; fails inside a character.
    pub(super) fn finish(&self) -> Result<(), u64> {
        if self.begun_len == 0 { Ok(()) } else { Err(self.checked) }
    }
}

/// Number of bytes at the end that may be the start of a cut character.
fn begun_at_end(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let length = match bytes[bytes.len() - back] {
            0x80..0xc0 => continue,
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if length > back { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], cut: usize) -> Result<(), u64> {
        let mut utf8 = Utf8Checker::default();
        bytes.chunks(cut).try_for_each(|piece| utf8.feed(piece))?;
        utf8.finish()
    }

    proptest! {
        #[test]
        fn judges_as_the_standard_library_does(
            parts in prop::collection::vec(prop::sample::select(vec![
                &b"a"[..], b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98",
                b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xff", b"0123456789012345678901234567890123456789",
            ]), 0..12),
            cut in 1..20_usize,
        ) {
            let bytes = parts.concat();
            let expected = std::str::from_utf8(&bytes).map(drop).map_err(|error| error.valid_up_to() as u64);
            prop_assert_eq!(check(&bytes, cut), expected);
        }
    }
}
