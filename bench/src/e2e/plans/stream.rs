//! A client that reads a stream of orders, and holds it against what there is: each of them once, in their order where that was
//! promised.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use http::StatusCode;
use http_body_util::BodyExt;
use memchr::memchr_iter;
use tokio::time::{Duration, Instant};

use super::super::client::{connect, request};

/// In which order the orders have to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promised {
    ByNumber,
    Any,
}

/// The orders that have come, by their numbers.
#[derive(Debug)]
pub struct Roll {
    seen: Vec<bool>,
    count: usize,
    last: u64,
    promised: Promised,
    /// The start of the line that is being read, as far as its number is in it.
    start: Vec<u8>,
}

/// Text in front of an order's number, and the length of a line's start with it.
const BEFORE: &[u8] = br#"{"id":"ord_"#;
const START: usize = BEFORE.len() + 20;

/// Reads the stream of a collection that has the orders 1 to `records`; gives the time that it took.
pub async fn whole(proxy: SocketAddr, target: &str, records: u64, promised: Promised) -> anyhow::Result<Duration> {
    let mut roll = Roll::new(records, promised);
    let took = read(proxy, target, &mut roll).await?;
    ensure!(roll.count as u64 == records, "{target} gave {} of {records} orders", roll.count);
    Ok(took)
}

/// Reads the stream of some of a collection's orders.
pub async fn read(proxy: SocketAddr, target: &str, roll: &mut Roll) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut response = connect(proxy).await?.send_request(request(target)?).await?;
    ensure!(response.status() == StatusCode::OK, "{target} is answered with {}", response.status());
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.with_context(|| format!("{target} broke after {} orders", roll.count))?;
        if let Ok(data) = frame.into_data() {
            roll.take(&data)?;
        }
    }
    ensure!(roll.start.is_empty(), "{target} ended inside a line");
    Ok(begun.elapsed())
}

impl Roll {
    pub fn new(records: u64, promised: Promised) -> Self {
        Self { seen: vec![false; records as usize], count: 0, last: 0, promised, start: Vec::with_capacity(START) }
    }

    /// Number of records so far.
    pub fn count(&self) -> usize {
        self.count
    }

    fn take(&mut self, data: &[u8]) -> anyhow::Result<()> {
        let mut from = 0;
        for end in memchr_iter(b'\n', data) {
            self.more(&data[from..end]);
            self.check()?;
            from = end + 1;
        }
        self.more(&data[from..]);
        Ok(())
    }

    fn more(&mut self, piece: &[u8]) {
        let wanted = START - self.start.len();
        self.start.extend_from_slice(&piece[..piece.len().min(wanted)]);
    }

    fn check(&mut self) -> anyhow::Result<()> {
        let line = String::from_utf8_lossy(&self.start).into_owned();
        let digits = self.start.strip_prefix(BEFORE).context("a line is no order")?;
        let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| 10 * number + u64::from(digit - b'0'));
        let seen =
            self.seen.get_mut(number.wrapping_sub(1) as usize).with_context(|| format!("not asked for: {line}"))?;
        ensure!(!std::mem::replace(seen, true), "came twice: {line}");
        ensure!(self.promised == Promised::Any || number > self.last, "came after {}: {line}", self.last);
        self.last = number;
        self.count += 1;
        self.start.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use unpage::demo::Order;

    use super::*;

    fn roll(numbers: &[u64], promised: Promised, piece: usize) -> anyhow::Result<usize> {
        let text: String = numbers.iter().map(|number| format!("{}\n", Order(*number))).collect();
        let mut roll = Roll::new(5, promised);
        for piece in text.as_bytes().chunks(piece) {
            roll.take(piece)?;
        }
        Ok(roll.count())
    }

    #[test]
    fn what_is_doubled_disordered_or_foreign_is_seen() {
        for piece in [1, 7, 300, 10_000] {
            assert_eq!(roll(&[1, 2, 3, 4, 5], Promised::ByNumber, piece).ok(), Some(5));
            assert_eq!(roll(&[3, 2, 5], Promised::Any, piece).ok(), Some(3));
            assert!(roll(&[3, 2, 5], Promised::ByNumber, piece).is_err());
            assert!(roll(&[1, 2, 2], Promised::Any, piece).is_err());
            assert!(roll(&[1, 6], Promised::Any, piece).is_err());
        }
    }
}
