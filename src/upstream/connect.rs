//! Connections to the upstream: TCP without delay, TLS with the platform's certificate authorities and the configured ones.

use std::path::PathBuf;
use std::sync::Arc;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::ServiceExt;
use tower::util::MapResponse;

use super::watched_connection::Watched;
use crate::config::{HttpVersion, Upstream};

/// The connector of hyper's client.
pub(super) type Connector = MapResponse<HttpsConnector<HttpConnector>, fn(PlainOrTls) -> TokioIo<Watched>>;

type PlainOrTls = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Error of reading certificate authorities.
#[derive(Debug, thiserror::Error)]
pub enum BadTrust {
    #[error("the certificate authorities in {path} can't be read: {what}")]
    File { path: PathBuf, what: String },
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl BadTrust {
    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "set `ca` to a PEM file of certificates that this user can read",
            Self::Tls(_) => "look at the platform's certificates, or set `ca` to a PEM file",
        }
    }
}

/// Makes the connector for one upstream; reads the certificate authorities.
pub(super) fn connector(upstream: &Upstream) -> Result<Connector, BadTrust> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted(upstream)?)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(upstream.timeouts.connect));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = match upstream.http {
        HttpVersion::Auto => builder.enable_all_versions().wrap_connector(tcp),
        HttpVersion::Http1 => builder.enable_http1().wrap_connector(tcp),
        HttpVersion::Http2 => builder.enable_http2().wrap_connector(tcp),
    };
    Ok(connector.map_response(|stream| TokioIo::new(Watched::new(stream))))
}

/// Returns the trusted certificate authorities. The platform's are only read for a TLS upstream: a minimal container has none.
fn trusted(upstream: &Upstream) -> Result<RootCertStore, BadTrust> {
    let mut roots = RootCertStore::empty();
    if upstream.url.scheme() == "https" {
        let platform = rustls_native_certs::load_native_certs();
        for error in &platform.errors {
            tracing::warn!("a certificate authority of the platform can't be read: {error}");
        }
        roots.add_parsable_certificates(platform.certs);
    }
    if let Some(path) = &upstream.ca {
        let bad = |what: String| BadTrust::File { path: path.clone(), what };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))?;
        let mut count = 0;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(error.to_string()))?;
            roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(bad("no certificate in it".to_owned()));
        }
    }
    Ok(roots)
}
