//! Tunnel through an HTTP proxy (RFC 9110 §9.3.6). hyper's own connector for it hides the status of a refusal.

use std::pin::pin;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::{self, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::error::root_cause;

/// A proxy can't be reached, or refuses a tunnel.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ProxyFailure(pub(super) String);

/// Asks the proxy at the other end of the stream for a tunnel to this host and port. Returns the stream, which is the tunnel from now on.
pub(super) async fn open(
    stream: TcpStream,
    target: Uri,
    credentials: Option<HeaderValue>,
) -> Result<TcpStream, ProxyFailure> {
    let broken = |error: hyper::Error| ProxyFailure(root_cause(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = connect(target, credentials)?;
    let mut connection = pin!(connection.with_upgrades());
    let mut answered = pin!(async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        // Any 2xx opens the tunnel (RFC 9110 §9.3.6); for hyper 204 does not.
        match answer.status() {
            status if status.is_success() && status != StatusCode::NO_CONTENT => {
                upgrade::on(answer).await.map_err(broken)
            }
            status => Err(ProxyFailure(format!("it answered {status} to CONNECT"))),
        }
    });
    let upgraded = tokio::select! {
        biased;
        answered = &mut answered => answered,
        // It ends with the tunnel, or with the failure that the answer tells, too.
        _ = &mut connection => answered.await,
    };
    tunnel_of(upgraded?)
}

fn connect(target: Uri, credentials: Option<HeaderValue>) -> Result<Request<Empty<Bytes>>, ProxyFailure> {
    let host = HeaderValue::from_str(&target.to_string());
    let host = host.map_err(|error| ProxyFailure(error.to_string()))?;
    let mut request = Request::new(Empty::new());
    (*request.method_mut(), *request.uri_mut()) = (Method::CONNECT, target);
    request.headers_mut().insert(HOST, host);
    if let Some(mut credentials) = credentials {
        credentials.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials);
    }
    Ok(request)
}

/// Returns the stream behind the proxy's answer. Bytes that came with it are not the upstream's, which waits for TLS or a request.
fn tunnel_of(upgraded: Upgraded) -> Result<TcpStream, ProxyFailure> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("the connection was made of such a stream");
    if parts.read_buf.is_empty() {
        Ok(parts.io.into_inner())
    } else {
        Err(ProxyFailure("it sent bytes before the tunnel was used".to_owned()))
    }
}
