//! The refusal of a request.

use http::StatusCode;

#[derive(Debug)]
pub(super) struct DemoRefusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl DemoRefusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// A refusal of the client's request (400).
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}
