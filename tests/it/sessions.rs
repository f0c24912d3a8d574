//! Sessions, by which a client names its snapshot itself, and waits for the end of a stream: `_snapshot=~NAME`, `_wait=complete`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde_json::Value;

use super::client::{self, BOTH, Received, Version, stream};
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

const LINKS: &str = "records = \"$\"\npagination = \"link_header\"";

/// Snapshots in memory, of which none is fresh.
const STALE: &str = "[snapshots]\ndisk = \"0\"\nfresh_for = \"0\"";

async fn proxy(upstream: &Upstream, snapshots: &str) -> Proxy {
    Proxy::start(&format!("{snapshots}\n{}", collection(&upstream.url(), LINKS))).await
}

async fn ask(proxy: &Proxy, method: Method, target: &str, fields: &[(&str, &str)]) -> Received {
    let mut request = stream(target);
    *request.method_mut() = method;
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    client::receive(Version::Http1, proxy.address, request).await
}

async fn get(proxy: &Proxy, target: &str) -> Received {
    ask(proxy, Method::GET, target, &[]).await
}

/// Two pages, whose records have the caller and the number of the crawl.
fn two_pages(asked: &Asked, fields: &[(&str, &str)]) -> Reply {
    let (who, attempt) = (asked.header("authorization").unwrap_or("nobody"), asked.attempt);
    if asked.target.contains("page=2") {
        return Reply::Whole(answer(200, fields, format!("[\"{who} {attempt}.3\",\"{who} {attempt}.4\"]")));
    }
    let next = format!("<{}?page=2>; rel=next", asked.target.split('?').next().unwrap());
    let fields: Vec<_> = fields.iter().copied().chain([("link", next.as_str())]).collect();
    Reply::Whole(answer(200, &fields, format!("[\"{who} {attempt}.1\",\"{who} {attempt}.2\"]")))
}

/// All records of a crawl.
fn whole(who: &str, crawl: usize) -> String {
    (1..=4).map(|number| format!("\"{who} {crawl}.{number}\"\n")).collect()
}

fn of_ranges(received: &Received) -> [Option<&str>; 3] {
    ["accept-ranges", "content-length", "content-range"].map(|name| received.header(name))
}

#[tokio::test]
async fn a_session_is_one_snapshot_for_a_head_ranges_and_retries() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, STALE).await;
    let (one, two, length) = ("/a?_snapshot=~one", "/a?_snapshot=~two", whole("nobody", 1).len().to_string());
    let free = ask(&proxy, Method::GET, one, &[("range", "bytes=3-9")]).await;
    assert_eq!(free.head.status, StatusCode::GONE, "the bytes before would be of another snapshot");
    assert_eq!(get(&proxy, &format!("{one}&_format=status")).await.head.status, StatusCode::GONE);
    assert_eq!(upstream.asked().len(), 0);

    let head = ask(&proxy, Method::HEAD, one, &[]).await;
    assert_eq!((head.head.status.as_u16(), of_ranges(&head)), (200, [Some("bytes"), None, None]), "it grows");
    assert_eq!(get(&proxy, one).await.whole(), whole("nobody", 1));
    let head = ask(&proxy, Method::HEAD, one, &[]).await;
    assert_eq!(of_ranges(&head), [Some("bytes"), Some(&length[..]), None]);
    assert_eq!(get(&proxy, two).await.whole(), whole("nobody", 2), "nothing is fresh");
    for (range, told, part) in [("bytes=3-9", "bytes 3-9", 3..10), ("bytes=-5", "bytes 47-51", 47..52)] {
        let received = ask(&proxy, Method::GET, one, &[("range", range)]).await;
        assert_eq!((received.head.status.as_u16(), received.whole()), (206, &whole("nobody", 1)[part]));
        assert_eq!(received.header("etag"), head.header("etag"));
        assert_eq!(received.header("content-location"), head.header("content-location"));
        assert_eq!(of_ranges(&received)[2], Some(&format!("{told}/{length}")[..]));
    }
    let status: Value = serde_json::from_slice(&get(&proxy, &format!("{one}&_format=status")).await.body).unwrap();
    assert_eq!(status["state"], "complete");
    assert_eq!(get(&proxy, one).await.whole(), whole("nobody", 1));
    assert_eq!(get(&proxy, "/a").await.whole(), whole("nobody", 3), "a session is no news for others");

    // Another client with the same name.
    for method in [Method::HEAD, Method::GET] {
        let again = ask(&proxy, method, one, &[("cache-control", "no-cache")]).await;
        assert_eq!(again.header("etag"), head.header("etag"));
    }
    let part = ask(&proxy, Method::GET, one, &[("range", "bytes=3-9"), ("cache-control", "no-cache")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole("nobody", 1)[3..10]));
    assert_eq!(upstream.asked().len(), 6);
}

#[tokio::test]
async fn a_session_whose_snapshot_is_gone_is_over() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "[snapshots]\ndisk = \"0\"\nfresh_for = \"0\"\nkeep_for = \"1ms\"").await;
    let first = get(&proxy, "/a?_snapshot=~x").await;
    assert_eq!(first.whole(), whole("nobody", 1));
    let over = async {
        loop {
            let head = ask(&proxy, Method::HEAD, "/a?_snapshot=~x", &[]).await;
            if head.head.status == StatusCode::GONE {
                break;
            }
            assert_eq!(head.header("etag"), first.header("etag"));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), over).await.unwrap();
    let crawled = upstream.asked().len();
    for fields in [&[][..], &[("range", "bytes=0-")], &[("range", "bytes=3-")], &[("cache-control", "no-cache")]] {
        for target in ["/a?_snapshot=~x", "/a?_snapshot=~x&_wait=complete", "/a?_snapshot=~x&_format=status"] {
            let over = ask(&proxy, Method::GET, target, fields).await;
            assert_eq!(over.head.status, StatusCode::GONE, "{target} {fields:?}");
            let problem: Value = serde_json::from_slice(&over.body).unwrap();
            assert!(problem["hint"].as_str().unwrap().contains("another name"), "{problem}");
        }
    }
    assert_eq!((crawled, upstream.asked().len()), (2, 2));
    assert_eq!(get(&proxy, "/a?_snapshot=~y").await.whole(), whole("nobody", 2));
}

#[tokio::test]
async fn a_part_of_a_session_is_of_the_format_in_which_it_began() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, STALE).await;
    let csv = "/a?_snapshot=~x&_format=csv";
    let first = get(&proxy, csv).await;
    assert!(first.whole().starts_with("\"value\""), "{}", first.whole());
    let part = ask(&proxy, Method::GET, csv, &[("range", "bytes=5-20")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &first.whole()[5..21]));
    for target in ["/a?_snapshot=~x", "/a?_snapshot=~x&_format=csv&_columns=a", "/a?_snapshot=~x&_format=json"] {
        for range in ["bytes=5-20", "bytes=0-"] {
            let other = ask(&proxy, Method::GET, target, &[("range", range)]).await;
            assert_eq!(other.head.status, StatusCode::CONFLICT, "{target}");
        }
    }
    assert_eq!(get(&proxy, "/a?_snapshot=~x&_format=status").await.head.status, StatusCode::OK);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_session_takes_the_newest_complete_snapshot_before_one_that_grows() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 2) => held.before(two_pages(asked, &[])),
        _ => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, "[snapshots]\ndisk = \"0\"\nfresh_for = \"5m\"").await;
    assert_eq!(get(&proxy, "/a").await.whole(), whole("nobody", 1));
    let newer = ask(&proxy, Method::HEAD, "/a", &[("cache-control", "no-cache")]).await;
    assert_eq!(get(&proxy, "/a?_snapshot=~x").await.whole(), whole("nobody", 1));
    let growing = client::send(Version::Http1, proxy.address, stream("/a")).await;
    assert_eq!(growing.headers()["etag"], newer.header("etag").unwrap());
    gate.reached().await;
    gate.open();
    assert_eq!(Received::read(growing).await.whole(), whole("nobody", 2));
    assert_eq!(get(&proxy, "/a?_snapshot=~y").await.whole(), whole("nobody", 2));
    assert_eq!(get(&proxy, "/a?_snapshot=~x").await.whole(), whole("nobody", 1));
}

#[tokio::test]
async fn a_session_belongs_to_its_caller_and_has_no_snapshot_for_one_caller_alone() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.starts_with("/cookie") {
        true => Reply::Whole(answer(200, &[("set-cookie", "a=1")], "[\"cookie\"]")),
        false => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, STALE).await;
    for caller in ["a", "b"] {
        let received = ask(&proxy, Method::GET, "/a?_snapshot=~x", &[("authorization", caller)]).await;
        assert_eq!(received.whole().split(' ').next(), Some(&format!("\"{caller}")[..]));
    }
    for caller in ["a", "b"] {
        let received =
            ask(&proxy, Method::GET, "/a?_snapshot=~x", &[("authorization", caller), ("range", "bytes=1-1")]).await;
        assert_eq!((received.head.status.as_u16(), received.whole()), (206, caller));
    }
    // Of callers without credentials, the upstream's cookie may tell one.
    let head = ask(&proxy, Method::HEAD, "/cookie?_snapshot=~x", &[]).await;
    assert_eq!(of_ranges(&head), [Some("none"), None, None]);
    let part = ask(&proxy, Method::GET, "/cookie?_snapshot=~x", &[("range", "bytes=1-1")]).await;
    assert_eq!(part.head.status, StatusCode::GONE);
    let known = ("authorization", "a");
    let head = ask(&proxy, Method::HEAD, "/cookie?_snapshot=~x", &[known, ("prefer", "wait=60")]).await;
    assert_eq!(of_ranges(&head), [Some("bytes"), Some("9"), None]);
    let part = ask(&proxy, Method::GET, "/cookie?_snapshot=~x", &[known, ("range", "bytes=1-6")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, "cookie"));
}

#[tokio::test]
async fn a_session_outlives_a_restart_with_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let toml =
        format!("[snapshots]\ndir = {:?}\nfresh_for = \"0\"\n{}", folder.path(), collection(&upstream.url(), LINKS));
    let first = Process::serve(&toml).await;
    let before = client::receive(Version::Http1, first.address, stream("/a?_snapshot=~x")).await;
    assert_eq!(before.whole(), whole("nobody", 1));
    first.signal(rustix::process::Signal::KILL);
    first.end().await;
    let again = Proxy::start(&toml).await;
    let part = ask(&again, Method::GET, "/a?_snapshot=~x", &[("range", "bytes=3-9")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole("nobody", 1)[3..10]));
    assert_eq!(part.header("etag"), before.header("etag"));
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_kill_during_a_wait_costs_no_page_and_a_lost_snapshot_leaves_the_name_free() {
    for (is_kept, crawls) in [(true, [1, 2]), (false, [2, 2])] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
            (true, 1) => held.before(two_pages(asked, &[])),
            _ => two_pages(asked, &[]),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let toml = format!("[snapshots]\ndir = {:?}\n{}", folder.path(), collection(&upstream.url(), LINKS));
        let (first, target) = (Process::serve(&toml).await, "/a?_snapshot=~x&_wait=complete");
        let waiting = tokio::spawn(client::raw(
            first.address,
            "GET /a?_snapshot=~x&_wait=complete HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ));
        gate.reached().await;
        while !journals(folder.path()).iter().any(|(_, text)| text.contains("{\"page\":")) {
            tokio::task::yield_now().await;
        }
        first.signal(rustix::process::Signal::KILL);
        first.end().await;
        assert_eq!(waiting.await.unwrap(), b"", "no byte before the proof");
        for (path, _) in journals(folder.path()).into_iter().filter(|_| !is_kept) {
            std::fs::remove_file(path).unwrap();
        }

        let again = Proxy::start(&toml).await;
        if !is_kept {
            let part = ask(&again, Method::GET, target, &[("range", "bytes=3-9")]).await;
            assert_eq!(part.head.status, StatusCode::GONE, "it began nothing");
        }
        let whole: String = [(crawls[0], 1), (crawls[0], 2), (crawls[1], 3), (crawls[1], 4)]
            .map(|(crawl, number)| format!("\"nobody {crawl}.{number}\"\n"))
            .concat();
        assert_eq!(get(&again, target).await.whole(), whole);
        assert_eq!(upstream.asked().len(), if is_kept { 3 } else { 4 });
        let part = ask(&again, Method::GET, "/a?_snapshot=~x", &[("range", "bytes=3-9")]).await;
        assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole[3..10]));
        assert_eq!(upstream.asked().len(), if is_kept { 3 } else { 4 });
    }
}

/// Journals of the kept snapshots, with their texts.
fn journals(folder: &Path) -> Vec<(PathBuf, String)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let journals = paths.filter(|path| path.extension().is_some_and(|extension| extension == "journal"));
    journals.filter_map(|path| std::fs::read_to_string(&path).ok().map(|text| (path, text))).collect()
}

#[tokio::test]
async fn a_name_that_was_answered_during_a_wait_stands_for_no_other_snapshot() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) => held.before(Reply::status(403)),
        _ => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, STALE).await;
    let target = "/a?_snapshot=~x&_wait=complete";
    let waiting = tokio::spawn(client::receive(Version::Http1, proxy.address, stream(target)));
    gate.reached().await;
    while get(&proxy, "/a?_snapshot=~x&_format=status").await.head.status != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    let part = ask(&proxy, Method::GET, "/a?_snapshot=~x", &[("range", "bytes=3-9")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole("nobody", 1)[3..10]));
    gate.open();
    assert_eq!(waiting.await.unwrap().head.status, StatusCode::BAD_GATEWAY);
    assert_eq!(get(&proxy, target).await.head.status, StatusCode::GONE, "a client has bytes by this name");
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_wait_ends_with_the_proof_and_has_a_length() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.contains("page=2") {
        true => held.before(two_pages(asked, &[])),
        false => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, "[snapshots]\ndisk = \"0\"").await;
    let mut waiting: Vec<_> = BOTH
        .into_iter()
        // The parameter asks for a stream, whatever the field says.
        .zip(["*/*", "application/json"])
        .map(|(version, accept)| {
            tokio::spawn(client::receive(version, proxy.address, client::get("/a?_wait=complete", accept)))
        })
        .collect();
    let mut preferring = stream("/a?_snapshot=~x");
    preferring.headers_mut().insert("prefer", "respond-async, wait=500".parse().unwrap());
    waiting.push(tokio::spawn(client::receive(Version::Http1, proxy.address, preferring)));
    let old = "GET /a?_wait=complete HTTP/1.0\r\nHost: p\r\n\r\n";
    let old = tokio::spawn(client::raw(proxy.address, old));
    gate.reached().await;
    tokio::task::yield_now().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()) && !old.is_finished());
    gate.open();
    let length = whole("nobody", 1).len().to_string();
    for (waiting, applied) in waiting.into_iter().zip([None, None, Some("wait=500")]) {
        let received = waiting.await.unwrap();
        assert_eq!((received.whole(), received.header("content-length")), (&whole("nobody", 1)[..], Some(&length[..])));
        assert_eq!(received.header("preference-applied"), applied);
        assert!(received.header("unpage-verdict").is_some());
    }
    let old = String::from_utf8(old.await.unwrap()).unwrap();
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n") && old.contains(&format!("content-length: {length}\r\n")), "{old}");
    assert!(old.ends_with(&whole("nobody", 1)), "{old}");
    assert_eq!(upstream.asked().len(), 2, "one crawl for all");
    // A wait for a HEAD reads the crawl to its end, too.
    let head = ask(&proxy, Method::HEAD, "/a?_snapshot=~y&_wait=complete", &[("cache-control", "no-cache")]).await;
    assert_eq!(of_ranges(&head), [Some("bytes"), Some(&length[..]), None]);
    assert_eq!(upstream.asked().len(), 4);
}

#[tokio::test]
async fn a_wait_in_vain_is_an_error_without_a_record() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.contains("page=2") {
        true => held.before(two_pages(asked, &[])),
        false => two_pages(asked, &[("x-first", "1")]),
    })
    .await;
    let proxy = proxy(&upstream, "[snapshots]\ndisk = \"0\"").await;
    let late = ask(&proxy, Method::GET, "/a?_snapshot=~x", &[("prefer", "wait=1")]).await;
    assert_eq!((late.head.status.as_u16(), late.header("retry-after")), (503, Some("5")));
    let problem: Value = serde_json::from_slice(&late.body).unwrap();
    let pinned = problem["snapshot"].as_str().unwrap().to_owned();
    assert!(problem["detail"].as_str().unwrap().contains("2 records so far"), "{problem}");
    let table = get(&proxy, "/a?_snapshot=~x&_wait=complete&_format=csv").await;
    assert_eq!(table.head.status, StatusCode::CONFLICT, "the name is awaited in another representation");
    let again = tokio::spawn(client::receive(Version::Http1, proxy.address, stream("/a?_snapshot=~x&_wait=complete")));
    gate.reached().await;
    gate.open();
    let again = again.await.unwrap();
    assert_eq!(again.whole(), whole("nobody", 1));
    assert_eq!(again.header("content-location"), Some(&pinned[..]));
    assert_eq!(upstream.asked().len(), 2, "nothing is fetched twice");
}

#[tokio::test]
async fn a_broken_crawl_is_an_error_for_a_client_that_waits_and_is_resumed_by_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) => Reply::status(403),
        (true, _) if asked.target.contains("/wrong") => Reply::json("{\"error\": "),
        _ => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, &format!("[snapshots]\ndir = {:?}", folder.path())).await;
    for target in ["/a?_snapshot=~x&_wait=complete", "/b?_format=ndjson&_wait=complete"] {
        let broken = get(&proxy, target).await;
        let problem: Value = serde_json::from_slice(&broken.body).unwrap();
        assert_eq!((broken.head.status.as_u16(), broken.header("etag")), (502, None), "{problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with("the stream broke after 2 records: "), "{problem}");
        assert!(problem["snapshot"].as_str().unwrap().contains("_snapshot="), "{problem}");
    }
    let before = upstream.asked().len();
    let head = ask(&proxy, Method::HEAD, "/a?_snapshot=~x&_wait=complete", &[]).await;
    assert_eq!((head.head.status.as_u16(), of_ranges(&head)[1].is_some()), (200, true));
    assert_eq!(upstream.asked().len(), before + 1, "the page that failed, and no other");
}

#[tokio::test]
async fn a_session_whose_crawl_broke_for_good_is_over() {
    let upstream = Upstream::scripted(0, |asked, _| match (asked.target.contains("page=2"), asked.attempt % 2) {
        (true, 1) => Reply::status(403),
        _ => two_pages(asked, &[]),
    })
    .await;
    // In memory alone, no crawl can be resumed.
    let proxy = proxy(&upstream, STALE).await;
    let (target, waiting) = ("/a?_snapshot=~x", "/a?_snapshot=~y&_wait=complete");
    let broken = get(&proxy, target).await;
    assert!(broken.broken.is_some());
    let part = ask(&proxy, Method::GET, target, &[("range", "bytes=3-9")]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole("nobody", 1)[3..10]), "it stays for its parts");
    for _ in 0..2 {
        assert_eq!(get(&proxy, target).await.head.status, StatusCode::GONE);
        assert_eq!(ask(&proxy, Method::HEAD, target, &[]).await.head.status, StatusCode::GONE);
    }
    assert_eq!(upstream.asked().len(), 2);
    assert_eq!(get(&proxy, "/a?_snapshot=~z").await.whole(), whole("nobody", 2));
    // A client that waited in vain has no byte of its snapshot, and asks again.
    assert_eq!(get(&proxy, waiting).await.head.status, StatusCode::BAD_GATEWAY);
    assert_eq!(get(&proxy, waiting).await.whole(), whole("nobody", 4));
    assert_eq!(upstream.asked().len(), 8);
    // Also in another representation.
    let table = "/a?_snapshot=~w&_wait=complete&_format=csv";
    assert_eq!(get(&proxy, table).await.head.status, StatusCode::BAD_GATEWAY);
    assert_eq!(get(&proxy, "/a?_snapshot=~w").await.whole(), whole("nobody", 6));
    assert_eq!(get(&proxy, table).await.head.status, StatusCode::CONFLICT);
    assert_eq!(upstream.asked().len(), 12);
}

#[tokio::test]
async fn a_wait_for_a_stream_that_is_not_kept_is_refused() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[("cache-control", "no-store")])).await;
    let proxy = proxy(&upstream, STALE).await;
    for target in ["/a?_snapshot=~x&_wait=complete", "/a?_format=ndjson&_wait=complete"] {
        assert_eq!(get(&proxy, target).await.head.status, StatusCode::CONFLICT);
    }
    assert_eq!(get(&proxy, "/a?_snapshot=~x").await.whole().lines().count(), 4);
    assert!(!upstream.asked().is_empty());
    let bad = get(&proxy, "/a?_format=ndjson&_wait=full").await;
    assert_eq!(bad.head.status, StatusCode::BAD_REQUEST);
}
