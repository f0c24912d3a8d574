//! TLS towards clients: certificates by SNI, client certificates, ALPN.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::certificate_expiry::not_after;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// At least one; the first one is for clients that name no server, or an unknown one.
    pub pairs: Vec<CertificatePair>,
    pub client_auth: ClientAuth,
    pub min: MinVersion,
}

/// PEM files of a certificate, with its chain, and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Certificates of clients; the file has the authorities that sign them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    None,
    /// A client without a certificate is served, too.
    Optional(PathBuf),
    Required(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinVersion {
    Tls12,
    Tls13,
}

/// Files that are used together, with their contents: a pair, or the authorities of clients.
pub(super) type TlsPart = Vec<(PathBuf, Vec<u8>)>;

/// A usable configuration, and the ends of its certificates.
#[derive(Debug)]
pub(super) struct LoadedTls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) expiries: Vec<(PathBuf, SystemTime)>,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} can't be read: {1}")]
    Unreadable(PathBuf, io::Error),
    #[error("{0} is no PEM file of {1}")]
    NotPem(PathBuf, &'static str),
    #[error("the key in {0} is not that of the certificate in {1}")]
    OtherKey(PathBuf, PathBuf),
    #[error("the certificate in {0} has expired")]
    Expired(PathBuf),
    #[error("{0} can't be used: {1}")]
    Unusable(PathBuf, String),
}

impl TlsError {
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Expired(_) => "renew the certificate: its files are looked at every 5 s",
            Self::OtherKey(..) => "`cert` and `key` of one pair in [tls] must belong together",
            Self::Unreadable(..) | Self::NotPem(..) | Self::Unusable(..) => {
                "in [tls] `cert` names a PEM file of a certificate with its chain, `key` one of its private key, and `client_ca` one of the authorities of clients' certificates"
            }
        }
    }
}

impl TlsSettings {
    /// Returns the contents of all parts: those of the pairs, then the authorities of clients.
    pub(super) fn read(&self) -> Vec<Result<TlsPart, TlsError>> {
        let authorities = match &self.client_auth {
            ClientAuth::None => None,
            ClientAuth::Optional(file) | ClientAuth::Required(file) => Some(vec![file]),
        };
        let read = |path: &PathBuf| match std::fs::read(path) {
            Ok(content) => Ok((path.clone(), content)),
            Err(error) => Err(TlsError::Unreadable(path.clone(), error)),
        };
        let pairs = self.pairs.iter().map(|pair| vec![&pair.cert, &pair.key]);
        pairs.chain(authorities).map(|files| files.into_iter().map(read).collect()).collect()
    }

    /// Reads the files, and returns the error of each part that can't be used.
    pub fn flaws(&self) -> Vec<TlsError> {
        self.read().into_iter().filter_map(|part| part.and_then(|part| Self::check(&part)).err()).collect()
    }

    /// Checks a part that would be new. One that is in use stays so when its time is over.
    pub(super) fn check(part: &TlsPart) -> Result<(), TlsError> {
        match part.as_slice() {
            [cert, key] if certified(cert, key)?.1 <= SystemTime::now() => Err(TlsError::Expired(cert.0.clone())),
            [(path, pem)] => roots(path, pem).map(drop),
            _ => Ok(()),
        }
    }

    pub(super) fn load(&self, parts: &[TlsPart]) -> Result<LoadedTls, TlsError> {
        let unusable = |error: rustls::Error| TlsError::Unusable(self.pairs[0].cert.clone(), error.to_string());
        let (pairs, authorities) = parts.split_at(self.pairs.len());
        let mut expiries = Vec::new();
        let mut keys = Vec::new();
        for pair in pairs {
            let [cert, key] = pair.as_slice() else { continue };
            let (key, expiry) = certified(cert, key)?;
            expiries.push((cert.0.clone(), expiry));
            keys.push(Arc::new(key));
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(self.min.versions())
            .map_err(unusable)?;
        let builder = match (&self.client_auth, authorities.first().and_then(|part| part.first())) {
            (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
            (auth, Some((path, content))) => {
                let roots = Arc::new(roots(path, content)?);
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                if matches!(auth, ClientAuth::Optional(_)) {
                    verifier = verifier.allow_unauthenticated();
                }
                let verifier = verifier.build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| TlsError::Unusable(path.clone(), error.to_string()))?,
                )
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(CertificatesByName(keys)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // New with each configuration: a client that a changed authority no longer vouches for resumes nothing.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        Ok(LoadedTls { config: Arc::new(config), expiries })
    }
}

impl MinVersion {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
        match self {
            Self::Tls12 => &BOTH,
            Self::Tls13 => &BOTH[..1],
        }
    }
}

/// Returns a certificate with its key, and the time of its end.
fn certified(
    (cert, chain): &(PathBuf, Vec<u8>),
    (key, secret): &(PathBuf, Vec<u8>),
) -> Result<(CertifiedKey, SystemTime), TlsError> {
    let chain = certificates(cert, chain)?;
    let end = chain.first().and_then(|first| not_after(first));
    let end = end.ok_or_else(|| TlsError::NotPem(cert.clone(), "certificates"))?;
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(|_| TlsError::NotPem(key.clone(), "a private key"))?;
    match CertifiedKey::from_der(chain, secret, &ring::default_provider()) {
        Ok(certified) => Ok((certified, end)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::OtherKey(key.clone(), cert.clone())),
        Err(error) => Err(TlsError::Unusable(cert.clone(), error.to_string())),
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::NotPem(path.to_owned(), "certificates")),
    }
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Unusable(path.to_owned(), error.to_string()))?;
    }
    Ok(roots)
}

/// Certificates, of which the first one that is valid for the client's server name is taken, else the first.
#[derive(Debug)]
struct CertificatesByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let of_name = named.and_then(|name| self.0.iter().find(|key| is_valid_for(key, &name)));
        of_name.or(self.0.first()).cloned()
    }
}

fn is_valid_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.cert.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    parsed.is_some_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
}
