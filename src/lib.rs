//! unpage: a reverse proxy that turns paginated HTTP APIs into streams.
//!
//! Read from top to bottom, the rooms are the way of a record:
//!
//! - [`cli`]: arguments to one of serve, fetch, probe, check, demo
//! - [`server`]: sockets in
//! - [`gateway`]: one request up to the head of its response, as a [`tower::Service`]
//! - [`request`]: what the client asked for
//! - [`snapshot`]: the log between a crawl and its reader
//! - [`crawl`]: the one writer, a loop over the plan
//! - [`pagination`]: how pages are addressed, split and ended; pure
//! - [`pace`]: how much an upstream is asked at a time; pure
//! - [`upstream`]: the only door to the network
//! - [`response`]: readers to the wire
//! - [`batch`]: records on their way
//! - [`config`]: what unpage was told to do
//! - [`telemetry`]: what it says of itself
//! - [`demo`]: a legacy API in a box

pub mod batch;
pub mod cli;
pub mod config;
pub mod crawl;
pub mod demo;
pub mod gateway;
pub mod pace;
pub mod pagination;
pub mod request;
pub mod response;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod upstream;
