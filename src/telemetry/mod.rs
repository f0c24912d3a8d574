//! Metrics and the list of snapshots, at the operator's address.

mod admin;
mod family;
mod metrics;
mod reloads;
mod snapshot_list;

pub use admin::Admin;
pub use reloads::Reloads;
