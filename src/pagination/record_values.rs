//! Values of one record, read from its line.

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::PageError;
use super::json_extract::{PathSet, value_of};
use super::path::Path;

/// Returns the values at these paths of the record in `line`.
pub(super) fn values_of(line: &[u8], paths: &[Path]) -> Result<Vec<Option<Value>>, PageError> {
    let raw = raw_values_of(line, paths)?;
    paths.iter().zip(raw).map(|(path, raw)| raw.map(|raw| value_of(path, raw)).transpose()).collect()
}

/// Returns the same as they are spelled.
pub(super) fn raw_values_of<'a>(line: &'a [u8], paths: &[Path]) -> Result<Vec<Option<&'a RawValue>>, PageError> {
    let mut raw = vec![None; paths.len()];
    PathSet::new(&paths.iter().collect::<Vec<_>>()).extract(text_of(line)?, &mut raw)?;
    Ok(raw)
}

pub(super) fn text_of(line: &[u8]) -> Result<&str, PageError> {
    std::str::from_utf8(line).map_err(|error| PageError::NotUtf8(error.valid_up_to() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_own_bytes() {
        let line = br#"{"id":1,"name":"\ud83d"}"#;
        let values = |path: &str| values_of(line, &[path.parse().unwrap()]);
        assert_eq!(values("id").unwrap(), [Some(Value::from(1))]);
        assert_eq!(values("none").unwrap(), [None]);
        assert!(matches!(values("name"), Err(PageError::Unreadable { .. })));
    }
}
