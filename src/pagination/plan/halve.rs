//! Smaller pages, where the upstream keeps failing at those that it was asked for, and larger ones again behind them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::follow::{Aim, Follow, State};
use crate::pagination::{Encode, End, PageRequest, Param};

/// How the size of a walk's pages has changed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Resized {
    /// How many records a page was asked for at first.
    whole: u64,
    last: Change,
    /// How many pages have come since.
    good: u64,
    /// How many there must be before larger ones are tried.
    patience: u64,
}

/// The last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Change {
    Halved,
    Doubled,
    /// A smaller page had no records: its place is asked for once more in the first size.
    Restored,
}

/// After how many good pages larger ones are tried.
const PATIENCE: u64 = 8;

impl Follow {
    /// Whether the page whose turn it is, and those behind it, could be asked for with half as many records.
    pub(super) fn may_halve(&self) -> bool {
        let is_proving = self.resized.is_some_and(|resized| resized.last == Change::Restored && resized.good == 0);
        let half = self.size.map_or(0, |size| size / 2);
        half > 0 && !is_proving && self.in_size(&self.first, half).is_some()
    }

    /// Asks for the page whose turn it is with half as many records, and for those behind it: Asked ⇒ Ask. Says whether it does.
    pub(super) fn halve(&mut self) -> bool {
        // Of what has begun a later attempt must not make something else.
        let Some(size) = self.size.filter(|_| self.may_halve() && !self.page.began) else { return false };
        if !self.resize(size / 2) {
            return false;
        }
        let (whole, patience) = match self.resized {
            None => (size, PATIENCE),
            Some(Resized { whole, last: Change::Doubled, good, patience }) => {
                (whole, if good < patience { patience.saturating_mul(2) } else { PATIENCE })
            }
            Some(Resized { whole, patience, .. }) => (whole, patience),
        };
        self.resized = Some(Resized { whole, last: Change::Halved, good: 0, patience });
        // Beside larger pages a smaller one would look short, and a number of pages is one of pages of one size.
        self.tally.longest = 0;
        self.tally.total_pages = None;
        true
    }

    /// A page was good.
    pub(super) fn went_well(&mut self) {
        if let Some(resized) = &mut self.resized {
            resized.good = resized.good.saturating_add(1);
        }
    }

    /// Whether enough of the smaller pages have come. Nothing is asked for ahead then: when what was guessed has had its turn,
    /// [`Follow::grow`] makes no guess worthless.
    pub(super) fn may_grow(&self) -> bool {
        let is_smaller = |resized: Resized| self.size.is_some_and(|size| size < resized.whole);
        self.resized.is_some_and(|resized| resized.good >= resized.patience && is_smaller(resized))
    }

    /// Asks for the next page, which nobody has asked for yet, with twice as many records, where enough smaller ones have come.
    pub(super) fn grow(&mut self) {
        let (Some(Resized { whole, patience, .. }), Some(size)) = (self.resized, self.size) else { return };
        let is_next = matches!(self.state, State::Ask(_, Aim::Records));
        if is_next && self.may_grow() && self.resize(size.saturating_mul(2).min(whole)) {
            self.resized = Some(Resized { whole, last: Change::Doubled, good: 0, patience });
        }
    }

    /// Asks for a place where a smaller page had no records in the size that was asked for at first: Asked ⇒ Ask. Says whether it does;
    /// otherwise the page had that size.
    ///
    /// An upstream that rounds a size down to 0, or filters a page after cutting it, has no records for a small page and some for a large one.
    pub(super) fn restore(&mut self) -> bool {
        let Some(Resized { whole, patience, .. }) = self.resized else { return false };
        let is_smaller = self.size.is_some_and(|size| size < whole);
        if !is_smaller || !matches!(self.state, State::Asked(_, Aim::Records)) || !self.resize(whole) {
            return false;
        }
        self.resized = Some(Resized { whole, last: Change::Restored, good: 0, patience });
        true
    }

    /// The earlier page that starts like the current one, where that is no chance: the first of another size can't be known by
    /// all of its records.
    pub(super) fn starts_again(&self) -> Option<u64> {
        let resized = self.resized.filter(|resized| resized.good == 0)?;
        // Records without a key may be alike, and what goes well is no reason to doubt them.
        let may_tell = self.pagination.key.is_some() || resized.last != Change::Doubled;
        self.tally.started(self.page.start).filter(|_| may_tell && self.page.new_records() > 0)
    }

    /// Whether the page is of another size than those before it, or begins where none of them would have: whether it repeats some of
    /// their records is only known at its end.
    pub(super) fn is_uneven(&self) -> bool {
        self.resized.is_some_and(|Resized { whole, good, .. }| good == 0 || self.size.is_some_and(|size| size < whole))
    }

    /// What a request is known by: one for the same place in another size is the same.
    pub(super) fn place(&self, request: &PageRequest) -> u64 {
        self.difference(self.in_size(request, 0).as_ref().unwrap_or(request)).identity()
    }

    fn resize(&mut self, size: u64) -> bool {
        let (State::Asked(request, aim) | State::Ask(request, aim)) = &self.state else { return false };
        let (Some(request), Some(first)) = (self.in_size(request, size), self.in_size(&self.first, size)) else {
            return false;
        };
        self.state = State::Ask(Box::new(request), *aim);
        (self.first, self.size, self.stride) = (first, Some(size), None);
        true
    }

    /// The request with another number of records, where the next address follows from what came and not from what was asked for.
    pub(super) fn in_size(&self, request: &PageRequest, size: u64) -> Option<PageRequest> {
        let param: &Param = self.pagination.page_size.as_ref()?.param.as_ref()?;
        if !self.pagination.style.rules().is_resizable() || self.pagination.end == End::ShortPage {
            return None;
        }
        let mut request = request.clone();
        request.set(param, &Value::from(size), Encode::Plain).ok()?;
        Some(request)
    }
}
