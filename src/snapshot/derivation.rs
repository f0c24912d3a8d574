//! Bytes of a complete snapshot in a format that needs all records before its first byte: made once and on demand, in a file.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::log::{Evicted, Log, Reader, ReaderEvent};
use super::storage::{DerivedFile, WriteError};
use crate::error::{Failure, Fault};
use crate::format::{ColumnNames, ColumnUse, Encoder, EncodingError, Format, RecordOffset};

/// Limit of files that are made at a time. Each takes a thread that may wait for the disk, the memory of a row group, and most of a core.
static PERMITS: Semaphore = Semaphore::const_new(2);

/// Largest number of derived files of one snapshot, the last requested ones: requests name the columns.
const MAX_FILES: usize = 8;

/// Files that were derived from one snapshot.
#[derive(Debug, Default)]
pub(super) struct Derivations(Mutex<Vec<Derivation>>);

/// Derived file, or the conversion that writes it. The outcome is `None` until the conversion has ended.
#[derive(Debug)]
struct Derivation {
    format: Format,
    columns: Option<ColumnNames>,
    outcome: watch::Receiver<Option<DerivationResult>>,
}

type DerivationResult = Result<Arc<DerivedFile>, Arc<Failure>>;

/// Bytes of a complete snapshot in a format. The file is kept as long as this value; only a reader keeps the snapshot.
#[derive(Debug)]
pub struct DerivedBytes {
    file: Arc<DerivedFile>,
    log: Log,
}

/// Reader of a byte range of a derived file.
#[derive(Debug)]
pub struct DerivedReader {
    file: Arc<DerivedFile>,
    position: u64,
    end: u64,
    /// Read under way, on a thread that may wait for the disk.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    /// The last block, whose buffer is used again once its bytes have been sent.
    last: Bytes,
    /// Reader at the end of the log, which tells the proof. A snapshot without a reader may be evicted.
    log: Reader,
}

impl Derivations {
    /// Makes the file at the first call, and again after a failure or a change by another program. It is made to its end although its requester
    /// leaves: a client that asks again after a timeout finds it.
    pub(super) async fn get(&self, log: &Log, format: Format, columns: Option<&ColumnNames>) -> DerivationResult {
        loop {
            let file = self.made(log, format, columns).await?;
            let checked = Arc::clone(&file);
            if tokio::task::spawn_blocking(move || checked.is_whole()).await.unwrap_or(true) {
                return Ok(file);
            }
            tracing::warn!(
                "a {} file was changed, cut or removed by another program or the disk, and is written again",
                format.name()
            );
            let is_other =
                |made: &Option<DerivationResult>| !matches!(made, Some(Ok(other)) if Arc::ptr_eq(other, &file));
            self.0.lock().retain(|known| is_other(&known.outcome.borrow()));
        }
    }

    /// Returns the file, once the conversion that writes it has ended.
    async fn made(&self, log: &Log, format: Format, columns: Option<&ColumnNames>) -> DerivationResult {
        let mut outcome = {
            let mut known = self.0.lock();
            known.retain(|one| !matches!(&*one.outcome.borrow(), Some(Err(_))));
            let place = known.iter().position(|one| one.format == format && one.columns.as_ref() == columns);
            let found = match place {
                Some(place) => known.remove(place),
                None => Derivation { format, columns: columns.cloned(), outcome: start(log, format, columns)? },
            };
            let outcome = found.outcome.clone();
            known.push(found);
            let excess = known.len().saturating_sub(MAX_FILES);
            known.drain(..excess);
            outcome
        };
        let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|ended| ended.clone());
        ended.unwrap_or_else(|| Err(Arc::new(stopped("the conversion was cancelled"))))
    }
}

impl DerivedBytes {
    pub(super) fn new(file: Arc<DerivedFile>, log: &Log) -> Self {
        Self { file, log: log.clone() }
    }

    /// Returns the number of bytes.
    pub fn length(&self) -> u64 {
        self.file.length()
    }

    /// Returns the use of columns that the user names by all records.
    pub fn column_use(&self) -> Option<&ColumnUse> {
        self.file.column_use.as_ref()
    }

    /// Creates a reader that starts at the byte `at` and stops before the byte `end`, or behind the last one.
    pub fn reader(&self, at: u64, end: Option<u64>) -> Result<DerivedReader, Evicted> {
        let reader = self.log.reader(self.log.extent().bytes, None)?;
        let end = end.unwrap_or(u64::MAX).min(self.length());
        let (file, last) = (Arc::clone(&self.file), Bytes::new());
        Ok(DerivedReader { file, position: at, end, reading: None, last, log: reader })
    }
}

impl DerivedReader {
    /// Reads the next bytes. [`ReaderEvent::Complete`] comes only after the last byte of the whole.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<ReaderEvent, Arc<Failure>>> {
        if self.position >= self.end {
            let is_whole = self.end == self.file.length();
            return if is_whole { self.log.poll_next(context) } else { Poll::Ready(Ok(ReaderEvent::Stop)) };
        }
        let block = self.file.block(self.position);
        let bytes = ready!(self.poll_block(&block, context)).map_err(|error| Arc::new(unwritable(&error)))?;
        let end = block.end.min(self.end);
        let [from, to] = [self.position, end].map(|at| usize::try_from(at - block.start).unwrap_or(usize::MAX));
        self.position = end;
        self.last = bytes.clone();
        Poll::Ready(Ok(ReaderEvent::Bytes(bytes.slice(from..to))))
    }

    fn poll_block(&mut self, block: &Range<u64>, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.reading.is_none() {
            let buffer = std::mem::take(&mut self.last).try_into_mut().unwrap_or_default();
            if let Some(read) = self.file.read_cached(block, buffer).transpose() {
                return Poll::Ready(read);
            }
        }
        let file = &self.file;
        let reading = self.reading.get_or_insert_with(|| {
            let (file, block) = (Arc::clone(file), block.clone());
            tokio::task::spawn_blocking(move || file.read(&block))
        });
        let read = ready!(std::pin::Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(read.map_err(io::Error::other).flatten())
    }
}

/// Starts the conversion.
fn start(
    log: &Log,
    format: Format,
    columns: Option<&ColumnNames>,
) -> Result<watch::Receiver<Option<DerivationResult>>, Arc<Failure>> {
    if !log.is_durable() {
        return Err(Arc::new(in_memory(format)));
    }
    let encoder = format.encoder(RecordOffset::default(), columns.map(|columns| &columns[..]));
    let (Some(encoder), Ok(runtime)) = (encoder, Handle::try_current()) else {
        return Err(Arc::new(stopped("the format has no encoder, or no runtime is running")));
    };
    let (sender, receiver) = watch::channel(None);
    let (log, thread) = (log.clone(), runtime.clone());
    // The task is detached: the channel carries its outcome.
    drop(runtime.spawn(async move {
        let _permit = PERMITS.acquire().await;
        let conversion = Conversion { log, format, outcome: sender.clone() };
        let made = thread.clone().spawn_blocking(move || thread.block_on(conversion.run(encoder))).await;
        let made = made.unwrap_or_else(|_| Err(stopped("the conversion was cancelled")));
        sender.send_replace(Some(made.map(Arc::new).map_err(|failure| {
            tracing::warn!("a snapshot can't be had as {}: {failure}", format.name());
            Arc::new(failure)
        })));
    }));
    Ok(receiver)
}

/// Conversion of a complete log into a file.
struct Conversion {
    log: Log,
    format: Format,
    outcome: watch::Sender<Option<DerivationResult>>,
}

impl Conversion {
    async fn run(self, mut encoder: Encoder) -> Result<DerivedFile, Failure> {
        let file = self.log.create_derived().map_err(|error| unwritable(&error))?;
        let mut file = file.ok_or_else(|| in_memory(self.format))?;
        let mut out = BytesMut::new();
        for _ in 1..self.format.passes() {
            self.pass(&mut encoder, &mut out, &mut file).await?;
            encoder.end_pass().map_err(unencodable)?;
        }
        self.pass(&mut encoder, &mut out, &mut file).await?;
        encoder.finish(&mut out).map_err(unencodable)?;
        self.append(&mut out, &mut file)?;
        file.column_use = encoder.column_use();
        Ok(file)
    }

    /// Encodes the whole log, up to its proven end.
    async fn pass(&self, encoder: &mut Encoder, out: &mut BytesMut, file: &mut DerivedFile) -> Result<(), Failure> {
        let mut reader = self.log.reader(0, None).map_err(|gone| stopped(&gone.to_string()))?;
        loop {
            match reader.next().await {
                Ok(ReaderEvent::Bytes(bytes)) => encoder.push(&bytes, out).map_err(unencodable)?,
                Ok(ReaderEvent::Complete(_)) => return Ok(()),
                Ok(ReaderEvent::Stop) => return Err(stopped("the snapshot has no end")),
                Err(failure) => return Err((*failure).clone()),
            }
            if self.outcome.is_closed() {
                return Err(stopped("the snapshot is kept no more"));
            }
            self.append(out, file)?;
        }
    }

    fn append(&self, out: &mut BytesMut, file: &mut DerivedFile) -> Result<(), Failure> {
        if out.is_empty() {
            return Ok(());
        }
        file.append(&out.split()).map_err(|error| match error {
            WriteError::Io(error) => unwritable(&error),
            WriteError::NoRoom | WriteError::Changed => {
                let log = bytesize::ByteSize(self.log.extent().bytes);
                let message =
                    format!("the snapshot of {log} has no room for its records in another format on the disk");
                Failure::new(Fault::Stopped, message, "raise `disk` in [snapshots], or ask for `csv` or `ndjson`")
            }
        })
    }
}

/// Failure of a format that can't express a record.
fn unencodable(EncodingError { message, hint }: EncodingError) -> Failure {
    Failure::new(Fault::RefusedClient(StatusCode::NOT_ACCEPTABLE), message, hint)
}

fn unwritable(error: &io::Error) -> Failure {
    let message = format!("the file of a snapshot in another format can't be written or read: {error}");
    Failure::new(Fault::Stopped, message, "check the folder of the snapshots, and ask again")
}

fn stopped(reason: &str) -> Failure {
    Failure::new(Fault::Stopped, format!("the snapshot was not put into another format: {reason}"), "ask again")
}

/// Failure of a snapshot without a file: one that must not be stored, or of a process without a folder.
pub fn in_memory(format: Format) -> Failure {
    let message = format!("`{}` is made in a file, and this snapshot is in memory alone", format.name());
    let hint = "ask for `arrow` or `csv`; or set `dir` and `disk` in [snapshots], unless the request or the upstream forbids to store it (no-store)";
    Failure::new(Fault::RefusedClient(StatusCode::NOT_ACCEPTABLE), message, hint)
}

#[cfg(feature = "columnar")]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::{Path, PathBuf};
    use std::pin::pin;
    use std::task::Waker;
    use std::time::Duration;

    use super::*;
    use crate::batch::Batch;
    use crate::config::SnapshotSettings;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::facts::Birth;
    use crate::snapshot::seal::Seal;
    use crate::snapshot::snapshot::Snapshot;
    use crate::snapshot::store::Store;

    const RECORDS: u64 = 30_000;

    /// Creates a complete snapshot in a folder, whose budget has this number of bytes beside the snapshot.
    async fn snapshot(dir: Option<&Path>, beside: u64) -> (Store, Snapshot) {
        let lines: String = (0..RECORDS).map(|id| format!("{{\"id\":{id},\"odd\":{}}}\n", id % 2 == 1)).collect();
        let dir = dir.map(Path::to_owned);
        let disk = lines.len() as u64 + 8_192 + beside;
        let store = Store::open(SnapshotSettings { dir, disk, ..SnapshotSettings::in_test() }).unwrap();
        let (id, birth) = (store.new_id(), Birth::in_test("/orders"));
        let (mut writer, log) = store.create(id, &birth);
        writer.append(Batch::new(Bytes::from(lines), RECORDS));
        writer.seal(Seal::Complete(Verdict::in_test(RECORDS, 1)));
        log.ended().await;
        (store, Snapshot::new(id, birth.key, birth.facts, log, birth.retention, Duration::ZERO))
    }

    fn made(dir: &Path) -> usize {
        let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("derived-")).count()
    }

    async fn bytes(mut reader: DerivedReader) -> (Vec<u8>, ReaderEvent) {
        let mut bytes = Vec::new();
        loop {
            match std::future::poll_fn(|context| reader.poll_next(context)).await.unwrap() {
                ReaderEvent::Bytes(more) => bytes.extend_from_slice(&more),
                end => return (bytes, end),
            }
        }
    }

    #[tokio::test]
    async fn a_file_is_made_once_even_if_its_requester_leaves_and_goes_with_its_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let (store, snapshot) = snapshot(Some(dir.path()), 1 << 20).await;
        let before = store.on_disk();
        let _left = pin!(snapshot.derived(Format::Parquet, None)).poll(&mut Context::from_waker(Waker::noop()));
        let (one, other) =
            tokio::join!(snapshot.derived(Format::Parquet, None), snapshot.derived(Format::Parquet, None));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(Arc::ptr_eq(&one.file, &other.file) && made(dir.path()) == 1);
        assert_eq!(store.on_disk(), before + one.length());
        let (whole, end) = bytes(one.reader(0, None).unwrap()).await;
        assert!(matches!(end, ReaderEvent::Complete(_)) && whole.len() as u64 == one.length());
        assert!(whole.starts_with(b"PAR1") && whole.ends_with(b"PAR1"));
        let (part, end) = bytes(one.reader(2, Some(9)).unwrap()).await;
        assert!(matches!(end, ReaderEvent::Stop) && part == whole[2..9]);
        drop((one, other, snapshot));
        store.written().await;
        assert_eq!((store.on_disk(), made(dir.path())), (before, 0));
    }

    /// Returns the path of the only derived file.
    fn only_file(dir: &Path) -> PathBuf {
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let is_derived = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("derived-");
        let files: Vec<_> = files.filter(is_derived).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        file.clone()
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, snapshot) = snapshot(Some(dir.path()), 1 << 24).await;
        let made = bytes(snapshot.derived(Format::Parquet, None).await.unwrap().reader(0, None).unwrap()).await.0;
        let file = only_file(dir.path());
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1_000).unwrap();
        let again = snapshot.derived(Format::Parquet, None).await.unwrap();
        assert_eq!(bytes(again.reader(0, None).unwrap()).await.0, made);
        store.written().await;
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_flipped_byte_breaks_its_readers_and_the_file_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, snapshot) = snapshot(Some(dir.path()), 1 << 24).await;
        let first = snapshot.derived(Format::Parquet, None).await.unwrap();
        let whole = bytes(first.reader(0, None).unwrap()).await.0;
        let length = whole.len() as u64;
        assert!(length > 65_536);
        drop(first);
        for at in [0, 65_535, 65_536, length - 1] {
            let before = snapshot.derived(Format::Parquet, None).await.unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(only_file(dir.path())).unwrap();
            file.write_all_at(&[!whole[usize::try_from(at).unwrap()]], at).unwrap();
            let mut reader = before.reader(0, None).unwrap();
            let mut sent = Vec::new();
            let failure = loop {
                match std::future::poll_fn(|context| reader.poll_next(context)).await {
                    Ok(ReaderEvent::Bytes(more)) => sent.extend_from_slice(&more),
                    Ok(end) => panic!("{end:?}"),
                    Err(failure) => break failure,
                }
            };
            assert!(failure.message.contains("its bytes are not those that were written"), "{failure}");
            assert!(whole.starts_with(&sent) && sent.len() as u64 <= at, "{at}");
            // A range of another block has its bytes.
            let other = if at < 65_536 { length - 9..length - 2 } else { 3..70 };
            let part = bytes(before.reader(other.start, Some(other.end)).unwrap()).await.0;
            assert_eq!(part, whole[usize::try_from(other.start).unwrap()..usize::try_from(other.end).unwrap()]);
            drop((reader, before));
            let again = snapshot.derived(Format::Parquet, None).await.unwrap();
            assert!(bytes(again.reader(0, None).unwrap()).await.0 == whole, "{at}");
            drop(again);
            store.written().await;
        }
    }

    #[tokio::test]
    async fn a_failure_says_why_gives_its_room_back_and_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, snapshot) = snapshot(Some(dir.path()), 500).await;
        let before = store.on_disk();
        for _ in 0..2 {
            let failure = snapshot.derived(Format::Parquet, None).await.unwrap_err();
            assert!(failure.message.contains("no room") && failure.hint.contains("`disk`"), "{failure}");
        }
        let columns: ColumnNames = "id:bool".parse().unwrap();
        let failure = snapshot.derived(Format::Parquet, Some(&columns)).await.unwrap_err();
        assert_eq!(failure.message, "the value of `id` in record 0, counted from 0, is no bool");
        store.written().await;
        assert_eq!((store.on_disk(), made(dir.path())), (before, 0));
    }

    #[tokio::test]
    async fn a_snapshot_has_a_few_files_and_one_in_memory_none() {
        let dir = tempfile::tempdir().unwrap();
        let (store, kept) = snapshot(Some(dir.path()), 1 << 24).await;
        for number in 0..=MAX_FILES {
            let columns: ColumnNames = format!("id,c{number}").parse().unwrap();
            kept.derived(Format::Parquet, Some(&columns)).await.unwrap();
        }
        store.written().await;
        assert_eq!(made(dir.path()), MAX_FILES);
        let (_store, kept) = snapshot(None, 0).await;
        let failure = kept.derived(Format::Parquet, None).await.unwrap_err();
        assert!(failure.hint.contains("`dir`"), "{failure:?}");
    }
}
