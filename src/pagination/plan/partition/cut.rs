//! Bounds of one part of a collection, and the progress of its walk between them.

use std::sync::Arc;

use super::axis::{Axis, Stretch};
use super::density::Density;
use super::upper_bound::UpperBound;
use crate::batch::Batch;
use crate::pagination::partition_settings::RangePartition;
use crate::pagination::{PageError, PageRequest};

/// Bounds of one part.
#[derive(Debug)]
pub(in crate::pagination::plan) struct Cut {
    axis: Arc<Axis>,
    /// Places of the part. The end moves towards the start when the part is split.
    stretch: Stretch,
    /// Places that the upstream was asked for when the part was made.
    allowed: Stretch,
    /// Place of the walk's last record, in the part or before it.
    last: Option<i128>,
    /// Place of the part's first record.
    first: Option<i128>,
    /// Place of the first record behind the part.
    beyond: Option<i128>,
    density: Density,
}

/// Unread places of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    from: i128,
    to: i128,
    /// Number of records, if they are as dense as those that were read last.
    pub(super) records: f64,
}

impl Cut {
    /// The whole collection: its requests have no bounds but those that are configured as values.
    pub(in crate::pagination::plan) fn whole(range: Arc<RangePartition>) -> Self {
        let axis = Axis::new(range);
        let stretch = axis.whole();
        Self::of(Arc::new(axis), stretch, Density::default())
    }

    fn of(axis: Arc<Axis>, stretch: Stretch, density: Density) -> Self {
        let allowed = axis.allowed(axis.asked(stretch));
        Self { axis, stretch, allowed, last: None, first: None, beyond: None, density }
    }

    /// First request of the part's walk, from a little before its start on. It names no end: the walk stops at the first record behind
    /// the part, which shows that nothing between the two parts was left out.
    pub(in crate::pagination::plan) fn request(&self, first: &PageRequest) -> Result<PageRequest, PageError> {
        self.axis.request(first, self.axis.asked(self.stretch))
    }

    /// Takes the walk's next records, in order, and returns those that belong to the part.
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

    /// Returns true if a record behind the part has come, so that the part is complete and the rest of the walk isn't needed.
    pub(in crate::pagination::plan) fn is_over(&self) -> bool {
        self.beyond.is_some()
    }

    /// Returns true if a record of the part has come.
    pub(in crate::pagination::plan) fn has_read(&self) -> bool {
        self.first.is_some()
    }

    /// Error for a walk that has ended by itself, as if nothing followed, while a later part has a record.
    pub(in crate::pagination::plan) fn ended_too_early(&self) -> PageError {
        self.axis.apart(self.stretch.end.or(self.last).unwrap_or_default())
    }

    /// Checks that this part and a later one meet, both of whose walks have ended: a record that this one saw behind its end must have
    /// come in the part that it belongs to, however the upstream's filter reads its bounds.
    pub(in crate::pagination::plan) fn meets(&self, later: &Self) -> Result<(), PageError> {
        let is_theirs = |seen: &i128| !later.stretch.is_before(*seen) && !later.stretch.is_behind(*seen);
        match self.beyond.filter(is_theirs) {
            Some(seen) if later.first.is_none_or(|first| first > seen) => Err(self.axis.apart(seen)),
            _ => Ok(()),
        }
    }

    /// First and last place that was read.
    pub(in crate::pagination::plan) fn read(&self) -> Option<(i128, i128)> {
        Some((self.first?, self.last?))
    }

    /// Unread places, if they are enough to be cut and something is known of them.
    pub(super) fn unread(&self, bound: &UpperBound) -> Option<Unread> {
        if self.is_over() {
            return None;
        }
        let from = self.stretch.start.max(self.last.map(|last| last + 1))?;
        let to = self.stretch.end.or_else(|| bound.beyond(from))?;
        let units = to.checked_sub(from).filter(|units| *units >= 4 * self.axis.margin())?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let records = self.density.per_unit()? * units as f64;
        Some(Unread { from, to, records })
    }

    /// Ends the part here, and returns the part that begins here.
    pub(super) fn split_at(&mut self, place: i128) -> Self {
        let rest = Stretch { start: Some(place), end: self.stretch.end.replace(place) };
        Self::of(Arc::clone(&self.axis), rest, self.density.inherited())
    }

    /// Ends the part behind its last record, and returns the part that begins there; none where the part ends there already, or no record of
    /// it has come.
    pub(in crate::pagination::plan) fn split_behind(&mut self) -> Option<Self> {
        let (_, last) = self.read()?;
        let place = last + 1;
        self.stretch.end.is_none_or(|end| end > place).then(|| self.split_at(place))
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
