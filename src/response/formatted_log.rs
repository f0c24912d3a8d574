//! A log in the format of a response: its readers, its length, and the bytes of it that are there by now.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use memchr::memchr;

use super::encoded_reader::{EncodedReader, FormatExtent, unencodable};
use super::table_index::TableIndex;
use crate::error::Failure;
use crate::format::{ColumnUse, FieldNames, Format, Layout, RecordOffset};
use crate::snapshot::{DerivedBytes, DerivedReader, Evicted, Log, LogExtent, Reader, ReaderEvent, Seal};

#[derive(Clone, Copy, Debug)]
pub(super) struct FormattedLog<'a> {
    pub(super) log: &'a Log,
    pub(super) format: Format,
    /// Columns that the request names.
    pub(super) columns: Option<&'a [String]>,
    /// Members of the records that the request names.
    pub(super) fields: Option<&'a FieldNames>,
    /// Rows and length of a table.
    pub(super) index: Option<&'a Arc<TableIndex>>,
    /// Bytes of a format that was made before.
    pub(super) derived: Option<&'a DerivedBytes>,
}

/// Bytes of a log, in the format of a response.
#[derive(Debug)]
pub enum RecordSource {
    Log(Reader),
    Encoded(Box<EncodedReader>),
    Derived(Box<DerivedReader>),
}

impl FormattedLog<'_> {
    /// Returns the relation of the offsets to those of the log; none where only encoding tells them.
    fn layout(&self) -> Option<Layout> {
        self.format.layout().filter(|_| self.fields.is_none())
    }

    /// Returns the length of the whole; none while it isn't known.
    pub(super) fn length(&self) -> Option<u64> {
        if let Some(derived) = self.derived {
            return Some(derived.length());
        }
        let LogExtent { bytes, records, seal, .. } = self.log.extent();
        match self.layout() {
            _ if !matches!(seal, Some(Seal::Complete(_))) => None,
            Some(layout) => Some(layout.length(bytes, records)),
            None => self.index.and_then(|index| index.length()),
        }
    }

    /// Encodes the rest of a complete table, so that its length is known.
    pub(super) async fn measure(&self) {
        let is_complete = matches!(self.log.extent().seal, Some(Seal::Complete(_)));
        if is_complete
            && self.index.is_some()
            && self.length().is_none()
            && let Ok(RecordSource::Encoded(reader)) = self.reader(u64::MAX, None)
        {
            reader.extend(u64::MAX, u64::MAX, u64::MAX).await;
        }
    }

    pub(super) fn has_lines_of_the_log(&self) -> bool {
        self.format == Format::Ndjson && self.fields.is_none()
    }

    /// Creates a reader that starts at the byte `at` of the format and stops before the byte `end`, if there is one.
    pub(super) fn reader(&self, at: u64, end: Option<u64>) -> Result<RecordSource, Evicted> {
        if let Some(derived) = self.derived {
            return derived.reader(at, end).map(|reader| RecordSource::Derived(Box::new(reader)));
        }
        let row = self.index.and_then(|index| index.near(at));
        let (start, position) = match (self.layout(), &row) {
            (Some(layout), _) => {
                let bytes = self.log.extent().bytes;
                // No record begins at the end of the log, where the index may have an entry.
                let start = self.log.near(|record| layout.offset(record) <= at && record.byte < bytes);
                (start, layout.offset(start))
            }
            (None, Some(row)) => (row.record, row.offset),
            (None, None) => (RecordOffset::default(), 0),
        };
        let encoder = match (self.fields, &row) {
            (Some(fields), _) => Some(self.format.projected(fields)),
            (None, Some(row)) => self.format.encoder_at(row),
            (None, None) => self.format.encoder(start, self.columns),
        };
        let Some(encoder) = encoder else { return self.log.reader(at, end).map(RecordSource::Log) };
        let reader = self.log.reader(start.byte, None)?;
        let encoded = EncodedReader::new(reader, encoder, position, at..end.unwrap_or(u64::MAX));
        let encoded = match self.index {
            Some(index) => encoded.noting(Arc::clone(index)),
            None => encoded,
        };
        Ok(RecordSource::Encoded(Box::new(encoded)))
    }

    /// Resolves when the byte `first` can be read, or never will be. The extent is that of the moment at least up to the byte `last`.
    pub(super) async fn reached(&self, first: u64, last: u64) -> Result<FormatExtent, Evicted> {
        let source = self.reader(first, None)?;
        let reached = match source {
            _ if self.length().is_some() => FormatExtent { visible: 0, length: None, failure: None },
            RecordSource::Log(mut reader) => {
                let LogExtent { visible, seal, .. } = reader.reached().await;
                let failure = seal.and_then(|seal| match seal {
                    Seal::Failed(failure) => Some(failure),
                    Seal::Complete(_) => None,
                });
                FormatExtent { visible, length: None, failure }
            }
            // Not requested: the length of a derived file is known.
            RecordSource::Derived(_) => FormatExtent { visible: 0, length: None, failure: None },
            RecordSource::Encoded(reader) => {
                let LogExtent { visible, seal, .. } = self.log.extent();
                // A log that has ended is read to its end, which releases the last record.
                reader.extend(first, last, if seal.is_some() { u64::MAX } else { visible }).await
            }
        };
        // A log that was completed meanwhile has all of its bytes: a range without an end must not stop before them.
        Ok(match self.length() {
            Some(length) => FormatExtent { visible: length, length: Some(length), failure: None },
            None => reached,
        })
    }

    /// Returns the reason for which the format can't have the first records, which it waits for: the first Feature, or the first batch of a table
    /// with types; none where it can.
    pub(super) async fn refusal(&self) -> Option<Failure> {
        let takes_features = self.format.takes_features();
        let mut reader = self.log.reader(0, None).ok()?;
        let mut encoder = self.format.encoder(RecordOffset::default(), self.columns)?;
        let mut out = BytesMut::new();
        // The log's failures and the end of an empty one are those of the response.
        while let Ok(event) = reader.next().await {
            let (encoded, is_decided) = match &event {
                ReaderEvent::Bytes(bytes) if takes_features => {
                    let end = memchr(b'\n', bytes);
                    let first = end.map_or(&bytes[..], |end| &bytes[..=end]);
                    (encoder.push(first, &mut out), end.is_some())
                }
                ReaderEvent::Bytes(bytes) => {
                    // A log in memory is always ready: other tasks of the thread need their turn.
                    tokio::task::consume_budget().await;
                    let encoded = encoder.push(bytes, &mut out);
                    (encoded, !out.is_empty())
                }
                ReaderEvent::Complete(_) if !takes_features => (encoder.finish(&mut out), true),
                ReaderEvent::Complete(_) | ReaderEvent::Stop => return None,
            };
            if let Err(error) = encoded {
                return Some(unencodable(error));
            }
            if is_decided {
                return None;
            }
        }
        None
    }
}

impl RecordSource {
    /// Returns the use of a table's columns by all records, once it is known.
    pub(super) fn column_use(&self) -> Option<&ColumnUse> {
        match self {
            Self::Encoded(reader) => reader.column_use(),
            Self::Log(_) | Self::Derived(_) => None,
        }
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        match self {
            Self::Log(reader) => reader.poll_next(context),
            Self::Encoded(reader) => reader.poll_next(context),
            Self::Derived(reader) => reader.poll_next(context),
        }
    }
}
