//! Pages that the client addresses by a number (a page, an offset, a range), and a single page.

use http::{StatusCode, header};
use serde_json::json;

use super::answer::{Answer, ORDERS, Refusal};
use super::ask::Ask;
use super::quirks;
use super::window::Window;

/// As fastapi-pagination: empty past the end.
pub(super) fn page(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let at = ask.numbered("page", "size")?;
    let envelope = json!({
        "items": ORDERS,
        "total": at.window.reported_total(),
        "page": at.page,
        "size": at.size,
        "pages": at.window.reported_pages(),
    });
    Ok(Answer::page(at.window, envelope))
}

/// As most APIs with `offset` and `limit`.
pub(super) fn offset(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let (offset, limit) = (ask.number("offset")?.unwrap_or(0), ask.size("limit")?);
    let window = ask.counted(offset, limit)?;
    let envelope = json!({ "items": ORDERS, "limit": limit, "offset": offset, "total": window.reported_total() });
    Ok(Answer::page(window, envelope))
}

/// As PostgREST, and as Heroku without a `Range`: a part has status 206.
pub(super) fn range(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let asked = asked_range(ask)?;
    let size = ask.legacy.page_size(asked.map(|(_, size)| size));
    let first = asked.map_or(0, |(first, _)| first);
    let window = ask.window(first, size)?;
    let total = quirks::in_header(&window.reported_total()).unwrap_or_else(|| "*".to_owned());
    if asked.is_some() && first >= window.total {
        let message = format!("the range begins past the end of {} orders: {first}", window.total);
        let answer = Answer::from(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message));
        return Ok(answer.header(header::CONTENT_RANGE, &format!("items */{total}")));
    }
    let answer = Answer::page(window, json!(ORDERS)).header(header::ACCEPT_RANGES, "items");
    Ok(match window {
        Window { skip: 0, end, total: all, .. } if end == all => answer,
        Window { skip, end, .. } => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, &format!("items {skip}-{}/{total}", end - 1)),
    })
}

/// First position and length of `Range: items=0-99` or `items=100-`; another unit is ignored (RFC 9110 §14.2).
fn asked_range(ask: &Ask<'_>) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = ask.headers.get(header::RANGE) else { return Ok(None) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let Some(range) = value.strip_prefix("items=") else { return Ok(None) };
    let positions = range.split_once('-').and_then(|(first, last)| {
        let first: u64 = first.parse().ok()?;
        let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
        Some((first, last.checked_sub(first)?.saturating_add(1)))
    });
    positions.map(Some).ok_or_else(|| Refusal::bad(format!("`Range` must be like items=0-99: {value}")))
}

/// A single page; only its total says that it was cut to the largest page size.
pub(super) fn none(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = ask.window(0, ask.legacy.page_size(Some(u64::MAX)))?;
    Ok(Answer::page(window, json!({ "orders": ORDERS, "total": window.reported_total() })))
}
