//! Columns in place of records: `{"id": [1, 2], "name": ["a", "b"]}`, read as the records `{"id": 1, "name": "a"}` and so on.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::pagination::json_extract::{extract, parse};
use crate::pagination::{PageError, Path};

/// The page with records in the place of the first column; as it is, where no column has a value.
pub(super) fn zipped(text: &str, paths: &[Path]) -> Result<String, PageError> {
    let found = extract(text, &paths.iter().collect::<Vec<_>>())?;
    if found.iter().flatten().all(|raw| raw.get() == "null") {
        return Ok(text.to_owned());
    }
    let mut columns = Vec::with_capacity(paths.len());
    for (path, raw) in paths.iter().zip(&found) {
        columns.push(column(path, *raw)?);
    }
    if columns.iter().any(|(_, values)| values.len() != columns[0].1.len()) {
        let lengths = columns.iter().map(|(path, values)| format!("{} values at `{path}`", values.len()));
        return Err(PageError::UnevenColumns(lengths.collect::<Vec<_>>().join(", ")));
    }
    let mut rows = String::from("[");
    for row in 0..columns[0].1.len() {
        rows.push_str(if row == 0 { "{" } else { ",{" });
        for (number, (path, values)) in columns.iter().enumerate() {
            let name = Value::from(path.last_name().unwrap_or_default()).to_string();
            rows.extend([if number == 0 { "" } else { "," }, &name, ":", values[row].get()]);
        }
        rows.push('}');
    }
    rows.push(']');
    let Some(first) = found[0].map(RawValue::get) else { return Ok(text.to_owned()) };
    let begin = first.as_ptr() as usize - text.as_ptr() as usize;
    Ok([&text[..begin], &rows, &text[begin + first.len()..]].concat())
}

fn column<'a, 'p>(path: &'p Path, raw: Option<&'a RawValue>) -> Result<(&'p Path, Vec<&'a RawValue>), PageError> {
    match raw.map(RawValue::get) {
        Some(text) if text.starts_with('[') => Ok((path, parse(text)?)),
        _ => {
            let arrays = "none there, beside other columns".to_owned();
            Err(PageError::NoRecords { paths: format!("`{path}`"), arrays })
        }
    }
}
