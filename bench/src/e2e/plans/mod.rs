//! What the plans show: an API by script with the latencies and limits that APIs have, unpage in front of it, and the
//! API's own log of what it was asked.
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

use serde_json::{Value, json};

use super::Setting;
use crate::figure::Figure;

/// Measures, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting) -> anyhow::Result<(Vec<Figure>, Value)> {
    let mut figures = Vec::new();
    let (more, width) = width::run(setting).await?;
    figures.extend(more);
    let (more, wasted) = width::wasted(setting).await?;
    figures.extend(more);
    let (more, partition) = partition::run(setting).await?;
    figures.extend(more);
    let (more, rate) = pace::rate(setting).await?;
    figures.extend(more);
    let (more, adaptive) = pace::adaptive(setting).await?;
    figures.extend(more);
    let (more, window) = window::run(setting).await?;
    figures.extend(more);
    let details = json!({
        "width": width, "wasted": wasted, "partition": partition, "rate": rate, "adaptive": adaptive, "window": window,
    });
    Ok((figures, details))
}
