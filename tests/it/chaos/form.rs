//! Formats that cases ask for, each with a reader that knows nothing of the encoder.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_ipc::reader::StreamReader;
use bytes::Bytes;
use http::Response;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::streams::orders;

/// A format, and a reader of its bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) name: &'static str,
    /// Returns each record as the text that [`Form::expected`] compares; none where the body is not whole.
    read: fn(&[u8]) -> Option<Vec<String>>,
    kept: Kept,
}

/// Part of a record that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Bytes,
    /// All bytes, of orders that are Features.
    Feature,
    Id,
}

/// Begin of an order, and of one that is a Feature.
const ORDER: &str = "{\"id\":\"ord_";
const FEATURE: &str = "{\"type\":\"Feature\",\"id\":\"ord_";

const NDJSON: Form = Form { name: "ndjson", read: lines, kept: Kept::Bytes };

/// Every third case asks for the format of the log. The count has no factor in common with that of the codings.
const FORMS: [Form; 13] = [
    NDJSON,
    Form { name: "json", read: array, kept: Kept::Bytes },
    Form { name: "csv", read: |body| table(body, ','), kept: Kept::Id },
    NDJSON,
    Form { name: "json-seq", read: sequence, kept: Kept::Bytes },
    Form { name: "arrow", read: arrow, kept: Kept::Id },
    Form { name: "geojson", read: features, kept: Kept::Feature },
    NDJSON,
    Form { name: "tsv", read: |body| table(body, '\t'), kept: Kept::Id },
    Form { name: "parquet", read: parquet, kept: Kept::Id },
    NDJSON,
    Form { name: "geojson-seq", read: sequence, kept: Kept::Feature },
    Form { name: "csv-excel", read: |body| table(body.strip_prefix("\u{feff}".as_bytes())?, ','), kept: Kept::Id },
];

impl Form {
    pub(super) fn of(seed: u64) -> Self {
        FORMS[(seed % FORMS.len() as u64) as usize]
    }

    pub(super) fn is_ndjson(self) -> bool {
        self.name == NDJSON.name
    }

    /// Returns true where the format needs the whole collection before its first byte.
    pub(super) fn needs_all(self) -> bool {
        self.name == "parquet"
    }

    pub(super) fn read(self, body: &[u8]) -> Option<Vec<String>> {
        (self.read)(body)
    }

    /// Returns a page with the records that the format can express.
    pub(super) fn page(self, page: Response<Bytes>) -> Response<Bytes> {
        if self.kept != Kept::Feature {
            return page;
        }
        page.map(|body| std::str::from_utf8(&body).unwrap().replace(ORDER, FEATURE).into())
    }

    /// Returns the first orders as the reader gives them.
    pub(super) fn expected(self, count: u64) -> Vec<String> {
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        let expected = |line: &str| match self.kept {
            Kept::Bytes => line.to_owned(),
            Kept::Feature => line.replace(ORDER, FEATURE),
            Kept::Id => id(line),
        };
        orders(count).lines().map(expected).collect()
    }
}

fn lines(body: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(body).ok()?;
    (text.is_empty() || text.ends_with('\n')).then(|| text.lines().map(ToOwned::to_owned).collect())
}

fn array(body: &[u8]) -> Option<Vec<String>> {
    let records: Vec<Box<RawValue>> = serde_json::from_slice(body).ok()?;
    Some(records.iter().map(|record| record.get().to_owned()).collect())
}

fn features(body: &[u8]) -> Option<Vec<String>> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).ok()?;
    let is_collection = members.get("type")?.get() == "\"FeatureCollection\"";
    array(members.get("features").filter(|_| is_collection)?.get().as_bytes())
}

fn sequence(body: &[u8]) -> Option<Vec<String>> {
    let texts = std::str::from_utf8(body).ok()?.split('\u{1e}').skip(1);
    let text = |text: &str| serde_json::from_str::<Value>(text).ok().map(|_| text.trim_end().to_owned());
    texts.map(text).collect()
}

/// Reads a table of text, whose rows have as many cells as its header and end outside of quotes.
fn table(body: &[u8], delimiter: char) -> Option<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    for letter in std::str::from_utf8(body).ok()?.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            letter if letter == delimiter && !is_quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            letter => cell.push(letter),
        }
    }
    let header = rows.first()?;
    let is_whole = row.is_empty() && cell.is_empty() && !is_quoted && rows.iter().all(|row| row.len() == header.len());
    // An empty list has no members.
    let id = header.iter().position(|name| name == "id").or((rows.len() == 1).then_some(0))?;
    is_whole.then(|| rows[1..].iter().map(|row| row[id].clone()).collect())
}

fn arrow(body: &[u8]) -> Option<Vec<String>> {
    ids(StreamReader::try_new(body, None).ok()?)
}

fn parquet(body: &[u8]) -> Option<Vec<String>> {
    ids(ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(body)).ok()?.build().ok()?)
}

fn ids<E>(batches: impl Iterator<Item = Result<RecordBatch, E>>) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    for batch in batches {
        let batch = batch.ok()?;
        let column = batch.column_by_name("id")?.as_string::<i32>();
        ids.extend(column.iter().map(|id| id.unwrap_or_default().to_owned()));
    }
    Some(ids)
}
