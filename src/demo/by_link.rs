//! Pages with the URL of the next page: absolute or relative, in the body or in a header field.

use http::{HeaderName, StatusCode, header};
use serde_json::json;

use super::answer::{DemoAnswer, ORDERS};
use super::faults;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;

/// As GitHub and GitLab: no link to the page itself, and no `Link` if there is one page.
pub(super) fn link(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let at = request.numbered("page", "per_page")?;
    let mut targets = Vec::new();
    if at.page > 1 {
        targets.extend([("first", 1), ("prev", (at.page - 1).min(at.pages))]);
    }
    if at.page < at.pages {
        targets.extend([("next", at.page + 1), ("last", at.pages)]);
    }
    let total = faults::in_header(&at.window.reported_total());
    let mut answer = DemoAnswer::page(at.window, json!(ORDERS));
    if let Some(total) = total {
        answer = answer.with_header(HeaderName::from_static("x-total-count"), &total);
    }
    if targets.is_empty() {
        return Ok(answer);
    }
    let origin = request.origin();
    let links: Vec<_> = targets
        .into_iter()
        .map(|(rel, page)| format!("<{origin}{}>; rel=\"{rel}\"", request.path_with(&[("page", page.to_string())])))
        .collect();
    Ok(answer.with_header(header::LINK, &links.join(", ")))
}

/// As Django REST framework: a page past the last is not found.
pub(super) fn next_url(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let at = request.numbered("page", "page_size")?;
    if at.page > at.pages {
        return Err(DemoRefusal::new(StatusCode::NOT_FOUND, format!("there are only {} pages: {}", at.pages, at.page)));
    }
    let to = |page: u64| format!("{}{}", request.origin(), request.path_with(&[("page", page.to_string())]));
    let envelope = json!({
        "count": at.window.reported_total(),
        "next": (at.page < at.pages).then(|| to(at.page + 1)),
        "previous": (at.page > 1).then(|| to(at.page - 1)),
        "results": ORDERS,
    });
    Ok(DemoAnswer::page(at.window, envelope))
}

/// As JSON:API: brackets in the parameters' names, links without an origin.
pub(super) fn relative(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let at = request.numbered("page[number]", "page[size]")?;
    let to = |page: u64| request.path_with(&[("page[number]", page.to_string())]);
    let links = json!({
        "first": to(1),
        "last": to(at.pages),
        "prev": (at.page > 1).then(|| to((at.page - 1).min(at.pages))),
        "next": (at.page < at.pages).then(|| to(at.page + 1)),
    });
    let envelope = json!({ "data": ORDERS, "links": links, "meta": { "total": at.window.reported_total() } });
    Ok(DemoAnswer::page(at.window, envelope))
}

/// As OData 4: a link relative to the request, behind the orders, under a name with a dot; absent from the last page.
pub(super) fn odata(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.after("$skiptoken", "$maxpagesize")?;
    let mut envelope = json!({
        "@odata.context": format!("{}/odata/$metadata#orders", request.origin()),
        "@odata.count": window.reported_total(),
        "value": ORDERS,
    });
    if let Some(next) = window.next() {
        let link = request.path_with(&[("$skiptoken", next)]);
        envelope["@odata.nextLink"] = json!(link.trim_start_matches("/odata/"));
    }
    Ok(DemoAnswer::page(window, envelope))
}

/// As Kinto: the whole URL in a header field of its own.
pub(super) fn header(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.after("_token", "_limit")?;
    let next = window.next();
    let answer = DemoAnswer::page(window, json!({ "data": ORDERS }));
    Ok(match next {
        Some(next) => {
            let link = format!("{}{}", request.origin(), request.path_with(&[("_token", next)]));
            answer.with_header(HeaderName::from_static("next-page"), &link)
        }
        None => answer,
    })
}
