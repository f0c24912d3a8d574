//! The opaque token that stands for "after this order".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The token of the pages after order `number`.
///
/// It has a `+` and often a `=`, which a client that doesn't encode what it puts into a query loses.
pub(super) fn write(number: u64) -> String {
    STANDARD.encode(format!("id>{number}"))
}

/// The number in a token of [`write`]'s.
pub(super) fn read(token: &str) -> Option<u64> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let number = text.strip_prefix("id>")?.parse().ok()?;
    (write(number) == token).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_and_nothing_else_does() {
        for number in [0, 7, 100, 1_000_000, u64::MAX] {
            assert_eq!(read(&write(number)), Some(number));
        }
        assert_eq!(write(100), "aWQ+MTAw");
        for token in ["", "100", "aWQ MTAw", "aWQ+MTAw=", "aWQ+KzEw", "aWQ+LTE="] {
            assert_eq!(read(token), None, "{token}");
        }
    }
}
