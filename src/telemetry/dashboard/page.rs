//! The page as HTML, and its tables as JSON, with the header fields that bind a browser to them.

use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderValue, Response, StatusCode, header};
use ring::digest;
use serde::Serialize;

use super::sections::Sections;
use crate::response::{Body, full};

/// The page. A comment stands for each section; there is one style and one script.
const PAGE: &str = include_str!("page.html");

/// Content security policy: the page's own style and script, which have no address, and nothing else.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = |element: &str| {
        let content =
            PAGE.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
        let content = content.expect("the page has this element").0;
        format!("'sha256-{}'", BASE64_STANDARD.encode(digest::digest(&digest::SHA256, content.as_bytes())))
    };
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash("style"),
        hash("script")
    );
    HeaderValue::try_from(policy).expect("hashes are visible ASCII")
});

/// Returns the page with these sections.
pub(super) fn respond(sections: &Sections) -> Response<Body> {
    let mut html = String::with_capacity(PAGE.len() * 2);
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("<!--") {
        let (name, after) = after.split_once("-->").expect("comments of the page have an end");
        html += before;
        html += sections.named(name);
        rest = after;
    }
    html += rest;
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", html);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

/// Returns rows as JSON.
pub(super) fn json(rows: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_string_pretty(rows).expect("rows are texts and numbers");
    answer(StatusCode::OK, "application/json", text + "\n")
}

/// Returns a response of this type that no cache keeps and no page of another origin reads.
pub(super) fn answer(status: StatusCode, media_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let fields = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    response.headers_mut().extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_names_the_sections_that_there_are() {
        assert!(PAGE.len() <= 40 * 1024, "{}", PAGE.len());
        for name in PAGE.split("<!--").skip(1).filter_map(|rest| rest.split_once("-->")) {
            assert!(Sections::NAMES.contains(&name.0), "{}", name.0);
        }
        assert!(!PAGE.contains("style=") && !PAGE.contains("onclick"), "the policy forbids them");
        assert!(POLICY.to_str().unwrap().starts_with("default-src 'none'; style-src 'sha256-"));
    }
}
