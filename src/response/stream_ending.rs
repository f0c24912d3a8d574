//! Additions after the records of a stream, for clients that ask for them: trailer fields (RFC 9110 §6.5), or a last line.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use serde_json::json;

use super::verdict_field::{self, UNPAGE_VERDICT};
use crate::error::Failure;
use crate::format::ColumnUse;
use crate::pagination::verdict::Verdict;
use crate::snapshot::RunningDigest;

pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Addition after the records of a body whose end is open.
#[derive(Debug)]
pub enum StreamEnding {
    /// None: the clean end says it.
    Plain,
    /// The verdict, and the digest of the body where it is wanted.
    Trailers(Option<RunningDigest>),
    /// A line with the verdict and the digest of the lines before it, or with the failure.
    Marker { digest: RunningDigest, cut: LineCut },
}

/// Place at which the bytes so far end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCut {
    Between,
    /// Inside of a line, as those of a broken stream do: its newest record is held back.
    Within,
}

impl StreamEnding {
    pub(super) fn marker() -> Self {
        Self::Marker { digest: RunningDigest::default(), cut: LineCut::Between }
    }

    /// Returns the value of `Trailer` (RFC 9110 §6.6.2), where there are some: hyper sends those alone that a head names.
    pub(super) fn announced(&self) -> Option<HeaderValue> {
        match self {
            Self::Trailers(None) => Some(HeaderValue::from_static("unpage-verdict")),
            Self::Trailers(Some(_)) => Some(HeaderValue::from_static("unpage-verdict, repr-digest")),
            Self::Plain | Self::Marker { .. } => None,
        }
    }

    /// Notes bytes of the body.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain | Self::Trailers(None) => {}
            Self::Trailers(Some(digest)) => digest.update(bytes),
            Self::Marker { digest, cut } => {
                digest.update(bytes);
                if let Some(last) = bytes.last() {
                    *cut = if *last == b'\n' { LineCut::Between } else { LineCut::Within };
                }
            }
        }
    }

    pub(super) fn complete(&mut self, verdict: &Verdict, column_use: Option<&ColumnUse>) -> Option<Frame<Bytes>> {
        match std::mem::replace(self, Self::Plain) {
            Self::Plain => None,
            Self::Trailers(digest) => {
                let mut fields = HeaderMap::from_iter([(UNPAGE_VERDICT, verdict_field::value(verdict, column_use))]);
                if let Some(digest) = digest {
                    let digest = digest.finish().to_string();
                    fields.insert(REPR_DIGEST, HeaderValue::try_from(digest).expect("a digest is base64"));
                }
                Some(Frame::trailers(fields))
            }
            Self::Marker { digest, .. } => {
                let digest = digest.finish().to_string();
                Some(line("", &json!({ "end": "complete", "verdict": verdict, "digest": digest })))
            }
        }
    }

    /// Returns the last frame of a broken stream, after which the connection is aborted.
    pub(super) fn broken(&mut self, failure: &Failure) -> Option<Frame<Bytes>> {
        let Self::Marker { cut, .. } = std::mem::replace(self, Self::Plain) else { return None };
        let before = if cut == LineCut::Within { "\n" } else { "" };
        let Failure { fault, message, hint, .. } = failure;
        Some(line(before, &json!({ "end": "broken", "fault": fault.name(), "message": message, "hint": hint })))
    }
}

fn line(before: &str, end: &serde_json::Value) -> Frame<Bytes> {
    Frame::data(format!("{before}{}\n", json!({ "_unpage": end })).into())
}
