//! Parts of error messages: texts that came from outside, cut and on one line, and phrases that several messages share.

use super::request::Param;

/// Returns the first `most` characters of a text that came from outside, on one line.
pub(in crate::pagination) fn start_of(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns the start of a text that came from outside, fit for one line of a message.
pub(in crate::pagination) fn excerpt(text: &str) -> String {
    let mut short = start_of(text, 80);
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Description of a parameter that seems to have no effect; empty where there is none.
pub(super) fn ignored(param: Option<&Param>) -> String {
    param.map(|param| format!(", as if the upstream ignored {param}")).unwrap_or_default()
}
