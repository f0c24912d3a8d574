//! Notes of the pages of a read: each request, with a fingerprint of its answer.

use std::sync::Arc;

use http::header::ETAG;
use http::{HeaderValue, StatusCode};

use crate::batch::Batch;
use crate::pagination::PageRequest;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::plan::PageId;
use crate::snapshot::{Digest, RunningDigest, UsedMemory};

/// Estimated bytes of a note and its request, and of each header field, beside the URL.
const NOTE_BYTES: usize = 512;
const FIELD_BYTES: usize = 96;

/// Notes of the pages of a read, in its order.
#[derive(Debug)]
pub(super) struct PageNotes {
    /// Pages under way, those that were asked for ahead included.
    begun: Vec<(PageId, BegunPage)>,
    pages: Vec<PageNote>,
    bytes: u64,
    limit: u64,
    memory: UsedMemory,
}

/// A request, and the answer to it.
#[derive(Clone, Debug)]
pub(super) struct PageNote {
    pub(super) request: Arc<PageRequest>,
    /// Strong validator of the answer, if the origin itself gave it.
    pub(super) etag: Option<HeaderValue>,
    pub(super) answer: AnswerContent,
    has_records: bool,
}

/// Answer to a page's request, as far as equal ones are of equal lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerContent {
    /// SHA-256 of the lines, and of the values at the configured paths.
    Page(Digest),
    /// Status by which the list ended.
    Refused(StatusCode),
}

#[derive(Debug, Default)]
pub(super) struct PageFingerprint(RunningDigest);

#[derive(Debug)]
struct BegunPage {
    request: Arc<PageRequest>,
    fingerprint: PageFingerprint,
    has_records: bool,
}

impl PageNotes {
    /// Takes up to `limit` bytes of memory.
    pub(super) fn new(limit: u64, memory: UsedMemory) -> Self {
        Self { begun: Vec::new(), pages: Vec::new(), bytes: 0, limit, memory }
    }

    pub(super) fn begin(&mut self, page: PageId, request: &Arc<PageRequest>) {
        self.bytes += (NOTE_BYTES + request.url.as_str().len() + FIELD_BYTES * request.headers.len()) as u64;
        if self.has_room() {
            let begun =
                BegunPage { request: Arc::clone(request), fingerprint: PageFingerprint::default(), has_records: false };
            self.begun.push((page, begun));
            self.memory.set(usize::try_from(self.bytes).unwrap_or(usize::MAX));
        }
    }

    pub(super) fn add(&mut self, page: PageId, batch: &Batch) {
        if let Some((_, begun)) = self.begun.iter_mut().find(|(id, _)| *id == page) {
            begun.fingerprint.add(batch);
            begun.has_records |= !batch.is_empty();
        }
    }

    /// Notes a page whose last records have been added.
    pub(super) fn whole(&mut self, page: PageId, head: &Head, fields: &PageFields) {
        let Some(begun) = self.take(page) else { return };
        let answer = begun.fingerprint.finish(fields);
        self.note(begun.request, strong_validator(head), answer, begun.has_records);
    }

    /// Notes a refusal by which the list may end.
    pub(super) fn refused(&mut self, page: PageId, status: StatusCode) {
        let Some(begun) = self.take(page) else { return };
        self.note(begun.request, None, AnswerContent::Refused(status), false);
    }

    fn note(&mut self, request: Arc<PageRequest>, etag: Option<HeaderValue>, answer: AnswerContent, has_records: bool) {
        self.pages.push(PageNote { request, etag, answer, has_records });
    }

    fn take(&mut self, page: PageId) -> Option<BegunPage> {
        let at = self.begun.iter().position(|(id, _)| *id == page)?;
        Some(self.begun.swap_remove(at).1)
    }

    fn has_room(&self) -> bool {
        self.bytes <= self.limit
    }

    /// Returns the pages before the last one with records, and that one with the answers behind it, without validators: they show in full
    /// how the list ends. `None` if there was no room for all notes.
    pub(super) fn finish(mut self) -> Option<(Vec<PageNote>, Vec<PageNote>)> {
        let last = self.pages.iter().rposition(|page| page.has_records).unwrap_or(0);
        let mut tail = self.pages.split_off(last);
        tail.iter_mut().for_each(|page| page.etag = None);
        self.has_room().then_some((self.pages, tail))
    }
}

impl PageFingerprint {
    pub(super) fn add(&mut self, batch: &Batch) {
        self.0.update(batch.lines());
    }

    /// Adds the values beside the records, as a total or a flag.
    pub(super) fn finish(mut self, fields: &PageFields) -> AnswerContent {
        for (path, value) in fields.iter() {
            self.0.update(format!("{path}\n{value}\n").as_bytes());
        }
        AnswerContent::Page(self.0.finish())
    }
}

/// Strong entity tag of an answer that no cache gave. A weak one, and `Last-Modified`, may stay the same while records change
/// (RFC 9110 §8.8.1): many upstreams take the newest time of a record for the latter, which the removal of another record does not change.
fn strong_validator(head: &Head) -> Option<HeaderValue> {
    let etag = head.headers.get(ETAG).filter(|etag| etag.as_bytes().starts_with(b"\""));
    etag.filter(|_| !head.is_from_cache()).cloned()
}
