//! unpage's own caps on pages, records, and the crawl.

/// unpage's own caps; a crawl that reaches one fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of one page; default without a limit, since memory does not depend on them.
    pub page_bytes: u64,
    /// Bytes of one record; default 16 MiB.
    pub record_bytes: u64,
    /// Bytes of a page in a row in which no record ends; default 64 MiB, and never less than those of a record.
    pub gap_bytes: u64,
    /// Pages of one crawl; default 1,000,000.
    pub pages: u64,
    /// Pages without a record in a row; default 100.
    pub empty_pages: u64,
    /// Bytes in memory of records that came out of order; default 16 MiB.
    pub window_bytes: u64,
    /// Bytes on disk of such records when the memory is full; default 1 GiB, 0 for none.
    pub spool_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            page_bytes: u64::MAX,
            record_bytes: 16 << 20,
            gap_bytes: 64 << 20,
            pages: 1_000_000,
            empty_pages: 100,
            window_bytes: 16 << 20,
            spool_bytes: 1 << 30,
        }
    }
}

impl Caps {
    /// Bytes of a page that has to be held in memory as a whole: `caps.page` where it is configured, else 64 MiB.
    pub fn whole_page_bytes(&self) -> u64 {
        const WHOLE: u64 = 64 << 20;
        if self.page_bytes == Self::default().page_bytes { WHOLE } else { self.page_bytes }
    }
}
