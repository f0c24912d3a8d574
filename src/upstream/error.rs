//! Errors of requests to the upstream, each with advice for the operator.

use std::path::PathBuf;

use super::coding::BadCoding;
use super::credential::TokenError;
use super::resolver::RefusedAddress;

/// Error of a request to the upstream: no response came, or its body broke off.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    /// A name that has no address, as far as the look-up is answered.
    #[error("no connection to {0}: {1}")]
    Name(String, String),
    #[error("no connection to {0} through its proxy: {1}")]
    Proxy(String, String),
    #[error("no connection to {0}: {1}")]
    Address(String, String),
    #[error("no TLS connection to {0}: {1}")]
    Tls(String, rustls::Error),
    #[error("{0} did not answer within {1}")]
    Timeout(String, humantime::Duration),
    #[error("{0} took nothing more of the request's body for {1}")]
    NotTaken(String, humantime::Duration),
    #[error("the connection to {0} broke: {1}")]
    Broken(String, String),
    /// A connection that broke after it had answered an earlier request and before it answered this one: as far as can be
    /// known, the upstream was closing it when the request came.
    #[error("the connection to {0} broke: {1}")]
    Stale(String, String),
    #[error(transparent)]
    Coding(#[from] BadCoding),
    /// The token of the request could not be had, and the request was not sent.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Error of an upstream's certificate authorities or proxy.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    #[error("the certificate authorities in {path} can't be read: {what}")]
    File { path: PathBuf, what: String },
    #[error("the client certificate in {path} can't be used: {what}")]
    Certificate { path: PathBuf, what: String },
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("credentials.token: {0}")]
    Key(String),
    #[error("the environment names a proxy by {0}, and unpage speaks HTTP with a proxy")]
    Proxy(String),
}

impl ConnectorError {
    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File { .. } => "set `ca` to a PEM file of certificates that this user can read",
            Self::Certificate { .. } => {
                "set `client_cert` to PEM files of a certificate and its key that this user can read"
            }
            Self::Proxy(_) => "set proxy = \"none\" (fetch: --proxy none), or name an HTTP proxy",
            Self::Key(_) => "set the key of credentials.token to a private key in PEM that fits its `algorithm`",
            Self::Tls(_) => "look at the platform's certificates, or set `ca` to a PEM file",
        }
    }
}

#[derive(Debug)]
pub(super) enum TransportError {
    Connect(String),
    Name(String),
    Proxy(String),
    Address(RefusedAddress),
    Tls(rustls::Error),
    Broken(String),
    /// See [`UpstreamError::Stale`].
    Stale(String),
}

impl UpstreamError {
    /// Returns true if the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Coding(bad) => bad.is_transient(),
            Self::Token(error) => error.is_transient(),
            // A name that flips to such an address is a mistake or an attack, and no trouble that passes.
            Self::Address(..) => false,
            Self::Connect(..)
            | Self::Name(..)
            | Self::Proxy(..)
            | Self::Tls(..)
            | Self::Timeout(..)
            | Self::NotTaken(..)
            | Self::Broken(..)
            | Self::Stale(..) => true,
        }
    }

    /// Returns true if the configured credentials were refused: a token's, or the client certificate, which may be missing.
    pub fn refuses_credentials(&self) -> bool {
        match self {
            Self::Token(error) => !error.is_transient(),
            Self::Tls(_, error) => refuses_certificate(error),
            _ => false,
        }
    }

    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Connect(..) => "check that the upstream is running and that its address is right",
            Self::Name(..) => "check the name in the upstream's URL, and the name servers of this host",
            Self::Proxy(..) => {
                "check `proxy` of the upstream (fetch: --proxy, or HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment), and its user name and password"
            }
            Self::Address(..) => {
                "check the upstream's name and who answers for it; private_addresses = \"allow\" permits loopback and private networks, and any other address must stand in the URL itself"
            }
            Self::Tls(_, rustls::Error::InvalidMessage(_)) => {
                "what answers there doesn't speak TLS: check the port, or write http:// if that is meant"
            }
            Self::Tls(_, rustls::Error::InvalidCertificate(_)) => {
                "if its certificate comes from an authority of your own, name that in `ca` (fetch: --cacert); else don't trust it"
            }
            Self::Tls(_, error) if refuses_certificate(error) => {
                "the upstream wants a client certificate that it trusts: set `client_cert` to one that is valid and from the right authority"
            }
            // A server of TLS 1.2 that gets no certificate says no more than this (RFC 5246 §7.4.6), which may also be about the ciphers.
            Self::Tls(_, rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure)) => {
                "the upstream may want a client certificate: set `client_cert`; else check that it speaks TLS 1.2 or 1.3 with a cipher that unpage has"
            }
            Self::Tls(..) => "check that the upstream's address is right and that it speaks TLS 1.2 or 1.3",
            Self::Timeout(..) | Self::NotTaken(..) => {
                "check that the upstream is well, or raise the limit in `timeouts`"
            }
            Self::Broken(..) | Self::Stale(..) => {
                "the upstream, or something in front of it, cut the connection: its log may say why"
            }
            Self::Coding(bad) => bad.hint(),
            Self::Token(error) => error.hint(),
        }
    }
}

impl TransportError {
    pub(super) fn at(self, origin: String) -> UpstreamError {
        match self {
            Self::Connect(cause) => UpstreamError::Connect(origin, cause),
            Self::Name(cause) => UpstreamError::Name(origin, cause),
            Self::Proxy(cause) => UpstreamError::Proxy(origin, cause),
            Self::Address(refused) => UpstreamError::Address(origin, refused.to_string()),
            Self::Tls(error) => UpstreamError::Tls(origin, error),
            Self::Broken(cause) => UpstreamError::Broken(origin, cause),
            Self::Stale(cause) => UpstreamError::Stale(origin, cause),
        }
    }
}

/// Returns true for an alert about the client's certificate (RFC 8446 §6.2).
pub(super) fn refuses_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else { return false };
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied
    )
}

/// Finds the error of this type in a chain of errors.
pub(super) fn cause<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // The source of an `io::Error` is the source of the error inside it; the inner error itself is passed over.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => cause(inside),
        None => cause(error.source()?),
    }
}

/// Text of the innermost error: it tells the cause, while the errors around it only name the layer.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
