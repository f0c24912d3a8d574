//! What waits for its turn, in its order: in memory while there is room, else in the crawl's file.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::spill::{Held, Recalled, Room, Spilled};
use crate::batch::Batch;

/// How many entries at the front are looked at for something to be read.
const AHEAD: usize = 3;

/// Batches in the order in which they came, taken out in the same order; those that were in the file may come back as one.
///
/// Where memory is full, the newest go to the file, since they are needed last. A write is never waited for: what is taken out
/// meanwhile comes from memory.
#[derive(Debug)]
pub(super) struct Backlog {
    room: Room,
    entries: VecDeque<Entry>,
}

#[derive(Debug)]
enum Entry {
    Held(Held),
    Spilled(Arc<Spilled>),
    Reading(JoinHandle<io::Result<Held>>),
    /// It can't be read: nothing behind it leaves.
    Lost(io::ErrorKind, String),
}

impl Backlog {
    pub(super) fn new(room: &Room) -> Self {
        Self { room: room.clone(), entries: VecDeque::new() }
    }

    /// Appends a batch. It is taken in any case: whoever wants memory to be bounded asks [`Room::is_open`] before.
    pub(super) fn push(&mut self, batch: Batch) {
        if batch.is_empty() {
            return;
        }
        self.entries.push_back(Entry::Held(self.room.hold(batch)));
        if let Some(extent) = self.room.wants_written() {
            self.spill(extent);
        }
    }

    /// The next batch; none if there is none.
    pub(super) fn poll_pop(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Batch>, io::Error>> {
        self.read_ahead();
        while let Some(first) = self.entries.pop_front() {
            match first {
                Entry::Held(held) => return Poll::Ready(Ok(Some(held.into_batch()))),
                Entry::Spilled(spilled) => match spilled.recall() {
                    Recalled::Memory(run) => {
                        run.into_iter().rev().for_each(|held| self.entries.push_front(Entry::Held(held)));
                    }
                    Recalled::Reading(reading) => self.entries.push_front(Entry::Reading(reading)),
                },
                Entry::Reading(mut reading) => match Pin::new(&mut reading).poll(context) {
                    Poll::Pending => {
                        self.entries.push_front(Entry::Reading(reading));
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => match read.map_err(io::Error::other).flatten() {
                        Ok(held) => self.entries.push_front(Entry::Held(held)),
                        Err(error) => self.entries.push_front(Entry::Lost(error.kind(), error.to_string())),
                    },
                },
                Entry::Lost(kind, what) => {
                    let error = io::Error::new(kind, what.clone());
                    self.entries.push_front(Entry::Lost(kind, what));
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Has the newest batches written, as one, and at least the last.
    fn spill(&mut self, extent: u64) {
        let (mut run, mut bytes) = (Vec::new(), 0);
        while let Some(Entry::Held(held)) = self.entries.back()
            && (run.is_empty() || bytes + held.bytes() <= extent)
            && let Some(Entry::Held(held)) = self.entries.pop_back()
        {
            bytes += held.bytes();
            run.push(held);
        }
        run.reverse();
        match self.room.spill(run) {
            Ok(spilled) => self.entries.push_back(Entry::Spilled(spilled)),
            Err(run) => self.entries.extend(run.into_iter().map(Entry::Held)),
        }
    }

    fn read_ahead(&mut self) {
        for entry in self.entries.iter_mut().take(AHEAD) {
            if let Entry::Spilled(spilled) = entry
                && spilled.is_in_file()
                && let Recalled::Reading(reading) = Arc::clone(spilled).recall()
            {
                *entry = Entry::Reading(reading);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::future::poll_fn;

    use bytes::Bytes;
    use proptest::prelude::*;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::crawl::extents::{BLOCK, Limits};

    /// A window and extents that a few records fill.
    const LIMITS: Limits = Limits { window: 64, spool: 8 * BLOCK, extent: 32, writes: 2 };

    /// It reads and writes one after the other, so that [`written`] can wait for what was started.
    fn runtime() -> Runtime {
        runtime_of(1)
    }

    fn runtime_of(threads: usize) -> Runtime {
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(threads).build().unwrap()
    }

    /// The records from `first` on, each a line of its number, together so long.
    fn batch(first: u64, records: u64, padding: usize) -> Batch {
        let lines: String = (first..first + records).map(|id| format!("{id}{}\n", " ".repeat(padding))).collect();
        Batch::new(Bytes::from(lines), records)
    }

    async fn pop(backlog: &mut Backlog) -> io::Result<Option<Batch>> {
        poll_fn(|context| backlog.poll_pop(context)).await
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push {
            to: prop::sample::Index,
            records: u64,
            padding: usize,
        },
        Pop(prop::sample::Index),
        Drop(prop::sample::Index),
        /// Everything that can be is written.
        Settle,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let index = any::<prop::sample::Index>;
        let push = (index(), 1..4_u64, prop_oneof![9 => 0..8_usize, 1 => 100..9000_usize]);
        let push = push.prop_map(|(to, records, padding)| Act::Push { to, records, padding });
        let act = prop_oneof![
            8 => push,
            4 => index().prop_map(Act::Pop),
            1 => index().prop_map(Act::Drop),
            2 => Just(Act::Settle)
        ];
        prop::collection::vec(act, 0..120)
    }

    /// What the room holds at most, if `largest` is the longest batch: see `Ledger`.
    fn most(largest: u64, backlogs: u64) -> u64 {
        let written = LIMITS.writes as u64 * LIMITS.extent.max(largest);
        let read = backlogs * AHEAD as u64 * LIMITS.extent.max(largest);
        LIMITS.window + largest + written + read
    }

    /// What several backlogs on one room give back is what each was given, in its order.
    async fn walk(room: &Room, acts: Vec<Act>) {
        const BACKLOGS: usize = 4;
        let mut backlogs: Vec<_> = (0..BACKLOGS).map(|_| (Backlog::new(room), VecDeque::<u8>::new())).collect();
        let (mut next, mut largest) = (0, 0);
        for act in acts {
            match act {
                Act::Push { to, records, padding } if room.is_open() => {
                    let (backlog, model) = &mut backlogs[to.index(BACKLOGS)];
                    let batch = batch(next, records, padding);
                    next += records;
                    largest = largest.max(batch.lines().len() as u64);
                    model.extend(batch.lines());
                    backlog.push(batch);
                }
                Act::Push { to: index, .. } | Act::Pop(index) => {
                    let (backlog, model) = &mut backlogs[index.index(BACKLOGS)];
                    assert_eq!(backlog.is_empty(), model.is_empty());
                    taken(pop(backlog).await.unwrap(), model);
                }
                Act::Drop(index) => backlogs[index.index(BACKLOGS)] = (Backlog::new(room), VecDeque::new()),
                Act::Settle => written().await,
            }
            assert!(room.held() <= most(largest, BACKLOGS as u64), "{} of {}", room.held(), most(largest, 4));
            assert!(room.spooled() <= LIMITS.spool + LIMITS.extent.max(largest).next_multiple_of(BLOCK));
        }
        for (mut backlog, mut model) in backlogs {
            while !model.is_empty() {
                taken(pop(&mut backlog).await.unwrap(), &mut model);
            }
            assert!(backlog.is_empty() && pop(&mut backlog).await.unwrap().is_none());
        }
    }

    fn taken(batch: Option<Batch>, model: &mut VecDeque<u8>) {
        let lines = batch.as_ref().map(|batch| batch.lines().clone()).unwrap_or_default();
        let expected: Vec<u8> = model.drain(..lines.len().min(model.len())).collect();
        assert_eq!(lines, expected);
        assert_eq!(batch.is_none(), model.is_empty() && lines.is_empty());
        assert_eq!(
            batch.map_or(0, |batch| batch.records()),
            lines.split_inclusive(|byte| *byte == b'\n').count() as u64
        );
    }

    /// Waits for the writes that were started before.
    async fn written() {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn each_backlog_gives_back_what_it_was_given(acts in acts(), threads in 1..4_usize, has_disk in prop::bool::weighted(0.9)) {
            let file = if has_disk { None } else { Some(full()) };
            let room = Room::with(LIMITS, file);
            let runtime = runtime_of(threads);
            runtime.block_on(walk(&room, acts));
            // Waits for the writes that are under way.
            drop(runtime);
            prop_assert_eq!(room.held(), 0);
            prop_assert_eq!(room.spooled(), 0);
        }
    }

    /// A file that takes nothing: its disk is full.
    fn full() -> File {
        OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
    }

    /// Fills a backlog until its room is closed, and says how many records that took.
    async fn fill(room: &Room, backlog: &mut Backlog) -> u64 {
        let mut records = 0;
        while room.is_open() {
            backlog.push(batch(records, 1, 9));
            records += 1;
            written().await;
        }
        records
    }

    #[test]
    fn what_is_in_the_file_is_not_in_memory_and_small_batches_share_a_place() {
        let limits = Limits { window: 64 * 1024, spool: 1 << 20, extent: 4 * BLOCK, writes: 2 };
        let room = Room::with(limits, None);
        runtime().block_on(async {
            let mut backlog = Backlog::new(&room);
            let records = fill(&room, &mut backlog).await;
            let bytes = (0..records).map(|id| batch(id, 1, 9).lines().len() as u64).sum::<u64>();
            assert!(room.spooled() >= limits.spool && room.held() <= limits.window + 16, "{room:?}");
            assert!(bytes > limits.window + limits.spool * 9 / 10, "{bytes}");
            let mut came = 0;
            while let Some(batch) = pop(&mut backlog).await.unwrap() {
                assert!(batch.lines().starts_with(format!("{came} ").as_bytes()));
                came += batch.records();
            }
            assert_eq!((came, room.held(), room.spooled()), (records, 0, 0));
        });
    }

    #[test]
    fn a_full_disk_holds_back_and_loses_nothing() {
        runtime().block_on(async {
            let room = Room::with(LIMITS, Some(full()));
            let mut backlog = Backlog::new(&room);
            let records = fill(&room, &mut backlog).await;
            let mut came = 0;
            while let Some(batch) = pop(&mut backlog).await.unwrap() {
                came += batch.records();
            }
            assert_eq!(came, records);
            assert_eq!(room.held(), 0);
            assert!(room.is_open());
            fill(&room, &mut backlog).await;
            assert!((LIMITS.window..LIMITS.window + 16).contains(&room.held()), "only memory has room: {room:?}");
        });
    }

    #[test]
    fn a_file_that_has_other_bytes_is_an_error_for_good() {
        runtime().block_on(async {
            for spoil in
                [|file: &File| file.set_len(0), |file: &File| std::os::unix::fs::FileExt::write_all_at(file, b"x", 0)]
            {
                let file = tempfile::tempfile().unwrap();
                let room = Room::with(LIMITS, Some(file.try_clone().unwrap()));
                let mut backlog = Backlog::new(&room);
                fill(&room, &mut backlog).await;
                spoil(&file).unwrap();
                let error = loop {
                    match pop(&mut backlog).await {
                        Ok(batch) => assert!(batch.is_some(), "the file was not read"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(pop(&mut backlog).await.unwrap_err().kind(), error.kind());
                assert!(!backlog.is_empty());
            }
        });
    }

    #[test]
    fn who_waits_for_room_is_woken_by_a_write() {
        runtime().block_on(async {
            let room = Room::with(Limits { writes: 1, ..LIMITS }, None);
            let mut backlog = Backlog::new(&room);
            while room.is_open() {
                backlog.push(batch(0, 1, 20));
            }
            poll_fn(|context| room.poll_open(context)).await;
            assert!(room.is_open());
        });
    }

    #[test]
    fn a_batch_larger_than_the_window_passes() {
        runtime().block_on(async {
            for spool in [0, 1 << 20] {
                let room = Room::new(8, spool);
                let mut backlog = Backlog::new(&room);
                backlog.push(batch(7, 1, 5000));
                assert_eq!(pop(&mut backlog).await.unwrap(), Some(batch(7, 1, 5000)));
            }
        });
    }
}
