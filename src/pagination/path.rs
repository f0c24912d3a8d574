//! Paths into a page: the singular subset of JSONPath (RFC 9535), and one `[*]` where records stand inside array elements.
//!
//! The leading `$.` may be left out. A name that is not an RFC 9535 shorthand name (a letter, `_` or a non-ASCII
//! character, then also digits) is written in brackets: `["@odata.nextLink"]`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// `.name` or `["name"]`: the member of an object.
    Name(String),
    /// `[n]`: the element of an array, counted from its start.
    Index(usize),
    /// `[-n]`: the element of an array, counted from its end; `n` ≥ 1.
    FromEnd(usize),
    /// `[*]`: every element of an array; only in the path of the records.
    Each,
}

/// Where a value stands in a JSON text; the empty path is the text itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// Why a text is not a path that unpage can walk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at} of `{path}`")]
pub struct BadPath {
    path: String,
    at: usize,
    what: &'static str,
}

impl Path {
    /// The whole text, `$`.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path from its steps.
    pub fn of(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

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
            segments.push(pointed(token).map_err(|what| BadPath::new(text, at, what))?);
            at += token.len();
        }
        if text.starts_with('/') { Ok(Self { segments }) } else { Err(BadPath::new(text, 0, "expected `/`")) }
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether this is the text itself.
    pub fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    fn has_each(&self) -> bool {
        self.segments.contains(&Segment::Each)
    }

    /// The path's two sides around its `[*]`: the array, and what stands inside each element.
    pub fn split_at_each(&self) -> (Self, Option<Self>) {
        match self.segments.iter().position(|segment| *segment == Segment::Each) {
            Some(at) => {
                let (array, inner) = self.segments.split_at(at);
                (Self::of(array.to_vec()), Some(Self::of(inner[1..].to_vec())))
            }
            None => (self.clone(), None),
        }
    }

    /// The value at this path, if every step of it is there.
    pub fn of_value<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.segments.iter().try_fold(root, |value, segment| match segment {
            Segment::Name(name) => value.get(name),
            Segment::Index(index) => value.get(index),
            Segment::FromEnd(back) => value.as_array().and_then(|array| array.get(array.len().checked_sub(*back)?)),
            Segment::Each => None,
        })
    }

    /// Puts `new` at this path, making the objects on the way; `Err` names the step that is neither object nor array.
    pub fn put(&self, root: &mut Value, new: Value) -> Result<(), String> {
        let mut place = root;
        for segment in &self.segments {
            if place.is_null() {
                *place = Value::Object(serde_json::Map::new());
            }
            let next = match (segment, place) {
                (Segment::Name(name), Value::Object(object)) => {
                    Some(object.entry(name.as_str()).or_insert(Value::Null))
                }
                (Segment::Index(index), Value::Array(array)) => array.get_mut(*index),
                (Segment::FromEnd(back), Value::Array(array)) => {
                    array.len().checked_sub(*back).and_then(move |at| array.get_mut(at))
                }
                _ => None,
            };
            place = next.ok_or_else(|| segment.to_string())?;
        }
        *place = new;
        Ok(())
    }
}

impl FromStr for Path {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        Scan { text, at: 0 }.path()
    }
}

impl BadPath {
    fn new(path: &str, at: usize, what: &'static str) -> Self {
        Self { path: path.to_owned(), at: at + 1, what }
    }
}

/// One step of a JSON Pointer, whose escapes are `~0` for `~` and `~1` for `/`.
fn pointed(token: &str) -> Result<Segment, &'static str> {
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

/// A cursor over the text of a path.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn path(mut self) -> Result<Path, BadPath> {
        if self.text.is_empty() {
            return Err(self.bad("empty path: write `$` for the page itself"));
        }
        let mut segments = Vec::new();
        // A shorthand name may also stand first without its dot, because `$.` may be left out.
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
        if segments.iter().filter(|segment| **segment == Segment::Each).count() > 1 {
            return Err(self.bad("more than one `[*]`"));
        }
        Ok(Path { segments })
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

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shorthand = |name: &str| {
            name.chars()
                .enumerate()
                .all(|(at, c)| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() || (at > 0 && c.is_ascii_digit()))
                && !name.is_empty()
        };
        match self {
            Self::Name(name) if shorthand(name) => write!(f, ".{name}"),
            Self::Name(name) => write!(f, "[{}]", Value::from(name.as_str())),
            Self::Index(index) => write!(f, "[{index}]"),
            Self::FromEnd(back) => write!(f, "[-{back}]"),
            Self::Each => f.write_str("[*]"),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("$");
        }
        let text: String = self.segments.iter().map(ToString::to_string).collect();
        f.write_str(text.strip_prefix('.').unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_the_documentation_promises() {
        let cases = [
            ("$", "$"),
            ("data", "data"),
            ("$.data", "data"),
            ("data.orders.edges[*].node", "data.orders.edges[*].node"),
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
    fn refuses_what_is_no_path_and_says_where() {
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
            ("a[*][*]", "more than one `[*]` at character 8 of `a[*][*]`"),
            ("$a", "expected `.` or `[` at character 2 of `$a`"),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Path>().unwrap_err().to_string(), message);
        }
        assert!(Path::singular("a[*].b").is_err());
    }

    #[test]
    fn a_pointer_is_a_path_in_other_words() {
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

    #[test]
    fn finds_and_puts_values() {
        let mut value = json!({"a": {"b": [1, 2, {"c": null}]}});
        let at = |text: &str| Path::singular(text).unwrap();
        assert_eq!(at("a.b[-1].c").of_value(&value), Some(&Value::Null));
        assert_eq!(at("a.b[-4]").of_value(&value), None);
        at("a.b[-1].c").put(&mut value, json!(7)).unwrap();
        at("x.y").put(&mut value, json!([1])).unwrap();
        assert_eq!(value, json!({"a": {"b": [1, 2, {"c": 7}]}, "x": {"y": [1]}}));
        assert_eq!(at("a.b.c").put(&mut value, json!(0)), Err(".c".to_owned()));
    }

    proptest! {
        #[test]
        fn any_name_survives_its_own_spelling(names in prop::collection::vec(any::<String>(), 0..4)) {
            let path = Path::of(names.into_iter().map(Segment::Name).collect());
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
