//! Release of a page's records: at once, at the page's end, or never.

use super::double_counts::Doubles;
use super::double_filter::DoubleFilter;
use super::fingerprint::{Fingerprint, first_line, has_line};
use super::observed_overlap::KnownRecord;
use super::page_edge::PageEdge;
use super::shared_key_set::CrawlKeys;
use crate::batch::Batch;
use crate::pagination::error::PageError;
use crate::pagination::keys::KeyReader;
use crate::pagination::path::Path;
use crate::pagination::record_values::values_of;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::Style;

/// Records of the page that is arriving, and the last record before it.
#[derive(Debug)]
pub(super) struct RecordRelease {
    /// Reader of the keys that tell records apart; without one, their bytes do.
    reader: Option<KeyReader>,
    detection: MoveDetection,
    /// Filter by keys; none where no key is configured.
    doubles: Option<DoubleFilter>,
    key: Option<Path>,
    /// Comparison of the page's first record with the last one before it.
    edge: Option<PageEdge>,
    /// The current page is addressed by a number.
    is_numbered: bool,
    attempt: Attempt,
    page: Fingerprint,
    /// Number of records of the page that pages before held.
    overlap: u64,
    policy: ReleasePolicy,
    /// Records that wait for the page's end.
    withheld: Vec<WithheldBatch>,
    /// Number of bytes that may wait so.
    withheld_limit: u64,
    /// The last record before this page stands in it, too.
    has_moved: bool,
    /// Last record before this page.
    last: Option<Vec<u8>>,
    /// The last record of a page is looked for in the next one, or names its address. A large one is not kept for nothing.
    needs_last: bool,
}

/// Records that wait for their page's end.
#[derive(Debug)]
struct WithheldBatch {
    batch: Batch,
    /// Indexes of those that pages before held.
    known: Vec<usize>,
}

/// Time at which the records of a page leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReleasePolicy {
    /// As they come.
    #[default]
    Now,
    /// Release when the page is whole: until then it may be a repetition of an earlier one.
    AtTheEnd,
    /// Never: the page was only asked for to confirm the end.
    Never,
}

/// Evidence without a key that records were inserted before the current page, which pushes the last ones of the page before into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MoveDetection {
    /// None: pages are not numbered, or equal records may be different ones.
    Off,
    /// A record that comes twice, while the total grew.
    ByTotal,
}

/// Progress of the attempts at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// No head has come.
    Pending,
    /// The head of one of them has come.
    Begun,
}

impl RecordRelease {
    pub(super) fn new(pagination: &Pagination, withheld_limit: u64) -> Self {
        // Pages that point to each other may be numbered underneath.
        let may_be_numbered = pagination.style.is_numbered() || pagination.style.is_pointed();
        let detection = match (&pagination.key, pagination.total_source()) {
            _ if !may_be_numbered => MoveDetection::Off,
            (None, Some(_)) => MoveDetection::ByTotal,
            // Doubles are found by their keys.
            (Some(_), _) | (None, None) => MoveDetection::Off,
        };
        Self {
            reader: pagination.key.as_ref().map(KeyReader::new),
            detection,
            doubles: DoubleFilter::of(pagination),
            key: pagination.key.clone().filter(|_| pagination.watches_moves()),
            edge: PageEdge::of(pagination),
            is_numbered: pagination.style.is_numbered(),
            attempt: Attempt::Pending,
            page: Fingerprint::default(),
            overlap: 0,
            policy: ReleasePolicy::Now,
            withheld: Vec::new(),
            withheld_limit,
            has_moved: false,
            last: None,
            needs_last: detection != MoveDetection::Off
                || matches!(pagination.style, Style::Keyset(_))
                || pagination.records.last_may_be_error(),
        }
    }

    /// Forgets the page before, but for its last record.
    pub(super) fn start_page(&mut self) {
        (self.attempt, self.page, self.overlap, self.policy) =
            (Attempt::Pending, Fingerprint::default(), 0, ReleasePolicy::Now);
        (self.withheld, self.has_moved) = (Vec::new(), false);
        self.edge.iter_mut().for_each(PageEdge::start_page);
    }

    /// Notes the kind of the next page's address.
    pub(super) fn set_numbered(&mut self, is_numbered: bool) {
        self.is_numbered = is_numbered;
    }

    /// Compares keys with those of other walks of the crawl, too.
    pub(super) fn share_keys(&mut self, keys: &CrawlKeys) {
        self.doubles.iter_mut().for_each(|doubles| doubles.share(keys));
    }

    /// Takes the filter out: the walk's records then leave with their doubles.
    pub(super) fn take_double_filter(&mut self) -> Option<DoubleFilter> {
        self.doubles.take()
    }

    /// Notes that an attempt at the page has brought its head.
    pub(super) fn begin(&mut self) {
        self.attempt = Attempt::Begun;
    }

    pub(super) fn has_begun(&self) -> bool {
        self.attempt == Attempt::Begun
    }

    /// Notes the hash of all lines of a page that is whole.
    pub(super) fn finish_page(&mut self, hash: u64) {
        self.page.finish(hash);
    }

    pub(super) fn page(&self) -> &Fingerprint {
        &self.page
    }

    /// Number of records that no page before had.
    pub(super) fn new_records(&self) -> u64 {
        self.page.records() - self.overlap
    }

    /// The batch with its keys, where they tell records apart.
    fn keyed(&self, batch: Batch) -> Result<Batch, PageError> {
        let Some(reader) = &self.reader else { return Ok(batch) };
        reader.keyed(batch)
    }

    /// Takes the next records; returns them with their keys, and true if they are the page's first.
    pub(super) fn add(&mut self, batch: Batch) -> Result<(Batch, bool), PageError> {
        let (batch, is_first) = (self.keyed(batch)?, self.page.records() == 0);
        self.page.add(&batch);
        if self.needs_last {
            self.page.keep_last(&batch);
        }
        let start = self.page.start();
        self.edge.as_mut().map_or(Ok(()), |edge| edge.add(&batch, start))?;
        Ok((batch, is_first))
    }

    /// Returns true if the page begins with the record of the page before, as pages of a keyset with an overlap do.
    pub(super) fn begins_with_last(&self, batch: &Batch, key: Option<&[Path]>) -> Result<bool, PageError> {
        let (Some(key), Some(last)) = (key, &self.last) else { return Ok(false) };
        let first = first_line(batch.lines());
        if values_of(first, key)? != values_of(last, key)? {
            return Ok(false);
        }
        if first.trim_ascii() != last.trim_ascii() { Err(PageError::KeyIsShared) } else { Ok(true) }
    }

    /// Compares known records of a batch with those that left.
    pub(super) fn compare(&self, batch: &Batch, known: &mut [KnownRecord]) -> Result<(), PageError> {
        self.doubles.as_ref().map_or(Ok(()), |doubles| doubles.compare(batch, known))
    }

    /// Counts records that pages before held.
    pub(super) fn count_known(&mut self, records: usize) {
        self.overlap += records as u64;
    }

    pub(super) fn set_policy(&mut self, policy: ReleasePolicy) {
        self.policy = policy;
    }

    /// Returns the records of the batch that was added last, as far as they may leave now: all but those at the indexes `known`.
    pub(super) fn pass(&mut self, batch: Batch, known: Vec<usize>) -> Result<Batch, PageError> {
        self.look_for_moved(&batch);
        match self.policy {
            ReleasePolicy::Now => {
                self.check_edge()?;
                match &mut self.doubles {
                    Some(doubles) => doubles.pass(batch, &known, self.is_numbered),
                    None => Ok(batch.without(&known)),
                }
            }
            ReleasePolicy::AtTheEnd => {
                self.withheld.push(WithheldBatch { batch, known });
                let bytes: usize = self.withheld.iter().map(|withheld| withheld.batch.lines().len()).sum();
                if bytes as u64 > self.withheld_limit {
                    return Err(PageError::WholePageTooLarge(self.withheld_limit));
                }
                Ok(Batch::default())
            }
            ReleasePolicy::Never => Ok(Batch::default()),
        }
    }

    /// Compares the keys of records that waited; their page is no repetition, and `pages` came before it.
    pub(super) fn compare_withheld(&mut self, pages: u64) -> Result<(), PageError> {
        self.check_edge()?;
        for WithheldBatch { batch, known } in &mut self.withheld {
            let waited = std::mem::take(batch);
            *batch = match &mut self.doubles {
                Some(doubles) => doubles.pass(waited, known, self.is_numbered)?,
                None => waited.without(known),
            };
        }
        // A key that no record has compares nothing.
        let is_nowhere = pages == 0 && self.page.records() > 0 && self.doubles().keyless == self.page.records();
        self.key.as_ref().filter(|_| is_nowhere).map_or(Ok(()), |key| Err(PageError::KeyNowhere(key.clone())))
    }

    /// Notes the keys of records that left before the walk was interrupted, and returns the records with them.
    pub(super) fn recall(&mut self, records: Batch) -> Result<Batch, PageError> {
        let records = self.keyed(records)?;
        self.doubles.as_mut().map_or(Ok(()), |doubles| doubles.recall(&records))?;
        Ok(records)
    }

    /// Doubles of the page so far.
    pub(super) fn doubles(&self) -> Doubles {
        self.doubles.as_ref().map(DoubleFilter::doubles).unwrap_or_default()
    }

    pub(super) fn is_numbered(&self) -> bool {
        self.is_numbered
    }

    fn check_edge(&self) -> Result<(), PageError> {
        self.edge.as_ref().map_or(Ok(()), PageEdge::check)
    }

    fn looks_for_moved(&self) -> bool {
        self.is_numbered && self.detection != MoveDetection::Off
    }

    fn look_for_moved(&mut self, batch: &Batch) {
        let last = self.last.as_ref().filter(|_| self.looks_for_moved() && !self.has_moved);
        if last.is_none_or(|last| !has_line(batch.lines(), last)) {
            return;
        }
        self.has_moved = true;
        if self.policy == ReleasePolicy::Now {
            self.policy = ReleasePolicy::AtTheEnd;
        }
    }

    /// Checks the whole page for records that were pushed into it; `pages` have come before it.
    pub(super) fn check_moved(&self, total_grew: bool, pages: u64) -> Result<(), PageError> {
        if self.has_moved && total_grew { Err(PageError::Moved(pages)) } else { Ok(()) }
    }

    /// Ends the page, which is good: returns the records that waited, and `rest` behind them.
    pub(super) fn end_page(&mut self, rest: Batch) -> Vec<Batch> {
        if self.page.records() > 0 && self.needs_last {
            self.last = Some(self.page.take_last_record());
        }
        if let Some(doubles) = &mut self.doubles {
            doubles.end_page();
        }
        self.edge.iter_mut().for_each(PageEdge::end_page);
        let waited = std::mem::take(&mut self.withheld).into_iter().map(|withheld| withheld.batch);
        waited.chain([rest]).collect()
    }

    pub(super) fn resume(&mut self, last: Option<Vec<u8>>) {
        self.edge.iter_mut().for_each(|edge| edge.resume(last.as_deref()));
        self.last = last;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::Param;
    use crate::pagination::styles::PageNumber;
    use crate::pagination::value_source::Source;

    fn batch(lines: &'static str) -> Batch {
        Batch::new(Bytes::from_static(lines.as_bytes()), lines.lines().count() as u64)
    }

    fn numbered(key: Option<&str>, total: Option<&str>) -> RecordRelease {
        let style = PageNumber { param: Param::Query("page".to_owned()), start: 1, template: None };
        let mut pagination = Pagination::of(style.into(), Records::at(Path::root()));
        pagination.key = key.map(|key| key.parse().unwrap());
        pagination.total = total.map(|path| Source::Body(path.parse().unwrap()));
        let mut release = RecordRelease::new(&pagination, u64::MAX);
        release.resume(Some(b"{\"id\":2}\n".to_vec()));
        release
    }

    fn pass(release: &mut RecordRelease, lines: &'static str) -> Result<u64, PageError> {
        let (batch, _) = release.add(batch(lines))?;
        release.pass(batch, Vec::new()).map(|batch| batch.records())
    }

    #[test]
    fn a_record_that_comes_twice_leaves_once_by_its_key_and_waits_for_the_total_without_one() {
        let twice = "{\"id\":2}\n{\"id\":3}\n";
        let mut by_key = numbered(Some("id"), None);
        assert_eq!(pass(&mut by_key, "{\"id\":2}\n").unwrap(), 1);
        by_key.end_page(Batch::default());
        by_key.start_page();
        assert_eq!((pass(&mut by_key, twice).unwrap(), by_key.doubles().inserted), (1, 1));
        let mut by_total = numbered(None, Some("total"));
        assert_eq!(pass(&mut by_total, "{\"id\":1}\n").unwrap(), 1);
        assert_eq!(pass(&mut by_total, twice).unwrap(), 0);
        assert!(by_total.check_moved(false, 1).is_ok() && by_total.check_moved(true, 1).is_err());
        let released = by_total.end_page(Batch::default());
        assert_eq!(released.iter().map(Batch::records).sum::<u64>(), 2);
        assert_eq!(pass(&mut numbered(None, None), twice).unwrap(), 2);
    }

    #[test]
    fn what_waits_for_the_end_leaves_with_it_and_what_confirms_never_does() {
        for (policy, expected) in
            [(ReleasePolicy::Now, (1, 0)), (ReleasePolicy::AtTheEnd, (0, 1)), (ReleasePolicy::Never, (0, 0))]
        {
            let mut release = numbered(None, None);
            release.start_page();
            release.set_policy(policy);
            let now = pass(&mut release, "{\"id\":9}\n").unwrap();
            let later = release.end_page(Batch::default()).iter().map(Batch::records).sum();
            assert_eq!((now, later), expected, "{policy:?}");
        }
    }
}
