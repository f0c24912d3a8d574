//! A representation of a snapshot (RFC 9110 §3.2): its records in one format, under one media type.
//!
//! Everything that a head says of the bytes of its body is decided here: `ETag`, `Content-Type`, `Content-Length`, `Accept-Ranges`,
//! `Content-Encoding`, `Repr-Digest`, `Vary` and the end of the body. Another format changes these answers, and no other part of a response; the
//! bytes of a content coding are made by `compressed_body`.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use twox_hash::XxHash3_64;
use url::form_urlencoded;

use super::byte_range::{ByteRange, RangeError};
use super::formatted_log::FormattedLog;
use super::snapshot_url::pinned_url;
use super::stream_ending::StreamEnding;
use super::table_index::{TableIndex, TableIndexes};
use crate::config::ContentCoding;
use crate::error::Failure;
use crate::format::{ColumnNames, ColumnUse, FieldNames, Format};
use crate::id::SnapshotId;
use crate::request::{EndMark, EndWait, EntityTag, MediaType, ParamNames, Range, StreamOptions, Trailers, WantDigest};
use crate::snapshot::{DerivedBytes, Log, Reader, RunningDigest, Snapshot};

/// Request fields that select a representation.
const SELECTORS: [HeaderName; 1] = [header::ACCEPT];

#[derive(Clone, Debug)]
pub struct Representation {
    media_type: MediaType,
    coding: Option<ContentCoding>,
    columns: Option<ColumnNames>,
    fields: Option<FieldNames>,
    index: Option<Arc<TableIndex>>,
    /// Bytes of a format that can't be made while they are sent.
    derived: Option<Arc<DerivedBytes>>,
}

/// Relation of a representation's bytes to those of the snapshot's log.
enum Bytes {
    /// The same bytes: ranges, lengths and digests of the log are those of the representation.
    OfTheLog,
    /// Lines and an end marker, whose length and content are not known before it is sent: it has neither ranges nor a length.
    LinesAndAMarker,
    /// The bytes of another format, or of some members alone, with lengths and ranges of their own, and no digest that is kept.
    Encoded,
}

impl Representation {
    pub fn new(options: &StreamOptions) -> Self {
        let StreamOptions { media_type, columns, fields, .. } = options;
        Self {
            media_type: *media_type,
            columns: columns.clone(),
            fields: fields.clone(),
            coding: None,
            index: None,
            derived: None,
        }
    }

    /// Returns the representation in this content coding. Its bytes depend on time, so that it has neither a length nor ranges nor a digest.
    #[must_use]
    pub fn coded(self, coding: Option<ContentCoding>) -> Self {
        Self { coding, ..self }
    }

    /// Returns the representation of this snapshot with the index of its table, if it is one.
    #[must_use]
    pub fn indexed(self, snapshot: SnapshotId, tables: &TableIndexes) -> Self {
        let format = self.media_type.format();
        let index = || tables.of(self.entity_tag(snapshot), format, self.columns.as_ref());
        Self { index: format.has_columns().then(index), ..self }
    }

    /// Returns the use of a table's columns by all records, once it is known.
    pub(super) fn column_use(&self) -> Option<&ColumnUse> {
        self.index.as_ref().and_then(|index| index.column_use())
    }

    /// Encodes a complete table to its end where its length is not known yet: processor time alone, which a client that waits for the length
    /// has asked for.
    pub async fn measure(&self, log: &Log) {
        // A content coding has no length.
        if self.coding.is_none() {
            self.of(log).measure().await;
        }
    }

    fn bytes(&self) -> Bytes {
        match (self.media_type.format(), self.media_type.end()) {
            (Format::Ndjson, EndMark::None) if self.fields.is_none() => Bytes::OfTheLog,
            (Format::Ndjson, EndMark::Marker) => Bytes::LinesAndAMarker,
            _ => Bytes::Encoded,
        }
    }

    fn of<'a>(&'a self, log: &'a Log) -> FormattedLog<'a> {
        FormattedLog {
            log,
            format: self.media_type.format(),
            columns: self.columns.as_deref(),
            fields: self.fields.as_ref(),
            // A derived file has its own length and ranges.
            index: self.index.as_ref().filter(|_| self.media_type.format().passes() == 1),
            derived: self.derived.as_deref(),
        }
    }

    /// Returns the representation with the bytes of a format of several passes, which may have to be made. Only a request that waits for the
    /// end has them.
    ///
    /// # Errors
    /// As [`Snapshot::derived`].
    pub async fn derived(&self, snapshot: &Snapshot, wait: Option<EndWait>) -> Result<Self, Arc<Failure>> {
        let format = self.media_type.format();
        if format.passes() == 1 || wait.is_none() {
            return Ok(self.clone());
        }
        let derived = snapshot.derived(format, self.columns.as_ref()).await?;
        if let Some((index, column_use)) = self.index.as_ref().zip(derived.column_use()) {
            index.set_column_use(column_use);
        }
        Ok(Self { derived: Some(Arc::new(derived)), ..self.clone() })
    }

    /// Checks by the first records that the snapshot can be had in this format. A client that has the beginning, or wants the head alone, waits
    /// for no batch. Returns a reader that keeps these records, which could be dropped before the answer begins.
    ///
    /// # Errors
    /// Fails with the first record that the format can't express.
    pub async fn check(&self, log: &Log, options: &StreamOptions) -> Result<Option<Reader>, Failure> {
        let (format, begins) = (self.media_type.format(), options.partial_range().is_none());
        let waits = format.has_typed_batches() && begins && options.method != Method::HEAD;
        if !waits && !format.takes_features() {
            return Ok(None);
        }
        let first = log.reader(0, None).ok().filter(|_| begins);
        self.of(log).refusal().await.map_or(Ok(first), Err)
    }

    /// Returns the strong entity tag of the snapshot in this representation (RFC 9110 §8.8.3).
    pub fn entity_tag(&self, snapshot: SnapshotId) -> EntityTag {
        EntityTag { snapshot, variant: self.variant() }
    }

    /// Returns a hash of the representation: two with the same bytes have the same one.
    pub fn form(&self) -> u64 {
        XxHash3_64::oneshot(self.variant().as_bytes())
    }

    /// Returns the name of the representation in entity tags; an empty one for the bytes of the log.
    fn variant(&self) -> String {
        let format = match self.bytes() {
            Bytes::OfTheLog => "",
            Bytes::LinesAndAMarker => "marker",
            Bytes::Encoded => self.media_type.format().name(),
        };
        let names = match (&self.columns, &self.fields) {
            (None, None) => return format.to_owned(),
            (Some(columns), _) => columns.join(","),
            (None, Some(fields)) => fields.canonical(),
        };
        format!("{format}-{:016x}", XxHash3_64::oneshot(names.as_bytes()))
    }

    /// Returns the URL that names the snapshot in this representation: one of another format names it, since a GET of the URL may have another
    /// `Accept`.
    pub fn pinned_url(&self, id: SnapshotId, original: &str, names: &ParamNames) -> String {
        let mut url = pinned_url(id, original, names);
        if let Bytes::Encoded = self.bytes() {
            url += &format!("&{}={}", names.format, self.media_type.format().name());
        }
        let columns = self.columns.as_ref().map(|columns| (names.columns.as_str(), columns.join(",")));
        let fields = self.fields.as_ref().zip(names.fields.as_deref()).map(|(fields, name)| (name, fields.canonical()));
        for (name, value) in columns.into_iter().chain(fields) {
            let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
            url += &format!("&{name}={value}");
        }
        url
    }

    /// Returns the value of `ETag`: weak in a content coding, since no two coded bodies have the same bytes (RFC 9110 §8.8.1).
    pub fn etag(&self, snapshot: SnapshotId) -> String {
        let weak = if self.coding.is_some() { "W/" } else { "" };
        format!("{weak}{}", self.entity_tag(snapshot))
    }

    /// Inserts the fields that describe the representation: `Content-Type` and `Content-Encoding`.
    pub fn describe(&self, fields: &mut HeaderMap) {
        fields.insert(header::CONTENT_TYPE, self.media_type.content_type());
        if let Some(coding) = self.coding {
            let name = match coding {
                ContentCoding::Zstd => "zstd",
                ContentCoding::Gzip => "gzip",
            };
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
    }

    /// Returns the value of `Accept-Ranges` for a snapshot all of which can, or can't, be asked for again; none for a coded body, whose address
    /// has ranges of the bytes without the coding.
    pub fn accept_ranges(&self, is_resumable: bool) -> Option<HeaderValue> {
        match self.bytes() {
            _ if self.coding.is_some() => None,
            Bytes::OfTheLog | Bytes::Encoded if is_resumable => Some(HeaderValue::from_static("bytes")),
            Bytes::OfTheLog | Bytes::Encoded | Bytes::LinesAndAMarker => Some(HeaderValue::from_static("none")),
        }
    }

    /// Returns the bytes of the whole.
    pub fn whole(&self, log: &Log) -> Result<ByteRange, RangeError> {
        ByteRange::whole(self.of(log)).map(|whole| self.measured(whole))
    }

    /// Returns the whole without a reader, for a HEAD.
    pub fn head(&self, log: &Log) -> Result<ByteRange, RangeError> {
        ByteRange::head(self.of(log)).map(|whole| self.measured(whole))
    }

    /// Returns the bytes of a range; the whole where there are none (RFC 9110 §14.2).
    pub async fn part(&self, log: &Log, range: Range) -> Result<ByteRange, RangeError> {
        match self.bytes() {
            Bytes::OfTheLog | Bytes::Encoded => ByteRange::part(self.of(log), range).await,
            Bytes::LinesAndAMarker => self.whole(log),
        }
    }

    fn measured(&self, whole: ByteRange) -> ByteRange {
        match self.bytes() {
            Bytes::OfTheLog | Bytes::Encoded if self.coding.is_none() => whole,
            Bytes::OfTheLog | Bytes::Encoded | Bytes::LinesAndAMarker => ByteRange { length: None, ..whole },
        }
    }

    /// Returns the value of `Repr-Digest`, which is of the whole (RFC 9530); none where the whole is not kept.
    pub async fn digest(&self, snapshot: &Snapshot) -> Option<String> {
        match self.bytes() {
            Bytes::OfTheLog if self.coding.is_none() => snapshot.digest().await.map(|digest| digest.to_string()),
            Bytes::OfTheLog | Bytes::LinesAndAMarker | Bytes::Encoded => None,
        }
    }

    /// Returns the addition after a body whose length is open; a digest is made of the whole alone.
    pub(super) fn ending(&self, options: &StreamOptions, range: &ByteRange) -> StreamEnding {
        match (self.bytes(), options.trailers) {
            _ if range.length.is_some() => StreamEnding::Plain,
            (Bytes::LinesAndAMarker, _) => StreamEnding::marker(),
            (_, Trailers::Unwanted) => StreamEnding::Plain,
            (_, Trailers::Accepted) => {
                let is_whole = range.content_range.is_none() && self.coding.is_none();
                let is_wanted = options.digest == WantDigest::Sha256 && is_whole;
                StreamEnding::Trailers(is_wanted.then(RunningDigest::default))
            }
        }
    }
}

/// Returns the value of `Vary` for a URL whose answers depend on these request fields, too.
pub fn vary(more: impl IntoIterator<Item = HeaderName>) -> HeaderValue {
    let names: Vec<_> = SELECTORS.into_iter().chain(more).map(|name| name.as_str().to_owned()).collect();
    HeaderValue::try_from(names.join(", ")).expect("field names are valid in a field value")
}
