//! The opening of a crawl: its first request, the state for a later resume, and the wait until the first records are good.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drive::{CrawlProgress, CrawlStart, Driver};
use super::{Crawl, drive_in_state, equal_reads, failure_report, recognise_pagination};
use crate::config::written;
use crate::error::{Failure, Fault};
use crate::pagination::request::BadPlace;
use crate::pagination::{Encode, PageRequest, Pagination, PaginationAuthor, Since, ValidAt, VersionSource};

/// Time that the first page may take to become whole once it has a record: most pages do, and of one that turns out to be no
/// page a status says more than a broken stream. No client notices such a delay.
const GRACE: Duration = Duration::from_millis(1);

/// Value of `Retry-After` where there was no memory.
const RETRY_AFTER_SECS: u64 = 10;

/// Notice where `auto` finds a pagination without repair: what it finds may change from list to list, so that this is no error.
const UNREPAIRED: &str = "consistency = \"repair\" does no more here than \"detect\": it needs `key` and offsets, page numbers of a size that \
    is sent, or a keyset by that key, and `auto` has recognised something else";

/// State of a crawl's beginning that a resumed crawl needs in addition to its configuration and its request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ResumeState {
    /// Hash of the first request without its header fields.
    #[serde(rename = "first")]
    pub(super) first_request_hash: u64,
    /// With `auto`, the recognised pagination, as a configuration writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recognised: Option<String>,
    /// The moment that the upstream is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) valid_at: Option<SystemTime>,
    /// Member of the pool that the crawl keeps, where it does not follow from the first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) member: Option<usize>,
    /// The moment at which windows end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) began: Option<SystemTime>,
}

/// Opens a crawl, as [`Crawl::open`].
pub(super) async fn open(mut crawl: Crawl) -> Result<(Box<Driver>, ResumeState), Failure> {
    let state = ResumeState::prepare(&mut crawl)?;
    let configured = Arc::clone(&crawl.pagination);
    let driver = if configured.style.is_auto() {
        open_recognised(&crawl).await?
    } else {
        match open_configured(&crawl, &configured).await {
            Err(misfit)
                if configured.author == PaginationAuthor::HostPreset && misfit.fault == Fault::Configuration =>
            {
                tracing::warn!("the preset of the host does not fit, and the pagination is recognised: {misfit}");
                crawl.crawls.linked.note_documented(crawl.first.url.origin(), &configured, &crawl.first);
                open_recognised(&Crawl { pagination: Arc::new(configured.unrecognised()), ..crawl }).await?
            }
            opened => opened?,
        }
    };
    let mut state = state.with_recognised(&configured, &driver.pagination);
    state.member = driver.client.unusual_member();
    Ok((driver, state))
}

/// Starts a crawl that waits for no page: its pagination is recognised where none is configured, and it is read twice where it is verified.
pub(super) async fn start(mut crawl: Crawl) -> Result<Box<Driver>, Failure> {
    ResumeState::prepare(&mut crawl)?;
    if crawl.pagination.style.is_auto() {
        open_recognised(&crawl).await
    } else if crawl.pagination.is_verified() {
        equal_reads::open(&crawl, &crawl.pagination).await
    } else {
        drive_in_state::start(&crawl, &crawl.pagination).await
    }
}

async fn open_recognised(crawl: &Crawl) -> Result<Box<Driver>, Failure> {
    // Its future is far larger than those of all other crawls.
    let recognised = Box::pin(recognise_pagination::open(crawl.clone())).await?;
    if recognised.pagination.lacks_repair() {
        tracing::warn!("{}: {UNREPAIRED}", recognised.url());
    }
    if crawl.pagination.is_verified() { equal_reads::open(crawl, &recognised.pagination).await } else { Ok(recognised) }
}

async fn open_configured(crawl: &Crawl, configured: &Arc<Pagination>) -> Result<Box<Driver>, Failure> {
    if configured.is_verified() {
        return equal_reads::open(crawl, configured).await;
    }
    let mut driver = drive_in_state::start(crawl, configured).await?;
    match first_page(&mut driver).await {
        Ok(()) => Ok(driver),
        Err(failure) => {
            poll_fn(|context| driver.poll_closed(context)).await;
            Err(explain(driver.start, failure))
        }
    }
}

/// Drives the crawl until the first page is whole, or has records and takes longer than [`GRACE`].
async fn first_page(driver: &mut Driver) -> Result<(), Failure> {
    let memory = driver.buffer.memory().clone();
    while driver.buffer.ready_bytes() == 0 {
        let progress = tokio::select! {
            biased;
            progress = driver.progress() => progress?,
            () = memory.starved() => return Err(starved()),
        };
        let unproven = driver.client.redirects().empty_elsewhere(driver.records);
        if progress != CrawlProgress::Underway && (progress != CrawlProgress::Page || unproven.is_none()) {
            return Ok(());
        }
    }
    let grace = tokio::time::sleep(GRACE);
    tokio::pin!(grace);
    loop {
        tokio::select! {
            biased;
            progress = driver.progress() => if progress? != CrawlProgress::Underway { return Ok(()) },
            () = &mut grace => return Ok(()),
        }
    }
}

/// Other streams hold all memory.
fn starved() -> Failure {
    let message = "the first record waits for memory, which other streams have used up";
    let hint = "ask again after the time in Retry-After; the operator may raise `memory` in [snapshots]";
    let headers = vec![(http::header::RETRY_AFTER, http::HeaderValue::from(RETRY_AFTER_SECS))];
    Failure { headers, ..Failure::new(Fault::Stopped, message, hint) }
}

/// A first page that is refused where the client named a record is no end, and nothing is wrong with the configuration.
fn explain(start: CrawlStart, failure: Failure) -> Failure {
    match (start, failure.fault.refusal()) {
        (CrawlStart::Since, Some(status)) if matches!(status.as_u16(), 400 | 404 | 409 | 410 | 416 | 422) => {
            let hint = "name a record that the upstream has, by its value for `since`, or ask for the whole collection";
            Failure { fault: Fault::RefusedClient(status), hint: hint.to_owned(), ..failure }
        }
        _ => failure,
    }
}

impl ResumeState {
    /// Adds `since` and `valid_at` to the crawl's first request.
    pub(super) fn prepare(crawl: &mut Crawl) -> Result<Self, Failure> {
        crawl.client = crawl.client.for_crawl(&crawl.first, &crawl.pagination);
        let pagination = Arc::clone(&crawl.pagination);
        let mut first = crawl.first.clone();
        let bad = |bad: BadPlace| failure_report::wrong_page(&crawl.client, &bad.into(), &crawl.first.url);
        if let (Some(Since { param, .. }), Some(value)) = (&pagination.since, &crawl.since) {
            first.set(param, &Value::from(value.as_str()), Encode::Plain).map_err(bad)?;
        }
        let mut state = Self::new(&first);
        if let Some(ValidAt { param, from: VersionSource::Clock(format) }) = &pagination.valid_at
            // The client's own value takes precedence.
            && first.value_at(param).is_none()
        {
            let valid_at = format.moment(crawl.valid_at.unwrap_or_else(SystemTime::now));
            first.set(param, &format.value(valid_at), Encode::Plain).map_err(bad)?;
            state.valid_at = Some(valid_at);
        }
        crawl.first = first;
        Ok(state)
    }

    fn new(first: &PageRequest) -> Self {
        let first = PageRequest { headers: HeaderMap::new(), ..first.clone() };
        Self { first_request_hash: first.identity(), recognised: None, valid_at: None, member: None, began: None }
    }

    /// Adds the recognised pagination, where none was configured, or the preset of the host did not fit.
    pub(super) fn with_recognised(self, configured: &Pagination, found: &Pagination) -> Self {
        let is_recognised = configured.style.is_auto() || configured.author != found.author;
        let recognised = is_recognised.then(|| written(found));
        Self { recognised, ..self }
    }
}
