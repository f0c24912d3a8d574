//! Tests of a log with threads, time and broken files, which the model has not.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::*;
use crate::batch::Batch;
use crate::config::SlowReader;
use crate::error::{Failure, Fault};
use crate::pagination::verdict::Verdict;
use crate::snapshot::facts::Birth;
use crate::snapshot::storage::recover_single_file;
use crate::snapshot::store::{ReopenedSnapshot, create_single_file};

const LONG: Duration = Duration::from_secs(60);

fn batch(text: &'static str) -> Batch {
    Batch::new(Bytes::from_static(text.as_bytes()), text.lines().count() as u64)
}

/// Creates a record of `bytes` bytes, including its newline.
fn record(bytes: usize) -> Batch {
    Batch::new(format!("\"{}\"\n", "x".repeat(bytes - 3)).into(), 1)
}

fn verdict() -> Verdict {
    Verdict::in_test(3, 1)
}

/// Creates a log in memory alone that shares its budget.
fn sharing(memory: &MemoryBudget, slow: SlowReader) -> (Writer, Log) {
    create(LogStorage::Memory, memory, LogPolicy { slow_reader: slow, ..LogPolicy::SINGLE })
}

fn has_room(writer: &mut Writer) -> bool {
    writer.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Fills a log until it has no room.
fn fill(writer: &mut Writer, bytes: usize) -> usize {
    let mut count = 0;
    while count < 1000 && has_room(writer) {
        writer.append(record(bytes));
        count += 1;
    }
    count
}

async fn read_to_end(reader: &mut Reader) -> (Vec<u8>, Result<Verdict, Arc<Failure>>) {
    let mut read = Vec::new();
    loop {
        match reader.next().await {
            Ok(ReaderEvent::Bytes(bytes)) => read.extend_from_slice(&bytes),
            Ok(ReaderEvent::Complete(verdict)) => return (read, Ok(verdict)),
            Ok(ReaderEvent::Stop) => panic!("no stop was asked for"),
            Err(failure) => return (read, Err(failure)),
        }
    }
}

#[tokio::test]
async fn readers_start_anywhere_and_end_with_the_verdict() {
    let (mut writer, log) = transient_log(1 << 20);
    let mut readers: Vec<_> = (0..6).map(|at| (at, log.reader(at, None).unwrap())).collect();
    writer.append(batch("1\n2\n"));
    writer.append(batch("3\n"));
    writer.seal(Seal::Complete(verdict()));
    for (at, reader) in &mut readers {
        let (read, end) = read_to_end(reader).await;
        let from = usize::try_from(*at).unwrap();
        assert_eq!((read.as_slice(), end.unwrap()), (&b"1\n2\n3\n"[from..], verdict()));
    }
}

#[tokio::test]
async fn a_dropped_writer_is_a_failure_and_never_an_end() {
    let (mut writer, log) = transient_log(1 << 20);
    let mut reader = log.reader(0, None).unwrap();
    writer.append(batch("[1]\n"));
    drop(writer);
    assert!(matches!(reader.next().await, Ok(ReaderEvent::Bytes(bytes)) if bytes == "[1"));
    assert_eq!(reader.next().await.unwrap_err().fault, Fault::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_log_without_readers_is_abandoned_after_the_linger_time() {
    let linger = Duration::from_secs(30);
    let (writer, log) =
        create(LogStorage::Memory, &MemoryBudget::new(1 << 20), LogPolicy { linger, ..LogPolicy::SINGLE });
    let started = tokio::time::Instant::now();
    let mut abandoned = Box::pin(writer.abandoned());
    assert!(timeout(linger / 2, &mut abandoned).await.is_err());
    // A reader that comes and leaves at once starts the time anew.
    drop(log.reader(0, None).unwrap());
    assert!(timeout(linger - Duration::from_millis(1), &mut abandoned).await.is_err());
    abandoned.await;
    assert_eq!(started.elapsed(), linger / 2 + linger);
    let reader = log.reader(0, None).unwrap();
    assert!(timeout(LONG, writer.abandoned()).await.is_err());
    drop(reader);
    writer.abandoned().await;
}

#[tokio::test]
async fn a_log_has_been_read_once_its_first_reader_has_come() {
    let (_writer, log) = transient_log(1 << 20);
    let mut awaited = Box::pin(log.has_been_read());
    assert!(poll_fn(|context| Poll::Ready(awaited.as_mut().poll(context).is_pending())).await);
    drop(log.reader(7, None).unwrap());
    awaited.await;
    log.has_been_read().await;
}

#[tokio::test]
async fn a_reader_beyond_the_end_is_told_when_it_is_reached_or_never_will_be() {
    let (mut writer, log) = transient_log(1 << 20);
    let (mut near, mut far) = (log.reader(3, None).unwrap(), log.reader(99, None).unwrap());
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut reached = Box::pin(near.reached());
    for _ in 0..3 {
        assert!(reached.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    writer.append(batch("[1]\n[2]\n"));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    assert_eq!(reached.await.visible, 6);
    writer.seal(Seal::Complete(verdict()));
    let extent = far.reached().await;
    assert_eq!((extent.visible, extent.readers), (8, 2));
    assert!(matches!(far.next().await, Ok(ReaderEvent::Complete(_))));
}

#[tokio::test]
async fn batches_that_all_readers_have_passed_go_first_and_cannot_be_read_again() {
    let (mut writer, log) = transient_log(1000);
    let (mut fast, mut slow) = (log.reader(0, None).unwrap(), log.reader(0, None).unwrap());
    let most = fill(&mut writer, 100);
    assert!((4..10).contains(&most), "{most} records in 1000 bytes");
    for _ in 0..most {
        fast.next().await.unwrap();
    }
    assert!(!has_room(&mut writer), "the slow reader has read nothing");
    slow.next().await.unwrap();
    slow.next().await.unwrap();
    assert!(has_room(&mut writer));
    let Evicted { at: 0, from } = log.reader(0, None).unwrap_err() else { panic!("the first byte is there") };
    assert!(from > 0 && from <= 200 && log.extent().from == from);
    writer.seal(Seal::Complete(verdict()));
    for mut reader in [fast, slow, log.reader(from, None).unwrap()] {
        let start = reader.position();
        assert_eq!(start + read_to_end(&mut reader).await.0.len() as u64, log.extent().bytes);
    }
}

#[tokio::test]
async fn nothing_is_dropped_before_a_reader_has_passed_it() {
    let (mut writer, log) = transient_log(500);
    let first = fill(&mut writer, 100);
    assert_eq!((first > 0, log.extent().from), (true, 0));
    let mut reader = log.reader(0, None).unwrap();
    reader.next().await.unwrap();
    reader.next().await.unwrap();
    drop(reader);
    assert!(has_room(&mut writer), "what was read may go");
    assert!(log.extent().from > 0);
}

#[tokio::test]
async fn a_record_larger_than_the_budget_passes() {
    let (mut writer, log) = transient_log(10);
    let mut reader = log.reader(0, None).unwrap();
    for _ in 0..3 {
        assert!(has_room(&mut writer));
        writer.append(record(1 << 20));
        while reader.position() < log.extent().visible {
            assert!(matches!(reader.next().await, Ok(ReaderEvent::Bytes(bytes)) if bytes.len() <= 64 * 1024));
        }
    }
    assert!(log.bytes_in_memory() < 2 << 20);
}

#[tokio::test]
async fn no_log_can_starve_another() {
    let memory = MemoryBudget::with_floor(2000, 500);
    let (mut greedy, greedy_log) = sharing(&memory, SlowReader::Wait);
    let _stalled = greedy_log.reader(0, None).unwrap();
    assert!(fill(&mut greedy, 100) > 5);
    let (mut modest, log) = sharing(&memory, SlowReader::Wait);
    let mut reader = log.reader(0, None).unwrap();
    for _ in 0..100 {
        assert!(fill(&mut modest, 100) > 0, "there is always room for what was read");
        while reader.position() < log.extent().visible {
            reader.next().await.unwrap();
        }
        assert!(memory.held() < 2000 + 500 + 2 * 200);
    }
}

#[tokio::test]
async fn a_finished_snapshot_is_evicted_before_a_window_moves() {
    let memory = MemoryBudget::with_floor(2000, 0);
    let (mut finished, finished_log) = sharing(&memory, SlowReader::Wait);
    assert!(fill(&mut finished, 100) > 5);
    finished.seal(Seal::Complete(verdict()));
    let evicted = finished_log.clone();
    memory.on_full(move |missing| {
        assert!(missing > 0);
        evicted.forget_memory();
        true
    });
    let (mut running, log) = sharing(&memory, SlowReader::Wait);
    let mut reader = log.reader(0, None).unwrap();
    running.append(record(100));
    reader.next().await.unwrap();
    running.append(record(100));
    assert!(has_room(&mut running));
    assert_eq!((log.extent().from, finished_log.bytes_in_memory()), (0, 0));
    assert_eq!(finished_log.extent().from, finished_log.extent().bytes);
    assert!(finished_log.reader(0, None).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stands_still_is_dropped_and_the_others_go_on() {
    let stall = Duration::from_secs(30);
    let (mut writer, log) = sharing(&MemoryBudget::with_floor(1000, 0), SlowReader::Drop(stall));
    let (mut stalled, mut reader) = (log.reader(0, None).unwrap(), log.reader(0, None).unwrap());
    // A reader without bytes to read is not slow.
    tokio::time::advance(2 * stall).await;
    assert!(fill(&mut writer, 100) > 0);
    while reader.position() < log.extent().visible {
        reader.next().await.unwrap();
    }
    let waited = tokio::time::Instant::now();
    poll_fn(|context| writer.poll_room(context)).await.unwrap();
    assert_eq!((waited.elapsed(), log.extent().readers), (stall, 1));
    writer.append(record(100));
    let failure = stalled.next().await.unwrap_err();
    assert_eq!((failure.fault, failure.message.contains("30s")), (Fault::Stopped, true), "{failure}");
    assert!(matches!(reader.next().await, Ok(ReaderEvent::Bytes(_))));
    drop(reader);
    // The stalled client's socket may take long to notice, but no longer delays the crawl.
    timeout(LONG, writer.abandoned()).await.expect("nobody reads");
}

#[tokio::test(start_paused = true)]
async fn a_crawl_waits_for_a_slow_reader_where_that_is_configured() {
    let (mut writer, log) = transient_log(1000);
    let mut reader = log.reader(0, None).unwrap();
    fill(&mut writer, 100);
    assert!(timeout(LONG, poll_fn(|context| writer.poll_room(context))).await.is_err());
    let (room, _) = tokio::join!(timeout(LONG, poll_fn(|context| writer.poll_room(context))), async {
        reader.next().await.unwrap();
        reader.next().await.unwrap();
    });
    assert!(room.is_ok());
}

#[tokio::test]
async fn a_thousand_readers_are_woken_once_each() {
    let (mut writer, log) = transient_log(1 << 20);
    let wakes = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut readers: Vec<_> = (0..1000).map(|_| log.reader(0, None).unwrap()).collect();
    for round in 1..=5 {
        for reader in &mut readers {
            while reader.poll_next(&mut Context::from_waker(&waker)).is_ready() {}
        }
        writer.append(record(100));
        assert_eq!(wakes.0.load(Ordering::SeqCst), round * readers.len());
    }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn stored_bytes_are_read_from_the_file_when_memory_is_short() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryBudget::with_floor(0, 0);
    let (mut writer, log) = create(LogStorage::in_folder(folder.path(), 1 << 30), &memory, LogPolicy::SINGLE);
    let mut early = log.reader(0, None).unwrap();
    let mut whole = Vec::new();
    for number in 0..200 {
        let text = format!("{{\"id\":{number},\"text\":\"{}\"}}\n", "t".repeat(number * 7));
        whole.extend_from_slice(text.as_bytes());
        poll_fn(|context| writer.poll_room(context)).await.unwrap();
        writer.append(Batch::new(text.into(), 1));
        writer.note(&RawValue::from_string(number.to_string()).unwrap());
    }
    writer.seal(Seal::Complete(verdict()));
    assert_eq!(timeout(LONG, read_to_end(&mut early)).await.unwrap().0, whole);
    log.forget_memory();
    assert_eq!((log.bytes_in_memory(), memory.held(), log.extent().from), (0, 0, 0));
    let mut part = log.reader(1000, Some(100_000)).unwrap();
    let mut read = Vec::new();
    while let ReaderEvent::Bytes(bytes) = part.next().await.unwrap() {
        read.extend_from_slice(&bytes);
    }
    assert!(read == whole[1000..100_000]);
}

#[tokio::test]
async fn a_crawl_with_files_stops_before_its_fastest_reader_and_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = LogStorage::in_folder(folder.path(), 1 << 30);
    let policy = LogPolicy { ahead: 1000, ..LogPolicy::SINGLE };
    let (mut writer, log) = create(files, &MemoryBudget::new(1 << 20), policy);
    let (_stalled, mut reader) = (log.reader(0, None).unwrap(), log.reader(0, None).unwrap());
    assert_eq!(fill(&mut writer, 100), 10);
    let waiting = tokio::spawn(async move {
        poll_fn(|context| writer.poll_room(context)).await.unwrap();
        writer
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let mut read = 0;
    while read < 300 {
        let ReaderEvent::Bytes(bytes) = reader.next().await.unwrap() else { panic!("the log is open") };
        read += bytes.len();
    }
    let mut writer = timeout(LONG, waiting).await.expect("the writer is woken").unwrap();
    assert_eq!(fill(&mut writer, 100), read / 100 + usize::from(read % 100 > 0));
}

#[tokio::test]
async fn a_crawl_does_not_stop_before_its_reader_where_memory_is_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let files = LogStorage::in_folder(folder.path(), 1 << 30);
    let policy = LogPolicy { ahead: 1000, ..LogPolicy::SINGLE };
    let (mut writer, log) = create(files, &MemoryBudget::with_floor(0, 0), policy);
    let _stalled = log.reader(0, None).unwrap();
    for _ in 0..20 {
        poll_fn(|context| writer.poll_room(context)).await.unwrap();
        writer.append(record(100));
    }
    assert_eq!(log.extent().bytes, 2000);
}

#[tokio::test]
async fn a_file_that_has_lost_bytes_is_a_failure_and_never_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let files = LogStorage::in_folder(folder.path(), 1 << 30);
    let (mut writer, log) = create(files, &MemoryBudget::with_floor(0, 0), LogPolicy::SINGLE);
    writer.append(record(1000));
    writer.seal(Seal::Complete(verdict()));
    log.reader(1000, None).unwrap().reached().await;
    log.forget_memory();
    std::fs::File::options().write(true).open(folder.path().join("lines")).unwrap().set_len(500).unwrap();
    let (read, end) = read_to_end(&mut log.reader(0, None).unwrap()).await;
    assert_eq!((read.len(), end.unwrap_err().fault), (500, Fault::Stopped));
}

#[tokio::test]
async fn a_full_disk_leaves_the_log_in_memory_and_its_files_are_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryBudget::with_floor(2000, 0);
    let (mut writer, log) = create(LogStorage::in_folder(folder.path(), 1500), &memory, LogPolicy::SINGLE);
    let mut reader = log.reader(0, None).unwrap();
    let reading = tokio::spawn(async move { read_to_end(&mut reader).await });
    for _ in 0..50 {
        timeout(LONG, poll_fn(|context| writer.poll_room(context))).await.expect("there is room again").unwrap();
        writer.append(record(100));
    }
    writer.seal(Seal::Complete(verdict()));
    let (read, end) = timeout(LONG, reading).await.unwrap().unwrap();
    assert_eq!((read.len(), end.unwrap()), (5000, verdict()));
    assert!(log.extent().from > 0, "the window has moved on");
    assert!(!folder.path().join("journal").exists());
}

#[tokio::test]
async fn a_journal_that_cannot_be_deleted_is_emptied_and_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = LogStorage::undeletable(folder.path(), 1500, std::fs::File::options().read(true).write(true));
    let (mut writer, log) = create(files, &MemoryBudget::new(1 << 20), LogPolicy::SINGLE);
    let mut reader = log.reader(0, None).unwrap();
    for _ in 0..50 {
        poll_fn(|context| writer.poll_room(context)).await.unwrap();
        writer.append(record(100));
    }
    writer.seal(Seal::Complete(verdict()));
    let (read, end) = timeout(LONG, read_to_end(&mut reader)).await.unwrap();
    assert_eq!((read.len(), end.unwrap()), (5000, verdict()));
    assert_eq!(std::fs::metadata(folder.path().join("journal")).unwrap().len(), 0);
}

#[tokio::test]
async fn files_that_can_neither_be_written_nor_deleted_end_the_log_at_its_last_stored_byte() {
    let folder = tempfile::tempdir().unwrap();
    let files = LogStorage::undeletable(folder.path(), 1500, std::fs::File::options().read(true));
    let (mut writer, log) = create(files, &MemoryBudget::new(1 << 20), LogPolicy::SINGLE);
    let mut reader = log.reader(0, None).unwrap();
    let refused = loop {
        if let Err(refused) = poll_fn(|context| writer.poll_room(context)).await {
            break refused;
        }
        writer.append(record(100));
        tokio::task::yield_now().await;
    };
    assert!(matches!(refused, WriteRefused::Unwritten), "{refused}");
    writer.append(record(100));
    writer.seal(Seal::Complete(verdict()));
    let (read, end) = timeout(LONG, read_to_end(&mut reader)).await.unwrap();
    let failure = end.unwrap_err();
    assert_eq!((failure.fault, failure.message.contains("budget")), (Fault::Stopped, true), "{failure}");
    let lines = std::fs::read(folder.path().join("lines")).unwrap();
    assert!(lines.starts_with(&read) && log.extent().visible <= lines.len() as u64, "{} {}", read.len(), lines.len());
    assert!(std::fs::metadata(folder.path().join("journal")).unwrap().len() > 0);
}

#[tokio::test]
async fn a_runtime_that_stops_leaves_nothing_unwritten() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    let files = LogStorage::in_folder(folder.path(), 1 << 30);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut writer, log) = create(files, &MemoryBudget::new(0), LogPolicy::SINGLE);
        let _task = runtime.spawn(async move {
            writer.append(record(1000));
            std::future::pending::<()>().await;
            drop(writer);
        });
        runtime.block_on(tokio::task::yield_now());
        runtime.shutdown_background();
        log
    });
    let log = thread.join().unwrap();
    log.reader(0, None).unwrap().reached().await;
    assert_eq!(std::fs::read(lines).unwrap().len(), 1000);
}

/// One thread writes, sixteen read from anywhere as it grows, memory is short, and all read the same.
#[test]
fn threads_that_join_at_random_all_read_the_same() {
    for files in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        let memory = MemoryBudget::with_floor(30_000, 0);
        let (mut writer, log) = if files {
            create(LogStorage::in_folder(folder.path(), 1 << 30), &memory, LogPolicy::SINGLE)
        } else {
            sharing(&memory, SlowReader::Wait)
        };
        let text = |number: u64| format!("{{\"id\":{number},\"text\":\"{}\"}}\n", "z".repeat(number as usize % 300));
        let whole: Arc<str> = (0..5000).map(text).collect::<String>().into();
        let mut readers = vec![log.reader(0, None).unwrap()];
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        runtime.spawn(async move {
            for number in 0..5000 {
                poll_fn(|context| writer.poll_room(context)).await.unwrap();
                writer.append(Batch::new(text(number).into(), 1));
                if number % 300 == 0 {
                    let _ = sender.send(number);
                }
                if number % 50 == 0 {
                    writer.note(&RawValue::from_string(number.to_string()).unwrap());
                }
            }
            writer.seal(Seal::Complete(verdict()));
        });
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            let mut read = |mut reader: Reader, whole: Arc<str>| {
                tasks.spawn(async move {
                    let from = usize::try_from(reader.position()).unwrap();
                    let (read, end) = read_to_end(&mut reader).await;
                    assert_eq!(end.unwrap(), verdict());
                    assert!(read == whole.as_bytes()[from..]);
                });
            };
            read(readers.remove(0), Arc::clone(&whole));
            while let Some(number) = receiver.recv().await {
                let extent = log.extent();
                let at = extent.from + fastrand::u64(0..=extent.visible - extent.from);
                match log.reader(at, None) {
                    Ok(reader) => read(reader, Arc::clone(&whole)),
                    Err(gone) => assert!(gone.from > at && !files, "{number}"),
                }
            }
            assert!(tasks.len() > 1);
            timeout(LONG, tasks.join_all()).await.expect("nobody waits for ever");
        });
    }
}

/// Without a runtime the files are written at once.
#[test]
fn records_are_found_again_without_counting_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let [lines, journal] = ["lines", "journal"].map(|name| folder.path().join(name));
    let (mut writer, log) = create_single_file(lines.clone(), journal.clone(), &Birth::in_test("/orders")).unwrap();
    let mut begins = vec![0];
    for page in 0..12 {
        for size in [10, 200_000, 70_000 + page * 9_000] {
            writer.append(record(size));
            begins.push(begins.last().unwrap() + size as u64);
        }
        writer.note(&RawValue::from_string(page.to_string()).unwrap());
    }
    let are_found = |log: &Log, most: u64| {
        let mut far = 0;
        for (record, begin) in begins.iter().enumerate() {
            let near = log.near(|offset| offset.record <= record as u64);
            assert_eq!(begins[usize::try_from(near.record).unwrap()], near.byte, "{record}");
            assert!(near.record <= record as u64 && begin - near.byte < (1 << 20) + most, "{record}");
            far = far.max(near.record);
        }
        assert!(far > 20, "{far}");
    };
    are_found(&log, 200_000);
    drop((writer, log));
    let ReopenedSnapshot { log, unfinished, pages, .. } =
        recover_single_file(lines.clone(), journal.clone()).unwrap().open().unwrap();
    assert_eq!(pages, 12);
    are_found(&log, 400_000);
    unfinished.unwrap().writer.seal(Seal::Complete(verdict()));
    drop(log);
    are_found(&recover_single_file(lines, journal).unwrap().open().unwrap().log, 400_000);
}
