//! The same ways from a page to lines for `cargo bench`, where one of them is being worked on.

use divan::Bencher;
use divan::counter::BytesCount;
use unpage_bench::approaches::Approach;
use unpage_bench::corpora::Corpus;

fn main() {
    divan::main();
}

/// One way over one corpus; divan names a benchmark's argument by its `Debug`.
struct Case(Approach, Corpus);

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.1.name(), self.0.name())
    }
}

fn cases() -> impl Iterator<Item = Case> {
    Corpus::ALL.into_iter().flat_map(|corpus| Approach::all().into_iter().map(move |approach| Case(approach, corpus)))
}

#[divan::bench(args = cases(), sample_count = 20)]
fn split(bencher: Bencher<'_, '_>, Case(approach, corpus): &Case) {
    let pages = corpus.pages(1 << 20);
    let mut out = Vec::new();
    let bytes = BytesCount::new(pages.iter().map(Vec::len).sum::<usize>());
    bencher.counter(bytes).bench_local(|| pages.iter().for_each(|page| approach.run(page, &mut out)));
}
