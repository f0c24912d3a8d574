//! Entry points for Rust programs in addition to [`Gateway`](crate::gateway::Gateway): a layer around a service, and a crawl as a stream.

mod layer;
mod record_stream;

pub use layer::{UnpageLayer, UnpageService};
pub use record_stream::{Record, RecordStream, RecordStreamBuilder};
