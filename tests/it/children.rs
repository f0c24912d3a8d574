//! Children: the lists of all parents as one stream, its proof, its order, and what is left of it after an interruption.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{self, Received, Version, stream};
use super::proxy::{Process, Proxy, RETRY, binary, run};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

const ALL: &str = "/issues/*/comments";

/// Issues 1 to 5, two a page, each with as many comments as its number, but none for 3; two comments a page.
fn tracker(asked: &Asked) -> Reply {
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let page = query.split('&').find_map(|pair| pair.strip_prefix("page=")?.parse().ok()).unwrap_or(1);
    let segments: Vec<_> = path.split('/').skip(1).collect();
    match segments[..] {
        ["issues"] => paged(path, page, (1..=5).map(|number| json!({"id": format!("i{number}"), "number": number}))),
        ["issues", "%2A", "comments"] => Reply::status(500),
        ["issues", number, "comments"] => comments(path, page, number.parse().unwrap()),
        _ => Reply::status(404),
    }
}

fn comments(path: &str, page: usize, number: usize) -> Reply {
    paged(path, page, (1..=if number == 3 { 0 } else { number }).map(|comment| json!({"id": number * 10 + comment})))
}

/// A page of two records, which leads to the next one by a link.
fn paged(path: &str, page: usize, records: impl Iterator<Item = Value>) -> Reply {
    let records: Vec<_> = records.collect();
    let own: Vec<_> = records.iter().skip(2 * (page - 1)).take(2).collect();
    let body = serde_json::to_string(&own).unwrap();
    let next = format!("<{path}?page={}>; rel=\"next\"", page + 1);
    let fields: &[(&str, &str)] = if 2 * page < records.len() { &[("link", &next)] } else { &[] };
    Reply::Whole(answer(200, fields, body))
}

/// The comments of all issues, with these members in front.
fn all(front: impl Fn(usize) -> String) -> String {
    let lines = [1, 2, 4, 5].into_iter().flat_map(|number| (1..=number).map(move |comment| (number, comment)));
    lines.map(|(number, comment)| format!("{{{}\"id\":{}}}\n", front(number), number * 10 + comment)).collect()
}

fn toml(upstream: &Upstream, parent: &str) -> String {
    format!(
        "[upstream.tracker]\nurl = \"{}\"\n{RETRY}\n\
         [[collection]]\npath = \"/issues\"\nupstream = \"tracker\"\nrecords = \"$\"\nkey = \"id\"\npagination = \"link_header\"\n\
         [[collection]]\npath = \"/issues/{{number}}/comments\"\nupstream = \"tracker\"\nrecords = \"$\"\npagination = \"link_header\"\n\
         parent = {{ collection = \"/issues\", key = \"number\"{parent} }}\n",
        upstream.url()
    )
}

async fn ask(proxy: &Proxy, target: &str) -> Received {
    client::receive(Version::Http1, proxy.address, stream(target)).await
}

fn text(received: &Received) -> &str {
    std::str::from_utf8(&received.body).unwrap()
}

/// Number of requests for each path.
fn counts(upstream: &Upstream) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for asked in upstream.asked() {
        *counts.entry(asked.target.split('?').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

async fn status(proxy: &Proxy, received: &Received) -> Value {
    let url = received.head.headers["content-location"].to_str().unwrap().to_owned();
    let url = format!("{url}&_format=status");
    let status = client::receive(Version::Http1, proxy.address, client::get(&url, "*/*")).await;
    serde_json::from_slice(&status.body).unwrap()
}

#[tokio::test]
async fn the_lists_of_all_parents_are_one_stream_in_their_order_and_each_page_is_asked_for_once() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let proxy = Proxy::start(&toml(&upstream, ", with = { issue = \"number\" }")).await;
    let received = ask(&proxy, ALL).await;
    assert!(received.broken.is_none());
    assert_eq!(text(&received), all(|number| format!("\"issue\":{number},")));
    let expected = [("/issues", 3), ("/issues/1/comments", 1), ("/issues/2/comments", 1), ("/issues/3/comments", 1)];
    let expected = expected.into_iter().chain([("/issues/4/comments", 2), ("/issues/5/comments", 3)]);
    assert_eq!(counts(&upstream), expected.map(|(path, count)| (path.to_owned(), count)).collect());
    upstream.forget();
    // One list, by the same collection.
    let one = ask(&proxy, "/issues/2/comments").await;
    assert_eq!(text(&one), "{\"id\":21}\n{\"id\":22}\n");
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_later_list_that_must_not_be_stored_or_shared_is_in_no_stream_that_others_get() {
    for (field, value, shown) in [
        ("cache-control", "no-store", "Cache-Control: no-store"),
        ("cache-control", "private", "Cache-Control: private"),
        ("set-cookie", "session=1", "Set-Cookie"),
        ("vary", "*", "Vary: *"),
    ] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let Reply::Whole(mut page) = tracker(asked) else { return Reply::status(404) };
            if asked.target.starts_with("/issues/4/") {
                page.headers_mut().insert(field, value.parse().unwrap());
            }
            Reply::Whole(page)
        })
        .await;
        let proxy = Proxy::start(
            &toml(&upstream, "")
                .replace("[[collection]]\npath = \"/issues\"", "width = 1\n[[collection]]\npath = \"/issues\""),
        )
        .await;
        let kept = ask(&proxy, &format!("{ALL}?_end=marker")).await;
        let lines: Vec<_> = text(&kept).lines().collect();
        assert_eq!(lines[..lines.len() - 1], ["{\"id\":11}", "{\"id\":21}", "{\"id\":22"], "{lines:?}");
        let end = lines.last().unwrap();
        assert!(end.contains(&format!("number 4: the answer has {shown}")) && end.contains("broken"), "{end}");
        let with = async |name: &'static str, value: &str| {
            let mut request = stream(ALL);
            request.headers_mut().insert(name, value.parse().unwrap());
            client::receive(Version::Http1, proxy.address, request).await
        };
        assert_eq!(with("cache-control", "no-store").await.whole(), all(|_| String::new()));
        if value != "no-store" {
            // No other caller has the key of one that its own credentials identify.
            assert_eq!(with("authorization", "Bearer a").await.whole(), all(|_| String::new()), "{field}");
        }
    }
}

#[tokio::test]
async fn the_query_of_the_client_goes_to_the_lists_and_the_configured_one_to_the_parents() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let proxy = Proxy::start(&toml(&upstream, ", query = \"state=all\"")).await;
    let received = ask(&proxy, "/issues/*/comments?sort=new&_end=marker").await;
    let marker: Value = serde_json::from_str(text(&received).lines().last().unwrap()).unwrap();
    let verdict = &marker["_unpage"]["verdict"];
    assert_eq!((&verdict["records"], &verdict["requests"]), (&json!(12), &json!(11)), "{verdict}");
    for asked in upstream.asked().iter().filter(|asked| !asked.target.contains("page=")) {
        let wanted = if asked.target.contains("comments") { "?sort=new" } else { "?state=all" };
        assert!(asked.target.ends_with(wanted), "{}", asked.target);
    }
    assert_eq!(verdict["lists"], json!({"parents": 5, "gone": 0, "consistency": {"snapshot": 3, "unverified": 2}}));
}

#[tokio::test]
async fn the_next_lists_are_requested_while_the_first_one_waits() {
    let (gate, second) = (Gate::default(), Gate::default());
    let (held, other) = (gate.clone(), second.clone());
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/issues/1/comments" => held.before(tracker(asked)),
        "/issues/4/comments" => other.before(tracker(asked)),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let received = tokio::spawn(client::receive(Version::Http1, proxy.address, stream(ALL)));
    gate.reached().await;
    second.reached().await;
    second.open();
    gate.open();
    assert_eq!(text(&received.await.unwrap()), all(|_| String::new()));
}

#[tokio::test]
async fn the_status_of_a_stream_under_way_counts_the_lists_and_pages_that_have_ended() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/issues/1/comments" => Reply::status(404),
        "/issues/5/comments?page=2" => held.before(tracker(asked)),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, ", on_gone = \"report\"")).await;
    let mut response = client::send(Version::Http1, proxy.address, stream(ALL)).await;
    let url = format!("{}&_format=status", response.headers()["content-location"].to_str().unwrap());
    gate.reached().await;
    // All that is in front of the page that waits.
    client::lines(response.body_mut(), 7).await;
    let status = client::receive(Version::Http1, proxy.address, client::get(&url, "*/*")).await;
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    let lists = json!({"parents": 4, "gone": 1});
    assert_eq!((&status["state"], &status["lists"], &status["pages"]), (&json!("running"), &lists, &json!(7)));
    gate.open();
    let status = status_of_whole(&proxy, Received::read(response).await, &url).await;
    assert_eq!((&status["lists"]["parents"], &status["pages"]), (&json!(5), &json!(10)), "{status:#}");
    assert_eq!(status["verdict"]["lists"]["parents"], 5);
}

async fn status_of_whole(proxy: &Proxy, received: Received, url: &str) -> Value {
    assert!(received.broken.is_none());
    let status = client::receive(Version::Http1, proxy.address, client::get(url, "*/*")).await;
    serde_json::from_slice(&status.body).unwrap()
}

#[tokio::test]
async fn a_page_of_the_lists_of_all_parents_is_none() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let refused = client::receive(Version::Http1, proxy.address, client::get(ALL, "application/json")).await;
    assert!(refused.head.status == 406 && text(&refused).contains("%2A"), "{}", text(&refused));
    assert_eq!(upstream.asked().len(), 0);
    // A value that is one, and another method, are the upstream's.
    let passed = client::receive(Version::Http1, proxy.address, client::get("/issues/%2A/comments", "*/*")).await;
    assert_eq!((passed.head.status.as_u16(), upstream.forget().len()), (500, 1));
}

#[tokio::test]
async fn parents_of_an_upstream_that_is_configured_apart_are_part_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    for (tenant, requests) in [("a", 11), ("a", 0), ("b", 11)] {
        upstream.forget();
        let of_parents =
            format!("[upstream.parents]\nurl = \"{}\"\nheaders = {{ tenant = \"{tenant}\" }}\n", upstream.url());
        let own = toml(&upstream, "").replacen("upstream = \"tracker\"", "upstream = \"parents\"", 1);
        let kept = format!("[snapshots]\nfresh_for = \"15m\"\ndir = {:?}\n{of_parents}{own}", folder.path());
        let proxy = Proxy::start(&kept).await;
        assert_eq!(text(&ask(&proxy, ALL).await), all(|_| String::new()));
        assert_eq!(upstream.asked().len(), requests, "{tenant}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn a_list_that_breaks_breaks_the_stream_behind_those_before_it() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues/4/comments?page=2" => Reply::status(500),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let received = ask(&proxy, "/issues/*/comments?_end=marker").await;
    assert!(received.broken.is_some());
    let marker: Value = serde_json::from_str(text(&received).lines().last().unwrap()).unwrap();
    let told = marker["_unpage"]["message"].as_str().unwrap();
    assert!(told.starts_with("children of number 4: page 2 of http://"), "{told}");
    assert!(text(&received).starts_with("{\"id\":11}\n{\"id\":21}\n{\"id\":22}\n{\"id\":41}\n"));
    let first = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues/1/comments" => Reply::status(403),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&first, "")).await;
    assert_eq!(ask(&proxy, ALL).await.head.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_broken_list_of_parents_breaks_the_stream() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues?page=3" => Reply::status(500),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let received = ask(&proxy, ALL).await;
    assert!(received.broken.is_some() || received.head.status.is_server_error());
    assert!(!text(&received).contains("51"));
}

#[tokio::test]
async fn a_parent_that_is_gone_breaks_the_stream_or_is_in_its_verdict_and_never_all_of_them() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues/2/comments" => Reply::status(404),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    assert!(ask(&proxy, ALL).await.broken.is_some());
    let kept = format!("[snapshots]\nfresh_for = \"15m\"\n{}", toml(&upstream, ", on_gone = \"report\""));
    let proxy = Proxy::start(&kept).await;
    let received = ask(&proxy, ALL).await;
    assert!(received.broken.is_none());
    assert_eq!(text(&received), all(|_| String::new()).replace("{\"id\":21}\n{\"id\":22}\n", ""));
    let verdict = status(&proxy, &received).await["verdict"].clone();
    assert_eq!(verdict["consistency"], "unverified");
    assert_eq!(verdict["lists"]["gone"], 1);
    assert_eq!(verdict["lists"]["weakest"], json!([{"parent": "number 2", "finding": "gone, by status 404"}]));
    // Not a list that was there a moment ago, nor all of them.
    for gone in ["?page=", ""] {
        let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
            target if target.contains("comments") && target.contains(gone) => Reply::status(404),
            _ => tracker(asked),
        })
        .await;
        let proxy = Proxy::start(&toml(&upstream, ", on_gone = \"report\"")).await;
        let received = ask(&proxy, ALL).await;
        assert!(received.broken.is_some() || !received.head.status.is_success(), "{gone:?}");
    }
}

#[tokio::test]
async fn a_parent_that_comes_twice_has_one_list_in_the_stream() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues" => paged("/issues", 1, [1, 2, 1].into_iter().map(|number| json!({"id": number, "number": number}))),
        "/issues?page=2" => Reply::json("[{\"id\":\"other\",\"number\":1}]"),
        _ => tracker(asked),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, "")).await;
    let received = ask(&proxy, ALL).await;
    assert_eq!(text(&received), "{\"id\":11}\n{\"id\":21}\n{\"id\":22}\n");
    assert_eq!(counts(&upstream)["/issues/1/comments"], 1);
}

#[tokio::test]
async fn no_parents_are_an_empty_stream_and_an_unreadable_one_breaks_it() {
    for (parents, is_good) in [
        ("[]", true),
        ("[{\"id\":1}]", false),
        ("[{\"number\":null}]", false),
        ("[{\"number\":\"..\"}]", false),
        ("[{\"number\":\"1/../../secret\"}]", false),
        ("[{\"number\":{\"a\":1}}]", false),
    ] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::json(parents)).await;
        let proxy = Proxy::start(&toml(&upstream, "").replace("key = \"id\"\n", "")).await;
        let received = ask(&proxy, ALL).await;
        let is_whole = received.head.status.is_success() && received.broken.is_none();
        assert_eq!((is_whole, upstream.asked().len()), (is_good, 1), "{parents}: {}", text(&received));
        assert!(!is_good || received.body.is_empty());
    }
}

#[tokio::test]
async fn keys_are_encoded_and_members_never_replace_a_records_own() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/issues" => Reply::json(r#"[{"number":"a/b?c"},{"number":"*"}]"#),
        "/issues/a%2Fb%3Fc/comments" => Reply::json("[{ }]"),
        "/issues/%2A/comments" | "/issues/*/comments" => Reply::json("[{\"issue\":7}]"),
        _ => Reply::status(500),
    })
    .await;
    let proxy = Proxy::start(&toml(&upstream, ", with = { issue = \"number\" }").replace("key = \"id\"\n", "")).await;
    let received = ask(&proxy, "/issues/*/comments?_end=marker").await;
    assert!(received.broken.is_some() && text(&received).starts_with("{\"issue\":\"a/b?c\""), "{}", text(&received));
    let told = text(&received).lines().last().unwrap();
    assert!(told.contains("a record has a member \\\"issue\\\" of its own"), "{told}");
}

/// `/orgs`, the repositories of each, the issues of each and the labels of each: two of everything.
fn nested(asked: &Asked) -> Reply {
    let name = ["org", "repo", "issue", "label"][asked.target.matches('/').count() / 2];
    let values = ["a", "b"].map(|value| json!({ name: value }));
    Reply::json(serde_json::to_string(&values).unwrap())
}

fn nested_toml(upstream: &Upstream) -> String {
    let mut toml = format!("[upstream.tracker]\nurl = \"{}\"\n{RETRY}\n", upstream.url());
    let mut path = String::new();
    for (name, key, with) in [
        ("orgs", "", ""),
        ("repos", "org", ""),
        ("issues", "repo", ""),
        ("labels", "issue", ", with = { o = \"org\", r = \"repo\", i = \"issue\" }"),
    ] {
        let parents = path.clone();
        path += &if key.is_empty() { format!("/{name}") } else { format!("/{{{key}}}/{name}") };
        toml += &format!(
            "[[collection]]\npath = \"{path}\"\nupstream = \"tracker\"\nrecords = \"$\"\npagination = \"link_header\"\n"
        );
        if !key.is_empty() {
            toml += &format!("parent = {{ collection = \"{parents}\", key = \"{key}\"{with} }}\n");
        }
    }
    toml
}

#[tokio::test]
async fn children_of_children_of_children_are_one_stream() {
    let upstream = Upstream::scripted(0, |asked, _| nested(asked)).await;
    let proxy = Proxy::start(&nested_toml(&upstream)).await;
    let line = |[o, r, i, l]: [&str; 4]| format!("{{\"i\":\"{i}\",\"o\":\"{o}\",\"r\":\"{r}\",\"label\":\"{l}\"}}\n");
    let both = ["a", "b"];
    let mut lines = Vec::new();
    for o in both {
        for r in both {
            for i in both {
                lines.extend(both.map(|l| ([o, r, i, l], line([o, r, i, l]))));
            }
        }
    }
    let of = |wanted: &dyn Fn(&[&str; 4]) -> bool| -> String {
        lines.iter().filter(|(names, _)| wanted(names)).map(|(_, line)| line.as_str()).collect()
    };
    for (target, expected, requests) in [
        ("/orgs/*/repos/*/issues/*/labels", of(&|_| true), 15),
        ("/orgs/b/repos/*/issues/*/labels", of(&|names| names[0] == "b"), 7),
        ("/orgs/b/repos/a/issues/*/labels", of(&|names| names[..2] == ["b", "a"]), 3),
    ] {
        upstream.forget();
        let received = ask(&proxy, target).await;
        assert_eq!((text(&received), upstream.asked().len()), (&*expected, requests), "{target}");
        assert!(received.broken.is_none());
    }
    // One list, and a `*` that no parent fills.
    assert_eq!(ask(&proxy, "/orgs/b/repos/a/issues/b/labels").await.body, b"{\"label\":\"a\"}\n{\"label\":\"b\"}\n");
    upstream.forget();
    ask(&proxy, "/orgs/*/repos/a/issues/b/labels").await;
    assert_eq!(upstream.asked()[0].target, "/orgs/*/repos/a/issues/b/labels");
}

#[tokio::test]
async fn callers_with_other_credentials_have_crawls_of_their_own_and_others_share() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let kept = format!("[snapshots]\nfresh_for = \"15m\"\n{}", toml(&upstream, ""));
    let proxy = Proxy::start(&kept).await;
    for (credentials, requests) in [("Bearer a", 11), ("Bearer a", 0), ("Bearer b", 11)] {
        upstream.forget();
        let mut request = stream(ALL);
        request.headers_mut().insert("authorization", credentials.parse().unwrap());
        let received = client::receive(Version::Http1, proxy.address, request).await;
        assert_eq!(text(&received), all(|_| String::new()));
        assert_eq!(upstream.asked().len(), requests, "{credentials}");
        assert!(upstream.asked().iter().all(|asked| asked.header("authorization") == Some(credentials)));
    }
}

#[tokio::test]
async fn a_stream_of_all_children_begins_behind_no_record() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let toml = toml(&upstream, "").replace(
        "pagination = \"link_header\"\nparent",
        "since = { param = \"after\", field = \"id\" }\npagination = \"link_header\"\nparent",
    );
    let proxy = Proxy::start(&toml).await;
    let refused = ask(&proxy, "/issues/*/comments?_since=21").await;
    assert_eq!(refused.head.status, StatusCode::BAD_REQUEST, "{}", text(&refused));
    assert!(text(&refused).contains("no common record"), "{}", text(&refused));
    let folder = tempfile::tempdir().unwrap();
    let path = fetch(folder.path(), &toml)[2].clone();
    let url = format!("{}/issues/*/comments", upstream.url());
    let whole_url = [url.as_str(), "--collection", "/issues/{number}/comments"];
    for (arguments, part) in [
        (&["/issues/*/comments?_since=21"][..], "no common record"),
        (&["/issues/*/comments?_snapshot=1"], "names a snapshot"),
        (&whole_url, "stands for all parents in a path alone"),
    ] {
        let output = run([&["fetch", "--config", path.as_str()], arguments].concat()).await;
        let told = std::str::from_utf8(&output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(part), "{arguments:?}: {told}");
    }
    assert!(upstream.asked().is_empty());
    let args = ["fetch", "--config", &path, "/issues/2/comments?_since=21"];
    assert!(run(args).await.status.success());
    assert!(upstream.asked().iter().all(|asked| asked.target.contains("after=21")), "{:?}", upstream.asked());
    upstream.forget();
    assert!(ask(&proxy, "/issues/2/comments").await.broken.is_none());
}

#[tokio::test]
async fn lists_of_one_permit_and_a_page_of_more_parents_than_may_wait_don_t_wait_for_each_other() {
    const PARENTS: usize = 600;
    // 500 keys may wait; of the records behind them, no more than 100 have room.
    let long = |number: usize| format!("{number:0>1000}");
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/issues" => {
            let parents: Vec<_> = (0..PARENTS)
                .map(|number| json!({"number": long(number), "note": "x".repeat(number / 500 * 9000)}))
                .collect();
            Reply::json(serde_json::to_string(&parents).unwrap())
        }
        target => Reply::json(if target.contains("00/comments") { "[1]" } else { "[]" }),
    })
    .await;
    let toml = toml(&upstream, "").replace("key = \"id\"\n", "");
    let proxy = Proxy::start(&toml.replace("retry =", "width = 1\nmax_width = 1\nretry =")).await;
    let received = ask(&proxy, ALL).await;
    assert_eq!((text(&received), upstream.asked().len()), (&*"1\n".repeat(PARENTS / 100), PARENTS + 1));
    assert!(received.broken.is_none());
}

#[tokio::test]
async fn a_list_that_begins_at_a_later_page_is_none() {
    let upstream = Upstream::scripted(0, |asked, _| tracker(asked)).await;
    let toml = toml(&upstream, ", query = \"page=2\"");
    let proxy = Proxy::start(&toml.replacen("\"link_header\"", "{ type = \"page\", param = \"page\" }", 1)).await;
    assert_eq!(ask(&proxy, ALL).await.head.status, StatusCode::INTERNAL_SERVER_ERROR);
    // The list of one issue, for the upstream to have been asked.
    assert_eq!(text(&ask(&proxy, "/issues/1/comments").await), "{\"id\":11}\n");
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_list_that_is_redirected_to_that_of_another_parent_breaks_the_stream() {
    for (to, is_whole) in
        [("/issues/4/comments", false), ("/issues/2/comments/", true), ("/v2/issues/2/comments", true)]
    {
        let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
            "/issues/2/comments" => Reply::Whole(answer(301, &[("location", to)], "")),
            "/issues/2/comments/" | "/v2/issues/2/comments" => Reply::json("[{\"id\":21},{\"id\":22}]"),
            _ => tracker(asked),
        })
        .await;
        for more in ["", ", on_gone = \"report\""] {
            let proxy = Proxy::start(&toml(&upstream, more)).await;
            let received = ask(&proxy, "/issues/*/comments?_end=marker").await;
            assert_eq!(received.broken.is_none(), is_whole, "{to}: {}", text(&received));
            assert!(
                is_whole
                    || !text(&received).contains("\"id\":41")
                        && text(&received).contains("children of number 2: http://")
            );
        }
    }
}

/// A number that follows from others.
fn mixed(parts: &[usize]) -> usize {
    parts.iter().fold(0x9E37_79B9_usize, |mixed, part| (mixed ^ part).wrapping_mul(0x0100_0193).rotate_left(13)) >> 3
}

/// Trees of two generations, whose pages fail now and then for good: after as many runs as it takes, a fetch has each list once, in order.
#[tokio::test]
async fn generated_trees_come_whole_through_faults_and_resumes() {
    let (mut resumed, mut faults) = (0, 0);
    for seed in 0..12_usize {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let orgs = mixed(&[seed]) % 3 + 2;
        let repos = move |org: usize| if org == 0 { 1 } else { mixed(&[seed, org]) % 4 };
        let commits = move |org: usize, repo: usize| mixed(&[seed, org, repo]) % 6 + usize::from(org == 0);
        let upstream = Upstream::scripted(0, move |asked, _| {
            let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
            let page = query.strip_prefix("page=").map_or(1, |page| page.parse().unwrap());
            // A fault that three attempts don't mend, and the next run does.
            let target: Vec<_> = asked.target.bytes().map(usize::from).collect();
            if path.contains("/orgs/")
                && !path.contains("/orgs/0")
                && mixed(&[seed, mixed(&target), counted.load(Ordering::SeqCst)]) % 100 < 12
            {
                return Reply::status(503);
            }
            let numbers: Vec<_> = path.split('/').filter_map(|segment| segment.parse::<usize>().ok()).collect();
            let count = match numbers[..] {
                [] => orgs,
                [org] => repos(org),
                [org, repo, ..] => commits(org, repo),
            };
            paged(path, page, (0..count).map(|number| json!({ "n": number })))
        })
        .await;
        let mut toml = format!("[upstream.tracker]\nurl = \"{}\"\n{RETRY}\n", upstream.url());
        for (path, parent) in [
            ("/orgs", ""),
            ("/orgs/{o}/repos", "parent = { collection = \"/orgs\", key = \"n\" }"),
            (
                "/orgs/{o}/repos/{r}/commits",
                "parent = { collection = \"/orgs/{o}/repos\", key = \"n\", with = { o = \"o\", r = \"r\" } }",
            ),
        ] {
            toml += &format!(
                "[[collection]]\npath = \"{path}\"\nupstream = \"tracker\"\nrecords = \"$\"\npagination = \"link_header\"\n{parent}\n"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let mut command = fetch(folder.path(), &toml);
        command[4] = "/orgs/{o}/repos/{r}/commits".to_owned();
        let mut expected = String::new();
        for (org, repo) in (0..orgs).flat_map(|org| (0..repos(org)).map(move |repo| (org, repo))) {
            (0..commits(org, repo)).for_each(|n| expected += &format!("{{\"o\":{org},\"r\":{repo},\"n\":{n}}}\n"));
        }
        loop {
            let output = run(&command).await;
            let said = String::from_utf8(output.stderr).unwrap();
            resumed += usize::from(said.contains("resumes after"));
            match output.status.code() {
                Some(0) => break,
                Some(3 | 4) => faults += 1,
                code => panic!("seed {seed}: {code:?}: {said}"),
            }
            assert!(tries.fetch_add(1, Ordering::SeqCst) < 50, "seed {seed}: {said}");
        }
        let file = std::fs::read_to_string(folder.path().join("comments.ndjson")).unwrap();
        assert_eq!(file, expected, "seed {seed}");
    }
    assert!(resumed > 0 && faults > 0, "{resumed} resumes, {faults} faults");
}

/// A configuration in a folder, and the command that fetches its children.
fn fetch(folder: &Path, toml: &str) -> Vec<String> {
    let (config, output) = (folder.join("unpage.toml"), folder.join("comments.ndjson"));
    std::fs::write(&config, toml).unwrap();
    let paths = [config, output].map(|path| path.to_str().unwrap().to_owned());
    let [config, output] = paths;
    ["fetch", "--config", &config, "--collection", "/issues/{number}/comments", "--output", &output]
        .map(ToOwned::to_owned)
        .to_vec()
}

/// Resolves when a journal in this folder has the note of the list of this parent.
async fn noted(folder: &Path, list: &str) {
    let note = format!("\"list\":{list}");
    let has_note = |file: &Path| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&note));
    let is_noted = || {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let is_journal = path.to_string_lossy().ends_with("journal");
                if is_journal && has_note(&path) {
                    return true;
                }
                folders.extend(path.is_dir().then_some(path));
            }
        }
        false
    };
    let noted = async {
        while !is_noted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), noted).await.expect("the list is not noted");
}

#[tokio::test]
async fn a_killed_fetch_is_resumed_at_the_list_that_was_under_way() {
    let gate = Gate::default();
    let held = gate.clone();
    let attempts = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/issues/4/comments?page=2" if attempts.fetch_add(1, Ordering::SeqCst) == 0 => held.before(tracker(asked)),
        _ => tracker(asked),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    // One list at a time, so that the requests before the kill are known.
    let toml = toml(&upstream, ", with = { issue = \"number\" }").replace("retry =", "width = 1\nretry =");
    let command = fetch(folder.path(), &toml);
    let mut child = binary().args(&command).stderr(Stdio::null()).spawn().unwrap();
    gate.reached().await;
    noted(folder.path(), "[4]").await;
    child.kill().await.unwrap();
    upstream.forget();
    let output = run(&command).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("resumes after 3 records in "), "{said}");
    let file = std::fs::read_to_string(folder.path().join("comments.ndjson")).unwrap();
    assert_eq!(file, all(|number| format!("\"issue\":{number},")));
    let counts = counts(&upstream);
    let paths: Vec<_> = counts.iter().map(|(path, count)| (path.as_str(), *count)).collect();
    assert_eq!(paths, [("/issues", 3), ("/issues/4/comments", 2), ("/issues/5/comments", 3)]);
    assert!(said.contains("of each of the lists of 5 parents"), "{said}");
}

#[tokio::test]
async fn parents_that_change_during_an_interruption_lose_and_double_nothing() {
    let broken = Arc::new(AtomicUsize::new(0));
    let stage = Arc::clone(&broken);
    // Before: 1 to 5, and 2 fails. Then 1 and 5 are gone, 6 is new in front, and the order is another.
    let upstream = Upstream::scripted(0, move |asked, _| match (&*asked.target, stage.load(Ordering::SeqCst)) {
        ("/issues/2/comments", 0) => Reply::status(500),
        ("/issues", 1) => Reply::json(r#"[{"number":6},{"number":4},{"number":2},{"number":3}]"#),
        ("/issues/6/comments", _) => Reply::json("[{\"id\":61}]"),
        ("/issues/1/comments" | "/issues/5/comments", 1) => Reply::status(404),
        _ => tracker(asked),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let toml = toml(&upstream, "").replace("key = \"id\"\n", "").replace("retry =", "width = 1\nretry =");
    let command = fetch(folder.path(), &toml);
    assert_eq!(run(&command).await.status.code(), Some(4));
    broken.store(1, Ordering::SeqCst);
    let output = run(&command).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read_to_string(folder.path().join("comments.ndjson")).unwrap();
    let ids: Vec<_> = file.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(json!(ids), json!([11, 21, 22, 61, 41, 42, 43, 44]));
}

#[tokio::test]
async fn a_parent_that_was_deleted_during_an_interruption_is_no_parent_any_more() {
    let stage = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&stage);
    let upstream = Upstream::scripted(0, move |asked, _| match (&*asked.target, now.load(Ordering::SeqCst)) {
        ("/issues/2/comments", 0) => Reply::status(500),
        ("/issues/2/comments", _) => Reply::status(404),
        ("/issues", 1) => Reply::json(r#"[{"number":1},{"number":4}]"#),
        ("/issues", 2) => Reply::json(r#"[{"number":1},{"number":2},{"number":4}]"#),
        _ => tracker(asked),
    })
    .await;
    for (later, code) in [(2, 4), (1, 0)] {
        stage.store(0, Ordering::SeqCst);
        let folder = tempfile::tempdir().unwrap();
        let toml = toml(&upstream, "").replace("key = \"id\"\n", "").replace("retry =", "width = 1\nretry =");
        let command = fetch(folder.path(), &toml);
        assert_eq!(run(&command).await.status.code(), Some(4));
        stage.store(later, Ordering::SeqCst);
        let output = run(&command).await;
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        if code == 0 {
            let file = std::fs::read_to_string(folder.path().join("comments.ndjson")).unwrap();
            assert_eq!(file, "{\"id\":11}\n{\"id\":41}\n{\"id\":42}\n{\"id\":43}\n{\"id\":44}\n");
        }
    }
}

#[tokio::test]
async fn a_killed_server_resumes_a_stream_of_children_at_the_byte_of_its_client() {
    let gate = Gate::default();
    let held = gate.clone();
    let attempts = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::scripted(0, move |asked, _| match &*asked.target {
        "/issues/5/comments?page=2" if attempts.fetch_add(1, Ordering::SeqCst) == 0 => held.before(tracker(asked)),
        _ => tracker(asked),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "listen = \"127.0.0.1:0\"\n[snapshots]\ndir = \"{}\"\n{}",
        folder.path().display(),
        toml(&upstream, "").replace("retry =", "width = 1\nretry =")
    );
    let first = Process::serve(&toml).await;
    let response = client::send(Version::Http1, first.address, stream(ALL)).await;
    let url = response.headers()["content-location"].to_str().unwrap().to_owned();
    gate.reached().await;
    noted(folder.path(), "[5]").await;
    first.signal(Signal::KILL);
    first.end().await;
    drop(response);
    let second = Process::serve(&toml).await;
    let mut request = stream(&url);
    request.headers_mut().insert("range", "bytes=5-".parse().unwrap());
    upstream.forget();
    let received = client::receive(Version::Http1, second.address, request).await;
    assert_eq!(received.head.status, StatusCode::PARTIAL_CONTENT);
    assert!(received.broken.is_none());
    assert_eq!(text(&received), &all(|_| String::new())[5..]);
    let paths: Vec<_> = counts(&upstream).into_keys().collect();
    assert_eq!(paths, ["/issues", "/issues/5/comments"]);
}
