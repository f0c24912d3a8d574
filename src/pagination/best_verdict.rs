//! Best verdict that a pagination can reach, for an operator before any crawl.

use std::fmt;

use super::end_settings::End;
use super::settings::{ConsistencyLevel, Pagination};
use super::since_valid_at::{Precondition, VersionSource};
use super::verdict::{Doubt, RecordOrder};

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

const STATE: &str = "a state of the upstream's that every request names (valid_at), its ETag (match = true), or consistency = \"verify\" with a `key`, which reads the list until two reads are equal";
const SHARED: &str =
    "consistency = \"repair\", if records keep their order; or a state that every request names (valid_at, match)";
const KEY: &str = "`key` and consistency = \"repair\", if records keep their order; or a state that every request names (valid_at, match)";
const READ_TWICE: &str =
    "consistency = \"detect\", or \"verify\" with a `key`, which reads the list until two reads are equal";
const EQUAL: &str = "two reads that are equal";
const COUNT: &str = "the upstream's `total`, `total_pages` or flag (`more`), if it has one";
const KEYSET: &str = "a keyset by the collection's `key`, or a state that every request names (valid_at, match)";
const CLOCK: &str = "one time for all parts: valid_at = { param = …, from = \"clock\" }";

impl Pagination {
    /// Returns the best verdict on several pages.
    pub fn best_verdict(&self) -> BestVerdict {
        let best = |words, why: &dyn fmt::Display, better| BestVerdict { words, why: why.to_string(), better };
        let is_shared = |from: &VersionSource| !matches!(from, VersionSource::Page(_));
        match &self.valid_at {
            Some(valid_at) if self.partition.is_none() || is_shared(&valid_at.from) => {
                return best("upstream", &format!("{} in every request", valid_at.param), None);
            }
            _ if self.windows.is_some() => {
                return Pagination { windows: None, ..self.clone() }.best_verdict().of_windows();
            }
            _ if self.partition.is_some() => return best("unverified", &Doubt::Parts, Some(CLOCK)),
            _ => {}
        }
        if self.precondition == Precondition::Match {
            return best("upstream", &"if page 1 has a strong ETag or Last-Modified", None);
        }
        match self.consistency {
            Some(ConsistencyLevel::None) => return best("unverified", &Doubt::Unwatched, Some(READ_TWICE)),
            Some(ConsistencyLevel::Verify) if !self.style.is_auto() => return self.best_of_equal_reads(),
            _ => {}
        }
        if self.promises_order() {
            let tie = if self.shares_records() { "pages share records" } else { "pages begin behind a unique key" };
            let order = match self.record_order {
                RecordOrder::Configured => ", and records keep their order by your word",
                RecordOrder::Assumed => ", if records keep their order, which stable_order = true says",
            };
            return best("steady or mended", &format_args!("{tie}{order}"), None);
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

    /// Best verdict on two reads that are equal, as far as a list can't give two that lack the same records.
    fn best_of_equal_reads(&self) -> BestVerdict {
        let best = |words, why: &dyn fmt::Display, better| BestVerdict { words, why: why.to_string(), better };
        let has_count = self.more.is_some() || self.total_source().is_some() || self.total_pages.is_some();
        let ends_by_address = self.style.is_pointed() && matches!(self.end, End::Style | End::NoNext);
        let is_numbered = self.style.is_numbered();
        match (&self.end, has_count || ends_by_address) {
            (End::ShortPage, false) => best("unverified", &Doubt::ShortPage, Some(COUNT)),
            (_, false) if is_numbered || self.style.is_pointed() => best("unverified", &Doubt::ShortPage, Some(COUNT)),
            _ if is_numbered => best("snapshot", &EQUAL, None),
            _ if self.style.is_pointed() || self.can_repair() => best("steady", &EQUAL, None),
            _ => best("unverified", &Doubt::Key, Some(KEYSET)),
        }
    }
}

impl BestVerdict {
    /// Returns the word of [`Consistency`](super::Consistency).
    pub fn words(&self) -> &'static str {
        self.words
    }

    /// The best verdict on the lists of several windows, which have no moment in common; one window has that of its list.
    fn of_windows(self) -> Self {
        Self { words: "unverified", why: Doubt::Windows.to_string(), better: None }
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
    use crate::pagination::request::{Encode, Param};
    use crate::pagination::since_valid_at::{TimeFormat, ValidAt};
    use crate::pagination::styles::{Advance, KeyUse, Keyset, LinkHeader, Offset, Overlap, PageNumber, Style};
    use crate::pagination::value_source::Source;

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
        let verified = |pagination| Pagination { consistency: Some(ConsistencyLevel::Verify), ..pagination };
        let count = || Some(Source::Body(Path::root()));
        let (key, usage) = (vec![Path::root()], KeyUse::Compared);
        let keyset =
            || of(Keyset { key: key.clone(), param: param(), encode: Encode::Plain, overlap: Overlap::None, usage });
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
                Pagination { consistency: Some(ConsistencyLevel::Repair), ..with_key(keyset()) },
                "at best steady or mended: pages begin behind a unique key, if records keep their order",
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
            (verified(offset()), "at best unverified: a short or empty page was taken for the end"),
            (Pagination { total: count(), ..verified(offset()) }, "at best snapshot: two reads"),
            (Pagination { end: End::ShortPage, ..verified(links()) }, "for a better one: the upstream's `total`"),
            (verified(links()), "at best steady: two reads"),
            (verified(of(Style::AUTO)), "at best unverified: the pagination is yet to be recognised"),
            (verified(keyset()), "a better one: a keyset by the collection's `key`"),
            (verified(with_key(keyset())), "at best steady: two reads"),
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
