//! Upstreams that page their lists by `Link`: evidence that a page without one is all of its list.
//!
//! The rule: an upstream that has sent `rel="next"` with a full page of a form sends it with each full page of that form that another one
//! follows. A page of the same form, with fewer records than were asked for, without a `Link` to a next page and without any other sign of
//! one, is all of its list. The form is the caller, the folder of the path, the container of the records, the page size, which the request
//! must ask for, and the fields by which servers behind one origin differ. A round number of records may be a cap of a list that is not
//! paged at all, and shows nothing. The verdict is `unverified`: the rule is about lists, and not about this one.
//!
//! Documents of an API say it of each of its lists; there, a total has to confirm it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::HeaderValue;
use http::header::{CONTENT_TYPE, SERVER};
use parking_lot::Mutex;
use url::Origin;

use crate::pagination::detect::{PageParam, page_param};
use crate::pagination::page::Head;
use crate::pagination::{PageRequest, PageSize, Pagination, Path, Style};

/// Divisor of numbers that are usual for a cap.
const ROUND: u64 = 5;

/// Most forms that are kept of an origin; a new one takes the place of the oldest.
const FORMS: usize = 64;

/// Lists that were seen to be paged by `Link`, by their origin; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkedOrigins {
    known: Arc<Mutex<HashMap<Origin, LinkedLists>>>,
}

#[derive(Debug, Default)]
struct LinkedLists {
    /// Page size that is asked for where the API's documents say that its lists have a `Link`.
    documented: Option<u64>,
    forms: Vec<AnswerForm>,
}

/// Form of a list's answers to one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerForm {
    /// Hash of the request's header fields.
    caller: u64,
    folder: String,
    is_array: bool,
    /// Parameter of the page size, and its value.
    size: (String, u64),
    server: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
}

/// Source of the evidence for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WholeBy {
    Documents,
    OtherLists,
}

impl AnswerForm {
    /// Form of an answer; none where the request does not ask for one page size.
    pub(super) fn of(asked: &PageRequest, head: &Head, records: &Path) -> Option<Self> {
        let mut sizes = asked.url.query_pairs().filter(|(name, _)| page_param(name) == Some(PageParam::Size));
        let (name, value) = sizes.next()?;
        let value = value.parse().ok().filter(|_| sizes.next().is_none())?;
        let mut caller = DefaultHasher::new();
        asked.headers.iter().for_each(|(name, value)| (name, value).hash(&mut caller));
        let (folder, _) = asked.url.path().trim_end_matches('/').rsplit_once('/')?;
        Some(Self {
            caller: caller.finish(),
            folder: folder.to_owned(),
            is_array: records.is_root(),
            size: (name.into_owned(), value),
            server: head.headers.get(SERVER).cloned(),
            content_type: head.headers.get(CONTENT_TYPE).cloned(),
        })
    }
}

impl LinkedOrigins {
    /// Notes a list whose first page of `records` records has led to a second one with records.
    pub(super) fn note(&self, origin: Origin, form: AnswerForm, records: u64) {
        let mut known = self.known.lock();
        let forms = &mut known.entry(origin).or_default().forms;
        if records == form.size.1 && !forms.contains(&form) {
            if forms.len() == FORMS {
                forms.remove(0);
            }
            forms.push(form);
        }
    }

    /// Notes the word of an API's documents that its lists have a `Link`, where a page's size is asked for.
    pub(super) fn note_documented(&self, origin: Origin, pagination: &Pagination, asked: &PageRequest) {
        let size = pagination.page_size.as_ref();
        let own = size.and_then(|size| asked.value_at(size.param.as_ref()?)).and_then(|own| own.parse().ok());
        let size = own.or(size.and_then(PageSize::asked));
        if matches!(pagination.style, Style::LinkHeader(_)) {
            self.known.lock().entry(origin).or_default().documented = size;
        }
    }

    /// Returns the evidence that a page of `records` records, which has no sign of a next one, is all of its list. `has_total`: the page
    /// says that its list has as many.
    pub(super) fn show_whole(
        &self,
        origin: &Origin,
        form: Option<&AnswerForm>,
        records: u64,
        has_total: bool,
    ) -> Option<WholeBy> {
        let known = self.known.lock();
        let LinkedLists { documented, forms } = known.get(origin)?;
        if has_total && documented.is_some_and(|size| records < size) {
            return Some(WholeBy::Documents);
        }
        let form = form.filter(|form| records < form.size.1 && !records.is_multiple_of(ROUND))?;
        forms.contains(form).then_some(WholeBy::OtherLists)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use url::Url;

    use super::*;

    fn form(url: &str, caller: &'static str, server: &'static str, records: &str) -> Option<AnswerForm> {
        let field = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        let url: Url = url.parse().unwrap();
        let head = Head { status: StatusCode::OK, headers: field(SERVER, server), url: url.clone() };
        let asked = PageRequest { headers: field(http::header::AUTHORIZATION, caller), ..PageRequest::get(url) };
        AnswerForm::of(&asked, &head, &records.parse().unwrap())
    }

    #[test]
    fn a_smaller_page_of_the_same_form_is_whole() {
        let origins = LinkedOrigins::default();
        let origin = |url: &str| url.parse::<Url>().unwrap().origin();
        let is_whole = |form: Option<AnswerForm>, records| {
            origins.show_whole(&origin("http://a"), form.as_ref(), records, false) == Some(WholeBy::OtherLists)
        };
        let orders = || form("http://a/v1/orders?limit=10&q=x", "one", "s", "$");
        assert!(!is_whole(orders(), 3));
        // The default size of one list says nothing of another's, and this one was no full page.
        assert_eq!(form("http://a/v1/orders", "one", "s", "$"), None);
        origins.note(origin("http://a"), orders().unwrap(), 9);
        assert!(!is_whole(orders(), 3));
        origins.note(origin("http://a"), orders().unwrap(), 10);
        assert!(is_whole(form("http://a/v1/items?limit=10", "one", "s", "$"), 9));
        for records in [0, 5, 10, 11] {
            assert!(!is_whole(orders(), records), "{records}");
        }
        for other in [
            form("http://a/v1/items?limit=20", "one", "s", "$"),
            form("http://a/v1/items?per_page=10", "one", "s", "$"),
            form("http://a/v1/items?limit=10&per_page=10", "one", "s", "$"),
            form("http://a/v2/items?limit=10", "one", "s", "$"),
            form("http://a/v1/items?limit=10", "two", "s", "$"),
            form("http://a/v1/items?limit=10", "one", "t", "$"),
            form("http://a/v1/items?limit=10", "one", "s", "items"),
        ] {
            assert!(!is_whole(other.clone(), 3), "{other:?}");
        }
        assert_eq!(origins.show_whole(&origin("http://b"), orders().as_ref(), 3, true), None);
    }
}
