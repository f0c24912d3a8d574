//! A crawl of several lists as one stream: those of all parents, in their order, or those of all windows of a range of time.
//!
//! ```text
//!   list of parents ─ keys ─▶ waiting keys ─▶ lists under way ─ records of the first one ─▶ log
//!                                               (the others read ahead)
//! ```
//!
//! Each list, that of the parents included, has a plan of its own, which proves its end. The stream is complete when all are.

mod list;
mod list_note;
mod lists;
mod origin;
mod parent_keys;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use serde_json::value::to_raw_value;

use super::abnormal_end::AbnormalEnd;
use super::metrics::CountedCrawl;
use super::open::ResumeState;
use super::resume::{ResumePoint, unusable};
use super::sharing::StreamSharing;
use super::{Crawl, Crawls};
use crate::batch::Batch;
use crate::config::{Caps, ParentLink};
use crate::error::{Failure, Fault};
use crate::pagination::children::{ChildrenTally, Lineage, ListEnd};
use crate::pagination::page::Head;
use crate::pagination::request::RedactedUrl;
use crate::pagination::verdict::{OnMissed, Verdict};
use crate::pagination::{PageRequest, Pagination};
use crate::snapshot::Writer;
use crate::upstream::Client;
use crate::upstream_usage::UpstreamUsage;
use list::ListNews;
use list_note::ListNote;
use lists::Lists;
use origin::{ListOrigin, RecordRule};

/// Parents of the lists of a crawl.
#[derive(Clone, Debug)]
pub struct Parents {
    pub client: Client,
    pub pagination: Arc<Pagination>,
    pub caps: Caps,
    /// First request for the parents. Segments that further parents fill are open.
    pub first: PageRequest,
    /// Rule by which a parent leads to its list.
    pub link: Arc<ParentLink>,
    /// Values of the segments that the request itself names, as JSON.
    pub named: Vec<(String, String)>,
    /// Parents of the parents.
    pub above: Option<Arc<Parents>>,
    /// Text that tells these parents from others in a cache key.
    pub identity: String,
}

/// A crawl of children under way.
#[derive(Debug)]
pub(super) struct ChildrenCrawl {
    pub(super) pagination: Arc<Pagination>,
    origin: ListOrigin,
    /// The crawl whose lists they are.
    crawl: Crawl,
    lists: Lists,
    /// News that came when the crawl was opened.
    news: VecDeque<ListNews>,
    tally: ChildrenTally,
    /// List whose records leave now, and what is done to them.
    current: Option<(Lineage, RecordRule)>,
    /// Number of records of that list that have left.
    left: u64,
    /// End of the list before the current one, for the next note.
    before: Option<ListEnd>,
    /// Records that have left the lists and wait for room in the log.
    waiting: Option<Batch>,
    /// Number of requests before an interruption.
    earlier_requests: u64,
    pub(super) records: u64,
    pub(super) sharing: StreamSharing,
}

/// Opens a crawl of children: waits until the first list has records, or its end is proven.
pub(super) async fn open(mut crawl: Crawl) -> Result<(Box<ChildrenCrawl>, ResumeState), Failure> {
    let began = SystemTime::now();
    let (mut children, mut state) = ChildrenCrawl::new(&mut crawl, began)?;
    state.began = crawl.pagination.windows.is_some().then_some(began);
    loop {
        let news = std::future::poll_fn(|context| children.lists.poll_next(context)).await?;
        let is_good = !matches!(news, ListNews::Begun(_));
        children.news.push_back(news);
        if is_good {
            return Ok((children, state));
        }
    }
}

/// Resumes a crawl of children at the list that was under way. The lists of parents are read again, and those of which all children came are
/// left out.
pub(super) fn resume(mut crawl: Crawl, point: &ResumePoint<'_>) -> Result<(Box<ChildrenCrawl>, ResumeState), Failure> {
    let saved: ResumeState =
        serde_json::from_str(point.state.get()).map_err(|_| unusable("what was noted of it can't be read"))?;
    crawl.valid_at = saved.valid_at.or(crawl.valid_at);
    let (mut children, state) = ChildrenCrawl::new(&mut crawl, saved.began.unwrap_or_else(SystemTime::now))?;
    if saved.first_request_hash != state.first_request_hash {
        return Err(unusable("the request is not the one that it was begun with"));
    }
    let mut under_way: Option<Lineage> = None;
    let segments = children.origin.segments();
    for note in point.checkpoints {
        let note = ListNote::read(note).ok_or_else(|| unusable("what was noted of it can't be read"))?;
        let lineage = note.lineage(&segments).ok_or_else(|| unusable("its parents are others"))?;
        match (under_way.replace(lineage), note.before) {
            // Without an end, the parent of the list before was gone when the crawl was resumed.
            (None | Some(_), None) => {}
            (Some(done), Some(end)) => {
                children.tally.add(&done, &end);
                children.lists.skip(&done)?;
            }
            (None, Some(_)) => return Err(unusable("a list is missing")),
        }
        children.earlier_requests = note.requests;
    }
    if children.tally.records() != point.records {
        return Err(unusable("its records are not those of its lists"));
    }
    children.records = point.records;
    children.usage().continue_from(children.earlier_requests);
    children.count_lists();
    if let Some(lineage) = under_way {
        children.current = Some((lineage.clone(), children.origin.rule(&lineage)));
        children.lists.resume_at(lineage);
    }
    Ok((children, saved))
}

impl ChildrenCrawl {
    fn new(crawl: &mut Crawl, began: SystemTime) -> Result<(Box<Self>, ResumeState), Failure> {
        let origin = ListOrigin::of(crawl, began)?;
        if crawl.since.is_some() {
            let message = "the lists of several parents have no common record to begin behind";
            let hint = "ask for the list of one parent, with its value in place of `*`, or leave the record out";
            return Err(Failure::new(Fault::Configuration, message, hint));
        }
        let state = ResumeState::prepare(crawl)?;
        crawl.valid_at = state.valid_at.or(crawl.valid_at);
        crawl.memory = crawl.memory.of_one_account();
        crawl.crawls = Crawls::default();
        let children = Self {
            pagination: Arc::clone(&crawl.pagination),
            crawl: crawl.clone(),
            lists: origin.lists(crawl),
            origin,
            news: VecDeque::new(),
            tally: ChildrenTally::default(),
            current: None,
            left: 0,
            before: None,
            waiting: None,
            earlier_requests: 0,
            records: 0,
            sharing: StreamSharing::UNLIMITED,
        };
        Ok((Box::new(children), state))
    }

    /// Drives the lists to their proven ends, and writes records while the log has room.
    pub(super) fn poll_end(
        &mut self,
        writer: &mut Writer,
        counted: &CountedCrawl,
        context: &mut Context<'_>,
    ) -> Poll<Result<Verdict, AbnormalEnd>> {
        loop {
            if let Some(batch) = self.waiting.take() {
                match writer.poll_room(context) {
                    Poll::Ready(room) => room?,
                    Poll::Pending => {
                        self.waiting = Some(batch);
                        self.lists.read_ahead(context);
                        return Poll::Pending;
                    }
                }
                counted.records(batch.records());
                self.left += batch.records();
                self.records += batch.records();
                writer.append(batch);
            }
            let news = match self.news.pop_front() {
                Some(news) => news,
                None => {
                    let news = self.lists.poll_next(context);
                    ready!(writer.poll_beside(news, &self.crawl.memory.crawl(), context))??
                }
            };
            match news {
                ListNews::Begun(lineage) => self.begin(lineage, writer),
                ListNews::Records(batch) => {
                    self.check_sharing()?;
                    self.waiting = self.changed(batch)?;
                }
                ListNews::Ended(end) => self.end_list(end),
                ListNews::Done => return Poll::Ready(self.verdict(counted)),
            }
        }
    }

    /// Notes the list that begins, with the end of the one before.
    fn begin(&mut self, lineage: Lineage, writer: &mut Writer) {
        if writer.keeps_checkpoints() {
            let note = ListNote::new(&lineage, self.before.take(), self.requests());
            writer.note(&to_raw_value(&note).expect("a note is texts and numbers"));
        }
        let rule = self.origin.rule(&lineage);
        (self.current, self.left) = (Some((lineage, rule)), 0);
    }

    /// Fails in front of records of a list that must not be given to all that get the stream. Lists read ahead count when it is their turn.
    fn check_sharing(&mut self) -> Result<(), Failure> {
        self.sharing.demand = self.lists.demand();
        self.sharing.check(|| {
            let lineage = self.current.as_ref().map(|(lineage, _)| lineage.to_string()).unwrap_or_default();
            format!("{}: {lineage}", self.url())
        })
    }

    fn end_list(&mut self, mut end: ListEnd) {
        if let ListEnd::Whole(verdict) = &mut end {
            // Those of other windows were left out.
            verdict.records = self.left;
        }
        if let Some((lineage, _)) = &self.current {
            self.tally.add(lineage, &end);
            self.count_lists();
        }
        self.before = Some(end);
    }

    /// Counts what has ended, for the status of the crawl.
    fn count_lists(&self) {
        self.usage().set_pages(self.tally.pages() + self.lists.pages_of_parents());
        if let ListOrigin::Parents(_) = self.origin {
            self.usage().set_lists(self.tally.parents(), self.tally.gone());
        }
    }

    /// Returns the records as they leave; none where none of them does.
    fn changed(&self, batch: Batch) -> Result<Option<Batch>, Failure> {
        let Some((lineage, rule)) = &self.current else { return Ok(Some(batch)) };
        Ok(Some(rule.apply(batch, lineage, &self.crawl)?).filter(|batch| !batch.is_empty()))
    }

    /// The verdict on the whole, where the end of each list is proven.
    fn verdict(&mut self, counted: &CountedCrawl) -> Result<Verdict, AbnormalEnd> {
        let mut tally = std::mem::take(&mut self.tally);
        self.lists.add_parents_to(&mut tally);
        if tally.is_all_gone() {
            let message = format!(
                "{}: the lists of all parents were refused with 404 or 410, so that no parent is known to have one",
                RedactedUrl(&self.crawl.first.url)
            );
            let hint = "check `path` and `upstream_path` of the lists, and `parent.key`";
            return Err(Failure::new(Fault::Configuration, message, hint).into());
        }
        let verdict = match &self.origin {
            ListOrigin::Parents(_) => tally.verdict(self.requests()),
            ListOrigin::Windows(series) => tally.verdict_of_windows(self.requests(), &series.shown_end()),
        };
        counted.judge(&verdict.consistency);
        // A list that moved has been held to its own `on_missed` before.
        verdict.held_to(OnMissed::Report).map_err(|why| unusable(&why).into())
    }

    fn requests(&self) -> u64 {
        let own = self.usage().counts().requests + self.earlier_requests;
        own + self.lists.requests_elsewhere()
    }

    pub(super) fn usage(&self) -> UpstreamUsage {
        self.crawl.client.usage()
    }

    pub(super) fn url(&self) -> RedactedUrl<'_> {
        RedactedUrl(&self.crawl.first.url)
    }

    /// Heads of the first pages under way, on which it depends who may share the stream.
    pub(super) fn heads(&self) -> Vec<&Head> {
        self.lists.heads()
    }

    pub(super) fn widen(&mut self, width: usize) {
        self.lists.widen(width);
    }
}
