//! Whole streams: every record of a collection once, byte for byte, and no page asked for twice.

use std::collections::HashSet;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use unpage::config::{Config, Machine};
use unpage::demo::Order;

use super::client::{self, BOTH, Received, Version};
use super::proxy::{Proxy, collection, demo};
use super::upstream::{Framing, Gate, Reply, Upstream, answer};

/// The most orders on a page of the upstream's.
const PAGE: u64 = 50;

/// The first this many orders as NDJSON.
pub(super) fn orders(count: u64) -> String {
    (1..=count).map(|number| format!("{}\n", Order(number))).collect()
}

/// Asks for a collection of the demo's as a stream.
pub(super) async fn ask(version: Version, proxy: &Proxy, method: &Method, path: &str) -> Received {
    let request = Request::builder().method(method).uri(path).header(header::ACCEPT, "application/x-ndjson");
    client::receive(version, proxy.address, request.body(Full::default()).unwrap()).await
}

/// Path and method of every collection of the demo's.
pub(super) fn collections(upstream: &Upstream) -> Vec<(String, Method)> {
    let config = Config::read(&demo(upstream), "the demo", &Machine).unwrap();
    let collections: Vec<_> =
        config.collections.iter().map(|collection| (collection.path.clone(), collection.method.clone())).collect();
    assert_eq!(collections.len(), 14);
    collections
}

/// Number of requests for a crawl: one a page, and one more where only that proves the end.
fn needed(path: &str, records: u64) -> u64 {
    let pages = records.div_ceil(PAGE).max(1);
    let counted = matches!(path, "/page/orders" | "/offset/orders");
    // A count that agrees may be that of one page; a last page that is shorter than the others agrees with it.
    let probed = counted && records > 0 && (pages == 1 || records.is_multiple_of(PAGE));
    pages + u64::from(probed)
}

#[tokio::test]
async fn every_collection_is_the_orders_byte_for_byte() {
    let mut cases = 0;
    for records in [0, 1, 100, 101, 2_500] {
        let upstream = Upstream::of(records).await;
        let proxy = Proxy::before(&upstream).await;
        for (path, method) in collections(&upstream) {
            if path == "/none/orders" && records > PAGE {
                continue;
            }
            for version in BOTH {
                let received = ask(version, &proxy, &method, &path).await;
                let case = format!("{records} records of {path} over {version:?}");
                assert_eq!(received.head.status, 200, "{case}: {}", String::from_utf8_lossy(&received.body));
                assert!(received.whole() == orders(records), "{case}: {}", received.whole());
                let asked = upstream.forget();
                let pages: HashSet<_> = asked.iter().map(|asked| asked.page).collect();
                assert_eq!((asked.len(), pages.len() as u64), (pages.len(), needed(&path, records)), "{case}");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, (5 * 14 - 3) * 2);
}

#[tokio::test]
async fn a_single_page_that_is_not_the_whole_is_no_stream() {
    let upstream = Upstream::of(PAGE + 1).await;
    let proxy = Proxy::before(&upstream).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/none/orders").await;
    assert_eq!(received.head.status, 502);
    assert!(received.whole().contains("50 records came, and the upstream's total is 51"), "{}", received.whole());
}

#[tokio::test]
async fn the_head_says_what_was_asked() {
    let upstream = Upstream::of(3).await;
    let proxy = Proxy::before(&upstream).await;
    let cases = [
        ("/link/orders", "application/x-ndjson", "application/x-ndjson"),
        ("/link/orders", "application/ndjson", "application/ndjson"),
        ("/link/orders", "application/jsonl", "application/jsonl"),
        ("/link/orders", "text/html;q=0.1, application/jsonlines", "application/jsonlines"),
        ("/link/orders?_format=ndjson", "*/*", "application/x-ndjson"),
        ("/link/orders?_format=jsonl", "text/html", "application/jsonl"),
        ("/link/orders?a=1&_format=ndjson&b=2", "application/json", "application/x-ndjson"),
    ];
    for version in BOTH {
        for (target, accept, media_type) in cases {
            let received = client::receive(version, proxy.address, client::get(target, accept)).await;
            assert_eq!(received.whole(), orders(3), "{target} {accept}");
            let fields = ["content-type", "vary", "accept-ranges", "cache-control", "x-accel-buffering", "via"];
            let fields = fields.map(|name| received.header(name).unwrap_or_default());
            assert_eq!(
                fields,
                [media_type, "accept, accept-encoding", "bytes", "no-store, no-transform", "no", "1.1 unpage"],
                "{target} {accept}"
            );
            assert!(received.header("content-length").is_none());
        }
    }
    for asked in upstream.asked() {
        assert!(!asked.target.contains("_format"), "{}", asked.target);
    }
}

#[tokio::test]
async fn the_head_says_whether_a_preferred_order_was_applied() {
    let upstream = Upstream::of(3).await;
    let parts = "partition = { param = \"customer\", values = [\"nobody\"] }";
    let lines = ["", parts, "order = \"any\"\n"].map(|lines| {
        let pagination = "records = \"$\"\npagination = { type = \"link_header\" }";
        let parts = if lines.starts_with("order") { format!("{parts}\n{lines}") } else { lines.to_owned() };
        collection(&upstream.url(), &format!("{pagination}\n{parts}"))
    });
    let [plain, listed, any] = &lines;
    let cases = [
        (plain, "order=any", [None, Some("accept, accept-encoding")]),
        (listed, "Order=Any", [Some("order=any"), Some("accept, accept-encoding, prefer")]),
        (listed, "return=minimal, order=\"any\"; x", [Some("order=any"), Some("accept, accept-encoding, prefer")]),
        (listed, "order=listed", [Some("order=listed"), Some("accept, accept-encoding, prefer")]),
        (listed, "order=sorted", [None, Some("accept, accept-encoding, prefer")]),
        (any, "order=listed", [Some("order=listed"), Some("accept, accept-encoding, prefer")]),
        (any, "respond-async", [None, Some("accept, accept-encoding, prefer")]),
    ];
    for version in BOTH {
        for (configured, prefer, expected) in &cases {
            let proxy = Proxy::start(configured).await;
            for method in [Method::HEAD, Method::GET] {
                let mut request = client::stream("/link/orders");
                *request.method_mut() = method;
                request.headers_mut().insert("prefer", prefer.parse().unwrap());
                let received = client::receive(version, proxy.address, request).await;
                assert_eq!(received.head.status, 200, "{prefer}");
                let said = ["preference-applied", "vary"].map(|name| received.header(name));
                assert_eq!(said, *expected, "{prefer} {configured}");
            }
        }
    }
    assert!(!upstream.asked().is_empty());
}

#[tokio::test]
async fn a_head_request_costs_the_first_page_and_sends_no_body() {
    let upstream = Upstream::of(2_500).await;
    let proxy = Proxy::before(&upstream).await;
    for version in BOTH {
        let mut request = client::stream("/cursor/orders");
        *request.method_mut() = Method::HEAD;
        // Not what another one has begun.
        request.headers_mut().insert("cache-control", "no-cache".parse().unwrap());
        let received = client::receive(version, proxy.address, request).await;
        assert_eq!((received.head.status.as_u16(), received.whole()), (200, ""));
        assert_eq!(received.header("content-type"), Some("application/x-ndjson"));
        assert_eq!(upstream.asked().len(), 1);
        assert_eq!(upstream.forget()[0].method, Method::GET);
    }
    let request = "HEAD /cursor/orders HTTP/1.1\r\nHost: p\r\nAccept: application/x-ndjson\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n";
    let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n") && received.ends_with("\r\n\r\n"), "{received}");
    assert_eq!(upstream.asked().len(), 1);
}

/// Records that any parser would change, each as it must come out.
const SPELLINGS: [&str; 12] = [
    r#"{"n":123456789012345678901234567890123456789}"#,
    r#"{"n":1.0,"m":1e400,"z":-0,"e":1E+2,"f":0.10000000000000000001}"#,
    r#"{"b":1,"a":2,"b":3,"":null}"#,
    r#"{"s":"\u00e9\/\n\t\\\"\ud83d\ude9a","t":"é🚚"}"#,
    r#"{"lone":"\ud83d"}"#,
    r#"{"deep":[[[[{"a":[]}]]]],"text":"]}, {["}"#,
    r#""a text""#,
    "17",
    "true",
    "null",
    "[]",
    "{}",
];

#[tokio::test]
async fn records_keep_their_own_bytes() {
    let page = format!("{{\"data\":[{}]}}", SPELLINGS.join(","));
    let upstream = Upstream::scripted(0, move |_, _| Reply::json(page.clone())).await;
    let proxy = Proxy::start(&collection(&upstream.url(), "records = \"data\"\npagination = \"none\"")).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/").await;
        assert_eq!(received.whole().lines().collect::<Vec<_>>(), SPELLINGS);
    }
}

#[tokio::test]
async fn a_pretty_page_becomes_one_line_a_record() {
    let page =
        "\u{feff}\r\n[\r\n  {\n    \"id\": 1,\r\n\t\"tags\": [\n \"a\\nb\"\n]\n  }\n ,\n\n\n2\n,\"\u{2028}\"\r\n]\r\n";
    let upstream = Upstream::scripted(0, move |_, _| Reply::json(page)).await;
    let proxy = Proxy::start(&collection(&upstream.url(), "records = \"$\"\npagination = \"none\"")).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
    let expected = "{     \"id\": 1,   \"tags\": [  \"a\\nb\" ]   }\n2\n\"\u{2028}\"\n";
    assert_eq!(received.whole(), expected);
}

#[tokio::test]
async fn a_page_may_come_in_any_pieces() {
    let upstream = Upstream::scripted(60, |asked, answer| {
        let mut raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
        let size = 1 + asked.page * 6;
        for chunk in answer.body().chunks(size) {
            raw.extend(format!("{:X};x=y\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
        }
        raw.extend(b"0\r\nX-Trailer: 1\r\n\r\n");
        Reply::Raw(raw)
    })
    .await;
    let proxy = Proxy::before(&upstream).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
    assert_eq!(received.whole(), orders(60));
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn records_leave_while_the_next_page_is_waited_for() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(120, move |asked, answer| match asked.page {
            2 => held.before(Reply::Whole(answer)),
            _ => Reply::Whole(answer),
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let mut response = client::send(version, proxy.address, client::stream("/cursor/orders")).await;
        gate.reached().await;
        let first = client::lines(response.body_mut(), 49).await;
        gate.open();
        let rest = Received::read(response).await;
        assert_eq!([first, rest.body.clone()].concat(), orders(120).as_bytes());
        assert!(rest.broken.is_none());
    }
}

#[tokio::test]
async fn many_streams_share_one_connection() {
    let upstream = Upstream::of(1_000).await;
    let proxy = Proxy::before(&upstream).await;
    let io = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(proxy.address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(executor, io).await.unwrap();
    tokio::spawn(connection);
    let mut streams = tokio::task::JoinSet::new();
    for (path, method) in collections(&upstream).into_iter().filter(|(path, _)| path != "/none/orders") {
        let mut sender = sender.clone();
        let url = format!("http://{}{path}", proxy.address);
        let request = Request::builder().method(method).uri(url).header(header::ACCEPT, "application/ndjson");
        streams.spawn(async move {
            Received::read(sender.send_request(request.body(Full::default()).unwrap()).await.unwrap()).await
        });
    }
    let received = streams.join_all().await;
    assert_eq!(received.len(), 13);
    for stream in received {
        assert!(stream.whole() == orders(1_000));
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_whole_stream() {
    let upstream = Upstream::of(60).await;
    let proxy = Proxy::before(&upstream).await;
    let one = "GET /cursor/orders HTTP/1.1\r\nHost: p\r\nAccept: application/x-ndjson\r\n\r\n";
    let two = "GET /cursor/orders?_format=jsonl HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
    let received = String::from_utf8(client::raw(proxy.address, format!("{one}{two}")).await).unwrap();
    assert_eq!(received.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{received}");
    assert_eq!(received.matches("\r\n0\r\n\r\n").count(), 2, "{received}");
}

#[tokio::test]
async fn an_answer_without_content_is_an_empty_page() {
    let upstream = Upstream::scripted(0, |_, _| Reply::Whole(answer(204, &[], ""))).await;
    let lines = "records = \"data\"\nrecords_optional = true\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }";
    let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
    assert_eq!((received.head.status.as_u16(), received.whole()), (200, ""));
}

/// Config of a cursor with further keys.
fn by_token(keys: &str) -> String {
    format!(
        "records = \"data\"\nretry = {{ base = \"1ms\" }}\npagination = {{ type = \"cursor\", next = \"next\", param = \"after\", {keys} }}"
    )
}

#[tokio::test]
async fn a_lost_answer_behind_a_handle_breaks_the_stream_and_is_not_requested_again() {
    let page = |number: usize| {
        let data = if number < 3 { format!("[{{\"id\":{number}}}]") } else { "[]".to_owned() };
        Reply::json(format!("{{\"data\":{data},\"next\":\"h\"}}"))
    };
    for (trouble, asked, is_whole) in [(0, 4, true), (429, 5, true), (503, 2, false), (500, 2, false), (1, 2, false)] {
        let upstream = Upstream::scripted(0, move |asked, _| match (asked.page + asked.attempt - 2, trouble) {
            (1, 429 | 503) => Reply::Whole(answer(trouble, &[("retry-after", "0")], "")),
            (1, 500) => Reply::status(500),
            (1, 1) => Reply::Cut(answer(200, &[], "{\"data\":[{\"id\":7}],\"next\":\"h\"}"), Framing::Length),
            (turn, trouble) => page(turn - usize::from(trouble == 429 && turn > 1)),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), &by_token("same_token = \"again\""))).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        let is_clean = received.head.status == 200 && received.broken.is_none();
        assert_eq!((is_clean, upstream.asked().len()), (is_whole, asked), "{trouble}: {:?}", received.body);
        if is_whole {
            assert_eq!(received.whole(), "{\"id\":0}\n{\"id\":1}\n{\"id\":2}\n");
        }
    }
}

#[tokio::test]
async fn cookies_of_the_first_page_go_with_all_later_ones() {
    for (keys, cookie) in [("cookies = true\n", Some("session=s1")), ("", None)] {
        let upstream = Upstream::scripted(0, |asked, _| {
            let next = if asked.page < 3 { format!("\"t{}\"", asked.page) } else { "null".to_owned() };
            let body = format!("{{\"data\":[{}],\"next\":{next}}}", asked.page);
            Reply::Whole(answer(200, &[("set-cookie", "session=s1; Path=/; HttpOnly")], body))
        })
        .await;
        let lines = format!("{keys}{}", by_token("end = \"no_next\""));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.whole(), "1\n2\n3\n");
        let sent: Vec<_> = upstream.asked().iter().map(|asked| asked.header("cookie").map(ToOwned::to_owned)).collect();
        let cookie = cookie.map(ToOwned::to_owned);
        assert_eq!(sent, [None, cookie.clone(), cookie]);
    }
}

#[tokio::test]
async fn a_stream_may_be_requested_with_the_first_page_in_its_url() {
    let upstream = Upstream::of(70).await;
    let proxy = Proxy::before(&upstream).await;
    for target in ["/page/orders?page=1", "/offset/orders?offset=0"] {
        let received = ask(Version::Http1, &proxy, &Method::GET, target).await;
        assert_eq!(received.head.headers["content-type"], "application/x-ndjson", "{target}");
        assert_eq!(received.whole(), orders(70), "{target}");
    }
    let received = ask(Version::Http1, &proxy, &Method::GET, "/page/orders?page=2").await;
    assert_eq!(received.head.headers["content-type"], "application/json");
}

#[tokio::test]
async fn lines_need_an_end_of_their_own() {
    for (framing, is_whole) in [(Framing::Length, true), (Framing::Chunked, true), (Framing::Close, false)] {
        let page = "{\"id\":1}\n{\"id\":2}\n";
        let upstream = Upstream::scripted(0, move |_, _| match framing {
            Framing::Length => Reply::Whole(answer(200, &[], page)),
            Framing::Chunked => Reply::Raw(
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{page}\r\n0\r\n\r\n").into(),
            ),
            Framing::Close => Reply::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{page}").into()),
        })
        .await;
        let lines = "records = \"$\"\nencoding = \"ndjson\"\npagination = \"link_header\"";
        let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.head.status == 200, is_whole, "{}", received.whole());
        assert!(is_whole || received.whole().contains("lines end where"), "{}", received.whole());
    }
}

#[tokio::test]
async fn a_line_or_one_record_that_is_an_error_breaks_the_stream() {
    for (keys, page, is_whole) in [
        ("records = \"$\"\nencoding = \"ndjson\"", "{\"id\":1}\n{\"id\":2,\"error\":\"late\"}\n", true),
        ("records = \"$\"\nencoding = \"ndjson\"", "{\"id\":1}\n{\"error\":\"stream aborted\"}\n", false),
        ("records = { path = \"$\", as = \"one_or_more\" }", "{\"error\":\"internal failure\"}", false),
    ] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::Whole(answer(200, &[], page))).await;
        let lines = format!("{keys}\npagination = \"none\"");
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        let is_clean = received.head.status == 200 && received.broken.is_none();
        assert_eq!((is_clean, upstream.asked().is_empty()), (is_whole, false), "{page}: {:?}", received.body);
    }
}
