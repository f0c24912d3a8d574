//! Broken streams: for every fault, what a client has is a strict prefix that ends inside a record, and the protocol says so.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, BOTH, Received, Version};
use super::codings::{gzip, labelled, zstd_bomb};
use super::proxy::{Process, Proxy, collection, demo};
use super::streams::{ask, collections, orders};
use super::upstream::{Asked, Framing, Gate, Reply, Upstream, answer};

/// The page on which the faults strike; two whole ones of 50 orders came before it.
const BROKEN: usize = 3;

/// Faults of an upstream in a page; the answer is the correct one.
type Fault = fn(&Asked, Response<Bytes>) -> Reply;

/// Faults that are none of a pagination's own.
const FAULTS: [(&str, Fault); 23] = [
    ("500 for ever", |_, _| Reply::status(500)),
    ("503 for ever", |_, _| Reply::Whole(answer(503, &[("retry-after", "0")], "busy"))),
    ("429 that demands a week", |_, _| Reply::Whole(answer(429, &[("retry-after", "604800")], ""))),
    ("404", |_, _| Reply::status(404)),
    ("401", |_, _| Reply::status(401)),
    ("a success that is no page", |_, answer| {
        let (mut head, body) = answer.into_parts();
        head.status = http::StatusCode::ACCEPTED;
        Reply::Whole(Response::from_parts(head, body))
    }),
    ("a redirect", |_, _| Reply::Whole(answer(302, &[("location", "/login")], ""))),
    ("a closed connection", |_, _| Reply::Raw(Vec::new())),
    ("a cut head", |_, _| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec())),
    ("a short body", |_, answer| Reply::Cut(answer, Framing::Length)),
    ("a cut chunked body", |_, answer| Reply::Cut(answer, Framing::Chunked)),
    ("a cut body that only its connection ends", |_, answer| Reply::Cut(answer, Framing::Close)),
    ("silence in a body", |_, _| Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"da".to_vec())),
    ("silence", |_, _| Reply::Stall(Vec::new())),
    ("an empty body", |_, _| Reply::json("")),
    ("malformed JSON", |_, _| Reply::json("{\"data\": [{\"id\": 1}, {\"id\": ]}")),
    ("HTML with 200", |_, _| Reply::Whole(answer(200, &[("content-type", "text/html")], "<html>Log in</html>"))),
    ("an error with 200", |_, _| Reply::json("{\"error\": \"try later\"}")),
    ("a body that is not in its coding", |_, mut answer| {
        answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        Reply::Whole(answer)
    }),
    ("bytes that are no UTF-8", |_, _| Reply::json(&b"{\"data\": [\"\xff\"]}"[..])),
    ("gzip without its end", |_, answer| {
        let body = gzip(answer.body());
        Reply::Whole(labelled(answer, "gzip", body[..body.len() - 1].to_vec()))
    }),
    ("gzip that goes on", |_, answer| {
        let body = [gzip(answer.body()), gzip(b"")].concat();
        Reply::Whole(labelled(answer, "gzip", body))
    }),
    ("a bomb", |_, answer| Reply::Whole(labelled(answer, "zstd", zstd_bomb()))),
];

/// Time limits that make silence a fault within a test.
const LIMITS: &str = "timeouts = { connect = \"200ms\", head = \"300ms\", idle = \"300ms\" }";

/// An upstream of 200 orders whose third page is broken so.
async fn broken(fault: impl Fn(&Asked, Response<Bytes>) -> Reply + Send + Sync + 'static) -> Upstream {
    let script = move |asked: &Asked, answer| match asked.page {
        BROKEN => fault(asked, answer),
        _ => Reply::Whole(answer),
    };
    Upstream::scripted(200, script).await
}

/// Records of a page before it broke: none, or all but the last.
const NOTHING: RangeInclusive<u64> = 100..=100;
const SOMETHING: RangeInclusive<u64> = 100..=149;

/// Returns true for a strict prefix of NDJSON with this many of the orders, the last of them without its end.
pub(super) fn assert_cut(body: &[u8], whole: RangeInclusive<u64>, case: &str) {
    let expected = |count| orders(count).strip_suffix("}\n").unwrap_or_default().to_owned();
    let newlines = body.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(whole.contains(&(newlines + 1)), "{case}: {newlines} records and a cut one, not {whole:?}");
    assert!(body == expected(newlines + 1).as_bytes(), "{case}: {}", String::from_utf8_lossy(body));
    let last = body.split(|byte| *byte == b'\n').next_back().unwrap();
    assert!(serde_json::from_slice::<Value>(last).is_err(), "{case}: the last line is a whole record");
}

/// Signal of a broken stream in each protocol.
pub(super) fn assert_told(received: &Received, version: Version, case: &str) {
    assert_eq!(received.head.status, 200, "{case}: {}", String::from_utf8_lossy(&received.body));
    match version {
        Version::Http1 => assert!(received.cut(), "{case}: {:?}", received.broken),
        Version::Http2 => assert_eq!(received.reset(), Some(h2::Reason::INTERNAL_ERROR), "{case}"),
    }
}

/// The same over bare TCP: everything whole is flushed, the last chunk is missing, and the end is a FIN.
async fn assert_cut_on_the_wire(proxy: &Proxy, method: &Method, path: &str, whole: RangeInclusive<u64>, case: &str) {
    let head = "Host: p\r\nAccept: application/x-ndjson\r\nContent-Length: 0\r\n\r\n";
    let received = client::raw(proxy.address, format!("{method} {path} HTTP/1.1\r\n{head}")).await;
    let body_at = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{case}");
    let mut chunks = &received[body_at..];
    let mut body = Vec::new();
    while !chunks.is_empty() {
        let line = chunks.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).unwrap(), 16).unwrap();
        assert!(size > 0, "{case}: a last chunk");
        let (chunk, rest) = chunks[line + 2..].split_at(size);
        body.extend_from_slice(chunk);
        chunks = rest.strip_prefix(b"\r\n").unwrap();
    }
    assert_cut(&body, whole, case);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_breaks_the_stream_where_a_client_sees_it() {
    let mut cases = tokio::task::JoinSet::new();
    for (name, fault) in FAULTS {
        cases.spawn(async move {
            let upstream = broken(fault).await;
            // A body that breaks off has brought records by then.
            let whole = if name.contains("body") && name != "an empty body" { SOMETHING } else { NOTHING };
            let limits = if name.starts_with("silen") { format!("\n{LIMITS}\nmethod") } else { "\nmethod".to_owned() };
            let proxy = Proxy::start(&demo(&upstream).replace("\nmethod", &limits)).await;
            for version in BOTH {
                let case = format!("{name} over {version:?}");
                let received = ask(version, &proxy, &Method::GET, "/cursor/orders").await;
                assert_told(&received, version, &case);
                assert_cut(&received.body, whole.clone(), &case);
            }
            assert_cut_on_the_wire(&proxy, &Method::GET, "/cursor/orders", whole, name).await;
        });
    }
    assert_eq!(cases.join_all().await.len(), FAULTS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pagination_breaks_alike() {
    let mut cases = tokio::task::JoinSet::new();
    for (name, fault) in [FAULTS[3], FAULTS[9], FAULTS[14], FAULTS[16]] {
        cases.spawn(async move {
            let upstream = broken(fault).await;
            // The third page that is asked for is the third page.
            let proxy = Proxy::start(&demo(&upstream).replace("\nmethod", "\nwidth = 1\nmethod")).await;
            for (path, method) in collections(&upstream) {
                // It has no third page, or is read on from an earlier key.
                if path == "/none/orders" || path == "/keyset/orders" && name == "404" {
                    continue;
                }
                upstream.forget();
                let case = format!("{name} on {path}");
                let received = ask(Version::Http2, &proxy, &method, &path).await;
                assert_told(&received, Version::Http2, &case);
                let whole = if name == "a short body" { SOMETHING } else { NOTHING };
                assert_cut(&received.body, whole, &case);
            }
        });
    }
    assert_eq!(cases.join_all().await.len(), 4);
}

/// Pages that are well-formed and lead nowhere: what a stream must not follow, and how many records it has by then.
const CYCLES: [(&str, Fault, RangeInclusive<u64>); 5] = [
    (
        "the token that was just sent",
        |asked, answer| with_cursor(&answer, asked.target.split("cursor=").nth(1)),
        SOMETHING,
    ),
    ("the first page's token", |_, answer| with_cursor(&answer, Some("aWQ%2BNTA%3D")), SOMETHING),
    ("a token that is a number", |_, answer| with_cursor_of(&answer, &Value::from(7)), 150..=150),
    ("a token that is an object", |_, answer| with_cursor_of(&answer, &serde_json::json!({ "a": 1 })), SOMETHING),
    (
        "the second page's records",
        |asked, answer| match asked.page {
            BROKEN => {
                let page = String::from_utf8(answer.body().to_vec()).unwrap();
                let shown = (101..=150).zip(51..=100).fold(page, |page, (now, before)| {
                    page.replace(&unpage::demo::Order(now).to_string(), &unpage::demo::Order(before).to_string())
                });
                Reply::json(shown)
            }
            _ => Reply::Whole(answer),
        },
        NOTHING,
    ),
];

fn with_cursor(answer: &Response<Bytes>, token: Option<&str>) -> Reply {
    let token = token.unwrap_or_default().split('&').next().unwrap();
    let token = percent_encoding::percent_decode_str(token).decode_utf8().unwrap();
    with_cursor_of(answer, &Value::from(token))
}

fn with_cursor_of(answer: &Response<Bytes>, token: &Value) -> Reply {
    let page = std::str::from_utf8(answer.body()).unwrap();
    let (records, _) = page.rsplit_once("\"next_cursor\":").unwrap();
    Reply::json(format!("{records}\"next_cursor\":{token}}}}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_is_not_an_end() {
    let mut cases = tokio::task::JoinSet::new();
    for (name, fault, whole) in CYCLES {
        cases.spawn(async move {
            let upstream = broken(fault).await;
            let proxy = Proxy::before(&upstream).await;
            let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
            assert_told(&received, Version::Http1, name);
            assert_cut(&received.body, whole, name);
        });
    }
    assert_eq!(cases.join_all().await.len(), CYCLES.len());
}

#[tokio::test]
async fn a_hostile_link_is_not_an_end() {
    let links =
        ["http://elsewhere.example/orders", "//evil.example/", "file:///etc/passwd", "http://a:b@HOST/", "http://"];
    for link in links {
        let upstream = broken(move |asked, _| {
            let link = link.replace("HOST", asked.header("host").unwrap());
            let orders: Vec<_> = orders(150).lines().skip(100).map(ToOwned::to_owned).collect();
            Reply::json(format!("{{\"results\":[{}],\"next\":\"{link}\",\"count\":200}}", orders.join(",")))
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/next_url/orders").await;
        assert_told(&received, Version::Http1, link);
        assert_cut(&received.body, SOMETHING, link);
        assert_eq!(upstream.asked().len(), BROKEN, "{link}");
    }
}

#[tokio::test]
async fn a_cap_is_not_an_end() {
    let large: Fault = |_, _| {
        let text = "x".repeat(20_000);
        Reply::json(format!("{{\"data\":[{{\"text\":\"{text}\"}}],\"meta\":{{\"next_cursor\":null}}}}"))
    };
    let as_ever: Fault = |_, answer| Reply::Whole(answer);
    // Of a page that leads over a cap at least the last record is missing.
    for (cap, third, whole) in [
        ("caps = { pages = 2 }", as_ever, 50..=99),
        ("limits = { max_pages = 2 }", as_ever, 50..=99),
        ("limits = { max_results = 120 }", as_ever, SOMETHING),
        ("caps = { page = \"20kB\" }", large, NOTHING),
        ("caps = { record = \"1kB\" }", large, NOTHING),
    ] {
        let upstream = broken(third).await;
        let lines = "records = \"data\"\npage_size = { param = \"limit\", value = 50 }\n\
            pagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
        let proxy = Proxy::start(&collection(&upstream.url(), &format!("{cap}\n{lines}"))).await;
        let received = ask(Version::Http2, &proxy, &Method::GET, "/cursor/orders").await;
        assert_told(&received, Version::Http2, cap);
        assert_cut(&received.body, whole, cap);
    }
}

#[tokio::test]
async fn a_total_that_disagrees_is_not_an_end() {
    // Three pages and no more, against the total.
    for (path, total, lied) in [("/link/orders", 120, 121), ("/next_url/orders", 120, 121), ("/page/orders", 120, 121)]
    {
        let upstream = Upstream::scripted(total, move |_, answer| {
            let (mut head, body) = answer.into_parts();
            let body = String::from_utf8(body.to_vec()).unwrap();
            let body = ["count", "total"].iter().fold(body, |body, name| {
                body.replace(&format!("\"{name}\":{total},\""), &format!("\"{name}\":{lied},\""))
            });
            if head.headers.contains_key("x-total-count") {
                head.headers.insert("x-total-count", lied.into());
            }
            Reply::Whole(Response::from_parts(head, body.into()))
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let received = ask(Version::Http2, &proxy, &Method::GET, path).await;
        assert_told(&received, Version::Http2, path);
        // The records may all be there: that they are the whole is what is not known.
        assert!(orders(120).starts_with(std::str::from_utf8(&received.body).unwrap()), "{path}");
        assert!(received.body.len() < orders(120).len(), "{path}");
    }
}

#[tokio::test]
async fn an_upstream_that_dies_breaks_the_stream() {
    for version in BOTH {
        let upstream = Upstream::scripted(200, |asked, answer| match asked.page {
            2 => Reply::Last(answer),
            _ => Reply::Whole(answer),
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let received = ask(version, &proxy, &Method::GET, "/cursor/orders").await;
        assert_told(&received, version, "refused");
        assert_cut(&received.body, NOTHING, "refused");
    }
}

#[tokio::test]
async fn records_that_a_cut_would_leave_whole_are_held_back() {
    for last in ["17", "true", "null", "-1.5e3"] {
        let upstream = Upstream::scripted(0, move |asked, _| match asked.page {
            1 => Reply::json(format!("{{\"data\":[1,22,{last}],\"next\":\"a\"}}")),
            _ => Reply::status(404),
        })
        .await;
        let lines = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }";
        let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        assert_told(&received, Version::Http1, last);
        assert_eq!(received.body, b"1\n22\n");
    }
}

#[tokio::test]
async fn a_proxy_that_is_torn_down_never_ends_a_stream_well() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = broken(move |_, answer| held.before(Reply::Whole(answer))).await;
        let toml = demo(&upstream);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let proxy = runtime.spawn(async move { Proxy::start(&toml).await }).await.unwrap();
        let mut response = client::send(version, proxy.address, client::stream("/cursor/orders")).await;
        let mut body = client::lines(response.body_mut(), 99).await;
        gate.reached().await;
        runtime.shutdown_background();
        gate.left().await;
        let rest = Received::read(response).await;
        assert!(rest.broken.is_some(), "{version:?}");
        body.extend(rest.body);
        assert_cut(&body, NOTHING, "torn down");
    }
}

#[tokio::test]
async fn a_proxy_that_is_killed_leaves_a_cut_record() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = broken(move |_, answer| held.before(Reply::Whole(answer))).await;
        let process = Process::serve(&demo(&upstream)).await;
        let mut response = client::send(version, process.address, client::stream("/cursor/orders")).await;
        let mut body = client::lines(response.body_mut(), 99).await;
        gate.reached().await;
        process.signal(rustix::process::Signal::KILL);
        let rest = Received::read(response).await;
        assert!(rest.broken.is_some(), "{version:?}");
        body.extend(rest.body);
        assert_cut(&body, NOTHING, "killed");
    }
}

#[tokio::test]
async fn a_kill_while_the_page_behind_the_last_one_is_requested_is_resumed_to_the_same_end() {
    // A list that has shrunk by a page: its third page leads nowhere, and names a fourth.
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let page = asked.target.split_once("page=").map_or(1, |(_, page)| page.parse::<u64>().unwrap());
        let items: Vec<_> = (0..5).filter(|_| page < 4).map(|at| page * 5 + at).collect();
        let next = if page < 3 { format!(", \"next\": \"/list?page={}\"", page + 1) } else { String::new() };
        let answer =
            Reply::json(format!("{{\"total\": 15, \"total_pages\": 4, \"page\": {page}, \"items\": {items:?}{next}}}"));
        if page == 4 && asked.attempt == 1 { held.before(answer) } else { answer }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let lines = "records = \"items\"\npagination = { type = \"next_url\", next = \"next\" }";
    let toml = format!("[snapshots]\ndir = {:?}\n{}", folder.path(), collection(&upstream.url(), lines));
    let first = Process::serve(&toml).await;
    let response = client::send(Version::Http1, first.address, client::stream("/list")).await;
    let pinned = response.headers()["content-location"].to_str().unwrap().to_owned();
    gate.reached().await;
    first.signal(rustix::process::Signal::KILL);
    first.end().await;
    let before = upstream.asked().len();
    assert_eq!(before, 4);
    let second = Process::serve(&toml).await;
    let received = client::receive(Version::Http1, second.address, client::stream(&pinned)).await;
    let records: Vec<u64> = received.whole().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(records, (5..20).collect::<Vec<_>>());
    let again: Vec<_> = upstream.asked().into_iter().skip(before).map(|asked| asked.target).collect();
    assert!(again.last().unwrap().ends_with("page=4") && again.len() <= 2, "{again:?}");
    let status = client::get(&format!("{pinned}&_format=status"), "*/*");
    let status = client::receive(Version::Http1, second.address, status).await;
    let status = status.whole();
    assert!(status.contains("unverified") && status.contains("names its last page"), "{status}");
}

#[tokio::test]
async fn a_stream_under_way_ends_before_the_proxy_does() {
    for (version, signal) in BOTH.into_iter().zip([rustix::process::Signal::TERM, rustix::process::Signal::INT]) {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = broken(move |_, answer| held.before(Reply::Whole(answer))).await;
        let mut process = Process::serve(&demo(&upstream)).await;
        let response = client::send(version, process.address, client::stream("/cursor/orders")).await;
        gate.reached().await;
        process.signal(signal);
        process.wait_for("stopping").await;
        assert!(TcpStream::connect(process.address).await.is_err(), "it still accepts");
        gate.open();
        assert!(Received::read(response).await.whole() == orders(200));
        let (said, code) = process.end().await;
        assert_eq!(code, Some(0), "{said}");
    }
}

#[tokio::test]
async fn connections_without_a_request_do_not_delay_the_stop() {
    let upstream = Upstream::of(1).await;
    let proxy = Proxy::before(&upstream).await;
    let silent = TcpStream::connect(proxy.address).await.unwrap();
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();
    idle.write_all(b"HEAD /link/orders HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    idle.read_u8().await.unwrap();
    // The clock jumps as soon as nothing but a time limit is waited for: the shortest of the proxy's is longer than this.
    tokio::time::pause();
    tokio::time::timeout(Duration::from_secs(5), proxy.stop()).await.expect("the stop waits for who asks nothing");
    drop((silent, idle));
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_not_kept() {
    let upstream = Upstream::of(1).await;
    let proxy = Proxy::before(&upstream).await;
    client::receive(Version::Http1, proxy.address, client::get("/link/orders", "*/*")).await;
    tokio::time::pause();
    for start in ["", "G", "GET / HTTP/1.1\r\nHost: p\r\n"] {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(90), socket.read_to_end(&mut answer)).await;
        ended.unwrap_or_else(|_| panic!("{start:?} is kept for ever")).unwrap();
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_crawl() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = broken(move |_, answer| held.before(Reply::Whole(answer))).await;
        let proxy = Proxy::before(&upstream).await;
        let mut response = client::send(version, proxy.address, client::stream("/cursor/orders")).await;
        client::lines(response.body_mut(), 50).await;
        gate.reached().await;
        drop(response);
        gate.left().await;
        // A request that is answered now came after everything that the crawl could still have sent.
        let received = client::receive(version, proxy.address, client::get("/page/orders?page=1", "*/*")).await;
        assert_eq!(received.head.status, 200);
        assert_eq!(upstream.asked().len(), BROKEN + 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_stops_the_crawl_too() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(10, move |_, answer| held.before(Reply::Whole(answer))).await;
        let proxy = Proxy::before(&upstream).await;
        let address = proxy.address;
        let asking = tokio::spawn(client::send(version, address, client::stream("/cursor/orders")));
        gate.reached().await;
        asking.abort();
        gate.left().await;
    }
}

#[tokio::test]
async fn http10_gets_no_stream_that_only_its_connection_would_end() {
    let upstream = Upstream::of(60).await;
    let proxy = Proxy::before(&upstream).await;
    for request in [
        "GET /cursor/orders HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n",
        "GET /cursor/orders?_format=ndjson HTTP/1.0\r\nHost: p\r\n\r\n",
    ] {
        let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
        assert!(received.starts_with("HTTP/1.0 505 HTTP Version Not Supported\r\n"), "{received}");
        assert!(received.contains("content-type: application/problem+json\r\n"), "{received}");
        assert!(received.contains("proxy_http_version 1.1"), "{received}");
    }
    assert_eq!(upstream.asked().len(), 0);
    client::receive(Version::Http1, proxy.address, client::get("/page/orders", "*/*")).await;
}

#[tokio::test]
async fn a_part_of_no_snapshot_is_refused_before_the_upstream_is_asked() {
    let upstream = Upstream::of(60).await;
    let proxy = Proxy::before(&upstream).await;
    for version in BOTH {
        for (value, status) in [("bytes=100-", 412), ("records=1-2", 412), ("bytes=0-1,3-", 400)] {
            let mut request = client::stream("/cursor/orders");
            request.headers_mut().insert("range", value.parse().unwrap());
            let received = client::receive(version, proxy.address, request).await;
            assert_eq!(received.head.status, status, "{value}");
            assert_eq!(received.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(upstream.asked().len(), 0);
    client::receive(Version::Http1, proxy.address, client::get("/page/orders", "*/*")).await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_holds_the_upstream_back() {
    // Pages of 1 MB: what a window and some socket buffers hold is a fraction of all 400.
    let upstream = Upstream::scripted(0, |asked, _| {
        let next = asked.page + 1;
        let record = format!("{{\"page\":{},\"text\":\"{}\"}}", asked.page, "x".repeat(1 << 20));
        Reply::json(format!("{{\"data\":[{record}],\"next\":{}}}", if next > 400 { 0 } else { next }))
    })
    .await;
    let lines =
        "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"after\", end_values = [0] }";
    // What is kept of a snapshot may be ahead of its reader: there is little room for it.
    let toml = format!("[snapshots]\nmemory = \"2MiB\"\n{}", collection(&upstream.url(), lines));
    let proxy = Proxy::start(&toml).await;
    let mut response = client::send(Version::Http2, proxy.address, client::stream("/orders")).await;
    client::lines(response.body_mut(), 1).await;
    // The proxy can only wait for its client now; other requests are answered meanwhile.
    for _ in 0..50 {
        client::receive(Version::Http1, proxy.address, client::get("/orders?after=x", "*/*")).await;
    }
    let pages = upstream.asked().iter().filter(|asked| !asked.target.contains("after=x")).count();
    assert!(pages < 100, "{pages} pages were asked for");
}
