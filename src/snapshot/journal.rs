//! The journal of a snapshot: what is known of its lines, as text that ends where it was cut.
//!
//! # Constraints
//!
//! - A process may be killed at any instant, and a machine may lose its power: what is read afterwards is a prefix of whole entries, and
//!   never an entry that was not written, or not at this place.
//! - An entry speaks only of bytes that were written to the file of lines before it. Nothing waits for the disk, since a kill loses nothing that was
//!   handed to the kernel. A power cut may lose bytes that the journal speaks of; their hashes tell.
//! - It holds no credentials. Whoever has lost the rest of unpage can still read it: it is text.
//! - It is small beside the lines, and is read without them.
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
//! {"unpage":1,"id":ID,"birth":{…}}                                    what it is a snapshot of; ID is null outside of a folder of snapshots
//! {"page":{"bytes":B,"records":R,"hash":H,"note":{…}}}                a page is whole: up to and with it there are B bytes and R records
//! {"complete":{"bytes":B,"hash":H,"verdict":{…}}}                     all records are there, which is proven, in B bytes
//! {"failed":{"bytes":B,"hash":H,"failure":{…}}}                       the crawl broke after B bytes, and asking again won't mend it
//! ```
//!
//! H is XXH3-64, in hexadecimal digits, of the bytes between the B of the entry before and this one's. Moments are milliseconds since 1970.
//!
//! # Operations
//!
//! - *Begin*: the file of lines is made, then the journal with its birth.
//! - *Append*: one write of one line.
//! - *Read*: up to the first line that is torn, has a wrong checksum or says what can't be: that is the end, and what follows is noise.
//! - *Go on*: the noise is cut off with the first append. Bytes of lines behind the last page stay: what is written there must be the same.
//!   A line whose page the file of lines has lost is no noise: it stays until the page has come again, with the same hash, and so do all behind it.
//! - *Delete*: the journal, then the lines. Lines without a journal are nobody's.
//!
//! # Version
//!
//! `unpage` in the first line is the version of all that is said here. A reader refuses a newer one and leaves its files alone: any version begins
//! with a checksum and JSON that starts with its number.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memchr;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use twox_hash::XxHash3_64;

use super::seal::{Seal, Verdict};
use super::store::Birth;
use crate::error::Failure;
use crate::id::SnapshotId;

/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;

/// How many digits a checksum has.
const DIGITS: usize = 16;

/// A journal, read up to its first bad line.
#[derive(Debug)]
pub struct Journal<'a> {
    pub id: Option<SnapshotId>,
    pub birth: Birth,
    /// The end of the birth's line.
    pub born: Mark,
    pub pages: Vec<Whole<'a>>,
    pub end: Option<Ending>,
}

/// A page that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    pub stretch: Stretch,
    /// Up to and with this page.
    pub records: u64,
    /// What the crawl noted.
    pub note: &'a RawValue,
    /// The end of the line that says so.
    pub mark: Mark,
}

/// How a snapshot ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What was written after the last page.
    pub stretch: Stretch,
    pub seal: Seal,
    /// The end of the line that says so.
    pub mark: Mark,
}

/// A stretch of the file of lines: from the end of the one before up to here, with this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub bytes: u64,
    pub hash: u64,
}

/// A place behind a whole line: how long the journal is up to there, and the line's checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub length: u64,
    checksum: u64,
}

/// Why nothing is known of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("its journal has no first line")]
    NoBirth,
    #[error("its journal has version {0}, which a newer unpage has written")]
    Newer(u32),
}

/// What a line after the birth says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Line<'a> {
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
struct First<'a> {
    unpage: u32,
    id: Option<SnapshotId>,
    birth: Cow<'a, Birth>,
}

/// What the first line of any version has.
#[derive(Deserialize)]
struct Version {
    unpage: u32,
}

impl<'a> Journal<'a> {
    /// Reads a journal.
    pub fn read(text: &'a [u8]) -> Result<Self, Unread> {
        let (json, born) = Mark::default().next(text).ok_or(Unread::NoBirth)?;
        match serde_json::from_str(json) {
            Ok(Version { unpage: VERSION }) => {}
            Ok(Version { unpage }) if unpage > VERSION => return Err(Unread::Newer(unpage)),
            _ => return Err(Unread::NoBirth),
        }
        let First { id, birth, .. } = serde_json::from_str(json).map_err(|_| Unread::NoBirth)?;
        let mut journal = Self { id, birth: birth.into_owned(), born, pages: Vec::new(), end: None };
        while journal.end.is_none()
            && let Some((json, mark)) = journal.mark().next(text)
            && let Ok(line) = serde_json::from_str(json)
            && journal.take(line, mark).is_some()
        {}
        Ok(journal)
    }

    /// The end of the last good line.
    pub fn mark(&self) -> Mark {
        let page = self.pages.last().map(|page| page.mark);
        self.end.as_ref().map(|end| end.mark).or(page).unwrap_or(self.born)
    }

    /// How many bytes and records its pages have.
    pub fn extent(&self) -> (u64, u64) {
        self.pages.last().map_or((0, 0), |page| (page.stretch.bytes, page.records))
    }

    /// None for a line that says what can't be.
    fn take(&mut self, line: Line<'a>, mark: Mark) -> Option<()> {
        let (before, records_before) = self.extent();
        let stretch = |bytes, hash| (bytes >= before).then_some(Stretch { bytes, hash });
        let (stretch, seal) = match line {
            Line::Page { bytes, records, hash, note } if records >= records_before => {
                self.pages.push(Whole { stretch: stretch(bytes, hash)?, records, note, mark });
                return Some(());
            }
            Line::Page { .. } => return None,
            Line::Complete { bytes, hash, verdict } => (stretch(bytes, hash)?, Seal::Complete(verdict.into_owned())),
            Line::Failed { bytes, hash, failure } => {
                (stretch(bytes, hash)?, Seal::Failed(Arc::new(failure.into_owned())))
            }
        };
        self.end = Some(Ending { stretch, seal, mark });
        Some(())
    }
}

impl Mark {
    /// The first line of a journal.
    pub(super) fn birth(id: Option<SnapshotId>, birth: &Birth) -> (String, Self) {
        Self::default().append(&First { unpage: VERSION, id, birth: Cow::Borrowed(birth) })
    }

    /// The line that says this behind the mark, and the mark behind it.
    pub(super) fn line(self, line: &Line<'_>) -> (String, Self) {
        self.append(line)
    }

    fn append(self, value: &impl Serialize) -> (String, Self) {
        let json =
            serde_json::to_string(value).expect("its maps have names for keys, and no value refuses to be written");
        // In what others wrote line breaks may stand between tokens.
        let json = json.replace(['\n', '\r'], " ");
        let checksum = XxHash3_64::oneshot_with_seed(self.checksum, json.as_bytes());
        let line = format!("{checksum:016x} {json}\n");
        let length = self.length + line.len() as u64;
        (line, Self { length, checksum })
    }

    /// The JSON of the line behind the mark, if it is whole and was written there.
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

/// A hash as 16 hexadecimal digits: not every reader of JSON keeps 64 bits of a number.
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
impl Mark {
    /// The first line of another version.
    pub(super) fn of_version(version: u32) -> String {
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

    /// A journal of so many pages, and where each of its lines ends.
    fn journal(pages: u64, seal: Option<&Seal>) -> (String, Vec<u64>) {
        let (mut text, mut mark) = Mark::birth(None, &Birth::in_test("/orders"));
        let (mut ends, note) = (vec![mark.length], note("{\"next\":\r\n [\"é\\n\", 12345678901234567890]}"));
        let mut add = |line: &Line<'_>| {
            let (more, next) = mark.line(line);
            text.push_str(&more);
            mark = next;
            ends.push(mark.length);
        };
        for page in 0..pages {
            add(&Line::Page { bytes: page * 7, records: page, hash: page << 60, note: &note });
        }
        match seal {
            Some(Seal::Complete(verdict)) => {
                add(&Line::Complete { bytes: pages * 7, hash: 1, verdict: Cow::Borrowed(verdict) });
            }
            Some(Seal::Failed(failure)) => {
                add(&Line::Failed { bytes: pages * 7, hash: 1, failure: Cow::Borrowed(failure) });
            }
            None => {}
        }
        (text, ends)
    }

    fn complete() -> Seal {
        Seal::Complete(Verdict { records: 3, pages: 4, proof: "no next address".to_owned() })
    }

    /// How many lines are good; what they say must be what was written.
    fn good(text: &[u8], whole: &str) -> usize {
        let Ok(journal) = Journal::read(text) else { return 0 };
        assert_eq!(
            text[..usize::try_from(journal.mark().length).unwrap()],
            whole.as_bytes()[..usize::try_from(journal.mark().length).unwrap()]
        );
        1 + journal.pages.len() + usize::from(journal.end.is_some())
    }

    #[test]
    fn what_was_written_is_read() {
        let failed = Seal::Failed(Arc::new(Failure::new(Fault::Unproven, "what", "hint")));
        for seal in [complete(), failed] {
            let (text, ends) = journal(3, Some(&seal));
            let read = Journal::read(text.as_bytes()).unwrap();
            assert_eq!(read.extent(), (14, 2));
            assert_eq!(read.pages[2].stretch, Stretch { bytes: 14, hash: 2 << 60 });
            assert_eq!(read.pages[0].note.get(), "{\"next\":   [\"é\\n\", 12345678901234567890]}");
            assert_eq!(read.birth.facts, Birth::in_test("/orders").facts);
            let end = read.end.unwrap();
            assert_eq!((format!("{:?}", end.seal), end.stretch.bytes), (format!("{seal:?}"), 21));
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
    fn what_can_not_be_ends_it() {
        let (text, mark) = Mark::birth(None, &Birth::in_test("/orders"));
        let note = note("1");
        let page = |bytes, records| Line::Page { bytes, records, hash: 0, note: &note };
        let read = |lines: &[Line<'_>]| {
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
        assert_eq!(read(&[page(5, 2), Line::Failed { bytes: 5, hash: 0, failure }, page(6, 3)]), 1);
    }

    #[test]
    fn another_version_is_told_from_noise() {
        assert_eq!(Journal::read(Mark::of_version(2).as_bytes()).unwrap_err(), Unread::Newer(2));
        assert_eq!(Journal::read(Mark::of_version(0).as_bytes()).unwrap_err(), Unread::NoBirth);
        assert_eq!(Journal::read(b"").unwrap_err(), Unread::NoBirth);
    }
}
