//! unpage's own caps on pages, records, and the crawl.

/// unpage's own caps; a crawl that reaches one fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of one page; default 64 MiB.
    pub page_bytes: u64,
    /// Bytes of one record; default 16 MiB.
    pub record_bytes: u64,
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
            page_bytes: 64 << 20,
            record_bytes: 16 << 20,
            pages: 1_000_000,
            empty_pages: 100,
            window_bytes: 16 << 20,
            spool_bytes: 1 << 30,
        }
    }
}
