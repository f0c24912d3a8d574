//! Journal of a snapshot: the facts about its lines, as text that stays readable wherever it is cut.
//!
//! # Constraints
//!
//! - A process may be killed at any instant, and a machine may lose its power: a later reader gets a prefix of the entries, and never an
//!   entry that was not written, or not at this place.
//! - An entry speaks only of bytes that were written to the file of lines before it. Nothing waits for the disk, since a kill loses nothing that was
//!   handed to the kernel. A power cut may lose bytes that the journal speaks of; their hashes tell.
//! - It holds no credentials. It is text, so that it can be read without unpage.
//! - It is much smaller than the lines, and is read without them.
//!
//! # Layout
//!
//! A journal is a list of lines. Each is
//!
//! ```text
//! CHECKSUM SPACE JSON NEWLINE
//! ```
//!
//! CHECKSUM is XXH3-64 of the JSON's bytes as 16 small hexadecimal digits. Its seed is the checksum of the line before, 0 for the
//! first, so that a line can't be left out, moved or taken from elsewhere. JSON holds no line break. There is one birth, then any number of pages, then at most one end:
//!
//! ```text
//! {"unpage":1,"id":ID,"birth":{…}} ID is null outside of a folder of snapshots
//! {"page":{"bytes":B,"records":R,"hash":H,"note":{…}}} a page is complete: B bytes and R records end with it
//! {"complete":{"bytes":B,"hash":H,"verdict":{…}}} the end is proven, after B bytes
//! {"failed":{"bytes":B,"hash":H,"failure":{…}}} the crawl broke after B bytes, and a retry does not mend it
//! ```
//!
//! H is XXH3-64, in hexadecimal digits, of the bytes between the B of the entry before and this one's. Moments are milliseconds since 1970.
//!
//! # Operations
//!
//! - *Create*: the file of lines is created, then the journal with its birth.
//! - *Append*: one write of one line.
//! - *Read*: up to the first line that is torn, has a wrong checksum or contradicts the lines before it. The bytes after that are noise.
//! - *Resume*: the first append cuts the noise off. Bytes of lines after the last page stay: bytes that are written there must be identical.
//!   A journal line whose page the file of lines has lost is no noise: it and all lines after it stay until the page has come again, with
//!   the same hash.
//! - *Delete*: the journal, then the lines. Lines without a journal are discarded at the next start.
//!
//! # Version
//!
//! `unpage` in the first line is the version of this layout. A reader refuses a newer version and leaves its files alone. The first line of any
//! version is a checksum and JSON that begins with the version.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memchr;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use crate::error::Failure;
use crate::id::SnapshotId;
use crate::pagination::verdict::Verdict;
use crate::snapshot::facts::Birth;
use crate::snapshot::seal::Seal;

/// Version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// Number of digits of a checksum.
const DIGITS: usize = 16;

/// Journal, read up to its first bad line.
#[derive(Debug)]
pub struct Journal<'a> {
    pub id: Option<SnapshotId>,
    pub birth: Birth,
    /// End of the birth's line.
    pub born: JournalPosition,
    pub pages: Vec<JournalPage<'a>>,
    pub end: Option<JournalEnd>,
}

/// Complete page.
#[derive(Clone, Copy, Debug)]
pub struct JournalPage<'a> {
    pub extent: PageExtent,
    /// Number of records up to the end of this page.
    pub records: u64,
    /// Note of the crawl: the state to resume from after this page.
    pub note: &'a RawValue,
    /// End of the journal line.
    pub mark: JournalPosition,
}

/// End of a snapshot.
#[derive(Clone, Debug)]
pub struct JournalEnd {
    /// Bytes after the last page.
    pub extent: PageExtent,
    pub seal: Seal,
    /// End of the journal line.
    pub mark: JournalPosition,
}

/// Bytes of the file of lines, from the end of the previous extent to `bytes`, with their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageExtent {
    pub bytes: u64,
    pub hash: u64,
}

/// Position in a journal after a complete line: the length up to there, and the checksum of the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalPosition {
    pub length: u64,
    checksum: u64,
}

/// Error of a journal without a readable first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("its journal has no first line")]
    NoBirth,
    #[error("its journal has version {0}, which a newer unpage has written")]
    Newer(u32),
}

/// Any line after the birth.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum JournalLine<'a> {
    Page {
        bytes: u64,
        records: u64,
        #[serde(with = "digits")]
        hash: u64,
        #[serde(borrow)]
        note: &'a RawValue,
    },
    Complete {
        bytes: u64,
        #[serde(with = "digits")]
        hash: u64,
        verdict: Cow<'a, Verdict>,
    },
    Failed {
        bytes: u64,
        #[serde(with = "digits")]
        hash: u64,
        failure: Cow<'a, Failure>,
    },
}

#[derive(Serialize, Deserialize)]
struct BirthLine<'a> {
    unpage: u32,
    id: Option<SnapshotId>,
    birth: Cow<'a, Birth>,
}

/// Common part of the first line of all versions.
#[derive(Deserialize)]
struct JournalVersion {
    unpage: u32,
}

impl<'a> Journal<'a> {
    pub fn read(text: &'a [u8]) -> Result<Self, JournalError> {
        let (json, born) = JournalPosition::default().next(text).ok_or(JournalError::NoBirth)?;
        match serde_json::from_str(json) {
            Ok(JournalVersion { unpage: VERSION }) => {}
            Ok(JournalVersion { unpage }) if unpage > VERSION => return Err(JournalError::Newer(unpage)),
            _ => return Err(JournalError::NoBirth),
        }
        let BirthLine { id, birth, .. } = serde_json::from_str(json).map_err(|_| JournalError::NoBirth)?;
        let mut journal = Self { id, birth: birth.into_owned(), born, pages: Vec::new(), end: None };
        while journal.end.is_none()
            && let Some((json, mark)) = journal.mark().next(text)
            && let Ok(line) = serde_json::from_str(json)
            && journal.take(line, mark).is_some()
        {}
        Ok(journal)
    }

    /// Returns the end of the last good line.
    pub fn mark(&self) -> JournalPosition {
        let page = self.pages.last().map(|page| page.mark);
        self.end.as_ref().map(|end| end.mark).or(page).unwrap_or(self.born)
    }

    /// Returns the numbers of bytes and records in complete pages.
    pub fn extent(&self) -> (u64, u64) {
        self.pages.last().map_or((0, 0), |page| (page.extent.bytes, page.records))
    }

    /// Adds a line. Returns `None` if it contradicts the lines before it.
    fn take(&mut self, line: JournalLine<'a>, mark: JournalPosition) -> Option<()> {
        let (before, records_before) = self.extent();
        let extent = |bytes, hash| (bytes >= before).then_some(PageExtent { bytes, hash });
        let (extent, seal) = match line {
            JournalLine::Page { bytes, records, hash, note } if records >= records_before => {
                self.pages.push(JournalPage { extent: extent(bytes, hash)?, records, note, mark });
                return Some(());
            }
            JournalLine::Page { .. } => return None,
            JournalLine::Complete { bytes, hash, verdict } => {
                (extent(bytes, hash)?, Seal::Complete(verdict.into_owned()))
            }
            JournalLine::Failed { bytes, hash, failure } => {
                (extent(bytes, hash)?, Seal::Failed(Arc::new(failure.into_owned())))
            }
        };
        self.end = Some(JournalEnd { extent, seal, mark });
        Some(())
    }
}

impl JournalPosition {
    /// Formats the first line of a journal. Returns it with the position after it.
    pub(super) fn birth(id: Option<SnapshotId>, birth: &Birth) -> (String, Self) {
        Self::default().append(&BirthLine { unpage: VERSION, id, birth: Cow::Borrowed(birth) })
    }

    /// Formats a line for this position. Returns it with the position after it.
    pub(super) fn line(self, line: &JournalLine<'_>) -> (String, Self) {
        self.append(line)
    }

    fn append(self, value: &impl Serialize) -> (String, Self) {
        let json =
            serde_json::to_string(value).expect("its maps have names for keys, and no value refuses to be written");
        // The crawl's JSON may have line breaks between tokens.
        let json = json.replace(['\n', '\r'], " ");
        let checksum = XxHash3_64::oneshot_with_seed(self.checksum, json.as_bytes());
        let line = format!("{checksum:016x} {json}\n");
        let length = self.length + line.len() as u64;
        (line, Self { length, checksum })
    }

    /// Returns the JSON of the line at this position if it is complete and was written for it.
    fn next(self, text: &[u8]) -> Option<(&str, Self)> {
        let rest = text.get(usize::try_from(self.length).ok()?..)?;
        let line = &rest[..memchr(b'\n', rest)?];
        let (digits, json) = line.split_at_checked(DIGITS)?;
        let json = json.strip_prefix(b" ")?;
        let checksum = XxHash3_64::oneshot_with_seed(self.checksum, json);
        if digits != format!("{checksum:016x}").as_bytes() {
            return None;
        }
        Some((std::str::from_utf8(json).ok()?, Self { length: self.length + line.len() as u64 + 1, checksum }))
    }
}

/// Serialises a hash as 16 hexadecimal digits: not every reader of JSON keeps 64 bits of a number.
mod digits {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        u64::from_str_radix(text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
impl JournalPosition {
    /// Formats the first line of another version.
    pub(in crate::snapshot) fn of_version(version: u32) -> String {
        Self::default().append(&serde_json::json!({ "unpage": version, "birth": "in other words" })).0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Fault;

    fn note(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    /// Formats a journal of `pages` pages. Returns it with the end of each line.
    fn journal(pages: u64, seal: Option<&Seal>) -> (String, Vec<u64>) {
        let (mut text, mut mark) = JournalPosition::birth(None, &Birth::in_test("/orders"));
        let (mut ends, note) = (vec![mark.length], note("{\"next\":\r\n [\"é\\n\", 12345678901234567890]}"));
        let mut add = |line: &JournalLine<'_>| {
            let (more, next) = mark.line(line);
            text.push_str(&more);
            mark = next;
            ends.push(mark.length);
        };
        for page in 0..pages {
            add(&JournalLine::Page { bytes: page * 7, records: page, hash: page << 60, note: &note });
        }
        match seal {
            Some(Seal::Complete(verdict)) => {
                add(&JournalLine::Complete { bytes: pages * 7, hash: 1, verdict: Cow::Borrowed(verdict) });
            }
            Some(Seal::Failed(failure)) => {
                add(&JournalLine::Failed { bytes: pages * 7, hash: 1, failure: Cow::Borrowed(failure) });
            }
            None => {}
        }
        (text, ends)
    }

    fn complete() -> Seal {
        Seal::Complete(Verdict::in_test(3, 4))
    }

    /// Returns the number of good lines, and checks that they are those that were written.
    fn good(text: &[u8], whole: &str) -> usize {
        let Ok(journal) = Journal::read(text) else { return 0 };
        assert_eq!(
            text[..usize::try_from(journal.mark().length).unwrap()],
            whole.as_bytes()[..usize::try_from(journal.mark().length).unwrap()]
        );
        1 + journal.pages.len() + usize::from(journal.end.is_some())
    }

    #[test]
    fn a_written_journal_is_read() {
        let failed = Seal::Failed(Arc::new(Failure::new(Fault::Unproven, "what", "hint")));
        for seal in [complete(), failed] {
            let (text, ends) = journal(3, Some(&seal));
            let read = Journal::read(text.as_bytes()).unwrap();
            assert_eq!(read.extent(), (14, 2));
            assert_eq!(read.pages[2].extent, PageExtent { bytes: 14, hash: 2 << 60 });
            assert_eq!(read.pages[0].note.get(), "{\"next\":   [\"é\\n\", 12345678901234567890]}");
            assert_eq!(read.birth.facts, Birth::in_test("/orders").facts);
            let end = read.end.unwrap();
            assert_eq!((format!("{:?}", end.seal), end.extent.bytes), (format!("{seal:?}"), 21));
            assert_eq!(end.mark.length, *ends.last().unwrap());
        }
    }

    #[test]
    fn a_cut_anywhere_leaves_whole_entries() {
        let (text, ends) = journal(3, Some(&complete()));
        for cut in 0..=text.len() {
            let whole = ends.iter().filter(|end| **end <= cut as u64).count();
            assert_eq!(good(&text.as_bytes()[..cut], &text), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_leaves_the_entries_before_it() {
        let (text, ends) = journal(3, Some(&complete()));
        for at in 0..text.len() {
            let before = ends.iter().filter(|end| **end <= at as u64).count();
            for bit in 0..8 {
                let mut flipped = text.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                assert_eq!(good(&flipped, &text), before, "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        /// Lines that are left out, moved, doubled or another journal's end it.
        #[test]
        fn lines_count_only_where_they_were_written(order in prop::collection::vec(0_usize..6, 0..8)) {
            let (text, _) = journal(4, Some(&complete()));
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            let mixed: String = order.iter().map(|line| lines[*line]).collect();
            let whole = order.iter().enumerate().take_while(|(at, line)| at == *line).count();
            prop_assert_eq!(good(mixed.as_bytes(), &text), whole);
        }
    }

    #[test]
    fn a_contradiction_ends_the_journal() {
        let (text, mark) = JournalPosition::birth(None, &Birth::in_test("/orders"));
        let note = note("1");
        let page = |bytes, records| JournalLine::Page { bytes, records, hash: 0, note: &note };
        let read = |lines: &[JournalLine<'_>]| {
            let (mut text, mut mark) = (text.clone(), mark);
            for line in lines {
                let (more, next) = mark.line(line);
                text.push_str(&more);
                mark = next;
            }
            Journal::read(text.as_bytes()).unwrap().pages.len()
        };
        assert_eq!(read(&[page(5, 2), page(5, 2)]), 2);
        assert_eq!(read(&[page(5, 2), page(4, 2)]), 1);
        assert_eq!(read(&[page(5, 2), page(5, 1)]), 1);
        let failure = Cow::Owned(Failure::new(Fault::Stopped, "", ""));
        assert_eq!(read(&[page(5, 2), JournalLine::Failed { bytes: 5, hash: 0, failure }, page(6, 3)]), 1);
    }

    #[test]
    fn another_version_is_told_from_noise() {
        assert_eq!(Journal::read(JournalPosition::of_version(2).as_bytes()).unwrap_err(), JournalError::Newer(2));
        assert_eq!(Journal::read(JournalPosition::of_version(0).as_bytes()).unwrap_err(), JournalError::NoBirth);
        assert_eq!(Journal::read(b"").unwrap_err(), JournalError::NoBirth);
    }
}
