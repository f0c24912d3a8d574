//! One queue of records that wait: in memory while there is room, else in the crawl's file.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::spill::{HeldBatch, Recalled, SpillStore, SpilledRun};
use crate::batch::Batch;

/// Number of entries at the front that are read from the file before they are taken.
const AHEAD: usize = 3;

/// Batches in the order in which they came, taken out in the same order; those that were in the file may come back as one.
///
/// The newest batches go to the file if memory is full, since they are needed last. A write is never waited for: batches that are
/// taken out meanwhile come from memory.
#[derive(Debug, Default)]
pub(super) struct SpillQueue {
    entries: VecDeque<QueueEntry>,
}

#[derive(Debug)]
enum QueueEntry {
    Held(HeldBatch),
    Spilled(Arc<SpilledRun>),
    Reading(JoinHandle<io::Result<HeldBatch>>),
    /// The file can't be read: nothing after this entry leaves.
    Lost(io::ErrorKind, String),
}

impl SpillQueue {
    /// Appends a batch. It is taken in any case: [`SpillStore::is_open`] bounds memory.
    pub(super) fn push(&mut self, store: &SpillStore, batch: Batch) {
        self.entries.push_back(QueueEntry::Held(store.hold(batch)));
        if let Some(size) = store.write_size() {
            self.spill(store, size);
        }
    }

    /// Takes the next batch; none if there is none.
    pub(super) fn poll_pop(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Batch>, io::Error>> {
        self.read_ahead();
        while let Some(first) = self.entries.pop_front() {
            match first {
                QueueEntry::Held(held) => return Poll::Ready(Ok(Some(held.into_batch()))),
                QueueEntry::Spilled(run) => match run.recall() {
                    Recalled::Memory(batches) => {
                        batches.into_iter().rev().for_each(|held| self.entries.push_front(QueueEntry::Held(held)));
                    }
                    Recalled::Reading(reading) => self.entries.push_front(QueueEntry::Reading(reading)),
                },
                QueueEntry::Reading(mut reading) => match Pin::new(&mut reading).poll(context) {
                    Poll::Pending => {
                        self.entries.push_front(QueueEntry::Reading(reading));
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => match read.map_err(io::Error::other).flatten() {
                        Ok(held) => self.entries.push_front(QueueEntry::Held(held)),
                        Err(error) => self.entries.push_front(QueueEntry::Lost(error.kind(), error.to_string())),
                    },
                },
                QueueEntry::Lost(kind, message) => {
                    let error = io::Error::new(kind, message.clone());
                    self.entries.push_front(QueueEntry::Lost(kind, message));
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Starts to write the newest batches as one, and at least the last.
    fn spill(&mut self, store: &SpillStore, size: u64) {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(QueueEntry::Held(held)) = self.entries.back()
            && (batches.is_empty() || bytes + held.bytes() <= size)
            && let Some(QueueEntry::Held(held)) = self.entries.pop_back()
        {
            bytes += held.bytes();
            batches.push(held);
        }
        batches.reverse();
        match store.spill(batches) {
            Ok(run) => self.entries.push_back(QueueEntry::Spilled(run)),
            Err(batches) => self.entries.extend(batches.into_iter().map(QueueEntry::Held)),
        }
    }

    fn read_ahead(&mut self) {
        for entry in self.entries.iter_mut().take(AHEAD) {
            if let QueueEntry::Spilled(run) = entry
                && run.is_in_file()
                && let Recalled::Reading(reading) = Arc::clone(run).recall()
            {
                *entry = QueueEntry::Reading(reading);
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
    use crate::crawl::spill_budget::{BLOCK, SpillLimits};
    use crate::snapshot::{CrawlMemory, MemoryBudget};

    fn memory() -> CrawlMemory {
        MemoryBudget::unlimited().crawl()
    }

    /// A window and extents that a few records fill.
    const LIMITS: SpillLimits = SpillLimits { window: 64, spool: 8 * BLOCK, extent: 32, writes: 2 };

    /// A runtime that reads and writes one after the other, so that [`written`] can wait for what was started.
    fn runtime() -> Runtime {
        runtime_of(1)
    }

    fn runtime_of(threads: usize) -> Runtime {
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(threads).build().unwrap()
    }

    /// A batch of the records from `first` on, each a line of its number and padding.
    fn batch(first: u64, records: u64, padding: usize) -> Batch {
        let lines: String = (first..first + records).map(|id| format!("{id}{}\n", " ".repeat(padding))).collect();
        Batch::new(Bytes::from(lines), records)
    }

    async fn pop(queue: &mut SpillQueue) -> io::Result<Option<Batch>> {
        poll_fn(|context| queue.poll_pop(context)).await
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
        /// Waits for all writes.
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

    /// Most bytes that the store holds, if `largest` is the longest batch: see `SpillBudget`.
    fn most(largest: u64, queues: u64) -> u64 {
        let written = LIMITS.writes as u64 * LIMITS.extent.max(largest);
        let read = queues * AHEAD as u64 * LIMITS.extent.max(largest);
        LIMITS.window + largest + written + read
    }

    /// Several queues on one store give back what each was given, in its order.
    async fn walk(store: &SpillStore, acts: Vec<Act>) {
        const QUEUES: usize = 4;
        let mut queues: Vec<_> = (0..QUEUES).map(|_| (SpillQueue::default(), VecDeque::<u8>::new())).collect();
        let (mut next, mut largest) = (0, 0);
        for act in acts {
            match act {
                Act::Push { to, records, padding } if store.is_open() => {
                    let (queue, model) = &mut queues[to.index(QUEUES)];
                    let batch = batch(next, records, padding);
                    next += records;
                    largest = largest.max(batch.lines().len() as u64);
                    model.extend(batch.lines());
                    queue.push(store, batch);
                }
                Act::Push { to: index, .. } | Act::Pop(index) => {
                    let (queue, model) = &mut queues[index.index(QUEUES)];
                    assert_eq!(queue.is_empty(), model.is_empty());
                    taken(pop(queue).await.unwrap(), model);
                }
                Act::Drop(index) => queues[index.index(QUEUES)] = (SpillQueue::default(), VecDeque::new()),
                Act::Settle => written().await,
            }
            assert!(store.usage().0 <= most(largest, QUEUES as u64), "{} of {}", store.usage().0, most(largest, 4));
            assert!(store.usage().1 <= LIMITS.spool + LIMITS.extent.max(largest).next_multiple_of(BLOCK));
        }
        for (mut queue, mut model) in queues {
            while !model.is_empty() {
                taken(pop(&mut queue).await.unwrap(), &mut model);
            }
            assert!(queue.is_empty() && pop(&mut queue).await.unwrap().is_none());
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
        fn each_queue_gives_back_what_it_was_given(acts in acts(), threads in 1..4_usize, has_disk in prop::bool::weighted(0.9)) {
            let file = if has_disk { None } else { Some(full()) };
            let store = SpillStore::with_limits(LIMITS, file, memory());
            let runtime = runtime_of(threads);
            runtime.block_on(walk(&store, acts));
            // Waits for the writes that are under way.
            drop(runtime);
            prop_assert_eq!(store.usage().0, 0);
            prop_assert_eq!(store.usage().1, 0);
        }
    }

    /// A file that takes nothing: its disk is full.
    fn full() -> File {
        OpenOptions::new().read(true).write(true).open("/dev/full").unwrap()
    }

    /// Fills a queue until its store is closed; returns the number of records.
    async fn fill(store: &SpillStore, queue: &mut SpillQueue) -> u64 {
        let mut records = 0;
        while store.is_open() {
            queue.push(store, batch(records, 1, 9));
            records += 1;
            written().await;
        }
        records
    }

    #[test]
    fn what_is_in_the_file_is_not_in_memory_and_small_batches_share_a_place() {
        let limits = SpillLimits { window: 64 * 1024, spool: 1 << 20, extent: 4 * BLOCK, writes: 2 };
        let store = SpillStore::with_limits(limits, None, memory());
        runtime().block_on(async {
            let mut queue = SpillQueue::default();
            let records = fill(&store, &mut queue).await;
            let bytes = (0..records).map(|id| batch(id, 1, 9).lines().len() as u64).sum::<u64>();
            assert!(store.usage().1 >= limits.spool && store.usage().0 <= limits.window + 16, "{store:?}");
            assert!(bytes > limits.window + limits.spool * 9 / 10, "{bytes}");
            let mut came = 0;
            while let Some(batch) = pop(&mut queue).await.unwrap() {
                assert!(batch.lines().starts_with(format!("{came} ").as_bytes()));
                came += batch.records();
            }
            assert_eq!((came, store.usage().0, store.usage().1), (records, 0, 0));
        });
    }

    #[test]
    fn a_full_disk_holds_back_and_loses_nothing() {
        runtime().block_on(async {
            let store = SpillStore::with_limits(LIMITS, Some(full()), memory());
            let mut queue = SpillQueue::default();
            let records = fill(&store, &mut queue).await;
            let mut came = 0;
            while let Some(batch) = pop(&mut queue).await.unwrap() {
                came += batch.records();
            }
            assert_eq!(came, records);
            assert_eq!(store.usage().0, 0);
            assert!(store.is_open());
            fill(&store, &mut queue).await;
            assert!((LIMITS.window..LIMITS.window + 16).contains(&store.usage().0), "only memory has store: {store:?}");
        });
    }

    #[test]
    fn a_file_that_has_other_bytes_is_an_error_for_good() {
        runtime().block_on(async {
            for spoil in
                [|file: &File| file.set_len(0), |file: &File| std::os::unix::fs::FileExt::write_all_at(file, b"x", 0)]
            {
                let file = tempfile::tempfile().unwrap();
                let store = SpillStore::with_limits(LIMITS, Some(file.try_clone().unwrap()), memory());
                let mut queue = SpillQueue::default();
                fill(&store, &mut queue).await;
                spoil(&file).unwrap();
                let error = loop {
                    match pop(&mut queue).await {
                        Ok(batch) => assert!(batch.is_some(), "the file was not read"),
                        Err(error) => break error,
                    }
                };
                assert_eq!(pop(&mut queue).await.unwrap_err().kind(), error.kind());
                assert!(!queue.is_empty());
            }
        });
    }

    #[test]
    fn who_waits_for_store_is_woken_by_a_write() {
        runtime().block_on(async {
            let store = SpillStore::with_limits(SpillLimits { writes: 1, ..LIMITS }, None, memory());
            let mut queue = SpillQueue::default();
            while store.is_open() {
                queue.push(&store, batch(0, 1, 20));
            }
            poll_fn(|context| store.poll_open(context)).await;
            assert!(store.is_open());
        });
    }

    #[test]
    fn a_batch_larger_than_the_window_passes() {
        runtime().block_on(async {
            for spool in [0, 1 << 20] {
                let store = SpillStore::new(8, spool, memory());
                let mut queue = SpillQueue::default();
                queue.push(&store, batch(7, 1, 5000));
                assert_eq!(pop(&mut queue).await.unwrap(), Some(batch(7, 1, 5000)));
            }
        });
    }
}
