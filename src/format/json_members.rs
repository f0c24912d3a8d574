//! Places of the members and values of a record, whose JSON has been checked: nothing is decoded, and each byte is looked at once.

use std::ops::Range;

use memchr::{memchr2, memchr3};

/// Members of a JSON object, in their order.
#[derive(Debug)]
pub(super) struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    /// Returns the members of the object at this byte; none where there is no object.
    pub(super) fn new(text: &'a [u8], start: usize) -> Option<Self> {
        let at = skip_space(text, start);
        (text.get(at) == Some(&b'{')).then_some(Self { text, at: at + 1 })
    }

    /// Returns the places of the next name, without its quotes, and of its value's first byte. The value has to be passed with
    /// [`Members::go_to`] before the next call.
    pub(super) fn next(&mut self) -> Option<(Range<usize>, usize)> {
        self.at = skip_space(self.text, self.at);
        if self.text.get(self.at) == Some(&b',') {
            self.at = skip_space(self.text, self.at + 1);
        }
        if self.text.get(self.at) != Some(&b'"') {
            return None;
        }
        let end = value_end(self.text, self.at);
        let colon = skip_space(self.text, end);
        (self.text.get(colon) == Some(&b':'))
            .then(|| (self.at + 1..end.saturating_sub(1), skip_space(self.text, colon + 1)))
    }

    /// Goes on after a value that ends before this byte.
    pub(super) fn go_to(&mut self, end: usize) {
        self.at = end;
    }

    /// Returns the byte after the object; none where it does not end here.
    pub(super) fn end(&self) -> Option<usize> {
        let at = skip_space(self.text, self.at);
        (self.text.get(at) == Some(&b'}')).then_some(at + 1)
    }
}

pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Returns the byte after the value that begins here.
pub(super) fn value_end(text: &[u8], start: usize) -> usize {
    match text.get(start) {
        Some(b'"') => string_end(text, start + 1),
        Some(b'{' | b'[') => container_end(text, start),
        _ => {
            let rest = text.get(start..).unwrap_or_default();
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
            start + length.unwrap_or(rest.len())
        }
    }
}

/// Returns the byte after the closing quote of a string whose content begins here.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        if text[at + found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    text.len()
}

fn container_end(text: &[u8], start: usize) -> usize {
    let (open, close) = if text[start] == b'{' { (b'{', b'}') } else { (b'[', b']') };
    let (mut at, mut depth) = (start, 0_usize);
    // Brackets of the other kind are balanced within.
    while let Some(found) = text.get(at..).and_then(|rest| memchr3(b'"', open, close, rest)) {
        at += found + 1;
        match text[at - 1] {
            b'"' => at = string_end(text, at),
            byte if byte == open => depth += 1,
            _ if depth == 1 => return at,
            _ => depth -= 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_with_their_bytes() {
        let text = br#" { "a\"b" : {"c":[1,"]}"]} ,"d":-1e5,"":[ ], "e":"x\\" }  "#;
        let mut members = Members::new(text, 0).unwrap();
        let mut found = Vec::new();
        while let Some((name, start)) = members.next() {
            let end = value_end(text, start);
            found.push([name, start..end].map(|place| std::str::from_utf8(&text[place]).unwrap()));
            members.go_to(end);
        }
        assert_eq!(found, [[r#"a\"b"#, r#"{"c":[1,"]}"]}"#], ["d", "-1e5"], ["", "[ ]"], ["e", r#""x\\""#]]);
        assert_eq!(members.end(), Some(text.len() - 2));
    }

    #[test]
    fn text_that_is_cut_has_no_end() {
        let whole = br#"{"a":{"b":"}"},"c":[1]}"#;
        for cut in 0..whole.len() {
            let Some(mut members) = Members::new(&whole[..cut], 0) else { continue };
            while let Some((_, start)) = members.next() {
                members.go_to(value_end(&whole[..cut], start));
            }
            assert_eq!(members.end(), None, "{cut}");
        }
    }
}
