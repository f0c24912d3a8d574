//! Instructions of whole crawls, counted by callgrind, beside those that were recorded.
//!
//!     cargo bench -p unpage-upstream --bench cost [-- PART_OF_A_NAME]
//!
//! Each course is a process of its own, in which a [`PipedCrawl`] runs. callgrind leaves out API and client, and writes what it has
//! counted whenever [`milestone`] is called: once the crawl is warm, and again this many pages later. The profile of those pages stays in
//! `target/cost/NAME.2`. `repeatable.c` keeps time and chance out, but for the turns that threads take. So each course runs three times, and
//! its least count stands: those of one binary differ by less than 0.1 %. The processor is callgrind's own, which has AVX2, so that
//! the record holds on any x86-64. With `UPDATE_GOLDEN=1` it is written anew.

#![expect(clippy::print_stdout, reason = "a report for the terminal")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use unpage::BoxError;
use unpage_upstream::{PipedCrawl, PipedStyle};

/// The record: a line for each cost, with a tab before its instructions.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cost.tsv");

const REPEATABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/repeatable.c");

/// Share of the recorded figure by which a cost may rise.
const TOLERANCE: f64 = 0.03;

/// Runs of each course.
const RUNS: usize = 3;

/// Tolerance of a difference of two counts: 3 % of a page, spread over its further records, are 15 % of what one of them costs.
const TOLERANCE_OF_DIFFERENCES: f64 = 0.30;

const PAGE: usize = 45_000;
const LARGE: usize = 450_000;

/// Pieces of a page as Ethernet brings them, in bytes.
const PIECE: usize = 1_460;

/// Upstream requests at which counting starts and ends. The log's memory of 8 MiB is full before.
const PAGES: [usize; 2] = [250, 350];
const LARGE_PAGES: [usize; 2] = [25, 125];

/// Pages behind the last counted one, so that it has pages ahead of it.
const BEHIND: usize = 15;

/// A crawl and the pages of it that are counted.
#[derive(Clone, Copy)]
struct Course {
    name: &'static str,
    crawl: PipedCrawl,
    counted: [usize; 2],
}

/// Instructions for one page, piece, record or stream.
struct Cost {
    name: String,
    instructions: u64,
}

fn main() -> ExitCode {
    // cargo adds `--bench` to the arguments.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["course", name] => Course::find(name).and_then(Course::run),
        [] => count_all(""),
        [filter] => count_all(filter),
        _ => Err("usage: cost [PART_OF_A_NAME]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Course {
    const fn new(name: &'static str, style: PipedStyle, page_bytes: usize, counted: [usize; 2]) -> Self {
        Self { name, crawl: PipedCrawl::new(style, counted[1] + BEHIND, page_bytes), counted }
    }

    fn all() -> [Self; 12] {
        let link = Self::new("link 45 KB", PipedStyle::Link, PAGE, PAGES);
        let crawl = link.crawl;
        let keyed = PipedCrawl { has_key: true, ..crawl };
        let offset = Self::new("offset 45 KB", PipedStyle::Offset, PAGE, PAGES);
        let keyed_offset = PipedCrawl { has_key: true, ..offset.crawl };
        let pieces = PipedCrawl { pipe: PIECE, ..crawl };
        let few_records = PipedCrawl { record_bytes: 1_000, ..crawl };
        let streams = PipedCrawl { streams: crawl.pages, pages: 1, ..crawl };
        [
            link,
            Self::new("cursor 45 KB", PipedStyle::Cursor, PAGE, PAGES),
            offset,
            Self::new("keyset 45 KB", PipedStyle::Keyset, PAGE, PAGES),
            Self { name: "link 45 KB with a key", crawl: keyed, ..link },
            Self { name: "offset 45 KB with a key", crawl: keyed_offset, ..offset },
            Self::new("link 450 KB", PipedStyle::Link, LARGE, LARGE_PAGES),
            Self::new("cursor 450 KB", PipedStyle::Cursor, LARGE, LARGE_PAGES),
            Self::new("offset 450 KB", PipedStyle::Offset, LARGE, LARGE_PAGES),
            Self { name: "link 45 KB in pieces", crawl: pieces, ..link },
            Self { name: "link 45 KB of few records", crawl: few_records, ..link },
            Self { name: "streams of one page", crawl: streams, ..link },
        ]
    }

    fn find(name: &str) -> Result<Self, BoxError> {
        Self::all().into_iter().find(|course| course.name == name).ok_or_else(|| format!("no course {name}").into())
    }

    fn run(self) -> Result<(), BoxError> {
        self.crawl.run(move |request| {
            if self.counted.contains(&request) {
                milestone(request);
            }
        })
    }

    /// Runs the course under callgrind and returns the instructions for each counted page.
    fn count(self, folder: &Path, repeatable: &Path) -> Result<u64, BoxError> {
        let profile = folder.join(self.name.replace(' ', "-")).display().to_string();
        let mut callgrind = Command::new("valgrind");
        callgrind
            .args(["--tool=callgrind", "--toggle-collect=*piped::uncounted*", "--collect-atstart=yes"])
            .args(["--dump-before=*cost::milestone*", &format!("--callgrind-out-file={profile}")])
            .arg(env::current_exe()?)
            .args(["course", self.name])
            .env("LD_PRELOAD", repeatable)
            // callgrind counts an instruction for each byte that `rep movsb` copies, and so a page that waits, and is copied, twice.
            .env(
                "GLIBC_TUNABLES",
                "glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824",
            );
        run(&mut callgrind)?;
        // The first part is the start, and the third one has what came after the counted pages.
        let counted = fs::read_to_string(format!("{profile}.2"))?;
        let total = counted.lines().find_map(|line| line.strip_prefix("summary: ")).ok_or("a profile without a sum")?;
        Ok(total.trim().parse::<u64>()? / (self.counted[1] - self.counted[0]) as u64)
    }
}

fn run(command: &mut Command) -> Result<(), BoxError> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Makes callgrind write its counters and set them to zero, by its name.
#[inline(never)]
fn milestone(request: usize) {
    black_box(request);
}

/// Counts the courses whose names contain the filter, and compares their costs with the record or writes it.
fn count_all(filter: &str) -> Result<(), BoxError> {
    let folder = env::current_exe()?.ancestors().nth(3).ok_or("no target folder")?.join("cost");
    fs::create_dir_all(&folder)?;
    let repeatable = folder.join("repeatable.so");
    run(Command::new("cc").args(["-O2", "-shared", "-fPIC", REPEATABLE, "-o"]).arg(&repeatable))?;
    let mut counted = BTreeMap::new();
    for course in Course::all().into_iter().filter(|course| course.name.contains(filter)) {
        let counts = (0..RUNS).map(|_| course.count(&folder, &repeatable)).collect::<Result<Vec<_>, _>>()?;
        counted.insert(course.name, counts.into_iter().min().unwrap_or_default());
    }
    let costs = costs(&counted);
    if env::var_os("UPDATE_GOLDEN").is_some() && filter.is_empty() {
        let lines: String = costs.iter().map(|cost| format!("{}\t{}\n", cost.name, cost.instructions)).collect();
        return Ok(fs::write(RECORD, lines)?);
    }
    compare(&costs, &fs::read_to_string(RECORD)?)
}

/// Turns instructions for each page of a course into costs.
fn costs(counted: &BTreeMap<&str, u64>) -> Vec<Cost> {
    let of = |course: &str| counted.get(course).copied();
    let difference = |more: &str, less: &str, number: usize| Some(of(more)?.saturating_sub(of(less)?) / number as u64);
    let pages = Course::all().map(|course| course.name).into_iter().take(9);
    let mut costs: Vec<_> = pages.map(|name| (format!("a page: {name}"), of(name))).collect();
    costs.extend([
        ("a stream of one page of 45 KB".to_owned(), of("streams of one page")),
        ("one more piece in a page".to_owned(), difference("link 45 KB in pieces", "link 45 KB", PAGE / PIECE)),
        ("one more record in a page".to_owned(), difference("link 45 KB", "link 45 KB of few records", 180 - 45)),
    ]);
    costs.into_iter().filter_map(|(name, instructions)| Some(Cost { name, instructions: instructions? })).collect()
}

fn compare(costs: &[Cost], record: &str) -> Result<(), BoxError> {
    let lines = record.lines().filter_map(|line| line.split_once('\t'));
    let recorded =
        lines.map(|(name, count)| Ok((name, count.parse()?))).collect::<Result<BTreeMap<_, u64>, BoxError>>()?;
    let mut risen = 0;
    println!("| instructions for | recorded | counted | |\n|---|---|---|---|");
    for Cost { name, instructions } in costs {
        let before = *recorded.get(name.as_str()).ok_or_else(|| format!("the record has no line {name:?}"))?;
        let change = *instructions as f64 / before as f64 - 1.0;
        let tolerance = if name.starts_with("one more") { TOLERANCE_OF_DIFFERENCES } else { TOLERANCE };
        let verdict = match change {
            _ if change > tolerance => "**too much**",
            _ if change < -tolerance => "lower the record",
            _ => "",
        };
        risen += usize::from(change > tolerance);
        println!("| {name} | {before} | {instructions} | {:+.1} % {verdict} |", change * 100.0);
    }
    match risen {
        0 => Ok(()),
        _ => Err(format!("{risen} costs are further above {RECORD} than they vary").into()),
    }
}
