//! One attempt at a page, from its request to the head of its answer, and whether there is to be another.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::pagination::page::Head;
use crate::pagination::request::Shown;
use crate::pagination::retry::{Allowance, Decision, Halvable, Outcome, Overload, Spent, decide, demanded, overload};
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
    let mut attempts = Attempts::new(Allowance::new(&client.upstream().retry));
    loop {
        let tried = attempt_whole(&attempts.door(client), request, caps, shape).await;
        if let Some(settled) = attempts.settle(client, request, tried, Halvable::No).await {
            return settled.came;
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

/// Why a page was given up.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) failure: Failure,
    /// Whether a smaller page is worth a try.
    pub(super) overload: Overload,
}

/// What came of all attempts at a page.
#[derive(Debug)]
pub(super) struct Settled<T> {
    pub(super) came: Result<Answer<T>, Failure>,
    /// Whether a smaller page is worth a try, where none came.
    pub(super) overload: Overload,
}

/// How often a page has been asked for.
#[derive(Debug)]
pub(super) struct Attempts {
    counted: u32,
    free: Free,
    allowance: Allowance,
    /// Retries of a page that may be too large. If it is, a smaller one takes its place, and they count for nothing: at large pages all
    /// in flight fail at once, which is no storm, since it ends with them.
    owed: u64,
}

/// What a page has once: an attempt that costs nothing, because the connection was closed before it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Free {
    Left,
    /// This is it.
    Now,
    Taken,
}

impl Attempts {
    /// Those at another page of the crawl that has this allowance.
    pub(super) fn new(allowance: Allowance) -> Self {
        allowance.page();
        Self { counted: 0, free: Free::Left, allowance, owed: 0 }
    }

    /// Whom to ask now.
    pub(super) fn door(&self, client: &Client) -> Client {
        if self.free == Free::Now { client.unpooled() } else { client.clone() }
    }

    /// What came of them all, after one more; none if the page is to be asked for again, and the wait for that is over.
    pub(super) async fn settle<T>(
        &mut self,
        client: &Client,
        request: &PageRequest,
        tried: Result<Answer<T>, Trouble>,
        halvable: Halvable,
    ) -> Option<Settled<T>> {
        if let Err(Trouble::Transport(error @ Error::Stale(..))) = &tried
            && self.free == Free::Left
        {
            self.free = Free::Now;
            tracing::debug!("{}: {error}; it had been idle, asking again at once", Shown(&request.url));
            return None;
        }
        if self.free == Free::Now {
            self.free = Free::Taken;
        }
        self.counted += 1;
        let policy = &client.upstream().retry;
        let outcome = outcome(client, &tried);
        let overload = outcome.as_ref().map_or(Overload::No, |outcome| overload(policy, outcome, halvable));
        let decision = outcome.as_ref().map(|outcome| decide(policy, outcome, halvable, self.counted, fastrand::f64()));
        let (Some(outcome), Some(Decision::Again(after))) = (outcome, decision) else {
            if overload == Overload::No {
                self.allowance.count(std::mem::take(&mut self.owed));
            }
            let came = tried.map(|answer| redacted(client, answer, request));
            return Some(Settled { came: came.map_err(|trouble| failed(client, &trouble, request)), overload });
        };
        if let Err(spent) = self.again(&outcome, overload) {
            return Some(Settled { came: too_often(client, spent, tried, request), overload: Overload::No });
        }
        let wait = client.back_off(after);
        log_retry(client, &tried, request, self.counted, after);
        drop(tried);
        wait.await;
        None
    }
}

impl Attempts {
    /// Another attempt is to be made, after this.
    fn again(&mut self, outcome: &Outcome, overload: Overload) -> Result<(), Spent> {
        match overload {
            Overload::No => self.allowance.again(outcome),
            Overload::Likely => {
                self.owed += 1;
                self.allowance.left()
            }
        }
    }
}

/// What came of an attempt that another one may mend.
fn outcome<T>(client: &Client, tried: &Result<Answer<T>, Trouble>) -> Option<Outcome> {
    match tried {
        Ok(Answer::Page(_)) => None,
        Ok(Answer::Refused(head, body)) => {
            let demanded = demanded(&client.upstream().retry, &head.headers, body, SystemTime::now());
            Some(Outcome::Answered(head.status, demanded))
        }
        Err(trouble) if !trouble.may_pass() => None,
        Err(Trouble::Transport(Error::Timeout(..))) => Some(Outcome::TimedOut),
        Err(_) => Some(Outcome::Broken),
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
    let permit = client.permit(page).await;
    let response = client.send(&page.url, request(client, page)).await?;
    let (parts, body) = response.into_parts();
    permit.answered(parts.status, &parts.headers);
    let mut body = DecodedBody::of(&parts.headers, body);
    let head = Head { status: parts.status, headers: on_their_own(&parts.headers), url: page.url.clone() };
    if !holds_a_page(head.status) {
        let start = start_of(client, &mut body).await;
        let wait = demanded(&client.upstream().retry, &head.headers, &start, SystemTime::now());
        permit.demanded(wait.unwrap_or_default());
        return Ok(Answer::Refused(Box::new(head), start));
    }
    Ok(Answer::Page((head, body.under(permit))))
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

pub(super) fn failed(client: &Client, trouble: &Trouble, request: &PageRequest) -> Failure {
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

/// What came of a page that may not be asked for again, because others were.
fn too_often<T>(
    client: &Client,
    spent: Spent,
    tried: Result<Answer<T>, Trouble>,
    request: &PageRequest,
) -> Result<Answer<T>, Failure> {
    let last = match tried {
        Ok(page @ Answer::Page(_)) => return Ok(page),
        Ok(Answer::Refused(head, _)) => {
            let message = format!("{}: the upstream answered {}", Shown(&request.url), head.status);
            Failure { headers: kept_headers(&head), ..Failure::new(Fault::Refused(head.status), message, "") }
        }
        Err(trouble) => failed(client, &trouble, request),
    };
    Err(Failure { message: format!("{}; {spent}", last.message), hint: spent.hint().to_owned(), ..last })
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
        (_, Blame::Unpage) => Fault::Stopped,
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

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::config::Upstream;

    /// How often a page is asked for that always fails in this way, and why it is given up.
    async fn given_up(halvable: Halvable, trouble: fn() -> Result<Answer<()>, Trouble>) -> (u32, Overload) {
        let url = Url::parse("http://a/").unwrap();
        let client = Client::new(Arc::new(Upstream::at(url.clone())), &crate::upstream::Governors::default()).unwrap();
        let request = PageRequest { method: http::Method::GET, url, headers: HeaderMap::new(), body: None };
        let mut attempts = Attempts::new(Allowance::new(&client.upstream().retry));
        let mut asked = 0;
        loop {
            asked += 1;
            if let Some(settled) = attempts.settle(&client, &request, trouble(), halvable).await {
                return (asked, settled.overload);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_retries_of_pages_that_are_too_large_count_for_nothing() {
        let url = Url::parse("http://a/").unwrap();
        let client = Client::new(Arc::new(Upstream::at(url.clone())), &crate::upstream::Governors::default()).unwrap();
        let request = PageRequest { method: http::Method::GET, url, headers: HeaderMap::new(), body: None };
        for (last, is_spent) in [(StatusCode::BAD_GATEWAY, false), (StatusCode::NOT_FOUND, true)] {
            let allowance = Allowance::new(&client.upstream().retry);
            // Six pages take two retries each, where ten are allowed and one for five pages.
            for _ in 0..6 {
                let mut attempts = Attempts::new(allowance.clone());
                for status in [StatusCode::BAD_GATEWAY; 2] {
                    assert!(attempts.settle(&client, &request, refused(status), Halvable::Yes).await.is_none());
                }
                assert!(attempts.settle(&client, &request, refused(last), Halvable::Yes).await.is_some());
            }
            assert_eq!(allowance.left().is_err(), is_spent, "{last}");
        }
    }

    fn refused(status: StatusCode) -> Result<Answer<()>, Trouble> {
        let url = Url::parse("http://a/").unwrap();
        Ok(Answer::Refused(Box::new(Head { status, headers: HeaderMap::new(), url }), Bytes::new()))
    }

    fn late() -> Result<Answer<()>, Trouble> {
        Err(Error::Timeout("http://a".to_owned(), Duration::ZERO.into()).into())
    }

    fn stale() -> Result<Answer<()>, Trouble> {
        Err(Error::Stale("http://a".to_owned(), "closed".to_owned()).into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_can_be_smaller_is_given_up_sooner_where_it_may_be_too_much() {
        let full = || refused(StatusCode::BAD_GATEWAY);
        for (halvable, attempts, overload) in [(Halvable::No, 5, Overload::No), (Halvable::Yes, 3, Overload::Likely)] {
            assert_eq!(given_up(halvable, late).await, (attempts, overload));
            assert_eq!(given_up(halvable, full).await, (attempts, overload));
            assert_eq!(given_up(halvable, || Err(Wrong::EmptyPage.into())).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::TOO_MANY_REQUESTS)).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::SERVICE_UNAVAILABLE)).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || Err(Wrong::Repeat(1).into())).await, (1, Overload::No));
            assert_eq!(given_up(halvable, stale).await, (6, Overload::No), "one of them is free");
        }
    }
}
