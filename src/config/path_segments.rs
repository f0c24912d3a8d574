//! Names of the `{segments}` of a path.

use std::collections::BTreeSet;

/// Returns the names in a path's braces; `{{` is a brace of the path itself.
pub(super) fn segments(path: &str) -> BTreeSet<&str> {
    let names = path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.trim_start_matches('*')));
    names.filter(|name| !name.is_empty()).collect()
}
