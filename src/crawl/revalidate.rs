//! The revalidation of a collection (RFC 9111 §4.3): one conditional request.

use std::sync::Arc;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};

use super::Crawl;
use super::drive::Driver;
use super::exchange::exchange;
use super::failure_report::{self, AttemptError};
use super::open::ResumeState;
use crate::error::Failure;
use crate::pagination::retry::{NoContent, PagePlace};

/// Asks once, as [`Crawl::unchanged`].
pub(super) async fn unchanged(
    mut crawl: Crawl,
    etag: Option<&str>,
    last_modified: Option<&str>,
) -> Result<bool, Failure> {
    let condition = |name, value: Option<&str>| Some((name, HeaderValue::from_str(value?).ok()?));
    let Some((name, value)) = condition(IF_NONE_MATCH, etag).or_else(|| condition(IF_MODIFIED_SINCE, last_modified))
    else {
        return Ok(false);
    };
    if crawl.pagination.opened_state().is_some() {
        // Each crawl has a state of its own, of which no validator is known.
        return Ok(false);
    }
    ResumeState::prepare(&mut crawl)?;
    let mut driver = Driver::new(&crawl, Arc::clone(&crawl.pagination))?;
    let Some((_, _, mut request)) = driver.first_request() else { return Ok(false) };
    Arc::make_mut(&mut request).headers.insert(name, value);
    match exchange(&crawl.client, &request, NoContent::Page, PagePlace::First).await {
        Err(AttemptError::Refused(head, ..)) => Ok(head.status == StatusCode::NOT_MODIFIED),
        Ok(_) => Ok(false),
        Err(error) => Err(failure_report::failed(&crawl.client, &error, &request, PagePlace::First)),
    }
}
