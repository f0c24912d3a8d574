//! Streams in other formats than NDJSON: heads, ranges, ends, and requests that can't be answered.

use std::sync::Arc;

use http::{Method, header};
use serde_json::{Value, json};
use unpage::error::{Failure, Fault};
use unpage::snapshot::Seal;

use super::client::{self, BOTH, Received, Version};
use super::proxy::{Process, Proxy, collection};
use super::resume::{Kept, complete};
use super::upstream::{Reply, Upstream};

const LINES: &str =
    "{\"id\":1,\"type\":\"Feature\"}\n{\"id\":2,\"type\":\"Feature\",\"x\":[1]}\n{\"id\":30,\"type\":\"Feature\"}\n";

/// Name, media type, and the whole of [`LINES`].
fn formats() -> Vec<(&'static str, &'static str, String)> {
    let records: Vec<_> = LINES.lines().collect();
    let all = records.join(",");
    let rows = |delimiter: &str| {
        let header = ["\"id\"", "type", "x", "_more"].join(delimiter);
        let rows = [("1", ""), ("2", "[1]"), ("30", "")]
            .map(|(id, x)| format!("{}\r\n", [&format!("\"{id}\"")[..], "Feature", x, ""].join(delimiter)));
        format!("{header}\r\n{}", rows.concat())
    };
    vec![
        ("json", "application/json", format!("[{all}]\n")),
        ("geojson", "application/geo+json", format!("{{\"type\":\"FeatureCollection\",\"features\":[{all}]}}\n")),
        ("json-seq", "application/json-seq", LINES.lines().map(|line| format!("\u{1e}{line}\n")).collect()),
        ("geojson-seq", "application/geo+json-seq", LINES.lines().map(|line| format!("\u{1e}{line}\n")).collect()),
        ("csv", "text/csv; charset=utf-8; header=present", rows(",")),
        ("csv-excel", "text/csv; charset=utf-8; header=present", format!("\u{feff}{}", rows(","))),
        ("tsv", "text/tab-separated-values; charset=utf-8", rows("\t")),
    ]
}

/// Returns `true` for a format whose offsets only encoding tells.
fn is_table(format: &str) -> bool {
    ["csv", "csv-excel", "tsv"].contains(&format)
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
            // The length of a table is known when it was encoded to its end.
            let length = Some(&length[..]).filter(|_| !is_table(format) || version != BOTH[0]);
            let expected = [Some(media_type), Some(&tag), Some(&location), Some("bytes"), length, None];
            assert_eq!(names.map(|name| received.header(name)), expected, "{format}");
            let known = get(&kept, version, format, &[("if-none-match", &tag)]).await;
            assert_eq!(known.head.status, 304, "{format}");
            let other = get(&kept, version, format, &[("if-none-match", &format!("\"{}\"", kept.snapshot.id()))]).await;
            assert_eq!(other.head.status, 200, "the tag is that of NDJSON");
        }
        for first in 0..whole.len() {
            let part = get(&kept, Version::Http1, format, &[("range", &format!("bytes={first}-"))]).await;
            assert!(part.broken.is_none(), "{format} from {first}");
            assert_eq!(
                (&part.body[..], part.head.status.as_u16()),
                (&whole.as_bytes()[first..], 206),
                "{format} from {first}"
            );
            // Each of the first and last bytes is an end of a range with others.
            for last in (first..whole.len()).rev().step_by(23) {
                let range = format!("bytes={first}-{last}");
                let part = get(&kept, Version::Http1, format, &[("range", &range)]).await;
                assert!(part.broken.is_none(), "{format} {range}");
                assert_eq!(part.body, whole.as_bytes()[first..=last], "{format} {range}");
                let said = format!("bytes {first}-{last}/{}", whole.len());
                assert_eq!(part.header("content-range"), Some(&said[..]), "{format}");
            }
            let last = get(&kept, Version::Http1, format, &[("range", &format!("bytes=-{}", first + 1))]).await;
            assert_eq!(last.body, whole.as_bytes()[whole.len() - first - 1..], "{format}, the last {first} + 1");
        }
        let beyond = format!("bytes=0-{}", whole.len() + 99);
        let all = get(&kept, Version::Http1, format, &[("range", &beyond)]).await;
        assert_eq!(
            (all.head.status.as_u16(), all.whole()),
            (206, &whole[..]),
            "{format}: a range that ends behind the end is all"
        );
        let behind = get(&kept, Version::Http1, format, &[("range", &format!("bytes={}-", whole.len()))]).await;
        assert_eq!(behind.head.status, 416, "{format}");
        assert_eq!(behind.header("content-range"), Some(&format!("bytes */{}", whole.len())[..]));
    }
}

/// Columns that are discovered and columns that are named, in a log of several MiB: ranges begin at rows that are noted on the way.
#[tokio::test]
async fn a_table_that_is_waited_for_has_a_length_and_its_rows_are_found_again() {
    let record = |number: usize| format!("{{\"id\":{number},\"text\":\"{}\"}}\n", "x\\n".repeat(number % 90));
    let lines: String = (0..20_000).map(record).collect();
    assert!(lines.len() > 5 << 19);
    let kept = Kept::complete(&lines).await;
    for query in ["csv", "csv-excel&_columns=text,id", "tsv&_columns=id"] {
        let whole = get(&kept, Version::Http1, query, &[("prefer", "wait=9")]).await;
        assert!(
            whole.broken.is_none() && whole.body.iter().filter(|byte| **byte == b'\r').count() == 20_001,
            "{query}"
        );
        let length = whole.body.len();
        assert_eq!(whole.header("content-length"), Some(&length.to_string()[..]), "{query}");
        for first in (0..length).step_by(length / 8).chain([length - 1]) {
            let last = (first + 3_000).min(length - 1);
            let part = get(&kept, Version::Http1, query, &[("range", &format!("bytes={first}-{last}"))]).await;
            assert!(part.body == whole.body[first..=last], "{query} from {first}");
            assert_eq!(part.header("content-range"), Some(&format!("bytes {first}-{last}/{length}")[..]), "{query}");
        }
        let end = get(&kept, Version::Http1, query, &[("range", "bytes=-70000")]).await;
        assert!(end.body == whole.body[length - 70_000..], "{query}");
    }
}

#[tokio::test]
async fn http_1_0_gets_a_table_that_it_waits_for() {
    let kept = Kept::complete(LINES).await;
    let target = format!("{}&_format=csv&_columns=id", kept.pinned());
    let ask = async |target: String| {
        let received = client::raw(kept.address, format!("GET {target} HTTP/1.0\r\nHost: p\r\n\r\n")).await;
        String::from_utf8(received).unwrap()
    };
    let received = ask(target.clone()).await;
    assert!(received.starts_with("HTTP/1.0 505 "), "{received}");
    let received = ask(format!("{target}&_wait=complete")).await;
    assert!(received.starts_with("HTTP/1.0 200 ") && received.contains("content-length: 27\r\n"), "{received}");
    assert!(received.ends_with("\r\n\r\n\"id\",_\r\n\"1\",\r\n\"2\",\r\n\"30\",\r\n"), "{received}");
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
            assert!(received.broken.is_none(), "{format} from {first}");
            assert_eq!(received.body, whole.as_bytes()[first..], "{format} from {first}");
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
    for (format, empty) in [
        ("json", "[]\n"),
        ("geojson", "{\"type\":\"FeatureCollection\",\"features\":[]}\n"),
        ("json-seq", ""),
        ("geojson-seq", ""),
        ("csv", "\"value\",_more\r\n"),
    ] {
        let received = get(&kept, Version::Http1, format, &[]).await;
        assert_eq!(received.whole(), empty, "{format}");
        let length = empty.len().to_string();
        let length = Some(&length[..]).filter(|_| !is_table(format));
        assert_eq!(received.header("content-length"), length, "{format}");
    }
}

#[tokio::test]
async fn the_columns_of_a_table_are_those_of_the_request() {
    let kept = Kept::complete(LINES).await;
    let target = format!("{}&_format=csv&_columns=x,%20id", kept.pinned());
    let received = kept.get(Version::Http1, &target, &[]).await;
    let whole = "\"x\",id\r\n\"\",1\r\n\"[1]\",2\r\n\"\",30\r\n";
    assert_eq!(received.whole(), whole);
    for (columns, whole) in [
        ("id", "\"id\",_\r\n\"1\",\r\n\"2\",\r\n\"30\",\r\n"),
        ("id,_more", "\"id\",_more\r\n\"1\",\"{\"\"type\"\":\"\"Feature\"\"}\"\r\n"),
    ] {
        let target = format!("{}&_format=csv&_columns={columns}", kept.pinned());
        let received = kept.get(Version::Http1, &target, &[]).await;
        assert!(received.whole().starts_with(whole), "{columns}: {}", received.whole());
    }
    let location = format!("{}&_format=csv&_columns=x%2Cid", kept.pinned());
    assert_eq!(received.header("content-location"), Some(&location[..]));
    let tag = received.header("etag").unwrap();
    assert!(tag.starts_with(&format!("\"{}-csv-", kept.snapshot.id())), "{tag}");
    let part = kept.get(Version::Http1, &location, &[("range", "bytes=9-"), ("if-range", tag)]).await;
    assert_eq!((part.head.status.as_u16(), part.whole()), (206, &whole[9..]));
}

#[tokio::test]
async fn records_that_are_no_features_are_no_geojson() {
    let kept = Kept::complete("{\"type\":\"Point\"}\n").await;
    for format in ["geojson", "geojson-seq"] {
        let received = get(&kept, Version::Http1, format, &[]).await;
        assert_eq!(received.head.status, 406, "{format}");
        assert!(received.whole().contains("record 0, counted from 0, is no GeoJSON Feature"), "{}", received.whole());
    }
    let kept = Kept::complete("{\"type\":\"Feature\"}\n{\"type\":\"Point\"}\n").await;
    for format in ["geojson", "geojson-seq"] {
        let received = get(&kept, Version::Http1, format, &[]).await;
        assert!(received.head.status == 200 && received.broken.is_some(), "{format}: {received:?}");
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
        ("/link/orders?_format=csv&_format=json", "*/*", 400, "application/problem+json"),
        ("/link/orders?_format=csv&_format=csv", "*/*", 200, "text/csv"),
        ("/link/orders?_format=csv&_columns=id,id", "*/*", 400, "application/problem+json"),
        ("/link/orders?_format=csv&_columns=a..b", "*/*", 400, "application/problem+json"),
        ("/link/orders", "text/csv", 200, "text/csv"),
        ("/link/orders", "text/csv, application/json;q=0.5", 200, "text/csv"),
        ("/link/orders?_columns=id,total", "text/tab-separated-values", 200, "text/tab-separated-values"),
        ("/link/orders", "application/json-seq", 200, "application/json-seq"),
        ("/link/orders", "application/geo+json", 406, "application/problem+json"),
    ] {
        let received = client::receive(Version::Http1, proxy.address, client::get(target, accept)).await;
        assert_eq!(received.head.status, status, "{target} {accept}: {}", received.whole());
        let said = received.header("content-type").unwrap_or_default();
        assert_eq!(said.split(';').next(), media_type.split(';').next(), "{target} {accept}");
        let is_stream = received.header("content-location").is_some();
        assert_eq!(is_stream, status == 200 && accept != "application/json", "{target} {accept}");
    }
    assert!(upstream.asked().iter().all(|asked| !asked.target.contains("_columns")));
    let mut head = client::get("/link/orders?_format=json", "*/*");
    *head.method_mut() = Method::HEAD;
    let received = client::receive(Version::Http1, proxy.address, head).await;
    assert_eq!((received.header("content-type"), received.body.len()), (Some("application/json"), 0));
}

#[tokio::test]
async fn records_beyond_named_columns_are_told_in_the_verdict_the_status_and_the_metrics() {
    let records = "[{\"id\":1,\"x\":1},{\"id\":2},{\"id\":3,\"x\":null}]";
    let upstream = Upstream::scripted(0, move |_, _| Reply::json(records)).await;
    let lines = collection(&upstream.url(), "records = \"$\"\npagination = \"none\"");
    let mut process = Process::serve(&format!("admin = \"127.0.0.1:0\"\n{lines}")).await;
    let admin = process.admin().await;
    let get = |target: &str| {
        let mut request = client::get(target, "*/*");
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        request.headers_mut().insert("connection", "te".parse().unwrap());
        client::receive(Version::Http1, process.address, request)
    };
    let table = get("/x?_format=csv&_columns=id,nmae").await;
    assert_eq!(table.whole(), "\"id\",nmae\r\n\"1\",\r\n\"2\",\r\n\"3\",\r\n");
    let pinned = table.header("content-location").unwrap().to_owned();
    let told = table.trailers["unpage-verdict"].to_str().unwrap();
    assert!(told.starts_with("snapshot;records=3;") && told.ends_with(";beyond_columns=2"), "{told}");
    let again = get(&pinned).await;
    assert_eq!(again.header("unpage-verdict"), Some(told));
    let whole = get(&pinned.replace("id%2Cnmae", "id%2C_more")).await;
    assert!(whole.trailers["unpage-verdict"].to_str().unwrap().ends_with(";beyond_columns=0"), "{whole:?}");
    let status = get(&format!("{}&_format=status", pinned.split('&').next().unwrap())).await;
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    let of = |columns: [&str; 2], beyond: u64, absent: &[&str]| json!({ "format": "csv", "columns": columns, "records": 3, "beyond_columns": beyond, "absent": absent });
    assert_eq!(status["tables"], json!([of(["id", "_more"], 0, &[]), of(["id", "nmae"], 2, &["nmae"])]));
    let metrics = client::receive(Version::Http1, admin, client::get("/metrics", "*/*")).await;
    assert!(metrics.whole().contains("\nunpage_records_beyond_columns_total 2\n"), "{}", metrics.whole());
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn names_of_columns_begin_no_line_of_the_log() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[{\"id\":1}]")).await;
    let lines = collection(&upstream.url(), "records = \"$\"\npagination = \"none\"");
    let mut process = Process::serve(&lines).await;
    let forged = "2026-11-30T16:00:00Z ERROR forged";
    let columns = format!("id,x%0A{}", forged.replace(' ', "%20"));
    let target = format!("/x?_format=csv&_columns={columns}");
    let received = client::receive(Version::Http1, process.address, client::get(&target, "*/*")).await;
    assert!(received.head.status.is_success() && received.whole().contains(forged), "{received:?}");
    let told = process.wait_for("is in no record").await;
    assert!(told.contains(" INFO table ") && told.contains(&format!("`x\\n{forged}`")), "{told}");
    // Of a type that the values do not have: the failure names the column, too.
    #[cfg(feature = "columnar")]
    {
        let columns = format!("id:bool,y%0A{}", forged.replace(' ', "%20"));
        let target = format!("/y?_format=arrow&_columns={columns}");
        client::receive(Version::Http1, process.address, client::get(&target, "*/*")).await;
    }
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert!(!said.lines().any(|line| line.starts_with("2026-11-30T16:00:00Z")), "{said}");
}
