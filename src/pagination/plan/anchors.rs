//! Anchors of a walk by record numbers: each page shares records with those before it, so that a list that moves loses none.
//!
//! A window of the list that holds a known record has all that follows it up to the window's end, whatever was inserted or deleted
//! before it meanwhile. Assumptions: a page is of one moment, records that stay keep their order, and a key identifies a record.

use serde::{Deserialize, Serialize};

use super::fingerprint::BatchKey;
use super::junction::{Junction, PageStart};
use super::known_keys::KnownKeys;
use super::progress::WalkProgress;
use super::walk_state::Aim;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::settings::Pagination;

/// One record in so many is shared with the next page; more would only make steps back rarer.
const RECORDS_A_SHARED_ONE: u64 = 50;

/// Smallest number of keys that are known. Within them, a known record is told from a new one wherever the list has moved to.
const LEAST_KNOWN: usize = 4096;

/// Number of the longest pages whose keys are known.
const KNOWN_PAGES: usize = 8;

/// Number of requests that repair may take in any walk; a longer one may take [`REPAIR_SHARE`].
const LEAST_REPAIRS: u64 = 20;

/// One repair in so many pages.
const REPAIR_SHARE: u64 = 4;

/// Junctions of a walk's pages, and the changes of the list that they have shown.
#[derive(Debug)]
pub(super) struct Anchors {
    mode: AnchorMode,
    known: KnownKeys,
    /// Number of keys that are known at most.
    most: usize,
    page: Junction,
    joint: Joint,
    /// Number of the last page's keys among the known ones, for its checkpoint.
    added: u64,
    drift: Drift,
}

/// Relation of a walk's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnchorMode {
    /// They share records.
    Shared,
    Apart,
}

/// Place at which the page under way should meet those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Joint {
    /// Number of known records that the page begins with, if none has moved.
    shared: u64,
    /// Number of steps back since the last page that met those before it.
    steps: u32,
    /// Number of records to step back by where the page was to confirm the end and is not empty.
    behind: u64,
    /// Number of records of the list up to the end of the last page with records.
    reach: u64,
}

/// Changes of the list, as far as the junctions show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drift {
    /// Number of pages that did not begin with the records that they should share.
    pub(super) shifts: u64,
    /// Number of pages that brought nothing new.
    pub(super) again: u64,
    /// Number of steps back to a known record.
    pub(super) back: u64,
    /// Number of new records in front of a known one. They leave too: one that moved there would be lost otherwise.
    pub(super) late: u64,
    /// A known record came out of its order.
    pub(super) is_disordered: bool,
    /// Pages share no records any more: they have one each, some in the middle of the list are short, or a record has no key.
    pub(super) is_loose: bool,
}

/// Anchors for a checkpoint: the last page's keys, and all else as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AnchorsNote {
    /// Number of keys before these.
    first: u64,
    keys: Vec<Box<str>>,
    joint: Joint,
    drift: Drift,
}

impl Anchors {
    pub(super) fn new(pagination: &Pagination) -> Self {
        Self {
            mode: if pagination.shares_records() { AnchorMode::Shared } else { AnchorMode::Apart },
            known: KnownKeys::default(),
            most: LEAST_KNOWN,
            page: Junction::default(),
            joint: Joint::default(),
            added: 0,
            drift: Drift::default(),
        }
    }

    /// Returns true if each page shares records with those before it.
    pub(super) fn are_active(&self) -> bool {
        self.mode == AnchorMode::Shared && !self.drift.is_loose
    }

    pub(super) fn drift(&self) -> Option<Drift> {
        (self.mode == AnchorMode::Shared).then_some(self.drift)
    }

    /// Number of records of the list up to the end of the last page with records, where pages share some.
    pub(super) fn reach(&self) -> Option<u64> {
        self.are_active().then_some(self.joint.reach)
    }

    pub(super) fn start_page(&mut self) {
        self.page = Junction::default();
    }

    /// Number of records that the next page is to share with one of so many; none where the pages are too short for it.
    pub(super) fn shared_with(records: u64, longest: u64) -> u64 {
        (longest.max(records) / RECORDS_A_SHARED_ONE).max(1).min(records.saturating_sub(1))
    }

    /// Takes the next records of the page, and returns the indexes of those that are known; none where pages share no records. A record
    /// without a key is never known.
    pub(super) fn join(&mut self, batch: &Batch, keys: &[BatchKey]) -> Vec<usize> {
        if self.mode == AnchorMode::Apart {
            return Vec::new();
        }
        let mut known = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let text = key.text(batch).and_then(|text| std::str::from_utf8(text).ok());
            let place = text.and_then(|text| self.known.place_of(key.hash, text));
            known.extend(place.map(|_| at));
            self.page.meet(text, place);
        }
        known
    }

    /// Returns true if the page, as far as it has come, does not meet those before it.
    pub(super) fn is_apart(&self, start: PageStart) -> bool {
        match start {
            _ if !self.are_active() => false,
            PageStart::List => false,
            PageStart::Shared => self.page.known == 0,
            PageStart::Behind => self.page.known == 0 && self.page.records > 0,
        }
    }

    /// Drops a page that does not meet those before it, and returns the number of records to step back by, at most as many as stand in
    /// front of it. Two steps leave no record between them.
    pub(super) fn step_back(
        &mut self,
        start: PageStart,
        before: u64,
        progress: &WalkProgress,
    ) -> Result<Option<u64>, PageError> {
        if !self.is_apart(start) {
            return Ok(None);
        }
        let longest = progress.longest();
        let least = (longest / RECORDS_A_SHARED_ONE).max(1);
        let doubled = least.saturating_mul(1_u64.checked_shl(self.joint.steps).unwrap_or(u64::MAX));
        let step = match start {
            PageStart::Behind => self.joint.behind,
            PageStart::List | PageStart::Shared => doubled.min(longest.saturating_sub(least).max(1)),
        };
        let step = step.min(before);
        self.page = Junction::default();
        self.added = 0;
        self.drift.back += 1;
        self.joint.steps += 1;
        self.joint.shared += step;
        self.check_repairs(progress.pages()).map(|()| Some(step))
    }

    /// Takes over a page that meets those before it or begins the list, with the number of records up to its end.
    pub(super) fn settle(&mut self, start: PageStart, reach: u64, progress: &WalkProgress) -> Result<(), PageError> {
        if self.mode == AnchorMode::Apart {
            return Ok(());
        }
        let page = std::mem::take(&mut self.page);
        let Joint { shared, steps, behind, .. } = self.joint;
        let end = self.known.end();
        if start == PageStart::List && page.known == 0 && end > 0 {
            // An empty list may also be a failure, and unknown records at its beginning those that were read first.
            if page.records == 0 || self.known.forgotten() > 0 {
                return Err(PageError::Vanished(end));
            }
        }
        let is_met = page.known == shared && page.late == 0 && page.first.is_none_or(|first| first + shared == end);
        self.drift.shifts += u64::from(!is_met);
        self.drift.late += page.late;
        self.drift.is_disordered |= page.is_disordered;
        // The page is as short as it was, although others follow: its end is not the list's.
        self.drift.is_loose |= is_met && steps == 1 && shared == behind && page.keys.is_empty() || page.has_keyless;
        if page.records > 0 {
            self.joint.reach = reach;
        }
        let is_idle = page.records > 0 && page.keys.is_empty() && page.known != shared;
        self.added = page.keys.len() as u64;
        self.joint = Joint { shared: 0, steps: 0, behind: 0, ..self.joint };
        self.learn(page.keys);
        if is_idle {
            self.drift.again += 1;
            self.check_repairs(progress.pages())?;
        }
        Ok(())
    }

    /// Adds the keys of a page's new records, of which as many are known as some of the longest pages have.
    fn learn(&mut self, keys: Vec<Box<str>>) {
        self.most = self.most.max(keys.len().saturating_mul(KNOWN_PAGES));
        self.known.extend(keys, self.most);
    }

    /// Notes how the next page should meet the last one, of so many records: it begins with the `shared` last ones of them, or it is
    /// behind the end.
    pub(super) fn expect(&mut self, aim: Aim, shared: u64, records: u64, longest: u64) {
        match aim {
            Aim::Records | Aim::Again => {
                self.joint.shared = shared;
                self.drift.is_loose |= shared == 0;
            }
            // The first page may only look short: the upstream may give fewer records than were asked for.
            Aim::Confirm(_) if longest == 0 => self.joint.behind = Self::shared_with(records, 0).max(1),
            Aim::Confirm(_) => self.joint.behind = records,
        }
    }

    fn check_repairs(&self, pages: u64) -> Result<(), PageError> {
        let repairs = self.drift.again + self.drift.back;
        if repairs > LEAST_REPAIRS.max(pages / REPAIR_SHARE) { Err(PageError::Drifted(repairs)) } else { Ok(()) }
    }

    pub(super) fn note(&self) -> Option<AnchorsNote> {
        let (first, keys) = self.known.newest(self.added);
        (self.mode == AnchorMode::Shared).then_some(AnchorsNote { first, keys, joint: self.joint, drift: self.drift })
    }

    /// Takes over [`Anchors::note`] of one page later.
    pub(super) fn resume(&mut self, note: Option<AnchorsNote>) -> Result<(), PageError> {
        let bad = |what: &str| Err(PageError::BadCheckpoint(what.to_owned()));
        let Some(AnchorsNote { first, keys, joint, drift }) = note else {
            // An older crawl, whose pages share no records.
            self.drift.is_loose = true;
            return Ok(());
        };
        if self.mode == AnchorMode::Apart {
            return bad("its pages share records, and those of the configuration do not");
        }
        if first > self.known.end() {
            return bad("keys of a page are missing");
        }
        // A last page that came twice has its keys once.
        self.known.truncate(first);
        self.added = keys.len() as u64;
        self.learn(keys);
        (self.joint, self.drift) = (joint, drift);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pagination::plan::fingerprint::{Fingerprint, RecordIdentity};
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
        let known = anchors.join(&batch, fingerprint.batch());
        anchors.settle(start, count, &WalkProgress::default()).unwrap();
        known
    }

    #[test]
    fn a_record_without_a_key_is_never_known_and_ends_the_sharing() {
        let style =
            Offset { param: Param::Query("offset".to_owned()), start: 0, step: Advance::Returned, template: None };
        let mut pagination = Pagination::of(style.into(), Records::at("data".parse().unwrap()));
        pagination.key = Some("id".parse().unwrap());
        assert!(!Anchors::new(&pagination).are_active(), "it is the operator's word");
        pagination.consistency = Some(ConsistencyLevel::Repair);
        let mut anchors = Anchors::new(&pagination);
        assert_eq!(page(&mut anchors, PageStart::List, r#"{"id":1} {"id":2}"#), [0; 0]);
        anchors.expect(Aim::Records, 1, 2, 2);
        let second = r#"{"id":2} {"id":null,"n":1} {"id":null,"n":2} {"n":3} {"n":3}"#;
        assert_eq!((page(&mut anchors, PageStart::Shared, second), anchors.are_active()), (vec![0], false));
    }
}
