//! Columnar formats: heads, ranges and ends of Arrow streams.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use http::header;
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
    for version in BOTH {
        let received = get(&kept, version, &[]).await;
        assert!(received.broken.is_none() && received.body == whole.body);
        let names = ["content-type", "etag", "content-location", "accept-ranges", "content-length", "repr-digest"];
        let tag = format!("\"{}-arrow\"", kept.snapshot.id());
        let location = format!("{}&_format=arrow", kept.pinned());
        let expected = [Some(MEDIA_TYPE), Some(&tag), Some(&location), Some("bytes"), None, None];
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
