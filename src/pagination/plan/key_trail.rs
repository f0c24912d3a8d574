//! Trail of a walk by keys: the keys of its newest records, by which an end is told from a place that the upstream has lost.
//!
//! A page begins behind the record whose key its request names. An upstream that looks that record up, instead of comparing its key, loses
//! the place when the record is deleted, and answers with nothing, with an error, or from the list's beginning. So an answer without
//! records is no end before a page behind an earlier key has shown that the record is still there, or what follows it.
//!
//! The keys are one list, cut at the place of the next page: some have been passed, and others are ahead, since the walk has stepped back
//! from them. [`TrailPage::take`] has the rule for the records of a page.

use std::time::Duration;

use super::drift::Drift;
use super::end::PageLength;
use super::fingerprint::last_line as last_line_of;
use super::keyset_reader::{KeysetReader, KeysetText, PageOrder};
use super::settling_tail::SettlingTail;
use super::trail_keys::{TrailKeys, TrailPlace};
use super::trail_page::{TrailPage, TrailRecord};
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::page::Head;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{KeyUse, Style};
use crate::pagination::unsettled::Unsettled;
use crate::pagination::verdict::ProvenEnd;

/// Number of steps back in any walk; a longer one may take one for each [`PAGES_A_STEP`] pages.
const LEAST_STEPS: u64 = 20;

const PAGES_A_STEP: u64 = 4;

/// Keys of a walk whose pages begin behind one; of another walk, nothing.
#[derive(Debug)]
pub(super) struct KeyTrail {
    pub(super) keyset: Option<KeysetReader>,
    /// A key identifies a record, and records keep their order: the operator's word.
    pub(super) promises_order: bool,
    pub(super) keys: TrailKeys,
    pub(super) page: TrailPage,
    pub(super) held: Option<HeldEnd>,
    /// Changes that the steps back have shown.
    pub(super) drift: Drift,
    /// Key of a last record behind which nothing came, although its page says that there is more.
    pub(super) refuted: Vec<u8>,
    /// Last record of the page so far.
    pub(super) last_line: Vec<u8>,
    pub(super) tail: Option<SettlingTail>,
}

/// Answer that would end the walk, held until a page shows the record behind which it came.
#[derive(Debug)]
pub(super) struct HeldEnd {
    /// Place of that record among the keys ahead.
    pub(super) anchor: u64,
    pub(super) steps: u32,
    /// Meaning of the answer if the record is there; none where no end has come yet.
    pub(super) answer: Option<Result<Proof, PageError>>,
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
            keys: TrailKeys::default(),
            tail: SettlingTail::of(pagination),
            page: TrailPage::default(),
            held: None,
            drift: Drift::default(),
            refuted: Vec::new(),
            last_line: Vec::new(),
        }
    }

    /// Returns true if an answer without records may also mean that a record is gone.
    pub(super) fn holds_ends(&self) -> bool {
        self.keyset.as_ref().is_some_and(|keyset| keyset.usage() != KeyUse::Compared)
    }

    /// Returns true if the keys of records are kept.
    pub(super) fn keeps_keys(&self) -> bool {
        self.holds_ends() || self.tail.is_some()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Returns true if the page was asked for from an earlier place than the last one that was reached.
    pub(super) fn goes_back(&self) -> bool {
        self.is_held() || self.reads_again()
    }

    pub(super) fn has_stepped(&self) -> bool {
        self.drift.back > 0 || self.keys.ahead() > 0 || self.is_held()
    }

    /// Returns true if a total that agrees ends the walk: one that was deleted may stand for one that is missing.
    pub(super) fn trusts_totals(&self) -> bool {
        !self.promises_order
    }

    /// Returns true if the page is not what follows the key that it was asked behind.
    pub(super) fn is_apart(&self) -> bool {
        self.page.is_apart()
    }

    /// Returns true if the page begins with a record that has come.
    pub(super) fn knows_first(&self) -> bool {
        self.page.knows_first()
    }

    /// Returns true if the page begins in front of what came.
    pub(super) fn is_back(&self) -> bool {
        self.is_held() || self.page.met().is_some()
    }

    pub(super) fn start_page(&mut self) {
        self.keys.drop_page();
        self.page = TrailPage::default();
        self.last_line.clear();
        let goes_back = self.goes_back();
        if let Some(keyset) = &mut self.keyset {
            keyset.start_page(if goes_back { PageOrder::Back } else { PageOrder::Forward });
        }
    }

    /// Takes the next records of the page, and returns the indexes of those that are known. Keys that are equal or fall are an error: what
    /// follows one of them is not what follows the other.
    pub(super) fn join(&mut self, batch: &Batch) -> Result<Vec<usize>, PageError> {
        let mut known = Vec::new();
        let (is_held, keeps_keys) = (self.is_held(), self.keeps_keys());
        let Self { keyset: Some(keyset), keys, page, last_line, tail, .. } = self else { return Ok(known) };
        tail.as_mut().map_or(Ok(()), |tail| tail.add(batch))?;
        let mut line_before = last_line.as_slice();
        for (at, line) in batch.each().enumerate() {
            if tail.as_mut().map_or(Ok(false), |tail| tail.is_behind(line))? {
                known.push(at);
                continue;
            }
            let Some(KeysetText { text, is_equal }) = keyset.read(line)? else { continue };
            if is_equal && line.trim_ascii() != line_before.trim_ascii() {
                return Err(keyset.ties());
            }
            line_before = line;
            if is_equal || !keeps_keys {
                continue;
            }
            let place = keys.place_of(text, page.looks_back() || is_held);
            let record = page.take(place);
            if place != TrailPlace::Start && !page.is_apart() {
                keys.pass(text);
            }
            match record {
                TrailRecord::New => {}
                TrailRecord::Known => known.push(at),
                TrailRecord::Disordered => return Err(keyset.disordered()),
            }
        }
        let last = last_line_of(batch.lines());
        last_line.clear();
        last_line.extend_from_slice(last);
        Ok(known)
    }

    /// Takes over a page whose records leave. Where one that follows the page before has new ones alone, those ahead are gone.
    pub(super) fn settle(&mut self, last: &[u8], head: &Head) -> Result<(), PageError> {
        self.drift.late += if self.reads_again() { self.page.new_records() } else { self.page.late() };
        self.keys.end_page(self.page.met());
        let goes_on = self.page.new_records() > 0 && !self.is_back() && !self.reads_again();
        // Late records may fill several pages in front of those ahead.
        if goes_on && self.tail.as_ref().map_or(Ok(true), |tail| tail.has_passed(last))? {
            self.keys.forget_ahead();
        }
        let (goes_back, key) = (self.is_back() || self.keys.ahead() > 0, self.keys.behind());
        self.tail.as_mut().map_or(Ok(()), |tail| tail.end_page(last, key, head.date(), goes_back))
    }

    /// Goes back to where the list may still settle, behind an end that is proven. Returns false if there is no such place.
    pub(super) fn read_again(&mut self, proof: Proof) -> Result<bool, PageError> {
        let tail = self.tail.as_mut().filter(|tail| !tail.is_read_again());
        let Some(tail) = tail.and_then(|tail| tail.begin(proof).then_some(tail)) else { return Ok(false) };
        self.held = None;
        self.keys.return_to(tail.anchor()).then_some(true).ok_or_else(|| Unsettled::TailTooLong.into())
    }

    /// Returns true if the end of the list is read again.
    pub(super) fn reads_again(&self) -> bool {
        self.tail.as_ref().is_some_and(SettlingTail::is_read_again)
    }

    pub(super) fn tail(&mut self) -> Option<&mut SettlingTail> {
        self.tail.as_mut()
    }

    /// Time to wait before the next page is asked for.
    pub(super) fn wait(&self) -> Duration {
        self.tail.as_ref().map_or(Duration::ZERO, SettlingTail::wait)
    }

    /// The end of the walk, with what the second reading of its tail has shown.
    pub(super) fn told_in(&self, end: ProvenEnd) -> ProvenEnd {
        let Some(tail) = &self.tail else { return end };
        ProvenEnd { late: self.drift.late, settled: tail.settled(), ..end }
    }

    /// Key behind which the next page is asked for; none for the list's beginning.
    pub(super) fn behind(&self) -> Option<&[u8]> {
        self.keys.behind()
    }

    /// Asks for the last page's last record once more, with what follows it: where that is nothing, the end needs no further request.
    /// Returns false if it can't.
    pub(super) fn overlap(&mut self) -> bool {
        let anchor = self.keys.ahead();
        let brings_new = self.page.new_records() > 0;
        let steps_back = brings_new && self.holds_ends() && !self.is_held() && self.keys.step_back(1);
        if steps_back {
            self.held = Some(HeldEnd { anchor, steps: 1, answer: None });
        }
        steps_back
    }

    /// Holds an answer that would end the walk, or break it, until the record behind which it came has been seen: the next page is asked
    /// for behind an earlier one. Returns the answer's own meaning where that is the list's beginning.
    pub(super) fn hold(&mut self, absence: Result<Proof, PageError>, pages: u64) -> Result<Option<Proof>, PageError> {
        self.keys.drop_page();
        // An upstream that begins in front of a record that is there ignores its key.
        let ignores_key = absence.is_err() && self.page.has_start();
        if ignores_key || !self.holds_ends() || self.keys.is_at_beginning() {
            return absence.map(Some);
        }
        let first = || HeldEnd { anchor: self.keys.ahead(), steps: 0, answer: Some(absence) };
        let mut held = self.held.take().unwrap_or_else(first);
        let distance = 1_u64.checked_shl(held.steps).unwrap_or(u64::MAX);
        let came = self.keys.passed();
        if !self.keys.step_back(distance.saturating_sub(self.keys.ahead().saturating_sub(held.anchor))) {
            return Err(PageError::KeysGone(came));
        }
        held.steps += 1;
        self.held = Some(held);
        self.drift.back += 1;
        let is_spent = self.drift.back > LEAST_STEPS.max(pages / PAGES_A_STEP);
        if is_spent { Err(PageError::Drifted(self.drift.back)) } else { Ok(None) }
    }

    /// Meaning of a whole page, `new` of whose records had not come, for the end that is held. A page that is shorter than others shows the
    /// list's end, unless it may be the first one again because the upstream ignores its key: no answer has come yet that shows otherwise.
    pub(super) fn conclude(&mut self, records: u64, new: u64, length: PageLength, is_first: bool) -> Conclusion {
        if records == 0 && self.is_held() {
            return Conclusion::Absent;
        }
        let may_be_first = is_first && !self.keys.is_at_beginning();
        let Some(HeldEnd { anchor, answer, .. }) = self.held.take() else {
            return if self.page.met().is_some() { Conclusion::GoesOn } else { Conclusion::Ordinary };
        };
        let is_there = self.page.met() == Some(anchor);
        self.drift.shifts += u64::from(!is_there);
        match answer {
            _ if new > 0 => Conclusion::GoesOn,
            None if may_be_first => Conclusion::GoesOn,
            Some(Err(fault)) if is_there => Conclusion::Refuted(fault),
            Some(Ok(proof)) if is_there => Conclusion::Proven(proof),
            _ if length == PageLength::Short => Conclusion::Proven(Proof::LastRecord),
            _ => Conclusion::GoesOn,
        }
    }

    /// Notes that the page refutes the end behind its last record; returns false if it is the same record as the last time.
    pub(super) fn refutes_anew(&mut self) -> bool {
        let last = self.keys.behind().unwrap_or_default().to_vec();
        let before = std::mem::replace(&mut self.refuted, last);
        before != self.refuted
    }

    /// Changes that the walk has noticed, where the operator's word makes its pages one list.
    pub(super) fn drift(&self) -> Option<Drift> {
        self.promises_order.then_some(self.drift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::{Encode, Param};
    use crate::pagination::styles::{Keyset, Overlap};

    /// Takes the lines of one page in two batches.
    fn join(lines: &[&str], cut: usize, usage: KeyUse) -> Result<(), PageError> {
        let param = Param::Query("after".to_owned());
        let style =
            Keyset { key: vec!["id".parse().unwrap()], param, encode: Encode::Plain, overlap: Overlap::None, usage };
        let mut trail = KeyTrail::new(&Pagination::of(style.into(), Records::at("data".parse().unwrap())));
        trail.start_page();
        let (first, second) = lines.split_at(cut);
        [first, second].iter().filter(|lines| !lines.is_empty()).try_for_each(|lines| {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            trail.join(&Batch::new(text.into_bytes().into(), lines.len() as u64)).map(drop)
        })
    }

    #[test]
    fn records_that_share_a_key_are_refused_however_the_page_arrives() {
        let twins = [r#"{"id":1}"#, r#"{"id":2,"n":1}"#, r#"{"id":2,"n":2}"#, r#"{"id":3}"#];
        let same = [r#"{"id":1}"#, r#"{"id":2,"n":1}"#, r#"{"id":2,"n":1}"#, r#"{"id":3}"#];
        for usage in [KeyUse::Unknown, KeyUse::Compared, KeyUse::LookedUp] {
            for cut in 0..=twins.len() {
                let joined = join(&twins, cut, usage);
                assert!(matches!(joined, Err(PageError::KeyTies { .. })), "{usage:?} {cut}: {joined:?}");
                assert!(join(&same, cut, usage).is_ok(), "{usage:?} {cut}");
            }
        }
    }
}
