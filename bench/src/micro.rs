//! The splitter and its rivals, all in one process: interleaved in every round, timed by the thread's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use serde_json::{Value, json};

use crate::approaches::Approach;
use crate::corpora::Corpus;
use crate::figure::{Figure, Goal};
use crate::splitter::{CHUNKS, Level, Variant};
use crate::spread::{Spread, short};

/// Thoroughness of the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub rounds: usize,
    /// Size that stays in the second-level cache.
    pub hot: usize,
    /// Bytes that a hot region reads in one timing.
    pub timed: usize,
    /// More than all caches.
    pub cold: usize,
    /// The one huge page.
    pub huge: usize,
    /// The records of the page of tiny ones.
    pub tiny: usize,
}

impl Scale {
    pub const FULL: Self =
        Self { rounds: 9, hot: 1 << 20, timed: 16 << 20, cold: 64 << 20, huge: 256 << 20, tiny: 1_000_000 };
    pub const QUICK: Self =
        Self { rounds: 3, hot: 1 << 20, timed: 4 << 20, cold: 4 << 20, huge: 8 << 20, tiny: 50_000 };
}

/// Data of one timing.
#[derive(Debug)]
struct Region {
    /// Positions of its pages.
    heat: Heat,
    name: &'static str,
    pages: Vec<Vec<u8>>,
    passes: usize,
    approaches: Vec<Approach>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Heat {
    Hot,
    Cold,
}

/// Result of a measurement.
#[derive(Debug, Default)]
pub struct Measured {
    /// GB/s of every round, by heat, region and approach.
    speeds: BTreeMap<(Heat, &'static str, String), Vec<f64>>,
    columns: Vec<(Heat, &'static str)>,
    rows: Vec<String>,
}

/// Measures everything.
pub fn run(scale: Scale) -> Measured {
    let mut measured = Measured { rows: Approach::all().iter().map(Approach::name).collect(), ..Measured::default() };
    let hot = Corpus::FIVE.map(|corpus| move || hot(corpus, scale));
    let cold = Corpus::FIVE.map(|corpus| move || cold(corpus, scale));
    hot.iter().for_each(|region| measured.region(&region(), scale.rounds));
    cold.iter().for_each(|region| measured.region(&region(), scale.rounds));
    measured.region(&tiny(scale), scale.rounds);
    measured.region(&huge(scale), scale.rounds);
    measured
}

fn hot(corpus: Corpus, scale: Scale) -> Region {
    let pages = corpus.pages(scale.hot);
    Region { heat: Heat::Hot, name: corpus.name(), pages, passes: scale.timed / scale.hot, approaches: Approach::all() }
}

fn cold(corpus: Corpus, scale: Scale) -> Region {
    let pages = corpus.pages(scale.cold);
    Region { heat: Heat::Cold, name: corpus.name(), pages, passes: 1, approaches: Approach::all() }
}

fn tiny(scale: Scale) -> Region {
    let pages = vec![Corpus::Tiny.page_of_records(scale.tiny)];
    Region { heat: Heat::Cold, name: "tiny", pages, passes: 1, approaches: Approach::all() }
}

fn huge(scale: Scale) -> Region {
    let pages = vec![Corpus::Issues.page_of_bytes(scale.huge)];
    Region { heat: Heat::Cold, name: "huge", pages, passes: 1, approaches: Approach::frugal() }
}

impl Measured {
    /// Every approach over a region, in every round in the other order than before.
    fn region(&mut self, region: &Region, rounds: usize) {
        self.columns.push((region.heat, region.name));
        eprintln!("micro: {:?} {}", region.heat, region.name);
        let mut out = Vec::new();
        for round in 0..rounds {
            let mut order: Vec<_> = region.approaches.iter().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for approach in order {
                let speed = region.time(approach, &mut out);
                self.speeds.entry((region.heat, region.name, approach.name())).or_default().push(speed);
            }
        }
    }

    /// One approach's speed as a share of the baseline's, round by round.
    fn ratio(&self, heat: Heat, region: &'static str, approach: &str) -> Option<Spread> {
        let speeds = self.speeds.get(&(heat, region, approach.to_owned()))?;
        let base = self.speeds.get(&(heat, region, Approach::RawVisitor.name()))?;
        Some(Spread::of_ratios(speeds, base))
    }

    /// The figures that the splitter has to show.
    pub fn figures(&self) -> Vec<Figure> {
        let [smallest, .., largest] = CHUNKS;
        let variants = Variant::all(&[largest]);
        let mut figures: Vec<_> = variants.iter().map(|variant| self.to_baseline(variant)).collect();
        figures.extend(variants.iter().map(|variant| self.to_large_chunks(variant, smallest)));
        let again = Approach::RawVisitorAgain.name();
        let ratios = self.five(|corpus| self.ratio(Heat::Hot, corpus, &again));
        let off = |(_, ratio): &(_, Spread)| (ratio.median - 1.0).abs();
        if let Some((corpus, seen)) = ratios.into_iter().max_by(|one, other| off(one).total_cmp(&off(other))) {
            let name = "the baseline again (A/A), farthest of 5";
            figures.push(Figure::new(name, Goal::None, seen, format!("hot, {corpus}")));
        }
        figures
    }

    fn to_baseline(&self, variant: &Variant) -> Figure {
        let goal = match variant.level {
            _ if variant.is_fallback() => Goal::None,
            Level::Structural => Goal::AtLeast(3.5, 6.0),
            Level::Full => Goal::AtLeast(1.0, 3.0),
        };
        let (corpus, seen) = self.worst(|corpus| self.ratio(Heat::Hot, corpus, &variant.name()));
        let name = format!("split ({}) / RawValue visitor, worst of 5", variant.way());
        Figure::new(name, goal, seen, format!("hot, {corpus}"))
    }

    fn to_large_chunks(&self, variant: &Variant, chunk: usize) -> Figure {
        let small = variant.at(chunk);
        let (corpus, seen) = self.worst(|corpus| {
            let speeds = |variant: &Variant| self.speeds.get(&(Heat::Hot, corpus, variant.name()));
            Some(Spread::of_ratios(speeds(&small)?, speeds(variant)?))
        });
        let goal = if variant.is_fallback() { Goal::None } else { Goal::AtLeast(0.85, 0.97) };
        let name = format!("split ({}) at {chunk} B chunks / at {} B, worst of 5", variant.way(), variant.chunk);
        Figure::new(name, goal, seen, format!("hot, {corpus}"))
    }

    fn five(&self, seen: impl Fn(&'static str) -> Option<Spread>) -> Vec<(&'static str, Spread)> {
        Corpus::FIVE.into_iter().filter_map(|corpus| Some((corpus.name(), seen(corpus.name())?))).collect()
    }

    fn worst(&self, seen: impl Fn(&'static str) -> Option<Spread>) -> (&'static str, Spread) {
        let least = |one: &(_, Spread), other: &(_, Spread)| one.1.median.total_cmp(&other.1.median);
        self.five(seen).into_iter().min_by(least).expect("five corpora were measured")
    }

    /// Prints one table in Markdown for each heat: how often as fast as the baseline, and GB/s.
    pub fn print(&self) {
        for heat in [Heat::Hot, Heat::Cold] {
            let columns: Vec<_> =
                self.columns.iter().filter(|column| column.0 == heat).map(|column| column.1).collect();
            println!("\n| {heat:?}: ratio to the baseline, GB/s | {} | spread |", columns.join(" | "));
            println!("|---|{}---|", "---|".repeat(columns.len()));
            for row in &self.rows {
                let cells: Vec<_> = columns.iter().map(|region| self.cell(heat, region, row)).collect();
                println!("| {row} | {} | {} |", cells.join(" | "), self.widest(heat, &columns, row));
            }
        }
    }

    fn cell(&self, heat: Heat, region: &'static str, approach: &str) -> String {
        let speeds = self.speeds.get(&(heat, region, approach.to_owned()));
        match (self.ratio(heat, region, approach), speeds) {
            (Some(ratio), Some(speeds)) => {
                format!("**{}** {}", short(ratio.median), short(Spread::of(speeds.clone()).median))
            }
            _ => "–".to_owned(),
        }
    }

    /// The widest spread of a row's ratios, as shares of their medians.
    fn widest(&self, heat: Heat, columns: &[&'static str], approach: &str) -> String {
        let ratios = columns.iter().filter_map(|region| self.ratio(heat, region, approach));
        let (low, high) = ratios.fold((0.0, 0.0), |(low, high): (f64, f64), ratio| {
            (low.min(ratio.low / ratio.median - 1.0), high.max(ratio.high / ratio.median - 1.0))
        });
        format!("−{:.0}/+{:.0} %", low.abs() * 100.0, high * 100.0)
    }

    /// Everything as JSON.
    pub fn to_json(&self) -> Value {
        let rows = self.speeds.iter().map(|((heat, region, approach), speeds)| {
            json!({
                "heat": heat,
                "region": region,
                "approach": approach,
                "ratio": self.ratio(*heat, region, approach),
                "gb_per_s": Spread::of(speeds.clone()),
                "rounds": speeds,
            })
        });
        rows.collect()
    }
}

impl Region {
    /// GB/s of one approach. A hot region is walked once before.
    fn time(&self, approach: &Approach, out: &mut Vec<u8>) -> f64 {
        if self.heat == Heat::Hot {
            self.pages.iter().for_each(|page| approach.run(page, out));
        }
        let start = cpu_time();
        for _ in 0..self.passes {
            self.pages.iter().for_each(|page| approach.run(page, out));
        }
        let took = cpu_time() - start;
        let bytes = self.pages.iter().map(Vec::len).sum::<usize>() * self.passes;
        bytes as f64 / took.as_nanos() as f64
    }
}

/// CPU time of this thread so far, without other load of the machine.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}
