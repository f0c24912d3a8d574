//! Pages and requests of a walk so far, none of which may come twice.

use serde::{Deserialize, Serialize};

use super::digest_map::DigestMap;
use super::fingerprint::Fingerprint;

/// Sets of pages and requests. A checkpoint has what the last page added to them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct KnownPages {
    added: Added,
    /// Hash of a page's records → its number.
    #[serde(skip)]
    digests: DigestMap<u64>,
    /// Hash of a page's first record → the number of the first page that starts so.
    #[serde(skip)]
    starts: DigestMap<u64>,
    /// Hash of a request → the number of its page.
    #[serde(skip)]
    requests: DigestMap<u64>,
}

/// Additions of the last page that was counted, and of the request behind it, to the sets.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Added {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// Hash of the request behind the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
}

impl KnownPages {
    /// Number of different pages that were asked for.
    pub(super) fn requests(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn knows_request(&self, identity: u64) -> bool {
        self.requests.contains_key(&identity)
    }

    /// Number of the page with these records.
    pub(super) fn with_digest(&self, digest: u64) -> Option<u64> {
        self.digests.get(&digest).copied()
    }

    /// Number of the first page that starts with this record.
    pub(super) fn with_start(&self, start: u64) -> Option<u64> {
        self.starts.get(&start).copied()
    }

    /// Adds the request of the page of this number; `Err` is the number of the page that the same request has asked for before.
    pub(super) fn add_request(&mut self, identity: u64, page: u64) -> Result<(), u64> {
        self.added.request = Some(identity);
        self.requests.insert(identity, page).map_or(Ok(()), Err)
    }

    /// Adds the page of this number, if it has records.
    pub(super) fn add_page(&mut self, page: &Fingerprint, number: u64) {
        let added = Some(page).filter(|page| page.records() > 0);
        let (digest, start) = (added.map(Fingerprint::digest), added.map(Fingerprint::start));
        self.add(Added { digest, start, request: None }, number);
    }

    /// The additions alone.
    pub(super) fn additions(&self) -> Self {
        Self { added: self.added, ..Self::default() }
    }

    /// Adds the additions of the page of this number.
    pub(super) fn fold(&mut self, page: &Self, number: u64) {
        self.add(page.added, number);
    }

    fn add(&mut self, added: Added, page: u64) {
        let Added { digest, start, request } = added;
        self.digests.extend(digest.map(|digest| (digest, page)));
        if let Some(start) = start {
            self.starts.entry(start).or_insert(page);
        }
        self.requests.extend(request.map(|request| (request, page + 1)));
        self.added = added;
    }
}
