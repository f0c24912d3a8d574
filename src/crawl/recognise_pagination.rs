//! Recognition of the pagination (`auto`): the first page suggests candidates, and the second one proves or refutes each.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::attempts::PageFailure;
use super::drive::{CrawlProgress, Driver};
use super::failure_report::{self, RequestAuthor};
use super::linked_origins::{AnswerForm, WholeBy};
use super::whole_page::{UnknownPage, whole};
use super::{Crawl, known_place, lone_page};
use crate::error::{Failure, Fault};
use crate::pagination::detect::ConfiguredFacts;
use crate::pagination::error::SHARED_RECORD_HINT;
use crate::pagination::link_guard::ALIAS_HINT;
use crate::pagination::page::Head;
use crate::pagination::plan::{CurrentPageEvent, PageName};
use crate::pagination::request::remove_query;
use crate::pagination::splitter::Splitter;
use crate::pagination::{
    Advance, Encode, Encoding, ErrorSettings, KEYED_HINT, LinkHeader, LonePage, ONE_RECORD_HINT, Offset, PageError,
    PageNumber, Pagination, PaginationAuthor, Path, Records, Style, detect,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecondPage {
    Empty,
    /// It has records, or the first page was the only one.
    Other,
}

/// Number of times that a collection is looked at which changes between its first two pages.
const LOOKS: usize = 3;

/// Recognises the pagination, and starts a crawl behind the second page.
pub(super) async fn open(mut crawl: Crawl) -> Result<Box<Driver>, Failure> {
    let sized = crawl.pagination.sized(crawl.first.clone());
    crawl.first = sized.map_err(|bad| failure_report::wrong_page(&crawl.client, &bad.into(), &crawl.first.url))?;
    let mut look = 1;
    loop {
        match recognise(&crawl).await {
            Err(moved) if moved.fault == Fault::Moved && look < LOOKS => tracing::debug!("looking again: {moved}"),
            recognised => return recognised,
        }
        look += 1;
    }
}

/// Fetches the first page, and the second one as each candidate would, until one of them holds.
async fn recognise(crawl: &Crawl) -> Result<Box<Driver>, Failure> {
    let first = first_page(crawl).await?;
    let (head, page) = (&first.head, &first.json);
    let json = detect::outline(page);
    let configured_records = crawl.pagination.records.paths.iter().find(|path| {
        let holder = path.split_at_each().0;
        holder.of_value(&json).is_some_and(|value| value.is_array() || value.is_object())
    });
    // What is kept can't be lost on the way.
    let mut asked = crawl.first.clone();
    crawl.pagination.keep.iter().for_each(|name| remove_query(&mut asked.url, name));
    let known =
        ConfiguredFacts { records: configured_records.cloned(), unnamed_counts: crawl.pagination.unnamed_counts };
    let detection = detect::detect_beside(&asked, &head.headers, &json, known);
    let mut notes = detection.seen;
    let mut hint = None;
    for candidate in detection.candidates {
        let mut pagination = Arc::new(configured(&crawl.pagination, candidate.pagination, first.encoding));
        let refuted = known_place::refuting(crawl, &pagination, page).await;
        let mut attempted = match refuted {
            None => attempt(crawl, Arc::clone(&pagination), &first).await,
            Some(why) => Err(Failure::new(Fault::Unproven, why, "")),
        };
        // Records that are others in each answer refute any number, and show nothing.
        if refuted.is_none()
            && let Some(by_pages) = may_count_pages(crawl, &pagination, &attempted)
            && counts_pages(crawl, &by_pages, page).await
        {
            pagination = Arc::new(by_pages);
            attempted = attempt(crawl, Arc::clone(&pagination), &first).await;
        }
        match attempted {
            Ok((driver, _)) => {
                if matches!(pagination.style, Style::LinkHeader(_))
                    && driver.records > detection.records
                    && let Some(form) = form(crawl, head, &pagination)
                {
                    crawl.crawls.linked.note(crawl.first.url.origin(), form, detection.records);
                }
                tracing::info!(
                    "recognised {} ({}):\n{}",
                    pagination.style.name(),
                    candidate.why,
                    crate::config::written(&pagination)
                );
                return Ok(driver);
            }
            // The second page belongs to the list of the first one, which changed meanwhile. For another candidate, whose parameter the
            // upstream may ignore, the change would make the first page a second one.
            Err(failure) if matches!(failure.fault, Fault::Unreachable | Fault::Timeout | Fault::Moved) => {
                return Err(failure);
            }
            Err(failure) => {
                tracing::debug!("{} was not it: {failure}", candidate.why);
                notes.push(format!("tried {} ({}): {}", pagination.style.name(), candidate.why, failure.message));
                let is_telling =
                    [ALIAS_HINT, SHARED_RECORD_HINT, KEYED_HINT, ONE_RECORD_HINT].contains(&failure.hint.as_str());
                hint = hint.or(is_telling.then_some(failure.hint));
            }
        }
    }
    if let Some(lone) = detection.lone {
        for by_number in lone_page::numbered(crawl, &lone.pagination, page).await {
            let pagination = Arc::new(configured(&crawl.pagination, by_number, first.encoding));
            if let Ok((driver, _)) = attempt(crawl, Arc::clone(&pagination), &first).await {
                tracing::info!(
                    "recognised {} by asking:\n{}",
                    pagination.style.name(),
                    crate::config::written(&pagination)
                );
                return Ok(driver);
            }
        }
        if head.status == StatusCode::PARTIAL_CONTENT {
            notes.push("status 206, for a part of the collection".to_owned());
            return Err(unrecognised(crawl, notes, hint));
        }
        let form = form(crawl, head, &configured(&crawl.pagination, lone.pagination.clone(), first.encoding));
        // A total beside the records of a lone page is their number.
        let has_total = lone.pagination.total.is_some();
        let origin = crawl.first.url.origin();
        if let Some(by) = crawl.crawls.linked.show_whole(&origin, form.as_ref(), detection.records, has_total) {
            let whole = configured(&crawl.pagination, lone.pagination, first.encoding);
            let link_header = LinkHeader { rel: "next".to_owned(), attribute: None };
            let (single_page, author) = (LonePage::Accept, PaginationAuthor::LinkedLists);
            let whole = match by {
                WholeBy::Documents => Pagination { style: link_header.into(), ..whole },
                WholeBy::OtherLists => Pagination { single_page, author, ..whole },
            };
            tracing::info!("one page without a Link, by which this API pages its lists ({by:?})");
            return attempt(crawl, Arc::new(whole), &first).await.map(|(driver, _)| driver);
        }
        if crawl.pagination.single_page != LonePage::Refuse {
            let lone = configured(&crawl.pagination, lone.pagination, first.encoding);
            let lone = Pagination { single_page: crawl.pagination.single_page, ..lone };
            return attempt(crawl, Arc::new(lone), &first).await.map(|(driver, _)| driver);
        }
    }
    Err(unrecognised(crawl, notes, hint))
}

/// Makes the failure, with the signs that were seen. `hint` is that of the strongest sign: a link to another origin, or a page that continues
/// the first one.
fn unrecognised(crawl: &Crawl, notes: Vec<String>, hint: Option<String>) -> Failure {
    let wrong = PageError::Unrecognised(notes);
    let failure = failure_report::wrong_page(&crawl.client, &wrong, &crawl.first.url);
    Failure { fault: Fault::Unproven, hint: hint.unwrap_or(failure.hint), ..failure }
}

/// Form of a list's answers, by which lists of one API are compared.
fn form(crawl: &Crawl, head: &Head, pagination: &Pagination) -> Option<AnswerForm> {
    let root = Path::root();
    AnswerForm::of(&crawl.first, head, pagination.records.paths.first().unwrap_or(&root))
}

/// The same pagination by pages, where an attempt by offset leaves open if the parameter counts records or pages: the page at the number of
/// records is empty, or refutes what came.
fn may_count_pages(
    crawl: &Crawl,
    pagination: &Pagination,
    attempted: &Result<(Box<Driver>, SecondPage), Failure>,
) -> Option<Pagination> {
    let Style::Offset(Offset { param, start: 0, step: Advance::Returned, template: None }) = &pagination.style else {
        return None;
    };
    let is_open = match attempted {
        Ok((_, SecondPage::Empty)) => true,
        Ok((_, SecondPage::Other)) => false,
        // At 0 alone a number of records and one of pages are the same place.
        Err(failure) => failure.fault == Fault::Unproven && crawl.first.value_at(param).as_deref() == Some("0"),
    };
    let style = PageNumber { param: param.clone(), start: 0, template: None };
    is_open.then(|| Pagination { style: style.into(), ..pagination.clone() })
}

/// Asks for number 1: behind a first page of several records, an offset has the second of them there, and a page number others.
async fn counts_pages(crawl: &Crawl, by_pages: &Pagination, first: &[u8]) -> bool {
    let mut asked = crawl.first.clone();
    let is_set = by_pages.style.params().iter().all(|param| asked.set(param, &Value::from(1), Encode::Plain).is_ok());
    let second = Crawl { first: asked, ..crawl.clone() };
    is_set
        && match whole(&second).await {
            Ok(page) => by_pages.records.paths.iter().any(|path| detect::begins_elsewhere(path, first, &page.json)),
            Err(_) => false,
        }
}

/// Fetches the first page, of which nothing is known yet.
pub(super) async fn first_page(crawl: &Crawl) -> Result<UnknownPage, Failure> {
    match whole(crawl).await {
        Ok(page) => Ok(page),
        Err(PageFailure::Refused(head, body, _)) => {
            let wrong = PageError::of_refusal(head.status, &head.headers, &body);
            let is_extended = crawl.pagination.page_size.is_some();
            let author = if is_extended { RequestAuthor::Extended } else { RequestAuthor::Client };
            let failure = author.wrong_page(&crawl.client, &wrong, &head.url);
            let message = format!("page 1 of {}", failure.message);
            Err(Failure { message, headers: failure_report::kept_headers(&head), ..failure })
        }
        Err(PageFailure::Lost(failure, _)) => Err(failure),
    }
}

/// The candidate with the configuration that `auto` has, which holds for every one.
fn configured(said: &Pagination, found: Pagination, encoding: Encoding) -> Pagination {
    let mut both = found;
    if !said.records.paths.is_empty() {
        both.records = said.records.clone();
    }
    let Records { presence, validation, whitespace, .. } = said.records;
    both.records = Records { presence, encoding, validation, whitespace, ..both.records };
    both.page_size = said.page_size.clone();
    both.key = said.key.clone().or(both.key);
    both.total = said.total.clone().or(both.total);
    both.total_pages = said.total_pages.clone().or(both.total_pages);
    if said.failures != ErrorSettings::default() {
        both.failures = said.failures.clone();
    }
    both.unnamed_counts = said.unnamed_counts;
    both.limits = said.limits.clone();
    both.valid_at = said.valid_at.clone();
    both.precondition = said.precondition;
    both.consistency = said.consistency;
    both.on_missed = said.on_missed;
    both.record_order = said.record_order;
    both.on_double = said.on_double;
    both.keep = said.keep.clone();
    both.cookies = said.cookies;
    both
}

/// Crawls the first two pages as the candidate would.
async fn attempt(
    crawl: &Crawl,
    pagination: Arc<Pagination>,
    page: &UnknownPage,
) -> Result<(Box<Driver>, SecondPage), Failure> {
    let head = &page.head;
    // A guess costs one request, and not one for each page that it leads to.
    let narrow = Crawl { width: 1, ..crawl.clone() };
    let mut driver = Driver::new(&narrow, pagination)?;
    // The page has come already: this only tells the plan that it was asked for.
    let Some((id, part, request)) = driver.first_request() else { return Ok((driver, SecondPage::Other)) };
    driver.note_head(head);
    let mut splitter = Splitter::of_answer(Arc::clone(&driver.shape), request);
    let split = driver
        .plan
        .accept(id, CurrentPageEvent::Begun(head))
        .and_then(|_| splitter.feed(&page.text))
        .and_then(|()| splitter.finish());
    let first = split.map_err(|wrong| driver.page_failure(&wrong, head, PageName::FIRST))?;
    driver.arrived(id, part, head, first)?;
    let before = driver.records;
    let is_page = second_page(&mut driver).await? == CrawlProgress::Page;
    let second = if is_page && driver.records == before { SecondPage::Empty } else { SecondPage::Other };
    if second == SecondPage::Empty && driver.pagination.style.is_pointed() {
        // A guessed parameter may be a filter that nothing passes, and a guessed array one that only the first page has:
        // where pages point to each other, the second one has records, or it proves nothing.
        return Err(Failure::new(Fault::Unproven, "the second page has no records there", ""));
    }
    driver.plan.widen(crawl.width);
    Ok((driver, second))
}

/// Fetches the second page, which must differ from the first even where the collection ends: an upstream that ignores a guessed
/// parameter answers with its first page once more.
async fn second_page(driver: &mut Driver) -> Result<CrawlProgress, Failure> {
    loop {
        match driver.progress().await? {
            CrawlProgress::Underway => {}
            CrawlProgress::Page if driver.plan.repeats() == Some(1) => {
                let failure = driver.crawl_failure(&driver.pagination.style.repeated(1));
                return Err(failure_report::on_page(PageName::SECOND, failure));
            }
            end => return Ok(end),
        }
    }
}
