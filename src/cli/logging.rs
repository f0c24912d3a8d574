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

/// Parses levels. Errors: no level at all, and a part that is neither a level nor `TARGET=LEVEL`: `EnvFilter` takes `inof` for a target, and
/// would lose all other lines.
fn parse_levels(text: &str) -> Result<EnvFilter, String> {
    let is_known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    let compact = text.replace(' ', "");
    let parts: Vec<_> = compact.split(',').filter(|part| !part.is_empty()).collect();
    let wrong =
        |part: &str| format!("neither a level (error, warn, info, debug, trace, off) nor TARGET=LEVEL: {part:?}");
    match parts.iter().find(|part| !is_known(part)) {
        _ if parts.is_empty() => Err(wrong(text)),
        Some(part) => Err(wrong(part)),
        None => EnvFilter::try_new(parts.join(",")).map_err(|error| {
            let unread = parts.iter().find(|part| EnvFilter::try_new(part).is_err());
            unread.map_or_else(|| error.to_string(), |part| wrong(part))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_level_is_a_mistake_and_no_target() {
        for text in ["info", "WARN", "off", "info,", "info,unpage::upstream=debug", "warn, access=info"] {
            assert!(parse_levels(text).is_ok(), "{text}");
        }
        for (text, part) in
            [("inof", "inof"), ("info,h2", "h2"), ("info,unpage=loud", "unpage=loud"), ("info,=x", "=x"), (",,", ",,")]
        {
            let mistake = parse_levels(text).unwrap_err();
            assert!(mistake.ends_with(&format!(": {part:?}")), "{mistake}");
        }
    }
}
