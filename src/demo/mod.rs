//! A legacy API in a box: made-up orders under every pagination type, each at its own path, for `unpage demo` and the tests;
//! and the same by script, with the latencies, limits and faults that APIs have.

mod answer;
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
mod scripted;
mod select;
mod server;
#[cfg(test)]
mod tests;
mod token;
mod window;

pub use calendar::{Calendar, Span, Stamp, Times};
pub use config::configuration;
pub use legacy::Legacy;
pub use orders::Order;
pub use quirks::{Quirks, Total};
pub use scripted::{
    Asked, Counted, Delivery, Fault, Harm, Jitter, Latency, Log, Logged, On, RateLimit, Reply, Reset, Says, Script,
    Scripted,
};
pub use select::Listing;
pub use server::serve;
