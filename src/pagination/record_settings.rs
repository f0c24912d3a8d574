//! Place and form of the records in a page.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::detect::Sketch;
use super::error::PageError;
use super::error_words::check_record;
use super::path::{Path, Segment};

/// Place and form of the records in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Paths of the array or object that holds them; the first that is there counts.
    pub paths: Vec<Path>,
    pub shape: RecordsShape,
    pub presence: Presence,
    pub encoding: Encoding,
    pub validation: Validation,
    pub whitespace: Whitespace,
}

/// Container of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsShape {
    /// Elements of an array.
    Elements,
    /// Values of an object that is keyed by id.
    Values,
    /// Elements of an array; one record may stand in place of an array of one.
    OneOrMore,
    /// Elements of an array, or values of an object that is keyed by numbers, as which PHP writes an array with gaps.
    List,
    /// Elements of the arrays at all paths, in the page's order.
    All,
    /// Elements of the arrays at all paths, each with those of the same place in the others; the last name of a path is the member's.
    Columns,
}

/// Meaning of a page without a record array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// An error.
    Required,
    /// An empty page.
    Optional,
}

/// Encoding of the text that holds the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Plain JSON, as a part of the page.
    None,
    /// In a string, as base64 (RFC 4648 §4).
    Base64,
    /// One JSON text a line (NDJSON), or behind each record separator (RFC 7464): the page is the array of all.
    Lines,
    /// XML, each element of which is a value by its name.
    Xml,
    /// Comma-separated values (RFC 4180) with this byte between fields; the first record of a page names the columns.
    Csv(u8),
}

impl Encoding {
    /// Returns the encoding that a page's media type names; [`Encoding::None`] for any other.
    pub(crate) fn of_media_type(headers: &HeaderMap, page: &[u8]) -> Self {
        let label = headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
        match label.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines"
            | "application/json-seq" => Self::Lines,
            "text/csv" | "application/csv" => {
                let columns = page.split(|byte| *byte == b'\n').next().unwrap_or_default();
                Self::Csv(if columns.contains(&b';') && !columns.contains(&b',') { b';' } else { b',' })
            }
            "text/tab-separated-values" => Self::Csv(b'\t'),
            _ => Self::None,
        }
    }
}

/// Extent of the grammar check in records and in unused values; all other JSON is always checked in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validation {
    /// UTF-8, matching brackets and quotes, no control character and no empty element.
    Structure,
    /// The whole grammar (RFC 8259).
    Full,
}

/// Treatment of white space between the tokens of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whitespace {
    /// Line breaks become spaces.
    Kept,
    /// White space is left out.
    Dropped,
}

/// Policy for a record that came before, where that shows that records moved or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDouble {
    /// The stream breaks.
    Fail,
    /// The first one stays, and the verdict says so.
    Drop,
}

impl RecordsShape {
    /// Returns true if a value that begins with this bracket holds records.
    pub(super) fn begins_with(self, byte: u8) -> bool {
        match byte {
            b'[' => self != Self::Values,
            b'{' => matches!(self, Self::Values | Self::OneOrMore | Self::List),
            _ => false,
        }
    }
}

impl Records {
    /// Records in an array at one path, which must be there.
    pub fn at(path: Path) -> Self {
        Self {
            paths: vec![path],
            shape: RecordsShape::Elements,
            presence: Presence::Required,
            encoding: Encoding::None,
            validation: Validation::Structure,
            whitespace: Whitespace::Kept,
        }
    }

    /// Path of the columns' names, which are the same on each page.
    pub(super) fn columns(&self) -> Option<Path> {
        matches!(self.encoding, Encoding::Csv(_)).then(|| Path::new(vec![Segment::Name("columns".to_owned())]))
    }

    /// Returns true if an error of the upstream may stand in the place of a page's last record: a server that fails within a page of lines
    /// ends it so, and one whose pages are arrays puts its error into one.
    pub(super) fn last_may_be_error(&self) -> bool {
        self.last_is_in_no_array() || self.paths.iter().any(Path::is_root)
    }

    fn last_is_in_no_array(&self) -> bool {
        self.encoding == Encoding::Lines || self.shape == RecordsShape::OneOrMore
    }

    /// Checks the last record of a page of `records`; the sketch is that of the page.
    pub(super) fn check_last(&self, record: &[u8], records: u64, sketch: &Sketch) -> Result<(), PageError> {
        if records == 2 && self.encoding != Encoding::Lines && self.paths.iter().any(Path::is_root) {
            check_pair(record, sketch)?;
        }
        if self.shape == RecordsShape::Values && records == 1 && self.last_may_be_error() {
            // The page may be an error, whose member was taken for a record.
            let members = sketch.outline().as_object().into_iter().flat_map(Map::keys);
            let name = Value::from(members.map(String::as_str).next().unwrap_or_default()).to_string();
            return check_record(&[b"{", name.as_bytes(), b":", record, b"}"].concat());
        }
        let may_be_error = self.last_is_in_no_array() || records == 1 && self.last_may_be_error();
        if may_be_error { check_record(record) } else { Ok(()) }
    }

    /// Returns true if a page that is an array may be that of the records, or of their wrappers; so may one of which nothing is known.
    pub(super) fn may_be_page(&self) -> bool {
        let is_page = |path: &Path| matches!(path.segments().first(), None | Some(Segment::Each));
        self.paths.is_empty() || self.paths.iter().any(is_page)
    }
}

/// Refuses a page that is an array of an object about the records and of their own array, as the World Bank's are; `second` is its second
/// element.
fn check_pair(second: &[u8], sketch: &Sketch) -> Result<(), PageError> {
    let place = match (sketch.get(1), second.trim_ascii().first()) {
        (Some(b'{'), Some(b'[')) => 1,
        (Some(b'['), Some(b'{')) => 0,
        _ => return Ok(()),
    };
    let arrays = format!("an object beside an array, which is at `[{place}]`");
    Err(PageError::NoRecords { paths: "`$`".to_owned(), arrays })
}
