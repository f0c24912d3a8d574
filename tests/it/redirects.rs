//! Redirects of pages: inside the upstream's origin they are followed, with credentials and without a change to any promise; nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Response};
use tokio::net::TcpListener;

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, RETRY, collection, run};
use super::streams::{ask, collections, orders};
use super::upstream::{Asked, Reply, Upstream, answer};

const CURSOR: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";

/// Redirects everything below `/moved` to the same path without it.
fn moved(asked: &Asked, answered: Response<Bytes>) -> Reply {
    match asked.target.strip_prefix("/moved") {
        Some(to) => Reply::Whole(answer(308, &[("location", to)], "{\"moved\":true}")),
        None => Reply::Whole(answered),
    }
}

#[tokio::test]
async fn a_collection_that_has_moved_is_the_orders_byte_for_byte() {
    let upstream = Upstream::scripted(250, moved).await;
    let toml = unpage::demo::configuration(&format!("{}/moved", upstream.url()))
        .replace("\nmethod", &format!("\n{RETRY}\nmethod"));
    let proxy = Proxy::start(&toml).await;
    let mut crawled = 0;
    for (path, method) in collections(&upstream) {
        let received = ask(Version::Http1, &proxy, &method, &path).await;
        let asked = upstream.forget();
        if method == Method::POST {
            assert_eq!(received.head.status, 502, "{path}");
            assert!(received.whole().contains("this redirect is not followed"), "{}", received.whole());
            continue;
        }
        if path == "/none/orders" {
            continue;
        }
        assert!(received.whole() == orders(250), "{path}: {}", received.whole());
        let redirected = asked.iter().filter(|asked| asked.target.starts_with("/moved")).count();
        assert!(redirected > 0 && redirected * 2 <= asked.len(), "{path}: {redirected} of {}", asked.len());
        crawled += 1;
    }
    assert!(crawled >= 10, "{crawled}");
}

#[tokio::test]
async fn every_status_is_followed_with_credentials_and_without_its_secret_in_the_url() {
    for status in [301, 302, 303, 307, 308] {
        let upstream = Upstream::scripted(120, move |asked, answered| match asked.target.strip_prefix("/moved") {
            Some(to) => Reply::Whole(answer(status, &[("location", to)], "")),
            None => Reply::Whole(answered),
        })
        .await;
        let lines = format!(
            "{CURSOR}\ncredentials = {{ query = {{ name = \"api_key\", value = {{ file = \"/dev/stdin\" }} }} }}"
        );
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "s3cr3t").unwrap();
        let lines = lines.replace("/dev/stdin", secret.path().to_str().unwrap());
        let proxy = Proxy::start(&collection(&format!("{}/moved", upstream.url()), &lines)).await;
        for version in BOTH {
            let mut request = client::stream("/cursor/orders");
            request.headers_mut().insert("authorization", "Bearer mine".parse().unwrap());
            let received = client::receive(version, proxy.address, request).await;
            assert!(received.whole() == orders(120), "{status}: {}", received.whole());
            for asked in upstream.forget() {
                assert_eq!(asked.header("authorization"), Some("Bearer mine"));
                assert_eq!(asked.target.matches("api_key=s3cr3t").count(), 1, "{}", asked.target);
            }
        }
    }
}

#[tokio::test]
async fn no_redirect_leaves_the_origin_and_each_is_named() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let places: [(&str, &str); 8] = [
        ("http://127.0.0.1:CANARY/orders", "another origin"),
        ("http://localhost:CANARY/orders", "another origin"),
        ("https://127.0.0.1:OWN/orders", "another origin"),
        ("http://127.0.0.2:OWN/orders", "another origin"),
        ("//127.0.0.1:CANARY/orders", "another origin"),
        ("\\\\127.0.0.1:CANARY\\orders", "another origin"),
        ("http://user:pw@127.0.0.1:OWN/orders", "with a user name or password"),
        ("http://127.0.0.1:OWN@127.0.0.1:CANARY/orders", "with a user name or password"),
    ];
    let mut cases = 0;
    for (place, said) in places {
        for status in [301, 302, 303, 307, 308] {
            for page in [1, 2] {
                let upstream = Upstream::scripted(120, move |asked, answered| {
                    let own = asked.header("host").unwrap().rsplit_once(':').unwrap().1;
                    let place = place.replace("CANARY", &port.to_string()).replace("OWN", own);
                    match asked.page {
                        at if at == page => Reply::Whole(answer(status, &[("location", &place)], "")),
                        _ => Reply::Whole(answered),
                    }
                })
                .await;
                let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
                let mut request = client::stream("/cursor/orders");
                request.headers_mut().insert("authorization", "Bearer mine".parse().unwrap());
                let received = client::receive(Version::Http1, proxy.address, request).await;
                match page {
                    1 => assert!(
                        received.head.status == 502 && received.whole().contains(said),
                        "{place}: {}",
                        received.whole()
                    ),
                    _ => assert!(received.cut(), "{place}"),
                }
                assert_eq!(upstream.asked().len(), page, "a redirect is not retried");
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 80);
    // Connections wait in order: were there an earlier one, it would be accepted first.
    let ours = tokio::net::TcpStream::connect(canary.local_addr().unwrap()).await.unwrap();
    assert_eq!(canary.accept().await.unwrap().1, ours.local_addr().unwrap());
}

#[tokio::test]
async fn circles_long_ways_and_lost_queries_break_the_stream() {
    type Script = fn(&Asked) -> &'static str;
    let cases: [(Script, usize, &str); 4] = [
        (|asked| if asked.target == "/a" { "/b" } else { "/a" }, 2, "leading in a circle: /a → /b → /a"),
        (|_| "/a", 1, "leading in a circle: /a → /a"),
        (|asked| ["/1", "/2", "/3", "/4", "/5", "/6"][asked.page - 1], 6, "after 5 other redirects"),
        (|_| "", 1, "without one Location"),
    ];
    for (script, requests, said) in cases {
        let upstream = Upstream::scripted(0, move |asked, _| match script(asked) {
            "" => Reply::Whole(answer(302, &[], "")),
            to => Reply::Whole(answer(302, &[("location", to)], "")),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/a")).await;
        assert!(received.head.status == 502 && received.whole().contains(said), "{}", received.whole());
        assert_eq!(upstream.asked().len(), requests, "{said}");
    }
    // A slash is appended and the query forgotten: each page would be the first one.
    let upstream = Upstream::scripted(120, |asked, answered| match asked.target.split_once('?') {
        Some((path, _)) => Reply::Whole(answer(301, &[("location", path)], "")),
        None => Reply::Whole(answered),
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    assert!(received.cut() && upstream.asked().len() == 2);
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders?day=1")).await;
    assert!(received.whole().contains("the query option `day` isn't what it was"), "{}", received.whole());
}

#[tokio::test]
async fn relative_links_begin_at_the_url_that_answered() {
    for (link, target) in
        [("more?x=1", "/new/v2/more?x=1"), ("?x=1", "/new/v2/items?x=1"), ("../y", "/new/y"), ("/z", "/z")]
    {
        let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
            "/old/items" => Reply::Whole(answer(302, &[("location", "/new/v2/items")], "")),
            "/new/v2/items" => Reply::json(format!("{{\"results\":[1],\"next\":\"{link}\"}}")),
            _ => Reply::json("{\"results\":[2],\"next\":null}"),
        })
        .await;
        let lines = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";
        let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/old/items")).await;
        assert_eq!(received.whole(), "1\n2\n", "{link}");
        let asked: Vec<_> = upstream.forget().into_iter().map(|asked| asked.target).collect();
        assert_eq!(asked, ["/old/items", "/new/v2/items", target]);
    }
}

#[tokio::test]
async fn resumed_verified_and_repaired_crawls_follow_redirects_as_well() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let upstream = Upstream::scripted(220, move |asked, answered| match asked.target.as_str() {
        target if target.starts_with("/cursor") && asked.page == 8 && counted.fetch_add(1, Ordering::SeqCst) == 0 => {
            Reply::status(410)
        }
        _ => moved(asked, answered),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.ndjson");
    let fetch = |path: &str, more: &[&str]| {
        let url = format!("{}/moved/{path}/orders", upstream.url());
        let arguments = ["fetch", &url, "--output", file.to_str().unwrap()];
        let arguments: Vec<_> = arguments.iter().chain(more).map(|text| (*text).to_owned()).collect();
        async move { run(arguments).await }
    };
    let cursor: &[&str] = &[
        "--records",
        "data",
        "--pagination",
        "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }",
    ];
    let broken = fetch("cursor", cursor).await;
    let said = String::from_utf8_lossy(&broken.stderr).into_owned();
    assert!(broken.status.code() == Some(4) && said.contains("redirected to /cursor/orders"), "{said}");
    let before = upstream.forget().len();
    let resumed = fetch("cursor", cursor).await;
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.success() && said.contains("resumes after 60 records"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), orders(220));
    // Eleven pages, each asked for twice, and the fourth once more.
    assert_eq!(before + upstream.forget().len(), 24);

    let offset: &[&str] = &[
        "--records",
        "items",
        "--key",
        "id",
        "--total",
        "total",
        "--pagination",
        "{ type = \"offset\", param = \"offset\" }",
    ];
    for (consistency, word) in [("detect", ""), ("repair", "steady"), ("verify", "snapshot")] {
        let output = fetch("offset", &[offset, &["--consistency", consistency]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains(word), "{consistency}: {said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), orders(220), "{consistency}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed_where_they_are_off_or_only_passed_through() {
    let upstream = Upstream::scripted(120, moved).await;
    let url = format!("{}/moved", upstream.url());
    let proxy = Proxy::start(&collection(&url, &format!("redirects = \"off\"\n{CURSOR}"))).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    assert!(
        received.head.status == 502 && received.whole().contains("redirects = \\\"off\\\""),
        "{}",
        received.whole()
    );
    let proxy = Proxy::start(&collection(&url, CURSOR)).await;
    let received = client::receive(Version::Http1, proxy.address, client::get("/cursor/orders", "*/*")).await;
    assert_eq!(received.head.status, 308);
    assert_eq!(upstream.asked().len(), 2);
    let url = format!("{url}/cursor/orders");
    let output = run(["fetch", &url, "--redirects", "off", "--records", "data", "--pagination", "none"]).await;
    assert_eq!((output.status.code(), upstream.asked().len()), (Some(3), 3));
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_dialled_where_private_addresses_are_refused() {
    let upstream = Upstream::scripted(20, |_, answered| Reply::Whole(answered)).await;
    let url = format!("http://localhost:{}", upstream.address.port());
    let proxy = Proxy::start(&collection(&url, &format!("private_addresses = \"refuse\"\n{CURSOR}"))).await;
    for request in [client::stream("/cursor/orders"), client::get("/cursor/orders", "*/*")] {
        let received = client::receive(Version::Http1, proxy.address, request).await;
        let said = received.whole();
        assert!(received.head.status == 502 && said.contains("its name has a loopback address"), "{said}");
        assert!(said.contains("private_addresses") && !said.contains("127.0.0.1"), "{said}");
    }
    assert!(upstream.asked().is_empty());
    let proxy = Proxy::start(&collection(&url, CURSOR)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    assert_eq!(received.whole(), orders(20));
}

#[tokio::test]
async fn a_later_page_is_only_redirected_as_the_first_one_was() {
    // Pages /items, /p2, /p3, each with one record, and a redirect of one of them.
    let cases: [(&str, &str, bool); 6] = [
        ("/p2", "/login", false),
        ("/p2", "/p3", false),
        ("/p3", "/items", false),
        ("/p3", "/p3/", false),
        ("/items /p2 /p3", "/", true),
        ("/items /p2", "/", true),
    ];
    for (redirected, to, is_whole) in cases {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let path = asked.target.as_str();
            if redirected.split(' ').any(|page| page == path) {
                let to = if to == "/" { format!("{path}/") } else { to.to_owned() };
                return Reply::Whole(answer(302, &[("location", &to)], ""));
            }
            Reply::json(match path.trim_end_matches('/') {
                "/items" => "{\"results\":[1],\"next\":\"/p2\"}",
                "/p2" => "{\"results\":[2],\"next\":\"/p3\"}",
                "/p3" => "{\"results\":[3],\"next\":null}",
                _ => "{\"results\":[],\"next\":null}",
            })
        })
        .await;
        let lines = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";
        let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/items")).await;
        match is_whole {
            true => assert_eq!(received.whole(), "1\n2\n3\n", "{redirected} to {to}"),
            false => assert!(received.cut(), "{redirected} to {to}"),
        }
        assert!(!upstream.asked().is_empty());
    }
}

#[tokio::test]
async fn an_empty_list_elsewhere_proves_nothing_and_one_behind_a_slash_does() {
    for (to, status) in [("/login", 502), ("/v2/items", 502), ("/items/", 200), ("/items?lang=en", 200)] {
        for empty in ["{\"data\":[],\"meta\":{\"next_cursor\":null}}", "{\"data\":[1],\"meta\":{\"next_cursor\":null}}"]
        {
            let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
                "/items" => Reply::Whole(answer(302, &[("location", to)], "")),
                _ => Reply::json(empty),
            })
            .await;
            let status = if empty.contains("[1]") { 200 } else { status };
            let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
            for version in BOTH {
                let received = client::receive(version, proxy.address, client::stream("/items")).await;
                assert_eq!(received.head.status, status, "{to} {empty}: {}", received.whole());
                assert!(status == 200 || received.whole().contains(to), "{}", received.whole());
            }
            let url = format!("{}/items", upstream.url());
            let pagination = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
            let done = run(["fetch", &url, "--records", "data", "--pagination", pagination]).await;
            assert_eq!(done.status.success(), status == 200, "{to} {empty}: {done:?}");
        }
    }
}
