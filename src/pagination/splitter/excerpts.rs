//! Excerpts of a page for messages.

use crate::pagination::detect::{self, Sketch};
use crate::pagination::error::start_of;

/// Characters of a page's start that are shown.
const START_SHOWN: usize = 60;

/// Bytes before a flaw that are shown.
pub(super) const BEFORE_FLAW: usize = 30;

/// Description of a page with a flaw at byte `at`: its start, where a body that is no JSON is recognised, and the text around a flaw that is
/// farther on, with which `near` begins.
pub(super) fn shown_flaw(start: &[u8], at: u64, near: &[u8]) -> String {
    let start = format!("it starts with `{}`", shown_start(start));
    if at < START_SHOWN as u64 {
        return start;
    }
    let near = String::from_utf8_lossy(&near[..near.len().min(2 * BEFORE_FLAW)]).into_owned();
    format!("`{}` stands there, and {start}", start_of(near.trim(), 2 * BEFORE_FLAW))
}

/// The arrays of a page without the configured one.
pub(super) fn arrays_of(sketch: &Sketch, start: &[u8]) -> String {
    match detect::seen_arrays(sketch.outline()) {
        _ if sketch.is_empty() => "more text around its records than unpage reads".to_owned(),
        seen if seen.is_empty() => format!("no array at all, it starts with `{}`", shown_start(start)),
        seen => format!("arrays with {seen}"),
    }
}

fn shown_start(start: &[u8]) -> String {
    start_of(String::from_utf8_lossy(start).trim_start(), START_SHOWN)
}
