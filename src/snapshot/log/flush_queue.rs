//! Queue of a log's flush: pages and the seal that wait to be stored, and the state of the storage.
//!
//! ```text
//!   Absent                                         (memory alone)
//!   Good ── no room, an error ────────────▶ Lost   (stored bytes stay there; the rest stays in memory)
//!   Good ── other bytes ──────────────────▶ Refused
//!   Good ── an error, and undeletable files ▶ Refused
//! ```

use serde_json::value::RawValue;

use super::flush_batch::FlushPage;
use crate::snapshot::seal::Seal;
use crate::snapshot::storage::LogStorage;

#[derive(Debug, Default)]
pub(super) struct FlushQueue {
    pub(super) mode: FlushMode,
    /// Complete pages that the journal doesn't have yet.
    pub(super) pages: Vec<FlushPage>,
    /// End of the log, once everything is stored.
    pub(super) sealing: Option<Seal>,
    pub(super) activity: FlushActivity,
    /// End of the bytes that readers may have from before an interruption: other bytes must not take their place.
    pub(super) replay_end: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlushMode {
    #[default]
    Absent,
    Good,
    Lost,
    Refused,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlushActivity {
    #[default]
    Idle,
    Running,
}

impl FlushQueue {
    pub(super) fn new(storage: &LogStorage) -> Self {
        let mode = if storage.is_durable() { FlushMode::Good } else { FlushMode::Absent };
        Self { mode, replay_end: storage.replay_end(), ..Self::default() }
    }

    /// Returns true if appended bytes are to be stored.
    pub(super) fn is_good(&self) -> bool {
        self.mode == FlushMode::Good
    }

    /// Adds a page that ends with this byte and record.
    pub(super) fn add_page(&mut self, bytes: u64, records: u64, note: &RawValue) {
        self.pages.push(FlushPage { bytes, records, note: note.to_owned() });
    }
}
