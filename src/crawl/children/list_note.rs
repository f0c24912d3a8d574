//! Note of a list that begins, from which an interrupted crawl of children is resumed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Parents;
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

    /// The lineage of the list; none where its keys are not those of such parents.
    pub(super) fn lineage(&self, parents: &Parents) -> Option<Lineage> {
        let generations: Vec<_> = std::iter::successors(Some(parents), |parents| parents.above.as_deref()).collect();
        if generations.len() != self.list.len() {
            return None;
        }
        let keys = generations.iter().rev().zip(&self.list);
        keys.into_iter().try_fold(Lineage::default(), |lineage, (parents, raw)| {
            let segment: &Arc<str> = &parents.link.segment;
            Some(lineage.with(segment, ParentKey::from_json(raw)?))
        })
    }
}
