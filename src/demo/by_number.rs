//! Pages that are addressed by a number of the client's: a page, an offset, a range, or none at all.

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
        "total": at.window.told(),
        "page": at.page,
        "size": at.size,
        "pages": at.window.told_pages(),
    });
    Ok(Answer::page(at.window, envelope))
}

/// The number of orders to leave out, and how many to give.
pub(super) fn offset(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let (offset, limit) = (ask.number("offset")?.unwrap_or(0), ask.size("limit")?);
    let window = ask.counted(offset, limit)?;
    let envelope = json!({ "items": ORDERS, "limit": limit, "offset": offset, "total": window.told() });
    Ok(Answer::page(window, envelope))
}

/// As PostgREST, and as Heroku without a `Range`: what isn't the whole is 206.
pub(super) fn range(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let asked = asked_range(ask)?;
    let size = ask.legacy.page_size(asked.map(|(_, size)| size));
    let first = asked.map_or(0, |(first, _)| first);
    let window = ask.window(first, size)?;
    let told = quirks::in_header(&window.told()).unwrap_or_else(|| "*".to_owned());
    if asked.is_some() && first >= window.total {
        let message = format!("the range begins past the end of {} orders: {first}", window.total);
        let answer = Answer::from(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, message));
        return Ok(answer.header(header::CONTENT_RANGE, &format!("items */{told}")));
    }
    let answer = Answer::page(window, json!(ORDERS)).header(header::ACCEPT_RANGES, "items");
    Ok(match window {
        Window { skip: 0, end, total, .. } if end == total => answer,
        Window { skip, end, .. } => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, &format!("items {skip}-{}/{told}", end - 1)),
    })
}

/// First position and length of a `Range: items=0-99` or `items=100-`; a unit of another kind is ignored (RFC 9110 §14.2).
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

/// One page that seems to be all there is; only its total says that it was cut at the most that a page holds.
pub(super) fn none(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = ask.window(0, ask.legacy.page_size(Some(u64::MAX)))?;
    Ok(Answer::page(window, json!({ "orders": ORDERS, "total": window.told() })))
}
