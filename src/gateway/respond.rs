//! Respond: a snapshot and the options of a request become a response with all of it, a part of it, its state, or a problem report.

use http::{Method, Response, Version};

use super::{problem, snapshot_status};
use crate::config::Resume;
use crate::request::{Range, RequestError, View};
use crate::response::{Body, ByteRange, RangeError, StreamResponse, redirect};
use crate::server::Resumable;
use crate::snapshot::SnapshotState;

/// Answers a request with a snapshot. `unnamed` is for a range that names none.
pub async fn respond(response: &StreamResponse<'_>, unnamed: Resume) -> Response<Body> {
    let StreamResponse { snapshot, options, representation, .. } = *response;
    if options.view == View::Status {
        return snapshot_status::answer(response);
    }
    if has_it_all(response) {
        return response.not_modified();
    }
    if options.has_unnamed_range() {
        return respond_to_unnamed_range(response.pinned_url(), unnamed);
    }
    let _first = match representation.check(snapshot.log(), options).await {
        Ok(first) => first,
        Err(refusal) => return problem::failed(&refusal),
    };
    if options.wait.is_some() {
        representation.measure(snapshot.log()).await;
    }
    let representation = match representation.derived(snapshot, options.wait).await {
        Ok(representation) => representation,
        Err(failure) => return problem::failed(&failure),
    };
    let (representation, response) =
        (&representation, &StreamResponse { representation: &representation, ..*response });
    let range = match range_of(response) {
        Some(range) => representation.part(snapshot.log(), range).await,
        None if options.method == Method::HEAD => representation.head(snapshot.log()),
        None => representation.whole(snapshot.log()),
    };
    match range {
        // HTTP/1.0 ends such a body with the connection, which can't be told from a broken one.
        Ok(ByteRange { length: None, .. }) if options.version < Version::HTTP_11 => {
            let has_length = options.fields.is_none();
            problem::bad_request(&if has_length { RequestError::Http10 } else { RequestError::Http10Length })
        }
        Ok(range) => {
            let mut response = response.success(range).await;
            // Its client goes on at its byte when it pauses for too long.
            response.extensions_mut().insert(Resumable);
            response
        }
        Err(RangeError::Behind(content_range)) => problem::behind(&content_range),
        Err(RangeError::Broken(failure)) => problem::broken(&failure),
        Err(RangeError::Gone(gone)) => problem::dropped(gone),
    }
}

/// Answers a range that names no snapshot, where this one is the newest, or the only one that the range can be of.
pub(super) fn respond_to_unnamed_range(pinned_url: String, unnamed: Resume) -> Response<Body> {
    match unnamed {
        Resume::Refuse => problem::unnamed_range(Some(&pinned_url)),
        Resume::Redirect => redirect(pinned_url),
    }
}

/// Returns `true` where the client has the whole snapshot. Of one that isn't complete it can only have a part, and clients remember its tag as
/// they do that of a whole: a 304 would make a whole of the part.
fn has_it_all(response: &StreamResponse<'_>) -> bool {
    let tag = response.representation.entity_tag(response.snapshot.id());
    let is_known = response.options.if_none_match.as_ref().is_some_and(|known| known.matches(&tag));
    is_known && matches!(response.snapshot.state(), SnapshotState::Complete(_))
}

/// Returns the range of this snapshot; none for the whole, which a client gets that has a part of another one.
fn range_of(response: &StreamResponse<'_>) -> Option<Range> {
    let options = response.options;
    let is_of_this = match &options.if_range {
        Some(if_range) => if_range.matches(&response.representation.entity_tag(response.snapshot.id())),
        None => response.is_named,
    };
    options.range.filter(|_| is_of_this)
}
