//! Whether a collection is still as an earlier crawl found it: one conditional request.

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};

use super::Crawl;
use super::exchange::{AttemptError, exchange};
use super::failure;
use crate::error::Failure;
use crate::pagination::PageRequest;
use crate::pagination::plan::{self, Plan, Step};

impl Crawl {
    /// Asks once for the first page, under the condition that it has changed: whether the upstream says that it has not. What
    /// else it says is dropped.
    pub async fn unchanged(&self, etag: Option<&str>, last_modified: Option<&str>) -> Result<bool, Failure> {
        let condition = |name, value: Option<&str>| Some((name, HeaderValue::from_str(value?).ok()?));
        let (name, value) = match condition(IF_NONE_MATCH, etag).or_else(|| condition(IF_MODIFIED_SINCE, last_modified))
        {
            Some(condition) => condition,
            None => return Ok(false),
        };
        let mut crawl = self.clone();
        crawl.client = crawl.client.for_crawl(&crawl.first);
        crawl.prepare()?;
        let mut opened = crawl.walk(std::sync::Arc::clone(&crawl.pagination), crawl.first.clone())?;
        let Some(mut request) = first_request(&mut opened.plan) else { return Ok(false) };
        request.headers.insert(name, value);
        match exchange(&crawl.client, &request).await {
            Err(AttemptError::Refused(head, _)) => Ok(head.status == StatusCode::NOT_MODIFIED),
            Ok(_) => Ok(false),
            Err(error) => Err(failure::failed(&crawl.client, &error, &request)),
        }
    }
}

fn first_request(plan: &mut Plan) -> Option<PageRequest> {
    loop {
        match plan.step(plan::Room::Open).ok()? {
            Step::Emit(_) => {}
            Step::Fetch(_, request) => return Some(*request),
            Step::Wait | Step::Done(_) => return None,
        }
    }
}
