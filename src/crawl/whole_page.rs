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
use crate::pagination::splitter::{BYTE_ORDER_MARK, PageShape, Splitter, as_json, json_of, xml_as_json};
use crate::pagination::{Encoding, PageError, Pagination, Path, Presence, Records, Style, Validation};

/// A page whose text is valid.
#[derive(Debug)]
pub(super) struct UnknownPage {
    pub(super) head: Arc<Head>,
    /// Body of the answer.
    pub(super) text: Bytes,
    /// The text as JSON.
    pub(super) json: Bytes,
    /// Encoding of the text, as configured, or as its media type or its first byte tells.
    pub(super) encoding: Encoding,
}

/// Fetches the first page.
pub(super) async fn whole(crawl: &Crawl) -> Result<UnknownPage, PageFailure> {
    let shape = unknown_shape(crawl);
    let budget = RetryBudget::new(&crawl.client.upstream().retry);
    let traits = PageTraits::of_one_page(PagePlace::First);
    let mut attempts = Attempts::new(crawl.client.clone(), Arc::new(crawl.first.clone()), budget, traits);
    loop {
        // Other answers than pages, such as that which opens a state, have an encoding of their own.
        let said = if crawl.pagination.style.is_auto() { crawl.pagination.records.encoding } else { Encoding::None };
        let error = match attempt_whole(&attempts, &crawl.caps, said, &shape).await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        if let Some(failure) = attempts.settle(error).await {
            return Err(failure);
        }
    }
}

async fn attempt_whole(
    attempts: &Attempts,
    caps: &Caps,
    said: Encoding,
    shape: &Arc<PageShape>,
) -> Result<UnknownPage, AttemptError> {
    let (head, mut body) = attempts.exchange().await?;
    let has_content = head.status != StatusCode::NO_CONTENT;
    let mut raw = BytesMut::from(if has_content { "" } else { "{}" });
    while let Some(piece) = body.try_next().await? {
        if (raw.len() + piece.len()) as u64 > caps.whole_page_bytes() {
            return Err(PageError::WholePageTooLarge(caps.whole_page_bytes()).into());
        }
        raw.extend_from_slice(&piece);
    }
    let text = raw.freeze();
    let mark = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let unmarked = text.slice(mark..);
    // An answer without content has no line and no row either.
    let (said, named) = match has_content {
        true => (said, Encoding::of_media_type(&head.headers, &unmarked)),
        false => (Encoding::None, Encoding::None),
    };
    let (json, encoding) = match (said, named) {
        (Encoding::Base64, _) => (json_of(&unmarked), said),
        (Encoding::None, Encoding::None) => match xml_as_json(&unmarked) {
            Some(json) => (json, Encoding::Xml),
            None => (json_of(&unmarked), Encoding::None),
        },
        (Encoding::None, encoding) | (encoding, _) => (as_json(encoding, &unmarked)?, encoding),
    };
    let mut splitter = Splitter::of_answer(Arc::clone(shape), Arc::clone(attempts.request()));
    splitter.feed(if matches!(encoding, Encoding::None | Encoding::Base64) { &text } else { &json })?;
    splitter.finish()?;
    Ok(UnknownPage { head, text, json, encoding })
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
