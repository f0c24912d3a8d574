//! A log in the format of a response: its readers, its length, and the bytes of it that are there by now.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::encoded_reader::EncodedReader;
use crate::error::Failure;
use crate::format::Format;
use crate::snapshot::{Evicted, Log, LogExtent, Reader, ReaderEvent, Seal};

#[derive(Clone, Copy, Debug)]
pub(super) struct FormattedLog<'a> {
    pub(super) log: &'a Log,
    pub(super) format: Format,
}

/// Bytes of a log, in the format of a response.
#[derive(Debug)]
pub enum RecordSource {
    Log(Reader),
    Encoded(Box<EncodedReader>),
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

impl FormattedLog<'_> {
    /// Returns the length of the whole; none while it isn't known.
    pub(super) fn length(&self) -> Option<u64> {
        let LogExtent { bytes, records, seal, .. } = self.log.extent();
        matches!(seal, Some(Seal::Complete(_))).then(|| self.format.layout().length(bytes, records))
    }

    /// Creates a reader that starts at the byte `at` of the format and stops before the byte `end`, if there is one.
    pub(super) fn reader(&self, at: u64, end: Option<u64>) -> Result<RecordSource, Evicted> {
        let layout = self.format.layout();
        let bytes = self.log.extent().bytes;
        // No record begins at the end of the log, where the index may have an entry.
        let start = self.log.near(|record| layout.offset(record) <= at && record.byte < bytes);
        match self.format.encoder(start) {
            None => self.log.reader(at, end).map(RecordSource::Log),
            Some(encoder) => {
                let reader = self.log.reader(start.byte, None)?;
                let wanted = at..end.unwrap_or(u64::MAX);
                let encoded = EncodedReader::new(reader, encoder, layout.offset(start), wanted);
                Ok(RecordSource::Encoded(Box::new(encoded)))
            }
        }
    }

    /// Resolves when the byte `first` can be read, or never will be. The extent is that of the moment at least up to the byte `last`.
    pub(super) async fn reached(&self, first: u64, last: u64) -> Result<FormatExtent, Evicted> {
        let source = self.reader(first, None)?;
        let (visible, failure) = match source {
            _ if self.length().is_some() => (0, None),
            RecordSource::Log(mut reader) => match reader.reached().await {
                LogExtent { visible, seal: Some(Seal::Failed(failure)), .. } => (visible, Some(failure)),
                LogExtent { visible, .. } => (visible, None),
            },
            RecordSource::Encoded(reader) => reader.extend(first, last, self.log.extent().visible).await,
        };
        // A log that was completed meanwhile has all of its bytes: a range without an end must not stop before them.
        let length = self.length();
        Ok(FormatExtent { visible: length.unwrap_or(visible), length, failure })
    }
}

impl RecordSource {
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        match self {
            Self::Log(reader) => reader.poll_next(context),
            Self::Encoded(reader) => reader.poll_next(context),
        }
    }
}
