//! Stream of an HTTP/1.1 client whose heads are scanned on their way to the parser.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Uri};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head_scanner::{HeadFlaw, HeadScanner, ScannedHead};

/// Number of heads that may wait for their requests to be served: hyper reads 64 KiB ahead, and the shortest request with a host is longer than
/// 16 bytes.
const WAITING: usize = 4096;

/// Heads of a connection whose requests are not served yet, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct ScannedHeads(Arc<Mutex<WaitingHeads>>);

#[derive(Debug, Default)]
struct WaitingHeads {
    heads: VecDeque<ScannedHead>,
    /// Another protocol has the stream.
    is_upgraded: bool,
}

/// A stream that is scanned.
#[derive(Debug)]
pub(super) struct HeadWatch<IO> {
    io: IO,
    scanner: HeadScanner,
    heads: ScannedHeads,
}

impl ScannedHeads {
    /// Takes the verdict on the next request, which has this method and target.
    pub(super) fn next(&self, method: &Method, target: &Uri) -> Result<(), HeadFlaw> {
        let head = self.0.lock().heads.pop_front();
        let head = head.filter(|head| is_of(&head.first_line, method, target)).ok_or(HeadFlaw::Unaligned)?;
        head.verdict
    }

    /// Ends the scan: the bytes that follow are no heads.
    pub(super) fn upgrade(&self) {
        *self.0.lock() = WaitingHeads { heads: VecDeque::new(), is_upgraded: true };
    }
}

/// Returns `true` where the beginning of a head's first line is that of the request.
fn is_of(first_line: &[u8], method: &Method, target: &Uri) -> bool {
    let rest = first_line.strip_prefix(method.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
    let Some(rest) = rest else { return false };
    // An absolute target, or `*`, is written otherwise than it is read.
    let path = if rest.starts_with(b"/") { target.path().as_bytes() } else { b"" };
    let length = path.len().min(rest.len());
    rest[..length] == path[..length]
}

impl<IO> HeadWatch<IO> {
    pub(super) fn new(io: IO) -> (Self, ScannedHeads) {
        let heads = ScannedHeads::default();
        (Self { io, scanner: HeadScanner::default(), heads: heads.clone() }, heads)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HeadWatch<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, scanner, heads } = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(io).poll_read(context, buffer))?;
        let mut waiting = heads.0.lock();
        if waiting.is_upgraded || waiting.heads.len() >= WAITING {
            scanner.lose();
        }
        scanner.read(&buffer.filled()[before..], |head| waiting.heads.push_back(head));
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HeadWatch<IO> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_that_of_its_own_request() {
        let heads = ScannedHeads::default();
        let next = |first_line: &str, method: Method, target: &'static str| {
            let head = ScannedHead { first_line: first_line.as_bytes().to_vec(), verdict: Ok(()) };
            heads.0.lock().heads.push_back(head);
            heads.next(&method, &Uri::from_static(target))
        };
        assert_eq!(next("GET /a?b HTTP/1.1\r", Method::GET, "/a?b"), Ok(()));
        assert_eq!(next("GET /a/lo", Method::GET, "/a/longer"), Ok(()));
        assert_eq!(next("GET http://a/x HTTP/1.1\r", Method::GET, "http://a/x"), Ok(()));
        assert_eq!(next("OPTIONS * HTTP/1.1\r", Method::OPTIONS, "*"), Ok(()));
        assert_eq!(next("GET /fake HTTP/1.1\r", Method::GET, "/a"), Err(HeadFlaw::Unaligned));
        assert_eq!(next("GET /a HTTP/1.1\r", Method::POST, "/a"), Err(HeadFlaw::Unaligned));
        assert_eq!(heads.next(&Method::GET, &Uri::from_static("/")), Err(HeadFlaw::Unaligned));
    }
}
