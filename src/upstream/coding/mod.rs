//! Decoding of the content codings of responses (RFC 9110 §8.4), as bytes come and within limits; pure.
//!
//! All that can be decoded of the bytes so far is given at once, in pieces, so that a record doesn't wait for the next one and
//! memory is bounded for every body. A body ends where its coding says so: missing bytes and further bytes are errors. gzip is
//! one member, as in curl and browsers: if a second one were accepted, a body that is cut between the two would be whole. zstd
//! is one frame or several (RFC 8878 §3.1), because servers do send several, and clients that took the first for the whole had
//! to learn it.

mod codec;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

use codec::Codec;

/// The codings that unpage asks for, the best first: zstd costs least on both sides, gzip has a checksum of the text, br costs most
/// (decoded at 1.0, 0.7 and 0.5 GB/s), and deflate is spoken in two dialects. Without weights, which some servers can't read.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, gzip, br, deflate");

/// Most bytes of a piece.
pub const PIECE: usize = 64 * 1024;

/// Number of bytes that may decode from next to nothing: a short body of one repeated byte is not refused.
pub const FREE: u64 = 1024 * 1024;

/// Factor of its own size that a body may decode to, beyond [`FREE`].
///
/// Records of 150 fields that are all null but the id reach 935 with zstd and 906 with br, so the limit is a good deal above.
/// gzip can't reach it: its format ends at 1,032. zstd's bombs are at 32,500 and brotli's at 1,300,000. Those are told by this
/// after a MiB of them; `caps.page` holds for all, since it counts what comes out.
pub const RATIO: u64 = 10_000;

/// zstd frames with a window above 8 MiB are refused (RFC 9659). gzip and deflate have 32 KiB, brotli at most 16 MiB
/// (RFC 7932 §9.1), of which is taken what was decoded.
pub const ZSTD_WINDOW_LOG: u32 = 23;

/// Names that stand in `Content-Encoding` and name no content coding: charsets, and MIME's and S3's encodings of a transfer.
const NO_CODINGS: [&str; 12] = [
    "",
    "identity",
    "none",
    "utf-8",
    "utf8",
    "us-ascii",
    "iso-8859-1",
    "windows-1252",
    "7bit",
    "8bit",
    "binary",
    "aws-chunked",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Decoder of one body: takes coded bytes, and returns decoded ones.
pub struct Decoder {
    coding: BodyCoding,
    /// Zeros that the next piece is written over.
    space: BytesMut,
    state: DecoderState,
    coded: u64,
    decoded: u64,
}

/// Why a body can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCoding {
    #[error("the body has the content coding `{0}`, which unpage doesn't decode")]
    Unknown(String),
    #[error("the body ends before its {0} coding does")]
    Cut(Coding),
    #[error("the body goes on after the end of its {0} coding")]
    Trailing(Coding),
    #[error("the body is not in the {0} coding that it is said to be in: {1}")]
    Corrupt(Coding, String),
    #[error("the body's zstd coding needs a window of more than 8 MiB, which RFC 9659 forbids")]
    Window,
    #[error("the body decodes to more than {RATIO} times its size: {1} bytes from {2} of {0}")]
    Bomb(Coding, u64, u64),
    #[error("the body decodes to next to nothing: {1} bytes from {2} of {0}")]
    Padded(Coding, u64, u64),
}

/// The coding of the body.
enum BodyCoding {
    Plain,
    Coded(Coding, Box<Codec>),
    Unknown(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    /// No byte has come: an empty body is whole in every coding.
    Fresh,
    /// In the stream, and all that can be decoded of the input was returned.
    Hungry,
    /// In the stream; the last piece was full, and the input may have more.
    Full,
    /// At an end of the stream.
    Ended,
}

impl Decoder {
    /// The decoder of the body with these header fields. An unknown coding is an error only if the body has bytes. A charset or a transfer
    /// encoding stands in the field by mistake, and codes nothing: a page that is coded all the same is no JSON.
    pub fn new(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let fields = fields.map(|field| String::from_utf8_lossy(field.as_bytes()).to_ascii_lowercase());
        let joined = fields.collect::<Vec<_>>().join(",");
        let mut names = joined.split(',').map(str::trim).filter(|name| !NO_CODINGS.contains(name));
        let coding = match (names.next(), names.next()) {
            (None, _) => BodyCoding::Plain,
            (Some(name), None) => match Coding::named(name) {
                Some(coding) => BodyCoding::Coded(coding, Box::new(Codec::new(coding))),
                None => BodyCoding::Unknown(excerpt(name)),
            },
            (Some(_), Some(_)) => BodyCoding::Unknown(excerpt(&joined)),
        };
        Self { coding, space: BytesMut::new(), state: DecoderState::Fresh, coded: 0, decoded: 0 }
    }

    /// Takes the bytes of the next piece from the front of `input`; none when more input is needed, and then all of it has been
    /// taken. Pieces are never empty.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BadCoding> {
        let (coding, codec) = match &mut self.coding {
            BodyCoding::Plain => return Ok(Some(std::mem::take(input)).filter(|piece| !piece.is_empty())),
            BodyCoding::Unknown(name) if !input.is_empty() => return Err(BadCoding::Unknown(name.clone())),
            BodyCoding::Unknown(_) => return Ok(None),
            BodyCoding::Coded(coding, codec) => (*coding, codec),
        };
        while !input.is_empty() || self.state == DecoderState::Full {
            if self.state == DecoderState::Ended && coding != Coding::Zstd {
                return Err(BadCoding::Trailing(coding));
            }
            if self.space.len() < PIECE / 16 {
                self.space = BytesMut::zeroed(PIECE);
            }
            let step = codec.step(input, &mut self.space)?;
            if step.consumed == 0 && step.produced == 0 && !input.is_empty() {
                return Err(BadCoding::Corrupt(coding, "it doesn't go on".to_owned()));
            }
            input.advance(step.consumed);
            self.coded += step.consumed as u64;
            self.decoded += step.produced as u64;
            self.state = if step.ended {
                DecoderState::Ended
            } else if step.produced == self.space.len() {
                DecoderState::Full
            } else {
                DecoderState::Hungry
            };
            check(coding, self.coded, self.decoded)?;
            if step.produced > 0 {
                return Ok(Some(piece_of(&mut self.space, step.produced)));
            }
        }
        Ok(None)
    }

    /// Checks at the end of the body that its coding has ended, too.
    pub fn finish(&self) -> Result<(), BadCoding> {
        match (&self.coding, self.state) {
            (BodyCoding::Coded(coding, _), DecoderState::Hungry | DecoderState::Full) => Err(BadCoding::Cut(*coding)),
            _ => Ok(()),
        }
    }
}

impl BodyCoding {
    fn name(&self) -> String {
        match self {
            Self::Plain => "identity".to_owned(),
            Self::Coded(coding, _) => coding.to_string(),
            Self::Unknown(name) => name.clone(),
        }
    }
}

impl Coding {
    /// The coding of this name, in lower case (RFC 9110 §8.4.1).
    fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl BadCoding {
    /// Returns whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Trailing(_) | Self::Corrupt(..))
    }

    /// The remedy, for messages.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown(_) => {
                "unpage asks for zstd, gzip, br or deflate, and the upstream must use one of them alone or none"
            }
            Self::Cut(_) => "the upstream, or something in front of it, cut the body: its log may say why",
            Self::Trailing(_) | Self::Corrupt(..) | Self::Window | Self::Bomb(..) | Self::Padded(..) => {
                "see what compresses there, the upstream or something in front of it; headers = { Accept-Encoding = \"identity\" } (fetch: -H 'Accept-Encoding: identity') asks for bodies without a coding"
            }
        }
    }
}

fn excerpt(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Refuses a little that decodes to very much, and very much that decodes to a little: either costs work that no cap on the
/// decoded bytes ends.
fn check(coding: Coding, coded: u64, decoded: u64) -> Result<(), BadCoding> {
    if decoded > FREE && decoded / RATIO > coded {
        return Err(BadCoding::Bomb(coding, decoded, coded));
    }
    if coded > FREE && coded / 2 > decoded {
        return Err(BadCoding::Padded(coding, decoded, coded));
    }
    Ok(())
}

/// Splits the piece off. All of the space is given away in the end, so that each piece has one owner.
fn piece_of(space: &mut BytesMut, length: usize) -> Bytes {
    let piece = if length == space.len() { std::mem::take(space) } else { space.split_to(length) };
    piece.freeze()
}

impl std::fmt::Display for Coding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("coding", &self.coding.name())
            .field("coded", &self.coded)
            .finish_non_exhaustive()
    }
}
