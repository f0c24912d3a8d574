//! Template that a token or number is written into.

/// A value with `{offset}`, `{limit}`, `{page}`, `{cursor}`, `{end_offset}` (offset + limit) or `{NAME}`, the parameter's
/// own value in the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub String);
