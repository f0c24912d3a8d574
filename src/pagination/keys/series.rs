//! Numbers of the keys that have one text before them, as `17`, `"17"` or `"ord_0017"`.

use super::numbers::NumberRanges;
use super::set::Novelty;

/// Numbers behind one text.
#[derive(Debug)]
pub(super) struct Series {
    /// The text before the number: of a string with its quotation mark, of a number with leading zeros with the zeros.
    prefix: Box<[u8]>,
    ranges: NumberRanges,
    density: SeriesDensity,
}

/// Expectation of the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeriesDensity {
    /// It lies beside a range.
    Dense,
    /// It lies anywhere: the ranges stay as they are, and other numbers are kept elsewhere.
    Sparse,
}

/// Result of adding a number to a series.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SeriesInsert {
    Ranged(Novelty),
    /// The number was new, and there were too many ranges: these numbers have left them.
    Overflow(Vec<u64>),
    /// The number is in no range, and may be elsewhere.
    Elsewhere,
}

impl Series {
    pub(super) fn new(prefix: &[u8]) -> Self {
        Self { prefix: prefix.into(), ranges: NumberRanges::default(), density: SeriesDensity::Dense }
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Adds a number, if it is dense or known; the series may have `most` ranges.
    pub(super) fn insert(&mut self, number: u64, most: usize) -> SeriesInsert {
        match self.density {
            SeriesDensity::Sparse if self.ranges.contains(number) => return SeriesInsert::Ranged(Novelty::Known),
            SeriesDensity::Sparse => return SeriesInsert::Elsewhere,
            SeriesDensity::Dense => {}
        }
        let novelty = self.ranges.insert(number);
        if self.ranges.len() <= most {
            return SeriesInsert::Ranged(novelty);
        }
        self.density = SeriesDensity::Sparse;
        let (mut loose, mut length) = (Vec::new(), 1);
        while self.ranges.len() > most / 2 {
            length *= 2;
            loose.extend(self.ranges.take_short(length));
        }
        SeriesInsert::Overflow(loose)
    }

    /// Adds up to `count` numbers behind this one, the last that was added, as far as they lie beside its range and are new. Returns their
    /// number.
    pub(super) fn extend(&mut self, number: u64, count: usize) -> usize {
        match self.density {
            SeriesDensity::Dense => self.ranges.extend(number, count),
            SeriesDensity::Sparse => 0,
        }
    }

    pub(super) fn ranges(&self) -> usize {
        self.ranges.len()
    }
}
