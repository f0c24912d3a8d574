//! Encoder: bytes of a log in, bytes of a format out.
//!
//! The log's bytes come in pieces that are cut anywhere, from the start of a record on. What an encoder has put out is no whole stream of its
//! format before [`Encoder::finish`]; that is called only where the end of the log is proven.

use bytes::BytesMut;

use super::array::ArrayEncoder;
#[cfg(feature = "columnar")]
use super::arrow::ArrowEncoder;
use super::column_use::ColumnUse;
use super::encoding_error::EncodingError;
use super::field_names::FieldNames;
#[cfg(feature = "columnar")]
use super::parquet::ParquetEncoder;
use super::projection::Projector;
use super::sequence::SequenceEncoder;
use super::table::{TableEncoder, TableStart};

#[derive(Debug)]
pub enum Encoder {
    Array(ArrayEncoder),
    Sequence(SequenceEncoder),
    Table(Box<TableEncoder>),
    #[cfg(feature = "columnar")]
    Arrow(Box<ArrowEncoder>),
    #[cfg(feature = "columnar")]
    Parquet(Box<ParquetEncoder>),
    Projected(Box<ProjectedEncoder>),
}

impl Encoder {
    /// Appends the translation of the next bytes of the log.
    ///
    /// # Errors
    /// Fails with the first record that the format can't express. What was appended before is no whole stream.
    pub fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        match self {
            Self::Array(array) => array.push(lines, out),
            Self::Sequence(sequence) => sequence.push(lines, out),
            Self::Table(table) => table.push(lines, out),
            #[cfg(feature = "columnar")]
            Self::Arrow(arrow) => arrow.push(lines, out),
            #[cfg(feature = "columnar")]
            Self::Parquet(parquet) => parquet.push(lines, out),
            Self::Projected(projected) => projected.push(lines, out),
        }
    }

    /// Ends a pass over a complete log, but for the last one ([`Format::passes`](super::Format::passes)): all its bytes come again.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn end_pass(&mut self) -> Result<(), EncodingError> {
        match self {
            #[cfg(feature = "columnar")]
            Self::Parquet(parquet) => parquet.end_pass(),
            _ => Ok(()),
        }
    }

    /// Appends the rest after the last byte of a complete log, in the last pass.
    ///
    /// # Errors
    /// As [`Encoder::push`]; also where a pass is missing.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        match self {
            Self::Array(array) => array.finish(out),
            Self::Sequence(_) => {}
            Self::Table(table) => table.finish(out)?,
            #[cfg(feature = "columnar")]
            Self::Arrow(arrow) => arrow.finish(out)?,
            #[cfg(feature = "columnar")]
            Self::Parquet(parquet) => parquet.finish(out)?,
            Self::Projected(projected) => projected.finish(out)?,
        }
        Ok(())
    }

    /// Returns the use of columns that the user names by the records that were pushed in the last pass; none of another format.
    pub fn column_use(&self) -> Option<ColumnUse> {
        match self {
            Self::Table(table) => table.column_use(),
            #[cfg(feature = "columnar")]
            Self::Arrow(arrow) => arrow.column_use(),
            #[cfg(feature = "columnar")]
            Self::Parquet(parquet) => parquet.column_use(),
            Self::Array(_) | Self::Sequence(_) | Self::Projected(_) => None,
        }
    }

    /// Returns the first row of a table that is not encoded yet, as far as an encoder can begin there.
    pub fn next_row(&self) -> Option<TableStart> {
        match self {
            Self::Table(table) => table.next_row(),
            _ => None,
        }
    }
}

/// Encoder of records of which only some members are wanted: a projection before the encoder of a format.
#[derive(Debug)]
pub struct ProjectedEncoder {
    projector: Projector,
    /// Encoder of the format; none for the format of the log.
    format: Option<Encoder>,
    /// Projected bytes on their way to it.
    projected: BytesMut,
}

impl ProjectedEncoder {
    pub(super) fn new(names: FieldNames, format: Option<Encoder>) -> Self {
        Self { projector: Projector::new(names), format, projected: BytesMut::new() }
    }

    pub(super) fn push(&mut self, lines: &[u8], out: &mut BytesMut) -> Result<(), EncodingError> {
        let Some(format) = &mut self.format else { return self.projector.push(lines, out) };
        self.projected.clear();
        self.projector.push(lines, &mut self.projected)?;
        format.push(&self.projected, out)
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), EncodingError> {
        let Some(format) = &mut self.format else {
            self.projector.finish(out);
            return Ok(());
        };
        self.projected.clear();
        self.projector.finish(&mut self.projected);
        format.push(&self.projected, out)?;
        format.finish(out)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::format::{Format, RecordOffset, ndjson};

    const RECORDS: [&str; 9] = [
        r#"{"a":1}"#,
        r#" {"b" : {"c.d":1e400,"e":"\ud800"}} "#,
        r#"{"id":9223372036854775808,"ü":"\",[]{}","a":{"x":{},"y":[1,"\n"]}}"#,
        r#"{"b.c":"=1+1","b":{"c":"a,\t\"b\"\r\n"},"_more":null,"a":""}"#,
        r#"[1,{"b":"}"}]"#,
        "12",
        "\"x\"",
        "null",
        "{}",
    ];

    const FEATURES: [&str; 2] =
        [r#"{"type":"Feature","properties":{"a":[1,"\n"]}}"#, r#" {"id":1,"type": "Feature"} "#];

    /// Returns the values of a whole stream of JSON texts; none where a reader would refuse it.
    fn json(format: Format, text: &[u8]) -> Option<Vec<Value>> {
        match format {
            Format::GeoJson => serde_json::from_slice::<Value>(text).ok()?.get("features")?.as_array().cloned(),
            Format::JsonSeq | Format::GeoJsonSeq => text
                .split(|byte| *byte == b'\x1e')
                .skip(1)
                .map(|text| serde_json::from_slice(text.strip_suffix(b"\n")?).ok())
                .collect(),
            _ => serde_json::from_slice(text).ok(),
        }
    }

    /// Returns the rows of a table; none where one is not whole, or not as long as the others.
    fn rows(delimiter: u8, text: &[u8]) -> Option<Vec<Vec<String>>> {
        let (mut rows, mut row, mut cell, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0);
        while at < text.len() {
            if text[at] == b'"' {
                loop {
                    at += 1;
                    match (text.get(at)?, text.get(at + 1)) {
                        (b'"', Some(b'"')) => at += 1,
                        (b'"', _) => break,
                        _ => {}
                    }
                    cell.push(text[at]);
                }
                at += 1;
            }
            while at < text.len() && text[at] != delimiter && !text[at..].starts_with(b"\r\n") {
                cell.push(text[at]);
                at += 1;
            }
            row.push(String::from_utf8(std::mem::take(&mut cell)).unwrap());
            if text.get(at)? == &delimiter {
                at += 1;
            } else {
                at += 2;
                rows.push(std::mem::take(&mut row));
            }
        }
        let columns = rows.first()?.len();
        (row.is_empty() && rows.iter().all(|row| row.len() == columns)).then_some(rows)
    }

    /// Adds the leaves of a value that are not null or empty, each with its text in a cell.
    fn leaves(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
        let text = match value {
            Value::Object(members) if !members.is_empty() => {
                let path = if path.is_empty() { String::new() } else { format!("{path}.") };
                return members.iter().for_each(|(name, value)| leaves(&format!("{path}{name}"), value, found));
            }
            Value::Null => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !text.is_empty() {
            found.entry(if path.is_empty() { "value".to_owned() } else { path.to_owned() }).or_insert(text);
        }
    }

    /// Encodes a log from this record on, in pieces of these lengths.
    fn encode(
        (format, columns): (Format, Option<&[String]>),
        log: &[u8],
        start: RecordOffset,
        pieces: &[usize],
        end: End,
    ) -> Vec<u8> {
        let mut encoder = format.encoder(start, columns).expect("the format is encoded");
        let (mut rest, mut out) = (&log[usize::try_from(start.byte).unwrap()..], BytesMut::new());
        let mut lengths = pieces.iter().copied().cycle();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(lengths.next().unwrap_or(rest.len()).clamp(1, rest.len()));
            encoder.push(piece, &mut out).unwrap();
            rest = after;
        }
        if end == End::Proven {
            encoder.finish(&mut out).unwrap();
        }
        out.to_vec()
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum End {
        Open,
        Proven,
    }

    fn log_of(records: &[&str]) -> (String, Vec<RecordOffset>) {
        let (mut log, mut starts) = (String::new(), Vec::new());
        for (record, text) in (0..).zip(records) {
            starts.push(RecordOffset { record, byte: log.len() as u64 });
            log += &format!("{text}\n");
        }
        (log, starts)
    }

    proptest! {
        #[test]
        fn every_format_has_all_records_and_only_its_proven_end_is_whole(
            format in prop::sample::select(Format::ALL[1..].iter().copied().filter(|format| format.passes() == 1).collect::<Vec<_>>()),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            pieces in prop::collection::vec(1_usize..40, 0..4),
            asked in any::<bool>(),
        ) {
            let records: Vec<&str> = picks.iter().map(|pick| match format.takes_features() {
                true => *pick.get(&FEATURES),
                false => *pick.get(&RECORDS),
            }).collect();
            let (log, starts) = log_of(&records);
            let log = log.as_bytes();
            let columns = ["a".to_owned(), "b.c".to_owned()];
            let how = (format, (asked && format.has_columns()).then_some(&columns[..]));
            let whole = encode(how, log, RecordOffset::default(), &pieces, End::Proven);
            let is_whole = |text: &[u8]| match format.layout() {
                Some(_) => !text.is_empty() && json(format, text).is_some(),
                #[cfg(feature = "columnar")]
                None if format == Format::Arrow => crate::format::arrow::read(text).is_some(),
                None => rows(if format == Format::Tsv { b'\t' } else { b',' }, text).is_some(),
            };
            prop_assert!(is_whole(&whole) || records.is_empty() || whole.windows(6).any(|six| six == br"\ud800"));
            if let Some(layout) = format.layout() {
                prop_assert_eq!(layout.length(log.len() as u64, records.len() as u64), whole.len() as u64);
                // A reader may start at any record.
                for start in starts.iter().copied() {
                    let at = usize::try_from(layout.offset(start)).unwrap();
                    prop_assert_eq!(&encode(how, log, start, &pieces, End::Proven), &whole[at..], "{:?}", start);
                }
            }
            // An encoder of a table may begin at any row that another has reached.
            let (mut encoder, mut out, mut taken) = (format.encoder(RecordOffset::default(), how.1).unwrap(), BytesMut::new(), 0);
            for length in pieces.iter().copied().cycle().take_while(|_| !pieces.is_empty()) {
                let piece = &log[taken..(taken + length).min(log.len())];
                if piece.is_empty() {
                    break;
                }
                encoder.push(piece, &mut out).unwrap();
                taken += piece.len();
                let Some(row) = encoder.next_row() else { continue };
                let (mut resumed, mut rest) = (format.encoder_at(&row).unwrap(), BytesMut::new());
                resumed.push(&log[usize::try_from(row.record.byte).unwrap()..], &mut rest).unwrap();
                resumed.finish(&mut rest).unwrap();
                prop_assert_eq!(&rest[..], &whole[usize::try_from(row.offset).unwrap()..], "{:?}", row);
                prop_assert!(starts.contains(&row.record) || row.record.byte == log.len() as u64);
            }
            // A stream that breaks is the beginning of the whole one, and no reader takes it for one. The last record of a sequence may be
            // a number or a literal, which is held back whole.
            for visible in (1..=log.len()).filter(|end| log[end - 1] == b'\n').map(|end| ndjson::visible_len(&log[..end])) {
                let broken = encode(how, &log[..visible], RecordOffset::default(), &pieces, End::Open);
                prop_assert!(whole.starts_with(&broken) && broken.len() < whole.len());
                let is_between = visible == 0 || log[visible - 1] == b'\n';
                prop_assert!(!is_whole(&broken) || (format == Format::JsonSeq && is_between));
            }
        }

        #[test]
        fn a_table_keeps_every_value_that_is_neither_null_nor_empty(
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        ) {
            let records: Vec<&str> = picks.iter().map(|pick| *pick.get(&RECORDS)).filter(|text| !text.contains(r"\ud800")).collect();
            let whole = encode((Format::Csv, None), log_of(&records).0.as_bytes(), RecordOffset::default(), &[], End::Proven);
            let rows = rows(b',', &whole).unwrap();
            prop_assert_eq!(rows.len(), records.len() + 1);
            for (record, row) in records.iter().zip(&rows[1..]) {
                let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
                // An object without members is a row without values.
                if *record != "{}" {
                    leaves("", &serde_json::from_str(record).unwrap(), &mut expected);
                }
                for (name, cell) in rows[0].iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                    // One of two equal paths is named by its pointer.
                    let name = name.strip_prefix('/').map_or(name.clone(), |name| name.replace('/', "."));
                    found.entry(name).or_insert(cell.clone());
                }
                prop_assert_eq!(found, expected, "{}", record);
            }
        }
    }

    #[test]
    fn a_table_is_written_like_this() {
        let records = [
            r#"{"id":1,"name":"a,\"b\"","tags":[1,"x"],"customer":{"email":null,"-x":"=1"}}"#,
            r#"{"name":"","id":12345678901234567890,"customer":"late"}"#,
        ];
        let (log, _) = log_of(&records);
        let table = |format, columns: Option<&[String]>| {
            String::from_utf8(encode((format, columns), log.as_bytes(), RecordOffset::default(), &[7], End::Proven))
                .unwrap()
        };
        assert_eq!(
            table(Format::Csv, None),
            "\"id\",name,tags,customer.email,customer.-x,customer,_more\r\n\
             \"1\",\"a,\"\"b\"\"\",\"[1,\"\"x\"\"]\",,=1,,\r\n\
             \"12345678901234567890\",\"\",,,,late,\r\n"
        );
        let asked = ["customer", "customer.-x", "none"].map(str::to_owned);
        assert_eq!(
            table(Format::CsvExcel, Some(&asked)),
            "\u{feff}\"customer\",customer.-x,none\r\n\"{\"\"email\"\":null,\"\"-x\"\":\"\"=1\"\"}\",'=1,\r\n\"late\",,\r\n"
        );
        assert_eq!(table(Format::Tsv, Some(&asked[1..])), "\"customer.-x\"\tnone\r\n\"=1\"\t\r\n\"\"\t\r\n");
        let named = ["customer", "_more"].map(str::to_owned);
        assert_eq!(
            table(Format::Csv, Some(&named)),
            "\"customer\",_more\r\n\
             \"{\"\"email\"\":null,\"\"-x\"\":\"\"=1\"\"}\",\"{\"\"id\"\":1,\"\"name\"\":\"\"a,\\\"\"b\\\"\"\"\",\"\"tags\"\":[1,\"\"x\"\"]}\"\r\n\
             \"late\",\"{\"\"name\"\":\"\"\"\",\"\"id\"\":12345678901234567890}\"\r\n"
        );
        assert_eq!(table(Format::Csv, Some(&named[..1])).lines().next(), Some("\"customer\",_"));
        assert_eq!(
            String::from_utf8(encode((Format::Csv, None), b"", RecordOffset::default(), &[], End::Proven)).unwrap(),
            "\"value\",_more\r\n"
        );
    }

    #[test]
    fn named_columns_that_no_record_has_and_values_without_a_column_are_counted() {
        let log = b"{\"id\":1,\"at\":{\"x\":1,\"y\":2}}\n{\"id\":2,\"at\":{\"x\":1}}\n[3]\n";
        for (names, beyond_columns, absent) in [
            (&["id", "nmae"][..], 3, &["nmae"][..]),
            (&["id", "at.x"], 2, &[]),
            (&["id", "at"], 1, &[]),
            (&["at.y", "value"], 2, &[]),
            (&["nmae", "_more"], 0, &["nmae"]),
        ] {
            let asked: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            for format in Format::ALL.iter().filter(|format| format.has_columns()) {
                let (mut encoder, mut out) =
                    (format.encoder(RecordOffset::default(), Some(&asked)).unwrap(), BytesMut::new());
                for _ in 1..format.passes() {
                    encoder.push(log, &mut out).unwrap();
                    encoder.end_pass().unwrap();
                }
                encoder.push(log, &mut out).unwrap();
                encoder.finish(&mut out).unwrap();
                let absent = absent.iter().map(|name| (*name).to_owned()).collect();
                let expected = ColumnUse { records: 3, beyond_columns, absent };
                assert_eq!(encoder.column_use(), Some(expected), "{} {names:?}", format.name());
            }
        }
        let mut discovered = Format::Csv.encoder(RecordOffset::default(), None).unwrap();
        discovered.push(log, &mut BytesMut::new()).unwrap();
        discovered.finish(&mut BytesMut::new()).unwrap();
        assert_eq!(discovered.column_use(), None);
        let absent = vec!["a".to_owned(), "b".to_owned()];
        let used = ColumnUse { records: 3, beyond_columns: 2, absent };
        assert_eq!(used.warning().as_deref(), Some("columns `a`, `b` are in no record"));
        assert_eq!(used.remark().as_deref(), Some("2 of 3 records have values outside of the columns"));
        assert_eq!(ColumnUse { records: 0, ..used }.warning(), None);
    }

    #[test]
    fn a_name_behind_the_sample_keeps_its_value_in_the_last_column() {
        let mut log = "{\"id\":1}\n".repeat(40_000);
        log += "{\"id\":2,\"late\":{\"x\":\"y\"}}\n";
        for pieces in [&[][..], &[65_536], &[1_000]] {
            let whole = encode((Format::Csv, None), log.as_bytes(), RecordOffset::default(), pieces, End::Proven);
            let whole = String::from_utf8(whole).unwrap();
            assert!(
                whole.starts_with("\"id\",_more\r\n\"1\",\r\n")
                    && whole.ends_with("\r\n\"2\",\"{\"\"late.x\"\":\"\"y\"\"}\"\r\n")
            );
            assert_eq!(whole.matches("\r\n").count(), 40_002);
        }
    }

    #[test]
    fn a_record_that_is_no_feature_breaks_the_stream() {
        for format in [Format::GeoJson, Format::GeoJsonSeq] {
            let mut encoder = format.encoder(RecordOffset::default(), None).unwrap();
            let mut out = BytesMut::new();
            encoder.push(b"{\"type\":\"Feature\"}\n{\"type\"", &mut out).unwrap();
            let error = encoder.push(b":\"Point\"}\n", &mut out).unwrap_err();
            assert_eq!(error.message, "record 1, counted from 0, is no GeoJSON Feature");
            assert!(json(format, &out).is_none());
        }
    }
}
