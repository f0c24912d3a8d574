//! Where a log's readers stand, and who of them stands in the writer's way.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: BTreeMap<u64, Seat>,
    next: u64,
    /// Where the readers stood when the last of them left.
    left: u64,
    /// The byte that all must pass before there is room, and how many have not yet.
    mark: u64,
    before: usize,
}

#[derive(Debug)]
struct Seat {
    position: u64,
    moved: Instant,
    waker: Option<Waker>,
}

/// Whether a move has made way for the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Way {
    Clear,
    AsBefore,
}

impl Seats {
    pub(super) fn join(&mut self, position: u64) -> (u64, Way) {
        let id = self.next;
        self.next += 1;
        self.before += usize::from(position < self.mark);
        self.seats.insert(id, Seat { position, moved: Instant::now(), waker: None });
        (id, if self.mark > 0 && self.before == 0 { Way::Clear } else { Way::AsBefore })
    }

    /// A reader has come to this byte.
    pub(super) fn step(&mut self, id: u64, position: u64) -> Way {
        let mark = self.mark;
        let Some(seat) = self.seats.get_mut(&id) else { return Way::AsBefore };
        let crossed = seat.position < mark && mark <= position;
        seat.position = position;
        seat.moved = Instant::now();
        if crossed { self.one_less_before() } else { Way::AsBefore }
    }

    /// Takes a reader's seat away; none where it had none any more.
    pub(super) fn leave(&mut self, id: u64) -> Option<Way> {
        let seat = self.seats.remove(&id)?;
        if self.seats.is_empty() {
            self.left = seat.position;
        }
        Some(if seat.position < self.mark { self.one_less_before() } else { Way::AsBefore })
    }

    fn one_less_before(&mut self) -> Way {
        self.before -= 1;
        if self.before == 0 { Way::Clear } else { Way::AsBefore }
    }

    /// The byte that all readers have come to; what it was at last where there are none.
    pub(super) fn floor(&self) -> u64 {
        self.seats.values().map(|seat| seat.position).min().unwrap_or(self.left)
    }

    /// From now on, [`Way::Clear`] is said when all have come to this byte.
    pub(super) fn set_mark(&mut self, mark: u64) {
        self.mark = mark;
        self.before = self.seats.values().filter(|seat| seat.position < mark).count();
    }

    /// When the first of those that stand before the mark will have stood still for so long since they were waited for.
    pub(super) fn patience(&self, since: Instant, stall: Duration) -> Option<Instant> {
        let before = self.seats.values().filter(|seat| seat.position < self.mark);
        before.map(|seat| seat.moved.max(since) + stall).min()
    }

    /// Takes the seats of those that stand before the mark and have stood still for so long, and gives how many there were.
    pub(super) fn drop_stalled(&mut self, since: Instant, stall: Duration) -> (usize, Vec<Waker>) {
        let (mark, now) = (self.mark, Instant::now());
        let stalled = |seat: &Seat| seat.position < mark && seat.moved.max(since) + stall <= now;
        let ids: Vec<u64> = self.seats.iter().filter(|(_, seat)| stalled(seat)).map(|(id, _)| *id).collect();
        let wakers = ids.iter().filter_map(|id| self.seats.get_mut(id)?.waker.take()).collect();
        for id in &ids {
            // Who asked for the room looks again in any case.
            let _way = self.leave(*id);
        }
        (ids.len(), wakers)
    }

    /// Whether a reader still has its seat.
    pub(super) fn has(&self, id: u64) -> bool {
        self.seats.contains_key(&id)
    }

    /// A reader waits for more; it is woken once, whatever else it has waited for.
    pub(super) fn wait(&mut self, id: u64, waker: &Waker) {
        if let Some(seat) = self.seats.get_mut(&id) {
            match &mut seat.waker {
                Some(old) => old.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// Those that wait and stand before this byte.
    pub(super) fn wakers_before(&mut self, byte: u64) -> Vec<Waker> {
        let before = self.seats.values_mut().filter(|seat| seat.position < byte);
        before.filter_map(|seat| seat.waker.take()).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.seats.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_clear_when_the_last_has_passed_the_mark() {
        let mut seats = Seats::default();
        let ((first, _), (second, _), (third, _)) = (seats.join(0), seats.join(5), seats.join(2));
        seats.set_mark(5);
        assert_eq!(seats.step(first, 4), Way::AsBefore);
        assert_eq!(seats.step(second, 9), Way::AsBefore);
        assert_eq!(seats.leave(third), Some(Way::AsBefore));
        assert_eq!((seats.floor(), seats.step(first, 5)), (4, Way::Clear));
        assert_eq!((seats.leave(first), seats.leave(first)), (Some(Way::AsBefore), None));
        assert_eq!((seats.leave(second), seats.floor()), (Some(Way::AsBefore), 9));
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_stands_in_the_way_and_does_not_move_is_dropped() {
        let mut seats = Seats::default();
        let stall = Duration::from_secs(5);
        let ((stalled, _), (slow, _), (ahead, _)) = (seats.join(0), seats.join(0), seats.join(7));
        tokio::time::advance(stall).await;
        let since = Instant::now();
        seats.set_mark(6);
        assert_eq!(seats.patience(since, stall), Some(since + stall));
        assert_eq!(seats.drop_stalled(since, stall).0, 0);
        tokio::time::advance(stall).await;
        assert_eq!(seats.step(slow, 1), Way::AsBefore);
        assert_eq!(seats.drop_stalled(since, stall).0, 1);
        assert!(!seats.has(stalled) && seats.has(slow) && seats.has(ahead));
        assert_eq!(seats.patience(since, stall), Some(Instant::now() + stall));
    }
}
