//! Plans: a scripted API with the latencies and limits that APIs have, unpage in front of it, and the
//! API's own log of requests.
//!
//! - [`api`]: the API, and the configuration that walks it
//! - [`stream`]: a client that checks that every order comes once
//! - [`width`], [`partition`], [`pace`], [`window`]: what is measured

pub mod api;
pub mod pace;
pub mod partition;
pub mod stream;
pub mod width;
pub mod window;

use serde_json::{Map, Value, json};

use super::Setting;
use crate::figure::Figure;

/// Rows, so that one of them can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    /// Gain of several pages at a time
    Width,
    /// Requests made in vain
    Wasted,
    /// Parts that are cut while they are walked
    Partition,
    /// A limit of 20 requests a second
    Rate,
    /// As many at a time as the API bears
    Adaptive,
    /// Records that wait for their turn
    Window,
}

/// Measures these rows, or all, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, rows: &[Row]) -> anyhow::Result<(Vec<Figure>, Value)> {
    let all = [Row::Width, Row::Wasted, Row::Partition, Row::Rate, Row::Adaptive, Row::Window];
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for row in all.into_iter().filter(|row| rows.is_empty() || rows.contains(row)) {
        let (more, seen) = match row {
            Row::Width => width::run(setting).await?,
            Row::Wasted => width::wasted(setting).await?,
            Row::Partition => partition::run(setting).await?,
            Row::Rate => pace::rate(setting).await?,
            Row::Adaptive => pace::adaptive(setting).await?,
            Row::Window => window::run(setting).await?,
        };
        figures.extend(more);
        details.insert(format!("{row:?}"), seen);
    }
    Ok((figures, json!(details)))
}
