//! The resumption of an interrupted crawl after its last whole page.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

use super::drive::Driver;
use super::open::ResumeState;
use super::{Crawl, drive_in_state, equal_reads};
use crate::config::read_written;
use crate::error::{Failure, Fault};
use crate::pagination::plan::Checkpoint;
use crate::snapshot::StoredLines;

/// A crawl as its log has kept it, up to its last whole page.
#[derive(Clone, Debug)]
pub struct ResumePoint<'a> {
    /// The state that [`super::Opened::saved`] returned.
    pub state: &'a RawValue,
    /// The checkpoints after its pages, in their order.
    pub checkpoints: &'a [Box<RawValue>],
    /// The line of the last record.
    pub last_record: Option<Vec<u8>>,
    pub records: u64,
    /// Their lines.
    pub lines: StoredLines,
}

/// Resumes a crawl, as [`Crawl::resume`].
pub(super) async fn resume(mut crawl: Crawl, point: ResumePoint<'_>) -> Result<(Box<Driver>, ResumeState), Failure> {
    let state: ResumeState = read(point.state)?;
    crawl.valid_at = state.valid_at;
    if state.first_request_hash != ResumeState::prepare(&mut crawl)?.first_request_hash {
        return Err(unusable("the request is not the one that it was begun with"));
    }
    crawl.client.bind(state.member);
    if let Some(recognised) = &state.recognised {
        let found = read_written(recognised);
        crawl.pagination = Arc::new(found.map_err(|_| unusable("the recognised pagination can't be read"))?);
    }
    if crawl.pagination.style.is_auto() {
        return Err(unusable("the recognised pagination is missing"));
    }
    let past = point.checkpoints.iter().map(|checkpoint| read(checkpoint)).collect::<Result<Vec<Checkpoint>, _>>()?;
    if past.last().map_or(0, Checkpoint::records) != point.records {
        return Err(unusable("its records are not those of its pages"));
    }
    if let Some(why) = crawl.pagination.unresumable().filter(|_| !past.is_empty()) {
        return Err(unusable(why));
    }
    if crawl.pagination.is_verified() {
        // Whole pages of a read that was not compared are no snapshot, and one that was has no checkpoints.
        let unread = || unusable("it is verified, so that all of it is read again");
        return if past.is_empty() {
            Ok((equal_reads::open(&crawl, &crawl.pagination).await?, state))
        } else {
            Err(unread())
        };
    }
    let mut driver = drive_in_state::start(&crawl, &crawl.pagination).await?;
    driver.resume(past, point.last_record, point.records)?;
    if driver.pagination.recalls_keys() {
        recall(&mut driver, point.lines).await?;
    }
    Ok((driver, state))
}

/// Takes the keys of all records out of their lines, since the journal hasn't got them: it would be as long as they are. The lines were
/// read a moment ago, when their hashes were verified.
async fn recall(driver: &mut Driver, mut lines: StoredLines) -> Result<(), Failure> {
    let unreadable = || unusable("its records can't be read");
    loop {
        let (next, rest) = spawn_blocking(move || (lines.next(), lines)).await.map_err(|_| unreadable())?;
        let Some(batch) = next.transpose().map_err(|_| unreadable())? else { return Ok(()) };
        driver.plan.recall(&batch).map_err(|error| driver.crawl_failure(&error))?;
        lines = rest;
    }
}

fn read<'a, T: Deserialize<'a>>(written: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(written.get()).map_err(|_| unusable("what was noted of it can't be read"))
}

pub(super) fn unusable(why: &str) -> Failure {
    let message = format!("the crawl can't be resumed: {why}");
    Failure::new(Fault::Lost, message, "ask again, for a snapshot of its own")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::super::crawl_work::CrawlWork;
    use super::super::drive::CrawlProgress;
    use super::super::reorder::Released;
    use super::*;
    use crate::config::{Config, Machine};
    use crate::crawl::{Crawls, Opened};
    use crate::demo::{DemoApi, Legacy, configuration};
    use crate::pagination::request::RequestBody;
    use crate::pagination::verdict::ProvenEnd;
    use crate::pagination::{ConsistencyLevel, PageRequest, Pagination, Style};
    use crate::snapshot::MemoryBudget;
    use crate::upstream::{Client, Governors};

    fn driver(opened: &mut Opened) -> &mut Driver {
        match &mut opened.work {
            CrawlWork::List(driver) => driver,
            CrawlWork::Children(_) => panic!("the crawl has parents"),
        }
    }

    /// The output of a crawl.
    #[derive(Default)]
    struct Left {
        lines: Vec<u8>,
        notes: Vec<Box<RawValue>>,
        /// Of the whole pages.
        bytes: usize,
        records: u64,
        end: Option<ProvenEnd>,
    }

    /// The demo's API, with five pages under each pagination.
    async fn api() -> (DemoApi, Vec<Crawl>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let legacy = Legacy { max_page: 10, default_page: 10, ..Legacy::of(47) };
        let api = DemoApi::new(legacy, Duration::ZERO, None);
        tokio::spawn(crate::server::serve(listener, api.clone(), std::future::pending()));
        let config = Config::read(&configuration(&url), "", &Machine).unwrap();
        let crawls = config.collections.iter().filter(|collection| collection.pagination.partition.is_none());
        let crawls = crawls.map(|collection| {
            let mut url = collection.upstream.url.clone();
            url.set_path(&collection.path);
            url.set_query(Some("note=hunter2"));
            let body = collection.body.clone().map(RequestBody::Json);
            let first = PageRequest { method: collection.method.clone(), body, ..PageRequest::get(url) };
            Crawl {
                client: Client::new(Arc::clone(&collection.upstream), &Governors::default()).unwrap(),
                pagination: Arc::clone(&collection.pagination),
                caps: collection.caps.clone(),
                first,
                since: None,
                valid_at: None,
                width: 1,
                memory: MemoryBudget::unlimited(),
                crawls: Crawls::default(),
                parents: None,
            }
        });
        (api, crawls.collect())
    }

    impl Left {
        /// Takes the output until this many pages have their checkpoints.
        async fn take(&mut self, opened: &mut Opened, most: usize) {
            let mut context = Context::from_waker(Waker::noop());
            loop {
                while let Poll::Ready(Ok(Some(next))) = driver(opened).buffer.poll_next(&mut context) {
                    match next {
                        Released::Records(batch) => self.lines.extend_from_slice(batch.lines()),
                        Released::Checkpoint(note) => {
                            self.notes.push(note);
                            self.bytes = self.lines.len();
                            if self.notes.len() == most {
                                return;
                            }
                        }
                    }
                }
                if let CrawlProgress::Done(end) = driver(opened).progress().await.unwrap()
                    && driver(opened).buffer.is_drained()
                {
                    self.end = Some(end);
                    return;
                }
            }
        }

        /// Keeps what is found again after a kill: whole pages. Returns the last record.
        fn cut(&mut self) -> Option<Vec<u8>> {
            self.lines.truncate(self.bytes);
            let lines: Vec<_> = self.lines.split_inclusive(|byte| *byte == b'\n').collect();
            self.records = lines.len() as u64;
            lines.last().map(|line| line.to_vec())
        }
    }

    fn point<'a>(
        state: &'a RawValue,
        checkpoints: &'a [Box<RawValue>],
        last_record: Option<Vec<u8>>,
        records: u64,
    ) -> ResumePoint<'a> {
        ResumePoint { state, checkpoints, last_record, records, lines: StoredLines::none() }
    }

    #[tokio::test]
    async fn every_crawl_is_resumed_behind_any_of_its_pages() {
        let (api, crawls) = api().await;
        let mut walked = BTreeSet::new();
        for crawl in crawls {
            let auto = Pagination::of(Style::AUTO, crawl.pagination.records.clone());
            let auto = Crawl { pagination: Arc::new(auto), ..crawl.clone() };
            for crawl in [crawl, auto] {
                let before = api.requests();
                // Not every pagination can be recognised, and a single page can't be resumed after.
                let Ok(mut opened) = crawl.clone().open().await else { continue };
                walked.insert((crawl.pagination.style.name(), opened.pagination().style.name()));
                let state = opened.saved();
                assert!(!state.get().contains("hunter2"), "{state}");
                assert!(opened.head().is_some());
                let mut whole = Left::default();
                whole.take(&mut opened, usize::MAX).await;
                let needed = api.requests() - before;
                assert!(whole.end.is_some() && !whole.notes.is_empty());
                for pages in 1..=whole.notes.len() {
                    let before = api.requests();
                    let mut left = Left::default();
                    let mut opened = crawl.clone().open().await.unwrap();
                    left.take(&mut opened, pages).await;
                    drop(opened);
                    let last = left.cut();
                    assert!(left.notes.iter().all(|note| !note.get().contains("hunter2")), "{:?}", left.notes);
                    let mut opened =
                        crawl.clone().resume(point(&state, &left.notes, last, left.records)).await.unwrap();
                    left.take(&mut opened, usize::MAX).await;
                    assert_eq!(String::from_utf8(left.lines), String::from_utf8(whole.lines.clone()));
                    assert_eq!((&left.end, left.notes.len()), (&whole.end, whole.notes.len()));
                    assert_eq!(driver(&mut opened).records, 47);
                    // One may have been in flight.
                    let again = api.requests() - before;
                    assert!((needed..=needed + 1).contains(&again), "{again} requests where {needed} are needed");
                    let counted = driver(&mut opened).usage().counts().all_requests() as usize;
                    assert!((needed..=again).contains(&counted), "{counted} of {again} requests are counted");
                }
            }
        }
        let styles = ["cursor", "keyset", "link_header", "next_url", "offset", "page", "range"];
        assert!(styles.iter().all(|style| walked.contains(&(style, style))), "{walked:?}");
        assert!(walked.iter().filter(|(configured, _)| *configured == "auto").count() > 3, "{walked:?}");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_told_and_asks_for_nothing() {
        let (api, crawls) = api().await;
        let crawl = crawls[0].clone();
        let mut left = Left::default();
        let mut opened = crawl.clone().open().await.unwrap();
        let state = opened.saved();
        left.take(&mut opened, 2).await;
        drop(opened);
        let before = api.requests();
        let last = left.cut();
        let text = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let mut other = crawl.clone();
        other.first.url.set_query(Some("q=1"));
        let swapped: Vec<_> = left.notes.iter().rev().cloned().collect();
        let missing = left.notes[1..].to_vec();
        let (notes, records) = (left.notes.clone(), left.records);
        let cases = [
            (other.resume(point(&state, &notes, last.clone(), records)).await, "begun with"),
            (crawl.clone().resume(point(&text("{}"), &notes, last.clone(), records)).await, "can't be read"),
            (crawl.clone().resume(point(&state, &[text("[1]")], last.clone(), records)).await, "can't be read"),
            (crawl.clone().resume(point(&state, &swapped, last.clone(), records)).await, "are not those of its pages"),
            (crawl.clone().resume(point(&state, &missing, last.clone(), records)).await, "a page is missing"),
            (
                crawl.clone().resume(point(&state, &notes, last.clone(), records + 1)).await,
                "are not those of its pages",
            ),
            (crawl.clone().resume(point(&state, &notes, None, records)).await, "records that are not there"),
        ];
        for (resumed, told) in cases {
            let failure = resumed.unwrap_err();
            assert!(failure.fault == Fault::Lost && failure.message.contains(told), "{failure}");
        }
        assert_eq!((api.requests(), crawl.crawls.totals().unopened), (before, 7));
    }

    #[tokio::test]
    async fn a_verified_crawl_is_read_and_compared_again() {
        let (api, crawls) = api().await;
        let numbered = crawls.into_iter().find(|crawl| crawl.pagination.style.counts_records()).unwrap();
        let mut pagination = (*numbered.pagination).clone();
        (pagination.key, pagination.consistency) = (Some("id".parse().unwrap()), Some(ConsistencyLevel::Verify));
        let crawl = Crawl { pagination: Arc::new(pagination), ..numbered.clone() };
        let mut opened = crawl.clone().open().await.unwrap();
        let state = opened.saved();
        let mut whole = Left::default();
        whole.take(&mut opened, usize::MAX).await;
        assert!(whole.notes.is_empty() && !opened.has_checkpoints());
        let before = api.requests();
        let mut resumed = crawl.clone().resume(point(&state, &[], None, 0)).await.unwrap();
        let mut again = Left::default();
        again.take(&mut resumed, usize::MAX).await;
        assert!(again.lines == whole.lines && again.end.is_some() && api.requests() - before >= 10);
        // Pages that were noted under another level were not compared.
        let mut plain = Left::default();
        plain.take(&mut numbered.open().await.unwrap(), 2).await;
        let last = plain.cut();
        let failure = crawl.resume(point(&state, &plain.notes, last, plain.records)).await.unwrap_err();
        assert!(failure.fault == Fault::Lost && failure.message.contains("read again"), "{failure}");
    }
}
