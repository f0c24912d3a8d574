//! The position of a walk: the open arrays and objects, and the target of the current value.

use std::borrow::Cow;
use std::sync::Arc;

use super::MAX_DEPTH;
use super::flaw::FlawKind;
use super::target_tree::{ROOT, TargetId, TargetRole, TargetTree};
use crate::pagination::{PageError, Path, RecordsShape};

/// Longest name that can be a configured one, in bytes.
const NAME_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct WalkPosition {
    tree: Arc<TargetTree>,
    containers: Vec<OpenContainer>,
    /// Target of the next or current value.
    target: Option<TargetId>,
    name: Vec<u8>,
}

#[derive(Debug)]
struct OpenContainer {
    opening: u8,
    target: Option<TargetId>,
    index: usize,
    content: ContainerContent,
}

/// Meaning of the elements or members of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerContent {
    Anything,
    Records,
    /// Elements that each contain a record; `found` says that the current element's record was read.
    Wrappers {
        found: bool,
    },
}

/// A value has ended, and so the next byte belongs to its container, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    Container,
    None,
}

impl WalkPosition {
    pub(super) fn new(tree: Arc<TargetTree>) -> Self {
        Self { tree, containers: Vec::new(), target: Some(ROOT), name: Vec::new() }
    }

    pub(super) fn tree(&self) -> &TargetTree {
        &self.tree
    }

    pub(super) fn depth(&self) -> usize {
        self.containers.len()
    }

    pub(super) fn target(&self) -> Option<TargetId> {
        self.target
    }

    pub(super) fn role(&self) -> TargetRole {
        self.tree.role(self.target)
    }

    /// Returns whether a target is below this one.
    pub(super) fn leads_on(&self) -> bool {
        self.tree.leads_on(self.target)
    }

    pub(super) fn path(&self) -> Path {
        self.target.map(|target| self.tree.path(target)).unwrap_or_default()
    }

    /// Opening bracket of the innermost container.
    pub(super) fn opening(&self) -> Option<u8> {
        self.containers.last().map(|container| container.opening)
    }

    /// Returns whether the members of the innermost container are the records.
    pub(super) fn is_in_records(&self) -> bool {
        self.containers.last().is_some_and(|container| container.content == ContainerContent::Records)
    }

    pub(super) fn is_in_wrapper(&self) -> bool {
        self.containers.iter().any(|container| matches!(container.content, ContainerContent::Wrappers { .. }))
    }

    /// Fails where one more container would be nested too deep; returns the number of containers that may stand inside of it.
    pub(super) fn check_depth(&self) -> Result<usize, FlawKind> {
        let left = MAX_DEPTH.checked_sub(self.depth() + 1);
        left.ok_or(FlawKind::Page(PageError::TooDeep(MAX_DEPTH)))
    }

    pub(super) fn open(&mut self, opening: u8, content: ContainerContent) {
        self.containers.push(OpenContainer { opening, target: self.target, index: 0, content });
        if opening == b'[' {
            self.target = self.element_target();
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(container) = self.containers.pop() {
            self.target = container.target;
        }
    }

    pub(super) fn next_element(&mut self) {
        if let Some(container) = self.containers.last_mut() {
            container.index += 1;
        }
        self.target = self.element_target();
    }

    pub(super) fn begin_name(&mut self) {
        self.name.clear();
    }

    pub(super) fn add_name(&mut self, part: &[u8]) {
        let free = (NAME_BYTES + 1).saturating_sub(self.name.len());
        self.name.extend_from_slice(&part[..part.len().min(free)]);
    }

    /// Ends a member's name; fails where it is that of a record in a list, and no number.
    pub(super) fn end_name(&mut self) -> Result<(), PageError> {
        self.target = self.member_target();
        let is_index = !self.name.is_empty() && self.name.iter().all(u8::is_ascii_digit);
        if is_index || self.tree.records.shape != RecordsShape::List || !self.is_in_records() {
            return Ok(());
        }
        let paths = self.tree.records.paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
        Err(PageError::NoRecords { paths, arrays: "an object there, of which a name is no number".to_owned() })
    }

    /// Notes the record of the current wrapper, if one is open; fails where it has one already.
    pub(super) fn find_record(&mut self) -> Result<(), PageError> {
        let found = self.containers.iter_mut().rev().find_map(|container| match &mut container.content {
            ContainerContent::Wrappers { found } => Some(found),
            ContainerContent::Anything | ContainerContent::Records => None,
        });
        match found.map(|found| std::mem::replace(found, true)) {
            Some(true) => Err(PageError::Duplicate(self.tree.inner_path())),
            Some(false) | None => Ok(()),
        }
    }

    /// Ends a value; fails where it is an element of a wrapper and contained no record.
    pub(super) fn end_value(&mut self) -> Result<Parent, PageError> {
        let Some(container) = self.containers.last_mut() else { return Ok(Parent::None) };
        if let ContainerContent::Wrappers { found } = &mut container.content
            && !std::mem::take(found)
        {
            return Err(self.no_inner());
        }
        Ok(Parent::Container)
    }

    /// Error of a wrapper's element without a record.
    pub(super) fn no_inner(&self) -> PageError {
        let mut containers = self.containers.iter().rev();
        let wrapper = containers.find(|container| matches!(container.content, ContainerContent::Wrappers { .. }));
        PageError::NoInner { index: wrapper.map_or(0, |wrapper| wrapper.index), path: self.tree.inner_path() }
    }

    fn element_target(&self) -> Option<TargetId> {
        let container = self.containers.last()?;
        match container.content {
            ContainerContent::Wrappers { .. } => self.tree.each(container.target),
            ContainerContent::Anything | ContainerContent::Records => {
                self.tree.element(container.target, container.index)
            }
        }
    }

    fn member_target(&self) -> Option<TargetId> {
        let container = self.containers.last()?;
        if let ContainerContent::Wrappers { .. } = container.content {
            return self.tree.each(container.target);
        }
        if self.name.len() > NAME_BYTES || !self.tree.leads_on(container.target) {
            return None;
        }
        let name = if self.name.contains(&b'\\') {
            let quoted = [b"\"", self.name.as_slice(), b"\""].concat();
            Cow::Owned(serde_json::from_slice(&quoted).ok()?)
        } else {
            Cow::Borrowed(std::str::from_utf8(&self.name).ok()?)
        };
        self.tree.member(container.target, &name)
    }
}
