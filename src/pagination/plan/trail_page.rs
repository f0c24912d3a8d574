//! Page of a walk by keys: the meaning of its records, by their places among those that came.

use super::trail_keys::TrailPlace;

/// Places of the records of the page under way.
#[derive(Debug, Default)]
pub(super) struct TrailPage {
    /// Place of the first record that has a key.
    first: Option<TrailPlace>,
    /// Place of the last known record among the keys ahead.
    met: Option<u64>,
    /// The page has the record behind which it was asked for.
    has_start: bool,
    /// Number of new records, and of those in front of the last known one.
    new: u64,
    late: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrailRecord {
    New,
    Known,
    /// Records do not keep their order, or the key is that of several.
    Disordered,
}

impl TrailPage {
    /// Takes the next record. Where records keep their order and have a key each, this holds of every page, whether an end is held or not:
    ///
    /// | the record is | which shows |
    /// |---|---|
    /// | new | nothing: it leaves, also in front of known ones, where it is late |
    /// | ahead, and behind the last one that was | it is known, and those between the two are gone |
    /// | the start, first of its page | the page begins with the record that it was asked for behind |
    /// | passed, first of its page | the upstream has lost the place: the page is apart, and dropped |
    /// | any of them elsewhere | there is no such order |
    pub(super) fn take(&mut self, place: TrailPlace) -> TrailRecord {
        let may_be_passed = self.looks_back();
        self.first.get_or_insert(place);
        match place {
            TrailPlace::New => {
                self.new += 1;
                TrailRecord::New
            }
            TrailPlace::Ahead(place) if self.met.is_none_or(|met| place < met) => {
                (self.met, self.late) = (Some(place), self.new);
                TrailRecord::Known
            }
            TrailPlace::Start | TrailPlace::Passed if may_be_passed => {
                self.has_start |= place == TrailPlace::Start;
                TrailRecord::Known
            }
            TrailPlace::Start | TrailPlace::Passed | TrailPlace::Ahead(_) => TrailRecord::Disordered,
        }
    }

    /// Returns true if the page is not what follows the key that it was asked for behind.
    pub(super) fn is_apart(&self) -> bool {
        self.first == Some(TrailPlace::Passed)
    }

    /// Returns true if passed records may follow, which must be looked for.
    pub(super) fn looks_back(&self) -> bool {
        self.first.is_none() || self.is_apart()
    }

    /// Returns true if the page begins with a record that has come.
    pub(super) fn knows_first(&self) -> bool {
        self.first.is_some_and(|first| first != TrailPlace::New)
    }

    pub(super) fn met(&self) -> Option<u64> {
        self.met
    }

    pub(super) fn has_start(&self) -> bool {
        self.has_start
    }

    pub(super) fn new_records(&self) -> u64 {
        self.new
    }

    pub(super) fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_means_the_same_at_its_place_in_every_page() {
        use TrailPlace::{Ahead, New, Passed, Start};
        use TrailRecord::{Disordered, Known};
        let fresh = TrailRecord::New;
        for (places, meanings, is_apart) in [
            (&[New, New][..], &[fresh, fresh][..], false),
            (&[Start, New], &[Known, fresh], false),
            (&[New, Start], &[fresh, Disordered], false),
            (&[Ahead(7), New, Ahead(3), Ahead(0), New], &[Known, fresh, Known, Known, fresh], false),
            (&[Ahead(3), Ahead(7)], &[Known, Disordered], false),
            (&[Ahead(3), Ahead(3)], &[Known, Disordered], false),
            (&[Ahead(3), Passed], &[Known, Disordered], false),
            (&[Passed, New, Passed, Start, Ahead(1)], &[Known, fresh, Known, Known, Known], true),
        ] {
            let mut page = TrailPage::default();
            let taken: Vec<_> = places.iter().map(|place| page.take(*place)).collect();
            assert_eq!((taken.as_slice(), page.is_apart()), (meanings, is_apart), "{places:?}");
            assert_eq!(page.has_start(), places.contains(&Start) && !meanings.contains(&Disordered));
        }
    }

    #[test]
    fn new_records_in_front_of_known_ones_are_late() {
        let mut page = TrailPage::default();
        let places = [TrailPlace::New, TrailPlace::Ahead(2), TrailPlace::New, TrailPlace::Ahead(1), TrailPlace::New];
        places.into_iter().for_each(|place| _ = page.take(place));
        assert_eq!((page.new_records(), page.late(), page.met()), (3, 2, Some(1)));
    }
}
