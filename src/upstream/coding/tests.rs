//! Each coding against encoders that others wrote: whole, cut, followed, corrupt, and much larger than it looks.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// An encoder: the name of its coding, whether that has a checksum of the text, and its way with one.
type Encoder = (&'static str, Checksum, fn(&[u8]) -> Vec<u8>);

const ENCODERS: [Encoder; 7] = [
    ("gzip", Checksum::Sent, gzip),
    ("x-gzip", Checksum::Sent, gzip),
    ("deflate", Checksum::Sent, zlib),
    ("deflate", Checksum::Left, raw_deflate),
    ("br", Checksum::Left, brotli),
    ("zstd", Checksum::Sent, |text| zstd(text, Checksum::Sent)),
    ("zstd", Checksum::Left, |text| zstd(text, Checksum::Left)),
];

#[derive(Clone, Copy, PartialEq)]
enum Checksum {
    Sent,
    Left,
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    brotli_of_window(text, 22)
}

fn brotli_of_window(text: &[u8], log: i32) -> Vec<u8> {
    let params =
        ::brotli::enc::BrotliEncoderParams { quality: 5, lgwin: log, large_window: log > 24, ..Default::default() };
    let mut coded = Vec::new();
    ::brotli::BrotliCompress(&mut &*text, &mut coded, &params).unwrap();
    coded
}

fn zstd(text: &[u8], checksum: Checksum) -> Vec<u8> {
    zstd_frame(text, zstd_safe::CParameter::ChecksumFlag(checksum == Checksum::Sent))
}

/// A frame of an encoder that doesn't know how long its text is, and so names its whole window.
fn zstd_frame(text: &[u8], parameter: zstd_safe::CParameter) -> Vec<u8> {
    let mut context = zstd_safe::CCtx::create();
    context.set_parameter(parameter).unwrap();
    [
        zstd_step(&mut context, text, zstd_safe::CCtx::flush_stream),
        zstd_step(&mut context, b"", zstd_safe::CCtx::end_stream),
    ]
    .concat()
}

/// The output of an encoder for this text when it is then told to flush or to end.
fn zstd_step(
    context: &mut zstd_safe::CCtx<'static>,
    text: &[u8],
    then: fn(&mut zstd_safe::CCtx<'static>, &mut zstd_safe::OutBuffer<'_, [u8]>) -> zstd_safe::SafeResult,
) -> Vec<u8> {
    let mut coded = vec![0; zstd_safe::compress_bound(text.len()) + 64];
    let mut output = zstd_safe::OutBuffer::around(&mut coded[..]);
    let mut input = zstd_safe::InBuffer::around(text);
    while input.pos() < text.len() {
        context.compress_stream(&mut output, &mut input).unwrap();
    }
    assert_eq!(then(context, &mut output), Ok(0));
    output.as_slice().to_vec()
}

fn decoder(coding: &str) -> Decoder {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
    Decoder::new(&headers)
}

/// The decoded bytes of a body in these pieces, and its end or error.
fn decode<'a>(coding: &str, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), BadCoding>) {
    let (mut decoder, mut text) = (decoder(coding), Vec::new());
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(piece)) => {
                    assert!((1..=PIECE).contains(&piece.len()));
                    text.extend_from_slice(&piece);
                }
                Ok(None) => break assert!(input.is_empty()),
                Err(error) => return (text, Err(error)),
            }
        }
    }
    let end = decoder.finish();
    (text, end)
}

fn decode_whole(coding: &str, body: &[u8]) -> (Vec<u8>, Result<(), BadCoding>) {
    decode(coding, std::iter::once(body))
}

/// A page of this many records.
fn page(records: usize) -> Vec<u8> {
    let records = (0..records).map(|id| format!("{{\"id\":{id},\"number\":\"A-{}\",\"open\":true}}", id * 7919 % 1000));
    format!("{{\"data\":[{}],\"next\":null}}", records.collect::<Vec<_>>().join(",")).into_bytes()
}

#[test]
fn every_coding_in_every_chunking() {
    for text in [Vec::new(), b"[]".to_vec(), page(40), page(9000)] {
        for (coding, _, encode) in ENCODERS {
            let body = encode(&text);
            let sizes = if text.len() < 10_000 { (1..=65).collect() } else { vec![1, 64, 1460, 65_536] };
            for size in sizes {
                let (decoded, end) = decode(coding, body.chunks(size));
                assert!(decoded == text, "{coding} in pieces of {size}");
                assert_eq!(end, Ok(()), "{coding} in pieces of {size}");
            }
        }
    }
}

#[test]
fn a_body_that_is_cut_anywhere_is_not_whole() {
    let text = page(60);
    for (coding, _, encode) in ENCODERS {
        let body = encode(&text);
        for end in 1..body.len() {
            for size in [1, body.len()] {
                let (decoded, result) = decode(coding, body[..end].chunks(size));
                assert!(text.starts_with(&decoded), "{coding} cut at {end}");
                assert!(matches!(result, Err(BadCoding::Cut(_))), "{coding} cut at {end}: {result:?}");
            }
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    for (coding, _, encode) in ENCODERS {
        for trailing in [&b"\0"[..], b"\n", b"x", b"[]garbage", &[0; 100]] {
            let body = encode(b"[1]");
            let (decoded, result) = decode_whole(coding, &[&body, trailing].concat());
            assert_eq!(decoded, b"[1]", "{coding}");
            assert!(
                matches!(result, Err(BadCoding::Trailing(_) | BadCoding::Corrupt(Coding::Zstd, _))),
                "{coding} and {trailing:?}: {result:?}"
            );
            let apart = [&body[..], trailing].into_iter();
            assert!(decode(coding, apart).1.is_err(), "{coding} and then {trailing:?}");
        }
    }
}

#[test]
fn gzip_is_one_member_and_zstd_any_number_of_frames() {
    let twice = [gzip(b"[1,"), gzip(b"2]")].concat();
    assert_eq!(decode_whole("gzip", &twice), (b"[1,".to_vec(), Err(BadCoding::Trailing(Coding::Gzip))));
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let frames =
        [skipped.clone(), zstd(b"[1,", Checksum::Sent), zstd(b"", Checksum::Left), zstd(b"2]", Checksum::Sent)];
    let frames = [frames.concat(), skipped].concat();
    for size in 1..frames.len() {
        assert_eq!(decode("zstd", frames.chunks(size)), (b"[1,2]".to_vec(), Ok(())), "in pieces of {size}");
    }
}

#[test]
fn what_has_a_checksum_never_decodes_to_something_else() {
    let text = page(12);
    for (coding, checksum, encode) in ENCODERS {
        let body = encode(&text);
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut flipped = body.clone();
                flipped[at] ^= 1 << bit;
                let (decoded, result) = decode(coding, flipped.chunks(7));
                assert!(
                    checksum == Checksum::Left || result.is_err() || decoded == text,
                    "{coding}: bit {bit} of byte {at}: {}",
                    String::from_utf8_lossy(&decoded)
                );
            }
        }
    }
}

#[test]
fn what_has_come_is_given_at_once() {
    let records = ["[{\"id\":1}", ",{\"id\":2}", ",{\"id\":3}"];
    for (coding, flushed) in
        [("gzip", gzip_flushes(&records)), ("zstd", zstd_flushes(&records)), ("br", brotli_flushes(&records))]
    {
        let mut decoder = decoder(coding);
        for (record, body) in records.iter().zip(flushed) {
            let mut input = Bytes::from(body);
            let mut text = Vec::new();
            while let Some(piece) = decoder.next(&mut input).unwrap() {
                text.extend_from_slice(&piece);
            }
            assert_eq!(String::from_utf8(text).unwrap(), *record, "{coding}");
        }
    }
}

fn gzip_flushes(records: &[&str]) -> Vec<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let flush = |record: &&str| {
        encoder.write_all(record.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    records.iter().map(flush).collect()
}

fn zstd_flushes(records: &[&str]) -> Vec<Vec<u8>> {
    let mut context = zstd_safe::CCtx::create();
    let flush = |record: &&str| zstd_step(&mut context, record.as_bytes(), zstd_safe::CCtx::flush_stream);
    records.iter().map(flush).collect()
}

fn brotli_flushes(records: &[&str]) -> Vec<Vec<u8>> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    let mut sent = 0;
    let flush = |record: &&str| {
        encoder.write_all(record.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let new = encoder.get_ref()[sent..].to_vec();
        sent += new.len();
        new
    };
    records.iter().map(flush).collect()
}

#[test]
fn a_bomb_is_refused_after_a_little_of_it() {
    let block = [0x02, 0x00, 0x10, b' '];
    let blocks = [&b"\x28\xb5\x2f\xfd\x00\x48"[..], &block.repeat(512)].concat();
    for (coding, bomb) in [("br", brotli(&vec![b' '; 64 * 1024 * 1024])), ("zstd", blocks)] {
        let (decoded, result) = decode_whole(coding, &bomb);
        assert!(matches!(result, Err(BadCoding::Bomb(..))), "{coding}: {result:?}");
        let most = (bomb.len() as u64 * RATIO).max(FREE) as usize + PIECE;
        assert!(
            decoded.len() <= most && most < 32 * 1024 * 1024,
            "{coding}: {} of at most {most} bytes",
            decoded.len()
        );
    }
}

#[test]
fn however_much_comes_out_comes_in_pieces() {
    let spaces = vec![b' '; 16 * 1024 * 1024];
    for (coding, encode) in [("gzip", gzip as fn(&[u8]) -> _), ("deflate", zlib)] {
        let body = encode(&spaces);
        assert!(body.len() < spaces.len() / 900);
        let (mut decoder, mut input, mut pieces) = (decoder(coding), Bytes::from(body), 0);
        while let Some(piece) = decoder.next(&mut input).unwrap() {
            assert!(piece.len() <= PIECE && piece.iter().all(|byte| *byte == b' '));
            pieces += 1;
        }
        assert_eq!((decoder.finish(), pieces), (Ok(()), spaces.len() / PIECE), "{coding}");
    }
}

#[test]
fn a_page_of_records_that_are_much_alike_is_no_bomb() {
    let unused = (0..150).map(|field| format!("\"unused_field_{field}\":null")).collect::<Vec<_>>().join(",");
    let records: Vec<_> = (0..2000).map(|id| format!("{{\"id\":{id},{unused}}}")).collect();
    let text = format!("[{}]", records.join(",")).into_bytes();
    assert!(text.len() as u64 > 6 * FREE);
    for (coding, _, encode) in ENCODERS {
        let (decoded, result) = decode_whole(coding, &encode(&text));
        assert_eq!(result, Ok(()), "{coding}");
        assert!(decoded == text, "{coding}");
    }
    assert_eq!(decode_whole("br", &brotli(&[b' '; 1_000_000])).1, Ok(()));
}

#[test]
fn a_body_that_never_says_anything_is_refused() {
    let name_without_end = [&b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"[..], &vec![b'a'; 2 * FREE as usize]].concat();
    let empty_blocks = [&[0x00, 0x00, 0x00, 0xff, 0xff][..]].concat().repeat(2 * FREE as usize / 5);
    let skipped = b"\x50\x2a\x4d\x18\x08\0\0\0abcdefgh".repeat(2 * FREE as usize / 16);
    for (coding, body) in [("gzip", name_without_end), ("deflate", empty_blocks), ("zstd", skipped)] {
        let (decoded, result) = decode(coding, body.chunks(PIECE));
        assert!(decoded.is_empty() && matches!(result, Err(BadCoding::Padded(..))), "{coding}: {result:?}");
    }
}

#[test]
fn windows_are_capped() {
    let text = page(20);
    assert_eq!(decode_whole("zstd", &zstd_frame(&text, zstd_safe::CParameter::WindowLog(23))), (text.clone(), Ok(())));
    for log in 24..=27 {
        let (decoded, result) = decode_whole("zstd", &zstd_frame(&text, zstd_safe::CParameter::WindowLog(log)));
        assert_eq!((decoded.len(), result), (0, Err(BadCoding::Window)), "{log}");
    }
    assert_eq!(decode_whole("br", &brotli_of_window(&text, 24)), (text.clone(), Ok(())));
    let (decoded, result) = decode_whole("br", &brotli_of_window(&text, 26));
    assert!(decoded.is_empty() && matches!(result, Err(BadCoding::Corrupt(..))), "{result:?}");
}

#[test]
fn a_coding_is_told_by_its_field() {
    let of = |fields: &[&str]| {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::CONTENT_ENCODING, field.parse().unwrap());
        }
        Decoder::new(&headers).coding.name()
    };
    for fields in [&[][..], &[""], &["identity"], &["Identity, ,"], &["identity", ""]] {
        assert_eq!(of(fields), "identity", "{fields:?}");
    }
    assert_eq!(of(&[" GZip "]), "gzip");
    assert_eq!(of(&["identity, X-GZIP"]), "gzip");
    assert_eq!(of(&["identity", "Br"]), "br");
    assert_eq!(of(&["zstd, gzip"]), "zstd, gzip");
    assert_eq!(of(&["gzip", "gzip"]), "gzip,gzip");
    assert_eq!(of(&["compress"]), "compress");
}

#[test]
fn without_a_byte_there_is_no_coding_to_end() {
    for coding in ["gzip", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity"] {
        assert_eq!(decode_whole(coding, b""), (Vec::new(), Ok(())), "{coding}");
    }
    assert_eq!(decode_whole("compress", b"x").1, Err(BadCoding::Unknown("compress".to_owned())));
}

#[test]
fn a_charset_is_no_coding() {
    for coding in ["UTF-8", "utf8, identity", "none", "ISO-8859-1", "aws-chunked"] {
        assert_eq!(decode_whole(coding, b"[1]"), (b"[1]".to_vec(), Ok(())), "{coding}");
    }
}

#[test]
fn what_is_not_coded_is_not_copied() {
    let mut input = Bytes::from_static(b"[1]");
    let at = input.as_ptr();
    let piece = Decoder::new(&HeaderMap::new()).next(&mut input).unwrap().unwrap();
    assert_eq!((piece.as_ptr(), input.len()), (at, 0));
}

proptest! {
    #[test]
    fn any_text_comes_back(text: Vec<u8>, repeated in 1_usize..300, cuts in prop::collection::vec(1_usize..5000, 1..8)) {
        let text = text.repeat(repeated);
        for (coding, _, encode) in ENCODERS {
            let body = encode(&text);
            let (mut pieces, mut rest) = (Vec::new(), &body[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            let (decoded, end) = decode(coding, pieces.into_iter());
            prop_assert!(decoded == text && end == Ok(()), "{coding}: {end:?}");
        }
    }

    #[test]
    fn no_bytes_are_too_strange(body: Vec<u8>, size in 1_usize..9) {
        for (coding, ..) in ENCODERS {
            let _either = decode(coding, body.chunks(size));
        }
    }
}
