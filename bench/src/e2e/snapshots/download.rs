//! A client of bare sockets, which costs little and the same with every server: it counts bytes and throws them away.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Duration, Instant};

/// Size of a read.
const PIECE: usize = 256 * 1024;

/// A response whose head has come.
pub struct Download {
    stream: TcpStream,
    pub head: String,
    /// Outcome of the body behind the head.
    first: Vec<u8>,
    chunks: Chunks,
    begun: Instant,
}

/// Bytes that the kernel accepts for a client that doesn't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    AsUsual,
    Smallest,
}

impl Download {
    /// Asks for NDJSON, in the name of `caller`: each has snapshots of his own.
    pub async fn begin(address: SocketAddr, path: &str, caller: &str, window: Window) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let socket = TcpSocket::new_v4()?;
        if window == Window::Smallest {
            socket.set_recv_buffer_size(4096)?;
        }
        let mut stream = socket.connect(address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\nAuthorization: Bearer {caller}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut first = Vec::new();
        let end = loop {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await?;
            ensure!(count > 0, "{path} is answered with nothing");
            first.extend_from_slice(&piece[..count]);
            if let Some(end) = memchr::memmem::find(&first, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8(first.drain(..end).collect())?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(Self { stream, head, first, chunks: Chunks::default(), begun })
    }

    /// A header field of the response.
    pub fn field(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split(':').next().is_some_and(|field| field.eq_ignore_ascii_case(name));
        Some(self.head.lines().find(named)?.split_once(':')?.1.trim())
    }

    /// Reads to the end. Both ways to tell a length are held against what came: `expected` bytes.
    pub async fn finish(mut self, expected: u64) -> anyhow::Result<Duration> {
        match self.field("content-length").map(str::parse::<u64>) {
            Some(length) => {
                ensure!(length? == expected, "the wrong length: {}", self.head);
                let mut left = expected - self.first.len() as u64;
                let mut piece = vec![0; PIECE];
                while left > 0 {
                    let count = self.stream.read(&mut piece).await?;
                    ensure!(count > 0, "{left} bytes are missing");
                    left = left.checked_sub(count as u64).context("more than was told")?;
                }
            }
            None => {
                let came = self.chunks().await?;
                ensure!(came == expected, "{came} bytes came, not {expected}");
            }
        }
        Ok(self.begun.elapsed())
    }

    /// Reads a body in chunks until at least this many bytes of it have come.
    pub async fn read_to(&mut self, bytes: u64) -> anyhow::Result<()> {
        self.read_while(|chunks| chunks.total < bytes).await
    }

    async fn chunks(&mut self) -> anyhow::Result<u64> {
        self.read_while(|chunks| chunks.part != Part::End).await?;
        Ok(self.chunks.total)
    }

    async fn read_while(&mut self, goes_on: impl Fn(&Chunks) -> bool) -> anyhow::Result<()> {
        self.chunks.feed(&std::mem::take(&mut self.first))?;
        let mut piece = vec![0; PIECE];
        while goes_on(&self.chunks) {
            let count = self.stream.read(&mut piece).await?;
            ensure!(count > 0, "cut after {} bytes", self.chunks.total);
            self.chunks.feed(&piece[..count])?;
        }
        Ok(())
    }
}

/// The chunks of a body, of which only the sizes count.
#[derive(Debug, Default)]
struct Chunks {
    part: Part,
    /// The size as far as it was read; then what is left of the chunk, its line break included.
    left: u64,
    total: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    Body,
    End,
}

impl Chunks {
    fn feed(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while let [byte, rest @ ..] = bytes {
            match self.part {
                Part::Body => {
                    let skipped = usize::try_from(self.left)?.min(bytes.len());
                    self.left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if self.left == 0 {
                        self.part = Part::Size;
                    }
                    continue;
                }
                Part::End => return Ok(()),
                Part::Size => match byte {
                    b'\r' => {}
                    b'\n' if self.left == 0 => self.part = Part::End,
                    b'\n' => {
                        self.total += self.left;
                        self.left += 2;
                        self.part = Part::Body;
                    }
                    digit => {
                        let digit = char::from(*digit).to_digit(16).context("not the size of a chunk")?;
                        self.left = self.left * 16 + u64::from(digit);
                    }
                },
            }
            bytes = rest;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_counted_wherever_they_are_cut() {
        let body = b"5\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
        for size in 1..body.len() {
            let mut chunks = Chunks::default();
            for piece in body.chunks(size) {
                chunks.feed(piece).expect("these are chunks");
            }
            assert_eq!((chunks.total, chunks.part), (31, Part::End), "cut at {size}");
        }
        assert!(Chunks::default().feed(b"hello").is_err());
    }
}
