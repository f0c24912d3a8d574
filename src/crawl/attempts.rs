//! The attempts at one page: what came of each, whether there is to be another, and what came of them all.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{HeaderValue, StatusCode, header};

use super::exchange::{Answer, Trouble, ask};
use super::failure::{failed, kept_headers};
use crate::error::{Failure, Fault};
use crate::pagination::page::Head;
use crate::pagination::request::RedactedUrl;
use crate::pagination::retry::{
    AttemptOutcome, Halvable, Overload, RetryBudget, RetryBudgetSpent, RetryDecision, decide, demanded, overload,
};
use crate::pagination::split::{PageShape, Splitter};
use crate::pagination::{Caps, PageError, PageRequest};
use crate::upstream::{Client, UpstreamError};

/// A page as it came, for whom nothing is known of it yet.
pub(super) async fn whole(
    client: &Client,
    request: &PageRequest,
    caps: &Caps,
    shape: &Arc<PageShape>,
) -> Result<Answer<(Head, Bytes)>, Failure> {
    let mut attempts = Attempts::new(RetryBudget::new(&client.upstream().retry));
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
    shape: &Arc<PageShape>,
) -> Result<Answer<(Head, Bytes)>, Trouble> {
    let (head, mut body) = match ask(client, request).await? {
        Answer::Page(answer) => answer,
        Answer::Refused(head, body) => return Ok(Answer::Refused(head, body)),
    };
    let mut raw = BytesMut::from(if head.status == StatusCode::NO_CONTENT { "{}" } else { "" });
    while let Some(piece) = body.try_next().await? {
        if (raw.len() + piece.len()) as u64 > caps.page_bytes {
            return Err(PageError::PageTooLarge(caps.page_bytes).into());
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
    budget: RetryBudget,
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
    /// Those at another page of the crawl that has this budget.
    pub(super) fn new(budget: RetryBudget) -> Self {
        budget.count_page();
        Self { counted: 0, free: Free::Left, budget, owed: 0 }
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
        if let Err(Trouble::Transport(error @ UpstreamError::Stale(..))) = &tried
            && self.free == Free::Left
        {
            self.free = Free::Now;
            tracing::debug!("{}: {error}; it had been idle, asking again at once", RedactedUrl(&request.url));
            return None;
        }
        if self.free == Free::Now {
            self.free = Free::Taken;
        }
        self.counted += 1;
        let policy = &client.upstream().retry;
        let outcome = outcome(client, &tried);
        let overload = outcome.as_ref().map_or(Overload::No, |outcome| overload(policy, outcome, halvable));
        let decision = outcome.as_ref().map(|outcome| decide(policy, outcome, overload, self.counted, fastrand::f64()));
        let (Some(outcome), Some(RetryDecision::Again(after))) = (outcome, decision) else {
            if overload == Overload::No {
                self.budget.count_retries(std::mem::take(&mut self.owed));
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
    fn again(&mut self, outcome: &AttemptOutcome, overload: Overload) -> Result<(), RetryBudgetSpent> {
        match overload {
            Overload::No => self.budget.spend(outcome),
            Overload::Likely => {
                self.owed += 1;
                self.budget.check()
            }
        }
    }
}

/// What came of an attempt that another one may mend.
fn outcome<T>(client: &Client, tried: &Result<Answer<T>, Trouble>) -> Option<AttemptOutcome> {
    match tried {
        Ok(Answer::Page(_)) => None,
        Ok(Answer::Refused(head, body)) => {
            let demanded = demanded(&client.upstream().retry, &head.headers, body, SystemTime::now());
            Some(AttemptOutcome::Answered(head.status, demanded))
        }
        Err(trouble) if !trouble.is_transient() => None,
        Err(Trouble::Transport(UpstreamError::Timeout(..))) => Some(AttemptOutcome::TimedOut),
        Err(_) => Some(AttemptOutcome::Broken),
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
    tracing::warn!("{}: {what}; attempt {attempt} failed, asking again in {after}", RedactedUrl(&request.url));
}

/// What came of a page that may not be asked for again, because others were.
fn too_often<T>(
    client: &Client,
    spent: RetryBudgetSpent,
    tried: Result<Answer<T>, Trouble>,
    request: &PageRequest,
) -> Result<Answer<T>, Failure> {
    let last = match tried {
        Ok(page @ Answer::Page(_)) => return Ok(page),
        Ok(Answer::Refused(head, _)) => {
            let message = format!("{}: the upstream answered {}", RedactedUrl(&request.url), head.status);
            Failure { headers: kept_headers(&head), ..Failure::new(Fault::Refused(head.status), message, "") }
        }
        Err(trouble) => failed(client, &trouble, request),
    };
    Err(Failure { message: format!("{}; {spent}", last.message), hint: spent.hint().to_owned(), ..last })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use url::Url;

    use super::*;
    use crate::config::Upstream;

    /// How often a page is asked for that always fails in this way, and why it is given up.
    async fn given_up(halvable: Halvable, trouble: fn() -> Result<Answer<()>, Trouble>) -> (u32, Overload) {
        let url = Url::parse("http://a/").unwrap();
        let client = Client::new(Arc::new(Upstream::at(url.clone())), &crate::upstream::Governors::default()).unwrap();
        let request = PageRequest { method: http::Method::GET, url, headers: HeaderMap::new(), body: None };
        let mut attempts = Attempts::new(RetryBudget::new(&client.upstream().retry));
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
            let budget = RetryBudget::new(&client.upstream().retry);
            // Six pages take two retries each, where ten are allowed and one for five pages.
            for _ in 0..6 {
                let mut attempts = Attempts::new(budget.clone());
                for status in [StatusCode::BAD_GATEWAY; 2] {
                    assert!(attempts.settle(&client, &request, refused(status), Halvable::Yes).await.is_none());
                }
                assert!(attempts.settle(&client, &request, refused(last), Halvable::Yes).await.is_some());
            }
            assert_eq!(budget.check().is_err(), is_spent, "{last}");
        }
    }

    fn refused(status: StatusCode) -> Result<Answer<()>, Trouble> {
        let url = Url::parse("http://a/").unwrap();
        Ok(Answer::Refused(Box::new(Head { status, headers: HeaderMap::new(), url }), Bytes::new()))
    }

    fn late() -> Result<Answer<()>, Trouble> {
        Err(UpstreamError::Timeout("http://a".to_owned(), Duration::ZERO.into()).into())
    }

    fn stale() -> Result<Answer<()>, Trouble> {
        Err(UpstreamError::Stale("http://a".to_owned(), "closed".to_owned()).into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_can_be_smaller_is_given_up_sooner_where_it_may_be_too_much() {
        let full = || refused(StatusCode::BAD_GATEWAY);
        for (halvable, attempts, overload) in [(Halvable::No, 5, Overload::No), (Halvable::Yes, 3, Overload::Likely)] {
            assert_eq!(given_up(halvable, late).await, (attempts, overload));
            assert_eq!(given_up(halvable, full).await, (attempts, overload));
            assert_eq!(given_up(halvable, || Err(PageError::EmptyPage.into())).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::TOO_MANY_REQUESTS)).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::SERVICE_UNAVAILABLE)).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || Err(PageError::Repeat(1).into())).await, (1, Overload::No));
            assert_eq!(given_up(halvable, stale).await, (6, Overload::No), "one of them is free");
        }
    }
}
