//! Flaws of HTTP/1.1 heads that hyper mends or drops before a service sees them, found in the bytes of a connection.
//!
//! hyper takes a bare LF for a line's end, one of several equal lengths, and the encoding where a head has a length, too (RFC 9112 allows all
//! of it). A proxy in front of unpage that reads such a request otherwise would see another request behind it, so it is refused.
//!
//! ```text
//!   Head ── blank line ─▶ Body(n) ─ n bytes ─▶ Head
//!     └─ a flaw, a chunked body, or no end ─▶ Lost: no head is found any more
//! ```
//!
//! It fails closed: a request whose head was not found is refused. Behind a chunked body none is looked for, since a second parser of chunks
//! could disagree with hyper's: such a request is the last one of its connection.

use std::collections::VecDeque;
use std::sync::Arc;

use http::{Method, Uri};
use memchr::memchr;
use parking_lot::Mutex;

/// Largest head, which is hyper's largest, too.
pub(super) const LARGEST_HEAD: usize = 64 << 10;

/// Digits of the largest length that hyper takes.
const MAX_DIGITS: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFlaw {
    /// A line ends with LF alone (RFC 9112 §2.2).
    BareLineFeed,
    /// More than one `Content-Length`, equal or not (RFC 9110 §8.6).
    TwoLengths,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 §6.1).
    LengthAndEncoding,
    /// A `Content-Length` that is longer than any number of bytes.
    LongLength,
    /// The bytes before it were no messages as far as the scanner can tell.
    Unaligned,
}

#[derive(Debug)]
pub struct HeadScanner {
    state: ScannerState,
    heads: ScannedHeads,
}

#[derive(Debug)]
enum ScannerState {
    Head(Vec<u8>),
    /// Number of bytes that are left.
    Body(u64),
    Lost,
}

/// Heads of a connection whose requests are not served yet, in their order: hyper reads no further ahead than its buffer.
#[derive(Clone, Debug, Default)]
pub struct ScannedHeads(Arc<Mutex<VecDeque<ScannedHead>>>);

#[derive(Debug)]
struct ScannedHead {
    first_line: Vec<u8>,
    verdict: Result<(), HeadFlaw>,
}

impl HeadScanner {
    pub fn new() -> (Self, ScannedHeads) {
        let heads = ScannedHeads::default();
        (Self { state: ScannerState::Head(Vec::new()), heads: heads.clone() }, heads)
    }

    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let length = match &mut self.state {
                ScannerState::Lost => return,
                ScannerState::Body(left) => usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len())),
                ScannerState::Head(_) => memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1),
            };
            let (read, rest) = bytes.split_at(length);
            bytes = rest;
            match &mut self.state {
                ScannerState::Head(head) => {
                    head.extend_from_slice(read);
                    let head = std::mem::take(head);
                    self.state = self.behind(head);
                }
                ScannerState::Body(left) if *left > length as u64 => *left -= length as u64,
                ScannerState::Body(_) | ScannerState::Lost => self.state = ScannerState::Head(Vec::new()),
            }
        }
    }

    /// Returns false where the bytes so far end with a message, as far as the scanner can tell.
    pub(super) fn is_inside_message(&self) -> bool {
        !matches!(&self.state, ScannerState::Head(head) if head.is_empty())
    }

    /// Returns the state behind a head, or behind its beginning.
    fn behind(&self, head: Vec<u8>) -> ScannerState {
        // Empty lines in front of a request are skipped (RFC 9112 §2.2).
        if matches!(head.as_slice(), b"\r\n" | b"\n") {
            return ScannerState::Head(Vec::new());
        }
        if !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
            return if head.len() > LARGEST_HEAD { ScannerState::Lost } else { ScannerState::Head(head) };
        }
        let framing = framing(&head);
        let first_line = head.split(|byte| *byte == b'\r').next().unwrap_or_default().to_vec();
        self.heads.0.lock().push_back(ScannedHead { first_line, verdict: framing.map(drop) });
        match framing {
            Ok(Some(0)) => ScannerState::Head(Vec::new()),
            Ok(Some(length)) => ScannerState::Body(length),
            Ok(None) | Err(_) => ScannerState::Lost,
        }
    }
}

/// Returns the length of the body behind a head; none for a chunked one.
fn framing(head: &[u8]) -> Result<Option<u64>, HeadFlaw> {
    let (mut lengths, mut length, mut has_encoding) = (0, 0, false);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").ok_or(HeadFlaw::BareLineFeed)?;
        let Some(colon) = memchr(b':', line) else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            if value.len() > MAX_DIGITS {
                return Err(HeadFlaw::LongLength);
            }
            lengths += 1;
            // hyper refuses what is no number.
            length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
        }
        has_encoding |= name.eq_ignore_ascii_case(b"transfer-encoding");
    }
    match (lengths, has_encoding) {
        (0, true) => Ok(None),
        (_, true) => Err(HeadFlaw::LengthAndEncoding),
        (0 | 1, false) => Ok(Some(length)),
        (_, false) => Err(HeadFlaw::TwoLengths),
    }
}

impl ScannedHeads {
    /// Takes the verdict on the next request, which has this method and target.
    pub fn next(&self, method: &Method, target: &Uri) -> Result<(), HeadFlaw> {
        let head = self.0.lock().pop_front();
        head.filter(|head| is_of(&head.first_line, method, target)).ok_or(HeadFlaw::Unaligned)?.verdict
    }
}

/// Returns `true` where the first line of a head is that of the request.
fn is_of(first_line: &[u8], method: &Method, target: &Uri) -> bool {
    let rest = first_line.strip_prefix(method.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
    // An absolute target, or `*`, is written otherwise than it is read.
    rest.is_some_and(|rest| !rest.starts_with(b"/") || rest.starts_with(target.path().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the verdicts on these bytes, in pieces of this length.
    fn verdicts(bytes: &str, piece: usize) -> Vec<Result<(), HeadFlaw>> {
        let (mut scanner, heads) = HeadScanner::new();
        bytes.as_bytes().chunks(piece).for_each(|piece| scanner.read(piece));
        heads.0.lock().iter().map(|head| head.verdict).collect()
    }

    #[test]
    fn heads_are_found_behind_bodies_however_the_bytes_arrive() {
        let requests = "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\
            POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET /\n\n\n\n\
            POST /d HTTP/1.1\r\ncontent-length:0\r\n\r\nGET /e HTTP/1.1\r\n\r\n\
            POST /f HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /g HTTP/1.1\r\n\r\n";
        for piece in 1..80 {
            assert_eq!(verdicts(requests, piece), [Ok(()); 5], "{piece}");
        }
    }

    #[test]
    fn each_flaw_is_found_and_nothing_behind_it() {
        use HeadFlaw::{BareLineFeed, LengthAndEncoding, TwoLengths};
        let zeros = format!("POST / HTTP/1.1\r\nContent-Length: {}5\r\n\r\n", "0".repeat(20));
        for (head, flaw) in [
            (zeros.as_str(), HeadFlaw::LongLength),
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
        let long = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\nGET / HTTP/1.1\r\n\r\n", u64::MAX);
        assert_eq!(verdicts(&long, 9), [Ok(())]);
        let endless = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\nGET / HTTP/1.1\r\n\r\n", "x".repeat(LARGEST_HEAD));
        assert_eq!(verdicts(&endless, 1000), []);
    }

    #[test]
    fn a_verdict_is_that_of_its_own_request() {
        let heads = ScannedHeads::default();
        let next = |first_line: &str, method: Method, target: &'static str| {
            heads.0.lock().push_back(ScannedHead { first_line: first_line.as_bytes().to_vec(), verdict: Ok(()) });
            heads.next(&method, &Uri::from_static(target))
        };
        assert_eq!(next("GET /a?b HTTP/1.1", Method::GET, "/a?b"), Ok(()));
        assert_eq!(next("GET http://a/x HTTP/1.1", Method::GET, "http://a/x"), Ok(()));
        assert_eq!(next("OPTIONS * HTTP/1.1", Method::OPTIONS, "*"), Ok(()));
        assert_eq!(next("GET /fake HTTP/1.1", Method::GET, "/a"), Err(HeadFlaw::Unaligned));
        assert_eq!(next("GET /a HTTP/1.1", Method::POST, "/a"), Err(HeadFlaw::Unaligned));
        assert_eq!(heads.next(&Method::GET, &Uri::from_static("/")), Err(HeadFlaw::Unaligned));
    }
}
