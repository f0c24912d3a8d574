//! unpage: a reverse proxy that turns paginated HTTP APIs into streams.

pub mod batch;
pub mod config;
pub mod demo;
pub mod pagination;
