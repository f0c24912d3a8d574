//! Sharing of a stream under way: an answer that must not be given to all that get the stream breaks it in front of its records.

use http::HeaderMap;

use crate::error::{Failure, Fault};
use crate::snapshot::cache_control::{SharingLimit, StorageDemand};

/// Demands of a stream's answers on their storage, and their limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamSharing {
    /// Strictest demand of the answers so far.
    pub(super) demand: StorageDemand,
    /// None where the stream is not kept.
    pub(super) limit: Option<SharingLimit>,
}

impl StreamSharing {
    pub(super) const UNLIMITED: Self = Self { demand: StorageDemand::NONE, limit: None };

    pub(super) fn note(&mut self, answer: &HeaderMap) {
        self.demand = self.demand.max(StorageDemand::of(answer));
    }

    /// Checks the demands so far; `place` is that of the last answer.
    ///
    /// # Errors
    /// Fails where an answer must not be given to all that get the stream.
    pub(super) fn check(&self, place: impl FnOnce() -> String) -> Result<(), Failure> {
        let Some(field) = self.limit.and_then(|limit| limit.exceeded_by(self.demand)) else { return Ok(()) };
        let message = format!(
            "{}: the answer has {field}; the answers before it had not, and are kept for other callers",
            place()
        );
        let hint = "send Cache-Control: no-store with the request: then nothing of the stream is kept";
        Err(Failure::new(Fault::Configuration, message, hint))
    }
}
