//! Legacy API in a box: made-up orders under every pagination type, each at its own path, for `unpage demo` and the tests.

mod answer;
mod api;
mod by_link;
mod by_number;
mod by_token;
mod calendar;
mod changing_stock;
mod config;
mod endpoints;
mod faults;
mod legacy_api;
mod orders;
mod page_window;
mod refusal;
mod request;
mod route;
mod selection;
#[cfg(test)]
mod tests;
mod token_codec;

pub use answer::OrderCount;
pub use api::DemoApi;
pub use calendar::{Calendar, Stamp, TimeSpan, Times};
pub use config::configuration;
pub use faults::{Quirks, Total};
pub use legacy_api::{Legacy, Listing};
pub use orders::{Order, scattered};
