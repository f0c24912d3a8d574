//! Respond: a snapshot and the options of a request become a response with all of it, a part of it, its state, or a problem report.

use http::{Method, Response, Version};

use super::{problem, snapshot_status};
use crate::config::Resume;
use crate::request::{Range, RangeSpec, RequestError, StreamOptions, View};
use crate::response::{Body, ByteRange, Links, RangeError, StreamResponse, redirect};
use crate::snapshot::SnapshotState;

/// Part of a snapshot that a request asks for.
enum RangeSelection {
    Whole,
    Part(Range),
    /// A range that names no snapshot, and may be of another one.
    UnnamedPart,
}

/// Answers a request with a snapshot. `unnamed` is for a range that names none.
pub async fn respond(response: &StreamResponse<'_>, unnamed: Resume) -> Response<Body> {
    let StreamResponse { snapshot, options, representation, links, .. } = *response;
    if options.view == View::Status {
        return snapshot_status::answer(snapshot, options, links);
    }
    if has_it_all(response) {
        return response.not_modified();
    }
    let range = match RangeSelection::new(response) {
        RangeSelection::Whole if options.method == Method::HEAD => representation.head(snapshot.log()),
        RangeSelection::Whole => representation.whole(snapshot.log()),
        RangeSelection::Part(range) => representation.part(snapshot.log(), range).await,
        RangeSelection::UnnamedPart => return respond_to_unnamed_range(links, unnamed),
    };
    match range {
        // HTTP/1.0 ends such a body with the connection, which can't be told from a broken one.
        Ok(ByteRange { length: None, .. }) if options.version < Version::HTTP_11 => {
            problem::bad_request(&RequestError::Http10)
        }
        Ok(range) => response.success(range).await,
        Err(RangeError::Behind(content_range)) => problem::behind(&content_range),
        Err(RangeError::Broken(failure)) => problem::broken(&failure),
        Err(RangeError::Gone(gone)) => problem::dropped(gone),
    }
}

/// Answers a range that names no snapshot, where this one is the newest, or the only one that the range can be of.
pub(super) fn respond_to_unnamed_range(links: &Links, unnamed: Resume) -> Response<Body> {
    match unnamed {
        Resume::Refuse => problem::unnamed_range(Some(&links.pinned)),
        Resume::Redirect => redirect(links),
    }
}

/// Returns `true` where the client has the whole snapshot. Of one that isn't complete it can only have a part, and clients remember its tag as
/// they do that of a whole: a 304 would make a whole of the part.
fn has_it_all(response: &StreamResponse<'_>) -> bool {
    let tag = response.representation.entity_tag(response.snapshot.id());
    let is_known = response.options.if_none_match.as_ref().is_some_and(|known| known.matches(&tag));
    is_known && matches!(response.snapshot.state(), SnapshotState::Complete(_))
}

impl RangeSelection {
    fn new(response: &StreamResponse<'_>) -> Self {
        let StreamOptions { range, if_range, pinned, .. } = response.options;
        let tag = response.representation.entity_tag(response.snapshot.id());
        match (*range, if_range) {
            (Some(range), Some(if_range)) if if_range.matches(&tag) => Self::Part(range),
            (Some(range), None) if pinned.is_some() => Self::Part(range),
            (None, _) | (Some(_), Some(_)) | (Some(Range::Bytes(RangeSpec::From(0))), None) => Self::Whole,
            (Some(_), None) => Self::UnnamedPart,
        }
    }
}
