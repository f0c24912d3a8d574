//! Operator's dashboard: crawls, upstreams, snapshots, failures and collections, as a page, as events and as JSON.
//!
//! ```text
//!   gateway, upstreams, server ──▶ rows ──┬──▶ JSON
//!                    ▲                    └──▶ sections ──┬──▶ page      first paint, or all there is without scripts
//!   once a second: history                                └──▶ events    sections that have changed, to each viewer
//! ```

mod actions;
mod curl;
mod events;
mod history;
mod markup;
mod page;
mod rows;
mod sections;
mod sparkline;
mod table;
mod waits;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Response, Uri};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use self::actions::Actions;
pub(super) use self::actions::problem;
use self::curl::CurlCommands;
use self::events::EventHub;
use self::history::History;
use self::rows::{CollectionRow, CrawlRow, FailureRow, SnapshotRow, UpstreamRow};
use super::admin_token::ShownToken;
use super::log_level::LogLevel;
use crate::config::AdminActions;
use crate::gateway::Gateway;
use crate::response::Body;
use crate::server::{HostList, ServerMonitor};

/// Interval of samples and of events.
const EVERY: Duration = Duration::from_secs(1);

/// Dashboard of a gateway; clones share it.
#[derive(Clone, Debug)]
pub struct Dashboard {
    shared: Arc<DashboardState>,
}

#[derive(Debug)]
struct DashboardState {
    gateway: Gateway,
    monitor: ServerMonitor,
    /// Address of the proxy, and commands that ask it.
    curl: CurlCommands,
    /// Host by which an operator has asked last.
    asked_host: Mutex<Option<String>>,
    actions: Actions,
    since: SystemTime,
    history: Mutex<History>,
    hub: EventHub,
}

/// Figures of the head of the page.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    records_per_second: u64,
    records: u64,
    crawls: u64,
    waiting: u64,
    complete: u64,
    broken: u64,
    /// Number of crawls that the operator has cancelled.
    cancelled: u64,
    connections: usize,
    is_ready: bool,
    uptime_seconds: u64,
    /// Records in each of the last 300 seconds, the oldest first.
    rates: Vec<u64>,
}

impl Dashboard {
    /// Makes a dashboard; `proxy` is the URL at which clients reach the gateway, `hosts` the names that it answers to.
    pub fn new(
        gateway: Gateway,
        monitor: ServerMonitor,
        proxy: String,
        hosts: Option<HostList>,
        actions: AdminActions,
        log_level: LogLevel,
    ) -> Self {
        let state = DashboardState {
            curl: CurlCommands { proxy, hosts, asked_host: None, param: gateway.snapshot_param() },
            asked_host: Mutex::default(),
            actions: Actions { gateway: gateway.clone(), log_level, allowed: actions },
            gateway,
            monitor,
            since: SystemTime::now(),
            history: Mutex::default(),
            hub: EventHub::default(),
        };
        Self { shared: Arc::new(state) }
    }

    /// Samples the counters once a second, and tells the viewers; never returns.
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let DashboardState { gateway, history, hub, .. } = &*self.shared;
            let (records, upstreams) = (gateway.crawls().totals().records, gateway.governors().by_origin());
            let crawls = if hub.has_viewers() { gateway.crawl_table().crawls() } else { Vec::new() };
            let mut history = history.lock();
            history.sample(records, &upstreams);
            history.sample_crawls(&crawls);
            drop(history);
            if hub.has_viewers() {
                hub.publish(self.sections());
            }
        }
    }

    /// Answers a GET of a path below the operator's address; none for another path.
    pub(super) fn get(&self, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        if let Some(host) = host {
            *self.shared.asked_host.lock() = Some(host.host().to_owned());
        }
        Some(match path {
            "/" => page::respond(&self.sections()),
            "/events" => self.shared.hub.respond(),
            "/figures.json" => page::json(&self.figures()),
            "/crawls.json" => page::json(&self.crawls()),
            "/upstreams.json" => page::json(&self.upstreams()),
            "/snapshots.json" => page::json(&self.snapshots()),
            "/failures.json" => page::json(&self.failures()),
            "/log-level" => page::json(&json!({ "level": self.shared.actions.log_level.current() })),
            "/collections.json" => page::json(&self.collections()),
            _ => return None,
        })
    }

    /// Answers a POST of a path below the operator's address; none for another path.
    pub(super) fn post(&self, uri: &Uri, headers: &HeaderMap, token: Option<ShownToken>) -> Option<Response<Body>> {
        self.shared.actions.answer(uri, headers, token)
    }

    fn sections(&self) -> sections::Sections {
        let curl = self.curl();
        let collections = self.collections();
        sections::Sections::new(&sections::Tables {
            figures: self.figures(),
            crawls: self.crawls(),
            upstreams: self.upstreams(),
            snapshots: self.snapshots(),
            failures: self.failures(),
            first_stream: collections.first().map(|first| curl.stream(&first.path)),
            collections,
            actions: self.shared.actions.allowed,
            log_level: self.shared.actions.log_level.current(),
        })
    }

    fn figures(&self) -> Figures {
        let DashboardState { gateway, monitor, since, history, .. } = &*self.shared;
        let totals = gateway.crawls().totals();
        let rates: Vec<_> = history.lock().rates().collect();
        Figures {
            records_per_second: rates.last().copied().unwrap_or_default(),
            records: totals.records,
            crawls: totals.running(),
            waiting: totals.waiting,
            complete: totals.complete,
            broken: totals.broken + totals.unopened,
            cancelled: gateway.crawl_table().cancelled(),
            connections: monitor.connections(),
            is_ready: monitor.is_ready(),
            uptime_seconds: SystemTime::now().duration_since(*since).unwrap_or_default().as_secs(),
            rates,
        }
    }

    /// Crawls under way, the oldest first.
    fn crawls(&self) -> Vec<CrawlRow> {
        let DashboardState { gateway, history, .. } = &*self.shared;
        let (upstreams, curl) = (gateway.governors().by_origin(), self.curl());
        let memory = gateway.registry().store().memory();
        let crawls = gateway.crawl_table().crawls();
        let history = history.lock();
        crawls.iter().map(|crawl| CrawlRow::new(crawl, &upstreams, memory, &history, &curl)).collect()
    }

    fn upstreams(&self) -> Vec<UpstreamRow> {
        let DashboardState { gateway, history, .. } = &*self.shared;
        let failures = gateway.crawl_table().failures();
        let history = history.lock();
        let row = |traffic| UpstreamRow::new(traffic, &failures, &history);
        gateway.governors().by_origin().iter().map(row).collect()
    }

    /// Kept snapshots, the newest first.
    fn snapshots(&self) -> Vec<SnapshotRow> {
        let curl = self.curl();
        self.shared.gateway.registry().list().into_iter().map(|listed| SnapshotRow::new(listed, &curl)).collect()
    }

    fn failures(&self) -> Vec<FailureRow> {
        self.shared.gateway.crawl_table().failures().into_iter().map(FailureRow::from).collect()
    }

    fn collections(&self) -> Vec<CollectionRow> {
        let gateway = &self.shared.gateway;
        let row = |collection: &Arc<_>| CollectionRow::new(collection, gateway.crawl_table());
        gateway.collections().iter().map(row).collect()
    }

    fn curl(&self) -> CurlCommands {
        CurlCommands { asked_host: self.shared.asked_host.lock().clone(), ..self.shared.curl.clone() }
    }
}
