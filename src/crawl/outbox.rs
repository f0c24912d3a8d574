//! What may leave, and what waits until its part may: each part's records in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::task::{Context, Poll, ready};

use super::backlog::Backlog;
use super::spool::Room;
use crate::batch::Batch;
use crate::pagination::plan::PartId;

/// How many bytes that may leave are kept before more is taken from their pages.
const ENOUGH: usize = 256 * 1024;

/// Records between the plan, which has let them through, and the log.
#[derive(Debug)]
pub(super) struct Outbox {
    room: Room,
    ready: VecDeque<Batch>,
    bytes: usize,
    /// The parts that may leave. One that is over leaves nothing behind but its number.
    open: BTreeSet<PartId>,
    waiting: BTreeMap<PartId, Backlog>,
}

impl Outbox {
    pub(super) fn new(room: Room) -> Self {
        Self { room, ready: VecDeque::new(), bytes: 0, open: BTreeSet::new(), waiting: BTreeMap::new() }
    }

    /// Takes a part's next records.
    pub(super) fn put(&mut self, part: PartId, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        if self.open.contains(&part) && !self.waiting.contains_key(&part) {
            self.bytes += batch.lines().len();
            self.ready.push_back(batch);
        } else {
            self.waiting.entry(part).or_insert_with(|| Backlog::new(&self.room)).push(batch);
        }
    }

    /// Lets a part's records leave: those that wait, and those that will come.
    pub(super) fn open(&mut self, part: PartId) {
        self.open.insert(part);
    }

    /// Whether there is a use for more of this part's records.
    pub(super) fn takes(&self, part: PartId) -> bool {
        if self.open.contains(&part) && !self.waiting.contains_key(&part) {
            self.bytes < ENOUGH
        } else {
            self.room.is_open()
        }
    }

    /// How many bytes could leave at once.
    pub(super) fn ready(&self) -> usize {
        self.bytes
    }

    /// Whether nothing that may leave is left.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && !self.waiting.keys().any(|part| self.open.contains(part))
    }

    /// The next records that may leave; none where there are none yet.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Batch>>> {
        if let Some(batch) = self.ready.pop_front() {
            self.bytes -= batch.lines().len();
            return Poll::Ready(Ok(Some(batch)));
        }
        while let Some(part) = self.waiting.keys().find(|part| self.open.contains(part)).copied() {
            let Some(backlog) = self.waiting.get_mut(&part) else { break };
            if let Some(batch) = ready!(backlog.poll_pop(context))? {
                return Poll::Ready(Ok(Some(batch)));
            }
            self.waiting.remove(&part);
        }
        Poll::Ready(Ok(None))
    }
}
