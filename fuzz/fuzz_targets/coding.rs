//! Any bytes in any coding: no panic, pieces within their bound, little from little, and the same text however they are cut.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use unpage::upstream::coding::{BadCoding, Decoder, FREE, PIECE, RATIO};

fuzz_target!(|data: &[u8]| {
    let [coding, size, body @ ..] = data else { return };
    let coding = ["gzip", "deflate", "br", "zstd"][usize::from(*coding) % 4];
    let (whole, end) = decoded(coding, body, usize::MAX);
    let (pieces, end_of_pieces) = decoded(coding, body, usize::from(*size) + 1);
    // The ratio is looked at after each step, and steps differ.
    let is_bomb = [&end, &end_of_pieces].iter().any(|end| matches!(end, Err(BadCoding::Bomb(..))));
    assert!(is_bomb || end.is_ok() == end_of_pieces.is_ok(), "{end:?} and {end_of_pieces:?}");
    if end.is_ok() && !is_bomb {
        assert_eq!(whole, pieces);
    }
});

fn decoded(coding: &'static str, body: &[u8], size: usize) -> (Vec<u8>, Result<(), BadCoding>) {
    let mut decoder =
        Decoder::new(&HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]));
    let (mut text, most) = (Vec::new(), body.len() as u64 * RATIO + FREE + PIECE as u64);
    for piece in body.chunks(size) {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(piece)) => {
                    assert!((1..=PIECE).contains(&piece.len()));
                    text.extend_from_slice(&piece);
                    assert!(text.len() as u64 <= most);
                }
                Ok(None) => break assert!(input.is_empty()),
                Err(error) => return (text, Err(error)),
            }
        }
    }
    (text, decoder.finish())
}
