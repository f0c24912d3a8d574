//! A page allocates as often whether it has a thousand records or ten thousand, and however long it is: shown by counting.
#![expect(unsafe_code, reason = "an allocator can't be counted without being one")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use unpage::batch::Batch;
use unpage::config::Caps;
use unpage::format::{Encoder, Format, RecordOffset};
use unpage::pagination::link_guard::LinkGuard;
use unpage::pagination::page::Head;
use unpage::pagination::plan::{Walk, WalkStep};
use unpage::pagination::splitter::{Isa, PageShape, Splitter};
use unpage::pagination::{PageRequest, Pagination, Path, Records, Style, Validation};
use url::Url;

const PIECE: usize = 16 * 1024;

/// The most allocations for a page; 18 were measured, most of them for what stands around its records.
const MOST: u64 = 20;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to `System`; the count is a `Cell` without a destructor, which needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: what holds for this function's caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// A page of this many records, each of about this many bytes.
fn page(records: usize, size: usize, separator: &str) -> String {
    let name = "x".repeat(size - 40);
    let records: Vec<_> = (0..records)
        .map(|id| format!("{{\"id\":{},\"tags\":[\"a\\\"b\",null],\"name\":\"{name}\"}}", 1_000_000 + id))
        .collect();
    format!("{{\"meta\":{{\"x\":[1]}},\"data\":[{}],\"more\":false}}", records.join(separator))
}

/// Everything between the bytes of a page and its records.
enum Behind {
    Nothing,
    Plan(Box<Walk>, Head),
}

impl Behind {
    fn plan(pagination: &Pagination) -> Self {
        let url = Url::parse("http://api.example/list").unwrap();
        let guard = LinkGuard::new(&url, &[]);
        let first = PageRequest::get(url);
        let mut plan = Walk::new(Arc::new(pagination.clone()), Caps::default(), guard, first).unwrap();
        let WalkStep::Fetch(request) = plan.step() else { unreachable!("a plan begins with a page") };
        Self::Plan(Box::new(plan), Head { status: StatusCode::OK, headers: HeaderMap::new(), url: request.url.clone() })
    }

    fn take(&mut self, splitter: &mut Splitter) -> Batch {
        let batch = splitter.take();
        match self {
            Self::Nothing => batch,
            Self::Plan(plan, head) => plan.records(head, splitter.fields(), batch).unwrap(),
        }
    }
}

/// Number of allocations for a page whose batches are dropped as they come.
fn allocations(shape: &Arc<PageShape>, mut behind: Behind, page: &str, records: usize) -> u64 {
    let (before, mut came) = (ALLOCATIONS.get(), 0);
    let mut splitter = Splitter::new(Arc::clone(shape));
    for piece in page.as_bytes().chunks(PIECE) {
        splitter.feed(piece).unwrap();
        came += behind.take(&mut splitter).records();
    }
    came += splitter.finish().unwrap().batch.records();
    let allocations = ALLOCATIONS.get() - before;
    assert_eq!(came, records as u64);
    allocations
}

#[test]
fn no_record_costs_an_allocation() {
    let mut counted = 0;
    for (validation, key, separator) in [
        (Validation::Structure, None, ","),
        (Validation::Structure, Some("id"), ","),
        (Validation::Structure, None, ",\n  "),
        (Validation::Full, None, ","),
        (Validation::Full, Some("id"), ",\n  "),
    ] {
        let records = Records { validation, ..Records::at("data".parse().unwrap()) };
        let mut pagination = Pagination::of(Style::SINGLE, records);
        pagination.key = key.map(|key| key.parse::<Path>().unwrap());
        for isa in Isa::available() {
            let shape = Arc::new(PageShape::new(&pagination, &Caps::default()).with_isa(isa));
            for behind in [|_: &Pagination| Behind::Nothing, Behind::plan] {
                let count =
                    |records, size| allocations(&shape, behind(&pagination), &page(records, size, separator), records);
                // Later pages have the buffers of the first.
                count(1_000, 100);
                let counts = [(1_000, 100), (10_000, 100), (1_000, 1_000)].map(|(records, size)| count(records, size));
                assert!(
                    counts == [counts[0]; 3] && counts[0] <= MOST,
                    "{counts:?} allocations for 1,000 and 10,000 records of 100 bytes and 1,000 of 1,000 bytes: \
                     {validation:?} by {isa}, key {key:?}, between records {separator:?}"
                );
                counted += 1;
            }
        }
    }
    assert!(counted >= 10, "{counted} ways");
}

#[test]
fn no_record_costs_an_encoder_an_allocation() {
    let columns = ["id".to_owned(), "tags".to_owned(), "none".to_owned()];
    let fields = "id,tags,a.b".parse().unwrap();
    let of = |format: Format, columns| (format, format.encoder(RecordOffset::default(), columns).unwrap());
    let projected = |format: Format| (format, format.projected(&fields));
    for encoder in [
        &|| of(Format::Json, None),
        &|| of(Format::JsonSeq, None),
        &|| of(Format::GeoJsonSeq, None),
        &|| of(Format::Csv, Some(&columns[..])),
        &|| projected(Format::Ndjson),
        &|| projected(Format::Json),
    ] as [&dyn Fn() -> (Format, Encoder); 6]
    {
        let (format, _) = encoder();
        let record = "{\"type\":\"Feature\",\"id\":1,\"tags\":[\"a\",null],\"name\":\"x\"}\n";
        let mut out = BytesMut::with_capacity(4 << 20);
        let mut counts = [1_000, 10_000].map(|records| {
            let lines = record.repeat(records);
            let (_, mut encoder) = encoder();
            // The first piece makes the buffers of the encoder.
            encoder.push(record.as_bytes(), &mut out).unwrap();
            let before = ALLOCATIONS.get();
            // Cut at record boundaries and within records.
            lines.as_bytes().chunks(record.len() * 10 + 7).for_each(|piece| encoder.push(piece, &mut out).unwrap());
            encoder.finish(&mut out).unwrap();
            assert!(out.len() > records * 10, "{format:?}");
            out.clear();
            ALLOCATIONS.get() - before
        });
        counts.sort_unstable();
        assert!(
            counts[1] <= counts[0] + 2 && counts[0] <= 8,
            "{format:?}: {counts:?} allocations for 1,000 and 10,000 records"
        );
    }
}
