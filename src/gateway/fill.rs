//! Fill: crawls that fill snapshots. Each is a task of its own, so that it outlives the client that began it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::RETRY_AFTER;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field};

use super::admission::Admission;
use super::ask::StreamRequest;
use super::cache_key_upgrade::OlderKeys;
use super::crawl_table::{CrawlEntry, CrawlTable};
use super::snapshot_birth::{FillRecord, birth};
use crate::crawl::{Crawl, Crawls, Opened, ResumePoint};
use crate::error::{Failure, Fault};
use crate::id::SnapshotId;
use crate::pagination::Precondition;
use crate::snapshot::cache_control::SharingLimit;
use crate::snapshot::{
    self, Birth, FlightLeader, Log, LookupPurpose, Registry, ReopenError, ReopenedSnapshot, RequestKeys, ResumableLog,
    Retention, Seal, Snapshot, SnapshotFacts, SnapshotState, Writer,
};
use crate::upstream_usage::UpstreamUsage;

/// Number of bytes of records that may wait for their reader where nothing is kept.
const WINDOW: u64 = 1 << 20;

/// Longest interval between two runs of the maintenance of snapshots.
const MAINTENANCE: Duration = Duration::from_secs(2);

/// Shortest time that a snapshot waits for its first reader, whose response is being built: a response that takes longer finds its crawl given
/// up where `linger` is 0.
const FIRST_READER: Duration = Duration::from_secs(1);

/// Value of `Retry-After` for a snapshot that could not be read, in seconds.
const RETRY: u64 = 5;

/// The crawls of a gateway and the snapshots that they fill; clones share them.
#[derive(Clone, Debug)]
pub(super) struct CacheFill {
    pub(super) registry: Registry,
    pub(super) older_keys: Arc<OlderKeys>,
    pub(super) crawls: Crawls,
    pub(super) table: CrawlTable,
    pub(super) admission: Admission,
    pub(super) tasks: TaskTracker,
    /// Cancels the crawls under way; what they have written stays.
    pub(super) stop: CancellationToken,
    /// Time that a crawl runs on without readers.
    pub(super) linger: Duration,
}

impl CacheFill {
    /// Begins a crawl in a task of its own.
    pub(super) fn begin(&self, lead: FlightLeader, request: &Arc<StreamRequest>, keys: RequestKeys) {
        let (fill, request, stop) = (self.clone(), Arc::clone(request), self.stop.child_token());
        let (entry, span) = (self.table.enter(&request, stop.clone(), lead.stop_reason()), span(&request));
        let work = async move {
            fill.open(lead, &request, keys, &entry).await;
            entry.end(&fill.tasks);
        };
        self.spawn_until(stop, work.instrument(span));
    }

    /// Reads a snapshot from its files and, where it was interrupted and the purpose is to read all of it, resumes its crawl.
    pub(super) fn resume(
        &self,
        lead: FlightLeader,
        id: SnapshotId,
        purpose: LookupPurpose,
        request: &Arc<StreamRequest>,
    ) {
        let (fill, request, stop) = (self.clone(), Arc::clone(request), self.stop.child_token());
        let (entry, span) = (self.table.enter(&request, stop.clone(), lead.stop_reason()), span(&request));
        let work = async move {
            fill.reopen(lead, id, purpose, &request, &entry).await;
            entry.end(&fill.tasks);
        };
        self.spawn_until(stop, work.instrument(span));
    }

    /// Starts the maintenance of snapshots, at an interval that fits the shortest of these times.
    pub(super) fn maintain(&self, keep_for: impl Iterator<Item = Duration>) {
        let shortest = keep_for.min().unwrap_or(MAINTENANCE) / 4;
        self.spawn(self.registry.maintain(shortest.clamp(Duration::from_millis(1), MAINTENANCE)));
    }

    /// Runs a task until the gateway stops.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_until(self.stop.clone(), work);
    }

    /// Runs a task until the token is cancelled. It is boxed at once, since tokio copies a future several times on its way into a task.
    fn spawn_until(&self, stop: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
        let work = Box::pin(work);
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn open(&self, lead: FlightLeader, request: &StreamRequest, keys: RequestKeys, entry: &CrawlEntry) {
        let crawl = request.crawl(self.registry.store().memory(), &self.crawls);
        // A reader keeps the beginning of the stale snapshot from being dropped.
        let beginning = lead.stale().and_then(|stale| stale.log().reader(0, None).ok());
        let stale = lead.stale().filter(|_| beginning.is_some());
        let first_page = async {
            match stale {
                Some(stale) if is_unchanged(&crawl, stale).await => None,
                Some(_) | None => Some(crawl.clone().open().await),
            }
        };
        let opened = async {
            let place = self.admission.enter().await?;
            entry.admit();
            Ok::<_, Failure>((first_page.await, place))
        };
        let opened = tokio::select! {
            opened = opened => opened,
            () = lead.left(self.linger) => return lead.abandon(),
        };
        let (opened, _place) = match opened {
            Ok(opened) => opened,
            Err(full) => {
                entry.fail(&full);
                return lead.fail(full);
            }
        };
        match opened {
            // The upstream has nothing newer than the stale snapshot.
            None => lead.unchanged(),
            Some(Err(failure)) => {
                tracing::warn!("{failure}; fault: {}; {}", failure.fault.name(), failure.hint);
                entry.fail(&failure);
                lead.fail(failure);
            }
            // With `auto`, only the first answer shows that the request names a page.
            Some(Ok(opened)) if opened.starts_midway() => lead.page(),
            Some(Ok(opened)) => {
                let (snapshot, writer) = self.create(birth(&opened, request, keys), request).await;
                let snapshot = Arc::new(snapshot.with_usage(opened.usage()));
                entry.open(&snapshot, opened.pagination());
                lead.publish(&snapshot);
                drop(beginning);
                self.run(&snapshot, opened, writer, request).await;
            }
        }
    }

    /// Makes a new snapshot, and its writer.
    async fn create(&self, birth: Birth, request: &StreamRequest) -> (Snapshot, Writer) {
        let store = self.registry.store().clone();
        let id = store.new_id();
        let Birth { key, facts, retention, .. } = birth.clone();
        let (writer, log) = if retention == Retention::Transient {
            snapshot::transient_log(WINDOW)
        } else {
            // Making files may wait for the disk.
            let created = tokio::task::spawn_blocking(move || store.create(id, &birth)).await;
            created.expect("making a log doesn't panic, and is never cancelled")
        };
        let snapshot = Snapshot::new(id, key, facts, log, retention, request.collection.sharing.keep_for);
        (snapshot.with_request(request.shown()), writer)
    }

    async fn reopen(
        &self,
        lead: FlightLeader,
        id: SnapshotId,
        purpose: LookupPurpose,
        request: &StreamRequest,
        entry: &CrawlEntry,
    ) {
        let (key, store) = (lead.key(), self.registry.store().clone());
        let reopened = tokio::task::spawn_blocking(move || store.reopen(id)).await;
        let ReopenedSnapshot { birth, log, pages, unfinished, modified } = match reopened {
            Ok(Ok(reopened)) => reopened,
            Ok(Err(unknown @ ReopenError::Unknown)) => {
                tracing::debug!("snapshot {id}: {unknown}");
                return lead.unreadable();
            }
            Ok(Err(damaged @ ReopenError::Damaged(_))) => {
                tracing::warn!("snapshot {id}: {damaged}; they are used no more, and a later request crawls again");
                return lead.unreadable();
            }
            // The files are there, and may be readable again a moment later.
            Ok(Err(unusable @ (ReopenError::Io(_) | ReopenError::Newer(_)))) => {
                tracing::warn!("snapshot {id}: {unusable}");
                return lead.fail(unread(&unusable));
            }
            // The task panicked, or the process ends: dropping the lead tells the followers.
            Err(_) => return,
        };
        let Ok(begun) = serde_json::from_str::<FillRecord>(birth.begun.get()) else { return lead.unreadable() };
        let snapshot = |log: Log| {
            let Birth { facts, retention, .. } = birth.clone();
            // The keys in the journal may have an older version.
            let keep_for = request.collection.sharing.keep_for;
            let snapshot = Snapshot::new(id, key, facts, log, retention, keep_for).with_request(request.shown());
            snapshot.with_usage(UpstreamUsage::resumed_after(pages))
        };
        match unfinished {
            None => lead.publish(&Arc::new(snapshot(log).with_end(modified))),
            Some(ResumableLog { writer, .. }) if purpose == LookupPurpose::Look => {
                drop(writer);
                // A reader that joined before the end is known would see the stream break.
                log.ended().await;
                lead.publish(&Arc::new(snapshot(log)));
            }
            Some(ResumableLog { writer, notes, last, records, lines }) => {
                let _place = match self.admission.enter().await {
                    Ok(place) => place,
                    Err(full) => {
                        entry.fail(&full);
                        return lead.fail(full);
                    }
                };
                entry.admit();
                let point = ResumePoint { state: &begun.crawl, checkpoints: &notes, last_record: last, records, lines };
                match request.crawl(self.registry.store().memory(), &self.crawls).resume(point).await {
                    Ok(opened) => {
                        tracing::info!("snapshot {id}: resumed after {records} records");
                        let snapshot = Arc::new(snapshot(log).with_usage(opened.usage()));
                        entry.open(&snapshot, opened.pagination());
                        lead.publish(&snapshot);
                        self.run(&snapshot, opened, writer, request).await;
                    }
                    Err(failure) => {
                        tracing::warn!("snapshot {id}: {failure}; fault: {}; {}", failure.fault.name(), failure.hint);
                        entry.fail(&failure);
                        // Another attempt would fail, too: the next request gets the failure without one.
                        writer.seal(Seal::Failed(Arc::new(failure)));
                        lead.publish(&Arc::new(snapshot(log)));
                    }
                }
            }
        }
    }

    /// Writes a snapshot to its seal, once it has a reader.
    async fn run(&self, snapshot: &Arc<Snapshot>, mut opened: Opened, writer: Writer, request: &StreamRequest) {
        opened.limit_sharing(SharingLimit { retention: snapshot.retention(), caller: request.caller.identity });
        let _ended = EndGuard { registry: &self.registry, snapshot };
        // A client that only wanted the head never reads; another one may.
        if tokio::time::timeout(self.linger.max(FIRST_READER), snapshot.log().has_been_read()).await.is_ok() {
            opened.widen(request.width());
            opened.run(writer).await;
        }
    }
}

/// Makes the span of a crawl's log lines, which name neither a collection nor a trace. The first request tells it the trace.
fn span(request: &StreamRequest) -> Span {
    tracing::warn_span!("crawl", collection = request.collection.path, trace_id = field::Empty)
}

/// Revalidates a stale snapshot (RFC 9111 §4.3): `true` where the upstream says that it has nothing newer. Only `match` in the configuration
/// makes a validator of the first page one of the whole collection; most validators tell nothing of the pages after the first.
async fn is_unchanged(crawl: &Crawl, stale: &Snapshot) -> bool {
    let SnapshotFacts { etag, last_modified, .. } = stale.facts();
    if crawl.pagination.precondition == Precondition::None {
        return false;
    }
    crawl.unchanged(etag.as_deref(), last_modified.as_deref()).await.unwrap_or(false)
}

/// Failure of a kept snapshot whose files can't be read now.
fn unread(unusable: &ReopenError) -> Failure {
    let hint = "ask again after the time in Retry-After; if it fails again, check the folder of the snapshots";
    let headers = vec![(RETRY_AFTER, HeaderValue::from(RETRY))];
    Failure { headers, ..Failure::new(Fault::Stopped, unusable.to_string(), hint) }
}

/// Guard that tells the registry of a snapshot's end, also where its task is cancelled.
struct EndGuard<'a> {
    registry: &'a Registry,
    snapshot: &'a Arc<Snapshot>,
}

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.registry.ended(self.snapshot);
        if let SnapshotState::Stopped = self.snapshot.state() {
            tracing::debug!("snapshot {}: stopped", self.snapshot.id());
        }
    }
}
