//! Sharing: requests that share a crawl and those that don't, the freshness of snapshots, and the remains of broken or abandoned streams.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::client::{self, BOTH, Received, Version, stream};
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Asked, Framing, Gate, Part, Reply, Upstream, answer};

const LINKS: &str = "records = \"$\"\npagination = \"link_header\"";

/// A proxy whose snapshots are as these lines say, with this collection.
async fn proxy(upstream: &Upstream, snapshots: &str, lines: &str) -> Proxy {
    Proxy::start(&format!("[snapshots]\n{snapshots}\n{}", collection(&upstream.url(), lines))).await
}

/// A GET for a stream with these fields.
fn with(target: &str, fields: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = stream(target);
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

async fn ask(proxy: &Proxy, target: &str, fields: &[(&str, &str)]) -> Received {
    client::receive(Version::Http1, proxy.address, with(target, fields)).await
}

/// Two pages with these fields, whose records say who asks.
fn two_pages(asked: &Asked, fields: &[(&str, &str)]) -> Reply {
    let who = asked.header("authorization").unwrap_or("nobody");
    if asked.target.contains("page=2") {
        return Reply::Whole(answer(200, fields, format!("[\"{who} 3\",\"{who} 4\"]")));
    }
    let next = format!("<{}?page=2>; rel=next", asked.target.split('?').next().unwrap());
    let fields: Vec<_> = fields.iter().copied().chain([("link", next.as_str())]).collect();
    Reply::Whole(answer(200, &fields, format!("[\"{who} 1\",\"{who} 2\"]")))
}

/// The records of both pages.
fn both(who: &str) -> String {
    (1..=4).map(|number| format!("\"{who} {number}\"\n")).collect()
}

/// Number of requests for the first page.
fn crawls(upstream: &Upstream) -> usize {
    upstream.asked().iter().filter(|asked| !asked.target.contains("page=2")).count()
}

#[tokio::test]
async fn a_hundred_callers_share_one_crawl() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
        "/all" => held.before(two_pages(asked, &[])),
        _ => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let mut callers: Vec<_> =
        (0..100).map(|at| tokio::spawn(client::receive(BOTH[at % 2], proxy.address, stream("/all")))).collect();
    gate.reached().await;
    // The one who came first leaves before the first page is there, and takes nothing with it.
    callers.remove(0).abort();
    gate.open();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().whole(), both("nobody"));
    }
    assert_eq!(upstream.asked().len(), 2);
    let late = ask(&proxy, "/all", &[]).await;
    assert_eq!(late.whole(), both("nobody"));
    assert!(late.header("cache-status").unwrap().starts_with("unpage; hit; ttl="), "{:?}", late.head);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_first_page_that_all_have_left_is_waited_for_no_longer_than_the_linger() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
        "/all" if asked.attempt == 1 => held.before(two_pages(asked, &[])),
        _ => two_pages(asked, &[]),
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"\nlinger = \"50ms\"", LINKS).await;
    let callers = [0, 1].map(|_| tokio::spawn(client::send(Version::Http2, proxy.address, stream("/all"))));
    gate.reached().await;
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    gate.left().await;
    assert_eq!(ask(&proxy, "/all", &[]).await.whole(), both("nobody"));
    assert_eq!(crawls(&upstream), 2);
}

#[tokio::test]
async fn no_caller_ever_sees_the_record_of_another() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let mut dice = fastrand::Rng::with_seed(7);
    let callers: Vec<String> = (0..100).map(|_| format!("Bearer {}", dice.u8(..20))).collect();
    let received =
        join_all(callers.iter().enumerate().map(|(at, caller)| {
            client::receive(BOTH[at % 2], proxy.address, with("/mine", &[("authorization", caller)]))
        }));
    for (received, caller) in received.await.iter().zip(&callers) {
        assert_eq!(received.whole(), both(caller));
    }
    let different: BTreeSet<_> = callers.iter().collect();
    assert_eq!(crawls(&upstream), different.len());
    // The name of another's snapshot is worth nothing.
    let mine = ask(&proxy, "/mine", &[("authorization", &callers[0])]).await;
    let pinned = mine.header("content-location").unwrap();
    assert_eq!(ask(&proxy, pinned, &[("authorization", &callers[0])]).await.whole(), mine.whole());
    for fields in [&[][..], &[("authorization", "Bearer x")], &[("authorization", "Bearer x"), ("x-other", "1")]] {
        assert_eq!(ask(&proxy, pinned, fields).await.head.status, StatusCode::GONE);
    }
}

#[tokio::test]
async fn the_upstream_says_what_may_be_shared() {
    let fields: [(&str, &[(&str, &str)]); 5] = [
        ("/no-store", &[("cache-control", "no-store")]),
        ("/private", &[("cache-control", "private, max-age=9")]),
        ("/cookie", &[("set-cookie", "session=1")]),
        ("/vary", &[("vary", "*")]),
        ("/plain", &[("vary", "accept-language")]),
    ];
    let upstream = Upstream::scripted(0, move |asked, _| {
        let path = asked.target.split('?').next().unwrap();
        two_pages(asked, fields.iter().find(|(at, _)| *at == path).unwrap().1)
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    // How many crawls two callers without credentials cost, and two with the same; whether the first can be asked for by its name.
    for (target, anybody, known, named) in [
        ("/no-store", 2, 2, false),
        ("/private", 2, 1, true),
        ("/cookie", 2, 2, true),
        ("/vary", 2, 2, true),
        ("/plain", 1, 1, true),
    ] {
        for (fields, cost) in [(&[][..], anybody), (&[("authorization", "Bearer a")], known)] {
            upstream.forget();
            let first = ask(&proxy, target, fields).await;
            assert_eq!(first.whole(), ask(&proxy, target, fields).await.whole());
            assert_eq!(crawls(&upstream), cost, "{target} {fields:?}");
            let ranges = if named { "bytes" } else { "none" };
            assert_eq!(first.header("accept-ranges"), Some(ranges), "{target}");
            match first.header("content-location") {
                Some(pinned) => assert_eq!(ask(&proxy, pinned, fields).await.whole(), first.whole()),
                None => assert!(!named, "{target}"),
            }
        }
    }
}

#[tokio::test]
async fn a_later_page_that_must_not_be_shared_is_in_no_stream_that_others_get() {
    for (name, value) in
        [("cache-control", "private"), ("set-cookie", "a=1"), ("vary", "*"), ("cache-control", "no-store")]
    {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let fields = [(name, value)];
            two_pages(asked, if asked.target.contains("page=2") { &fields } else { &[] })
        })
        .await;
        let proxy = proxy(&upstream, "", LINKS).await;
        let unknown = ask(&proxy, "/a", &[]).await;
        assert!(unknown.broken.is_some(), "{name}: {value}: {unknown:?}");
        let known = ask(&proxy, "/a", &[("authorization", "Bearer a")]).await;
        assert_eq!(known.broken.is_some(), value == "no-store", "{name}: {value}");
        let unkept = ask(&proxy, "/a", &[("cache-control", "no-store")]).await;
        assert!(unkept.broken.is_none() && unkept.body.len() > unknown.body.len(), "{name}: {value}");
    }
}

#[tokio::test]
async fn callers_that_may_not_share_do_not_wait_for_each_other() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let reply = two_pages(asked, &[("cache-control", "no-store")]);
        // The second pages come when all ten crawls are there.
        if asked.target.contains("page=2") { held.before(reply) } else { reply }
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let callers: Vec<_> =
        (0..10).map(|_| tokio::spawn(client::receive(Version::Http1, proxy.address, stream("/each")))).collect();
    while crawls(&upstream) < 10 {
        tokio::task::yield_now().await;
    }
    gate.open();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().whole(), both("nobody"));
    }
    assert_eq!(crawls(&upstream), 10);
}

#[tokio::test]
async fn a_public_collection_is_shared_by_all_callers_with_the_same_other_fields() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let tenant = asked.header("x-tenant").unwrap_or("none");
        let credentials = ["authorization", "proxy-authorization", "cookie"].map(|name| asked.header(name));
        let body = format!("[\"{tenant}\",{}]", credentials.iter().any(Option::is_some));
        // It doesn't say that it varies with the tenant.
        Reply::Whole(answer(200, &[("vary", "Accept-Language, Authorization")], body))
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"", &format!("{LINKS}\npublic = true")).await;
    let callers = join_all((0..60).map(|at| {
        let tenant = ["a", "b", "c"][at % 3];
        let token = format!("Bearer {at}");
        let credentials = ["authorization", "proxy-authorization", "cookie"].map(|name| (name, token.as_str()));
        let request = with("/open", &[&credentials[..], &[("x-tenant", tenant)]].concat());
        async move { (tenant, client::receive(BOTH[at % 2], proxy.address, request).await) }
    }));
    for (tenant, received) in callers.await {
        assert_eq!(received.whole(), format!("\"{tenant}\"\nfalse\n"));
        let control = received.header("cache-control").unwrap();
        assert!(!control.contains("private"), "{control}");
    }
    assert_eq!(upstream.asked().len(), 3);
}

#[tokio::test]
async fn only_equal_requests_share() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1,2]")).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let base: (&str, &[(&str, &str)]) = ("/a?x=1&y=2", &[("x-tenant", "1")]);
    ask(&proxy, base.0, base.1).await;
    for (target, fields, crawls) in [
        ("/a?y=2&x=1", &[("x-tenant", "1")][..], 0),
        ("/a?x=1&y=2&_format=jsonl", &[("x-tenant", "1")], 0),
        ("/a?x=1&y=2", &[("x-tenant", "1"), ("user-agent", "other"), ("traceparent", "00-1")], 0),
        ("/a?x=1&y=2", &[("x-tenant", "2")], 1),
        ("/a?x=1&y=2", &[], 1),
        ("/a?x=1&y=3", &[("x-tenant", "1")], 1),
        ("/a?x=1&y=2&y=3", &[("x-tenant", "1")], 1),
        ("/b?x=1&y=2", &[("x-tenant", "1")], 1),
        ("/a?x=1&y=2", &[("x-tenant", "1"), ("cache-control", "no-cache")], 1),
        ("/a?x=1&y=2", &[("x-tenant", "1"), ("cache-control", "no-store")], 1),
        ("/a?x=1&y=2", &[("x-tenant", "1"), ("cache-control", "max-age=60")], 0),
    ] {
        upstream.forget();
        assert_eq!(ask(&proxy, target, fields).await.whole(), "1\n2\n");
        assert_eq!(upstream.asked().len(), crawls, "{target} {fields:?}");
    }
}

#[tokio::test]
async fn the_client_says_how_fresh_it_must_be() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1,2]")).await;
    let proxy = proxy(&upstream, "disk = \"0\"\nfresh_for = \"0\"", LINKS).await;
    let unheard = ask(&proxy, "/a", &[("cache-control", "only-if-cached")]).await;
    assert_eq!(unheard.head.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(upstream.asked().len(), 0);
    let first = ask(&proxy, "/a", &[]).await;
    let second = ask(&proxy, "/a", &[]).await;
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_eq!(upstream.asked().len(), 2, "nothing is fresh");
}

#[tokio::test]
async fn waiting_requests_share_a_failure_and_later_ones_do_not() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream =
        Upstream::scripted(
            0,
            move |asked, _| {
                if asked.attempt == 1 { held.before(Reply::status(403)) } else { Reply::json("[1]") }
            },
        )
        .await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let callers: Vec<_> =
        (0..20).map(|_| tokio::spawn(client::receive(Version::Http2, proxy.address, stream("/a")))).collect();
    gate.reached().await;
    gate.open();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().head.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(upstream.asked().len(), 1);
    assert_eq!(ask(&proxy, "/a", &[]).await.whole(), "1\n");
}

#[tokio::test]
async fn a_failure_is_logged_once_however_many_wait() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |_, _| held.before(Reply::status(403))).await;
    let process = Process::serve(&format!("[snapshots]\ndisk = \"0\"\n{}", collection(&upstream.url(), LINKS))).await;
    let callers: Vec<_> =
        (0..20).map(|_| tokio::spawn(client::receive(Version::Http2, process.address, stream("/a")))).collect();
    gate.reached().await;
    gate.open();
    for caller in join_all(callers).await {
        assert_eq!(caller.unwrap().head.status, StatusCode::FORBIDDEN);
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    let lines = said.lines().filter(|line| line.contains("403 Forbidden")).count();
    assert_eq!(lines, upstream.asked().len(), "{said}");
}

#[tokio::test]
async fn a_caller_may_begin_so_many_crawls_and_share_any_number() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let proxy = proxy(&upstream, "disk = \"0\"\nopens = \"2/h\"", LINKS).await;
    let known = &[("authorization", "Bearer a")];
    for fields in [&[][..], known] {
        for target in ["/a", "/b", "/a", "/b", "/a"] {
            assert_eq!(ask(&proxy, target, fields).await.whole(), "1\n", "{target}");
        }
        let refused = ask(&proxy, "/c", fields).await;
        assert_eq!(refused.head.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.whole().contains("`opens` in [snapshots]"), "{}", refused.whole());
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(wait > 1700 && wait <= 1800, "{wait}");
    }
    assert_eq!(upstream.asked().len(), 4);
}

#[tokio::test]
async fn only_an_identity_makes_another_caller_and_only_so_many_at_an_address() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let proxy = proxy(&upstream, "disk = \"0\"\nopens = \"3/h\"", LINKS).await;
    let mut number = 0;
    let mut begun = async |fields: &[(&str, &str)]| {
        number += 1;
        ask(&proxy, &format!("/{number}"), fields).await.head.status == StatusCode::OK
    };
    let mut count = 0;
    for nonce in ["1", "2", "3", "4", "5"] {
        let fields = [("authorization", "Bearer a"), ("x-nonce", nonce), ("accept-language", nonce)];
        count += usize::from(begun(&fields).await);
    }
    assert_eq!(count, 3);
    for nonce in ["1", "2", "3", "4", "5"] {
        count += usize::from(begun(&[("x-nonce", nonce)]).await);
    }
    assert_eq!(count, 6);
    // Users of one authenticating proxy, or of one network, have their own number.
    for user in ["ada", "bob"] {
        count += usize::from(begun(&[("x-forwarded-user", user)]).await);
        count += usize::from(begun(&[("x-api-key", user)]).await);
    }
    assert_eq!(count, 10);
    for made_up in 0..40 {
        count += usize::from(begun(&[("cookie", &format!("session={made_up}"))]).await);
    }
    assert_eq!((count, upstream.asked().len()), (30, 30));
}

#[tokio::test]
async fn a_pinned_url_leads_to_its_snapshot_however_the_query_was_spelled() {
    let upstream = Upstream::scripted(0, |asked, _| Reply::json(format!("[{:?}]", asked.target))).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    for (target, asked) in [
        ("/list?", "/list"),
        ("/list?_format=ndjson&&", "/list"),
        ("/list", "/list"),
        ("/list?x=1&%78=2&n=1", "/list?n=1&x=1&%78=2"),
        ("/list?%78=2&n=1&x=1", "/list?n=1&%78=2&x=1"),
    ] {
        let first = ask(&proxy, target, &[]).await;
        assert_eq!(first.whole(), format!("{asked:?}\n"), "{target}");
        let again = ask(&proxy, first.header("content-location").unwrap(), &[]).await;
        assert_eq!((again.whole(), again.header("etag")), (first.whole(), first.header("etag")), "{target}");
    }
    assert_eq!(upstream.asked().len(), 3, "the first three are one");
}

#[tokio::test]
async fn a_stream_that_no_get_can_ask_for_again_names_no_address() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let proxy = proxy(&upstream, "disk = \"0\"", "method = \"POST\"\nrecords = \"$\"\npagination = \"none\"").await;
    let mut post = stream("/search");
    *post.method_mut() = Method::POST;
    *post.body_mut() = Full::from("{\"q\":1}");
    let received = client::receive(Version::Http1, proxy.address, post).await;
    assert_eq!(received.whole(), "1\n");
    assert!(received.header("etag").is_some());
    let fields = ["link", "content-location"].map(|name| received.header(name));
    assert_eq!((fields, received.header("accept-ranges")), ([None, None], Some("none")));
}

#[tokio::test]
async fn a_head_and_the_stream_after_it_are_one_crawl() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let mut head = stream("/a");
    *head.method_mut() = Method::HEAD;
    let head = client::receive(Version::Http1, proxy.address, head).await;
    assert_eq!(upstream.asked().len(), 1);
    let whole = ask(&proxy, "/a", &[]).await;
    assert_eq!(whole.whole(), both("nobody"));
    assert_eq!(head.header("etag"), whole.header("etag"));
    assert_eq!(upstream.asked().len(), 2);
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains('.')).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_expired_snapshot_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let kept = format!("dir = {:?}\nkeep_for = \"300ms\"\nfresh_for = \"100ms\"", folder.path());
    let proxy = proxy(&upstream, &kept, LINKS).await;
    let received = ask(&proxy, "/a", &[("authorization", "Bearer s3cr3t")]).await;
    let name = received.header("etag").unwrap().trim_matches('"').to_owned();
    assert_eq!(files(folder.path()), [format!("{name}.journal"), format!("{name}.ndjson")]);
    for file in files(folder.path()) {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        // The records of this upstream repeat what it was asked with; nothing else does.
        assert!(!text.replace("\"Bearer s3cr3t ", "").contains("s3cr3t"), "{text}");
    }
    while !files(folder.path()).is_empty() {
        tokio::task::yield_now().await;
    }
    let pinned = received.header("content-location").unwrap();
    assert_eq!(ask(&proxy, pinned, &[("authorization", "Bearer s3cr3t")]).await.head.status, StatusCode::GONE);
}

/// An upstream of two pages that refuses the second one at the first attempt.
async fn refuses_page_two_once() -> Upstream {
    Upstream::scripted(0, |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) => Reply::status(403),
        _ => two_pages(asked, &[]),
    })
    .await
}

#[tokio::test]
async fn a_broken_snapshot_is_resumed_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = refuses_page_two_once().await;
    let proxy = proxy(&upstream, &format!("dir = {:?}", folder.path()), LINKS).await;
    let broken = ask(&proxy, "/a", &[]).await;
    assert!(broken.broken.is_some());
    let pinned = broken.header("content-location").unwrap().to_owned();
    let before = upstream.asked().len();
    let range = format!("bytes={}-", broken.body.len());
    let rest = ask(&proxy, &pinned, &[("range", &range)]).await;
    assert_eq!(rest.head.status, StatusCode::PARTIAL_CONTENT, "{}", String::from_utf8_lossy(&rest.body));
    assert_eq!(rest.header("etag"), broken.header("etag"));
    let whole = [broken.body.as_slice(), rest.whole().as_bytes()].concat();
    assert_eq!(String::from_utf8(whole).unwrap(), both("nobody"));
    assert_eq!(upstream.asked().len(), before + 1, "only what was missing is asked for");
}

/// Costs of a snapshot according to its status.
async fn cost(proxy: &Proxy, pinned: &str) -> (String, [u64; 3], Value) {
    let received = ask(proxy, &format!("{pinned}&_format=status"), &[]).await;
    let status: Value = serde_json::from_slice(&received.body).unwrap();
    let counts = ["pages", "requests", "retries"].map(|name| status[name].as_u64().unwrap());
    (status["state"].as_str().unwrap().to_owned(), counts, status)
}

#[tokio::test]
async fn the_costs_of_a_snapshot_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let page = |records: &str, next: &str| Reply::Whole(answer(200, &[("link", next)], records.to_owned()));
        match (asked.target.as_str(), asked.attempt) {
            ("/a", _) => page("[1,2]", "</a?after=2>; rel=next"),
            ("/a?after=2", 1) => Reply::status(503),
            ("/a?after=2", 2) => Reply::Cut(answer(200, &[], "[3]"), Framing::Length),
            ("/a?after=2", _) => page("[3]", "</a?after=3>; rel=next"),
            (_, 1) => held.before(Reply::status(403)),
            _ => Reply::json("[4]"),
        }
    })
    .await;
    let proxy = proxy(&upstream, &format!("dir = {:?}", folder.path()), LINKS).await;
    let mut response = client::send(Version::Http1, proxy.address, stream("/a")).await;
    let pinned = response.headers()["content-location"].to_str().unwrap().to_owned();
    let mut had = client::lines(response.body_mut(), 2).await;
    gate.reached().await;
    let (state, counts, status) = cost(&proxy, &pinned).await;
    assert_eq!((&*state, counts), ("running", [2, 5, 2]), "{status:#}");
    assert_eq!(upstream.asked().len(), 5);
    assert!(status["waits"].as_u64().unwrap() >= 2 && status["waited_seconds"].is_f64(), "{status:#}");
    gate.open();
    had.extend(Received::read(response).await.body);
    let (state, counts, before) = cost(&proxy, &pinned).await;
    assert_eq!((&*state, counts), ("broken", [2, 5, 2]), "{before:#}");

    // It is resumed: its pages are its own, and requests are counted from here on.
    let rest = ask(&proxy, &pinned, &[("range", &format!("bytes={}-", had.len()))]).await;
    assert_eq!(String::from_utf8([&had, rest.whole().as_bytes()].concat()).unwrap(), "1\n2\n3\n4\n");
    let (state, counts, after) = cost(&proxy, &pinned).await;
    assert_eq!((&*state, counts), ("complete", [3, 1, 0]), "{after:#}");
    assert_eq!((&after["waits"], &after["verdict"]["pages"]), (&json!(0), &json!(3)));
    assert!(after["counted_since"].as_str() > before["counted_since"].as_str(), "{after:#}");
    assert_eq!(upstream.asked().len(), 6);
}

#[tokio::test]
async fn a_request_for_a_digest_shares_the_snapshot() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let first = ask(&proxy, "/a", &[("want-repr-digest", "sha-256=5")]).await;
    let again = ask(&proxy, "/a", &[("want-repr-digest", "sha-256=5")]).await;
    assert_eq!(ask(&proxy, "/a", &[]).await.header("etag"), first.header("etag"));
    assert!(again.header("repr-digest").unwrap().starts_with("sha-256=:"));
    assert_eq!(upstream.asked().len(), 2);
    assert!(upstream.asked().iter().all(|asked| asked.header("want-repr-digest").is_none()));
}

#[tokio::test]
async fn an_abandoned_stream_is_resumed_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) => Part::answer("", 100, [Part::Send("[".to_owned()), Part::Wait(held.clone())]),
        _ => two_pages(asked, &[]),
    })
    .await;
    let kept = format!("dir = {:?}", folder.path());
    let first = Process::serve(&format!(
        "[snapshots]\n{kept}\n{}",
        collection(&upstream.url(), &format!("{LINKS}\n{}", super::proxy::RETRY))
    ))
    .await;
    let fields = [("authorization", "Bearer a")];
    let mut response = client::send(Version::Http1, first.address, with("/a?y=1&x=2", &fields)).await;
    let mut had = client::lines(response.body_mut(), 1).await;
    gate.reached().await;
    let pinned = response.headers()["content-location"].to_str().unwrap().to_owned();
    first.signal(rustix::process::Signal::KILL);
    had.extend(Received::read(response).await.body);
    first.end().await;
    let again = proxy(&upstream, &kept, LINKS).await;
    let before = crawls(&upstream);
    assert_eq!(ask(&again, &pinned, &[]).await.head.status, StatusCode::GONE, "it is another's");
    let range = format!("bytes={}-", had.len());
    let rest = ask(&again, &pinned, &[("range", &range), fields[0]]).await;
    assert_eq!(rest.head.status, StatusCode::PARTIAL_CONTENT, "{}", String::from_utf8_lossy(&rest.body));
    let whole = [had.as_slice(), rest.whole().as_bytes()].concat();
    assert_eq!(String::from_utf8(whole).unwrap(), both("Bearer a"));
    // Its last page may have been whole, and not in the journal yet.
    assert!(crawls(&upstream) <= before + 1, "no page is asked for twice again");
}

#[tokio::test]
async fn an_interrupted_crawl_that_needs_nothing_of_a_client_resumes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match (asked.target.contains("page=2"), asked.attempt) {
        (true, 1) => Part::answer("", 100, [Part::Send("[".to_owned()), Part::Wait(held.clone())]),
        _ => two_pages(asked, &[]),
    })
    .await;
    let serve = async |more: &str| {
        let kept = format!("admin = \"127.0.0.1:0\"\n[snapshots]\ndir = {:?}\nresume_on_start = true", folder.path());
        let lines = format!("{LINKS}\n{more}\n{}", super::proxy::RETRY);
        let mut process = Process::serve(&format!("{kept}\n{}", collection(&upstream.url(), &lines))).await;
        let admin = process.admin().await;
        (process, admin)
    };
    let (first, _) = serve("").await;
    let fields = [("user-agent", "me"), ("cache-control", "max-age=60")];
    let mut pinned = Vec::new();
    // The second answer is not kept, so that only its own client can request it again.
    for (target, fields) in [("/a?y=1&x=2", &fields[..]), ("/b", &[("authorization", "Bearer a")])] {
        let mut response = client::send(Version::Http1, first.address, with(target, fields)).await;
        client::lines(response.body_mut(), 1).await;
        pinned.push(response.headers()["content-location"].to_str().unwrap().to_owned());
    }
    let noted = || journals(folder.path()).iter().filter(|text| text.contains("{\"page\":")).count();
    while noted() < 2 || upstream.asked().len() < 4 {
        tokio::task::yield_now().await;
    }
    first.signal(rustix::process::Signal::KILL);
    first.end().await;

    let (mut other, _) = serve("public = true").await;
    let id = pinned[0].rsplit_once('=').unwrap().1;
    let said = other.has_said("the configuration is not what it was").await;
    assert!(said.contains(id), "{said}");
    other.signal(rustix::process::Signal::KILL);
    other.end().await;

    let (again, admin) = serve("").await;
    let list = async || {
        let list = client::receive(Version::Http1, admin, client::get("/snapshots", "*/*")).await;
        String::from_utf8(list.body).unwrap()
    };
    while !list().await.contains("complete") {
        tokio::task::yield_now().await;
    }
    assert!(list().await.contains("stopped"), "the other one waits for its client: {}", list().await);
    let targets: Vec<_> = upstream.asked().into_iter().skip(4).map(|asked| asked.target).collect();
    assert_eq!(targets, ["/a?page=2"], "no page comes again, and nothing for who sends a token");
    let whole = client::receive(Version::Http2, again.address, with(&pinned[0], &fields)).await;
    assert_eq!(whole.whole(), both("nobody"));
    assert_eq!(upstream.asked().len(), 5);
}

fn journals(folder: &Path) -> Vec<String> {
    let journals = files(folder).into_iter().filter(|name| name.ends_with(".journal"));
    journals.map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect()
}

#[tokio::test]
async fn a_complete_snapshot_is_found_again_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let kept = format!("dir = {:?}\nfresh_for = \"5m\"", folder.path());
    let first = Process::serve(&format!("[snapshots]\n{kept}\n{}", collection(&upstream.url(), LINKS))).await;
    let known = [("authorization", "Bearer a")];
    let ask_first = |fields| client::receive(Version::Http1, first.address, with("/a", fields));
    let before = ask_first(&known).await;
    let newer = ask_first(&[known[0], ("cache-control", "no-cache")]).await;
    assert_eq!((crawls(&upstream), newer.whole()), (2, before.whole()));
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().await.1, Some(0));
    // Four minutes ago.
    let ended = SystemTime::now() - Duration::from_secs(240);
    for name in files(folder.path()) {
        let file = std::fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(ended).unwrap();
    }
    let again = proxy(&upstream, &kept, LINKS).await;
    let found = ask(&again, "/a", &known).await;
    assert_eq!(found.whole(), both("Bearer a"));
    assert_ne!(found.header("etag"), before.header("etag"));
    assert_eq!(found.header("etag"), newer.header("etag"));
    let ttl: u64 = found.header("cache-status").unwrap().strip_prefix("unpage; hit; ttl=").unwrap().parse().unwrap();
    assert!((50..=60).contains(&ttl), "{ttl}");
    assert_eq!(crawls(&upstream), 2);
    assert_eq!(ask(&again, "/a", &[]).await.whole(), both("nobody"), "another caller's is another one");
    assert_eq!(crawls(&upstream), 3);
}

#[tokio::test]
async fn a_snapshot_that_is_dated_in_the_future_is_fresh_for_no_longer_than_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let toml =
        format!("[snapshots]\ndir = {:?}\nfresh_for = \"5m\"\n{}", folder.path(), collection(&upstream.url(), LINKS));
    let first = Process::serve(&toml).await;
    let before = client::receive(Version::Http1, first.address, with("/a", &[])).await;
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().await.1, Some(0));
    for name in files(folder.path()) {
        let file = std::fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(2 * 86_400)).unwrap();
    }
    let mut again = Process::serve(&toml).await;
    again.has_said(": 1 dated in the future, which count as written now").await;
    let found = client::receive(Version::Http1, again.address, with("/a", &[])).await;
    assert_eq!((found.whole(), found.header("etag")), (before.whole(), before.header("etag")));
    let ttl: u64 = found.header("cache-status").unwrap().strip_prefix("unpage; hit; ttl=").unwrap().parse().unwrap();
    assert!((200..=300).contains(&ttl), "{ttl}");
    assert_eq!(crawls(&upstream), 1);
    // The files are dated now: the next start makes the list no fresher.
    for name in files(folder.path()) {
        let dated = folder.path().join(name).metadata().unwrap().modified().unwrap();
        assert!(dated <= SystemTime::now(), "{dated:?}");
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_resumed_breaks_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("page=2") {
        true => Reply::status(412),
        false => two_pages(asked, &[("etag", "\"v1\"")]),
    })
    .await;
    let proxy = proxy(&upstream, &format!("dir = {:?}", folder.path()), &format!("{LINKS}\nmatch = true")).await;
    let broken = ask(&proxy, "/a", &[]).await;
    assert!(broken.broken.is_some());
    let asked = upstream.asked().len();
    let pinned = broken.header("content-location").unwrap().to_owned();
    for _ in 0..3 {
        let again = ask(&proxy, &pinned, &[]).await;
        assert!(again.broken.is_some() && again.body == broken.body, "{again:?}");
    }
    assert_eq!(upstream.asked().len(), asked);
    assert!(journals(folder.path())[0].contains("{\"failed\":"), "nor after a start");
}

#[tokio::test]
async fn a_revalidation_is_not_counted_as_a_crawl() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.header("if-none-match") {
        Some(_) => Reply::status(304),
        None => two_pages(asked, &[("etag", "\"v1\"")]),
    })
    .await;
    let kept = "disk = \"0\"\nfresh_for = \"0\"\nopens = \"2/h\"";
    let proxy = proxy(&upstream, kept, &format!("{LINKS}\nmatch = true")).await;
    let first = ask(&proxy, "/a", &[]).await;
    for _ in 0..4 {
        let again = ask(&proxy, "/a", &[]).await;
        assert_eq!((again.whole(), again.header("etag")), (first.whole(), first.header("etag")));
    }
    assert_eq!(ask(&proxy, "/b", &[]).await.whole(), both("nobody"));
    assert_eq!(ask(&proxy, "/c", &[]).await.head.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_for_a_moment_is_neither_forgotten_nor_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let kept = format!("dir = {:?}", folder.path());
    let first = Process::serve(&format!("[snapshots]\n{kept}\n{}", collection(&upstream.url(), LINKS))).await;
    let before = client::receive(Version::Http1, first.address, with("/a", &[])).await;
    let pinned = before.header("content-location").unwrap().to_owned();
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().await.1, Some(0));
    let proxy = proxy(&upstream, &kept, LINKS).await;
    let lines = files(folder.path()).into_iter().find(|name| name.ends_with(".ndjson")).unwrap();
    let (lines, away) = (folder.path().join(lines), folder.path().join("away"));
    // To open a folder fails, and not because nothing is there.
    std::fs::rename(&lines, &away).unwrap();
    std::fs::create_dir(&lines).unwrap();
    for _ in 0..2 {
        let refused = ask(&proxy, &pinned, &[]).await;
        assert_eq!((refused.head.status.as_u16(), refused.header("retry-after")), (503, Some("5")), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.body).contains("can't be read"), "{refused:?}");
    }
    std::fs::remove_dir(&lines).unwrap();
    std::fs::rename(&away, &lines).unwrap();
    assert_eq!(ask(&proxy, &pinned, &[]).await.whole(), before.whole());
    assert_eq!((journals(folder.path()).len(), crawls(&upstream)), (1, 1));
}

#[tokio::test]
async fn a_snapshot_without_its_beginning_is_not_handed_out_as_fresh() {
    let page = |letter: &str| format!("[\"{}\"]", letter.repeat(3 << 20));
    let (first, second) = (page("x"), page("y"));
    let upstream = Upstream::scripted(0, move |asked, _| {
        if asked.header("if-none-match").is_some() {
            return Reply::status(304);
        }
        let fields = [("etag", "\"v1\""), ("link", "</a?page=2>; rel=next")];
        match asked.target.contains("page=2") {
            true => Reply::Whole(answer(200, &fields[..1], second.clone())),
            false => Reply::Whole(answer(200, &fields, first.clone())),
        }
    })
    .await;
    let proxy = proxy(&upstream, "disk = \"0\"\nmemory = \"1MiB\"", &format!("{LINKS}\nmatch = true")).await;
    for count in 1..=3 {
        let received = ask(&proxy, "/a", &[]).await;
        assert_eq!((received.head.status, received.body.len()), (StatusCode::OK, 2 * ((3 << 20) + 3)), "{count}");
        assert_eq!((received.broken.is_some(), crawls(&upstream)), (false, count));
    }
    assert!(upstream.asked().iter().all(|asked| asked.header("if-none-match").is_none()), "it has its beginning");
}

/// The pinned URL opens it for all who ask the same.
#[tokio::test]
async fn an_unshared_snapshot_is_not_named_to_other_callers() {
    for resume in ["redirect", "refuse"] {
        for fields in [&[("cache-control", "private")][..], &[("set-cookie", "a=1")], &[("vary", "*")]] {
            let upstream = Upstream::scripted(0, move |asked, _| two_pages(asked, fields)).await;
            let proxy = proxy(&upstream, &format!("resume = {resume:?}"), LINKS).await;
            let mine = ask(&proxy, "/a", &[]).await;
            let id = mine.header("etag").unwrap().trim_matches('"').to_owned();
            let theirs = ask(&proxy, "/a", &[("range", "bytes=5-")]).await;
            assert_eq!(theirs.head.status, StatusCode::PRECONDITION_FAILED, "{theirs:?}");
            assert!(!format!("{:?}", theirs.head).contains(&id), "{theirs:?}");
            assert!(!String::from_utf8_lossy(&theirs.body).contains(&id), "{theirs:?}");
        }
    }
}

#[tokio::test]
async fn a_part_is_sent_to_the_only_one_that_there_ever_was_and_to_no_other() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "resume = \"redirect\"", LINKS).await;
    let part = [("range", "bytes=5-")];
    let none = ask(&proxy, "/a", &part).await;
    assert_eq!(none.head.status, StatusCode::PRECONDITION_FAILED);
    let only = ask(&proxy, "/a", &[]).await;
    let sent = ask(&proxy, "/a", &part).await;
    assert_eq!(sent.head.status, StatusCode::TEMPORARY_REDIRECT, "{sent:?}");
    assert_eq!(sent.header("location"), only.header("content-location"));
    // A client with a part of a snapshot that was never kept sends this, too.
    assert!(ask(&proxy, "/a", &[("cache-control", "no-store")]).await.broken.is_none());
    assert_eq!(ask(&proxy, "/a", &part).await.head.status, StatusCode::PRECONDITION_FAILED);
    let first = ask(&proxy, "/b", &[("cache-control", "no-store")]).await;
    assert_eq!(first.whole(), ask(&proxy, "/b", &[]).await.whole());
    let refused = ask(&proxy, "/b", &part).await;
    assert_eq!((refused.head.status, refused.header("location")), (StatusCode::PRECONDITION_FAILED, None));
}

#[tokio::test]
async fn the_log_says_what_gave_way_and_what_a_start_finds() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |_, _| Reply::json(format!("[\"{}\"]", "x".repeat(6_000)))).await;
    let lines = collection(&upstream.url(), LINKS);
    let toml = |disk: &str| format!("[snapshots]\ndir = {:?}\ndisk = {disk:?}\n{lines}", folder.path());
    let mode = |mode| std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o700);
    let mut first = Process::serve(&toml("1MiB")).await;
    let said = first.has_said("snapshots in ").await;
    assert!(said.contains(": 0 found, 0 of them unfinished; 0 discarded"), "{said}");
    client::receive(Version::Http1, first.address, stream("/a")).await.whole();
    first.signal(rustix::process::Signal::TERM);
    let (said, _) = first.end().await;
    assert!(!said.contains("other users"), "{said}");

    std::fs::write(folder.path().join(format!("{}.ndjson", "0".repeat(32))), "1\n").unwrap();
    mode(0o750);
    let mut again = Process::serve(&toml("20KiB")).await;
    let said = again.has_said("snapshots in ").await;
    assert!(said.contains(": 1 found, 0 of them unfinished; 1 discarded (1 with no journal)"), "{said}");
    again.has_said("other users may read ").await;
    for target in ["/b", "/c", "/d", "/e"] {
        let received = client::receive(Version::Http1, again.address, stream(target)).await;
        assert_eq!(received.whole().len(), 6_003);
    }
    let said = again.has_said("evicted, since `disk` of [snapshots] is used up: ").await;
    assert!(said.contains(" of /{*rest} with "), "{said}");
    again.signal(rustix::process::Signal::TERM);
    again.end().await;
}

/// Fields of proxies and tracers, different each time.
fn noise(serial: usize) -> Vec<(&'static str, String)> {
    let names = "x-varnish x-unique-id x-request-start cf-ray x-amz-cf-id x-azure-ref x-envoy-attempt-count sentry-trace traceparent \
        elastic-apm-traceparent x-forwarded-for x-datadog-trace-id x-cloud-trace-context x-kong-request-id sw8 x-newrelic-id fly-request-id \
        idempotency-key x-stainless-retry-count x-ms-client-request-id";
    names.split_whitespace().map(|name| (name, format!("{serial}-{name}"))).collect()
}

#[tokio::test]
async fn fields_that_proxies_and_tracers_add_are_neither_keyed_nor_sent() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let mut pinned = Vec::new();
    for serial in 0..3 {
        let fields = noise(serial);
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let received = ask(&proxy, "/mine", &fields).await;
        assert_eq!(received.whole(), both("nobody"));
        pinned.push(received.header("content-location").unwrap().to_owned());
        fields.push(("range", "bytes=5-"));
        assert_eq!(ask(&proxy, &pinned[0], &fields).await.head.status, StatusCode::PARTIAL_CONTENT);
    }
    assert!(crawls(&upstream) == 1 && pinned[0] == pinned[2]);
    for asked in upstream.asked() {
        // The crawl's own trace goes with each page.
        let own = asked.headers["traceparent"].to_str().unwrap();
        assert!(own.starts_with("00-") && own.len() == 55, "{own}");
        let sent: Vec<_> =
            noise(0).into_iter().map(|(name, _)| name).filter(|name| asked.headers.contains_key(*name)).collect();
        assert_eq!(sent, ["traceparent"]);
    }
}

#[tokio::test]
async fn a_caller_that_an_authenticating_proxy_names_shares_with_no_other() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let proxy = proxy(&upstream, "disk = \"0\"", LINKS).await;
    let names = "x_forwarded_user x-forwarded-user x-forwarded-email x-forwarded-access-token x-forwarded-groups x-forwarded-preferred-username \
        x-forwarded-client-cert x-remote-user x-auth-request-user remote-user x-amzn-oidc-identity x-goog-iap-jwt-assertion \
        cf-access-authenticated-user-email x-ms-client-principal-id tailscale-user-login x-tenant-id x-user-id";
    for name in names.split_whitespace() {
        upstream.forget();
        let ada = ask(&proxy, "/mine", &[(name, "ada")]).await;
        let pinned = ada.header("content-location").unwrap().to_owned();
        assert!(upstream.asked().iter().all(|asked| asked.header(name) == Some("ada")), "{name}");
        let bob = ask(&proxy, "/mine", &[(name, "bob")]).await;
        assert_ne!(bob.header("content-location"), Some(&*pinned), "{name}");
        for other in [&[(name, "bob")][..], &[]] {
            assert_eq!(ask(&proxy, &pinned, other).await.head.status, StatusCode::GONE, "{name}");
        }
        let again = ask(&proxy, &pinned, &[(name, "ada"), ("x-noise", "5")]).await;
        assert_eq!(again.whole(), both("nobody"), "{name}");
        assert_eq!(crawls(&upstream), 2, "{name}");
    }
}

#[tokio::test]
async fn a_field_counts_unless_the_configuration_ignores_it_and_one_that_always_differs_is_named() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let lines = format!("ignore_fields = [\"X-Span-*\", \"X-Known\"]\nidentity_fields = [\"X-Foo\"]\n{LINKS}");
    let toml = format!("[snapshots]\ndisk = \"0\"\n{}", collection(&upstream.url(), &lines));
    let mut process = Process::serve(&toml).await;
    let ask = |fields: Vec<(&'static str, String)>| {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        client::receive(Version::Http1, process.address, with("/mine", &fields))
    };
    for serial in 0..5 {
        ask(vec![("x-span-id", serial.to_string()), ("x-known", serial.to_string())]).await;
    }
    assert_eq!(crawls(&upstream), 1);
    assert!(upstream.asked().iter().all(|asked| !asked.headers.contains_key("x-span-id")));
    let first = ask(vec![("x-odd", "0".to_owned()), ("x-foo", "1".to_owned())]).await;
    let pinned = first.header("content-location").unwrap().to_owned();
    for serial in 1..6 {
        ask(vec![("x-odd", serial.to_string()), ("x-foo", "1".to_owned())]).await;
    }
    assert_eq!(crawls(&upstream), 7);
    // A resume does not fail for it.
    let resume = |foo: &str| {
        let fields = [("x-odd", "9"), ("x-foo", foo), ("range", "bytes=3-")];
        client::receive(Version::Http1, process.address, with(&pinned, &fields))
    };
    assert_eq!(resume("1").await.head.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(resume("2").await.head.status, StatusCode::GONE);
    let named = process.has_said("x-odd differs in each request").await;
    assert!(named.contains("ignore_fields = [\"x-odd\"]"), "{named}");
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert_eq!(said.matches("differs in each request").count(), 1, "{said}");
}

#[tokio::test]
async fn an_interrupted_crawl_goes_on_only_with_the_fields_that_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = refuses_page_two_once().await;
    let proxy = proxy(&upstream, &format!("dir = {:?}", folder.path()), LINKS).await;
    let broken = ask(&proxy, "/mine", &[("x-odd", "1"), ("x-varnish", "6")]).await;
    assert!(broken.broken.is_some());
    let pinned = broken.header("content-location").unwrap();
    let refused = ask(&proxy, pinned, &[("x-odd", "2"), ("x-varnish", "7")]).await;
    assert_eq!(refused.head.status, StatusCode::GONE);
    assert!(refused.whole().contains("`ignore_fields`"), "{}", refused.whole());
    let resumed = ask(&proxy, pinned, &[("x-odd", "1"), ("x-varnish", "8")]).await;
    assert_eq!(resumed.whole(), both("nobody"));
    // What is complete is read whatever other fields say.
    assert_eq!(ask(&proxy, pinned, &[("x-odd", "2")]).await.whole(), both("nobody"));
}

#[tokio::test]
async fn refused_crawls_are_logged_with_the_name_of_their_limit() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let toml = format!("[snapshots]\ndisk = \"0\"\nopens = \"1/h\"\n{}", collection(&upstream.url(), LINKS));
    let mut process = Process::serve(&toml).await;
    for target in ["/a", "/b", "/c", "/d"] {
        client::receive(Version::Http1, process.address, stream(target)).await;
    }
    let said = process.has_said("crawls refused with 429").await;
    assert!(said.contains("`opens` in [snapshots]") && said.contains("127.0.0.1"), "{said}");
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert_eq!(said.matches("refused with 429").count(), 1, "{said}");
}

#[tokio::test]
async fn a_complete_snapshot_that_was_changed_on_the_disk_is_told_and_crawled_again() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked, &[])).await;
    let toml = format!(
        "[snapshots]\ndir = {:?}\nfresh_for = \"1h\"\nkeep_for = \"1h\"\n{}",
        folder.path(),
        collection(&upstream.url(), LINKS)
    );
    let first = Process::serve(&toml).await;
    let whole = client::receive(Version::Http1, first.address, with("/a", &[])).await.whole().to_owned();
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().await.1, Some(0));
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let lines = files.filter(|path| path.extension().is_some_and(|name| name == "ndjson")).collect::<Vec<_>>();
    let [lines] = &lines[..] else { panic!("{lines:?}") };
    let mut bytes = std::fs::read(lines).unwrap();
    *bytes.last_mut().unwrap() = b'X';
    std::fs::write(lines, bytes).unwrap();
    upstream.forget();
    let mut again = Process::serve(&toml).await;
    assert_eq!(client::receive(Version::Http1, again.address, with("/a", &[])).await.whole(), whole);
    let told = again.wait_for("damaged").await;
    let id = lines.file_stem().unwrap().to_str().unwrap();
    assert!(told.contains(" WARN ") && told.contains(&format!("snapshot {id}: ")), "{told}");
    assert!(told.contains("page 2 is not as it was written"), "{told}");
    assert_eq!(upstream.asked().len(), 2);
}
