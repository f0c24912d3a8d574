//! Digest of a complete snapshot (RFC 9530), computed once and on demand: a hash of 10 GiB takes seconds.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{self, SHA256};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::log::{Log, Reader, ReaderEvent};

/// Limit of digests that are computed at a time. Each takes one of the blocking threads that also write the logs, and another to read.
static PERMITS: Semaphore = Semaphore::const_new(2);

/// SHA-256 of all bytes of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// SHA-256 of the bytes so far.
#[derive(Clone)]
pub struct RunningDigest(digest::Context);

/// Digest under way: `None` until it is computed, and forever if the snapshot can't be read.
pub(super) type PendingDigest = watch::Receiver<Option<Digest>>;

impl RunningDigest {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl Default for RunningDigest {
    fn default() -> Self {
        Self(digest::Context::new(&SHA256))
    }
}

impl fmt::Debug for RunningDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningDigest").finish_non_exhaustive()
    }
}

impl fmt::Display for Digest {
    /// Formats a member of the fields of RFC 9530.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha-256=:{}:", BASE64_STANDARD.encode(self.0))
    }
}

/// Starts the hash of a complete log; returns `None` if a part of it is gone. The hash goes on when its requester leaves.
pub(super) fn start(log: &Log) -> Option<PendingDigest> {
    let reader = log.reader(0, None).ok()?;
    let runtime = Handle::try_current().ok()?;
    let (told, pending) = watch::channel(None);
    let thread = runtime.clone();
    // Its result is only sent through the channel.
    drop(runtime.spawn(async move {
        let _permit = PERMITS.acquire().await;
        let hashed = thread.clone().spawn_blocking(move || thread.block_on(hash(reader))).await;
        told.send_replace(hashed.ok().flatten());
    }));
    Some(pending)
}

async fn hash(mut reader: Reader) -> Option<Digest> {
    let mut digest = RunningDigest::default();
    loop {
        match reader.next().await {
            Ok(ReaderEvent::Bytes(bytes)) => digest.update(&bytes),
            Ok(ReaderEvent::Complete(_)) => return Some(digest.finish()),
            Ok(ReaderEvent::Stop) => return None,
            Err(failure) => {
                tracing::warn!("a digest can't be made: {failure}");
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::batch::Batch;
    use crate::id::SnapshotId;
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::facts::{Birth, Retention};
    use crate::snapshot::log::{Writer, transient_log};
    use crate::snapshot::seal::Seal;
    use crate::snapshot::snapshot::Snapshot;

    fn snapshot() -> (Writer, Snapshot) {
        let (mut writer, log) = transient_log(1 << 20);
        writer.append(Batch::new(Bytes::from_static(b"1\n2\n"), 2));
        let Birth { key, facts, .. } = Birth::in_test("/orders");
        (writer, Snapshot::new(SnapshotId::from_bytes([0; 16]), key, facts, log, Retention::Shared, Duration::ZERO))
    }

    #[tokio::test]
    async fn a_digest_is_computed_once_even_if_its_requester_leaves() {
        let (writer, snapshot) = snapshot();
        assert_eq!(snapshot.digest().await, None, "it isn't complete");
        writer.seal(Seal::Complete(Verdict::in_test(2, 1)));
        assert_eq!(snapshot.known_digest(), None);
        let _left = pin!(snapshot.digest()).poll(&mut Context::from_waker(Waker::noop()));
        let sha256 = digest::digest(&SHA256, b"1\n2\n");
        let digest = Some(Digest(sha256.as_ref().try_into().unwrap()));
        assert_eq!(snapshot.digest().await, digest);
        // The bytes are gone, so that it can't be computed again.
        snapshot.log().forget_memory();
        assert!(snapshot.log().reader(0, None).is_err());
        assert_eq!((snapshot.digest().await, snapshot.known_digest()), (digest, digest));
    }

    #[tokio::test]
    async fn a_snapshot_whose_bytes_are_gone_has_no_digest() {
        let (writer, snapshot) = snapshot();
        writer.seal(Seal::Complete(Verdict::in_test(2, 1)));
        snapshot.log().forget_memory();
        assert_eq!(snapshot.digest().await, None);
    }

    #[test]
    fn a_digest_is_written_as_a_byte_sequence() {
        let digest = Digest(digest::digest(&SHA256, b"").as_ref().try_into().unwrap());
        assert_eq!(digest.to_string(), "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    }
}
