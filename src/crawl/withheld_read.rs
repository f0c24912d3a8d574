//! A read whose records wait until another one is equal, and what is kept of it for the comparison.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

use super::page_notes::PageNotes;
use crate::batch::Batch;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::{PageId, PartId};
use crate::snapshot::{Digest, RunningDigest};

/// Records of a crawl that may not leave yet: their parts, and the evidence of their content.
#[derive(Debug)]
pub(super) struct WithheldRead {
    parts: Vec<PartId>,
    evidence: ReadEvidence,
    /// Moment of the newest page, by the upstream's clock.
    moment: Option<SystemTime>,
}

/// Evidence of a read's content, by which another one is compared with it.
#[derive(Debug)]
pub(super) enum ReadEvidence {
    /// Each page, which can be asked for again by itself.
    Pages(PageNotes),
    /// SHA-256 of all lines in order, where an address is known only from the page before.
    Lines(RunningDigest),
}

#[derive(Debug)]
pub(super) enum WholeRead {
    Pages(PageNotes),
    Lines { digest: Digest, moment: Option<SystemTime> },
}

impl WithheldRead {
    pub(super) fn new(evidence: ReadEvidence) -> Self {
        Self { parts: Vec::new(), evidence, moment: None }
    }

    /// Notes a part whose records would leave now.
    pub(super) fn open(&mut self, part: PartId) {
        self.parts.push(part);
    }

    /// Notes records as they came, doubles included: one that only one of two reads drops shows that the list was not the same.
    pub(super) fn add(&mut self, page: PageId, batch: &Batch) {
        match &mut self.evidence {
            ReadEvidence::Pages(pages) => pages.add(page, batch),
            ReadEvidence::Lines(digest) => digest.update(batch.lines()),
        }
    }

    /// Notes a whole page with the last of its records.
    pub(super) fn arrived(&mut self, page: PageId, head: &Head, rest: &Page) {
        self.moment = moment(head).or(self.moment);
        self.add(page, &rest.batch);
        if let Some(pages) = self.pages() {
            pages.whole(page, head, &rest.fields);
        }
    }

    /// Notes a refusal that the plan expected.
    pub(super) fn refused(&mut self, page: PageId, status: StatusCode) {
        if let Some(pages) = self.pages() {
            pages.refused(page, status);
        }
    }

    /// Pages, where they are noted.
    pub(super) fn pages(&mut self) -> Option<&mut PageNotes> {
        match &mut self.evidence {
            ReadEvidence::Pages(pages) => Some(pages),
            ReadEvidence::Lines(_) => None,
        }
    }

    /// Returns the parts in the order in which they leave, and the evidence.
    pub(super) fn finish(self) -> (Vec<PartId>, WholeRead) {
        let Self { parts, evidence, moment } = self;
        let read = match evidence {
            ReadEvidence::Pages(pages) => WholeRead::Pages(pages),
            ReadEvidence::Lines(digest) => WholeRead::Lines { digest: digest.finish(), moment },
        };
        (parts, read)
    }
}

/// Moment of an answer, by its `Date`.
pub(super) fn moment(head: &Head) -> Option<SystemTime> {
    head.date().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}
