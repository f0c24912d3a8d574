//! Verdicts over sockets: in the head of a complete snapshot, behind a body for clients that take trailers, and in an end marker.

use base64::Engine;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use unpage::error::Fault;

use crate::client::{self, BOTH, Received, Version, stream};
use crate::proxy::Proxy;
use crate::resume::{Kept, PLAIN, complete, failed};
use crate::upstream::Upstream;

const TWO: &str = "{\"id\":1}\n{\"id\":2}\n";
const THREE: &str = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n";
const VERDICT: &str = "steady;records=3;pages=1;requests=1;proof=\"a test\"";

/// Reads a response with these fields, whose head has come while two of the three records were there.
async fn received(version: Version, target: &str, fields: &[(&'static str, &'static str)]) -> Received {
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(TWO);
    let mut request = stream(target);
    for (name, value) in fields {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let response = client::send(version, kept.address, request).await;
    assert_eq!(response.headers().get("unpage-verdict"), None, "it is not known yet");
    kept.append("{\"id\":3}\n");
    kept.seal(complete(THREE));
    Received::read(response).await
}

fn sha256(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha-256=:{}:", base64::prelude::BASE64_STANDARD.encode(hash))
}

/// Returns the end marker of a body, and the lines before it.
fn marker(body: &[u8]) -> (&str, Value) {
    let text = std::str::from_utf8(body).unwrap();
    let (lines, last) = text.strip_suffix('\n').unwrap().rsplit_once('\n').unwrap_or(("", text));
    let marker: Value = serde_json::from_str(last).unwrap();
    (&text[..lines.len() + usize::from(!lines.is_empty())], marker["_unpage"].clone())
}

#[tokio::test]
async fn trailers_come_to_those_who_take_them() {
    for version in BOTH {
        let plain = received(version, "/orders", &[("want-repr-digest", "sha-256=1")]).await;
        assert_eq!((plain.whole(), plain.header("trailer"), &plain.trailers), (THREE, None, &HeaderMap::new()));
        let told = received(version, "/orders", &[("te", "trailers")]).await;
        assert_eq!((told.whole(), told.header("trailer")), (THREE, Some("unpage-verdict")));
        assert_eq!((told.trailers.len(), &told.trailers["unpage-verdict"]), (1, &VERDICT.parse().unwrap()));
        let digested = received(version, "/orders", &[("te", "trailers"), ("want-repr-digest", "sha-256=1")]).await;
        assert_eq!(digested.header("trailer"), Some("unpage-verdict, repr-digest"));
        assert_eq!(digested.trailers["repr-digest"], sha256(THREE));
    }
}

#[tokio::test]
async fn a_broken_stream_has_no_trailers() {
    for version in BOTH {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(TWO);
        let mut request = stream("/orders");
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        let response = client::send(version, kept.address, request).await;
        kept.seal(failed(Fault::Upstream));
        let received = Received::read(response).await;
        assert!(received.broken.is_some() && received.trailers.is_empty(), "{:?}", received.trailers);
    }
}

#[tokio::test]
async fn the_head_of_a_complete_snapshot_has_its_verdict() {
    let kept = Kept::complete(THREE).await;
    for version in BOTH {
        for fields in [&[("te", "trailers")][..], &[], &[("range", "bytes=5-")]] {
            let whole = kept.get(version, &kept.pinned(), fields).await;
            assert_eq!((whole.header("unpage-verdict"), whole.header("trailer")), (Some(VERDICT), None));
            assert!(whole.trailers.is_empty());
        }
    }
    let request = Request::head("/orders").header("accept", "application/x-ndjson").body(Default::default()).unwrap();
    let head = client::receive(Version::Http1, kept.address, request).await;
    assert_eq!(head.header("unpage-verdict"), Some(VERDICT));
}

#[tokio::test]
async fn an_end_marker_tells_a_complete_end_in_band() {
    let verdict = json!({ "records": 3, "pages": 1, "requests": 1, "proof": "a test", "consistency": "steady", "doubles": 0, "late": 0 });
    for version in BOTH {
        for (target, accept) in
            [("/orders", "application/x-ndjson;end=marker"), ("/orders?_end=marker", "application/x-ndjson")]
        {
            let marked =
                received(version, target, &[("accept", accept), ("te", "trailers"), ("range", "bytes=5-")]).await;
            assert_eq!(marked.head.status, 200, "a range has no marker, so that the field is ignored");
            let (lines, end) = marker(marked.whole().as_bytes());
            assert_eq!(lines, THREE);
            assert_eq!(end, json!({ "end": "complete", "verdict": verdict, "digest": sha256(THREE) }));
            let fields = ["content-type", "accept-ranges", "trailer"].map(|name| marked.header(name));
            assert_eq!(fields, [Some("application/x-ndjson;end=marker"), Some("none"), None]);
        }
    }
}

#[tokio::test]
async fn a_marked_stream_is_a_representation_of_its_own() {
    let kept = Kept::complete(THREE).await;
    let target = format!("{}&_end=marker", kept.pinned());
    let marked = kept.get(Version::Http1, &target, &[("want-repr-digest", "sha-256=1")]).await;
    let tag = format!("\"{}-marker\"", kept.snapshot.id());
    let fields = ["etag", "content-length", "repr-digest", "unpage-verdict"].map(|name| marked.header(name));
    assert_eq!(fields, [Some(tag.as_str()), None, None, Some(VERDICT)]);
    assert_eq!(marker(&marked.body).0, THREE);
    let plain = kept.get(Version::Http1, &kept.pinned(), &[("if-none-match", &tag)]).await;
    assert_eq!((plain.head.status.as_u16(), plain.whole()), (200, THREE), "its tag is not that of the plain one");
    assert_eq!(kept.get(Version::Http1, &target, &[("if-none-match", &tag)]).await.head.status, 304);
    let resumed = kept.get(Version::Http1, &kept.pinned(), &[("range", "bytes=9-"), ("if-range", &tag)]).await;
    assert_eq!((resumed.head.status.as_u16(), resumed.whole()), (200, THREE));
}

#[tokio::test]
async fn an_end_marker_tells_the_failure_and_the_stream_is_broken_all_the_same() {
    for version in BOTH {
        // Its last record is held back to its last byte; a number is held back whole.
        for (records, lines) in [(TWO, "{\"id\":1}\n{\"id\":2\n"), ("1\n2\n", "1\n")] {
            let mut kept = Kept::serve(PLAIN).await;
            kept.append(records);
            let response = client::send(version, kept.address, stream("/orders?_end=marker")).await;
            kept.seal(failed(Fault::Upstream));
            let received = Received::read(response).await;
            assert!(received.broken.is_some(), "{version:?}");
            let (before, end) = marker(&received.body);
            assert_eq!(before, lines);
            let failure =
                json!({ "end": "broken", "fault": "upstream", "message": "page 3: it is broken", "hint": "mend it" });
            assert_eq!(end, failure);
        }
    }
}

#[tokio::test]
async fn the_parameter_is_unpages_own_with_its_one_value() {
    let upstream = Upstream::of(30).await;
    let proxy = Proxy::before(&upstream).await;
    let asked = |target: &'static str| client::receive(Version::Http1, proxy.address, stream(target));
    let marked = asked("/cursor/orders?_end=marker").await;
    assert_eq!(marker(&marked.body).1["verdict"]["records"], 30);
    let address = marked.header("content-location").unwrap();
    assert!(address.starts_with("/cursor/orders?_snapshot=") && !address.contains("_end"), "{address}");
    assert!(upstream.forget().iter().all(|asked| !asked.target.contains("_end")));
    assert_eq!(asked("/cursor/orders?_end=30").await.whole().lines().count(), 30);
    assert!(upstream.forget().iter().any(|asked| asked.target.contains("_end=30")), "json-server has such a parameter");
}
