//! Streams in other formats than NDJSON: heads, ranges, ends, and requests that can't be answered.

use std::sync::Arc;

use http::{Method, header};
use unpage::error::{Failure, Fault};
use unpage::snapshot::Seal;

use super::client::{self, BOTH, Received, Version};
use super::proxy::Proxy;
use super::resume::{Kept, complete};
use super::upstream::Upstream;

const LINES: &str =
    "{\"id\":1,\"type\":\"Feature\"}\n{\"id\":2,\"type\":\"Feature\",\"x\":[1]}\n{\"id\":30,\"type\":\"Feature\"}\n";

/// Name, media type, and the whole of [`LINES`].
fn formats() -> Vec<(&'static str, &'static str, String)> {
    let records: Vec<_> = LINES.lines().collect();
    vec![("json", "application/json", format!("[{}]\n", records.join(",")))]
}

async fn get(kept: &Kept, version: Version, format: &str, fields: &[(&'static str, &str)]) -> Received {
    kept.get(version, &format!("{}&_format={format}", kept.pinned()), fields).await
}

#[tokio::test]
async fn a_complete_snapshot_has_its_length_and_every_range_in_each_format() {
    let kept = Kept::complete(LINES).await;
    for (format, media_type, whole) in formats() {
        for version in BOTH {
            let received = get(&kept, version, format, &[]).await;
            assert_eq!(received.whole(), whole, "{format}");
            let names = ["content-type", "etag", "content-location", "accept-ranges", "content-length", "repr-digest"];
            let length = whole.len().to_string();
            let tag = format!("\"{}-{format}\"", kept.snapshot.id());
            let location = format!("{}&_format={format}", kept.pinned());
            let expected = [Some(media_type), Some(&tag), Some(&location), Some("bytes"), Some(&length), None];
            assert_eq!(names.map(|name| received.header(name)), expected, "{format}");
            let known = get(&kept, version, format, &[("if-none-match", &tag)]).await;
            assert_eq!(known.head.status, 304, "{format}");
            let other = get(&kept, version, format, &[("if-none-match", &format!("\"{}\"", kept.snapshot.id()))]).await;
            assert_eq!(other.head.status, 200, "the tag is that of NDJSON");
        }
        for first in 0..whole.len() {
            let part = get(&kept, Version::Http1, format, &[("range", &format!("bytes={first}-"))]).await;
            assert_eq!((part.whole(), part.head.status.as_u16()), (&whole[first..], 206), "{format} from {first}");
            for last in first..whole.len() {
                let range = format!("bytes={first}-{last}");
                let part = get(&kept, Version::Http1, format, &[("range", &range)]).await;
                assert_eq!(part.whole(), &whole[first..=last], "{format} {range}");
                let said = format!("bytes {first}-{last}/{}", whole.len());
                assert_eq!(part.header("content-range"), Some(&said[..]), "{format} {range}");
            }
            let last = get(&kept, Version::Http1, format, &[("range", &format!("bytes=-{}", first + 1))]).await;
            assert_eq!(last.whole(), &whole[whole.len() - first - 1..], "{format}, the last {first} + 1");
        }
        let behind = get(&kept, Version::Http1, format, &[("range", &format!("bytes={}-", whole.len()))]).await;
        assert_eq!(behind.head.status, 416, "{format}");
        assert_eq!(behind.header("content-range"), Some(&format!("bytes */{}", whole.len())[..]));
    }
}

#[tokio::test]
async fn a_growing_snapshot_is_followed_from_every_byte_in_each_format() {
    for (format, _, whole) in formats() {
        // Both ends of the first record's growth: a reader before its bytes are there, and one after.
        for first in 0..whole.len() {
            let mut kept = Kept::serve(super::resume::PLAIN).await;
            let (begun, rest) = LINES.split_at(LINES.find('\n').unwrap() + 1);
            kept.append(begun);
            let target = format!("{}&_format={format}", kept.pinned());
            let mut request = client::stream(&target);
            request.headers_mut().insert(header::RANGE, format!("bytes={first}-").parse().unwrap());
            let address = kept.address;
            let reading = tokio::spawn(client::receive(Version::Http1, address, request));
            kept.snapshot.log().has_been_read().await;
            kept.append(rest);
            kept.seal(complete(LINES));
            let received = reading.await.unwrap();
            assert_eq!(received.whole(), &whole[first..], "{format} from {first}");
        }
    }
}

#[tokio::test]
async fn a_broken_snapshot_is_no_whole_stream_in_any_format() {
    for (format, _, whole) in formats() {
        for version in BOTH {
            let mut kept = Kept::serve(super::resume::PLAIN).await;
            kept.append(LINES);
            kept.seal(Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "page 3 broke", ""))));
            let received = get(&kept, version, format, &[]).await;
            assert!(received.broken.is_some(), "{format} over {version:?}");
            assert!(whole.as_bytes().starts_with(&received.body) && received.body.len() < whole.len(), "{format}");
        }
    }
}

#[tokio::test]
async fn an_empty_collection_is_an_empty_stream() {
    let kept = Kept::complete("").await;
    for (format, empty) in [("json", "[]\n")] {
        let received = get(&kept, Version::Http1, format, &[]).await;
        assert_eq!((received.whole(), received.header("content-length")), (empty, Some(&empty.len().to_string()[..])));
    }
}

#[tokio::test]
async fn a_format_is_asked_for_by_name_and_an_array_never_by_accept() {
    let upstream = Upstream::of(3).await;
    let proxy = Proxy::before(&upstream).await;
    for (target, accept, status, media_type) in [
        ("/link/orders?_format=json", "text/html", 200, "application/json"),
        ("/link/orders", "application/json", 200, "application/json; charset=utf-8"),
        ("/link/orders?_format=yaml", "*/*", 400, "application/problem+json"),
    ] {
        let received = client::receive(Version::Http1, proxy.address, client::get(target, accept)).await;
        assert_eq!(received.head.status, status, "{target} {accept}: {}", received.whole());
        let said = received.header("content-type").unwrap_or_default();
        assert_eq!(said.split(';').next(), media_type.split(';').next(), "{target} {accept}");
        let is_stream = received.header("content-location").is_some();
        assert_eq!(is_stream, target.ends_with("_format=json"), "{target} {accept}");
    }
    let mut head = client::get("/link/orders?_format=json", "*/*");
    *head.method_mut() = Method::HEAD;
    let received = client::receive(Version::Http1, proxy.address, head).await;
    assert_eq!((received.header("content-type"), received.body.len()), (Some("application/json"), 0));
}
