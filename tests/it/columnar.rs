//! Columnar formats: heads, ranges and ends of Arrow streams and Parquet files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use bytes::Bytes;
use http::{Method, header};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use unpage::error::{Failure, Fault};
use unpage::snapshot::Seal;

use super::client::{self, BOTH, Received, Version};
use super::resume::{Kept, PLAIN, complete};

const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

async fn get(kept: &Kept, version: Version, fields: &[(&'static str, &str)]) -> Received {
    kept.get(version, &format!("{}&_format=arrow", kept.pinned()), fields).await
}

/// Returns the number of records of a whole stream; none where the reader refuses it.
fn records(stream: &[u8]) -> Option<usize> {
    let batches: Result<Vec<_>, _> = StreamReader::try_new(stream, None).ok()?.collect();
    Some(batches.ok()?.iter().map(RecordBatch::num_rows).sum())
}

/// Returns records that are more than one batch.
fn lines() -> String {
    (0..9_000)
        .map(|id| format!("{{\"id\":{id},\"name\":\"customer {id} of some\",\"total\":{}.5}}\n", id % 7))
        .collect()
}

#[tokio::test]
async fn a_complete_snapshot_has_every_range() {
    let kept = Kept::complete(&lines()).await;
    let whole = get(&kept, Version::Http1, &[]).await;
    assert!(whole.broken.is_none());
    assert_eq!(records(&whole.body), Some(9_000));
    // A table has a length once it was encoded to its end.
    let length = whole.body.len().to_string();
    assert_eq!(whole.header("content-length"), None);
    for version in BOTH {
        let received = get(&kept, version, &[]).await;
        assert!(received.broken.is_none() && received.body == whole.body);
        let names = ["content-type", "etag", "content-location", "accept-ranges", "content-length", "repr-digest"];
        let tag = format!("\"{}-arrow\"", kept.snapshot.id());
        let location = format!("{}&_format=arrow", kept.pinned());
        let expected = [Some(MEDIA_TYPE), Some(&tag), Some(&location), Some("bytes"), Some(&length[..]), None];
        assert_eq!(names.map(|name| received.header(name)), expected);
        assert_eq!(get(&kept, version, &[("if-none-match", &tag)]).await.head.status, 304);
    }
    let length = whole.body.len();
    for first in [1, 7, 8, 500, 9_999, length / 2, length - 9, length - 8, length - 1] {
        let part = get(&kept, Version::Http1, &[("range", &format!("bytes={first}-"))]).await;
        assert!(part.head.status == 206 && part.broken.is_none() && part.body == whole.body[first..], "from {first}");
        let last = (first + 1_000).min(length - 1);
        let part = get(&kept, Version::Http1, &[("range", &format!("bytes={first}-{last}"))]).await;
        assert!(part.head.status == 206 && part.body == whole.body[first..=last], "from {first} to {last}");
    }
    let behind = get(&kept, Version::Http1, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!(behind.head.status, 416);
}

#[tokio::test]
async fn a_growing_snapshot_is_followed_and_a_broken_one_is_no_whole_stream() {
    let (lines, whole) = (lines(), get(&Kept::complete(&lines()).await, Version::Http1, &[]).await.body);
    let middle = lines[..lines.len() * 2 / 3].rfind('\n').unwrap() + 1;
    let (begun, rest) = lines.split_at(middle);
    for end in [complete(&lines), Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "page 3 broke", "")))] {
        let is_complete = matches!(end, Seal::Complete(_));
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(begun);
        let request = client::stream(&format!("{}&_format=arrow", kept.pinned()));
        let reading = tokio::spawn(client::receive(Version::Http1, kept.address, request));
        kept.snapshot.log().has_been_read().await;
        kept.append(rest);
        kept.seal(end);
        let received = reading.await.unwrap();
        assert_eq!(received.header(header::CONTENT_TYPE.as_str()), Some(MEDIA_TYPE));
        if is_complete {
            assert!(received.broken.is_none() && received.body == whole);
        } else {
            assert!(received.broken.is_some() && whole.starts_with(&received.body));
            assert!(records(&received.body).is_none() && received.body.len() > 8);
        }
    }
}

#[tokio::test]
async fn a_type_that_changes_later_breaks_the_stream() {
    let kept = Kept::complete(&(lines() + "{\"id\":\"9000\"}\n{\"id\":1}\n")).await;
    let received = get(&kept, Version::Http1, &[]).await;
    assert!(received.head.status == 200 && received.broken.is_some());
    assert!(records(&received.body).is_none());
}

#[tokio::test]
async fn a_type_that_the_first_records_do_not_have_is_refused_with_the_reason() {
    let reason = "the value of `name` in record 0, counted from 0, is no bool";
    for seal_first in [true, false] {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append("{\"id\":1,\"name\":\"a\"}\n");
        let target = format!("{}&_format=arrow&_columns=id,name:bool", kept.pinned());
        let received = if seal_first {
            kept.seal(complete("1\n"));
            kept.get(Version::Http1, &target, &[]).await
        } else {
            let reading = tokio::spawn(client::receive(Version::Http1, kept.address, client::stream(&target)));
            kept.snapshot.log().has_been_read().await;
            kept.append("{\"id\":2,\"name\":true}\n");
            kept.seal(complete("1\n2\n"));
            reading.await.unwrap()
        };
        assert_eq!(received.head.status, 406);
        assert!(received.whole().contains(reason), "{}", received.whole());
    }
}

const PARQUET: &str = "application/vnd.apache.parquet";

/// Records whose types the first 256 KiB don't tell.
fn drifting() -> String {
    lines() + "{\"id\":1.5,\"name\":null,\"late\":[1]}\n"
}

/// Returns the number of records of a whole file; none where the reader refuses it.
fn rows(file: &[u8]) -> Option<usize> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).ok()?.build().ok()?;
    Some(reader.collect::<Result<Vec<_>, _>>().ok()?.iter().map(RecordBatch::num_rows).sum())
}

#[tokio::test]
async fn parquet_has_its_length_and_every_range() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::complete_in(dir.path(), &drifting()).await;
    let url = format!("{}&_format=parquet", kept.pinned());
    let whole = kept.get(Version::Http1, &url, &[]).await;
    assert!(whole.broken.is_none() && rows(&whole.body) == Some(9_001));
    let length = whole.body.len();
    let named = kept.get(Version::Http1, &format!("{url}&_columns=id"), &[]).await;
    assert!(named.header("unpage-verdict").unwrap().ends_with(";beyond_columns=9001"), "{named:?}");
    for version in BOTH {
        let received = kept.get(version, &url, &[("accept-encoding", "gzip")]).await;
        assert!(received.broken.is_none() && received.body == whole.body);
        let names = ["content-type", "etag", "content-location", "accept-ranges", "content-length", "content-encoding"];
        let tag = format!("\"{}-parquet\"", kept.snapshot.id());
        let expected = [Some(PARQUET), Some(&tag), Some(&url), Some("bytes"), Some(&length.to_string()[..]), None];
        assert_eq!(names.map(|name| received.header(name)), expected);
        assert!(received.header("unpage-verdict").is_some());
        assert_eq!(kept.get(version, &url, &[("if-none-match", &tag)]).await.head.status, 304);
        let head = kept.ask(version, Method::HEAD, &url).await;
        assert_eq!((head.header("content-length"), head.body.len()), (Some(&length.to_string()[..]), 0));
    }
    for first in [0, 1, 8, length / 2, length - 8, length - 1] {
        let last = (first + 1_000).min(length - 1);
        for (range, part) in [
            (format!("bytes={first}-"), &whole.body[first..]),
            (format!("bytes={first}-{last}"), &whole.body[first..=last]),
            (format!("bytes=-{}", length - first), &whole.body[first..]),
        ] {
            let received = kept.get(Version::Http1, &url, &[("range", &range)]).await;
            assert!(received.head.status == 206 && received.broken.is_none() && received.body == part, "{range}");
            assert!(received.header("content-range").unwrap().ends_with(&format!("/{length}")), "{range}");
        }
    }
    let behind = kept.get(Version::Http1, &url, &[("range", &format!("bytes={length}-"))]).await;
    assert_eq!(
        (behind.head.status.as_u16(), behind.header("content-range")),
        (416, Some(&format!("bytes */{length}")[..]))
    );
    let plain = kept.get(Version::Http1, &format!("{}&_format=parquet&_columns=id", kept.pinned()), &[]).await;
    assert!(rows(&plain.body) == Some(9_001) && plain.header("etag") != whole.header("etag"));
}

#[tokio::test]
async fn http_1_0_gets_parquet_whole() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::complete_in(dir.path(), &drifting()).await;
    let url = format!("{}&_format=parquet", kept.pinned());
    let received = client::raw(kept.address, format!("GET {url} HTTP/1.0\r\nHost: p\r\n\r\n")).await;
    let body = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert!(received.starts_with(b"HTTP/1.0 200 ") && rows(&received[body..]) == Some(9_001));
}

#[tokio::test]
async fn parquet_that_can_not_be_made_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::complete_in(dir.path(), &drifting()).await;
    let received = kept.get(Version::Http1, &format!("{}&_format=parquet&_columns=id:int64", kept.pinned()), &[]).await;
    assert_eq!(received.head.status, 406);
    assert!(
        received.whole().contains("the value of `id` in record 9000, counted from 0, is no int64"),
        "{}",
        received.whole()
    );
    let kept = Kept::complete(&drifting()).await;
    let received = kept.get(Version::Http1, &format!("{}&_format=parquet", kept.pinned()), &[]).await;
    assert_eq!(received.head.status, 406);
    assert!(received.whole().contains("in memory alone") && received.whole().contains("`dir`"), "{}", received.whole());
    // What must not be stored is in memory alone; a wait for its end in another format is a conflict.
    let upstream = super::upstream::Upstream::of(70).await;
    let lines =
        "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
    let snapshots = format!("[snapshots]\ndir = {:?}\n", dir.path().join("other"));
    let toml = snapshots + &super::proxy::collection(&upstream.url(), lines);
    let proxy = super::proxy::Proxy::start(&toml).await;
    for (target, status, said) in [
        ("/cursor/orders?_format=parquet", 406, "in memory alone"),
        ("/cursor/orders?_wait=complete", 409, "no-store forbids it"),
    ] {
        let mut request = client::stream(target);
        request.headers_mut().insert("cache-control", "no-store".parse().unwrap());
        let received = client::receive(Version::Http1, proxy.address, request).await;
        assert!(received.head.status == status && received.whole().contains(said), "{}", received.whole());
    }
}
