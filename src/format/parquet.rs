//! Parquet, made in two passes over a complete log: the first decides the types by all values, the second writes the rows.
//!
//! So no value can come too late for its column. The footer, without which no reader opens the file, is written by [`ParquetEncoder::finish`]
//! alone, after the proven end.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::column_use::ColumnUse;
use super::columns::sample;
use super::encoding_error::EncodingError;
use super::log_lines::LogLines;
use super::record_batches::{AskedColumns, BatchBuilder, TypeSurvey, unwritten};

pub(super) const MEDIA_TYPE: &str = "application/vnd.apache.parquet";

pub(super) const NAMES: [(&str, &str); 1] = [("parquet", MEDIA_TYPE)];

/// Encoded bytes from which on a row group ends: it is in memory until then, with its dictionaries.
const ROW_GROUP: usize = 16 << 20;

/// Memory at which a row group ends, too, in bytes: with many columns it is larger than the encoded bytes.
const ROW_GROUP_MEMORY: usize = 32 << 20;

/// Largest number of rows of a row group, the usual one.
const ROWS: usize = 1 << 20;

/// Value of `created_by` in the footer: without the version of a crate, so that an upgrade does not change the bytes.
const CREATED_BY: &str = "unpage";

#[derive(Debug)]
pub struct ParquetEncoder {
    lines: LogLines,
    pass: Pass,
}

enum Pass {
    /// First pass, until the columns are known.
    Sample(Vec<u8>),
    Types {
        survey: TypeSurvey,
        records: u64,
    },
    Rows {
        batch: BatchBuilder,
        writer: Box<ArrowWriter<Vec<u8>>>,
    },
}

impl ParquetEncoder {
    pub(super) fn new(asked: Option<&[String]>) -> Self {
        let pass = asked.map_or(Pass::Sample(Vec::new()), |names| Pass::types(AskedColumns::new(names)));
        Self { lines: LogLines::default(), pass }
    }

    pub(super) fn push(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        match &mut self.pass {
            Pass::Sample(lines) => {
                lines.extend_from_slice(bytes);
                sample(lines).map_or(Ok(()), |end| self.survey(end))
            }
            Pass::Types { survey, records } => self.lines.push(bytes, |record| {
                *records += 1;
                survey.add(record, *records - 1)
            }),
            Pass::Rows { batch, writer } => {
                self.lines.push(bytes, |record| {
                    batch.add(record)?;
                    if batch.is_full() { write(batch, writer).map_err(unwritten) } else { Ok(()) }
                })?;
                out.put_slice(&std::mem::take(writer.inner_mut()));
                Ok(())
            }
        }
    }

    /// Ends the first pass; the log's bytes come again.
    pub(super) fn end_pass(&mut self) -> Result<(), EncodingError> {
        if let Pass::Sample(lines) = &self.pass {
            self.survey(lines.len())?;
        }
        let pass = std::mem::replace(&mut self.pass, Pass::Sample(Vec::new()));
        let Pass::Types { survey, .. } = pass else { return Err(unwritten("there is no third pass")) };
        let batch = survey.finish();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(CREATED_BY.to_owned())
            .set_max_row_group_row_count(Some(ROWS))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(batch.schema()), options);
        self.pass = Pass::Rows { batch, writer: Box::new(writer.map_err(unwritten)?) };
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        let Pass::Rows { batch, writer } = &mut self.pass else { return Err(unwritten("the second pass is missing")) };
        write(batch, writer).map_err(unwritten)?;
        writer.finish().map_err(unwritten)?;
        out.put_slice(&std::mem::take(writer.inner_mut()));
        Ok(())
    }

    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        if let Pass::Rows { batch, .. } = &self.pass { batch.column_use() } else { None }
    }

    /// Discovers the columns in the first `end` bytes, and passes all that came.
    fn survey(&mut self, end: usize) -> Result<(), EncodingError> {
        let Pass::Sample(lines) = &mut self.pass else { return Ok(()) };
        let lines = std::mem::take(lines);
        self.pass = Pass::types(AskedColumns::discover(&lines[..end])?);
        self.push(&lines, &mut BytesMut::new())
    }
}

impl Pass {
    fn types(columns: AskedColumns) -> Self {
        Self::Types { survey: TypeSurvey::new(columns), records: 0 }
    }
}

/// Writes the batch into the row group, and the row group once it is large enough.
fn write(batch: &mut BatchBuilder, writer: &mut ArrowWriter<Vec<u8>>) -> Result<(), ParquetError> {
    if let Some(batch) = batch.finish()? {
        writer.write(&batch)?;
    }
    if writer.in_progress_size() >= ROW_GROUP || writer.memory_size() >= ROW_GROUP_MEMORY {
        writer.flush()
    } else {
        Ok(())
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sample(_) | Self::Types { .. } => "Types",
            Self::Rows { .. } => "Rows",
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, RecordBatch};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;
    use twox_hash::XxHash3_64;

    use super::*;

    fn encode(log: &[u8], asked: Option<&[String]>, pieces: usize) -> Result<Vec<u8>, EncodingError> {
        let (mut encoder, mut out) = (ParquetEncoder::new(asked), BytesMut::new());
        log.chunks(pieces).try_for_each(|piece| encoder.push(piece, &mut out))?;
        assert!(out.is_empty() && encoder.finish(&mut out).is_err(), "a file of the first pass has no byte and no end");
        encoder.end_pass()?;
        log.chunks(pieces).try_for_each(|piece| encoder.push(piece, &mut out))?;
        encoder.finish(&mut out)?;
        assert!(encoder.end_pass().is_err());
        Ok(out.to_vec())
    }

    /// Returns the batches of a whole file; none where the reader refuses it.
    fn read(file: &[u8]) -> Option<Vec<RecordBatch>> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).ok()?.build().ok()?;
        reader.collect::<Result<_, _>>().ok()
    }

    fn schema(file: &[u8]) -> Vec<String> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
        reader.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    }

    #[test]
    fn a_file_has_the_types_of_all_records_and_the_same_bytes_however_they_come() {
        let first = r#"{"id":1,"total":1,"open":true,"at":{"x":"a\"ü"},"tags":[1]}"#;
        let last = r#"{"id":9223372036854775807,"total":0.5,"open":null,"at":{"x":"\ud800"},"late":{"y":1}}"#;
        let log = format!("{first}\n").repeat(6_000) + last + "\n";
        let whole = encode(log.as_bytes(), None, log.len()).unwrap();
        let expected = ["id Int64", "total Float64", "open Boolean", "at.x Utf8", "tags Utf8", "_more Utf8"];
        assert_eq!(schema(&whole), expected);
        for pieces in [777, 65_536] {
            assert!(encode(log.as_bytes(), None, pieces).unwrap() == whole);
        }
        let batches = read(&whole).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 6_001);
        let last = batches.last().unwrap();
        let row = last.num_rows() - 1;
        assert_eq!(last.column(0).as_primitive::<Int64Type>().value(row), i64::MAX);
        assert!(last.column(2).is_null(row) && last.column(4).is_null(row));
        let texts = [3, 5].map(|column| last.column(column).as_string::<i32>().value(row));
        assert_eq!(texts, ["\\ud800", "{\"late.y\":1}"]);
        // A client that resumes has the beginning of these bytes: others need another entity tag.
        assert_eq!(format!("{:016x}", XxHash3_64::oneshot(&whole)), "7b51acb78e5d23d7");
    }

    #[test]
    fn a_file_that_is_cut_anywhere_is_refused() {
        let log = (0..20).map(|id| format!("{{\"id\":{id},\"name\":\"customer {id}\"}}\n")).collect::<String>();
        let whole = encode(log.as_bytes(), None, 99).unwrap();
        assert_eq!(read(&whole).unwrap()[0].num_rows(), 20);
        assert!((0..whole.len()).all(|cut| read(&whole[..cut]).is_none()));
    }

    #[test]
    fn large_tables_have_several_row_groups_in_bounded_memory() {
        let text =
            |id: u64| (0..8_u64).map(move |part| XxHash3_64::oneshot(&(id * 8 + part).to_le_bytes()).to_string());
        let record = |id| format!("{{\"id\":{id},\"text\":\"{}\"}}\n", text(id).collect::<String>());
        let log = (0..200_000).map(record).collect::<String>();
        let (mut encoder, mut out, mut most) = (ParquetEncoder::new(None), BytesMut::new(), 0);
        encoder.push(log.as_bytes(), &mut out).unwrap();
        encoder.end_pass().unwrap();
        for piece in log.as_bytes().chunks(65_536) {
            encoder.push(piece, &mut out).unwrap();
            let Pass::Rows { writer, .. } = &encoder.pass else { panic!("{encoder:?}") };
            most = most.max(writer.memory_size());
        }
        encoder.finish(&mut out).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(out.freeze()).unwrap();
        assert!(reader.metadata().num_row_groups() > 1 && most < 2 * ROW_GROUP_MEMORY, "{most}");
        assert_eq!(reader.metadata().file_metadata().num_rows(), 200_000);
    }

    #[test]
    fn asked_columns_have_their_types_or_fail() {
        let asked = ["at:timestamp", "n:utf8"].map(str::to_owned);
        let whole = encode(b"{\"at\":\"9999-12-31T23:59:59Z\",\"n\":1}\n{}\n", Some(&asked), 7).unwrap();
        assert_eq!(schema(&whole), ["at Timestamp(\u{b5}s, \"UTC\")", "n Utf8"]);
        let error = encode(b"{\"at\":\"2026-01-02T03:04:05Z\"}\n{\"at\":1}\n", Some(&asked), 7).unwrap_err();
        assert_eq!(error.message, "the value of `at` in record 1, counted from 0, is no timestamp");
    }

    #[test]
    fn an_empty_collection_is_a_file_without_rows() {
        let whole = encode(b"", None, 1).unwrap();
        assert_eq!(
            (schema(&whole), read(&whole).unwrap().len()),
            (vec!["value Utf8".to_owned(), "_more Utf8".to_owned()], 0)
        );
    }

    proptest! {
        #[test]
        fn text_that_is_no_json_is_an_error_or_a_value(
            lines in prop::collection::vec("[{}\\[\\]:,\"\\\\a1.e\u{e9}-]{0,20}", 0..6),
            pieces in 1_usize..30,
        ) {
            let log = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect::<Vec<_>>();
            let whole = encode(&log, None, log.len().max(1));
            let rows = whole.as_ref().ok().map(|whole| read(whole).unwrap().iter().map(RecordBatch::num_rows).sum());
            prop_assert_eq!(rows, whole.is_ok().then_some(lines.len()));
            prop_assert_eq!(encode(&log, None, pieces), whole);
        }
    }
}
