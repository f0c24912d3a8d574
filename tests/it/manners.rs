//! Requests to the upstream: its own host, no fields of unpage's own, no secret in the wrong place.

use http::{HeaderMap, Request};
use http_body_util::Full;
use tokio::net::TcpListener;

use super::client::{self, BOTH, Version};
use super::proxy::{Process, Proxy, RETRY, binary, collection, demo, run};
use super::streams::orders;
use super::upstream::{Asked, Reply, Upstream, answer};

/// The first 120 orders, walked by their next URLs.
const NEXT_URL: &str = "records = \"results\"\npage_size = { param = \"page_size\", value = 50 }\n\
    pagination = { type = \"next_url\", next = \"next\" }";

/// A token that no message may show.
const PLANTED: &str = "s3cr3t-pl4nted";

fn fields(asked: &Asked) -> Vec<String> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
    let mut lines: Vec<_> = asked.headers.iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_page_is_asked_for_in_unpages_own_words() {
    let upstream = Upstream::of(120).await;
    let proxy = Proxy::before(&upstream).await;
    let mut request = client::stream("/next_url/orders?status=paid&q=a%2Fb");
    for (name, value) in [
        ("host", "public.example"),
        ("accept-encoding", "br"),
        ("authorization", "Bearer t"),
        ("cookie", "a=1"),
        ("x-api-version", "2024"),
        ("accept-language", "de"),
        ("if-none-match", "\"x\""),
        ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("if-match", "\"y\""),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "public.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("via", "1.1 front"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("user-agent", "test"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let received = client::receive(Version::Http1, proxy.address, request).await;
    assert!(received.whole() == orders(120));
    let asked = upstream.asked();
    assert_eq!(asked.len(), 3);
    for asked in asked {
        assert!(asked.target.starts_with("/next_url/orders?"), "{}", asked.target);
        assert!(asked.target.contains("status=paid") && asked.target.contains("q=a%2Fb"), "{}", asked.target);
        let expected = [
            "accept-encoding: zstd, gzip, br, deflate".to_owned(),
            "accept-language: de".to_owned(),
            "accept: application/json".to_owned(),
            "authorization: Bearer t".to_owned(),
            "cookie: a=1".to_owned(),
            format!("host: {}", upstream.address),
            format!("traceparent: {}", asked.header("traceparent").unwrap()),
            concat!("user-agent: unpage/", env!("CARGO_PKG_VERSION")).to_owned(),
            "x-api-version: 2024".to_owned(),
        ];
        assert_eq!(fields(&asked), expected);
    }
}

#[tokio::test]
async fn a_request_without_a_user_agent_is_sent_with_unpages() {
    let upstream = Upstream::of(1).await;
    let lines = format!("accept = \"application/vnd.orders+json, */*\"\nheaders = {{ X-Team = \"data\" }}\n{NEXT_URL}");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    for version in BOTH {
        client::receive(version, proxy.address, client::stream("/next_url/orders")).await;
        let asked = upstream.asked();
        let last = asked.last().unwrap();
        let expected = [
            "accept-encoding: zstd, gzip, br, deflate".to_owned(),
            "accept: application/vnd.orders+json, */*".to_owned(),
            format!("host: {}", upstream.address),
            format!("traceparent: {}", last.header("traceparent").unwrap()),
            concat!("user-agent: unpage/", env!("CARGO_PKG_VERSION")).to_owned(),
            "x-team: data".to_owned(),
        ];
        assert_eq!(fields(last), expected);
    }
}

#[tokio::test]
async fn a_posts_body_goes_with_every_page() {
    let upstream = Upstream::of(120).await;
    let proxy = Proxy::before(&upstream).await;
    let cases = [
        ("application/json", "{\"filter\": {\"n\": 12345678901234567890123, \"a\":[1.0]}, \"limit\": 40}"),
        ("application/json; charset=utf-8", "{\"limit\":40}"),
        ("", "{\"limit\":40}"),
    ];
    for (media_type, body) in cases {
        upstream.forget();
        let mut request = Request::post("/search/orders").header("accept", "application/ndjson");
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Full::from(body)).unwrap();
        let received = client::receive(Version::Http1, proxy.address, request).await;
        assert!(received.whole() == orders(120), "{}", received.whole());
        let asked = upstream.asked();
        assert_eq!(asked.len(), 3);
        for asked in asked {
            let expected = if media_type.is_empty() { "application/json" } else { media_type };
            assert_eq!(asked.header("content-type"), Some(expected));
            assert_eq!(asked.header("content-length"), Some(asked.body.len().to_string().as_str()));
            let sent = String::from_utf8(asked.body.to_vec()).unwrap();
            assert!(sent.contains("\"limit\":40"), "{sent}");
            if body.contains("filter") {
                assert!(sent.contains("\"filter\":{\"n\":12345678901234567890123,\"a\":[1.0]}"), "{sent}");
            }
        }
    }
}

#[tokio::test]
async fn credentials_are_sent_with_every_page_and_shown_in_no_message() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, PLANTED).unwrap();
    let secret = format!("{{ file = \"{}\" }}", file.path().display());
    let basic = "Basic dXNlcjpzM2NyM3QtcGw0bnRlZA==";
    let cases = [
        (format!("{{ bearer = {secret} }}"), "authorization", format!("Bearer {PLANTED}")),
        (format!("{{ basic = {{ user = \"user\", password = {secret} }} }}"), "authorization", basic.to_owned()),
        (format!("{{ header = {{ name = \"X-Api-Key\", value = {secret} }} }}"), "x-api-key", PLANTED.to_owned()),
        (format!("{{ query = {{ name = \"api_key\", value = {secret} }} }}"), "", format!("api_key={PLANTED}")),
    ];
    for (credentials, field, value) in cases {
        let upstream = Upstream::scripted(120, |asked, answer| match (asked.page, asked.attempt) {
            (2, 1) => Reply::status(500),
            (2, 2) => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec()),
            (3, _) => Reply::Whole(super::upstream::answer(403, &[], "no")),
            _ => Reply::Whole(answer),
        })
        .await;
        let lines = format!("credentials = {credentials}\n{NEXT_URL}");
        let process = Process::serve(&collection(&upstream.url(), &lines)).await;
        // The client has credentials of its own, which a configured field replaces.
        let mut request = client::stream("/next_url/orders?token=s3cr3t-pl4nted-too&page_size=50");
        for (name, value) in [("authorization", "Bearer s3cr3t-pl4nted-too"), ("x-api-key", "s3cr3t-pl4nted-too")] {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let received = client::receive(Version::Http1, process.address, request).await;
        assert!(received.cut(), "{:?}", received.broken);
        for asked in upstream.asked() {
            match field {
                "" => assert!(asked.target.contains(&value), "{}", asked.target),
                field => assert_eq!(asked.header(field), Some(value.as_str())),
            }
            assert_eq!(asked.target.matches("api_key=").count(), usize::from(field.is_empty()), "{}", asked.target);
        }
        // The problem report of a refused first page, and of a forwarded request.
        for target in ["/next_url/orders?page=3&token=s3cr3t-pl4nted-too", "/next_url/orders?page=2"] {
            for accept in ["application/x-ndjson", "*/*"] {
                let received = client::receive(Version::Http1, process.address, client::get(target, accept)).await;
                let shown = format!("{:?} {}", received.head.headers, received.whole());
                // The addresses of a stream are the client's own.
                let shown = shown.replace("token=s3cr3t-pl4nted-too", "");
                // The upstream itself repeats the request in its links, for direct clients.
                assert!(accept == "*/*" || !shown.contains(PLANTED), "{shown}");
            }
        }
        process.signal(rustix::process::Signal::TERM);
        let (said, _) = process.end().await;
        assert!(said.contains("attempt 2 failed") && said.contains("broken after 100 records"), "{said}");
        assert!(!said.contains("s3cr3t") && !said.contains("dXNlcjpz"), "{said}");
    }
}

#[tokio::test]
async fn fetch_shows_no_secret_either() {
    let upstream = Upstream::scripted(120, |asked, answer| match asked.page {
        3 => Reply::status(404),
        _ => Reply::Whole(answer),
    })
    .await;
    let url = format!("{}/next_url/orders?page_size=50&api_key={PLANTED}", upstream.url());
    let auth = format!("Authorization: Bearer {PLANTED}");
    for verbose in [&[][..], &["--verbose"]] {
        let arguments = [
            "fetch",
            &url,
            "-H",
            &auth,
            "--records",
            "results",
            "--pagination",
            "{ type = \"next_url\", next = \"next\" }",
        ];
        let output = run(arguments.iter().chain(verbose)).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(!said.contains("s3cr3t") && said.contains("api_key=…"), "{said}");
    }
    let userinfo = format!("http://user:{PLANTED}@{}/", upstream.address);
    for url in [userinfo.as_str(), "ftp://user:s3cr3t-pl4nted@a/"] {
        let output = run(["fetch", url]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let bad = format!("Authorization Bearer {PLANTED}");
    let said = String::from_utf8(run(["fetch", &url, "-H", &bad]).await.stderr).unwrap();
    assert!(!said.contains("s3cr3t"), "{said}");
    for asked in upstream.asked() {
        assert_eq!(asked.header("authorization"), Some(&auth["Authorization: ".len()..]));
        assert!(asked.target.contains(PLANTED));
    }
}

#[tokio::test]
async fn only_the_upstream_is_ever_connected_to() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = format!("http://{}", canary.local_addr().unwrap());
    let port = canary.local_addr().unwrap().port();
    let links = [
        format!("{stranger}/orders?page=2"),
        format!("//127.0.0.1:{port}/orders?page=2"),
        format!("\\\\127.0.0.1:{port}\\orders"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    ];
    for link in links {
        let body = serde_json::to_string(&link).unwrap();
        let location = stranger.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
            "/redirected" => Reply::Whole(answer(307, &[("location", &location)], "")),
            "/linked" => {
                let link = format!("<{}>; rel=\"next\"", link.replace('\\', "/"));
                Reply::Whole(answer(200, &[("link", &link)], "[1]"))
            }
            _ => Reply::json(format!("{{\"results\":[1],\"next\":{body}}}")),
        })
        .await;
        let url = upstream.url();
        let linked = format!(
            "[[collection]]\npath = \"/linked\"\nupstream = \"{url}\"\n{RETRY}\nrecords = \"$\"\npagination = \"link_header\"\n"
        );
        let automatic = format!("[[collection]]\npath = \"/auto\"\nupstream = \"{url}\"\n{RETRY}\n");
        let proxy = Proxy::start(&format!("{linked}{automatic}{}", collection(&url, NEXT_URL))).await;
        for target in ["/orders", "/linked", "/redirected", "/auto"] {
            let received = client::receive(Version::Http1, proxy.address, client::stream(target)).await;
            assert!(received.head.status.is_server_error(), "{target}: {}", received.whole());
        }
    }
    // Connections wait in order: were there an earlier one, it would be accepted first.
    let ours = tokio::net::TcpStream::connect(canary.local_addr().unwrap()).await.unwrap();
    let (_, first) = canary.accept().await.unwrap();
    assert_eq!(first, ours.local_addr().unwrap());
}

#[tokio::test]
async fn an_alias_is_rewritten_to_the_upstream() {
    let upstream = Upstream::scripted(120, |asked, answer| {
        let (head, body) = answer.into_parts();
        let own = format!("http://{}/", asked.header("host").unwrap());
        let public = String::from_utf8(body.to_vec()).unwrap().replace(&own, "https://public.example/");
        Reply::Whole(http::Response::from_parts(head, public.into()))
    })
    .await;
    let lines = format!("upstream_aliases = [\"https://public.example\"]\n{NEXT_URL}");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/next_url/orders")).await;
    assert!(received.whole() == orders(120));
    for asked in upstream.asked() {
        assert_eq!(asked.header("host"), Some(upstream.address.to_string().as_str()));
    }
}

#[tokio::test]
async fn links_are_resolved_against_the_request_or_the_base() {
    let cases = [
        ("", "page2?x=1", "/api/v1/page2?x=1"),
        ("", "?x=1", "/api/v1/orders?x=1"),
        ("", "/x", "/x"),
        ("", "../x?a=%2f#top", "/api/x?a=%2f"),
        ("", "HOST/api/v1/y", "/api/v1/y"),
        (", base = \"HOST/other/\"", "page2?x=1", "/other/page2?x=1"),
        (", base = \"HOST/other/\"", "/x", "/x"),
    ];
    for (base, link, target) in cases {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let host = format!("http://{}", asked.header("host").unwrap());
            Reply::json(match asked.page {
                1 => format!("{{\"results\":[1],\"next\":\"{}\"}}", link.replace("HOST", &host)),
                _ => "{\"results\":[2],\"next\":null}".to_owned(),
            })
        })
        .await;
        let base = base.replace("HOST", &upstream.url());
        let lines = format!("records = \"results\"\npagination = {{ type = \"next_url\", next = \"next\"{base} }}");
        let proxy = Proxy::start(&collection(&format!("{}/api", upstream.url()), &lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/v1/orders")).await;
        assert_eq!(received.whole(), "1\n2\n", "{link}");
        let asked: Vec<_> = upstream.asked().into_iter().map(|asked| asked.target).collect();
        assert_eq!(asked, ["/api/v1/orders", target], "{link}");
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_its_request_tells_no_secret_not_even_a_part_of_one() {
    // The excerpt of a refusal ends within each of the secrets.
    let token = "s3cr3t-0123456789-0123456789";
    let target = "/orders?api_key=s3cr3t-of-the-url-0123456789";
    for lines in ["records = \"$\"\npagination = \"none\"", ""] {
        for (status, redirects) in [(403, ""), (301, "redirects = \"off\"\n"), (302, "")] {
            let upstream = Upstream::scripted(1, move |asked, _| {
                let values =
                    ["authorization", "cookie", "x-api-key"].map(|name| asked.header(name).unwrap_or_default());
                let which = asked.header("x-which").unwrap().parse::<usize>().unwrap();
                let secret = values.into_iter().chain([asked.target.as_str()]).nth(which).unwrap();
                let body = format!("{}{secret}", "x".repeat(80 - secret.len() + 8));
                // What is not followed in any case.
                let elsewhere = format!("//elsewhere.example/{}", &body[20..]);
                let location = if status == 302 { &elsewhere } else { &body };
                Reply::Whole(answer(status, &[("location", location)], body.clone()))
            })
            .await;
            let proxy = Proxy::start(&collection(&upstream.url(), &format!("{redirects}{lines}"))).await;
            for which in 0..4 {
                let mut request = client::stream(target);
                for (name, value) in [
                    ("authorization", format!("Bearer {token}")),
                    ("cookie", format!("sid={token}")),
                    ("x-api-key", token.to_owned()),
                    ("x-which", which.to_string()),
                ] {
                    request.headers_mut().insert(name, value.parse().unwrap());
                }
                let received = client::receive(Version::Http1, proxy.address, request).await;
                let said = received.whole();
                assert!(said.contains("xxxx") && !said.contains("s3cr3t"), "{status} {which}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn an_http2_upstream_is_spoken_to_in_http2() {
    let upstream = Upstream::of(120).await;
    let proxy = Proxy::start(&demo(&upstream).replace("\nmethod", "\nhttp = \"2\"\nmethod")).await;
    for version in BOTH {
        let received = client::receive(version, proxy.address, client::stream("/next_url/orders")).await;
        assert!(received.whole() == orders(120));
        let mut headers = HeaderMap::new();
        for (name, value) in [("connection", "x-hop"), ("x-hop", "1"), ("host", "public.example")] {
            if version == Version::Http1 {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let mut request = client::get("/page/orders?page=2&size=3", "application/json");
        request.headers_mut().extend(headers);
        let received = client::receive(version, proxy.address, request).await;
        assert!(received.whole().contains("ord_000000004"), "{}", received.whole());
        assert_eq!(upstream.asked().last().unwrap().header("host"), Some(upstream.address.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_secret_that_is_not_there_stops_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml = "[[collection]]\npath = \"/\"\nupstream = \"http://a\"\nrecords = \"$\"\npagination = \"none\"\n\
        credentials = { bearer = { env = \"UNPAGE_TEST_NOT_SET\" } }\n";
    std::fs::write(&file, toml).unwrap();
    let mut command = binary();
    let output = command.args(["serve", "--config"]).arg(file.path()).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("UNPAGE_TEST_NOT_SET"), "{said}");
}
