//! Pages with a token for the next request, or whose last order is the token; each marks the end in its own way.

use serde_json::json;

use super::answer::{DemoAnswer, ORDERS, OrdersShape};
use super::orders::Order;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;

/// The token is null at the end.
pub(super) fn cursor(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.after("cursor", "limit")?;
    let envelope = json!({ "data": ORDERS, "meta": { "next_cursor": window.next() } });
    Ok(DemoAnswer::page(window, envelope))
}

/// As Slack's token, empty at the end; as Pocket's records, an object keyed by id.
pub(super) fn values(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.after("cursor", "limit")?;
    let envelope = json!({ "orders": ORDERS, "next_cursor": window.next().unwrap_or_default() });
    Ok(DemoAnswer::page(window, envelope).with_shape(OrdersShape::Values))
}

/// As HubSpot's search: the token's whole object is absent at the end.
pub(super) fn search(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = request.after("after", "limit")?;
    let mut envelope = json!({ "total": window.reported_total(), "results": ORDERS });
    if let Some(next) = window.next() {
        envelope["paging"] = json!({ "next": { "after": next } });
    }
    Ok(DemoAnswer::page(window, envelope))
}

/// As a Relay connection: a token on the last page too, and errors under status 200.
pub(super) fn graphql(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    request
        .text("query")?
        .ok_or_else(|| DemoRefusal::bad("`query` is missing: send {\"query\": …, \"variables\": …}"))?;
    let window = match request.inside("variables").and_then(|variables| variables.after("after", "first")) {
        Ok(window) => window,
        Err(refusal) => {
            let errors = json!([{ "message": refusal.message }]);
            return Ok(DemoAnswer::without_orders(json!({ "errors": errors, "data": null })));
        }
    };
    let orders = json!({
        "totalCount": window.reported_total(),
        "edges": ORDERS,
        "pageInfo": {
            "endCursor": window.next().or_else(|| window.token_of_end()),
            "hasNextPage": window.end < window.total,
        },
    });
    Ok(DemoAnswer::page(window, json!({ "data": { "orders": orders } })).with_shape(OrdersShape::Edges))
}

/// As Stripe: the last order's id is the token, and an unknown id is refused.
pub(super) fn keyset(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let window = match request.text("starting_after")? {
        Some(id) => {
            let known = Order::of_id(id).filter(|order| (1..=request.legacy.records).contains(&order.0));
            let order = known.ok_or_else(|| DemoRefusal::bad(format!("`starting_after` is no order's id: {id}")))?;
            request.behind(order, request.size("limit")?)?
        }
        None => request.window(0, request.size("limit")?)?,
    };
    let envelope = json!({
        "object": "list",
        "has_more": window.end < window.total,
        "data": ORDERS,
    });
    Ok(DemoAnswer::page(window, envelope))
}
