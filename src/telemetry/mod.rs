//! What unpage says of itself: log lines on stderr, whose control characters are escaped and whose URLs keep no values; and
//! numbers, to whoever asks for them.

mod admin;
mod exposition;
mod list;
mod metrics;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

pub use admin::Admin;

/// Logs to stderr; `UNPAGE_LOG` (as `RUST_LOG`: a level, or `target=level,…`) overrides `level`.
pub fn init(level: &str) {
    let filter = EnvFilter::try_from_env("UNPAGE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
