//! A crawl on the client's side: every order of a paginated API as a stream, and the proof that they are all.
//!
//!     cargo run --example client

#![allow(clippy::print_stdout, reason = "an example shows its result")]

mod api;

use futures_util::StreamExt;
use serde::Deserialize;
use tokio::net::TcpListener;
use unpage::{Config, RecordStream};

#[derive(Deserialize)]
struct Order {
    id: u64,
    status: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, api::router()).await });

    // The pagination is recognised from the first page, and verified with the second one.
    let config = Config::for_upstream(&format!("http://{address}"))?;
    let mut orders = RecordStream::builder(&config, "/orders").open().await?;
    println!("the API announces {:?} orders", orders.total());

    let mut ids = Vec::new();
    while let Some(record) = orders.next().await {
        let order: Order = record?.deserialize()?;
        assert_eq!(order.status, "open");
        ids.push(order.id);
    }
    let verdict = orders.verdict().ok_or("the stream has ended, so its end is proven")?;
    println!("complete: {verdict}");

    assert!(ids.into_iter().eq(1..=api::ORDERS), "each order came once, in its order");
    assert_eq!(verdict.records, api::ORDERS);
    Ok(())
}
