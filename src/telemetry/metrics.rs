//! The numbers: what has become of the crawls, and how things stand with each upstream.

use std::fmt::Display;

use super::exposition::{Exposition, Kind};
use crate::crawl::Totals;
use crate::snapshot::Registry;
use crate::upstream::Traffic;

/// All of them, as Prometheus reads them.
pub(super) fn metrics(crawls: &Totals, registry: &Registry, upstreams: &[Traffic]) -> String {
    let mut text = Exposition::default();
    tell_crawls(&mut text, crawls);
    tell_snapshots(&mut text, registry);
    tell_requests(&mut text, upstreams);
    tell_waits(&mut text, upstreams);
    text.into_text()
}

fn tell_crawls(text: &mut Exposition, crawls: &Totals) {
    let help = "Collections whose walk was begun.";
    text.family(Kind::Counter, "unpage_crawls_started_total", help).sample(&[], crawls.started);
    let help = "Walks that ended: complete (the end is proven), broken (after the first records), unopened (a status said so), \
                abandoned (the client left, or wanted no more than the head).";
    let mut ended = text.family(Kind::Counter, "unpage_crawls_ended_total", help);
    let ends = [
        ("complete", crawls.complete),
        ("broken", crawls.broken),
        ("unopened", crawls.unopened),
        ("abandoned", crawls.abandoned),
    ];
    for (end, count) in ends {
        ended.sample(&[("end", end)], count);
    }
    let help = "Walks that are under way.";
    text.family(Kind::Gauge, "unpage_crawls_running", help).sample(&[], crawls.running());
    let help = "Records that were handed to streams.";
    text.family(Kind::Counter, "unpage_records_total", help).sample(&[], crawls.records);
}

fn tell_snapshots(text: &mut Exposition, registry: &Registry) {
    let help =
        "Snapshots that are kept: running (a crawl writes it), complete, broken, stopped (it can be gone on with).";
    let mut kept = text.family(Kind::Gauge, "unpage_snapshots", help);
    let list = registry.list();
    for state in ["running", "complete", "broken", "stopped"] {
        kept.sample(&[("state", state)], list.iter().filter(|listed| listed.state == state).count());
    }
    let help = "Bytes of all snapshots; those in files may be in memory, too.";
    let mut bytes = text.family(Kind::Gauge, "unpage_snapshot_bytes", help);
    let store = registry.store();
    for (tier, held) in [("memory", store.memory().held()), ("disk", store.on_disk())] {
        bytes.sample(&[("tier", tier)], held);
    }
    let help = "Streams that were asked for: miss (a crawl was begun), collapsed (another's was shared), hit (it was complete), \
                resumed (it was read from files, or gone on with), refused (no crawl may be begun).";
    let mut opens = text.family(Kind::Counter, "unpage_opens_total", help);
    for (result, count) in registry.cache_stats().counts() {
        opens.sample(&[("result", result)], count);
    }
}

fn tell_requests(text: &mut Exposition, upstreams: &[Traffic]) {
    let help = "Requests for pages, the repeated ones included.";
    each(text, Kind::Counter, "unpage_upstream_requests_total", help, upstreams, |of| Some(of.load.counts.requests));
    let help = "Answers by which the upstream says that it is asked too much.";
    let mut answers = text.family(Kind::Counter, "unpage_upstream_answers_total", help);
    for Traffic { origin, load, .. } in upstreams {
        answers.sample(&[("origin", origin), ("status", "429")], load.counts.too_many);
        answers.sample(&[("origin", origin), ("status", "503")], load.counts.unavailable);
    }
    let help = "Requests that were sent again, or wait for that.";
    each(text, Kind::Counter, "unpage_upstream_retries_total", help, upstreams, |of| Some(of.retries));
    let help = "Requests that are under way.";
    each(text, Kind::Gauge, "unpage_upstream_in_flight", help, upstreams, |of| Some(of.load.in_flight));
    let help = "Requests that may be under way at a time, added up over the credentials that are remembered.";
    each(text, Kind::Gauge, "unpage_upstream_limit", help, upstreams, |of| Some(of.load.limit));
    let help = "Requests that are sent in a second at most, added up over the credentials for which that is known.";
    each(text, Kind::Gauge, "unpage_upstream_rate", help, upstreams, |of| of.load.rate);
}

fn tell_waits(text: &mut Exposition, upstreams: &[Traffic]) {
    let help = "Requests that wait, for their turn or to be sent again.";
    let waiting = |of: &Traffic| Some(of.load.waiting + of.backing_off);
    each(text, Kind::Gauge, "unpage_upstream_waiting", help, upstreams, waiting);
    let help = "How long nobody may ask yet: a demanded wait, a budget that is used up, or a refusal; the longest of its credentials.";
    let held = |of: &Traffic| Some(of.load.held.as_secs_f64());
    each(text, Kind::Gauge, "unpage_upstream_held_seconds", help, upstreams, held);
    let help = "How long requests have waited, for their turn or to be sent again, added up as the waits end.";
    let waited = |of: &Traffic| Some(of.waited.as_secs_f64());
    each(text, Kind::Counter, "unpage_upstream_wait_seconds_total", help, upstreams, waited);
}

/// A family with a sample for each upstream that has one.
fn each<T: Display>(
    text: &mut Exposition,
    kind: Kind,
    name: &'static str,
    help: &str,
    upstreams: &[Traffic],
    value: impl Fn(&Traffic) -> Option<T>,
) {
    let mut family = text.family(kind, name, help);
    for upstream in upstreams {
        if let Some(value) = value(upstream) {
            family.sample(&[("origin", &upstream.origin)], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{SlowReader, SnapshotSettings};
    use crate::pace::{GovernorLoad, RequestCounts};
    use crate::snapshot::Store;

    fn standing(origin: &str, rate: Option<f64>) -> Traffic {
        Traffic {
            origin: origin.to_owned(),
            load: GovernorLoad {
                limit: 6,
                in_flight: 2,
                waiting: 3,
                rate,
                held: Duration::from_millis(1500),
                counts: RequestCounts { requests: 40, too_many: 5, unavailable: 1 },
            },
            backing_off: 1,
            retries: 6,
            waited: Duration::from_millis(12_250),
        }
    }

    #[test]
    fn everything_is_told_by_origin() {
        let (slow_reader, linger) = (SlowReader::Wait, Duration::ZERO);
        let settings = SnapshotSettings { dir: None, memory: 1, disk: 0, slow_reader, linger };
        let registry = Registry::new(Store::open(settings).unwrap(), Duration::from_secs(60));
        let crawls = Totals { started: 9, complete: 4, broken: 1, unopened: 1, abandoned: 1, records: 1_000 };
        let told = metrics(&crawls, &registry, &[standing("http://a", None), standing("https://b:1", Some(19.5))]);
        let samples: Vec<_> = told.lines().filter(|line| !line.starts_with('#')).collect();
        let crawls = [
            "unpage_crawls_started_total 9",
            "unpage_crawls_ended_total{end=\"complete\"} 4",
            "unpage_crawls_ended_total{end=\"broken\"} 1",
            "unpage_crawls_ended_total{end=\"unopened\"} 1",
            "unpage_crawls_ended_total{end=\"abandoned\"} 1",
            "unpage_crawls_running 2",
            "unpage_records_total 1000",
            "unpage_snapshots{state=\"running\"} 0",
            "unpage_snapshots{state=\"complete\"} 0",
            "unpage_snapshots{state=\"broken\"} 0",
            "unpage_snapshots{state=\"stopped\"} 0",
            "unpage_snapshot_bytes{tier=\"memory\"} 0",
            "unpage_snapshot_bytes{tier=\"disk\"} 0",
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
}
