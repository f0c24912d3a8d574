//! Every failure in the words that its user reads: the problem report of `serve`, and what `fetch` says and exits with.
//!
//! Each case is `tests/data/messages/NAME.txt`; `UPDATE_GOLDEN=1` writes them anew. Ports and random waits are normalised.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::Value;

use super::client::{self, Received, Version};
use super::codings::{gzip, labelled, zstd_bomb};
use super::proxy::{Proxy, RETRY, run};
use super::upstream::{Asked, Reply, Upstream, answer, held};

type Script = fn(&Asked, Response<Bytes>) -> Reply;

/// One thing that goes wrong: with whom, how it is configured, and what the upstream does.
struct Case {
    name: &'static str,
    /// The request to the proxy and to the upstream.
    target: &'static str,
    /// Keys of a `[[collection]]`; those that `fetch` has as an option are given to it, those after the first empty line
    /// only the proxy gets.
    lines: &'static str,
    script: Script,
}

const CURSOR: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
const PAGE: &str =
    "width = 1\nrecords = \"items\"\ntotal = \"total\"\npagination = { type = \"page\", param = \"page\", start = 1 }";
const PAGE_0: &str =
    "width = 1\nrecords = \"items\"\ntotal = \"total\"\npagination = { type = \"page\", param = \"page\", start = 0 }";
const OFFSET: &str =
    "width = 1\nrecords = \"items\"\ntotal = \"total\"\npagination = { type = \"offset\", param = \"skip\" }";
const KEYSET: &str = "records = \"data\"\npagination = { type = \"keyset\", key = \"id\", param = \"after\", more = { path = \"has_more\" } }";
const KEYED: &str = "key = \"uid\"\nrecords = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
const NEXT_URL: &str = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";
const AUTO: &str = "";

const CASES: [Case; 47] = [
    case("malformed-json", "/cursor/orders", CURSOR, |_, _| Reply::json("{\"data\": [{\"id\": 1}, {\"id\": ]}")),
    case("html-with-200", "/cursor/orders", CURSOR, |_, _| {
        let page = "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>…</body></html>";
        Reply::Whole(answer(200, &[("content-type", "text/html")], page))
    }),
    case("empty-body", "/cursor/orders", CURSOR, |_, _| Reply::json("")),
    case("not-utf8", "/cursor/orders", CURSOR, |_, _| Reply::json(&b"{\"data\": [\"caf\xe9\"]}"[..])),
    case("wrong-record-path", "/graph", "records = \"data.items\"\npagination = \"none\"", |_, _| {
        Reply::json("{\"data\":{\"orders\":[{\"id\":1},{\"id\":2}],\"facets\":[]},\"errors\":[]}")
    }),
    case("no-array-at-all", "/orders/1", "records = \"data\"\npagination = \"none\"", |_, _| Reply::json("{\"id\":1}")),
    case("404-first-page", "/nowhere", CURSOR, |_, answer| Reply::Whole(answer)),
    case("401-first-page", "/cursor/orders", CURSOR, |_, _| {
        Reply::Whole(answer(401, &[("www-authenticate", "Bearer realm=\"orders\"")], "{\"error\":\"who are you?\"}"))
    }),
    case("500-first-page", "/cursor/orders", CURSOR, |_, _| {
        Reply::Whole(answer(500, &[], "java.lang.NullPointerException"))
    }),
    case("429-first-page", "/cursor/orders", CURSOR, |_, _| {
        Reply::Whole(answer(429, &[("retry-after", "3600")], "{\"error\":\"quota\"}"))
    }),
    case("redirect", "/cursor/orders", CURSOR, |_, _| {
        Reply::Whole(answer(301, &[("location", "https://new.example/cursor/orders")], ""))
    }),
    case("406-first-page", "/cursor/orders", CURSOR, |_, _| Reply::status(406)),
    case("404-third-page", "/cursor/orders", CURSOR, |asked, answer| match asked.page {
        3 => Reply::status(404),
        _ => Reply::Whole(answer),
    }),
    case("503-third-page", "/cursor/orders", CURSOR, |asked, answer| match asked.page {
        3 => Reply::Whole(super::upstream::answer(503, &[("retry-after", "0")], "busy")),
        _ => Reply::Whole(answer),
    }),
    case("closed-third-page", "/cursor/orders", CURSOR, |asked, answer| match asked.page {
        3 => Reply::Raw(Vec::new()),
        _ => Reply::Whole(answer),
    }),
    case("cut-third-page", "/cursor/orders", CURSOR, |asked, answer| match asked.page {
        // Before its first record: of those that came, none would be missing.
        3 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"da".to_vec()),
        _ => Reply::Whole(answer),
    }),
    case("same-token-for-ever", "/cursor/orders", CURSOR, |asked, _| {
        Reply::json(format!("{{\"data\":[{}],\"meta\":{{\"next_cursor\":\"again\"}}}}", asked.page))
    }),
    case("same-page-for-ever", "/orders", CURSOR, |asked, _| {
        Reply::json(format!("{{\"data\":[1,2],\"meta\":{{\"next_cursor\":{}}}}}", asked.page))
    }),
    case("two-tokens-in-a-circle", "/orders", CURSOR, |asked, _| {
        let token = if asked.target.ends_with("=a") { "b" } else { "a" };
        Reply::json(format!("{{\"data\":[{}],\"meta\":{{\"next_cursor\":\"{token}\"}}}}", asked.page))
    }),
    case(
        "tokens-without-end",
        "/orders",
        "records = \"data\"\nlimits = { max_pages = 4 }\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }",
        |asked, _| Reply::json(format!("{{\"data\":[{0}],\"next\":{0}}}", asked.page)),
    ),
    case(
        "capped-by-unpage",
        "/orders",
        "records = \"data\"\ncaps = { pages = 4 }\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }",
        |asked, _| Reply::json(format!("{{\"data\":[{0}],\"next\":{0}}}", asked.page)),
    ),
    case("page-parameter-ignored", "/orders", PAGE, |_, _| Reply::json("{\"items\":[1,2],\"total\":9}")),
    case("total-disagrees", "/orders", PAGE, |asked, _| match asked.page {
        1 => Reply::json("{\"items\":[1,2],\"total\":9}"),
        2 => Reply::json("{\"items\":[3],\"total\":9}"),
        _ => Reply::json("{\"items\":[],\"total\":9}"),
    }),
    case("keyset-parameter-ignored", "/orders", KEYSET, |_, _| {
        Reply::json("{\"data\":[{\"id\":1},{\"id\":2}],\"has_more\":true}")
    }),
    case("offset-parameter-ignored", "/orders", OFFSET, |_, _| {
        Reply::json("{\"items\":[{\"id\":1},{\"id\":2}],\"total\":9}")
    }),
    case("key-of-no-record", "/cursor/orders", KEYED, |_, answer| Reply::Whole(answer)),
    case("list-shrinks", "/orders", PAGE, |asked, _| match asked.page {
        1 => Reply::json("{\"items\":[1,2],\"total\":9}"),
        _ => Reply::json("{\"items\":[4,5],\"total\":8}"),
    }),
    case("list-grows-in-front", "/orders", PAGE, |asked, _| match asked.page {
        1 => Reply::json("{\"items\":[1,2],\"total\":9}"),
        _ => Reply::json("{\"items\":[2,3],\"total\":10}"),
    }),
    case("list-shrinks-under-auto", "/orders?limit=2", AUTO, |asked, _| {
        let offset = u64::from(asked.target.contains("offset=2")) * 2;
        let (one, two, total) = (offset + 1, offset + 2, 9 - offset / 2);
        let ids = format!("{{\"id\":{one}}},{{\"id\":{two}}}");
        Reply::json(format!("{{\"items\":[{ids}],\"offset\":{offset},\"limit\":2,\"total\":{total}}}"))
    }),
    case("cursor-repeats-the-last-record", "/orders", CURSOR, |asked, _| {
        let (last, next) = (asked.page, asked.page + 1);
        let records = format!("{{\"id\":{last}}},{{\"id\":{next}}}");
        Reply::json(format!("{{\"data\":[{records}],\"meta\":{{\"next_cursor\":{next}}}}}"))
    }),
    case("cursor-repeats-the-last-record-under-auto", "/orders", AUTO, |asked, _| {
        let (last, next) = (asked.page, asked.page + 1);
        let records = format!("{{\"id\":{last}}},{{\"id\":{next}}}");
        Reply::json(format!("{{\"data\":[{records}],\"next_cursor\":\"c{next}\"}}"))
    }),
    case("first-page-is-number-0", "/orders", PAGE, |asked, _| {
        let page: u64 = asked.target.rsplit('=').next().and_then(|page| page.parse().ok()).unwrap_or_default();
        let ids: Vec<_> = (1..=5_u64).skip(page as usize * 2).take(2).collect();
        Reply::json(format!("{{\"items\":{ids:?},\"total\":5}}"))
    }),
    case("page-0-is-page-1", "/orders", PAGE_0, |asked, _| {
        let page: u64 = asked.target.rsplit('=').next().and_then(|page| page.parse().ok()).unwrap_or_default();
        let ids: Vec<_> = (1..=5_u64).skip(page.saturating_sub(1) as usize * 2).take(2).collect();
        Reply::json(format!("{{\"items\":{ids:?},\"total\":5}}"))
    }),
    case("page-0-is-refused", "/orders", PAGE_0, |_, _| {
        Reply::Whole(answer(400, &[], "{\"error\":\"page must be at least 1\"}"))
    }),
    case("total-of-no-page", "/orders", PAGE, |asked, _| match asked.page {
        1 => Reply::json("{\"items\":[1,2],\"meta\":{\"total\":3}}"),
        2 => Reply::json("{\"items\":[3],\"meta\":{\"total\":3}}"),
        _ => Reply::json("{\"items\":[],\"meta\":{\"total\":3}}"),
    }),
    case("page-size-refused", "/orders?limit=5000", PAGE, |_, _| {
        Reply::Whole(answer(422, &[], "{\"message\":\"limit must be 100 at most\"}"))
    }),
    case("hostile-link", "/orders", NEXT_URL, |_, _| {
        Reply::json("{\"results\":[1],\"next\":\"http://169.254.169.254/latest/meta-data?x=1\"}")
    }),
    case("next-elsewhere", "/orders", NEXT_URL, |_, _| {
        Reply::json("{\"results\":[{\"id\":1}],\"links\":{\"next\":\"/orders?page=2\"}}")
    }),
    case("coding-unknown", "/cursor/orders", CURSOR, |_, answer| {
        Reply::Whole(labelled(answer, "gzip, br", &b"\x1f\x8b\x08\x00"[..]))
    }),
    case("coding-cut", "/cursor/orders", CURSOR, |_, answer| {
        // Before the first record, which might have left by the time that the rest is missed.
        let body = gzip(answer.body());
        Reply::Whole(labelled(answer, "gzip", body[..12].to_vec()))
    }),
    case("coding-trailing", "/cursor/orders", CURSOR, |_, answer| {
        let body = [gzip(answer.body()), vec![0; 8]].concat();
        Reply::Whole(labelled(answer, "gzip", body))
    }),
    case("coding-mislabelled", "/cursor/orders", CURSOR, |_, answer| {
        let body = answer.body().clone();
        Reply::Whole(labelled(answer, "br", body))
    }),
    case("coding-bomb", "/cursor/orders", CURSOR, |_, answer| Reply::Whole(labelled(answer, "zstd", zstd_bomb()))),
    case(
        "one-page-of-many",
        "/none/orders",
        "records = \"orders\"\ntotal = \"total\"\npagination = \"none\"",
        |_, answer| Reply::Whole(answer),
    ),
    case(
        "missing-key",
        "/keyset/orders",
        "records = \"data\"\npagination = { type = \"keyset\", key = \"uid\", param = \"after\" }",
        |_, answer| Reply::Whole(answer),
    ),
    case("auto-sees-nothing", "/orders", AUTO, |_, _| Reply::json("{\"orders\":[{\"id\":1},{\"id\":2}],\"took\":3}")),
    case("auto-sees-no-array", "/orders", AUTO, |_, _| Reply::json("{\"id\":1,\"name\":\"x\"}")),
];

const fn case(name: &'static str, target: &'static str, lines: &'static str, script: Script) -> Case {
    Case { name, target, lines, script }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_says_whose_fault_it_is_and_what_to_do() {
    let mut told = tokio::task::JoinSet::new();
    for case in CASES {
        told.spawn(async move {
            let upstream = Upstream::scripted(120, case.script).await;
            let url = upstream.url();
            let reported = reported(&url, &case).await;
            upstream.forget();
            let said = said(&url, &case).await;
            (case.name, normalised(&format!("{reported}\n{said}"), &[upstream.address]))
        });
    }
    told.spawn(nobody_there());
    told.spawn(tls_to_a_plain_port());
    told.spawn(bad_wishes());
    told.spawn(bad_bodies());
    let told = told.join_all().await;
    assert_eq!(told.len(), CASES.len() + 4);
    let wrong: Vec<_> = told.iter().filter_map(|(name, text)| differs(name, text)).collect();
    assert!(wrong.is_empty(), "UPDATE_GOLDEN=1 writes them anew, if this is what they should say:\n{}", wrong.concat());
    let files = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, told.len(), "a file in {} belongs to no case", folder().display());
}

/// Answer of the proxy.
async fn reported(url: &str, case: &Case) -> String {
    let lines = case.lines;
    let toml = format!("[[collection]]\npath = \"/{{*rest}}\"\nupstream = \"{url}\"\n{RETRY}\n{lines}\n");
    let proxy = Proxy::start(&toml).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(case.target)).await;
    shown(&received)
}

/// A response as a reader of the golden file sees it.
fn shown(received: &Received) -> String {
    let mut text = format!("serve: {}\n", received.head.status);
    for name in ["content-type", "www-authenticate", "retry-after"] {
        if let Some(value) = received.header(name) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    let whole = received.body.iter().filter(|byte| **byte == b'\n').count();
    match &received.broken {
        Some(_) => text.push_str(&format!("\n{whole} whole records and a cut one, then the stream breaks\n")),
        None => text.push_str(&format!("\n{}", received.whole())),
    }
    text
}

/// Messages of `fetch`, with the options that correspond to the collection's keys.
async fn said(url: &str, case: &Case) -> String {
    let mut arguments = vec!["fetch".to_owned(), format!("{url}{}", case.target)];
    for line in case.lines.lines() {
        let (key, value) = line.split_once(" = ").unwrap();
        match key {
            "records" | "key" | "total" | "pagination" | "width" => {
                arguments.extend([format!("--{key}"), value.trim_matches('"').to_owned()]);
            }
            key => return format!("fetch has no option for `{key}`\n"),
        }
    }
    let output = run(&arguments).await;
    let (code, whole) = (output.status.code().unwrap(), output.stdout.iter().filter(|byte| **byte == b'\n').count());
    let cut = output.stdout.last().is_some_and(|byte| *byte != b'\n');
    let cut = if cut { " and a cut one" } else { "" };
    format!("fetch: exit {code}, {whole} whole records{cut} on stdout\n\n{}", String::from_utf8(output.stderr).unwrap())
}

async fn nobody_there() -> (&'static str, String) {
    let port = held(([127, 0, 0, 1], 0).into());
    let address = port.local_addr().unwrap();
    let case = case("nobody-there", "/orders", CURSOR, |_, answer| Reply::Whole(answer));
    let url = format!("http://{address}");
    let reported = reported(&url, &case).await;
    let toml = format!("[[collection]]\npath = \"/{{*rest}}\"\nupstream = \"{url}\"\n{RETRY}\n{CURSOR}\n");
    let proxy = Proxy::start(&toml).await;
    let forwarded = client::receive(Version::Http1, proxy.address, client::get("/orders", "*/*")).await;
    let said = said(&url, &case).await;
    (case.name, normalised(&format!("{reported}\nforwarded\n{}\n{said}", shown(&forwarded)), &[address]))
}

async fn tls_to_a_plain_port() -> (&'static str, String) {
    let plain = Upstream::of(1).await;
    let case = case("tls-to-a-plain-port", "/orders", CURSOR, |_, answer| Reply::Whole(answer));
    let url = format!("https://{}", plain.address);
    let text = format!("{}\n{}", reported(&url, &case).await, said(&url, &case).await);
    // The helper wants to be asked something that it understands.
    client::receive(Version::Http1, plain.address, client::get("/", "*/*")).await;
    (case.name, normalised(&text, &[plain.address]))
}

/// Requests that the proxy refuses before it asks the upstream.
async fn bad_wishes() -> (&'static str, String) {
    let toml = "[[collection]]\npath = \"/orders\"\nupstream = \"http://127.0.0.1:1\"\nrecords = \"$\"\npagination = \"none\"\n";
    let proxy = Proxy::start(toml).await;
    let mut text = String::new();
    for target in [
        "/orders?_format=xml",
        "/orders?_format=",
        "/orders?_format=status",
        "/orders?_since=7",
        "/orders?_end=markr",
        "/orders?_end=",
        "/orders?_wait=true",
        "/orders?_columns=id",
        "/orders?_snapshot=latest",
        "/orders?_snapshot=0123456789abcdef0123456789abcdef",
        "/nowhere",
        "/orders/..%2F",
        "/%2e%2e/x",
    ] {
        let received = client::receive(Version::Http1, proxy.address, client::get(target, "application/ndjson")).await;
        text.push_str(&format!("GET {target}\n{}\n", shown(&received)));
    }
    let mut range = client::stream("/orders");
    range.headers_mut().insert("range", "bytes=7-".parse().unwrap());
    let received = client::receive(Version::Http1, proxy.address, range).await;
    text.push_str(&format!("GET /orders with Range\n{}\n", shown(&received)));
    let mut ranges = client::stream("/orders");
    ranges.headers_mut().insert("range", "bytes=0-1,5-".parse().unwrap());
    let received = client::receive(Version::Http1, proxy.address, ranges).await;
    text.push_str(&format!("GET /orders with Range: bytes=0-1,5-\n{}\n", shown(&received)));
    let mut datetime = client::stream("/orders");
    datetime.headers_mut().insert("accept-datetime", "yesterday".parse().unwrap());
    let received = client::receive(Version::Http1, proxy.address, datetime).await;
    text.push_str(&format!("GET /orders with Accept-Datetime: yesterday\n{}\n", shown(&received)));
    let mut cached = client::stream("/orders");
    cached.headers_mut().insert("cache-control", "only-if-cached".parse().unwrap());
    let received = client::receive(Version::Http1, proxy.address, cached).await;
    text.push_str(&format!("GET /orders with Cache-Control: only-if-cached\n{}\n", shown(&received)));
    let received = client::raw(proxy.address, "GET /orders?_format=ndjson HTTP/1.0\r\n\r\n").await;
    let received = String::from_utf8(received).unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    text.push_str(&format!("GET /orders over HTTP/1.0\n{}\n\n{body}", head.lines().next().unwrap()));
    ("bad-wishes", text)
}

/// Request bodies that can't be repeated with every page.
async fn bad_bodies() -> (&'static str, String) {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"data\":[1],\"next\":\"a\"}")).await;
    let toml = format!(
        "[[collection]]\npath = \"/orders\"\nupstream = \"{}\"\nmethod = \"POST\"\nrecords = \"data\"\n\
         pagination = {{ type = \"cursor\", next = \"next\", param = \"body:after\" }}\n",
        upstream.url()
    );
    let proxy = Proxy::start(&toml).await;
    let mut text = String::new();
    let large = " ".repeat((1 << 20) + 1);
    let bodies = [
        ("not JSON", "application/json", "a=1&b=2"),
        ("too large", "application/json", &large),
        ("a form", "application/x-www-form-urlencoded", "a=1"),
        ("an array", "application/json", "[1]"),
    ];
    for (name, media_type, body) in bodies {
        let request =
            Request::post("/orders").header("accept", "application/ndjson").header("content-type", media_type);
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let received = client::receive(Version::Http1, proxy.address, request).await;
        text.push_str(&format!("{name}\n{}\n", shown(&received)));
    }
    ("bad-bodies", normalised(&text, &[upstream.address]))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages")
}

/// Difference between a message and its file, unless the file is to be written.
fn differs(name: &str, text: &str) -> Option<String> {
    let file = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(file, text).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    (expected != text).then(|| format!("--- {name}, expected\n{expected}\n+++ {name}, got\n{text}\n"))
}

/// The text without what no two runs share: ports, and the dice in a wait.
fn normalised(text: &str, addresses: &[SocketAddr]) -> String {
    let text =
        addresses.iter().fold(text.to_owned(), |text, address| text.replace(&address.to_string(), "127.0.0.1:PORT"));
    text.lines()
        .map(|line| match line.split_once("asking again in ") {
            Some((before, _)) if line.contains("; attempt ") => {
                // A log line begins with its time.
                let from = before.find("WARN").unwrap_or_default();
                format!("TIME {}asking again in TIME\n", &before[from..])
            }
            _ => match line.split_once("Z  WARN ") {
                Some((_, told)) => format!("TIME WARN {told}\n"),
                None => format!("{line}\n"),
            },
        })
        .collect()
}

/// A message for programs: its members, without the wording.
#[tokio::test]
async fn a_problem_report_is_one() {
    let upstream = Upstream::scripted(1, |_, _| Reply::status(404)).await;
    let toml = format!("[[collection]]\npath = \"/\"\nupstream = \"{}\"\n{CURSOR}\n", upstream.url());
    let proxy = Proxy::start(&toml).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/")).await;
    let problem: Value = serde_json::from_str(received.whole()).unwrap();
    let members: Vec<_> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["type", "title", "status", "detail", "fault", "hint"]);
    assert_eq!((&problem["status"], &problem["fault"]), (&404.into(), &"client".into()));
    assert_eq!(received.header("cache-control"), Some("no-store"));
}
