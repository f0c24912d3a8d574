//! Reads that are compared, before any record leaves.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, header};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;

use crate::client::{self, BOTH};
use crate::consistency::{OFFSET, SIZE, ids, lines, number, page};
use crate::metrics;
use crate::proxy::{Proxy, binary, collection, run};
use crate::streams::ask;
use crate::upstream::{Gate, Reply, Upstream, answer};

/// Records that are gone in each read of a list, and when its pages are asked for a second time.
const MOVING: &[&[usize]] = &[&[], &[7], &[7, 9], &[7, 9, 11], &[7, 9, 11, 13], &[7, 9, 11, 13, 15]];

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

/// Fetches a list by offsets, with its total.
async fn verified(upstream: &Upstream, more: &[&str]) -> (Option<i32>, String, String) {
    verified_by(upstream, OFFSET, &[&["--total", "total"], more].concat()).await
}

/// Status, output and messages of a fetch under `verify`.
async fn verified_by(upstream: &Upstream, pagination: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let url = format!("{}/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--key", "id", "--pagination", pagination];
    let fetched = run(arguments.iter().chain(&["--consistency", "verify"]).chain(more)).await;
    let [output, said] = [fetched.stdout, fetched.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (fetched.status.code(), output, said)
}

#[tokio::test]
async fn two_equal_reads_are_a_snapshot() {
    const STAYS: &[&[usize]] = &[&[]];
    const CHANGES: &[&[usize]] = &[&[], &[7]];
    for (reads, gone, walks) in [(STAYS, &[][..], 2), (CHANGES, &[7][..], 4)] {
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
    let (code, output, said) = verified(&changing(MOVING).await, &[]).await;
    assert!(
        (code, output.as_str()) == (Some(7), "")
            && said.contains(": records may be missing or doubled: none of 3 reads was confirmed by a second one"),
        "{said}"
    );
    let (code, output, said) = verified(&changing(MOVING).await, &["--on-missed", "report"]).await;
    assert_eq!((code, output), (Some(0), lines(&ids(50, MOVING[4]))), "{said}");
    assert!(
        said.contains(
            "; moved: records may be missing or doubled, since none of 3 reads was confirmed by a second one"
        ),
        "{said}"
    );
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
        let (code, output, said) = verified_by(&upstream, FLAGGED, &[]).await;
        assert_eq!((code, output), (Some(0), lines(&ids(50, gone))), "{said}");
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
    let upstream = changing(MOVING).await;
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
async fn a_read_that_is_interrupted_leaves_nothing_and_the_next_run_starts_again() {
    let begun = AtomicUsize::new(0);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        if offset == 0 && matches!(begun.fetch_add(1, Ordering::SeqCst), 1 | 2) {
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

/// A list whose total is smaller by one from one request to the next, so many times.
async fn shrinking(times: usize) -> Upstream {
    let asked_before = AtomicUsize::new(0);
    Upstream::scripted(0, move |asked, _| {
        let gone: Vec<usize> = (1..=asked_before.fetch_add(1, Ordering::SeqCst).min(times)).collect();
        Reply::json(counted(&ids(50, &gone), number(asked, "offset").unwrap_or(0)))
    })
    .await
}

#[tokio::test]
async fn a_read_that_breaks_because_the_list_changed_is_one_that_differs() {
    let upstream = shrinking(1).await;
    let (code, output, said) = verified(&upstream, &[]).await;
    assert_eq!((code, output), (Some(0), lines(&ids(50, &[1]))), "{said}");
    assert!(said.contains("; snapshot: all records are of "), "{said}");
    for policy in ["fail", "report"] {
        let upstream = shrinking(40).await;
        let (code, output, said) = verified(&upstream, &["--on-missed", policy]).await;
        let told = format!(
            "error: {}/orders: records may be missing or doubled: none of 3 reads was confirmed",
            upstream.url()
        );
        assert!((code, output.as_str()) == (Some(7), "") && said.contains(&told), "{said}");
        assert!(said.contains("the last read broke: page 2 of ") && said.contains("total shrank from"), "{said}");
    }
}

#[tokio::test]
async fn a_page_that_repeats_another_because_the_list_grew_by_a_page_is_read_again() {
    let asked_before = AtomicUsize::new(0);
    let upstream = Upstream::scripted(0, move |asked, _| {
        // As many records as a page has are inserted in front, once page 1 has been read.
        let has_grown = asked_before.fetch_add(1, Ordering::SeqCst) > 0;
        let list = ids(
            70,
            if has_grown { &[] } else { &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20] },
        );
        Reply::json(counted(&list, number(asked, "offset").unwrap_or(0)))
    })
    .await;
    let (code, output, said) = verified(&upstream, &[]).await;
    assert_eq!((code, output), (Some(0), lines(&ids(70, &[]))), "{said}");
    // An offset that is ignored comes again alike.
    let ignoring = Upstream::scripted(0, |_, _| Reply::json(page(&ids(20, &[])))).await;
    let (code, output, said) = verified_by(&ignoring, OFFSET, &["--total", "false"]).await;
    assert!(code == Some(3) && output.is_empty() && said.contains("as if the upstream ignored `offset`"), "{said}");
    assert_eq!(ignoring.asked().iter().filter(|asked| number(asked, "offset").unwrap_or(0) == 0).count(), 2);
}

#[tokio::test]
async fn an_error_that_comes_again_is_no_change_and_is_not_read_a_third_time() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        Reply::json(counted(&ids(50, &[]), offset).replace("50", "60"))
    })
    .await;
    let (code, _, said) = verified(&upstream, &[]).await;
    assert!(code == Some(5) && said.contains("the upstream's total is 60"), "{said}");
    let firsts = upstream.asked().iter().filter(|asked| number(asked, "offset").unwrap_or(0) == 0).count();
    assert_eq!(firsts, 2);
}

#[tokio::test]
async fn a_verified_list_that_moved_is_counted_as_broken() {
    let upstream = shrinking(40).await;
    let lines = format!(
        "records = \"data\"\nkey = \"id\"\npagination = {OFFSET}\ntotal = \"total\"\nconsistency = \"verify\"\n"
    );
    let (process, admin) = metrics::serve(&upstream, &lines).await;
    let received = client::receive(client::Version::Http1, process.address, client::stream("/orders")).await;
    assert!(received.head.status.is_server_error(), "{received:?}");
    let samples = metrics::samples(admin).await;
    let counts = [
        "crawls_ended_total{end=\"broken\"}",
        "crawls_ended_total{end=\"unopened\"}",
        "verdicts_total{consistency=\"moved\"}",
    ];
    assert_eq!(counts.map(|name| samples[&format!("unpage_{name}")]), [1.0, 0.0, 1.0]);
}

/// Validators of a list's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tags {
    /// A strong one, of the page's content.
    Strong,
    /// The same, marked as weak.
    Weak,
    /// A strong one that never changes, so that the upstream always says that nothing has.
    Constant,
    /// A strong one, of which the upstream says in 304 that it is weak.
    Weakened,
}

/// An upstream with validators. Record 7 goes with the first request after these.
async fn tagged(tags: Tags, stays_for: usize) -> Upstream {
    let asked_before = AtomicUsize::new(0);
    Upstream::scripted(0, move |asked, _| {
        let gone: &[usize] = if asked_before.fetch_add(1, Ordering::SeqCst) < stays_for { &[] } else { &[7] };
        let body = counted(&ids(50, gone), number(asked, "offset").unwrap_or(0));
        let tag = match tags {
            Tags::Constant => "\"same\"".to_owned(),
            Tags::Strong | Tags::Weak | Tags::Weakened => {
                format!("\"{:x}\"", twox_hash::XxHash3_64::oneshot(body.as_bytes()))
            }
        };
        let condition = asked.headers.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
        let is_same = condition.as_ref() == Some(&tag);
        let told = match tags {
            Tags::Weak => format!("W/{tag}"),
            Tags::Weakened if is_same => format!("W/{tag}"),
            _ => tag,
        };
        let headers = [("content-type", "application/json"), ("etag", told.as_str())];
        Reply::Whole(if is_same { answer(304, &headers, String::new()) } else { answer(200, &headers, body) })
    })
    .await
}

#[tokio::test]
async fn pages_with_a_strong_tag_are_asked_for_a_second_time_only_if_they_changed() {
    const STAYS: usize = usize::MAX;
    // Three pages, and once more; the last one always in full.
    for (tags, stays_for, conditional, requests) in [
        (Tags::Strong, STAYS, 2, 6),
        (Tags::Weak, STAYS, 0, 6),
        (Tags::Weakened, STAYS, 2, 8),
        (Tags::Constant, STAYS, 2, 6),
        // The total of the last page tells that the tags lie.
        (Tags::Constant, 3, 2, 10),
    ] {
        let upstream = tagged(tags, stays_for).await;
        let (code, output, said) = verified(&upstream, &["--width", "1"]).await;
        let gone: &[usize] = if stays_for == STAYS { &[] } else { &[7] };
        assert_eq!((code, output), (Some(0), lines(&ids(50, gone))), "{tags:?}: {said}");
        assert!(said.contains("; snapshot: all records are of "), "{said}");
        let asked = upstream.asked();
        let conditions = asked.iter().filter(|asked| asked.headers.contains_key(header::IF_NONE_MATCH)).count();
        assert_eq!((conditions, asked.len()), (conditional, requests), "{tags:?}: {asked:?}");
    }
}

#[tokio::test]
async fn an_interrupted_verification_says_so() {
    for to_a_file in [false, true] {
        let gate = Gate::default();
        let held = gate.clone();
        let asked_before = AtomicUsize::new(0);
        let upstream = Upstream::scripted(0, move |asked, _| {
            let reply = Reply::json(counted(&ids(50, &[]), number(asked, "offset").unwrap_or(0)));
            if asked_before.fetch_add(1, Ordering::SeqCst) < 3 { reply } else { held.before(reply) }
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let url = format!("{}/orders", upstream.url());
        let mut command = binary();
        command.args(["fetch", &url, "--records", "data", "--key", "id", "--pagination", OFFSET, "--total", "total"]);
        command.args(["--consistency", "verify"]).stdout(Stdio::null()).stderr(Stdio::piped());
        if to_a_file {
            command.arg("--output").arg(folder.path().join("orders.ndjson"));
        }
        let mut child = command.spawn().unwrap();
        gate.reached().await;
        let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(4), "{said}");
        assert!(said.trim_end().lines().last().unwrap().starts_with("broken: interrupted after 0 records; "), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// A list of six records by ranges, whose first one goes behind the first answer, `totals` or not in `Content-Range`.
async fn ranged(totals: bool) -> Upstream {
    let asked_before = AtomicUsize::new(0);
    Upstream::scripted(0, move |asked, _| {
        let list = ids(6, if asked_before.fetch_add(1, Ordering::SeqCst) == 0 { &[] } else { &[1] });
        let range = asked.headers[header::RANGE].to_str().unwrap();
        let from: usize = range.trim_start_matches("items=").split('-').next().unwrap().parse().unwrap();
        let window = list.get(from..list.len().min(from + 5)).unwrap_or_default();
        let spanned = if window.is_empty() { "*".to_owned() } else { format!("{from}-{}", from + window.len() - 1) };
        let total = if totals || window.is_empty() { list.len().to_string() } else { "*".to_owned() };
        let content = format!("items {spanned}/{total}");
        let headers = [("content-type", "application/json"), ("content-range", content.as_str())];
        Reply::Whole(answer(if window.is_empty() { 416 } else { 206 }, &headers, page(window)))
    })
    .await
}

#[tokio::test]
async fn one_page_whose_end_another_answer_tells_is_read_twice() {
    const RANGE: &str = "{ type = \"range\", unit = \"items\", size = 5 }";
    for totals in [false, true] {
        let upstream = ranged(totals).await;
        let (code, output, said) = verified_by(&upstream, RANGE, &["--width", "1"]).await;
        assert_eq!((code, output), (Some(0), lines(&ids(6, &[1]))), "{said}");
        assert!(said.contains("; snapshot: all records are of "), "{said}");
    }
}

#[tokio::test]
async fn a_list_that_is_empty_in_one_answer_alone_is_read_again() {
    let answers = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::scripted(0, move |asked, _| {
        let list = if answers.fetch_add(1, Ordering::SeqCst) == 0 { Vec::new() } else { ids(50, &[]) };
        Reply::json(counted(&list, number(asked, "offset").unwrap_or(0)))
    })
    .await;
    let (code, output, said) = verified(&upstream, &[]).await;
    assert_eq!((code, output), (Some(0), lines(&ids(50, &[]))), "{said}");
    assert!(said.contains("; snapshot: all records are of "), "{said}");
}

#[tokio::test]
async fn a_later_page_that_is_not_there_is_not_the_absence_of_the_collection() {
    let upstream = Upstream::scripted(0, |asked, _| match number(asked, "offset") {
        Some(20) => Reply::status(404),
        offset => Reply::json(counted(&ids(50, &[]), offset.unwrap_or(0))),
    })
    .await;
    let (code, _, said) = verified(&upstream, &[]).await;
    assert!(code == Some(5) && said.contains("404"), "{said}");
    let lines = format!(
        "records = \"data\"\nkey = \"id\"\npagination = {OFFSET}\ntotal = \"total\"\nconsistency = \"verify\"\n"
    );
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let received = ask(BOTH[0], &proxy, &Method::GET, "/orders").await;
    assert_eq!(received.head.status, 502);
}
