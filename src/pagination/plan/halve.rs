//! Smaller pages, where the upstream keeps failing at those that it was asked for.

use serde_json::Value;

use super::follow::{Follow, State};
use crate::pagination::{Encode, PageRequest, Style};

impl Follow {
    /// Whether the page whose turn it is could be asked for with half as many records.
    pub(super) fn may_halve(&self) -> bool {
        self.halved().is_some()
    }

    /// Asks for the page whose turn it is with half as many records, and for those behind it: Asked ⇒ Ask. Says whether it does.
    pub(super) fn halve(&mut self) -> bool {
        let Some(Halved { request, first, size, position }) = self.halved() else { return false };
        let (State::Asked(_, aim) | State::Ask(_, aim)) = self.state else { return false };
        if self.tally.asked(request.identity()).is_err() {
            return false;
        }
        let by_page = matches!(self.pagination.style, Style::Page { .. });
        (self.first, self.size, self.position.number) = (first, Some(size), position);
        self.stride = self.stride.filter(|_| by_page);
        // Smaller pages are none of those that are short, and twice as many pages have come.
        self.tally.longest = self.tally.longest.min(size);
        if by_page {
            self.tally.filled *= 2;
            self.tally.total_pages = None;
        }
        self.state = State::Ask(Box::new(request), aim);
        true
    }

    fn halved(&self) -> Option<Halved> {
        let (State::Asked(request, _) | State::Ask(request, _)) = &self.state else { return None };
        let param = self.pagination.page_size.as_ref()?.param.as_ref()?;
        let size = self.size.filter(|size| *size > 1 && self.page.records == 0)?;
        let half = size / 2;
        let sized = |request: &PageRequest| {
            let mut request = request.clone();
            request.set(param, &Value::from(half), Encode::Plain).ok()?;
            Some(request)
        };
        let first = sized(&self.first)?;
        match &self.pagination.style {
            // Page n holds what pages 2n and 2n + 1 of half its size do, counted from 0, where pages have the size that is asked for.
            Style::Page { param, start, template: None } if size.is_multiple_of(2) => {
                let index = self.position.number.checked_sub(*start)?;
                if index > 0 && self.tally.longest != size {
                    return None;
                }
                let position = start + index.checked_mul(2)?;
                let mut request = first.clone();
                request.set(param, &Value::from(position), Encode::Plain).ok()?;
                Some(Halved { request, first, size: half, position })
            }
            Style::Offset { template: None, .. } | Style::Keyset { .. } => {
                Some(Halved { request: sized(request)?, first, size: half, position: self.position.number })
            }
            // A template holds the size in a place that isn't known here. A link or a token may hold the number of a page, which
            // is another place with another size: what lies between would be lost.
            _ => None,
        }
    }
}

/// What is asked for instead of a page.
struct Halved {
    request: PageRequest,
    /// What the pages behind it are made from.
    first: PageRequest,
    size: u64,
    position: u64,
}
