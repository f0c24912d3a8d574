//! Legacy API in a box: made-up orders under every pagination type, each at its own path, for `unpage demo` and the tests.

mod answer;
mod api;
mod by_link;
mod by_number;
mod by_token;
mod calendar;
mod config;
mod endpoints;
mod legacy;
mod orders;
mod quirks;
mod refusal;
mod request;
mod route;
mod selection;
mod stock;
#[cfg(test)]
mod tests;
mod token_codec;
mod window;

pub use answer::OrderCount;
pub use api::DemoApi;
pub use calendar::{Calendar, Stamp, TimeSpan, Times};
pub use config::configuration;
pub use legacy::{Legacy, Listing};
pub use orders::{Order, scattered};
pub use quirks::{Quirks, Total};
