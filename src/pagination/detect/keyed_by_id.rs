//! An object that is keyed by the ids of its records.

use serde_json::{Map, Value};

use super::member_names;
use crate::pagination::Path;
use crate::pagination::path::Segment;

const DEPTH: usize = 3;
const IDS: [&str; 6] = ["id", "_id", "pageid", "uid", "uuid", "key"];

/// Path of the only object of the page whose members are named as the ids in them, unless an array of objects stands outside of it: what is
/// keyed by id beside records is what they refer to.
pub(super) fn records_path(page: &Value) -> Option<Path> {
    let mut found = Vec::new();
    let mut level = vec![(Vec::new(), page.as_object()?)];
    for _ in 0..=DEPTH {
        let mut below = Vec::new();
        for (path, members) in level {
            if is_keyed(members) {
                found.push(path);
                continue;
            }
            for (name, value) in members {
                let mut path: Vec<Segment> = path.clone();
                path.push(Segment::Name(name.clone()));
                match value {
                    _ if member_names::is_not_records(name) => {}
                    Value::Array(elements) if elements.first().is_some_and(Value::is_object) => return None,
                    Value::Object(members) => below.push((path, members)),
                    _ => {}
                }
            }
        }
        level = below;
    }
    match found.len() {
        1 => found.pop().map(Path::new),
        _ => None,
    }
}

/// Returns true for several records, each of which has its name as its id.
fn is_keyed(members: &Map<String, Value>) -> bool {
    let is_record = |(name, record): (&String, &Value)| {
        IDS.into_iter().filter_map(|id| record.get(id)).any(|id| match id {
            Value::String(id) => id == name,
            Value::Number(id) => id.to_string() == *name,
            _ => false,
        })
    };
    members.len() > 1 && members.iter().all(is_record)
}
