//! Problem reports for requests that are passed on, and whose body or answer is not.

use http::{HeaderValue, Response, StatusCode, header};

use super::answer_length::{LARGEST, LONGEST, NoLength};
use super::client_body::ClientBodyFault;
use super::problem::{HTTP_11, report};
use crate::response::Body;

/// Returns the report for a forwarded request whose body did not arrive.
pub(super) fn client_body(fault: &ClientBodyFault) -> Response<Body> {
    let (status, hint) = match fault {
        ClientBodyFault::Stalled(_) => {
            (StatusCode::REQUEST_TIMEOUT, "send the body without pauses, and check that Content-Length is its length")
        }
        ClientBodyFault::Broken(_) => (StatusCode::BAD_REQUEST, "send a complete body, and check its framing"),
    };
    report(status, "client", &fault.to_string(), hint)
}

/// Returns the report for an answer that an HTTP/1.0 client could not tell from a cut one.
pub(super) fn no_length(no_length: &NoLength) -> Response<Body> {
    match no_length {
        NoLength::TooLong => report(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "client",
            &format!(
                "the answer has no length, and more than {LARGEST} bytes or {} s: HTTP/1.0 can't tell a whole one from a cut one",
                LONGEST.as_secs()
            ),
            HTTP_11,
        ),
        NoLength::NoPlace => {
            let detail = "as many answers without a length are being read for HTTP/1.0 clients as may be";
            let mut response = report(StatusCode::SERVICE_UNAVAILABLE, "unpage", detail, HTTP_11);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
            response
        }
        NoLength::Broken(error) => {
            tracing::warn!("an answer for an HTTP/1.0 client broke: {error}");
            report(StatusCode::BAD_GATEWAY, "upstream", &format!("the upstream's answer broke: {error}"), "ask again")
        }
    }
}
