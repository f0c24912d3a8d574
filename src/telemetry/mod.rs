//! Metrics and the list of snapshots, at the operator's address.

mod admin;
mod exposition;
mod list;
mod metrics;

pub use admin::Admin;
