//! Connections to the upstream: its route, and TLS with the platform's certificate authorities and the configured ones.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower::{BoxError, Service};

use super::client_certificate::FollowedCertificate;
use super::dialler::{Dialler, UpstreamRoute};
use super::error::ConnectorError;
use super::watched_connection::Watched;
use crate::config::{HttpVersion, Upstream};

/// The connector of hyper's client: one time limit for the socket, a proxy's tunnel and TLS together.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    tls: HttpsConnector<Dialler>,
    limit: Duration,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tls.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (limit, connected) = (self.limit, self.tls.call(uri));
        Box::pin(async move {
            let late =
                || io::Error::new(ErrorKind::TimedOut, format!("not made within {}", humantime::Duration::from(limit)));
            let stream = tokio::time::timeout(limit, connected).await.map_err(|_| late())??;
            Ok(TokioIo::new(Watched::new(stream)))
        })
    }
}

/// Returns the TLS configuration for one upstream; reads the certificate authorities and the client certificate.
pub(super) fn tls_config(upstream: &Upstream) -> Result<ClientConfig, ConnectorError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(trusted(upstream)?);
    Ok(match &upstream.client_cert {
        Some(files) => builder.with_client_cert_resolver(Arc::new(FollowedCertificate::load(files)?)),
        None => builder.with_no_client_auth(),
    })
}

/// Makes the connector for this route, with this time for a connection.
pub(super) fn connector(tls: ClientConfig, route: UpstreamRoute, http: HttpVersion, limit: Duration) -> Connector {
    let dialler = Dialler::new(route, limit);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let tls = match http {
        HttpVersion::Auto => builder.enable_all_versions().wrap_connector(dialler),
        HttpVersion::Http1 => builder.enable_http1().wrap_connector(dialler),
        HttpVersion::Http2 => builder.enable_http2().wrap_connector(dialler),
    };
    Connector { tls, limit }
}

/// Returns the trusted certificate authorities. The platform's are only read for a TLS upstream: a minimal container has none.
fn trusted(upstream: &Upstream) -> Result<RootCertStore, ConnectorError> {
    let mut roots = RootCertStore::empty();
    if upstream.url.scheme() == "https" {
        let platform = rustls_native_certs::load_native_certs();
        for error in &platform.errors {
            tracing::warn!("a certificate authority of the platform can't be read: {error}");
        }
        roots.add_parsable_certificates(platform.certs);
    }
    if let Some(path) = &upstream.ca {
        roots.extend(authorities(path)?.roots);
    }
    Ok(roots)
}

/// Reads the certificate authorities of a PEM file.
///
/// # Errors
/// Fails where the file can't be read, or has no certificates alone.
pub fn authorities(path: &Path) -> Result<RootCertStore, ConnectorError> {
    let bad = |what: String| ConnectorError::File { path: path.to_owned(), what };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(error.to_string()))? {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate).map_err(|error| bad(error.to_string()))?;
    }
    if roots.is_empty() { Err(bad("no certificate in it".to_owned())) } else { Ok(roots) }
}
