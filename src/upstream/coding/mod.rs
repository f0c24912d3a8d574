//! Content codings of the upstream's answers, decoded as they come and held to limits; pure.
//!
//! Whatever can be decoded of what has come is given at once, in pieces, so that a record doesn't wait for the next one and
//! memory is the same whatever a body decodes to. A body ends where its coding says so: bytes that lack and bytes that
//! follow are errors. gzip is one member, as curl and browsers have it: if a second were taken, a body that is cut between
//! the two would be whole. zstd is one frame or several (RFC 8878 §3.1), because servers do send several, and clients that
//! took the first for the whole had to learn it.

mod codec;
#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};

use codec::Codec;

/// What unpage asks for, the best first: zstd costs least on both sides, gzip has a checksum of the text, br costs most
/// (decoded at 1.0, 0.7 and 0.5 GB/s), and deflate is spoken in two dialects. Without weights, which some servers can't read.
pub const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, gzip, br, deflate");

/// The largest piece that is given.
pub const PIECE: usize = 64 * 1024;

/// So much may decode from next to nothing, so that a short body of one repeated byte is none to refuse.
pub const FREE: u64 = 1024 * 1024;

/// How many times its own size a body may decode to, beyond what is free.
///
/// Records of 150 fields that are all null but the id reach 935 with zstd and 906 with br, so the limit is a good deal above.
/// gzip can't reach it: its format ends at 1,032. zstd's bombs are at 32,500 and brotli's at 1,300,000. Those are told by this
/// after a MiB of them; `caps.page` holds for all, since it counts what comes out.
pub const RATIO: u64 = 10_000;

/// zstd frames with a window above 8 MiB are refused (RFC 9659). gzip and deflate have 32 KiB, brotli at most 16 MiB
/// (RFC 7932 §9.1), of which is taken what was decoded.
pub const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Takes a body's bytes, gives those that they code.
pub struct Decoder {
    way: Way,
    /// Zeros that the next piece is written over.
    space: BytesMut,
    state: State,
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

/// How bytes go through.
enum Way {
    Plain,
    Coded(Coding, Box<Codec>),
    Unknown(String),
}

/// Where the decoder stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No byte has come: a body without bytes is none, whatever it is labelled.
    Fresh,
    /// In the stream, and all that can be decoded of what has come was given.
    Hungry,
    /// In the stream; the last piece was full, and there may be more of what has come.
    Full,
    /// At an end of the stream.
    Ended,
}

impl Decoder {
    /// A decoder for the body that comes with this head. That its coding is unknown matters only if it has bytes.
    pub fn new(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let fields = fields.map(|field| String::from_utf8_lossy(field.as_bytes()).to_ascii_lowercase());
        let joined = fields.collect::<Vec<_>>().join(",");
        let mut names = joined.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity"));
        let way = match (names.next(), names.next()) {
            (None, _) => Way::Plain,
            (Some(name), None) => match Coding::named(name) {
                Some(coding) => Way::Coded(coding, Box::new(Codec::new(coding))),
                None => Way::Unknown(excerpt(name)),
            },
            (Some(_), Some(_)) => Way::Unknown(excerpt(&joined)),
        };
        Self { way, space: BytesMut::new(), state: State::Fresh, coded: 0, decoded: 0 }
    }

    /// Takes from the front of `input` what the next piece is made of; none when more input is needed, and then all of it
    /// has been taken. Pieces are never empty.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BadCoding> {
        let (coding, codec) = match &mut self.way {
            Way::Plain => return Ok(Some(std::mem::take(input)).filter(|piece| !piece.is_empty())),
            Way::Unknown(name) if !input.is_empty() => return Err(BadCoding::Unknown(name.clone())),
            Way::Unknown(_) => return Ok(None),
            Way::Coded(coding, codec) => (*coding, codec),
        };
        while !input.is_empty() || self.state == State::Full {
            if self.state == State::Ended && coding != Coding::Zstd {
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
                State::Ended
            } else if step.produced == self.space.len() {
                State::Full
            } else {
                State::Hungry
            };
            check(coding, self.coded, self.decoded)?;
            if step.produced > 0 {
                return Ok(Some(piece_of(&mut self.space, step.produced)));
            }
        }
        Ok(None)
    }

    /// The body is over: whether its coding is, too.
    pub fn finish(&self) -> Result<(), BadCoding> {
        match (&self.way, self.state) {
            (Way::Coded(coding, _), State::Hungry | State::Full) => Err(BadCoding::Cut(*coding)),
            _ => Ok(()),
        }
    }
}

impl Way {
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
    /// Whether the same request may be answered better a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Trailing(_) | Self::Corrupt(..))
    }

    /// What to do about it.
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

/// As much of a name as a message can bear.
fn excerpt(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Neither a little that decodes to very much, nor very much that decodes to a little: either would cost work that no cap
/// on what comes out ends.
fn check(coding: Coding, coded: u64, decoded: u64) -> Result<(), BadCoding> {
    if decoded > FREE && decoded / RATIO > coded {
        return Err(BadCoding::Bomb(coding, decoded, coded));
    }
    if coded > FREE && coded / 2 > decoded {
        return Err(BadCoding::Padded(coding, decoded, coded));
    }
    Ok(())
}

/// The first bytes of the space. All of it is given away for good, so that whoever takes the piece is its only owner.
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
        f.debug_struct("Decoder").field("way", &self.way.name()).field("coded", &self.coded).finish_non_exhaustive()
    }
}
