//! Overlap of pages by record numbers: each page shares records with those before it, so that a list that moves loses none.
//!
//! A window of the list that holds a known record has all that follows it up to the window's end, whatever was inserted or deleted
//! before it meanwhile. Assumptions: a page is of one moment, records that stay keep their order, and a key identifies a record.

use serde::{Deserialize, Serialize};

use super::drift::{Drift, Filling, Looseness};
use super::expected_overlap::ExpectedOverlap;
use super::fingerprint::{Fingerprint, hash_of};
use super::observed_overlap::{KnownRecord, ObservedOverlap, PageStart};
use super::overlap_keys::OverlapKeys;
use super::progress::WalkProgress;
use super::walk_state::Aim;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;

/// Overlap of a walk's pages, and the changes of the list that it has shown.
#[derive(Debug)]
pub(super) struct PageOverlap {
    mode: OverlapMode,
    /// Numbers mean the same whether pages share records or not.
    has_offsets: bool,
    known: OverlapKeys,
    observed: ObservedOverlap,
    expected: ExpectedOverlap,
    drift: Drift,
}

/// Relation of a walk's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OverlapMode {
    /// They share records.
    Shared,
    Apart,
}

/// Overlap for a checkpoint; the keys are in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OverlapNote {
    #[serde(rename = "joint")]
    expected: ExpectedOverlap,
    drift: Drift,
}

impl PageOverlap {
    /// Overlap for a pagination, whose known keys have a share of `window` bytes.
    pub(super) fn new(pagination: &Pagination, window: u64) -> Self {
        Self {
            mode: if pagination.shares_records() { OverlapMode::Shared } else { OverlapMode::Apart },
            has_offsets: pagination.style.counts_records(),
            known: OverlapKeys::new(window),
            observed: ObservedOverlap::default(),
            expected: ExpectedOverlap::default(),
            drift: Drift::default(),
        }
    }

    /// Returns true if each page shares records with those before it.
    pub(super) fn is_active(&self) -> bool {
        self.mode == OverlapMode::Shared && self.drift.looseness.is_none()
    }

    pub(super) fn drift(&self) -> Option<Drift> {
        (self.mode == OverlapMode::Shared).then_some(self.drift)
    }

    /// Number of known records with which the page under way should begin.
    pub(super) fn shared(&self) -> u64 {
        self.expected.shared
    }

    /// Returns true if nothing but a lack of records at one place shows this end. A page that is cut at a record leaves out those behind it,
    /// too, unless it begins there.
    pub(super) fn may_be_cut(&self, proof: Proof) -> bool {
        proof.is_by_lack() && self.is_active() && self.expected.reach > 0 && !self.is_beyond()
    }

    /// Returns true if the page under way begins one record behind the end of the list.
    pub(super) fn is_beyond(&self) -> bool {
        self.expected.beyond.is_some()
    }

    /// Notes that the next page begins one record behind the end of the list, where nothing should be.
    pub(super) fn look_beyond(&mut self) {
        self.expected.look_beyond();
    }

    /// Notes a page that came ahead and was not used, by the number of records up to its end.
    pub(super) fn note_unused(&mut self, reach: u64) {
        self.drift.note_unused(reach);
    }

    /// Returns true if the last page had the records that it should share, and nothing behind them.
    pub(super) fn has_ended(&self) -> bool {
        self.expected.has_ended
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.known.bytes()
    }

    /// Number of records of the list up to the end of the last page with records, where pages share some.
    pub(super) fn reach(&self) -> Option<u64> {
        self.is_active().then_some(self.expected.reach)
    }

    pub(super) fn start_page(&mut self) {
        self.observed = ObservedOverlap::default();
        self.known.drop_page();
    }

    /// Known records of the next batch of the page; none where pages share no records. A record without a key is never known.
    pub(super) fn find_known(&mut self, batch: &Batch) -> Vec<KnownRecord> {
        let mut known = Vec::new();
        if !self.is_active() {
            return known;
        }
        for (at, key) in batch.keys().unwrap_or_default().iter().enumerate() {
            let Some(text) = batch.key(*key) else {
                self.observed.has_keyless = true;
                continue;
            };
            let hash = hash_of(text);
            match self.known.place_of(hash, text) {
                Some(place) => {
                    let rank = self.known.meet(place);
                    known.push(KnownRecord { at, place, rank, line: 0, is_changed: false });
                }
                None => self.known.push(hash, text),
            }
        }
        known
    }

    /// Takes a batch, with those of its `records` that are known.
    pub(super) fn join(&mut self, records: u64, known: &[KnownRecord]) {
        if self.is_active() {
            self.observed.meet(records, known);
        }
    }

    /// Notes the keys of records that left before the walk was interrupted.
    pub(super) fn recall(&mut self, batch: &Batch) {
        if self.is_active() {
            let keys = batch.keys().unwrap_or_default().iter();
            keys.filter_map(|key| batch.key(*key)).for_each(|text| self.known.push(hash_of(text), text));
            self.known.end_page();
        }
    }

    /// Returns true if the page, as far as it has come, does not meet those before it.
    pub(super) fn is_apart(&self, start: PageStart) -> bool {
        match start {
            _ if !self.is_active() => false,
            PageStart::List => false,
            PageStart::Shared => self.observed.known == 0 && !self.expected.is_probe,
            PageStart::Behind => self.observed.known == 0 && self.observed.records > 0,
        }
    }

    /// Drops a page that does not meet those before it, and returns the number of records to step back by, at most as many as stand in
    /// front of it.
    pub(super) fn step_back(
        &mut self,
        start: PageStart,
        before: u64,
        page: &Fingerprint,
        progress: &WalkProgress,
    ) -> Result<Option<u64>, PageError> {
        if !self.is_apart(start) {
            return Ok(None);
        }
        self.start_page();
        self.drift.back += 1;
        let step = self.expected.step_back(start, page, progress.longest());
        self.drift.check_repairs(progress.pages()).map(|()| Some(step.min(before)))
    }

    /// Notes that the page has fewer records than its own place and total say.
    pub(super) fn note_lack(&mut self) {
        self.drift.filling = Filling::Lacking;
    }

    /// Notes that the page is asked for again, `records` earlier.
    pub(super) fn begin_earlier(&mut self, records: u64) {
        self.expected.begin_earlier(records);
    }

    /// Returns true if a page that should share records is one that the upstream gives for another number, too: the only page so far, or the
    /// one that was stepped back from; or if it has not as many records as it was asked for, and no other reason for it.
    pub(super) fn is_rounded(
        &self,
        start: PageStart,
        asked: Option<u64>,
        page: &Fingerprint,
        progress: &WalkProgress,
    ) -> bool {
        let is_other_size =
            asked.is_some_and(|asked| page.records() > asked || page.records() < asked && self.observed.new == 0);
        let is_the_only_one = progress.pages() == 1 && progress.repeated(page).is_some();
        let is_same = is_the_only_one || self.expected.comes_again(page.digest());
        start == PageStart::Shared && self.may_be_unaligned() && page.records() > 0 && (is_same || is_other_size)
    }

    /// Returns true if no page has met another one yet, so that the upstream may take no number between those of its pages.
    pub(super) fn may_be_unaligned(&self) -> bool {
        self.is_active() && self.expected.shared > 0 && !self.drift.has_met
    }

    /// Lets the current page share no records, and returns the number of those that it should have shared. If it then begins with known ones,
    /// the list has moved, and the upstream may have rounded nothing.
    pub(super) fn probe_rounding(&mut self) -> u64 {
        self.start_page();
        self.expected.probe()
    }

    /// Lets pages share no records from here on, and returns the number of those that the current one should have shared.
    pub(super) fn give_up_sharing(&mut self) -> u64 {
        self.drift.loosen(Looseness::Unaligned);
        self.probe_rounding()
    }

    /// Counts a page that is the same as the one before; an error if that can't be for a list that moves.
    pub(super) fn count_echo(&mut self, is_echo: bool, pages: u64) -> Result<(), PageError> {
        if self.expected.count_echo(is_echo) { Err(PageError::Repeat { page: pages, param: None }) } else { Ok(()) }
    }

    /// Takes over a page that meets those before it or begins the list, with the number of records up to its end.
    pub(super) fn settle(&mut self, start: PageStart, reach: u64, progress: &WalkProgress) -> Result<(), PageError> {
        if !self.is_active() {
            return Ok(());
        }
        let (page, end) = (std::mem::take(&mut self.observed), self.known.end());
        let shared = self.expected.shared;
        if start == PageStart::List && page.known == 0 && end > 0 {
            // An empty list may also be a failure, and unknown records at its beginning those that were read first.
            if page.records == 0 || self.known.forgotten() > 0 {
                return Err(PageError::Vanished(end));
            }
        }
        let is_met = self.drift.note_page(start, &page, self.expected, end)?;
        if page.records > 0 {
            self.expected.reach = reach;
        }
        self.expected = self.expected.met(page.records, is_met && page.new == 0);
        self.known.end_page();
        if page.records > 0 && page.new == 0 && page.known != shared {
            self.drift.again += 1;
            self.drift.check_repairs(progress.pages())?;
        }
        Ok(())
    }

    /// Notes how the next page should meet the last one: it begins with the `shared` last ones of its `records`, or it is
    /// behind the end.
    pub(super) fn expect(&mut self, aim: Aim, shared: u64, records: u64, longest: u64) {
        match aim {
            Aim::Records | Aim::Again => {
                self.expected.shared = shared;
                if shared == 0 {
                    self.drift.loosen(Looseness::Single);
                }
            }
            // The first page may only look short: the upstream may give fewer records than were asked for.
            Aim::Confirm(_) if longest == 0 => {
                (self.expected.shared, self.expected.behind) =
                    (shared, ExpectedOverlap::shared_with(records, 0).max(1));
            }
            Aim::Confirm(_) => self.expected.behind = records,
        }
    }

    pub(super) fn note(&self) -> Option<OverlapNote> {
        (self.mode == OverlapMode::Shared).then_some(OverlapNote { expected: self.expected, drift: self.drift })
    }

    /// Takes over [`PageOverlap::note`] of one page later.
    pub(super) fn resume(&mut self, note: Option<OverlapNote>) -> Result<(), PageError> {
        match (self.mode, note) {
            (OverlapMode::Shared, Some(OverlapNote { expected, drift })) => {
                (self.expected, self.drift) = (expected, drift);
            }
            (OverlapMode::Shared, None) if self.has_offsets => self.drift.loosen(Looseness::Older),
            (OverlapMode::Apart, None) => {}
            (OverlapMode::Apart, Some(_)) | (OverlapMode::Shared, None) => {
                let what = "either its pages share records or those of the configuration, and not both";
                return Err(PageError::BadCheckpoint(what.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pagination::keys::KeyReader;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::Param;
    use crate::pagination::settings::ConsistencyLevel;
    use crate::pagination::styles::{Advance, Offset};

    /// Indexes of the known records of a page, which begins the list or shares records with the one before.
    fn page(overlap: &mut PageOverlap, start: PageStart, records: &str) -> Vec<usize> {
        let lines: String = records.split(' ').map(|record| format!("{record}\n")).collect();
        let count = lines.lines().count() as u64;
        let batch = KeyReader::new(&"id".parse().unwrap()).keyed(Batch::new(Bytes::from(lines), count)).unwrap();
        overlap.start_page();
        let known = overlap.find_known(&batch);
        overlap.join(count, &known);
        overlap.settle(start, count, &WalkProgress::default()).unwrap();
        known.iter().map(|known| known.at).collect()
    }

    #[test]
    fn a_record_without_a_key_is_never_known_and_ends_the_sharing() {
        let style =
            Offset { param: Param::Query("offset".to_owned()), start: 0, step: Advance::Returned, template: None };
        let mut pagination = Pagination::of(style.into(), Records::at("data".parse().unwrap()));
        pagination.key = Some("id".parse().unwrap());
        assert!(!PageOverlap::new(&pagination, 1 << 20).is_active(), "it is the operator's word");
        pagination.consistency = Some(ConsistencyLevel::Repair);
        let mut overlap = PageOverlap::new(&pagination, 1 << 20);
        assert_eq!(page(&mut overlap, PageStart::List, r#"{"id":1} {"id":2}"#), [0; 0]);
        overlap.expect(Aim::Records, 1, 2, 2);
        let second = r#"{"id":2} {"id":null,"n":1} {"id":null,"n":2} {"n":3} {"n":3}"#;
        assert_eq!((page(&mut overlap, PageStart::Shared, second), overlap.is_active()), (vec![0], false));
    }
}
