//! Handshakes of WebSockets that are passed on (RFC 6455), and the bytes between both peers after them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::headers::connection_options;

/// Text that a server appends to the key of a handshake (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The only version (RFC 6455 §4.1).
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("13");

/// A client's handshake, whose connection becomes the WebSocket when the upstream agrees.
#[derive(Debug)]
pub(super) struct Handshake {
    client: OnUpgrade,
    /// Value of `Sec-WebSocket-Accept` that proves that the upstream has read the key.
    accept: String,
}

/// A client's handshake that no server may accept (RFC 6455 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadHandshake;

/// A status 101 of the upstream's that can't be passed back, and the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSwitch(pub(super) &'static str);

impl Handshake {
    /// Takes the handshake from the head of a request; none for a request that asks for no WebSocket, or not over HTTP/1.1.
    pub(super) fn take(head: &mut Parts) -> Option<Result<Self, BadHandshake>> {
        let client = head.extensions.remove::<OnUpgrade>()?;
        let headers = &head.headers;
        let has_body =
            headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
        let is_asked = head.method == Method::GET
            && head.version == Version::HTTP_11
            && connection_options(headers).any(|option| option == UPGRADE)
            && names_websocket(headers);
        is_asked.then(|| if has_body { Err(BadHandshake) } else { Self::new(headers, client) })
    }

    fn new(headers: &HeaderMap, client: OnUpgrade) -> Result<Self, BadHandshake> {
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(BadHandshake)?.as_bytes();
        match BASE64_STANDARD.decode(key) {
            Ok(bytes) if bytes.len() == 16 && only(headers, &SEC_WEBSOCKET_VERSION) == Some(&VERSION) => {
                Ok(Self { client, accept: accept_of(key) })
            }
            Ok(_) | Err(_) => Err(BadHandshake),
        }
    }

    /// Removes the fields of a handshake from a request that is none.
    pub(super) fn strip(headers: &mut HeaderMap) {
        for name in [
            SEC_WEBSOCKET_ACCEPT,
            SEC_WEBSOCKET_EXTENSIONS,
            SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_PROTOCOL,
            SEC_WEBSOCKET_VERSION,
        ] {
            headers.remove(name);
        }
    }

    /// Adds the fields of the connection that ask for a WebSocket, and agree to one.
    pub(super) fn ask(headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
    }

    /// Checks the upstream's status 101, and joins both connections: no byte of the client's goes upstream before.
    pub(super) fn complete<B>(self, mut answer: Response<B>) -> Result<Response<B>, BadSwitch> {
        let upstream = answer
            .extensions_mut()
            .remove::<OnUpgrade>()
            .ok_or(BadSwitch("on a connection that can't be taken over"))?;
        let headers = answer.headers();
        let is_upgrade = connection_options(headers).any(|option| option == UPGRADE);
        let is_websocket =
            only(headers, &UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        if !is_upgrade || !is_websocket {
            return Err(BadSwitch("to another protocol than WebSocket"));
        }
        if only(headers, &SEC_WEBSOCKET_ACCEPT).is_none_or(|accept| accept.as_bytes() != self.accept.as_bytes()) {
            return Err(BadSwitch("with a Sec-WebSocket-Accept that is not that of the client's key"));
        }
        tokio::spawn(relay(self.client, upstream));
        Ok(answer)
    }
}

/// Passes bytes in both directions until both peers have ended, or one has failed: the connection of the other one then ends without a frame
/// `Close`, so that it sees a broken WebSocket. The server in front has the limits.
async fn relay(client: OnUpgrade, upstream: OnUpgrade) {
    let joined = async {
        let (client, upstream) = tokio::try_join!(client, upstream).map_err(std::io::Error::other)?;
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await
    };
    if let Err(error) = joined.await {
        tracing::debug!("a WebSocket broke: {error}");
    }
}

fn names_websocket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

/// Returns the value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns the value of `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
fn accept_of(key: &[u8]) -> String {
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfc() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
