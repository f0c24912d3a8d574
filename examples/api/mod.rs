//! A legacy API with 250 orders, 20 a page.

use std::collections::HashMap;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

pub(crate) const ORDERS: u64 = 250;
const PAGE_SIZE: u64 = 20;

/// A router with the API's only path, `/orders?page=1`.
pub(crate) fn router() -> Router {
    Router::new().route("/orders", get(orders))
}

async fn orders(Query(query): Query<HashMap<String, u64>>) -> Json<Value> {
    let page = query.get("page").copied().unwrap_or(1).max(1);
    let first = (page - 1) * PAGE_SIZE + 1;
    let last = (page * PAGE_SIZE).min(ORDERS);
    let orders: Vec<Value> = (first..=last).map(|id| json!({"id": id, "status": "open"})).collect();
    let next = (last < ORDERS).then(|| format!("/orders?page={}", page + 1));
    Json(json!({"orders": orders, "total": ORDERS, "next": next}))
}
