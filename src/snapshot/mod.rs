//! Snapshots: the append-only log between a crawl and its readers, its storage, and the registry that shares it.

pub mod cache_control;
mod cache_stats;
mod derivation;
mod digest;
mod expiry_and_eviction;
mod facts;
mod key_history;
mod leader;
mod listing;
mod log;
mod lookup_result;
mod record_index;
mod registry;
mod request_keys;
mod seal;
mod serde_millis;
mod session_table;
mod sessions;
mod single_flight;
#[expect(clippy::module_inception, reason = "the file is named after its type")]
mod snapshot;
mod snapshot_index;
mod storage;
mod store;
mod stored_lines;

pub use cache_stats::CacheStats;
pub use derivation::{DerivedBytes, DerivedReader, in_memory};
pub use digest::{Digest, RunningDigest};
pub use expiry_and_eviction::DropOutcome;
pub use facts::{Birth, CallerIdentity, FileStorage, Retention, SavedCrawl, ShownRequest, SnapshotFacts};
pub use leader::FlightLeader;
pub use listing::SnapshotListing;
pub use log::{
    CrawlMemory, Evicted, Log, LogExtent, MemoryBudget, Reader, ReaderEvent, UsedMemory, WriteRefused, Writer,
    transient_log,
};
pub use lookup_result::{LookupPurpose, LookupResult, Recency};
pub use registry::Registry;
pub use request_keys::RequestKeys;
pub use seal::Seal;
pub use sessions::NewBinding;
pub use single_flight::{FlightOutcome, StopReason, Subscription};
pub use snapshot::{Snapshot, SnapshotState};
pub use storage::{
    BindingState, ReopenError, SessionBinding, StoreError, StoredSnapshot, commit_single_file, journal,
    recover_single_file,
};
pub use store::{ReopenedSnapshot, ResumableLog, Store, create_single_file};
pub use stored_lines::StoredLines;
