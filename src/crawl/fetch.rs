//! One attempt at a page, from its request to the head of its answer, and whether there is to be another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::pagination::page::Head;
use crate::pagination::request::Shown;
use crate::pagination::retry::{Decision, Outcome, decide, demanded};
use crate::pagination::split::{Shape, Splitter};
use crate::pagination::{Blame, Caps, PageRequest, Wrong};
use crate::snapshot::{Failure, Fault};
use crate::upstream::coding::ACCEPTED;
use crate::upstream::{Client, DecodedBody, Error};

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
    Transport(Error),
    Page(Wrong),
}

/// A page as it came, for whom nothing is known of it yet.
pub(super) async fn whole(
    client: &Client,
    request: &PageRequest,
    caps: &Caps,
    shape: &Arc<Shape>,
) -> Result<Answer<(Head, Bytes)>, Failure> {
    let mut attempts = Attempts::default();
    loop {
        let tried = attempt_whole(client, request, caps, shape).await;
        if let Some(settled) = attempts.settle(client, request, tried).await {
            return settled;
        }
    }
}

async fn attempt_whole(
    client: &Client,
    request: &PageRequest,
    caps: &Caps,
    shape: &Arc<Shape>,
) -> Result<Answer<(Head, Bytes)>, Trouble> {
    let (head, mut body) = match ask(client, request).await? {
        Answer::Page(answer) => answer,
        Answer::Refused(head, body) => return Ok(Answer::Refused(head, body)),
    };
    let mut raw = BytesMut::from(if head.status == StatusCode::NO_CONTENT { "{}" } else { "" });
    while let Some(piece) = client.piece(&mut body).await? {
        if (raw.len() + piece.len()) as u64 > caps.page_bytes {
            return Err(Wrong::PageTooLarge(caps.page_bytes).into());
        }
        raw.extend_from_slice(&piece);
    }
    let mut splitter = Splitter::new(Arc::clone(shape));
    splitter.feed(&raw)?;
    splitter.finish()?;
    Ok(Answer::Page((head, raw.freeze())))
}

/// How often a page has been asked for.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    counted: u32,
    free: Free,
}

/// What a page has once: an attempt that costs nothing, because the connection was closed before it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Free {
    #[default]
    Left,
    Taken,
}

impl Attempts {
    /// What came of them all, after one more; none if the page is to be asked for again, and the wait for that is over.
    pub(super) async fn settle<T>(
        &mut self,
        client: &Client,
        request: &PageRequest,
        tried: Result<Answer<T>, Trouble>,
    ) -> Option<Result<Answer<T>, Failure>> {
        if let Err(Trouble::Transport(error @ Error::Stale(..))) = &tried
            && self.free == Free::Left
        {
            self.free = Free::Taken;
            tracing::debug!("{}: {error}; it had been idle, asking again at once", Shown(&request.url));
            return None;
        }
        self.counted += 1;
        let policy = &client.upstream().retry;
        let outcome = match &tried {
            Ok(Answer::Page(_)) => None,
            Err(trouble) if !trouble.may_pass() => None,
            Ok(Answer::Refused(head, body)) => {
                Some(Outcome::Answered(head.status, demanded(policy, &head.headers, body, SystemTime::now())))
            }
            Err(_) => Some(Outcome::Broken),
        };
        let decision = outcome.map(|outcome| decide(policy, &outcome, self.counted, fastrand::f64()));
        let Some(Decision::Again(after)) = decision else {
            let settled = tried.map(|answer| redacted(client, answer, request));
            return Some(settled.map_err(|trouble| failed(client, &trouble, request)));
        };
        log_retry(client, &tried, request, self.counted, after);
        drop(tried);
        tokio::time::sleep(after).await;
        None
    }
}

/// A refusal without what it repeats of the request in confidence: here, where it is still whole, since an excerpt may cut
/// a secret and so hide it.
fn redacted<T>(client: &Client, answer: Answer<T>, request: &PageRequest) -> Answer<T> {
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

/// Asks once, and gives the head and the body of a page to be read.
pub(super) async fn ask(client: &Client, page: &PageRequest) -> Result<Answer<(Head, DecodedBody)>, Trouble> {
    let response = client.send(&page.url, request(client, page)).await?;
    let (parts, body) = response.into_parts();
    let mut body = DecodedBody::of(&parts.headers, body);
    let head = Head { status: parts.status, headers: parts.headers, url: page.url.clone() };
    if !holds_a_page(head.status) {
        return Ok(Answer::Refused(Box::new(head), start_of(client, &mut body).await));
    }
    Ok(Answer::Page((head, body)))
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

fn log_retry<T>(
    client: &Client,
    tried: &Result<Answer<T>, Trouble>,
    request: &PageRequest,
    attempt: u32,
    after: Duration,
) {
    let what = match tried {
        Ok(Answer::Refused(head, _)) => format!("the upstream answered {}", head.status),
        Ok(Answer::Page(_)) => return,
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

/// What waited for its turn on disk can't be read again.
pub(super) fn unreadable_spool(error: &std::io::Error) -> Failure {
    let message = format!("records that waited on disk can't be read again: {error}");
    Failure::new(Fault::Stopped, message, "look at the disk of the temporary files, or set caps.spool = \"0\"")
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
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Transport(error) => error.may_pass(),
            Self::Page(wrong) => wrong.may_pass(),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Transport(error)
    }
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
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
