//! One attempt at a page: its request, the redirects that it leads to, and the head of the answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::failure_report::AttemptError;
use crate::config::Redirects;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::Head;
use crate::pagination::redirects::{RedirectTrail, is_redirect};
use crate::pagination::request::RedactedUrl;
use crate::pagination::retry::{NoContent, PagePlace, demanded};
use crate::pagination::{PageError, PageRequest};
use crate::upstream::{Client, DecodedBody};

/// Most bytes that are read of a refusal's body.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// Makes one attempt: returns the head and the body of a page, after its redirects.
pub(super) async fn exchange(
    client: &Client,
    page: &PageRequest,
    no_content: NoContent,
    place: PagePlace,
) -> Result<(Arc<Head>, DecodedBody), AttemptError> {
    let answered = match answer_to(client, page, no_content).await {
        // Boxed: few pages are redirected, and the futures around each have the room.
        Err(AttemptError::Refused(head, ..)) if is_followed(client, page, head.status) => {
            return Box::pin(redirected(client, page, no_content, place, head)).await;
        }
        answered => answered?,
    };
    if place == PagePlace::First {
        client.redirects().learn(&page.url, &page.url);
    }
    Ok(answered)
}

/// Follows the redirects of a page, the first of which this is; each request has its own permit. The page's relative links are resolved
/// against the URL that answered (RFC 3986 §5.1.3).
async fn redirected(
    client: &Client,
    page: &PageRequest,
    no_content: NoContent,
    place: PagePlace,
    mut from: Box<Head>,
) -> Result<(Arc<Head>, DecodedBody), AttemptError> {
    let upstream = client.upstream();
    let guard = LinkGuard::new(&upstream.url, &upstream.aliases);
    let mut trail = RedirectTrail::new(guard, page.url.clone(), upstream.credentials.query_params());
    loop {
        let status = from.status;
        let url = trail.next(&from.headers).map_err(|why| PageError::Redirect { status, why })?;
        tracing::debug!("{}: redirected to {}", RedactedUrl(&from.url), RedactedUrl(&url));
        let request = PageRequest { url, ..page.clone() };
        let answered = match answer_to(client, &request, no_content).await {
            Err(AttemptError::Refused(head, ..)) if is_followed(client, page, head.status) => {
                from = head;
                continue;
            }
            answered => answered,
        };
        let redirects = client.redirects();
        if answered.is_ok() && (place == PagePlace::First || client.is_at_first_path(&page.url)) {
            redirects.learn(&page.url, &request.url);
        }
        // Refusals, too: one of another page may be the configured end.
        if place == PagePlace::Later || redirects.is_known() {
            redirects.check(&page.url, &request.url).map_err(|why| PageError::Redirect { status, why })?;
        }
        return answered;
    }
}

/// Returns whether such an answer to a page's request leads to another one. A POST is not sent to a second address.
fn is_followed(client: &Client, page: &PageRequest, status: StatusCode) -> bool {
    client.upstream().redirects == Redirects::SameOrigin && page.method == Method::GET && is_redirect(status)
}

/// Sends one request: returns the head and the body of its answer.
async fn answer_to(
    client: &Client,
    page: &PageRequest,
    no_content: NoContent,
) -> Result<(Arc<Head>, DecodedBody), AttemptError> {
    let (permit, response) = client.send_page(page).await?;
    let (mut parts, body) = response.into_parts();
    let mut body = DecodedBody::new(client.upstream(), &parts.headers, body);
    note_framing(&mut parts);
    detach(&mut parts.headers);
    let head = Head { status: parts.status, headers: parts.headers, url: page.url.clone() };
    let is_not_yet = no_content == NoContent::NotYet || client.upstream().retry.statuses.contains(&204);
    if !holds_a_page(head.status) || head.status == StatusCode::NO_CONTENT && is_not_yet {
        if is_followed(client, page, head.status) {
            // Its body is dropped: an upstream could let it drip for as long as it likes.
            return Err(AttemptError::Refused(Box::new(head), Bytes::new(), None));
        }
        let start = start_of(&mut body, client.upstream().timeouts.idle).await;
        let wait = demanded(&client.upstream().retry, &head.headers, &start, SystemTime::now());
        permit.demanded(wait.unwrap_or_default());
        return Err(AttemptError::Refused(Box::new(head), start, permit.member()));
    }
    Ok((Arc::new(head), body.with_permit(permit)))
}

/// Writes into an answer of HTTP/1 that its connection ends with it, where neither a length nor chunks end its body (RFC 9112 §6.3).
fn note_framing(parts: &mut Parts) {
    let has = |name| parts.headers.contains_key(name);
    if parts.version < Version::HTTP_2 && !has(CONTENT_LENGTH) && !has(TRANSFER_ENCODING) {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
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

/// The start of a body that only serves messages, within this time: a body that breaks off or drips is no further error.
async fn start_of(body: &mut DecodedBody, limit: Duration) -> Bytes {
    let mut start = Vec::new();
    let read = async {
        while start.len() < MAX_ERROR_BODY
            && let Some(Ok(piece)) = body.next().await
        {
            start.extend_from_slice(&piece);
        }
    };
    let _is_whole = tokio::time::timeout(limit, read).await;
    start.truncate(MAX_ERROR_BODY);
    Bytes::from(start)
}
