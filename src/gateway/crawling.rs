//! The crawls: each is a task of its own, so that no client takes one with it when it leaves.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::asked::Asked;
use super::older_keys::OlderKeys;
use super::sharing;
use super::unattended::Unattended;
use crate::cache_key::{KEY_VERSION, first_version};
use crate::config::{Collection, Sharing};
use crate::crawl::{Crawl, Opened, ResumePoint};
use crate::error::{Failure, Fault};
use crate::id::SnapshotId;
use crate::pagination::Precondition;
use crate::request::StorePolicy;
use crate::snapshot::{
    self, Birth, FileStorage, Lead, Log, LookupPurpose, Registry, ReopenError, ReopenedSnapshot, ResumableLog,
    Retention, Seal, Snapshot, SnapshotFacts, SnapshotState, Writer,
};
use crate::usage::UpstreamUsage;

/// How many bytes of records may wait for their reader where nothing is kept.
const WINDOW: u64 = 1 << 20;

/// How often what is kept is looked after.
const MAINTENANCE: Duration = Duration::from_secs(2);

/// How long a snapshot waits for its first reader at least, who has it in its hands already.
const FIRST_READER: Duration = Duration::from_millis(100);

/// After how many seconds a snapshot that could not be read is asked for again.
const RETRY: u64 = 5;

/// Where crawls run.
#[derive(Clone, Debug)]
pub(super) struct Crawling {
    pub(super) registry: Registry,
    pub(super) older_keys: Arc<OlderKeys>,
    pub(super) tasks: TaskTracker,
    /// Ends those under way; what they have written stays.
    pub(super) stop: CancellationToken,
    /// How long a crawl goes on that nobody waits for or reads.
    pub(super) linger: Duration,
}

/// A crawl that was asked for.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) crawl: Crawl,
    pub(super) asked: Asked,
    pub(super) collection: Arc<Collection>,
    /// Whether the client lets its records be kept.
    pub(super) storage: StorePolicy,
    /// How many pages may be in flight once somebody reads.
    pub(super) width: usize,
}

/// What comes of asking for the first page.
enum First {
    /// The upstream has nothing newer than what is there.
    Unchanged,
    Answered(Result<Box<Opened>, Failure>),
}

/// What the journal has of a snapshot's beginning.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Version of the snapshot's cache key.
    #[serde(default = "first_version")]
    key_version: u32,
    /// How it is asked for where nobody asks; none where that takes something of the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unattended: Option<Unattended>,
    /// In the crawl's own words.
    crawl: Box<RawValue>,
}

impl Crawling {
    /// Begins a crawl in a task of its own.
    pub(super) fn begin(&self, lead: Lead, job: Job) {
        let running = self.clone();
        self.spawn(async move { running.open(lead, job).await });
    }

    /// Reads a snapshot from its files and, where it was interrupted and is to be read to its end, goes on with it.
    pub(super) fn go_on(&self, lead: Lead, id: SnapshotId, purpose: LookupPurpose, job: Job) {
        let running = self.clone();
        self.spawn(async move { running.reopen(lead, id, purpose, job).await });
    }

    /// Looks after what is kept, as often as the shortest of these times wants it.
    pub(super) fn maintain(&self, keep_for: impl Iterator<Item = Duration>) {
        let shortest = keep_for.min().unwrap_or(MAINTENANCE) / 4;
        self.spawn(self.registry.maintain(shortest.clamp(Duration::from_millis(1), MAINTENANCE)));
    }

    /// Runs beside the requests until the gateway stops.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn open(&self, lead: Lead, job: Job) {
        // As long as it is read from its beginning, that stays.
        let beginning = lead.stale().and_then(|stale| stale.log().reader(0, None).ok());
        let stale = lead.stale().filter(|_| beginning.is_some());
        let first = tokio::select! {
            first = job.first_page(stale) => first,
            () = lead.left(self.linger) => return lead.abandon(),
        };
        match first {
            First::Unchanged => lead.unchanged(),
            First::Answered(Err(failure)) => {
                tracing::warn!("{failure}; {}", failure.hint);
                lead.fail(failure);
            }
            // What names a page is only known now, with `auto`: who asks for page 7 wants page 7.
            First::Answered(Ok(opened)) if opened.starts_midway() => lead.page(),
            First::Answered(Ok(opened)) => {
                let birth = Self::birth(&opened, &job);
                let (snapshot, writer) = self.create(birth, job.collection.sharing.keep_for).await;
                let snapshot = Arc::new(snapshot.with_usage(opened.usage()));
                lead.publish(&snapshot);
                drop(beginning);
                self.run(&snapshot, *opened, writer, &job).await;
            }
        }
    }

    /// What is known of a new snapshot of what was opened, and what may become of it.
    fn birth(opened: &Opened, job: &Job) -> Birth {
        let retention = match job.storage {
            StorePolicy::Forbidden => Retention::Transient,
            StorePolicy::Allowed => sharing::retention(answer(opened), job.asked.caller),
        };
        let begun = Begun { key_version: KEY_VERSION, unattended: job.asked.unattended.clone(), crawl: opened.begun() };
        let begun = serde_json::value::to_raw_value(&begun).expect("it has no keys but texts");
        Birth { key: job.asked.key, facts: job.facts(opened, retention), retention, begun }
    }

    /// A new snapshot, and its writer.
    async fn create(&self, birth: Birth, keep_for: Duration) -> (Snapshot, Writer) {
        let store = self.registry.store().clone();
        let id = store.new_id();
        let Birth { key, facts, retention, .. } = birth.clone();
        let (writer, log) = if retention == Retention::Transient {
            snapshot::transient_log(WINDOW)
        } else {
            // Making files may wait for the disk.
            let created = tokio::task::spawn_blocking(move || store.create(id, &birth)).await;
            created.expect("making a log doesn't panic, and nobody cancels it")
        };
        (Snapshot::new(id, key, facts, log, retention, keep_for), writer)
    }

    async fn reopen(&self, lead: Lead, id: SnapshotId, purpose: LookupPurpose, job: Job) {
        let store = self.registry.store().clone();
        let reopened = tokio::task::spawn_blocking(move || store.reopen(id)).await;
        let ReopenedSnapshot { birth, log, pages, unfinished, modified } = match reopened {
            Ok(Ok(reopened)) => reopened,
            Ok(Err(unusable @ (ReopenError::Unknown | ReopenError::Damaged(_)))) => {
                tracing::debug!("snapshot {id}: {unusable}");
                return lead.unreadable();
            }
            // It is there, and may be readable again a moment later.
            Ok(Err(unusable @ (ReopenError::Io(_) | ReopenError::Newer(_)))) => {
                tracing::warn!("snapshot {id}: {unusable}");
                return lead.fail(unread(&unusable));
            }
            // It panicked, or the process ends: dropping the lead says so.
            Err(_) => return,
        };
        let Ok(begun) = serde_json::from_str::<Begun>(birth.begun.get()) else { return lead.unreadable() };
        let snapshot = |log: Log| {
            let Birth { facts, retention, .. } = birth.clone();
            // The journal may have its key of an older version.
            let key = job.asked.key;
            let Sharing { keep_for, .. } = job.collection.sharing;
            Snapshot::new(id, key, facts, log, retention, keep_for).with_usage(UpstreamUsage::resumed_after(pages))
        };
        match unfinished {
            None => lead.publish(&Arc::new(snapshot(log).with_end(modified))),
            Some(ResumableLog { writer, .. }) if purpose == LookupPurpose::Look => {
                drop(writer);
                // Who joined one that still seems to run would see it break.
                log.ended().await;
                lead.publish(&Arc::new(snapshot(log)));
            }
            Some(ResumableLog { writer, notes, last, records }) => {
                let point = ResumePoint { begun: &begun.crawl, checkpoints: &notes, last_record: last, records };
                match job.crawl.clone().resume(point) {
                    Ok(opened) => {
                        tracing::info!("snapshot {id}: going on after {records} records");
                        let snapshot = Arc::new(snapshot(log).with_usage(opened.usage()));
                        lead.publish(&snapshot);
                        self.run(&snapshot, opened, writer, &job).await;
                    }
                    Err(failure) => {
                        tracing::warn!("snapshot {id}: {failure}; {}", failure.hint);
                        // It won't get better: who comes back learns of it without another try.
                        writer.seal(Seal::Failed(Arc::new(failure)));
                        lead.publish(&Arc::new(snapshot(log)));
                    }
                }
            }
        }
    }

    /// Writes a snapshot to its seal, from its first reader on.
    async fn run(&self, snapshot: &Arc<Snapshot>, opened: Opened, writer: Writer, job: &Job) {
        let _told = Ended { registry: &self.registry, snapshot };
        // What the log says of its readers has no other name.
        let span = tracing::warn_span!("crawl", collection = snapshot.facts().collection);
        self.write(snapshot, opened, writer, job.width).instrument(span).await;
    }

    async fn write(&self, snapshot: &Snapshot, mut opened: Opened, writer: Writer, width: usize) {
        // Who only wanted the head has had it, and somebody may want the rest.
        if tokio::time::timeout(self.linger.max(FIRST_READER), snapshot.log().has_been_read()).await.is_ok() {
            opened.widen(width);
            opened.run(writer).await;
        }
    }
}

impl Job {
    /// Asks for the first page; before that whether it would be another one than what is there.
    async fn first_page(&self, stale: Option<&Arc<Snapshot>>) -> First {
        match stale {
            Some(stale) if self.is_unchanged(stale).await => First::Unchanged,
            Some(_) | None => First::Answered(self.crawl.clone().open().await.map(Box::new)),
        }
    }

    /// Whether the upstream says that it has nothing newer than this. Only `match` says that a validator of the first page is one of the
    /// whole collection: of most it tells nothing of the pages behind it.
    async fn is_unchanged(&self, stale: &Snapshot) -> bool {
        let SnapshotFacts { etag, last_modified, .. } = stale.facts();
        if self.crawl.pagination.precondition == Precondition::None {
            return false;
        }
        self.crawl.unchanged(etag.as_deref(), last_modified.as_deref()).await.unwrap_or(false)
    }

    fn facts(&self, opened: &Opened, retention: Retention) -> SnapshotFacts {
        let text = |name| answer(opened).get(name)?.to_str().ok().map(ToOwned::to_owned);
        SnapshotFacts {
            collection: self.collection.path.clone(),
            created: SystemTime::now(),
            valid_at: opened.valid_at(),
            etag: text(http::header::ETAG),
            last_modified: text(http::header::LAST_MODIFIED),
            total: opened.total(),
            storage: if retention == Retention::Transient { FileStorage::Forbidden } else { FileStorage::Allowed },
        }
    }
}

/// What is kept can't be read now.
fn unread(unusable: &ReopenError) -> Failure {
    let hint = "ask again as Retry-After says; if that doesn't help, see to the folder of the snapshots";
    let headers = vec![(RETRY_AFTER, HeaderValue::from(RETRY))];
    Failure { headers, ..Failure::new(Fault::Stopped, unusable.to_string(), hint) }
}

/// The head of the first page.
fn answer(opened: &Opened) -> &HeaderMap {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    opened.head().map_or(&NONE, |head| &head.headers)
}

/// Tells the registry of a snapshot's end, also where its task is cancelled.
struct Ended<'a> {
    registry: &'a Registry,
    snapshot: &'a Arc<Snapshot>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.registry.ended(self.snapshot);
        if let SnapshotState::Stopped = self.snapshot.state() {
            tracing::debug!("snapshot {}: stopped", self.snapshot.id());
        }
    }
}
