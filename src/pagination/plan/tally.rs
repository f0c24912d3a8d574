//! What a crawl has seen so far: the counts that an end is proven against, and what must not come twice.

use std::collections::HashMap;

use http::header::CONTENT_RANGE;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::gist::Gist;
use super::range::content_range;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::{PageError, Source, link};

/// The running counts of one crawl.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Pages that came.
    pub(super) pages: u64,
    /// Pages that came with records.
    pub(super) filled: u64,
    /// Records that came, each once.
    pub(super) records: u64,
    /// Whether a page held the upstream's "more" flag.
    pub(super) flagged: bool,
    /// Pages without a record that came in a row.
    pub(super) empty_pages: u64,
    /// The most records on one page before the current one.
    pub(super) longest: u64,
    /// The upstream's total, as last said by a page with records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
    /// The largest total that the upstream ever said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) most: Option<u64>,
    /// The upstream's number of pages, as last said by a page with records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) total_pages: Option<u64>,
    /// What the first page with records starts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) opening: Option<u64>,
    /// What the last page that was counted, and the request that it led to, have put into the sets.
    added: Added,
    /// Each page's digest and each request's identity → the page's number.
    #[serde(skip)]
    digests: HashMap<u64, u64>,
    /// What each page started with → the page's number, the first of those that start alike.
    #[serde(skip)]
    starts: HashMap<u64, u64>,
    #[serde(skip)]
    requests: HashMap<u64, u64>,
}

/// What a page adds to what must not come twice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Added {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    /// Of the request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<u64>,
}

impl Tally {
    /// Notes a request; `Err` is the page that the same request has asked for before.
    pub(super) fn asked(&mut self, identity: u64) -> Result<(), u64> {
        let page = self.pages + 1;
        self.added.request = Some(identity);
        match self.requests.insert(identity, page) {
            Some(earlier) => Err(earlier),
            None => Ok(()),
        }
    }

    /// Whether a request like this was asked.
    pub(super) fn knows(&self, identity: u64) -> bool {
        self.requests.contains_key(&identity)
    }

    /// The earlier page that held the same records.
    pub(super) fn repeated(&self, page: &Gist) -> Option<u64> {
        self.digests.get(&page.digest()).copied().filter(|_| page.records > 0)
    }

    /// The earlier page that started so.
    pub(super) fn started(&self, start: u64) -> Option<u64> {
        self.starts.get(&start).copied()
    }

    /// Counts a page.
    pub(super) fn count(&mut self, page: &Gist) {
        let new = page.new_records();
        self.pages += 1;
        self.records += new;
        self.empty_pages = if new == 0 { self.empty_pages + 1 } else { 0 };
        self.added = Added::default();
        if page.records > 0 {
            self.filled += 1;
            self.opening.get_or_insert(page.start);
            (self.added.digest, self.added.start) = (Some(page.digest()), Some(page.start));
            self.add();
        }
    }

    /// All but the sets, and of those what was added last.
    pub(super) fn counts(&self) -> Self {
        Self { digests: HashMap::new(), starts: HashMap::new(), requests: HashMap::new(), ..*self }
    }

    /// Goes on to what [`Tally::counts`] said one page later.
    pub(super) fn fold(&mut self, counts: &Self) -> Result<(), PageError> {
        // A last page that came twice is not counted twice.
        if !(self.pages..=self.pages + 1).contains(&counts.pages) || counts.records < self.records {
            return Err(PageError::BadCheckpoint("a page is missing".to_owned()));
        }
        let Self { digests, starts, requests, .. } = std::mem::take(self);
        *self = Self { digests, starts, requests, ..*counts };
        self.add();
        Ok(())
    }

    fn add(&mut self) {
        let Added { digest, start, request } = self.added;
        self.digests.extend(digest.map(|digest| (digest, self.pages)));
        if let Some(start) = start {
            self.starts.entry(start).or_insert(self.pages);
        }
        self.requests.extend(request.map(|request| (request, self.pages + 1)));
    }

    /// Reads the upstream's totals; past the end, where some upstreams make them up, they are not read.
    pub(super) fn read_totals(
        &mut self,
        total: Option<&Source>,
        total_pages: Option<&Source>,
        head: &Head,
        fields: &PageFields,
        records: u64,
    ) -> Result<Shrunk, PageError> {
        let mut shrunk = Shrunk::No;
        if records > 0 || self.pages == 0 {
            if let Some(new) = total.map(|source| number(source, head, fields)).transpose()?.flatten() {
                if let Some(before) = self.total.filter(|before| new < *before) {
                    shrunk = Shrunk::From(before);
                }
                self.total = Some(new);
                self.most = self.most.max(Some(new));
            }
            if let Some(new) = total_pages.map(|source| number(source, head, fields)).transpose()?.flatten() {
                self.total_pages = Some(new);
            }
        }
        Ok(shrunk)
    }
}

/// Whether the total is smaller than on an earlier page.
pub(super) enum Shrunk {
    No,
    From(u64),
}

/// A whole number in an answer, also where it is spelled as a string; absent and `null` are none.
pub(super) fn number(source: &Source, head: &Head, fields: &PageFields) -> Result<Option<u64>, PageError> {
    let not_a_number = |text: &str| PageError::NotANumber { source_name: source.to_string(), found: excerpt(text) };
    let text = match source {
        Source::LastLink { param, start } => return last_page(head, param, *start, not_a_number),
        // The number behind its slash; `*` says that it isn't known (RFC 9110 §14.4).
        Source::Header(CONTENT_RANGE) => {
            let value = head.headers.get(CONTENT_RANGE).map_or(&[][..], |value| value.as_bytes());
            let range = content_range(&head.headers).map_err(|_| not_a_number(&String::from_utf8_lossy(value)))?;
            return Ok(range.and_then(|range| range.total));
        }
        Source::Body(path) | Source::Links { path, .. } => match fields.get(path) {
            None | Some(serde_json::Value::Null) => return Ok(None),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        },
        Source::Header(name) => match head.headers.get(name) {
            None => return Ok(None),
            Some(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        },
    };
    let whole = text.trim().parse().ok().or_else(|| {
        // `1e3` and `1000.0` are whole numbers too in JSON.
        let float: f64 = text.trim().parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
        (float.fract() == 0.0 && (0.0..9.0e15).contains(&float)).then_some(float as u64)
    });
    whole.map(Some).ok_or_else(|| not_a_number(&text))
}

/// How many pages there are up to the one that the `Link` with the relation `last` leads to.
fn last_page(
    head: &Head,
    param: &str,
    start: u64,
    not_a_number: impl Fn(&str) -> PageError,
) -> Result<Option<u64>, PageError> {
    let links = link::links(&head.headers)?;
    let Some(link) = links.iter().find(|link| link.has_rel("last")) else { return Ok(None) };
    // The rest of the address may hold a secret, and isn't shown.
    let address = link.target.split('#').next().unwrap_or_default();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let number = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == param).map(|(_, value)| value);
    let text = number.ok_or_else(|| not_a_number(&format!("a link without the parameter `{param}`")))?;
    let last: Option<u64> = text.parse().ok();
    let pages = last.and_then(|last| last.checked_add(1)?.checked_sub(start));
    pages.map(Some).ok_or_else(|| not_a_number(&text))
}

/// The start of a text that came from outside, fit for one line of a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;

    fn said(source: &Source, field: &'static str, value: &'static str) -> Result<Option<u64>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(field), HeaderValue::from_static(value));
        let head = Head { status: StatusCode::OK, headers, url: "http://a/x?page=1&key=hunter2".parse().unwrap() };
        number(source, &head, &PageFields::default()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn a_content_range_says_the_total_behind_its_slash() {
        let total = |value| said(&Source::Header(CONTENT_RANGE), "content-range", value);
        assert_eq!(total("items 0-24/1237"), Ok(Some(1237)));
        assert_eq!(total("0-24/1237"), Ok(Some(1237)));
        assert_eq!(total("*/0"), Ok(Some(0)));
        assert_eq!(total("items 0-24/*"), Ok(None));
        assert_eq!(said(&Source::Header(CONTENT_RANGE), "x-other", "1"), Ok(None));
        for nonsense in ["1237", "items 0-24/many", "items 0-24/-1", ""] {
            let told = total(nonsense).unwrap_err();
            assert!(told.starts_with("the header field `content-range` should be a whole number"), "{told}");
        }
    }

    #[test]
    fn the_last_link_counts_pages_from_the_first() {
        let last = |start, value| said(&Source::LastLink { param: "page".to_owned(), start }, "link", value);
        assert_eq!(last(1, "<?page=2>; rel=next, <http://a/x?page=50&size=9>; rel=\"last\""), Ok(Some(50)));
        assert_eq!(last(0, "</x?page=49>; rel=last"), Ok(Some(50)));
        assert_eq!(last(1, "<?page=0>; rel=last"), Ok(Some(0)));
        assert_eq!(last(1, "<?page=2>; rel=next"), Ok(None));
        for nonsense in ["<?p=50>; rel=last", "<?page=last>; rel=last", "<?page=-1>; rel=last", "<?page=0>; rel=last"] {
            let told = last(2, nonsense).unwrap_err();
            assert!(told.starts_with("the Link header with rel=last should be a whole number: "), "{told}");
        }
        assert!(last(1, "?page=50; rel=last").unwrap_err().starts_with("the Link header can't be read"));
        let told = last(1, "<?p=hunter2>; rel=last").unwrap_err();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
