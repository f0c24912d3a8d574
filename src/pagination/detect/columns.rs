//! Phrase for arrays side by side that may be columns. They are never guessed: a column that only a later page has would be left out.

use serde_json::Value;

use super::record_array;
use crate::pagination::path::Segment;

/// Setting that reads all arrays of the page as columns, if they are scalars of one length side by side.
pub(super) fn phrase(page: &Value) -> Option<String> {
    let arrays = record_array::arrays(page);
    let [(first, length), _, ..] = arrays.as_slice() else { return None };
    let (_, parents) = first.segments().split_last()?;
    let is_container = |value: &Value| value.is_object() || value.is_array();
    let is_column = arrays.iter().all(|(path, own)| {
        let is_beside = matches!(path.segments().split_last(), Some((Segment::Name(_), beside)) if beside == parents);
        let values = path.of_value(page).and_then(Value::as_array);
        is_beside && own == length && values.is_some_and(|values| !values.iter().any(is_container))
    });
    let paths: Vec<_> = arrays.iter().map(|(path, _)| format!("\"{path}\"")).collect();
    let paths = paths.join(", ");
    is_column.then(|| {
        format!(
            "arrays of one length side by side (if they are columns, write records = {{ path = [{paths}], as = \"columns\" }})"
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_of_one_length_side_by_side_may_be_columns() {
        let names = |page: &Value, names: &str| phrase(page).is_some_and(|phrase| phrase.contains(names));
        assert!(names(&json!({"ids": [1, 2], "names": ["a", null], "next": "t"}), "path = [\"ids\", \"names\"]"));
        assert!(names(&json!({"hourly": {"time": ["0"], "rain": [0.1]}}), "\"hourly.time\""));
        for page in [
            json!({"ids": [1, 2], "names": ["a"]}),
            json!({"ids": [1, 2]}),
            json!({"ids": [1, 2], "rows": [{"a": 1}, {"a": 2}]}),
            json!({"ids": [1, 2], "of": {"names": ["a", "b"]}}),
            json!([[1, 2], [3, 4]]),
        ] {
            assert_eq!(phrase(&page), None, "{page}");
        }
    }
}
