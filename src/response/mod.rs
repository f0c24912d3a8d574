//! Responses: what a head says of a snapshot in some representation, and a body that ends cleanly only when the snapshot is complete.

mod body;
mod byte_range;
mod cache_status;
mod coded_streams;
mod compressed_body;
mod compressor;
mod encoded_reader;
mod formatted_log;
mod head;
mod representation;
mod snapshot_url;
mod stream_ending;
mod table_index;
mod verdict_field;

pub use body::{Body, BodyLength, StreamBody, empty, full, passed};
pub use byte_range::{ByteRange, RangeError};
pub use cache_status::CacheStatus;
pub use coded_streams::CodedStreams;
#[cfg(feature = "cli")]
pub(crate) use compressor::{Compressor, CompressorStep};
pub use head::{StreamResponse, redirect};
pub use representation::{Representation, vary};
pub use table_index::{TableIndex, TableIndexes};
pub use tower::BoxError;
