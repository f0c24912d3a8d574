//! Anchors of a walk by record numbers: each page shares records with those before it, so that a list that moves loses none.
//!
//! A window of the list that holds a known record has all that follows it up to the window's end, whatever was inserted or deleted
//! before it meanwhile. Assumptions: a page is of one moment, records that stay keep their order, and a key identifies a record.

use serde::{Deserialize, Serialize};

use super::drift::{Drift, Filling, Looseness};
use super::fingerprint::{BatchKey, Fingerprint};
use super::joint::Joint;
use super::junction::{Junction, KnownRecord, PageStart};
use super::overlap_keys::OverlapKeys;
use super::progress::WalkProgress;
use super::walk_state::Aim;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;

/// Junctions of a walk's pages, and the changes of the list that they have shown.
#[derive(Debug)]
pub(super) struct Anchors {
    mode: AnchorMode,
    /// Numbers mean the same whether pages share records or not.
    has_offsets: bool,
    known: OverlapKeys,
    page: Junction,
    joint: Joint,
    drift: Drift,
}

/// Relation of a walk's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnchorMode {
    /// They share records.
    Shared,
    Apart,
}

/// Anchors for a checkpoint; the keys are in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AnchorsNote {
    joint: Joint,
    drift: Drift,
}

impl Anchors {
    /// Anchors of a pagination, whose known keys have a share of `window` bytes.
    pub(super) fn new(pagination: &Pagination, window: u64) -> Self {
        Self {
            mode: if pagination.shares_records() { AnchorMode::Shared } else { AnchorMode::Apart },
            has_offsets: pagination.style.counts_records(),
            known: OverlapKeys::new(window),
            page: Junction::default(),
            joint: Joint::default(),
            drift: Drift::default(),
        }
    }

    /// Returns true if each page shares records with those before it.
    pub(super) fn are_active(&self) -> bool {
        self.mode == AnchorMode::Shared && self.drift.looseness.is_none()
    }

    pub(super) fn drift(&self) -> Option<Drift> {
        (self.mode == AnchorMode::Shared).then_some(self.drift)
    }

    /// Number of known records with which the page under way should begin.
    pub(super) fn shared(&self) -> u64 {
        self.joint.shared
    }

    /// Returns true if nothing but a lack of records at one place shows this end. A page that is cut at a record leaves out those behind it,
    /// too, unless it begins there.
    pub(super) fn may_be_cut(&self, proof: Proof) -> bool {
        proof.is_by_lack() && self.are_active() && self.joint.reach > 0 && !self.are_beyond()
    }

    /// Returns true if the page under way begins one record behind the end of the list.
    pub(super) fn are_beyond(&self) -> bool {
        self.joint.beyond.is_some()
    }

    /// Notes that the next page begins one record behind the end of the list, where nothing should be.
    pub(super) fn look_beyond(&mut self) {
        self.joint.look_beyond();
    }

    /// Notes a page that came ahead and was not used, by the number of records up to its end.
    pub(super) fn note_unused(&mut self, reach: u64) {
        self.drift.note_unused(reach);
    }

    /// Returns true if the last page had the records that it should share, and nothing behind them.
    pub(super) fn have_ended(&self) -> bool {
        self.joint.has_ended
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.known.bytes()
    }

    /// Number of records of the list up to the end of the last page with records, where pages share some.
    pub(super) fn reach(&self) -> Option<u64> {
        self.are_active().then_some(self.joint.reach)
    }

    pub(super) fn start_page(&mut self) {
        self.page = Junction::default();
        self.known.drop_page();
    }

    /// Known records of the next batch of the page; none where pages share no records. A record without a key is never known.
    pub(super) fn find_known(&mut self, batch: &Batch, keys: &[BatchKey]) -> Vec<KnownRecord> {
        let mut known = Vec::new();
        if !self.are_active() {
            return known;
        }
        for (at, key) in keys.iter().enumerate() {
            let Some(text) = key.text(batch) else {
                self.page.has_keyless = true;
                continue;
            };
            match self.known.place_of(key.hash, text) {
                Some(place) => known.push(KnownRecord { at, place, line: 0, is_changed: false }),
                None => self.known.push(key.hash, text),
            }
        }
        known
    }

    /// Takes a batch of so many records, with those of them that are known.
    pub(super) fn join(&mut self, records: u64, known: &[KnownRecord]) {
        if self.are_active() {
            self.page.meet(records, known);
        }
    }

    /// Notes the keys of records that left before the walk was interrupted.
    pub(super) fn recall(&mut self, batch: &Batch, keys: &[BatchKey]) {
        if self.are_active() {
            keys.iter().for_each(|key| key.text(batch).into_iter().for_each(|text| self.known.push(key.hash, text)));
            self.known.end_page();
        }
    }

    /// Returns true if the page, as far as it has come, does not meet those before it.
    pub(super) fn is_apart(&self, start: PageStart) -> bool {
        match start {
            _ if !self.are_active() => false,
            PageStart::List => false,
            PageStart::Shared => self.page.known == 0 && !self.joint.is_probe,
            PageStart::Behind => self.page.known == 0 && self.page.records > 0,
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
        let step = self.joint.step_back(start, page, progress.longest());
        self.drift.check_repairs(progress.pages()).map(|()| Some(step.min(before)))
    }

    /// Notes that the page has fewer records than its own place and total say.
    pub(super) fn note_lack(&mut self) {
        self.drift.filling = Filling::Lacking;
    }

    /// Notes that the page is asked for so many records earlier.
    pub(super) fn begin_earlier(&mut self, records: u64) {
        self.joint.begin_earlier(records);
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
            asked.is_some_and(|asked| page.records() > asked || page.records() < asked && self.page.new == 0);
        let is_the_only_one = progress.pages() == 1 && progress.repeated(page).is_some();
        let is_same = is_the_only_one || self.joint.comes_again(page.digest());
        start == PageStart::Shared && self.may_be_unaligned() && page.records() > 0 && (is_same || is_other_size)
    }

    /// Returns true if no page has met another one yet, so that the upstream may take no number between those of its pages.
    pub(super) fn may_be_unaligned(&self) -> bool {
        self.are_active() && self.joint.shared > 0 && !self.drift.has_met
    }

    /// Lets the current page share no records, and returns the number of those that it should have shared. If it then begins with known ones,
    /// the list has moved, and the upstream may have rounded nothing.
    pub(super) fn probe_rounding(&mut self) -> u64 {
        self.start_page();
        self.joint.probe()
    }

    /// Lets pages share no records from here on, and returns the number of those that the current one should have shared.
    pub(super) fn give_up_sharing(&mut self) -> u64 {
        self.drift.loosen(Looseness::Unaligned);
        self.probe_rounding()
    }

    /// Counts a page that is the same as the one before; an error if that can't be for a list that moves.
    pub(super) fn count_echo(&mut self, is_echo: bool, pages: u64) -> Result<(), PageError> {
        if self.joint.count_echo(is_echo) { Err(PageError::Repeat { page: pages, param: None }) } else { Ok(()) }
    }

    /// Takes over a page that meets those before it or begins the list, with the number of records up to its end.
    pub(super) fn settle(&mut self, start: PageStart, reach: u64, progress: &WalkProgress) -> Result<(), PageError> {
        if !self.are_active() {
            return Ok(());
        }
        let (page, end) = (std::mem::take(&mut self.page), self.known.end());
        let shared = self.joint.shared;
        if start == PageStart::List && page.known == 0 && end > 0 {
            // An empty list may also be a failure, and unknown records at its beginning those that were read first.
            if page.records == 0 || self.known.forgotten() > 0 {
                return Err(PageError::Vanished(end));
            }
        }
        let is_met = self.drift.note_page(start, &page, self.joint, end)?;
        if page.records > 0 {
            self.joint.reach = reach;
        }
        self.joint = self.joint.met(page.records, is_met && page.new == 0);
        self.known.end_page();
        if page.records > 0 && page.new == 0 && page.known != shared {
            self.drift.again += 1;
            self.drift.check_repairs(progress.pages())?;
        }
        Ok(())
    }

    /// Notes how the next page should meet the last one, of so many records: it begins with the `shared` last ones of them, or it is
    /// behind the end.
    pub(super) fn expect(&mut self, aim: Aim, shared: u64, records: u64, longest: u64) {
        match aim {
            Aim::Records | Aim::Again => {
                self.joint.shared = shared;
                if shared == 0 {
                    self.drift.loosen(Looseness::Single);
                }
            }
            // The first page may only look short: the upstream may give fewer records than were asked for.
            Aim::Confirm(_) if longest == 0 => {
                (self.joint.shared, self.joint.behind) = (shared, Joint::shared_with(records, 0).max(1));
            }
            Aim::Confirm(_) => self.joint.behind = records,
        }
    }

    pub(super) fn note(&self) -> Option<AnchorsNote> {
        (self.mode == AnchorMode::Shared).then_some(AnchorsNote { joint: self.joint, drift: self.drift })
    }

    /// Takes over [`Anchors::note`] of one page later.
    pub(super) fn resume(&mut self, note: Option<AnchorsNote>) -> Result<(), PageError> {
        match (self.mode, note) {
            (AnchorMode::Shared, Some(AnchorsNote { joint, drift })) => (self.joint, self.drift) = (joint, drift),
            (AnchorMode::Shared, None) if self.has_offsets => self.drift.loosen(Looseness::Older),
            (AnchorMode::Apart, None) => {}
            (AnchorMode::Apart, Some(_)) | (AnchorMode::Shared, None) => {
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
    use crate::pagination::plan::fingerprint::RecordIdentity;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::Param;
    use crate::pagination::settings::ConsistencyLevel;
    use crate::pagination::styles::{Advance, Offset};

    /// Indexes of the known records of a page, which begins the list or shares records with the one before.
    fn page(anchors: &mut Anchors, start: PageStart, records: &str) -> Vec<usize> {
        let lines: String = records.split(' ').map(|record| format!("{record}\n")).collect();
        let count = lines.lines().count() as u64;
        let batch = Batch::new(Bytes::from(lines), count);
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(&batch, &RecordIdentity::new(Some(&"id".parse().unwrap()))).unwrap();
        anchors.start_page();
        let known = anchors.find_known(&batch, fingerprint.batch());
        anchors.join(count, &known);
        anchors.settle(start, count, &WalkProgress::default()).unwrap();
        known.iter().map(|known| known.at).collect()
    }

    #[test]
    fn a_record_without_a_key_is_never_known_and_ends_the_sharing() {
        let style =
            Offset { param: Param::Query("offset".to_owned()), start: 0, step: Advance::Returned, template: None };
        let mut pagination = Pagination::of(style.into(), Records::at("data".parse().unwrap()));
        pagination.key = Some("id".parse().unwrap());
        assert!(!Anchors::new(&pagination, 1 << 20).are_active(), "it is the operator's word");
        pagination.consistency = Some(ConsistencyLevel::Repair);
        let mut anchors = Anchors::new(&pagination, 1 << 20);
        assert_eq!(page(&mut anchors, PageStart::List, r#"{"id":1} {"id":2}"#), [0; 0]);
        anchors.expect(Aim::Records, 1, 2, 2);
        let second = r#"{"id":2} {"id":null,"n":1} {"id":null,"n":2} {"n":3} {"n":3}"#;
        assert_eq!((page(&mut anchors, PageStart::Shared, second), anchors.are_active()), (vec![0], false));
    }
}
