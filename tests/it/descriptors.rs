//! File descriptors: kept snapshots leave enough of them for connections, and a file that was closed is opened again or missed visibly.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::future::join_all;
use http::StatusCode;

use super::client::{self, Received, Version, stream};
use super::proxy::{Process, collection};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

/// Number of snapshots that are kept, each in two files.
const KEPT: usize = 600;

/// Limit on the descriptors of the proxy.
const LIMIT: usize = 1024;

/// Two pages of a record each, with the path in it.
fn two_pages(asked: &Asked) -> Reply {
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let record = format!("[\"{path} {query} {}\"]", "x".repeat(2000));
    let next = format!("<{path}?page=2>; rel=next");
    let fields = if query.is_empty() { vec![("link", next.as_str())] } else { Vec::new() };
    Reply::Whole(answer(200, &fields, record))
}

fn records(path: &str) -> String {
    ["", "page=2"].map(|query| format!("\"{path} {query} {}\"\n", "x".repeat(2000))).concat()
}

/// A process with few descriptors, whose memory holds few snapshots.
async fn limited(upstream: &Upstream, folder: &Path) -> Process {
    let folder = folder.join("snapshots");
    let snapshots =
        format!("[snapshots]\ndir = {folder:?}\nmemory = \"64KiB\"\nopens = \"100000/m\"\nfresh_for = \"15m\"");
    let lines = "records = \"$\"\npagination = \"link_header\"";
    let toml = format!("{snapshots}\n{}", collection(&upstream.url(), lines));
    Process::serve_within(LIMIT, &toml).await
}

async fn get(process: &Process, target: &str) -> Received {
    client::receive(Version::Http1, process.address, stream(target)).await
}

/// Crawls this many collections. Returns the address of each snapshot.
async fn keep(process: &Process, count: usize) -> Vec<String> {
    let crawls = (0..count).map(|number| async move {
        let path = format!("/kept/{number}");
        let received = get(process, &path).await;
        assert_eq!(received.whole(), records(&path));
        received.header("content-location").unwrap().to_owned()
    });
    futures_util::stream::iter(crawls).buffered(20).collect().await
}

#[tokio::test]
async fn six_hundred_kept_snapshots_leave_descriptors_for_sixty_streams() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let reply = two_pages(asked);
        if asked.target.starts_with("/next/") && asked.target.contains("page=2") { held.before(reply) } else { reply }
    })
    .await;
    let process = limited(&upstream, folder.path()).await;
    let kept = keep(&process, KEPT).await;
    // All of them are under way at once: their first page has come, and their second waits.
    let heads = (0..60).map(|number| {
        let request = stream(&format!("/next/{number}"));
        client::send(Version::Http1, process.address, request)
    });
    let heads = join_all(heads).await;
    gate.open();
    for (number, received) in join_all(heads.into_iter().map(Received::read)).await.into_iter().enumerate() {
        assert_eq!(received.whole(), records(&format!("/next/{number}")));
    }
    let asked = upstream.asked().len();
    assert_eq!(asked, 2 * (KEPT + 60));
    let again = kept.iter().map(|location| get(&process, location));
    let again: Vec<_> = futures_util::stream::iter(again).buffered(60).collect().await;
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    for (number, received) in again.iter().enumerate() {
        assert_eq!(received.whole(), records(&format!("/kept/{number}")), "{said}");
    }
    assert_eq!(upstream.asked().len(), asked);
    assert!(!said.contains("can't be accepted") && !said.contains("WARN"), "{said}");
}

#[tokio::test]
async fn a_closed_file_that_is_gone_or_another_breaks_its_streams_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked)).await;
    let process = limited(&upstream, folder.path()).await;
    // More than a quarter of the descriptors: the files of the first ones are closed.
    let kept = keep(&process, LIMIT / 4 + 50).await;
    let file = |location: &str| -> PathBuf {
        let id = location.split("_snapshot=").nth(1).unwrap().split('&').next().unwrap();
        folder.path().join(format!("snapshots/{id}.ndjson"))
    };
    let [gone, exchanged, cut, other] = [0, 1, 2, 3].map(|number| file(&kept[number]));
    fs::remove_file(gone).unwrap();
    fs::copy(&other, exchanged.with_extension("copy")).unwrap();
    fs::rename(exchanged.with_extension("copy"), exchanged).unwrap();
    fs::File::options().write(true).open(cut).unwrap().set_len(1000).unwrap();
    for (number, location) in kept.iter().take(5).enumerate() {
        let received = get(&process, location).await;
        let whole = records(&format!("/kept/{number}"));
        assert!(whole.as_bytes().starts_with(&received.body), "{number}");
        assert_eq!(received.head.status, StatusCode::OK, "{number}");
        assert_eq!(received.broken.is_some(), number < 3, "{number}");
    }
    // A snapshot without its file is not tried again.
    for location in &kept[..2] {
        assert_eq!(get(&process, location).await.head.status, StatusCode::GONE);
    }
    let asked = upstream.asked().len();
    assert_eq!(get(&process, "/kept/0").await.whole(), records("/kept/0"));
    assert_eq!(upstream.asked().len(), asked + 2);
}

#[tokio::test]
async fn more_connections_than_the_descriptors_allow_are_warned_of() {
    let upstream = Upstream::scripted(0, |asked, _| two_pages(asked)).await;
    for (connections, is_scarce) in [(LIMIT / 2, false), (LIMIT, true)] {
        let toml = format!("[limits]\nconnections = {connections}\n{}", collection(&upstream.url(), "records = \"$\""));
        let process = Process::serve_within(LIMIT, &toml).await;
        get(&process, "/a").await;
        process.signal(rustix::process::Signal::TERM);
        let (said, _) = process.end().await;
        let warning =
            format!("`connections` of [limits] is {connections}, and this process may have {LIMIT} open files");
        assert_eq!(said.contains(&warning), is_scarce, "{said}");
    }
}
