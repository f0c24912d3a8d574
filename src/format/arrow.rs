//! Arrow's stream format: a schema, record batches, and a mark of its end.
//!
//! The mark is optional in the format, and readers take a stream that stops between two messages for a whole one. Therefore of the newest
//! message only the first [`BEGUN`] bytes leave before its successor or the proven end: a broken stream ends inside of a message, which
//! is an error in pyarrow and polars (measured: `tests/real/test_columnar.py`).
//!
//! Types are decided by a [`sample`], and batches by the records alone, so that every reader gets the same bytes. A later value that its
//! column's type can't express breaks the stream: a null in its place would be a loss without a sign.

use std::fmt;

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use bytes::{BufMut, BytesMut};

use super::column_use::ColumnUse;
use super::columns::sample;
use super::encoding_error::EncodingError;
use super::log_lines::LogLines;
use super::record_batches::{AskedColumns, BatchBuilder, TypeSurvey, unwritten};

pub(super) const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

/// Names of the format; the second one is the usual extension of files.
pub(super) const NAMES: [(&str, &str); 2] = [("arrow", MEDIA_TYPE), ("arrows", MEDIA_TYPE)];

/// Bytes of a message that leave before it is known that another message or the end follows: the marker of a message, and a length of
/// metadata that is not there.
const BEGUN: usize = 8;

#[derive(Debug)]
pub struct ArrowEncoder {
    asked: Option<AskedColumns>,
    /// None until the types are known.
    table: Option<ArrowTable>,
    /// Lines that decide the types.
    sample: Vec<u8>,
    lines: LogLines,
}

/// The batch that is being filled, and the message before it.
struct ArrowTable {
    batch: BatchBuilder,
    writer: StreamWriter<Vec<u8>>,
    /// Bytes of the newest message that have not left.
    held: Vec<u8>,
}

impl ArrowEncoder {
    pub(super) fn new(asked: Option<&[String]>) -> Self {
        Self { asked: asked.map(AskedColumns::new), table: None, sample: Vec::new(), lines: LogLines::default() }
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        if let Some(table) = &mut self.table {
            return table.push(&mut self.lines, lines, out);
        }
        self.sample.extend_from_slice(lines);
        match sample(&self.sample) {
            _ if self.asked.as_ref().is_some_and(AskedColumns::are_typed) => self.begin(0, out),
            Some(end) => self.begin(end, out),
            None => Ok(()),
        }
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        if self.table.is_none() {
            self.begin(self.sample.len(), out)?;
        }
        self.table.as_mut().map_or(Ok(()), |table| table.finish(out).map_err(unwritten))
    }

    pub(super) fn column_use(&self) -> Option<ColumnUse> {
        self.table.as_ref().and_then(|table| table.batch.column_use())
    }

    /// Decides the columns by the first `end` bytes, and writes the batches of all that came.
    fn begin(&mut self, end: usize, out: &mut BytesMut) -> Result<(), EncodingError> {
        let lines = std::mem::take(&mut self.sample);
        let asked = self.asked.take().map_or_else(|| AskedColumns::discover(&lines[..end]), Ok)?;
        let mut survey = TypeSurvey::new(asked);
        for (number, line) in (0..).zip(lines[..end].split_inclusive(|byte| *byte == b'\n')) {
            survey.add(line.strip_suffix(b"\n").unwrap_or(line), number)?;
        }
        let table = self.table.insert(ArrowTable::new(survey.finish()).map_err(unwritten)?);
        table.push(&mut self.lines, &lines, out)
    }
}

impl ArrowTable {
    /// Makes the schema the newest message.
    fn new(batch: BatchBuilder) -> Result<Self, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema())?;
        let held = std::mem::take(writer.get_mut());
        Ok(Self { batch, writer, held })
    }

    fn push(&mut self, lines: &mut LogLines, bytes: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        lines.push(bytes, |record| {
            self.batch.add(record)?;
            if self.batch.is_full() { self.write_batch(out).map_err(unwritten) } else { Ok(()) }
        })
    }

    /// Writes the batch as the newest message, unless it is empty.
    fn write_batch(&mut self, out: &mut BytesMut) -> Result<(), ArrowError> {
        let Some(batch) = self.batch.finish()? else { return Ok(()) };
        self.writer.write(&batch)?;
        let mut message = std::mem::take(self.writer.get_mut());
        out.put_slice(&self.held);
        out.put_slice(&message[..BEGUN]);
        message.drain(..BEGUN);
        self.held = message;
        Ok(())
    }

    fn finish(&mut self, out: &mut BytesMut) -> Result<(), ArrowError> {
        self.write_batch(out)?;
        self.writer.finish()?;
        out.put_slice(&self.held);
        out.put_slice(self.writer.get_ref());
        Ok(())
    }
}

impl fmt::Debug for ArrowTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrowTable").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// Returns the batches of a whole stream; none where the reader refuses it.
#[cfg(test)]
pub(super) fn read(stream: &[u8]) -> Option<Vec<arrow_array::RecordBatch>> {
    arrow_ipc::reader::StreamReader::try_new(stream, None).ok()?.collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
    use arrow_array::{Array, ArrayRef, RecordBatch};
    use arrow_ipc::reader::StreamReader;
    use arrow_schema::DataType;
    use proptest::prelude::*;
    use twox_hash::XxHash3_64;

    use super::super::column_names::MORE;
    use super::*;

    fn encode(log: &str, asked: Option<&[String]>, pieces: usize) -> Result<Vec<u8>, (EncodingError, Vec<u8>)> {
        let (mut encoder, mut out) = (ArrowEncoder::new(asked), BytesMut::new());
        for piece in log.as_bytes().chunks(pieces) {
            if let Err(error) = encoder.push(piece, &mut out) {
                return Err((error, out.to_vec()));
            }
        }
        encoder.finish(&mut out).map_err(|error| (error, out.to_vec()))?;
        Ok(out.to_vec())
    }

    fn text(column: &ArrayRef, row: usize) -> Option<String> {
        column.is_valid(row).then(|| match column.data_type() {
            DataType::Boolean => column.as_boolean().value(row).to_string(),
            DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
            DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
            _ => column.as_string::<i32>().value(row).to_owned(),
        })
    }

    #[test]
    fn columns_have_the_types_and_values_of_the_records() {
        let log = [
            r#"{"id":9223372036854775807,"at":{"x":1,"y":true},"name":"a\"\u00fc","tags":[1,"x"],"big":9223372036854775808}"#,
            r#"{"id":-1,"at":{"x":0.5,"y":null},"name":"\ud800","none":null,"big":1e400}"#,
            r#"{"at":{"x":-9007199254740992},"name":"","tags":"t"}"#,
        ];
        let whole = encode(&(log.join("\n") + "\n"), None, 7).unwrap();
        let batches = read(&whole).unwrap();
        let schema = batches[0].schema();
        let found: Vec<_> = (schema.fields().iter().zip(batches[0].columns()))
            .map(|(field, column)| {
                let values: Vec<_> = (0..3).map(|row| text(column, row).unwrap_or_else(|| "-".to_owned())).collect();
                format!("{} {}: {}", field.name(), field.data_type(), values.join(" | "))
            })
            .collect();
        assert_eq!(
            found,
            [
                "id Int64: 9223372036854775807 | -1 | -",
                "at.x Float64: 1 | 0.5 | -9007199254740992",
                "at.y Boolean: true | - | -",
                "name Utf8: a\"ü | \\ud800 | ",
                "tags Utf8: [1,\"x\"] | - | t",
                "big Utf8: 9223372036854775808 | 1e400 | -",
                "none Utf8: - | - | -",
                "_more Utf8: - | - | -",
            ]
        );
        // A client that resumes has the beginning of these bytes: others need another entity tag.
        assert_eq!(format!("{:016x}", XxHash3_64::oneshot(&whole)), "35c096dce1f459d3");
    }

    #[test]
    fn batches_depend_on_the_records_alone_and_only_the_end_is_whole() {
        let records = (0..20_000).map(|id| format!("{{\"id\":{id},\"name\":\"customer {id}\"}}\n"));
        let log = records.collect::<String>() + "{\"id\":-5,\"late\":{\"x\":1}}\n";
        let whole = encode(&log, None, log.len()).unwrap();
        for pieces in [1_000, 65_536] {
            assert!(encode(&log, None, pieces).unwrap() == whole);
        }
        let batches = read(&whole).unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_001);
        let last = batches.last().unwrap();
        assert_eq!(text(last.column(2), last.num_rows() - 1).unwrap(), "{\"late.x\":1}");
        assert!(batches.len() > 2);
        // Without the proof, the stream ends inside of a message, wherever the log does.
        let (mut encoder, mut out) = (ArrowEncoder::new(None), BytesMut::new());
        for piece in log.as_bytes().chunks(8_192) {
            encoder.push(piece, &mut out).unwrap();
            assert!(read(&out).is_none() && whole.starts_with(&out) && out.len() < whole.len());
        }
        assert!(out.len() > whole.len() / 4);
    }

    proptest! {
        #[test]
        fn text_that_is_no_json_is_an_error_or_a_value_however_it_is_cut(
            lines in prop::collection::vec("[{}\\[\\]:,\"\\\\a1.e\u{e9}-]{0,20}", 0..6),
            bytes in prop::collection::vec(any::<u8>(), 0..8),
            pieces in 1_usize..30,
        ) {
            let mut log = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect::<Vec<_>>();
            log.extend(bytes.into_iter().filter(|byte| *byte != b'\n').chain([b'\n']));
            let run = |pieces: usize| {
                let (mut encoder, mut out) = (ArrowEncoder::new(None), BytesMut::new());
                let pushed = log.chunks(pieces).try_for_each(|piece| encoder.push(piece, &mut out));
                (pushed.and_then(|()| encoder.finish(&mut out)), out)
            };
            let (ended, whole) = run(log.len());
            prop_assert_eq!(ended.is_ok(), read(&whole).is_some());
            prop_assert_eq!(run(pieces), (ended, whole));
        }
    }

    #[test]
    fn an_empty_collection_has_a_schema_and_an_end() {
        let whole = encode("", None, 1).unwrap();
        assert_eq!(read(&whole).unwrap().len(), 0);
        let reader = StreamReader::try_new(&whole[..], None).unwrap();
        assert_eq!(reader.schema().field(1).name(), MORE);
    }

    #[test]
    fn a_value_that_its_column_can_not_express_breaks_the_stream() {
        for (usual, other, of) in [("1", "1.5", "int64"), ("true", "0", "bool"), ("1.5", "9007199254740993", "float64")]
        {
            let log =
                format!("{{\"a\":{usual}}}\n").repeat(60_000) + &format!("{{\"a\":{other}}}\n{{\"a\":{usual}}}\n");
            let (error, sent) = encode(&log, None, 8_192).unwrap_err();
            let message = format!("the value of `a` in record 60000, counted from 0, is no {of}");
            assert_eq!(error.message, message);
            assert!(read(&sent).is_none() && !sent.is_empty());
        }
    }

    #[test]
    fn asked_columns_are_the_only_ones() {
        let asked = ["a", "a.b", "none"].map(str::to_owned);
        let whole = encode("{\"a\":{\"b\":1},\"c\":2}\n", Some(&asked), 9).unwrap();
        let batch = read(&whole).unwrap().remove(0);
        let row: Vec<_> = batch.columns().iter().map(|column| text(column, 0)).collect();
        assert_eq!(row, [Some("{\"b\":1}".to_owned()), Some("1".to_owned()), None]);
    }
    #[test]
    fn a_type_that_is_named_needs_no_sample() {
        let asked = ["a:float64", "at:timestamp", "b:utf8"].map(str::to_owned);
        let log = "{\"a\":1,\"at\":\"2026-01-02T03:04:05.5+01:00\",\"b\":7}\n".repeat(20_000) + "{\"a\":1.5}\n";
        let whole = encode(&log, Some(&asked), 8_192).unwrap();
        let batches = read(&whole).unwrap();
        let types: Vec<_> = batches[0].schema().fields().iter().map(|field| field.data_type().to_string()).collect();
        assert_eq!(types, ["Float64", "Timestamp(µs, \"UTC\")", "Utf8"]);
        let last = batches.last().unwrap();
        assert_eq!(text(last.column(0), last.num_rows() - 1).as_deref(), Some("1.5"));
        assert_eq!(batches[0].column(1).as_primitive::<TimestampMicrosecondType>().value(0), 1_767_319_445_500_000);
        let (mut encoder, mut out) = (ArrowEncoder::new(Some(&asked)), BytesMut::new());
        encoder.push(&log.as_bytes()[..200 * 1024], &mut out).unwrap();
        assert!(out.is_empty(), "the first batch is not full");
        let (error, _) = encode("{\"at\":\"2026-01-02\"}\n", Some(&asked), 99).unwrap_err();
        assert_eq!(error.message, "the value of `at` in record 0, counted from 0, is no timestamp");
    }
}
