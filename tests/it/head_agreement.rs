//! Heads as the scanner of the server and as httparse, hyper's parser, read them. Shared with a fuzz target.

use http::{Method, Uri};
use unpage::server::head_scanner::{HeadFlaw, HeadScanner};

/// Request that httparse finds.
struct Parsed {
    method: Method,
    target: Uri,
    framing: Framing,
}

enum Framing {
    /// Bytes of the body.
    Length(usize),
    Chunked,
    /// Two parsers may read it differently.
    Flawed,
}

/// Feeds the bytes to the scanner in pieces of this length. Returns the number of requests without a flaw on which both agree.
///
/// # Panics
/// Panics where the scanner passes a request that httparse reads otherwise, or refuses one that has no flaw.
pub(crate) fn check(bytes: &[u8], piece: usize) -> usize {
    let (mut scanner, heads) = HeadScanner::new();
    bytes.chunks(piece.max(1)).for_each(|piece| scanner.read(piece));
    let (mut rest, mut agreed) = (bytes, 0);
    while let Some((Parsed { method, target, framing }, length)) = parse(rest) {
        let verdict = heads.next(&method, &target);
        rest = &rest[length..];
        match framing {
            Framing::Flawed => {
                assert!(verdict.is_err(), "{method} {target} has a flaw");
                return agreed;
            }
            // hyper reads it, and its own limit on the digits is lower.
            Framing::Length(_) | Framing::Chunked if verdict == Err(HeadFlaw::LongLength) => return agreed,
            Framing::Length(_) | Framing::Chunked => assert_eq!(verdict, Ok(()), "{method} {target} has no flaw"),
        }
        agreed += 1;
        match framing {
            Framing::Length(body) if body <= rest.len() => rest = &rest[body..],
            // Behind a chunked body the scanner looks for no head, and the connection closes.
            Framing::Length(_) | Framing::Chunked | Framing::Flawed => return agreed,
        }
    }
    agreed
}

/// Returns the first request and the length of its head; none where hyper would see none.
fn parse(bytes: &[u8]) -> Option<(Parsed, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
    let (method, target) = (request.method?.parse().ok()?, request.path?.parse().ok()?);
    let is = |field: &&httparse::Header<'_>, name: &str| field.name.eq_ignore_ascii_case(name);
    let lengths: Vec<_> = request.headers.iter().filter(|field| is(field, "content-length")).collect();
    let encodings = request.headers.iter().filter(|field| is(field, "transfer-encoding")).count();
    // Empty lines in front of the request are no part of it, and may end with LF alone.
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let is_bare = |line: &[u8]| line.ends_with(b"\n") && !line.ends_with(b"\r\n");
    let has_bare = bytes[start..length].split_inclusive(|byte| *byte == b'\n').any(is_bare);
    let framing = match (lengths.as_slice(), encodings) {
        _ if has_bare => Framing::Flawed,
        ([], 0) => Framing::Length(0),
        ([length], 0) => Framing::Length(digits(length.value)?),
        ([], _) => Framing::Chunked,
        _ => Framing::Flawed,
    };
    Some((Parsed { method, target, framing }, length))
}

/// Returns a length as hyper reads it, which refuses signs and lists.
fn digits(value: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
