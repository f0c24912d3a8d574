//! The only door to the network: one client per upstream, with its connections, credentials and time limits.

mod auth;
mod body;
mod client;
pub mod coding;
mod connect;
mod error;
mod pacing;
mod transport;
mod watched_connection;

pub use body::{CodedBody, DecodedBody};
pub use client::Client;
pub use connect::BadTrust;
pub use error::UpstreamError;
pub use pacing::{Governors, Permit, Traffic};
pub use transport::{OutgoingBody, Transport};

fn origin_of(upstream: &crate::config::Upstream) -> String {
    upstream.url.origin().ascii_serialization()
}
