//! Readers to the wire: bodies that end cleanly only when their snapshot is complete.

mod body;

pub use body::{Body, Length, StreamBody, empty, full, passed};
pub use tower::BoxError;
