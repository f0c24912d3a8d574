//! Pages behind a key, and the ends that are held until the record of that key has been seen again.

use super::Walk;
use crate::pagination::end_settings::End;
use crate::pagination::error::PageError;
use crate::pagination::plan::end::PageLength;
use crate::pagination::plan::walk_state::{Aim, WalkState};
use crate::pagination::proof::Proof;

/// Walk whose pages may begin behind a key.
pub(super) struct KeysetWalk<'a>(pub(super) &'a mut Walk);

impl KeysetWalk<'_> {
    /// Holds an answer behind a key that would end the walk or break it: Asked ⇒ Ask for an earlier key, or what the answer means.
    pub(super) fn hold(&mut self, absence: Result<Proof, PageError>) -> Result<(), PageError> {
        let is_confirmed = self.has_all() || matches!(self.0.state.aim(), Some(Aim::Confirm(_)));
        let meaning = match absence {
            Ok(proof) if is_confirmed && self.0.trail.trusts_totals() => Some(proof),
            absence => self.0.trail.hold(absence, self.0.pages())?,
        };
        if let Some(proof) = meaning { self.0.finish(proof) } else { self.ask_behind() }
    }

    /// Ends behind a page that was `asked` for its number of records, unless nothing has come: Asked ⇒ Done.
    pub(super) fn end(&mut self, proof: Proof, records: u64, asked: Option<u64>) -> Result<(), PageError> {
        // Nothing new came, in a page that may have no room for more than the record that it was asked for behind. By such pages no list
        // could be read whose pages begin with that record.
        let begins_behind = self.0.pagination.style.rules().is_resizable();
        let is_full = asked.map_or(begins_behind && self.0.progress.records() <= 1, |asked| records >= asked);
        match (proof, records) {
            (_, 0) => self.hold(Ok(proof)),
            (Proof::EmptyPage, _) if is_full && !self.has_all() => Err(self.0.pagination.style.rules().repetition()),
            _ => self.0.finish(proof),
        }
    }

    /// Returns true if as many records came as the upstream's total says.
    fn has_all(&self) -> bool {
        self.0.progress.total() == Some(self.0.progress.records())
    }

    /// Reads on in the end of the list, which is read again, up to the first later record: Asked ⇒ Ask, or Asked ⇒ Done.
    pub(super) fn read_on(&mut self, records: u64, length: PageLength, more: Option<bool>) -> Result<(), PageError> {
        let ends_short = self.0.pagination.end == End::ShortPage && length == PageLength::Short;
        let is_over = self.0.trail.tail().is_some_and(|tail| tail.is_over());
        match records {
            _ if is_over || ends_short || more == Some(false) => self.0.finish(Proof::LastRecord),
            0 => self.hold(Ok(Proof::EmptyPage)),
            _ => self.ask_behind(),
        }
    }

    /// Asks for the page behind the trail's key: Asked ⇒ Ask.
    pub(super) fn ask_behind(&mut self) -> Result<(), PageError> {
        self.0.progress.check_limits(&self.0.pagination.limits, &self.0.caps)?;
        let mut request = self.0.addresses.behind(self.0.page_size.size(), self.0.trail.behind())?;
        self.0.pinned.apply(&mut request)?;
        self.0.identity = self.0.addresses.identity(&self.0.page_size, &request);
        self.0.state = WalkState::Ask(request, Aim::Records);
        Ok(())
    }
}
