//! A line on the terminal that moves while records come.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

/// The progress of one stream; silent where stderr is no terminal.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    records: u64,
    bytes: u64,
}

impl Progress {
    /// Of a collection whose size may be known.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = if !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else if let Some(total) = total {
            ProgressBar::new(total).with_style(style("{bar:30} {percent}% {msg}, {eta} left"))
        } else {
            ProgressBar::new_spinner().with_style(style("{spinner} {msg}"))
        };
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, records: 0, bytes: 0 }
    }

    /// More has come.
    pub(super) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.bar.set_position(self.records);
        let rate = HumanCount(self.bar.per_sec() as u64);
        self.bar.set_message(format!("{} records, {} ({rate}/s)", HumanCount(self.records), HumanBytes(self.bytes)));
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
