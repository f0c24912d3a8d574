//! Formats of record streams: their names, and the translation of a log's bytes into them. Pure.
//!
//! A log stores records as NDJSON lines ([`ndjson`]), and its readers get bytes that end inside a record until the end is proven. Another
//! format is a variant here, an [`Encoder`] that keeps this rule, and a [`Layout`] that says where its bytes are.

mod array;
mod encoder;
mod layout;
pub mod ndjson;

pub use encoder::{Encoder, EncodingError};
pub use layout::{Layout, RecordOffset};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line: the bytes of the log.
    #[default]
    Ndjson,
    /// One JSON array.
    Json,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Ndjson, Self::Json];

    /// Returns the media types in `Accept` that ask for the format (RFC 9110 §12.5.1), in lower case, the preferred one first. API clients
    /// send `application/json` with every request, so it asks for no array.
    pub const fn accepted(self) -> &'static [&'static str] {
        match self {
            Self::Ndjson => &ndjson::MEDIA_TYPES,
            Self::Json => &[],
        }
    }

    /// Returns the short names of the format and the media type of each, for clients that can't set `Accept`. The first one is its name.
    pub const fn names(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ndjson => &ndjson::NAMES,
            Self::Json => &[("json", "application/json")],
        }
    }

    pub const fn name(self) -> &'static str {
        self.names()[0].0
    }

    /// Returns the relation of the format's offsets to those of the log.
    pub fn layout(self) -> Layout {
        match self {
            Self::Ndjson => Layout::LOG,
            Self::Json => array::LAYOUT,
        }
    }

    /// Returns an encoder that begins with the record at this position; none for the format of the log.
    pub fn encoder(self, start: RecordOffset) -> Option<Encoder> {
        match self {
            Self::Ndjson => None,
            Self::Json => Some(Encoder::Array(array::ArrayEncoder::new(start))),
        }
    }
}
