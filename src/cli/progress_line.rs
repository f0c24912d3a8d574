//! Progress line of a stream on the terminal.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::upstream_usage::UpstreamUsage;

/// Time between two lines where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress line of one stream; where stderr is no terminal, a line every [`LINE_EVERY`].
#[derive(Debug)]
pub(super) struct ProgressLine {
    bar: ProgressBar,
    records: u64,
    bytes: u64,
    /// Bytes that an earlier run wrote.
    had: u64,
    begun: Instant,
    /// Time of the last line where stderr is no terminal; none on a terminal.
    told: Option<Instant>,
    /// Usage of the crawl, for its number of pages.
    usage: Option<UpstreamUsage>,
}

impl ProgressLine {
    /// Starts the line with the records and bytes of an earlier run; `total` is the number of records, where it is known.
    pub(super) fn new(total: Option<u64>, records: u64, bytes: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = if !is_terminal {
            ProgressBar::hidden()
        } else if let Some(total) = total {
            ProgressBar::new(total).with_style(style("{bar:30} {percent}% {msg}, {eta} left"))
        } else {
            ProgressBar::new_spinner().with_style(style("{spinner} {msg}"))
        };
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_position(records);
        bar.reset_eta();
        let told = (!is_terminal).then(Instant::now);
        Self { bar, records, bytes, had: bytes, begun: Instant::now(), told, usage: None }
    }

    /// Shows the pages of a crawl, too.
    pub(super) fn of(self, usage: UpstreamUsage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// Adds records and bytes.
    pub(super) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.bar.set_position(self.records);
        let rate = HumanCount(self.bar.per_sec() as u64);
        let elapsed = self.begun.elapsed().as_secs_f64().max(0.001);
        let speed = HumanBytes(((self.bytes - self.had) as f64 / elapsed) as u64);
        let (records, bytes) = (HumanCount(self.records), HumanBytes(self.bytes));
        let pages = self.usage.as_ref().map_or(String::new(), |usage| format!(" in {} pages", usage.counts().pages));
        if self.told.is_some_and(|told| told.elapsed() >= LINE_EVERY) {
            self.told = Some(Instant::now());
            eprintln!("{records} records{pages}, {bytes} ({speed}/s)");
        }
        self.bar.set_message(format!("{records} records{pages}, {bytes} ({rate}/s, {speed}/s)"));
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is one of two literals")
}
