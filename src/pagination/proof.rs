//! Proof of the end of a collection.

use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Proof of the end of a collection (no RFC has one; each upstream has its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// The upstream gave no next link, URL or token.
    NoNext,
    /// The upstream's flag says that nothing follows.
    Flag,
    /// As many records came as the upstream says there are.
    Total(u64),
    /// As many pages came as the upstream says there are.
    TotalPages(u64),
    /// The page past the last was empty.
    EmptyPage,
    /// The page behind the last one, which the upstream's number of the last page names, has no record.
    NamedPageEmpty,
    /// The last page was short, which is the end as configured.
    ShortPage,
    /// The upstream answered the page past the last with the configured status.
    Status(#[serde(with = "by_number")] StatusCode),
    /// The upstream repeated the token, which is the end as configured.
    SameToken,
    /// A page that begins in front of the last record has it, and nothing behind it.
    LastRecord,
    /// The collection is one page.
    SinglePage,
    /// The collection is one page as far as can be seen, which nothing proves.
    LonePage,
    /// The collection is one page without a `Link`, which other lists of its API have.
    LinkedLists,
    /// Each of this number of parts has its own proof.
    Parts(u64),
}

impl Proof {
    /// Returns true if nothing but a lack of records shows the end.
    pub(super) fn is_by_lack(self) -> bool {
        matches!(self, Self::EmptyPage | Self::NamedPageEmpty | Self::ShortPage | Self::Status(_) | Self::LastRecord)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNext => f.write_str("no next address"),
            Self::Flag => f.write_str("the upstream's flag"),
            Self::Total(total) => write!(f, "the upstream's total of {total}"),
            Self::TotalPages(pages) => write!(f, "the upstream's number of pages, {pages}"),
            Self::EmptyPage => f.write_str("an empty page past the last"),
            Self::NamedPageEmpty => f.write_str("the lack of records where the upstream names its last page"),
            Self::ShortPage => f.write_str("a short page, as configured"),
            Self::Status(status) => write!(f, "status {} past the last page, as configured", status.as_u16()),
            Self::SameToken => f.write_str("an unchanged token, as configured"),
            Self::LastRecord => f.write_str("the last record, with nothing behind it"),
            Self::SinglePage => f.write_str("one page, which is the whole"),
            Self::LonePage => f.write_str("nothing but the absence of any sign of a further page"),
            Self::LinkedLists => {
                f.write_str("the lack of a Link, which pages of other lists of this API have where more follows")
            }
            Self::Parts(1) => f.write_str("a record behind the configured range"),
            Self::Parts(parts) => write!(f, "the end of each of its {parts} parts"),
        }
    }
}

mod by_number {
    use http::StatusCode;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u16(status.as_u16())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StatusCode, D::Error> {
        StatusCode::from_u16(u16::deserialize(from)?).map_err(de::Error::custom)
    }
}
