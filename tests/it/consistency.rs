//! Lists that change while they are read: records that are gone when a keyset is read on behind them, and reads that are compared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, header};
use serde_json::{Value, json};

use crate::client::BOTH;
use crate::proxy::{Proxy, collection, run};
use crate::streams::ask;
use crate::upstream::{Asked, Reply, Upstream, answer};

const SIZE: usize = 20;

/// Ids from 1 on, but for these.
fn ids(records: usize, gone: &[usize]) -> Vec<usize> {
    (1..=records).filter(|id| !gone.contains(id)).collect()
}

fn number(asked: &Asked, name: &str) -> Option<usize> {
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map(|value| value.parse().unwrap())
}

fn page(ids: &[usize]) -> String {
    json!({ "data": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<Value>>() }).to_string()
}

fn lines(ids: &[usize]) -> String {
    ids.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

/// An upstream that looks the record of a key up: behind one that is gone nothing follows. Record 60 goes when it has been read.
async fn looking_up() -> Upstream {
    Upstream::scripted(0, |asked, _| {
        let after = number(asked, "starting_after");
        let list = ids(399, if after.is_some_and(|after| after >= 59) { &[60] } else { &[] });
        let from = match after {
            None => Some(0),
            Some(after) => list.iter().position(|id| *id == after).map(|at| at + 1),
        };
        let window = from.map_or(&[][..], |from| &list[from..list.len().min(from + SIZE)]);
        Reply::json(page(window))
    })
    .await
}

const KEYSET: &str = "{ type = \"keyset\", key = \"id\", param = \"starting_after\" }";

#[tokio::test]
async fn a_record_that_is_gone_when_a_keyset_is_read_on_behind_it_costs_no_other() {
    let upstream = looking_up().await;
    let toml = collection(&upstream.url(), &format!("records = \"data\"\npagination = {KEYSET}"));
    let proxy = Proxy::start(&toml).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.whole(), lines(&ids(399, &[])));
    }
    let url = format!("{}/orders", upstream.url());
    let arguments =
        ["fetch", &url, "--records", "data", "--key", "id", "--pagination", KEYSET, "--consistency", "repair"];
    let fetched = run(arguments).await;
    let said = String::from_utf8_lossy(&fetched.stderr);
    assert_eq!((fetched.status.code(), fetched.stdout), (Some(0), lines(&ids(399, &[])).into_bytes()), "{said}");
    assert!(said.contains("mended: records moved 1 time; 0 pages read again, 1 step back"), "{said}");
}

#[tokio::test]
async fn keys_that_tie_or_fall_are_named() {
    for (key, first, told) in [
        ("n", json!([{"n": 1}, {"n": 2, "x": 1}, {"n": 2, "x": 2}]), "two records of the page have the same `n`, 2,"),
        (
            "n",
            (1..12).chain([4]).map(|n| json!({ "n": n })).collect(),
            "the keys at `n` are in no order: 4 came after 11",
        ),
    ] {
        let body = json!({ "data": first }).to_string();
        let upstream = Upstream::scripted(0, move |_, _| Reply::json(body.clone())).await;
        let url = format!("{}/orders", upstream.url());
        let pagination = format!("{{ type = \"keyset\", key = \"{key}\", param = \"after\" }}");
        let fetched = run(["fetch", &url, "--records", "data", "--pagination", &pagination]).await;
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert!(fetched.status.code() == Some(2) && said.contains(told) && said.contains("\nhint: "), "{said}");
    }
}

/// A numbered list that is another one in each of its reads, the last of which goes on.
async fn changing(reads: &'static [&'static [usize]]) -> Upstream {
    let begun = Arc::new(AtomicUsize::new(0));
    Upstream::scripted(0, move |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        if offset == 0 {
            begun.fetch_add(1, Ordering::SeqCst);
        }
        let list = ids(50, reads[(begun.load(Ordering::SeqCst) - 1).min(reads.len() - 1)]);
        Reply::json(counted(&list, offset))
    })
    .await
}

/// A page of a list, with the number of all records.
fn counted(list: &[usize], offset: usize) -> String {
    let window = list.get(offset..list.len().min(offset + SIZE)).unwrap_or_default();
    page(window).replacen('{', &format!("{{\"total\":{},", list.len()), 1)
}

const OFFSET: &str = "{ type = \"offset\", param = \"offset\" }";

async fn verified(upstream: &Upstream, more: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("{}/orders", upstream.url());
    let arguments = [
        "fetch",
        &url,
        "--records",
        "data",
        "--key",
        "id",
        "--pagination",
        OFFSET,
        "--total",
        "total",
        "--consistency",
        "verify",
    ];
    let fetched = run(arguments.iter().chain(more)).await;
    let [output, said] = [fetched.stdout, fetched.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (fetched.status.code(), output, said)
}

#[tokio::test]
async fn two_equal_reads_are_a_snapshot() {
    const STAYS: &[&[usize]] = &[&[]];
    const CHANGES: &[&[usize]] = &[&[], &[7]];
    for (reads, gone, walks) in [(STAYS, &[][..], 2), (CHANGES, &[7][..], 3)] {
        let upstream = changing(reads).await;
        let (code, output, said) = verified(&upstream, &[]).await;
        assert_eq!((code, output), (Some(0), lines(&ids(50, gone))), "{said}");
        assert!(said.contains("; snapshot: all records are of "), "{said}");
        let firsts = upstream.asked().iter().filter(|asked| number(asked, "offset").unwrap_or(0) == 0).count();
        assert_eq!(firsts, walks);
    }
}

#[tokio::test]
async fn three_reads_that_differ_are_no_snapshot() {
    const READS: &[&[usize]] = &[&[], &[7], &[7, 9]];
    let (code, output, said) = verified(&changing(READS).await, &[]).await;
    assert!(
        (code, output.as_str()) == (Some(7), "") && said.contains("no two of 3 reads in a row were equal"),
        "{said}"
    );
    let (code, output, said) = verified(&changing(READS).await, &["--on-missed", "report"]).await;
    assert_eq!((code, output), (Some(0), lines(&ids(50, &[7, 9]))), "{said}");
    assert!(said.contains("; moved: records may be missing or doubled, since no two of 3 reads"), "{said}");
}

/// A cache before a list that loses record 7 behind its first page. Where it `listens`, it asks anew for `no-cache`.
async fn cached(listens: bool) -> Upstream {
    let kept: Mutex<BTreeMap<usize, String>> = Mutex::default();
    Upstream::scripted(0, move |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        let mut kept = kept.lock().unwrap();
        let asks_anew = asked.headers.get(header::CACHE_CONTROL).is_some_and(|said| said == "no-cache");
        if let Some(body) = kept.get(&offset).filter(|_| !(listens && asks_anew)) {
            let headers = [("content-type", "application/json"), ("age", "3")];
            return Reply::Whole(answer(200, &headers, body.clone()));
        }
        let list = ids(50, if kept.is_empty() { &[] } else { &[7] });
        let window = list.get(offset..list.len().min(offset + SIZE)).unwrap_or_default();
        let body = page(window).replacen('{', &format!("{{\"more\":{},", offset + SIZE < list.len()), 1);
        kept.insert(offset, body.clone());
        Reply::json(body)
    })
    .await
}

#[tokio::test]
async fn a_read_is_not_verified_by_a_cache() {
    const FLAGGED: &str = "{ type = \"offset\", param = \"offset\", more = { path = \"more\", while = true } }";
    for (listens, gone, verdict) in
        [(true, &[7], "; snapshot: "), (false, &[21], "; unverified: a cache answered (Age)")]
    {
        let upstream = cached(listens).await;
        let url = format!("{}/orders", upstream.url());
        let fetched = run([
            "fetch",
            &url,
            "--records",
            "data",
            "--key",
            "id",
            "--pagination",
            FLAGGED,
            "--consistency",
            "verify",
        ])
        .await;
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert_eq!((fetched.status.code(), fetched.stdout), (Some(0), lines(&ids(50, gone)).into_bytes()), "{said}");
        assert!(said.contains(verdict), "{said}");
    }
}

#[tokio::test]
async fn a_stream_that_is_verified_begins_when_two_reads_agree() {
    let upstream = changing(&[&[], &[7]]).await;
    let lines_of = |more: &str| {
        format!(
            "records = \"data\"\nkey = \"id\"\npagination = {OFFSET}\ntotal = \"total\"\nconsistency = \"verify\"\n{more}"
        )
    };
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of(""))).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.whole(), lines(&ids(50, &[7])));
    }
    let upstream = changing(&[&[], &[7], &[7, 9]]).await;
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of(""))).await;
    let received = ask(BOTH[0], &proxy, &Method::GET, "/orders").await;
    assert!(received.head.status.is_server_error(), "nothing was sent: {}", received.head.status);
    let proxy =
        Proxy::start(&collection(&upstream.url(), &lines_of("caps = { window = \"64B\", spool = \"0\" }"))).await;
    let received = ask(BOTH[0], &proxy, &Method::GET, "/orders").await;
    let said = String::from_utf8_lossy(&received.body).into_owned();
    assert!(received.head.status.is_server_error() && said.contains("raise caps.spool"), "{said}");
}

#[tokio::test]
async fn a_list_that_is_not_watched_says_so() {
    let upstream = changing(&[&[]]).await;
    let url = format!("{}/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--pagination", OFFSET, "--consistency", "none"];
    let said = String::from_utf8(run(arguments).await.stderr).unwrap();
    assert!(said.contains("; unverified: not watched, as configured"), "{said}");
}

#[tokio::test]
async fn a_read_that_is_interrupted_leaves_nothing_and_the_next_run_starts_again() {
    let begun = AtomicUsize::new(0);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        if offset == 0 && begun.fetch_add(1, Ordering::SeqCst) == 1 {
            return Reply::status(403);
        }
        Reply::json(counted(&ids(50, &[]), offset))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.ndjson");
    let output = ["--output", file.to_str().unwrap()];
    let (code, _, said) = verified(&upstream, &output).await;
    assert!(code == Some(3) && said.contains("not started: no record was written"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let (code, _, said) = verified(&upstream, &output).await;
    assert_eq!((code, std::fs::read_to_string(&file).unwrap()), (Some(0), lines(&ids(50, &[]))), "{said}");
    assert!(said.contains("; snapshot: all records are of "), "{said}");
}
