//! Allocations of whole crawls, counted: gateway, crawl, log and both connections, without API and client.
#![expect(unsafe_code, reason = "an allocator can't be counted without being one")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{env, fs};

use unpage_upstream::{PipedCrawl, PipedStyle, is_counted};

/// Requests at which counting starts and ends. The log's memory of 8 MiB is full before.
const COUNTED: [usize; 2] = [220, 300];

/// The record: a line for each course, with a tab before the allocations of one of its pages.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/allocations.tsv");

/// Share of the recorded figure by which a count may rise.
const TOLERANCE: f64 = 0.03;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static AT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

// SAFETY: everything is left to `System`; the count is a static.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(is_counted().into(), Relaxed);
        // SAFETY: what holds for this function's caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(is_counted().into(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

fn note(request: usize) {
    if let Some(place) = COUNTED.iter().position(|counted| *counted == request) {
        AT[place].store(ALLOCATIONS.load(Relaxed), Relaxed);
    }
}

/// The lesser of two counts: work that a clock starts, as a cache's maintenance, may fall between the counted requests once.
fn allocations_a_page(crawl: PipedCrawl) -> f64 {
    let count = || {
        crawl.run(note).unwrap();
        AT[1].load(Relaxed) - AT[0].load(Relaxed)
    };
    count().min(count()) as f64 / (COUNTED[1] - COUNTED[0]) as f64
}

/// `UPDATE_GOLDEN=1` writes the record anew.
#[test]
fn a_page_of_a_whole_crawl_allocates_no_more_than_recorded() {
    let page = |style| PipedCrawl::new(style, COUNTED[1] + 15, 45_000);
    let mut counts: Vec<_> =
        PipedStyle::ALL.map(|style| (format!("{style:?}"), allocations_a_page(page(style)))).into();
    let link = page(PipedStyle::Link);
    let few = allocations_a_page(PipedCrawl { record_bytes: 1_000, ..link });
    assert!((few / counts[0].1 - 1.0).abs() < TOLERANCE, "{counts:?}, and {few} with a quarter of the records");
    let keyed = allocations_a_page(PipedCrawl { has_key: true, ..link });
    counts.push(("Link, with a key".to_owned(), keyed));
    counts.push(("Link, in pieces of 1,460 bytes".to_owned(), allocations_a_page(PipedCrawl { pipe: 1_460, ..link })));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        let lines: String = counts.iter().map(|(name, count)| format!("{name}\t{count:.1}\n")).collect();
        fs::write(RECORD, lines).unwrap();
    }
    let record = fs::read_to_string(RECORD).unwrap();
    let recorded: Vec<_> = record.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(recorded.len(), counts.len());
    for ((name, before), (course, count)) in recorded.into_iter().zip(&counts) {
        assert_eq!(name, course);
        let most = before.parse::<f64>().unwrap() * (1.0 + TOLERANCE);
        assert!(*count <= most, "{count} allocations a page where {before} are recorded: {name}");
    }
}
