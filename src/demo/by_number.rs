//! Pages that the client addresses by a number (a page, an offset, a range), and a single page.

use http::{StatusCode, header};
use serde_json::json;

use super::answer::{DemoAnswer, ORDERS};
use super::faults;
use super::page_window::OrderWindow;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;

/// As fastapi-pagination: empty past the end.
pub(super) fn page(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let at = request.numbered("page", "size")?;
    let envelope = json!({
        "items": ORDERS,
        "total": at.window.reported_total(),
        "page": at.page,
        "size": at.size,
        "pages": at.window.reported_pages(),
    });
    Ok(DemoAnswer::page(at.window, envelope))
}

/// As most APIs with `offset` and `limit`.
pub(super) fn offset(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let (offset, limit) = (request.number("offset")?.unwrap_or(0), request.size("limit")?);
    let window = request.counted(offset, limit)?;
    let envelope = json!({ "items": ORDERS, "limit": limit, "offset": offset, "total": window.reported_total() });
    Ok(DemoAnswer::page(window, envelope))
}

/// As PostgREST, and as Heroku without a `Range`: a part has status 206.
pub(super) fn range(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let asked = asked_range(request)?;
    let size = request.legacy.page_size(asked.map(|(_, size)| size));
    let first = asked.map_or(0, |(first, _)| first);
    let window = request.window(first, size)?;
    let total = faults::in_header(&window.reported_total()).unwrap_or_else(|| "*".to_owned());
    if asked.is_some() && first >= window.total {
        let message = format!("the range begins past the end of {} orders: {first}", window.total);
        let answer = DemoAnswer::from(DemoRefusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message));
        return Ok(answer.with_header(header::CONTENT_RANGE, &format!("items */{total}")));
    }
    let OrderWindow { skip, end, total: all, .. } = window;
    let answer = DemoAnswer::page(window, json!(ORDERS)).with_header(header::ACCEPT_RANGES, "items");
    Ok(match (skip, end) {
        (0, end) if end == all => answer,
        (skip, end) => answer
            .with_status(StatusCode::PARTIAL_CONTENT)
            .with_header(header::CONTENT_RANGE, &format!("items {skip}-{}/{total}", end - 1)),
    })
}

/// First position and length of `Range: items=0-99` or `items=100-`; another unit is ignored (RFC 9110 §14.2).
fn asked_range(request: &DemoRequest<'_>) -> Result<Option<(u64, u64)>, DemoRefusal> {
    let Some(value) = request.headers.get(header::RANGE) else { return Ok(None) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let Some(range) = value.strip_prefix("items=") else { return Ok(None) };
    let positions = range.split_once('-').and_then(|(first, last)| {
        let first: u64 = first.parse().ok()?;
        let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
        Some((first, last.checked_sub(first)?.saturating_add(1)))
    });
    positions.map(Some).ok_or_else(|| DemoRefusal::bad(format!("`Range` must be like items=0-99: {value}")))
}

/// A single page; only its total says that it was cut to the largest page size.
pub(super) fn none(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.window(0, request.legacy.page_size(Some(u64::MAX)))?;
    let envelope = json!({ "orders": ORDERS, "total": window.reported_total() });
    Ok(DemoAnswer::page(window, envelope))
}
