//! States of a collection that a request of its own opens for a crawl, and another one closes.

use serde_json::{Value, json};
use unpage::error::Fault;

use super::client::{self, Version, stream};
use super::proxy::{Proxy, collection, run};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

const STATE: &str = r#"valid_at = { param = "body:pit.id", from = { path = "_pit?keep_alive=5m", value = "id", renewed = "pit_id", page_path = "../_search", merge = { pit = { keep_alive = "5m" } }, close = { path = "/_pit", param = "body:id" } } }"#;

const SEARCH: &str = r#"method = "POST"
body = { size = 2 }
records = "hits"
pagination = { type = "keyset", key = "sort", param = "body:search_after" }
"#;

const ALL: &str = "{\"sort\":[1]}\n{\"sort\":[2]}\n{\"sort\":[3]}\n{\"sort\":[4]}\n{\"sort\":[5]}\n";

fn body(asked: &Asked) -> Value {
    serde_json::from_slice(&asked.body).unwrap_or_default()
}

/// Number in a state's name: each page has the next one.
fn state(value: &Value) -> u64 {
    value.as_str().and_then(|name| name.strip_prefix('p')).and_then(|number| number.parse().ok()).expect("a name")
}

/// Five records in pages of two, of a state whose name changes with each page.
fn search(asked: &Asked) -> Reply {
    let sent = body(asked);
    match (asked.method.as_str(), asked.target.as_str()) {
        ("POST", "/logs/_pit?keep_alive=5m") => Reply::json(r#"{"id":"p0"}"#),
        ("DELETE", "/_pit") => Reply::json(r#"{"succeeded":true}"#),
        ("POST", "/_search") => {
            assert_eq!(sent["pit"]["keep_alive"], "5m", "{sent}");
            let name = format!("p{}", state(&sent["pit"]["id"]) + 1);
            let after = sent["search_after"][0].as_u64().unwrap_or_default();
            let hits: Vec<_> = (after + 1..=5).take(2).map(|number| json!({ "sort": [number] })).collect();
            Reply::json(json!({ "pit_id": name, "hits": hits }).to_string())
        }
        other => panic!("{other:?}"),
    }
}

/// Method, target and state of each request.
fn requests(upstream: &Upstream) -> Vec<(String, Option<String>)> {
    let name = |asked: &Asked| {
        let sent = body(asked);
        let name = sent["pit"]["id"].as_str().or_else(|| sent["id"].as_str());
        name.map(ToOwned::to_owned)
    };
    upstream.asked().iter().map(|asked| (format!("{} {}", asked.method, asked.target), name(asked))).collect()
}

fn request(line: &str, name: Option<&str>) -> (String, Option<String>) {
    (line.to_owned(), name.map(ToOwned::to_owned))
}

fn post(target: &str, body: &'static str) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let (mut head, _) = stream(target).into_parts();
    head.method = http::Method::POST;
    http::Request::from_parts(head, http_body_util::Full::new(body.into()))
}

#[tokio::test]
async fn each_page_names_the_newest_state_and_the_last_one_is_closed() {
    let upstream = Upstream::scripted(0, |asked, _| search(asked)).await;
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{SEARCH}{STATE}"))).await;
    let received = client::receive(Version::Http1, proxy.address, post("/logs/_search", "")).await;
    assert_eq!(received.whole(), ALL);
    let wanted = [
        request("POST /logs/_pit?keep_alive=5m", None),
        request("POST /_search", Some("p0")),
        request("POST /_search", Some("p1")),
        request("POST /_search", Some("p2")),
        request("POST /_search", Some("p3")),
        request("DELETE /_pit", Some("p4")),
    ];
    assert_eq!(requests(&upstream), wanted);
    assert!(upstream.asked().iter().filter(|asked| asked.target == "/_search").all(|asked| body(asked)["size"] == 2));
    // An empty name is none, so that a state is opened.
    upstream.forget();
    let unnamed = r#"{"pit":{"id":""}}"#;
    let received = client::receive(Version::Http1, proxy.address, post("/logs/_search", unnamed)).await;
    assert_eq!((received.whole(), requests(&upstream)), (ALL, wanted.to_vec()));
    // A state that the client's request names is the client's own.
    upstream.forget();
    let named = r#"{"pit":{"id":"p7","keep_alive":"5m"}}"#;
    let received = client::receive(Version::Http1, proxy.address, post("/_search", named)).await;
    assert_eq!(received.whole(), ALL);
    let names = ["p7", "p8", "p9", "p10"].map(|name| request("POST /_search", Some(name)));
    assert_eq!(requests(&upstream)[..3], names[..3]);
    assert!(requests(&upstream).iter().all(|(line, _)| line == "POST /_search"), "{:?}", requests(&upstream));
}

#[tokio::test]
async fn fetch_ends_behind_the_closed_state_also_where_the_crawl_breaks() {
    // (page of the trouble, its status, exit code, requests)
    for (trouble, status, code, count) in [(0, 200, 0, 6), (4, 404, 4, 6), (1, 400, 3, 3)] {
        let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
            "/_search" if state(&body(asked)["pit"]["id"]) + 1 == trouble => Reply::status(status),
            _ => search(asked),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unpage.toml");
        std::fs::write(&file, collection(&upstream.url(), &format!("{SEARCH}{STATE}"))).unwrap();
        let output = run(["fetch", "--config", file.to_str().unwrap(), "/logs/_search"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        let asked = requests(&upstream);
        assert_eq!(asked.last().unwrap().0, "DELETE /_pit", "{asked:?}");
        assert_eq!((asked.len(), trouble == 0), (count, output.stdout == ALL.as_bytes()), "{asked:?}");
        if trouble == 0 {
            assert!(said.contains("upstream: one state by `body:pit.id` in every request"), "{said}");
        }
        if trouble == 4 {
            assert!(
                said.contains("as if the state of the collection that was opened for the crawl were gone"),
                "{said}"
            );
        }
    }
}

#[tokio::test]
async fn a_state_that_is_not_opened_breaks_before_any_page_and_nothing_is_closed() {
    for (reply, fault, why) in [
        (answer(404, &[], r#"{"error":"no such index [logs]"}"#), "client", "no such index"),
        (answer(200, &[], r#"{"name":"p0"}"#), "configuration", "names no state of the collection at `id`"),
        (answer(200, &[], r#"{"id":""}"#), "configuration", "names no state of the collection at `id`"),
    ] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::Whole(reply.clone())).await;
        let proxy = Proxy::start(&collection(&upstream.url(), &format!("{SEARCH}{STATE}"))).await;
        let received = client::receive(Version::Http1, proxy.address, post("/logs/_search", "")).await;
        let problem: Value = serde_json::from_slice(&received.body).unwrap();
        assert!(problem["fault"] == fault && problem["detail"].as_str().unwrap().contains(why), "{problem}");
        assert_eq!(upstream.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_state_is_closed_where_its_crawl_is_dropped() {
    let closing = Gate::default();
    let upstream = {
        let closing = closing.clone();
        Upstream::scripted(0, move |asked, _| match asked.method.as_str() {
            "DELETE" => closing.before(search(asked)),
            _ => search(asked),
        })
        .await
    };
    let crawl = super::validity::crawl(&upstream, "", &format!("{SEARCH}{STATE}"));
    let first = unpage::pagination::PageRequest {
        url: format!("{}/logs/_search", upstream.url()).parse().unwrap(),
        ..crawl.first.clone()
    };
    drop(unpage::crawl::Crawl { first, ..crawl }.open().await.unwrap());
    closing.reached().await;
    closing.open();
    assert_eq!(requests(&upstream).last().unwrap(), &request("DELETE /_pit", Some("p1")));
}

/// A state that is gone is told by the statuses by which other upstreams tell the end.
#[tokio::test]
async fn no_refusal_confirms_an_end_in_a_state() {
    const NUMBERED: &str =
        "records = \"data\"\ntotal = \"total\"\npagination = { type = \"page\", param = \"page\" }\n";
    const VIEW: &str = r#"valid_at = { param = "view", from = { path = "/views", value = "id" } }"#;
    for status in [404, 410, 416, 400, 422] {
        let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
            "/views" => Reply::json(r#"{"id":7}"#),
            target if target.contains("page=3") => Reply::status(status),
            target => {
                let first = if target.contains("page=2") { 3 } else { 1 };
                Reply::json(format!(r#"{{"data":[{{"id":{first}}},{{"id":{}}}],"total":4}}"#, first + 1))
            }
        })
        .await;
        for (lines, is_whole) in [(NUMBERED.to_owned(), true), (format!("{NUMBERED}{VIEW}"), false)] {
            let crawl = super::validity::crawl(&upstream, "?size=2", &lines);
            let ended = super::validity::whole(unpage::crawl::Crawl { width: 1, ..crawl }).await;
            let asked = upstream.forget();
            let pages: Vec<_> = asked.iter().filter(|asked| asked.target.starts_with("/list")).collect();
            assert!(
                pages.len() == 3 && pages.iter().all(|page| page.target.contains("view=7") != is_whole),
                "{asked:?}"
            );
            let is_past = matches!(status, 404 | 410 | 416);
            assert_eq!(ended.is_ok(), is_whole && is_past, "{status}: {ended:?}");
            if let (Err(failure), false, 404 | 410) = (&ended, is_whole, status) {
                assert!(failure.fault == Fault::Upstream && failure.hint.contains("valid_at"), "{failure}");
            }
        }
    }
}
