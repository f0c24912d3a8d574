//! A legacy API in a box: made-up orders under every pagination type, each at its own path, for `unpage demo` and the tests.

mod answer;
mod ask;
mod by_link;
mod by_number;
mod by_token;
mod collections;
mod config;
mod legacy;
mod orders;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use config::configuration;
pub use legacy::Legacy;
pub use orders::Order;
pub use server::serve;
