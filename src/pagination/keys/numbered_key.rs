//! Keys that are a number behind a text of its own, as `17`, `"17"` or `"ord_0017"`.

/// Most digits of a number: each such number is in a `u64`.
pub(super) const DIGITS: usize = 18;

/// Most bytes before the number.
pub(super) const PREFIX: usize = 64;

/// Splits a key into its series and its number; none if it doesn't end in digits. The key can be made of the two again: leading zeros stand
/// in the prefix, and a string's closing mark follows from its first one.
pub(super) fn split(key: &[u8]) -> Option<(&[u8], u64)> {
    let text = if key.first() == Some(&b'"') { key.strip_suffix(b"\"")? } else { key };
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let zeros =
        text[text.len() - digits..].iter().take(digits.saturating_sub(1)).take_while(|byte| **byte == b'0').count();
    let (prefix, number) = text.split_at(text.len() - digits + zeros);
    if !(1..=DIGITS).contains(&number.len()) || prefix.len() > PREFIX {
        return None;
    }
    Some((prefix, number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_split_where_its_number_begins() {
        let cases: [(&str, Option<(&str, u64)>); 12] = [
            ("17", Some(("", 17))),
            ("0", Some(("", 0))),
            ("-5", Some(("-", 5))),
            ("\"17\"", Some(("\"", 17))),
            ("\"ord_0017\"", Some(("\"ord_00", 17))),
            ("\"00\"", Some(("\"0", 0))),
            ("\"a\"", None),
            ("\"\"", None),
            ("true", None),
            ("1.50", Some(("1.", 50))),
            ("999999999999999999", Some(("", 999_999_999_999_999_999))),
            ("1000000000000000000", None),
        ];
        for (key, split_key) in cases {
            let expected = split_key.map(|(prefix, number)| (prefix.as_bytes(), number));
            assert_eq!(split(key.as_bytes()), expected, "{key}");
        }
    }
}
