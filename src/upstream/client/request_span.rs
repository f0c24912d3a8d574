//! The span of a page's request: its attributes by the semantic conventions of HTTP clients.

use http::Response;

use crate::pagination::PageRequest;
use crate::pagination::request::RedactedUrl;
use crate::trace::Span;
use crate::upstream::body::CodedBody;
use crate::upstream::error::UpstreamError;
use crate::upstream::pacing::Permit;

/// Notes the request, without the values of its query. `resends`: number of attempts at the page before this one.
pub(super) fn begin(span: &mut Span, page: &PageRequest, resends: u32) {
    span.set_text("http.request.method", &page.method);
    span.set_text("url.full", &RedactedUrl(&page.url));
    span.set_text("server.address", page.url.host_str().unwrap_or_default());
    if let Some(port) = page.url.port_or_known_default() {
        span.set_number("server.port", port.into());
    }
    if resends > 0 {
        span.set_number("http.request.resend_count", resends.into());
    }
}

/// Notes the answer, and ends the span with its permit, which is that of the answer's body; without an answer it ends here.
pub(super) fn answered(
    span: Option<Span>,
    permit: &mut Permit,
    answer: Result<Response<CodedBody>, UpstreamError>,
) -> Result<Response<CodedBody>, UpstreamError> {
    let Some(mut span) = span else { return answer };
    match &answer {
        Ok(answer) => {
            let status = answer.status();
            span.set_number("http.response.status_code", status.as_u16().into());
            if status.is_client_error() || status.is_server_error() {
                span.fail(status.as_str(), "");
            }
            permit.hold(span);
        }
        Err(UpstreamError::Timeout(..)) => span.fail("timeout", ""),
        // Its text may repeat secrets; log lines have it redacted.
        Err(_) => span.fail("connection", ""),
    }
    answer
}
