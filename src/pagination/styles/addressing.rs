//! Vocabulary of addresses: what a style makes the next request from, and what it makes.

use std::sync::Arc;

use http::{StatusCode, header};
use serde_json::json;
use url::Url;

use super::template::Template;
use crate::pagination::error::PageError;
use crate::pagination::link_guard::LinkGuard;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::request::{Encode, PageRequest, Param};

/// State of a walk that the next address is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressContext<'a> {
    pub(crate) guard: &'a LinkGuard,
    /// First request of the walk, which each computed address starts from.
    pub(crate) first: &'a PageRequest,
    /// Page or record number that the current page was asked with; 0 in styles without one.
    pub(crate) number: u64,
    /// Number of records that the current page was asked for.
    pub(crate) size: Option<u64>,
}

/// Answer to a page's request, as far as it has been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageAnswer<'a> {
    pub(crate) head: &'a Head,
    pub(crate) fields: &'a PageFields,
    pub(crate) records: u64,
    pub(crate) last_record: &'a [u8],
}

/// Request of a page, and the page or record number in it.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) request: Arc<PageRequest>,
    pub(crate) number: u64,
}

/// Place in the collection that a walk's first request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Beginning of the collection.
    Beginning,
    /// A later page: the upstream's totals prove nothing.
    Midway,
}

/// Relation between a page and the address of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// The page holds the next address or a token.
    Pointer,
    /// The next address has the next page number.
    PageNumber,
    /// The next address has the number of the record behind the page.
    RecordNumber,
    /// The next address has the key of the page's last record.
    Key,
    /// There is no next page.
    SinglePage,
}

impl Address {
    pub(crate) fn new(request: PageRequest, number: u64) -> Self {
        Self { request: Arc::new(request), number }
    }

    pub(crate) fn unnumbered(request: PageRequest) -> Self {
        Self::new(request, 0)
    }
}

impl AddressContext<'_> {
    /// The first request with the address that `link`, resolved against `base`, names.
    pub(super) fn at(&self, base: &Url, link: &str) -> Result<PageRequest, PageError> {
        Ok(PageRequest { url: self.guard.resolve(base, link)?, ..self.first.clone() })
    }

    /// The first request with a number in it, under the template's `placeholder` if there is one.
    pub(super) fn numbered(
        &self,
        param: &Param,
        template: Option<&Template>,
        number: u64,
        placeholder: &str,
    ) -> Result<Address, PageError> {
        let mut request = self.first.clone();
        let value = match template {
            Some(template) => {
                let end = number.saturating_add(self.size.unwrap_or(0)).to_string();
                json!(self.filled(template, param, &[(placeholder, number.to_string()), ("end_offset", end)]))
            }
            None => json!(number),
        };
        request.set(param, &value, Encode::Plain)?;
        Ok(Address::new(request, number))
    }

    /// First address of a numbered style: with the client's own number where its request has one.
    pub(super) fn first_numbered(
        &self,
        param: &Param,
        template: Option<&Template>,
        start: u64,
        placeholder: &str,
    ) -> Result<(Address, Start), PageError> {
        let own = if template.is_some() { None } else { self.first.value_at(param) };
        let number = match own {
            Some(text) => text.trim().parse().map_err(|_| PageError::BadStart(param.clone()))?,
            None => start,
        };
        let begins = if number == start { Start::Beginning } else { Start::Midway };
        Ok((self.numbered(param, template, number, placeholder)?, begins))
    }

    /// Text of a template with these values, the page size and the parameter's own value in the first request.
    pub(super) fn filled(&self, Template(template): &Template, param: &Param, values: &[(&str, String)]) -> String {
        let mut text = template.clone();
        if let Some(limit) = self.size {
            text = text.replace("{limit}", &limit.to_string());
        }
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text.replace(&format!("{{{}}}", param.own_name()), &self.first.value_at(param).unwrap_or_default())
    }
}

/// Refuses `206 Partial Content` with a range of bytes (RFC 9110 §15.3.7): a page may be a part of a collection, and no part of a text.
pub(super) fn refuse_bytes(head: &Head) -> Result<(), PageError> {
    let range = head.headers.get(header::CONTENT_RANGE).map_or(&[][..], |range| range.as_bytes());
    if head.status == StatusCode::PARTIAL_CONTENT && range.trim_ascii_start().starts_with(b"bytes") {
        return Err(PageError::of_refusal(head.status, &head.headers, range));
    }
    Ok(())
}
