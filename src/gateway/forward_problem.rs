//! Problem reports for requests that are passed on, and whose body or answer is not.

use http::{HeaderValue, Response, StatusCode, header};

use super::answer_length::{LARGEST, LONGEST, NoLength};
use super::client_body::ClientBodyFault;
use super::problem::{HTTP_11, report};
use super::signed_body::AT_A_TIME;
use super::websocket::{BadHandshake, BadSwitch, VERSION};
use crate::response::Body;

pub(super) fn client_body(fault: &ClientBodyFault) -> Response<Body> {
    let (status, hint) = match fault {
        ClientBodyFault::Stalled(_) => {
            (StatusCode::REQUEST_TIMEOUT, "send the body without pauses, and check that Content-Length is its length")
        }
        ClientBodyFault::Broken(_) => (StatusCode::BAD_REQUEST, "send a complete body, and check its framing"),
    };
    report(status, "client", &fault.to_string(), hint)
}

/// Returns the report for a request whose body can't be held until it is signed.
pub(super) fn no_place_for_a_body() -> Response<Body> {
    let detail = format!("{AT_A_TIME} bodies of requests are held already, until they are whole and signed for AWS");
    let mut response = report(StatusCode::SERVICE_UNAVAILABLE, "unpage", &detail, "ask again");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(1));
    response
}

/// Returns the report for a request for one page of the lists of all parents, which are a stream alone.
pub(super) fn all_parents() -> Response<Body> {
    let detail = "`*` in the path stands for all parents, whose lists are one stream and have no page of their own";
    let hint = "ask for a stream, by `Accept: application/x-ndjson` or the parameter for the format, and for no page of it; a value that is `*` itself is written %2A";
    report(StatusCode::NOT_ACCEPTABLE, "client", detail, hint)
}

pub(super) fn bad_handshake(_: BadHandshake) -> Response<Body> {
    let detail = "the WebSocket's handshake has a body, not version 13, or no Sec-WebSocket-Key of 16 bytes in base64";
    let mut response =
        report(StatusCode::BAD_REQUEST, "client", detail, "open the WebSocket with a client of RFC 6455");
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, VERSION);
    response
}

pub(super) fn bad_switch(BadSwitch(why): BadSwitch) -> Response<Body> {
    let detail = format!("the upstream switched protocols {why}");
    tracing::warn!("{detail}");
    let hint = "report it to the upstream: it breaks RFC 6455 §4.2.2, or is no server of WebSockets";
    report(StatusCode::BAD_GATEWAY, "upstream", &detail, hint)
}

/// Returns the report for a handshake to an upstream that is asked over HTTP/2 alone.
pub(super) fn no_websocket() -> Response<Body> {
    let hint = "the operator may set http = \"1.1\" or \"auto\" for the upstream, if it speaks HTTP/1.1, too";
    let detail = "WebSockets need HTTP/1.1, and this upstream is configured for HTTP/2 alone";
    report(StatusCode::NOT_IMPLEMENTED, "configuration", detail, hint)
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
