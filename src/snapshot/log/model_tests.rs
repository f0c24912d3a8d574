//! A log against a model: after any appends, notes, reads, drops, evictions, late or failed writes, kills and restarts, each reader has the
//! model's bytes from its own first one, ends only as the log does, and is woken when there are more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::batch::Batch;
use crate::config::SnapshotSettings;
use crate::error::{Failure, Fault};
use crate::id::SnapshotId;
use crate::pagination::verdict::Verdict;
use crate::snapshot::facts::Birth;
use crate::snapshot::storage::ReopenError;
use crate::snapshot::store::Store;

#[derive(Clone, Debug)]
enum Action {
    /// Appends this number of batches of this number of records, as far as there is room.
    Append(usize, u64),
    Note,
    /// Adds a reader at this fraction of the log, with the byte that it stops at.
    Join(f64, Option<u64>),
    Read(usize, usize),
    Leave(usize),
    PauseDisk,
    ResumeDisk,
    Forget,
    /// Kills and restarts the process; a changed upstream has other records from where the crawl resumes.
    Kill(Upstream),
    Other(OtherAction),
    Seal(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upstream {
    Same,
    Changed,
}

/// A second log stands beside this one and shares its memory.
#[derive(Clone, Copy, Debug)]
enum OtherAction {
    Append,
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Unproven,
    Passing,
    Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    memory: u64,
    floor: u64,
    disk: u64,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let upstream = prop_oneof![3 => Just(Upstream::Same), 1 => Just(Upstream::Changed)];
    let end = prop_oneof![4 => Just(End::Complete), 1 => Just(End::Unproven), 1 => Just(End::Passing), 1 => Just(End::Dropped)];
    let action = prop_oneof![
        8 => (1..4_usize, 1..6_u64).prop_map(|(batches, records)| Action::Append(batches, records)),
        4 => Just(Action::Note),
        4 => (0.0..1.3, prop::option::weighted(0.3, 0..200_u64)).prop_map(|(part, end)| Action::Join(part, end)),
        8 => (0..6_usize, 1..5_usize).prop_map(|(reader, times)| Action::Read(reader, times)),
        1 => (0..6_usize).prop_map(Action::Leave),
        2 => Just(Action::PauseDisk),
        3 => Just(Action::ResumeDisk),
        1 => Just(Action::Forget),
        1 => upstream.prop_map(Action::Kill),
        2 => Just(Action::Other(OtherAction::Append)),
        2 => Just(Action::Other(OtherAction::Read)),
        1 => end.prop_map(Action::Seal),
    ];
    prop::collection::vec(action, 1..60)
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let memory = prop_oneof![0..300_u64, Just(3000), Just(1 << 30)];
    let disk = prop_oneof![1 => Just(0), 1 => 300..3000_u64, 3 => Just(1 << 30)];
    (memory, prop_oneof![Just(0), 100..700_u64], disk).prop_map(|(memory, floor, disk)| Bounds { memory, floor, disk })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_has_the_models_bytes(bounds in bounds(), actions in actions()) {
        let mut model = Model::new(bounds);
        for action in &actions {
            if model.run(action) == AfterKill::No {
                return Ok(());
            }
            model.check();
        }
        model.finish();
    }
}

/// State of the snapshot after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterKill {
    Yes,
    No,
}

struct Model {
    bounds: Bounds,
    folder: tempfile::TempDir,
    store: Store,
    id: SnapshotId,
    memory: MemoryBudget,
    log: Log,
    writer: Option<Writer>,
    waits: Option<Arc<Woken>>,
    /// All bytes of which the log is a prefix.
    truth: Vec<u8>,
    salt: u64,
    /// End of each record.
    ends: Vec<usize>,
    appended: u64,
    /// Number of records that a killed process had appended.
    before: u64,
    noted: Vec<u64>,
    readers: Vec<ModelReader>,
    ended: Option<End>,
    other: OtherLog,
    largest: u64,
}

struct ModelReader {
    /// None while the process is down.
    reader: Option<Reader>,
    start: usize,
    stop: Option<u64>,
    read: Vec<u8>,
    waits: Option<Arc<Woken>>,
    over: Option<ReaderEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderEnd {
    Complete,
    Stop,
    Broken,
}

struct OtherLog {
    writer: Writer,
    reader: Reader,
    waits: Option<Arc<Woken>>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn record(salt: u64, number: u64) -> String {
    let seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0x2545_f491_4f6c_dd1d);
    match (seed >> 20) % 5 {
        0 => format!("{}\n", seed >> 40),
        1 => format!("\"{}\"\n", "x".repeat((seed % 90) as usize)),
        2 => format!("[{seed}]  \n"),
        _ => format!("{{\"id\":{number},\"of\":{salt},\"text\":\"{}\"}}\n", "y".repeat((seed % 150) as usize)),
    }
}

impl Model {
    fn new(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), bounds);
        let id = store.new_id();
        let (writer, log) = store.create(id, &Birth::in_test("/orders"));
        let memory = store.memory().clone();
        let other = OtherLog::new(&memory);
        Self {
            bounds,
            folder,
            store,
            id,
            memory,
            log,
            writer: Some(writer),
            waits: None,
            truth: Vec::new(),
            salt: 0,
            ends: Vec::new(),
            appended: 0,
            before: 0,
            noted: vec![0],
            readers: Vec::new(),
            ended: None,
            other,
            largest: 0,
        }
    }

    fn run(&mut self, action: &Action) -> AfterKill {
        match action {
            Action::Append(batches, records) => (0..*batches).for_each(|_| self.append(*records)),
            Action::Note => {
                if let Some(writer) = &mut self.writer {
                    writer.note(&RawValue::from_string(format!("[{}]", self.appended)).unwrap());
                    self.noted.push(self.appended);
                }
            }
            Action::Join(part, end) => self.join(*part, *end),
            Action::Read(client, times) => {
                let count = self.readers.len();
                if count > 0 {
                    (0..*times).for_each(|_| self.readers[client % count].read(&self.truth, self.ended));
                }
            }
            Action::Leave(client) => {
                if self.readers.len() > 1 {
                    self.readers.remove(client % self.readers.len());
                }
            }
            Action::PauseDisk => flush::pause(&self.log),
            Action::ResumeDisk => flush::resume(&self.log),
            Action::Forget => self.log.forget_memory(),
            Action::Kill(upstream) => return self.kill(*upstream),
            Action::Other(OtherAction::Append) => self.other.append(),
            Action::Other(OtherAction::Read) => self.other.read(),
            Action::Seal(end) => self.seal(*end),
        }
        AfterKill::Yes
    }

    fn append(&mut self, records: u64) {
        let length = self.length();
        let Some(writer) = &mut self.writer else { return };
        let woken = Arc::new(Woken::default());
        match writer.poll_room(&mut Context::from_waker(&Waker::from(Arc::clone(&woken)))) {
            Poll::Pending => {
                self.waits = Some(woken);
                return;
            }
            Poll::Ready(Err(refused)) => {
                // On a full disk the bytes from before the interruption can't be compared.
                assert!(self.salt > 0 || matches!(refused, WriteRefused::Unwritten), "{refused}");
                self.seal(End::Dropped);
                return;
            }
            Poll::Ready(Ok(())) => self.waits = None,
        }
        let text: String = (self.appended..self.appended + records).map(|number| record(self.salt, number)).collect();
        self.truth.truncate(length);
        self.ends.truncate(usize::try_from(self.appended).unwrap());
        for line in text.split_inclusive('\n') {
            self.truth.extend_from_slice(line.as_bytes());
            self.ends.push(self.truth.len());
        }
        self.appended += records;
        self.largest = self.largest.max(text.len() as u64 + 200);
        let before: Vec<_> =
            self.readers.iter().map(|client| client.waits.as_ref().map_or(0, |waits| waits.times())).collect();
        writer.append(Batch::new(text.into(), records));
        for (client, before) in self.readers.iter().zip(before) {
            let times = client.waits.as_ref().map_or(0, |waits| waits.times());
            assert!(times <= before + 1, "one batch woke a reader {} times", times - before);
        }
    }

    /// Returns the number of appended bytes.
    fn length(&self) -> usize {
        usize::try_from(self.appended).unwrap().checked_sub(1).map_or(0, |last| self.ends[last])
    }

    fn join(&mut self, part: f64, end: Option<u64>) {
        let extent = self.log.extent();
        let start = (extent.bytes as f64 * part) as u64;
        let stop = end.map(|end| start + end);
        match self.log.reader(start, stop) {
            Ok(reader) => self.readers.push(ModelReader {
                reader: Some(reader),
                start: usize::try_from(start).unwrap(),
                stop,
                read: Vec::new(),
                waits: None,
                over: None,
            }),
            Err(gone) => assert_eq!((gone.at, gone.from), (start, extent.from)),
        }
    }

    fn seal(&mut self, end: End) {
        let Some(writer) = self.writer.take() else { return };
        self.waits = None;
        self.ended = Some(end);
        let failed = |fault| Seal::Failed(Arc::new(Failure::new(fault, "the model says so", "nothing")));
        match end {
            End::Complete => {
                // An end before bytes that readers may have had is another upstream's.
                self.salt += u64::from(self.appended < self.before);
                writer.seal(Seal::Complete(Verdict::in_test(self.appended, 1)));
            }
            End::Unproven => writer.seal(failed(Fault::Unproven)),
            End::Passing => writer.seal(failed(Fault::Timeout)),
            End::Dropped => drop(writer),
        }
    }

    /// Kills the process: only the files as they are now are left.
    fn kill(&mut self, upstream: Upstream) -> AfterKill {
        let left = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
        }
        let extent = self.log.extent();
        self.readers.iter_mut().for_each(|client| client.reader = None);
        self.writer = None;
        self.folder = left;
        self.store = open(self.folder.path(), Bounds { disk: self.bounds.disk * 2, ..self.bounds });
        self.memory = self.store.memory().clone();
        self.other = OtherLog::new(&self.memory);
        let reopened = match self.store.reopen(self.id) {
            Ok(reopened) => reopened,
            Err(ReopenError::Unknown) => return AfterKill::No,
            Err(error) => panic!("{error}"),
        };
        self.log = reopened.log;
        self.waits = None;
        if let Some(unfinished) = reopened.unfinished {
            assert_eq!(self.noted.get(unfinished.notes.len()), Some(&unfinished.records), "not a page's end");
            self.writer = Some(unfinished.writer);
            self.ended = None;
            self.before = self.before.max(self.appended);
            self.appended = unfinished.records;
            self.noted.truncate(1 + unfinished.notes.len());
            self.salt += u64::from(upstream == Upstream::Changed);
        } else {
            assert!(matches!(self.ended, Some(End::Complete | End::Unproven)) || self.salt > 0, "{:?}", self.ended);
            // Bytes that were written together with a refused end had reached no reader.
            let refused = matches!(&extent.seal, Some(Seal::Failed(failure)) if failure.fault == Fault::Changed);
            let visible = self.log.extent().visible;
            assert!(visible == extent.visible || refused && visible > extent.visible, "{visible} {extent:?}");
            self.appended = self.log.extent().records;
        }
        assert_eq!(self.log.extent().bytes, self.length() as u64);
        for client in self.readers.iter_mut().filter(|client| client.over != Some(ReaderEnd::Complete)) {
            let at = client.start + client.read.len();
            client.reader = Some(self.log.reader(at as u64, client.stop).unwrap());
            (client.waits, client.over) = (None, None);
        }
        AfterKill::Yes
    }

    fn check(&mut self) {
        let extent = self.log.extent();
        assert!(extent.visible <= extent.bytes && extent.from <= extent.bytes, "{extent:?}");
        let is_refused = match &extent.seal {
            Some(Seal::Failed(failure)) => self.salt > 0 || failure.message.contains("interrupt"),
            _ => false,
        };
        assert!(is_refused || extent.bytes == self.length() as u64, "{extent:?}");
        if !matches!(extent.seal, Some(Seal::Complete(_))) && extent.visible > 0 {
            let left = &self.truth[..usize::try_from(extent.visible).unwrap()];
            assert!(extent.visible < extent.bytes);
            let last = left.split(|byte| *byte == b'\n').next_back().unwrap();
            assert!(
                last.is_empty() || serde_json::from_slice::<serde_json::Value>(last).is_err(),
                "a whole record leaves"
            );
        }
        let Bounds { memory, floor, .. } = self.bounds;
        let most = memory.max(floor) + floor + 2 * self.largest.max(1000);
        assert!(self.memory.held() <= most, "{} of {most} are held", self.memory.held());
        for client in &mut self.readers {
            client.check(&extent);
        }
        self.check_writers();
    }

    /// Checks that a writer that waits for room and would get it has been woken.
    fn check_writers(&mut self) {
        let both = [
            ("the", self.writer.as_mut(), &mut self.waits),
            ("the other", Some(&mut self.other.writer), &mut self.other.waits),
        ];
        for (which, writer, waits) in both {
            if let (Some(writer), Some(woken)) = (writer, waits.as_ref()) {
                let again = Arc::new(Woken::default());
                let times = woken.times();
                match writer.poll_room(&mut Context::from_waker(&Waker::from(Arc::clone(&again)))) {
                    Poll::Ready(_) => {
                        assert!(times > 0, "{which} writer was not woken");
                        *waits = None;
                    }
                    Poll::Pending => *waits = Some(again),
                }
            }
        }
    }

    /// Lets the disk catch up, ends the log if it hasn't, and reads all readers to the end.
    fn finish(&mut self) {
        flush::resume(&self.log);
        if self.writer.is_some() {
            self.seal(End::Complete);
        }
        self.check();
        let ended = self.log.extent().seal.expect("everything is written");
        let whole = self.length();
        for client in &mut self.readers {
            for _ in 0..10_000 {
                client.read(&self.truth, self.ended);
                if client.over.is_some() {
                    break;
                }
            }
            let over = client.over.expect("a reader comes to an end");
            match (over, &ended) {
                (ReaderEnd::Broken, Seal::Failed(_)) => {}
                (ReaderEnd::Stop, _) => assert_eq!(Some((client.start + client.read.len()) as u64), client.stop),
                (ReaderEnd::Complete, Seal::Complete(_)) => {
                    assert!(client.start + client.read.len() == whole || client.start > whole);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

impl ModelReader {
    fn read(&mut self, truth: &[u8], ended: Option<End>) {
        let Some(reader) = self.reader.as_mut().filter(|_| self.over.is_none()) else { return };
        let woken = Arc::new(Woken::default());
        match reader.poll_next(&mut Context::from_waker(&Waker::from(Arc::clone(&woken)))) {
            Poll::Pending => self.waits = Some(woken),
            Poll::Ready(next) => {
                self.waits = None;
                match next {
                    Ok(ReaderEvent::Bytes(bytes)) => {
                        assert!(!bytes.is_empty());
                        self.read.extend_from_slice(&bytes);
                        let end = self.start + self.read.len();
                        assert!(self.stop.is_none_or(|stop| end as u64 <= stop));
                        assert!(
                            truth.get(self.start..end) == Some(self.read.as_slice()),
                            "other bytes than were appended"
                        );
                        assert_eq!(reader.position(), end as u64);
                    }
                    Ok(ReaderEvent::Stop) => self.over = Some(ReaderEnd::Stop),
                    Ok(ReaderEvent::Complete(_)) => {
                        assert_eq!(ended, Some(End::Complete));
                        self.over = Some(ReaderEnd::Complete);
                    }
                    Err(failure) => {
                        assert!(ended.is_some() || failure.message.contains("interrupt"), "{failure}");
                        self.over = Some(ReaderEnd::Broken);
                    }
                }
            }
        }
    }

    /// Checks that a reader that waits and has bytes to read has been woken.
    fn check(&self, extent: &LogExtent) {
        let (Some(waits), Some(reader)) = (&self.waits, &self.reader) else { return };
        let could = extent.visible > reader.position() || extent.seal.is_some();
        assert_eq!(waits.times() > 0, could, "{extent:?} {}", reader.position());
    }
}

impl OtherLog {
    fn new(memory: &MemoryBudget) -> Self {
        let (writer, log) = create(LogStorage::Memory, memory, LogPolicy::SINGLE);
        let reader = log.reader(0, None).unwrap();
        Self { writer, reader, waits: None }
    }

    fn append(&mut self) {
        let woken = Arc::new(Woken::default());
        if self.writer.poll_room(&mut Context::from_waker(&Waker::from(Arc::clone(&woken)))).is_pending() {
            self.waits = Some(woken);
            return;
        }
        self.waits = None;
        self.writer.append(Batch::new(format!("[{}]\n", "7".repeat(300)).into(), 1));
    }

    fn read(&mut self) {
        let _ = self.reader.poll_next(&mut Context::from_waker(Waker::noop()));
    }
}

fn open(folder: &Path, bounds: Bounds) -> Store {
    let Bounds { memory, floor, disk } = bounds;
    let settings = SnapshotSettings { dir: Some(folder.to_owned()), memory, disk, ..SnapshotSettings::in_test() };
    Store::open_with(settings, MemoryBudget::with_floor(memory, floor)).unwrap()
}
