//! Log lines on stderr, with control characters escaped.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Logs to stderr; `UNPAGE_LOG` (as `RUST_LOG`: a level, or `target=level,…`) overrides `level`.
pub(super) fn init(level: &str) {
    let filter = EnvFilter::try_from_env("UNPAGE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // A line that can't be written is lost. Its error would go to stderr as well, and panic in the crawl that logs.
        .log_internal_errors(false)
        .init();
}
