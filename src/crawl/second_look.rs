//! The second look at a read: each of its pages is asked for again by itself, and compared.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use tokio::task::JoinSet;

use super::attempts::{Attempts, PageFailure};
use super::page_notes::{AnswerContent, PageFingerprint, PageNote, PageNotes};
use super::page_stream::{PageEvent, PageStream};
use super::withheld_read::moment;
use crate::pagination::PageRequest;
use crate::pagination::page::Head;
use crate::pagination::retry::{PagePlace, PageTraits, RetryBudget};
use crate::pagination::splitter::PageShape;
use crate::snapshot::CrawlMemory;
use crate::upstream::Client;

/// Means to ask for pages again.
#[derive(Clone, Debug)]
pub(super) struct SecondLook {
    pub(super) client: Client,
    pub(super) shape: Arc<PageShape>,
    pub(super) memory: CrawlMemory,
    /// Most pages that are asked for at a time.
    pub(super) width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Each answer is the one that came before. By the upstream's clock the list was so at this moment.
    Equal(Option<SystemTime>),
    /// The same, but a cache gave some of the answers.
    Cached,
    Other,
    /// There were more pages than could be noted.
    Unknown,
}

impl SecondLook {
    /// Compares all pages, and stops at the first one that differs.
    ///
    /// The last page with records and the answers behind it come first, alone and in full. All records of the read are in the list then
    /// (A4 of docs/verdict.md), and these answers show that there are no others, so that the list is as it was read.
    pub(super) async fn compare(self, read: PageNotes) -> Comparison {
        let Some((rest, tail)) = read.finish() else { return Comparison::Unknown };
        let (mut at, mut is_cached) = (None, false);
        for page in tail {
            let Some(head) = self.clone().page(page).await else { return Comparison::Other };
            at = at.or_else(|| moment(&head));
            is_cached |= head.is_from_cache();
        }
        let mut rest = rest.into_iter();
        let mut looks = JoinSet::new();
        loop {
            while looks.len() < self.width
                && let Some(page) = rest.next()
            {
                looks.spawn(self.clone().page(page));
            }
            match looks.join_next().await {
                Some(Ok(Some(head))) => is_cached |= head.is_from_cache(),
                Some(_) => return Comparison::Other,
                None if is_cached => return Comparison::Cached,
                None => return Comparison::Equal(at),
            }
        }
    }

    /// Asks for a page again, under the condition that it has changed where its validator allows that. Returns the head of an answer that
    /// is the same as before; any failure is another answer, which the next read meets again.
    async fn page(self, page: PageNote) -> Option<Arc<Head>> {
        let PageNote { request, etag, answer, .. } = page;
        let (head, found) = self.ask(&request, etag.as_ref()).await?;
        let is_unmodified = found == AnswerContent::Refused(StatusCode::NOT_MODIFIED);
        if !is_unmodified || etag.is_none() {
            return (found == answer).then_some(head);
        }
        if head.headers.get(ETAG) == etag.as_ref() && !head.is_from_cache() {
            return Some(head);
        }
        // If-None-Match compares weakly (RFC 9110 §13.1.2): only the same strong tag says that the bytes are the same.
        let (head, found) = self.ask(&request, None).await?;
        (found == answer).then_some(head)
    }

    /// Returns the answer to a request, with its head; `None` where none comes.
    async fn ask(&self, request: &PageRequest, etag: Option<&HeaderValue>) -> Option<(Arc<Head>, AnswerContent)> {
        let mut request = request.clone();
        // A cache on the way would answer with the page of the first read (RFC 9111 §5.2.1.4).
        request.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        request.headers.extend(etag.map(|etag| (IF_NONE_MATCH, etag.clone())));
        let budget = RetryBudget::new(&self.client.upstream().retry);
        let traits = PageTraits::of_one_page(PagePlace::Later);
        let attempts = Attempts::new(self.client.clone(), Arc::new(request), budget, traits);
        let mut page = PageStream::new(attempts, Arc::clone(&self.shape));
        page.set_at_head();
        let mut memory = self.memory.in_use();
        let mut fingerprint = PageFingerprint::default();
        let mut given = None;
        while let Some(event) = page.next().await {
            memory.set(page.held_bytes());
            match event {
                PageEvent::Head(head) => given = Some(head),
                PageEvent::Records(batch) => fingerprint.add(&batch),
                PageEvent::Progress(_) | PageEvent::Deferred => {}
                PageEvent::End(Ok(rest)) => {
                    fingerprint.add(&rest.batch);
                    return Some((given?, fingerprint.finish(&rest.fields)));
                }
                PageEvent::End(Err(PageFailure::Refused(head, ..))) => {
                    let status = head.status;
                    return Some((Arc::from(head), AnswerContent::Refused(status)));
                }
                PageEvent::End(Err(PageFailure::Lost(..))) => return None,
            }
        }
        None
    }
}
