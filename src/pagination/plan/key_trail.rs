//! Trail of a walk by keys: the keys of its newest records, by which an end is told from a place that the upstream has lost.
//!
//! A page begins behind the record whose key its request names. An upstream that looks that record up, instead of comparing its key, loses
//! the place when the record is deleted, and answers with nothing, with an error, or from the list's beginning. So an answer without
//! records is no end before a page behind an earlier key has shown that the record is still there, or what follows it.

use super::drift::Drift;
use super::end::PageLength;
use super::key_texts::KeyTexts;
use super::keyset_reader::{KeysetReader, KeysetText, PageOrder};
use super::trail_note::{HeldEnd, TrailNote};
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{KeyUse, Style};

/// Number of steps back in any walk; a longer one may take one for each [`PAGES_A_STEP`] pages.
const LEAST_STEPS: u64 = 20;

const PAGES_A_STEP: u64 = 4;

/// Keys of a walk whose pages begin behind one; of another walk, nothing.
#[derive(Debug)]
pub(super) struct KeyTrail {
    keyset: Option<KeysetReader>,
    /// A key identifies a record, and records keep their order: the operator's word.
    promises_order: bool,
    keys: KeyTexts,
    page: TrailPage,
    /// Number of keys of the pages that are taken over.
    settled: u64,
    note: TrailNote,
    /// The note is of a crawl that was interrupted, and its places are still to be counted from the end of what came.
    is_resumed: bool,
    /// Error that stands if the record behind which it came is still there.
    fault: Option<PageError>,
    /// Place of a last record behind which nothing came, although its page says that there is more.
    refuted: Option<u64>,
}

/// Records of the page under way, by their places among all that came.
#[derive(Debug, Default)]
struct TrailPage {
    records: u64,
    /// Place of the first record, if it is known.
    first: Option<u64>,
    /// Place of the last known record.
    known: Option<u64>,
    /// The page begins with a record in front of those that it was asked for.
    is_apart: bool,
    /// The page begins with the last record that came: all that follows is new, and is looked up no more.
    goes_on: bool,
    /// The record behind which an end came is there.
    has_anchor: bool,
    /// Keys, where the page begins in front of what came.
    keys: Vec<Box<[u8]>>,
    /// Number of new records behind the last known one.
    new: u64,
}

/// Meaning of a whole page for an end that is held.
#[derive(Debug)]
pub(super) enum Conclusion {
    /// No end is held.
    Ordinary,
    /// The list goes on behind the page.
    GoesOn,
    Proven(Proof),
    /// The record is there, and so is the error.
    Refuted(PageError),
    /// The page has nothing.
    Absent,
}

impl KeyTrail {
    pub(super) fn new(pagination: &Pagination) -> Self {
        let keyset = match &pagination.style {
            Style::Keyset(keyset) => Some(KeysetReader::new(keyset, pagination.consistency)),
            _ => None,
        };
        Self {
            keyset,
            promises_order: pagination.promises_order(),
            keys: KeyTexts::default(),
            page: TrailPage::default(),
            settled: 0,
            note: TrailNote::default(),
            is_resumed: false,
            fault: None,
            refuted: None,
        }
    }

    /// Returns true if an answer without records may also mean that a record is gone.
    pub(super) fn holds_ends(&self) -> bool {
        self.keyset.as_ref().is_some_and(|keyset| keyset.usage() != KeyUse::Compared)
    }

    pub(super) fn is_held(&self) -> bool {
        self.note.held.is_some()
    }

    pub(super) fn has_stepped(&self) -> bool {
        self.note.back > 0 || self.is_held()
    }

    /// Returns true if a total that agrees ends the walk: one that was deleted may stand for one that is missing.
    pub(super) fn trusts_totals(&self) -> bool {
        !self.promises_order
    }

    /// Returns true if the page is not what follows the key that it was asked behind.
    pub(super) fn is_apart(&self) -> bool {
        self.page.is_apart
    }

    /// Returns true if the page begins with a record that has come.
    pub(super) fn knows_first(&self) -> bool {
        self.page.first.is_some()
    }

    pub(super) fn start_page(&mut self) {
        if std::mem::take(&mut self.is_resumed) {
            self.settled = self.keys.end();
            self.note = self.note.counted_to(self.settled);
        }
        self.keys.truncate(self.settled);
        self.page = TrailPage::default();
        if let Some(keyset) = &mut self.keyset {
            keyset.start_page(if self.note.held.is_some() { PageOrder::Back } else { PageOrder::Forward });
        }
    }

    /// Takes the next records of the page, and returns the indexes of those that are known. Keys that are equal or fall are an error: what
    /// follows one of them is not what follows the other.
    pub(super) fn join(&mut self, batch: &Batch) -> Result<Vec<usize>, PageError> {
        let mut known = Vec::new();
        let Some(keyset) = &mut self.keyset else { return Ok(known) };
        let mut line_before: &[u8] = &[];
        for (at, line) in batch.each().enumerate() {
            let is_first = self.page.records == 0;
            self.page.records += 1;
            let Some(KeysetText { text, is_equal }) = keyset.read(line)? else { continue };
            if is_equal && line.trim_ascii() != line_before.trim_ascii() {
                return Err(keyset.ties());
            }
            line_before = line;
            let looks = !is_equal && (is_first || self.page.is_apart || self.note.held.is_some() && !self.page.goes_on);
            let hint = self.page.known.or(self.note.behind).map_or(0, |place| place + 1);
            let place = if looks { self.keys.place_of(text, self.settled, hint) } else { None };
            if let Some(place) = place {
                // A page may begin with the record itself, whose bytes are compared with what came.
                let is_own = is_first && self.note.held.is_none() && Some(place) == self.note.behind;
                if is_first {
                    self.page.first = Some(place);
                    self.page.is_apart = self.note.behind.is_some_and(|behind| place < behind);
                    self.page.goes_on = self.note.held.is_some() && place + 1 == self.settled;
                }
                if !is_own {
                    known.push(at);
                }
                self.page.known = Some(place);
                self.page.has_anchor |= Some(place) == self.note.held.map(|held| held.anchor).or(self.note.behind);
                self.note.late += std::mem::take(&mut self.page.new);
            }
            match self.note.held {
                Some(_) if !is_equal && !self.page.goes_on => {
                    self.page.keys.push(text.into());
                    self.page.new += u64::from(place.is_none());
                }
                _ if place.is_none() && !self.page.is_apart && !is_equal => self.keys.push(text),
                _ => {}
            }
        }
        Ok(known)
    }

    /// Notes the keys of records that left before the walk was interrupted, in their order.
    pub(super) fn recall(&mut self, records: &Batch) -> Result<(), PageError> {
        let Some(keyset) = &mut self.keyset else { return Ok(()) };
        for line in records.each() {
            if let Some(KeysetText { text, is_equal: false }) = keyset.read(line)? {
                self.keys.push(text);
            }
        }
        Ok(())
    }

    /// Takes over a page whose records leave.
    pub(super) fn settle(&mut self) {
        match (self.note.behind, self.page.keys.as_slice()) {
            _ if self.note.held.is_none() || self.page.goes_on => {
                let came = self.page.goes_on || self.keys.end() > self.settled;
                self.note.behind = if came { Some(self.keys.end() - 1) } else { self.note.behind };
            }
            (_, []) => {}
            (behind, keys) => {
                // Records that were inserted meanwhile have their places among those that came.
                let from = behind.map_or(0, |behind| behind + 1).max(self.keys.first());
                let keys = if self.page.first == behind && behind.is_some() { &keys[1..] } else { keys };
                self.keys.renew(from, keys);
                self.note.behind = (from + keys.len() as u64).checked_sub(1);
            }
        }
        self.settled = self.keys.end();
    }

    /// Key behind which the next page is asked for; none for the list's beginning.
    pub(super) fn behind(&self) -> Option<&[u8]> {
        self.keys.get(self.note.behind?)
    }

    /// Asks for the last page's last record once more, with what follows it: where that is nothing, the end needs no further request.
    /// Returns false if it can't.
    pub(super) fn overlap(&mut self) -> bool {
        let Some(anchor) = self.note.behind.filter(|_| self.holds_ends() && !self.is_held()) else { return false };
        let Some(before) = self.keys.earlier(anchor, 0) else { return false };
        self.note.held = Some(HeldEnd { anchor, steps: 1, proof: None });
        self.note.behind = before;
        true
    }

    /// Holds an answer that would end the walk, or break it, until the record behind which it came has been seen: the next page is asked
    /// for behind an earlier one. Returns the answer's own meaning where that is the list's beginning.
    pub(super) fn hold(&mut self, absence: Result<Proof, PageError>, pages: u64) -> Result<Option<Proof>, PageError> {
        let Some(behind) = self.note.behind.filter(|_| self.holds_ends()) else { return absence.map(Some) };
        if absence.is_err() && self.page.has_anchor {
            return absence.map(Some);
        }
        let held = match self.note.held {
            Some(held) => held,
            None => {
                self.fault = absence.as_ref().err().cloned();
                HeldEnd { anchor: behind, steps: 0, proof: absence.ok() }
            }
        };
        let lost = || PageError::KeysGone(self.settled);
        let earlier = self.keys.earlier(held.anchor, held.steps).ok_or_else(lost)?;
        if earlier == Some(behind) {
            return Err(lost());
        }
        self.note.behind = earlier;
        self.note.held = Some(HeldEnd { steps: held.steps + 1, ..held });
        self.note.back += 1;
        let is_spent = self.note.back > LEAST_STEPS.max(pages / PAGES_A_STEP);
        if is_spent { Err(PageError::Drifted(self.note.back)) } else { Ok(None) }
    }

    /// Meaning of a whole page, with so many records that had not come, for the end that is held. A page that is shorter than others shows
    /// the list's end.
    pub(super) fn conclude(&mut self, new: u64, length: PageLength) -> Conclusion {
        let Some(held) = self.note.held else { return Conclusion::Ordinary };
        if self.page.records == 0 {
            return Conclusion::Absent;
        }
        let (fault, is_there) = (self.fault.take(), self.page.has_anchor);
        self.note.held = None;
        self.note.shifts += u64::from(!is_there);
        match (fault, held.proof) {
            _ if new > 0 => Conclusion::GoesOn,
            (Some(fault), _) if is_there => Conclusion::Refuted(fault),
            (None, Some(proof)) if is_there => Conclusion::Proven(proof),
            _ if length == PageLength::Short => Conclusion::Proven(Proof::LastRecord),
            _ => Conclusion::GoesOn,
        }
    }

    /// Notes that the page refutes the end behind its last record; returns false if it is the same record as the last time.
    pub(super) fn goes_on_anew(&mut self) -> bool {
        std::mem::replace(&mut self.refuted, self.note.behind) != self.note.behind
    }

    /// Changes that the walk has noticed, where the operator's word makes its pages one list.
    pub(super) fn drift(&self) -> Option<Drift> {
        let TrailNote { shifts, back, late, .. } = self.note;
        self.promises_order.then(|| Drift { shifts, back, late, ..Drift::default() })
    }

    /// State for a checkpoint; none for a walk that has only gone forward.
    pub(super) fn note(&self) -> Option<TrailNote> {
        let end = if self.is_resumed { self.note.end } else { self.settled };
        self.has_stepped().then_some(TrailNote { end, ..self.note })
    }

    /// Takes over [`KeyTrail::note`]; the keys follow.
    pub(super) fn resume(&mut self, note: Option<TrailNote>) {
        self.note = note.unwrap_or(TrailNote::FORWARD);
        self.is_resumed = true;
    }
}
