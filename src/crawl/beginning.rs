//! The beginning of a crawl: its first request, and the state that a resumed crawl needs of it.

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure_report;
use super::spec::Crawl;
use crate::config::written;
use crate::error::Failure;
use crate::pagination::request::BadPlace;
use crate::pagination::{Encode, PageRequest, Pagination, Since, ValidAt, VersionSource};

/// The state of a crawl's beginning that is needed to resume it, beside its configuration and its request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// The first request without its header fields, as a hash.
    pub(super) first: u64,
    /// With `auto`, the recognised pagination, as a configuration writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recognised: Option<String>,
    /// The moment that the upstream is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) valid_at: Option<SystemTime>,
}

impl Beginning {
    /// Puts into the crawl's first request the record that it begins behind and the moment that it is asked for.
    pub(super) fn prepare(crawl: &mut Crawl) -> Result<Self, Failure> {
        crawl.client = crawl.client.for_crawl(&crawl.first);
        let pagination = Arc::clone(&crawl.pagination);
        let mut first = crawl.first.clone();
        let bad = |bad: BadPlace| failure_report::wrong_page(&crawl.client, &bad.into(), &crawl.first.url);
        if let (Some(Since { param, .. }), Some(value)) = (&pagination.since, &crawl.since) {
            first.set(param, &Value::from(value.as_str()), Encode::Plain).map_err(bad)?;
        }
        let mut beginning = Self::new(&first);
        if let Some(ValidAt { param, from: VersionSource::Clock(format) }) = &pagination.valid_at
            // A request that names the moment wants that one.
            && first.value_at(param).is_none()
        {
            let valid_at = format.moment(crawl.valid_at.unwrap_or_else(SystemTime::now));
            first.set(param, &format.value(valid_at), Encode::Plain).map_err(bad)?;
            beginning.valid_at = Some(valid_at);
        }
        crawl.first = first;
        Ok(beginning)
    }

    fn new(first: &PageRequest) -> Self {
        let first = PageRequest { headers: HeaderMap::new(), ..first.clone() };
        Self { first: first.identity(), recognised: None, valid_at: None }
    }

    /// The same with the pagination that was recognised, where none was configured.
    pub(super) fn with_recognised(self, configured: &Pagination, found: &Pagination) -> Self {
        let recognised = configured.style.is_auto().then(|| written(found));
        Self { recognised, ..self }
    }
}
