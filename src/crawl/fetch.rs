//! One page, from its request to its records: asked for again where that may help, and given whole or not at all.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::pagination::page::{Head, Page};
use crate::pagination::request::Shown;
use crate::pagination::retry::{Decision, Outcome, decide, demanded};
use crate::pagination::split::{Shape, Splitter};
use crate::pagination::{Blame, PageRequest, Wrong};
use crate::snapshot::{Failure, Fault};
use crate::upstream::coding::ACCEPTED;
use crate::upstream::{Client, DecodedBody, Error};

/// The most of an error answer's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// What came of asking for a page.
#[derive(Debug)]
pub(super) enum Answer {
    /// A page.
    Page(Head, Page),
    /// A status that brings no page, and the start of what came with it.
    Refused(Head, Bytes),
}

/// What went wrong with one attempt.
enum Trouble {
    Transport(Error),
    Page(Wrong),
}

/// Asks for a page until it is there, refused for good, or given up.
pub(super) async fn page(client: &Client, request: &PageRequest, shape: &Arc<Shape>) -> Result<Answer, Failure> {
    let policy = &client.upstream().retry;
    let mut attempt = 1;
    loop {
        let tried = attempt_once(client, request, shape).await;
        let outcome = match &tried {
            Ok(Answer::Page(..)) => return tried.map_err(|trouble| failed(client, &trouble, request)),
            Ok(Answer::Refused(head, body)) => {
                Outcome::Answered(head.status, demanded(policy, &head.headers, body, SystemTime::now()))
            }
            Err(trouble) if !trouble.may_pass() => {
                return tried.map_err(|trouble| failed(client, &trouble, request));
            }
            Err(_) => Outcome::Broken,
        };
        match decide(policy, &outcome, attempt, fastrand::f64()) {
            Decision::GiveUp => {
                let told = tried.map(|answer| redacted(client, answer, request));
                return told.map_err(|trouble| failed(client, &trouble, request));
            }
            Decision::Again(after) => {
                log_retry(client, &tried, request, attempt, after);
                tokio::time::sleep(after).await;
                attempt += 1;
            }
        }
    }
}

/// A refusal without what it repeats of the request in confidence: here, where it is still whole, since an excerpt may cut
/// a secret and so hide it.
fn redacted(client: &Client, answer: Answer, request: &PageRequest) -> Answer {
    let Answer::Refused(mut head, body) = answer else { return answer };
    let clean = |bytes: &[u8]| client.redact(&request.url, &request.headers, &String::from_utf8_lossy(bytes));
    if let Some(location) = head.headers.get_mut(header::LOCATION)
        && let Ok(clean) = HeaderValue::from_bytes(clean(location.as_bytes()).as_bytes())
    {
        *location = clean;
    }
    let body = Bytes::from(clean(&body));
    Answer::Refused(head, body)
}

async fn attempt_once(client: &Client, page: &PageRequest, shape: &Arc<Shape>) -> Result<Answer, Trouble> {
    let response = client.send(&page.url, request(client, page)).await.map_err(Trouble::Transport)?;
    let (parts, body) = response.into_parts();
    let mut body = DecodedBody::of(&parts.headers, body);
    let head = Head { status: parts.status, headers: parts.headers, url: page.url.clone() };
    if !holds_a_page(head.status) {
        return Ok(Answer::Refused(head, start_of(client, &mut body).await));
    }
    let mut splitter = Splitter::new(Arc::clone(shape));
    if head.status == StatusCode::NO_CONTENT {
        splitter.feed(b"{}").map_err(Trouble::Page)?;
    }
    while let Some(piece) = client.piece(&mut body).await.map_err(Trouble::Transport)? {
        splitter.feed(&piece).map_err(Trouble::Page)?;
    }
    splitter.finish().map(|page| Answer::Page(head, page)).map_err(Trouble::Page)
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
async fn start_of(client: &Client, body: &mut DecodedBody) -> Bytes {
    let mut start = Vec::new();
    while start.len() < MAX_ERROR_BODY {
        match client.piece(body).await {
            Ok(Some(piece)) => start.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    start.truncate(MAX_ERROR_BODY);
    Bytes::from(start)
}

fn log_retry(client: &Client, tried: &Result<Answer, Trouble>, request: &PageRequest, attempt: u32, after: Duration) {
    let what = match tried {
        Ok(Answer::Refused(head, _)) => format!("the upstream answered {}", head.status),
        Ok(Answer::Page(..)) => return,
        Err(trouble) => client.redact(&request.url, &request.headers, &trouble.to_string()),
    };
    let after = humantime::Duration::from(Duration::from_millis(after.as_millis().try_into().unwrap_or(u64::MAX)));
    tracing::warn!("{}: {what}; attempt {attempt} failed, asking again in {after}", Shown(&request.url));
}

fn failed(client: &Client, trouble: &Trouble, request: &PageRequest) -> Failure {
    let message = |error: &Error| format!("{}: {error}", Shown(&request.url));
    match trouble {
        Trouble::Transport(error @ Error::Timeout(..)) => Failure::new(Fault::Timeout, message(error), error.hint()),
        Trouble::Transport(error @ Error::Coding(_)) => {
            // It may repeat a header field of the upstream's.
            let message = client.redact(&request.url, &request.headers, &message(error));
            Failure::new(Fault::Upstream, message, error.hint())
        }
        Trouble::Transport(error) => Failure::new(Fault::Unreachable, message(error), error.hint()),
        Trouble::Page(wrong) => told(client, wrong, &request.url, &request.headers),
    }
}

/// A [`Wrong`] as the cause of a broken crawl.
pub(super) fn wrong_page(client: &Client, wrong: &Wrong, url: &url::Url) -> Failure {
    told(client, wrong, url, &HeaderMap::new())
}

fn told(client: &Client, wrong: &Wrong, url: &url::Url, headers: &HeaderMap) -> Failure {
    let fault = match (wrong, wrong.blame()) {
        (Wrong::Status { status, .. }, _) => Fault::Refused(*status),
        (_, Blame::Upstream) => Fault::Upstream,
        (_, Blame::Configuration) => Fault::Configuration,
        (_, Blame::Unproven) => Fault::Unproven,
    };
    let mut message = wrong.to_string();
    let mut source = std::error::Error::source(wrong);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    if let Wrong::Status { excerpt, .. } = wrong
        && !excerpt.trim().is_empty()
    {
        message = format!("{message}, saying `{}`", excerpt.trim());
    }
    Failure::new(fault, format!("{}: {}", Shown(url), client.redact(url, headers, &message)), wrong.hint())
}

/// What the client needs of a refusal's head to act on its status.
pub(super) fn kept_headers(head: &Head) -> Vec<(http::HeaderName, HeaderValue)> {
    [header::WWW_AUTHENTICATE, header::RETRY_AFTER]
        .into_iter()
        .filter_map(|name| head.headers.get(&name).map(|value| (name, value.clone())))
        .collect()
}

impl Trouble {
    /// Whether the same request may be answered better a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Transport(error) => error.may_pass(),
            Self::Page(wrong) => wrong.may_pass(),
        }
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
