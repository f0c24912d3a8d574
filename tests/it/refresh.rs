//! Refresh: complete snapshots that are ready before a client asks.

use http::HeaderValue;
use serde_json::Value;

use super::client::{self, Received, Version, stream};
use super::proxy::{Process, Proxy};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

fn configuration(upstream: &Upstream, snapshots: &str, refresh: &str) -> String {
    format!(
        "[snapshots]\n{snapshots}\n[[collection]]\npath = \"/a\"\nupstream = \"{}\"\nretry = {{ attempts = 1 }}\nrecords = \"$\"\n\
         pagination = \"link_header\"\nrefresh = \"{refresh}\"\n",
        upstream.url()
    )
}

/// Two pages, whose records have the number of the crawl.
fn two_pages(asked: &Asked) -> Reply {
    let fields: &[_] = if asked.target.contains("page=2") { &[] } else { &[("link", "</a?page=2>; rel=next")] };
    Reply::Whole(answer(200, fields, format!("[\"{} of {}\"]", fields.len(), asked.attempt)))
}

fn whole(crawl: usize) -> String {
    format!("\"1 of {crawl}\"\n\"0 of {crawl}\"\n")
}

async fn ask(proxy: &Proxy) -> Received {
    client::receive(Version::Http1, proxy.address, stream("/a")).await
}

/// Resolves when the upstream has been asked this often.
async fn asked(upstream: &Upstream, count: usize) {
    let reached = async {
        while upstream.asked().len() < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), reached).await.expect("it is asked again");
}

#[tokio::test]
async fn a_complete_snapshot_is_ready_while_the_next_one_grows() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 2) => held.before(two_pages(asked)),
        _ => two_pages(asked),
    })
    .await;
    let proxy = Proxy::start(&configuration(
        &upstream,
        "disk = \"0\"\nlinger = \"0\"\nkeep_for = \"1h\"\nfresh_for = \"1h\"",
        "1s",
    ))
    .await;
    asked(&upstream, 2).await;
    let first = ask(&proxy).await;
    assert_eq!(first.whole(), whole(1));
    gate.reached().await;
    let ready = ask(&proxy).await;
    assert_eq!((ready.whole(), ready.header("etag")), (&whole(1)[..], first.header("etag")));
    assert!(ready.header("cache-status").unwrap().starts_with("unpage; hit; ttl="), "{:?}", ready.head);
    let mut newer = stream("/a");
    newer.headers_mut().insert("cache-control", HeaderValue::from_static("max-age=0"));
    let growing = tokio::spawn(client::receive(Version::Http1, proxy.address, newer));
    gate.open();
    let newer = growing.await.unwrap().whole().to_owned();
    assert!(newer == whole(2) || newer == whole(3), "{newer}");
    asked(&upstream, 6).await;
}

#[tokio::test]
async fn a_crawl_that_fails_is_begun_again() {
    let upstream = Upstream::scripted(0, |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) | (false, 2) => Reply::status(403),
        _ => two_pages(asked),
    })
    .await;
    let proxy = Proxy::start(&configuration(&upstream, "disk = \"0\"", "2s")).await;
    // A crawl that breaks, one that does not begin, and a whole one.
    asked(&upstream, 5).await;
    let received = ask(&proxy).await;
    assert_eq!(received.whole(), "\"1 of 3\"\n\"0 of 2\"\n");
}

#[tokio::test]
async fn each_crawl_is_a_trace_of_its_own() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml = configuration(&upstream, "disk = \"0\"\nfresh_for = \"0\"", "1s");
    std::fs::write(&file, format!("listen = \"127.0.0.1:0\"\n{toml}")).unwrap();
    let arguments = ["--log-format".as_ref(), "json".as_ref(), "--config".as_ref(), file.path().as_os_str()];
    let mut process = Process::serve_with(arguments).await;
    let mut traces = Vec::new();
    for crawl in 1..=2 {
        let end: Value = serde_json::from_str(&process.has_said(": complete: 2 records").await).unwrap();
        process.forget();
        let trace = end["span"]["trace_id"].as_str().unwrap_or_else(|| panic!("crawl {crawl} has no trace: {end}"));
        traces.extend([trace.to_owned(), trace.to_owned()]);
    }
    let sent: Vec<_> =
        upstream.asked().iter().map(|asked| asked.header("traceparent").unwrap()[3..35].to_owned()).collect();
    assert_eq!(sent[..4], traces, "two pages of each crawl");
    assert_ne!(traces[0], traces[2]);
}

#[tokio::test]
async fn a_start_crawls_nothing_where_a_snapshot_is_young_enough() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked)).await;
    let toml = configuration(&upstream, &format!("dir = {:?}", folder.path()), "1h");
    let first = Process::serve(&toml).await;
    asked(&upstream, 2).await;
    assert_eq!(client::receive(Version::Http1, first.address, stream("/a")).await.whole(), whole(1));
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().await.1, Some(0), "the refresh does not hold a stop up");
    let again = Proxy::start(&toml).await;
    let received = ask(&again).await;
    assert_eq!(received.whole(), whole(1));
    assert!(received.header("cache-status").unwrap().starts_with("unpage; hit"), "{:?}", received.head);
    assert_eq!(upstream.asked().len(), 2);
}
