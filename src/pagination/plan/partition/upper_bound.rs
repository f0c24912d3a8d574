//! Upper bound of a collection's places: configured, the present, or found by asking for single records.
//!
//! It only says where to cut. The last part has no bound, so that nothing is lost however wrong the estimate is.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::axis::{Axis, Own, Side};
use crate::pagination::partition_settings::{Bound, RangePartition};
use crate::pagination::{Encode, PageError, PageRequest, PageSize};

/// Largest number of requests that the search may cost.
const PROBES: u32 = 16;
/// Number of parts of the range, of which the bound must be known to one.
const PRECISION: i128 = 8;
/// Up to this many times what was read, the gap is halved by its size, and beyond that by its magnitude.
const NEAR: i128 = 16;

/// Knowledge of the collection's last place: the highest value when ascending, the lowest when descending.
#[derive(Debug)]
pub(in crate::pagination::plan) struct UpperBound {
    axis: Axis,
    /// Place of the first record; none until it has come.
    origin: Option<i128>,
    /// Furthest place that is known to have a record, or the given end.
    found: Option<i128>,
    /// Nearest place that is known to have no record at or behind it.
    empty: Option<i128>,
    now: Option<i128>,
    state: SearchState,
    left: u32,
    /// Length of the next step out, as a multiple of what was read, and the factor of the one after it.
    step: (i128, i128),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SearchState {
    /// The next probe may be made.
    Unknown,
    /// A probe at this place is in flight.
    Asked(i128),
    /// No more probes.
    Known,
}

impl UpperBound {
    /// Reads the configuration and the client's own bounds; where these can't be read, nothing will ever be known.
    pub(in crate::pagination::plan) fn new(range: Arc<RangePartition>, first: &PageRequest, now: SystemTime) -> Self {
        let axis = Axis::new(range);
        let now = axis.now(now);
        let given = match axis.bound(Side::Far) {
            None => None,
            Some(Bound::Now) => now,
            Some(Bound::At(_)) => axis.whole().end.map(|end| end - 1),
        };
        let near = axis.own_bound(first, Side::Near);
        let (found, state) = match (axis.own_bound(first, Side::Far), given) {
            (Own::Unreadable, _) => (None, SearchState::Known),
            _ if near == Own::Unreadable => (None, SearchState::Known),
            (Own::Place(own), given) => (Some(given.map_or(own, |given| given.min(own))), SearchState::Known),
            (Own::Nothing, Some(given)) => (Some(given), SearchState::Known),
            (Own::Nothing, None) => (None, SearchState::Unknown),
        };
        let now = now.filter(|_| axis.goes_with_time());
        Self { axis, origin: None, found, empty: None, now, state, left: PROBES, step: (1, 2) }
    }

    /// Notes the first and last place that the plain walk has read, from which on probes may be made.
    pub(in crate::pagination::plan) fn seen(&mut self, read: Option<(i128, i128)>) {
        if let Some((first, last)) = read {
            self.origin.get_or_insert(first);
            if self.state != SearchState::Known {
                self.note(last);
            }
        }
    }

    /// Next probe: a page of one record from a place on. `None` if the bound is known, a probe is in flight or nothing has come.
    pub(in crate::pagination::plan) fn probe(
        &mut self,
        first: &PageRequest,
        page_size: Option<&PageSize>,
    ) -> Option<Result<PageRequest, PageError>> {
        let (origin, found) = (self.origin?, self.found?);
        if self.state != SearchState::Unknown {
            return None;
        }
        let Some(place) = self.next_place(origin, found).filter(|_| self.left > 0) else {
            self.state = SearchState::Known;
            return None;
        };
        self.left -= 1;
        self.state = SearchState::Asked(place);
        Some(self.request(first, place, page_size))
    }

    /// Takes the line of the probe's first record, or none.
    pub(in crate::pagination::plan) fn probed(&mut self, record: Option<&[u8]>) -> Result<(), PageError> {
        let SearchState::Asked(asked) = self.state else { return Ok(()) };
        self.state = SearchState::Unknown;
        match record.map(|line| self.axis.place_of(line)).transpose()? {
            None => self.empty = Some(asked),
            Some(place) if place < asked - 1 - self.axis.margin() => return Err(self.axis.out_of_range(place)),
            Some(place) => self.note(place.max(asked)),
        }
        Ok(())
    }

    /// Ends the search, because the probe was refused or is of no use.
    pub(in crate::pagination::plan) fn give_up(&mut self) {
        self.state = SearchState::Known;
    }

    pub(in crate::pagination::plan) fn is_known(&self) -> bool {
        self.state == SearchState::Known
    }

    /// First place behind the collection, as far as it is known and lies behind `place`.
    pub(super) fn beyond(&self, place: i128) -> Option<i128> {
        let found = self.found.map(|found| found + 1);
        found.filter(|beyond| *beyond > place).or(self.empty.filter(|_| self.state == SearchState::Known))
    }

    fn note(&mut self, place: i128) {
        self.found = self.found.max(Some(place));
        // Records may have been added during the search.
        self.empty = self.empty.max(self.found.map(|found| found + 1)).filter(|_| self.empty.is_some());
    }

    /// Next place to ask for; `None` where the bound is known well enough.
    fn next_place(&mut self, origin: i128, found: i128) -> Option<i128> {
        let read = (found - origin).max(1);
        let Some(empty) = self.empty else {
            // Most collections of times reach up to the present.
            if let Some(now) = self.now.take().filter(|now| *now > found) {
                return Some(now);
            }
            let (step, growth) = self.step;
            self.step = (step.saturating_mul(growth), growth * 2);
            let most = self.axis.most(found);
            return Some(found.saturating_add(read.saturating_mul(step)).min(most)).filter(|place| *place > found);
        };
        let gap = empty - found;
        if gap <= 1 || gap <= (empty - origin) / PRECISION {
            return None;
        }
        let middle = if gap > read.saturating_mul(NEAR) { found + geometric(read, gap) } else { found + gap / 2 };
        Some(middle)
    }

    fn request(&self, first: &PageRequest, place: i128, size: Option<&PageSize>) -> Result<PageRequest, PageError> {
        let mut request = self.axis.request_from(first, place)?;
        if let Some(param) = size.and_then(|size| size.param.as_ref()) {
            request.set(param, &Value::from(1), Encode::Plain)?;
        }
        Ok(request)
    }
}

/// A distance between the two whose magnitude lies halfway.
fn geometric(near: i128, far: i128) -> i128 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "any place between the two will do"
    )]
    let middle = ((near as f64) * (far as f64)).sqrt() as i128;
    middle.clamp(1, far - 1)
}
