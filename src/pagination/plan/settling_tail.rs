//! Tail of a list that is sorted by time, which is read again when late records have had time to appear.
//!
//! A page is final if its last time lies further than `settle` before the moment of its answer (`Date`): each record is taken to appear
//! within `settle` of its time. The pages behind the first final ones are read again, up to the last time that came, when that is as old:
//!
//! ```text
//!   Reading ── an end is proven ──▶ Again ── a later record, or an end ──▶ Settled
//! ```

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::first_line;
use crate::batch::Batch;
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::keys::KeyReader;
use crate::pagination::path::Path;
use crate::pagination::proof::Proof;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::Style;
use crate::pagination::unsettled::Unsettled;

#[derive(Debug)]
pub(super) struct SettlingTail {
    settle: Duration,
    path: Path,
    reader: KeyReader,
    note: TailNote,
}

/// State for a checkpoint; times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TailNote {
    /// Key of the last record of the final pages; none where the first page is not final.
    anchor: Option<String>,
    /// A page has come that is not final.
    is_open: bool,
    /// Time of the last record that came.
    last: Option<i64>,
    /// Time up to which all records have appeared on the pages that were read again: one of a cache is of an earlier moment.
    until: Option<i64>,
    /// Time from the last answer until the tail is final, by the upstream's clock.
    wait: Option<u64>,
    state: TailState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum TailState {
    #[default]
    Reading,
    /// Read again for the end that this proof has shown; over with the first later record.
    Again(Proof, bool),
    Settled,
}

impl SettlingTail {
    /// Tail of a list with this pagination, if it is to settle.
    pub(super) fn of(pagination: &Pagination) -> Option<Self> {
        let (Some(settle), Style::Keyset(keyset)) = (pagination.settle, &pagination.style) else { return None };
        let path = keyset.key.first()?.clone();
        Some(Self { settle, reader: KeyReader::new(&path), path, note: TailNote::default() })
    }

    /// Takes the next records, the first of which shows where the list begins.
    pub(super) fn add(&mut self, batch: &Batch) -> Result<(), PageError> {
        if self.note.last.is_none() {
            self.note.last = Some(self.second_of(first_line(batch.lines()))?);
        }
        Ok(())
    }

    /// Returns true if the record lies behind the tail that is read again.
    pub(super) fn is_behind(&mut self, line: &[u8]) -> Result<bool, PageError> {
        let TailState::Again(proof, is_over) = self.note.state else { return Ok(false) };
        let is_behind = Some(self.second_of(line)?) > self.note.last;
        self.note.state = TailState::Again(proof, is_over || is_behind);
        Ok(is_behind)
    }

    /// Returns true if a page that ends with this record has passed all records that came before it.
    pub(super) fn has_passed(&self, last: &[u8]) -> Result<bool, PageError> {
        Ok(Some(self.second_of(last)?) > self.note.last)
    }

    /// Takes a whole page that ends with this record and its key, and was answered at `date`, in seconds since 1970.
    pub(super) fn end_page(
        &mut self,
        last: &[u8],
        key: Option<&[u8]>,
        date: Option<u64>,
        goes_back: bool,
    ) -> Result<(), PageError> {
        let date = date.and_then(|date| i64::try_from(date).ok());
        if self.note.state != TailState::Reading {
            let until = date.map(|date| date.saturating_sub(1).saturating_sub_unsigned(self.seconds()));
            self.note.until = [self.note.until, until].into_iter().flatten().min();
            self.note.wait = Some(0);
            return Ok(());
        }
        if !last.is_empty() {
            let last = self.second_of(last)?;
            // A page in front of what came may end there, too, where late records fill it.
            if !goes_back && self.note.last.is_some_and(|before| last < before) {
                return Err(Unsettled::Backwards(self.path.clone()).into());
            }
            self.note.last = self.note.last.max(Some(last));
        }
        // The whole second of the last record must be old enough.
        let settled = self.note.last.unwrap_or(i64::MAX).saturating_add(1).saturating_add_unsigned(self.seconds());
        self.note.wait = date.map(|date| u64::try_from(settled.saturating_sub(date)).unwrap_or(0));
        self.note.is_open |= self.note.wait != Some(0);
        if !self.note.is_open {
            self.note.anchor = key.map(|key| String::from_utf8_lossy(key).into_owned());
        }
        Ok(())
    }

    /// Begins to read the tail again behind an end that is proven. Returns false if it is final.
    pub(super) fn begin(&mut self, proof: Proof) -> bool {
        let is_open = self.note.is_open && self.note.last.is_some();
        self.note.state = if is_open { TailState::Again(proof, false) } else { TailState::Settled };
        is_open
    }

    /// Ends with the proof of the first end, if the tail was read again.
    pub(super) fn end(&mut self) -> Option<Proof> {
        let TailState::Again(proof, _) = self.note.state else { return None };
        self.note.state = TailState::Settled;
        Some(proof)
    }

    pub(super) fn is_read_again(&self) -> bool {
        matches!(self.note.state, TailState::Again(..))
    }

    /// Returns true if a record behind the tail has come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.note.state, TailState::Again(_, true))
    }

    /// Key behind which the tail begins; none for the list's beginning.
    pub(super) fn anchor(&self) -> Option<&[u8]> {
        self.note.anchor.as_deref().map(str::as_bytes)
    }

    /// Time to wait before the next page is asked for, at most the configured one.
    pub(super) fn wait(&self) -> Duration {
        let wait = self.note.wait.map_or(self.settle, |wait| Duration::from_secs(wait).min(self.settle));
        if self.is_read_again() { wait } else { Duration::ZERO }
    }

    /// Second up to whose beginning, at least, the stream has all records.
    pub(super) fn settled(&self) -> Option<Timestamp> {
        let last = self.note.last.filter(|_| self.note.state == TailState::Settled)?;
        Timestamp::from_second(self.note.until.map_or(last, |until| until.min(last))).ok()
    }

    pub(super) fn note(&self) -> &TailNote {
        &self.note
    }

    /// Takes over a note. The time that has passed since is unknown, so that the whole time is waited for.
    pub(super) fn resume(&mut self, note: TailNote) {
        self.note = TailNote { wait: None, ..note };
    }

    /// Time to settle, in whole seconds.
    fn seconds(&self) -> u64 {
        self.settle.as_secs() + u64::from(self.settle.subsec_nanos() > 0)
    }

    fn second_of(&self, line: &[u8]) -> Result<i64, PageError> {
        let text = String::from_utf8_lossy(self.reader.read(line)?.unwrap_or_default());
        let second = second_of(text.trim_matches('"'));
        second.ok_or_else(|| Unsettled::NoTime { path: self.path.clone(), found: excerpt(&text) }.into())
    }
}

/// Second of a time with its offset (RFC 3339), or of a number of seconds, milli-, micro- or nanoseconds since 1970, by its size.
fn second_of(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_second());
    }
    let number = (0..3).fold(text.parse::<f64>().ok()?, |number, _| if number < 1e11 { number } else { number / 1e3 });
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e11")]
    (1e8..1e11).contains(&number).then_some(number.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::{Encode, Param};
    use crate::pagination::styles::{KeyUse, Keyset, Overlap};

    /// Seconds since 1970.
    const START: u64 = 1_760_000_000;

    fn tail(settle: u64) -> SettlingTail {
        let key = vec!["at".parse().unwrap(), "id".parse().unwrap()];
        let (param, usage) = (Param::Query("after".to_owned()), KeyUse::Compared);
        let style = Keyset { key, param, encode: Encode::Plain, overlap: Overlap::None, usage };
        let pagination = Pagination::of(style.into(), Records::at(Path::root()));
        SettlingTail::of(&Pagination { settle: Some(Duration::from_secs(settle)), ..pagination }).unwrap()
    }

    fn end_page(tail: &mut SettlingTail, at: u64, date: Option<u64>) -> Result<(), PageError> {
        let key = format!("[{at},1]");
        tail.end_page(format!("{{\"at\":{at}}}").as_bytes(), Some(key.as_bytes()), date, false)
    }

    #[test]
    fn times_are_read_in_each_unit_and_texts_without_an_offset_are_none() {
        for text in [
            "2026-01-02T03:04:05.678Z",
            "2026-01-02T05:04:05.678+02:00",
            "1767323045",
            "1767323045.5",
            "1767323045678",
            "1767323045678901",
            "1767323045678901234",
        ] {
            assert_eq!(second_of(text), Some(1_767_323_045), "{text}");
        }
        for text in ["2026-01-02T03:04:05", "2026-01-02", "17", "ord_17", "", "-1767323045", "1e30"] {
            assert_eq!(second_of(text), None, "{text}");
        }
    }

    #[test]
    fn pages_are_final_up_to_the_first_that_is_younger_than_the_time_to_settle() {
        let mut tail = tail(30);
        for (at, age, anchor) in [(0, 31, 0), (5, 31, 5), (9, 30, 5), (10, 500, 5)] {
            end_page(&mut tail, START + at, Some(START + at + age)).unwrap();
            assert_eq!(tail.anchor(), Some(format!("[{},1]", START + anchor).as_bytes()), "{at}");
        }
        assert!(tail.begin(Proof::EmptyPage) && tail.is_read_again() && tail.wait() == Duration::ZERO);
        assert_eq!((tail.end(), tail.is_read_again()), (Some(Proof::EmptyPage), false));
        assert_eq!(tail.settled().unwrap().as_second(), i64::try_from(START + 10).unwrap());
    }

    #[test]
    fn a_list_that_is_old_or_empty_is_not_read_again() {
        let mut old = tail(30);
        end_page(&mut old, START, Some(START + 31)).unwrap();
        assert!(!old.begin(Proof::EmptyPage) && old.settled().is_some());
        let mut empty = tail(30);
        empty.end_page(b"", None, Some(START), false).unwrap();
        assert!(!empty.begin(Proof::EmptyPage) && empty.settled().is_none());
    }

    #[test]
    fn the_wait_is_what_the_last_record_lacks_and_never_longer_than_configured() {
        for (date, wait) in [(Some(10), 21), (Some(30), 1), (Some(99), 0), (Some(0), 30), (None, 30)] {
            let mut tail = tail(30);
            end_page(&mut tail, START, None).unwrap();
            end_page(&mut tail, START, date.map(|date| START + date)).unwrap();
            assert_eq!(tail.wait(), Duration::ZERO, "an end is not proven yet");
            assert!(tail.begin(Proof::Flag));
            assert_eq!(tail.wait(), Duration::from_secs(wait), "{date:?}");
            let note = tail.note().clone();
            tail.resume(note);
            assert_eq!(tail.wait(), Duration::from_secs(30), "nothing is known of the time since");
            end_page(&mut tail, START, None).unwrap();
            assert_eq!(tail.wait(), Duration::ZERO, "it has been waited for");
        }
    }

    #[test]
    fn a_page_from_a_cache_settles_no_more_than_its_own_moment() {
        for (age, settled) in [(31, 0), (30, -1), (0, -31)] {
            let mut tail = tail(30);
            end_page(&mut tail, START, None).unwrap();
            assert!(tail.begin(Proof::Flag));
            end_page(&mut tail, START, Some(START + age)).unwrap();
            end_page(&mut tail, START, Some(START + 99)).unwrap();
            assert!(tail.end().is_some());
            assert_eq!(tail.settled().unwrap().as_second(), i64::try_from(START).unwrap() + settled, "{age}");
        }
    }

    #[test]
    fn a_list_that_begins_with_its_newest_records_has_no_such_tail() {
        let mut tail = tail(30);
        tail.add(&Batch::new(format!("{{\"at\":{START}}}\n").into_bytes().into(), 1)).unwrap();
        assert!(matches!(end_page(&mut tail, START - 1, None), Err(PageError::Unsettled(Unsettled::Backwards(_)))));
    }

    #[test]
    fn later_records_are_behind_the_tail() {
        let mut tail = tail(30);
        end_page(&mut tail, START, None).unwrap();
        assert!(tail.begin(Proof::Flag));
        let line = |at: u64| format!("{{\"at\":{at}}}").into_bytes();
        assert!(!tail.is_behind(&line(START)).unwrap() && !tail.is_over());
        assert!(tail.is_behind(&line(START + 1)).unwrap() && tail.is_over());
    }
}
