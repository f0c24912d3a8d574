//! Reader of a log in another format than its own: the bytes of a range of the format, encoded as they are read.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use crate::error::{Failure, Fault};
use crate::format::{Encoder, EncodingError};
use crate::pagination::verdict::Verdict;
use crate::snapshot::{Reader, ReaderEvent};

#[derive(Debug)]
pub struct EncodedReader {
    /// At the byte after those that the encoder has had.
    reader: Reader,
    encoder: Encoder,
    /// Encoded bytes that were not taken yet.
    encoded: BytesMut,
    /// Offset of the first of them in the format.
    position: u64,
    /// Offsets of the bytes that are wanted.
    wanted: Range<u64>,
    end: Option<Result<Verdict, Arc<Failure>>>,
}

impl EncodedReader {
    /// Makes a reader of these bytes of the format. The encoder and the reader are at the same record, whose offset in the format is
    /// `position`, at or before the first of the bytes.
    pub(super) fn new(reader: Reader, encoder: Encoder, position: u64, wanted: Range<u64>) -> Self {
        Self { reader, encoder, encoded: BytesMut::new(), position, wanted, end: None }
    }

    /// Reads the next bytes. [`ReaderEvent::Complete`] comes only after the log was sealed as complete, and after the last byte of the format.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        loop {
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
    }

    /// Encodes up to the first byte after `first`. On the way, goes on to the byte after `last` as far as the log has its bytes by now.
    /// Returns the offset of the byte after the encoded ones, and the failure that keeps more from coming.
    pub(super) async fn extend(mut self, first: u64, last: u64, visible: u64) -> (u64, Option<Arc<Failure>>) {
        while self.end.is_none() {
            let is_reached = self.position > first;
            if self.position > last || (is_reached && self.reader.position() >= visible) {
                break;
            }
            std::future::poll_fn(|context| self.poll_encode(context)).await;
            self.position += self.encoded.len() as u64;
            self.encoded.clear();
            // A log in memory is always ready: other tasks of the thread need their turn.
            tokio::task::consume_budget().await;
        }
        (self.position, self.end.and_then(Result::err))
    }

    /// Encodes the next piece of the log, or its end.
    fn poll_encode(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (encoded, end) = match ready!(self.reader.poll_next(context)) {
            Ok(ReaderEvent::Bytes(bytes)) => (self.encoder.push(&bytes, &mut self.encoded), None),
            Ok(ReaderEvent::Complete(verdict)) => (self.encoder.finish(&mut self.encoded), Some(Ok(verdict))),
            // It reads up to the log's end.
            Ok(ReaderEvent::Stop) => return Poll::Ready(()),
            Err(failure) => (Ok(()), Some(Err(failure))),
        };
        self.end = match encoded {
            Ok(()) => end,
            Err(error) => Some(Err(Arc::new(unencodable(error)))),
        };
        Poll::Ready(())
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
