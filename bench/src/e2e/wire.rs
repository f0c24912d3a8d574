//! Connections of an upstream: HTTP/1.1, HTTP/2 and TLS; and the content codings of its pages.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Protocols of an upstream's connections.
#[derive(Clone)]
pub enum Wire {
    Http1,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    H2c,
    /// TLS; its ALPN decides the version of HTTP.
    Tls(TlsAcceptor),
}

/// Content coding of pages (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

impl Wire {
    /// TLS with a certificate for `localhost`, and this application protocol; also the file of the certificate, below `folder`.
    pub fn tls(protocol: &str, folder: &Path) -> anyhow::Result<(Self, PathBuf)> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let file = folder.join(format!("upstream-certificate-{}.pem", protocol.replace('/', "-")));
        fs::write(&file, cert.pem())?;
        Ok((Self::Tls(TlsAcceptor::from(Arc::new(config))), fs::canonicalize(file)?))
    }

    /// Serves one connection to its end. A client that leaves early is no fault of the upstream's.
    pub async fn serve<S, B>(&self, stream: TcpStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S::Future: Send + 'static,
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let any = auto::Builder::new(TokioExecutor::new());
        match self {
            Self::Http1 => drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await),
            Self::H2c => drop(any.serve_connection(TokioIo::new(stream), service).await),
            Self::Tls(acceptor) => {
                if let Ok(stream) = acceptor.accept(stream).await {
                    drop(any.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        }
    }
}

impl Coding {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Encodes a body as a server does while it answers: at a fast level.
    pub fn encode(self, body: &[u8]) -> io::Result<Bytes> {
        let mut coded = Vec::new();
        match self {
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut coded, flate2::Compression::new(6));
                encoder.write_all(body)?;
                encoder.finish()?;
            }
            Self::Brotli => brotli::CompressorWriter::new(&mut coded, 4096, 4, 22).write_all(body)?,
            Self::Zstd => {
                coded.resize(zstd_safe::compress_bound(body.len()), 0);
                let failed = |code| io::Error::other(zstd_safe::get_error_name(code));
                let length = zstd_safe::compress(coded.as_mut_slice(), body, 3).map_err(failed)?;
                coded.truncate(length);
            }
        }
        Ok(coded.into())
    }
}
