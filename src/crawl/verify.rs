//! Double collect (`consistency = "verify"`): a collection is read until two reads in a row are equal, and only then handed out.
//!
//! Two equal reads are a snapshot where a key is not used again, and a changed record never gets its old bytes back (Afek et al., Atomic
//! Snapshots of Shared Memory, JACM 40(4), 1993). The newest read waits where records wait for their turn, in memory and then on disk; of
//! the one before a digest of all its lines is left, which is enough to compare them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::{HeaderValue, header};

use super::drive::{CrawlProgress, Driver};
use super::{Crawl, failure_report};
use crate::error::{Failure, Fault};
use crate::pagination::Pagination;
use crate::pagination::verdict::{Consistency, OnMissed};

/// Most reads. Where changes come faster than two reads, a further one seldom helps.
const MOST_READS: usize = 3;

/// Reads the collection, and returns the driver of a read whose records may leave.
pub(super) async fn open(crawl: &Crawl, pagination: &Arc<Pagination>) -> Result<Box<Driver>, Failure> {
    let mut crawl = crawl.clone();
    let mut before = None;
    let mut reads = 0;
    loop {
        reads += 1;
        let mut driver = Driver::new(&crawl, Arc::clone(pagination))?;
        // A cache on the way would answer the next read with pages of this one (RFC 9111 §5.2.1.4).
        crawl.first.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        driver.withhold();
        let consistency = match read(&mut driver).await {
            Ok(consistency) => consistency,
            // A change of the list broke the read, so that no other equals it.
            Err(failure) if reads < MOST_READS && matches!(failure.fault, Fault::Unproven | Fault::Moved) => {
                tracing::info!("{}: is read again: {failure}", driver.url());
                before = None;
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let is_of_one_state = driver.plan.pages() <= 1 || matches!(consistency, Consistency::Upstream { .. });
        let digest = driver.release();
        if is_of_one_state || before.replace(digest) == Some(digest) {
            return Ok(driver);
        }
        if reads == MOST_READS {
            let why = format!("no two of {reads} reads in a row were equal");
            if pagination.on_missed == OnMissed::Fail {
                return Err(failure_report::moved(&why));
            }
            driver.moved = Some(why);
            return Ok(driver);
        }
    }
}

/// Drives a crawl to its proven end, while its records wait.
async fn read(driver: &mut Driver) -> Result<Consistency, Failure> {
    loop {
        let has_room = poll_fn(|context| match driver.buffer.is_full() {
            true => Poll::Ready(false),
            false => driver.buffer.poll_room(context).map(|()| true),
        });
        if !has_room.await {
            let hint = "raise caps.spool to the size of the whole collection; consistency = \"detect\" keeps no read";
            let message = "a read of the collection takes more than caps.window and caps.spool, where consistency = \"verify\" keeps it";
            return Err(Failure::new(Fault::Configuration, message, hint));
        }
        if let CrawlProgress::Done(end) = driver.progress().await? {
            return Ok(end.consistency);
        }
    }
}
