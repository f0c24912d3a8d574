//! The only door to the network: one client per upstream, with its connections, credentials and time limits.

mod auth;
mod body;
mod client;
mod client_certificate;
pub mod coding;
mod connect;
mod credential;
mod dialler;
mod error;
mod file_stamp;
mod pacing;
mod redaction;
mod resolver;
mod sent_body;
mod transport;
mod tunnel;
mod watched_connection;

pub use body::{CodedBody, DecodedBody};
pub use client::{Client, RequestEffect, UncoveredBody};
pub use client_certificate::certified as client_certificate;
pub use connect::authorities;
pub(crate) use credential::FollowedSecret;
pub use credential::{TokenError, TokenRenewals};
pub use error::{ConnectorError, UpstreamError};
pub use pacing::{Governors, Permit, Traffic};
pub use transport::{OutgoingBody, Transport};

/// Name of the upstream in messages and metrics; it tells two upstreams apart.
pub fn origin_of(upstream: &crate::config::Upstream) -> String {
    match &upstream.socket {
        Some(socket) => format!("unix:{}", socket.display()),
        None => upstream.url.origin().ascii_serialization(),
    }
}
