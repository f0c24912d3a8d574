//! The way through a page, byte by byte, to its records and to the values at the configured paths; the records themselves,
//! and what nobody wants, are left to [`Span`].
//!
//! ```text
//!   Value ─ {["0 ─▶ Name, Value, Text, Scalar, Span ──▶ After ─ , ─▶ Name, Value
//!     ▲                │                                  │
//!     └── : ── Colon ◀─┘ (a name's end)                   └─ ]} ─▶ After of what is around, or End
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::MAX_DEPTH;
use super::encoded::Encoded;
use super::found::{Found, Taken, There, Twice};
use super::lexeme::{InText, Scalar, Text};
use super::lines::{Keep, Lines};
use super::scan::{Detail, Scanner};
use super::sketch::Sketch;
use super::span::{Cut, Fed, Span, VALUE, What};
use super::tree::{Node, ROOT, Role, Tree};
use crate::pagination::page::PageFields;
use crate::pagination::{Encoding, PageError, Path, Presence, RecordsShape};

/// Objects that nobody wants are walked for the sketch down to this depth.
const SKETCHED: usize = 4;

/// An array or object that is passed over, and no longer than this, is kept for the sketch, and its grammar is checked.
const PASSED: usize = 16 * 1024;

/// A value at a configured path is no larger than this: it is a token, a URL, a number, or a few links.
const FIELD: u64 = 256 * 1024;

/// Longer names are no wanted ones.
const NAME: usize = 64 * 1024;

/// Where the records go, and what finds them.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) lines: Lines,
    pub(super) scanner: Scanner,
}

#[derive(Debug)]
pub(super) struct Walker {
    tree: Arc<Tree>,
    detail: Detail,
    /// The most bytes of a wanted value.
    room: u64,
    frames: Vec<Frame>,
    state: State,
    /// The place of the value that comes or is being read.
    node: Option<Node>,
    name: Vec<u8>,
    /// A wanted value that is being read, and the depth at which it stands.
    capture: Option<(Node, usize, Vec<u8>)>,
    found: Found,
    /// What is passed over, as long as it is short.
    passed: Vec<u8>,
    sketch: Sketch,
    /// Bytes before the current piece.
    read: u64,
}

/// A container that is open.
#[derive(Debug)]
struct Frame {
    opening: u8,
    node: Option<Node>,
    index: usize,
    holds: Holds,
}

/// What the elements or members of a container are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Anything,
    Records,
    /// Elements that each hold a record, and whether the current one's was found.
    Wrapped {
        found: bool,
    },
}

#[derive(Debug)]
enum State {
    Value,
    /// A value, or the end of the array.
    Element,
    /// A name, or the end of the object.
    Member,
    Name,
    InName(Text),
    Colon,
    InText(Text, As),
    InScalar(Scalar, As),
    InSpan(Box<Span>, As),
    InEncoded(Box<Encoded>),
    After,
    End,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Records,
    Record,
    /// `null` where a record may be.
    NoRecord,
    Other,
}

impl Walker {
    pub(super) fn new(tree: Arc<Tree>, detail: Detail, room: u64) -> Self {
        let found = Found::new(&tree.records);
        Self {
            tree,
            detail,
            room: room.min(FIELD),
            frames: Vec::new(),
            state: State::Value,
            node: Some(ROOT),
            name: Vec::new(),
            capture: None,
            found,
            passed: Vec::new(),
            sketch: Sketch::default(),
            read: 0,
        }
    }

    pub(super) fn fields(&self) -> &PageFields {
        self.found.fields()
    }

    /// Whether the lines are the records, for all that may still come.
    pub(super) fn is_sure(&self) -> bool {
        self.found.is_sure()
    }

    pub(super) fn sketch(&mut self) -> &mut Sketch {
        &mut self.sketch
    }

    /// Walks on through the next piece.
    pub(super) fn feed(&mut self, piece: &[u8], output: &mut Output) -> Result<(), PageError> {
        let mut at = 0;
        while let Some(byte) = piece.get(at) {
            at += match &mut self.state {
                State::InSpan(..) => self.span(piece, at, output)?,
                State::InName(_) | State::InText(..) => self.text(piece, at, output)?,
                State::InEncoded(_) => self.encoded(piece, at, output)?,
                State::InScalar(..) => self.scalar(*byte, at, output)?,
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => 1,
                _ => {
                    self.token(*byte, output).map_err(|what| self.flaw(at, what, *byte))?;
                    1
                }
            };
        }
        self.read += piece.len() as u64;
        Ok(())
    }

    /// The text is whole.
    pub(super) fn end_of_text(&mut self, output: &mut Output) -> Result<(), PageError> {
        if let State::InScalar(..) = self.state
            && self.frames.is_empty()
        {
            self.scalar(b' ', 0, output)?;
        }
        match self.state {
            State::End => Ok(()),
            State::Value if self.frames.is_empty() => Err(PageError::EmptyPage),
            _ => Err(PageError::NotJson {
                at: self.read,
                what: "the text ends before its JSON does".to_owned(),
                start: String::new(),
            }),
        }
    }

    /// How the records are there.
    pub(super) fn records(&self) -> There {
        self.found.records()
    }

    /// What was found, and what stood around the records.
    pub(super) fn finish(self) -> (Found, Sketch) {
        (self.found, self.sketch)
    }

    /// A byte between values.
    fn token(&mut self, byte: u8, output: &mut Output) -> Result<(), What> {
        match (&self.state, byte) {
            (State::Element, b']') | (State::Member, b'}') => self.close(output),
            (State::Value | State::Element, _) => self.value(byte, output),
            (State::Member | State::Name, b'"') => {
                self.name.clear();
                self.note(b"\"")?;
                self.state = State::InName(Text::default());
                Ok(())
            }
            (State::Member | State::Name, _) => Err(What::Expected("expected a name in quotes")),
            (State::Colon, b':') => {
                self.note(b":")?;
                self.state = State::Value;
                Ok(())
            }
            (State::Colon, _) => Err(What::Expected("expected `:`")),
            (State::After, _) => self.after(byte, output),
            _ => Err(What::Expected("expected nothing more")),
        }
    }

    /// Value ⇒ Text, Scalar, Span, Element or Member.
    fn value(&mut self, byte: u8, output: &mut Output) -> Result<(), What> {
        let role = match self.capture {
            Some(_) => Role::Way,
            None => self.tree.role(self.node),
        };
        let is_record = self.frames.last().is_some_and(|frame| frame.holds == Holds::Records) || role == Role::Inner;
        match (role, byte) {
            (Role::Holder(rank) | Role::Wrapper(rank), _) => return self.holder(rank, byte, output),
            (Role::Field, _) => self.capture = self.node.map(|node| (node, self.frames.len(), Vec::new())),
            (Role::Inner, _) => self.find_inner().map_err(What::Page)?,
            (Role::Way, _) => {}
        }
        match byte {
            b'[' if role == Role::Inner => self.begin_span(byte, Cut::Elements, As::Records, output),
            b'[' | b'{' if is_record => self.begin_span(byte, Cut::Whole, As::Record, output),
            b'[' | b'{' => self.container(byte, output),
            _ => self.plain(byte, if is_record { As::Record } else { As::Other }, output),
        }
    }

    /// The value at a path of the records.
    fn holder(&mut self, rank: usize, byte: u8, output: &mut Output) -> Result<(), What> {
        let opening = match self.tree.records.shape {
            RecordsShape::Elements => b'[',
            RecordsShape::Values => b'{',
        };
        let is_encoded = self.tree.records.encoding == Encoding::Base64;
        let is_holder = if is_encoded { byte == b'"' } else { byte == opening };
        let path = || self.node.map(|node| self.tree.path(node)).unwrap_or_default();
        match self.found.holder(rank, byte, is_holder).map_err(|Twice| What::Page(PageError::Duplicate(path())))? {
            Taken::No if matches!(byte, b'[' | b'{') => return self.container(byte, output),
            Taken::No => return self.plain(byte, As::Other, output),
            Taken::Instead => output.lines.forget(),
            Taken::Yes => {}
        }
        if is_encoded {
            let inner = Self::new(Arc::new(self.tree.encoded(rank)), self.detail, FIELD);
            self.note(b"\"")?;
            self.state = State::InEncoded(Box::new(Encoded::new(inner)));
            return Ok(());
        }
        match (self.tree.role(self.node), byte) {
            (Role::Wrapper(_), _) => self.open(byte, Holds::Wrapped { found: false }),
            (_, b'{') => self.open(byte, Holds::Records),
            _ => self.begin_span(byte, Cut::Elements, As::Records, output),
        }
    }

    /// A container that is no record and holds none of its own.
    fn container(&mut self, byte: u8, output: &mut Output) -> Result<(), What> {
        let is_walked = self.capture.is_some()
            || self.tree.leads_on(self.node)
            || byte == b'{' && self.frames.len() < SKETCHED && !self.is_wrapped();
        if is_walked {
            self.open(byte, Holds::Anything)
        } else {
            self.begin_span(byte, Cut::Elements, As::Other, output)
        }
    }

    fn open(&mut self, byte: u8, holds: Holds) -> Result<(), What> {
        self.check_depth()?;
        self.note(&[byte])?;
        let node = self.node;
        self.frames.push(Frame { opening: byte, node, index: 0, holds });
        if byte == b'[' {
            self.node = self.element();
            self.state = State::Element;
        } else {
            self.state = State::Member;
        }
        Ok(())
    }

    fn close(&mut self, output: &mut Output) -> Result<(), What> {
        if let Some(frame) = self.frames.pop() {
            self.note(if frame.opening == b'[' { b"]" } else { b"}" })?;
            self.node = frame.node;
        }
        self.end(As::Other, output)
    }

    /// After ⇒ Value or Name, or After of what is around.
    fn after(&mut self, byte: u8, output: &mut Output) -> Result<(), What> {
        let Some(frame) = self.frames.last_mut() else { return Err(What::Expected("expected nothing more")) };
        match (frame.opening, byte) {
            (b'[', b']') | (b'{', b'}') => return self.close(output),
            (b'[', b',') => {
                frame.index += 1;
                self.node = self.element();
                self.state = State::Value;
            }
            (_, b',') => self.state = State::Name,
            (b'[', _) => return Err(What::Expected("expected `,` or `]`")),
            _ => return Err(What::Expected("expected `,` or `}`")),
        }
        self.note(b",")
    }

    /// The place of the element that comes.
    fn element(&self) -> Option<Node> {
        let frame = self.frames.last()?;
        match frame.holds {
            Holds::Wrapped { .. } => self.tree.each(frame.node),
            Holds::Anything | Holds::Records => self.tree.element(frame.node, frame.index),
        }
    }

    /// The place of the member whose name was read.
    fn member(&self) -> Option<Node> {
        let frame = self.frames.last()?;
        if let Holds::Wrapped { .. } = frame.holds {
            return self.tree.each(frame.node);
        }
        if self.name.len() > NAME || !self.tree.leads_on(frame.node) {
            return None;
        }
        let name = if self.name.contains(&b'\\') {
            let quoted = [b"\"", self.name.as_slice(), b"\""].concat();
            Cow::Owned(serde_json::from_slice(&quoted).ok()?)
        } else {
            Cow::Borrowed(std::str::from_utf8(&self.name).ok()?)
        };
        self.tree.member(frame.node, &name)
    }

    fn begin_span(&mut self, byte: u8, cut: Cut, what: As, output: &mut Output) -> Result<(), What> {
        self.check_depth()?;
        output.lines.keep(if what == As::Other { Keep::Nothing } else { Keep::Records });
        self.passed.clear();
        self.passed.push(byte);
        if what == As::Record {
            output.lines.add_plain(&[byte]).map_err(What::Page)?;
        }
        let room = MAX_DEPTH - self.frames.len() - 1;
        self.state = State::InSpan(Box::new(Span::new(byte, cut, room, self.detail)), what);
        Ok(())
    }

    /// Text or Scalar: a value without brackets.
    fn plain(&mut self, byte: u8, what: As, output: &mut Output) -> Result<(), What> {
        let what = match (what, self.tree.role(self.node), byte) {
            (As::Record, Role::Inner, b'n') if self.tree.records.presence == Presence::Optional => As::NoRecord,
            (As::Record, Role::Inner, b'n') => return Err(self.no_inner()),
            _ => what,
        };
        self.state = match (byte, Scalar::of(byte)) {
            (b'"', _) => {
                self.sketch.begin_string();
                State::InText(Text::default(), what)
            }
            (_, Some(scalar)) => State::InScalar(scalar, what),
            (_, None) => return Err(What::Expected(VALUE)),
        };
        output.lines.keep(Keep::Records);
        self.put(&[byte], what, output)
    }

    /// InSpan ⇒ After; gives how many bytes went into it.
    fn span(&mut self, piece: &[u8], at: usize, output: &mut Output) -> Result<usize, PageError> {
        let State::InSpan(span, what) = &mut self.state else { return Ok(0) };
        let what = *what;
        let fed = span.feed(&piece[at..], &mut output.scanner, &mut output.lines);
        let len = match fed {
            Ok(Fed::Ended(len)) => len,
            _ => piece.len() - at,
        };
        if what == As::Other {
            let room = (PASSED + 1).saturating_sub(self.passed.len()).min(len);
            self.passed.extend_from_slice(&piece[at..at + room]);
        }
        let ended = match fed.map_err(|flaw| (at + flaw.at, flaw.what)) {
            Ok(Fed::More) => return Ok(len),
            Ok(Fed::Ended(len)) => len,
            Err((at, what)) => return Err(self.flaw(at, what, piece.get(at).copied().unwrap_or(b' '))),
        };
        let elements = span.elements();
        match (what, span.opening()) {
            (As::Records, _) => self.sketch.add_records(elements),
            (As::Other, _) if self.passed.len() <= PASSED => self.add_passed(self.read + (at + ended) as u64)?,
            (As::Other, b'[') => self.sketch.add_array(elements),
            (As::Other, _) => self.sketch.add(b"{}"),
            (As::Record | As::NoRecord, _) => self.sketch.add(b"null"),
        }
        self.ended().map_err(|what| self.flaw(at + ended - 1, what, piece[at + ended - 1]))?;
        Ok(ended)
    }

    /// Adds what was passed over, and ends at this byte, to the sketch.
    fn add_passed(&mut self, end: u64) -> Result<(), PageError> {
        if let Err(error) = serde_json::from_slice::<&RawValue>(&self.passed) {
            let at = end.saturating_sub((self.passed.len() - place_of(&error, &self.passed)) as u64);
            return Err(PageError::NotJson { at, what: error.to_string(), start: String::new() });
        }
        self.sketch.add(if self.is_wrapped() { b"null" } else { &self.passed });
        Ok(())
    }

    /// InName ⇒ Colon, or InText ⇒ After.
    fn text(&mut self, piece: &[u8], at: usize, output: &mut Output) -> Result<usize, PageError> {
        let (mut text, what) = match self.state {
            State::InName(text) => (text, None),
            State::InText(text, what) => (text, Some(what)),
            _ => return Ok(0),
        };
        let mut to = at;
        let mut ends = false;
        while !ends && to < piece.len() {
            match text.next(piece[to]) {
                Ok(InText::Goes(next)) => text = next,
                Ok(InText::Ends) => ends = true,
                Err(expected) => return Err(self.flaw(to, What::Expected(expected), piece[to])),
            }
            to += 1;
        }
        let part = &piece[at..to];
        let done = match what {
            None => {
                let room = (NAME + 1).saturating_sub(self.name.len());
                self.name.extend(part[..part.len() - usize::from(ends)].iter().take(room));
                self.note(part)
            }
            Some(what) => self.put(part, what, output),
        };
        let done = done.and_then(|()| match what {
            None if ends => {
                self.node = self.member();
                self.state = State::Colon;
                Ok(())
            }
            None => {
                self.state = State::InName(text);
                Ok(())
            }
            Some(what) if ends => self.end(what, output),
            Some(what) => {
                self.state = State::InText(text, what);
                Ok(())
            }
        });
        done.map_err(|what| self.flaw(to - 1, what, piece[to - 1]))?;
        Ok(to - at)
    }

    /// InScalar ⇒ After, which looks at the byte once more.
    fn scalar(&mut self, byte: u8, at: usize, output: &mut Output) -> Result<usize, PageError> {
        let State::InScalar(scalar, what) = self.state else { return Ok(0) };
        let (done, len) = match scalar.next(byte) {
            Some(next) => {
                self.state = State::InScalar(next, what);
                (self.put(&[byte], what, output), 1)
            }
            None if scalar.is_whole() => (self.end(what, output), 0),
            None => (Err(What::Expected("expected a whole number or literal")), 0),
        };
        done.map_err(|what| self.flaw(at, what, byte))?;
        Ok(len)
    }

    /// InEncoded ⇒ After.
    fn encoded(&mut self, piece: &[u8], at: usize, output: &mut Output) -> Result<usize, PageError> {
        let read = self.read + at as u64;
        let State::InEncoded(encoded) = &mut self.state else { return Ok(0) };
        let Some(len) = encoded.feed(&piece[at..], read, output)? else { return Ok(piece.len() - at) };
        self.note(b"\"").map_err(|what| self.flaw(at, what, b'"'))?;
        self.ended().map_err(|what| self.flaw(at, what, b'"'))?;
        Ok(len)
    }

    /// A value without brackets is whole.
    fn end(&mut self, what: As, output: &mut Output) -> Result<(), What> {
        if what == As::Record {
            output.lines.end()?;
            self.sketch.add(b"null");
        }
        self.ended()
    }

    /// A value is whole ⇒ After, or End.
    fn ended(&mut self) -> Result<(), What> {
        if let Some((node, _, raw)) = self.capture.take_if(|(_, depth, _)| *depth == self.frames.len()) {
            self.captured(node, &raw).map_err(What::Page)?;
        }
        self.state = match self.frames.last_mut() {
            None => State::End,
            Some(Frame { holds: Holds::Wrapped { found: false }, .. }) => return Err(self.no_inner()),
            Some(frame) => {
                if let Holds::Wrapped { found } = &mut frame.holds {
                    *found = false;
                }
                State::After
            }
        };
        Ok(())
    }

    /// A wanted value was read, and the wanted ones inside it.
    fn captured(&mut self, node: Node, raw: &[u8]) -> Result<(), PageError> {
        let raw: &RawValue = serde_json::from_slice(raw).map_err(|error| PageError::NotJson {
            at: self.read,
            what: error.to_string(),
            start: String::new(),
        })?;
        let path = self.tree.path(node);
        let tree = Arc::clone(&self.tree);
        for field in tree.fields.iter().filter(|field| field.segments().starts_with(path.segments())) {
            self.found.field(field, &path, raw)?;
        }
        if tree.errors.contains(&path) {
            self.found.error(&path, raw);
        }
        Ok(())
    }

    /// A record stands in the current element of a wrapper.
    fn find_inner(&mut self) -> Result<(), PageError> {
        let wrapper = self.frames.iter_mut().rev().find_map(|frame| match &mut frame.holds {
            Holds::Wrapped { found } => Some(found),
            Holds::Anything | Holds::Records => None,
        });
        match wrapper {
            Some(found) if *found => Err(PageError::Duplicate(self.inner_path())),
            Some(found) => {
                *found = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn no_inner(&self) -> What {
        let wrapper = self.frames.iter().rev().find(|frame| matches!(frame.holds, Holds::Wrapped { .. }));
        let index = wrapper.map_or(0, |frame| frame.index);
        What::Page(PageError::NoInner { index, path: self.inner_path() })
    }

    fn inner_path(&self) -> Path {
        self.tree.records.paths.iter().find_map(|path| path.split_at_each().1).unwrap_or_default()
    }

    fn is_wrapped(&self) -> bool {
        self.frames.iter().any(|frame| matches!(frame.holds, Holds::Wrapped { .. }))
    }

    /// Puts a part of a value where it belongs.
    fn put(&mut self, part: &[u8], what: As, output: &mut Output) -> Result<(), What> {
        match what {
            As::Record => output.lines.add_plain(part).map_err(What::Page),
            As::Records | As::NoRecord | As::Other if matches!(self.state, State::InText(..)) => {
                self.sketch.add_string(part);
                self.keep(part)
            }
            As::Records | As::NoRecord | As::Other => self.note(part),
        }
    }

    /// Keeps a part of what stands around the records as far as it is wanted.
    fn note(&mut self, part: &[u8]) -> Result<(), What> {
        self.sketch.add(part);
        self.keep(part)
    }

    /// Keeps a part of the wanted value that is being read, if one is.
    fn keep(&mut self, part: &[u8]) -> Result<(), What> {
        let Some((node, _, raw)) = &mut self.capture else { return Ok(()) };
        if (raw.len() + part.len()) as u64 <= self.room {
            raw.extend_from_slice(part);
            return Ok(());
        }
        let path = self.tree.path(*node);
        if self.tree.fields.iter().any(|field| field.segments().starts_with(path.segments())) {
            return Err(What::Page(PageError::FieldTooLarge { path, limit: self.room }));
        }
        // Nobody asked for it, and it is surely not empty.
        self.found.large_error(&path, raw);
        self.capture = None;
        Ok(())
    }

    fn check_depth(&self) -> Result<(), What> {
        if self.frames.len() < MAX_DEPTH { Ok(()) } else { Err(What::Page(PageError::TooDeep(MAX_DEPTH))) }
    }

    /// What is wrong at a place of the current piece.
    fn flaw(&self, at: usize, what: What, byte: u8) -> PageError {
        match what {
            What::Page(wrong) => wrong,
            What::Expected(expected) => {
                let found = if byte.is_ascii_graphic() {
                    format!("`{}`", char::from(byte))
                } else {
                    format!("byte 0x{byte:02x}")
                };
                PageError::NotJson {
                    at: self.read + at as u64,
                    what: format!("{expected}, found {found}"),
                    start: String::new(),
                }
            }
        }
    }
}

/// The place of an error in its text.
fn place_of(error: &serde_json::Error, text: &[u8]) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    (lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)).min(text.len())
}
