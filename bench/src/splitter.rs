//! unpage's splitter as the bench sees it, chunks in and lines out; nothing else here knows its interface.

use std::sync::Arc;

use bytes::Bytes;
use unpage::caps::Caps;
use unpage::pagination::splitter::{Isa, PageShape, Splitter};
use unpage::pagination::{Base, NextUrl, Pagination, Path, Records, Source, Style, Validation};

/// Level of validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Brackets, strings, control characters and UTF-8.
    Structural,
    /// The whole grammar of RFC 8259, too.
    Full,
}

/// One way to run the splitter.
#[derive(Clone, Debug)]
pub struct Variant {
    pub level: Level,
    pub chunk: usize,
    /// The instructions that it is limited to.
    instructions: Isa,
    shape: Arc<PageShape>,
}

/// The pieces that a page comes in: an Ethernet segment, and what a socket gives at once.
pub const CHUNKS: [usize; 3] = [1460, 16 << 10, 64 << 10];

/// The levels that the splitter offers.
const LEVELS: [Level; 2] = [Level::Structural, Level::Full];

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Structural => "structural",
            Self::Full => "full",
        }
    }
}

impl Variant {
    /// Every level by every set of instructions, at chunks of these sizes.
    pub fn all(chunks: &[usize]) -> Vec<Self> {
        let mut all = Vec::new();
        for level in LEVELS {
            for instructions in Isa::available() {
                let shape = Arc::new(PageShape::new(&pagination(level), &caps()).with_isa(instructions));
                let variant = |chunk: &usize| Self { level, chunk: *chunk, instructions, shape: Arc::clone(&shape) };
                all.extend(chunks.iter().map(variant));
            }
        }
        all
    }

    /// The same at chunks of another size.
    pub fn at(&self, chunk: usize) -> Self {
        Self { chunk, ..self.clone() }
    }

    /// The heading of a figure.
    pub fn way(&self) -> String {
        format!("{}, {}", self.level.name(), self.instructions)
    }

    /// The row's heading.
    pub fn name(&self) -> String {
        format!("unpage, {}, {} B chunks", self.way(), self.chunk)
    }

    /// True for instructions that machines with better ones never use: they have no goal.
    pub fn is_fallback(&self) -> bool {
        self.instructions != Isa::best() && Isa::available().last() == Some(self.instructions)
    }

    /// Splits a page, and gives its lines away as they come.
    pub fn split(&self, page: &[u8], mut lines: impl FnMut(&Bytes)) {
        let mut splitter = Splitter::new(Arc::clone(&self.shape));
        for chunk in page.chunks(self.chunk) {
            splitter.feed(chunk).expect("a generated page is good");
            lines(splitter.take().lines());
        }
        let page = splitter.finish().expect("a generated page is good");
        lines(page.batch.lines());
    }
}

/// More than any page here has.
fn caps() -> Caps {
    Caps { page_bytes: 1 << 30, record_bytes: 1 << 30, ..Caps::default() }
}

/// The pages of every corpus: records at `data`, the next address behind them.
fn pagination(level: Level) -> Pagination {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let next = vec![Source::Body(path("next"))];
    let mut pagination =
        Pagination::of(Style::NextUrl(NextUrl { next, base: Base::Request }), Records::at(path("data")));
    pagination.records.validation = match level {
        Level::Structural => Validation::Structure,
        Level::Full => Validation::Full,
    };
    pagination
}
