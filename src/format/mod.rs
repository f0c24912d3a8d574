//! Formats of record streams: their names, and the translation of a log's bytes into them. Pure.
//!
//! A log stores records as NDJSON lines ([`ndjson`]), and its readers get bytes that end inside a record until the end is proven. Another
//! format is a variant here, an [`Encoder`] that keeps this rule, and a [`Layout`] that says where its bytes are.

mod array;
#[cfg(feature = "columnar")]
mod arrow;
mod cells;
mod column_names;
#[cfg(feature = "columnar")]
mod column_type;
mod column_use;
#[cfg(feature = "columnar")]
mod column_values;
mod columns;
mod encoder;
mod encoding_error;
mod features;
mod field_names;
mod json_members;
mod layout;
#[cfg(feature = "columnar")]
mod log_lines;
pub mod ndjson;
#[cfg(feature = "columnar")]
mod parquet;
mod projection;
#[cfg(feature = "columnar")]
mod record_batches;
mod record_cells;
mod sequence;
mod table;
mod value_scan;

use array::ArrayEncoder;
#[cfg(feature = "columnar")]
use arrow::ArrowEncoder;
use cells::TableReader;
pub use column_names::{ColumnNames, ColumnNamesError};
pub use column_use::ColumnUse;
pub use encoder::{Encoder, ProjectedEncoder};
pub use encoding_error::EncodingError;
pub use field_names::{FieldNames, FieldNamesError};
pub use layout::{Layout, RecordOffset};
#[cfg(feature = "columnar")]
use parquet::ParquetEncoder;
use sequence::SequenceEncoder;
use table::TableEncoder;
pub use table::TableStart;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line: the bytes of the log.
    #[default]
    Ndjson,
    /// One JSON array.
    Json,
    /// A FeatureCollection (RFC 7946).
    GeoJson,
    /// A JSON text sequence (RFC 7464).
    JsonSeq,
    /// A GeoJSON text sequence (RFC 8142).
    GeoJsonSeq,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// The same for spreadsheets: with a byte order mark, and without texts that are formulas.
    CsvExcel,
    /// Values separated by tabs.
    Tsv,
    /// Arrow's stream format.
    #[cfg(feature = "columnar")]
    Arrow,
    /// Parquet, of complete snapshots alone.
    #[cfg(feature = "columnar")]
    Parquet,
}

impl Format {
    pub const ALL: &[Self] = &[
        Self::Ndjson,
        Self::Json,
        Self::GeoJson,
        Self::JsonSeq,
        Self::GeoJsonSeq,
        Self::Csv,
        Self::CsvExcel,
        Self::Tsv,
        #[cfg(feature = "columnar")]
        Self::Arrow,
        #[cfg(feature = "columnar")]
        Self::Parquet,
    ];

    /// Names of formats that a build without the feature `columnar` does not have.
    pub const COLUMNAR: [&str; 3] = ["arrow", "arrows", "parquet"];

    /// Returns the media types in `Accept` that ask for the format (RFC 9110 §12.5.1), in lower case, the preferred one first. API clients
    /// send `application/json` with every request, so it asks for no array.
    pub const fn accepted(self) -> &'static [&'static str] {
        match self {
            Self::Ndjson => &ndjson::MEDIA_TYPES,
            Self::Json | Self::CsvExcel => &[],
            Self::GeoJson => &["application/geo+json"],
            Self::JsonSeq => &["application/json-seq"],
            Self::GeoJsonSeq => &["application/geo+json-seq"],
            Self::Csv => &["text/csv"],
            Self::Tsv => &["text/tab-separated-values"],
            #[cfg(feature = "columnar")]
            Self::Arrow => &[arrow::MEDIA_TYPE],
            #[cfg(feature = "columnar")]
            Self::Parquet => &[parquet::MEDIA_TYPE],
        }
    }

    /// Returns the short names of the format and the media type of each, for clients that can't set `Accept`. The first one is its name.
    pub const fn names(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ndjson => &ndjson::NAMES,
            Self::Json => &[("json", "application/json")],
            Self::GeoJson => &[("geojson", "application/geo+json")],
            Self::JsonSeq => &[("json-seq", "application/json-seq")],
            Self::GeoJsonSeq => &[("geojson-seq", "application/geo+json-seq")],
            Self::Csv => &[("csv", "text/csv")],
            Self::CsvExcel => &[("csv-excel", "text/csv")],
            Self::Tsv => &[("tsv", "text/tab-separated-values")],
            #[cfg(feature = "columnar")]
            Self::Arrow => &arrow::NAMES,
            #[cfg(feature = "columnar")]
            Self::Parquet => &parquet::NAMES,
        }
    }

    /// Returns the format with this short name, and its media type.
    pub fn of_name(name: &str) -> Option<(Self, &'static str)> {
        let named = |format: Self| format.names().iter().find(|(short, _)| *short == name).map(|(_, of)| (format, *of));
        Self::ALL.iter().copied().find_map(named)
    }

    pub const fn name(self) -> &'static str {
        self.names()[0].0
    }

    /// Returns the parameters of the media type in `Content-Type`, with their semicolons.
    pub const fn parameters(self) -> &'static str {
        match self {
            Self::Csv | Self::CsvExcel => "; charset=utf-8; header=present",
            Self::Tsv => "; charset=utf-8",
            _ => "",
        }
    }

    /// Returns `true` for a table, whose columns a request may name.
    pub const fn has_columns(self) -> bool {
        self.layout().is_none()
    }

    /// Returns `true` where every record has to be a GeoJSON Feature.
    pub const fn takes_features(self) -> bool {
        matches!(self, Self::GeoJson | Self::GeoJsonSeq)
    }

    /// Returns `true` where the first bytes come with a batch of records whose values have to be of their columns' types.
    pub const fn has_typed_batches(self) -> bool {
        match self {
            #[cfg(feature = "columnar")]
            Self::Arrow => true,
            _ => false,
        }
    }

    /// Returns the relation of the format's offsets to those of the log; none where only encoding tells them.
    pub const fn layout(self) -> Option<Layout> {
        match self {
            Self::Ndjson => Some(Layout::LOG),
            Self::Json => Some(array::RECORDS),
            Self::GeoJson => Some(array::FEATURES),
            Self::JsonSeq | Self::GeoJsonSeq => Some(sequence::LAYOUT),
            Self::Csv | Self::CsvExcel | Self::Tsv => None,
            #[cfg(feature = "columnar")]
            Self::Arrow | Self::Parquet => None,
        }
    }

    /// Returns the number of passes over a complete log in which the format is encoded. One of several can't be sent while it is made.
    pub const fn passes(self) -> u8 {
        match self {
            #[cfg(feature = "columnar")]
            Self::Parquet => 2,
            _ => 1,
        }
    }

    /// Returns an encoder that begins with this row of a table in the format; none where it is no table of text.
    pub fn encoder_at(self, start: &TableStart) -> Option<Encoder> {
        let (delimiter, reader) = self.dialect()?;
        Some(Encoder::Table(Box::new(TableEncoder::resume(delimiter, reader, start))))
    }

    /// Returns the delimiter and the reader of a table of text.
    const fn dialect(self) -> Option<(u8, TableReader)> {
        match self {
            Self::Csv => Some((b',', TableReader::Program)),
            Self::CsvExcel => Some((b',', TableReader::Spreadsheet)),
            Self::Tsv => Some((b'\t', TableReader::Program)),
            _ => None,
        }
    }

    /// Returns an encoder that begins with the record at this position, the first one for a format without a layout; none for the format of the
    /// log. `columns` are those that the user names for a table.
    pub fn encoder(self, start: RecordOffset, columns: Option<&[String]>) -> Option<Encoder> {
        if let Some((delimiter, reader)) = self.dialect() {
            return Some(Encoder::Table(Box::new(TableEncoder::new(delimiter, reader, columns))));
        }
        Some(match self {
            Self::Ndjson | Self::Csv | Self::CsvExcel | Self::Tsv => return None,
            Self::Json => Encoder::Array(ArrayEncoder::records(start)),
            Self::GeoJson => Encoder::Array(ArrayEncoder::features(start)),
            Self::JsonSeq => Encoder::Sequence(SequenceEncoder::texts()),
            Self::GeoJsonSeq => Encoder::Sequence(SequenceEncoder::features(start)),
            #[cfg(feature = "columnar")]
            Self::Arrow => Encoder::Arrow(Box::new(ArrowEncoder::new(columns))),
            #[cfg(feature = "columnar")]
            Self::Parquet => Encoder::Parquet(Box::new(ParquetEncoder::new(columns))),
        })
    }

    /// Returns an encoder of the named members of all records, from the first on. Features keep what makes them such.
    pub fn projected(self, fields: &FieldNames) -> Encoder {
        let fields = if self.takes_features() { fields.with(&["geometry", "type"]) } else { fields.clone() };
        let format = self.encoder(RecordOffset::default(), None);
        Encoder::Projected(Box::new(ProjectedEncoder::new(fields, format)))
    }
}
