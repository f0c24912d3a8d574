//! What the write-behind writes at once, and what becomes of it where that can't be.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::error::{Failure, Fault};
use crate::snapshot::Refused;
use crate::snapshot::disk::OnLoss;
use crate::snapshot::files::{Entry, Files, Unwritten};
use crate::snapshot::seal::Seal;

/// A whole page, for the journal.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) note: Box<RawValue>,
}

/// What a task writes at once.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) at: u64,
    /// Up to here, what is written may have been there before.
    pub(super) owed: u64,
    pub(super) pieces: Vec<Bytes>,
    pub(super) pages: Vec<Page>,
    pub(super) seal: Option<Seal>,
}

/// What wasn't written, and up to which byte the lines were.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) kept: u64,
    pub(super) cause: Unwritten,
}

/// What becomes of a log that could not be written.
#[derive(Debug)]
pub(super) enum Loss {
    /// It goes on in memory. So many bytes of it are in the file, which nobody finds again.
    File(u64),
    /// It can't go on: readers have what a restart knows, and get no byte more.
    Log(Failure),
}

impl Work {
    /// Writes lines page by page, each page's journal entry behind them, and the seal. Says how far the lines have come.
    pub(super) fn write(&mut self, files: &Files) -> Result<u64, Stuck> {
        let mut kept = self.at;
        let mut pieces = std::mem::take(&mut self.pieces).into_iter().peekable();
        for page in &self.pages {
            let mut end = kept;
            let of_page: Vec<_> = std::iter::from_fn(|| {
                let piece = pieces.next_if(|_| end < page.bytes)?;
                end += piece.len() as u64;
                Some(piece)
            })
            .collect();
            self.lines(files, &mut kept, of_page)?;
            let entry = Entry::Page { bytes: page.bytes, records: page.records, note: &page.note };
            files.append(&entry).map_err(|cause| Stuck { kept, cause })?;
        }
        self.lines(files, &mut kept, pieces.collect())?;
        let entry = match &self.seal {
            Some(Seal::Complete(verdict)) => Entry::Complete(verdict),
            // Whatever may pass doesn't end a snapshot: its crawl can be gone on with.
            Some(Seal::Failed(failure)) if !failure.fault.is_transient() => Entry::Failed(failure),
            Some(Seal::Failed(_)) | None => return Ok(kept),
        };
        files.append(&entry).map_err(|cause| Stuck { kept, cause })?;
        Ok(kept)
    }

    /// Writes what may have been there before by itself: it is then known to be the same, even where there is no room for the rest.
    fn lines(&self, files: &Files, kept: &mut u64, mut pieces: Vec<Bytes>) -> Result<(), Stuck> {
        let fresh = split_off(&mut pieces, self.owed.saturating_sub(*kept));
        for pieces in [pieces, fresh] {
            if !pieces.is_empty() {
                files.write(*kept, &pieces).map_err(|cause| Stuck { kept: *kept, cause })?;
                *kept += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
            }
        }
        Ok(())
    }
}

impl Stuck {
    /// Tells the files before readers learn of it, and says what becomes of the log.
    pub(super) fn give_up(&self, files: &Files, owed: u64) -> Loss {
        let failure = match &self.cause {
            Unwritten::Changed => changed(files),
            cause if self.kept < owed || files.compared() < owed => {
                stopped(format!("what came before the interruption can't be compared with what comes again: {cause}"))
            }
            cause if files.on_loss() == OnLoss::Stop => stopped(format!("the file can't be written: {cause}")),
            // Of what readers get from now on nothing is known after a restart: no crawl must go on where the file ends.
            cause => match files.disown() {
                Ok(()) => {
                    tracing::warn!("a snapshot goes on in memory, and can't be gone on with after a restart: {cause}");
                    return Loss::File(self.kept);
                }
                Err(error) => stopped(format!("{cause}, and what was written can't be deleted: {error}")),
            },
        };
        tracing::warn!("a snapshot stops: {failure}");
        Loss::Log(failure)
    }
}

/// Who goes on with it would find the same again.
fn changed(files: &Files) -> Failure {
    let failure = Failure::new(Fault::Changed, Refused::Changed.to_string(), "ask again, for a snapshot of its own");
    if let Err(error) = files.append(&Entry::Failed(&failure)) {
        tracing::warn!("a snapshot's end can't be written: {error}");
    }
    failure
}

fn stopped(message: String) -> Failure {
    Failure::new(Fault::Stopped, message, "see to the disk and to who may write there, and ask again")
}

/// What of the pieces stands behind their first bytes.
fn split_off(pieces: &mut Vec<Bytes>, mut first: u64) -> Vec<Bytes> {
    let whole =
        pieces.iter().take_while(|piece| first.checked_sub(piece.len() as u64).map(|rest| first = rest).is_some());
    let whole = whole.count();
    let mut rest = pieces.split_off(whole);
    if let Some(cut) = rest.first_mut().filter(|_| first > 0) {
        pieces.push(cut.split_to(usize::try_from(first).unwrap_or(usize::MAX)));
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_split_at_any_byte() {
        let whole = ["ab", "c", "def"].map(|piece| Bytes::from_static(piece.as_bytes()));
        for first in 0..9 {
            let mut pieces = whole.to_vec();
            let rest = split_off(&mut pieces, first);
            let length = usize::try_from(first).unwrap().min(6);
            assert_eq!((pieces.concat().as_slice(), rest.concat().as_slice()), "abcdef".as_bytes().split_at(length));
            assert!(pieces.iter().chain(&rest).all(|piece| !piece.is_empty()));
        }
    }
}
