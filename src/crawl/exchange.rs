//! One attempt at a page, from its request to the head of its answer.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::pagination::page::Head;
use crate::pagination::retry::demanded;
use crate::pagination::{PageError, PageRequest};
use crate::upstream::coding::ACCEPTED;
use crate::upstream::{Client, DecodedBody, UpstreamError};

/// The most of an error answer's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// What came of an attempt or of all of them: a page, or a refusal.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// A page.
    Page(T),
    /// A status that brings no page, and the start of what came with it.
    Refused(Box<Head>, Bytes),
}

/// What went wrong with one attempt.
pub(super) enum Trouble {
    Transport(UpstreamError),
    Page(PageError),
}

/// Asks once, and gives the head and the body of a page to be read.
pub(super) async fn ask(client: &Client, page: &PageRequest) -> Result<Answer<(Head, DecodedBody)>, Trouble> {
    let permit = client.permit(page).await;
    let response = client.send(&page.url, request(client, page)).await?;
    let (parts, body) = response.into_parts();
    permit.answered(parts.status, &parts.headers);
    let mut body = DecodedBody::new(client.upstream(), &parts.headers, body);
    let head = Head { status: parts.status, headers: on_their_own(&parts.headers), url: page.url.clone() };
    if !holds_a_page(head.status) {
        let start = start_of(&mut body).await;
        let wait = demanded(&client.upstream().retry, &head.headers, &start, SystemTime::now());
        permit.demanded(wait.unwrap_or_default());
        return Ok(Answer::Refused(Box::new(head), start));
    }
    Ok(Answer::Page((head, body.with_permit(permit))))
}

/// The header fields in memory of their own: hyper's are slices of the buffer that the connection was read into, and would keep
/// all of it for as long as a page waits.
fn on_their_own(headers: &HeaderMap) -> HeaderMap {
    let mut own = HeaderMap::with_capacity(headers.keys_len());
    for (name, value) in headers {
        // It was a value before, so that it is one again.
        own.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone()));
    }
    own
}

/// Other successes, as 202 or 207, say that something was done or will be, and carry no page.
fn holds_a_page(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206)
}

fn request(client: &Client, page: &PageRequest) -> Request<crate::upstream::RequestBody> {
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

/// The start of a body that is only read to be told; that it breaks off changes nothing.
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

impl Trouble {
    /// Whether the same request may be answered better a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_transient(),
            Self::Page(wrong) => wrong.is_transient(),
        }
    }
}

impl From<UpstreamError> for Trouble {
    fn from(error: UpstreamError) -> Self {
        Self::Transport(error)
    }
}

impl From<PageError> for Trouble {
    fn from(wrong: PageError) -> Self {
        Self::Page(wrong)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Page(wrong) => wrong.fmt(f),
        }
    }
}
