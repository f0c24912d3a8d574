//! The state machine that reads a page byte by byte, to its records and to the values at the configured paths. Whole values are
//! left to [`OpenValue`], and arrays and objects that aren't entered to its spans.
//!
//! ```text
//!   Value ─ {["0 ─▶ Name, Value, InValue ──▶ After ─ , ─▶ Name, Value
//!     ▲                │                       │
//!     └── : ── Colon ◀─┘ (a name's end)        └─ ]} ─▶ After of the parent, or End
//! ```

mod holders;

use std::sync::Arc;

use super::base64_text::{Base64Text, decoded_error};
use super::captures::RecordsState;
use super::flaw::{END, Flaw, FlawKind, NAME};
use super::json_position::{ContainerContent, Parent, WalkPosition};
use super::masks::ScanDetail;
use super::open_value::{ContainerSpan, OpenValue, SpanCut, ValueUse, WalkOutput};
use super::scalars::StringState;
use super::surroundings::{SkipPlace, Surroundings};
use super::target_tree::{TargetRole, TargetTree};
use crate::pagination::{PageError, Presence};

/// Depth down to which unused objects are read for the sketch.
const SKETCHED: usize = 4;

#[derive(Debug)]
pub(super) struct PageWalker {
    detail: ScanDetail,
    position: WalkPosition,
    state: WalkerState,
    pub(super) around: Surroundings,
    /// Bytes before the current piece.
    read: u64,
    pub(super) call: Call,
}

/// Call that the JSON stands in (JSONP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    None,
    /// Its bracket has to close behind the JSON.
    Open,
    /// `;` may follow.
    Closed,
}

#[derive(Debug)]
enum WalkerState {
    Value,
    /// A value, or the end of the array.
    Element,
    /// A name, or the end of the object.
    Member,
    Name,
    InName(StringState),
    Colon,
    InValue(OpenValue),
    /// A base64 string, and the walk through the text inside it.
    InEncoded(Box<(Base64Text, PageWalker)>),
    After,
    End,
}

impl PageWalker {
    pub(super) fn new(tree: Arc<TargetTree>, detail: ScanDetail, record_bytes: u64) -> Self {
        Self {
            detail,
            around: Surroundings::new(Arc::clone(&tree), record_bytes),
            position: WalkPosition::new(tree),
            state: WalkerState::Value,
            read: 0,
            call: Call::None,
        }
    }

    /// Number of bytes of the pieces that have been read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn feed(&mut self, piece: &[u8], output: &mut WalkOutput) -> Result<(), PageError> {
        let mut at = 0;
        while let Some(byte) = piece.get(at) {
            let rest = &piece[at..];
            let read = match &mut self.state {
                WalkerState::InValue(_) => self.in_value(rest, at, output),
                WalkerState::InName(_) => self.in_name(rest),
                WalkerState::InEncoded(_) => self.in_encoded(rest, at, output),
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => Ok(1),
                _ => self.token(*byte, output).map(|()| 1).map_err(|kind| Flaw { at: 0, kind }),
            };
            at += read.map_err(|flaw| flaw.kind.into_error(self.read + (at + flaw.at) as u64, rest.get(flaw.at)))?;
        }
        self.read += piece.len() as u64;
        Ok(())
    }

    /// Ends the text; fails where its JSON isn't whole.
    pub(super) fn end_of_text(&mut self, output: &mut WalkOutput) -> Result<(), PageError> {
        if let WalkerState::InValue(value) = &mut self.state
            && value.is_scalar()
            && self.position.depth() == 0
        {
            self.in_value(b" ", 0, output).map_err(|flaw| flaw.kind.into_error(self.read, Some(&b' ')))?;
        }
        match self.state {
            WalkerState::End if self.call != Call::Open => Ok(()),
            WalkerState::Value if self.position.depth() == 0 => Err(PageError::EmptyPage("JSON")),
            _ => Err(PageError::NotJson {
                at: self.read,
                what: "the text ends before its JSON does".to_owned(),
                shown: String::new(),
            }),
        }
    }

    /// Reads a byte between values.
    fn token(&mut self, byte: u8, output: &mut WalkOutput) -> Result<(), FlawKind> {
        match (&self.state, byte) {
            (WalkerState::Element, b']') | (WalkerState::Member, b'}') => self.close(byte),
            (WalkerState::Value | WalkerState::Element, _) => self.value(byte, output),
            (WalkerState::Member | WalkerState::Name, b'"') => {
                self.position.begin_name();
                self.state = WalkerState::InName(StringState::default());
                self.add(b"\"")
            }
            (WalkerState::Member | WalkerState::Name, _) => Err(FlawKind::Expected(NAME)),
            (WalkerState::Colon, b':') => {
                self.state = WalkerState::Value;
                self.add(b":")
            }
            (WalkerState::Colon, _) => Err(FlawKind::Expected("expected `:`")),
            (WalkerState::After, _) => self.after(byte),
            (WalkerState::End, b')') if self.call == Call::Open => {
                self.call = Call::Closed;
                Ok(())
            }
            (WalkerState::End, b';') if self.call == Call::Closed => Ok(()),
            _ => Err(FlawKind::Expected(END)),
        }
    }

    /// Value ⇒ InValue, Element or Member.
    fn value(&mut self, byte: u8, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let role = if self.around.is_capturing() { TargetRole::Passage } else { self.position.role() };
        let is_record = self.position.is_in_records() || role == TargetRole::Inner;
        match (role, self.position.target()) {
            (TargetRole::Holder(rank) | TargetRole::Wrapper(rank), _) => return self.holder(rank, byte, output),
            (TargetRole::InnerWrapper, _) => return self.inner_wrapper(byte, output),
            (TargetRole::Field, Some(target)) => self.around.begin_capture(target, self.position.depth()),
            (TargetRole::Inner, _) => self.position.find_record().map_err(FlawKind::Page)?,
            (TargetRole::Field | TargetRole::Passage, _) => {}
        }
        match byte {
            b'[' if role == TargetRole::Inner => self.begin_span(byte, SpanCut::Elements, ValueUse::Records, output),
            b'[' | b'{' if is_record => self.begin_span(byte, SpanCut::Whole, ValueUse::Record, output),
            b'[' | b'{' => self.container(byte, output),
            _ => self.plain(byte, if is_record { ValueUse::Record } else { ValueUse::Other }, output),
        }
    }

    /// Begins a container that is no record and contains none.
    fn container(&mut self, byte: u8, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let is_sketched = byte == b'{' && self.position.depth() < SKETCHED && !self.position.is_in_wrapper();
        if self.around.is_capturing() || self.position.leads_on() || is_sketched {
            self.open(byte, ContainerContent::Anything)
        } else {
            self.begin_span(byte, SpanCut::Elements, ValueUse::Other, output)
        }
    }

    fn open(&mut self, byte: u8, content: ContainerContent) -> Result<(), FlawKind> {
        self.position.check_depth()?;
        self.add(&[byte])?;
        self.position.open(byte, content);
        self.state = if byte == b'[' { WalkerState::Element } else { WalkerState::Member };
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), FlawKind> {
        self.add(&[byte])?;
        self.position.close();
        self.end_value()
    }

    /// After ⇒ Value or Name, or After of the parent.
    fn after(&mut self, byte: u8) -> Result<(), FlawKind> {
        match (self.position.opening(), byte) {
            (Some(b'['), b']') | (Some(b'{'), b'}') => return self.close(byte),
            (Some(b'['), b',') => {
                self.position.next_element();
                self.state = WalkerState::Value;
            }
            (Some(_), b',') => self.state = WalkerState::Name,
            (Some(b'['), _) => return Err(FlawKind::Expected("expected `,` or `]`")),
            (Some(_), _) => return Err(FlawKind::Expected("expected `,` or `}`")),
            (None, _) => return Err(FlawKind::Expected(END)),
        }
        self.add(b",")
    }

    fn begin_span(&mut self, byte: u8, cut: SpanCut, usage: ValueUse, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let most = self.position.check_depth()?;
        if usage == ValueUse::Other {
            let is_in_wrapper = self.position.is_in_wrapper();
            self.around.begin_skip(byte, if is_in_wrapper { SkipPlace::InWrapper } else { SkipPlace::Elsewhere });
        }
        let span = ContainerSpan::new(byte, cut, most, self.detail);
        self.state = WalkerState::InValue(OpenValue::begin_span(span, usage, output)?);
        Ok(())
    }

    /// Begins a value without brackets.
    fn plain(&mut self, byte: u8, usage: ValueUse, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let usage = match (usage, self.position.role(), byte) {
            (ValueUse::Record, TargetRole::Inner, b'n') => match self.position.tree().records.presence {
                Presence::Optional => ValueUse::NoRecord,
                Presence::Required => return Err(FlawKind::Page(self.position.no_inner())),
            },
            _ => usage,
        };
        self.state = WalkerState::InValue(OpenValue::begin_plain(byte, usage, &mut self.around, output)?);
        Ok(())
    }

    /// InName ⇒ Colon; returns the number of bytes that were read, as the next two do.
    fn in_name(&mut self, rest: &[u8]) -> Result<usize, Flaw> {
        let WalkerState::InName(state) = self.state else { return Ok(0) };
        let (len, next) = state.read(rest)?;
        self.position.add_name(&rest[..len - usize::from(next.is_none())]);
        self.add(&rest[..len]).map_err(|kind| Flaw { at: len - 1, kind })?;
        self.state = match next {
            Some(next) => WalkerState::InName(next),
            None => {
                self.position.end_name().map_err(|error| Flaw { at: len - 1, kind: FlawKind::Page(error) })?;
                WalkerState::Colon
            }
        };
        Ok(len)
    }

    /// InValue ⇒ After, or End.
    fn in_value(&mut self, rest: &[u8], at: usize, output: &mut WalkOutput) -> Result<usize, Flaw> {
        let WalkerState::InValue(value) = &mut self.state else { return Ok(0) };
        let Some(len) = value.feed(rest, self.read + at as u64, &mut self.around, output)? else {
            return Ok(rest.len());
        };
        self.end_value().map_err(|kind| Flaw { at: len.saturating_sub(1), kind })?;
        Ok(len)
    }

    /// InEncoded ⇒ After, or End.
    fn in_encoded(&mut self, rest: &[u8], at: usize, output: &mut WalkOutput) -> Result<usize, Flaw> {
        let WalkerState::InEncoded(encoded) = &mut self.state else { return Ok(0) };
        let (text, walker) = &mut **encoded;
        let flaw = |error| Flaw { at: 0, kind: FlawKind::Page(error) };
        let read = text.feed(rest, self.read + at as u64, &mut |decoded| walker.feed(decoded, output));
        let Some(len) = read.map_err(flaw)? else { return Ok(rest.len()) };
        walker.end_of_text(output).map_err(|error| flaw(decoded_error(error)))?;
        if matches!(walker.around.captures.records(), RecordsState::Absent | RecordsState::Other) {
            let paths = "the root of the decoded text".to_owned();
            return Err(flaw(PageError::NoRecords { paths, arrays: "no array there".to_owned() }));
        }
        self.add(b"\"").and_then(|()| self.end_value()).map_err(|kind| Flaw { at: 0, kind })?;
        Ok(len)
    }

    fn end_value(&mut self) -> Result<(), FlawKind> {
        self.around.end_capture(self.position.depth(), self.read).map_err(FlawKind::Page)?;
        self.state = match self.position.end_value().map_err(FlawKind::Page)? {
            Parent::Container => WalkerState::After,
            Parent::None => WalkerState::End,
        };
        Ok(())
    }

    /// Adds a part of the text around the records.
    fn add(&mut self, part: &[u8]) -> Result<(), FlawKind> {
        self.around.add(part).map_err(FlawKind::Page)
    }
}
