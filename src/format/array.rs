//! A JSON array: the lines of the log, a comma in place of each line feed, and brackets around them.
//!
//! A raw line feed is never inside of a record, so the translation needs no parser. The closing bracket takes the place of the last line
//! feed, and comes only with the proven end: no other JSON text is a whole array.

use bytes::{BufMut, BytesMut};
use memchr::memchr_iter;

use super::layout::{Layout, RecordOffset};

pub(super) const LAYOUT: Layout = Layout { prefix: "[", per_record: 0, suffix: "]\n", overlap: 1 };

#[derive(Debug)]
pub struct ArrayEncoder {
    before: BeforeNext,
}

/// Text that is due before the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BeforeNext {
    Prefix,
    Nothing,
    Comma,
}

impl ArrayEncoder {
    pub(super) fn new(start: RecordOffset) -> Self {
        // The comma before a later record belongs to the one before it.
        Self { before: if start.record == 0 { BeforeNext::Prefix } else { BeforeNext::Nothing } }
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) {
        if lines.is_empty() {
            return;
        }
        self.open(out);
        let (body, before) = match lines.split_last() {
            // The last record has no comma.
            Some((b'\n', body)) => (body, BeforeNext::Comma),
            Some(_) | None => (lines, BeforeNext::Nothing),
        };
        let start = out.len();
        out.extend_from_slice(body);
        let copy = &mut out[start..];
        memchr_iter(b'\n', body).for_each(|at| copy[at] = b',');
        self.before = before;
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        if self.before == BeforeNext::Prefix {
            self.open(out);
        }
        out.put_slice(LAYOUT.suffix.as_bytes());
    }

    fn open(&mut self, out: &mut BytesMut) {
        match self.before {
            BeforeNext::Prefix => out.put_slice(LAYOUT.prefix.as_bytes()),
            BeforeNext::Comma => out.put_u8(b','),
            BeforeNext::Nothing => {}
        }
    }
}
