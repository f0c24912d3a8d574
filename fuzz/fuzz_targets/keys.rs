//! The set of a crawl's keys beside a plain hash set: keys of several kinds, in any order, in so little memory that most of them spill.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use unpage::pagination::keys::{KeySet, KeySpill, Novelty, RunNumber, SpillLost};

fuzz_target!(|input: &[u8]| {
    let Some((&[memory, store], steps)) = input.split_first_chunk() else { return };
    let memory = 200 + 100 * usize::from(memory);
    let store = match store % 4 {
        0 => Store { most: usize::from(store / 4), ..Store::default() },
        1 => Store { harm: Some(usize::from(store)), ..Store::default() },
        _ => Store::default(),
    };
    let is_harmed = store.harm.is_some();
    let (mut set, mut model) = (KeySet::new(memory, Box::new(store)), HashSet::new());
    for key in keys(steps) {
        let is_new = model.insert(key.clone());
        match set.insert(key.as_bytes()) {
            // No record is ever dropped for a key that did not come before.
            Ok(Novelty::Known) => assert!(!is_new, "{key} is new"),
            Ok(Novelty::New) => assert!(is_new || set.forgotten() > 0, "{key} came before"),
            Err(lost) => return assert!(is_harmed, "{lost}"),
        }
    }
});

/// Runs in memory.
#[derive(Debug)]
struct Store {
    runs: Vec<Vec<u8>>,
    most: usize,
    /// Place of a byte that is another when it is read.
    harm: Option<usize>,
}

impl Default for Store {
    fn default() -> Self {
        Self { runs: Vec::new(), most: usize::MAX, harm: None }
    }
}

impl KeySpill for Store {
    fn store(&mut self, run: Vec<u8>) -> Option<RunNumber> {
        (self.runs.len() < self.most).then(|| {
            self.runs.push(run);
            RunNumber(self.runs.len() - 1)
        })
    }

    fn read(&self, run: RunNumber, at: usize, length: usize) -> Result<Vec<u8>, SpillLost> {
        let run = self.runs.get(run.0).and_then(|run| run.get(at..at + length));
        let mut block = run.ok_or_else(|| SpillLost("no such run".to_owned()))?.to_vec();
        if let Some(byte) = self.harm.and_then(|at| block.get_mut(at)) {
            *byte ^= 0x20;
        }
        Ok(block)
    }
}

/// Keys as APIs have them, each step some of one kind.
fn keys(steps: &[u8]) -> impl Iterator<Item = String> {
    steps.chunks(5).flat_map(|step| {
        let byte = |at: usize| step.get(at).copied().unwrap_or_default();
        let number = u64::from(u16::from_le_bytes([byte(1), byte(2)]));
        let count = 1 + u64::from(byte(3));
        let of = |kind: &dyn Fn(u64) -> String| (number..number + count).map(kind).collect::<Vec<_>>();
        match byte(0) % 10 {
            0 => of(&|number| number.to_string()),
            1 => of(&|number| format!("\"ord_{number:06}\"")),
            2 => of(&|number| (number * 1_000_003).to_string()),
            3 => of(&|number| format!("\"{:x}\"", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))),
            4 => of(&|number| (u64::MAX - number).to_string()),
            5 => of(&|number| (2 * number).to_string()).into_iter().rev().collect(),
            // More prefixes than the set keeps apart.
            6 => of(&|number| format!("\"{}-{}\"", number % 40, number / 40)),
            7 => of(&|number| format!("\"{number}{:03}\"", byte(4))).into_iter().rev().collect(),
            8 => vec![format!("\"{}\"", "k".repeat(usize::from(byte(4)))), format!("-{number}"), format!("{number}.0")],
            _ => vec![String::from_utf8_lossy(step).into_owned()],
        }
    })
}
