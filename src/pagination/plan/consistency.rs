//! Consistency of the records of a walk that has ended, as far as its pages show it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::addresses::Addresses;
use super::drift::Drift;
use super::notice::PlanNotice;
use super::pinned_state::PinnedState;
use super::progress::WalkProgress;
use crate::pagination::detect;
use crate::pagination::proof::Proof;
use crate::pagination::settings::{ConsistencyLevel, Pagination};
use crate::pagination::verdict::{Consistency, Doubt, ProvenEnd};

#[derive(Clone, Copy, Debug)]
pub(super) struct EndedWalk<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) progress: &'a WalkProgress,
    pub(super) pinned: &'a PinnedState,
    /// Changes that the overlap of pages has shown, where pages share records.
    pub(super) drift: Option<Drift>,
    /// Number of records of the list up to the end of the last page, where pages share some.
    pub(super) reach: Option<u64>,
    pub(super) addresses: &'a Addresses,
}

impl EndedWalk<'_> {
    pub(super) fn ending(&self, proof: Proof) -> ProvenEnd {
        ProvenEnd {
            proof,
            agreeing: self.agreeing(proof),
            consistency: self.consistency(proof),
            doubles: self.progress.doubles().dropped,
            late: self.drift.map_or(0, |drift| drift.late),
            settled: None,
        }
    }

    /// Consistency behind this proof: the strongest word whose promise the walk can show.
    fn consistency(&self, proof: Proof) -> Consistency {
        let shown = match proof {
            Proof::NamedPageEmpty => self.shown(proof).doubted(Doubt::NamedPage.to_string()),
            _ => self.shown(proof),
        };
        match self.addresses.lost() {
            [] => shown,
            lost => shown.doubted(PlanNotice::LostParams(lost.to_vec()).to_string()),
        }
    }

    fn shown(&self, proof: Proof) -> Consistency {
        if let Some(moved) = self.progress.doubles().refuted() {
            return moved;
        }
        // A state has no record twice: an upstream whose pages repeat some did not answer for the one that was named.
        let is_refuted = self.progress.doubles().cross_pages();
        if let Some(param) = self.pinned.version_param() {
            let by = || format!("{param} in every request");
            return if is_refuted { Doubt::Repeated.into() } else { Consistency::Upstream { by: by() } };
        }
        let is_midway = self.addresses.is_midway();
        let origin = self.addresses.origin();
        let names_a_place = detect::names_a_place(origin) || detect::names_a_bound(origin);
        if self.is_one_page(proof) && !is_midway && !names_a_place {
            return Consistency::Snapshot { at: self.moment() };
        }
        let by_condition = self.pinned.by_condition();
        if let Some(upheld @ Consistency::Upstream { .. }) = by_condition {
            return if is_refuted { Doubt::Repeated.into() } else { upheld };
        }
        if is_midway {
            return Doubt::Midway.into();
        }
        if self.is_one_page(proof) {
            return Doubt::Place.into();
        }
        match self.pagination.consistency {
            Some(ConsistencyLevel::None) => return Doubt::Unwatched.into(),
            _ if self.has_hole(proof) => return Doubt::Hole.into(),
            Some(ConsistencyLevel::Verify) => return self.verified(proof),
            _ => {}
        }
        if self.ends_with_first(proof) {
            return Doubt::FirstAgain.into();
        }
        if let Some(drift) = self.drift {
            return drift.consistency(proof, self.reach);
        }
        if let Some(doubt) = by_condition {
            return doubt;
        }
        if self.addresses.is_numbered() {
            Doubt::Numbered.into()
        } else if self.pagination.style.is_pointed() {
            Doubt::Pointer.into()
        } else if self.pagination.can_repair() {
            Doubt::KeyOrder.into()
        } else {
            Doubt::Key.into()
        }
    }

    /// Returns true if a page among numbered ones was empty, and no count shows that all has come.
    fn has_hole(&self, proof: Proof) -> bool {
        let is_counted = matches!(proof, Proof::Total(_) | Proof::TotalPages(_)) || !self.agreeing(proof).is_empty();
        self.addresses.is_numbered() && self.progress.has_hole() && !is_counted
    }

    /// Consistency of a read that another one equals. What a list does to each read alike, that can't show: so it is looked for here.
    fn verified(&self, proof: Proof) -> Consistency {
        let doubles = self.progress.doubles();
        let is_numbered = self.addresses.is_numbered();
        let is_pointed = self.pagination.style.is_pointed();
        let may_be_early = match proof {
            Proof::ShortPage => true,
            Proof::EmptyPage | Proof::NamedPageEmpty | Proof::Status(_) => is_numbered || is_pointed,
            _ => false,
        };
        if self.progress.is_from_cache() {
            Doubt::Cached.into()
        } else if doubles.cross_pages() {
            Doubt::Repeated.into()
        } else if doubles.keyless > 0 {
            Doubt::Keyless.into()
        } else if may_be_early && self.agreeing(proof).is_empty() {
            Doubt::ShortPage.into()
        } else if is_numbered {
            // The records of the read were all there between both reads, and its end shows that there were no others then.
            Consistency::Snapshot { at: self.moment() }
        } else if is_pointed || self.pagination.can_repair() {
            Consistency::Steady
        } else {
            Doubt::Key.into()
        }
    }

    /// Returns true if the page behind a list's only record had that record again, and no count or page without it shows that all has come.
    fn ends_with_first(&self, proof: Proof) -> bool {
        let is_led_by_key = !self.addresses.is_numbered() && self.pagination.style.is_computed();
        let is_again = self.progress.records() == 1 && self.progress.filled() == self.progress.pages();
        let has_proof = self.progress.filled() == 1 || proof != Proof::EmptyPage || !self.agreeing(proof).is_empty();
        is_led_by_key && is_again && !has_proof
    }

    /// Moment of the first page, by the upstream's clock.
    fn moment(&self) -> Option<SystemTime> {
        self.progress.date().map(|at| UNIX_EPOCH + Duration::from_secs(at))
    }

    /// The upstream's counts that agree with what came, beside this proof.
    fn agreeing(&self, proof: Proof) -> Vec<Proof> {
        let total = self.progress.total().filter(|total| *total == self.progress.records()).map(Proof::Total);
        let pages = self.progress.total_pages().filter(|pages| *pages == self.progress.filled()).map(Proof::TotalPages);
        let counts =
            [total, pages].into_iter().flatten().filter(|count| !self.addresses.is_midway() && *count != proof);
        counts.collect()
    }

    /// Returns true if one answer has all records and says itself that they are all, so that they are of one moment. A range's total may
    /// also have come with the refusal of a later page.
    fn is_one_page(&self, proof: Proof) -> bool {
        let is_confirmed = self.progress.filled() <= 1
            && matches!(proof, Proof::Total(_) | Proof::TotalPages(_))
            && self.pagination.style.rules().confirms_totals();
        self.progress.requests() == 1 && self.progress.pages() == 1 || is_confirmed
    }
}
