//! An upgrade: tests/data/upgrade has what the binary of commit dc8a922 left when it was killed (`make.sh` there says how).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use twox_hash::XxHash3_64;
use unpage::demo::Legacy;

use super::client::{self, Received, Version, stream};
use super::proxy::{Process, Proxy, run};
use super::streams::orders;
use super::upstream::{Reply, Upstream};

/// Number of the API's orders; each page has 20, and what was interrupted has two pages.
const ORDERS: u64 = 120;

/// A copy of the fixture, and the API that it was made with.
struct Left {
    folder: TempDir,
    upstream: Upstream,
    /// The API's address is in the keys, so that one process at a time can have it.
    _alone: File,
}

impl Left {
    async fn copy() -> Self {
        let alone = File::create(std::env::temp_dir().join("unpage-upgrade-test.lock")).unwrap();
        let alone = tokio::task::spawn_blocking(|| alone.lock().map(|()| alone)).await.unwrap().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (part, name) in files("snapshots").into_iter().chain(files("fetch")) {
            fs::write(folder.path().join(name), fs::read(part).unwrap()).unwrap();
        }
        let address = "127.83.19.11:23119".parse().unwrap();
        let answer = |_: &_, answer| Reply::Whole(answer);
        Self { folder, upstream: Upstream::at(address, Legacy::of(ORDERS), answer, None).await, _alone: alone }
    }

    /// The configuration that the snapshots were begun under, for this folder.
    fn config(&self) -> String {
        let config = fs::read_to_string(fixture("unpage.toml")).unwrap();
        config.replace("dir = \"snapshots\"", &format!("dir = {:?}", self.folder.path()))
    }

    /// Name of the snapshot of this collection.
    fn id(&self, collection: &str) -> String {
        let is_it = |birth: &&Value| birth["birth"]["facts"]["collection"] == collection && birth["id"].is_string();
        let births: Vec<Value> =
            self.journals().iter().map(|journal| first_line(&fs::read(journal).unwrap())).collect();
        births.iter().find(is_it).unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn journals(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "journal")).collect()
    }

    /// Query of each request to the API so far.
    fn asked(&self) -> Vec<String> {
        self.upstream.forget().into_iter().map(|asked| asked.target).collect()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/upgrade").join(name)
}

fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(fixture(folder)).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).collect()
}

fn first_line(journal: &[u8]) -> Value {
    let line = journal.split(|byte| *byte == b'\n').next().unwrap();
    serde_json::from_slice(&line[17..]).unwrap()
}

async fn ask(proxy: &Proxy, target: &str, authorization: Option<&str>) -> Received {
    let mut request = stream(target);
    if let Some(authorization) = authorization {
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
    }
    client::receive(Version::Http1, proxy.address, request).await
}

fn refusal(received: &Received) -> (StatusCode, String) {
    let problem: Value = serde_json::from_slice(&received.body).unwrap();
    (received.head.status, problem["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_was_complete_is_served_without_a_request() {
    let left = Left::copy().await;
    let proxy = Proxy::start(&left.config()).await;
    let id = left.id("/cursor/orders");
    // By what is asked for, in another order of nothing, and by its name.
    for target in ["/cursor/orders?status=any".to_owned(), format!("/cursor/orders?status=any&_snapshot={id}")] {
        let received = ask(&proxy, &target, None).await;
        assert_eq!((received.head.status, received.whole()), (StatusCode::OK, orders(ORDERS).as_str()), "{target}");
        assert_eq!(received.header("etag"), Some(format!("\"{id}\"").as_str()));
        assert!(received.header("cache-status").unwrap().starts_with("unpage; hit"));
    }
    assert_eq!(left.asked(), [""; 0]);
    let another = ask(&proxy, "/cursor/orders?status=paid", None).await;
    assert_eq!(another.header("cache-status"), Some("unpage; fwd=miss; stored"));
    assert!(!left.asked().is_empty());
}

/// A request that finds its snapshot claimed by another one, or being read for it, gets that one.
#[tokio::test]
async fn first_requests_at_once_all_get_the_snapshot() {
    let left = Left::copy().await;
    let proxy = Proxy::start(&left.config()).await;
    let first = || ask(&proxy, "/cursor/orders?status=any", None);
    let (a, b, c, d) = tokio::join!(first(), first(), first(), first());
    for received in [a, b, c, d] {
        assert_eq!(received.whole(), orders(ORDERS));
        let status = received.header("cache-status").unwrap();
        assert!(status.starts_with("unpage; hit") || status.contains("collapsed"), "{status}");
    }
    assert_eq!(left.asked(), [""; 0]);
    // Another query has no snapshot.
    ask(&proxy, "/cursor/orders?status=none", None).await;
    assert_ne!(left.asked(), [""; 0]);
}

#[tokio::test]
async fn what_was_interrupted_is_resumed_behind_its_pages() {
    let left = Left::copy().await;
    let proxy = Proxy::start(&left.config()).await;
    for (collection, query, third) in
        [("/offset/orders", "?", "limit=20&offset=40"), ("/page/orders", "?size=20&", "size=20&page=3")]
    {
        let target = format!("{collection}{query}_snapshot={}", left.id(collection));
        assert_eq!(ask(&proxy, &target, None).await.whole(), orders(ORDERS), "{target}");
        let asked = left.asked();
        assert_eq!(asked.first().map(String::as_str), Some(format!("{collection}?{third}").as_str()));
        assert!(asked.len() <= 5, "{asked:?}");
    }
}

#[tokio::test]
async fn what_had_credentials_is_resumed_for_its_caller_and_refused_to_others() {
    let left = Left::copy().await;
    let proxy = Proxy::start(&left.config()).await;
    let target = format!("/keyset/orders?_snapshot={}", left.id("/keyset/orders"));
    for other in [None, Some("Bearer another")] {
        let (status, detail) = refusal(&ask(&proxy, &target, other).await);
        assert_eq!(status, StatusCode::GONE);
        assert!(detail.contains("its cache key has version 1") && detail.contains("credentials"), "{detail}");
    }
    assert_eq!(left.asked(), [""; 0]);
    assert_eq!(ask(&proxy, &target, Some("Bearer fixture")).await.whole(), orders(ORDERS));
    assert_eq!(left.asked()[0], "/keyset/orders?limit=20&starting_after=ord_000000040");
    // It has a key of this version now, and its description is that of any other snapshot.
    let (status, detail) = refusal(&ask(&proxy, &target, None).await);
    assert_eq!((status, detail.contains("version")), (StatusCode::GONE, false), "{detail}");
}

#[tokio::test]
async fn what_was_begun_under_another_configuration_is_refused_with_that_reason() {
    let left = Left::copy().await;
    let proxy = Proxy::start(&left.config().replace("value = 20", "value = 25")).await;
    for collection in ["/offset/orders", "/cursor/orders?status=any"] {
        let separator = if collection.contains('?') { '&' } else { '?' };
        let id = left.id(collection.split('?').next().unwrap());
        let (status, detail) = refusal(&ask(&proxy, &format!("{collection}{separator}_snapshot={id}"), None).await);
        assert_eq!(status, StatusCode::GONE);
        assert!(detail.contains("its cache key has version 1") && detail.contains("configuration"), "{detail}");
    }
    assert_eq!(ask(&proxy, "/offset/orders", None).await.whole(), orders(ORDERS), "a crawl of its own");
}

#[tokio::test]
async fn a_start_resumes_what_needs_no_client_and_says_why_it_leaves_the_rest() {
    let left = Left::copy().await;
    let config = format!("{}\n", left.config()).replace("linger", "resume_on_start = true\nlinger");
    let mut process = Process::serve(&config).await;
    for collection in ["/offset/orders", "/page/orders"] {
        let id = left.id(collection);
        process.has_said(&format!("snapshot {id}: its cache key of version 1 is replaced")).await;
        process.has_said(&format!("snapshot {id}: resumed after 40 records")).await;
    }
    let id = left.id("/keyset/orders");
    process.has_said(&format!("snapshot {id}: is resumed when its client asks for it")).await;
    while left.upstream.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    process.signal(rustix::process::Signal::KILL);
    process.end().await;

    let mut process = Process::serve(&config.replace("x-fixture = \"upgrade\"", "x-fixture = \"another\"")).await;
    let said = process.has_said("is not resumed: its cache key has version 1").await;
    assert!(said.contains("configuration"), "{said}");
}

#[tokio::test]
async fn a_newer_version_is_refused_with_that_reason() {
    let left = Left::copy().await;
    for journal in left.journals() {
        fs::write(&journal, with_key_version(&fs::read_to_string(&journal).unwrap(), 3)).unwrap();
    }
    let proxy = Proxy::start(&left.config()).await;
    let target = format!("/offset/orders?_snapshot={}", left.id("/offset/orders"));
    let (status, detail) = refusal(&ask(&proxy, &target, None).await);
    assert_eq!(status, StatusCode::GONE);
    assert!(detail.ends_with("its cache key has version 3, which a newer unpage has written"), "{detail}");
    let output = run(fetch(&left, "fixture")).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("its cache key has version 3"), "{said}");
    assert_eq!(left.asked(), [""; 0]);
    assert_eq!(ask(&proxy, "/offset/orders", None).await.whole(), orders(ORDERS));
}

#[tokio::test]
async fn a_file_is_resumed_by_the_command_that_began_it_alone() {
    let left = Left::copy().await;
    let part = left.folder.path().join("orders.ndjson.part");
    let before = fs::read(&part).unwrap();
    let output = run(fetch(&left, "another")).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("was begun with other header fields"), "{said}");
    let mut other = fetch(&left, "fixture");
    other[1].push_str("?status=any");
    assert_eq!(run(other).await.status.code(), Some(2));
    assert_eq!((fs::read(&part).unwrap(), left.asked()), (before, vec![]));
    let output = run(fetch(&left, "fixture")).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(fs::read_to_string(left.folder.path().join("orders.ndjson")).unwrap(), orders(ORDERS));
    assert_eq!(left.asked()[0], "/link/orders?per_page=20&page=3");
}

/// The command of make.sh, with this token.
fn fetch(left: &Left, token: &str) -> Vec<String> {
    let (url, file) = (format!("{}/link/orders", left.upstream.url()), left.folder.path().join("orders.ndjson"));
    let (token, file) = (format!("Authorization: Bearer {token}"), file.to_str().unwrap());
    let options = ["--records", "$", "--key", "id", "--page-size", "per_page=20", "--pagination", "link_header"];
    let command = ["fetch", &url].into_iter().chain(options).chain(["--width", "1", "-H", &token, "-o", file]);
    command.map(ToOwned::to_owned).collect()
}

/// A journal whose snapshot has a key of this version: each line's checksum has that of the line before as its seed.
fn with_key_version(journal: &str, version: u32) -> String {
    let mut seed = 0;
    let lines = journal.lines().map(|line| {
        let json = line[17..].replacen("\"begun\":{", &format!("\"begun\":{{\"key_version\":{version},"), 1);
        seed = XxHash3_64::oneshot_with_seed(seed, json.as_bytes());
        format!("{seed:016x} {json}\n")
    });
    lines.collect()
}
