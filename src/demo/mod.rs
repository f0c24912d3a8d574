//! Legacy API in a box: made-up orders under every pagination type, each at its own path, for `unpage demo` and the tests.

mod answer;
mod api;
mod ask;
mod by_link;
mod by_number;
mod by_token;
mod calendar;
mod collections;
mod config;
mod legacy;
mod orders;
mod quirks;
mod select;
#[cfg(test)]
mod tests;
mod token;
mod window;

pub use answer::OrderCount;
pub use api::DemoApi;
pub use calendar::{Calendar, Span, Stamp, Times};
pub use config::configuration;
pub use legacy::Legacy;
pub use orders::{Order, scattered};
pub use quirks::{Quirks, Total};
pub use select::Listing;
