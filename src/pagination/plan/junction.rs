//! Junction of a page with the records that came before it.

use super::walk_state::Aim;

/// Meeting of the page under way with the records before it.
#[derive(Debug, Default)]
pub(super) struct Junction {
    pub(super) records: u64,
    /// Number of known records.
    pub(super) known: u64,
    /// Places of the first and the last known record among all that came.
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
    /// Keys of the new records.
    pub(super) keys: Vec<Box<str>>,
    /// Number of new records in front of the last known one.
    pub(super) late: u64,
    pub(super) is_disordered: bool,
    /// A record has no key, or `null`.
    pub(super) has_keyless: bool,
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
    /// Beginning of a page that was asked for with this aim; the walk has so many records of the list in front of it.
    pub(super) fn of(aim: Option<Aim>, before: u64) -> Self {
        match aim {
            _ if before == 0 => Self::List,
            Some(Aim::Confirm(_)) => Self::Behind,
            Some(Aim::Records | Aim::Again) | None => Self::Shared,
        }
    }
}

impl Junction {
    /// Counts a record with its key, if it has one, and its place, if it is known.
    pub(super) fn meet(&mut self, key: Option<&str>, place: Option<u64>) {
        self.records += 1;
        self.has_keyless |= key.is_none();
        let Some(place) = place else {
            self.keys.extend(key.map(Into::into));
            return;
        };
        self.known += 1;
        self.first.get_or_insert(place);
        self.is_disordered |= self.last.is_some_and(|last| place <= last);
        self.last = Some(place);
        self.late = self.keys.len() as u64;
    }
}
