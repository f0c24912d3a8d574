//! Splitting of a range into parts while they are crawled, and the search for its upper bound.

use std::sync::Arc;
use std::time::SystemTime;

use super::events::{CurrentPageEvent, PageId};
use super::part::CollectionPart;
use super::partition::{self, Cut, UpperBound};
use crate::batch::Batch;
use crate::pagination::partition_settings::{Bound, RangePartition};
use crate::pagination::{PageError, PageRequest, Pagination};

/// Range of a collection that is cut into parts.
#[derive(Debug)]
pub(super) struct RangeSplitter {
    range: Arc<RangePartition>,
    pagination: Arc<Pagination>,
    first: PageRequest,
    bound: UpperBound,
    probe: Option<BoundProbe>,
    /// The upstream's total of all parts together, and the number of records that came.
    total: Option<u64>,
    records: u64,
}

/// A page of one record that is ordered to find the upper bound.
#[derive(Debug)]
struct BoundProbe {
    page: PageId,
    record: Option<Vec<u8>>,
}

impl RangeSplitter {
    pub(super) fn new(range: &RangePartition, pagination: &Pagination, first: PageRequest, now: SystemTime) -> Self {
        let range = Arc::new(range.clone());
        let bound = UpperBound::new(Arc::clone(&range), &first, now);
        let pagination = Arc::new(Pagination { total: None, total_pages: None, ..pagination.clone() });
        Self { range, pagination, first, bound, probe: None, total: None, records: 0 }
    }

    pub(super) fn whole(&self) -> Cut {
        Cut::whole(Arc::clone(&self.range))
    }

    /// Pagination of the parts that are split off: totals in their pages may be the part's or the collection's.
    pub(super) fn of_parts(&self) -> &Arc<Pagination> {
        &self.pagination
    }

    pub(super) fn request(&self, cut: &Cut) -> Result<PageRequest, PageError> {
        cut.request(&self.first)
    }

    /// Notes the progress of the last part, whose upper bound is unknown.
    pub(super) fn seen(&mut self, parts: &[CollectionPart]) {
        if let Some(cut) = parts.last().and_then(|part| part.cut.as_ref()).filter(|_| !self.bound.is_known()) {
            self.bound.seen(cut.read());
        }
    }

    /// Orders a page that helps to find the upper bound, if it is unknown.
    pub(super) fn probe(&mut self, page: PageId) -> Result<Option<Arc<PageRequest>>, PageError> {
        let Some(request) = self.bound.probe(&self.first, self.pagination.page_size.as_ref()) else { return Ok(None) };
        self.probe = Some(BoundProbe { page, record: None });
        request.map(|request| Some(Arc::new(request)))
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probe.is_some()
    }

    pub(super) fn is_probe(&self, page: PageId) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.page == page)
    }

    pub(super) fn accept(&mut self, event: CurrentPageEvent<'_>) -> Result<(), PageError> {
        match event {
            CurrentPageEvent::Begun(_) => {}
            CurrentPageEvent::Records(_, _, batch) => self.note_record(&batch),
            CurrentPageEvent::Whole(_, rest) if rest.missing.is_some() => self.give_up(),
            CurrentPageEvent::Whole(_, rest) => {
                self.note_record(&rest.batch);
                let record = self.probe.take().and_then(|probe| probe.record);
                self.bound.probed(record.as_deref())?;
            }
            CurrentPageEvent::Refused(..) => self.give_up(),
        }
        Ok(())
    }

    /// Keeps the probe's first record.
    fn note_record(&mut self, batch: &Batch) {
        if let (Some(BoundProbe { record: record @ None, .. }), Some(line)) = (&mut self.probe, batch.each().next()) {
            *record = Some(line.to_vec());
        }
    }

    /// Ends the search, because the probe was refused or lost: what is known has to do.
    pub(super) fn give_up(&mut self) {
        self.probe = None;
        self.bound.give_up();
    }

    /// Splits the part with the most unread records, if that is worth it and the upper bound is known; returns its index and the bounds
    /// of the new part.
    pub(super) fn split(&mut self, parts: &mut [CollectionPart]) -> Option<(usize, Cut)> {
        let page = parts.iter().map(|part| part.walk.progress.longest()).max().filter(|page| *page > 0)?;
        let walked = parts.iter_mut().enumerate().filter(|(_, part)| !part.is_over());
        let (places, mut cuts): (Vec<_>, Vec<_>) =
            walked.filter_map(|(at, part)| Some((at, part.cut.as_mut()?))).unzip();
        if !self.bound.is_known() {
            return None;
        }
        let (owner, cut) = partition::split(&mut cuts, &self.bound, page)?;
        Some((places[owner], cut))
    }

    pub(super) fn retired(&mut self, part: &CollectionPart) {
        self.total = self.total.or(part.walk.total());
        self.records += part.records;
    }

    /// Checks that all parts together have as many records as the upstream says.
    pub(super) fn check_total(&self) -> Result<(), PageError> {
        // A request that names a bound reaches beyond it, and so does its total.
        let is_bounded = [&self.range.lower, &self.range.upper].iter().any(|bound| matches!(bound, Some(Bound::At(_))));
        match self.total.filter(|total| self.records < *total && !is_bounded) {
            Some(total) => Err(PageError::TotalDisagrees { records: self.records, total }),
            None => Ok(()),
        }
    }
}
