//! The proxy as a part of another program: an axum router with a page of its own, and unpage behind every other path.
//!
//!     cargo run --example axum_router

#![allow(clippy::print_stdout, reason = "an example shows its result")]

mod api;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use http::{Request, header};
use tokio::net::TcpListener;
use tower::ServiceExt;
use unpage::{Config, Gateway};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, api::router()).await });

    let config = format!(
        r#"
        [[collection]]
        path = "/v1/orders"
        upstream = "{upstream}"
        upstream_path = "/orders"
        records = "$.orders"
        total = "$.total"
        pagination = {{ type = "page", param = "page" }}
        "#
    );
    let gateway = Gateway::builder(Config::from_toml(&config)?).build()?;
    let app = Router::new().route("/health", get(|| async { "well" })).fallback_service(gateway.clone());

    let health = app.clone().oneshot(Request::get("/health").body(Body::empty())?).await?;
    assert_eq!(to_bytes(health.into_body(), usize::MAX).await?, "well");

    let request = Request::get("/v1/orders").header(header::ACCEPT, "application/x-ndjson").body(Body::empty())?;
    let stream = app.oneshot(request).await?;
    println!("{} with {:?}", stream.status(), stream.headers().get(header::CONTENT_LOCATION));
    let stream = to_bytes(stream.into_body(), usize::MAX).await?;
    assert_eq!(stream.iter().filter(|byte| **byte == b'\n').count() as u64, api::ORDERS);
    println!("{} orders in {} bytes", api::ORDERS, stream.len());

    gateway.shutdown().await;
    Ok(())
}
