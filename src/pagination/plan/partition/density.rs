//! Density of the records that a part read last.

/// Number of records in a sample: fewer than a page of most APIs, so that distant records are soon forgotten.
const SAMPLE: f64 = 128.0;
/// Weight of an inherited density, in records of the part's own.
const INHERITED: f64 = 16.0;

/// Records per unit, estimated from the last ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Density {
    /// Last whole sample, which reaches over a unit's edge.
    before: Option<Sample>,
    now: Sample,
    /// First place of the current sample.
    start: Option<i128>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    records: f64,
    units: f64,
}

impl Density {
    /// Density that a part starts with which has read nothing.
    pub(super) fn inherited(&self) -> Self {
        let sample = |density| Sample { records: INHERITED, units: INHERITED / density };
        Self { before: self.per_unit().map(sample), ..Self::default() }
    }

    pub(super) fn add(&mut self, place: i128) {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let units = (place - *self.start.get_or_insert(place)) as f64;
        self.now = Sample { records: self.now.records + 1.0, units };
        if self.now.records >= SAMPLE && units >= 1.0 {
            self.before = Some(std::mem::take(&mut self.now));
            self.start = Some(place);
        }
    }

    /// `None` before anything is known. Records that share one unit say nothing of those behind it, however many there are.
    pub(super) fn per_unit(&self) -> Option<f64> {
        match self.before {
            None if self.now.records == 0.0 => None,
            None => Some(self.now.records / self.now.units.max(1.0)),
            Some(before) if self.now.units < 1.0 => Some(before.records / before.units),
            Some(before) => Some((before.records + self.now.records) / (before.units + self.now.units)),
        }
    }
}
