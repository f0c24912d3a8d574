//! What a crawl has written and readers read: an append-only log of batches that ends with a seal.

mod log;
mod seal;

pub use log::{Next, NoReader, Reader, Writer, log};
pub use seal::{Failure, Fault, Seal, Verdict};
