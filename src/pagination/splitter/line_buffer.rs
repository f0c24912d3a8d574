//! The records of a page as lines, each copied once.
//!
//! Whole runs of records are copied, and the separators in them become newlines in place. White space around a separator ends a run,
//! so that the lines don't contain it.

use std::ops::Range;

use bytes::BytesMut;

use super::flaw::{FlawKind, SEPARATOR, VALUE};
use super::scalars::is_scalar;
use super::white_space::{drop_space, is_space, space_at};
use crate::batch::Batch;
use crate::pagination::keys::KeyColumn;
use crate::pagination::{PageError, Whitespace};

/// Bytes by which the buffer grows: for one read of a socket, and the rest of the record before it.
const ROOM: usize = 96 * 1024;

/// Capacity from which on a buffer, grown for a large record, is not reused.
const LARGE: usize = 4 * ROOM;

/// Use of the text that is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineUse {
    Records,
    Skipped,
}

#[derive(Debug)]
pub(super) struct LineBuffer {
    /// Whole lines, and the beginning of the record behind them.
    pub(super) bytes: BytesMut,
    /// Offset of that record; whole ≤ bytes.len()
    whole: usize,
    /// Number of whole lines that were not taken.
    lines: u64,
    /// Keys of these lines, where records have one.
    keys: Option<Box<KeyColumn>>,
    taken: u64,
    usage: LineUse,
    /// With [`LineUse::Skipped`]: a part of the current element was read.
    is_begun: bool,
    /// The last record became a line before its separator was read.
    is_early: bool,
    whitespace: Whitespace,
    record_bytes: u64,
    /// Length of the last batch. The next one begins where as much fits: in the middle of it, its lines would have to be copied.
    usual: usize,
}

/// A part of a span's text, with the separators of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpanPart<'a> {
    pub(super) text: &'a [u8],
    /// Offsets of the separators in it.
    pub(super) cuts: &'a [u16],
    /// It contains tabs or line breaks.
    pub(super) has_breaks: bool,
    /// It ends outside of all brackets and strings of the elements.
    pub(super) is_outside: bool,
}

impl LineBuffer {
    pub(super) fn new(record_bytes: u64, whitespace: Whitespace, keys: Option<Box<KeyColumn>>) -> Self {
        Self {
            bytes: BytesMut::new(),
            whole: 0,
            lines: 0,
            keys,
            taken: 0,
            usage: LineUse::Records,
            is_begun: false,
            is_early: false,
            whitespace,
            record_bytes,
            usual: 0,
        }
    }

    /// Sets the use of the text that is added next.
    pub(super) fn set_use(&mut self, usage: LineUse) {
        self.usage = usage;
        (self.is_begun, self.is_early) = (false, false);
    }

    /// Adds a part with separators; `Err` has the offset in the part.
    #[inline]
    pub(super) fn add(&mut self, part: SpanPart<'_>) -> Result<(), (usize, FlawKind)> {
        if self.usage == LineUse::Skipped {
            return self.check_skipped(part);
        }
        let text = part.text;
        if part.is_outside && !self.is_between() && space_at(text, 0) == text.len() {
            // Behind a number or string, one space replaces all, so that they don't fill the memory.
            if !self.bytes.ends_with(b" ") {
                self.bytes.extend_from_slice(b" ");
            }
            return Ok(());
        }
        // The run that is copied next, the first separator in it, and where the current record begins.
        let mut run = if self.is_between() { space_at(text, 0) } else { 0 };
        let mut first = 0;
        if self.is_early && run < text.len() {
            if part.cuts.first().is_none_or(|cut| usize::from(*cut) != run) {
                return Err((run, FlawKind::Expected(SEPARATOR)));
            }
            self.is_early = false;
            run = space_at(text, run + 1);
            first = 1;
        }
        let mut begin = run;
        let mut held = self.bytes.len() - self.whole;
        for (number, cut) in part.cuts.iter().enumerate().skip(first) {
            let cut = usize::from(*cut);
            let after = cut + 1;
            let is_tight = held == 0
                && begin < cut
                && !is_space(text[cut - 1])
                && !text.get(after).is_some_and(|byte| is_space(*byte))
                && self.whitespace == Whitespace::Kept;
            held = 0;
            if is_tight {
                self.check_size(cut - begin, number - first).map_err(|wrong| (cut, FlawKind::Page(wrong)))?;
                check_record(&text[begin..cut]).map_err(|what| (cut - 1, what))?;
                begin = after;
                continue;
            }
            self.copy(part, run..cut.max(run), first..number);
            self.end_line().map_err(|what| (cut, what))?;
            run = space_at(text, after);
            (first, begin) = (number + 1, run);
        }
        self.copy(part, run..text.len(), first..part.cuts.len());
        // Space at the end belongs to the record only if more of the record follows.
        let rest = text.len().saturating_sub(text.trim_ascii_end().len());
        let size = (self.bytes.len() - self.whole).saturating_sub(rest);
        self.check_size(size, 0).map_err(|wrong| (text.len(), FlawKind::Page(wrong)))
    }

    /// Adds a part of a record without separators.
    pub(super) fn add_plain(&mut self, text: &[u8]) -> Result<(), PageError> {
        self.bytes.extend_from_slice(text);
        self.check_size(self.bytes.len() - self.whole, 0)
    }

    /// Ends the last record; returns `false` if there is none.
    pub(super) fn end(&mut self) -> Result<bool, FlawKind> {
        match self.usage {
            LineUse::Records if std::mem::take(&mut self.is_early) => Ok(true),
            LineUse::Records if self.bytes[self.whole..].trim_ascii().is_empty() => {
                self.bytes.truncate(self.whole);
                Ok(false)
            }
            LineUse::Records => self.end_line().map(|()| true),
            LineUse::Skipped => Ok(std::mem::take(&mut self.is_begun)),
        }
    }

    /// Ends the current record before its separator is read: the last byte was its closing bracket, and the next piece may come late.
    pub(super) fn end_early(&mut self) -> Result<(), FlawKind> {
        if self.usage == LineUse::Records && !self.is_between() {
            self.end_line()?;
            self.is_early = true;
        }
        Ok(())
    }

    /// Takes the whole lines.
    pub(super) fn take(&mut self) -> Batch {
        let records = std::mem::take(&mut self.lines);
        let batch = if self.whole > LARGE {
            let rest = BytesMut::from(&self.bytes[self.whole..]);
            self.bytes.truncate(self.whole);
            Batch::without_spare(std::mem::replace(&mut self.bytes, rest), records)
        } else {
            Batch::new(self.bytes.split_to(self.whole).freeze(), records)
        };
        self.usual = std::mem::take(&mut self.whole).min(ROOM);
        self.taken += records;
        match &mut self.keys {
            Some(keys) => keys.take(batch),
            None => batch,
        }
    }

    /// Number of bytes in memory. The buffer of a large record is counted with its spare capacity, which is up to half of it.
    pub(super) fn held_bytes(&self) -> usize {
        let lines = if self.bytes.len() > ROOM { self.bytes.capacity() } else { self.bytes.len() };
        lines + self.keys.as_ref().map_or(0, |keys| keys.bytes())
    }

    /// Returns whether any byte of a record was added.
    pub(super) fn has_begun(&self) -> bool {
        self.taken + self.lines > 0 || !self.is_between()
    }

    /// Clears the buffer for other records or another page. Batches that were taken keep their bytes.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        let bytes = std::mem::take(&mut self.bytes);
        let bytes = if bytes.capacity() > LARGE { BytesMut::new() } else { bytes };
        let mut keys = self.keys.take();
        keys.iter_mut().for_each(|keys| keys.forget());
        *self = Self { bytes, usual: self.usual, ..Self::new(self.record_bytes, self.whitespace, keys) };
    }

    /// Returns whether no record has begun behind the whole lines.
    fn is_between(&self) -> bool {
        self.bytes.len() == self.whole
    }

    fn copy(&mut self, part: SpanPart<'_>, run: Range<usize>, cuts: Range<usize>) {
        let text = &part.text[run.clone()];
        let place = self.bytes.len();
        let needed = if self.whole == 0 { text.len().max(self.usual) } else { text.len() };
        if self.bytes.capacity() - place < needed && !self.bytes.try_reclaim(needed) {
            self.bytes.reserve(ROOM.max(needed));
        }
        self.bytes.extend_from_slice(text);
        let copied = &mut self.bytes[place..];
        if part.has_breaks {
            // A byte below a space that the scan has accepted is white space.
            copied.iter_mut().for_each(|byte| *byte = (*byte).max(b' '));
        }
        let cuts = &part.cuts[cuts];
        for cut in cuts {
            copied[usize::from(*cut) - run.start] = b'\n';
        }
        self.lines += cuts.len() as u64;
        if let Some(keys) = &mut self.keys {
            let mut start = self.whole;
            for cut in cuts {
                let end = place + usize::from(*cut) - run.start + 1;
                keys.add(&self.bytes[start..end], start);
                start = end;
            }
        }
        if let Some(last) = cuts.last() {
            self.whole = place + usize::from(*last) - run.start + 1;
        }
    }

    fn end_line(&mut self) -> Result<(), FlawKind> {
        let record = &mut self.bytes[self.whole..];
        let len = match self.whitespace {
            Whitespace::Kept => record.trim_ascii_end().len(),
            Whitespace::Dropped => drop_space(record),
        };
        self.bytes.truncate(self.whole + len);
        if len == 0 {
            return Err(FlawKind::Expected(VALUE));
        }
        self.check_size(len, 0).map_err(FlawKind::Page)?;
        check_record(&self.bytes[self.whole..])?;
        self.bytes.extend_from_slice(b"\n");
        if let Some(keys) = &mut self.keys {
            keys.add(&self.bytes[self.whole..], self.whole);
        }
        self.whole = self.bytes.len();
        self.lines += 1;
        Ok(())
    }

    /// Checks a skipped part: each separator must follow an element.
    fn check_skipped(&mut self, part: SpanPart<'_>) -> Result<(), (usize, FlawKind)> {
        let mut begin = 0;
        for cut in part.cuts {
            let cut = usize::from(*cut);
            if !self.is_begun && space_at(part.text, begin) >= cut {
                return Err((cut, FlawKind::Expected(VALUE)));
            }
            self.is_begun = false;
            begin = cut + 1;
        }
        self.is_begun |= space_at(part.text, begin) < part.text.len();
        Ok(())
    }

    /// Checks the size of the record behind the whole lines and `others` more.
    fn check_size(&self, size: usize, others: usize) -> Result<(), PageError> {
        if size as u64 > self.record_bytes {
            let index = usize::try_from(self.taken + self.lines).unwrap_or(usize::MAX) + others;
            return Err(PageError::RecordTooLarge { index, limit: self.record_bytes });
        }
        Ok(())
    }
}

/// Checks that this is one record. Brackets match, so that text with a bracket at only one of its ends is two records; text without
/// brackets is short enough to be read again.
#[inline(always)]
fn check_record(record: &[u8]) -> Result<(), FlawKind> {
    match record {
        [b'[' | b'{', .., b']' | b'}'] => Ok(()),
        [b'[' | b'{', ..] | [.., b']' | b'}'] => Err(FlawKind::Expected(SEPARATOR)),
        scalar if is_scalar(scalar) => Ok(()),
        _ => Err(FlawKind::Expected("expected one whole string, number or literal")),
    }
}
