//! Check of an end against the envelopes of the first and the last page of a walk.

use crate::pagination::detect::last_place::CrawledExtent;
use crate::pagination::detect::{self, Sketch};
use crate::pagination::end_settings::{UnnamedCounts, may_say_more};
use crate::pagination::error::PageError;
use crate::pagination::error_settings::OwnWords;
use crate::pagination::error_words::{check_beside, check_empty};
use crate::pagination::page::{Head, Page};
use crate::pagination::page_envelope::PageEnvelope;
use crate::pagination::request::PageRequest;
use crate::pagination::settings::Pagination;

#[derive(Debug, Default)]
pub(super) struct EnvelopeCheck {
    first: Option<FirstPage>,
    last: Option<PageEnvelope>,
}

/// First page of a walk; most walks never need its envelope.
#[derive(Debug)]
enum FirstPage {
    Unread { head: PageEnvelope, sketch: Sketch },
    Read(PageEnvelope),
}

/// Place of a page whose words are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JudgedPage {
    /// The first page, which may be the end.
    Only,
    /// A later page, which may be the end.
    Last,
    /// A later page that leads on.
    LeadsOn,
}

/// Page that has come, with the facts that its envelope is read by.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArrivedPage<'a> {
    pub(super) head: &'a Head,
    pub(super) page: &'a Page,
    pub(super) records: u64,
    /// The walk's first request.
    pub(super) asked: &'a PageRequest,
}

impl ArrivedPage<'_> {
    fn envelope(self) -> PageEnvelope {
        PageEnvelope::read(&self.head.headers, self.page.sketch.outline(), self.asked, self.records)
    }

    /// Checks the words of an empty page behind a proven end: a failure refutes it, also the word "truncated", but no text that is merely new.
    pub(super) fn check_confirming(self, pagination: &Pagination) -> Result<(), PageError> {
        match pagination.failures.words {
            OwnWords::Heeded if self.records == 0 => {
                check_empty(&self.envelope().without(|path| pagination.failures.judges(path)))
            }
            OwnWords::Heeded | OwnWords::Ignored => Ok(()),
        }
    }
}

impl EnvelopeCheck {
    pub(super) fn begin(&mut self, ArrivedPage { head, page, records, asked }: ArrivedPage<'_>) {
        let head = PageEnvelope::of_head(&head.headers, asked, records);
        self.first = Some(FirstPage::Unread { head, sketch: page.sketch.clone() });
    }

    /// Envelope of the first page, for a checkpoint behind it.
    pub(super) fn first(&self, asked: &PageRequest) -> Option<PageEnvelope> {
        Some(match self.first.as_ref()? {
            FirstPage::Unread { head, sketch } => head.clone().with_page(sketch.outline(), asked),
            FirstPage::Read(envelope) => envelope.clone(),
        })
    }

    pub(super) fn resume(&mut self, first: PageEnvelope) {
        self.first = Some(FirstPage::Read(first));
    }

    /// Checks the words of a page at this place.
    pub(super) fn check_words(
        &mut self,
        pagination: &Pagination,
        page: ArrivedPage<'_>,
        place: JudgedPage,
    ) -> Result<(), PageError> {
        let envelope = page.envelope();
        let is_first = place == JudgedPage::Only;
        let first = if is_first { None } else { self.read_first(page.asked) };
        let says_more = |path: &str| place == JudgedPage::LeadsOn && may_say_more(pagination.more.as_ref(), path);
        let is_no_word = |path: &str| pagination.failures.judges(path) || says_more(path);
        let checked = match pagination.failures.words {
            OwnWords::Heeded => check_beside(first, &envelope.clone().without(is_no_word)),
            OwnWords::Ignored => Ok(()),
        };
        if is_first {
            self.first = Some(FirstPage::Read(envelope.clone()));
        }
        self.last = Some(envelope);
        checked
    }

    /// Checks what came against numbers beside the records, where the configured totals have not been read (`has_total`).
    pub(super) fn check_counts(
        &mut self,
        pagination: &Pagination,
        asked: &PageRequest,
        extent: CrawledExtent,
        has_total: bool,
    ) -> Result<(), PageError> {
        // A client may begin at a page that links to the next one.
        let is_midway = extent.records.is_none() || detect::names_a_place(asked);
        let is_counted = has_total && !is_midway || pagination.partition.is_some();
        if is_counted || pagination.unnamed_counts == UnnamedCounts::Ignored {
            return Ok(());
        }
        let extent = if is_midway { CrawledExtent { records: None, pages: None } } else { extent };
        self.read_first(asked);
        match &self.first {
            Some(FirstPage::Read(first)) => first.check_counts(self.last.as_ref(), extent),
            Some(FirstPage::Unread { .. }) | None => Ok(()),
        }
    }

    /// Returns true if a number of the last page counts as many records, or one of the first page where the last one counts none.
    pub(super) fn counts(&mut self, asked: &PageRequest, records: u64) -> bool {
        match self.last.as_ref().filter(|last| last.has_counts()) {
            Some(last) => last.agrees(records),
            None => self.read_first(asked).is_some_and(|first| first.agrees(records)),
        }
    }

    /// Unread ⇒ Read.
    fn read_first(&mut self, asked: &PageRequest) -> Option<&PageEnvelope> {
        if let Some(FirstPage::Unread { .. }) = &self.first {
            self.first = self.first(asked).map(FirstPage::Read);
        }
        match &self.first {
            Some(FirstPage::Read(envelope)) => Some(envelope),
            Some(FirstPage::Unread { .. }) | None => None,
        }
    }
}
