//! Content codings of streams: which one is chosen, what the head says of it, records that leave at once, and streams that break.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use unpage::upstream::coding::{BadCoding, Decoder};

use super::client::{self, BOTH, Received, Version};
use super::proxy::{Proxy, collection, demo};
use super::streams::{ask, orders};
use super::upstream::{Framing, Gate, Part, Reply, Upstream};

const KEPT: &str = "[snapshots]\ndisk = \"0\"\n";
const CODINGS: [&str; 2] = ["gzip", "zstd"];
const ORDERS: &str = "/cursor/orders";

fn asking(target: &str, fields: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut request = client::stream(target);
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// Decodes a body by the codings that its head names; the end of the coding is an error where it is none.
pub(super) fn decoded(received: &Received) -> (Vec<u8>, Result<(), BadCoding>) {
    let mut decoder = Decoder::new(&received.head.headers);
    let (mut coded, mut text) = (Bytes::copy_from_slice(&received.body), Vec::new());
    while let Some(piece) = decoder.next(&mut coded).unwrap() {
        text.extend_from_slice(&piece);
    }
    (text, decoder.finish())
}

/// The records of a response that ended well, in its coding and in its protocol.
fn whole(received: &Received) -> String {
    assert!(received.broken.is_none(), "{:?}", received.broken);
    let (text, end) = decoded(received);
    assert_eq!(end, Ok(()));
    String::from_utf8(text).unwrap()
}

/// A demo whose snapshots are kept in memory, and these top-level lines.
fn kept(upstream: &Upstream, lines: &str) -> String {
    format!("{lines}\n{}", demo(upstream).replacen("[[collection]]", &format!("{KEPT}[[collection]]"), 1))
}

#[tokio::test]
async fn a_stream_has_the_coding_that_its_client_prefers() {
    let upstream = Upstream::of(180).await;
    let proxy = Proxy::start(&kept(&upstream, "")).await;
    assert!(ask(Version::Http1, &proxy, &Method::GET, ORDERS).await.whole() == orders(180));
    for version in BOTH {
        for (accepted, coding) in [
            (None, None),
            (Some(""), None),
            (Some("gzip"), Some("gzip")),
            (Some("gzip, deflate, br, zstd"), Some("zstd")),
            (Some("zstd;q=0.5, gzip;q=0.8"), Some("gzip")),
            (Some("br, identity"), None),
            (Some("*"), None),
            (Some("*, identity;q=0"), Some("zstd")),
            (Some("zstd;q=0, *;q=0.5, identity;q=0"), Some("gzip")),
        ] {
            let case = format!("{accepted:?} over {version:?}");
            let fields: Vec<_> = accepted.iter().map(|accepted| ("accept-encoding", *accepted)).collect();
            let received = client::receive(version, proxy.address, asking(ORDERS, &fields)).await;
            assert_eq!((received.head.status.as_u16(), received.header("content-encoding")), (200, coding), "{case}");
            assert!(whole(&received) == orders(180), "{case}");
            assert_eq!(received.header("vary"), Some("accept, accept-encoding"), "{case}");
            assert!(received.header("cache-control").unwrap().ends_with("no-transform"), "{case}");
            let etag = received.header("etag").unwrap();
            assert_eq!(etag.starts_with("W/"), coding.is_some(), "{case}: {etag}");
            let ranges = coding.map_or(Some("bytes"), |_| None);
            assert_eq!(received.header("accept-ranges"), ranges, "{case}");
            assert!(coding.is_none() || received.header("content-length").is_none(), "{case}");
            assert!(received.header("unpage-verdict").unwrap().contains("records=180"), "{case}");
            let id = etag.trim_start_matches("W/").trim_matches('"');
            assert!(received.header("content-location").unwrap().ends_with(&format!("_snapshot={id}")), "{case}");

            let mut head = asking(ORDERS, &fields);
            *head.method_mut() = Method::HEAD;
            let head = client::receive(version, proxy.address, head).await;
            assert_eq!(head.whole(), "");
            for name in ["content-encoding", "etag", "vary", "content-type"] {
                assert_eq!(head.header(name), received.header(name), "{name} of a HEAD, {case}");
            }
            let known = [&fields[..], &[("if-none-match", etag)]].concat();
            let known = client::receive(version, proxy.address, asking(ORDERS, &known)).await;
            assert_eq!((known.head.status.as_u16(), known.whole(), known.header("etag")), (304, "", Some(etag)));
        }
    }
    assert_eq!(upstream.asked().len(), 4, "all codings are of one snapshot");
}

#[tokio::test]
async fn a_client_that_accepts_nothing_is_refused_before_the_upstream_is_asked() {
    let upstream = Upstream::of(20).await;
    let proxy = Proxy::start(&demo(&upstream)).await;
    for refused in ["identity;q=0", "br, *;q=0", "gzip;q=0, zstd;q=0, identity;q=0, *"] {
        let received =
            client::receive(Version::Http1, proxy.address, asking(ORDERS, &[("accept-encoding", refused)])).await;
        assert_eq!((received.head.status.as_u16(), received.header("vary")), (406, Some("accept, accept-encoding")));
        assert!(received.whole().contains("`codings`"), "{}", received.whole());
    }
    assert!(upstream.asked().is_empty());
    assert!(ask(Version::Http1, &proxy, &Method::GET, ORDERS).await.whole() == orders(20));
}

#[tokio::test]
async fn ranges_and_digests_are_of_the_bytes_without_a_coding() {
    let upstream = Upstream::of(180).await;
    let proxy = Proxy::start(&kept(&upstream, "")).await;
    let coded = client::receive(Version::Http1, proxy.address, asking(ORDERS, &[("accept-encoding", "gzip")])).await;
    let (pinned, weak) = (coded.header("content-location").unwrap(), coded.header("etag").unwrap());
    let strong = weak.trim_start_matches("W/");
    let text = orders(180);
    for version in BOTH {
        let get = async |target: &str, fields: &[(&'static str, &str)]| {
            let fields = [&[("accept-encoding", "zstd, gzip")], fields].concat();
            client::receive(version, proxy.address, asking(target, &fields)).await
        };
        for fields in [&[][..], &[("if-range", strong)]] {
            let part = get(pinned, &[&[("range", "bytes=100-")], fields].concat()).await;
            assert_eq!((part.head.status.as_u16(), part.header("content-encoding")), (206, None));
            assert_eq!((part.whole(), part.header("etag")), (&text[100..], Some(strong)));
        }
        let lines = get(pinned, &[("range", "records=1-1")]).await;
        assert_eq!(
            (lines.head.status.as_u16(), lines.whole()),
            (206, text.lines().nth(1).map(|line| format!("{line}\n")).unwrap().as_str())
        );
        // A weak tag names no bytes.
        let other = get(ORDERS, &[("range", "bytes=100-"), ("if-range", weak)]).await;
        assert_eq!((other.head.status.as_u16(), other.header("content-encoding")), (200, None));
        assert!(other.whole() == text);
        assert_eq!(get(ORDERS, &[("range", "bytes=100-")]).await.head.status, 412);
        let digest = get(pinned, &[("want-repr-digest", "sha-256=1")]).await;
        assert_eq!((digest.header("content-encoding"), digest.header("repr-digest").is_some()), (None, true));
        // Readers of ranges ask for the length first, and a client that waits for the end wants it.
        let mut head = asking(pinned, &[("accept-encoding", "zstd, gzip")]);
        *head.method_mut() = Method::HEAD;
        let head = client::receive(version, proxy.address, head).await;
        let waited = get(&format!("{ORDERS}?_wait=complete"), &[]).await;
        for response in [&head, &waited] {
            assert_eq!(response.header("content-length"), Some(text.len().to_string().as_str()));
            assert_eq!((response.header("content-encoding"), response.header("accept-ranges")), (None, Some("bytes")));
        }
        assert!(waited.whole() == text);
        // A client that refuses the bytes without a coding gets the whole in one, and no digest of other bytes.
        let fields = [("accept-encoding", "identity;q=0"), ("range", "bytes=100-"), ("want-repr-digest", "sha-256=1")];
        let ignored = get(pinned, &fields).await;
        assert_eq!((ignored.head.status.as_u16(), ignored.header("content-encoding")), (200, Some("zstd")));
        assert!(whole(&ignored) == text);
        assert_eq!(ignored.header("repr-digest"), None);
    }
}

/// Reads a coded body until this many whole lines of it are decoded.
async fn lines(decoder: &mut Decoder, body: &mut Incoming, text: &mut String, count: usize) {
    while text.lines().count() < count || !text.contains('\n') {
        let frame = body.frame().await.expect("the stream ended early").unwrap();
        let mut coded = frame.into_data().unwrap_or_default();
        while let Some(piece) = decoder.next(&mut coded).unwrap() {
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

#[tokio::test]
async fn each_record_of_a_trickle_arrives_before_the_next_one_is_sent() {
    const RECORDS: usize = 8;
    for (version, coding) in BOTH.into_iter().flat_map(|version| CODINGS.map(|coding| (version, coding))) {
        let gates: Vec<_> = (0..RECORDS).map(|_| Gate::default()).collect();
        let held = gates.clone();
        let upstream = Upstream::scripted(0, move |_, _| {
            let records =
                (0..RECORDS).flat_map(|id| [Part::Send(format!("{{\"id\":{id}}},")), Part::Wait(held[id].clone())]);
            let parts: Vec<_> =
                [Part::Send("[".to_owned())].into_iter().chain(records).chain([Part::Send("{}]".to_owned())]).collect();
            let length = parts.iter().map(|part| if let Part::Send(text) = part { text.len() } else { 0 }).sum();
            Part::answer("content-type: application/json\r\n", length, parts)
        })
        .await;
        let lines_of = "records = \"$\"\npagination = \"none\"";
        let proxy = Proxy::start(&collection(&upstream.url(), lines_of)).await;
        let response = client::send(version, proxy.address, asking("/", &[("accept-encoding", coding)])).await;
        assert_eq!(response.headers()[header::CONTENT_ENCODING], coding);
        let mut decoder = Decoder::new(response.headers());
        let (mut body, mut text) = (response.into_body(), String::new());
        for (id, gate) in gates.iter().enumerate() {
            // All of the record but its last byte, which its successor releases.
            let start = format!("{{\"id\":{id}");
            while !text.ends_with(&start) {
                let frame = body.frame().await.expect("the stream ended early").unwrap();
                let mut coded = frame.into_data().unwrap_or_default();
                while let Some(piece) = decoder.next(&mut coded).unwrap() {
                    text.push_str(std::str::from_utf8(&piece).unwrap());
                }
            }
            gate.open();
        }
        lines(&mut decoder, &mut body, &mut text, RECORDS + 1).await;
        assert!(text.ends_with("}\n{}\n"), "{coding} over {version:?}: {text}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_cut_in_its_coding_and_inside_a_record() {
    let upstream = Upstream::scripted(200, |asked, answer| match asked.page {
        3 => Reply::Cut(answer, Framing::Length),
        _ => Reply::Whole(answer),
    })
    .await;
    let proxy = Proxy::before(&upstream).await;
    for (version, coding) in BOTH.into_iter().flat_map(|version| CODINGS.map(|coding| (version, coding))) {
        let received = client::receive(version, proxy.address, asking(ORDERS, &[("accept-encoding", coding)])).await;
        assert!(received.broken.is_some() && received.header("content-encoding") == Some(coding));
        let (text, end) = decoded(&received);
        let text = String::from_utf8(text).unwrap();
        assert!(matches!(end, Err(BadCoding::Cut(_))), "{coding} over {version:?}: {end:?}");
        assert!(orders(200).starts_with(&text) && text.lines().count() > 100, "what came before the break has left");
        let last = text.rsplit('\n').next().unwrap();
        assert!(!last.is_empty() && serde_json::from_str::<serde_json::Value>(last).is_err(), "a whole record: {last}");
        upstream.forget();
    }
}

#[tokio::test]
async fn trailers_and_an_end_marker_follow_the_end_of_the_coding() {
    let upstream = Upstream::of(180).await;
    let proxy = Proxy::start(&demo(&upstream)).await;
    for (version, coding) in BOTH.into_iter().flat_map(|version| CODINGS.map(|coding| (version, coding))) {
        let fields = [("accept-encoding", coding), ("te", "trailers")];
        let told = client::receive(version, proxy.address, asking(ORDERS, &fields)).await;
        assert!(whole(&told) == orders(180));
        assert_eq!(told.header("trailer"), Some("unpage-verdict"));
        assert!(told.trailers["unpage-verdict"].to_str().unwrap().contains("records=180"), "{:?}", told.trailers);
        let target = format!("{ORDERS}?_end=marker");
        let marked = client::receive(version, proxy.address, asking(&target, &fields[..1])).await;
        let text = whole(&marked);
        let marker = text.strip_prefix(&orders(180)).unwrap();
        assert!(marker.starts_with("{\"_unpage\":{\"end\":\"complete\"") && marker.ends_with("}\n"), "{marker}");
        assert!(marked.header("etag").is_none_or(|etag| etag.starts_with("W/")));
    }
}

#[tokio::test]
async fn other_formats_are_coded_too() {
    let upstream = Upstream::of(180).await;
    let proxy = Proxy::start(&kept(&upstream, "")).await;
    let target = format!("{ORDERS}?_format=json");
    let plain = client::receive(Version::Http1, proxy.address, asking(&target, &[])).await;
    for (version, coding) in BOTH.into_iter().flat_map(|version| CODINGS.map(|coding| (version, coding))) {
        let received = client::receive(version, proxy.address, asking(&target, &[("accept-encoding", coding)])).await;
        assert_eq!((received.header("content-encoding"), received.header("content-length")), (Some(coding), None));
        assert!(whole(&received) == plain.whole());
        assert_eq!(received.header("etag").unwrap().strip_prefix("W/"), plain.header("etag"));
    }
}

#[tokio::test]
async fn an_empty_collection_is_whole_in_every_coding() {
    let upstream = Upstream::of(0).await;
    let proxy = Proxy::before(&upstream).await;
    for (version, coding) in BOTH.into_iter().flat_map(|version| CODINGS.map(|coding| (version, coding))) {
        let received = client::receive(version, proxy.address, asking(ORDERS, &[("accept-encoding", coding)])).await;
        assert_eq!((received.header("content-encoding"), whole(&received).as_str()), (Some(coding), ""));
        assert!(!received.body.is_empty());
    }
}

#[tokio::test]
async fn streams_beyond_the_limit_have_no_coding() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(180, move |asked, answer| match asked.page {
        3 => held.before(Reply::Whole(answer)),
        _ => Reply::Whole(answer),
    })
    .await;
    let proxy = Proxy::start(&format!("coded_streams = 1\n{}", demo(&upstream))).await;
    let first = client::send(Version::Http1, proxy.address, asking(ORDERS, &[("accept-encoding", "gzip")])).await;
    assert_eq!(first.headers()[header::CONTENT_ENCODING], "gzip");
    let second = client::send(Version::Http2, proxy.address, asking(ORDERS, &[("accept-encoding", "gzip")])).await;
    assert_eq!(second.headers().get(header::CONTENT_ENCODING), None);
    assert!(second.headers()[header::ETAG].to_str().unwrap().starts_with('"'));
    let refuses = asking(ORDERS, &[("accept-encoding", "gzip, identity;q=0")]);
    let refused = client::receive(Version::Http1, proxy.address, refuses).await;
    assert_eq!(refused.head.status, 406);
    assert!(refused.whole().contains("`coded_streams`"), "{}", refused.whole());
    gate.open();
    assert!(whole(&Received::read(first).await) == orders(180));
    assert!(Received::read(second).await.whole() == orders(180));
}

#[tokio::test]
async fn without_codings_no_answer_depends_on_accept_encoding() {
    let upstream = Upstream::of(20).await;
    let proxy = Proxy::start(&format!("codings = []\n{}", demo(&upstream))).await;
    for version in BOTH {
        let received =
            client::receive(version, proxy.address, asking(ORDERS, &[("accept-encoding", "gzip, zstd")])).await;
        assert_eq!((received.header("content-encoding"), received.header("vary")), (None, Some("accept")));
        assert!(received.whole() == orders(20));
        let refuses = asking(ORDERS, &[("accept-encoding", "gzip, identity;q=0")]);
        assert_eq!(client::receive(version, proxy.address, refuses).await.head.status, 406);
    }
}
