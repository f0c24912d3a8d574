//! The attempts at one page: requests, the decision on each failure, and the waits in between.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use url::Url;

use super::exchange::exchange;
use super::failure_report::{self, AttemptError};
use crate::error::Failure;
use crate::pagination::PageRequest;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::request::RedactedUrl;
use crate::pagination::retry::{
    AttemptOutcome, Halvable, Overload, PagePlace, PageTraits, Resend, RetryBudget, RetryBudgetSpent, RetryDecision,
    decide, demanded, demanded_by_page, overload,
};
use crate::upstream::{Client, DecodedBody, UpstreamError};

/// The failure of a page after its last attempt, ready for its reader: unlike an [`AttemptError`], it holds no credentials. Its
/// [`Overload`] says if a smaller page is worth a try.
#[derive(Debug)]
pub(super) enum PageFailure {
    /// A status that brings no page, and the start of its body.
    Refused(Box<Head>, Bytes, Overload),
    Lost(Failure, Overload),
}

/// The result of one attempt, up to the head of the answer.
pub(super) enum Attempted {
    Page(Arc<Head>, Box<DecodedBody>),
    Failed(AttemptError),
    /// No attempt was made: the failure of the one before is final.
    GivenUp(PageFailure),
}

/// A page's request, and the count of its attempts.
#[derive(Debug)]
pub(super) struct Attempts {
    client: Client,
    request: Arc<PageRequest>,
    traits: PageTraits,
    counted: u32,
    free: FreeAttempt,
    budget: RetryBudget,
    /// Retries of a page that may be too large. If it is, a smaller one takes its place, and they count for nothing: at large
    /// pages all in flight fail at once, which is no storm, since it ends with them.
    owed: u64,
}

/// The one attempt of a page that costs nothing, because the connection was closed before the page was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreeAttempt {
    Left,
    Current,
    Taken,
}

/// Attempts at a first page that looks like a lasting mistake.
const LASTING_ATTEMPTS: u32 = 3;

impl Attempts {
    pub(super) fn new(client: Client, request: Arc<PageRequest>, budget: RetryBudget, traits: PageTraits) -> Self {
        budget.count_page();
        Self { client, request, traits, counted: 0, free: FreeAttempt::Left, budget, owed: 0 }
    }

    pub(super) fn request(&self) -> &Arc<PageRequest> {
        &self.request
    }

    pub(super) fn place(&self) -> PagePlace {
        self.traits.place
    }

    /// Makes one attempt: returns the head and the body of a page.
    pub(super) async fn exchange(&self) -> Result<(Arc<Head>, DecodedBody), AttemptError> {
        let unpooled = (self.free == FreeAttempt::Current).then(|| self.client.unpooled());
        let client = unpooled.as_ref().unwrap_or(&self.client);
        let (head, body) = exchange(client, &self.request, self.traits.no_content, self.traits.place).await?;
        let (asked, answered) = (self.request.url.path(), head.url.path());
        if self.traits.place == PagePlace::First && asked != answered {
            tracing::warn!(
                "{}: redirected to {answered}; a page may cost a request less by that path",
                RedactedUrl(&self.request.url)
            );
        }
        Ok((head, body))
    }

    /// Makes the first attempt, when the plan wants it.
    pub(super) async fn first(mut self: Box<Self>) -> (Box<Self>, Attempted) {
        let wait = std::mem::take(&mut self.traits.wait);
        if !wait.is_zero() {
            let (url, told) = (RedactedUrl(&self.request.url), humantime::format_duration(wait));
            tracing::info!("{url}: the end is proven, and read again in {told} for late records (settle)");
            tokio::time::sleep(wait).await;
        }
        let attempted = match self.exchange().await {
            Ok((head, body)) => Attempted::Page(head, Box::new(body)),
            Err(error) => Attempted::Failed(error),
        };
        (self, attempted)
    }

    /// Makes another attempt after this failure, unless it is final.
    pub(super) async fn again(mut self: Box<Self>, error: AttemptError) -> (Box<Self>, Attempted) {
        match self.settle(error).await {
            Some(failure) => (self, Attempted::GivenUp(failure)),
            None => self.first().await,
        }
    }

    /// Notes that a page's head has come: a page that has begun can't be replaced by a smaller one.
    pub(super) fn begin_page(&mut self) {
        self.traits.halvable = Halvable::No;
    }

    /// Counts the attempts of a page that is whole, and holds what follows for the time that it demands.
    pub(super) fn succeed(&self, fields: &PageFields) {
        self.budget.count_retries(self.owed);
        if let Some(wait) = demanded_by_page(&self.client.upstream().retry, fields) {
            self.client.pause(wait);
        }
    }

    /// Decides on a failed attempt: returns the page's failure if it was the last one, or waits until the next one.
    pub(super) async fn settle(&mut self, error: AttemptError) -> Option<PageFailure> {
        if let AttemptError::Transport(stale @ UpstreamError::Stale(..)) = &error
            && self.free == FreeAttempt::Left
            && self.traits.resend == Resend::Allowed
        {
            self.free = FreeAttempt::Current;
            tracing::debug!("{}: {stale}; it had been idle, asking again at once", RedactedUrl(&self.request.url));
            return None;
        }
        if self.free == FreeAttempt::Current {
            self.free = FreeAttempt::Taken;
        }
        self.counted += 1;
        let policy = &self.client.upstream().retry;
        let outcome = self.outcome(&error);
        let overload = outcome.as_ref().map_or(Overload::No, |outcome| overload(policy, outcome, self.traits.halvable));
        let decision = outcome.as_ref().map(|outcome| decide(policy, outcome, overload, self.counted, fastrand::f64()));
        let (Some(outcome), Some(RetryDecision::Again(after))) = (outcome, decision) else {
            if overload == Overload::No {
                self.budget.count_retries(std::mem::take(&mut self.owed));
            }
            return Some(self.given_up(error, overload));
        };
        if let Err(spent) = self.spend(&outcome, overload) {
            return Some(PageFailure::Lost(self.too_often(spent, &error), Overload::No));
        }
        let wait = self.client.back_off(after);
        self.log_retry(&error, after);
        self.client.count_resend();
        drop(error);
        wait.await;
        None
    }

    fn spend(&mut self, outcome: &AttemptOutcome, overload: Overload) -> Result<(), RetryBudgetSpent> {
        match overload {
            Overload::No => self.budget.spend(outcome),
            Overload::Likely => {
                self.owed += 1;
                self.budget.check()
            }
        }
    }

    /// The outcome of an attempt that another one may mend.
    fn outcome(&self, error: &AttemptError) -> Option<AttemptOutcome> {
        match error {
            error if self.traits.resend == Resend::Unserved && !error.is_unserved() => None,
            AttemptError::Refused(head, body, _) => {
                let demanded = demanded(&self.client.upstream().retry, &head.headers, body, SystemTime::now());
                // The wait holds the member of the pool that was told it.
                let is_of_member = head.status == StatusCode::TOO_MANY_REQUESTS && self.client.has_other_member();
                let demanded = demanded.filter(|_| !is_of_member);
                Some(AttemptOutcome::Answered(head.status, demanded))
            }
            error if !error.is_transient() => None,
            // A login page, or a name without an address.
            error
                if self.counted >= LASTING_ATTEMPTS && self.traits.place == PagePlace::First && error.is_lasting() =>
            {
                None
            }
            AttemptError::Transport(UpstreamError::Timeout(..)) => Some(AttemptOutcome::TimedOut),
            AttemptError::Transport(_) | AttemptError::Page(_) => Some(AttemptOutcome::Broken),
        }
    }

    /// A refusal loses the credentials that it repeats here, where it is still whole: an excerpt may cut a secret and so
    /// hide it.
    fn given_up(&self, error: AttemptError, overload: Overload) -> PageFailure {
        let AttemptError::Refused(mut head, body, _) = error else {
            let failure = failure_report::failed(&self.client, &error, &self.request, self.traits.place);
            let is_lost = self.traits.resend == Resend::Unserved;
            return PageFailure::Lost(
                if is_lost { failure_report::of_moved_place(failure) } else { failure },
                overload,
            );
        };
        if let Some(location) = head.headers.get_mut(header::LOCATION)
            && let Ok(clean) = HeaderValue::from_bytes(self.redact(&head.url, location.as_bytes()).as_bytes())
        {
            *location = clean;
        }
        // The URL that answered has all of the page's own query, and may have secrets of the redirect's.
        let body = Bytes::from(self.redact(&head.url, &body));
        PageFailure::Refused(head, body, overload)
    }

    fn redact(&self, url: &Url, bytes: &[u8]) -> String {
        self.client.redact(url, &self.request.headers, &String::from_utf8_lossy(bytes))
    }

    fn log_retry(&self, error: &AttemptError, after: Duration) {
        let what = match error {
            AttemptError::Refused(head, _, member) => {
                let member = member.map(|member| format!(" to credentials.pool[{member}]")).unwrap_or_default();
                format!("the upstream answered {}{member}", head.status)
            }
            AttemptError::Transport(error) => self.redact(&self.request.url, error.to_string().as_bytes()),
            AttemptError::Page(error) => self.redact(&self.request.url, error.to_string().as_bytes()),
        };
        let after = humantime::Duration::from(Duration::from_millis(after.as_millis().try_into().unwrap_or(u64::MAX)));
        let url = RedactedUrl(&self.request.url);
        tracing::warn!("{url}: {what}; attempt {} failed, asking again in {after}", self.counted);
    }

    /// The failure of a page that may not be asked for again, because the crawl's retries are spent.
    fn too_often(&self, spent: RetryBudgetSpent, error: &AttemptError) -> Failure {
        let last = failure_report::failed(&self.client, error, &self.request, self.traits.place);
        Failure { message: format!("{}; {spent}", last.message), hint: spent.hint().to_owned(), ..last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Upstream;
    use crate::pagination::PageError;
    use http::{HeaderMap, StatusCode};

    fn client() -> Client {
        let upstream = Upstream::at(Url::parse("http://a/").unwrap());
        Client::new(Arc::new(upstream), &crate::upstream::Governors::default()).unwrap()
    }

    fn attempts(client: &Client, budget: RetryBudget, halvable: Halvable) -> Attempts {
        let traits = PageTraits { halvable, ..PageTraits::of_one_page(PagePlace::Later) };
        Attempts::new(client.clone(), Arc::new(PageRequest::get(client.upstream().url.clone())), budget, traits)
    }

    /// Number of attempts at a page that always fails in this way, and whether a smaller one is worth a try then.
    async fn given_up(halvable: Halvable, error: fn() -> AttemptError) -> (u32, Overload) {
        let client = client();
        let mut attempts = attempts(&client, RetryBudget::new(&client.upstream().retry), halvable);
        let mut asked = 0;
        loop {
            asked += 1;
            if let Some(failure) = attempts.settle(error()).await {
                let (PageFailure::Refused(_, _, overload) | PageFailure::Lost(_, overload)) = failure;
                return (asked, overload);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_retries_of_pages_that_are_too_large_count_for_nothing() {
        let client = client();
        for (last, is_spent) in [(StatusCode::BAD_GATEWAY, false), (StatusCode::NOT_FOUND, true)] {
            let budget = RetryBudget::new(&client.upstream().retry);
            // Six pages take two retries each, where ten are allowed and one for five pages.
            for _ in 0..6 {
                let mut attempts = attempts(&client, budget.clone(), Halvable::Yes);
                for status in [StatusCode::BAD_GATEWAY; 2] {
                    assert!(attempts.settle(refused(status)).await.is_none());
                }
                assert!(attempts.settle(refused(last)).await.is_some());
            }
            assert_eq!(budget.check().is_err(), is_spent, "{last}");
        }
    }

    fn refused(status: StatusCode) -> AttemptError {
        let url = Url::parse("http://a/").unwrap();
        AttemptError::Refused(Box::new(Head { status, headers: HeaderMap::new(), url }), Bytes::new(), None)
    }

    fn late() -> AttemptError {
        UpstreamError::Timeout("http://a".to_owned(), Duration::ZERO.into()).into()
    }

    fn stale() -> AttemptError {
        UpstreamError::Stale("http://a".to_owned(), "closed".to_owned()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_that_can_be_smaller_is_given_up_sooner_where_it_may_be_too_much() {
        let full = || refused(StatusCode::BAD_GATEWAY);
        for (halvable, attempts, overload) in [(Halvable::No, 5, Overload::No), (Halvable::Yes, 3, Overload::Likely)] {
            assert_eq!(given_up(halvable, late).await, (attempts, overload));
            assert_eq!(given_up(halvable, full).await, (attempts, overload));
            assert_eq!(given_up(halvable, || PageError::EmptyPage("JSON").into()).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::TOO_MANY_REQUESTS)).await, (5, Overload::No));
            assert_eq!(given_up(halvable, || refused(StatusCode::SERVICE_UNAVAILABLE)).await, (5, Overload::No));
            assert_eq!(
                given_up(halvable, || PageError::Repeat { page: 1, param: None }.into()).await,
                (1, Overload::No)
            );
            assert_eq!(given_up(halvable, stale).await, (6, Overload::No), "one of them is free");
        }
    }
}
