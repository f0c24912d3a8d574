//! The reorder buffer of a crawl: pages wait for those before them in their part, and the records of a part for the parts before it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::task::{Context, Poll, ready};

use serde_json::value::RawValue;

use super::page_stream::PageStream;
use super::spill::SpillStore;
use super::spill_queue::SpillQueue;
use crate::batch::Batch;
use crate::pagination::plan::{PageId, PartId};
use crate::snapshot::{CrawlMemory, UsedMemory};

/// Number of bytes that may leave and are kept before more is taken from their pages.
const READY_BYTES: usize = 256 * 1024;

/// Records that wait, in lanes of their own that share one store, and those that leave next.
#[derive(Debug)]
pub(super) struct ReorderBuffer {
    memory: CrawlMemory,
    store: SpillStore,
    /// Lanes without records are left out.
    lanes: BTreeMap<Lane, SpillQueue>,
    ready: VecDeque<Released>,
    /// Number of bytes of records in `ready`.
    ready_bytes: usize,
    ready_memory: UsedMemory,
    /// The parts that may leave.
    open: BTreeSet<PartId>,
    /// Those of them that leave from their lanes, in the order in which they were opened.
    draining: VecDeque<PartId>,
}

/// A queue of records that wait for the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Records of a page that is not at the head of its part.
    Page(PageId),
    /// The last batch of a page that is whole. It must not be joined with those before, since it leaves when the page has been
    /// found good. Of a page that came at once it is all of it.
    PageEnd(PageId),
    /// Released records of a part that may not leave yet.
    Part(PartId),
}

/// The next output of the buffer.
#[derive(Debug)]
pub(super) enum Released {
    Records(Batch),
    /// The checkpoint after a page whose last record has left.
    Checkpoint(Box<RawValue>),
}

impl ReorderBuffer {
    pub(super) fn new(store: SpillStore, memory: CrawlMemory) -> Self {
        Self {
            ready_memory: memory.in_use(),
            memory,
            store,
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            open: BTreeSet::new(),
            draining: VecDeque::new(),
        }
    }

    pub(super) fn memory(&self) -> &CrawlMemory {
        &self.memory
    }

    /// Resolves if a page that holds a part of a large record may be read on.
    pub(super) fn poll_memory(&self, page: &PageStream, context: &mut Context<'_>) -> Poll<()> {
        if page.is_at_head() { self.memory.poll_head_room(context) } else { self.memory.poll_room(context) }
    }

    /// Returns whether more may be read ahead.
    pub(super) fn has_room(&self) -> bool {
        self.store.is_open()
    }

    /// Resolves when more may be read ahead.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.store.poll_open(context)
    }

    /// Returns true if nothing that waits has room any more before it leaves.
    pub(super) fn is_full(&self) -> bool {
        self.store.is_full()
    }

    /// Appends records to a lane. They are taken in any case: [`Self::has_room`] bounds them.
    pub(super) fn push(&mut self, lane: Lane, batch: Batch) {
        if !batch.is_empty() {
            self.lanes.entry(lane).or_default().push(&self.store, batch);
        }
    }

    /// Takes the next records of a lane; none if it is empty.
    pub(super) fn poll_pop(&mut self, lane: Lane, context: &mut Context<'_>) -> Poll<io::Result<Option<Batch>>> {
        let Some(queue) = self.lanes.get_mut(&lane) else { return Poll::Ready(Ok(None)) };
        let popped = ready!(queue.poll_pop(context));
        if queue.is_empty() {
            self.lanes.remove(&lane);
        }
        Poll::Ready(popped)
    }

    /// Drops the records of a page that is not wanted any more.
    pub(super) fn discard(&mut self, page: PageId) {
        self.lanes.remove(&Lane::Page(page));
        self.lanes.remove(&Lane::PageEnd(page));
    }

    /// Takes a part's next released records.
    pub(super) fn emit(&mut self, part: PartId, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let is_open = self.open.contains(&part);
        if is_open && self.draining.is_empty() {
            self.set_ready_bytes(self.ready_bytes + batch.lines().len());
            self.ready.push_back(Released::Records(batch));
            return;
        }
        self.push(Lane::Part(part), batch);
        if is_open && !self.draining.contains(&part) {
            self.draining.push_back(part);
        }
    }

    fn set_ready_bytes(&mut self, bytes: usize) {
        self.ready_bytes = bytes;
        self.ready_memory.set(bytes);
    }

    /// Takes the checkpoint after the records so far. Only a crawl of one part has any, whose records all leave as they come.
    pub(super) fn checkpoint(&mut self, checkpoint: Box<RawValue>) {
        self.ready.push_back(Released::Checkpoint(checkpoint));
    }

    /// Lets a part's records leave, present and future ones, after those that may leave already.
    pub(super) fn open(&mut self, part: PartId) {
        self.open.insert(part);
        if self.lanes.contains_key(&Lane::Part(part)) {
            self.draining.push_back(part);
        }
    }

    pub(super) fn is_open(&self, part: PartId) -> bool {
        self.open.contains(&part)
    }

    /// Returns whether more of this part's records may be taken from its pages.
    pub(super) fn accepts(&self, part: PartId) -> bool {
        if self.open.contains(&part) && self.draining.is_empty() {
            self.ready_bytes < READY_BYTES
        } else {
            self.has_room()
        }
    }

    /// Number of bytes that could leave at once.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Returns whether nothing is left that may leave.
    pub(super) fn is_drained(&self) -> bool {
        self.ready.is_empty() && self.draining.is_empty()
    }

    /// Returns whether records leave next, for which the log must have room.
    pub(super) fn needs_room(&self) -> bool {
        !matches!(self.ready.front(), Some(Released::Checkpoint(_)))
    }

    /// Takes the next output; none where nothing may leave.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Released>>> {
        if let Some(next) = self.ready.pop_front() {
            if let Released::Records(batch) = &next {
                self.set_ready_bytes(self.ready_bytes - batch.lines().len());
            }
            return Poll::Ready(Ok(Some(next)));
        }
        while let Some(part) = self.draining.front() {
            if let Some(batch) = ready!(self.poll_pop(Lane::Part(*part), context))? {
                return Poll::Ready(Ok(Some(Released::Records(batch))));
            }
            self.draining.pop_front();
        }
        Poll::Ready(Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::MemoryBudget;

    fn buffer() -> ReorderBuffer {
        let memory = MemoryBudget::unlimited().crawl();
        ReorderBuffer::new(SpillStore::new(1 << 20, 0, memory.clone()), memory)
    }

    const PARTS: usize = 4;

    fn batch(part: usize, number: u32) -> Batch {
        Batch::new(Bytes::from(format!("{part} {number}\n")), 1)
    }

    fn next(buffer: &mut ReorderBuffer) -> Option<String> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match buffer.poll_next(&mut context) {
            Poll::Ready(Ok(Some(Released::Records(batch)))) => Some(String::from_utf8(batch.lines().to_vec()).unwrap()),
            _ => None,
        }
    }

    proptest! {
        /// Parts that are opened when the one before is over leave one after the other, however they came.
        #[test]
        fn parts_leave_in_the_order_in_which_they_were_opened(
            steps in prop::collection::vec((0..PARTS + 2, any::<bool>()), 0..200),
        ) {
            // Later parts have smaller numbers: numbers say when a part was begun and nothing else.
            let part = |at: usize| PartId::of((PARTS - at) as u64);
            let mut buffer = buffer();
            let (mut counts, mut first, mut left) = ([0; PARTS], 0, Vec::new());
            buffer.open(part(0));
            for (what, takes) in steps {
                match what {
                    at if at < PARTS && at >= first => {
                        buffer.emit(part(at), batch(at, counts[at]));
                        counts[at] += 1;
                    }
                    PARTS if first + 1 < PARTS => {
                        first += 1;
                        buffer.open(part(first));
                    }
                    _ => {}
                }
                if takes {
                    left.extend(next(&mut buffer));
                }
            }
            for at in first + 1..PARTS {
                buffer.open(part(at));
            }
            while let Some(line) = next(&mut buffer) {
                left.push(line);
            }
            let all: Vec<_> =
                (0..PARTS).flat_map(|at| (0..counts[at]).map(move |number| format!("{at} {number}\n"))).collect();
            prop_assert!(buffer.is_drained());
            prop_assert_eq!(left, all);
        }
    }

    #[test]
    fn a_page_is_noted_behind_its_records_and_needs_no_room() {
        let mut buffer = buffer();
        buffer.open(PartId::of(0));
        buffer.emit(PartId::of(0), batch(0, 1));
        buffer.checkpoint(RawValue::from_string("1".to_owned()).unwrap());
        assert!(buffer.needs_room());
        assert_eq!(next(&mut buffer).as_deref(), Some("0 1\n"));
        assert!(!buffer.needs_room() && !buffer.is_drained());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let noted = buffer.poll_next(&mut context);
        assert!(matches!(noted, Poll::Ready(Ok(Some(Released::Checkpoint(note)))) if note.get() == "1"));
        assert!(buffer.is_drained());
    }
}
