//! The opaque token of the place behind an order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The token of the place behind order `number`.
///
/// It contains a `+` and often a `=`, which are lost by a client that doesn't encode its query.
pub(super) fn write(number: u64) -> String {
    STANDARD.encode(format!("id>{number}"))
}

/// The number in a token that [`write`] has made.
pub(super) fn read(token: &str) -> Option<u64> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let number = text.strip_prefix("id>")?.parse().ok()?;
    (write(number) == token).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_written_tokens_are_read() {
        for number in [0, 7, 100, 1_000_000, u64::MAX] {
            assert_eq!(read(&write(number)), Some(number));
        }
        assert_eq!(write(100), "aWQ+MTAw");
        for token in ["", "100", "aWQ MTAw", "aWQ+MTAw=", "aWQ+KzEw", "aWQ+LTE="] {
            assert_eq!(read(token), None, "{token}");
        }
    }
}
