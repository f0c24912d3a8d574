//! Redaction of secrets in texts that may repeat them, in the spellings of JSON, URLs, forms and HTML.

use std::ops::Range;

/// Shortest start of a secret that is redacted where an excerpt ends, and shortest secret that is found in another case of letters.
pub(super) const SHORTEST: usize = 8;

/// Largest number of spellings inside of each other that are decoded.
const NESTED: usize = 4;

/// Longest reference of HTML that is decoded, with its semicolon.
const LONGEST_REFERENCE: usize = 10;

/// Bytes of a text, and for each the range of the text that writes it.
#[derive(Clone)]
struct DecodedText {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

/// Replaces these secrets by `…` in a text, as they are and in other spellings, and also the start of one where an excerpt ends.
pub(super) fn without_all(secrets: &[String], text: &str) -> String {
    let (raw, decoded) = (DecodedText::new(text), DecodedText::new(text).decoded());
    let mut found = Vec::new();
    for secret in secrets {
        raw.find(secret.as_bytes(), text, &mut found);
        // Both are decoded: a secret may look like an escape.
        decoded.find(&DecodedText::new(secret).decoded().bytes, text, &mut found);
    }
    found.sort_by_key(|range| range.start);
    let (mut clean, mut end) = (String::new(), 0);
    for range in found {
        if range.start >= end {
            clean.push_str(&text[end..range.start]);
            clean.push('…');
        }
        end = end.max(range.end);
    }
    clean + &text[end..]
}

impl DecodedText {
    fn new(text: &str) -> Self {
        let ranges = text.char_indices().flat_map(|(at, c)| (0..c.len_utf8()).map(move |_| at..at + c.len_utf8()));
        Self { bytes: text.as_bytes().to_vec(), ranges: ranges.collect() }
    }

    /// Decodes all escapes, also those inside of others. A space and `+`, which forms write for it, are the same.
    fn decoded(mut self) -> Self {
        for _ in 0..NESTED {
            let before = self.bytes.len();
            self = self.decoded_once();
            if self.bytes.len() == before {
                break;
            }
        }
        self.bytes.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
        self
    }

    fn decoded_once(&self) -> Self {
        let mut decoded = Self { bytes: Vec::new(), ranges: Vec::new() };
        let mut at = 0;
        while let Some((byte, range)) = self.bytes.get(at).zip(self.ranges.get(at)) {
            let (bytes, length) = escape(&self.bytes[at..]).unwrap_or_else(|| (vec![*byte], 1));
            let last = self.ranges.get(at + length - 1).unwrap_or(range);
            decoded.ranges.extend(bytes.iter().map(|_| range.start..last.end));
            decoded.bytes.extend(bytes);
            at += length;
        }
        decoded
    }

    /// Adds the ranges of `text`, which this is, that have the secret.
    fn find(&self, secret: &[u8], text: &str, found: &mut Vec<Range<usize>>) {
        let is_same = |one: &u8, other: &u8| match secret.len() < SHORTEST {
            true => one == other,
            false => one.eq_ignore_ascii_case(other),
        };
        let mut at = 0;
        while at < self.bytes.len() {
            let same = self.bytes[at..].iter().zip(secret).take_while(|(here, there)| is_same(here, there)).count();
            let end = self.ranges[at..at + same].last().map_or(0, |range| range.end);
            let is_found = same > 0 && (same == secret.len() || same >= SHORTEST && is_cut(&text[end..]));
            if is_found {
                found.push(self.ranges[at].start..end);
            }
            at += if is_found { same } else { 1 };
        }
    }
}

/// Returns true at the end of an excerpt, which may be inside of an escape.
fn is_cut(rest: &str) -> bool {
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['`', '…']);
    let of_escape = |c: char| matches!(c, '#' | ';') || c.is_ascii_alphanumeric();
    is_end(rest) || rest.strip_prefix(['%', '\\', '&']).is_some_and(|rest| is_end(rest.trim_start_matches(of_escape)))
}

/// Decodes the escape that a text begins with: the bytes, and the length of the escape.
fn escape(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let hex = |range: Range<usize>| {
        let digits = text.get(range).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let utf8 = |c: char| c.to_string().into_bytes();
    match text {
        [b'%', ..] => Some((vec![u8::try_from(hex(1..3)?).ok()?], 3)),
        [b'\\', b'u', ..] => Some((utf8(char::from_u32(hex(2..6)?)?), 6)),
        [b'\\', b'x', ..] => Some((utf8(char::from_u32(hex(2..4)?)?), 4)),
        [b'\\', c @ (b'/' | b'"' | b'\'' | b'\\'), ..] => Some((vec![*c], 2)),
        [b'&', rest @ ..] => {
            let length = rest.iter().take(LONGEST_REFERENCE).position(|byte| *byte == b';')?;
            let c = match str::from_utf8(&rest[..length]).ok()? {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                name => {
                    let digits = name.strip_prefix('#')?;
                    let number = match digits.strip_prefix(['x', 'X']) {
                        Some(digits) => u32::from_str_radix(digits, 16),
                        None => digits.parse(),
                    };
                    char::from_u32(number.ok()?)?
                }
            };
            Some((utf8(c), length + 2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = "ab+c/d45+&<'=~é%41Kop";
        let each = |write: &dyn Fn(char) -> String| {
            secret.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { write(c) }).collect::<String>()
        };
        let percent = |c: char| c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let lower = |c: char| percent(c).to_lowercase();
        let spellings = [
            secret.to_owned(),
            serde_json::Value::from(secret).to_string().trim_matches('"').replace('/', "\\/"),
            each(&|c| format!("\\u{:04x}", u32::from(c))),
            each(&|c| format!("\\u{:04X}", u32::from(c))),
            each(&|c| format!("&#{};", u32::from(c))),
            each(&|c| format!("&#x{:X};", u32::from(c))),
            secret.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&#x27;").replace('+', "&#x2B;"),
            each(&percent),
            each(&lower),
            each(&|c| percent(c).replace('%', "%25")),
            each(&|c| lower(c).replace('%', "\\u0025")),
            secret.replace('+', " "),
            secret.replace('\'', "\\'"),
            secret.to_ascii_uppercase(),
            secret.to_ascii_lowercase(),
        ];
        for spelling in &spellings {
            let text = format!("é & 100%: {spelling}, \\u00e9 &lt; %C3%A9");
            assert_eq!(without_all(&[secret.to_owned()], &text), "é & 100%: …, \\u00e9 &lt; %C3%A9", "{spelling}");
            // An excerpt may end at each place of it, also within an escape.
            for (end, _) in spelling.char_indices() {
                let shown = without_all(&[secret.to_owned()], &format!("`{}`", &spelling[..end]));
                let left = DecodedText::new(&shown).decoded().bytes.len();
                assert!(left < SHORTEST + LONGEST_REFERENCE, "{spelling}: {end}: {shown}");
            }
        }
    }

    #[test]
    fn short_secrets_are_found_in_their_own_case_alone() {
        let secrets = ["k1".to_owned(), "k1-and-more".to_owned(), String::new()];
        assert_eq!(without_all(&secrets, "K1, k1, k%31 and K1-AND-more."), "K1, …, … and ….");
    }

    #[test]
    fn a_part_of_a_secret_at_the_end_of_an_excerpt_is_one_too() {
        for (text, shown) in [
            ("it starts with `key abcdefghij`", "it starts with `key …`"),
            ("`abcdefghi…`", "`……`"),
            ("abcdefgh", "…"),
            ("abcdefgh%", "…%"),
            ("abcdefghijé, abcdefghij é abcdefgabcdefghx `abcdefg`", "…, abcdefghij é abcdefgabcdefghx `abcdefg`"),
        ] {
            assert_eq!(without_all(&["abcdefghijé".to_owned()], text), shown);
        }
    }
}
