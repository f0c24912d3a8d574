//! Anchors of a walk by record numbers: each page shares records with those before it, so that a list that moves loses none.
//!
//! A window of the list that holds a known record has all that follows it up to the window's end, whatever was inserted or deleted
//! before it meanwhile. Assumptions: a page is of one moment, records that stay keep their order, and a key identifies a record.

use serde::{Deserialize, Serialize};

use super::junction::{Junction, PageStart};
use super::known_keys::KnownKeys;
use super::progress::WalkProgress;
use super::walk_state::Aim;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::json_extract::PathSet;
use crate::pagination::path::Path;
use crate::pagination::record::text_of;

/// One record in so many is shared with the next page; more would only make steps back rarer.
const RECORDS_A_SHARED_ONE: u64 = 50;

/// Smallest number of keys that are known. Within them, a known record is told from a new one wherever the list has moved to.
const LEAST_KNOWN: usize = 4096;

/// Number of the longest pages whose keys are known.
const KNOWN_PAGES: u64 = 8;

/// Number of requests that repair may take in any walk; a longer one may take [`REPAIR_SHARE`].
const LEAST_REPAIRS: u64 = 20;

/// One repair in so many pages.
const REPAIR_SHARE: u64 = 4;

/// Junctions of a walk's pages, and the changes of the list that they have shown.
#[derive(Debug)]
pub(super) struct Anchors {
    /// Key of a record; none where pages share no records.
    key: Option<PathSet>,
    known: KnownKeys,
    page: Junction,
    joint: Joint,
    /// Number of the last page's keys among the known ones, for its checkpoint.
    added: u64,
    drift: Drift,
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
    /// Pages share no records any more: they have one each, or some in the middle of the list are short.
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
    pub(super) fn new(key: Option<&Path>) -> Self {
        Self {
            key: key.map(|key| PathSet::new(&[key])),
            known: KnownKeys::default(),
            page: Junction::default(),
            joint: Joint::default(),
            added: 0,
            drift: Drift::default(),
        }
    }

    /// Returns true if each page shares records with those before it.
    pub(super) fn are_active(&self) -> bool {
        self.key.is_some() && !self.drift.is_loose
    }

    pub(super) fn drift(&self) -> Option<Drift> {
        self.key.as_ref().map(|_| self.drift)
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

    /// Takes the next records of the page, and returns for each of them whether it is known; nothing where pages share no records.
    pub(super) fn join(&mut self, batch: &Batch) -> Result<Vec<bool>, PageError> {
        let Some(path) = &self.key else { return Ok(Vec::new()) };
        let mut is_known = Vec::new();
        for line in batch.each() {
            let mut raw = [None];
            path.extract(text_of(line)?, &mut raw)?;
            let key = raw[0].map_or(text_of(line.trim_ascii())?, |raw| raw.get());
            let place = self.known.place_of(key);
            is_known.push(place.is_some());
            self.page.meet(key, place);
        }
        Ok(is_known)
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
        let doubled = least.checked_shl(self.joint.steps).unwrap_or(u64::MAX);
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
        if self.key.is_none() {
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
        self.drift.is_loose |= is_met && steps == 1 && shared == behind && page.keys.is_empty();
        if page.records > 0 {
            self.joint.reach = reach;
        }
        let is_idle = page.records > 0 && page.keys.is_empty() && page.known != shared;
        self.added = page.keys.len() as u64;
        self.joint = Joint { shared: 0, steps: 0, behind: 0, ..self.joint };
        let most = LEAST_KNOWN.max(usize::try_from(KNOWN_PAGES * progress.longest()).unwrap_or(usize::MAX));
        self.known.extend(page.keys, most);
        if is_idle {
            self.drift.again += 1;
            self.check_repairs(progress.pages())?;
        }
        Ok(())
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
        self.key.as_ref().map(|_| AnchorsNote { first, keys, joint: self.joint, drift: self.drift })
    }

    /// Takes over [`Anchors::note`] of one page later.
    pub(super) fn resume(&mut self, note: Option<AnchorsNote>) -> Result<(), PageError> {
        let bad = |what: &str| Err(PageError::BadCheckpoint(what.to_owned()));
        let Some(AnchorsNote { first, keys, joint, drift }) = note else {
            // An older crawl, whose pages share no records.
            self.drift.is_loose = true;
            return Ok(());
        };
        if self.key.is_none() {
            return bad("its pages share records, and those of the configuration do not");
        }
        if first > self.known.end() {
            return bad("keys of a page are missing");
        }
        // A last page that came twice has its keys once.
        self.known.truncate(first);
        self.added = keys.len() as u64;
        self.known.extend(keys, LEAST_KNOWN);
        (self.joint, self.drift) = (joint, drift);
        Ok(())
    }
}
