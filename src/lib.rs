//! unpage: a reverse proxy that turns paginated HTTP APIs into streams.
//!
//! Read from top to bottom, the rooms are the way of a record:
//!
//! - `cli`: arguments to one of serve, fetch, probe, check, demo
//! - `server`: sockets in
//! - `gateway`: one request up to the head of its response, as a [`tower::Service`]
//! - `request`: a client's wish, read from its request's head
//! - `cache_key`: the key by which requests share a snapshot
//! - `snapshot`: the log between a crawl and its reader
//! - `crawl`: the one writer, a loop over the plan
//! - `pagination`: how pages are addressed, split and ended; pure
//! - `pace`: how much an upstream is asked at a time; pure
//! - `upstream`: the only door to the network
//! - `response`: readers to the wire
//! - `batch`: records on their way
//! - `error`: a failed crawl, the party at fault, and the remedy
//! - `format`: formats of record streams and their hold-back; pure
//! - `id`: snapshot ids and cache keys
//! - `usage`: upstream usage of a crawl
//! - `config`: TOML to valid values
//! - `telemetry`: metrics and the operator's list
//! - `demo`: a legacy API in a box

// Tests, fuzz targets and benches use the modules; programs use what stands at the root.
#[doc(hidden)]
pub mod batch;
#[doc(hidden)]
pub mod cache_key;
#[doc(hidden)]
pub mod caps;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod crawl;
#[cfg(any(feature = "cli", test))]
#[doc(hidden)]
pub mod demo;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod format;
#[doc(hidden)]
pub mod gateway;
#[doc(hidden)]
pub mod id;
#[doc(hidden)]
pub mod pace;
#[doc(hidden)]
pub mod pagination;
#[doc(hidden)]
pub mod request;
#[doc(hidden)]
pub mod response;
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod snapshot;
#[doc(hidden)]
pub mod telemetry;
#[doc(hidden)]
pub mod upstream;
#[doc(hidden)]
pub mod usage;

mod embed;
pub use config::{Config, Mistake, Mistakes};
pub use embed::{Record, RecordStream, RecordStreamBuilder, UnpageLayer, UnpageService};
pub use error::{Failure, Fault};
pub use gateway::{Gateway, GatewayBuilder, GatewayError};
pub use response::{Body, BoxError};
pub use server::serve;
pub use snapshot::Verdict;
