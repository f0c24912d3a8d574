//! Connections that remember the order of their reads and writes: one that the upstream was closing is told from one that failed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::Extensions;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dialler::DialledStream;

pub(super) type PlainOrTls = MaybeHttpsStream<TokioIo<DialledStream>>;

/// A connection that records its reads and writes, as they are inside TLS.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TokioIo<PlainOrTls>,
    past: Past,
}

/// The reads and writes of a connection.
///
/// ```text
///   new ── read ──▶ heard ── write ──▶ asked again ── read ──▶ heard
/// ```
#[derive(Clone, Debug, Default)]
struct Past(Arc<Trace>);

#[derive(Debug, Default)]
struct Trace {
    /// Bytes were read since the last write.
    is_heard: AtomicBool,
    /// Bytes were written after others had been read.
    is_used: AtomicBool,
    is_aborted: AtomicBool,
    /// Writer that waits for the upstream.
    writer: AtomicWaker,
}

impl Watched {
    pub(super) fn new(stream: PlainOrTls) -> Self {
        Self { stream: TokioIo::new(stream), past: Past::default() }
    }
}

/// Returns whether a request's connection had answered another request and then nothing more. Always false for HTTP/2 that TLS
/// has negotiated, since a connection's requests have no order there.
pub(super) fn was_stale(connection: &Connected) -> bool {
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    let past = extras.get::<Past>().filter(|_| !connection.is_negotiated_h2());
    past.is_some_and(|Past(trace)| trace.is_used.load(Ordering::Acquire) && !trace.is_heard.load(Ordering::Acquire))
}

/// Breaks a connection of HTTP/1.1 whose upstream takes no more bytes.
pub(super) fn abort(connection: &Connected) {
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    if let Some(Past(trace)) = extras.get::<Past>().filter(|_| !connection.is_negotiated_h2()) {
        trace.is_aborted.store(true, Ordering::Release);
        trace.writer.wake();
    }
}

impl Trace {
    /// Returns the result of a write, unless the connection was aborted meanwhile.
    fn written<T>(&self, context: &Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.writer.register(context.waker());
            if self.is_aborted.load(Ordering::Acquire) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        written
    }

    fn write(&self) {
        if self.is_heard.swap(false, Ordering::AcqRel) {
            self.is_used.store(true, Ordering::Release);
        }
    }
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(self.past.clone())
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.past.0.is_heard.store(true, Ordering::Release);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.past.0.write();
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.past.0.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.past.0.write();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.past.0.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.past.0.written(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
