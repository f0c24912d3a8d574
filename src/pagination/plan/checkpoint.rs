//! Checkpoint of a walk after a whole page: folded in their order, checkpoints restore the walk.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::adaptive_page_size::{PageSizing, Resized};
use super::addresses::Addresses;
use super::diff_to_first_request::RequestDelta;
use super::envelope_check::EnvelopeCheck;
use super::key_trail::KeyTrail;
use super::page_overlap::{OverlapNote, PageOverlap};
use super::pinned_state::{PinnedState, StatePins};
use super::progress::WalkProgress;
use super::trail_note::TrailNote;
use super::walk_state::{Aim, WalkState};
use crate::pagination::error::PageError;
use crate::pagination::page_envelope::PageEnvelope;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;

/// State of a walk after a whole page. The sets that a walk must not forget grow by what this page adds; all else is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    pub(super) leads: WalkLead,
    #[serde(rename = "tally")]
    pub(super) progress: WalkProgress,
    /// Number that the next page is asked with.
    pub(super) number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stride: Option<u64>,
    /// A page has led to the next one by a number in its address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) numbered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resized: Option<Resized>,
    /// Envelope of the first page, behind it alone.
    #[serde(rename = "account", default, skip_serializing_if = "Option::is_none")]
    pub(super) envelope: Option<PageEnvelope>,
    #[serde(rename = "junctions", default, skip_serializing_if = "Option::is_none")]
    pub(super) overlap: Option<OverlapNote>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) trail: Option<TrailNote>,
    /// State of the collection, behind the first page, which names it, and where a later one has cast doubt on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pins: Option<StatePins>,
    /// Number of requests to the upstream so far, as the crawl has counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requests: Option<u64>,
}

/// Continuation of a walk behind a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum WalkLead {
    On { request: RequestDelta, aim: Aim },
    Over(Proof),
}

pub(super) struct NotedParts<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) state: &'a WalkState,
    pub(super) progress: &'a WalkProgress,
    pub(super) addresses: &'a Addresses,
    pub(super) page_size: &'a PageSizing,
    pub(super) pinned: &'a PinnedState,
    pub(super) overlap: &'a PageOverlap,
    pub(super) envelopes: &'a EnvelopeCheck,
    pub(super) trail: &'a KeyTrail,
}

pub(super) struct ResumedParts<'a> {
    pub(super) progress: &'a mut WalkProgress,
    pub(super) addresses: &'a mut Addresses,
    pub(super) page_size: &'a mut PageSizing,
    pub(super) pinned: &'a mut PinnedState,
    pub(super) overlap: &'a mut PageOverlap,
    pub(super) envelopes: &'a mut EnvelopeCheck,
    pub(super) trail: &'a mut KeyTrail,
}

impl NotedParts<'_> {
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let Self { pagination, progress, addresses, page_size, .. } = self;
        let leads = match self.state {
            WalkState::Ask(request, aim) | WalkState::Asked(request, aim) => {
                WalkLead::On { request: addresses.delta(request), aim: *aim }
            }
            WalkState::Done(proof) => WalkLead::Over(*proof),
        };
        let is_first = progress.pages() == 1;
        Checkpoint {
            leads,
            progress: progress.counts(),
            number: addresses.number(),
            stride: addresses.stride(),
            numbered: pagination.style.is_pointed() && addresses.is_numbered(),
            size: page_size.size(),
            resized: page_size.resized(),
            envelope: if is_first { self.envelopes.first(addresses.origin()) } else { None },
            overlap: self.overlap.note(),
            trail: self.trail.note(),
            pins: self.pinned.pins().filter(|_| is_first || self.pinned.is_unheeded()),
            requests: None,
        }
    }
}

impl ResumedParts<'_> {
    /// Takes over the checkpoint of one page later, and returns the continuation behind it.
    pub(super) fn fold(&mut self, checkpoint: Checkpoint) -> Result<WalkLead, PageError> {
        self.progress.fold(&checkpoint.progress)?;
        self.addresses.resume(checkpoint.number, checkpoint.stride, checkpoint.numbered);
        if let WalkLead::On { request, .. } = &checkpoint.leads {
            self.addresses.note_lost(&request.applied(self.addresses.origin())?);
        }
        self.page_size.resume(checkpoint.size, checkpoint.resized);
        self.overlap.resume(checkpoint.overlap)?;
        self.trail.resume(checkpoint.trail);
        if let Some(envelope) = checkpoint.envelope {
            self.envelopes.resume(envelope);
        }
        if let Some(pins) = checkpoint.pins {
            self.pinned.resume(pins);
        }
        Ok(checkpoint.leads)
    }

    /// Checks that there is a last record where records have come, and makes the first request as large as the last one.
    pub(super) fn check(&mut self, has_last: bool) -> Result<(), PageError> {
        let bad = |what: &str| PageError::BadCheckpoint(what.to_owned());
        if has_last != (self.progress.records() > 0) {
            return Err(bad("it tells of records that are not there, or of none that are"));
        }
        if let (true, Some(size)) = (self.page_size.is_resized(), self.page_size.size()) {
            let first = self.page_size.with_size(self.addresses.origin(), size);
            let first = first.ok_or_else(|| bad("the collection's pages can't be of another size"))?;
            self.addresses.set_first(Arc::new(first));
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Number of records that had come.
    pub fn records(&self) -> u64 {
        self.progress.records()
    }

    /// Number of requests to the upstream that it took to come so far; the pages, where an older unpage has counted none.
    pub fn requests(&self) -> u64 {
        self.requests.unwrap_or(self.progress.pages())
    }

    pub fn with_requests(self, requests: u64) -> Self {
        Self { requests: Some(requests), ..self }
    }
}
