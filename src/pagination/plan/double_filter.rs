//! Doubles: records whose key came before, anywhere in the crawl.
//!
//! A double is judged by its place, since what it shows depends on that:
//!
//! | place of the first one | shows |
//! |---|---|
//! | the same page, with the same bytes | nothing: a page is of one moment, so the upstream lists the record twice |
//! | the end of what came, which the page begins with | nothing: pages may overlap, and numbered ones do where records were inserted before them |
//! | anywhere else | that the upstream's order isn't one, or that records moved |
//!
//! With other bytes the record changed, or the key isn't unique.

use memchr::memchr_iter;

use super::double_counts::Doubles;
use super::fingerprint::hash_of;
use super::newest_records::NewestRecords;
use super::observed_overlap::KnownRecord;
use super::shared_key_set::CrawlKeys;
use crate::batch::{Batch, KeyRelation, LineKey};
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::keys::KeyReader;
use crate::pagination::path::Path;
use crate::pagination::record_settings::OnDouble;
use crate::pagination::settings::Pagination;

/// Filter of one walk: lets each record through once.
#[derive(Debug)]
pub(super) struct DoubleFilter {
    reader: KeyReader,
    policy: OnDouble,
    extent: FilterExtent,
    keys: CrawlKeys,
    newest: NewestRecords,
    /// Number of the page's records that have left.
    left: usize,
    overlap: OverlapState,
    /// Doubles of the page, and of the pages before it.
    doubles: Doubles,
    earlier: Doubles,
}

/// Records that a filter sees of its crawl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FilterExtent {
    All,
    /// Those of one part: others have keys in the same set.
    Part,
}

/// Comparison of a page's start with the end of what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum OverlapState {
    #[default]
    Start,
    /// All records so far have come in this order: place of the last one, counted from the end, and its key.
    Inside(usize, Box<[u8]>),
    Over,
}

/// Place of the first record with the key of a double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DoublePlace {
    Page(Bytewise),
    Overlap(Bytewise),
    Elsewhere,
}

/// Comparison of two records with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytewise {
    Same,
    Changed,
}

impl DoubleFilter {
    /// The filter of a pagination; none where it has no key.
    pub(super) fn of(pagination: &Pagination) -> Option<Self> {
        let extent = if pagination.partition.is_some() { FilterExtent::Part } else { FilterExtent::All };
        let key = pagination.key.as_ref().filter(|_| pagination.watches_moves())?;
        Some(Self::new(key, pagination.on_double, extent))
    }

    fn new(key: &Path, policy: OnDouble, extent: FilterExtent) -> Self {
        Self {
            reader: KeyReader::new(key),
            policy,
            extent,
            keys: CrawlKeys::default(),
            newest: NewestRecords::default(),
            left: 0,
            overlap: OverlapState::Start,
            doubles: Doubles::default(),
            earlier: Doubles::default(),
        }
    }

    pub(super) fn share(&mut self, keys: &CrawlKeys) {
        self.keys = keys.clone();
    }

    /// Returns the records of a batch, but for the `known` ones, whose indexes ascend, and for doubles; an error where a double
    /// must break the stream.
    pub(super) fn pass(&mut self, batch: Batch, known: &[usize], is_numbered: bool) -> Result<Batch, PageError> {
        let batch = self.reader.keyed(batch)?;
        let mut dropped = Vec::new();
        let shared = self.keys.clone();
        let mut set = shared.lock();
        let keys = batch.keys().unwrap_or_default();
        let mut rest = batch.lines().as_ref();
        let mut known = known.iter().copied().peekable();
        let (mut at, mut behind) = (0, 0);
        while let Some(key) = keys.get(at) {
            let is_known = known.next_if_eq(&at).is_some();
            let text = batch.key(*key);
            if !is_known {
                let end = known.peek().map_or(keys.len(), |next| (at + 1).max(*next));
                let new = match text {
                    Some(text) => set.insert_run(text, run_length(&keys[at..end])),
                    None => Ok(1),
                };
                let new = new.map_err(|lost| PageError::KeysLost(lost.to_string()))?;
                self.doubles.keyless += u64::from(text.is_none());
                if new > 0 {
                    if self.overlap != OverlapState::Over {
                        self.end_overlap()?;
                    }
                    at += new;
                    continue;
                }
            }
            // What has left of this batch is among the newest records.
            self.leave(&batch, split_lines(&mut rest, at - behind), at - behind);
            let line = split_lines(&mut rest, 1);
            if !is_known {
                let text = text.unwrap_or_default();
                let place = self.place_of(text, line)?;
                self.judge(place, is_numbered, text)?;
            }
            dropped.push(at);
            at += 1;
            behind = at;
        }
        drop(set);
        self.leave(&batch, rest, keys.len() - behind);
        Ok(batch.without(&dropped))
    }

    fn leave(&mut self, batch: &Batch, lines: &[u8], records: usize) {
        self.left += records;
        self.newest.push(batch.lines().slice_ref(lines));
    }

    /// Compares known records with those that left, as far as these are among the newest.
    pub(super) fn compare(&self, batch: &Batch, known: &mut [KnownRecord]) -> Result<(), PageError> {
        let keys = batch.keys().unwrap_or_default();
        let (mut lines, mut next): (&[u8], usize) = (batch.lines(), 0);
        let mut behind: &[u8] = &[];
        for record in known {
            split_lines(&mut lines, record.at - next);
            next = record.at + 1;
            let line = split_lines(&mut lines, 1).trim_ascii();
            let text = batch.key(keys[record.at]).unwrap_or_default();
            let first = self.newest.find_next(text, &self.reader, &mut behind)?;
            record.line = hash_of(line);
            record.is_changed = first.is_some_and(|first| first.trim_ascii() != line);
        }
        Ok(())
    }

    /// Notes the keys of records that have left before.
    pub(super) fn recall(&mut self, records: &Batch) -> Result<(), PageError> {
        let mut set = self.keys.lock();
        for text in records.keys().unwrap_or_default().iter().filter_map(|key| records.key(*key)) {
            set.insert(text).map_err(|lost| PageError::KeysLost(lost.to_string()))?;
        }
        drop(set);
        self.newest.push(records.lines().clone());
        Ok(())
    }

    pub(super) fn end_page(&mut self) {
        self.left = 0;
        self.overlap = OverlapState::Start;
        self.earlier.add(std::mem::take(&mut self.doubles));
    }

    /// Doubles of the page so far.
    pub(super) fn doubles(&self) -> Doubles {
        self.doubles
    }

    pub(super) fn total(&self) -> Doubles {
        self.earlier
    }

    fn place_of(&mut self, key: &[u8], line: &[u8]) -> Result<DoublePlace, PageError> {
        let Some((back, first)) = self.newest.find(key, &self.reader)? else {
            self.overlap = OverlapState::Over;
            return Ok(DoublePlace::Elsewhere);
        };
        let bytes = if first.trim_ascii() == line.trim_ascii() { Bytewise::Same } else { Bytewise::Changed };
        if back < self.left {
            return Ok(DoublePlace::Page(bytes));
        }
        let goes_on = match &self.overlap {
            OverlapState::Start => true,
            OverlapState::Inside(last, _) => back + 1 == *last,
            OverlapState::Over => false,
        };
        self.overlap = if goes_on { OverlapState::Inside(back, key.into()) } else { OverlapState::Over };
        Ok(if goes_on { DoublePlace::Overlap(bytes) } else { DoublePlace::Elsewhere })
    }

    /// Ends the overlap before a new record. What the page begins with must be the end of what came: else a record behind it has moved.
    fn end_overlap(&mut self) -> Result<(), PageError> {
        match (std::mem::replace(&mut self.overlap, OverlapState::Over), self.policy) {
            (OverlapState::Inside(1.., key), OnDouble::Fail) => Err(PageError::NoOrder { key: excerpt_of(&key) }),
            (OverlapState::Inside(1.., _), OnDouble::Drop) => {
                self.doubles.moved += 1;
                Ok(())
            }
            (OverlapState::Inside(0, _) | OverlapState::Start | OverlapState::Over, _) => Ok(()),
        }
    }

    /// Decides on a double by what it shows. [`OnDouble::Fail`] is the default because a clean end would claim what the double refutes.
    fn judge(&mut self, double: DoublePlace, is_numbered: bool, key: &[u8]) -> Result<(), PageError> {
        let key = || excerpt_of(key);
        let shows = match double {
            DoublePlace::Page(Bytewise::Same) | DoublePlace::Overlap(Bytewise::Same) => None,
            DoublePlace::Page(Bytewise::Changed) | DoublePlace::Overlap(Bytewise::Changed) => {
                Some(PageError::DoubleChanged { key: key() })
            }
            DoublePlace::Elsewhere if self.extent == FilterExtent::Part => {
                Some(PageError::DoubleInParts { key: key() })
            }
            DoublePlace::Elsewhere => Some(PageError::NoOrder { key: key() }),
        };
        match (shows, self.policy) {
            (Some(error), OnDouble::Fail) => return Err(error),
            (Some(_), OnDouble::Drop) => self.doubles.moved += 1,
            (None, _) => {}
        }
        self.doubles.dropped += 1;
        self.doubles.within += u64::from(double == DoublePlace::Page(Bytewise::Same));
        self.doubles.inserted += u64::from(is_numbered && double == DoublePlace::Overlap(Bytewise::Same));
        Ok(())
    }
}

/// Number of keys that count up from the first one, which is one of them.
fn run_length(keys: &[LineKey]) -> usize {
    1 + keys.iter().skip(1).take_while(|key| key.relation == KeyRelation::Next).count()
}

/// Takes the first `count` lines off.
fn split_lines<'a>(lines: &mut &'a [u8], count: usize) -> &'a [u8] {
    let end = match count.checked_sub(1) {
        Some(nth) => memchr_iter(b'\n', lines).nth(nth).map_or(lines.len(), |newline| newline + 1),
        None => 0,
    };
    let (first, rest) = lines.split_at(end);
    *lines = rest;
    first
}

fn excerpt_of(key: &[u8]) -> String {
    excerpt(&String::from_utf8_lossy(key))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn batch(ids: &[u64]) -> Batch {
        lines(&ids.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect::<String>())
    }

    fn lines(lines: &str) -> Batch {
        Batch::new(Bytes::from(lines.to_owned()), lines.lines().count() as u64)
    }

    fn filter(policy: OnDouble) -> DoubleFilter {
        DoubleFilter::new(&"id".parse().unwrap(), policy, FilterExtent::All)
    }

    const POINTED: bool = false;
    const NUMBERED: bool = true;

    /// Result of two pages: the ids that leave, and the doubles.
    fn two(
        policy: OnDouble,
        is_numbered: bool,
        first: &[u64],
        second: &[u64],
    ) -> Result<(Vec<u64>, Doubles), PageError> {
        let mut filter = filter(policy);
        let mut left = vec![filter.pass(batch(first), &[], is_numbered)?];
        filter.end_page();
        // Pieces don't matter.
        for id in second {
            left.push(filter.pass(batch(&[*id]), &[], is_numbered)?);
        }
        filter.end_page();
        let ids = left.iter().flat_map(Batch::each).map(|line| {
            let digits: String = line.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        });
        Ok((ids.collect(), filter.total()))
    }

    #[test]
    fn pages_that_overlap_at_their_edge_are_one_list() {
        for policy in [OnDouble::Fail, OnDouble::Drop] {
            for (is_numbered, inserted) in [(POINTED, 0), (NUMBERED, 2)] {
                let left = two(policy, is_numbered, &[1, 2, 3, 4], &[3, 4, 5]).unwrap();
                assert_eq!(left, (vec![1, 2, 3, 4, 5], Doubles { dropped: 2, inserted, ..Doubles::default() }));
            }
        }
    }

    #[test]
    fn a_record_that_changed_between_two_pages_is_no_copy() {
        for is_numbered in [POINTED, NUMBERED] {
            let mut filter = filter(OnDouble::Fail);
            filter.pass(lines("{\"id\":1,\"n\":1}\n"), &[], is_numbered).unwrap();
            filter.end_page();
            let changed = filter.pass(lines("{\"id\":1,\"n\":2}\n{\"id\":2}\n"), &[], is_numbered);
            assert!(matches!(changed, Err(PageError::DoubleChanged { .. })));
        }
    }

    #[test]
    fn a_double_out_of_its_place_shows_that_there_is_no_order() {
        for second in [&[4, 3, 5], &[5, 3, 6], &[3, 5, 6]] {
            assert!(matches!(two(OnDouble::Fail, POINTED, &[1, 2, 3, 4], second), Err(PageError::NoOrder { .. })));
            let (ids, doubles) = two(OnDouble::Drop, POINTED, &[1, 2, 3, 4], second).unwrap();
            assert!(ids.is_sorted() && doubles.moved == 1, "{ids:?} {doubles:?}");
        }
    }

    #[test]
    fn a_record_twice_in_a_page_is_one_and_with_other_bytes_a_key_that_is_none() {
        let mut filter = filter(OnDouble::Fail);
        let left = filter.pass(lines("{\"id\":1,\"n\":1}\n{\"id\":1,\"n\":1}\n"), &[], POINTED).unwrap();
        assert_eq!((left.records(), filter.doubles()), (1, Doubles { dropped: 1, within: 1, ..Doubles::default() }));
        let changed = filter.pass(lines("{\"id\":1,\"n\":2}\n"), &[], POINTED);
        assert!(matches!(changed, Err(PageError::DoubleChanged { .. })));
    }

    #[test]
    fn records_without_a_key_are_all_let_through() {
        let mut filter = filter(OnDouble::Fail);
        let without = "{\"n\":1}\n{\"n\":1}\n{\"id\":null}\n{\"id\":null}\n";
        assert_eq!(filter.pass(lines(without), &[], POINTED).unwrap().records(), 4);
    }

    #[test]
    fn parts_share_the_keys_of_their_crawl() {
        let keys = CrawlKeys::default();
        let of_part = |policy| {
            let mut filter = DoubleFilter::new(&"id".parse().unwrap(), policy, FilterExtent::Part);
            filter.share(&keys);
            filter
        };
        let (mut one, mut other) = (of_part(OnDouble::Fail), of_part(OnDouble::Drop));
        assert_eq!(one.pass(batch(&[1, 2]), &[], POINTED).unwrap().records(), 2);
        assert_eq!(other.pass(batch(&[2, 3]), &[], POINTED).unwrap().records(), 1);
        assert!(matches!(one.pass(batch(&[3]), &[], POINTED), Err(PageError::DoubleInParts { .. })));
    }
}
