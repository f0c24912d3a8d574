//! A file that is fetched in several attempts: broken, killed, refused for another request.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::proxy::{binary, run};
use super::streams::orders;
use super::upstream::{Gate, Reply, Upstream};

const CURSOR: &str = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";

/// A folder for one file, and the command that fetches it.
struct Wanted {
    folder: TempDir,
    url: String,
}

impl Wanted {
    fn from(upstream: &Upstream) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), url: format!("{}/cursor/orders", upstream.url()) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("orders.ndjson")
    }

    fn command(&self) -> Vec<String> {
        let file = self.file();
        let arguments = ["fetch", &self.url, "--records", "data", "--pagination", CURSOR, "--output"];
        arguments.into_iter().chain([file.to_str().unwrap()]).map(ToOwned::to_owned).collect()
    }

    /// Names of the files in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn last(output: &Output) -> (i32, &str) {
    let said = std::str::from_utf8(&output.stderr).unwrap();
    (output.status.code().unwrap(), said.lines().last().unwrap_or_default())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_broken_file_is_resumed_behind_its_last_whole_page() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let upstream = Upstream::scripted(120, move |asked, answer| match asked.page {
        // The third page is gone once, and the fifth as well.
        3 | 5 if counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => Reply::status(410),
        _ => Reply::Whole(answer),
    })
    .await;
    let wanted = Wanted::from(&upstream);
    let (mut asked, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let output = run(wanted.command()).await;
        ends.push(last(&output).0);
        asked.extend(upstream.asked().iter().skip(asked.len()).map(|asked| asked.target.clone()));
        if output.status.success() {
            break;
        }
        assert_eq!(wanted.names(), ["orders.ndjson.part", "orders.ndjson.part.journal"]);
        let (_, said) = last(&output);
        assert!(said.ends_with("holds whole pages, and the same command resumes after them"), "{said}");
    }
    assert_eq!(ends, [4, 4, 0]);
    assert_eq!((wanted.names(), read(&wanted.file())), (vec!["orders.ndjson".to_owned()], orders(120)));
    // Six pages, and the two that were refused once more.
    assert_eq!(asked.len(), 8, "{asked:?}");
}

#[tokio::test]
async fn a_file_whose_fetch_was_killed_is_resumed_even_if_its_page_has_changed() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(100, move |asked, answer| match (asked.page, asked.attempt) {
        (3, 1) => held.before(Reply::Whole(answer)),
        _ => Reply::Whole(answer),
    })
    .await;
    let wanted = Wanted::from(&upstream);
    let mut child = binary().args(wanted.command()).stderr(Stdio::null()).spawn().unwrap();
    gate.reached().await;
    let second = run(wanted.command()).await;
    assert_eq!(last(&second), (1, "broken: after 0 records; nothing new was written"));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process is writing this file"));
    child.kill().await.unwrap();
    assert!(!wanted.file().exists());
    // As if a part of the third page had come: no reader had it, and other bytes may take its place.
    let part = wanted.folder.path().join("orders.ndjson.part");
    std::fs::write(&part, read(&part) + "{\"id\":\"of anoth").unwrap();
    let before = upstream.asked().len();
    let output = run(wanted.command()).await;
    assert_eq!(
        last(&output),
        (
            0,
            "complete: 100 records in 5 pages; end proven by no next address; unverified: links and tokens do not show whether records moved between two pages"
        )
    );
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("resumes after 40 records in "));
    assert_eq!(read(&wanted.file()), orders(100));
    assert_eq!(upstream.asked().len() - before, 3);
}

/// Leftovers of a process that was killed while it created its two files.
#[tokio::test]
async fn a_kill_before_the_first_line_of_the_journal_leaves_files_that_the_same_command_takes() {
    let gone = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&gone);
    let upstream = Upstream::scripted(60, move |asked, answer| match asked.page {
        2 if counted.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(410),
        _ => Reply::Whole(answer),
    })
    .await;
    let wanted = Wanted::from(&upstream);
    assert_eq!(last(&run(wanted.command()).await).0, 4);
    let [part, journal] = ["part", "part.journal"].map(|end| wanted.file().with_extension(format!("ndjson.{end}")));
    let begun = read(&journal);
    for kept in [None, Some(""), Some(&begun)] {
        std::fs::write(&part, "").unwrap();
        match kept {
            None => std::fs::remove_file(&journal).unwrap(),
            Some(text) => std::fs::write(&journal, text).unwrap(),
        }
        let asked = upstream.asked().len();
        let output = run(wanted.command()).await;
        assert_eq!((last(&output).0, upstream.asked().len() - asked), (0, 3), "{kept:?}: {output:?}");
        assert_eq!(read(&wanted.file()), orders(60));
        std::fs::write(&journal, "").unwrap();
    }
}

#[tokio::test]
async fn a_file_that_another_command_has_begun_is_left_alone() {
    let upstream = Upstream::scripted(60, |asked, answer| match asked.page {
        2 => Reply::status(410),
        _ => Reply::Whole(answer),
    })
    .await;
    let wanted = Wanted::from(&upstream);
    assert_eq!(last(&run(wanted.command()).await).0, 4);
    let [part, journal] = ["part", "part.journal"].map(|end| wanted.file().with_extension(format!("ndjson.{end}")));
    // As by a kill in the middle of page 2.
    std::fs::OpenOptions::new().append(true).open(&part).unwrap().write_all(b"{\"id\":").unwrap();
    let before = [read(&part), read(&journal)];
    let mut other = wanted.command();
    other[1].push_str("?limit=7");
    let output = run(other).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("orders.ndjson.part holds another collection"), "{said}");
    assert_eq!([read(&part), read(&journal)], before);
}

#[tokio::test]
async fn a_file_begun_with_other_header_fields_is_resumed_only_with_changed_headers() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let upstream = Upstream::scripted(60, move |asked, answer| match asked.page {
        2 if counted.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(410),
        _ => Reply::Whole(answer),
    })
    .await;
    let wanted = Wanted::from(&upstream);
    let with = |name: &str| [wanted.command(), vec!["-H".to_owned(), format!("Authorization: Bearer {name}")]].concat();
    assert_eq!(last(&run(with("alice")).await).0, 4);
    let asked = upstream.asked().len();
    let output = run(with("bob")).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("begun with other header fields") && said.contains("--changed-headers"), "{said}");
    assert_eq!(upstream.asked().len(), asked);
    let journal = read(&wanted.folder.path().join("orders.ndjson.part.journal"));
    assert!(!journal.contains("alice"), "{journal}");
    let output = run([with("alice2"), vec!["--changed-headers".to_owned()]].concat()).await;
    assert_eq!(last(&output).0, 0, "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read(&wanted.file()), orders(60));
}

#[tokio::test]
async fn a_part_file_without_a_journal_is_left_alone() {
    let upstream = Upstream::of(20).await;
    let wanted = Wanted::from(&upstream);
    let part = wanted.folder.path().join("orders.ndjson.part");
    std::fs::write(&part, "mine").unwrap();
    let output = run(wanted.command()).await;
    assert_eq!(last(&output), (2, "hint: delete it by --restart, or name another --output"));
    assert_eq!(read(&part), "mine");
    std::fs::remove_file(&part).unwrap();
    assert_eq!(last(&run(wanted.command()).await).0, 0);
}

#[tokio::test]
async fn an_output_that_is_no_file_keeps_its_name() {
    let upstream = Upstream::of(30).await;
    let mut command = Wanted::from(&upstream).command();
    "/dev/null".clone_into(command.last_mut().unwrap());
    let output = run(command).await;
    assert_eq!(
        last(&output),
        (
            0,
            "complete: 30 records in 2 pages; end proven by no next address; unverified: links and tokens do not show whether records moved between two pages"
        )
    );
    assert!(!Path::new("/dev/null.part").exists());
}
