//! Paths as they are written: the subset of JSONPath (RFC 9535) that names single values and `[*]`, and JSON Pointers (RFC 6901).

use std::str::FromStr;

use super::path::{Path, Segment};

/// A text is no path: the reason, and the character where it shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at} of `{path}`")]
pub struct BadPath {
    path: String,
    at: usize,
    what: &'static str,
}

impl Path {
    /// Reads a path that names at most one value: `[*]` is refused.
    pub fn singular(text: &str) -> Result<Self, BadPath> {
        let path: Self = text.parse()?;
        match text.find("[*]") {
            Some(at) if path.has_each() => Err(BadPath::new(text, at, "`[*]` is only for `records`")),
            _ => Ok(path),
        }
    }

    /// Reads a JSON Pointer (RFC 6901): `/variables/after`. Its numbers are taken for indexes of arrays.
    pub fn pointer(text: &str) -> Result<Self, BadPath> {
        let mut segments = Vec::new();
        let mut at = 0;
        for token in text.split('/').skip(1) {
            at += 1;
            segments.push(pointer_segment(token).map_err(|what| BadPath::new(text, at, what))?);
            at += token.len();
        }
        if text.starts_with('/') { Ok(Self::new(segments)) } else { Err(BadPath::new(text, 0, "expected `/`")) }
    }
}

impl FromStr for Path {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        PathParser { text, at: 0 }.path()
    }
}

impl BadPath {
    fn new(path: &str, at: usize, what: &'static str) -> Self {
        Self { path: path.to_owned(), at: at + 1, what }
    }
}

/// Reads one step of a JSON Pointer, whose escapes are `~0` for `~` and `~1` for `/`.
fn pointer_segment(token: &str) -> Result<Segment, &'static str> {
    if token == "-" {
        return Err("`-` names no element that is there,");
    }
    let canonical = token == "0" || !token.starts_with('0');
    if canonical && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
        return token.parse().map(Segment::Index).map_err(|_| "this index is too large");
    }
    if token.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return Err("write `~0` for `~` and `~1` for `/`");
    }
    // In this order, so that `~01` is `~1`.
    Ok(Segment::Name(token.replace("~1", "/").replace("~0", "~")))
}

struct PathParser<'a> {
    text: &'a str,
    at: usize,
}

impl PathParser<'_> {
    fn path(mut self) -> Result<Path, BadPath> {
        if self.text.is_empty() {
            return Err(self.bad("empty path: write `$` for the page itself"));
        }
        let mut segments = Vec::new();
        // A shorthand name may also be first without its dot, because `$.` may be left out.
        let mut name_may_follow = !self.eat('$');
        while self.at < self.text.len() {
            if self.eat('[') {
                segments.push(self.bracket()?);
            } else if self.eat('.') || name_may_follow {
                segments.push(self.name()?);
            } else {
                return Err(self.bad("expected `.` or `[`"));
            }
            name_may_follow = false;
        }
        Ok(Path::new(segments))
    }

    fn bracket(&mut self) -> Result<Segment, BadPath> {
        let segment = match self.peek() {
            Some('*') => {
                self.at += 1;
                Segment::Each
            }
            Some(quote @ ('"' | '\'')) => Segment::Name(self.quoted(quote)?),
            _ => self.index()?,
        };
        if self.eat(']') { Ok(segment) } else { Err(self.bad("expected `]`")) }
    }

    fn index(&mut self) -> Result<Segment, BadPath> {
        let rest = &self.text[self.at..];
        let end = rest.find(']').unwrap_or(rest.len());
        let digits = &rest[..end];
        let number = digits.strip_prefix('-').unwrap_or(digits);
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = plain && (number == "0" || !number.starts_with('0'));
        match (canonical, number.parse::<usize>()) {
            (true, Ok(index)) => {
                self.at += end;
                match (digits.starts_with('-'), index) {
                    (true, 0) => Err(self.bad("`-0` is not an index")),
                    (true, back) => Ok(Segment::FromEnd(back)),
                    (false, index) => Ok(Segment::Index(index)),
                }
            }
            _ => Err(self.bad("expected an index, a quoted name or `*`")),
        }
    }

    fn name(&mut self) -> Result<Segment, BadPath> {
        let rest = &self.text[self.at..];
        let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let end = rest.find(|c| !(first(c) || c.is_ascii_digit())).unwrap_or(rest.len());
        match rest.chars().next() {
            Some(c) if first(c) => {
                self.at += end;
                match self.peek() {
                    None | Some('.' | '[') => Ok(Segment::Name(rest[..end].to_owned())),
                    Some(_) => Err(self.bad("this character needs a quoted name, as in `[\"@odata.nextLink\"]`,")),
                }
            }
            Some('*') => Err(self.bad("write `[*]` for every element")),
            _ => Err(self.bad("expected a name (letter or `_` first; write others as `[\"name\"]`)")),
        }
    }

    /// A quoted name with the escapes of RFC 9535, which are those of JSON plus `\'`.
    fn quoted(&mut self, quote: char) -> Result<String, BadPath> {
        let start = self.at;
        let mut json = String::from("\"");
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    self.at = start;
                    return Err(self.bad("unterminated name"));
                }
                Some('\\') if self.text[self.at + 1..].starts_with('\'') => {
                    json.push('\'');
                    self.at += 2;
                }
                Some('\\') => {
                    let escape = self.text[self.at..].chars().take(2);
                    json.extend(escape.clone());
                    self.at += escape.map(char::len_utf8).sum::<usize>();
                }
                Some(c) if c == quote => {
                    self.at += 1;
                    break;
                }
                Some('"') => {
                    json.push_str("\\\"");
                    self.at += 1;
                }
                Some(c) => {
                    json.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        json.push('"');
        serde_json::from_str(&json).map_err(|_| BadPath::new(self.text, start, "bad escape in the name"))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn bad(&self, what: &'static str) -> BadPath {
        BadPath::new(self.text, self.at, what)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_documentation_promises() {
        let cases = [
            ("$", "$"),
            ("data", "data"),
            ("$.data", "data"),
            ("data.orders.edges[*].node", "data.orders.edges[*].node"),
            ("a[*].b[*][*].c", "a[*].b[*][*].c"),
            ("[\"@odata.nextLink\"]", "[\"@odata.nextLink\"]"),
            ("$['a\"b']", "[\"a\\\"b\"]"),
            ("items[0].x[-1]", "items[0].x[-1]"),
            ("$[0]", "[0]"),
            ("naïve", "naïve"),
        ];
        for (text, canonical) in cases {
            let path: Path = text.parse().unwrap();
            assert_eq!(path.to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refuses_malformed_paths_with_their_position() {
        let cases = [
            ("", "empty path: write `$` for the page itself at character 1 of ``"),
            ("a..b", "expected a name (letter or `_` first; write others as `[\"name\"]`) at character 3 of `a..b`"),
            ("a.*", "write `[*]` for every element at character 3 of `a.*`"),
            (
                "next-page",
                "this character needs a quoted name, as in `[\"@odata.nextLink\"]`, at character 5 of `next-page`",
            ),
            ("a[01]", "expected an index, a quoted name or `*` at character 3 of `a[01]`"),
            ("a[\"x]", "unterminated name at character 3 of `a[\"x]`"),
            ("$a", "expected `.` or `[` at character 2 of `$a`"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Path>().unwrap_err().to_string(), message);
        }
        assert!(Path::singular("a[*].b").is_err());
    }

    #[test]
    fn a_pointer_is_another_spelling_of_a_path() {
        let cases = [
            ("/variables/after", "variables.after"),
            ("/a~1b/~01/", "[\"a/b\"][\"~1\"][\"\"]"),
            ("/a/0/10", "a[0][10]"),
            ("/01", "[\"01\"]"),
        ];
        for (text, canonical) in cases {
            assert_eq!(Path::pointer(text).unwrap().to_string(), canonical, "{text}");
        }
        let told = |text: &str| Path::pointer(text).unwrap_err().to_string();
        assert_eq!(told("/a/b~2"), "write `~0` for `~` and `~1` for `/` at character 4 of `/a/b~2`");
        assert_eq!(told("a"), "expected `/` at character 1 of `a`");
        assert!(told("/a/-").starts_with("`-` names no"), "{}", told("/a/-"));
    }

    proptest! {
        #[test]
        fn any_name_survives_its_own_spelling(names in prop::collection::vec(any::<String>(), 0..4)) {
            let path = Path::new(names.into_iter().map(Segment::Name).collect());
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,24}") {
            if let Ok(path) = text.parse::<Path>() {
                prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
            }
        }
    }
}
