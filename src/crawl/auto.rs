//! `auto`: the first page says what the pagination may be, and the second one proves or refutes it.

use std::sync::Arc;

use crate::batch::Batch;
use crate::pagination::page::{Head, Page};
use crate::pagination::plan::Step;
use crate::pagination::split::{Shape, Splitter};
use crate::pagination::{Pagination, Presence, Records, RecordsShape, Style, Wrong, detect};
use crate::snapshot::{Failure, Fault};

use super::fetch::{self, Answer};
use super::{Crawl, Opened};

/// Fetches the first page, and the second one as each candidate would, until one of them holds.
pub(super) async fn open(mut crawl: Crawl) -> Result<Opened, Failure> {
    let sized = crawl.pagination.sized(crawl.first.clone());
    crawl.first = sized.map_err(|bad| fetch::wrong_page(&crawl.client, &bad.into(), &crawl.first.url))?;
    let (head, page) = first_page(&crawl).await?;
    let json = detect::outline(&page.raw);
    let configured_records = crawl.pagination.records.paths.iter().find(|path| {
        let holder = path.split_at_each().0;
        holder.of_value(&json).is_some_and(|value| value.is_array() || value.is_object())
    });
    let detection = match configured_records {
        Some(path) => detect::detect_around(&crawl.first, &head.headers, &json, path.clone()),
        None => detect::detect(&crawl.first, &head.headers, &json),
    };
    let mut notes = detection.seen;
    for candidate in detection.candidates {
        let pagination = Arc::new(configured(&crawl.pagination, candidate.pagination));
        match attempt(&crawl, Arc::clone(&pagination), &head, &page).await {
            Ok(opened) => {
                tracing::info!(
                    "recognised {} ({}):\n{}",
                    pagination.style.name(),
                    candidate.why,
                    crate::config::written(&pagination)
                );
                return Ok(opened);
            }
            Err(failure) if matches!(failure.fault, Fault::Unreachable | Fault::Timeout) => return Err(failure),
            Err(failure) => {
                tracing::debug!("{} was not it: {failure}", candidate.why);
                notes.push(format!("tried {} ({}): {}", pagination.style.name(), candidate.why, failure.message));
            }
        }
    }
    let wrong = Wrong::Unrecognised(notes);
    let failure = fetch::wrong_page(&crawl.client, &wrong, &crawl.first.url);
    Err(Failure { fault: Fault::Unproven, ..failure })
}

/// The first page, of which nothing is known yet.
async fn first_page(crawl: &Crawl) -> Result<(Head, Page), Failure> {
    let unknown = Records { paths: Vec::new(), shape: RecordsShape::Elements, presence: Presence::Optional };
    let shape = Arc::new(Shape::of(&Pagination::of(Style::Single, unknown), &crawl.caps));
    match fetch::page(&crawl.client, &crawl.first, &shape).await? {
        Answer::Page(head, page) => Ok((head, page)),
        Answer::Refused(head, body) => {
            let excerpt = String::from_utf8_lossy(&body).chars().take(80).collect();
            let failure = fetch::wrong_page(&crawl.client, &Wrong::Status { status: head.status, excerpt }, &head.url);
            let message = format!("page 1 of {}", failure.message);
            Err(Failure { message, headers: fetch::kept_headers(&head), ..failure })
        }
    }
}

/// What the configuration says beside `auto` holds for every candidate.
fn configured(said: &Pagination, found: Pagination) -> Pagination {
    let mut both = found;
    if !said.records.paths.is_empty() {
        both.records = said.records.clone();
    }
    both.records.presence = said.records.presence;
    both.page_size = said.page_size.clone();
    both.key = said.key.clone().or(both.key);
    both.total = said.total.clone().or(both.total);
    both.total_pages = said.total_pages.clone().or(both.total_pages);
    both.error = said.error.clone().or(both.error);
    both.limits = said.limits.clone();
    both
}

/// Walks the first two pages as the candidate would.
async fn attempt(crawl: &Crawl, pagination: Arc<Pagination>, head: &Head, page: &Page) -> Result<Opened, Failure> {
    let mut opened = crawl.walk(pagination, crawl.first.clone())?;
    // The page is there already: this only tells the plan that it was asked for.
    let Step::Fetch(_) = opened.plan.step() else { return Ok(opened) };
    opened.asked = 1;
    let mut splitter = Splitter::new(Arc::clone(&opened.shape));
    let first = splitter.feed(&page.raw).and_then(|_| splitter.finish());
    let first = first.map_err(|wrong| fetch::wrong_page(&crawl.client, &wrong, &head.url))?;
    let digest = first.digest;
    let batch = opened.take(head, first)?;
    opened.ready.push_back(batch);
    let second = second_page(&mut opened, digest).await?;
    let is_pointed = opened.pagination.style.is_pointed();
    if is_pointed && second.as_ref().is_some_and(Batch::is_empty) {
        // A guessed parameter may be a filter that nothing passes, and a guessed array one that only the first page has:
        // where pages point to each other, the second one has records, or it proves nothing.
        return Err(Failure::new(Fault::Unproven, "the second page has no records there", ""));
    }
    opened.ready.extend(second);
    Ok(opened)
}

/// The second page, which must be another one than the first, whatever ends the collection: an upstream that ignores a guessed
/// parameter answers with its first page once more.
async fn second_page(opened: &mut Opened, first: u64) -> Result<Option<Batch>, Failure> {
    let Step::Fetch(request) = opened.plan.step() else { return Ok(None) };
    opened.asked += 1;
    let answer = fetch::page(&opened.client, &request, &opened.shape).await;
    match answer.map_err(|failure| opened.on_page(failure))? {
        Answer::Page(head, page) if page.records() > 0 && page.digest == first => {
            Err(opened.on_page(fetch::wrong_page(&opened.client, &Wrong::Repeat(1), &head.url)))
        }
        Answer::Page(head, page) => opened.take(&head, page).map(Some),
        Answer::Refused(head, body) => {
            opened.refuse(&head, &body)?;
            opened.next().await
        }
    }
}
