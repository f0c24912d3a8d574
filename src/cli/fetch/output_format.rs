//! Format of the output of a fetch: named, or by the name of its file; and the translation of records into it.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::FetchEnd;
use crate::config::ContentCoding;
use crate::format::{ColumnNames, ColumnUse, Encoder, EncodingError, FieldNames, Format, RecordOffset};
use crate::response::{Compressor, CompressorStep};
use crate::snapshot::{Log, ReaderEvent};

/// Number of bytes of records that are encoded at once: a short record may be a long row.
const PIECE: usize = 8 * 1024;

/// Extensions of formats and compressions that unpage does not write: NDJSON under such a name would be taken for one of them.
const ELSEWHERE: [&str; 13] =
    ["7z", "avro", "br", "bz2", "feather", "lz4", "orc", "sqlite", "xls", "xlsx", "xml", "xz", "zip"];

#[derive(Debug)]
pub(super) struct OutputFormat {
    format: Format,
    columns: Option<ColumnNames>,
    fields: Option<FieldNames>,
    coding: Option<ContentCoding>,
}

/// Translation of the lines of a log, and its writer.
#[derive(Debug)]
pub(super) struct OutputEncoder {
    /// None for the format of the log.
    encoder: Option<Encoder>,
    compressor: Option<Compressor>,
    encoded: BytesMut,
}

/// Check of records while they are fetched, for a format that takes some records alone.
#[derive(Debug)]
pub(super) struct RecordCheck {
    encoder: Option<Encoder>,
    encoded: BytesMut,
}

impl OutputFormat {
    /// Returns the named format, or that of the file's name; a compression is told by the name alone. `usual` are the columns of the collection.
    ///
    /// # Errors
    /// Fails where columns are named for a format that has none, or members of records for a table.
    pub(super) fn new(
        named: Option<Format>,
        file: Option<&Path>,
        columns: Option<ColumnNames>,
        fields: Option<FieldNames>,
        usual: Option<&ColumnNames>,
    ) -> Result<Self, String> {
        let name = file.and_then(Path::file_name).unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, coding) = match name.rsplit_once('.') {
            Some((name, "gz")) => (name, Some(ContentCoding::Gzip)),
            Some((name, "zst")) => (name, Some(ContentCoding::Zstd)),
            _ => (&name[..], None),
        };
        let by_name = name.rsplit_once('.').and_then(|(_, extension)| Format::of_name(extension));
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if named.is_none() && ELSEWHERE.contains(&extension) {
            return Err(format!(
                "--output: unpage writes no `{extension}`: name the file *.ndjson, *.json, *.csv, *.arrow or *.parquet, with .gz or .zst behind it; or say --format"
            ));
        }
        let format = named.or(by_name.map(|(format, _)| format)).unwrap_or_default();
        if columns.is_some() && !format.has_columns() {
            let name = format.name();
            return Err(format!("--columns: `{name}` has none: write --format csv, or name the file *.csv or *.tsv"));
        }
        if fields.is_some() && format.has_columns() {
            return Err(format!("--fields: `{}` has columns: name them with --columns", format.name()));
        }
        let columns = columns.or_else(|| usual.filter(|_| format.has_columns()).cloned());
        Ok(Self { format, columns, fields, coding })
    }

    /// Returns true where the output has the bytes of the log.
    pub(super) fn is_that_of_the_log(&self) -> bool {
        self.format == Format::Ndjson && self.fields.is_none() && self.coding.is_none()
    }

    /// Returns true where the output can only be written when all records are there.
    pub(super) fn needs_all(&self) -> bool {
        self.format.passes() > 1
    }

    pub(super) fn encoder(&self) -> OutputEncoder {
        let encoder = match &self.fields {
            Some(fields) => Some(self.format.projected(fields)),
            None => self.format.encoder(RecordOffset::default(), self.columns.as_deref()),
        };
        OutputEncoder { encoder, compressor: self.coding.map(Compressor::new), encoded: BytesMut::new() }
    }

    /// Writes a complete log to this file, in place of what it holds. Returns the use of the columns of a table.
    pub(super) async fn encode(&self, log: &Log, to: &Path) -> Result<Option<ColumnUse>, FetchEnd> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", to.display()));
        let mut file = tokio::fs::File::create(to).await.map_err(|error| FetchEnd::Unwritable(named(error)))?;
        let mut encoder = self.encoder();
        for pass in 1..=self.format.passes() {
            let mut reader = log.reader(0, None).map_err(|gone| FetchEnd::Unwritable(named(io::Error::other(gone))))?;
            loop {
                match reader.next().await {
                    Ok(ReaderEvent::Bytes(bytes)) => encoder.write(&bytes, &mut file).await?,
                    Ok(ReaderEvent::Complete(_)) if pass < self.format.passes() => break encoder.end_pass()?,
                    Ok(ReaderEvent::Complete(_)) => break encoder.finish(&mut file).await?,
                    Ok(ReaderEvent::Stop) => return Err(FetchEnd::Interrupted),
                    Err(failure) => return Err(FetchEnd::Broken((*failure).clone())),
                }
            }
        }
        Ok(encoder.column_use())
    }

    /// Returns the check of the records from this one on.
    pub(super) fn check(&self, start: RecordOffset) -> RecordCheck {
        let encoder = if self.format.takes_features() { self.format.encoder(start, None) } else { None };
        RecordCheck { encoder, encoded: BytesMut::new() }
    }
}

impl RecordCheck {
    /// Checks the records that end in the next bytes of the log.
    pub(super) fn pass(&mut self, lines: &[u8]) -> Result<(), EncodingError> {
        self.encoded.clear();
        self.encoder.as_mut().map_or(Ok(()), |encoder| encoder.push(lines, &mut self.encoded))
    }
}

impl OutputEncoder {
    /// Writes the next bytes of the log, and flushes them.
    pub(super) async fn write(&mut self, lines: &[u8], output: &mut (impl AsyncWrite + Unpin)) -> Result<(), FetchEnd> {
        for piece in lines.chunks(PIECE) {
            match &mut self.encoder {
                None => self.encoded.extend_from_slice(piece),
                Some(encoder) => encoder.push(piece, &mut self.encoded).map_err(FetchEnd::Unencodable)?,
            }
            self.put(CompressorStep::Take, output).await.map_err(FetchEnd::Unwritable)?;
        }
        output.flush().await.map_err(FetchEnd::Unwritable)
    }

    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        self.encoder.as_ref().and_then(Encoder::column_use)
    }

    /// Ends a pass over all records, which come again.
    fn end_pass(&mut self) -> Result<(), FetchEnd> {
        self.encoder.as_mut().map_or(Ok(()), |encoder| encoder.end_pass().map_err(FetchEnd::Unencodable))
    }

    /// Writes the end behind the last record.
    pub(super) async fn finish(&mut self, output: &mut (impl AsyncWrite + Unpin)) -> Result<(), FetchEnd> {
        if let Some(encoder) = &mut self.encoder {
            encoder.finish(&mut self.encoded).map_err(FetchEnd::Unencodable)?;
        }
        self.put(CompressorStep::Finish, output).await.map_err(FetchEnd::Unwritable)?;
        output.flush().await.map_err(FetchEnd::Unwritable)
    }

    async fn put(&mut self, step: CompressorStep, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let encoded: Bytes = self.encoded.split().freeze();
        let Some(compressor) = &mut self.compressor else { return output.write_all(&encoded).await };
        let mut input = &encoded[..];
        loop {
            let (code, is_done) = compressor.step(&mut input, step).map_err(io::Error::other)?;
            output.write_all(&code).await?;
            if is_done {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_that_are_named_are_written_alone() {
        let fields = || Some("b,a.x".parse().unwrap());
        let format = OutputFormat::new(None, None, None, fields(), None).unwrap();
        assert!(!format.is_that_of_the_log());
        let (mut encoder, mut out) = (format.encoder(), Vec::new());
        let record = b"{\"a\":{\"x\":1,\"y\":2},\"b\":[3],\"c\":4}\n";
        assert!(encoder.write(record, &mut out).await.is_ok() && encoder.finish(&mut out).await.is_ok());
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":{\"x\":1},\"b\":[3]}\n");
        let refused = OutputFormat::new(Some(Format::Csv), None, None, fields(), None).unwrap_err();
        assert!(refused.contains("--columns"), "{refused}");
    }

    #[test]
    fn the_name_of_the_file_says_the_format() {
        for (file, format, coding) in [
            ("orders", Format::Ndjson, None),
            ("a.b/orders.CSV", Format::Csv, None),
            ("orders.csv.gz", Format::Csv, Some(ContentCoding::Gzip)),
            ("orders.zst", Format::Ndjson, Some(ContentCoding::Zstd)),
            ("orders.jsonl", Format::Ndjson, None),
            ("orders.json", Format::Json, None),
            ("orders.geojson", Format::GeoJson, None),
            ("orders.tsv.zst", Format::Tsv, Some(ContentCoding::Zstd)),
            ("csv", Format::Ndjson, None),
            ("orders.csv.bak", Format::Ndjson, None),
        ] {
            let found = OutputFormat::new(None, Some(Path::new(file)), None, None, None).unwrap();
            assert_eq!((found.format, found.coding), (format, coding), "{file}");
            let named = OutputFormat::new(Some(Format::Tsv), Some(Path::new(file)), None, None, None).unwrap();
            assert_eq!((named.format, named.coding), (Format::Tsv, coding), "{file}");
        }
        for file in ["orders.orc", "orders.csv.bz2", "orders.XLSX"] {
            assert!(OutputFormat::new(None, Some(Path::new(file)), None, None, None).is_err(), "{file}");
            assert!(OutputFormat::new(Some(Format::Ndjson), Some(Path::new(file)), None, None, None).is_ok(), "{file}");
        }
    }
}
