//! An object that is keyed by the ids of its records.

use serde_json::{Map, Value};

use super::member_names;
use crate::pagination::Path;
use crate::pagination::path::Segment;

const DEPTH: usize = 3;
const IDS: [&str; 5] = ["id", "_id", "uid", "uuid", "key"];

/// The only object of the page whose members are named as the ids in them, and the path of the id. An array outside of it that may hold records,
/// here or on another page, rules it out: objects keyed by id beside records are those that the records refer to.
pub(super) fn records(page: &Value) -> Option<(Path, Path)> {
    let mut found = Vec::new();
    let mut level = vec![(Vec::new(), page.as_object()?)];
    for _ in 0..=DEPTH {
        let mut below = Vec::new();
        for (path, members) in level {
            if let Some(id) = id_of(members) {
                found.push((path, id));
                continue;
            }
            for (name, value) in members {
                let mut path: Vec<Segment> = path.clone();
                path.push(Segment::Name(name.clone()));
                match value {
                    _ if member_names::is_not_records(name) => {}
                    Value::Array(elements) if elements.is_empty() || elements.iter().any(is_container) => {
                        return None;
                    }
                    Value::Array(_) if member_names::is_records(name) => return None,
                    Value::Object(members) => below.push((path, members)),
                    _ => {}
                }
            }
        }
        level = below;
    }
    // Records may be deeper.
    if !level.is_empty() {
        return None;
    }
    match found.len() {
        1 => found.pop().map(|(path, id)| (Path::new(path), Path::new(vec![Segment::Name(id.to_owned())]))),
        _ => None,
    }
}

/// Name of the member by which several records are keyed: in each of them it equals the record's name.
fn id_of(members: &Map<String, Value>) -> Option<&'static str> {
    let is_id = |id: &&str| {
        members.iter().all(|(name, record)| match record.get(id) {
            Some(Value::String(id)) => id == name,
            Some(Value::Number(id)) => id.to_string() == *name,
            _ => false,
        })
    };
    IDS.into_iter().find(is_id).filter(|_| members.len() > 1)
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}
