//! Body of a request that is passed on and signed for AWS: a signature covers it only as a whole, so that it is held.
//!
//! Memory for held bodies is bounded: by a body's size, and by the number of bodies at a time.

use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ask::BodyError;
use super::client_body::{BODY_LIMIT, MAX_REQUEST_BODY};
use crate::upstream::{OutgoingBody, UncoveredBody};

/// Number of bodies that are held at a time: at most 64 MiB.
pub(super) const AT_A_TIME: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct SignedBodies(Arc<Semaphore>);

#[derive(Debug)]
pub(super) enum NotHeld {
    /// As many bodies are held as may be.
    NoPlace,
    Body(BodyError),
}

impl SignedBodies {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }

    /// Returns a body as it is signed. One that is larger than [`MAX_REQUEST_BODY`] or has no length is not held, and noted as not covered.
    ///
    /// # Errors
    /// Fails where the body finds no place, breaks, or is too slow.
    pub(super) async fn hold(&self, notes: &mut Extensions, body: OutgoingBody) -> Result<OutgoingBody, NotHeld> {
        if body.is_end_stream() {
            return Ok(body);
        }
        if body.size_hint().exact().is_none_or(|length| length > MAX_REQUEST_BODY as u64) {
            notes.insert(UncoveredBody);
            return Ok(body);
        }
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| NotHeld::NoPlace)?;
        let whole = match tokio::time::timeout(BODY_LIMIT, body.collect()).await {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(_)) => return Err(NotHeld::Body(BodyError::TooLarge)),
            Err(_) => return Err(NotHeld::Body(BodyError::TooSlow)),
        };
        let held = Bytes::from_owner(HeldBytes { whole, _place: place });
        Ok(Full::new(held).map_err(|never| match never {}).boxed_unsync())
    }
}

/// Bytes whose place is free when the upstream has them.
struct HeldBytes {
    whole: Bytes,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.whole
    }
}
