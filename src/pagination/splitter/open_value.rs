//! A value outside of the walker's own states, read piece by piece: a string, a number or literal, or a whole array or object.

use super::container_span::{ContainerSpan, Scanner};
use super::flaw::{Flaw, FlawKind, SCALAR, VALUE};
use super::lexer::{ScalarState, StringState};
use super::line_buffer::{LineBuffer, LineUse};
use super::surroundings::Surroundings;
use crate::pagination::PageError;

/// Destination of the records, and the scanner that finds them.
#[derive(Debug)]
pub(super) struct WalkOutput {
    pub(super) lines: LineBuffer,
    pub(super) scanner: Scanner,
}

#[derive(Debug)]
pub(super) struct OpenValue {
    kind: ValueKind,
    usage: ValueUse,
}

#[derive(Debug)]
enum ValueKind {
    String(StringState),
    Scalar(ScalarState),
    Span(Box<ContainerSpan>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueUse {
    /// An array of records.
    Records,
    Record,
    /// `null` in place of a record.
    NoRecord,
    Other,
}

impl OpenValue {
    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.kind, ValueKind::Scalar(_))
    }

    /// Begins a string, a number or a literal with its first byte.
    pub(super) fn begin_plain(
        byte: u8,
        usage: ValueUse,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Self, FlawKind> {
        let kind = match (byte, ScalarState::new(byte)) {
            (b'"', _) => {
                around.sketch.begin_string();
                ValueKind::String(StringState::default())
            }
            (_, Some(scalar)) => ValueKind::Scalar(scalar),
            (_, None) => return Err(FlawKind::Expected(VALUE)),
        };
        output.lines.set_use(LineUse::Records);
        let value = Self { kind, usage };
        value.put(&[byte], around, output).map_err(FlawKind::Page)?;
        Ok(value)
    }

    /// Begins an array or object, behind its opening bracket.
    pub(super) fn begin_span(span: ContainerSpan, usage: ValueUse, output: &mut WalkOutput) -> Result<Self, FlawKind> {
        output.lines.set_use(if usage == ValueUse::Other { LineUse::Skipped } else { LineUse::Records });
        if usage == ValueUse::Record {
            output.lines.add_plain(&[span.opening()]).map_err(FlawKind::Page)?;
        }
        Ok(Self { kind: ValueKind::Span(Box::new(span)), usage })
    }

    /// Reads the next piece, before which the page has `read` bytes; returns the number of its bytes that belong to the value, if it ends.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        read: u64,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Option<usize>, Flaw> {
        let (len, is_whole) = match &mut self.kind {
            ValueKind::Span(_) => return self.feed_span(piece, read, around, output),
            ValueKind::String(state) => {
                let (len, next) = state.read(piece)?;
                *state = next.unwrap_or_default();
                (len, next.is_none())
            }
            ValueKind::Scalar(state) => {
                let mut len = 0;
                while let Some(next) = piece.get(len).and_then(|byte| state.next(*byte)) {
                    *state = next;
                    len += 1;
                }
                let is_whole = len < piece.len();
                if is_whole && !state.is_whole() {
                    return Err(Flaw { at: len, kind: FlawKind::Expected(SCALAR) });
                }
                (len, is_whole)
            }
        };
        let at = len.saturating_sub(1);
        self.put(&piece[..len], around, output).map_err(|error| Flaw { at, kind: FlawKind::Page(error) })?;
        if is_whole && self.usage == ValueUse::Record {
            output.lines.end().map_err(|kind| Flaw { at, kind })?;
            around.sketch.add(b"null");
        }
        Ok(is_whole.then_some(len))
    }

    fn feed_span(
        &mut self,
        piece: &[u8],
        read: u64,
        around: &mut Surroundings,
        output: &mut WalkOutput,
    ) -> Result<Option<usize>, Flaw> {
        let ValueKind::Span(span) = &mut self.kind else { return Ok(None) };
        let fed = span.feed(piece, &mut output.scanner, &mut output.lines);
        if self.usage == ValueUse::Other {
            let end = fed.as_ref().map_or(None, |end| *end);
            around.skip(&piece[..end.unwrap_or(piece.len())]);
        }
        let Some(end) = fed? else { return Ok(None) };
        match self.usage {
            ValueUse::Records => around.sketch.add_records(span.elements()),
            ValueUse::Other => {
                let skipped = around.end_skip(span.elements(), read + end as u64);
                skipped.map_err(|error| Flaw { at: end - 1, kind: FlawKind::Page(error) })?;
            }
            ValueUse::Record | ValueUse::NoRecord => around.sketch.add(b"null"),
        }
        Ok(Some(end))
    }

    fn put(&self, part: &[u8], around: &mut Surroundings, output: &mut WalkOutput) -> Result<(), PageError> {
        match (self.usage, &self.kind) {
            (ValueUse::Record, _) => output.lines.add_plain(part),
            (_, ValueKind::String(_)) => around.add_string(part),
            _ => around.add(part),
        }
    }
}
