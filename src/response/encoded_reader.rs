//! Reader of a log in another format than its own: the bytes of a range of the format, encoded as they are read.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::table_index::{SPACING, TableIndex};
use crate::error::{Failure, Fault};
use crate::format::{ColumnUse, Encoder, EncodingError};
use crate::pagination::verdict::Verdict;
use crate::snapshot::{Reader, ReaderEvent};

/// Number of bytes that are encoded at once: a short record may be a long row.
const PIECE: usize = 8 * 1024;

/// Number of encoded bytes from which on they are sent.
const FRAME: usize = 64 * 1024;

/// Number of reads of the log after which other tasks of the thread have their turn, where no byte of them is wanted.
const TURN: usize = 8;

#[derive(Debug)]
pub struct EncodedReader {
    reader: Reader,
    /// Bytes of the log that the reader has passed and the encoder has not had.
    input: Bytes,
    encoder: Encoder,
    /// Encoded bytes that were not taken yet.
    encoded: BytesMut,
    /// Offset of the first of them in the format.
    position: u64,
    /// Offsets of the bytes that are wanted.
    wanted: Range<u64>,
    index: Option<Arc<TableIndex>>,
    /// Offset in the log from which on the next row is noted.
    next_noted: u64,
    end: Option<Result<Verdict, Arc<Failure>>>,
}

/// Extent of a format's bytes at one moment.
#[derive(Debug)]
pub(super) struct FormatExtent {
    /// End of the bytes that can be read.
    pub(super) visible: u64,
    /// Length of the whole, of a complete log.
    pub(super) length: Option<u64>,
    /// Failure that keeps more bytes from coming.
    pub(super) failure: Option<Arc<Failure>>,
}

impl EncodedReader {
    /// Makes a reader of these bytes of the format. The encoder and the reader are at the same record, whose offset in the format is
    /// `position`, at or before the first of the bytes.
    pub(super) fn new(reader: Reader, encoder: Encoder, position: u64, wanted: Range<u64>) -> Self {
        let next_noted = reader.position() + SPACING;
        let (input, encoded) = (Bytes::new(), BytesMut::new());
        Self { reader, encoder, input, encoded, position, wanted, index: None, next_noted, end: None }
    }

    /// Notes rows and the length of a table on the way.
    pub(super) fn noting(self, index: Arc<TableIndex>) -> Self {
        Self { index: Some(index), ..self }
    }

    /// Returns the use of a table's columns by all records, once it is known.
    pub(super) fn column_use(&self) -> Option<&ColumnUse> {
        self.index.as_ref().and_then(|index| index.column_use())
    }

    /// Reads the next bytes. [`ReaderEvent::Complete`] comes only after the log was sealed as complete, and after the last byte of the format.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        for _ in 0..TURN {
            // Only the first piece of a frame is waited for.
            while !self.input.is_empty() && self.encoded.len() < FRAME && self.end.is_none() {
                ready!(self.poll_encode(context));
            }
            if let Some(bytes) = self.take() {
                return Poll::Ready(Ok(ReaderEvent::Bytes(bytes)));
            }
            if self.position >= self.wanted.end {
                return Poll::Ready(Ok(ReaderEvent::Stop));
            }
            match &self.end {
                Some(Ok(verdict)) => return Poll::Ready(Ok(ReaderEvent::Complete(verdict.clone()))),
                Some(Err(failure)) => return Poll::Ready(Err(Arc::clone(failure))),
                None => ready!(self.poll_encode(context)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Encodes up to the first byte after `first`. On the way, goes on to the byte after `last` as far as the log has its bytes by now.
    pub(super) async fn extend(mut self, first: u64, last: u64, visible: u64) -> FormatExtent {
        while self.end.is_none() {
            let is_reached = self.position > first;
            if self.position > last || (is_reached && self.input.is_empty() && self.reader.position() >= visible) {
                break;
            }
            std::future::poll_fn(|context| self.poll_encode(context)).await;
            self.position += self.encoded.len() as u64;
            self.encoded.clear();
            // A log in memory is always ready: other tasks of the thread need their turn.
            tokio::task::consume_budget().await;
        }
        let (length, failure) = match self.end {
            Some(Ok(_)) => (Some(self.position), None),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        FormatExtent { visible: self.position, length, failure }
    }

    /// Encodes the next piece of the log, or its end.
    fn poll_encode(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() {
            if self.encoded.is_empty() {
                // A buffer that grows from piece to piece is copied as often as it doubles.
                self.encoded.reserve(self.input.len().min(FRAME) + PIECE);
            }
            let piece = self.input.split_to(self.input.len().min(PIECE));
            self.end =
                self.encoder.push(&piece, &mut self.encoded).err().map(|error| Err(Arc::new(unencodable(error))));
            self.note_row();
            return Poll::Ready(());
        }
        let (encoded, end) = match ready!(self.reader.poll_next(context)) {
            Ok(ReaderEvent::Bytes(bytes)) => {
                self.input = bytes;
                return Poll::Ready(());
            }
            Ok(ReaderEvent::Complete(verdict)) => (self.encoder.finish(&mut self.encoded), Some(Ok(verdict))),
            // It reads up to the log's end.
            Ok(ReaderEvent::Stop) => return Poll::Ready(()),
            Err(failure) => (Ok(()), Some(Err(failure))),
        };
        self.end = match encoded {
            Ok(()) => {
                if let (Some(index), Some(Ok(verdict))) = (&self.index, &end) {
                    // An encoder that began at a later row has not seen all records.
                    let column_use = self.encoder.column_use().filter(|all| all.records == verdict.records);
                    column_use.iter().for_each(|column_use| index.set_column_use(column_use));
                    index.set_length(self.position + self.encoded.len() as u64);
                }
                end
            }
            Err(error) => Some(Err(Arc::new(unencodable(error)))),
        };
        Poll::Ready(())
    }

    fn note_row(&mut self) {
        let at = self.reader.position() - self.input.len() as u64;
        if let Some(index) = self.index.as_ref().filter(|_| at >= self.next_noted && self.end.is_none())
            && let Some(row) = self.encoder.next_row()
        {
            index.add(row);
            self.next_noted = at + SPACING;
        }
    }

    /// Takes the encoded bytes that are wanted; none where there are none.
    fn take(&mut self) -> Option<Bytes> {
        let mut bytes = self.encoded.split().freeze();
        let place = |offset: u64| usize::try_from(offset.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let (start, end) = (place(self.wanted.start), place(self.wanted.end));
        self.position += bytes.len() as u64;
        bytes.truncate(end);
        let wanted = bytes.split_off(start.min(bytes.len()));
        (!wanted.is_empty()).then_some(wanted)
    }
}

/// Failure of a stream with a record that its format can't express.
pub(super) fn unencodable(EncodingError { message, hint }: EncodingError) -> Failure {
    Failure::new(Fault::RefusedClient(StatusCode::NOT_ACCEPTABLE), message, hint)
}
