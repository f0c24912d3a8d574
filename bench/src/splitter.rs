//! unpage's splitter as the bench sees it, chunks in and lines out; nothing else here knows its interface.

use std::sync::Arc;

use bytes::Bytes;
use unpage::pagination::split::{Shape, Splitter};
use unpage::pagination::{Base, Caps, Pagination, Path, Records, Source, Style};

/// How much of a page is checked.
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
    shape: Arc<Shape>,
}

/// The pieces that a page comes in: an Ethernet segment, and what a socket gives at once.
pub const CHUNKS: [usize; 3] = [1460, 16 << 10, 64 << 10];

/// The levels that the splitter offers.
pub const LEVELS: [Level; 1] = [Level::Full];

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Structural => "structural",
            Self::Full => "full",
        }
    }
}

impl Variant {
    pub fn new(level: Level, chunk: usize) -> Self {
        let caps = Caps { page_bytes: 1 << 30, record_bytes: 1 << 30, ..Caps::default() };
        Self { level, chunk, shape: Arc::new(Shape::of(&pagination(), &caps)) }
    }

    /// Every level at every size of chunk.
    pub fn all() -> Vec<Self> {
        LEVELS.into_iter().flat_map(|level| CHUNKS.map(|chunk| Self::new(level, chunk))).collect()
    }

    /// The row's heading.
    pub fn name(&self) -> String {
        format!("unpage, {}, {} B chunks", self.level.name(), self.chunk)
    }

    /// Splits a page, and gives its lines away as they come.
    pub fn split(&self, page: &[u8], mut lines: impl FnMut(&Bytes)) {
        let mut splitter = Splitter::new(Arc::clone(&self.shape));
        for chunk in page.chunks(self.chunk) {
            let batch = splitter.feed(chunk).expect("a generated page is good");
            lines(batch.lines());
        }
        let page = splitter.finish().expect("a generated page is good");
        lines(page.batch.lines());
    }
}

/// The pages of every corpus: records at `data`, the next address behind them.
fn pagination() -> Pagination {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let next = vec![Source::Body(path("next"))];
    Pagination::of(Style::NextUrl { next, base: Base::Request }, Records::at(path("data")))
}
