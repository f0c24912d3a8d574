//! `unpage health URL`: a probe for images that have no shell and no HTTP client.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::Exit;

const EXAMPLES: &str = "Examples:
  unpage health
  unpage health http://127.0.0.1:9191/healthz";

/// Time for the connection and the answer: less than orchestrators give to a probe.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct HealthArguments {
    /// URL of /readyz or /healthz at the admin address of `serve`
    #[arg(default_value = "http://127.0.0.1:9090/readyz", value_parser = plain_url)]
    url: Url,
}

fn plain_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(_) => Err("the admin address speaks http alone".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Exits with 0 where the server answers 200, else with 1: Docker reserves 2.
pub(super) async fn run(arguments: HealthArguments) -> Exit {
    let said = match timeout(PATIENCE, ask(&arguments.url)).await {
        Ok(Ok(StatusCode::OK)) => return Exit::Complete,
        Ok(Ok(status)) => format!("answered {status}"),
        Ok(Err(error)) => format!("can't be asked: {error}"),
        Err(_) => format!("did not answer within {} s", PATIENCE.as_secs()),
    };
    eprintln!(
        "error: {} {said}\nhint: `serve` answers there with --admin, and is ready until it is told to stop",
        arguments.url
    );
    Exit::Output
}

async fn ask(url: &Url) -> Result<StatusCode, Box<dyn std::error::Error>> {
    // With the brackets of an IPv6 address. The name is resolved beside the timer.
    let host = url.host_str().unwrap_or_default();
    let stream = TcpStream::connect(format!("{host}:{}", url.port_or_known_default().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(&url[url::Position::BeforePath..]).body(Empty::<Bytes>::new())?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority)?);
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // It ends behind the answer, or with the failure that the answer tells, too.
        _ = connection => answer.await,
    };
    Ok(answer?.status())
}
