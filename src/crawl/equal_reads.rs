//! Double collect (`consistency = "verify"`): a collection is read until its pages are the same a second time, and only then handed out.
//!
//! Two equal reads are a snapshot where a key is not used again, and a changed record never gets its old bytes back (Afek et al., Atomic
//! Snapshots of Shared Memory, JACM 40(4), 1993). A read waits where records wait for pages before theirs, in memory and then on disk. Where a page's
//! address does not depend on the page before, the second read asks for each page by itself, stops at the first one that differs, and keeps
//! nothing. Else the newest read waits, and of the one before a digest of all its lines is left.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::SystemTime;

use http::{HeaderValue, Method, header};

use super::drive::{CrawlProgress, Driver};
use super::page_notes::PageNotes;
use super::second_look::{Comparison, SecondLook};
use super::verification::Verification;
use super::withheld_read::{ReadEvidence, WholeRead};
use super::{Crawl, failure_report};
use crate::error::{Failure, Fault};
use crate::pagination::Pagination;
use crate::pagination::request::RedactedUrl;
use crate::pagination::verdict::{Consistency, OnMissed};
use crate::snapshot::{Digest, RunningDigest};

/// Most reads. Where changes come faster than two reads, a further one seldom helps.
const MAX_READS: usize = 3;

/// Reads the collection, and returns the driver of a read whose records may leave.
pub(super) async fn open(crawl: &Crawl, pagination: &Arc<Pagination>) -> Result<Box<Driver>, Failure> {
    let mut reads = Reads::new(crawl.clone(), Arc::clone(pagination));
    let mut left = MAX_READS;
    let mut before = None;
    loop {
        left -= 1;
        let ended = match reads.next().await {
            Ok((driver, ReadStanding::Confirmed)) => return Ok(driver),
            Ok((driver, ReadStanding::Unconfirmed)) => Ok(driver),
            // The same error twice is the list's own, and no change of it.
            Err(broken) if !broken.tells_a_change() || before.as_ref() == Some(&broken.failure.message) => {
                return Err(broken.failure);
            }
            Err(broken) => Err(broken.failure),
        };
        if left == 0 {
            return moved(crawl, pagination.on_missed, ended);
        }
        before = ended.err().map(|failure| failure.message);
        let why = before.as_deref().unwrap_or("it was another one when it was read a second time");
        tracing::info!("{}: is read again: {why}", RedactedUrl(&crawl.first.url));
    }
}

/// Read that broke behind some of its pages.
struct BrokenRead {
    failure: Failure,
    pages: u64,
}

impl BrokenRead {
    fn new(pages: u64, failure: Failure) -> Self {
        Self { failure: of_page(pages, failure), pages }
    }

    /// Returns true if another read may go better, since a change of the list may have broken this one. A page that repeats an earlier one is
    /// the upstream's fault, or of a list with just as many new records in front.
    fn tells_a_change(&self) -> bool {
        match self.failure.fault {
            Fault::Unproven | Fault::Moved | Fault::Changed => true,
            Fault::Upstream => self.pages > 0,
            _ => false,
        }
    }
}

/// End of a collection of which no read was confirmed.
fn moved(crawl: &Crawl, policy: OnMissed, last: Result<Box<Driver>, Failure>) -> Result<Box<Driver>, Failure> {
    let why = format!("none of {MAX_READS} reads was confirmed by a second one");
    match (last, policy) {
        (Ok(mut driver), OnMissed::Report) => {
            driver.verification = Some(Verification::Moved(why));
            Ok(driver)
        }
        (Ok(_), OnMissed::Fail) => Err(failure_report::moved(RedactedUrl(&crawl.first.url), &why)),
        (Err(failure), _) => {
            Err(failure_report::moved(RedactedUrl(&crawl.first.url), &format!("{why}; the last read broke: {failure}")))
        }
    }
}

enum ReadStanding {
    /// The list was as it was read at one moment, or all of it is of one state.
    Confirmed,
    Unconfirmed,
}

/// Whole reads of a collection, one after the other.
struct Reads {
    crawl: Crawl,
    pagination: Arc<Pagination>,
    comparison: ReadComparison,
    /// The read before, where lines are compared: their digest, and its last moment.
    before: Option<(Digest, Option<SystemTime>)>,
}

/// Way in which a read is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadComparison {
    /// Each page is asked for again.
    Pages,
    /// The next read has the same lines.
    Lines,
}

impl Reads {
    fn new(crawl: Crawl, pagination: Arc<Pagination>) -> Self {
        let mut reads = Self { crawl, pagination, comparison: ReadComparison::Pages, before: None };
        let style = &reads.pagination.style;
        if !style.is_computed() || reads.crawl.first.method != Method::GET {
            reads.compare_lines();
        }
        reads
    }

    /// Reads whose lines are compared are of one moment only if the last page is read last.
    fn compare_lines(&mut self) {
        self.comparison = ReadComparison::Lines;
        if self.pagination.style.is_computed() {
            self.crawl.width = 1;
        }
    }

    /// Reads the collection once, and compares it.
    async fn next(&mut self) -> Result<(Box<Driver>, ReadStanding), BrokenRead> {
        let driver = Driver::new(&self.crawl, Arc::clone(&self.pagination));
        let mut driver = driver.map_err(|failure| BrokenRead::new(0, failure))?;
        let memory = driver.buffer.memory().clone();
        let limit = self.crawl.caps.window_bytes / 4;
        driver.withhold(match self.comparison {
            ReadComparison::Pages => ReadEvidence::Pages(PageNotes::new(limit, memory.in_use())),
            ReadComparison::Lines => ReadEvidence::Lines(RunningDigest::default()),
        });
        // A cache on the way would answer the next read with pages of this one (RFC 9111 §5.2.1.4).
        self.crawl.first.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let before = self.before.take();
        let consistency = read(&mut driver).await.map_err(|failure| BrokenRead::new(driver.plan.pages(), failure))?;
        let whole = driver.release();
        if matches!(consistency, Consistency::Upstream { .. }) {
            return Ok((driver, ReadStanding::Confirmed));
        }
        driver.verification = match whole {
            WholeRead::Pages(pages) => {
                let (client, shape) = (self.crawl.client.clone(), Arc::clone(&driver.shape));
                let look = SecondLook { client, shape, memory, width: self.crawl.width };
                match look.compare(pages).await {
                    Comparison::Equal(at) => Some(Verification::At(at)),
                    Comparison::Cached => Some(Verification::Cached),
                    Comparison::Other => None,
                    Comparison::Unknown => {
                        self.compare_lines();
                        None
                    }
                }
            }
            WholeRead::Lines { digest, moment } => match before.filter(|(before, _)| *before == digest) {
                Some((_, at)) => Some(Verification::At(at)),
                None => {
                    self.before = Some((digest, moment));
                    None
                }
            },
        };
        let is_confirmed = driver.verification.is_some();
        Ok((driver, if is_confirmed { ReadStanding::Confirmed } else { ReadStanding::Unconfirmed }))
    }
}

/// The failure of a read after `pages`: the absence of a later one is not that of the collection, and the next read may find a shorter list.
fn of_page(pages: u64, failure: Failure) -> Failure {
    match failure.fault.refusal() {
        Some(status) if pages > 0 && matches!(status.as_u16(), 404 | 410 | 416) => {
            Failure { fault: Fault::Unproven, ..failure }
        }
        _ => failure,
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
            let what = "a read of the collection takes more than caps.window and caps.spool, where consistency = \"verify\" keeps it";
            return Err(Failure::new(Fault::Configuration, format!("{}: {what}", driver.url()), hint));
        }
        if let CrawlProgress::Done(end) = driver.progress().await? {
            return Ok(end.consistency);
        }
    }
}
