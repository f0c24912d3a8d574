//! A line on the terminal that moves while records come.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::usage::UpstreamUsage;

/// The progress of one stream; silent where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    records: u64,
    bytes: u64,
    /// How many of the bytes were there before.
    had: u64,
    begun: Instant,
    /// Whose pages are told.
    usage: Option<UpstreamUsage>,
}

impl Progress {
    /// Of a collection whose size may be known, and of which so many records and bytes are there already.
    pub(super) fn new(total: Option<u64>, records: u64, bytes: u64) -> Self {
        let bar = if !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else if let Some(total) = total {
            ProgressBar::new(total).with_style(style("{bar:30} {percent}% {msg}, {eta} left"))
        } else {
            ProgressBar::new_spinner().with_style(style("{spinner} {msg}"))
        };
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_position(records);
        bar.reset_eta();
        Self { bar, records, bytes, had: bytes, begun: Instant::now(), usage: None }
    }

    /// Tells the pages of this crawl, too.
    pub(super) fn of(self, usage: UpstreamUsage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    /// More has come.
    pub(super) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.bar.set_position(self.records);
        let rate = HumanCount(self.bar.per_sec() as u64);
        let elapsed = self.begun.elapsed().as_secs_f64().max(0.001);
        let speed = HumanBytes(((self.bytes - self.had) as f64 / elapsed) as u64);
        let (records, bytes) = (HumanCount(self.records), HumanBytes(self.bytes));
        let pages = self.usage.as_ref().map_or(String::new(), |usage| format!(" in {} pages", usage.counts().pages));
        self.bar.set_message(format!("{records} records{pages}, {bytes} ({rate}/s, {speed}/s)"));
    }

    /// How many records have come.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Leaves the terminal as it was.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is one of two literals")
}
