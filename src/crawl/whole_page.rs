//! A page of an unknown collection, fetched whole.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::StatusCode;

use super::Crawl;
use super::attempts::{Attempts, PageFailure};
use super::failure_report::AttemptError;
use crate::config::Caps;
use crate::pagination::page::Head;
use crate::pagination::retry::{PagePlace, PageTraits, RetryBudget};
use crate::pagination::splitter::{BYTE_ORDER_MARK, PageShape, Splitter, json_of, xml_as_json};
use crate::pagination::{Encoding, PageError, Pagination, Path, Presence, Records, Style, Validation};

/// A page that is valid JSON, or was converted into it.
#[derive(Debug)]
pub(super) struct UnknownPage {
    pub(super) head: Arc<Head>,
    pub(super) json: Bytes,
    /// Encoding of the page as it came: none, or XML.
    pub(super) encoding: Encoding,
}

/// Fetches the first page.
pub(super) async fn whole(crawl: &Crawl) -> Result<UnknownPage, PageFailure> {
    let shape = unknown_shape(crawl);
    let budget = RetryBudget::new(&crawl.client.upstream().retry);
    let traits = PageTraits::of_one_page(PagePlace::First);
    let mut attempts = Attempts::new(crawl.client.clone(), Arc::new(crawl.first.clone()), budget, traits);
    loop {
        let error = match attempt_whole(&attempts, &crawl.caps, &shape).await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        if let Some(failure) = attempts.settle(error).await {
            return Err(failure);
        }
    }
}

async fn attempt_whole(attempts: &Attempts, caps: &Caps, shape: &Arc<PageShape>) -> Result<UnknownPage, AttemptError> {
    let (head, mut body) = attempts.exchange().await?;
    let mut raw = BytesMut::from(if head.status == StatusCode::NO_CONTENT { "{}" } else { "" });
    while let Some(piece) = body.try_next().await? {
        if (raw.len() + piece.len()) as u64 > caps.whole_page_bytes() {
            return Err(PageError::WholePageTooLarge(caps.whole_page_bytes()).into());
        }
        raw.extend_from_slice(&piece);
    }
    let page = raw.freeze();
    let mark = if page.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let text = page.slice(mark..);
    let (json, encoding) = match xml_as_json(&text) {
        Some(json) => (json, Encoding::Xml),
        None => (json_of(&text), Encoding::None),
    };
    let mut splitter = Splitter::of_answer(Arc::clone(shape), Arc::clone(attempts.request()));
    splitter.feed(if encoding == Encoding::Xml { &json } else { &page })?;
    splitter.finish()?;
    Ok(UnknownPage { head, json, encoding })
}

/// Returns the shape of a page of which nothing is known.
fn unknown_shape(crawl: &Crawl) -> Arc<PageShape> {
    let unknown = Records {
        paths: Vec::new(),
        presence: Presence::Optional,
        validation: Validation::Full,
        ..Records::at(Path::root())
    };
    Arc::new(PageShape::new(&Pagination::of(Style::SINGLE, unknown), &crawl.caps))
}
