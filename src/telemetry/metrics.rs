//! Metrics of crawls, snapshots and upstreams, read at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::MetricType::{Counter, Gauge};
use prometheus_client::registry::Registry as MetricRegistry;

use super::family::{family, histograms};
use super::process_metrics;
use super::reloads::Reloads;
use super::server_metrics;
use crate::crawl::Totals;
use crate::gateway::Gateway;
use crate::server::ServerMonitor;
use crate::snapshot::Registry;
use crate::upstream::Traffic;

/// Media type of [`exposition`]: the text format 0.0.4, which every scraper reads. It names a counter's family like its samples,
/// with `_total`, where OpenMetrics leaves the suffix out, and has no `# EOF`.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) gateway: Gateway,
    pub(super) server: ServerMonitor,
    pub(super) reloads: Option<Reloads>,
}

pub(super) fn exposition(collector: impl Collector) -> String {
    let mut metrics = MetricRegistry::default();
    metrics.register_collector(Box::new(collector));
    let mut text = String::new();
    encode_registry(&mut text, &metrics).expect("a String takes every text, and no number of bytes passes i64::MAX");
    text
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self { gateway, server, reloads } = self;
        let governors = gateway.governors();
        process_metrics::encode(&mut encoder)?;
        server_metrics::encode(&mut encoder, server, gateway)?;
        let help = "Streams in a content coding that are open, of at most `coded_streams`.";
        family(&mut encoder, Gauge, "unpage_coded_streams", help, [([], gateway.coded_streams().open() as u64)])?;
        let help = "Records with values outside of a table's named columns, of each table that was encoded to its end.";
        let beyond_columns = gateway.tables().beyond_columns();
        family(&mut encoder, Counter, "unpage_records_beyond_columns_total", help, [([], beyond_columns)])?;
        if let Some(reloads) = reloads {
            reloads.encode(&mut encoder)?;
        }
        encode_crawls(&mut encoder, &gateway.crawls().totals())?;
        encode_snapshots(&mut encoder, gateway.registry())?;
        encode_upstreams(&mut encoder, &governors.by_origin())?;
        encode_pools(&mut encoder, &governors.by_pool_member())?;
        let help = "Seconds from a page's request to the end of its body, or to the moment at which the body had to wait for readers.";
        histograms(&mut encoder, "unpage_page_seconds", help, "origin", &governors.page_seconds())?;
        let help = "Requests for tokens: good, failed.";
        let renewals = governors.token_renewals().counts();
        let renewals = renewals.map(|(result, count)| ([("result", result.to_owned())], count));
        family(&mut encoder, Counter, "unpage_token_renewals_total", help, renewals)
    }
}

fn encode_crawls(encoder: &mut DescriptorEncoder<'_>, crawls: &Totals) -> fmt::Result {
    let help = "Crawls that were started.";
    family(encoder, Counter, "unpage_crawls_started_total", help, [([], crawls.started)])?;
    let help = "Crawls that ended: complete (the end is proven), broken (after the first records, or since a verified list moved), \
                unopened (refused before the first record), abandoned (the client left or wanted only the head, the operator cancelled the crawl, or unpage stopped).";
    let ends = [
        ("complete", crawls.complete),
        ("broken", crawls.broken),
        ("unopened", crawls.unopened),
        ("abandoned", crawls.abandoned),
    ];
    let ends = ends.map(|(end, count)| ([("end", end.to_owned())], count));
    family(encoder, Counter, "unpage_crawls_ended_total", help, ends)?;
    let help = "Crawls whose end was proven, by the consistency of their records: steady, mended, moved (broken, unless on_missed \
                is report), snapshot, upstream, unverified.";
    let verdicts = crawls.by_consistency().map(|(word, count)| ([("consistency", word.to_owned())], count));
    family(encoder, Counter, "unpage_verdicts_total", help, verdicts)?;
    family(encoder, Gauge, "unpage_crawls_running", "Crawls that are running.", [([], crawls.running())])?;
    let help = "Crawls that wait for a place, since `crawls` of [snapshots] are running.";
    family(encoder, Gauge, "unpage_crawls_waiting", help, [([], crawls.waiting)])?;
    let help = "Records that crawls handed to streams.";
    family(encoder, Counter, "unpage_records_total", help, [([], crawls.records)])
}

fn encode_snapshots(encoder: &mut DescriptorEncoder<'_>, registry: &Registry) -> fmt::Result {
    let help = "Snapshots that are kept: running (a crawl writes it), complete, broken, stopped (it can be resumed).";
    let list = registry.list();
    let count = |state| list.iter().filter(|listed| listed.state == state).count();
    let kept = ["running", "complete", "broken", "stopped"].map(|state| ([("state", state.to_owned())], count(state)));
    family(encoder, Gauge, "unpage_snapshots", help, kept)?;
    let help = "Bytes of all snapshots; bytes in files may be in memory, too.";
    let store = registry.store();
    let held = [("memory", store.memory().held()), ("disk", store.on_disk())];
    let held = held.map(|(tier, bytes)| ([("tier", tier.to_owned())], bytes));
    family(encoder, Gauge, "unpage_snapshot_bytes", help, held)?;
    let help = "Crawls that wait for memory, since `memory` of [snapshots] is used up.";
    family(encoder, Gauge, "unpage_memory_waiting", help, [([], store.memory().waiting() as u64)])?;
    let help = "Requests for a stream: miss (a crawl was started), collapsed (a running crawl is shared), hit (a complete snapshot \
                was there), resumed (a snapshot was read from files, or its crawl was resumed), refused (the caller may start no \
                crawl now).";
    let counts =
        registry.cache_stats().counts().into_iter().map(|(result, count)| ([("result", result.to_owned())], count));
    family(encoder, Counter, "unpage_opens_total", help, counts)
}

fn encode_upstreams(encoder: &mut DescriptorEncoder<'_>, upstreams: &[Traffic]) -> fmt::Result {
    let help = "Requests for pages, retries included.";
    let requests = by_origin(upstreams, |of| Some(of.load.counts.requests));
    family(encoder, Counter, "unpage_upstream_requests_total", help, requests)?;
    let help = "Answers with a status by which an upstream limits its requests.";
    let answers = upstreams.iter().flat_map(|of| {
        let counts = [("429", of.load.counts.too_many), ("503", of.load.counts.unavailable)];
        counts.map(|(status, count)| ([("origin", of.origin.clone()), ("status", status.to_owned())], count))
    });
    family(encoder, Counter, "unpage_upstream_answers_total", help, answers)?;
    let help = "Requests that were sent again, or wait for that.";
    let retries = by_origin(upstreams, |of| Some(of.retries));
    family(encoder, Counter, "unpage_upstream_retries_total", help, retries)?;
    let in_flight = by_origin(upstreams, |of| Some(of.load.in_flight));
    family(encoder, Gauge, "unpage_upstream_in_flight", "Requests in flight.", in_flight)?;
    let help = "Most requests that may be in flight, summed over the credentials that are remembered.";
    family(encoder, Gauge, "unpage_upstream_limit", help, by_origin(upstreams, |of| Some(of.load.limit)))?;
    let help = "Most requests a second, summed over the credentials for which that is known.";
    family(encoder, Gauge, "unpage_upstream_rate", help, by_origin(upstreams, |of| of.load.rate))?;
    let help = "Requests that wait for their turn or for a retry.";
    let waiting = by_origin(upstreams, |of| Some(of.load.waiting + of.backing_off));
    family(encoder, Gauge, "unpage_upstream_waiting", help, waiting)?;
    let help = "Seconds until the next request may be sent, for the credential that waits longest: a demanded wait, a budget that is \
                used up, or a refusal.";
    let held = by_origin(upstreams, |of| Some(of.load.held.as_secs_f64()));
    family(encoder, Gauge, "unpage_upstream_held_seconds", help, held)?;
    let help = "Seconds that requests have waited for their turn or for a retry, added when a wait ends.";
    let waited = by_origin(upstreams, |of| Some(of.waited.as_secs_f64()));
    family(encoder, Counter, "unpage_upstream_wait_seconds_total", help, waited)
}

fn encode_pools(encoder: &mut DescriptorEncoder<'_>, members: &[Traffic]) -> fmt::Result {
    let labels = |of: &Traffic| [("origin", of.origin.clone()), ("member", of.member.unwrap_or_default().to_string())];
    let help = "Requests in flight with the credentials of one member of a pool, numbered from 0.";
    let in_flight = members.iter().map(|of| (labels(of), of.load.in_flight));
    family(encoder, Gauge, "unpage_upstream_member_in_flight", help, in_flight)?;
    let help = "Seconds until the next request may be sent with the credentials of one member of a pool, or until refused ones are tried again.";
    let held = members.iter().map(|of| (labels(of), of.load.held.max(of.refused).as_secs_f64()));
    family(encoder, Gauge, "unpage_upstream_member_held_seconds", help, held)
}

/// Samples of the upstreams that have a value.
fn by_origin<T>(
    upstreams: &[Traffic],
    value: impl Fn(&Traffic) -> Option<T>,
) -> impl Iterator<Item = ([(&'static str, String); 1], T)> {
    upstreams.iter().filter_map(move |of| Some(([("origin", of.origin.clone())], value(of)?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::SnapshotSettings;
    use crate::pace::{GovernorLoad, RequestCounts};
    use crate::snapshot::Store;

    /// Values of one moment.
    #[derive(Debug)]
    struct Fixed(Totals, Registry, Vec<Traffic>);

    impl Collector for Fixed {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
            encode_crawls(&mut encoder, &self.0)?;
            encode_snapshots(&mut encoder, &self.1)?;
            encode_upstreams(&mut encoder, &self.2)
        }
    }

    fn standing(origin: &str, rate: Option<f64>) -> Traffic {
        Traffic {
            origin: origin.to_owned(),
            member: None,
            load: GovernorLoad {
                limit: 6,
                in_flight: 2,
                waiting: 3,
                rate,
                held: Duration::from_millis(1500),
                hold: None,
                budget: None,
                counts: RequestCounts { requests: 40, too_many: 5, unavailable: 1 },
            },
            backing_off: 1,
            retries: 6,
            waited: Duration::from_millis(12_250),
            refused: Duration::ZERO,
        }
    }

    #[test]
    fn everything_is_told_by_origin() {
        let registry = Registry::new(Store::open(SnapshotSettings::in_test()).unwrap(), Duration::from_secs(60));
        let crawls = Totals {
            started: 9,
            complete: 4,
            broken: 1,
            unopened: 1,
            abandoned: 1,
            verdicts: [2, 0, 0, 1, 0, 1],
            records: 1_000,
            waiting: 7,
        };
        let upstreams = vec![standing("http://a", None), standing("https://b:1", Some(19.5))];
        let told = exposition(Fixed(crawls, registry, upstreams));
        let samples: Vec<_> = told.lines().filter(|line| !line.starts_with('#')).collect();
        let crawls = [
            "unpage_crawls_started_total 9",
            "unpage_crawls_ended_total{end=\"complete\"} 4",
            "unpage_crawls_ended_total{end=\"broken\"} 1",
            "unpage_crawls_ended_total{end=\"unopened\"} 1",
            "unpage_crawls_ended_total{end=\"abandoned\"} 1",
            "unpage_verdicts_total{consistency=\"steady\"} 2",
            "unpage_verdicts_total{consistency=\"mended\"} 0",
            "unpage_verdicts_total{consistency=\"moved\"} 0",
            "unpage_verdicts_total{consistency=\"snapshot\"} 1",
            "unpage_verdicts_total{consistency=\"upstream\"} 0",
            "unpage_verdicts_total{consistency=\"unverified\"} 1",
            "unpage_crawls_running 2",
            "unpage_crawls_waiting 7",
            "unpage_records_total 1000",
            "unpage_snapshots{state=\"running\"} 0",
            "unpage_snapshots{state=\"complete\"} 0",
            "unpage_snapshots{state=\"broken\"} 0",
            "unpage_snapshots{state=\"stopped\"} 0",
            "unpage_snapshot_bytes{tier=\"memory\"} 0",
            "unpage_snapshot_bytes{tier=\"disk\"} 0",
            "unpage_memory_waiting 0",
            "unpage_opens_total{result=\"miss\"} 0",
            "unpage_opens_total{result=\"collapsed\"} 0",
            "unpage_opens_total{result=\"hit\"} 0",
            "unpage_opens_total{result=\"resumed\"} 0",
            "unpage_opens_total{result=\"refused\"} 0",
        ];
        assert_eq!(samples[..crawls.len()], crawls);
        let of_b: Vec<_> = samples.iter().filter(|line| line.contains("https://b:1")).collect();
        let expected = [
            "unpage_upstream_requests_total{origin=\"https://b:1\"} 40",
            "unpage_upstream_answers_total{origin=\"https://b:1\",status=\"429\"} 5",
            "unpage_upstream_answers_total{origin=\"https://b:1\",status=\"503\"} 1",
            "unpage_upstream_retries_total{origin=\"https://b:1\"} 6",
            "unpage_upstream_in_flight{origin=\"https://b:1\"} 2",
            "unpage_upstream_limit{origin=\"https://b:1\"} 6",
            "unpage_upstream_rate{origin=\"https://b:1\"} 19.5",
            "unpage_upstream_waiting{origin=\"https://b:1\"} 4",
            "unpage_upstream_held_seconds{origin=\"https://b:1\"} 1.5",
            "unpage_upstream_wait_seconds_total{origin=\"https://b:1\"} 12.25",
        ];
        assert_eq!(of_b, expected.iter().collect::<Vec<_>>());
        let of_a = samples.iter().filter(|line| line.contains("http://a")).count();
        assert_eq!(of_a, expected.len() - 1, "its rate isn't known");
        assert_eq!(samples.len(), crawls.len() + of_a + of_b.len());
    }

    #[test]
    fn a_family_has_its_help_and_type_and_labels_are_escaped() {
        let registry = Registry::new(Store::open(SnapshotSettings::in_test()).unwrap(), Duration::from_secs(60));
        let text = exposition(Fixed(Totals::default(), registry, vec![standing("\"\\\n", None)]));
        let family = "# HELP unpage_upstream_requests_total Requests for pages, retries included.\n\
                      # TYPE unpage_upstream_requests_total counter\n\
                      unpage_upstream_requests_total{origin=\"\\\"\\\\\\n\"} 40\n";
        assert!(text.contains(family), "{text}");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    }
}
