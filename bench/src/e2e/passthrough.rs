//! A reverse proxy and nothing else: what hyper costs with unpage's settings.

use std::net::SocketAddr;

use http::uri::{Authority, Scheme};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// The read buffer that unpage's client and server have.
const BUFFER: usize = 64 * 1024;

/// Passes everything on to the upstream until the process is ended.
pub async fn run(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let authority: Authority = upstream.to_string().parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).http1_max_buf_size(BUFFER).build(connector);
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).max_buf_size(BUFFER);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority, server) = (client.clone(), authority.clone(), server.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| forward(client.clone(), authority.clone(), request));
            // A client that leaves early is no fault of the proxy's.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    mut request: Request<Incoming>,
) -> anyhow::Result<Response<Incoming>> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    *request.uri_mut() = parts.try_into()?;
    Ok(client.request(request).await?)
}
