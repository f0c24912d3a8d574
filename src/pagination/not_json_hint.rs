//! Hints for a page that is no JSON.

pub(super) const NOT_JSON_HINT: &str = "request the same URL with `Accept: application/json` and read the answer; an HTML page is often a login or an error page";

/// Hint for a page that begins as JSON.
const FLAW_HINT: &str = "request the same URL and look at that byte: the upstream wrote what JSON does not have (RFC 8259), and has to mend it";

/// Hint for a page that is not of the configured encoding.
pub(super) const BAD_TEXT_HINT: &str = "check `encoding`, and request the same URL with the upstream's `accept`: an HTML page is often a login or an error page; XML must be UTF-8, without a document type and its entities; CSV must name its columns in the first line, each once";

/// Hint for a page that is no JSON, by what was found and what it starts with.
pub(super) fn not_json_hint(what: &str, shown: &str) -> &'static str {
    let is_second = ["found `{`", "found `[`", "found byte 0x1e"].iter().any(|found| what.ends_with(found));
    if what.starts_with("expected nothing more") && is_second || shown.contains("it starts with `\u{1e}") {
        return "the page holds several JSON texts, one after the other (NDJSON, JSON Lines or a JSON text sequence): set encoding = \"ndjson\", and `records` to `$`, or ask the upstream for one JSON text a page";
    }
    let begins_well = ["it starts with `{", "it starts with `["].iter().any(|start| shown.contains(start));
    if begins_well { FLAW_HINT } else { NOT_JSON_HINT }
}
