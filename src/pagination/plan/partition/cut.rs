//! One part of a collection: where it begins and ends, and how far it has been read.

use std::sync::Arc;

use super::axis::{Axis, Stretch};
use super::density::Density;
use super::upper_bound::UpperBound;
use crate::batch::Batch;
use crate::pagination::partition::RangePartition;
use crate::pagination::{PageError, PageRequest};

/// One part of the collection.
#[derive(Debug)]
pub(in crate::pagination::plan) struct Cut {
    axis: Arc<Axis>,
    /// What belongs to the part. Its end moves towards its start when it is split.
    stretch: Stretch,
    /// What may come: that for which the upstream was asked when the part was made.
    allowed: Stretch,
    /// Where the walk is, in the part or before it.
    last: Option<i128>,
    /// The first record that belongs to the part.
    first: Option<i128>,
    /// The first record behind it.
    beyond: Option<i128>,
    density: Density,
}

/// What of a part is unread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    from: i128,
    to: i128,
    /// How many records that is, if they are as dense as those that were read last.
    pub(super) records: f64,
}

impl Cut {
    /// The whole collection: its requests carry no bound but those that are configured as values.
    pub(in crate::pagination::plan) fn whole(range: Arc<RangePartition>) -> Self {
        let axis = Axis::new(range);
        let stretch = axis.whole();
        Self::of(Arc::new(axis), stretch, Density::default())
    }

    fn of(axis: Arc<Axis>, stretch: Stretch, density: Density) -> Self {
        let allowed = axis.allowed(axis.asked(stretch));
        Self { axis, stretch, allowed, last: None, first: None, beyond: None, density }
    }

    /// The first request of the part's walk: from a little before its start on. Its end is not asked for: the walk stops at the first
    /// record behind it, which shows that nothing between the two parts was left out.
    pub(in crate::pagination::plan) fn request(&self, first: &PageRequest) -> Result<PageRequest, PageError> {
        self.axis.request(first, self.axis.asked(self.stretch))
    }

    /// Takes the walk's next records, in order, and gives those that belong to the part.
    pub(in crate::pagination::plan) fn pass(&mut self, batch: Batch) -> Result<Batch, PageError> {
        let (mut before, mut within, mut records) = (0, 0, 0);
        for line in batch.each() {
            if self.is_over() {
                break;
            }
            let place = self.axis.place_of(line)?;
            self.check(place)?;
            self.last = Some(place);
            if self.stretch.is_before(place) {
                self.beyond = Some(place);
            } else if self.stretch.is_behind(place) {
                before += line.len();
            } else {
                self.first.get_or_insert(place);
                self.density.add(place);
                within += line.len();
                records += 1;
            }
        }
        if records == batch.records() {
            return Ok(batch);
        }
        // Places only grow: what belongs to the part is in one piece.
        let lines = batch.lines().slice(before..before + within);
        Ok(if records == 0 { Batch::default() } else { Batch::new(lines, records) })
    }

    /// A record behind the part's end has come: the rest of the walk isn't needed, the part is complete.
    pub(in crate::pagination::plan) fn is_over(&self) -> bool {
        self.beyond.is_some()
    }

    /// Whether a record of the part has come.
    pub(in crate::pagination::plan) fn has_read(&self) -> bool {
        self.first.is_some()
    }

    /// The walk has ended by itself, as if nothing came behind it, and a later part has had a record already.
    pub(in crate::pagination::plan) fn ended_too_early(&self) -> PageError {
        self.axis.apart(self.stretch.end.or(self.last).unwrap_or_default())
    }

    /// Whether this part and a later one meet, both of whose walks have ended: a record that this one saw behind its end must have
    /// come in the one that it belongs to, whatever the upstream's filter makes of its bounds.
    pub(in crate::pagination::plan) fn meets(&self, later: &Self) -> Result<(), PageError> {
        let is_theirs = |seen: &i128| !later.stretch.is_before(*seen) && !later.stretch.is_behind(*seen);
        match self.beyond.filter(is_theirs) {
            Some(seen) if later.first.is_none_or(|first| first > seen) => Err(self.axis.apart(seen)),
            _ => Ok(()),
        }
    }

    /// The first and the last place that was read.
    pub(in crate::pagination::plan) fn read(&self) -> Option<(i128, i128)> {
        Some((self.first?, self.last?))
    }

    /// What is unread, if it is enough to be cut, and if something is known of it.
    pub(super) fn unread(&self, far: &UpperBound) -> Option<Unread> {
        if self.is_over() {
            return None;
        }
        let from = self.stretch.start.max(self.last.map(|last| last + 1))?;
        let to = self.stretch.end.or_else(|| far.beyond(from))?;
        let granules = to.checked_sub(from).filter(|granules| *granules >= 4 * self.axis.margin())?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let records = self.density.per_granule()? * granules as f64;
        Some(Unread { from, to, records })
    }

    /// Ends here, and gives what begins here.
    pub(super) fn split_at(&mut self, place: i128) -> Self {
        let rest = Stretch { start: Some(place), end: self.stretch.end.replace(place) };
        Self::of(Arc::clone(&self.axis), rest, self.density.inherited())
    }

    fn check(&self, place: i128) -> Result<(), PageError> {
        if self.allowed.is_behind(place) || self.allowed.is_before(place) {
            return Err(self.axis.out_of_range(place));
        }
        match self.last {
            Some(last) if place < last => Err(self.axis.out_of_order(last, place)),
            _ => Ok(()),
        }
    }
}

impl Unread {
    pub(super) fn middle(self) -> i128 {
        self.from + (self.to - self.from) / 2
    }
}
