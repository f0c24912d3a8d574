//! Lists of one level, in the order of their parents or windows: the first one leaves, and those behind it are read ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::list::{ListCrawl, ListNews};
use super::parent_keys::ParentKeys;
use super::{Parents, unusable};
use crate::config::{OnGone, ParentLink};
use crate::crawl::{Crawl, failure_report};
use crate::error::{Failure, Fault};
use crate::pagination::children::{Ancestor, ChildrenTally, Lineage, ListEnd};
use crate::pagination::page::Head;
use crate::pagination::request::BadPlace;
use crate::pagination::windows::WindowSeries;
use crate::pagination::{Encode, PageRequest, Param};
use crate::snapshot::cache_control::StorageDemand;

/// Lists of all parents or windows, or one list without a parent.
#[derive(Debug)]
pub(super) struct Lists {
    /// The crawl of a list, whose first request has open segments.
    template: Crawl,
    source: ListSource,
    under_way: VecDeque<ListCrawl>,
    first: FirstList,
    /// Strictest demand on the storage of the lists that have left or leave now.
    demand: StorageDemand,
    /// Most lists under way.
    width: usize,
}

/// Origin of the lists.
#[derive(Debug)]
enum ListSource {
    /// One list; `None` once it is under way.
    Single(Option<Lineage>),
    Parents(Arc<ParentLink>, Box<ParentKeys>),
    /// Windows from this start on; `None` behind the last one.
    Windows(Arc<WindowSeries>, Option<i128>),
}

/// State of the first list under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstList {
    /// Its begin is not told yet.
    New,
    Begun,
    /// List under way before an interruption. No other list begins before its end, since its parent may be gone since.
    Resumed,
}

impl Lists {
    /// The lists of this crawl, one for each of the parents, or one list.
    pub(super) fn new(crawl: &Crawl, parents: Option<&Arc<Parents>>) -> Self {
        let mut template = crawl.clone();
        let source = match parents {
            None => ListSource::Single(Some(Lineage::default())),
            Some(parents) => {
                // A page ahead of a list's end would cost as much as the list: most have one page.
                template.width = 1;
                ListSource::Parents(Arc::clone(&parents.link), Box::new(ParentKeys::new(crawl, parents)))
            }
        };
        Self::of(template, source, crawl.width)
    }

    /// The list of each window.
    pub(super) fn of_windows(crawl: &Crawl, series: &Arc<WindowSeries>) -> Self {
        let source = ListSource::Windows(Arc::clone(series), Some(series.start()));
        Self::of(Crawl { width: 1, ..crawl.clone() }, source, crawl.width)
    }

    fn of(template: Crawl, source: ListSource, width: usize) -> Self {
        let width = if template.pagination.is_verified() { 1 } else { width };
        Self { template, source, under_way: VecDeque::new(), first: FirstList::New, demand: StorageDemand::NONE, width }
    }

    /// Sets the largest number of lists under way. Where a list is read twice, it is 1: each takes the room of a whole list.
    pub(super) fn widen(&mut self, width: usize) {
        if !self.template.pagination.is_verified() {
            self.width = width.max(1);
        }
        match &mut self.source {
            ListSource::Single(_) => {
                self.template.width = width.max(1);
                self.under_way.iter_mut().for_each(|list| list.widen(width));
            }
            ListSource::Parents(_, keys) => keys.lists.widen(width),
            ListSource::Windows(..) => {}
        }
    }

    /// Leaves a list out, which has come before an interruption.
    pub(super) fn skip(&mut self, done: &Lineage) -> Result<(), Failure> {
        match &mut self.source {
            ListSource::Single(_) => Ok(()),
            ListSource::Parents(_, keys) => keys.add(done).map(|_| ()),
            ListSource::Windows(series, next) => {
                let done = series.window_of(done).ok_or_else(|| unusable("its windows are others"))?;
                *next = done.next;
                Ok(())
            }
        }
    }

    /// Begins with this list, which was under way before an interruption.
    pub(super) fn resume_at(&mut self, lineage: Lineage) {
        self.first = FirstList::Resumed;
        self.begin(lineage);
    }

    /// Returns the next news of the first list.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ListNews, Failure>> {
        loop {
            let is_over = self.poll_fill(context)?.is_ready();
            self.read_ahead(context);
            let on_gone = self.on_gone();
            let Some(list) = self.under_way.front_mut() else {
                return if is_over { Poll::Ready(Ok(ListNews::Done)) } else { Poll::Pending };
            };
            if self.first == FirstList::New {
                self.first = FirstList::Begun;
                return Poll::Ready(Ok(ListNews::Begun(list.lineage.clone())));
            }
            let on_gone = if self.first == FirstList::Resumed { OnGone::Report } else { on_gone };
            let is_of_parents = matches!(self.source, ListSource::Parents(..));
            let news = ready!(list.poll_next(on_gone, context));
            self.demand = self.demand.max(list.demand());
            let news = news.map_err(|failure| of_list(&list.lineage, failure, is_of_parents))?;
            let ListNews::Ended(end) = &news else { return Poll::Ready(Ok(news)) };
            let was = std::mem::replace(&mut self.first, FirstList::New);
            let list = self.under_way.pop_front();
            match (was, end, list) {
                // The parents are read again: if it is still one of them, its list is asked for again.
                (FirstList::Resumed, ListEnd::Gone(_), _) => {}
                (FirstList::Resumed, ListEnd::Whole(_), Some(list)) => {
                    self.skip(&list.lineage)?;
                    return Poll::Ready(Ok(news));
                }
                _ => return Poll::Ready(Ok(news)),
            }
        }
    }

    /// Begins lists while there are parents and places for them. Ready when no parent is left.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if self.first == FirstList::Resumed && !self.under_way.is_empty() {
                return Poll::Pending;
            }
            let lineage = match &mut self.source {
                ListSource::Single(lineage) => lineage.take(),
                ListSource::Parents(_, keys) if self.under_way.len() >= self.width => {
                    // Their keys wait meanwhile, so that the addresses of their pages do not expire.
                    keys.read_ahead(context);
                    return Poll::Pending;
                }
                ListSource::Parents(_, keys) => ready!(keys.poll_next(context))?,
                ListSource::Windows(..) if self.under_way.len() >= self.width => return Poll::Pending,
                ListSource::Windows(series, next) => {
                    let start = next.take();
                    *next = start.and_then(|start| series.at(start).next);
                    start.map(|start| series.lineage(start))
                }
            };
            match lineage {
                Some(lineage) => self.begin(lineage),
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn begin(&mut self, lineage: Lineage) {
        let first = match &self.source {
            ListSource::Windows(series, _) => series
                .window_of(&lineage)
                .map_or_else(|| Ok(self.template.first.clone()), |it| series.request(&self.template.first, it)),
            ListSource::Single(_) | ListSource::Parents(..) => request(&self.template.first, &lineage),
        };
        let list = match first {
            Ok(first) => {
                let open = self.template.first.url.path().split('/');
                let filled = open.zip(first.url.path().split('/')).filter(|(open, filled)| open != filled);
                let filled = filled.map(|(_, filled)| filled.to_owned()).collect();
                ListCrawl::new(lineage, Crawl { first, ..self.template.clone() }, filled)
            }
            Err(bad) => {
                let failure = failure_report::wrong_page(&self.template.client, &bad.into(), &self.template.first.url);
                ListCrawl::failed(lineage, failure)
            }
        };
        self.under_way.push_back(list);
    }

    /// Reads each list as far as it has room. A page that stands still gives its permit back only when it is polled, and other lists may
    /// need it: also lists that nothing is taken from have to be.
    pub(super) fn read_ahead(&mut self, context: &mut Context<'_>) {
        self.under_way.iter_mut().for_each(|list| list.read_ahead(context));
        if let ListSource::Parents(_, keys) = &mut self.source {
            keys.lists.read_ahead(context);
        }
    }

    fn on_gone(&self) -> OnGone {
        match &self.source {
            ListSource::Parents(link, _) => link.on_gone,
            ListSource::Single(_) | ListSource::Windows(..) => OnGone::Fail,
        }
    }

    /// Adds the lists of parents to a tally, from the outermost.
    pub(super) fn add_parents_to(&mut self, tally: &mut ChildrenTally) {
        if let ListSource::Parents(_, keys) = &mut self.source {
            keys.lists.add_parents_to(tally);
            keys.add_to(tally);
        }
    }

    /// Number of pages of the lists of parents that have ended.
    pub(super) fn pages_of_parents(&self) -> u64 {
        match &self.source {
            ListSource::Parents(_, keys) => keys.pages() + keys.lists.pages_of_parents(),
            ListSource::Single(_) | ListSource::Windows(..) => 0,
        }
    }

    /// Number of requests for parents that are not counted with the crawl's own, since their upstream is configured apart.
    pub(super) fn requests_elsewhere(&self) -> u64 {
        match &self.source {
            ListSource::Parents(_, keys) => keys.requests_elsewhere() + keys.lists.requests_elsewhere(),
            ListSource::Single(_) | ListSource::Windows(..) => 0,
        }
    }

    /// Heads of the first pages of the lists under way, those of parents included.
    pub(super) fn heads(&self) -> Vec<&Head> {
        let own = self.under_way.iter().filter_map(ListCrawl::head);
        match &self.source {
            ListSource::Parents(_, keys) => own.chain(keys.lists.heads()).collect(),
            ListSource::Single(_) | ListSource::Windows(..) => own.collect(),
        }
    }

    /// Strictest demand on the storage of the lists that have left or leave now, and of those of parents.
    pub(super) fn demand(&self) -> StorageDemand {
        match &self.source {
            ListSource::Parents(_, keys) => self.demand.max(keys.lists.demand()),
            ListSource::Single(_) | ListSource::Windows(..) => self.demand,
        }
    }

    pub(super) fn template(&self) -> &Crawl {
        &self.template
    }
}

/// Returns the first request for the list of these parents.
fn request(template: &PageRequest, lineage: &Lineage) -> Result<PageRequest, BadPlace> {
    let mut first = template.clone();
    for Ancestor { segment, key } in lineage.ancestors() {
        first.set(&Param::Path(segment.to_string()), &key.text().into(), Encode::Plain)?;
    }
    Ok(first)
}

/// The failure of a list, with its parents or its window. The crawl of children asked for it, and not the client.
fn of_list(lineage: &Lineage, failure: Failure, is_of_parents: bool) -> Failure {
    if lineage.ancestors().is_empty() {
        return failure;
    }
    if !is_of_parents {
        return Failure { message: format!("{lineage}: {}", failure.message), ..failure };
    }
    let message = format!("children of {lineage}: {}", failure.message);
    match failure.fault {
        Fault::RefusedClient(status) if matches!(status.as_u16(), 404 | 410) => {
            let hint = "the parent may be gone since it was listed: ask again, or set parent.on_gone = \"report\", which counts it in the verdict";
            Failure { fault: Fault::RefusedConfiguration(status), message, hint: hint.to_owned(), ..failure }
        }
        _ => Failure { message, ..failure },
    }
}
