//! Set of numbers, kept as ranges without gaps.

use std::collections::BTreeMap;
use std::ops::Range;

use super::set::Novelty;

/// Numbers as ranges. The one that grew last is open: the next number of a dense list costs two comparisons.
#[derive(Debug, Default)]
pub(super) struct NumberRanges {
    /// Start of a range → its end, which is not in it.
    closed: BTreeMap<u64, u64>,
    open: Option<OpenRange>,
}

#[derive(Debug)]
struct OpenRange {
    range: Range<u64>,
    /// Numbers from here up to the range's start are new.
    floor: u64,
    /// Numbers from the range's end up to here are new.
    ceiling: u64,
}

impl NumberRanges {
    pub(super) fn len(&self) -> usize {
        self.closed.len() + usize::from(self.open.is_some())
    }

    /// Adds a number below `u64::MAX`.
    pub(super) fn insert(&mut self, number: u64) -> Novelty {
        if let Some(open) = &mut self.open {
            if open.range.contains(&number) {
                return Novelty::Known;
            }
            if number == open.range.end && number < open.ceiling {
                open.range.end += 1;
                return Novelty::New;
            }
            if number + 1 == open.range.start && number >= open.floor {
                open.range.start -= 1;
                return Novelty::New;
            }
        }
        if self.contains_closed(number) {
            return Novelty::Known;
        }
        self.close();
        self.open_at(number);
        Novelty::New
    }

    /// Adds up to `count` numbers behind this one, if it ends the open range, and before the next range. Returns their number.
    pub(super) fn extend(&mut self, number: u64, count: usize) -> usize {
        match &mut self.open {
            Some(open) if open.range.end == number + 1 => {
                let added = (count as u64).min(open.ceiling - open.range.end);
                open.range.end += added;
                // Cannot be cut: it is `count` or less.
                added as usize
            }
            Some(_) | None => 0,
        }
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.open.as_ref().is_some_and(|open| open.range.contains(&number)) || self.contains_closed(number)
    }

    /// Removes the ranges of fewer than `length` numbers, and returns their numbers.
    pub(super) fn take_short(&mut self, length: u64) -> Vec<u64> {
        self.close();
        let mut taken = Vec::new();
        self.closed.retain(|start, end| {
            let is_kept = *end - *start >= length;
            if !is_kept {
                taken.extend(*start..*end);
            }
            is_kept
        });
        taken
    }

    fn contains_closed(&self, number: u64) -> bool {
        self.closed.range(..=number).next_back().is_some_and(|(_, end)| *end > number)
    }

    /// Opens a range with this new number, which begins in the one that ends before it, if there is one.
    fn open_at(&mut self, number: u64) {
        let mut range = number..number + 1;
        if let Some((start, end)) = self.closed.range(..number).next_back().map(|(start, end)| (*start, *end))
            && end == number
        {
            self.closed.remove(&start);
            range.start = start;
        }
        let floor = self.closed.range(..range.start).next_back().map_or(0, |(_, end)| *end);
        let ceiling = self.closed.range(range.end..).next().map_or(u64::MAX, |(start, _)| *start);
        self.open = Some(OpenRange { range, floor, ceiling });
    }

    /// Closes the open range, joined with those that it touches.
    fn close(&mut self) {
        let Some(OpenRange { mut range, .. }) = self.open.take() else { return };
        if let Some(end) = self.closed.remove(&range.end) {
            range.end = end;
        }
        match self.closed.range_mut(..range.start).next_back() {
            Some((_, end)) if *end == range.start => *end = range.end,
            _ => drop(self.closed.insert(range.start, range.end)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(numbers in prop::collection::vec(0..40_u64, 0..120), length in 1..6_u64) {
            let (mut ranges, mut model) = (NumberRanges::default(), BTreeSet::new());
            for number in &numbers {
                let novelty = if model.insert(*number) { Novelty::New } else { Novelty::Known };
                prop_assert_eq!(ranges.insert(*number), novelty);
            }
            prop_assert!((0..41).all(|number| ranges.contains(number) == model.contains(&number)));
            let gaps = model.iter().filter(|number| **number == 0 || !model.contains(&(**number - 1))).count();
            let taken: BTreeSet<u64> = ranges.take_short(length).into_iter().collect();
            prop_assert!(ranges.len() <= gaps);
            prop_assert!((0..41).all(|number| ranges.contains(number) != taken.contains(&number) || !model.contains(&number)));
            prop_assert!(taken.is_subset(&model));
        }
    }

    #[test]
    fn dense_numbers_are_one_range_in_any_order() {
        for numbers in
            [(0..1_000).collect::<Vec<u64>>(), (0..1_000).rev().collect(), (0..1_000).map(|n| n * 7 % 1_000).collect()]
        {
            let mut ranges = NumberRanges::default();
            assert!(numbers.iter().all(|number| ranges.insert(*number) == Novelty::New));
            assert!(ranges.take_short(1_000).is_empty() && ranges.len() == 1);
        }
    }
}
