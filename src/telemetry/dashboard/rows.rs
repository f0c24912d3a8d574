//! Rows of the operator's tables, read from counters that exist: no upstream is asked, and no crawl waits.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::curl::CurlCommands;
use super::history::History;
use super::waits::{first_wait, upstream_wait};
use crate::config::{Collection, written};
use crate::gateway::{CrawlTable, ListedCrawl, ListedFailure};
use crate::id::SnapshotId;
use crate::snapshot::{MemoryBudget, Retention, SnapshotListing};
use crate::upstream::{Traffic, origin_of};

/// Crawl under way.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CrawlRow {
    pub(super) number: u64,
    pub(super) collection: String,
    /// Path and query of the request that began it, without the query's values.
    pub(super) address: String,
    pub(super) upstream: String,
    pub(super) records: u64,
    /// Number of records that the upstream has named.
    pub(super) total: Option<u64>,
    pub(super) pages: u64,
    pub(super) records_per_second: f64,
    pub(super) seconds_left: Option<u64>,
    pub(super) age_seconds: u64,
    /// Best word of consistency that it can end with; none before its first page.
    pub(super) consistency_at_best: Option<&'static str>,
    pub(super) readers: usize,
    /// Reason for which it waits; none while pages are on their way.
    pub(super) waits: Option<String>,
    pub(super) snapshot: Option<SnapshotId>,
    pub(super) curl: Option<String>,
}

/// Upstream that was asked since the start.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UpstreamRow {
    pub(super) origin: String,
    pub(super) health: UpstreamHealth,
    pub(super) in_flight: usize,
    pub(super) limit: usize,
    pub(super) waiting: usize,
    /// Most requests a second, if that is known.
    pub(super) most_per_second: Option<f64>,
    pub(super) requests: u64,
    /// Answers of 429 and 503 in the last 5 minutes.
    pub(super) refusals: u64,
    pub(super) held_seconds: u64,
    pub(super) held_because: Option<String>,
    pub(super) budget: Option<BudgetRow>,
    pub(super) last_error: Option<String>,
    pub(super) last_error_age_seconds: Option<u64>,
}

/// Budget that an upstream reports.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct BudgetRow {
    pub(super) remaining: u64,
    pub(super) limit: u64,
    pub(super) reset_seconds: u64,
}

/// Health of an upstream, judged by its traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UpstreamHealth {
    Good,
    /// It refused requests, or the last crawl failed by its fault, in the last 5 minutes.
    Troubled,
    /// No request may be sent for a while.
    Held,
}

/// Snapshot that is kept.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SnapshotRow {
    pub(super) id: SnapshotId,
    pub(super) collection: String,
    pub(super) address: Option<String>,
    pub(super) state: &'static str,
    pub(super) consistency: Option<&'static str>,
    /// Verdict or failure, in words.
    pub(super) end: Option<String>,
    pub(super) records: u64,
    pub(super) pages: u64,
    pub(super) bytes: u64,
    /// `memory` or `disk`.
    pub(super) tier: &'static str,
    pub(super) readers: usize,
    pub(super) age_seconds: u64,
    pub(super) expires_in_seconds: Option<u64>,
    pub(super) curl: Option<String>,
}

/// Failure of one crawl, or of several that failed alike.
#[derive(Clone, Debug, Serialize)]
pub(super) struct FailureRow {
    pub(super) age_seconds: u64,
    pub(super) count: u64,
    pub(super) collection: String,
    pub(super) address: String,
    pub(super) upstream: String,
    pub(super) fault: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) records: u64,
}

/// Collection of the configuration.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CollectionRow {
    pub(super) path: String,
    pub(super) upstream: String,
    pub(super) preset: Option<&'static str>,
    /// Keys of its pagination as TOML: the configured ones, the preset's, or those that `auto` has recognised.
    pub(super) toml: String,
    pub(super) source: PaginationSource,
}

/// Source of a pagination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PaginationSource {
    Configured,
    Preset,
    Recognised,
    /// `auto`, which no crawl has used yet.
    Unknown,
}

impl CrawlRow {
    pub(super) fn new(
        crawl: &ListedCrawl,
        upstreams: &[Traffic],
        memory: &MemoryBudget,
        history: &History,
        curl: &CurlCommands,
    ) -> Self {
        let upstream = origin_of(&crawl.collection.upstream);
        let traffic = upstreams.iter().find(|traffic| traffic.origin == upstream);
        let age = age(crawl.since);
        let mut row = Self {
            number: crawl.number,
            collection: crawl.collection.path.clone(),
            address: crawl.request.target.clone(),
            records: 0,
            total: None,
            pages: 0,
            records_per_second: 0.0,
            seconds_left: None,
            age_seconds: age.as_secs(),
            consistency_at_best: None,
            readers: 0,
            waits: Some(first_wait(crawl, traffic)),
            snapshot: None,
            curl: None,
            upstream,
        };
        if let Some(opened) = crawl.opened() {
            let (extent, usage) = (opened.snapshot.log().extent(), opened.snapshot.usage().counts());
            let rate = history.rate_of(crawl.number);
            row.records_per_second = rate.unwrap_or(extent.records as f64 / age.as_secs_f64().max(1.0));
            row.records = extent.records;
            row.total = opened.snapshot.facts().total;
            row.pages = usage.pages;
            let left = row.total.map(|total| total.saturating_sub(extent.records) as f64 / row.records_per_second);
            row.seconds_left = left.filter(|seconds| seconds.is_finite()).map(|seconds| seconds.ceil() as u64);
            row.consistency_at_best = Some(opened.best_consistency);
            row.readers = extent.readers;
            row.waits = match (extent.is_full, memory.waiting()) {
                (true, 0) => Some("for its slowest reader".to_owned()),
                (true, _) => Some("for room in `memory` of [snapshots]".to_owned()),
                (false, _) => traffic.filter(|_| usage.waiting > 0).map(upstream_wait),
            };
            row.snapshot = Some(opened.snapshot.id());
            // A snapshot that must not be stored is found by no id.
            let has_id = opened.snapshot.retention() != Retention::Transient;
            row.curl = has_id.then(|| curl.resume(opened.snapshot.id(), &crawl.request)).flatten();
        }
        row
    }
}

impl UpstreamRow {
    pub(super) fn new(traffic: &Traffic, failures: &[ListedFailure], history: &History) -> Self {
        let load = &traffic.load;
        let last = failures.iter().find(|failure| failure.origin == traffic.origin);
        let last_age = last.map(|last| age(last.at).as_secs());
        let own_fault = last.filter(|last| last.failure.fault.name() == "upstream").and(last_age);
        let refusals = history.refusals_of(traffic);
        Self {
            origin: traffic.origin.clone(),
            health: match (load.hold, refusals, own_fault) {
                (Some(_), _, _) => UpstreamHealth::Held,
                (None, 0, None | Some(300..)) if traffic.refused.is_zero() => UpstreamHealth::Good,
                (None, ..) => UpstreamHealth::Troubled,
            },
            in_flight: load.in_flight,
            limit: load.limit,
            waiting: load.waiting + traffic.backing_off,
            most_per_second: load.rate,
            requests: load.counts.requests,
            refusals,
            held_seconds: load.held.as_secs_f64().ceil() as u64,
            held_because: load.hold.map(|hold| hold.to_string()),
            budget: load.budget.map(|budget| BudgetRow {
                remaining: budget.remaining,
                limit: budget.limit,
                reset_seconds: budget.reset.as_secs(),
            }),
            last_error: last.map(|last| last.failure.message.clone()),
            last_error_age_seconds: last_age,
        }
    }
}

impl SnapshotRow {
    pub(super) fn new(listed: SnapshotListing, curl: &CurlCommands) -> Self {
        let until = |expires: SystemTime| expires.duration_since(SystemTime::now()).unwrap_or_default().as_secs();
        Self {
            curl: listed.request.as_ref().and_then(|request| curl.resume(listed.id, request)),
            id: listed.id,
            collection: listed.collection,
            address: listed.request.map(|request| request.target),
            state: listed.state,
            consistency: listed.consistency,
            end: listed.end,
            records: listed.records,
            pages: listed.pages,
            bytes: listed.bytes,
            tier: if listed.is_stored { "disk" } else { "memory" },
            readers: listed.readers,
            age_seconds: age(listed.created).as_secs(),
            expires_in_seconds: listed.expires.map(until),
        }
    }
}

impl From<ListedFailure> for FailureRow {
    fn from(listed: ListedFailure) -> Self {
        Self {
            age_seconds: age(listed.at).as_secs(),
            count: listed.count,
            collection: listed.collection,
            address: listed.address,
            upstream: listed.origin,
            fault: listed.failure.fault.name(),
            message: listed.failure.message,
            hint: listed.failure.hint,
            records: listed.records,
        }
    }
}

impl CollectionRow {
    pub(super) fn new(collection: &Collection, table: &CrawlTable) -> Self {
        let recognised = table.recognised(collection);
        let source = match (&recognised, collection.preset) {
            (Some(_), _) => PaginationSource::Recognised,
            (None, Some(_)) => PaginationSource::Preset,
            (None, None) if collection.pagination.style.is_auto() => PaginationSource::Unknown,
            (None, None) => PaginationSource::Configured,
        };
        Self {
            path: collection.path.clone(),
            upstream: origin_of(&collection.upstream),
            preset: collection.preset.map(|choice| choice.preset.name),
            toml: recognised.unwrap_or_else(|| written(&collection.pagination)),
            source,
        }
    }
}

fn age(since: SystemTime) -> Duration {
    SystemTime::now().duration_since(since).unwrap_or_default()
}
