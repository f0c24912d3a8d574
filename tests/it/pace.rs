//! Several crawls before one upstream share what it can bear.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use unpage::config::{Config, Machine};
use unpage::pace::{Pace, Width};

use super::client::{self, Received, Version, stream};
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Gate, Part, Reply, Upstream, answer};

const ONE_PAGE: &str = "records = \"$\"\npagination = \"none\"";

/// A proxy that asks for this many pages at a time, of all crawls.
async fn narrow(upstream: &Upstream, lines: &str, width: u32) -> Proxy {
    let mut config = Config::read(&collection(&upstream.url(), lines), "the test's configuration", &Machine).unwrap();
    let width = NonZeroU32::new(width).unwrap();
    for collection in &mut config.collections {
        let upstream = &mut Arc::make_mut(collection).upstream;
        Arc::make_mut(upstream).pace = Pace { width: Width::Fixed(width), max_width: width, ..Pace::default() };
    }
    Proxy::of(&config).await
}

#[tokio::test]
async fn a_wait_in_a_whole_page_holds_the_next_request() {
    let came = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&came);
    let upstream = Upstream::scripted(0, move |asked, _| {
        times.lock().unwrap().push(Instant::now());
        Reply::json(match asked.target.as_str() {
            "/list?page=1" => "{\"items\":[1,2],\"has_more\":true,\"backoff\":0.3}",
            _ => "{\"items\":[3],\"has_more\":false}",
        })
    })
    .await;
    let lines = "records = \"items\"\nretry = { wait = { path = \"backoff\", unit = \"1s\" } }\n\
        pagination = { type = \"page\", param = \"page\", more = { path = \"has_more\" } }";
    let proxy = narrow(&upstream, lines, 1).await;
    let received = client::receive(Version::Http1, proxy.address, stream("/list")).await;
    assert_eq!(received.whole(), "1\n2\n3\n");
    let came = came.lock().unwrap().clone();
    assert_eq!(came.len(), 2);
    // Only the lower bound is a promise.
    assert!(came[1] - came[0] >= Duration::from_millis(300), "{:?}", came[1] - came[0]);
}

#[tokio::test]
async fn a_wait_demanded_of_one_crawl_holds_all_and_is_logged_once() {
    let refused = Arc::new(Mutex::new(None));
    let (told, came) = (Arc::clone(&refused), Arc::new(Mutex::new(Vec::new())));
    let times = Arc::clone(&came);
    let upstream = Upstream::scripted(0, move |asked, _| {
        times.lock().unwrap().push(Instant::now());
        if asked.target == "/first" && asked.attempt == 1 {
            *told.lock().unwrap() = Some(Instant::now());
            return Reply::Whole(answer(429, &[("retry-after", "3")], ""));
        }
        Reply::json("[1,2]")
    })
    .await;
    let retry = format!("retry = {{ base = \"1ms\", cap = \"9s\" }}\n{ONE_PAGE}");
    let mut process = Process::serve(&collection(&upstream.url(), &retry)).await;
    let first = tokio::spawn(client::receive(Version::Http1, process.address, stream("/first")));
    process.wait_for("asking again in 3s").await;
    let mut others = JoinSet::new();
    for number in 0..5 {
        others.spawn(client::receive(Version::Http1, process.address, stream(&format!("/other/{number}"))));
    }
    for received in others.join_all().await {
        assert_eq!(received.whole(), "1\n2\n");
    }
    assert_eq!(first.await.unwrap().whole(), "1\n2\n");
    let refused = refused.lock().unwrap().unwrap();
    let came = came.lock().unwrap().clone();
    assert_eq!(came.len(), 7);
    // The other crawls had nothing else to wait for.
    assert!(came[1..].iter().all(|came| *came - refused >= Duration::from_secs(3)), "{came:?}");
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    let waits: Vec<_> = said.lines().filter(|line| line.contains(": the upstream asks for it")).collect();
    assert!(matches!(waits.as_slice(), [line] if line.contains(&format!("{}: waiting ", upstream.url()))), "{said}");
}

#[tokio::test]
async fn all_crawls_together_ask_for_so_many_pages_at_a_time() {
    const CRAWLS: usize = 12;
    const WIDTH: usize = 3;
    let gates: Vec<Gate> = (0..CRAWLS).map(|_| Gate::default()).collect();
    let held = gates.clone();
    let upstream = Upstream::scripted(0, move |asked, _| held[asked.page - 1].before(Reply::json("[1,2]"))).await;
    let proxy = narrow(&upstream, ONE_PAGE, WIDTH as u32).await;
    let mut crawls = JoinSet::new();
    for number in 0..CRAWLS {
        crawls.spawn(client::receive(Version::Http1, proxy.address, stream(&format!("/{number}"))));
    }
    for (opened, gate) in gates.iter().enumerate() {
        gates[(opened + WIDTH).min(CRAWLS) - 1].reached().await;
        assert_eq!(upstream.asked().len(), (opened + WIDTH).min(CRAWLS));
        gate.open();
    }
    let received = crawls.join_all().await;
    assert!(received.iter().all(|received| received.whole() == "1\n2\n"));
}

#[tokio::test]
async fn pages_of_other_credentials_are_not_waited_for() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.header("authorization") {
        Some("Bearer one") => held.before(Reply::json("[1]")),
        _ => Reply::json("[2]"),
    })
    .await;
    let proxy = narrow(&upstream, ONE_PAGE, 1).await;
    let with = |token: &'static str| {
        let mut request = stream("/");
        request.headers_mut().insert("authorization", token.parse().unwrap());
        client::receive(Version::Http1, proxy.address, request)
    };
    let one = tokio::spawn(with("Bearer one"));
    gate.reached().await;
    assert_eq!(with("Bearer other").await.whole(), "2\n");
    gate.open();
    assert_eq!(one.await.unwrap().whole(), "1\n");
}

#[tokio::test]
async fn a_page_that_its_client_reads_slowly_delays_no_other_crawl() {
    const RECORDS: usize = 16_000;
    let record = format!("\"{}\"", "x".repeat(998));
    let (page, lines) = (format!("[{}", [record.as_str(); RECORDS].join(",")), format!("{record}\n").repeat(RECORDS));
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
        "/large" => Part::answer(
            "",
            page.len() + 1,
            [Part::Send(page.clone()), Part::Wait(held.clone()), Part::Send("]".to_owned())],
        ),
        _ => Reply::json("[1]"),
    })
    .await;
    let proxy = narrow(&upstream, ONE_PAGE, 1).await;
    let large = client::send(Version::Http1, proxy.address, stream("/large")).await;
    assert_eq!(client::receive(Version::Http1, proxy.address, stream("/small")).await.whole(), "1\n");
    gate.open();
    assert!(Received::read(large).await.whole() == lines);
}

#[tokio::test]
async fn pages_in_flight_never_wait_for_the_permit_that_they_hold_themselves() {
    // The first attempt at each page breaks off when those behind it are there, and hold all that may be held.
    let upstream = Upstream::scripted(500, |asked, answer| match asked.attempt {
        1 => Reply::Cut(answer, super::upstream::Framing::Length),
        _ => Reply::Whole(answer),
    })
    .await;
    for width in [1, 2, 6] {
        let toml = super::proxy::demo(&upstream);
        let mut config = Config::read(&toml, "the demo", &Machine).unwrap();
        for collection in &mut config.collections {
            let upstream = &mut Arc::make_mut(collection).upstream;
            let width = NonZeroU32::new(width).unwrap();
            Arc::make_mut(upstream).pace = Pace { width: Width::Fixed(width), max_width: width, ..Pace::default() };
        }
        let proxy = Proxy::of(&config).await;
        let received = super::streams::ask(Version::Http1, &proxy, &http::Method::GET, "/link/orders").await;
        assert!(received.whole() == super::streams::orders(500), "{width} at a time");
        upstream.forget();
    }
}

#[tokio::test]
async fn a_reader_that_stalls_a_crawl_is_logged_with_its_collection() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let page: u64 = asked.target.rsplit_once("page=").map_or(1, |(_, page)| page.parse().unwrap());
        let next = format!("</all?page={}>; rel=next", page + 1);
        Reply::Whole(answer(200, &[("link", next.as_str())], format!("[\"{page}{}\"]", "x".repeat(1 << 20))))
    })
    .await;
    let lines = collection(&upstream.url(), "records = \"$\"\npagination = \"link_header\"");
    let settings = "disk = \"0\"\nmemory = \"1MiB\"\nslow_reader = \"drop\"\nstall = \"2s\"";
    let mut process = Process::serve(&format!("[snapshots]\n{settings}\n{lines}")).await;
    // It asks, and reads nothing.
    let mut socket = TcpStream::connect(process.address).await.unwrap();
    socket.write_all(b"GET /all HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n").await.unwrap();
    let waits = process.wait_for("the crawl waits for a slow reader").await;
    let dropped = process.wait_for("1 reader was dropped: it had not read for 2s").await;
    for line in [waits, dropped] {
        assert!(line.contains("crawl{collection=\"/{*rest}\" trace_id="), "{line}");
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert_eq!(said.matches("waits for a slow reader").count(), 1, "{said}");
}

#[tokio::test]
async fn a_budget_of_one_route_that_is_spent_holds_no_other_route() {
    let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "600"), ("x-ratelimit-limit", "100")];
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/spent" => Reply::Whole(answer(200, &spent, "[1]")),
        _ => Reply::json("[2]"),
    })
    .await;
    let proxy =
        Proxy::start(&collection(&upstream.url(), &format!("{ONE_PAGE}\nrate_limit = {{ per = \"route\" }}"))).await;
    for (target, lines) in [("/spent", "1\n"), ("/other", "2\n")] {
        // One governor for both would hold the second for ten minutes.
        let received = client::receive(Version::Http1, proxy.address, stream(target)).await;
        assert_eq!(received.whole(), lines);
    }
    assert_eq!(upstream.asked().len(), 2);
}
