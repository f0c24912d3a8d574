//! Log lines on stderr, with control characters escaped.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry, reload};

use crate::telemetry::LogLevel;

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
    drop(init_as(LogFormat::Text, level));
}

/// The same in this form. Returns the level, which can be changed.
pub(super) fn init_as(format: LogFormat, level: &str) -> LogLevel {
    let wanted = std::env::var("UNPAGE_LOG").ok().filter(|text| !text.is_empty());
    let wanted = wanted.as_deref().unwrap_or(level);
    let (filter, level, mistake) = match parse_levels(wanted) {
        Ok(filter) => (filter, wanted, None),
        Err(mistake) => (EnvFilter::new(level), level, Some(mistake)),
    };
    let (filter, handle) = reload::Layer::new(filter);
    // A line that can't be written is lost. Its error would go to stderr as well, and panic in the crawl that logs.
    let lines = fmt::layer().log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .with_writer(|| TextLines(io::stderr()))
            .boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    registry().with(filter).with(lines).init();
    if let Some(mistake) = mistake {
        tracing::warn!("UNPAGE_LOG is not used: {mistake}");
    }
    LogLevel::new(level.to_owned(), move |level| {
        let filter = parse_levels(level)?;
        // Logged before the change, or behind it where the old level hides warnings: a change to `off` is seen, and one from it.
        let was_shown = tracing::enabled!(Level::WARN);
        if was_shown {
            tracing::warn!("the log's level becomes {level}");
        }
        handle.reload(filter).map_err(|error| error.to_string())?;
        if !was_shown {
            tracing::warn!("the log's level has become {level}");
        }
        Ok(())
    })
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

/// Writer that gets one event at a time and writes it as one line: texts of clients and upstreams in it can't begin another one.
struct TextLines<W>(W);

impl<W: Write> Write for TextLines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = String::with_capacity(event.len());
        for c in text.strip_suffix('\n').unwrap_or(&text).chars() {
            match c {
                // Of the colours of a terminal: tracing-subscriber has escaped those of the message.
                '\x1b' => line.push(c),
                c if c.is_control() => write!(line, "{}", c.escape_default()).map_err(io::Error::other)?,
                c => line.push(c),
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let mut lines = TextLines(Vec::new());
        lines.write_all("INFO a\n2026-11-30 ERROR b\r\t\u{85}ü\n".as_bytes()).unwrap();
        lines.write_all(b"\x1b[2mINFO\x1b[0m c\n").unwrap();
        let expected = "INFO a\\n2026-11-30 ERROR b\\r\\t\\u{85}ü\n\x1b[2mINFO\x1b[0m c\n";
        assert_eq!(String::from_utf8(lines.0).unwrap(), expected);
    }

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
