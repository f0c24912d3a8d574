//! Options by the keys that they set.

/// Keys that have an option of the same name, with `-` for `_`.
pub(crate) const NAMED_ALIKE: [&str; 20] = [
    "preset",
    "pagination",
    "records",
    "key",
    "on_double",
    "page_size",
    "total",
    "error_path",
    "keep",
    "upstream_aliases",
    "redirects",
    "width",
    "rate",
    "partition",
    "order",
    "consistency",
    "stable_order",
    "settle",
    "on_missed",
    "method",
];

/// `collection[0].page_size.param` → `page_size.param`, and `upstream.NAME.rate` → `rate`.
pub(super) fn below_collection(at: &str) -> &str {
    match at.split_once("].") {
        Some((table, key)) if table.starts_with("collection[") => key,
        _ => at.strip_prefix("upstream.").and_then(|rest| rest.split_once('.')).map_or(at, |(_, key)| key),
    }
}

/// Returns the key of a collection in a mistake's place, or in `KEY=VALUE`.
pub(super) fn top_key(at: &str) -> &str {
    let key = below_collection(at);
    key.split(['.', '[', '=']).next().unwrap_or(key).trim()
}

/// Returns the option of a key: `page_size.param` → `--page-size.param`, and `caps.page` → `--set caps.page`.
pub(super) fn option(key: &str) -> String {
    let (top, rest) = key.split_at(key.find('.').unwrap_or(key.len()));
    match top {
        "credentials" if rest.starts_with(".bearer") => "--bearer-env".to_owned(),
        "credentials" if rest.starts_with(".aws") => format!("--set {key}"),
        "credentials" => format!("--token-config {}", rest.trim_start_matches('.')).trim_end().to_owned(),
        "ca" => "--cacert".to_owned(),
        "accept" => "--header".to_owned(),
        "body" => "--data".to_owned(),
        "upstream" => "URL".to_owned(),
        top if NAMED_ALIKE.contains(&top) => format!("--{}{rest}", top.replace('_', "-")),
        _ => format!("--set {key}"),
    }
}
