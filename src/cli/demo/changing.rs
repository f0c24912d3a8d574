//! A collection of the demo that changes while it is read: what unpage says of it, read in several ways.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use serde::Deserialize;

use super::DemoError;
use super::compare::client;
use crate::pagination::Verdict;

/// A collection beside the demo's own: the numbered one, whose pages share records.
pub(super) const REPAIRED: &str = r#"
[[collection]]
path = "/repaired/orders"
upstream_path = "/offset/orders"
records = "items"
key = "id"
page_size = { param = "limit", max = 1000 }
pagination = { type = "offset", param = "offset" }
total = "total"
consistency = "repair"
"#;

/// Ways to read the collection.
const WAYS: [(&str, &str); 3] = [
    ("numbered, several pages at a time", "/offset/orders"),
    ("the same with consistency = \"repair\"", "/repaired/orders"),
    ("each page names the next one", "/cursor/orders"),
];

/// Last line of a stream with an end marker.
#[derive(Deserialize)]
struct MarkerLine {
    #[serde(rename = "_unpage")]
    end: StreamEnd,
}

/// End of a stream in its own words.
#[derive(Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
enum StreamEnd {
    Complete { verdict: Verdict },
    Broken { message: String },
}

/// Reads the collection in each way, and prints the end of each stream.
pub(super) async fn run(proxy: SocketAddr) -> Result<(), DemoError> {
    for (name, path) in WAYS {
        eprintln!("{name:<40}{}", end_of(proxy, path).await?);
    }
    Ok(())
}

/// Reads a stream; returns its verdict, or the reason of its break.
async fn end_of(proxy: SocketAddr, path: &str) -> Result<String, DemoError> {
    let request = Request::get(format!("http://{proxy}{path}"))
        .header(header::ACCEPT, "application/x-ndjson;end=marker")
        .body(Empty::<Bytes>::new())?;
    let mut body = client().request(request).await?.into_body();
    let mut last = Vec::new();
    // A stream that breaks does so behind its marker.
    while let Some(Ok(frame)) = body.frame().await {
        let data = frame.into_data().unwrap_or_default();
        last.extend_from_slice(&data);
        let line = last.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        last.drain(..line);
    }
    Ok(match serde_json::from_slice::<MarkerLine>(&last) {
        Ok(MarkerLine { end: StreamEnd::Complete { verdict } }) => format!("complete: {verdict}"),
        Ok(MarkerLine { end: StreamEnd::Broken { message } }) => format!("broken: {message}"),
        Err(_) => format!("no stream: {}", String::from_utf8_lossy(&last)),
    })
}
