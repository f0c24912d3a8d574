//! A log against a model: whatever is appended, noted, read, dropped, evicted, written late or not at all, killed and opened again, each
//! reader has the model's bytes from its own first one on, ends only as the log does, and is woken when there is more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::config::SnapshotSettings;
use crate::error::{Failure, Fault};
use crate::id::SnapshotId;
use crate::snapshot::birth::Birth;
use crate::snapshot::seal::Verdict;
use crate::snapshot::storage::ReopenError;
use crate::snapshot::store::Store;

#[derive(Clone, Debug)]
enum Action {
    /// So many batches of so many records, as far as there is room.
    Append(usize, u64),
    Note,
    /// A reader at this part of what there is, and where it stops.
    Join(f64, Option<u64>),
    Read(usize, usize),
    Leave(usize),
    PauseDisk,
    DiskGoesOn,
    Forget,
    /// The process is killed and started again; with another upstream, whose records are different from where the crawl goes on.
    Kill(Upstream),
    Other(OnTheOther),
    Seal(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upstream {
    Same,
    Changed,
}

/// A second log stands beside this one and shares its memory.
#[derive(Clone, Copy, Debug)]
enum OnTheOther {
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
        3 => Just(Action::DiskGoesOn),
        1 => Just(Action::Forget),
        1 => upstream.prop_map(Action::Kill),
        2 => Just(Action::Other(OnTheOther::Append)),
        2 => Just(Action::Other(OnTheOther::Read)),
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
            if model.run(action) == Known::No {
                return Ok(());
            }
            model.check();
        }
        model.finish();
    }
}

/// Whether the snapshot is still known after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
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
    /// All bytes of which the log is a prefix, and how many records of these were appended.
    truth: Vec<u8>,
    salt: u64,
    /// The bytes up to which each record goes.
    ends: Vec<usize>,
    appended: u64,
    /// How many records a process that was killed had appended.
    before: u64,
    noted: Vec<u64>,
    readers: Vec<Client>,
    ended: Option<End>,
    other: Other,
    largest: u64,
}

struct Client {
    /// None while the process is down.
    reader: Option<Reader>,
    start: usize,
    stop: Option<u64>,
    read: Vec<u8>,
    waits: Option<Arc<Woken>>,
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Complete,
    Stop,
    Broken,
}

struct Other {
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
        let other = Other::new(&memory);
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

    fn run(&mut self, action: &Action) -> Known {
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
            Action::DiskGoesOn => flush::resume(&self.log),
            Action::Forget => self.log.forget_memory(),
            Action::Kill(upstream) => return self.kill(*upstream),
            Action::Other(OnTheOther::Append) => self.other.append(),
            Action::Other(OnTheOther::Read) => self.other.read(),
            Action::Seal(end) => self.seal(*end),
        }
        Known::Yes
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
                // A full disk is one that what was there before the interruption can't be compared on.
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

    /// The bytes of what was appended.
    fn length(&self) -> usize {
        usize::try_from(self.appended).unwrap().checked_sub(1).map_or(0, |last| self.ends[last])
    }

    fn join(&mut self, part: f64, end: Option<u64>) {
        let extent = self.log.extent();
        let start = (extent.bytes as f64 * part) as u64;
        let stop = end.map(|end| start + end);
        match self.log.reader(start, stop) {
            Ok(reader) => self.readers.push(Client {
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
                // An end before what readers may have had is another upstream's.
                self.salt += u64::from(self.appended < self.before);
                let proof = "the model".to_owned();
                writer.seal(Seal::Complete(Verdict { records: self.appended, pages: 1, proof }));
            }
            End::Unproven => writer.seal(failed(Fault::Unproven)),
            End::Passing => writer.seal(failed(Fault::Timeout)),
            End::Dropped => drop(writer),
        }
    }

    /// What the folder has in this moment is all that is left.
    fn kill(&mut self, upstream: Upstream) -> Known {
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
        self.other = Other::new(&self.memory);
        let reopened = match self.store.reopen(self.id) {
            Ok(reopened) => reopened,
            Err(ReopenError::Unknown) => return Known::No,
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
            // What was written together with an end that was refused had reached nobody yet.
            let refused = matches!(&extent.seal, Some(Seal::Failed(failure)) if failure.fault == Fault::Changed);
            let visible = self.log.extent().visible;
            assert!(visible == extent.visible || refused && visible > extent.visible, "{visible} {extent:?}");
            self.appended = self.log.extent().records;
        }
        assert_eq!(self.log.extent().bytes, self.length() as u64);
        for client in self.readers.iter_mut().filter(|client| client.over != Some(Over::Complete)) {
            let at = client.start + client.read.len();
            client.reader = Some(self.log.reader(at as u64, client.stop).unwrap());
            (client.waits, client.over) = (None, None);
        }
        Known::Yes
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

    /// Who waits for room and would get it has been woken.
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

    /// The disk catches up, the log ends if it hasn't, and everybody reads to the end.
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
                (Over::Broken, Seal::Failed(_)) => {}
                (Over::Stop, _) => assert_eq!(Some((client.start + client.read.len()) as u64), client.stop),
                (Over::Complete, Seal::Complete(_)) => {
                    assert!(client.start + client.read.len() == whole || client.start > whole);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Client {
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
                    Ok(ReaderEvent::Stop) => self.over = Some(Over::Stop),
                    Ok(ReaderEvent::Complete(_)) => {
                        assert_eq!(ended, Some(End::Complete));
                        self.over = Some(Over::Complete);
                    }
                    Err(failure) => {
                        assert!(ended.is_some() || failure.message.contains("interrupt"), "{failure}");
                        self.over = Some(Over::Broken);
                    }
                }
            }
        }
    }

    /// Who waits and could go on has been woken.
    fn check(&self, extent: &LogExtent) {
        let (Some(waits), Some(reader)) = (&self.waits, &self.reader) else { return };
        let could = extent.visible > reader.position() || extent.seal.is_some();
        assert_eq!(waits.times() > 0, could, "{extent:?} {}", reader.position());
    }
}

impl Other {
    fn new(memory: &MemoryBudget) -> Self {
        let (writer, log) = create(LogStorage::Memory, memory, SlowReader::Wait, Duration::ZERO);
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
    let settings = SnapshotSettings {
        dir: Some(folder.to_owned()),
        memory,
        disk,
        slow_reader: SlowReader::Wait,
        linger: Duration::ZERO,
    };
    Store::open_with(settings, MemoryBudget::with_floor(memory, floor)).unwrap()
}
