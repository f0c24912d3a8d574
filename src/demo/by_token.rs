//! Pages with a token for the next request, or whose last order is the token; each marks the end in its own way.

use serde_json::json;

use super::answer::{Answer, ORDERS, Refusal, Shape};
use super::ask::Ask;
use super::orders::Order;

/// The token is null at the end.
pub(super) fn cursor(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = ask.after("cursor", "limit")?;
    Ok(Answer::page(window, json!({ "data": ORDERS, "meta": { "next_cursor": window.next() } })))
}

/// As Slack's token, empty at the end; as Pocket's records, an object keyed by id.
pub(super) fn values(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = ask.after("cursor", "limit")?;
    let envelope = json!({ "orders": ORDERS, "next_cursor": window.next().unwrap_or_default() });
    Ok(Answer::page(window, envelope).shaped(Shape::Values))
}

/// As HubSpot's search: the token's whole object is absent at the end.
pub(super) fn search(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = ask.after("after", "limit")?;
    let mut envelope = json!({ "total": window.reported_total(), "results": ORDERS });
    if let Some(next) = window.next() {
        envelope["paging"] = json!({ "next": { "after": next } });
    }
    Ok(Answer::page(window, envelope))
}

/// As a Relay connection: a token on the last page too, and errors under status 200.
pub(super) fn graphql(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    ask.text("query")?.ok_or_else(|| Refusal::bad("`query` is missing: send {\"query\": …, \"variables\": …}"))?;
    let window = match ask.inside("variables").and_then(|variables| variables.after("after", "first")) {
        Ok(window) => window,
        Err(refusal) => {
            let errors = json!([{ "message": refusal.message() }]);
            return Ok(Answer::without_orders(json!({ "errors": errors, "data": null })));
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
    Ok(Answer::page(window, json!({ "data": { "orders": orders } })).shaped(Shape::Edges))
}

/// As Stripe: the last order's id is the token, and an unknown id is refused.
pub(super) fn keyset(ask: &Ask<'_>) -> Result<Answer, Refusal> {
    let window = match ask.text("starting_after")? {
        Some(id) => {
            let known = Order::of_id(id).filter(|order| (1..=ask.legacy.records).contains(&order.0));
            let order = known.ok_or_else(|| Refusal::bad(format!("`starting_after` is no order's id: {id}")))?;
            ask.behind(order, ask.size("limit")?)?
        }
        None => ask.window(0, ask.size("limit")?)?,
    };
    let envelope = json!({
        "object": "list",
        "has_more": window.end < window.total,
        "data": ORDERS,
    });
    Ok(Answer::page(window, envelope))
}
