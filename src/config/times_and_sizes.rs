//! Times and sizes: text with a unit.

use std::time::Duration;

use super::toml_node::TomlNode;

/// Longest wait. Sums of waits then stay far below the range of the types.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Longest time to keep something. Sums with the time of day then stay in a clock's range.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Largest size, 1 EiB: more than any machine has.
const LARGEST: u64 = 1 << 60;

/// Reads a time like [`duration`], of a day at most.
pub(super) fn wait(node: &TomlNode<'_>) -> Option<Duration> {
    let wait = time(node)?;
    if wait > LONGEST {
        let what = format!("longer than a day: {:?}", node.text()?);
        return node.refuse(what, "write a time up to \"1d\"");
    }
    Some(wait)
}

/// Reads a time like [`wait`], or `"0"` for none, with a unit or without.
pub(super) fn wait_or_none(node: &TomlNode<'_>) -> Option<Duration> {
    let is_none = |text| text == "0" || humantime::parse_duration(text).is_ok_and(|time| time.is_zero());
    if node.value.as_str().is_some_and(is_none) { Some(Duration::ZERO) } else { wait(node) }
}

/// Reads a time like `"30s"` or `"200ms"`; never zero, and of a year at most.
pub(super) fn duration(node: &TomlNode<'_>) -> Option<Duration> {
    let duration = time(node)?;
    if duration > A_YEAR {
        return node.refuse(format!("longer than 365 days: {:?}", node.text()?), "write a time up to \"365d\"");
    }
    Some(duration)
}

fn time(node: &TomlNode<'_>) -> Option<Duration> {
    let hint = "write a number and its unit: \"200ms\", \"30s\", \"5m\"";
    if let Some(number) = node.value.as_integer() {
        return node.refuse(format!("a duration without a unit: {number}"), hint);
    }
    let text = node.text()?;
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => node.refuse("a time can't be zero", hint),
        Ok(duration) => Some(duration),
        Err(_) => node.refuse(format!("not a duration: {text:?}"), hint),
    }
}

/// Reads a size like [`size`], or `"0"` for none.
pub(super) fn size_or_none(node: &TomlNode<'_>) -> Option<u64> {
    if node.value.as_str() == Some("0") { Some(0) } else { size(node) }
}

/// Reads a size like `"64MiB"`; never zero, and 1 EiB at most.
pub(super) fn size(node: &TomlNode<'_>) -> Option<u64> {
    let hint = "write a number and its unit: \"64MiB\", \"500kB\"";
    if let Some(number) = node.value.as_integer() {
        return node.refuse(format!("a size without a unit: {number}"), hint);
    }
    let text = node.text()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return node.refuse(format!("a size without a unit: {text:?}"), hint);
    }
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() > LARGEST => {
            node.refuse(format!("more than any machine has: {text:?}"), "write a size up to \"1EiB\"")
        }
        Ok(size) if size.as_u64() > 0 => Some(size.as_u64()),
        Ok(_) => node.refuse("a size can't be zero", hint),
        Err(_) => node.refuse(format!("not a size: {text:?}"), hint),
    }
}
