//! Comparison of the keys of ten million records: the most memory of the set, and the time of each key.

use std::fs::{File, OpenOptions, remove_file};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use unpage::pagination::keys::{KeySet, KeySpill, Novelty, RunNumber, SpillLost};

use crate::e2e::Effort;
use crate::figure::{Figure, Goal};
use crate::spread::Spread;

/// `caps.window`, which bounds the set.
const MEMORY: usize = 16 << 20;

/// Bound and aim for the whole set in MiB, the index of its runs included.
const WANTED: (f64, f64) = (24.0, 20.0);

/// Bound and aim where the keys are dense, in MiB.
const WANTED_DENSE: (f64, f64) = (16.0, 0.01);

/// Kinds of keys: a name, a goal, and the key of each record.
type Kind = (&'static str, (f64, f64), fn(u64) -> String);

const KINDS: [Kind; 5] = [
    ("sequential ids", WANTED_DENSE, |number| number.to_string()),
    ("sequential ids behind a text, descending", WANTED_DENSE, |number| format!("\"ord_{:09}\"", 100_000_000 - number)),
    ("sequential ids, one in ten missing", WANTED, |number| (number + number / 9).to_string()),
    ("random 62-bit ids", WANTED, |number| (mixed(number) >> 2).to_string()),
    ("random UUIDs", WANTED, |number| uuid(mixed(number), mixed(number + (1 << 40)))),
];

#[derive(Debug)]
struct Runs {
    file: File,
    runs: Vec<u64>,
    end: u64,
}

impl KeySpill for Runs {
    fn store(&mut self, run: Vec<u8>) -> Option<RunNumber> {
        self.file.write_all_at(&run, self.end).ok()?;
        self.runs.push(self.end);
        self.end += run.len() as u64;
        Some(RunNumber(self.runs.len() - 1))
    }

    fn read(&self, run: RunNumber, at: usize, length: usize) -> Result<Vec<u8>, SpillLost> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, self.runs[run.0] + at as u64);
        read.map(|()| bytes).map_err(|error| SpillLost(error.to_string()))
    }
}

/// Measures, and gives the figures and everything that they were made of.
pub fn run(effort: Effort, folder: &Path) -> anyhow::Result<(Vec<Figure>, Value)> {
    let count = effort.pick(10_000_000, 1_000_000);
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for (name, wanted, key) in KINDS {
        let path = folder.join("keys.runs");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        let mut set = KeySet::new(MEMORY, Box::new(Runs { file, runs: Vec::new(), end: 0 }));
        let (mut most, begun) = (0, Instant::now());
        for number in 0..count {
            let novelty = set.insert(key(number).as_bytes())?;
            anyhow::ensure!(novelty == Novelty::New, "{} is taken for known", key(number));
            if number % 1024 == 0 {
                most = most.max(set.bytes());
            }
        }
        let nanoseconds = begun.elapsed().as_nanos() as f64 / count as f64;
        for number in (0..count).step_by(9_973) {
            anyhow::ensure!(set.insert(key(number).as_bytes())? == Novelty::Known, "{} is taken for new", key(number));
        }
        let spilled = path.metadata()?.len() as f64 / f64::from(1 << 20);
        remove_file(path)?;
        let mib = most as f64 / f64::from(1 << 20);
        details
            .push(json!({ "keys": name, "count": count, "MiB": mib, "spilled MiB": spilled, "ns a key": nanoseconds }));
        let note = format!("{spilled:.0} MiB on disk; {nanoseconds:.0} ns a key, with the making of its text");
        let name = format!("memory of {count} keys in MiB, {name}");
        figures.push(Figure::new(name, Goal::AtMost(wanted.0, wanted.1), Spread::of(vec![mib]), note));
    }
    Ok((figures, Value::from(details)))
}

/// SplitMix64: numbers without a pattern, none of them twice.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn uuid(high: u64, low: u64) -> String {
    let digits = format!("{high:016x}{low:016x}");
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("\"{a}-{b}-{c}-{d}-{e}\"")
}
