//! The operator's dashboard: tables as HTML and JSON, events, and actions of its own page alone.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::client::{self, Received, Version, get, stream};
use super::proxy::{Process, collection};
use super::upstream::{Gate, Reply, Upstream, answer};

const PAGES: &str =
    "records = \"data\"\ntotal = \"total\"\npagination = { type = \"cursor\", next = \"next\", param = \"c\" }";

/// The binary with these lines at the top of its configuration; and the operator's address.
async fn serve(top: &str, upstream: &Upstream, lines: &str) -> (Process, SocketAddr) {
    let toml =
        format!("admin = \"127.0.0.1:0\"\n{top}\n[snapshots]\ndisk = \"0\"\n{}", collection(&upstream.url(), lines));
    let mut process = Process::serve(&toml).await;
    let admin = process.admin().await;
    (process, admin)
}

async fn read(admin: SocketAddr, path: &str) -> Received {
    client::receive(Version::Http1, admin, get(path, "*/*")).await
}

async fn json(admin: SocketAddr, path: &str) -> Value {
    let received = read(admin, path).await;
    assert_eq!(
        (received.head.status, field(&received.head.headers, "content-type")),
        (StatusCode::OK, "application/json")
    );
    serde_json::from_slice(&received.body).unwrap()
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

async fn post(admin: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Received {
    let mut request = Request::post(path);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    client::receive(Version::Http1, admin, request.body(Full::<Bytes>::default()).unwrap()).await
}

/// An upstream of two pages, of which the second waits at a gate.
async fn two_pages() -> (Upstream, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.contains("c=2") {
        false => Reply::json(r#"{"data":[1,2],"total":4,"next":"2"}"#),
        true => held.before(Reply::json(r#"{"data":[3,4],"total":4,"next":null}"#)),
    })
    .await;
    (upstream, gate)
}

#[tokio::test]
async fn a_crawl_is_shown_while_it_lasts_and_its_snapshot_behind_it() {
    let (upstream, gate) = two_pages().await;
    let (process, admin) = serve("", &upstream, PAGES).await;
    assert_eq!(json(admin, "/crawls.json").await, Value::Array(Vec::new()));
    let body = tokio::spawn(client::receive(Version::Http1, process.address, stream("/orders?key=s3cret")));
    gate.reached().await;
    let crawls = json(admin, "/crawls.json").await;
    let facts = ["collection", "address", "records", "total", "pages", "readers", "consistency_at_best", "waits"];
    let expected = serde_json::json!(["/{*rest}", "/orders?key=…", 2, 4, 1, 1, "unverified", null]);
    assert_eq!(Value::from_iter(facts.map(|name| crawls[0][name].clone())), expected, "{crawls}");
    let command = crawls[0]["curl"].as_str().unwrap();
    let id = crawls[0]["snapshot"].as_str().unwrap();
    let url = format!("'http://{}/orders?key=…&_snapshot={id}'", process.address);
    assert_eq!(command, format!("curl -f -g -C - -o orders-{}.ndjson {url}", &id[..8]));
    let page = String::from_utf8(read(admin, "/").await.body).unwrap();
    assert!(
        page.contains("<progress aria-label=\"Records\" max=\"4\" value=\"2\">") && !page.contains("s3cret"),
        "{page}"
    );

    gate.open();
    assert_eq!(body.await.unwrap().whole(), "1\n2\n3\n4\n");
    assert_eq!(json(admin, "/crawls.json").await, Value::Array(Vec::new()));
    let snapshots = json(admin, "/snapshots.json").await;
    let facts = ["state", "records", "pages", "tier", "address"].map(|name| snapshots[0][name].clone());
    assert_eq!(Value::from_iter(facts), serde_json::json!(["complete", 4, 2, "memory", "/orders?key=…"]));
    assert!(snapshots[0]["end"].as_str().unwrap().starts_with("4 records in 2 pages; end proven by "), "{snapshots}");
    let upstreams = json(admin, "/upstreams.json").await;
    assert_eq!((&upstreams[0]["origin"], &upstreams[0]["requests"]), (&upstream.url().into(), &2.into()));
    let collections = json(admin, "/collections.json").await;
    let toml = collections[0]["toml"].as_str().unwrap();
    assert!(toml.contains("total = \"total\"\n"), "{toml}");
    let config = unpage::Config::from_toml(&collection(&upstream.url(), toml));
    assert!(config.is_ok(), "{config:?}");
}

#[tokio::test]
async fn a_recognised_pagination_is_toml_to_copy() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let page = if asked.target.contains("page=2") {
            r#"{"items":[{"id":3}],"page":2,"total":3}"#
        } else {
            r#"{"items":[{"id":1},{"id":2}],"page":1,"total":3,"next":"?page=2"}"#
        };
        Reply::json(page)
    })
    .await;
    let (process, admin) = serve("", &upstream, "").await;
    assert_eq!(json(admin, "/collections.json").await[0]["source"], "unknown");
    let received = client::receive(Version::Http1, process.address, stream("/items")).await;
    assert_eq!(received.whole().lines().count(), 3);
    let collections = json(admin, "/collections.json").await;
    assert_eq!(collections[0]["source"], "recognised", "{collections}");
    let toml = collections[0]["toml"].as_str().unwrap();
    assert!(toml.contains("records = \"items\""), "{toml}");
    let config = unpage::Config::from_toml(&collection(&upstream.url(), toml));
    assert!(config.is_ok(), "{config:?}");
}

#[tokio::test]
async fn every_crawl_that_breaks_behind_its_first_records_is_a_failure() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("c=2") {
        false => Reply::json(r#"{"data":[1,2],"total":4,"next":"2"}"#),
        true => Reply::Whole(answer(500, &[], "")),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "admin = \"127.0.0.1:0\"\n[snapshots]\ndir = {:?}\n{}",
        folder.path(),
        collection(&upstream.url(), PAGES)
    );
    let mut process = Process::serve(&toml).await;
    let admin = process.admin().await;
    for number in 0..20 {
        let received = client::receive(Version::Http1, process.address, stream(&format!("/orders/{number}"))).await;
        assert!(received.broken.is_some(), "{received:?}");
    }
    let none_left = async { while json(admin, "/crawls.json").await != Value::Array(Vec::new()) {} };
    tokio::time::timeout(Duration::from_secs(20), none_left).await.expect("the crawls end");
    let failures = json(admin, "/failures.json").await;
    let count: u64 = failures.as_array().unwrap().iter().map(|failure| failure["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 20, "{failures}");
}

#[tokio::test]
async fn bytes_of_clients_and_upstreams_never_become_markup() {
    const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}";
    let upstream =
        Upstream::scripted(0, |_, _| Reply::Whole(answer(400, &[("content-type", "text/plain")], HOSTILE))).await;
    let (process, admin) = serve("", &upstream, PAGES).await;
    for target in ["/%3Cscript%3E?%3Cb%3E=1", "/it's{b}\"?a'b=1"] {
        client::receive(Version::Http1, process.address, stream(target)).await;
    }
    let page = String::from_utf8(read(admin, "/").await.body).unwrap();
    let tables = page.split("<main>").nth(1).unwrap().split("</main>").next().unwrap();
    assert!(tables.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;U+202E"), "{tables}");
    for markup in ["<script", "<img", "<i>", "<b>1", "\u{202e}"] {
        assert!(!tables.contains(markup), "{markup} in {tables}");
    }
    let failures = json(admin, "/failures.json").await;
    assert!(failures[0]["message"].as_str().unwrap().contains(HOSTILE), "{failures}");
    assert!(failures[0]["hint"].as_str().is_some_and(|hint| !hint.is_empty()) && failures[0]["fault"].is_string());
}

#[tokio::test]
async fn the_page_is_bound_by_its_policy_and_its_token() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json(r#"{"data":[],"total":0,"next":null}"#)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "s3cret\n").unwrap();
    let token = format!("admin_token = {{ file = {:?} }}", file.path());
    let (process, admin) = serve(&token, &upstream, PAGES).await;
    client::receive(Version::Http1, process.address, stream("/a")).await;
    for path in ["/", "/events", "/crawls.json", "/metrics", "/nothing"] {
        let refused = read(admin, path).await.head;
        let challenges: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
        assert_eq!((refused.status, challenges.len()), (StatusCode::UNAUTHORIZED, 2), "{path}");
    }
    for value in ["Bearer s3cret", "Basic YW55OnMzY3JldA=="] {
        let mut request = get("/", "text/html");
        request.headers_mut().insert("authorization", value.parse().unwrap());
        let page = client::receive(Version::Http1, admin, request).await;
        assert_eq!(page.head.status, StatusCode::OK, "{value}");
        let policy = page.head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.head.headers["x-content-type-options"], "nosniff");
    }
    assert_eq!(read(admin, "/healthz").await.head.status, StatusCode::OK);
}

#[tokio::test]
async fn viewers_are_told_what_changes_and_sixteen_may_look() {
    let (upstream, gate) = two_pages().await;
    let (process, admin) = serve("", &upstream, PAGES).await;
    let mut viewers = Vec::new();
    for _ in 0..16 {
        let viewer = client::send(Version::Http1, admin, get("/events", "text/event-stream")).await;
        assert_eq!((viewer.status(), field(viewer.headers(), "content-type")), (StatusCode::OK, "text/event-stream"));
        viewers.push(viewer.into_body());
    }
    let refused = read(admin, "/events").await;
    assert_eq!(
        (refused.head.status, field(&refused.head.headers, "retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, "5")
    );
    let body = tokio::spawn(client::receive(Version::Http1, process.address, stream("/orders")));
    gate.reached().await;
    let mut viewer = viewers.pop().unwrap();
    drop(viewers);
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        let mut text = String::new();
        while !text.contains(r#"<b><bdi>/{*rest}</bdi></b>"#) {
            let frame = viewer.frame().await.unwrap().unwrap();
            text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
        text
    });
    let text = seen.await.expect("an event shows the crawl");
    let event = text.split("event: sections\ndata: ").nth(1).unwrap().lines().next().unwrap();
    let sections: Value = serde_json::from_str(event).unwrap();
    assert_eq!(sections.as_object().unwrap().len(), 6, "the first event has all sections: {text}");
    // The others have left, and others may look.
    let again = client::send(Version::Http1, admin, get("/events", "text/event-stream")).await;
    assert_eq!(again.status(), StatusCode::OK);
    gate.open();
    assert_eq!(body.await.unwrap().whole().lines().count(), 4);
}

#[tokio::test]
async fn actions_are_off_unless_they_are_configured() {
    let (upstream, gate) = two_pages().await;
    let (process, admin) = serve("", &upstream, PAGES).await;
    let body = tokio::spawn(client::receive(Version::Http1, process.address, stream("/orders")));
    gate.reached().await;
    let refused = post(admin, "/crawls/1/cancel", &[("sec-fetch-site", "same-origin")]).await;
    let report: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(
        (refused.head.status, field(&refused.head.headers, "content-type")),
        (StatusCode::FORBIDDEN, "application/problem+json")
    );
    assert!(report["hint"].as_str().unwrap().contains("admin_actions = true"), "{report}");
    assert_eq!(post(admin, "/crawls.json", &[]).await.head.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!String::from_utf8(read(admin, "/").await.body).unwrap().contains("<form"));
    let refused = post(admin, "/log-level?level=debug", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(refused.head.status, StatusCode::FORBIDDEN);
    assert_eq!(json(admin, "/log-level").await["level"], "info");
    gate.open();
    assert_eq!(body.await.unwrap().whole(), "1\n2\n3\n4\n");
}

#[tokio::test]
async fn a_cancelled_crawl_breaks_its_stream_and_a_dropped_snapshot_is_gone() {
    let (upstream, gate) = two_pages().await;
    let (mut process, admin) = serve("admin_actions = true", &upstream, PAGES).await;
    let body = tokio::spawn(client::receive(Version::Http1, process.address, stream("/orders")));
    gate.reached().await;
    let crawls = json(admin, "/crawls.json").await;
    let cancel = format!("/crawls/{}/cancel", crawls[0]["number"]);
    let snapshot = crawls[0]["snapshot"].as_str().unwrap().to_owned();
    let drop = format!("/snapshots/{snapshot}/drop");
    let page = String::from_utf8(read(admin, "/").await.body).unwrap();
    assert!(
        page.contains(&format!("action=\"{cancel}\" data-of=\"crawl {}, /orders\"", crawls[0]["number"])),
        "{page}"
    );
    let own = [("sec-fetch-site", "same-origin")];
    for fields in [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "http://evil.example")]] {
        assert_eq!(post(admin, &cancel, fields).await.head.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    assert_eq!(post(admin, &drop, &own).await.head.status, StatusCode::CONFLICT, "it is written");
    let origin = format!("http://{admin}");
    let done = post(admin, &cancel, &[("origin", &origin)]).await.head;
    assert_eq!((done.status, field(&done.headers, "location")), (StatusCode::SEE_OTHER, "/"));
    let received = body.await.unwrap();
    assert!(received.broken.is_some(), "a cancelled stream must not end cleanly: {received:?}");
    let told = process.wait_for(": the operator cancels crawl ").await;
    assert!(
        told.contains(&format!("crawl {} of /orders", crawls[0]["number"])) && told.contains("trace_id="),
        "{told}"
    );
    assert_eq!(post(admin, &cancel, &own).await.head.status, StatusCode::NOT_FOUND);
    let snapshot = &json(admin, "/snapshots.json").await[0];
    assert_eq!((&snapshot["state"], &snapshot["end"]), (&"stopped".into(), &"the operator cancelled the crawl".into()));
    let failures = json(admin, "/failures.json").await;
    assert_eq!(failures.as_array().unwrap().len(), 1, "{failures}");
    let (message, address) = (&failures[0]["message"], &failures[0]["address"]);
    assert_eq!((message, address), (&"the operator cancelled the crawl".into(), &"/orders".into()), "{failures}");
    let figures = json(admin, "/figures.json").await;
    assert_eq!((&figures["cancelled"], &figures["broken"]), (&1.into(), &0.into()), "{figures}");
    assert_eq!(post(admin, &drop, &own).await.head.status, StatusCode::SEE_OTHER);
    assert_eq!(json(admin, "/snapshots.json").await, Value::Array(Vec::new()));
    assert_eq!(post(admin, &drop, &own).await.head.status, StatusCode::NOT_FOUND);
    gate.open();
}

#[tokio::test]
async fn the_level_of_the_log_changes_while_the_process_runs() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.strip_prefix("/from/") {
        Some(list) => Reply::Whole(answer(302, &[("location", format!("/to/{list}").as_str())], "")),
        None => Reply::json("[1,2]"),
    })
    .await;
    let list = "records = \"$\"\npagination = \"none\"";
    let (mut process, admin) = serve("admin_actions = true", &upstream, list).await;
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(json(admin, "/log-level").await["level"], "info");
    assert_eq!(post(admin, "/log-level?level=debug", &[]).await.head.status, StatusCode::FORBIDDEN);
    for query in ["?level=loud", "?level=info,h2", "?level=", "?debug", ""] {
        let refused = post(admin, &format!("/log-level{query}"), &own).await;
        let report: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(refused.head.status, StatusCode::BAD_REQUEST, "{query}: {report}");
        let detail = report["detail"].as_str().unwrap();
        assert!(detail.contains("(error, warn, info, debug, trace, off) nor TARGET=LEVEL: "), "{query}: {report}");
    }
    for level in ["info", "debug", "off", "warn,unpage::crawl=info"] {
        if level != "info" {
            let set = post(admin, &format!("/log-level?level={level}"), &own).await.head;
            assert_eq!((set.status, field(&set.headers, "location")), (StatusCode::SEE_OTHER, "/"), "{level}");
        }
        assert_eq!(json(admin, "/log-level").await["level"], level);
        let page = String::from_utf8(read(admin, "/").await.body).unwrap();
        assert!(page.contains(&format!("Level of the log: <b><bdi>{level}</bdi></b>")), "{page}");
        let target = format!("/from/{}", &level[..3]);
        let received = client::receive(Version::Http1, process.address, stream(&target)).await;
        assert_eq!(received.whole(), "1\n2\n");
        // The lines of a crawl's end may be written behind its stream.
        if level != "off" {
            process.has_said(&format!("{target}: complete: ")).await;
        }
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    let redirected: Vec<_> = said.lines().filter(|line| line.contains(": redirected to http")).collect();
    assert!(redirected.len() == 1 && redirected[0].contains("/from/deb: "), "{redirected:?} in\n{said}");
    assert!(!said.contains("/from/off"), "{said}");
    let changes = ["level becomes debug", "level becomes off", "level has become warn,unpage::crawl=info"];
    for change in changes {
        assert_eq!(said.matches(change).count(), 1, "{change} in\n{said}");
    }
}

#[tokio::test]
async fn a_crawl_that_is_cancelled_before_its_first_page_is_told_as_such() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |_, _| held.before(Reply::json(r#"{"data":[1],"total":1}"#))).await;
    let (process, admin) = serve("admin_actions = true", &upstream, PAGES).await;
    let response = tokio::spawn(client::receive(Version::Http1, process.address, stream("/orders")));
    gate.reached().await;
    let number = &json(admin, "/crawls.json").await[0]["number"];
    let own = [("sec-fetch-site", "same-origin")];
    assert_eq!(post(admin, &format!("/crawls/{number}/cancel"), &own).await.head.status, StatusCode::SEE_OTHER);
    let first = response.await.unwrap();
    let report: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(first.head.status, StatusCode::SERVICE_UNAVAILABLE, "{report}");
    assert_eq!(report["detail"], "the operator cancelled the crawl", "{report}");
    assert_eq!(upstream.asked().len(), 1, "{report}");
    gate.open();
}
