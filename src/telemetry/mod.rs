//! Metrics, the dashboard and the list of snapshots, at the operator's address.

mod admin;
mod admin_token;
mod dashboard;
mod family;
mod log_level;
mod metrics;
mod process_metrics;
mod reloads;
mod server_metrics;
mod snapshot_list;

pub use admin::Admin;
pub use dashboard::Dashboard;
pub use log_level::LogLevel;
pub use reloads::Reloads;
