//! Readers to the wire: bodies that end cleanly only when their snapshot is complete.

mod body;
mod ending;

pub use body::{Body, BoxError, StreamBody, empty, full, passed};
pub use ending::HoldBack;
