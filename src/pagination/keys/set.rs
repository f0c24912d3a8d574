//! Set of all keys of a crawl.

use super::loose::{KeySpill, LooseKeys, NoSpill, SpillLost};
use super::next_key::NextKey;
use super::numbered_key::split;
use super::series::{Series, SeriesInsert};

/// Most series: keys with other prefixes are kept one by one.
const SERIES: usize = 16;

/// Bytes in memory of a set without a store.
const MEMORY: usize = 16 << 20;

/// Bytes of one range in memory.
const RANGE: usize = 40;

/// Keys of the records that have come, as their raw JSON texts.
#[derive(Debug)]
pub struct KeySet {
    series: Vec<Series>,
    /// Index of the series that had the last key.
    last: usize,
    next: NextKey,
    /// Number of ranges of all series, and the most that there may be.
    ranges: usize,
    most_ranges: usize,
    loose: LooseKeys,
    /// Key under way in the form of the loose ones, kept for its allocation.
    form: Vec<u8>,
}

/// Answer of a set that was asked to add a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    New,
    Known,
}

impl KeySet {
    /// A set that has about `memory` bytes in memory, an eighth of it for ranges, and more in the store.
    pub fn new(memory: usize, spill: Box<dyn KeySpill>) -> Self {
        Self {
            series: Vec::with_capacity(SERIES),
            last: 0,
            next: NextKey::behind(b""),
            ranges: 0,
            most_ranges: memory / 8 / RANGE,
            loose: LooseKeys::new(memory, spill),
            form: Vec::new(),
        }
    }

    /// Adds a key. A number of another text, as `1.0` for `1`, is another key.
    pub fn insert(&mut self, key: &[u8]) -> Result<Novelty, SpillLost> {
        let number = self.number_of(key);
        self.insert_at(key, number)
    }

    /// Adds a key and those that count up from it, `count` in all with as many digits, as far as the others take no search. Returns the
    /// number of those that were added: they are new, and the one behind them may be known.
    pub fn insert_run(&mut self, first: &[u8], count: usize) -> Result<usize, SpillLost> {
        let number = self.number_of(first);
        if self.insert_at(first, number)? == Novelty::Known {
            return Ok(0);
        }
        Ok(1 + number.map_or(0, |(at, number)| self.series[at].extend(number, count - 1)))
    }

    fn insert_at(&mut self, key: &[u8], number: Option<(usize, u64)>) -> Result<Novelty, SpillLost> {
        let Some((at, number)) = number else {
            self.form.clear();
            self.form.push(u8::MAX);
            self.form.extend_from_slice(key);
            return self.loose.insert(&self.form);
        };
        let series = &mut self.series[at];
        let others = self.ranges - series.ranges();
        let inserted = series.insert(number, self.most_ranges.saturating_sub(others));
        self.ranges = others + series.ranges();
        match inserted {
            SeriesInsert::Ranged(novelty) => Ok(novelty),
            SeriesInsert::Elsewhere => self.insert_loose(at, number),
            SeriesInsert::Overflow(numbers) => {
                for number in numbers {
                    self.insert_loose(at, number)?;
                }
                Ok(Novelty::New)
            }
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.loose.bytes() + RANGE * self.ranges
    }

    /// Number of keys that were forgotten for want of room: later ones were not compared with them.
    pub fn forgotten(&self) -> u64 {
        self.loose.forgotten()
    }

    /// Index of a key's series, and its number.
    fn number_of(&mut self, key: &[u8]) -> Option<(usize, u64)> {
        if let Some(number) = self.next.number_of(key) {
            return Some((self.last, number));
        }
        let (prefix, number) = split(key)?;
        let at = self.series_of(prefix)?;
        self.next.follow(key, prefix.len(), number);
        Some((at, number))
    }

    /// Index of the series with this prefix. A prefix that once had no series never gets one: its keys are elsewhere.
    fn series_of(&mut self, prefix: &[u8]) -> Option<usize> {
        if self.series.get(self.last).is_some_and(|series| series.prefix() == prefix) {
            return Some(self.last);
        }
        let found = self.series.iter().position(|series| series.prefix() == prefix);
        if found.is_none() {
            if self.series.len() == SERIES {
                return None;
            }
            self.series.push(Series::new(prefix));
        }
        self.last = found.unwrap_or(self.series.len() - 1);
        Some(self.last)
    }

    /// Adds a number in the form in which numbers sort as they count.
    fn insert_loose(&mut self, series: usize, number: u64) -> Result<Novelty, SpillLost> {
        self.form.clear();
        // Cannot be cut, and is never the mark of a text: there are 16 series.
        self.form.push(series as u8);
        self.form.extend_from_slice(&number.to_be_bytes());
        self.loose.insert(&self.form)
    }
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new(MEMORY, Box::new(NoSpill))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::pagination::keys::RunNumber;

    /// Runs in memory, up to a number.
    #[derive(Debug)]
    struct Runs(Vec<Vec<u8>>, usize);

    impl KeySpill for Runs {
        fn store(&mut self, run: Vec<u8>) -> Option<RunNumber> {
            (self.0.len() < self.1).then(|| {
                self.0.push(run);
                RunNumber(self.0.len() - 1)
            })
        }

        fn read(&self, run: RunNumber, at: usize, length: usize) -> Result<Vec<u8>, SpillLost> {
            Ok(self.0[run.0][at..at + length].to_vec())
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => (0..300_u32).prop_map(|number| number.to_string()),
            4 => (0..300_u32).prop_map(|number| format!("\"ord_{number:03}\"")),
            2 => (0..u64::MAX).prop_map(|number| (number / 1000 * 1000).to_string()),
            4 => (0..400_u32).prop_map(|number| format!("\"{:x}\"", number.wrapping_mul(0x9E37_79B9))),
            1 => Just("null".to_owned()),
            1 => Just("\"\"".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn a_run_is_added_as_its_keys_are(
            runs in prop::collection::vec((10..90_u64, 1..20_usize, any::<bool>()), 1..30), memory in 0..4_000_usize,
        ) {
            let (mut keys, mut model) = (KeySet::new(memory, Box::new(NoSpill)), BTreeSet::new());
            for (first, count, is_text) in runs {
                let key = |number: u64| if is_text { format!("\"a{number}\"") } else { number.to_string() };
                let run: Vec<_> = (first..100).take(count).map(key).collect();
                let new = keys.insert_run(run[0].as_bytes(), run.len()).unwrap();
                let known = run.iter().take_while(|key| !model.contains(*key)).count();
                prop_assert!(new <= known && (new > 0 || known == 0) || keys.forgotten() > 0);
                model.extend(run.iter().take(new).cloned());
                for key in &run[new..] {
                    let novelty = if model.insert(key.clone()) { Novelty::New } else { Novelty::Known };
                    let inserted = keys.insert(key.as_bytes()).unwrap();
                    prop_assert!(inserted == novelty || keys.forgotten() > 0);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_key_is_known_if_its_text_came_before(keys in prop::collection::vec(key(), 0..1_500), memory in 200..40_000_usize) {
            let (mut set, mut model) = (KeySet::new(memory, Box::new(Runs(Vec::new(), usize::MAX))), BTreeSet::new());
            for key in &keys {
                let novelty = if model.insert(key) { Novelty::New } else { Novelty::Known };
                prop_assert_eq!(set.insert(key.as_bytes()).unwrap(), novelty, "{}", key);
            }
            prop_assert_eq!(set.forgotten(), 0);
        }
    }

    #[test]
    fn dense_and_sorted_keys_need_little_and_random_ones_stay_within_bounds() {
        let count = 300_000_u64;
        let of = |key: &dyn Fn(u64) -> String, memory: usize| {
            let mut set = KeySet::new(memory, Box::new(Runs(Vec::new(), usize::MAX)));
            let mut most = 0;
            for number in 0..count {
                assert_eq!(set.insert(key(number).as_bytes()).unwrap(), Novelty::New);
                most = most.max(set.bytes());
            }
            for number in (0..count).step_by(1_777) {
                assert_eq!(set.insert(key(number).as_bytes()).unwrap(), Novelty::Known);
            }
            assert_eq!(set.forgotten(), 0);
            most
        };
        let mixed = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 5;
        assert!(of(&|number| number.to_string(), 1 << 20) < 1_000);
        assert!(of(&|number| format!("\"cus_{:07}\"", count - number), 1 << 20) < 1_000);
        for key in [&|number| mixed(number).to_string(), &|number| format!("\"{:016x}\"", mixed(number)), &|number| {
            (number * 1_000_003).to_string()
        }] as [&dyn Fn(u64) -> String; 3]
        {
            let most = of(key, 1 << 20);
            assert!(most < (1 << 20) + (200 << 10), "{most}");
        }
    }

    #[test]
    fn keys_without_room_are_counted_as_forgotten() {
        let mut set = KeySet::new(20_000, Box::new(Runs(Vec::new(), 1)));
        for number in 0..5_000 {
            assert_eq!(set.insert(format!("\"{number:x}y\"").as_bytes()).unwrap(), Novelty::New);
        }
        assert!(set.forgotten() > 0 && set.bytes() < 40_000);
        assert_eq!(set.insert(b"\"1y\"").unwrap(), Novelty::Known);
        assert_eq!(set.insert(b"\"1387y\"").unwrap(), Novelty::Known);
    }
}
