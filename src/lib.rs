//! unpage turns paginated HTTP APIs into streams: one request, all records as NDJSON, and a clean end only where the end of
//! the collection is proven.
//!
//! A proxy in front of an API, as a part of another program:
//!
//! ```no_run
//! use tokio::net::TcpListener;
//! use unpage::{Config, Gateway};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::from_toml(
//!         r#"
//!         [[collection]]
//!         path = "/v1/orders"
//!         upstream = "https://api.example.com"
//!         records = "$.data"
//!         pagination = { type = "cursor", next = "$.next_cursor", param = "cursor" }
//!         "#,
//!     )?;
//!     let gateway = Gateway::builder(config).build()?;
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     let stopped = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//!     unpage::serve(listener, gateway.clone(), stopped).await;
//!     gateway.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! There are three entry points, each with an example in `examples/`:
//!
//! - [`Gateway`] is the proxy, a [`tower::Service`] to be mounted in a router (`axum_router.rs`);
//! - [`UnpageLayer`] lets a service that answers with pages stream in its own process (`layer.rs`);
//! - [`RecordStream`] is a crawl on the client's side, a stream of records (`client.rs`).
//!
//! [`Config`] is the same for all of them. They run on tokio and log by `tracing`. The feature `cli`, on by default, is the
//! program `unpage` with its dependencies; libraries want `default-features = false`.

#![warn(missing_docs)]

// The rooms, in the order of a record's way:
//
// - `cli`: arguments to one of serve, fetch, probe, init, explain, presets, check, demo
// - `embed`: entry points for Rust programs in addition to the gateway
// - `server`: sockets in
// - `gateway`: one request up to the head of its response, as a [`tower::Service`]
// - `request`: a client's wish, read from its request's head
// - `cache_key`: the key by which requests share a snapshot
// - `snapshot`: the log between a crawl and its reader
// - `crawl`: the one writer, a loop over the plan
// - `pagination`: how pages are addressed, split and ended; pure
// - `pace`: how much an upstream is asked at a time; pure
// - `upstream`: the only door to the network
// - `response`: readers to the wire
// - `batch`: records on their way
// - `error`: a failed crawl, the party at fault, and the remedy
// - `field_class`: header fields that count, that identify, and that don't matter; pure
// - `format`: formats of record streams and their hold-back; pure
// - `id`: snapshot ids and cache keys
// - `trace`: contexts of traces, and spans
// - `upstream_usage`: requests, retries and waits of a crawl
// - `config`: TOML to valid values
// - `telemetry`: metrics and the operator's dashboard
// - `demo`: a legacy API in a box
//
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
pub mod field_class;
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
pub mod trace;
#[doc(hidden)]
pub mod upstream;
#[doc(hidden)]
pub mod upstream_usage;

mod embed;

pub use config::{Config, Mistake, Mistakes};
pub use embed::{Record, RecordStream, RecordStreamBuilder, UnpageLayer, UnpageService};
pub use error::{Failure, Fault};
pub use gateway::{Gateway, GatewayBuilder, GatewayError};
pub use pagination::{Consistency, Verdict};
pub use response::{Body, BoxError};
pub use server::serve;
