//! The access log: a line for each response when it ends, by which an operator sees its end, and no value of a query.

use http::{HeaderName, Method, StatusCode};
use serde_json::Value;

use super::client::{self, BOTH, Received, Version, stream};
use super::proxy::{Process, collection};
use super::upstream::{Gate, Reply, Upstream, answer};

const LINKS: &str = "records = \"$\"\npagination = \"link_header\"\nretry = { attempts = 1 }";

/// Two pages of `/PATH`; the second one waits for the gate, and fails below `/broken`.
async fn upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::scripted(0, move |asked, _| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        match (path, query.contains("page=2")) {
            ("/refused", _) => Reply::Whole(answer(403, &[], "{}")),
            ("/broken", true) => Reply::Whole(answer(404, &[], "{}")),
            ("/held", true) => gate.before(Reply::Whole(answer(200, &[], "[3]"))),
            (_, true) => Reply::Whole(answer(200, &[], "[3]")),
            (_, false) => {
                let next = format!("<{path}?page=2>; rel=next");
                Reply::Whole(answer(200, &[("link", next.as_str())], "[1,2]"))
            }
        }
    })
    .await
}

async fn serve(upstream: &Upstream, keys: &str, format: &str) -> Process {
    let toml = format!("access_log = true\n{keys}\n{}", collection(&upstream.url(), LINKS));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, toml).unwrap();
    Process::serve_with(["--log-format".as_ref(), format.as_ref(), "--config".as_ref(), file.path().as_os_str()]).await
}

async fn ask(process: &Process, version: Version, method: Method, target: &str, fields: &[(&str, &str)]) -> Received {
    let mut request = stream(target);
    *request.method_mut() = method;
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    client::receive(version, process.address, request).await
}

/// Waits for the line of the response with this identifier.
async fn entry(process: &mut Process, received: &Received) -> Value {
    let id = received.header("x-request-id").unwrap().to_owned();
    serde_json::from_str(&process.has_said(&id).await).unwrap()
}

#[tokio::test]
async fn a_line_tells_of_a_stream_what_its_client_had() {
    let upstream = upstream(&Gate::default()).await;
    let mut process = serve(&upstream, "", "json").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut crawl = None;
    for version in BOTH {
        let fields = [("traceparent", trace), ("x-request-id", "forged")];
        let received = ask(&process, version, Method::GET, "/orders?token=hidden&state=open", &fields).await;
        assert_eq!(received.whole(), "1\n2\n3\n");
        let line = entry(&mut process, &received).await;
        for (name, expected) in [
            ("level", "INFO"),
            ("target", "access"),
            ("message", "request"),
            ("client", "127.0.0.1"),
            ("method", "GET"),
            ("path", "/orders"),
            ("params", "token,state"),
            ("version", if version == Version::Http1 { "HTTP/1.1" } else { "HTTP/2.0" }),
            ("traceparent", trace),
            ("collection", "/{*rest}"),
            ("end", "complete"),
        ] {
            assert_eq!(line[name], expected, "{name} of {line}");
        }
        assert!(line["cache_status"].as_str().unwrap().starts_with("unpage"), "{line}");
        assert_eq!([&line["status"], &line["bytes"], &line["lines"]], [200, 6, 3], "{line}");
        assert!(line["first_byte_ms"].as_u64() <= line["duration_ms"].as_u64(), "{line}");
        assert!(received.header("content-location").unwrap().contains(line["snapshot"].as_str().unwrap()));
        assert_ne!(line["request_id"], "forged", "nobody vouches for this client");
        // One crawl, in a trace of its own, answers both.
        let of_crawl = line["trace_id"].as_str().unwrap().to_owned();
        assert!(of_crawl.len() == 32 && !trace.contains(&of_crawl), "{line}");
        assert_eq!(crawl.get_or_insert_with(|| of_crawl.clone()), &of_crawl);
    }
    let asked = upstream.asked();
    assert_eq!(asked.len(), 2);
    for page in asked {
        let field = page.header("traceparent").unwrap();
        let parts: Vec<_> = field.split('-').collect();
        assert_eq!((parts[0], Some(parts[1]), parts[2].len(), parts[3]), ("00", crawl.as_deref(), 16, "01"), "{field}");
    }
    let of_its_end: Value = serde_json::from_str(&process.has_said(": complete: 3 records").await).unwrap();
    assert_eq!(of_its_end["span"]["trace_id"].as_str(), crawl.as_deref(), "{of_its_end}");
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert!(!said.contains("hidden"), "{said}");
}

#[tokio::test]
async fn a_crawl_that_does_not_open_has_its_trace_in_the_log() {
    let upstream = upstream(&Gate::default()).await;
    let mut process = serve(&upstream, "", "json").await;
    let refused = ask(&process, Version::Http1, Method::GET, "/refused", &[]).await;
    assert_eq!(refused.head.status, StatusCode::FORBIDDEN);
    let asked = upstream.asked();
    let trace = asked[0].header("traceparent").unwrap().split('-').nth(1).unwrap();
    let line: Value = serde_json::from_str(&process.has_said("; fault: ").await).unwrap();
    let expected = serde_json::json!({ "name": "crawl", "collection": "/{*rest}", "trace_id": trace });
    assert_eq!(line["span"], expected, "{line}");
}

#[tokio::test]
async fn a_line_tells_how_a_response_ended() {
    let gate = Gate::default();
    let upstream = upstream(&gate).await;
    let mut process = serve(&upstream, "trusted_proxies = [\"127.0.0.1\"]", "json").await;
    for version in BOTH {
        let broken = ask(&process, version, Method::GET, "/broken", &[]).await;
        assert!(broken.broken.is_some());
        let line = entry(&mut process, &broken).await;
        assert_eq!((&line["end"], &line["status"]), (&"broken".into(), &200.into()), "{line}");
        assert!(line["reason"].as_str().unwrap().contains("404"), "{line}");

        let context = [("accept", "application/json"), ("traceparent", "00-a1-b2-00"), ("tracestate", "x=1")];
        let page = ask(&process, version, Method::GET, "/orders", &context).await;
        let passed_on = upstream.asked().pop().unwrap();
        assert_eq!(
            ["traceparent", "tracestate"].map(|name| passed_on.header(name)),
            [Some("00-a1-b2-00"), Some("x=1")]
        );
        let line = entry(&mut process, &page).await;
        assert_eq!((&line["end"], &line["bytes"], &line["lines"]), (&"complete".into(), &5.into(), &Value::Null));

        let trailers =
            ask(&process, version, Method::GET, &format!("/orders?of={version:?}"), &[("te", "trailers")]).await;
        assert!(trailers.trailers.contains_key("unpage-verdict"));
        let line = entry(&mut process, &trailers).await;
        assert_eq!((&line["end"], &line["lines"]), (&"complete".into(), &3.into()), "{line}");

        let head = ask(&process, version, Method::HEAD, "/orders", &[]).await;
        let line = entry(&mut process, &head).await;
        assert_eq!((&line["end"], &line["method"], &line["bytes"]), (&"complete".into(), &"HEAD".into(), &0.into()));

        let refused =
            ask(&process, version, Method::GET, "/orders?_format=none", &[("x-request-id", "of the edge")]).await;
        assert_eq!(refused.head.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.header("x-request-id"), Some("of the edge"), "a trusted proxy has named it");
        let line = entry(&mut process, &refused).await;
        assert_eq!((&line["end"], &line["status"]), (&"complete".into(), &400.into()), "{line}");
        process.forget();

        let mut response = client::send(version, process.address, stream("/held")).await;
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        client::lines(response.body_mut(), 1).await;
        drop(response);
        let line: Value = serde_json::from_str(&process.has_said(&id).await).unwrap();
        assert_eq!((&line["end"], &line["status"], &line["path"]), (&"gone".into(), &200.into(), &"/held".into()));
    }
}

#[tokio::test]
async fn a_line_of_text_has_the_same_fields_and_nothing_is_logged_where_it_is_off() {
    let upstream = upstream(&Gate::default()).await;
    let mut process = serve(&upstream, "", "text").await;
    let received = ask(&process, Version::Http1, Method::GET, "/a%0Ab\"c?x=1", &[("traceparent", "a\"b")]).await;
    let line = process.has_said(received.header("x-request-id").unwrap()).await;
    assert!(line.contains(r#" path="/a%0Ab\"c""#) && line.contains(r#" traceparent="a\"b""#), "{line}");
    assert!(
        line.contains(" status=200 ") && line.contains(" end=\"complete\" ") && line.contains(" lines=3 "),
        "{line}"
    );

    let silent = Process::serve(&collection(&upstream.url(), LINKS)).await;
    let received = ask(&silent, Version::Http1, Method::GET, "/orders", &[]).await;
    assert_eq!((received.whole(), received.header("x-request-id")), ("1\n2\n3\n", None));
    silent.signal(rustix::process::Signal::TERM);
    let (said, _) = silent.end().await;
    assert!(!said.contains("request_id"), "{said}");
}
