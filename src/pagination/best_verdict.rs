//! Best verdict that a pagination can reach, for an operator before any crawl.

use std::fmt;

use super::settings::{ConsistencyLevel, Pagination};
use super::validity::{Precondition, VersionSource};
use super::verdict::Doubt;

/// Best verdict on a collection of several pages; one page that says that it is all is a `snapshot` in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestVerdict {
    /// Words of [`Consistency`](super::Consistency).
    words: &'static str,
    /// Ground of these words, or the evidence that is missing for better ones.
    why: String,
    /// Way to a better verdict, where there is one.
    better: Option<&'static str>,
}

const STATE: &str = "a state of the upstream's that every request names (valid_at), its ETag (match = true), or consistency = \"verify\", which reads the list until two reads are equal";
const SHARED: &str =
    "consistency = \"repair\", if records keep their order; or a state that every request names (valid_at, match)";
const KEY: &str = "`key` and consistency = \"repair\", if records keep their order; or a state that every request names (valid_at, match)";
const READ_TWICE: &str = "consistency = \"detect\", or \"verify\", which reads the list until two reads are equal";
const CLOCK: &str = "one time for all parts: valid_at = { param = …, from = \"clock\" }";

impl Pagination {
    /// Returns the best verdict on several pages.
    pub fn best_verdict(&self) -> BestVerdict {
        let best = |words, why: &dyn fmt::Display, better| BestVerdict { words, why: why.to_string(), better };
        let by_clock = |from: &VersionSource| matches!(from, VersionSource::Clock(_));
        match &self.valid_at {
            Some(valid_at) if self.partition.is_none() || by_clock(&valid_at.from) => {
                return best("upstream", &format!("{} in every request", valid_at.param), None);
            }
            _ if self.partition.is_some() => return best("unverified", &Doubt::Parts, Some(CLOCK)),
            _ => {}
        }
        if self.precondition == Precondition::Match {
            return best("upstream", &"if page 1 has a strong ETag or Last-Modified", None);
        }
        match self.consistency {
            Some(ConsistencyLevel::None) => return best("unverified", &Doubt::Unwatched, Some(READ_TWICE)),
            Some(ConsistencyLevel::Verify) if self.style.is_numbered() => {
                return best("snapshot", &"two reads that are equal", None);
            }
            Some(ConsistencyLevel::Verify) => return best("steady", &"two reads that are equal", None),
            _ => {}
        }
        if self.shares_records() {
            return best("steady or mended", &"pages share records, and records keep their order by your word", None);
        }
        let rules = self.style.rules();
        match &self.style {
            style if style.is_auto() => best("unverified", &"the pagination is yet to be recognised", None),
            style if style.is_pointed() => best("unverified", &Doubt::Pointer, Some(STATE)),
            style if !style.is_computed() => best("snapshot", &"one page is all there is", None),
            style if !style.is_numbered() && self.can_repair() => best("unverified", &Doubt::KeyOrder, Some(SHARED)),
            style if !style.is_numbered() => best("unverified", &Doubt::Key, Some(STATE)),
            _ if !rules.is_windowed() => best("unverified", &Doubt::Numbered, Some(STATE)),
            _ if self.key.is_some() => best("unverified", &Doubt::Numbered, Some(SHARED)),
            _ => best("unverified", &Doubt::Numbered, Some(KEY)),
        }
    }
}

impl fmt::Display for BestVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { words, why, better } = self;
        write!(f, "at best {words}: {why}")?;
        better.map_or(Ok(()), |better| write!(f, "; for a better one: {better}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pagination::path::Path;
    use crate::pagination::record_settings::Records;
    use crate::pagination::request::Param;
    use crate::pagination::styles::{Advance, LinkHeader, Offset, PageNumber, Style};
    use crate::pagination::validity::{TimeFormat, ValidAt};

    fn of(style: impl Into<Style>) -> Pagination {
        Pagination::of(style.into(), Records::at(Path::root()))
    }

    #[test]
    fn the_best_word_depends_on_what_ties_the_pages() {
        let param = || Param::Query("at".to_owned());
        let offset = || of(Offset { param: param(), start: 0, step: Advance::Returned, template: None });
        let with_key = |pagination| Pagination { key: Some(Path::root()), ..pagination };
        let clock = Some(ValidAt { param: param(), from: VersionSource::Clock(TimeFormat::Unix) });
        let links = || of(LinkHeader { rel: "next".to_owned(), attribute: None });
        let cases = [
            (
                offset(),
                "at best unverified: pages are numbered, and nothing ties one to the next; for a better one: `key` and",
            ),
            (with_key(offset()), "for a better one: consistency = \"repair\""),
            (
                Pagination { consistency: Some(ConsistencyLevel::Repair), ..with_key(offset()) },
                "at best steady or mended: pages share",
            ),
            (
                of(PageNumber { param: param(), start: 1, template: None }),
                "for a better one: a state of the upstream's",
            ),
            (links(), "at best unverified: links and tokens do not show"),
            (Pagination { valid_at: clock, ..links() }, "at best upstream: `at` in every request"),
            (
                Pagination { precondition: Precondition::Match, ..links() },
                "at best upstream: if page 1 has a strong ETag",
            ),
            (Pagination { consistency: Some(ConsistencyLevel::Verify), ..offset() }, "at best snapshot: two reads"),
            (Pagination { consistency: Some(ConsistencyLevel::Verify), ..links() }, "at best steady: two reads"),
            (Pagination { consistency: Some(ConsistencyLevel::None), ..links() }, "at best unverified: "),
            (of(Style::SINGLE), "at best snapshot: one page is all there is"),
            (of(Style::AUTO), "at best unverified: the pagination is yet to be recognised"),
        ];
        for (pagination, told) in cases {
            let best = pagination.best_verdict().to_string();
            assert!(best.contains(told), "{best}\n{told}");
        }
    }
}
