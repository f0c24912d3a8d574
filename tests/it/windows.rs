//! Windows over a range of time, before an API that answers for 1000 s at most: whole, exact, resumed at the window under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::client::{self, Version, stream};
use super::proxy::{Proxy, RETRY, run};
use super::upstream::{Asked, Reply, Upstream, answer};

/// Times of the records, in seconds: some at the bounds of windows, several at one time, and long gaps.
const TIMES: [i64; 13] =
    [9_999, 10_000, 10_500, 10_996, 10_997, 10_997, 10_998, 11_994, 12_100, 16_000, 16_001, 17_000, 17_001];

/// How the filter reads its bounds.
#[derive(Clone, Copy, Debug)]
enum Filter {
    Includes,
    Excludes,
    Ignored,
}

fn bounds(asked: &Asked) -> BTreeMap<String, i64> {
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// A page of three records, the newest first.
fn events(asked: &Asked, filter: Filter) -> Reply {
    let query = bounds(asked);
    let (since, until) = (query["since"], query["until"]);
    if until - since > 1000 {
        return Reply::status(400);
    }
    let is_wanted = |at: i64| match filter {
        Filter::Includes => (since..=until).contains(&at),
        Filter::Excludes => since < at && at < until,
        Filter::Ignored => true,
    };
    let records =
        TIMES.iter().enumerate().rev().filter(|(_, at)| is_wanted(**at)).map(|(id, at)| json!({"id": id, "at": at}));
    let records: Vec<_> = records.collect();
    let page = query.get("page").map_or(1, |page| usize::try_from(*page).unwrap());
    let own: Vec<_> = records.iter().skip(3 * (page - 1)).take(3).collect();
    let next = format!("</events?since={since}&until={until}&page={}>; rel=\"next\"", page + 1);
    let fields: &[(&str, &str)] = if 3 * page < records.len() { &[("link", &next)] } else { &[] };
    Reply::Whole(answer(200, fields, serde_json::to_string(&own).unwrap()))
}

fn toml(upstream: &Upstream, upper: &str) -> String {
    format!(
        "[upstream.log]\nurl = \"{}\"\nwidth = 3\n{RETRY}\n[[collection]]\npath = \"/events\"\nupstream = \"log\"\nrecords = \"$\"\n\
         key = \"id\"\npagination = \"link_header\"\n\
         windows = {{ from = \"since\", to = \"until\", kind = \"unix\", field = \"at\", span = \"1000s\", lower = 10000{upper} }}\n",
        upstream.url()
    )
}

/// Identities of the records, sorted.
fn ids(lines: &str) -> Vec<u64> {
    let mut ids: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn windows_that_meet_are_one_stream_however_the_filter_reads_its_bounds() {
    for filter in [Filter::Includes, Filter::Excludes] {
        let upstream = Upstream::scripted(0, move |asked, _| events(asked, filter)).await;
        let proxy = Proxy::start(&toml(&upstream, ", upper = 17000")).await;
        let received = client::receive(Version::Http1, proxy.address, stream("/events?_end=marker")).await;
        let lines = received.whole();
        let (records, marker) = lines.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(ids(records), (1..=11).collect::<Vec<_>>(), "{filter:?}");
        let verdict = &serde_json::from_str::<Value>(marker).unwrap()["_unpage"]["verdict"];
        assert_eq!(verdict["records"], 11, "{verdict}");
        assert_eq!(verdict["proof"], "the end of the list of each of 8 windows, up to 17001", "{verdict}");
        let spans = upstream.asked().iter().map(|asked| bounds(asked)["until"] - bounds(asked)["since"]).max();
        assert_eq!(spans, Some(999), "{filter:?}");
    }
}

#[tokio::test]
async fn the_range_of_the_request_is_the_range_of_the_windows() {
    let upstream = Upstream::scripted(0, |asked, _| events(asked, Filter::Includes)).await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let ask = |target| client::receive(Version::Http1, proxy.address, stream(target));
    let narrow = ask("/events?since=10997&until=12100").await;
    assert_eq!(ids(narrow.whole()), [4, 5, 6, 7, 8]);
    let asked: Vec<_> = upstream.asked().iter().filter(|asked| !asked.target.contains("page=")).map(bounds).collect();
    assert_eq!((asked[0]["since"], asked.last().unwrap()["until"], asked.len()), (10_997, 12_100, 2));
    upstream.forget();
    let bad = ask("/events?since=yesterday").await;
    assert_eq!(bad.head.status, 400);
    let told = String::from_utf8(bad.body).unwrap();
    assert!(
        told.contains("`since` in the request is not a number of seconds") && !told.contains("yesterday"),
        "{told}"
    );
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn a_range_that_has_no_time_is_told_and_is_no_empty_collection() {
    let upstream = Upstream::scripted(0, |asked, _| events(asked, Filter::Includes)).await;
    let late = toml(&upstream, "").replace("lower = 10000", "lower = 99000000000");
    let proxy = Proxy::start(&late).await;
    let told = client::receive(Version::Http1, proxy.address, stream("/events")).await;
    let text = String::from_utf8(told.body).unwrap();
    assert_eq!(told.head.status, 500, "{text}");
    assert!(text.contains("99000000000, is later than the present") && text.contains("`windows.lower`"), "{text}");
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let told = client::receive(Version::Http1, proxy.address, stream("/events?until=9000")).await;
    let text = String::from_utf8(told.body).unwrap();
    assert_eq!(told.head.status, 400, "{text}");
    assert!(text.contains("`until` in the request is earlier than 10000"), "{text}");
    assert!(upstream.asked().is_empty());
    let told = client::receive(Version::Http1, proxy.address, stream("/events?until=10000")).await;
    assert_eq!(ids(told.whole()), [1]);
}

#[tokio::test]
async fn a_filter_that_is_ignored_and_a_window_that_is_refused_break_the_stream() {
    let upstream = Upstream::scripted(0, |asked, _| events(asked, Filter::Ignored)).await;
    let proxy = Proxy::start(&toml(&upstream, ", upper = 17000")).await;
    let told = client::receive(Version::Http1, proxy.address, stream("/events")).await;
    assert!(told.broken.is_some() || told.head.status != 200, "{told:?}");
    let upstream = Upstream::scripted(0, |asked, _| match bounds(asked)["since"] {
        13_000.. => Reply::status(404),
        _ => events(asked, Filter::Includes),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, ", upper = 17000")).await;
    let received = client::receive(Version::Http1, proxy.address, stream("/events")).await;
    assert!(received.broken.is_some());
    // The last record, 7, is held back: a client can't take it for the end.
    let (whole, _) = std::str::from_utf8(&received.body).unwrap().rsplit_once('\n').unwrap();
    assert_eq!(ids(whole), [1, 2, 3, 4, 5, 6, 8]);
}

#[tokio::test]
async fn a_broken_fetch_is_resumed_at_the_window_that_was_under_way() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let upstream = Upstream::scripted(0, move |asked, _| match bounds(asked)["since"] {
        15_000.. if counted.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(410),
        _ => events(asked, Filter::Excludes),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let [config, output] =
        ["unpage.toml", "events.ndjson"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&config, toml(&upstream, ", upper = 17000").replace("width = 3", "width = 1")).unwrap();
    let command = ["fetch", "--config", &config, "/events", "--output", &output];
    let broken = run(command).await;
    assert_eq!(broken.status.code(), Some(4), "{}", String::from_utf8_lossy(&broken.stderr));
    let said = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(said.contains("window 15"), "{said}");
    upstream.forget();
    let whole = run(command).await;
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    assert_eq!(whole.status.code(), Some(0), "{said}");
    assert!(said.contains("resumes after 8 records"), "{said}");
    assert_eq!(ids(&std::fs::read_to_string(&output).unwrap()), (1..=11).collect::<Vec<_>>());
    let least = upstream.asked().iter().map(|asked| bounds(asked)["since"]).min();
    assert!(least.is_some_and(|least| least > 13_000), "{least:?}");
}
