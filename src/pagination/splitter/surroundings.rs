//! The text around the records, kept as far as it is used: values at configured paths, the path at which the records were found, and the
//! sketch.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::captures::Captures;
use super::page_sketch::PageSketch;
use super::target_tree::{TargetId, TargetTree};
use crate::pagination::PageError;

/// Largest array or object that is kept for the sketch when it is skipped, in bytes; its grammar is checked.
const SKIPPED: usize = 16 * 1024;

/// Largest value at a configured path, in bytes: a token, a URL, a number, or a few links.
const VALUE_BYTES: u64 = 256 * 1024;

#[derive(Debug)]
pub(super) struct Surroundings {
    tree: Arc<TargetTree>,
    value_bytes: u64,
    capture: Option<Capture>,
    pub(super) captures: Captures,
    /// Start of the array or object that is being skipped: at most one byte more than [`SKIPPED`].
    skipped: Vec<u8>,
    skip_place: SkipPlace,
    pub(super) sketch: PageSketch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SkipPlace {
    /// Inside of a wrapper, whose members are sketched as `null`.
    InWrapper,
    Elsewhere,
}

/// A value at a configured path that is being read, and its depth.
#[derive(Debug)]
struct Capture {
    target: TargetId,
    depth: usize,
    bytes: Vec<u8>,
}

impl Surroundings {
    pub(super) fn new(tree: Arc<TargetTree>, record_bytes: u64) -> Self {
        Self {
            captures: Captures::new(&tree.records),
            tree,
            value_bytes: record_bytes.min(VALUE_BYTES),
            capture: None,
            skipped: Vec::new(),
            skip_place: SkipPlace::Elsewhere,
            sketch: PageSketch::default(),
        }
    }

    pub(super) fn is_capturing(&self) -> bool {
        self.capture.is_some()
    }

    pub(super) fn begin_capture(&mut self, target: TargetId, depth: usize) {
        self.capture = Some(Capture { target, depth, bytes: Vec::new() });
    }

    /// Ends the captured value if its depth is this one; `read` is the number of bytes before the current piece.
    pub(super) fn end_capture(&mut self, depth: usize, read: u64) -> Result<(), PageError> {
        let Some(capture) = self.capture.take_if(|capture| capture.depth == depth) else { return Ok(()) };
        let raw: &RawValue = serde_json::from_slice(&capture.bytes).map_err(|error| PageError::NotJson {
            at: read,
            what: error.to_string(),
            shown: String::new(),
        })?;
        let path = self.tree.path(capture.target);
        for field in self.tree.fields.iter().filter(|field| field.segments().starts_with(path.segments())) {
            self.captures.add_field(field, &path, raw)?;
        }
        if self.tree.errors.contains(&path) {
            self.captures.add_error(&path, raw);
        }
        Ok(())
    }

    pub(super) fn add(&mut self, part: &[u8]) -> Result<(), PageError> {
        self.sketch.add(part);
        self.capture_part(part)
    }

    pub(super) fn add_string(&mut self, part: &[u8]) -> Result<(), PageError> {
        self.sketch.add_string(part);
        self.capture_part(part)
    }

    pub(super) fn begin_skip(&mut self, opening: u8, place: SkipPlace) {
        self.skip_place = place;
        self.skipped.clear();
        self.skipped.push(opening);
    }

    pub(super) fn skip(&mut self, part: &[u8]) {
        let free = (SKIPPED + 1).saturating_sub(self.skipped.len());
        self.skipped.extend_from_slice(&part[..part.len().min(free)]);
    }

    /// Adds the skipped array or object, which ends at byte `end` of the page, to the sketch.
    pub(super) fn end_skip(&mut self, elements: u64, end: u64) -> Result<(), PageError> {
        if self.skipped.len() > SKIPPED {
            match self.skipped.first() {
                Some(b'[') => self.sketch.add_array(elements),
                _ => self.sketch.add(b"{}"),
            }
            return Ok(());
        }
        if let Err(error) = serde_json::from_slice::<&RawValue>(&self.skipped) {
            let at = end.saturating_sub((self.skipped.len() - offset_of(&error, &self.skipped)) as u64);
            return Err(PageError::NotJson { at, what: error.to_string(), shown: String::new() });
        }
        self.sketch.add(if self.skip_place == SkipPlace::InWrapper { b"null" } else { &self.skipped });
        Ok(())
    }

    fn capture_part(&mut self, part: &[u8]) -> Result<(), PageError> {
        let Some(capture) = &mut self.capture else { return Ok(()) };
        if (capture.bytes.len() + part.len()) as u64 <= self.value_bytes {
            capture.bytes.extend_from_slice(part);
            return Ok(());
        }
        let path = self.tree.path(capture.target);
        if self.tree.fields.iter().any(|field| field.segments().starts_with(path.segments())) {
            return Err(PageError::FieldTooLarge { path, limit: self.value_bytes });
        }
        // An `error` member that is not configured: its start says enough, and it is surely not empty.
        self.captures.add_large_error(&path, &capture.bytes);
        self.capture = None;
        Ok(())
    }
}

fn offset_of(error: &serde_json::Error, text: &[u8]) -> usize {
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    (lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)).min(text.len())
}
