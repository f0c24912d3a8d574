//! Readers to the wire: bodies that end cleanly only when their snapshot is complete.

mod body;

pub use body::{Body, BoxError, Length, StreamBody, empty, full, passed};
