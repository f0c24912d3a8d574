//! Note of a list that begins, from which an interrupted crawl of children is resumed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::pagination::children::{Lineage, ListEnd, ParentKey};

/// A list whose records follow in the log. Folded in their order, notes tell the lists that are whole: all but the last.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListNote {
    /// Keys of its parents, from the outermost.
    list: Vec<Box<RawValue>>,
    /// End of the list before; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<ListEnd>,
    /// Number of requests so far.
    pub(super) requests: u64,
}

impl ListNote {
    pub(super) fn new(lineage: &Lineage, before: Option<ListEnd>, requests: u64) -> Self {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("a key was read from JSON");
        Self { list: lineage.ancestors().iter().map(|own| raw(own.key.json())).collect(), before, requests }
    }

    pub(super) fn read(note: &RawValue) -> Option<Self> {
        serde_json::from_str(note.get()).ok()
    }

    /// The lineage of the list; none where its keys are others than those of these segments.
    pub(super) fn lineage(&self, segments: &[Arc<str>]) -> Option<Lineage> {
        if segments.len() != self.list.len() {
            return None;
        }
        let mut keys = segments.iter().zip(&self.list);
        keys.try_fold(Lineage::default(), |lineage, (segment, raw)| {
            Some(lineage.with(segment, ParentKey::from_json(raw)?))
        })
    }
}
