//! One attempt at a page, from its request to the head of its answer.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use super::prefix_check::PageChanged;
use crate::pagination::page::Head;
use crate::pagination::retry::{NoContent, demanded};
use crate::pagination::{PageError, PageRequest};
use crate::upstream::coding::ACCEPTED;
use crate::upstream::{Client, DecodedBody, UpstreamError};

/// Most bytes that are read of a refusal's body.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// The failure of one attempt.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// A status that brings no page, and the start of its body.
    Refused(Box<Head>, Bytes),
    Transport(UpstreamError),
    Page(PageError),
}

/// Asks once, and returns the head and the body of a page.
pub(super) async fn exchange(
    client: &Client,
    page: &PageRequest,
    no_content: NoContent,
) -> Result<(Arc<Head>, DecodedBody), AttemptError> {
    let permit = client.permit(page).await;
    let response = client.send(&page.url, request(client, page)).await?;
    let (mut parts, body) = response.into_parts();
    permit.answered(parts.status, &parts.headers);
    let mut body = DecodedBody::new(client.upstream(), &parts.headers, body);
    detach(&mut parts.headers);
    let head = Head { status: parts.status, headers: parts.headers, url: page.url.clone() };
    let is_not_yet = no_content == NoContent::NotYet || client.upstream().retry.statuses.contains(&204);
    if !holds_a_page(head.status) || head.status == StatusCode::NO_CONTENT && is_not_yet {
        let start = start_of(&mut body).await;
        let wait = demanded(&client.upstream().retry, &head.headers, &start, SystemTime::now());
        permit.demanded(wait.unwrap_or_default());
        return Err(AttemptError::Refused(Box::new(head), start));
    }
    Ok((Arc::new(head), body.with_permit(permit)))
}

/// Copies the values into one buffer of their own: hyper's are slices of the buffer that the connection was read into, and would
/// keep all of it for as long as a page waits.
fn detach(headers: &mut HeaderMap) {
    let mut buffer = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values_mut() {
        buffer.extend_from_slice(value.as_bytes());
        *value = HeaderValue::from_maybe_shared(buffer.split().freeze()).expect("the bytes are those of a valid value");
    }
}

/// Other successes, as 202 or 207, say that something was done or will be, and carry no page.
fn holds_a_page(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206)
}

fn request(client: &Client, page: &PageRequest) -> Request<crate::upstream::OutgoingBody> {
    let body = page.body.as_ref().map(crate::pagination::request::RequestBody::to_bytes).unwrap_or_default();
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = page.method.clone();
    let headers = request.headers_mut();
    headers.clone_from(&page.headers);
    headers.insert(header::ACCEPT, client.upstream().accept.clone());
    headers.entry(header::ACCEPT_ENCODING).or_insert(ACCEPTED);
    if let Some(media_type) = page.body.as_ref().and_then(crate::pagination::request::RequestBody::media_type) {
        // A label of the same kind (a `+json` type, a charset) is kept.
        let fits = |label: &HeaderValue| label.to_str().is_ok_and(|label| label.contains(kind_of(media_type)));
        if !headers.get(header::CONTENT_TYPE).is_some_and(fits) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
    }
    request
}

fn kind_of(media_type: &str) -> &str {
    if media_type.ends_with("json") { "json" } else { media_type }
}

/// The start of a body that only serves messages: a body that breaks off is no further error.
async fn start_of(body: &mut DecodedBody) -> Bytes {
    let mut start = Vec::new();
    while start.len() < MAX_ERROR_BODY {
        match body.next().await {
            Some(Ok(piece)) => start.extend_from_slice(&piece),
            Some(Err(_)) | None => break,
        }
    }
    start.truncate(MAX_ERROR_BODY);
    Bytes::from(start)
}

impl AttemptError {
    /// Returns whether the same request may be answered better a moment later; of a refusal, its status decides.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused(..) => true,
            Self::Transport(error) => error.is_transient(),
            Self::Page(error) => error.is_transient(),
        }
    }

    /// Returns whether a page that was asked for ahead of its turn may not exist. One that the upstream has no time for now is
    /// like any other page.
    pub(super) fn may_lie_behind_the_end(&self) -> bool {
        match self {
            Self::Refused(head, _) => {
                !matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Transport(UpstreamError::Stale(..)) => false,
            Self::Transport(_) | Self::Page(_) => true,
        }
    }
}

impl From<UpstreamError> for AttemptError {
    fn from(error: UpstreamError) -> Self {
        Self::Transport(error)
    }
}

impl From<PageError> for AttemptError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl From<PageChanged> for AttemptError {
    fn from(changed: PageChanged) -> Self {
        Self::Page(PageError::Changed(changed.records))
    }
}
