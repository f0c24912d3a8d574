//! Content codings: what unpage asks the upstream for, decodes, refuses, and leaves alone where it only passes answers on.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::{Method, Response, header};

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, collection, demo, run};
use super::streams::{ask, orders};
use super::upstream::{Reply, Upstream, answer};

/// `Accept-Encoding` of a crawl's page requests.
const ASKED: &str = "zstd, gzip, br, deflate";

/// A way to code a body, and the name that it goes by.
pub(super) type Encoder = (&'static str, fn(&[u8]) -> Vec<u8>);

pub(super) const ENCODERS: [Encoder; 6] = [
    ("gzip", gzip),
    ("X-GZip", gzip),
    ("deflate", zlib),
    ("deflate", raw_deflate),
    ("br", brotli),
    ("identity, zstd", zstd),
];

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
    let mut coded = Vec::new();
    brotli::BrotliCompress(&mut &*text, &mut coded, &params).unwrap();
    coded
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut coded = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut coded[..], text, 3).unwrap();
    coded.truncate(length);
    coded
}

/// A frame of 64 MiB of spaces in 2 KB.
pub(super) fn zstd_bomb() -> Vec<u8> {
    [&b"\x28\xb5\x2f\xfd\x00\x48"[..], &[0x02, 0x00, 0x10, b' '].repeat(512)].concat()
}

/// An answer whose body is this, in this coding.
pub(super) fn labelled(answer: Response<Bytes>, coding: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let (mut head, _) = answer.into_parts();
    head.headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
    Response::from_parts(head, body.into())
}

/// The same answer, coded.
pub(super) fn coded(answer: Response<Bytes>, (coding, encode): Encoder) -> Response<Bytes> {
    let body = encode(answer.body());
    labelled(answer, coding, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_coding_is_asked_for_and_decoded() {
    for encoder in ENCODERS {
        let upstream = Upstream::scripted(180, move |_, answer| Reply::Whole(coded(answer, encoder))).await;
        for http in ["1.1", "2"] {
            let proxy =
                Proxy::start(&demo(&upstream).replace("\nmethod", &format!("\nhttp = \"{http}\"\nmethod"))).await;
            for (method, path) in [(Method::GET, "/cursor/orders"), (Method::POST, "/search/orders")] {
                let received = ask(Version::Http1, &proxy, &method, path).await;
                assert!(received.whole() == orders(180), "{} over HTTP/{http}", encoder.0);
                assert_eq!(received.header("content-encoding"), None);
            }
        }
        let asked = upstream.asked();
        assert_eq!(asked.len(), 16);
        assert!(asked.iter().all(|asked| asked.header("accept-encoding") == Some(ASKED)));
    }
}

#[tokio::test]
async fn a_coded_body_may_come_a_byte_at_a_time() {
    for encoder in ENCODERS {
        let upstream = Upstream::scripted(60, move |_, answer| {
            let coded = coded(answer, encoder);
            let mut raw =
                format!("HTTP/1.1 200 OK\r\nContent-Encoding: {}\r\nTransfer-Encoding: chunked\r\n\r\n", encoder.0);
            raw.extend(coded.body().iter().map(|_| "1\r\n?\r\n"));
            raw.push_str("0\r\n\r\n");
            let mut raw = raw.into_bytes();
            let places: Vec<_> = raw.iter().enumerate().filter(|(_, byte)| **byte == b'?').map(|(at, _)| at).collect();
            places.into_iter().zip(coded.body()).for_each(|(at, byte)| raw[at] = *byte);
            Reply::Raw(raw)
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
        assert!(received.whole() == orders(60), "{}", encoder.0);
    }
}

#[tokio::test]
async fn bodies_that_no_decoder_should_be_given_break_the_stream_at_once() {
    let spaces = gzip(&vec![b' '; 2 * 1024 * 1024]);
    for (name, coding, body) in [
        ("a bomb", "zstd", zstd_bomb()),
        ("a page beyond its cap", "gzip", spaces),
        ("a window of 128 MiB", "zstd", b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00".to_vec()),
        ("two codings", "gzip, br", gzip(b"{}")),
        ("a coding of the past", "compress", b"\x1f\x9d\x90".to_vec()),
    ] {
        let upstream = Upstream::scripted(200, move |asked, answer| match asked.page {
            3 => Reply::Whole(labelled(answer, coding, body.clone())),
            _ => Reply::Whole(answer),
        })
        .await;
        let proxy = Proxy::start(&demo(&upstream).replace("\nmethod", "\ncaps = { page = \"1MiB\" }\nmethod")).await;
        for version in BOTH {
            let received = ask(version, &proxy, &Method::GET, "/cursor/orders").await;
            assert!(received.broken.is_some(), "{name} over {version:?}");
            assert_eq!(received.body.iter().filter(|byte| **byte == b'\n').count(), 99, "{name}");
            assert_eq!(upstream.forget().len(), 3, "{name}: it was asked for again");
        }
    }
}

#[tokio::test]
async fn an_empty_body_has_no_coding() {
    let upstream = Upstream::scripted(0, |_, _| Reply::Whole(answer(204, &[("content-encoding", "zstd")], ""))).await;
    let proxy = Proxy::start(&collection(
        &upstream.url(),
        "records = \"data\"\nrecords_optional = true\npagination = \"none\"",
    ))
    .await;
    for version in BOTH {
        assert_eq!(client::receive(version, proxy.address, client::stream("/orders")).await.whole(), "");
    }
}

#[tokio::test]
async fn the_body_of_a_refusal_is_decoded() {
    for encoder in ENCODERS {
        let upstream = Upstream::scripted(0, move |_, _| {
            Reply::Whole(coded(answer(403, &[], "{\"error\":\"no plan for you\"}"), encoder))
        })
        .await;
        let proxy = Proxy::before(&upstream).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
        assert_eq!(received.head.status, 403, "{}", encoder.0);
        assert!(received.whole().contains("no plan for you"), "{}: {}", encoder.0, received.whole());
    }
    let upstream =
        Upstream::scripted(0, |_, _| Reply::Whole(labelled(answer(403, &[], ""), "compress", "\u{1f}no"))).await;
    let proxy = Proxy::before(&upstream).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/cursor/orders").await;
    assert_eq!(received.head.status, 403);
    assert!(!received.whole().contains("\\u001f"), "{}", received.whole());
}

#[tokio::test]
async fn passed_through_answers_keep_the_upstreams_coding() {
    let page = zstd_bomb();
    let sent = page.clone();
    let upstream = Upstream::scripted(0, move |_, answer| Reply::Whole(labelled(answer, "zstd", sent.clone()))).await;
    let proxy = Proxy::before(&upstream).await;
    for (version, wish) in [(Version::Http1, Some("br;q=0.1")), (Version::Http2, None)] {
        let mut request = client::get("/cursor/orders", "application/json");
        if let Some(wish) = wish {
            request.headers_mut().insert("accept-encoding", wish.parse().unwrap());
        }
        let received = client::receive(version, proxy.address, request).await;
        assert_eq!((received.header("content-encoding"), &received.body), (Some("zstd"), &page));
        assert_eq!(upstream.forget()[0].header("accept-encoding"), wish);
    }
}

#[tokio::test]
async fn content_codings_can_be_switched_off() {
    let upstream = Upstream::of(60).await;
    let lines = "headers = { Accept-Encoding = \"identity\" }\nrecords = \"data\"\n\
        pagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
    let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
    client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await.whole();
    let url = format!("{}/cursor/orders", upstream.url());
    assert!(run(["fetch", &url, "-H", "Accept-Encoding: identity"]).await.status.success());
    let asked = upstream.asked();
    assert!(asked.len() > 4 && asked.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
}
