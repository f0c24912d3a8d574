//! Columns in place of records: arrays of scalars side by side, of which one has the ids or the times of the others.

use std::collections::HashSet;

use serde_json::Value;

use super::{member_names, record_array};
use crate::pagination::Path;
use crate::pagination::path::Segment;

/// Names of a column that says which record the values of the others belong to.
const INDEX: [&str; 8] = ["id", "ids", "key", "keys", "time", "times", "timestamp", "timestamps"];

/// Paths of all arrays of the page, if they are columns of one table. Only one of them may be an index: two lists of ids that are equally long are
/// as likely two lists.
pub(super) fn paths(page: &Value) -> Option<Vec<Path>> {
    let arrays = record_array::arrays(page);
    let [(first, length), _, ..] = arrays.as_slice() else { return None };
    let (_, parents) = first.segments().split_last()?;
    let mut indexes = 0;
    for (path, own) in &arrays {
        let (Segment::Name(name), beside) = path.segments().split_last()? else { return None };
        let values = path.of_value(page)?.as_array()?;
        let is_column = beside == parents && own == length && !values.iter().any(is_container);
        if !is_column || path.segments().iter().any(is_aside) || *length < 2 {
            return None;
        }
        if is_index(name) {
            indexes += 1;
            // Of a long array only the first elements are known.
            let known: Vec<_> = values.iter().filter(|value| !value.is_null()).map(Value::to_string).collect();
            if known.is_empty() || known.iter().collect::<HashSet<_>>().len() < known.len() {
                return None;
            }
        }
    }
    (indexes == 1).then(|| arrays.into_iter().map(|(path, _)| path).collect())
}

fn is_index(name: &str) -> bool {
    let plain = member_names::plain(name);
    INDEX.contains(&plain.as_str()) || name.ends_with("_id") || name.ends_with("_ids")
}

fn is_aside(segment: &Segment) -> bool {
    matches!(segment, Segment::Name(name) if member_names::is_not_records(name))
}

fn is_container(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrays_with_one_index_among_them_are_columns() {
        let shown =
            |page: &Value| paths(page).map(|paths| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(shown(&json!({"ids": [1, 2], "names": ["a", null], "next": "t"})).as_deref(), Some("ids names"));
        let hourly = json!({"hourly": {"time": ["00:00", "01:00"], "rain": [0.0, 0.1], "wind": [3, 4]}});
        assert!(shown(&hourly).is_some_and(|paths| paths.split(' ').count() == 3));
        for page in [
            json!({"ids": [1, 2], "names": ["a"]}),
            json!({"ids": [1, 2]}),
            json!({"ids": [1, 1], "names": ["a", "b"]}),
            json!({"users": ["a", "b"], "groups": ["c", "d"]}),
            json!({"user_ids": [1, 2], "group_ids": [3, 4]}),
            json!({"ids": [1, 2], "names": ["a", "b"], "rows": []}),
            json!({"ids": [1, 2], "rows": [{"a": 1}, {"a": 2}]}),
            json!({"ids": [1, 2], "errors": ["x", "y"]}),
            json!({"ids": [1, 2], "of": {"names": ["a", "b"]}}),
            json!({"ids": [1], "names": ["a"]}),
            json!([[1, 2], [3, 4]]),
        ] {
            assert_eq!(shown(&page), None, "{page}");
        }
    }
}
