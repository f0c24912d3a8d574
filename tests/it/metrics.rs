//! The operator's address: what it tells of crawls and upstreams while they wait, and how it comes and goes with the proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::StatusCode;

use super::client::{self, Version, get, stream};
use super::proxy::{Process, collection, run};
use super::upstream::{Gate, Part, Reply, Upstream, answer};

const ONE_PAGE: &str = "records = \"$\"\npagination = \"none\"\nretry = { cap = \"2h\" }";

/// Every sample by its name and labels, as they are written.
pub(super) type Samples = BTreeMap<String, f64>;

/// The binary before this upstream, with an operator's address; and that address.
pub(super) async fn serve(upstream: &Upstream, lines: &str) -> (Process, SocketAddr) {
    serve_with(upstream, "", lines).await
}

/// The same with these tables before the collection.
pub(super) async fn serve_with(upstream: &Upstream, tables: &str, lines: &str) -> (Process, SocketAddr) {
    let toml = format!("admin = \"127.0.0.1:0\"\n{tables}\n{}", collection(&upstream.url(), lines));
    let mut process = Process::serve(&toml).await;
    let address = process.admin().await;
    (process, address)
}

async fn ask(admin: SocketAddr, path: &str) -> (StatusCode, String) {
    let received = client::receive(Version::Http1, admin, get(path, "*/*")).await;
    assert!(received.broken.is_none(), "{received:?}");
    (received.head.status, String::from_utf8(received.body).unwrap())
}

pub(super) async fn samples(admin: SocketAddr) -> Samples {
    let (status, text) = ask(admin, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    read(&text)
}

/// Scrapes until the samples are these.
pub(super) async fn until(admin: SocketAddr, are_these: impl Fn(&Samples) -> bool) -> Samples {
    loop {
        let samples = samples(admin).await;
        if are_these(&samples) {
            return samples;
        }
    }
}

/// Reads the text as a scraper does: a family's help, its type and then its samples, each of them once.
fn read(text: &str) -> Samples {
    let (mut samples, mut families, mut family) = (Samples::new(), Vec::new(), None);
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && !families.contains(&name), "{line}");
            families.push(name);
            family = None;
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(families.last(), Some(&name), "{line}");
            let is_histogram =
                ["unpage_first_record_seconds", "unpage_stream_seconds", "unpage_page_seconds"].contains(&name);
            let other = if name.ends_with("_total") { "counter" } else { "gauge" };
            assert_eq!(kind, if is_histogram { "histogram" } else { other }, "{line}");
            family = Some((name, kind));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let (family, kind) = family.unwrap();
            match kind {
                "histogram" => {
                    let suffix = name.strip_prefix(family).unwrap();
                    assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}");
                }
                _ => assert_eq!(family, name, "{line}"),
            }
            assert!(series == name || series.ends_with("\"}"), "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value >= 0.0 && samples.insert(series.to_owned(), value).is_none(), "{line}");
        }
    }
    assert!(families.len() > 10, "{text}");
    samples
}

#[tokio::test]
async fn a_wait_is_seen_while_it_lasts() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.header("authorization") {
        Some("Bearer slow") => Reply::Whole(answer(429, &[("retry-after", "3600")], "")),
        _ => Reply::json("[1,2]"),
    })
    .await;
    let (mut process, admin) = serve(&upstream, ONE_PAGE).await;
    let proxy = process.address;
    let with = |token: &'static str, target: &str| {
        let mut request = stream(target);
        request.headers_mut().insert("authorization", token.parse().unwrap());
        client::receive(Version::Http1, proxy, request)
    };
    assert_eq!(samples(admin).await["unpage_crawls_started_total"], 0.0);
    let refused = tokio::spawn(with("Bearer slow", "/refused"));
    process.wait_for("asking again in 1h").await;
    let behind = tokio::spawn(with("Bearer slow", "/behind"));
    let said = process.wait_for(": the upstream asks for it").await;
    assert!(said.contains(&format!("{}: waiting ", upstream.url())), "{said}");
    assert_eq!(with("Bearer quick", "/").await.whole(), "1\n2\n");

    let (_, text) = ask(admin, "/metrics").await;
    assert!(!text.contains("Bearer") && !text.contains("slow"), "{text}");
    let samples = read(&text);
    let of = |name: &str, labels: &str| samples[&format!("{name}{{origin=\"{}\"{labels}}}", upstream.url())];
    assert_eq!(of("unpage_upstream_waiting", ""), 2.0, "one before its second attempt, one before its first");
    assert_eq!(of("unpage_upstream_answers_total", ",status=\"429\""), 1.0);
    assert_eq!(of("unpage_upstream_answers_total", ",status=\"503\""), 0.0);
    assert_eq!(of("unpage_upstream_requests_total", ""), 2.0);
    assert_eq!(of("unpage_upstream_retries_total", ""), 1.0);
    assert_eq!(of("unpage_upstream_in_flight", ""), 0.0);
    assert!(of("unpage_upstream_limit", "") >= 2.0);
    let held = of("unpage_upstream_held_seconds", "");
    assert!(held > 0.0 && held <= 3600.0, "{held}");
    assert!(of("unpage_upstream_wait_seconds_total", "") < held);
    let crawls = ["started_total", "ended_total{end=\"complete\"}", "ended_total{end=\"abandoned\"}", "running"];
    assert_eq!(crawls.map(|name| samples[&format!("unpage_crawls_{name}")]), [3.0, 1.0, 0.0, 2.0]);
    assert_eq!(samples["unpage_records_total"], 2.0);
    refused.abort();
    behind.abort();
}

#[tokio::test]
async fn requests_that_are_far_apart_are_logged_once() {
    const BUDGET: [(&str, &str); 3] =
        [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "3000")];
    let upstream = Upstream::scripted(0, |_, _| Reply::Whole(answer(200, &BUDGET, "[1,2]"))).await;
    let (mut process, admin) = serve(&upstream, ONE_PAGE).await;
    let proxy = process.address;
    let ask = move || client::receive(Version::Http1, proxy, stream("/"));
    assert_eq!(ask().await.whole(), "1\n2\n");
    let waiting = [tokio::spawn(ask()), tokio::spawn(ask())];
    let said = process.wait_for(": one request every ").await;
    assert!(said.contains(&format!("{}: one request every 1", upstream.url())), "{said}");
    let samples = samples(admin).await;
    let rate = samples[&format!("unpage_upstream_rate{{origin=\"{}\"}}", upstream.url())];
    assert!(rate > 0.0 && rate < 0.01, "{rate}");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    let lines: Vec<_> = said.lines().filter(|line| line.contains(": one request every ")).collect();
    assert!(matches!(lines.as_slice(), [line] if line.ends_with("the rate or the budget allows no more")), "{said}");
}

#[tokio::test]
async fn crawls_are_counted_by_their_end() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.as_str() {
        "/refused" | "/broken?page=2" => Reply::status(403),
        "/left" => Part::answer("", 1000, [Part::Send("[1,2,3".to_owned()), Part::Wait(Gate::default())]),
        "/broken" => Reply::Whole(answer(200, &[("link", "</broken?page=2>; rel=next")], "[1,2,3]")),
        _ => Reply::json("[1,2]"),
    })
    .await;
    let (mut process, admin) = serve(&upstream, "records = \"$\"\npagination = \"link_header\"").await;
    let proxy = process.address;
    let ask = |version, target| client::receive(version, proxy, stream(target));
    assert_eq!(ask(Version::Http1, "/refused").await.head.status, StatusCode::FORBIDDEN);
    assert_eq!(ask(Version::Http2, "/whole").await.whole(), "1\n2\n");
    let broken = ask(Version::Http1, "/broken").await;
    assert!(broken.head.status.is_success() && broken.broken.is_some(), "{broken:?}");
    drop(client::send(Version::Http1, proxy, stream("/left")).await);
    process.wait_for("its last reader left").await;
    let samples = samples(admin).await;
    let ended = |end: &str| samples[&format!("unpage_crawls_ended_total{{end=\"{end}\"}}")];
    assert_eq!(["complete", "broken", "unopened", "abandoned"].map(ended), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!((samples["unpage_crawls_started_total"], samples["unpage_crawls_running"]), (4.0, 0.0));
    assert!(samples["unpage_records_total"] >= 5.0, "{samples:?}");
    // The refused request is no stream.
    let seen = |end: &str| samples[&format!("unpage_streams_ended_total{{end=\"{end}\"}}")];
    assert_eq!(["complete", "broken", "gone"].map(seen), [1.0, 1.0, 1.0]);
    assert_eq!(samples["unpage_stream_seconds_count"], 3.0);
    let first = samples["unpage_first_record_seconds_count"];
    assert!((2.0..=3.0).contains(&first), "{first}: the client that left may have had a record");
    assert_eq!(samples["unpage_first_record_seconds_bucket{le=\"+Inf\"}"], first);
    let pages = format!("unpage_page_seconds_count{{origin=\"{}\"}}", upstream.url());
    assert_eq!(samples[&pages], 2.0, "refusals and what was cut are no pages");
    assert_eq!((samples["unpage_connections{state=\"active\"}"], samples["unpage_streams"]), (0.0, 0.0));
    assert_eq!(samples[&format!("unpage_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
    for name in ["cpu_seconds_total", "start_time_seconds", "resident_memory_bytes", "open_fds", "max_fds", "threads"] {
        assert!(samples[&format!("process_{name}")] > 0.0, "{name}");
    }
}

#[tokio::test]
async fn the_list_has_the_costs_of_each_snapshot() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.attempt {
        1 | 2 => Reply::status(502),
        _ => Reply::json("[1,2]"),
    })
    .await;
    let lines = collection(&upstream.url(), "records = \"$\"\npagination = \"none\"");
    let mut process = Process::serve(&format!("admin = \"127.0.0.1:0\"\n[snapshots]\ndisk = \"0\"\n{lines}")).await;
    let admin = process.admin().await;
    assert_eq!(client::receive(Version::Http1, process.address, stream("/a")).await.whole(), "1\n2\n");
    let (_, text) = ask(admin, "/snapshots").await;
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let counts = ["records", "pages", "requests", "retries"].map(|name| list[0][name].as_u64().unwrap());
    assert_eq!((counts, &list[0]["state"]), ([2, 1, 3, 2], &"complete".into()), "{text}");
    assert!(list[0]["waits"].as_u64().unwrap() >= 2 && list[0]["counted_for"].is_u64(), "{text}");
}

#[tokio::test]
async fn it_is_there_until_the_proxy_has_stopped() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let (process, admin) = serve(&upstream, ONE_PAGE).await;
    assert_eq!(ask(admin, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(ask(admin, "/x").await.0, StatusCode::NOT_FOUND);
    // The proxy's own address passes these paths on.
    let passed = client::receive(Version::Http1, process.address, get("/metrics", "*/*")).await;
    assert_eq!(passed.body, b"[1]");
    // A connection that stays open holds up nothing.
    let open = client::send(Version::Http2, admin, get("/healthz", "*/*")).await;
    process.signal(rustix::process::Signal::TERM);
    let (said, code) = process.end().await;
    assert_eq!(code, Some(0), "{said}");
    drop(open);
}

#[tokio::test]
async fn the_address_of_the_arguments_needs_no_file_and_overrides_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml = format!("admin = \"{}\"\n{}", taken.local_addr().unwrap(), collection("http://127.0.0.1:1", ONE_PAGE));
    std::fs::write(&file, toml).unwrap();
    let sources =
        [["--config".as_ref(), file.path().as_os_str()], ["--upstream", "http://127.0.0.1:1"].map(AsRef::as_ref)];
    for source in sources {
        let arguments = source.into_iter().chain(["--admin", "127.0.0.1:0"].map(AsRef::as_ref));
        let mut process = Process::serve_with(arguments).await;
        let admin = process.admin().await;
        assert_eq!(ask(admin, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        process.signal(rustix::process::Signal::TERM);
        assert_eq!(process.end().await.1, Some(0));
    }
}

#[tokio::test]
async fn an_unusable_folder_is_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let dir = file.path().join("snapshots");
    let toml = format!("[snapshots]\ndir = {dir:?}\n{}", collection("http://127.0.0.1:1", ONE_PAGE));
    std::fs::write(&file, toml).unwrap();
    let output = run(["serve".as_ref(), "--config".as_ref(), file.path().as_os_str()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    let begin = format!("error: snapshots can't be kept in {}: ", dir.display());
    let hint =
        "\nhint: set `dir` in [snapshots] to a folder that this user can write to, or `disk` to \"0\" for none\n";
    assert!(said.starts_with(&begin) && said.ends_with(hint), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_taken_address_is_reported() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let toml =
        format!("listen = \"127.0.0.1:0\"\nadmin = \"{address}\"\n{}", collection("http://127.0.0.1:1", ONE_PAGE));
    std::fs::write(&file, toml).unwrap();
    let output = run(["serve".as_ref(), "--config".as_ref(), file.path().as_os_str()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("error: can't listen on {address}: ")), "{said}");
    assert!(said.ends_with("hint: set `admin`, or --admin, to a free address\n"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_token_guards_everything_but_the_probes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "s3cret\n").unwrap();
    let lines = collection("http://127.0.0.1:1", ONE_PAGE);
    let token = format!("admin_token = {{ file = {:?} }}", file.path());
    let mut process = Process::serve(&format!("admin = \"0.0.0.0:0\"\n{token}\n{lines}")).await;
    let port = process.admin().await.port();
    let admin = SocketAddr::from(([127, 0, 0, 1], port));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(admin, path).await.0, StatusCode::OK);
    }
    for path in ["/metrics", "/snapshots"] {
        for (credentials, status) in [
            (None, StatusCode::UNAUTHORIZED),
            (Some("Bearer s3cre"), StatusCode::UNAUTHORIZED),
            (Some("Basic s3cret"), StatusCode::UNAUTHORIZED),
            (Some("bearer s3cret"), StatusCode::OK),
        ] {
            let mut request = get(path, "*/*");
            if let Some(credentials) = credentials {
                request.headers_mut().insert("authorization", credentials.parse().unwrap());
            }
            let received = client::receive(Version::Http1, admin, request).await;
            assert_eq!(received.head.status, status, "{path} {credentials:?}");
        }
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert!(!said.contains("s3cret"), "{said}");
    // Without a token it is this machine's alone, unless that is wanted otherwise.
    let arguments = ["serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"];
    let refused = run(arguments).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--admin-open"));
    let open =
        arguments[1..].iter().filter(|word| !["--listen", "127.0.0.1:0"].contains(word)).chain([&"--admin-open"]);
    let mut process = Process::serve_with(open.map(AsRef::as_ref)).await;
    let port = process.admin().await.port();
    let admin = SocketAddr::from(([127, 0, 0, 1], port));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(ask(admin, path).await.0, StatusCode::OK, "{path}");
    }
    // Paths of clients and answers of upstreams are not shown to strangers.
    for path in ["/", "/events", "/snapshots", "/snapshots.json", "/failures.json", "/collections.json", "/nothing"] {
        let (status, report) = ask(admin, path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        assert!(report.contains("admin_token = {"), "{report}");
    }
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.end().await.1, Some(0));
}
