//! Flaws of HTTP/1.1 heads that the parser mends or drops before a service sees them, found in the bytes of a connection.
//!
//! hyper takes a bare LF for a line's end, one of several equal lengths, and the encoding where a head has a length, too (RFC 9112 allows all
//! of it). A proxy in front of unpage that reads such a request otherwise would see another request behind it, so it is refused.
//!
//! ```text
//!   Head ── blank line ─▶ Body(n) ─ n bytes ─▶ Head
//!     │  └─────────────▶ Chunks ─ last chunk, trailers ─▶ Head
//!     └─ a flaw, or bytes that are no message ─▶ Lost: no head is found any more
//! ```
//!
//! It fails closed: what it does not read as hyper does loses it, and a request without a verdict is refused.

/// Longest line that is looked at as a whole: a field that frames a body is shorter.
const LINE: usize = 128;

/// Flaw of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadFlaw {
    /// A line ends with LF alone (RFC 9112 §2.2).
    BareLineFeed,
    /// More than one `Content-Length`, equal or not (RFC 9110 §8.6).
    TwoLengths,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 §6.1).
    LengthAndEncoding,
    /// A field that frames the body is longer than any sensible one.
    LongField,
    /// The bytes before it were no messages as far as the scanner can tell.
    Unaligned,
}

/// A head that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScannedHead {
    /// Beginning of its first line.
    pub(super) first_line: Vec<u8>,
    pub(super) verdict: Result<(), HeadFlaw>,
}

/// Scanner of the bytes that a client sends.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    state: ScannerState,
}

#[derive(Debug)]
enum ScannerState {
    Head(OpenHead),
    /// Number of bytes that are left.
    Body(u64),
    Chunks(ChunkPart),
    Lost,
}

/// A head up to the last byte so far.
#[derive(Debug, Default)]
struct OpenHead {
    first_line: Vec<u8>,
    /// Beginning of the line.
    line: Vec<u8>,
    /// Number of bytes of the line.
    length: usize,
    ends_in_return: bool,
    lengths: usize,
    last_length: u64,
    has_encoding: bool,
    flaw: Option<HeadFlaw>,
}

/// Part of a chunked body (RFC 9112 §7.1). Each line ends with CR LF, and has neither of them inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkPart {
    /// Before the first digit.
    Start,
    Size(u64),
    Extension(u64),
    SizeEnd(u64),
    /// Number of bytes that are left.
    Data(u64),
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    /// Before the last LF.
    Last,
    Over,
}

impl Default for ScannerState {
    fn default() -> Self {
        Self::Head(OpenHead::default())
    }
}

impl HeadScanner {
    /// Reads further bytes, and gives each head that ends in them to `found`.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut found: impl FnMut(ScannedHead)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            let mut passed = 1;
            let next = match &mut self.state {
                ScannerState::Lost => return,
                ScannerState::Body(left) => {
                    passed = pass(left, bytes);
                    (*left == 0).then(ScannerState::default)
                }
                ScannerState::Chunks(ChunkPart::Data(left)) => {
                    passed = pass(left, bytes);
                    (*left == 0).then_some(ScannerState::Chunks(ChunkPart::DataReturn))
                }
                ScannerState::Chunks(part) => Some(match part.next(byte) {
                    Some(ChunkPart::Over) => ScannerState::default(),
                    Some(part) => ScannerState::Chunks(part),
                    None => ScannerState::Lost,
                }),
                ScannerState::Head(head) => head.push(byte).map(|scanned| {
                    let behind = if scanned.verdict.is_ok() { head.body() } else { ScannerState::Lost };
                    found(scanned);
                    behind
                }),
            };
            if let Some(next) = next {
                self.state = next;
            }
            bytes = if passed == 1 { rest } else { &bytes[passed..] };
        }
    }

    /// Ends the scan: no further head is found.
    pub(super) fn lose(&mut self) {
        self.state = ScannerState::Lost;
    }
}

/// Passes bytes of a body; returns their number.
fn pass(left: &mut u64, bytes: &[u8]) -> usize {
    let passed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= passed as u64;
    passed
}

impl OpenHead {
    /// Reads a byte; returns the head where it ends.
    fn push(&mut self, byte: u8) -> Option<ScannedHead> {
        if byte != b'\n' {
            if self.line.len() < LINE {
                self.line.push(byte);
            }
            self.length += 1;
            self.ends_in_return = byte == b'\r';
            return None;
        }
        let is_blank = self.length == usize::from(self.ends_in_return);
        let has_begun = !self.first_line.is_empty();
        // Empty lines in front of a request are skipped (RFC 9112 §2.2).
        if !self.ends_in_return && (has_begun || !is_blank) {
            self.flaw = Some(HeadFlaw::BareLineFeed);
        }
        match (is_blank, has_begun) {
            (true, true) => {
                return Some(ScannedHead { first_line: std::mem::take(&mut self.first_line), verdict: self.verdict() });
            }
            (true, false) => {}
            (false, true) => self.field(),
            (false, false) => self.first_line = std::mem::take(&mut self.line),
        }
        (self.length, self.ends_in_return) = (0, false);
        self.line.clear();
        None
    }

    /// Notes a field that frames the body.
    fn field(&mut self) {
        let Some(colon) = self.line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (self.line[..colon].trim_ascii(), self.line[colon + 1..].trim_ascii());
        let is_length = name.eq_ignore_ascii_case(b"content-length");
        if !is_length && !name.eq_ignore_ascii_case(b"transfer-encoding") {
            return;
        }
        if self.length > LINE {
            self.flaw = self.flaw.or(Some(HeadFlaw::LongField));
        } else if is_length {
            let value = std::str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            self.lengths += 1;
            // hyper refuses what is no number.
            self.last_length = value.and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
        } else {
            self.has_encoding = true;
        }
    }

    fn verdict(&self) -> Result<(), HeadFlaw> {
        match (self.flaw, self.lengths, self.has_encoding) {
            (Some(flaw), ..) => Err(flaw),
            (_, 1.., true) => Err(HeadFlaw::LengthAndEncoding),
            (_, 2.., _) => Err(HeadFlaw::TwoLengths),
            _ => Ok(()),
        }
    }

    /// Returns the state behind the head.
    fn body(&self) -> ScannerState {
        match (self.has_encoding, self.last_length) {
            (true, _) => ScannerState::Chunks(ChunkPart::Start),
            (false, 0) => ScannerState::default(),
            (false, length) => ScannerState::Body(length),
        }
    }
}

impl ChunkPart {
    /// Returns the part behind this byte; none where it is no chunk's.
    fn next(self, byte: u8) -> Option<Self> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (self, byte) {
            (Self::Start, _) => digit.map(Self::Size),
            (Self::Size(size) | Self::Extension(size), b'\r') => Some(Self::SizeEnd(size)),
            (Self::Size(size), b';' | b' ' | b'\t') => Some(Self::Extension(size)),
            (Self::Size(size), _) => Some(Self::Size(size.checked_mul(16)?.checked_add(digit?)?)),
            (Self::SizeEnd(0) | Self::TrailerEnd, b'\n') => Some(Self::TrailerStart),
            (Self::SizeEnd(size), b'\n') => Some(Self::Data(size)),
            (Self::DataReturn, b'\r') => Some(Self::DataEnd),
            (Self::DataEnd, b'\n') => Some(Self::Start),
            (Self::TrailerStart, b'\r') => Some(Self::Last),
            (Self::Trailer, b'\r') => Some(Self::TrailerEnd),
            (Self::Last, b'\n') => Some(Self::Over),
            (Self::Extension(size), other) if other != b'\n' => Some(Self::Extension(size)),
            (Self::TrailerStart | Self::Trailer, other) if other != b'\n' => Some(Self::Trailer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the verdicts on these bytes, in pieces of this length.
    fn verdicts(bytes: &str, piece: usize) -> Vec<Result<(), HeadFlaw>> {
        let (mut scanner, mut verdicts) = (HeadScanner::default(), Vec::new());
        for piece in bytes.as_bytes().chunks(piece) {
            scanner.read(piece, |head| verdicts.push(head.verdict));
        }
        verdicts
    }

    #[test]
    fn heads_are_found_behind_bodies_however_the_bytes_arrive() {
        let requests = "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\
            POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET /\n\n\n\n\
            POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=\"y\"\r\n\n\n\n\n\n\r\n1A \r\n\
            abcdefghijklmnopqrstuvwxyz\r\n0\r\nX-T: 1\r\n\r\n\
            POST /d HTTP/1.1\r\ncontent-length:0\r\n\r\nPOST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
            GET /f HTTP/1.1\r\n\r\n";
        for piece in 1..80 {
            assert_eq!(verdicts(requests, piece), [Ok(()); 6], "{piece}");
        }
    }

    #[test]
    fn each_flaw_is_found_and_nothing_behind_it() {
        use HeadFlaw::{BareLineFeed, LengthAndEncoding, TwoLengths};
        let zeros = format!("POST / HTTP/1.1\r\nContent-Length: {}5\r\n\r\n", "0".repeat(120));
        for (head, flaw) in [
            (zeros.as_str(), HeadFlaw::LongField),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", BareLineFeed),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length:5\r\n\r\nhello", TwoLengths),
            ("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LengthAndEncoding),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length : 5\r\n\r\n", LengthAndEncoding),
        ] {
            let requests = format!("GET /first HTTP/1.1\r\n\r\n{head}GET /behind HTTP/1.1\r\n\r\n");
            for piece in [1, 7, 1000] {
                assert_eq!(verdicts(&requests, piece), [Ok(()), Err(flaw)], "{head}");
            }
        }
    }

    #[test]
    fn nothing_is_found_behind_bytes_that_are_no_message() {
        for body in [
            "xyz\r\n",
            "ffffffffffffffff1\r\n",
            "1\r\nab\r\n",
            "\r\n",
            "1\nab\r\n",
            "1;x\nab\r\n",
            "0\r\nX: a\n\n",
            "0\r\n\n",
            "0\r\nX: a\rb\r\n\r\n",
        ] {
            let requests = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET / HTTP/1.1\r\n\r\n");
            assert_eq!(verdicts(&requests, 5), [Ok(())], "{body}");
        }
        let long = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\nGET / HTTP/1.1\r\n\r\n", u64::MAX);
        assert_eq!(verdicts(&long, 9), [Ok(())]);
    }
}
