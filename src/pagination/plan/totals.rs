//! Totals that an upstream says during a walk, and the rule by which what came is held to them.

use serde::{Deserialize, Serialize};

use super::double_counts::Doubles;

/// Totals of a walk's pages with records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UpstreamTotals {
    #[serde(rename = "total", default, skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    most: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    least: Option<u64>,
    /// Sum of all growth since the first page.
    #[serde(default)]
    grown: u64,
    /// The last page with records has said the last total: it is of the same moment.
    #[serde(default, rename = "own", skip_serializing_if = "std::ops::Not::not")]
    is_own: bool,
}

/// Number that is held to the totals at a walk's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum WalkCount {
    /// Records of numbered pages that share none. One that moves is missed, so that no other number than the last total is right.
    Numbered(u64, Doubles),
    /// Records behind links, tokens or keys. The list may change on both sides of the place that has been reached.
    Pointed(u64, Doubles),
    /// Place in the list at which the last page ends, where pages share records. Only a total of that page's own moment is comparable.
    Place(u64),
}

/// Relation of what came to the upstream's totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TotalAgreement {
    Agrees,
    /// More came than the last total says, as where records are deleted after they were read.
    More,
    /// Fewer came than the last total says. Records that were inserted in front explain that, and so do records that are missing.
    Fewer,
    /// No change of the list explains the number.
    Contradicts,
}

impl UpstreamTotals {
    /// Total as last said by a page with records.
    pub(super) fn last(self) -> Option<u64> {
        self.last
    }

    /// The same, if the last page with records has said it.
    pub(super) fn own(self) -> Option<u64> {
        self.last.filter(|_| self.is_own)
    }

    /// Notes a total; returns the one before it, if that was larger.
    pub(super) fn note(&mut self, total: u64) -> Option<u64> {
        self.is_own = true;
        self.most = self.most.max(Some(total));
        // The journal of an older unpage has only the last total.
        self.least = self.least.or(self.last).or(Some(total)).min(Some(total));
        let before = self.last.replace(total)?;
        self.grown += total.saturating_sub(before);
        (total < before).then_some(before)
    }

    /// Notes a page with records that has said none.
    pub(super) fn note_none(&mut self) {
        self.is_own = false;
    }

    /// Returns true if `records` is the last total, with or without doubles that it may count.
    pub(super) fn count(self, records: u64, doubles: Doubles) -> bool {
        doubles.counted(self.grown).into_iter().any(|counted| self.last == Some(records + counted))
    }

    /// Relation of a number to the totals; none where there is no total.
    pub(super) fn agreement(self, counted: WalkCount) -> Option<TotalAgreement> {
        let last = self.last?;
        let (count, within, range) = match counted {
            WalkCount::Place(place) if self.is_own => (place, 0, last..=last),
            WalkCount::Place(place) => (place, 0, 0..=u64::MAX),
            WalkCount::Numbered(records, doubles) => (records, doubles.within, last..=last),
            WalkCount::Pointed(records, doubles) => {
                (records, doubles.within, self.least.unwrap_or(last)..=self.most.unwrap_or(last))
            }
        };
        let agrees = match counted {
            WalkCount::Place(place) => place == last,
            WalkCount::Numbered(records, doubles) | WalkCount::Pointed(records, doubles) => {
                self.count(records, doubles)
            }
        };
        Some(match count {
            _ if agrees => TotalAgreement::Agrees,
            _ if count > *range.end() || count + within < *range.start() => TotalAgreement::Contradicts,
            _ if count > last => TotalAgreement::More,
            _ => TotalAgreement::Fewer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(said: &[Option<u64>]) -> UpstreamTotals {
        let mut totals = UpstreamTotals::default();
        for total in said {
            match total {
                Some(total) => _ = totals.note(*total),
                None => totals.note_none(),
            }
        }
        totals
    }

    #[test]
    fn numbers_are_held_to_the_last_total_links_to_all_of_them_and_places_to_their_own() {
        use TotalAgreement::{Agrees, Contradicts, Fewer, More};
        let none = Doubles::default();
        for (said, count, numbered, pointed, place) in [
            (&[Some(5)][..], 5, Agrees, Agrees, Agrees),
            (&[Some(5)], 4, Contradicts, Contradicts, Contradicts),
            (&[Some(5)], 6, Contradicts, Contradicts, Contradicts),
            (&[Some(5), Some(7)], 5, Contradicts, Fewer, Contradicts),
            (&[Some(5), Some(7)], 6, Contradicts, Fewer, Contradicts),
            (&[Some(7), Some(5)], 6, Contradicts, More, Contradicts),
            (&[Some(7), Some(5)], 4, Contradicts, Contradicts, Contradicts),
            (&[Some(5), None], 6, Contradicts, Contradicts, More),
            (&[Some(5), None], 4, Contradicts, Contradicts, Fewer),
            (&[Some(5), None], 5, Agrees, Agrees, Agrees),
        ] {
            let totals = totals(said);
            let counted = [WalkCount::Numbered(count, none), WalkCount::Pointed(count, none), WalkCount::Place(count)];
            let expected = [numbered, pointed, place].map(Some);
            assert_eq!(counted.map(|counted| totals.agreement(counted)), expected, "{said:?}: {count}");
        }
        assert_eq!(totals(&[None]).agreement(WalkCount::Place(7)), None);
    }

    #[test]
    fn doubles_are_counted_where_the_upstream_may_count_them() {
        let inserted = Doubles { dropped: 1, inserted: 1, ..Doubles::default() };
        for (first, last, agrees) in [(5, 6, true), (6, 6, false), (4, 6, true)] {
            let agreement = totals(&[Some(first), Some(last)]).agreement(WalkCount::Numbered(5, inserted));
            assert_eq!(agreement == Some(TotalAgreement::Agrees), agrees, "{first}");
        }
        let within = Doubles { dropped: 2, within: 2, ..Doubles::default() };
        let of = |total| totals(&[Some(total)]).agreement(WalkCount::Numbered(5, within));
        assert_eq!(
            [of(5), of(6), of(7)],
            [Some(TotalAgreement::Agrees), Some(TotalAgreement::Fewer), Some(TotalAgreement::Agrees)]
        );
        assert_eq!(of(8), Some(TotalAgreement::Contradicts));
    }
}
