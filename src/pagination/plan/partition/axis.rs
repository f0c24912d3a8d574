//! Axis that a collection's records are sorted along, and the requests for a stretch of it.

use std::sync::Arc;

use serde_json::Value;

use crate::pagination::json_extract::PathSet;
use crate::pagination::partition_settings::{Bound, Direction, RangePartition};
use crate::pagination::record_values::text_of;
use crate::pagination::{Encode, PageError, PageRequest, Param};

/// Range in the direction of the walk. A *place* is a record's unit, negative where the upstream lists the highest first, so that
/// places always grow.
#[derive(Debug)]
pub(super) struct Axis {
    range: Arc<RangePartition>,
    wanted: PathSet,
}

/// Places from `start` up to but without `end`; open ends are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) start: Option<i128>,
    pub(super) end: Option<i128>,
}

/// Lowest and highest unit, inclusive; open ends are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnitRange {
    lowest: Option<i128>,
    highest: Option<i128>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The end at which the walk begins.
    Near,
    /// The end at which the walk ends.
    Far,
}

/// Bound that the client's own request has at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Nothing,
    Place(i128),
    Unreadable,
}

impl Axis {
    pub(super) fn new(range: Arc<RangePartition>) -> Self {
        let wanted = PathSet::new(&[&range.field]);
        Self { range, wanted }
    }

    /// Places of the collection: all of them within the bounds that are configured as values. The bound `now` only guesses the end of
    /// the collection, and excludes nothing.
    pub(super) fn whole(&self) -> Stretch {
        let unit = |bound: &Option<Bound>| match bound {
            Some(Bound::At(value)) => self.range.kind.unit_of(value),
            Some(Bound::Now) | None => None,
        };
        self.stretch(UnitRange { lowest: unit(&self.range.lower), highest: unit(&self.range.upper) })
    }

    /// Places that are asked for where a stretch is needed: all from its start on.
    pub(super) fn asked(&self, stretch: Stretch) -> Stretch {
        Stretch { end: self.whole().end, ..stretch }
    }

    /// Configured bound at one end.
    pub(super) fn bound(&self, side: Side) -> Option<&Bound> {
        if self.is_lower(side) { self.range.lower.as_ref() } else { self.range.upper.as_ref() }
    }

    /// Place of the present, where values are times.
    pub(super) fn now(&self, now: std::time::SystemTime) -> Option<i128> {
        Some(self.turn(self.range.kind.unit_now(now)?))
    }

    /// Returns true if records that are written later lie further on.
    pub(super) fn goes_with_time(&self) -> bool {
        self.range.direction == Direction::Ascending
    }

    /// Furthest place behind `found` that is worth asking for: below 1970 and 0 there is seldom anything but an error.
    pub(super) fn most(&self, found: i128) -> i128 {
        if self.range.direction == Direction::Descending && found < 0 { 0 } else { i128::MAX / 4 }
    }

    /// Place of the record in `line`.
    pub(super) fn place_of(&self, line: &[u8]) -> Result<i128, PageError> {
        let mut values = [None];
        self.wanted.extract(text_of(line)?, &mut values)?;
        let [value] = values;
        let value = value.ok_or_else(|| PageError::NoRangeValue(self.range.field.clone()))?;
        let kind = self.range.kind;
        kind.unit_of_raw(value).map(|unit| self.turn(unit)).ok_or_else(|| kind.bad_value(&self.range.field, value))
    }

    pub(super) fn shown(&self, place: i128) -> String {
        match self.range.kind.value(self.turn(place)) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Number of units that a request reaches below the lowest one that is needed.
    pub(super) fn margin(&self) -> i128 {
        self.range.kind.margin()
    }

    /// Returns `first` for the records of this stretch and a few around it. Narrower bounds that the client has set stay.
    pub(super) fn request(&self, first: &PageRequest, stretch: Stretch) -> Result<PageRequest, PageError> {
        let mut request = first.clone();
        let asked = self.units(stretch).asked(self.margin());
        for (param, unit, is_lower) in [(&self.range.from, asked.lowest, true), (&self.range.to, asked.highest, false)]
        {
            let Some(unit) = unit else { continue };
            let is_narrower = match self.own(first, param) {
                Own::Nothing => false,
                Own::Place(own) if is_lower => self.turn(own) > unit,
                Own::Place(own) => self.turn(own) < unit,
                Own::Unreadable => true,
            };
            if !is_narrower {
                request.set(param, &self.range.kind.value(unit), Encode::Plain)?;
            }
        }
        Ok(request)
    }

    /// Returns `first` for the records from this place on; their end stays as it is.
    pub(super) fn request_from(&self, first: &PageRequest, place: i128) -> Result<PageRequest, PageError> {
        let mut request = first.clone();
        request.set(self.param(Side::Near), &self.range.kind.value(self.turn(place)), Encode::Plain)?;
        Ok(request)
    }

    /// Bound that the request itself has at this end.
    pub(super) fn own_bound(&self, request: &PageRequest, side: Side) -> Own {
        self.own(request, self.param(side))
    }

    /// Places that an upstream may answer with that was asked for a stretch: those that the request names, and a unit more for
    /// upstreams that round or that live in another time zone.
    pub(super) fn allowed(&self, stretch: Stretch) -> Stretch {
        let asked = self.units(stretch).asked(self.margin());
        self.stretch(UnitRange { lowest: asked.lowest.map(|low| low - 1), highest: asked.highest.map(|high| high + 1) })
    }

    pub(super) fn out_of_range(&self, place: i128) -> PageError {
        PageError::OutOfRange { path: self.range.field.clone(), found: self.shown(place) }
    }

    pub(super) fn out_of_order(&self, before: i128, after: i128) -> PageError {
        let (before, after) = (self.shown(before), self.shown(after));
        PageError::OutOfOrder { path: self.range.field.clone(), before, after }
    }

    pub(super) fn apart(&self, skipped: i128) -> PageError {
        PageError::PartsApart { path: self.range.field.clone(), skipped: self.shown(skipped) }
    }

    fn own(&self, request: &PageRequest, param: &Param) -> Own {
        match request.value_at(param) {
            None => Own::Nothing,
            Some(text) => match self.range.kind.unit_of_text(&text) {
                Some(unit) => Own::Place(self.turn(unit)),
                None => Own::Unreadable,
            },
        }
    }

    fn param(&self, side: Side) -> &Param {
        if self.is_lower(side) { &self.range.from } else { &self.range.to }
    }

    fn is_lower(&self, side: Side) -> bool {
        (side == Side::Near) == (self.range.direction == Direction::Ascending)
    }

    /// Converts a place to its unit, and a unit to its place.
    fn turn(&self, place: i128) -> i128 {
        match self.range.direction {
            Direction::Ascending => place,
            Direction::Descending => -place,
        }
    }

    fn units(&self, stretch: Stretch) -> UnitRange {
        let (first, last) = (stretch.start, stretch.end.map(|end| end - 1));
        match self.range.direction {
            Direction::Ascending => UnitRange { lowest: first, highest: last },
            Direction::Descending => UnitRange { lowest: last.map(|last| -last), highest: first.map(|first| -first) },
        }
    }

    fn stretch(&self, UnitRange { lowest, highest }: UnitRange) -> Stretch {
        let (first, last) = match self.range.direction {
            Direction::Ascending => (lowest, highest),
            Direction::Descending => (highest.map(|high| -high), lowest.map(|low| -low)),
        };
        Stretch { start: first, end: last.map(|last| last + 1) }
    }
}

impl UnitRange {
    /// Units that a request names. The bound above them is the first moment of the unit behind the highest; one more, because the
    /// upstream may round, or live in a time zone where that is later.
    fn asked(self, margin: i128) -> Self {
        Self { lowest: self.lowest.map(|low| low - margin), highest: self.highest.map(|high| high + 2) }
    }
}

impl Stretch {
    pub(super) fn is_before(self, place: i128) -> bool {
        self.end.is_some_and(|end| place >= end)
    }

    pub(super) fn is_behind(self, place: i128) -> bool {
        self.start.is_some_and(|start| place < start)
    }
}
