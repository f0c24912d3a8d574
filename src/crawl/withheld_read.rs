//! A read whose records wait until another one is equal.

use crate::batch::Batch;
use crate::pagination::plan::PartId;
use crate::snapshot::{Digest, RunningDigest};

/// Records of a crawl that may not leave yet: their parts, and a digest of their lines in order.
#[derive(Debug, Default)]
pub(super) struct WithheldRead {
    parts: Vec<PartId>,
    digest: RunningDigest,
}

impl WithheldRead {
    /// Notes a part whose records would leave now.
    pub(super) fn open(&mut self, part: PartId) {
        self.parts.push(part);
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        self.digest.update(batch.lines());
    }

    /// Returns the parts in the order in which they leave, and the digest.
    pub(super) fn finish(self) -> (Vec<PartId>, Digest) {
        (self.parts, self.digest.finish())
    }
}
