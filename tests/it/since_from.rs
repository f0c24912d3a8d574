//! `fetch --since-from FILE`: runs that begin behind the records of those before.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use super::proxy::run;
use super::upstream::{Reply, Upstream};

const SINCE: &str = "since={ param = \"since\", field = \"at\" }";

/// Order of a list.
#[derive(Clone, Copy)]
enum ListOrder {
    OldestFirst,
    NewestFirst,
}

/// Meaning of the parameter `since`.
#[derive(Clone, Copy)]
enum SinceParam {
    /// Records of this time and later ones.
    Bound,
    /// Records that follow the one of this time in the list.
    Place,
}

/// Upstream of records with the numbers 1 to `newest`, three a page, and a time for each.
async fn upstream(newest: &Arc<AtomicU64>, order: ListOrder, param: SinceParam) -> Upstream {
    let newest = Arc::clone(newest);
    Upstream::scripted(0, move |asked, _| {
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(ToOwned::to_owned)
        };
        let newest = newest.load(Ordering::Relaxed);
        if newest == 0 {
            return Reply::status(403);
        }
        let mut list: Vec<u64> = (1..=newest).collect();
        if matches!(order, ListOrder::NewestFirst) {
            list.reverse();
        }
        if let Some(since) = value("since") {
            let since: u64 = since.trim_end_matches('Z').rsplit("%3A").next().unwrap().parse().unwrap();
            match param {
                SinceParam::Bound => list.retain(|number| *number >= since),
                SinceParam::Place => {
                    let place = list.iter().position(|number| *number == since).unwrap();
                    list.drain(..=place);
                }
            }
        }
        let from: usize = value("from").map_or(0, |from| from.parse().unwrap());
        let page: Vec<_> = list.iter().skip(from).take(3).map(|number| record(*number)).collect();
        let next = if from + 3 < list.len() { (from + 3).to_string() } else { "null".to_owned() };
        Reply::json(format!("{{\"items\":[{}],\"next\":{next}}}", page.join(",")))
    })
    .await
}

fn record(number: u64) -> String {
    format!("{{\"id\":{number},\"at\":\"2020-01-02T03:04:{number:02}Z\"}}")
}

fn lines(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| record(number) + "\n").collect()
}

async fn fetch(upstream: &Upstream, file: &Path, more: &[&str]) -> Output {
    let url = format!("{}/list", upstream.url());
    let pagination = "{ type = \"cursor\", next = \"next\", param = \"from\" }";
    let arguments = ["fetch", &url, "--records", "items", "--pagination", pagination, "--since-from"];
    run([&arguments[..], &[file.to_str().unwrap()], more].concat()).await
}

fn said(output: &Output) -> (i32, &str) {
    (output.status.code().unwrap(), std::str::from_utf8(&output.stderr).unwrap())
}

#[tokio::test]
async fn each_run_begins_behind_the_greatest_value_of_those_before() {
    for order in [ListOrder::OldestFirst, ListOrder::NewestFirst] {
        let newest = Arc::new(AtomicU64::new(7));
        let upstream = upstream(&newest, order, SinceParam::Bound).await;
        let folder = tempfile::tempdir().unwrap();
        let (file, to) = (folder.path().join("list.since"), folder.path().join("list.ndjson"));
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().map(|line| format!("{line}\n")).collect();
            lines.sort();
            lines.concat()
        };
        for (now, expected) in [(7, lines(1..=7)), (7, lines(7..=7)), (9, lines(7..=9)), (9, lines(9..=9))] {
            newest.store(now, Ordering::Relaxed);
            let before = std::fs::read(&file).ok();
            let output = fetch(&upstream, &file, &["--set", SINCE]).await;
            assert_eq!(said(&output).0, 0, "{}", said(&output).1);
            assert_eq!(sorted(std::str::from_utf8(&output.stdout).unwrap()), expected);
            // The same to a file, which is replaced, behind the same value.
            match before {
                Some(before) => std::fs::write(&file, before).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let output = fetch(&upstream, &file, &["--set", SINCE, "--output", to.to_str().unwrap()]).await;
            assert_eq!(said(&output).0, 0, "{}", said(&output).1);
            assert_eq!(sorted(&std::fs::read_to_string(&to).unwrap()), expected);
        }
        assert!(upstream.asked().iter().any(|asked| asked.target == "/list?since=2020-01-02T03%3A04%3A09Z"));
    }
}

#[tokio::test]
async fn a_run_that_broke_keeps_nothing_and_its_records_count_when_it_is_resumed() {
    let refused = Arc::new(AtomicU64::new(1));
    let refuses = Arc::clone(&refused);
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
        "/list" => Reply::json(format!("{{\"items\":[{}],\"next\":1}}", record(9))),
        "/list?from=1" if refuses.load(Ordering::Relaxed) == 1 => Reply::status(403),
        "/list?from=1" => Reply::json(format!("{{\"items\":[{}],\"next\":null}}", record(1))),
        _ => Reply::json("{\"items\":[],\"next\":null}"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (folder.path().join("list.since"), folder.path().join("list.ndjson"));
    let more = ["--set", SINCE, "--output", to.to_str().unwrap()];
    let output = fetch(&upstream, &file, &more).await;
    assert_eq!((said(&output).0, file.exists()), (4, false), "{}", said(&output).1);
    refused.store(0, Ordering::Relaxed);
    let output = fetch(&upstream, &file, &more).await;
    assert_eq!(said(&output).0, 0, "{}", said(&output).1);
    assert!(said(&output).1.contains("resumes after 1 record"), "{}", said(&output).1);
    assert_eq!(std::fs::read_to_string(&to).unwrap(), record(9) + "\n" + &record(1) + "\n");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"since\":\"2020-01-02T03:04:09Z\""));
    // No records behind it: the value stays.
    let kept = std::fs::read(&file).unwrap();
    let output = fetch(&upstream, &file, &more).await;
    assert_eq!((said(&output).0, std::fs::read(&file).unwrap()), (0, kept), "{}", said(&output).1);
    assert_eq!(upstream.asked().last().unwrap().target, "/list?since=2020-01-02T03%3A04%3A09Z");
}

#[tokio::test]
async fn a_place_in_a_list_of_the_newest_first_is_no_lower_bound() {
    let newest = Arc::new(AtomicU64::new(1));
    let upstream = upstream(&newest, ListOrder::NewestFirst, SinceParam::Place).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.since");
    // Behind the only record, nothing would ever come.
    let output = fetch(&upstream, &file, &["--set", SINCE]).await;
    assert_eq!((said(&output).0, file.exists()), (0, false), "{}", said(&output).1);
    assert!(said(&output).1.contains("is not written: a run begins behind a value when two were seen"));
    newest.store(5, Ordering::Relaxed);
    let output = fetch(&upstream, &file, &["--set", SINCE]).await;
    assert_eq!((said(&output).0, file.exists()), (0, true), "{}", said(&output).1);
    let kept = std::fs::read(&file).unwrap();
    newest.store(8, Ordering::Relaxed);
    let output = fetch(&upstream, &file, &["--set", SINCE]).await;
    assert_eq!((said(&output).0, std::fs::read(&file).unwrap()), (2, kept), "{}", said(&output).1);
    assert!(said(&output).1.contains("all that came lie in front of it"), "{}", said(&output).1);
}

#[tokio::test]
async fn a_file_of_another_collection_and_values_without_an_order_are_refused() {
    let newest = Arc::new(AtomicU64::new(4));
    let upstream = upstream(&newest, ListOrder::OldestFirst, SinceParam::Bound).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.since");
    let output = fetch(&upstream, &file, &["--set", SINCE]).await;
    assert_eq!(said(&output).0, 0, "{}", said(&output).1);
    upstream.forget();
    for (more, message) in [
        (&["--set", SINCE, "-d", "{\"of\":1}"][..], "of another collection"),
        (&["--set", "since={ param = \"since\", field = \"id\" }"], "of another collection"),
        (&[], "the collection has no `since`"),
        (&["--set", SINCE, "--max-records", "1"], "cannot be used with"),
    ] {
        let output = fetch(&upstream, &file, more).await;
        assert_eq!(said(&output).0, 2, "{more:?}");
        assert!(said(&output).1.contains(message), "{more:?}: {}", said(&output).1);
    }
    assert_eq!(upstream.asked().len(), 0);
    let other = folder.path().join("other.since");
    let output = fetch(&upstream, &other, &["--set", "since={ param = \"since\", field = \"name\" }"]).await;
    assert_eq!((said(&output).0, other.exists()), (2, false), "{}", said(&output).1);
    assert!(said(&output).1.contains("no number, and no time with its offset (RFC 3339), at `name`"));
    std::fs::write(&file, "yesterday").unwrap();
    let output = fetch(&upstream, &file, &["--set", SINCE]).await;
    assert!(said(&output).1.contains("no file of an earlier run"), "{}", said(&output).1);
    // A first page that is refused keeps nothing.
    newest.store(0, Ordering::Relaxed);
    let output = fetch(&upstream, &other, &["--set", SINCE]).await;
    assert_eq!((said(&output).0, other.exists()), (3, false), "{} {}", StatusCode::FORBIDDEN, said(&output).1);
}

#[tokio::test]
async fn a_file_that_the_output_would_overwrite_or_that_cannot_be_written_is_refused_before_a_request() {
    let newest = Arc::new(AtomicU64::new(4));
    let upstream = upstream(&newest, ListOrder::OldestFirst, SinceParam::Bound).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(folder.path(), at("same")).unwrap();
    for (file, output, message) in [
        ("list", "list", "the output, or a file beside it"),
        ("list", "same/list", "the output, or a file beside it"),
        ("list.part", "list", "the output, or a file beside it"),
        ("list.part.journal", "list", "the output, or a file beside it"),
        ("same/list.part.encoded", "list", "the output, or a file beside it"),
        ("list", "list.new", "the output, or a file beside it"),
        ("nowhere/list.since", "list", "No such file or directory"),
    ] {
        let output = fetch(&upstream, &at(file), &["--set", SINCE, "--output", at(output).to_str().unwrap()]).await;
        assert_eq!(said(&output).0, 2, "{file}: {}", said(&output).1);
        assert!(said(&output).1.contains(message), "{file}: {}", said(&output).1);
    }
    assert_eq!((upstream.asked().len(), std::fs::read_dir(folder.path()).unwrap().count()), (0, 1));
    let output = fetch(&upstream, &at("list.since"), &["--set", SINCE, "--output", at("list").to_str().unwrap()]).await;
    assert_eq!((said(&output).0, std::fs::read_to_string(at("list")).unwrap()), (0, lines(1..=4)));
}

#[tokio::test]
async fn a_file_of_other_header_fields_is_taken_with_changed_headers_alone() {
    let newest = Arc::new(AtomicU64::new(4));
    let upstream = upstream(&newest, ListOrder::OldestFirst, SinceParam::Bound).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.since");
    let output = fetch(&upstream, &file, &["--set", SINCE, "-H", "X-Tenant: a"]).await;
    assert_eq!(said(&output).0, 0, "{}", said(&output).1);
    upstream.forget();
    let other = ["--set", SINCE, "-H", "X-Tenant: b"];
    let output = fetch(&upstream, &file, &other).await;
    assert_eq!((said(&output).0, upstream.asked().len()), (2, 0), "{}", said(&output).1);
    assert!(said(&output).1.contains("of other header fields") && said(&output).1.contains("--changed-headers"));
    let output = fetch(&upstream, &file, &[&other[..], &["--changed-headers"]].concat()).await;
    assert_eq!((said(&output).0, output.stdout), (0, lines([4]).into_bytes()));
    // The file is that of the new fields.
    let output = fetch(&upstream, &file, &other).await;
    assert_eq!(said(&output).0, 0, "{}", said(&output).1);
}

#[tokio::test]
async fn a_record_of_the_future_hides_none_of_those_that_come_until_then() {
    let later = Arc::new(AtomicU64::new(0));
    let comes = Arc::clone(&later);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let scheduled = "{\"id\":0,\"at\":\"2999-01-01T00:00:00Z\"}".to_owned();
        let from = if asked.target.contains("since=2020-01-02T03%3A04%3A02Z") { 2 } else { 1 };
        let records: Vec<_> = (from..=2 + comes.load(Ordering::Relaxed)).map(record).chain([scheduled]).collect();
        Reply::json(format!("{{\"items\":[{}],\"next\":null}}", records.join(",")))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.since");
    for (came, expected, kept) in [(0, 3, "03:04:02Z"), (4, 6, "03:04:06Z")] {
        later.store(came, Ordering::Relaxed);
        let output = fetch(&upstream, &file, &["--set", SINCE]).await;
        let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!((said(&output).0, lines), (0, expected), "{}", said(&output).1);
        assert!(said(&output).1.contains("warning: records dated later than the run began"));
        assert!(std::fs::read_to_string(&file).unwrap().contains(kept), "{kept}");
    }
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_run_that_may_have_lost_records_leaves_the_file_as_it_is() {
    let pages = [[1, 2], [3, 4], [1, 5]];
    let upstream = Upstream::scripted(0, move |asked, _| {
        let at = asked.target.split_once("from=").map_or(0, |(_, at)| at.parse().unwrap());
        let next = if at < 2 { (at + 1).to_string() } else { "null".to_owned() };
        Reply::json(format!("{{\"items\":[{}],\"next\":{next}}}", pages[at].map(record).join(",")))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.since");
    let more = ["--set", SINCE, "--key", "id", "--on-double", "drop", "--on-missed", "report"];
    let output = fetch(&upstream, &file, &more).await;
    assert_eq!((said(&output).0, file.exists()), (0, false), "{}", said(&output).1);
    assert!(said(&output).1.contains("stays as it was, as records may be missing"), "{}", said(&output).1);
    assert_eq!(upstream.asked().len(), 3);
}

#[tokio::test]
async fn a_file_that_can_no_longer_be_written_is_told_beside_a_complete_output() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let (file, to) = (gone.join("list.since"), folder.path().join("list.ndjson"));
    let upstream = Upstream::scripted(0, move |_, _| {
        std::fs::remove_dir(&gone).unwrap();
        Reply::json(format!("{{\"items\":[{},{}],\"next\":null}}", record(1), record(2)))
    })
    .await;
    let output = fetch(&upstream, &file, &["--set", SINCE, "--output", to.to_str().unwrap()]).await;
    let (code, told) = said(&output);
    assert_eq!((code, std::fs::read_to_string(&to).unwrap()), (1, lines(1..=2)), "{told}");
    assert!(told.contains("list.since can't be written: ") && !told.contains("broken"), "{told}");
    assert!(told.contains("the output is complete with 2 records; the next run brings them again"), "{told}");
}
