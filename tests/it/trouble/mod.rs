//! Trouble that others reported in public with APIs like these: each is read as it should be, or is visibly not read.

mod reports;

use std::fmt::Write;

use super::client::{self, Received, Version, get};
use super::proxy::{Proxy, collection};
use super::upstream::{Asked, Reply, Upstream, answer};
use reports::REPORTS;

/// A report, and what it takes to see it here.
pub(super) struct Report {
    /// Places of the reports.
    source: &'static str,
    /// What the API does.
    about: &'static str,
    /// Path and query that a client requests.
    target: &'static str,
    /// What `auto` needs to see in the query, too: the first page's number.
    first: &'static str,
    answer: fn(&PageCall<'_>) -> Reply,
    /// Number of records, whose ids count from 1.
    records: u64,
    /// Text of a record.
    record: fn(u64) -> String,
    /// Lines of the configuration that the documentation leads to.
    lines: &'static str,
    auto: Right,
    configured: Right,
}

/// Right end of a stream.
#[derive(Clone, Copy, Debug)]
enum Right {
    /// All records.
    Exact,
    /// A visible break, with one of these words.
    Breaks(&'static [&'static str]),
    /// Either: what is told is enough to know of, and not to go on.
    Either,
}

/// A request to an upstream with such a trouble.
pub(super) struct PageCall<'a> {
    report: &'a Report,
    asked: &'a Asked,
}

impl Report {
    /// Compares an end with the right one; an error is all that was said.
    fn judge(&self, right: Right, received: &Received) -> Result<(), String> {
        let said = String::from_utf8_lossy(&received.body);
        let whole: String = (1..=self.records).map(|number| (self.record)(number) + "\n").collect();
        let is_clean = received.head.status == 200 && received.broken.is_none();
        let is_exact = is_clean && said.strip_prefix(&whole).is_some_and(|marker| marker.starts_with("{\"_unpage\""));
        let is_right = match right {
            Right::Exact => is_exact,
            Right::Breaks(words) => !is_clean && words.iter().any(|word| said.to_lowercase().contains(word)),
            Right::Either => is_exact || !is_clean,
        };
        if is_right { Ok(()) } else { Err(format!("{} {said}", received.head.status)) }
    }
}

impl PageCall<'_> {
    /// A number in the query.
    fn number(&self, name: &str, otherwise: u64) -> u64 {
        let (_, query) = self.asked.target.split_once('?').unwrap_or_default();
        let value = url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).last();
        value.and_then(|(_, value)| value.parse().ok()).unwrap_or(otherwise)
    }

    fn path(&self) -> &str {
        self.asked.target.split('?').next().unwrap_or_default()
    }

    fn base(&self) -> String {
        format!("http://{}", self.asked.header("host").unwrap())
    }

    /// A JSON array of the records behind the first `skip`, and true if there are more.
    fn slice(&self, skip: u64, size: u64) -> (String, bool) {
        let end = (skip + size).min(self.report.records);
        let records: Vec<_> = (skip + 1..=end).map(self.report.record).collect();
        (format!("[{}]", records.join(",")), end < self.report.records)
    }

    /// The same for a page, counted from 1.
    fn page(&self, number: u64, size: u64) -> (String, bool) {
        self.slice((number.max(1) - 1) * size, size)
    }

    /// An array with the link to the page behind `number`, as WordPress and GitHub link it.
    fn linked(&self, number: u64, before: &str, after: &str) -> Reply {
        let (records, more) = self.page(number, 10);
        let link = format!("<{}{}?per_page=10&page={}>; rel=\"next\"", self.base(), self.path(), number + 1);
        let fields = [("link", link.as_str()), ("x-wp-total", "35")];
        Reply::Whole(answer(200, &fields[usize::from(!more)..], format!("{before}{records}{after}")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_of_others_are_read_right_or_visibly_not() {
    let mut problems = String::new();
    for report in &REPORTS {
        let upstream = Upstream::scripted(0, |asked, _| (report.answer)(&PageCall { report, asked })).await;
        for (lines, first, right) in [("", report.first, report.auto), (report.lines, "", report.configured)] {
            upstream.forget();
            let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
            let request = get(&format!("{}{first}", report.target), "application/x-ndjson;end=marker");
            let received = client::receive(Version::Http1, proxy.address, request).await;
            if let Err(said) = report.judge(right, &received) {
                let how = if lines.is_empty() { "auto" } else { "configured" };
                writeln!(problems, "{} ({}), {how}: right is {right:?}: {said}", report.source, report.about).unwrap();
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(REPORTS.len(), 29);
}
