//! The start of a crawl in a state of the collection that is opened for it, where one is configured.

use std::sync::Arc;

use super::Crawl;
use super::drive::Driver;
use super::failure_report::wrong_page;
use super::opened_state::OpenState;
use crate::error::Failure;
use crate::pagination::request::BadPlace;
use crate::pagination::{OpenedState, Pagination, Param};

/// A crawl that has asked for no page yet, in a state that is opened for it where one is configured. A state that the client's request names
/// is left to the client.
pub(super) async fn start(crawl: &Crawl, pagination: &Arc<Pagination>) -> Result<Box<Driver>, Failure> {
    match pagination.opened_state() {
        // Boxed: few crawls open a state, and the futures around each have the room.
        Some((param, opened)) if !crawl.first.json_at(param).is_some_and(|own| OpenedState::is_name(&own)) => {
            Box::pin(start_in_state(crawl, pagination, param, opened)).await
        }
        _ => Driver::new(crawl, Arc::clone(pagination)),
    }
}

async fn start_in_state(
    crawl: &Crawl,
    pagination: &Arc<Pagination>,
    param: &Param,
    opened: &OpenedState,
) -> Result<Box<Driver>, Failure> {
    let state = OpenState::open(crawl, opened).await?;
    let bad = |bad: BadPlace| wrong_page(&crawl.client, &bad.into(), &crawl.first.url);
    let first = opened.first_page(param, &state.name, &state.guard(), &crawl.first).map_err(bad)?;
    let mut driver = Driver::new(&Crawl { first, ..crawl.clone() }, Arc::clone(pagination))?;
    driver.opened = Some(state);
    Ok(driver)
}
