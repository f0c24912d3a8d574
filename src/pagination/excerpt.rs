//! Excerpts of texts that came from outside, for messages.

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
