//! Values that hold the records: at a path of the records, and inside elements that each hold some.

use std::sync::Arc;

use super::{PageWalker, WalkerState};
use crate::pagination::splitter::base64_text::Base64Text;
use crate::pagination::splitter::captures::{DuplicateHolder, HolderChoice};
use crate::pagination::splitter::flaw::FlawKind;
use crate::pagination::splitter::json_position::ContainerContent;
use crate::pagination::splitter::open_value::{SpanCut, ValueUse, WalkOutput};
use crate::pagination::splitter::target_tree::TargetRole;
use crate::pagination::{Encoding, PageError, Presence, RecordsShape};

impl PageWalker {
    /// Begins the value at a path of the records.
    pub(super) fn holder(&mut self, rank: usize, byte: u8, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let records = &self.position.tree().records;
        let (shape, is_encoded) = (records.shape, records.encoding == Encoding::Base64);
        // A record in place of an array of wrappers would be a wrapper itself.
        let is_record = byte == b'{' && shape == RecordsShape::OneOrMore;
        let is_whole = !is_record || !matches!(self.position.role(), TargetRole::Wrapper(_));
        let is_holder = if is_encoded { byte == b'"' } else { shape.begins_with(byte) && is_whole };
        let choice = self.around.captures.choose_holder(rank, byte, is_holder);
        match choice.map_err(|DuplicateHolder| FlawKind::Page(PageError::Duplicate(self.position.path())))? {
            HolderChoice::No if matches!(byte, b'[' | b'{') => return self.container(byte, output),
            HolderChoice::No => return self.plain(byte, ValueUse::Other, output),
            HolderChoice::Instead => output.lines.forget(),
            HolderChoice::Yes => {}
        }
        if is_encoded {
            let tree = Arc::new(self.position.tree().encoded(rank));
            let inner = Self::new(tree, self.detail, u64::MAX);
            self.state = WalkerState::InEncoded(Box::new((Base64Text::new(), inner)));
            return self.add(b"\"");
        }
        match (self.position.role(), byte) {
            (TargetRole::Wrapper(_), _) => self.open(byte, ContainerContent::Wrappers { found: false }),
            _ if is_record => self.begin_span(byte, SpanCut::Whole, ValueUse::Record, output),
            (_, b'{') => self.open(byte, ContainerContent::Records),
            _ => self.begin_span(byte, SpanCut::Elements, ValueUse::Records, output),
        }
    }

    /// Begins the wrapper inside an element of another one.
    pub(super) fn inner_wrapper(&mut self, byte: u8, output: &mut WalkOutput) -> Result<(), FlawKind> {
        let is_none = byte == b'n' && self.position.tree().records.presence == Presence::Optional;
        if byte != b'[' && !is_none {
            return Err(FlawKind::Page(self.position.no_inner()));
        }
        self.position.find_record().map_err(FlawKind::Page)?;
        if is_none {
            return self.plain(byte, ValueUse::Other, output);
        }
        self.open(byte, ContainerContent::Wrappers { found: false })
    }
}
