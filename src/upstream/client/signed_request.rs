//! A request on its way to be signed: a body that the signature covers is in memory.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};

use crate::response::BoxError;
use crate::upstream::credential::RequestCredentials;
use crate::upstream::transport::OutgoingBody;

/// Extension of a request whose body is sent as it arrives, and is not covered by a signature.
#[derive(Clone, Copy, Debug)]
pub struct UncoveredBody;

/// Signs a request that is otherwise as it is sent. A body that is covered is in memory already.
///
/// # Errors
/// Fails where the body breaks.
pub(super) async fn signed(
    request: Request<OutgoingBody>,
    credentials: &RequestCredentials,
) -> Result<Request<OutgoingBody>, BoxError> {
    let (mut head, body) = request.into_parts();
    if head.extensions.get::<UncoveredBody>().is_some() {
        credentials.sign(&mut head, None);
        return Ok(Request::from_parts(head, body));
    }
    let body: Bytes = body.collect().await?.to_bytes();
    credentials.sign(&mut head, Some(&body));
    Ok(Request::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed_unsync()))
}
