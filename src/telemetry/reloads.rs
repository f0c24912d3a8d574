//! Reloads of the configuration, counted by their result.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::family::family;

/// Counts of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Reloads(Arc<ReloadCounts>);

#[derive(Debug, Default)]
struct ReloadCounts {
    good: AtomicU64,
    refused: AtomicU64,
    /// Time at which the configuration was last read without a mistake, in seconds since 1970.
    last_good: AtomicU64,
}

impl Reloads {
    /// Begins to count at a start, which is the first time that a configuration is good.
    pub fn begin() -> Self {
        let reloads = Self::default();
        reloads.note_time();
        reloads
    }

    pub fn note_good(&self) {
        self.0.good.fetch_add(1, Ordering::Relaxed);
        self.note_time();
    }

    pub fn note_refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn note_time(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.last_good.store(now.as_secs(), Ordering::Relaxed);
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Reloads of the configuration: good, refused (it had a mistake, or keys that need a restart).";
        let results = [("good", &self.0.good), ("refused", &self.0.refused)];
        let results = results.map(|(result, count)| ([("result", result.to_owned())], count.load(Ordering::Relaxed)));
        family(encoder, Counter, "unpage_config_reloads_total", help, results)?;
        let help = "Time at which the configuration was last read without a mistake, in seconds since 1970.";
        let last = self.0.last_good.load(Ordering::Relaxed);
        family(encoder, Gauge, "unpage_config_last_reload_success_timestamp_seconds", help, [([], last)])
    }
}
