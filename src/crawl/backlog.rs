//! Records that wait for their turn.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::batch::Batch;

/// Room for what waits.
#[derive(Clone, Debug)]
pub(super) struct Room {
    window: u64,
    held: Arc<AtomicU64>,
}

/// Batches in the order in which they came.
#[derive(Debug)]
pub(super) struct Backlog {
    room: Room,
    batches: VecDeque<Batch>,
}

impl Room {
    pub(super) fn new(window: u64, _spool: u64) -> Self {
        Self { window, held: Arc::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.held.load(Ordering::Relaxed) < self.window
    }
}

impl Backlog {
    pub(super) fn new(room: &Room) -> Self {
        Self { room: room.clone(), batches: VecDeque::new() }
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.room.held.fetch_add(batch.lines().len() as u64, Ordering::Relaxed);
        self.batches.push_back(batch);
    }

    pub(super) fn poll_pop(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Batch>>> {
        let batch = self.batches.pop_front();
        let bytes = batch.as_ref().map_or(0, |batch| batch.lines().len() as u64);
        self.room.held.fetch_sub(bytes, Ordering::Relaxed);
        Poll::Ready(Ok(batch))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let held: u64 = self.batches.iter().map(|batch| batch.lines().len() as u64).sum();
        self.room.held.fetch_sub(held, Ordering::Relaxed);
    }
}
