//! What may leave, and what waits until its part may: each part's records in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::task::{Context, Poll, ready};

use serde_json::value::RawValue;

use super::reorder::Backlog;
use super::spill::Room;
use crate::batch::Batch;
use crate::pagination::plan::PartId;

/// How many bytes that may leave are kept before more is taken from their pages.
const ENOUGH: usize = 256 * 1024;

/// Records between the plan, which has let them through, and the log.
#[derive(Debug)]
pub(super) struct Outbox {
    room: Room,
    /// What leaves first.
    ready: VecDeque<Leaving>,
    bytes: usize,
    /// The parts that may leave.
    open: BTreeSet<PartId>,
    /// Those of them that leave from their backlogs, in the order in which they were opened.
    draining: VecDeque<PartId>,
    waiting: BTreeMap<PartId, Backlog>,
}

/// What leaves next.
#[derive(Debug)]
pub(super) enum Leaving {
    Batch(Batch),
    /// A page whose last record has left: what is needed to go on behind it.
    Page(Box<RawValue>),
}

impl Outbox {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            ready: VecDeque::new(),
            bytes: 0,
            open: BTreeSet::new(),
            draining: VecDeque::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Takes a part's next records.
    pub(super) fn put(&mut self, part: PartId, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        let is_open = self.open.contains(&part);
        if is_open && self.draining.is_empty() {
            self.bytes += batch.lines().len();
            self.ready.push_back(Leaving::Batch(batch));
            return;
        }
        self.waiting.entry(part).or_insert_with(|| Backlog::new(&self.room)).push(batch);
        if is_open && !self.draining.contains(&part) {
            self.draining.push_back(part);
        }
    }

    /// Takes what is needed to go on behind what was put. Only a crawl of one part has such notes, whose records all leave as they come.
    pub(super) fn note(&mut self, page: Box<RawValue>) {
        self.ready.push_back(Leaving::Page(page));
    }

    /// Lets a part's records leave, those that wait and those that will come, behind what may leave already.
    pub(super) fn open(&mut self, part: PartId) {
        self.open.insert(part);
        if self.waiting.contains_key(&part) {
            self.draining.push_back(part);
        }
    }

    /// Whether there is a use for more of this part's records.
    pub(super) fn takes(&self, part: PartId) -> bool {
        if self.open.contains(&part) && self.draining.is_empty() { self.bytes < ENOUGH } else { self.room.is_open() }
    }

    /// Whether a part may leave.
    pub(super) fn is_open(&self, part: PartId) -> bool {
        self.open.contains(&part)
    }

    /// How many bytes could leave at once.
    pub(super) fn ready(&self) -> usize {
        self.bytes
    }

    /// Whether nothing that may leave is left.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.draining.is_empty()
    }

    /// Whether what leaves next are records, for which there must be room.
    pub(super) fn needs_room(&self) -> bool {
        !matches!(self.ready.front(), Some(Leaving::Page(_)))
    }

    /// What leaves next; none where there is nothing that may.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Leaving>>> {
        if let Some(next) = self.ready.pop_front() {
            if let Leaving::Batch(batch) = &next {
                self.bytes -= batch.lines().len();
            }
            return Poll::Ready(Ok(Some(next)));
        }
        while let Some(part) = self.draining.front() {
            if let Some(backlog) = self.waiting.get_mut(part)
                && let Some(batch) = ready!(backlog.poll_pop(context))?
            {
                return Poll::Ready(Ok(Some(Leaving::Batch(batch))));
            }
            self.waiting.remove(part);
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

    const PARTS: usize = 4;

    fn batch(part: usize, number: u32) -> Batch {
        Batch::new(Bytes::from(format!("{part} {number}\n")), 1)
    }

    fn next(outbox: &mut Outbox) -> Option<String> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        match outbox.poll_next(&mut context) {
            Poll::Ready(Ok(Some(Leaving::Batch(batch)))) => Some(String::from_utf8(batch.lines().to_vec()).unwrap()),
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
            let mut outbox = Outbox::new(Room::new(1 << 20, 0));
            let (mut counts, mut first, mut left) = ([0; PARTS], 0, Vec::new());
            outbox.open(part(0));
            for (what, takes) in steps {
                match what {
                    at if at < PARTS && at >= first => {
                        outbox.put(part(at), batch(at, counts[at]));
                        counts[at] += 1;
                    }
                    PARTS if first + 1 < PARTS => {
                        first += 1;
                        outbox.open(part(first));
                    }
                    _ => {}
                }
                if takes {
                    left.extend(next(&mut outbox));
                }
            }
            for at in first + 1..PARTS {
                outbox.open(part(at));
            }
            while let Some(line) = next(&mut outbox) {
                left.push(line);
            }
            let all: Vec<_> =
                (0..PARTS).flat_map(|at| (0..counts[at]).map(move |number| format!("{at} {number}\n"))).collect();
            prop_assert!(outbox.is_empty());
            prop_assert_eq!(left, all);
        }
    }

    #[test]
    fn a_page_is_noted_behind_its_records_and_needs_no_room() {
        let mut outbox = Outbox::new(Room::new(1 << 20, 0));
        outbox.open(PartId::of(0));
        outbox.put(PartId::of(0), batch(0, 1));
        outbox.note(RawValue::from_string("1".to_owned()).unwrap());
        assert!(outbox.needs_room());
        assert_eq!(next(&mut outbox).as_deref(), Some("0 1\n"));
        assert!(!outbox.needs_room() && !outbox.is_empty());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let noted = outbox.poll_next(&mut context);
        assert!(matches!(noted, Poll::Ready(Ok(Some(Leaving::Page(note)))) if note.get() == "1"));
        assert!(outbox.is_empty());
    }
}
