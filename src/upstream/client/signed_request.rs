//! A request on its way to be signed: a body that the signature covers is in memory.

use bytes::Bytes;
use http::Request;
use http_body::Body as _;
use http_body_util::{BodyExt, Full};

use crate::response::BoxError;
use crate::upstream::credential::RequestCredentials;
use crate::upstream::transport::OutgoingBody;

/// Most bytes of a body that a signature covers. A client's request for a page has half of it, and its cursor.
const MAX_SIGNED_BODY: u64 = 2 << 20;

/// Signs a request that is otherwise as it is sent. A body that is larger or whose length is not known is not covered.
///
/// # Errors
/// Fails where the body breaks.
pub(super) async fn signed(
    request: Request<OutgoingBody>,
    credentials: &RequestCredentials,
) -> Result<Request<OutgoingBody>, BoxError> {
    let (mut head, body) = request.into_parts();
    if body.size_hint().exact().is_none_or(|length| length > MAX_SIGNED_BODY) {
        credentials.sign(&mut head, None);
        return Ok(Request::from_parts(head, body));
    }
    let body: Bytes = body.collect().await?.to_bytes();
    credentials.sign(&mut head, Some(&body));
    Ok(Request::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed_unsync()))
}
