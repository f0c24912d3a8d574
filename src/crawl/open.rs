//! The opening of a crawl: until its first records are good, a failure is told by a status.

use std::sync::Arc;
use std::time::Duration;

use super::beginning::Beginning;
use super::detect;
use super::drive::{CrawlProgress, CrawlStart, Driver};
use super::spec::Crawl;
use super::verify;
use crate::error::{Failure, Fault};

/// Time that the first page may take to become whole once it has a record: most pages do, and of one that turns out to be no
/// page a status says more than a broken stream. No client notices such a delay.
const GRACE: Duration = Duration::from_millis(2);

/// Value of `Retry-After` where there was no memory, in seconds.
const RETRY: u64 = 10;

/// Opens a crawl, as [`Crawl::open`].
pub(super) async fn open(mut crawl: Crawl) -> Result<(Box<Driver>, Beginning), Failure> {
    let beginning = Beginning::prepare(&mut crawl)?;
    let configured = Arc::clone(&crawl.pagination);
    let driver = if configured.style.is_auto() {
        // Its future is far larger than those of all other crawls.
        let recognised = Box::pin(detect::open(crawl.clone())).await?;
        if configured.is_verified() { verify::open(&crawl, &recognised.pagination).await? } else { recognised }
    } else if configured.is_verified() {
        verify::open(&crawl, &configured).await?
    } else {
        let mut driver = Driver::new(&crawl, Arc::clone(&configured))?;
        first_page(&mut driver).await.map_err(|failure| explain(driver.start, failure))?;
        driver
    };
    let beginning = beginning.with_recognised(&configured, &driver.pagination);
    Ok((driver, beginning))
}

/// Drives the crawl until the first page is whole, or takes longer than its first records and a moment.
async fn first_page(driver: &mut Driver) -> Result<(), Failure> {
    let memory = driver.buffer.memory().clone();
    while driver.buffer.ready_bytes() == 0 {
        let progress = tokio::select! {
            biased;
            progress = driver.progress() => progress?,
            () = memory.starved() => return Err(starved()),
        };
        if progress != CrawlProgress::Underway {
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

/// Large records of other streams fill the memory.
fn starved() -> Failure {
    let message = "the first record waits for memory, which other streams have used up";
    let hint = "ask again after the time in Retry-After; the operator may raise `memory` in [snapshots]";
    let headers = vec![(http::header::RETRY_AFTER, http::HeaderValue::from(RETRY))];
    Failure { headers, ..Failure::new(Fault::Stopped, message, hint) }
}

/// A first page that is refused where the client named a record is no end, and nothing is wrong with the configuration.
fn explain(start: CrawlStart, failure: Failure) -> Failure {
    match (start, failure.fault) {
        (CrawlStart::Since, Fault::Refused(status)) if matches!(status.as_u16(), 400 | 404 | 409 | 410 | 416 | 422) => {
            let hint = "name a record that the upstream has, by its value for `since`, or ask for the whole collection";
            Failure { hint: hint.to_owned(), ..failure }
        }
        _ => failure,
    }
}
