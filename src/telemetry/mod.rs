//! Metrics and the list of snapshots, at the operator's address.

mod admin;
mod list;
mod metrics;

pub use admin::Admin;
