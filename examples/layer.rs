//! A legacy handler that learns to stream in its own process: one layer around it, no proxy, no socket in between.
//!
//!     cargo run --example layer

#![allow(clippy::print_stdout, reason = "an example shows its result")]

mod api;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use tower::ServiceExt;
use unpage::{Config, UnpageLayer};

const CONFIG: &str = r#"
    [[collection]]
    path = "/orders"
    upstream = "http://localhost"
    records = "$.orders"
    total = "$.total"
    pagination = { type = "next_url", next = "$.next" }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let layer = UnpageLayer::new(Config::from_toml(CONFIG)?)?;
    let app = api::router().layer(layer.clone());

    // A client that knows nothing of streams gets its page as before.
    let request = Request::get("/orders?page=2").body(Body::empty())?;
    let page = app.clone().oneshot(request).await?;
    assert_eq!(page.headers()[header::CONTENT_TYPE], "application/json");
    let page = to_bytes(page.into_body(), usize::MAX).await?;
    let page: serde_json::Value = serde_json::from_slice(&page)?;
    assert_eq!((&page["orders"][0]["id"], &page["next"]), (&21.into(), &"/orders?page=3".into()));

    // One that accepts NDJSON gets all pages.
    let request = Request::get("/orders").header(header::ACCEPT, "application/x-ndjson").body(Body::empty())?;
    let stream = app.oneshot(request).await?;
    assert_eq!(stream.status(), StatusCode::OK);
    let stream = to_bytes(stream.into_body(), usize::MAX).await?;
    let lines: Vec<&[u8]> = stream.split_inclusive(|byte| *byte == b'\n').collect();
    println!("{} orders in one stream; the first is {}", lines.len(), String::from_utf8_lossy(lines[0]).trim_end());
    assert_eq!(lines.len() as u64, api::ORDERS);

    layer.shutdown().await;
    Ok(())
}
