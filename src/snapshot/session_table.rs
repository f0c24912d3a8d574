//! Table of sessions: what each name was bound to, and the names of each caller.
//!
//! A name that is forgotten is free, and may be bound to another snapshot while a client still has a part of the first. So names are forgotten for want of
//! room alone, those unused for the longest first, and none that was used within a day: a new name is refused instead. A caller that fills its share
//! forgets its own names. All times are in seconds since 1970.

use std::collections::HashMap;

use super::storage::{BindingState, SessionBinding};
use crate::id::{CacheKey, SnapshotId};

/// Time that a name is remembered after its last use, in seconds.
const REST: u64 = 24 * 60 * 60;

#[derive(Debug, Default)]
pub(super) struct SessionTable {
    bound: HashMap<CacheKey, BoundName>,
    shares: HashMap<CacheKey, Share>,
    /// Time before which a full table has no name to forget.
    full_until: u64,
}

#[derive(Debug)]
struct BoundName {
    binding: SessionBinding,
    /// Caller that bound it; none for one of an earlier process.
    caller: Option<CacheKey>,
}

/// Names of one caller.
#[derive(Debug, Default)]
struct Share {
    names: usize,
    /// Time before which a full share has no name to forget.
    full_until: u64,
}

impl SessionTable {
    /// Most names that are remembered, at some 150 bytes each.
    pub(super) const CAPACITY: usize = 100_000;

    /// Most names of one caller.
    pub(super) const SHARE: usize = Self::CAPACITY / 4;

    /// Makes the table of an earlier process from its bindings, the oldest first. The last one of each session counts; of too many sessions
    /// those are kept that were bound last.
    pub(super) fn restored(bindings: Vec<SessionBinding>) -> Self {
        let mut table = Self::default();
        for binding in bindings.into_iter().rev() {
            if table.bound.len() == Self::CAPACITY {
                break;
            }
            table.bound.entry(binding.session).or_insert(BoundName { binding, caller: None });
        }
        table
    }

    /// Returns the binding of a session that is used now.
    pub(super) fn used(&mut self, session: CacheKey, now: u64) -> Option<SessionBinding> {
        let BoundName { binding, .. } = self.bound.get_mut(&session)?;
        binding.used = now;
        Some(*binding)
    }

    /// Binds a session that has no binding yet, or awaits the lost snapshot. A binding that is awaited in this form is answered with this one. Returns the
    /// binding that the session has, and `true` where that has changed.
    pub(super) fn bind(
        &mut self,
        binding: SessionBinding,
        caller: CacheKey,
        lost: Option<SnapshotId>,
    ) -> (SessionBinding, bool) {
        let Some(BoundName { binding: bound, .. }) = self.bound.get_mut(&binding.session) else {
            self.shares.entry(caller).or_default().names += 1;
            self.bound.insert(binding.session, BoundName { binding, caller: Some(caller) });
            return (binding, true);
        };
        let before = *bound;
        match bound.state {
            BindingState::Awaited if lost == Some(bound.snapshot) => *bound = binding,
            BindingState::Awaited if bound.form == binding.form => bound.state = binding.state,
            BindingState::Awaited | BindingState::Answered => {}
        }
        (*bound, *bound != before)
    }

    /// Returns all bindings, the longest unused first.
    pub(super) fn bindings(&self) -> Vec<SessionBinding> {
        let mut bindings: Vec<_> = self.bound.values().map(|name| name.binding).collect();
        bindings.sort_by_key(|binding| binding.used);
        bindings
    }

    /// Makes room for one more name of a caller: where its share is full, among its own names, and where the table is, among all.
    ///
    /// # Errors
    /// Fails with the seconds until there may be room.
    pub(super) fn make_room(&mut self, caller: CacheKey, now: u64) -> Result<(), u64> {
        let share = self.shares.get(&caller).filter(|share| share.names >= Self::SHARE);
        let (owner, full_until) = match share {
            Some(share) => (Some(caller), share.full_until),
            None if self.bound.len() >= Self::CAPACITY => (None, self.full_until),
            None => return Ok(()),
        };
        if now < full_until {
            return Err(full_until - now);
        }
        let mut names: Vec<_> = self.bound.values().filter(|name| owner.is_none() || name.caller == owner).collect();
        names.sort_by_key(|name| name.binding.used);
        let rested = names.partition_point(|name| name.binding.used + REST <= now);
        if rested == 0 {
            let full_until = names.first().map_or(now, |name| name.binding.used) + REST;
            match self.shares.get_mut(&caller).filter(|_| owner.is_some()) {
                Some(share) => share.full_until = full_until,
                None => self.full_until = full_until,
            }
            return Err(full_until - now);
        }
        // Many at once, since each search costs the time of all.
        let forgotten: Vec<_> = names[..rested.div_ceil(4)].iter().map(|name| name.binding.session).collect();
        for session in forgotten {
            self.forget(session);
        }
        Ok(())
    }

    fn forget(&mut self, session: CacheKey) {
        let Some(BoundName { caller: Some(caller), .. }) = self.bound.remove(&session) else { return };
        if let Some(share) = self.shares.get_mut(&caller) {
            share.names -= 1;
            if share.names == 0 {
                self.shares.remove(&caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SnapshotId;

    const CALLERS: [CacheKey; 2] = [CacheKey::from_bytes([1; 32]), CacheKey::from_bytes([2; 32])];

    fn session(number: usize) -> CacheKey {
        CacheKey::from_parts(|part| part(&number.to_le_bytes()))
    }

    fn bind(table: &mut SessionTable, number: usize, caller: CacheKey, used: u64) {
        table.bind(binding(number, 0, BindingState::Answered, used), caller, None);
    }

    fn binding(number: usize, snapshot: u8, state: BindingState, used: u64) -> SessionBinding {
        SessionBinding {
            session: session(number),
            snapshot: SnapshotId::from_bytes([snapshot; 16]),
            form: 0,
            state,
            used,
        }
    }

    #[test]
    fn an_awaited_name_is_answered_once_and_only_a_lost_snapshot_is_replaced() {
        use BindingState::{Answered, Awaited};
        let (mut table, [caller, _]) = (SessionTable::default(), CALLERS);
        let [one, two] = [1, 2].map(|byte| SnapshotId::from_bytes([byte; 16]));
        let other_form = SessionBinding { form: 1, ..binding(0, 1, Answered, 0) };
        for (wanted, lost, bound, changes) in [
            (binding(0, 1, Awaited, 0), None, binding(0, 1, Awaited, 0), true),
            (binding(0, 2, Awaited, 0), None, binding(0, 1, Awaited, 0), false),
            (binding(0, 3, Awaited, 0), Some(two), binding(0, 1, Awaited, 0), false),
            (other_form, None, binding(0, 1, Awaited, 0), false),
            (binding(0, 2, Awaited, 5), Some(one), binding(0, 2, Awaited, 5), true),
            (binding(0, 3, Awaited, 5), Some(one), binding(0, 2, Awaited, 5), false),
            (binding(0, 3, Answered, 6), Some(one), binding(0, 2, Answered, 5), true),
            (binding(0, 2, Awaited, 6), None, binding(0, 2, Answered, 5), false),
            (binding(0, 3, Answered, 6), Some(two), binding(0, 2, Answered, 5), false),
        ] {
            assert_eq!(table.bind(wanted, caller, lost), (bound, changes), "{wanted:?} {lost:?}");
        }
        assert_eq!(table.shares[&caller].names, 1);
    }

    #[test]
    fn a_caller_with_many_names_takes_none_from_others_and_none_that_is_in_use() {
        let (mut table, [one, other]) = (SessionTable::default(), CALLERS);
        bind(&mut table, 0, other, 0);
        for number in 1..=SessionTable::SHARE {
            assert_eq!(table.make_room(one, 1_000), Ok(()));
            bind(&mut table, number, one, 1_000);
        }
        assert_eq!(table.make_room(one, 2_000), Err(REST - 1_000));
        assert_eq!(table.make_room(other, 2_000), Ok(()));
        assert!(table.used(session(1), 1_000 + REST).is_some());
        // A quarter of those that nobody has used for a day.
        assert_eq!(table.make_room(one, 1_000 + REST), Ok(()));
        assert_eq!(table.bound.len(), 1 + SessionTable::SHARE - SessionTable::SHARE / 4);
        assert_eq!(table.shares[&one].names + 1, table.bound.len());
        for number in [0, 1] {
            assert!(table.used(session(number), 0).is_some(), "{number}");
        }
    }

    #[test]
    fn all_names_that_waited_are_restored_and_of_too_many_those_that_were_bound_last() {
        use BindingState::{Answered, Awaited};
        let line = |number, state| binding(number, 0, state, 0);
        let lines = |number| [line(number, Awaited), line(number, Answered)];
        let mut table = SessionTable::restored((0..SessionTable::CAPACITY).flat_map(lines).collect());
        assert_eq!(table.bound.len(), SessionTable::CAPACITY);
        for number in [0, 1, SessionTable::CAPACITY - 1] {
            assert_eq!(table.used(session(number), 0), Some(line(number, Answered)), "{number}");
        }
        let mut table = SessionTable::restored((0..SessionTable::CAPACITY + 2).flat_map(lines).collect());
        assert_eq!(table.bound.len(), SessionTable::CAPACITY);
        let kept = [0, 1, 2].map(|number| table.used(session(number), 0).is_some());
        assert_eq!(kept, [false, false, true]);
    }

    #[test]
    fn a_full_table_forgets_the_longest_unused_of_all() {
        let mut table = SessionTable::default();
        for number in 0..SessionTable::CAPACITY {
            let caller = CacheKey::from_parts(|part| part(&(number % 100).to_le_bytes()));
            bind(&mut table, number, caller, number as u64);
        }
        let [one, _] = CALLERS;
        assert_eq!(table.make_room(one, 10), Err(REST - 10));
        assert_eq!(table.make_room(one, REST + 99), Ok(()));
        assert_eq!(table.bound.len(), SessionTable::CAPACITY - 25);
        assert!((0..25).all(|number| table.used(session(number), 0).is_none()));
        assert!(table.used(session(25), 0).is_some());
    }
}
