//! Cursors of a log's readers, their low-water mark, and the readers that block the writer.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Cursors {
    cursors: BTreeMap<u64, ReaderCursor>,
    next: u64,
    /// Position of the last reader when it left.
    left: u64,
    /// Byte that all readers must pass before there is room, and the number of readers before it.
    mark: u64,
    before: usize,
    /// Byte that one reader must pass before there is room.
    front: Option<u64>,
    /// Start of the writer's wait for readers before the mark.
    waiting: Option<Instant>,
}

#[derive(Debug)]
struct ReaderCursor {
    position: u64,
    moved: Instant,
    /// Time for which the writer, and readers that had read everything, have waited for this one.
    delay: Duration,
    /// Time up to which waits are in `delay`.
    counted: Instant,
    waker: Option<Waker>,
}

/// Effect of a reader's move on the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum MarkStatus {
    /// The last reader before the mark has passed it: there may be room.
    Passed,
    Unchanged,
}

impl Cursors {
    pub(super) fn join(&mut self, position: u64) -> (u64, MarkStatus) {
        let id = self.next;
        self.next += 1;
        self.before += usize::from(position < self.mark);
        let now = Instant::now();
        let cursor = ReaderCursor { position, moved: now, delay: Duration::ZERO, counted: now, waker: None };
        self.cursors.insert(id, cursor);
        let is_passed = self.mark > 0 && self.before == 0 || self.is_at_front(position);
        (id, if is_passed { MarkStatus::Passed } else { MarkStatus::Unchanged })
    }

    /// Moves a reader to this byte.
    pub(super) fn advance(&mut self, id: u64, position: u64) -> MarkStatus {
        let (mark, is_at_front, holds_others) = (self.mark, self.is_at_front(position), self.holds_others());
        let Some(cursor) = self.cursors.get_mut(&id) else { return MarkStatus::Unchanged };
        let crossed = cursor.position < mark && mark <= position;
        let now = Instant::now();
        if let Some(since) = self.waiting.filter(|_| crossed && holds_others) {
            cursor.delay += now - since.max(cursor.counted);
            cursor.counted = now;
        }
        cursor.position = position;
        cursor.moved = now;
        match if crossed { self.one_less_before() } else { MarkStatus::Unchanged } {
            MarkStatus::Unchanged if is_at_front => MarkStatus::Passed,
            status => status,
        }
    }

    /// Removes a reader's cursor; returns `None` if it was removed before.
    pub(super) fn leave(&mut self, id: u64) -> Option<MarkStatus> {
        let cursor = self.cursors.remove(&id)?;
        if self.cursors.is_empty() {
            self.left = cursor.position;
        }
        Some(if cursor.position < self.mark { self.one_less_before() } else { MarkStatus::Unchanged })
    }

    fn one_less_before(&mut self) -> MarkStatus {
        self.before -= 1;
        if self.before == 0 { MarkStatus::Passed } else { MarkStatus::Unchanged }
    }

    /// Returns the byte that all readers have reached; without readers, the one that the last of them had reached.
    pub(super) fn low_water_mark(&self) -> u64 {
        self.cursors.values().map(|cursor| cursor.position).min().unwrap_or(self.left)
    }

    /// Returns the byte that the first reader has reached; without readers, the one that the last of them had reached.
    pub(super) fn high_water_mark(&self) -> u64 {
        self.cursors.values().map(|cursor| cursor.position).max().unwrap_or(self.left)
    }

    /// Sets the byte that one reader must pass for [`MarkStatus::Passed`].
    pub(super) fn set_front(&mut self, front: Option<u64>) {
        self.front = front;
    }

    fn is_at_front(&self, position: u64) -> bool {
        self.front.is_some_and(|front| position > front)
    }

    /// Notes that the writer waits for the readers before the mark, or that it goes on.
    pub(super) fn set_waiting(&mut self, since: Option<Instant>) {
        self.waiting = since;
    }

    /// Returns whether a reader waits for more while others stand before the mark.
    fn holds_others(&self) -> bool {
        self.cursors.values().any(|cursor| cursor.waker.is_some() && cursor.position >= self.mark)
    }

    /// Sets the byte that all readers must reach for [`MarkStatus::Passed`].
    pub(super) fn set_mark(&mut self, mark: u64) {
        self.mark = mark;
        self.before = self.cursors.values().filter(|cursor| cursor.position < mark).count();
    }

    /// Returns the time at which the first reader before the mark has stood still for `stall`, counted from `since` at the earliest, or
    /// has delayed others for as long in all.
    pub(super) fn first_stall(&self, since: Instant, stall: Duration) -> Option<Instant> {
        let holds_others = self.holds_others();
        let before = self.cursors.values().filter(|cursor| cursor.position < self.mark);
        before.map(|cursor| cursor.stalls(since, stall, holds_others)).min()
    }

    /// Removes the readers before the mark for which that time has come. Returns their number and the wakers of those that waited.
    pub(super) fn drop_stalled(&mut self, since: Instant, stall: Duration) -> (usize, Vec<Waker>) {
        let (mark, now, holds_others) = (self.mark, Instant::now(), self.holds_others());
        let stalled =
            |cursor: &ReaderCursor| cursor.position < mark && cursor.stalls(since, stall, holds_others) <= now;
        let ids: Vec<u64> = self.cursors.iter().filter(|(_, cursor)| stalled(cursor)).map(|(id, _)| *id).collect();
        let wakers = ids.iter().filter_map(|id| self.cursors.get_mut(id)?.waker.take()).collect();
        for id in &ids {
            // The writer, which calls this, checks for room again in any case.
            let _mark = self.leave(*id);
        }
        (ids.len(), wakers)
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.cursors.contains_key(&id)
    }

    /// Registers the waker of a reader, in place of an earlier one.
    pub(super) fn wait(&mut self, id: u64, waker: &Waker) {
        if let Some(cursor) = self.cursors.get_mut(&id) {
            match &mut cursor.waker {
                Some(old) => old.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// Takes the wakers of readers before this byte.
    pub(super) fn wakers_before(&mut self, byte: u64) -> Vec<Waker> {
        let before = self.cursors.values_mut().filter(|cursor| cursor.position < byte);
        before.filter_map(|cursor| cursor.waker.take()).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.cursors.len()
    }
}

impl ReaderCursor {
    /// Returns the time at which it has stood still for `stall`, or has delayed others for as long.
    fn stalls(&self, since: Instant, stall: Duration, holds_others: bool) -> Instant {
        let stands = self.moved.max(since) + stall;
        if holds_others { stands.min(since.max(self.counted) + stall.saturating_sub(self.delay)) } else { stands }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_passed_when_the_last_reader_has_reached_it() {
        let mut cursors = Cursors::default();
        let ((first, _), (second, _), (third, _)) = (cursors.join(0), cursors.join(5), cursors.join(2));
        cursors.set_mark(5);
        assert_eq!(cursors.advance(first, 4), MarkStatus::Unchanged);
        assert_eq!(cursors.advance(second, 9), MarkStatus::Unchanged);
        assert_eq!(cursors.leave(third), Some(MarkStatus::Unchanged));
        assert_eq!((cursors.low_water_mark(), cursors.advance(first, 5)), (4, MarkStatus::Passed));
        assert_eq!((cursors.leave(first), cursors.leave(first)), (Some(MarkStatus::Unchanged), None));
        assert_eq!((cursors.leave(second), cursors.low_water_mark()), (Some(MarkStatus::Unchanged), 9));
    }

    #[test]
    fn the_first_reader_behind_the_front_is_told() {
        let mut cursors = Cursors::default();
        let ((first, _), (second, _)) = (cursors.join(0), cursors.join(0));
        cursors.set_front(Some(5));
        assert_eq!((cursors.advance(first, 5), cursors.high_water_mark()), (MarkStatus::Unchanged, 5));
        assert_eq!((cursors.advance(second, 6), cursors.high_water_mark()), (MarkStatus::Passed, 6));
        assert_eq!(cursors.join(9).1, MarkStatus::Passed);
        cursors.set_front(None);
        assert_eq!(cursors.advance(first, 7), MarkStatus::Unchanged);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_moves_is_dropped_when_others_have_waited_for_it_long_enough() {
        let (mut cursors, stall) = (Cursors::default(), Duration::from_secs(5));
        let ((slow, _), (fast, _)) = (cursors.join(0), cursors.join(100));
        let since = Instant::now();
        for step in 1..=4 {
            cursors.set_mark(step);
            cursors.wait(fast, Waker::noop());
            cursors.set_waiting(Some(since));
            tokio::time::advance(stall / 4).await;
            assert_eq!(cursors.drop_stalled(since, stall).0, usize::from(step == 4), "{step}");
            assert_eq!(cursors.advance(slow, step), if step < 4 { MarkStatus::Passed } else { MarkStatus::Unchanged });
        }
        assert!(!cursors.contains(slow) && cursors.contains(fast));
    }

    #[tokio::test(start_paused = true)]
    async fn only_readers_before_the_mark_that_stand_still_are_dropped() {
        let mut cursors = Cursors::default();
        let stall = Duration::from_secs(5);
        let ((stalled, _), (slow, _), (ahead, _)) = (cursors.join(0), cursors.join(0), cursors.join(7));
        tokio::time::advance(stall).await;
        let since = Instant::now();
        cursors.set_mark(6);
        assert_eq!(cursors.first_stall(since, stall), Some(since + stall));
        assert_eq!(cursors.drop_stalled(since, stall).0, 0);
        tokio::time::advance(stall).await;
        assert_eq!(cursors.advance(slow, 1), MarkStatus::Unchanged);
        assert_eq!(cursors.drop_stalled(since, stall).0, 1);
        assert!(!cursors.contains(stalled) && cursors.contains(slow) && cursors.contains(ahead));
        assert_eq!(cursors.first_stall(since, stall), Some(Instant::now() + stall));
    }
}
