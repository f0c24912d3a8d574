//! Log lines on stderr, with control characters escaped.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
    let wanted = std::env::var("UNPAGE_LOG").ok().filter(|text| !text.is_empty());
    let (filter, mistake) = match parse_levels(wanted.as_deref().unwrap_or(level)) {
        Ok(filter) => (filter, None),
        Err(mistake) => (EnvFilter::new(level), Some(mistake)),
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that can't be written is lost. Its error would go to stderr as well, and panic in the crawl that logs.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    if let Some(mistake) = mistake {
        tracing::warn!("UNPAGE_LOG is not used: {mistake}");
    }
}

/// Parses levels. Errors: a part that is neither a level nor `TARGET=LEVEL`: `EnvFilter` takes `inof` for a target, and would lose all
/// other lines.
fn parse_levels(text: &str) -> Result<EnvFilter, String> {
    let is_known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let text = text.replace(' ', "");
    match text.split(',').find(|part| !is_known(part)) {
        Some(part) => Err(format!("neither a level (error, warn, info, debug, trace, off) nor TARGET=LEVEL: {part:?}")),
        None => EnvFilter::try_new(&text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_level_is_a_mistake_and_no_target() {
        for text in ["info", "WARN", "off", "info,unpage::upstream=debug", "warn, access=info"] {
            assert!(parse_levels(text).is_ok(), "{text}");
        }
        for text in ["inof", "info,h2", "info,unpage=loud", "info,=x"] {
            assert!(parse_levels(text).is_err(), "{text}");
        }
    }
}
