//! Trouble that passes: the stream is whole, each record comes once, and nothing is asked more often than it must be.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Response};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::client::{self, BOTH, Version};
use super::codings::{gzip, labelled};
use super::proxy::{Process, Proxy, RETRY, collection, demo};
use super::streams::{ask, orders};
use super::upstream::{Asked, Framing, Gate, Reply, Upstream, answer, held};

/// Transient faults of an upstream; the answer is the correct one.
type Trouble = fn(Response<Bytes>) -> Reply;

const PASSING: [(&str, Trouble); 25] = [
    ("202", |_| Reply::status(202)),
    ("202 for no time", |_| Reply::Whole(answer(202, &[("retry-after", "0")], "{}"))),
    ("a status word", |_| Reply::json(r#"{"data":[],"status":"TRY_AGAIN"}"#)),
    ("a code beside a null list", |_| Reply::json(r#"{"data":null,"code":503}"#)),
    ("a message beside an empty list", |_| Reply::json(r#"{"data":[],"message":"Rate limit, retry later"}"#)),
    ("408", |_| Reply::status(408)),
    ("429", |_| Reply::status(429)),
    ("429 for no time", |_| Reply::Whole(answer(429, &[("retry-after", "0")], "slow down"))),
    ("429 until yesterday", |_| Reply::Whole(answer(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], ""))),
    ("500", |_| Reply::status(500)),
    ("502", |_| Reply::Whole(answer(502, &[("content-type", "text/html")], "<h1>Bad Gateway</h1>"))),
    ("503", |_| Reply::status(503)),
    ("504", |_| Reply::status(504)),
    ("a closed connection", |_| Reply::Raw(Vec::new())),
    ("a cut head", |_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec())),
    ("no HTTP at all", |_| Reply::Raw(b"220 ready\r\n".to_vec())),
    ("a short body", |answer| Reply::Cut(answer, Framing::Length)),
    ("a cut chunked body", |answer| Reply::Cut(answer, Framing::Chunked)),
    ("a cut body that only its connection ends", |answer| Reply::Cut(answer, Framing::Close)),
    ("JSON that a front cut", |answer| Reply::json(answer.body().slice(..answer.body().len() - 9))),
    ("HTML with 200", |_| Reply::Whole(answer(200, &[("content-type", "text/html")], "<html>"))),
    ("an empty body", |_| Reply::json("")),
    ("gzip that a front cut", |answer| {
        let body = gzip(answer.body());
        Reply::Whole(labelled(answer, "gzip", body[..body.len() - 1].to_vec()))
    }),
    ("gzip that goes on", |answer| {
        let body = [gzip(answer.body()), gzip(b"")].concat();
        Reply::Whole(labelled(answer, "gzip", body))
    }),
    ("gzip of other bytes", |answer| {
        let mut body = gzip(answer.body());
        let checksum_at = body.len() - 8;
        body[checksum_at] ^= 1;
        Reply::Whole(labelled(answer, "gzip", body))
    }),
];

/// Number of requests for each page, in the order of the pages.
fn attempts(asked: &[Asked]) -> Vec<usize> {
    let pages = asked.iter().map(|asked| asked.page).max().unwrap_or_default();
    (1..=pages).map(|page| asked.iter().filter(|asked| asked.page == page).count()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_leaves_no_trace_in_the_stream() {
    let mut cases = tokio::task::JoinSet::new();
    for (name, trouble) in PASSING {
        cases.spawn(async move {
            for (page, times, counts) in [(1, 2, [3, 1, 1, 1]), (3, 1, [1, 1, 2, 1]), (4, 2, [1, 1, 1, 3])] {
                let upstream = Upstream::scripted(180, move |asked, answer| {
                    if asked.page == page && asked.attempt <= times { trouble(answer) } else { Reply::Whole(answer) }
                })
                .await;
                let proxy = Proxy::before(&upstream).await;
                for (method, path) in [(Method::GET, "/cursor/orders"), (Method::POST, "/search/orders")] {
                    let received = ask(Version::Http1, &proxy, &method, path).await;
                    assert!(received.whole() == orders(180), "{name} on page {page} of {path}");
                    assert_eq!(attempts(&upstream.asked()), counts, "{name} on page {page} of {path}");
                    upstream.forget();
                }
            }
        });
    }
    assert_eq!(cases.join_all().await.len(), PASSING.len());
}

#[tokio::test]
async fn everything_may_fail_twice() {
    let upstream = Upstream::scripted(200, |asked, answer| {
        let (_, trouble) = PASSING[(asked.page * 5 + asked.attempt * 3) % PASSING.len()];
        if asked.attempt < 3 { trouble(answer) } else { Reply::Whole(answer) }
    })
    .await;
    let proxy = Proxy::before(&upstream).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/offset/orders").await;
        assert!(received.whole() == orders(200), "{version:?}");
        assert_eq!(attempts(&upstream.forget()), [3; 5]);
    }
}

#[tokio::test]
async fn a_permanent_failure_is_requested_once() {
    for status in [400, 401, 403, 404, 410, 416, 422, 301, 304] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::status(status)).await;
        let proxy = Proxy::before(&upstream).await;
        ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
        assert_eq!(upstream.asked().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_lasting_failure_is_requested_as_often_as_configured() {
    for (retry, status, headers, body, times) in [
        ("attempts = 3, base = \"1ms\"", 503, None, "", 3),
        ("attempts = 1", 503, None, "", 1),
        ("attempts = 4, base = \"1ms\", statuses = [403]", 403, None, "", 4),
        ("attempts = 3, base = \"1ms\", statuses = [207, 425]", 207, None, "{\"data\":[]}", 3),
        ("attempts = 4, base = \"1ms\", cap = \"1s\"", 429, Some(("retry-after", "2")), "", 1),
        ("attempts = 4, base = \"1ms\", cap = \"1s\"", 503, Some(("retry-after", "0")), "", 4),
        ("attempts = 4, base = \"1ms\", wait = { path = \"ms\", unit = \"1ms\" }", 429, None, "{\"ms\":1}", 4),
        (
            "attempts = 4, base = \"1ms\", cap = \"1s\", wait = { path = \"s\", unit = \"1s\" }",
            429,
            None,
            "{\"s\":60}",
            1,
        ),
    ] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::Whole(answer(status, headers.as_slice(), body))).await;
        let lines = format!("retry = {{ {retry} }}\nrecords = \"data\"\npagination = \"none\"");
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        // A status that is no failure, and brings no page, is the upstream's failure.
        let told = if status < 400 { 502 } else { status };
        assert_eq!((received.head.status.as_u16(), upstream.asked().len()), (told, times), "{retry}");
    }
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_found() {
    let port = held(([127, 0, 0, 1], 0).into());
    let address = port.local_addr().unwrap();
    let lines = "retry = { attempts = 100, base = \"20ms\", cap = \"50ms\" }\nrecords = \"$\"\npagination = \"none\"";
    let mut process = Process::serve(&collection(&format!("http://{address}"), lines)).await;
    let asking = tokio::spawn(client::receive(Version::Http1, process.address, client::stream("/orders")));
    process.wait_for("attempt 2 failed").await;
    let listener = held(address).listen(8).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    let page = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]";
    stream.write_all(page).await.unwrap();
    assert_eq!(asking.await.unwrap().whole(), "1\n2\n");
}

#[tokio::test]
async fn an_http2_upstream_that_resets_is_asked_again() {
    let upstream = Upstream::scripted(120, |asked, answer| match asked.attempt {
        1 => Reply::Cut(answer, Framing::Length),
        _ => Reply::Whole(answer),
    })
    .await;
    let proxy = Proxy::start(&demo(&upstream).replace("\nmethod", "\nhttp = \"2\"\nmethod")).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/link/orders").await;
        assert!(received.whole() == orders(120));
        assert_eq!(attempts(&upstream.forget()), [2, 2, 2]);
    }
}

const CURSOR: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";

/// Answers each connection's first request, stays open, and closes it when the second one comes.
pub(super) fn closing(asked: &Asked, answer: Response<Bytes>) -> Reply {
    if asked.turn == 1 { Reply::Whole(answer) } else { Reply::Raw(Vec::new()) }
}

/// Number of requests on a connection that was closed under them; each other request was the first of its connection.
pub(super) fn closed_on(asked: &[Asked]) -> usize {
    asked.iter().filter(|asked| asked.turn == 2).count()
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let upstream = Upstream::scripted(180, closing).await;
    // One attempt is all there is.
    let process = Process::serve(&demo(&upstream).replace("attempts = 3", "attempts = 1")).await;
    for (method, path) in [(Method::GET, "/cursor/orders"), (Method::POST, "/search/orders")] {
        let mut request = client::stream(path);
        *request.method_mut() = method;
        let received = client::receive(Version::Http1, process.address, request).await;
        assert!(received.whole() == orders(180), "{path}");
        let asked = upstream.forget();
        assert!(closed_on(&asked) > 0, "{path}");
        assert_eq!(asked.len(), 4 + closed_on(&asked), "{path}");
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert!(said.contains("complete") && !said.contains("WARN"), "{said}");
}

#[tokio::test]
async fn after_a_closed_connection_no_other_is_trusted_that_is_as_old() {
    let gates: [Gate; 3] = Default::default();
    let held = gates.clone();
    let upstream = Upstream::scripted(20, move |asked, answer| match asked.target.strip_prefix("/ping?") {
        Some(number) => held[number.parse::<usize>().unwrap()].before(Reply::json("{}")),
        None => closing(asked, answer),
    })
    .await;
    let lines = format!("retry = {{ attempts = 1 }}\n{CURSOR}");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    // Three connections, which then wait in the pool.
    let pings = ["/ping?0", "/ping?1", "/ping?2"]
        .map(|target| tokio::spawn(client::receive(Version::Http1, proxy.address, client::get(target, "*/*"))));
    for gate in &gates {
        gate.reached().await;
    }
    gates.iter().for_each(Gate::open);
    for ping in pings {
        assert_eq!(ping.await.unwrap().whole(), "{}");
    }
    upstream.forget();
    let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
    assert!(received.whole() == orders(20));
    let asked = upstream.asked();
    assert_eq!((asked.len(), closed_on(&asked)), (2, 1));
}

#[tokio::test]
async fn only_what_may_be_a_closed_connection_costs_no_attempt_and_only_once() {
    // How many pages are good, what the others bring, how many attempts there are, and how often each page is asked for.
    let cases: [(usize, &'static [u8], u32, &[usize]); 5] = [
        (0, b"", 1, &[1]),
        (0, b"", 3, &[3]),
        (1, b"", 1, &[1, 2]),
        (1, b"", 3, &[1, 4]),
        (1, b"HTTP/1.1 200 OK\r\ncontent-ty", 1, &[1, 1]),
    ];
    for (good, trouble, allowed, counts) in cases {
        let upstream = Upstream::scripted(100, move |asked, answer| {
            if asked.page <= good { Reply::Whole(answer) } else { Reply::Raw(trouble.to_vec()) }
        })
        .await;
        let retry = format!("retry = {{ attempts = {allowed}, base = \"1ms\" }}\n{CURSOR}");
        let proxy = Proxy::start(&collection(&upstream.url(), &retry)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders?limit=1").await;
        assert!(received.broken.is_some() || received.head.status == 502, "{counts:?}");
        assert_eq!(attempts(&upstream.asked()), counts, "{allowed} attempts");
    }
}

#[tokio::test]
async fn silence_where_an_answer_should_be_is_a_fault_that_passes() {
    let upstream = Upstream::scripted(180, |asked, answer| match (asked.page, asked.attempt) {
        (1 | 3, 1) => Reply::Stall(Vec::new()),
        _ => Reply::Whole(answer),
    })
    .await;
    let limits = format!("timeouts = {{ connect = \"100ms\", head = \"100ms\", idle = \"5s\" }}\n{CURSOR}");
    let proxy = Proxy::start(&collection(&upstream.url(), &limits)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders?limit=50").await;
    assert!(received.whole() == orders(180));
    assert_eq!(attempts(&upstream.asked()), [2, 1, 2, 1]);
}

#[tokio::test]
async fn a_crawl_whose_pages_fail_too_often_is_broken_and_says_so() {
    let upstream = Upstream::scripted(1000, |asked, answer| match asked.attempt {
        1 => Reply::status(503),
        _ => Reply::Whole(answer),
    })
    .await;
    let process = Process::serve(&collection(&upstream.url(), &format!("{RETRY}\n{CURSOR}"))).await;
    let received = client::receive(Version::Http1, process.address, client::stream("/cursor/orders?limit=20")).await;
    assert!(received.cut(), "{:?}", received.broken);
    // Ten, and one for each five pages.
    let attempts = attempts(&upstream.asked());
    assert_eq!(attempts.iter().filter(|count| **count == 2).count(), 12, "{attempts:?}");
    assert_eq!(attempts.last(), Some(&1));
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    let cause =
        "the upstream answered 503 Service Unavailable; the upstream failed too often: 12 retries for 13 pages; ";
    assert!(said.contains("broken after 240 records: page 13 of http://") && said.contains(cause), "{said}");
}

#[tokio::test]
async fn an_upstream_that_says_when_to_come_again_has_not_failed() {
    let upstream = Upstream::scripted(120, |asked, page| match (asked.attempt, asked.page % 2) {
        (1, 0) => Reply::Whole(answer(429, &[("retry-after", "0")], "")),
        (1, _) => Reply::Whole(answer(503, &[("retry-after", "0")], "")),
        _ => Reply::Whole(page),
    })
    .await;
    let lines = format!("retry = {{ attempts = 2, base = \"1ms\" }}\n{CURSOR}");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders?limit=20").await;
    assert!(received.whole() == orders(120));
    assert_eq!(attempts(&upstream.asked()), [2; 6]);
}

/// Collections where the next place follows from what came.
const BY_WHAT_CAME: [&str; 2] = ["/offset/orders", "/keyset/orders"];

/// Page size of a request.
fn size(asked: &Asked) -> Option<u64> {
    let url = url::Url::parse(&format!("http://a{}", asked.target)).unwrap();
    let size = |name: &str| matches!(name, "limit" | "size" | "per_page");
    url.query_pairs().find(|(name, _)| size(name)).and_then(|(_, value)| value.parse().ok())
}

/// The parameter that asks for the size, with another value.
fn resized(asked: &Asked, size: u64) -> String {
    let name = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| name == "limit");
    let (path, query) = asked.target.split_once('?').unwrap();
    let other = |pair: &str| if name(pair) { format!("limit={size}") } else { pair.to_owned() };
    format!("{path}?{}", query.split('&').map(other).collect::<Vec<_>>().join("&"))
}

/// Number of orders in a page.
fn held_in(answer: &Response<Bytes>) -> usize {
    let page: serde_json::Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    ["data", "items"].iter().find_map(|name| page[name].as_array()).map_or(0, Vec::len)
}

fn of_width(upstream: &Upstream, width: usize) -> String {
    demo(upstream).replace("\nmethod", &format!("\nwidth = {width}\nmethod"))
}

#[tokio::test]
async fn an_upstream_that_fails_at_large_pages_is_asked_for_smaller_ones() {
    for path in BY_WHAT_CAME {
        for width in [1, 2, 6] {
            // From the third page on it can't bear more than 12 records at a time.
            let upstream = Upstream::scripted(1000, move |asked, answer| match held_in(&answer) {
                records if records > 12 && asked.page > 2 => Reply::status(500),
                _ => Reply::Whole(answer),
            })
            .await;
            let proxy = Proxy::start(&of_width(&upstream, width)).await;
            let received = ask(Version::Http1, &proxy, &Method::GET, &format!("{path}?limit=40")).await;
            assert!(received.broken.is_none(), "{path}: {:?} after {} bytes", received.broken, received.body.len());
            assert!(received.whole() == orders(1000), "{path}");
            let sizes: std::collections::BTreeSet<_> = upstream.asked().iter().filter_map(size).collect();
            assert_eq!(sizes, [10, 20, 40].into(), "{path}");
        }
    }
}

#[tokio::test]
async fn pages_that_another_size_would_move_keep_their_size() {
    for path in ["/link/orders?per_page=40", "/cursor/orders?limit=40", "/page/orders?size=40"] {
        let upstream = Upstream::scripted(200, |asked, answer| match asked.page {
            3 => Reply::status(500),
            _ => Reply::Whole(answer),
        })
        .await;
        let proxy = Proxy::start(&of_width(&upstream, 1)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, path).await;
        assert!(received.cut(), "{path}: {:?}", received.broken);
        assert_eq!(attempts(&upstream.asked()), [1, 1, 3], "{path}");
    }
}

#[tokio::test]
async fn an_upstream_that_changes_the_size_loses_no_record() {
    // What it gives where it is asked for this many: one that ignores the size, and one that rounds it down.
    let given: [fn(u64) -> u64; 2] = [|_| 40, |size| if size < 40 { 2 } else { size }];
    for path in BY_WHAT_CAME {
        for given in given {
            let legacy = unpage::demo::Legacy::of(200);
            let upstream = Upstream::scripted(200, move |asked, answer| match (asked.page, size(asked)) {
                (3, _) => Reply::status(502),
                (_, None) => Reply::Whole(answer),
                (_, Some(size)) => {
                    let target = resized(asked, given(size)).parse().unwrap();
                    Reply::Whole(legacy.answer(&asked.method, &target, &asked.headers, &asked.body))
                }
            })
            .await;
            let proxy = Proxy::start(&of_width(&upstream, 1)).await;
            let received = ask(Version::Http1, &proxy, &Method::GET, &format!("{path}?limit=40")).await;
            assert!(received.whole() == orders(200), "{path}");
        }
    }
}

#[tokio::test]
async fn a_page_that_has_begun_is_no_end_in_any_size() {
    let upstream = Upstream::scripted(200, |asked, answer| match (asked.page, asked.attempt) {
        (3, 1) => Reply::Cut(answer, Framing::Length),
        (3, _) => Reply::status(502),
        (4.., _) => Reply::status(404),
        _ => Reply::Whole(answer),
    })
    .await;
    let lines = "records = \"data\"\nwidth = 1\npage_size = { param = \"limit\", max = 1000 }\n\
        pagination = { type = \"keyset\", key = \"id\", param = \"starting_after\", end = { status = 404 } }";
    let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/keyset/orders?limit=40").await;
    assert!(received.cut(), "{:?}", received.broken);
    assert_eq!(attempts(&upstream.asked()), [1, 1, 3]);
}

#[tokio::test]
async fn after_a_short_outage_pages_grow_back() {
    for path in BY_WHAT_CAME {
        let failed = AtomicUsize::new(0);
        // Sixteen times it fails: five sizes, three times each, and once at the last.
        let upstream = Upstream::scripted(1000, move |asked, answer| {
            let is_out = asked.page > 2 && failed.fetch_add(1, Ordering::Relaxed) < 16;
            if is_out { Reply::status(502) } else { Reply::Whole(answer) }
        })
        .await;
        let proxy = Proxy::start(&of_width(&upstream, 1).replace("attempts = 3", "attempts = 5")).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, &format!("{path}?limit=40")).await;
        assert!(received.whole() == orders(1000), "{path}: {:?}", received.broken);
        let asked = upstream.asked();
        let mut sizes: Vec<_> = asked.iter().filter_map(size).collect();
        // In large pages they would be 26, and in those of one record 920.
        assert!(sizes.len() < 110, "{path}: {sizes:?}");
        sizes.dedup();
        assert_eq!(sizes, [40, 20, 10, 5, 2, 1, 2, 4, 8, 16, 32, 40], "{path}");
    }
}

#[tokio::test]
async fn an_upstream_that_has_said_when_to_come_again_is_not_asked_for_less() {
    for (retry, status, headers, times) in [
        ("attempts = 5, base = \"1ms\", cap = \"2s\"", 503, Some(("retry-after", "3600")), 1),
        ("attempts = 5, base = \"1ms\", cap = \"2s\"", 500, Some(("retry-after", "3600")), 1),
        ("attempts = 5, base = \"1ms\", cap = \"2s\"", 502, Some(("retry-after", "0")), 5),
        ("attempts = 5, base = \"1ms\", cap = \"2s\"", 503, None, 5),
        ("attempts = 1", 502, None, 1),
    ] {
        let upstream = Upstream::scripted(200, move |asked, page| match asked.page {
            1 => Reply::Whole(page),
            _ => Reply::Whole(answer(status, headers.as_slice(), "")),
        })
        .await;
        let config = of_width(&upstream, 1).replace(RETRY, &format!("retry = {{ {retry} }}"));
        let proxy = Proxy::start(&config).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/offset/orders?limit=40").await;
        assert!(received.cut(), "{retry}, {status}: {:?}", received.broken);
        assert_eq!(attempts(&upstream.asked()), [1, times], "{retry}, {status}");
    }
}
