//! Pages that lead on without records, or without some of them, so that others may be missing there.

use super::end::EndRules;
use crate::pagination::end_settings::End;
use crate::pagination::error::PageError;
use crate::pagination::page::{Page, RecordHolder};
use crate::pagination::record_settings::Presence;
use crate::pagination::styles::PageAnswer;
use crate::pagination::value_source::Source;

/// Page that may lack records, as the rules of the walk's end see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingRecords<'a> {
    pub(super) rules: EndRules<'a>,
    pub(super) answer: PageAnswer<'a>,
    pub(super) page: &'a Page,
}

impl MissingRecords<'_> {
    /// Returns true for a page that leads on with `null` where an earlier page had an array of records.
    pub(super) fn is_gap(&self) -> Result<bool, PageError> {
        let was_array = match self.page.holder {
            RecordHolder::Null => self.rules.progress.filled() > 0,
            RecordHolder::Several { nulls, .. } => nulls & self.rules.progress.arrays() != 0,
            RecordHolder::Records | RecordHolder::Absent => false,
        };
        let is_required = self.rules.pagination.records.presence == Presence::Required;
        Ok(was_array && is_required && self.says_more()? == Some(true))
    }

    /// Returns true for a page without records that the upstream may answer better a moment later: one that leaves its array out, and the first
    /// one among numbered pages that says that others follow, where the upstream filters its pages or has lost the records of this one. A page
    /// that was counted without records had none twice.
    pub(super) fn is_hollow(&self) -> Result<bool, PageError> {
        let EndRules { pagination, addresses, progress, .. } = self.rules;
        if self.page.holder == RecordHolder::Absent && pagination.records.presence == Presence::Required {
            return Ok(!pagination.is_sent_once());
        }
        let is_first = progress.filled() > 0 && progress.filled() == progress.pages();
        if !is_first || !addresses.is_numbered() || pagination.is_sent_once() || pagination.end == End::EmptyPage {
            return Ok(false);
        }
        let names_next = || self.rules.names_next(self.answer.head, self.page, progress.pages() + 1);
        Ok(self.says_more()?.unwrap_or_else(names_next))
    }

    /// Returns true for a page that says by its flag, or by a pointer that is there and empty, that it is the last one.
    pub(super) fn says_last(&self) -> Result<bool, PageError> {
        let pagination = self.rules.pagination;
        let is_there = |source: &&Source| source.is_present(self.answer.head, &self.page.fields);
        let is_flagged = pagination.more.as_ref().is_some_and(|more| self.page.fields.get(&more.path).is_some());
        Ok((is_flagged || pagination.pointers().iter().any(is_there)) && self.says_more()? == Some(false))
    }

    /// The page's word, at the configured places, whether others follow; none where it has no such place.
    pub(super) fn says_more(&self) -> Result<Option<bool>, PageError> {
        let more = self.rules.pagination.more.as_ref().map_or(Ok(None), |more| more.read(&self.page.fields))?;
        Ok(match more {
            None if self.rules.pagination.style.is_pointed() => {
                Some(self.rules.pagination.end != End::EmptyPage && self.rules.next(self.answer)?.is_some())
            }
            more => more,
        })
    }
}
