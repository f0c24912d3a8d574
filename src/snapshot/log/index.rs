//! Where records begin: one of them for each stretch of bytes, so that nobody has to count from the first one on.

/// How many bytes lie between two records of the index at least: 10 GiB have 10,240 of them.
const SPACING: u64 = 1 << 20;

/// Some records with the bytes at which they begin, both rising.
#[derive(Clone, Debug, Default)]
pub(in crate::snapshot) struct Index {
    landmarks: Vec<Landmark>,
}

/// A record, counted from 0, and its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Landmark {
    pub record: u64,
    pub byte: u64,
}

impl Index {
    /// What comes next begins here; remembered where the last place is far enough away.
    pub(in crate::snapshot) fn pass(&mut self, place: Landmark) {
        let last = self.landmarks.last().copied().unwrap_or_default();
        if place.byte >= last.byte + SPACING {
            self.landmarks.push(place);
        }
    }

    /// Forgets what lies behind this byte.
    pub(super) fn cut(&mut self, byte: u64) {
        self.landmarks.truncate(self.landmarks.partition_point(|place| place.byte <= byte));
    }

    /// The last known place that lies before this record, or is it.
    pub(super) fn near(&self, record: u64) -> Landmark {
        let after = self.landmarks.partition_point(|place| place.record <= record);
        after.checked_sub(1).and_then(|last| self.landmarks.get(last)).copied().unwrap_or_default()
    }
}

impl FromIterator<Landmark> for Index {
    fn from_iter<I: IntoIterator<Item = Landmark>>(places: I) -> Self {
        let mut index = Self::default();
        places.into_iter().for_each(|place| index.pass(place));
        index
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_near_place_is_a_right_one_and_none_is_much_nearer(
            batches in prop::collection::vec((1_u64..1000, 1_u64..3 * SPACING), 0..40),
            cut in any::<prop::sample::Index>(),
            record in 0_u64..20_000,
        ) {
            let mut end = Landmark::default();
            let mut places: Vec<_> = batches.iter().map(|(records, bytes)| {
                end = Landmark { record: end.record + records, byte: end.byte + bytes };
                end
            }).collect();
            let mut index: Index = places.iter().copied().collect();
            let check = |index: &Index, places: &[Landmark]| {
                let near = index.near(record);
                prop_assert!(near == Landmark::default() || places.contains(&near));
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
