//! Streams of which a client wants some members alone: `_fields=id,name`.

use std::sync::Arc;

use http::{Method, header};
use unpage::error::{Failure, Fault};
use unpage::snapshot::Seal;

use super::client::{self, Received, Version};
use super::proxy::{Proxy, collection};
use super::resume::{Kept, PLAIN, complete};
use super::upstream::{Reply, Upstream};

const LINES: &str =
    "{\"id\":1, \"a\":{\"b\":1e3,\"c\":[]}}\n12\n{\"x\":\"}\",\"a\":[{\"b\": [2]},3],\"id\":\"\\u0031\"}\n";

const RECORDS: [&str; 3] = ["{\"id\":1,\"a\":{\"b\":1e3}}", "{}", "{\"a\":[{\"b\":[2]}],\"id\":\"\\u0031\"}"];

const FEATURES: &str = "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"n\":1,\"m\":2}}\n";

async fn get(kept: &Kept, query: &str, fields: &[(&'static str, &str)]) -> Received {
    kept.get(Version::Http1, &format!("{}&{query}", kept.pinned()), fields).await
}

/// The wholes of [`LINES`] in each format that has them.
fn formats() -> [(&'static str, String); 3] {
    let lines = |before: &str| RECORDS.map(|record| format!("{before}{record}\n")).concat();
    [("ndjson", lines("")), ("json", format!("[{}]\n", RECORDS.join(","))), ("json-seq", lines("\u{1e}"))]
}

#[tokio::test]
async fn the_named_members_are_a_representation_with_ranges_of_its_own() {
    let kept = Kept::complete(&LINES.replace(": [2]", ":[2]")).await;
    for (format, whole) in formats() {
        let received = get(&kept, &format!("_format={format}&_fields=id,%20a.b,id"), &[]).await;
        assert_eq!(received.whole(), whole, "{format}");
        let location = format!("{}&_format={format}&_fields=a.b%2Cid", kept.pinned());
        let names = ["content-location", "accept-ranges", "content-length"];
        assert_eq!(names.map(|name| received.header(name)), [Some(&location[..]), Some("bytes"), None]);
        let tag = received.header("etag").unwrap();
        assert!(tag.starts_with(&format!("\"{}-{format}-", kept.snapshot.id())), "{tag}");
        for first in 1..whole.len() {
            let range = format!("bytes={first}-");
            let part = kept.get(Version::Http1, &location, &[("range", &range), ("if-range", tag)]).await;
            assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole[first..]), "{format} {range}");
        }
        let behind = kept.get(Version::Http1, &location, &[("range", &format!("bytes={}-", whole.len()))]).await;
        assert_eq!(behind.head.status, 416);
        for ignored in ["bytes=-5", "records=0-0"] {
            let all = kept.get(Version::Http1, &location, &[("range", ignored)]).await;
            assert_eq!((all.head.status.as_u16(), all.whole()), (200, &whole[..]), "{format} {ignored}");
        }
        let other = kept.get(Version::Http1, &kept.pinned(), &[("range", "bytes=1-"), ("if-range", tag)]).await;
        assert_eq!(other.head.status, 200, "a range of these bytes is none of the log's");
    }
    let marked = get(&kept, "_format=ndjson&_end=marker&_fields=id", &[]).await;
    let lines: Vec<_> = marked.whole().lines().collect();
    assert_eq!((lines[..3].join(" ").as_str(), lines.len()), ("{\"id\":1} {} {\"id\":\"\\u0031\"}", 4));
}

#[tokio::test]
async fn features_stay_features() {
    let kept = Kept::complete(FEATURES).await;
    let feature = "{\"type\":\"Feature\",\"geometry\":null,\"properties\":{\"n\":1}}";
    let whole = format!("{{\"type\":\"FeatureCollection\",\"features\":[{feature}]}}\n");
    assert_eq!(get(&kept, "_format=geojson&_fields=properties.n", &[]).await.whole(), whole);
    let kept = Kept::complete(LINES).await;
    assert_eq!(get(&kept, "_format=geojson&_fields=id", &[]).await.head.status, 406);
}

#[tokio::test]
async fn a_growing_snapshot_is_followed_and_a_broken_one_ends_within_a_record() {
    let whole = RECORDS.map(|record| format!("{record}\n")).concat();
    let lines = LINES.replace(": [2]", ":[2]");
    for first in 0..whole.len() {
        let mut kept = Kept::serve(PLAIN).await;
        let (begun, rest) = lines.split_at(lines.find("12").unwrap());
        kept.append(begun);
        let mut request = client::stream(&format!("{}&_fields=id,a.b", kept.pinned()));
        request.headers_mut().insert(header::RANGE, format!("bytes={first}-").parse().unwrap());
        let reading = tokio::spawn(client::receive(Version::Http1, kept.address, request));
        kept.snapshot.log().has_been_read().await;
        kept.append(rest);
        kept.seal(complete(&lines));
        assert_eq!(reading.await.unwrap().whole(), &whole[first..], "{first}");
    }
    // The log itself ends between two lines where the next record is a number.
    for (records, end) in
        [(1, "{\"id\":1,\"a\":{\"b\":1e3}"), (2, "{\"id\":1,\"a\":{\"b\":1e3}"), (3, "\"id\":\"\\u0031\"")]
    {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(&lines.split_inclusive('\n').take(records).collect::<String>());
        kept.seal(Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "page 3 broke", ""))));
        let received = get(&kept, "_fields=id,a.b", &[]).await;
        let text = std::str::from_utf8(&received.body).unwrap();
        assert!(received.broken.is_some() && text.ends_with(end) && whole.starts_with(text), "{records}: {text}");
    }
}

#[tokio::test]
async fn members_are_cut_here_and_a_page_request_goes_on_as_it_is() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[{\"id\":1,\"name\":\"x\"},{\"id\":2}]")).await;
    let how = "records = \"$\"\npagination = \"link_header\"";
    let proxy = Proxy::start(&format!("[snapshots]\nfresh_for = \"5m\"\n{}", collection(&upstream.url(), how))).await;
    let get = |target: &str, accept: &str| client::receive(Version::Http1, proxy.address, client::get(target, accept));
    for (fields, whole) in [("id", "{\"id\":1}\n{\"id\":2}\n"), ("name", "{\"name\":\"x\"}\n{}\n")] {
        let received = get(&format!("/a?x=1&_fields={fields}"), "application/x-ndjson").await;
        assert_eq!(received.whole(), whole);
    }
    assert_eq!(get("/a?_format=csv&_fields=id", "*/*").await.head.status, 400);
    assert_eq!(get("/a?_fields=", "application/x-ndjson").await.head.status, 400);
    let session = get("/a?x=1&_snapshot=~s&_fields=id", "*/*").await;
    assert_eq!(session.whole(), "{\"id\":1}\n{\"id\":2}\n");
    let mut other = client::get("/a?x=1&_snapshot=~s&_fields=name", "*/*");
    *other.method_mut() = Method::HEAD;
    assert_eq!(client::receive(Version::Http1, proxy.address, other).await.head.status, 409);
    get("/a?x=1&_fields=id", "application/json").await;
    let asked: Vec<_> = upstream.asked().iter().map(|asked| asked.target.clone()).collect();
    assert_eq!(asked, ["/a?x=1", "/a?x=1&_fields=id"]);
}
