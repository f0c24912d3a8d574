//! Upstreams that page their lists by `Link`: evidence that a page without one is all of its list.
//!
//! The rule: an upstream that has sent `rel="next"` with a list of a form sends it with each list of that form that goes on. A page of this
//! form has no `Link` to a next page, no other sign of one, and fewer records than a page that had a next one: nothing follows it. The form
//! is the container of the records, the sizes that the request asks for, and the fields by which servers behind one origin differ.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use url::Origin;

use crate::pagination::detect::{PageParam, page_param};
use crate::pagination::page::Head;
use crate::pagination::{PageRequest, PageSize, Pagination, Path, Style};

/// Most forms that are kept of an origin.
const FORMS: usize = 32;

/// Lists that were seen to be paged by `Link`, by their origin; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkedOrigins {
    lists: Arc<Mutex<HashMap<Origin, Vec<LinkedList>>>>,
}

#[derive(Debug)]
struct LinkedList {
    /// None: the API's documents say it of each of its lists.
    form: Option<AnswerForm>,
    /// Number of records on a page that has a next one.
    full: u64,
}

/// Form of a list's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnswerForm {
    is_array: bool,
    /// Page sizes of the request.
    sizes: Vec<(String, String)>,
    server: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
}

impl AnswerForm {
    pub(super) fn of(asked: &PageRequest, head: &Head, records: &Path) -> Self {
        let pairs = asked.url.query_pairs().filter(|(name, _)| page_param(name) == Some(PageParam::Size));
        let field = |headers: &HeaderMap, name| headers.get(name).cloned();
        Self {
            is_array: records.is_root(),
            sizes: pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            server: field(&head.headers, SERVER),
            content_type: field(&head.headers, CONTENT_TYPE),
        }
    }
}

impl LinkedOrigins {
    /// Notes a list whose first page of `full` records has led to a second one with records.
    pub(super) fn note(&self, origin: Origin, form: AnswerForm, full: u64) {
        self.add(origin, LinkedList { form: Some(form), full });
    }

    /// Notes the word of an API's documents that its lists have a `Link`, where a page's size is asked for.
    pub(super) fn note_documented(&self, origin: Origin, pagination: &Pagination, asked: &PageRequest) {
        let size = pagination.page_size.as_ref();
        let own = size.and_then(|size| asked.value_at(size.param.as_ref()?)).and_then(|own| own.parse().ok());
        let full = own.or(size.and_then(PageSize::asked));
        if let (Style::LinkHeader(_), Some(full)) = (&pagination.style, full) {
            self.add(origin, LinkedList { form: None, full });
        }
    }

    /// Returns true if a page of `records` records, which has no sign of a next one, is all of its list.
    pub(super) fn show_whole(&self, origin: &Origin, form: &AnswerForm, records: u64) -> bool {
        let lists = self.lists.lock();
        let is_of = |list: &LinkedList| list.form.as_ref().is_none_or(|known| known == form);
        lists.get(origin).into_iter().flatten().any(|list| is_of(list) && records < list.full)
    }

    /// Of two pages of a form, the smaller one counts.
    fn add(&self, origin: Origin, list: LinkedList) {
        let mut lists = self.lists.lock();
        let lists = lists.entry(origin).or_default();
        if let Some(known) = lists.iter_mut().find(|known| known.form == list.form) {
            known.full = known.full.min(list.full);
        } else if lists.len() < FORMS {
            lists.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use url::Url;

    use super::*;

    fn form(url: &str, server: &'static str, records: &str) -> AnswerForm {
        let headers = HeaderMap::from_iter([(SERVER, HeaderValue::from_static(server))]);
        let url: Url = url.parse().unwrap();
        let head = Head { status: StatusCode::OK, headers, url: url.clone() };
        AnswerForm::of(&PageRequest::get(url), &head, &records.parse().unwrap())
    }

    #[test]
    fn a_smaller_page_of_the_same_form_is_whole() {
        let origins = LinkedOrigins::default();
        let url: Url = "http://a/orders?limit=10&q=x".parse().unwrap();
        let known = form(url.as_str(), "s", "$");
        assert!(!origins.show_whole(&url.origin(), &known, 3));
        origins.note(url.origin(), known.clone(), 10);
        assert!(origins.show_whole(&url.origin(), &form("http://a/items?limit=10", "s", "$"), 9));
        assert!(!origins.show_whole(&url.origin(), &known, 10), "a full page may go on");
        for other in [
            form("http://a/items?limit=20", "s", "$"),
            form("http://a/items?limit=10", "t", "$"),
            form("http://a/items?limit=10", "s", "items"),
        ] {
            assert!(!origins.show_whole(&url.origin(), &other, 3), "{other:?}");
        }
        let elsewhere: Url = "http://b/".parse().unwrap();
        assert!(!origins.show_whole(&elsewhere.origin(), &known, 3));
    }
}
