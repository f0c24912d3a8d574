//! A client's stream that notes what passes for the deadlines of its connection, and gives back the bytes that told the version.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::client_stream::ClientStream;
use super::connection_table::TableEntry;
use super::deadlines::Stage;
use super::head_scanner::{HeadScanner, ScannedHeads};

/// First bytes of an HTTP/2 client (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that are read before the version is known: most heads fit, and are read by one call.
const START: usize = 1024;

/// Bytes that are read at once to be dropped.
const DROPPED: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    Http1,
    Http2,
    /// The client closed the connection without any.
    None,
}

/// A stream whose bytes are noted in an [`Activity`]; it holds the connection's entry in the table until it is dropped.
#[derive(Debug)]
pub(super) struct Timed {
    io: ClientStream,
    activity: Arc<Activity>,
    /// Bytes that were read and not handed out.
    start: BytesMut,
    scanner: Option<HeadScanner>,
    is_shut: bool,
    /// The client sends more than was read of it.
    is_sending: bool,
    _entry: TableEntry,
}

impl Timed {
    pub(super) fn new(io: ClientStream, activity: Arc<Activity>, entry: TableEntry) -> Self {
        Self { io, activity, start: BytesMut::new(), scanner: None, is_shut: false, is_sending: false, _entry: entry }
    }

    /// Scans what is handed out from now on for the heads of HTTP/1.1.
    pub(super) fn scan_heads(&mut self) -> ScannedHeads {
        let (scanner, heads) = HeadScanner::new();
        self.scanner = Some(scanner);
        heads
    }

    /// Reads until the version of HTTP is known; what was read is handed out again. Behind TLS the handshake has told it, and the first
    /// bytes only show that the client asks for something.
    pub(super) async fn read_version(&mut self) -> io::Result<FirstBytes> {
        let version = self.first_bytes().await?;
        Ok(match (version, self.io.alpn()) {
            (FirstBytes::None, _) | (_, None) => version,
            (_, Some(b"h2")) => FirstBytes::Http2,
            (_, Some(_)) => FirstBytes::Http1,
        })
    }

    async fn first_bytes(&mut self) -> io::Result<FirstBytes> {
        self.start.reserve(START);
        loop {
            let read = self.io.read_buf(&mut self.start).await?;
            self.activity.has_read();
            let known = self.start.len().min(PREFACE.len());
            if self.start[..known] != PREFACE[..known] {
                return Ok(FirstBytes::Http1);
            }
            match (read, known) {
                (_, 24) => return Ok(FirstBytes::Http2),
                (0, 0) => return Ok(FirstBytes::None),
                // hyper answers what is no request.
                (0, _) => return Ok(FirstBytes::Http1),
                _ => {}
            }
        }
    }

    /// Reads what the client of HTTP/1.1 still sends, and drops it: a socket that is closed with unread bytes resets the connection, and the
    /// client may lose its answer (RFC 9112 §9.6). The timer ends that.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(scanner) = self.scanner.as_ref().filter(|_| self.activity.stage() == Stage::Http1) else {
            return Poll::Ready(Ok(()));
        };
        self.is_sending |= scanner.is_inside_message();
        let mut piece = [MaybeUninit::uninit(); DROPPED];
        loop {
            let mut dropped = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut self.io).poll_read(context, &mut dropped) {
                Poll::Ready(Ok(())) if !dropped.filled().is_empty() => {
                    self.is_sending = true;
                    self.activity.has_moved();
                }
                Poll::Pending if self.is_sending => {
                    self.activity.finish();
                    return Poll::Pending;
                }
                Poll::Ready(_) | Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.activity.waits_to_write(),
            Poll::Ready(_) => self.activity.has_moved(),
        }
        result
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.start.is_empty() {
            self.activity
                .check_upgraded(context)
                .map_err(|cut| io::Error::new(io::ErrorKind::ConnectionAborted, cut))?;
            ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
            self.activity.has_read();
        } else {
            let count = self.start.len().min(buffer.remaining());
            buffer.put_slice(&self.start[..count]);
            self.start.advance(count);
        }
        if self.activity.stage() == Stage::Upgraded {
            self.scanner = None;
        }
        if let Some(scanner) = &mut self.scanner {
            scanner.read(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Timed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(context, pieces);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_flush(context);
        // A plain socket is flushed at once: only TLS, which has a buffer, tells something by it.
        if result.is_pending() {
            self.activity.waits_to_write();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The timer closes it a moment later: curl 7.88 takes a reset that the end of the connection follows at once for a clean end.
        if self.activity.holds_broken_stream() {
            self.activity.finish();
            return Poll::Pending;
        }
        if !self.is_shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
            self.is_shut = true;
        }
        self.poll_rest(context)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if self.activity.is_reset() {
            self.io.reset_when_closed();
        }
        self.activity.close();
    }
}
