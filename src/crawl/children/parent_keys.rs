//! Keys of parents: read from the list of parents ahead of their lists, in bounded memory, and each once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Parents;
use super::list::ListNews;
use super::lists::Lists;
use crate::batch::Batch;
use crate::config::ParentLink;
use crate::crawl::spill::SpillStore;
use crate::crawl::{Crawl, Crawls, failure_report, key_spill};
use crate::error::{Failure, Fault};
use crate::pagination::children::{ChildrenTally, Lineage, ParentKey};
use crate::pagination::keys::{KeySet, Novelty};
use crate::pagination::request::RedactedUrl;
use crate::snapshot::UsedMemory;
use crate::upstream::Client;

/// Bytes of keys that may wait. While there are more, the list of parents is not read on.
const WAITING: usize = 1 << 20;

/// Keys of the parents of one level.
#[derive(Debug)]
pub(super) struct ParentKeys {
    /// Lists of the parents themselves.
    pub(super) lists: Lists,
    link: Arc<ParentLink>,
    /// Client of the parents, where its requests are not counted with those of the children.
    elsewhere: Option<Client>,
    /// Parents of the list that is read now.
    above: Lineage,
    waiting: VecDeque<Lineage>,
    waiting_bytes: usize,
    seen: KeySet,
    memory: UsedMemory,
    tally: ChildrenTally,
    /// End of the list of parents. A failure waits until the lists of the parents before it have come.
    end: Option<Result<(), Failure>>,
}

impl ParentKeys {
    pub(super) fn new(children: &Crawl, parents: &Arc<Parents>) -> Self {
        let Parents { client, pagination, caps, first, link, above, .. } = &**parents;
        let is_counted = Arc::ptr_eq(client.upstream(), children.client.upstream());
        let client = if is_counted {
            children.client.clone()
        } else {
            client.clone().in_trace_of(&children.client).for_crawl(first, pagination)
        };
        let crawl = Crawl {
            client: client.clone(),
            pagination: Arc::clone(pagination),
            caps: caps.clone(),
            first: first.clone(),
            since: None,
            valid_at: children.valid_at,
            width: children.width,
            memory: children.memory.clone(),
            crawls: Crawls::default(),
            parents: None,
        };
        let memory = children.memory.crawl();
        let store = SpillStore::new(caps.window_bytes, caps.spool_bytes, memory.clone());
        Self {
            lists: Lists::new(&crawl, above.as_ref()),
            link: Arc::clone(link),
            elsewhere: (!is_counted).then_some(client),
            above: Lineage::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            seen: key_spill::key_set(caps, store),
            memory: memory.in_use(),
            tally: ChildrenTally::default(),
            end: None,
        }
    }

    /// Returns the next parent that has not come before; `None` after the last one.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Lineage>, Failure>> {
        loop {
            self.read_ahead(context);
            match (self.waiting.pop_front(), &self.end) {
                (Some(lineage), _) => {
                    self.waiting_bytes -= lineage.bytes();
                    if self.add(&lineage)? == Novelty::New {
                        return Poll::Ready(Ok(Some(lineage)));
                    }
                }
                (None, Some(end)) => return Poll::Ready(end.clone().map(|()| None)),
                (None, None) => return Poll::Pending,
            }
        }
    }

    /// Adds a parent. Parents with the same value lead to the same list, which would be in the stream twice.
    pub(super) fn add(&mut self, lineage: &Lineage) -> Result<Novelty, Failure> {
        let added = self.seen.insert(lineage.identity().as_bytes());
        self.memory.set(self.seen.bytes() + self.waiting_bytes);
        added.map_err(|lost| failure_report::unreadable_spill(&std::io::Error::other(lost.0)))
    }

    /// Reads the lists of parents while there is room for their keys.
    pub(super) fn read_ahead(&mut self, context: &mut Context<'_>) {
        while self.end.is_none() && self.waiting_bytes < WAITING {
            match self.lists.poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(Ok(ListNews::Begun(lineage))) => self.above = lineage,
                Poll::Ready(Ok(ListNews::Records(batch))) => {
                    if let Err(failure) = self.take_keys(&batch) {
                        self.end = Some(Err(failure));
                    }
                }
                Poll::Ready(Ok(ListNews::Ended(end))) => self.tally.add_parents(&self.above, &end),
                Poll::Ready(Ok(ListNews::Done)) => self.end = Some(Ok(())),
                Poll::Ready(Err(failure)) => self.end = Some(Err(failure)),
            }
        }
        if self.end.is_none() {
            self.lists.read_ahead(context);
        }
    }

    fn take_keys(&mut self, parents: &Batch) -> Result<(), Failure> {
        for line in parents.each() {
            let key = ParentKey::read(line, &self.link.key).map_err(|bad| self.bad_parent(&bad.to_string()))?;
            let lineage = self.above.with(&self.link.segment, key);
            self.waiting_bytes += lineage.bytes();
            self.waiting.push_back(lineage);
        }
        Ok(())
    }

    fn bad_parent(&self, what: &str) -> Failure {
        let url = RedactedUrl(&self.lists.template().first.url);
        let hint = "set `parent.key` to the path of a text or number that each parent has";
        Failure::new(Fault::Configuration, format!("{url}: {what}"), hint)
    }

    /// Adds the lists of these parents to a tally.
    pub(super) fn add_to(&mut self, tally: &mut ChildrenTally) {
        tally.absorb(std::mem::take(&mut self.tally));
        if self.seen.forgotten() > 0 {
            tally.doubt(
                "keys of parents were forgotten for want of room in caps.spool, so that a parent may have come twice",
            );
        }
    }

    /// Number of pages of the lists of these parents that have ended.
    pub(super) fn pages(&self) -> u64 {
        self.tally.pages()
    }

    pub(super) fn requests_elsewhere(&self) -> u64 {
        self.elsewhere.as_ref().map_or(0, |client| client.usage().counts().requests)
    }
}
