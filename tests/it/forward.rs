//! Requests for no stream: the upstream's own answer, as without a proxy.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;

use super::client::{self, BOTH, Version};
use super::proxy::{Process, Proxy, collection, run};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::upstream::{Asked, Framing, Gate, Reply, Upstream, answer, resetting};

/// A collection whose page parameter is `page`, under every path.
const PAGES: &str = "records = \"items\"\npagination = { type = \"page\", param = \"page\", start = 1 }";

/// A proxy in front of an upstream that answers everything like this.
async fn forwarding<S>(script: S) -> (Upstream, Proxy)
where
    S: Fn(&Asked) -> Reply + Send + Sync + 'static,
{
    let upstream = Upstream::scripted(1, move |asked, _| script(asked)).await;
    let proxy = Proxy::start(&collection(&upstream.url(), PAGES)).await;
    (upstream, proxy)
}

/// Header fields as sorted lines.
fn fields(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

fn empty(method: &str, target: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(target).body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_answer_is_passed_on_with_its_status_fields_and_body() {
    type Case = (u16, &'static [(&'static str, &'static str)], &'static str);
    let cases: [Case; 9] = [
        (200, &[("content-type", "text/html; charset=utf-8")], "<p>é</p>"),
        (200, &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-own", "1")], "{}"),
        (201, &[("location", "/orders/7")], "made"),
        (206, &[("content-range", "bytes 0-1/5")], "ab"),
        (302, &[("location", "http://elsewhere.example/")], ""),
        (304, &[("etag", "\"x\"")], ""),
        (401, &[("www-authenticate", "Basic realm=\"orders\"")], "who?"),
        (404, &[("content-type", "application/json")], "{\"error\":\"no such order\"}"),
        (503, &[("retry-after", "7")], "later"),
    ];
    for (status, headers, body) in cases {
        let (upstream, proxy) = forwarding(move |_| Reply::Whole(answer(status, headers, body))).await;
        for version in BOTH {
            let received = client::receive(version, proxy.address, client::get("/orders", "*/*")).await;
            assert_eq!((received.head.status.as_u16(), received.whole()), (status, body), "{version:?}");
            let mut expected: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            expected.extend(["vary: accept".to_owned(), "via: 1.1 unpage".to_owned()]);
            if status != 304 {
                expected.push(format!("content-length: {}", body.len()));
            }
            expected.sort();
            let mut got = received.head.headers.clone();
            got.remove("date");
            assert_eq!(fields(&got), expected, "{status} {version:?}");
        }
        assert_eq!(upstream.asked().len(), 2, "asked once each");
    }
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_but_for_the_connection() {
    let (upstream, proxy) = forwarding(|_| Reply::json("{}")).await;
    let request = "PATCH /orders/7 HTTP/1.1\r\nHost: public.example\r\nAccept: text/html\r\nAccept-Encoding: br\r\n\
        Authorization: Bearer t\r\nCookie: a=1; b=2\r\nIf-Match: \"x\"\r\nRange: bytes=5-\r\nX-Own: 1\r\nX-Own: 2\r\n\
        X-Forwarded-For: 10.0.0.1\r\nVia: 1.1 front\r\nUser-Agent: test\r\nContent-Type: text/plain\r\n\
        Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: websocket\r\n\
        Proxy-Authorization: Basic cDpw\r\nContent-Length: 5\r\n\r\nhello";
    client::raw(proxy.address, request).await;
    let asked = upstream.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.target.as_str(), &asked.body[..]), ("PATCH", "/orders/7", &b"hello"[..]));
    let mut expected = [
        format!("host: {}", upstream.address),
        "accept: text/html".to_owned(),
        "accept-encoding: br".to_owned(),
        "authorization: Bearer t".to_owned(),
        "content-length: 5".to_owned(),
        "content-type: text/plain".to_owned(),
        "cookie: a=1; b=2".to_owned(),
        "if-match: \"x\"".to_owned(),
        "range: bytes=5-".to_owned(),
        "user-agent: test".to_owned(),
        "via: 1.1 front".to_owned(),
        "via: 1.1 unpage".to_owned(),
        "x-forwarded-for: 10.0.0.1".to_owned(),
        "x-own: 1".to_owned(),
        "x-own: 2".to_owned(),
    ];
    expected.sort();
    assert_eq!(fields(&asked.headers), expected);
}

#[tokio::test]
async fn an_http2_client_looks_like_any_other_to_an_http1_upstream() {
    let (upstream, proxy) = forwarding(|_| Reply::json("{}")).await;
    let request = Request::post("/orders?x=1").header("te", "trailers").header("user-agent", "test");
    // RFC 9113 §8.2.3: cookies may come in crumbs, and must be one field again for HTTP/1.1.
    let request = request.header("cookie", "a=1").header("cookie", "b=2").body(Full::from("hello")).unwrap();
    let received = client::receive(Version::Http2, proxy.address, request).await;
    assert_eq!(received.whole(), "{}");
    let asked = upstream.asked().remove(0);
    assert_eq!((asked.target.as_str(), &asked.body[..]), ("/orders?x=1", &b"hello"[..]));
    let expected = [
        "content-length: 5".to_owned(),
        "cookie: a=1; b=2".to_owned(),
        format!("host: {}", upstream.address),
        "user-agent: test".to_owned(),
        "via: 2 unpage".to_owned(),
    ];
    assert_eq!(fields(&asked.headers), expected);
}

#[tokio::test]
async fn connection_fields_of_the_upstream_are_not_passed_on() {
    let raw = "HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
        Transfer-Encoding: chunked\r\nTrailer: X-T\r\nProxy-Authenticate: Basic\r\nX-Own: 1\r\nVary: Origin\r\n\r\n\
        5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n";
    let (_upstream, proxy) = forwarding(move |_| Reply::Raw(raw.into())).await;
    for version in BOTH {
        let mut received = client::receive(version, proxy.address, client::get("/", "*/*")).await;
        assert_eq!(received.whole(), "hello");
        received.head.headers.remove("date");
        let framing = (version == Version::Http1).then(|| "transfer-encoding: chunked".to_owned());
        let expected = ["vary: Origin", "vary: accept", "via: 1.1 unpage", "x-own: 1"].map(ToOwned::to_owned);
        assert_eq!(fields(&received.head.headers), framing.into_iter().chain(expected).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn paths_and_queries_arrive_byte_for_byte() {
    let (upstream, proxy) = forwarding(|_| Reply::json("{}")).await;
    let cases = [
        ("/", "/"),
        ("/a//b/", "/a//b/"),
        ("/a%2Fb/%e9/caf%C3%A9;v=1,2:@!$&()*+", "/a%2Fb/%e9/caf%C3%A9;v=1,2:@!$&()*+"),
        ("/a?", "/a?"),
        ("/a?b", "/a?b"),
        ("/a?b=&=c&&d=1&d=2", "/a?b=&=c&&d=1&d=2"),
        ("/a?b=%2f%2F+%20&page%5Bsize%5D=[1]", "/a?b=%2f%2F+%20&page%5Bsize%5D=[1]"),
        // The one character that is spelled otherwise: WHATWG's URLs encode a quote in a query.
        ("/a?$filter=name+eq+'x'", "/a?$filter=name+eq+%27x%27"),
        ("/a?q=;/?:@!$()*,-._~", "/a?q=;/?:@!$()*,-._~"),
        ("/a?page=2&b=%2f&_format=ndjson&c&&d", "/a?page=2&b=%2f&c&&d"),
        ("/a?_format=ndjson&page=2", "/a?page=2"),
        ("/a?page=2&_forma%74=ndjson", "/a?page=2"),
    ];
    for version in BOTH {
        for (sent, arrived) in cases {
            client::receive(version, proxy.address, empty("GET", sent)).await;
            assert_eq!(upstream.asked().last().unwrap().target, arrived, "{sent} over {version:?}");
        }
    }
}

#[tokio::test]
async fn a_path_never_leads_out_of_what_is_configured() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{}")).await;
    let collections = [
        format!("[[collection]]\npath = \"/files/{{*rest}}\"\nupstream = \"{}/api/v1\"\n{PAGES}\n", upstream.url()),
        format!("[[collection]]\npath = \"/shops/{{shop}}/orders\"\nupstream = \"{}/api\"\n", upstream.url()),
        format!("upstream_path = \"/v2/{{shop}}/list\"\n{PAGES}\n"),
        format!("[[collection]]\npath = \"/objects/{{*rest}}\"\nupstream = \"{}/api\"\n", upstream.url()),
        format!("upstream_path = \"/v3/{{rest}}\"\n{PAGES}\n"),
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, collections.concat()).unwrap();
    let proxy = Proxy::start(&collections.concat()).await;
    for (target, arrived) in [
        ("/files/a/b?x=1", "/api/v1/files/a/b?x=1"),
        ("/files/", "/api/v1/files/"),
        ("/files/..a/b..", "/api/v1/files/..a/b.."),
        ("/shops/7%2F8/orders", "/api/v2/7%2F8/list"),
        ("/objects/a/b", "/api/v3/a/b"),
        ("/objects/", "/api/v3/"),
        ("/objects/%7Brest%7D", "/api/v3/%7Brest%7D"),
    ] {
        upstream.forget();
        client::receive(Version::Http1, proxy.address, empty("GET", target)).await;
        client::receive(Version::Http1, proxy.address, client::stream(target)).await;
        let page = if arrived.contains('?') { "&page=1" } else { "?page=1" };
        let targets: Vec<_> = upstream.asked().into_iter().map(|asked| asked.target).collect();
        assert_eq!(targets[..2], [arrived.to_owned(), format!("{arrived}{page}")], "{target}");
        let explained = run(["explain".as_ref(), "--config".as_ref(), file.path().as_os_str(), target.as_ref()]).await;
        let said = String::from_utf8(explained.stdout).unwrap();
        let path = arrived.split('?').next().unwrap().replace("%7B", "{").replace("%7D", "}");
        assert!(said.contains(&format!("GET {}{path}?", upstream.url())), "{target}: {said}");
    }
    upstream.forget();
    for target in [
        "/files/../secret",
        "/files/%2e%2e/%2E./secret",
        "/files/.%2e",
        "/files/./a",
        "/files/a/..",
        "/files/..\\..\\secret",
        "/files/a\\b",
        "/shops/../orders",
        "/shops/%2e%2E/orders",
    ] {
        for accept in ["*/*", "application/x-ndjson"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: p\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
            let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
            let refused = ["HTTP/1.1 400 ", "HTTP/1.1 404 "].iter().any(|status| received.starts_with(status));
            assert!(refused, "{target}: {received}");
        }
    }
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn a_request_that_names_a_page_gets_that_page() {
    let upstream = Upstream::of(120).await;
    let proxy = Proxy::before(&upstream).await;
    for (target, accept) in [
        ("/page/orders?page=2&size=3", "application/x-ndjson, */*;q=0.1"),
        ("/page/orders?size=3&_format=ndjson&page=2", "*/*"),
        ("/offset/orders?offset=3&limit=3", "application/x-ndjson, */*;q=0.1"),
    ] {
        for version in BOTH {
            let received = client::receive(version, proxy.address, client::get(target, accept)).await;
            let page: serde_json::Value = serde_json::from_str(received.whole()).unwrap();
            assert_eq!(page["items"][0]["id"], "ord_000000004", "{target}");
            assert_eq!(page["items"].as_array().unwrap().len(), 3);
            assert_eq!(received.header("content-type"), Some("application/json"));
        }
    }
    assert_eq!(upstream.asked().len(), 6);
}

#[tokio::test]
async fn other_methods_than_the_collections_are_passed_on() {
    let (upstream, proxy) = forwarding(|asked| Reply::json(asked.method.to_string())).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"] {
        let mut request = client::stream("/orders");
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let received = client::receive(Version::Http1, proxy.address, request).await;
        assert_eq!(received.whole(), method);
        assert_eq!(upstream.asked().last().unwrap().header("accept"), Some("application/x-ndjson"));
    }
}

#[tokio::test]
async fn a_head_request_keeps_the_length_that_it_asks_for() {
    let (upstream, proxy) = forwarding(|_| Reply::Whole(answer(200, &[("etag", "\"x\"")], "hello"))).await;
    for version in BOTH {
        let received = client::receive(version, proxy.address, empty("HEAD", "/orders")).await;
        assert_eq!((received.whole(), received.header("content-length")), ("", Some("5")), "{version:?}");
        assert_eq!(upstream.forget()[0].method, Method::HEAD);
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let (_upstream, proxy) = forwarding(|asked| Reply::Whole(answer(200, &[], asked.body.clone()))).await;
    let body: Bytes = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for version in BOTH {
        let request = Request::put("/orders").body(Full::new(body.clone())).unwrap();
        let received = client::receive(version, proxy.address, request).await;
        assert!(received.broken.is_none() && received.body == body, "{} bytes", received.body.len());
    }
    let request = "POST / HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
    assert!(received.ends_with("\r\n\r\nhello world"), "{received}");
}

#[tokio::test]
async fn a_body_that_is_cut_stays_cut() {
    for framing in [Framing::Length, Framing::Chunked] {
        let (_upstream, proxy) = forwarding(move |_| Reply::Cut(answer(200, &[], "hello world!"), framing)).await;
        for version in BOTH {
            let received = client::receive(version, proxy.address, client::get("/", "*/*")).await;
            assert!(received.broken.is_some(), "{framing:?} {version:?}");
            assert!(b"hello ".starts_with(&received.body[..]));
        }
    }
}

#[tokio::test]
async fn requests_that_may_have_had_an_effect_are_not_sent_twice() {
    let (upstream, proxy) = forwarding(|asked| match asked.method {
        Method::POST => Reply::Raw(Vec::new()),
        _ => Reply::json("{}"),
    })
    .await;
    // The first request leaves a connection to the upstream open, which the second one uses.
    client::receive(Version::Http1, proxy.address, empty("GET", "/orders")).await;
    let request = Request::post("/orders").body(Full::from("one order")).unwrap();
    let received = client::receive(Version::Http1, proxy.address, request).await;
    assert_eq!(received.head.status, 502);
    assert_eq!(upstream.asked().iter().filter(|asked| asked.method == Method::POST).count(), 1);
}

#[tokio::test]
async fn an_http10_client_is_answered_in_its_own_way() {
    let (_upstream, proxy) = forwarding(|_| Reply::json("{}")).await;
    let received = client::raw(proxy.address, "GET /orders HTTP/1.0\r\n\r\n").await;
    let received = String::from_utf8(received).unwrap();
    assert!(received.starts_with("HTTP/1.0 200 OK\r\n") && received.ends_with("\r\n\r\n{}"), "{received}");
    assert!(!received.contains("chunked"), "{received}");
}

#[tokio::test]
async fn a_reset_that_names_no_error_is_no_end() {
    let address = resetting("[1,2]").await;
    let lines = "http = \"2\"\nrecords = \"$\"\npagination = \"none\"";
    let proxy = Proxy::start(&collection(&format!("http://{address}"), lines)).await;
    for version in BOTH {
        let forwarded = client::receive(version, proxy.address, client::get("/", "*/*")).await;
        assert!(forwarded.broken.is_some() && forwarded.body == b"[1,2]", "{forwarded:?}");
        let streamed = client::receive(version, proxy.address, client::stream("/")).await;
        // A page that has begun may stream before its reset is noticed.
        match streamed.head.status.as_u16() {
            200 => assert!(streamed.broken.is_some() && b"1\n".starts_with(&streamed.body), "{streamed:?}"),
            status => {
                assert_eq!(status, 502);
                assert!(streamed.whole().contains("the stream was reset before its end"), "{}", streamed.whole());
            }
        }
    }
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_answers_head() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(1, move |asked, _| match asked.target.as_str() {
        "/silent" => held.before(Reply::json("{}")),
        _ => Reply::Whole(answer(200, &[], asked.body.clone())),
    })
    .await;
    let limits = format!("timeouts = {{ connect = \"100ms\", head = \"100ms\" }}\n{PAGES}");
    let proxy = Proxy::start(&collection(&upstream.url(), &limits)).await;
    let post =
        |target: &str| format!("POST {target} HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: 5\r\n\r\n");
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    slow.write_all(format!("{}he", post("/orders")).as_bytes()).await.unwrap();
    // From the end of its body on, an answer has as long as any other: this one takes the time that the first must outlive.
    let silent = client::raw(proxy.address, format!("{}hello", post("/silent"))).await;
    assert!(silent.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&silent));
    slow.write_all(b"llo").await.unwrap();
    let mut received = String::new();
    slow.read_to_string(&mut received).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 ") && received.ends_with("\r\n\r\nhello"), "{received}");
}

/// An upstream that takes five bytes of a body under `/taken`, and none of another; it answers 200 to the first, 413 under `/early`, and else
/// nothing. Hands out the path and the connection of each request.
async fn reluctant() -> (SocketAddr, mpsc::UnboundedReceiver<(String, BufReader<TcpStream>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (told, heard)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut socket = BufReader::new(socket);
                let (mut line, mut head) = (String::new(), String::new());
                socket.read_line(&mut line).await.unwrap();
                while !head.ends_with("\r\n\r\n") {
                    socket.read_line(&mut head).await.unwrap();
                }
                let path = line.split(' ').nth(1).unwrap().to_owned();
                let status = match path.as_str() {
                    "/taken" => {
                        socket.read_exact(&mut [0; 5]).await.unwrap();
                        Some("200 OK")
                    }
                    "/early" => Some("413 Content Too Large"),
                    _ => None,
                };
                if let Some(status) = status {
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
                told.send((path, socket)).unwrap();
            });
        }
    });
    (address, heard)
}

#[tokio::test]
async fn a_body_that_the_upstream_does_not_take_is_given_up() {
    let (address, mut heard) = reluctant().await;
    let limits = format!("timeouts = {{ connect = \"100ms\", idle = \"100ms\" }}\n{PAGES}");
    let proxy = Proxy::start(&collection(&format!("http://{address}"), &limits)).await;
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    let head = "POST /taken HTTP/1.1\r\nHost: p\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhe";
    slow.write_all(head.as_bytes()).await.unwrap();
    let large = Bytes::from(vec![b'x'; 32 << 20]);
    for version in BOTH {
        let put = |path: &str| Request::put(path).body(Full::new(large.clone())).unwrap();
        let early = client::receive(version, proxy.address, put("/early")).await;
        let (path, _unread) = heard.recv().await.unwrap();
        assert_eq!((early.head.status.as_u16(), path.as_str()), (413, "/early"));
        let untaken = client::receive(version, proxy.address, put("/untaken")).await;
        let (path, mut unread) = heard.recv().await.unwrap();
        assert_eq!((untaken.head.status.as_u16(), path.as_str()), (504, "/untaken"));
        for part in ["took nothing more of the request's body for 100ms", "\"fault\": \"upstream\"", "`timeouts`"] {
            assert!(untaken.whole().contains(part), "{part} is not in {}", untaken.whole());
        }
        assert_eq!(untaken.header("connection"), (version == Version::Http1).then_some("close"));
        let mut taken = Vec::new();
        let _reset_or_end = unread.read_to_end(&mut taken).await;
        assert!(taken.len() < large.len());
    }
    // A client that lets the upstream wait for longer than that has its own limit.
    slow.write_all(b"llo").await.unwrap();
    let mut received = String::new();
    slow.read_to_string(&mut received).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
}

#[tokio::test]
async fn a_body_that_is_given_up_leaves_no_socket_behind() {
    let (address, mut heard) = reluctant().await;
    let limits = format!("timeouts = {{ connect = \"100ms\", idle = \"100ms\" }}\n{PAGES}");
    let process = Process::serve(&collection(&format!("http://{address}"), &limits)).await;
    let before = process.sockets();
    let mut kept = Vec::new();
    for stays in [true, false] {
        let mut socket = TcpStream::connect(process.address).await.unwrap();
        let head = "POST /untaken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        // It writes before it reads, and neither end may stop it from getting its answer.
        for _ in 0..200 {
            socket.write_all(&[b'x'; 100_000]).await.unwrap();
        }
        let mut received = [0; 12];
        socket.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"HTTP/1.1 504");
        kept.push((heard.recv().await.unwrap(), stays.then_some(socket)));
    }
    let closed = async {
        while process.sockets() > before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("sockets stay open");
    assert_eq!(kept.len(), 2);
}

#[tokio::test]
async fn a_request_that_names_a_page_in_its_body_gets_that_page() {
    let upstream = Upstream::scripted(1, |asked, _| Reply::Whole(answer(200, &[], asked.body.clone()))).await;
    for (param, media_type, page, first) in [
        ("body:cursor", "application/json", "{ \"cursor\": \"40\" }", "{\"cursor\":null,\"data\":[]}"),
        ("form:cursor", "application/x-www-form-urlencoded", "q=%41&cursor=40", "cursor="),
    ] {
        let lines = format!(
            "method = \"POST\"\nrecords = \"data\"\n\
             pagination = {{ type = \"cursor\", next = \"next\", param = \"{param}\" }}"
        );
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        for version in BOTH {
            let ask = |body: &'static str| {
                let request = Request::post("/orders").header("accept", "application/x-ndjson");
                request.header("content-type", media_type).body(Full::from(body)).unwrap()
            };
            let forwarded = client::receive(version, proxy.address, ask(page)).await;
            assert_eq!((forwarded.head.status.as_u16(), forwarded.whole()), (200, page));
            let asked = upstream.forget().remove(0);
            assert_eq!(asked.header("content-length"), Some(page.len().to_string().as_str()));
            assert_eq!(asked.header("accept"), Some("application/x-ndjson"));
            client::receive(version, proxy.address, ask(first)).await;
            assert_eq!(upstream.forget()[0].header("accept"), Some("application/json"), "{param}: a crawl");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_come_to_its_version_is_let_go() {
    let upstream = Upstream::of(1).await;
    let proxy = Proxy::before(&upstream).await;
    for start in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        socket.write_all(start.as_bytes()).await.unwrap();
        // Bytes that were never read make the end a reset.
        assert!(matches!(socket.read(&mut [0]).await, Ok(0) | Err(_)), "{start:?}");
    }
    client::receive(Version::Http2, proxy.address, client::get("/none/orders", "*/*")).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let upstream = Upstream::of(1).await;
    let proxy = Proxy::before(&upstream).await;
    let request = "POST /search/orders HTTP/1.1\r\nHost: p\r\nAccept: application/x-ndjson\r\nConnection: close\r\n\
        Content-Length: 9\r\n\r\n{";
    let received = String::from_utf8(client::raw(proxy.address, request).await).unwrap();
    assert!(received.starts_with("HTTP/1.1 408 ") && received.contains("did not arrive within 30s"), "{received}");
    client::receive(Version::Http1, upstream.address, client::get("/", "*/*")).await;
}

/// Absolute links of an answer, and those that its client gets.
#[tokio::test]
async fn links_to_the_upstream_lead_to_the_clients_own_origin() {
    let links = |own: &str| {
        [
            (
                "link",
                format!("<{own}/api/v1/files/a?page=2&key=unpage&x=1>; rel=\"next\", <http://else.example/>; rel=last"),
            ),
            ("link", format!("<{own}/api/v2/7/list?page=2>; rel=next; title=\"<{own}/api/v2/7/list>\"")),
            ("link", "</api/v1/files/a>; rel=prev".to_owned()),
            ("location", format!("{own}/api/v1/files/b#c")),
            ("content-location", format!("{own}/other/a")),
        ]
    };
    let upstream = Upstream::scripted(1, move |asked, _| {
        let own = match asked.target.as_str() {
            target if target.contains("alias") => "https://alias.example".to_owned(),
            target if target.contains("user") => format!("http://user@{}", asked.header("host").unwrap()),
            _ => format!("http://{}", asked.header("host").unwrap()),
        };
        let links = links(&own);
        let fields: Vec<_> = links.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Reply::Whole(answer(201, &fields, "[\"http://upstream/\"]"))
    })
    .await;
    let toml = |rewrite: &str| {
        format!(
            "[upstream.a]\nurl = \"{}/api\"\naliases = [\"https://alias.example\"]\n{rewrite}\n\
             credentials = {{ query = {{ name = \"key\", value = {{ env = \"CARGO_PKG_NAME\" }} }} }}\n\
             [[collection]]\npath = \"/files/{{*rest}}\"\nupstream = \"a\"\nupstream_path = \"/v1/files/{{*rest}}\"\n{PAGES}\n\
             [[collection]]\npath = \"/shops/{{shop}}/orders\"\nupstream = \"a\"\nupstream_path = \"/v2/{{shop}}/list\"\n{PAGES}\n",
            upstream.url()
        )
    };
    let proxy = Proxy::start(&toml("")).await;
    let fields_of = |received: &client::Received| {
        let names = ["link", "location", "content-location"];
        let headers = &received.head.headers;
        let values =
            names.iter().flat_map(|name| headers.get_all(*name)).map(|value| value.to_str().unwrap().to_owned());
        values.collect::<Vec<_>>()
    };
    for (target, own) in
        [("/files/a", format!("http://{}", upstream.address)), ("/files/alias", "https://alias.example".to_owned())]
    {
        for version in BOTH {
            let mut request = client::get(target, "*/*");
            if version == Version::Http1 {
                request.headers_mut().insert("host", "public.example:81".parse().unwrap());
            }
            let received = client::receive(version, proxy.address, request).await;
            let client =
                if version == Version::Http1 { "public.example:81".to_owned() } else { proxy.address.to_string() };
            assert_eq!(
                fields_of(&received),
                [
                    format!("<http://{client}/files/a?page=2&x=1>; rel=\"next\", <http://else.example/>; rel=last"),
                    format!("<http://{client}/shops/7/orders?page=2>; rel=next; title=\"<{own}/api/v2/7/list>\""),
                    "</api/v1/files/a>; rel=prev".to_owned(),
                    format!("http://{client}/files/b#c"),
                    format!("{own}/other/a"),
                ],
                "{target} {version:?}"
            );
            assert_eq!(received.whole(), "[\"http://upstream/\"]");
        }
    }
    // A link with a user is none of the upstream's.
    let received = client::receive(Version::Http1, proxy.address, client::get("/files/user", "*/*")).await;
    assert!(fields_of(&received).iter().all(|value| value.contains("user@") || value.starts_with("</api")));
    let proxy = Proxy::start(&toml("rewrite_links = \"off\"")).await;
    let received = client::receive(Version::Http1, proxy.address, client::get("/files/alias", "*/*")).await;
    assert!(
        fields_of(&received)[0].starts_with("<https://alias.example/api/v1/files/a?page=2&x=1>"),
        "without the secret"
    );
}

#[tokio::test]
async fn a_segment_that_looks_like_one_of_the_template_is_a_value() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{}")).await;
    let toml = format!(
        "[[collection]]\npath = \"/two/{{a}}/{{b}}\"\nupstream = \"{}\"\nupstream_path = \"/x/{{a}}/{{b}}\"\n{PAGES}\n",
        upstream.url()
    );
    let proxy = Proxy::start(&toml).await;
    client::raw(proxy.address, "GET /two/{b}/evil HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").await;
    assert_eq!(upstream.asked()[0].target, "/x/%7Bb%7D/evil");
}
