//! A path that can be read is written so that it is read again, and walks any JSON text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use unpage::pagination::Path;

fuzz_target!(|data: &str| {
    let (text, json) = data.split_once('\n').unwrap_or((data, "null"));
    let Ok(path) = text.parse::<Path>() else { return };
    assert_eq!(path.to_string().parse().as_ref(), Ok(&path));
    let mut value: Value = serde_json::from_str(json).unwrap_or_default();
    if path.put(&mut value, Value::from(7)).is_ok() && !path.to_string().contains("[*]") {
        assert_eq!(path.of_value(&value), Some(&Value::from(7)));
    }
});
