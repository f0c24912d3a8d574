//! State of a walk by keys beside the keys that it has passed, for a checkpoint.

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::key_trail::{HeldEnd, KeyTrail};
use super::keyset_reader::{KeysetText, PageOrder};
use super::settling_tail::TailNote;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;

/// State of a trail for a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailNote {
    /// Keys ahead, the nearest one last: the log has them in the order in which their records left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) ahead: Vec<String>,
    pub(super) held: Option<NotedEnd>,
    /// Number of records that were found to be gone when the list was read on behind them.
    pub(super) shifts: u64,
    pub(super) back: u64,
    /// Number of new records in front of known ones.
    pub(super) late: u64,
    /// Keys behind the final pages in the list's order, where records left in another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unsettled: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tail: Option<TailNote>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NotedEnd {
    /// Place among the keys ahead of the record behind which it came.
    pub(super) anchor: u64,
    pub(super) steps: u32,
    /// Proof that holds if the record is there; none where no end has come yet.
    pub(super) proof: Option<Proof>,
}

impl KeyTrail {
    /// Notes the keys of records that left before the walk was interrupted, in their order.
    pub(super) fn recall(&mut self, records: &Batch) -> Result<(), PageError> {
        let Some(keyset) = &mut self.keyset else { return Ok(()) };
        for line in records.each() {
            match keyset.read(line) {
                Ok(Some(KeysetText { text, is_equal: false })) => self.keys.recall(text),
                // A late record.
                Err(PageError::KeyFalls { .. }) => {
                    keyset.start_page(PageOrder::Back);
                    if let Some(key) = keyset.read(line)? {
                        self.keys.recall(key.text);
                    }
                }
                read => _ = read?,
            }
        }
        Ok(())
    }

    /// State for a checkpoint; none for a walk that has only gone forward.
    pub(super) fn note(&self) -> Option<TrailNote> {
        let held = self.held.as_ref().map(|HeldEnd { anchor, steps, answer }| {
            let proof = answer.as_ref().and_then(|answer| answer.as_ref().ok().copied());
            NotedEnd { anchor: *anchor, steps: *steps, proof }
        });
        let Drift { shifts, back, late, .. } = self.drift;
        let is_noted = self.has_stepped() || self.drift != Drift::default() || self.tail.is_some();
        let tail = self.tail.as_ref();
        let unsettled = tail.filter(|_| late > 0).map(|tail| self.keys.texts_behind(tail.anchor())).unwrap_or_default();
        let tail = tail.map(|tail| tail.note().clone());
        is_noted.then(|| TrailNote { ahead: self.keys.texts_ahead(), held, shifts, back, late, unsettled, tail })
    }

    /// Takes over [`KeyTrail::note`]; the keys that have been passed follow.
    pub(super) fn resume(&mut self, note: Option<TrailNote>) {
        let TrailNote { ahead, held, shifts, back, late, unsettled, tail: noted } = note.unwrap_or_default();
        if let (Some(tail), Some(noted)) = (&mut self.tail, noted) {
            tail.resume(noted);
        }
        self.keys.resume(ahead.iter().map(String::as_str), unsettled);
        self.held = held.map(|NotedEnd { anchor, steps, proof }| HeldEnd { anchor, steps, answer: proof.map(Ok) });
        self.drift = Drift { shifts, back, late, ..Drift::default() };
    }
}
