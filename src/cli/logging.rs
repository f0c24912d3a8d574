//! Log lines on stderr, with control characters escaped.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs to stderr as text; `UNPAGE_LOG` (as `RUST_LOG`: a level, or `target=level,…`) overrides `level`.
pub(super) fn init(level: &str) {
    init_as(LogFormat::Text, level);
}

/// The same in this form.
pub(super) fn init_as(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_env("UNPAGE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that can't be written is lost. Its error would go to stderr as well, and panic in the crawl that logs.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
