//! The operator's list of snapshots, as JSON: no query and no credential stands in it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::snapshot::Listed;

/// The list, the newest first.
pub(super) fn list(listed: &[Listed]) -> String {
    let now = SystemTime::now();
    let list: Vec<Value> = listed.iter().map(|listed| line(listed, now)).collect();
    format!("{:#}\n", Value::Array(list))
}

fn line(listed: &Listed, now: SystemTime) -> Value {
    let Listed { id, collection, state, records, bytes, readers, created, expires } = listed;
    let seconds = |time: Duration| time.as_secs();
    json!({
        "id": id,
        "collection": collection,
        "state": state,
        "records": records,
        "bytes": bytes,
        "readers": readers,
        "age": seconds(now.duration_since(*created).unwrap_or_default()),
        "expires_in": expires.map(|expires| seconds(expires.duration_since(now).unwrap_or_default())),
    })
}
