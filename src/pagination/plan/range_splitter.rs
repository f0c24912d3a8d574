//! How the parts of a range are split while they are walked, and how the far end is looked for.

use std::sync::Arc;
use std::time::SystemTime;

use super::events::PageId;
use super::part::Part;
use super::partition::{self, Cut, UpperBound};
use crate::batch::Batch;
use crate::pagination::partition::{Bound, RangePartition};
use crate::pagination::{PageError, PageRequest, Pagination};

/// Everything that parts are split by.
#[derive(Debug)]
pub(super) struct RangeSplitter {
    range: Arc<RangePartition>,
    pagination: Arc<Pagination>,
    first: PageRequest,
    far: UpperBound,
    probe: Option<Probe>,
    /// The upstream's total, where it is that of all parts together, and what came of them.
    total: Option<u64>,
    records: u64,
}

/// A page of one record that is asked for to find the far end.
#[derive(Debug)]
struct Probe {
    page: PageId,
    record: Option<Vec<u8>>,
}

impl RangeSplitter {
    pub(super) fn new(range: &RangePartition, pagination: &Pagination, first: PageRequest, now: SystemTime) -> Self {
        let range = Arc::new(range.clone());
        let far = UpperBound::new(Arc::clone(&range), &first, now);
        let pagination = Arc::new(Pagination { total: None, total_pages: None, ..pagination.clone() });
        Self { range, pagination, first, far, probe: None, total: None, records: 0 }
    }

    /// All of the collection.
    pub(super) fn whole(&self) -> Cut {
        Cut::whole(Arc::clone(&self.range))
    }

    /// How the parts are walked that are split off.
    pub(super) fn of_parts(&self) -> &Arc<Pagination> {
        &self.pagination
    }

    /// A part's first request.
    pub(super) fn request(&self, cut: &Cut) -> Result<PageRequest, PageError> {
        cut.request(&self.first)
    }

    /// Notes how far the walk has come whose end is looked for.
    pub(super) fn seen(&mut self, parts: &[Part]) {
        if let Some(cut) = parts.last().and_then(|part| part.cut.as_ref()).filter(|_| !self.far.is_known()) {
            self.far.seen(cut.read());
        }
    }

    /// A request that helps to find the far end, if it isn't known yet.
    pub(super) fn probe(&mut self, page: PageId) -> Result<Option<Box<PageRequest>>, PageError> {
        let Some(request) = self.far.probe(&self.first, self.pagination.page_size.as_ref()) else { return Ok(None) };
        self.probe = Some(Probe { page, record: None });
        request.map(|request| Some(Box::new(request)))
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    pub(super) fn is_probe(&self, page: PageId) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.page == page)
    }

    /// Notes the probe's first record.
    pub(super) fn probe_has(&mut self, batch: &Batch) {
        if let (Some(Probe { record: record @ None, .. }), Some(line)) = (&mut self.probe, batch.each().next()) {
            *record = Some(line.to_vec());
        }
    }

    /// The probe is whole.
    pub(super) fn probed(&mut self) -> Result<(), PageError> {
        match self.probe.take() {
            Some(probe) => self.far.probed(probe.record.as_deref()),
            None => Ok(()),
        }
    }

    /// The probe was refused or lost: what is known of the far end has to do.
    pub(super) fn give_up(&mut self) {
        self.probe = None;
        self.far.give_up();
    }

    /// RangeSplitter the part with the most unread work, if it is worth it and the far end is known: its place, and what is split off.
    pub(super) fn split(&mut self, parts: &mut [Part]) -> Option<(usize, Cut)> {
        let page = parts.iter().map(|part| part.walk.full_page()).max().filter(|page| *page > 0)?;
        let walked = parts.iter_mut().enumerate().filter(|(_, part)| !part.is_over());
        let (places, mut cuts): (Vec<_>, Vec<_>) =
            walked.filter_map(|(at, part)| Some((at, part.cut.as_mut()?))).unzip();
        if !self.far.is_known() {
            return None;
        }
        let (owner, cut) = partition::split(&mut cuts, &self.far, page)?;
        Some((places[owner], cut))
    }

    /// A part is over.
    pub(super) fn retired(&mut self, part: &Part) {
        self.total = self.total.or(part.walk.total());
        self.records += part.records;
    }

    /// Whether all parts together have what the upstream says there is.
    pub(super) fn check_total(&self) -> Result<(), PageError> {
        // A request that names a bound reaches beyond it, and so does its total.
        let is_bounded = [&self.range.lower, &self.range.upper].iter().any(|bound| matches!(bound, Some(Bound::At(_))));
        match self.total.filter(|total| self.records < *total && !is_bounded) {
            Some(total) => Err(PageError::TotalDisagrees { records: self.records, total }),
            None => Ok(()),
        }
    }
}
