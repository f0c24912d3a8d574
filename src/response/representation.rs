//! A representation of a snapshot (RFC 9110 §3.2): its records in one format, under one media type.
//!
//! Everything that a head says of the bytes of its body is decided here: `ETag`, `Content-Type`, `Content-Length`, `Accept-Ranges`,
//! `Repr-Digest`, `Vary` and the body itself. Another format or a content coding changes these answers, and no other part of a response.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::body::{Body, BodyLength, StreamBody};
use super::byte_range::{ByteRange, RangeError};
use crate::format::Format;
use crate::id::SnapshotId;
use crate::request::{EntityTag, MediaType, Range};
use crate::snapshot::{Log, Reader, Snapshot};

/// Request fields that select a representation.
const SELECTORS: [HeaderName; 1] = [header::ACCEPT];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Representation {
    media_type: MediaType,
}

/// Relation of a representation's bytes to those of the snapshot's log.
enum Bytes {
    /// The same bytes: ranges, lengths and digests of the log are those of the representation.
    OfTheLog,
}

impl Representation {
    pub fn new(media_type: MediaType) -> Self {
        Self { media_type }
    }

    fn bytes(self) -> Bytes {
        match self.media_type.format() {
            Format::Ndjson => Bytes::OfTheLog,
        }
    }

    /// Returns the strong entity tag of the snapshot in this representation (RFC 9110 §8.8.3).
    pub fn entity_tag(self, snapshot: SnapshotId) -> EntityTag {
        match self.bytes() {
            Bytes::OfTheLog => EntityTag::new(snapshot),
        }
    }

    /// Inserts the fields that describe the representation: `Content-Type`.
    pub fn describe(self, fields: &mut HeaderMap) {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type.essence()));
    }

    /// Returns the value of `Accept-Ranges` for a snapshot all of which can, or can't, be asked for again.
    pub fn accept_ranges(self, is_resumable: bool) -> HeaderValue {
        match self.bytes() {
            Bytes::OfTheLog => HeaderValue::from_static(if is_resumable { "bytes" } else { "none" }),
        }
    }

    /// Returns the bytes of the whole.
    pub fn whole(self, log: &Log) -> Result<ByteRange, RangeError> {
        match self.bytes() {
            Bytes::OfTheLog => ByteRange::whole(log),
        }
    }

    /// Returns the whole without a reader, for a HEAD.
    pub fn head(self, log: &Log) -> Result<ByteRange, RangeError> {
        match self.bytes() {
            Bytes::OfTheLog => ByteRange::head(log),
        }
    }

    /// Returns the bytes of a range.
    pub async fn part(self, log: &Log, range: Range) -> Result<ByteRange, RangeError> {
        match self.bytes() {
            Bytes::OfTheLog => ByteRange::part(log, range).await,
        }
    }

    /// Returns the value of `Repr-Digest`, which is of the whole (RFC 9530); none where the whole is not kept.
    pub async fn digest(self, snapshot: &Snapshot) -> Option<String> {
        match self.bytes() {
            Bytes::OfTheLog => snapshot.digest().await.map(|digest| digest.to_string()),
        }
    }

    /// Returns the body that sends what the reader reads of the log.
    pub fn body(self, reader: Reader, length: BodyLength) -> Body {
        match self.bytes() {
            Bytes::OfTheLog => Body::new(StreamBody::new(reader, length)),
        }
    }
}

/// Returns the value of `Vary` for a URL whose answers depend on these request fields, too.
pub fn vary(more: impl IntoIterator<Item = HeaderName>) -> HeaderValue {
    let names: Vec<_> = SELECTORS.into_iter().chain(more).map(|name| name.as_str().to_owned()).collect();
    HeaderValue::try_from(names.join(", ")).expect("field names are valid in a field value")
}
