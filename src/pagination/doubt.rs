//! Doubts: the evidence that a crawl lacks for a promise about its records.

use std::fmt;

use super::verdict::Consistency;

/// Evidence that is missing for another word than [`Consistency::Unverified`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Pages are addressed by a number of pages or records.
    Numbered,
    /// Pages are addressed by the key of a record, which others may share.
    Key,
    /// Pages are addressed by a unique key, which no word says that records keep.
    KeyOrder,
    /// Pages are addressed by a link or a token of the page before.
    Pointer,
    /// The one page that came was asked for by a page number, an offset or a token.
    Place,
    /// The crawl began behind the collection's first record.
    Midway,
    /// By configuration.
    Unwatched,
    /// The collection was read in parts.
    Parts,
    /// The collection was read in windows of time.
    Windows,
    /// Pages were to share records, and the upstream takes no number between those of its pages.
    Unaligned,
    /// Pages were to share records, and some have no key to be known by.
    Keyless,
    /// A page came from a cache, whose pages are of earlier moments.
    Cached,
    /// A page repeated records of the one before, as one does that others were pushed out of.
    Repeated,
    /// The end was taken from a short or empty page, and the upstream's pages may be so in the middle of the list.
    ShortPage,
    /// A numbered page without records stood before others that had some.
    Hole,
    /// The upstream named a later last page, and has no records there.
    NamedPage,
    /// Fewer records came than the upstream's last total says.
    Fewer,
    /// The last page may be the first one again.
    FirstAgain,
}

impl From<Doubt> for Consistency {
    fn from(doubt: Doubt) -> Self {
        Self::Unverified { why: doubt.to_string() }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numbered => "pages are numbered, and nothing ties one to the next",
            Self::Key => "each page begins behind a key, and records that share one at a page's edge would be missing",
            Self::KeyOrder => "each page begins behind a key, and nothing shows that records keep their place by it",
            Self::Pointer => "links and tokens do not show whether records moved between two pages",
            Self::Place => {
                "the request names a page, an offset, a token or a record, so that this one page need not be the whole collection"
            }
            Self::Midway => "the crawl began behind the first record, so that the upstream's counts prove nothing",
            Self::Unwatched => "not watched, as configured",
            Self::Parts => "the collection was read in parts, at different moments",
            Self::Windows => {
                "the windows were read at different moments: a record whose time changed meanwhile may be in none of them, or in two"
            }
            Self::Unaligned => {
                "the upstream refuses or rounds numbers between those of its pages, so that they share no records"
            }
            Self::Keyless => "records without a key are not known again, so that nothing ties one page to the next",
            Self::ShortPage => {
                "a short or empty page was taken for the end, and the upstream's pages may also be so before it"
            }
            Self::Hole => {
                "a page without records stood before others that had some, and no count shows that the upstream has none there"
            }
            Self::NamedPage => "the upstream named a later last page, and has no records there: its list may have shrunk",
            Self::Fewer => "fewer records came than the upstream's total, which changed: they were inserted in front, or are missing",
            Self::FirstAgain => {
                "the page behind the only record has that record alone, as the first page again would, if the upstream ignored its key"
            }
            Self::Cached => "a cache answered (Age), so that pages are of earlier moments, and a later read may see them again",
            Self::Repeated => {
                "a page repeated records of the one before, and others may be missing for them: the upstream's order may not be one"
            }
        })
    }
}
