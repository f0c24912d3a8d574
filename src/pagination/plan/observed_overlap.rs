//! Records of a page that came with pages before it, and those that are new.

use super::walk_state::Aim;

/// Overlap that the page under way has, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct ObservedOverlap {
    pub(super) records: u64,
    /// Number of known records, and of new ones.
    pub(super) known: u64,
    pub(super) new: u64,
    /// Place of the first known record among all that came.
    pub(super) first: Option<u64>,
    /// Rank of the last known record in the list's order, and the hash of its line.
    last: Option<(u64, u64)>,
    /// Number of new records in front of the last known one.
    pub(super) late: u64,
    /// Number of known records whose bytes have changed.
    pub(super) changed: u64,
    pub(super) is_disordered: bool,
    /// A record has no key, or `null`.
    pub(super) has_keyless: bool,
}

/// Record of a batch whose key came with a page before.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownRecord {
    pub(super) at: usize,
    /// Place of its key among all that came.
    pub(super) place: u64,
    /// Rank of its key in the list's order.
    pub(super) rank: u64,
    /// Hash of its line.
    pub(super) line: u64,
    /// Its bytes are others than the ones that left.
    pub(super) is_changed: bool,
}

/// Beginning of a page among the records of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageStart {
    /// First record of the walk: nothing stands before it.
    List,
    /// Record that should be known.
    Shared,
    /// Place behind the last record, to confirm that.
    Behind,
}

impl PageStart {
    /// Beginning of a page that was asked for with this aim. The list has `before` records in front of it, and the page should begin with
    /// the `shared` last ones of them.
    pub(super) fn of(aim: Option<Aim>, before: u64, shared: u64) -> Self {
        match aim {
            _ if before == 0 => Self::List,
            Some(Aim::Confirm(_)) if shared == 0 => Self::Behind,
            Some(Aim::Records | Aim::Again | Aim::Confirm(_)) | None => Self::Shared,
        }
    }
}

impl ObservedOverlap {
    /// Counts a batch, with those of its `records` that are known.
    pub(super) fn meet(&mut self, records: u64, known: &[KnownRecord]) {
        for (nth, record) in known.iter().enumerate() {
            self.first.get_or_insert(record.place);
            // A record that its page has twice is one, unless it has other bytes: the key is that of several then.
            self.is_disordered |=
                self.last.is_some_and(|(rank, line)| record.rank < rank || record.rank == rank && record.line != line);
            self.last = Some((record.rank, record.line));
            self.late = self.new + (record.at - nth) as u64;
            self.changed += u64::from(record.is_changed);
        }
        self.records += records;
        self.known += known.len() as u64;
        self.new += records - known.len() as u64;
    }
}
