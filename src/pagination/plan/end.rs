//! End of a walk: the next address behind a page, or the proof that nothing follows.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::adaptive_page_size::PageSizing;
use super::addresses::Addresses;
use super::page_overlap::PageOverlap;
use super::progress::WalkProgress;
use super::walk_state::Aim;
use crate::pagination::detect;
use crate::pagination::detect::last_place::CrawledExtent;
use crate::pagination::end_settings::{End, LonePage, UnnamedCounts};
use crate::pagination::error::PageError;
use crate::pagination::page::{Head, Page};
use crate::pagination::pagination_author::PaginationAuthor;
use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;
use crate::pagination::settings::Pagination;
use crate::pagination::styles::{Address, PageAnswer, Style, StyleEnd};

/// View of a walk for the decision whether it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndRules<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) addresses: &'a Addresses,
    pub(super) page_size: &'a PageSizing,
    pub(super) progress: &'a WalkProgress,
    pub(super) overlap: &'a PageOverlap,
}

/// A page that is whole and has been counted.
#[derive(Debug)]
pub(super) struct WholePage<'a> {
    pub(super) answer: PageAnswer<'a>,
    pub(super) page: &'a Page,
    /// Next request, where the page has led to it early.
    pub(super) early: Option<Arc<PageRequest>>,
    /// Number of its records that no page before had.
    pub(super) new: u64,
    pub(super) length: PageLength,
    /// Number of records that it was asked for, where that is known.
    pub(super) asked: Option<u64>,
    /// The upstream's flag, where it has one and the page holds it.
    pub(super) more: Option<bool>,
}

/// Length of a page beside those before it: what was asked for may be more than the upstream ever gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageLength {
    Full,
    Short,
}

pub(super) enum PageLead {
    Next(Address, Aim),
    End(Proof),
}

impl EndRules<'_> {
    /// Continuation behind a page; `style_end` is what the style's own rules say of it.
    pub(super) fn lead(&self, page: WholePage<'_>, style_end: StyleEnd) -> Result<PageLead, PageError> {
        // The page past the last, as configured, or the only one of an empty collection.
        if page.answer.head.status == StatusCode::NO_CONTENT && self.pagination.end.is_by(StatusCode::NO_CONTENT) {
            return Ok(PageLead::End(Proof::Status(StatusCode::NO_CONTENT)));
        }
        match style_end {
            StyleEnd::Shared if self.pagination.style.is_pointed() => self.by_pointer(page),
            StyleEnd::Shared => self.by_count(&page),
            StyleEnd::Whole => self.single(page.answer.head, page.page).map(PageLead::End),
            StyleEnd::Proven(proof) => Ok(PageLead::End(proof)),
            StyleEnd::Range { total: Some(total), is_last: true } => Ok(PageLead::End(Proof::Total(total))),
            StyleEnd::Range { .. } => Ok(match self.next(page.answer)? {
                Some(next) => PageLead::Next(next, Aim::Records),
                None => PageLead::End(Proof::SinglePage),
            }),
        }
    }

    /// Links and tokens: the page itself leads on.
    fn by_pointer(&self, page: WholePage<'_>) -> Result<PageLead, PageError> {
        let ends_empty = self.pagination.end == End::EmptyPage || self.pagination.is_sent_once();
        let ends_empty = ends_empty && page.new == 0 && page.more != Some(true);
        let next = match page.early {
            Some(request) => Some(Address { request, number: 0 }),
            None => self.next(page.answer)?,
        };
        Ok(match (next, page.more) {
            (Some(_), Some(false)) => PageLead::End(Proof::Flag),
            (Some(_), _) if ends_empty => PageLead::End(Proof::EmptyPage),
            (Some(next), _) => PageLead::Next(next, Aim::Records),
            (None, Some(true)) => return Err(self.more_without_next()),
            (None, more) => {
                self.check_pointer_elsewhere(page.answer.head, page.page, more)?;
                PageLead::End(if more == Some(false) { Proof::Flag } else { Proof::NoNext })
            }
        })
    }

    /// Numbers and keys: nothing in the page leads on, so the end must be proven.
    fn by_count(&self, page: &WholePage<'_>) -> Result<PageLead, PageError> {
        if page.more == Some(false) {
            return Ok(PageLead::End(Proof::Flag));
        }
        if matches!(self.pagination.style, Style::Single(_)) && self.pagination.single_page != LonePage::Refuse {
            let is_linked = self.pagination.author == PaginationAuthor::LinkedLists;
            let proof = if is_linked { Proof::LinkedLists } else { Proof::LonePage };
            return self.single(page.answer.head, page.page).map(|_| PageLead::End(proof));
        }
        if let Some(reach) = self.overlap.reach().filter(|_| page.answer.records > 0) {
            return self.by_overlap(page, reach);
        }
        // An empty page that says "more" is followed by the next page number; a key or offset could not advance.
        let is_led = page.new == 0 && self.is_led_past(page);
        let counts_pages = self.pagination.style.counts_pages();
        if page.new == 0 && !(counts_pages && (page.more == Some(true) || is_led)) {
            return match page.more {
                Some(true) => Err(self.more_without_next()),
                // A total shows by itself whether records are missing.
                _ if is_led && self.pagination.style.counts_records() && self.progress.total().is_none() => {
                    Ok(self.beyond_the_empty_page())
                }
                _ => Ok(PageLead::End(Proof::EmptyPage)),
            };
        }
        let is_short = page.length == PageLength::Short;
        if self.pagination.end == End::ShortPage && is_short && !self.leads_on(page) {
            return Ok(PageLead::End(Proof::ShortPage));
        }
        let Some(next) = self.next(page.answer)? else {
            return match (&self.pagination.more, page.more) {
                (Some(more), Some(true)) => {
                    Err(PageError::MoreThanOnePage(format!("`{}` says that there is more", more.path)))
                }
                _ => self.single(page.answer.head, page.page).map(PageLead::End),
            };
        };
        // Where records may have been deleted that were read, more may follow than the total says.
        let is_repaired_keyset = self.pagination.promises_order() && !self.addresses.is_numbered();
        Ok(match self.agreeing(page.more)? {
            // Two signals agree, the count and a page shorter than those before it, and none contradicts.
            Some(proof) if is_short && !self.leads_on(page) => PageLead::End(proof),
            Some(proof) if !is_repaired_keyset => PageLead::Next(next, Aim::Confirm(proof)),
            Some(_) | None => PageLead::Next(next, Aim::Records),
        })
    }

    /// Continuation behind an empty page of an offset that names the next one: as many records on, there must be none either.
    fn beyond_the_empty_page(&self) -> PageLead {
        let longest = self.progress.longest();
        let next = self.addresses.at(self.page_size.size(), self.addresses.number() + longest, longest);
        next.map_or(PageLead::End(Proof::EmptyPage), |next| PageLead::Next(next, Aim::Confirm(Proof::EmptyPage)))
    }

    /// Returns true for an empty page that names the next one, where the page before had records: some upstreams filter pages empty, and
    /// others lead on from each page, so that the second empty one is the end.
    fn is_led_past(&self, page: &WholePage<'_>) -> bool {
        self.pagination.end != End::EmptyPage && self.progress.is_first_empty() && self.leads_on(page)
    }

    /// Returns true if the page says by its flag that more follow, or plainly has the address of a next one, or a flag, that the pagination
    /// does not read.
    fn leads_on(&self, page: &WholePage<'_>) -> bool {
        page.more.unwrap_or_else(|| self.names_next(page.answer.head, page.page, self.progress.pages()))
    }

    /// The same of the last of `pages`, which has no flag that the pagination reads.
    pub(super) fn names_next(&self, head: &Head, page: &Page, pages: u64) -> bool {
        detect::live_pointer(&head.url, &head.headers, page.sketch.outline()).is_some()
            || self.later_page(head, page, pages).is_some()
    }

    /// Place of the last page, as a phrase, where the last of `pages` names a later one.
    fn later_page(&self, head: &Head, page: &Page, pages: u64) -> Option<String> {
        let records = (!self.addresses.is_midway()).then(|| self.progress.records());
        let walked = CrawledExtent { records, pages: Some(pages) };
        let word = || detect::later_page(&head.url, &head.headers, page.sketch.outline(), walked);
        if self.pagination.unnamed_counts == UnnamedCounts::Ignored { None } else { word() }
    }

    /// Windows that share records: a short one ends where the list does. Some upstreams have short ones in the middle, too.
    fn by_overlap(&self, page: &WholePage<'_>, reach: u64) -> Result<PageLead, PageError> {
        let (records, longest) = (page.answer.records, self.progress.longest());
        if self.pagination.end == End::ShortPage && page.length == PageLength::Short && !self.leads_on(page) {
            return Ok(PageLead::End(Proof::ShortPage));
        }
        // Counts of records that came say nothing where some are gone; the page's own place and total are of one moment.
        let total = self.progress.totals().own().filter(|_| page.more != Some(true) && !self.addresses.is_midway());
        let proof = match total {
            Some(total) if reach > total => return Err(PageError::ReachDisagrees { reach, total }),
            _ => total.filter(|total| *total == reach).map(Proof::Total),
        };
        let shared = self.addresses.shared(records, longest);
        // Where no page before it is longer, a page may be short of what the upstream ever gives.
        let may_be_short = (longest == 0 || shared == 0) && page.asked.is_some_and(|asked| records < asked);
        let is_open = total.is_none() && page.more != Some(true);
        let (shared, aim) = match proof {
            Some(proof) if page.length == PageLength::Short => return Ok(PageLead::End(proof)),
            Some(proof) if may_be_short => (0, Aim::Confirm(proof)),
            // A first page may be as long as any, and the list may shrink behind it: its last records must still be there.
            None if is_open && page.length == PageLength::Short && self.overlap.has_ended() => {
                return Ok(PageLead::End(Proof::LastRecord));
            }
            None if is_open && may_be_short => (shared, Aim::Confirm(Proof::EmptyPage)),
            None if is_open && page.length == PageLength::Short => (0, Aim::Confirm(Proof::EmptyPage)),
            _ => (shared, Aim::Records),
        };
        let number = self.addresses.number() + records - shared;
        let next = self.addresses.at(self.page_size.size(), number, longest.max(records));
        next.map(|next| PageLead::Next(next, aim)).ok_or_else(|| self.more_without_next())
    }

    /// Count that agrees with the upstream's own, if one does.
    fn agreeing(&self, more: Option<bool>) -> Result<Option<Proof>, PageError> {
        let (filled, records) = (self.progress.filled(), self.progress.records());
        if more == Some(true) || self.addresses.is_midway() {
            return Ok(None);
        }
        match (self.progress.total(), self.progress.total_pages()) {
            (Some(total), _) if records > total && self.addresses.is_numbered() => {
                Err(PageError::TotalDisagrees { records, total })
            }
            (Some(total), _) if self.progress.counts_to_total() => Ok(Some(Proof::Total(total))),
            (None, Some(total_pages)) if filled >= total_pages => Ok(Some(Proof::TotalPages(total_pages))),
            _ => Ok(None),
        }
    }

    /// Checks that what came does not contradict the upstream's own numbers and flags.
    pub(super) fn check(&self) -> Result<(), PageError> {
        match (self.overlap.reach(), self.progress.totals().own()) {
            _ if self.addresses.is_midway() => {}
            (None, _) => self.progress.check_totals(self.addresses.is_numbered())?,
            (Some(reach), Some(total)) if reach != total => return Err(PageError::ReachDisagrees { reach, total }),
            (Some(_), _) => {}
        }
        // An upstream that stops there says that nothing follows, as at the end.
        let most = self.pagination.limits.max_results;
        if let Some(value) = most.filter(|most| self.progress.records() >= *most) {
            return Err(PageError::Limit { name: "max_results", value });
        }
        self.check_flag()
    }

    /// Checks that the configured flag was seen. One page may leave it out where it is false; of several, those before the last have it.
    fn check_flag(&self) -> Result<(), PageError> {
        let is_unseen = self.progress.filled() > 1 && !self.progress.has_seen_flag();
        let unseen = self.pagination.more.as_ref().filter(|_| is_unseen);
        unseen.map_or(Ok(()), |more| Err(PageError::NeverSeen(more.path.clone())))
    }

    pub(super) fn next(&self, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        self.addresses.next(self.page_size.size(), self.progress.longest(), answer)
    }

    pub(super) fn more_without_next(&self) -> PageError {
        let path = self.pagination.more.as_ref().map(|more| more.path.clone()).unwrap_or_default();
        PageError::MoreWithoutNext { path }
    }

    /// Refuses an end without the configured pointer where the page plainly has another one. A pointer that is there and empty is overruled by
    /// the page's head, and by one that is as plain where no flag speaks for it.
    fn check_pointer_elsewhere(&self, head: &Head, page: &Page, more: Option<bool>) -> Result<(), PageError> {
        let Some(configured) = self.pagination.style.rules().pointer_name() else { return Ok(()) };
        self.check_flag()?;
        let mut ended = self.pagination.pointers();
        ended.retain(|source| source.is_present(head, &page.fields));
        let outline = page.sketch.outline();
        let beside = || detect::live_beside(&head.url, &head.headers, outline, &ended).filter(|_| more.is_none());
        let live = match ended.is_empty() {
            false => detect::live_pointer(&head.url, &head.headers, &Value::Null).or_else(beside),
            true if self.progress.pages() > 1 => detect::live_pointer(&head.url, &head.headers, outline),
            true => live_pointer(head, page),
        };
        if let Some(live) = live {
            return Err(PageError::PointerElsewhere { configured, live });
        }
        self.later_page(head, page, self.progress.pages()).map_or(Ok(()), |word| Err(PageError::NotTheLast(word)))
    }

    /// Proof that one page is the whole collection, unless its answer plainly says that there is more.
    fn single(&self, head: &Head, page: &Page) -> Result<Proof, PageError> {
        let live = live_pointer(head, page).or_else(|| self.later_page(head, page, 1));
        live.map_or(Ok(Proof::SinglePage), |live| Err(PageError::MoreThanOnePage(live)))
    }
}

/// Description of a pointer that plainly leads to another page, or of a status or a size that may hide one.
fn live_pointer(head: &Head, page: &Page) -> Option<String> {
    if head.status == StatusCode::PARTIAL_CONTENT {
        return Some("its status is 206, for a part of the collection".to_owned());
    }
    if page.sketch.is_empty() {
        return Some("more stands around its records than is looked at".to_owned());
    }
    detect::live_pointer(&head.url, &head.headers, page.sketch.outline())
}
