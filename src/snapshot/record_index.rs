//! Sparse index of record offsets, so that a range of records is found without counting from the first one.

use crate::format::RecordOffset;

/// Minimum distance of two indexed records in bytes: 10 GiB have 10,240 entries.
const SPACING: u64 = 1 << 20;

/// Offsets of some records, in ascending order.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordIndex {
    offsets: Vec<RecordOffset>,
}

impl RecordIndex {
    /// Adds the offset of the next record, if the last entry is far enough away.
    pub(super) fn add(&mut self, offset: RecordOffset) {
        let last = self.offsets.last().copied().unwrap_or_default();
        if offset.byte >= last.byte + SPACING {
            self.offsets.push(offset);
        }
    }

    /// Removes the entries after this byte.
    pub(super) fn cut(&mut self, byte: u64) {
        self.offsets.truncate(self.offsets.partition_point(|place| place.byte <= byte));
    }

    /// Returns the last entry that is at or before a place in the log, by a predicate that no entry after the place satisfies.
    pub(super) fn near(&self, is_before: impl Fn(RecordOffset) -> bool) -> RecordOffset {
        let after = self.offsets.partition_point(|offset| is_before(*offset));
        after.checked_sub(1).and_then(|last| self.offsets.get(last)).copied().unwrap_or_default()
    }
}

impl FromIterator<RecordOffset> for RecordIndex {
    fn from_iter<I: IntoIterator<Item = RecordOffset>>(places: I) -> Self {
        let mut index = Self::default();
        places.into_iter().for_each(|place| index.add(place));
        index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_entry_is_right_and_no_other_is_much_nearer(
            batches in prop::collection::vec((1_u64..1000, 1_u64..3 * SPACING), 0..40),
            cut in any::<prop::sample::Index>(),
            record in 0_u64..20_000,
        ) {
            let mut end = RecordOffset::default();
            let mut places: Vec<_> = batches.iter().map(|(records, bytes)| {
                end = RecordOffset { record: end.record + records, byte: end.byte + bytes };
                end
            }).collect();
            let mut index: RecordIndex = places.iter().copied().collect();
            let check = |index: &RecordIndex, places: &[RecordOffset]| {
                let near = index.near(|offset| offset.record <= record);
                prop_assert!(near == RecordOffset::default() || places.contains(&near));
                prop_assert!(near.record <= record);
                let best = places.iter().rfind(|place| place.record <= record).copied().unwrap_or_default();
                prop_assert!(best.byte < near.byte + SPACING);
                Ok(())
            };
            check(&index, &places)?;
            places.truncate(cut.index(places.len() + 1));
            index.cut(places.last().copied().unwrap_or_default().byte);
            check(&index, &places)?;
        }
    }
}
