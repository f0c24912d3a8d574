//! The operator's list of snapshots, as JSON: no query and no credential stands in it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::snapshot::SnapshotListing;

/// The list, the newest first.
pub(super) fn list(listed: &[SnapshotListing]) -> String {
    let now = SystemTime::now();
    let list: Vec<Value> = listed.iter().map(|listed| line(listed, now)).collect();
    format!("{:#}\n", Value::Array(list))
}

fn line(listed: &SnapshotListing, now: SystemTime) -> Value {
    let SnapshotListing {
        id,
        collection,
        state,
        consistency,
        records,
        bytes,
        from,
        pages,
        usage,
        readers,
        created,
        expires,
        ..
    } = listed;
    let asked = usage.as_ref();
    let seconds = |time: Duration| time.as_secs();
    json!({
        "id": id,
        "collection": collection,
        "state": state,
        "consistency": consistency,
        "records": records,
        "bytes": bytes,
        "pages": pages,
        "counted_for": asked.map(|asked| seconds(now.duration_since(asked.since).unwrap_or_default())),
        "requests": asked.map(|asked| asked.requests),
        "retries": asked.map(|asked| asked.retries),
        "waits": asked.map(|asked| asked.waits),
        "waited_seconds": asked.map(|asked| seconds(asked.waited)),
        "first_byte": from,
        "readers": readers,
        "age": seconds(now.duration_since(*created).unwrap_or_default()),
        "expires_in": expires.map(|expires| seconds(expires.duration_since(now).unwrap_or_default())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapshotSettings;
    use crate::snapshot::Store;

    #[test]
    fn a_line_says_what_can_be_read_of_a_snapshot() {
        let id = Store::open(SnapshotSettings::in_test()).unwrap().new_id();
        let now = SystemTime::now();
        let listed = SnapshotListing {
            id,
            collection: "/orders".to_owned(),
            state: "complete",
            consistency: Some("steady"),
            end: None,
            request: None,
            is_stored: false,
            records: 3,
            bytes: 90,
            from: 60,
            pages: 2,
            usage: None,
            readers: 0,
            created: now - Duration::from_secs(7),
            expires: Some(now + Duration::from_secs(5)),
        };
        let expected = json!({
            "id": id,
            "collection": "/orders",
            "state": "complete",
            "consistency": "steady",
            "records": 3,
            "bytes": 90,
            "first_byte": 60,
            "pages": 2,
            "counted_for": null,
            "requests": null,
            "retries": null,
            "waits": null,
            "waited_seconds": null,
            "readers": 0,
            "age": 7,
            "expires_in": 5,
        });
        assert_eq!(line(&listed, now), expected);
    }
}
