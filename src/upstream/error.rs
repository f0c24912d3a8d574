//! Errors of requests to the upstream, each with advice for the operator.

use super::coding::BadCoding;

/// Error of a request to the upstream: no response came, or its body broke off.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no connection to {0}: {1}")]
    Connect(String, String),
    #[error("no TLS connection to {0}: {1}")]
    Tls(String, rustls::Error),
    #[error("{0} did not answer within {1}")]
    Timeout(String, humantime::Duration),
    #[error("the connection to {0} broke: {1}")]
    Broken(String, String),
    /// A connection that broke after it had answered an earlier request and before it answered this one: as far as can be
    /// known, the upstream was closing it when the request came.
    #[error("the connection to {0} broke: {1}")]
    Stale(String, String),
    #[error(transparent)]
    Coding(#[from] BadCoding),
}

/// Error of a transport, which does not know to which upstream it carries.
#[derive(Debug)]
pub(super) enum TransportError {
    Connect(String),
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
            Self::Connect(..) | Self::Tls(..) | Self::Timeout(..) | Self::Broken(..) | Self::Stale(..) => true,
        }
    }

    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Connect(..) => "check that the upstream is running and that its address is right",
            Self::Tls(_, rustls::Error::InvalidMessage(_)) => {
                "what answers there doesn't speak TLS: check the port, or write http:// if that is meant"
            }
            Self::Tls(_, rustls::Error::InvalidCertificate(_)) => {
                "if its certificate comes from an authority of your own, name that in `ca` (fetch: --cacert); else don't trust it"
            }
            Self::Tls(..) => "check that the upstream's address is right and that it speaks TLS 1.2 or 1.3",
            Self::Timeout(..) => "check that the upstream is well, or raise the limit in `timeouts`",
            Self::Broken(..) | Self::Stale(..) => {
                "the upstream, or something in front of it, cut the connection: its log may say why"
            }
            Self::Coding(bad) => bad.hint(),
        }
    }
}

impl TransportError {
    /// Adds the origin of the upstream.
    pub(super) fn at(self, origin: String) -> UpstreamError {
        match self {
            Self::Connect(cause) => UpstreamError::Connect(origin, cause),
            Self::Tls(error) => UpstreamError::Tls(origin, error),
            Self::Broken(cause) => UpstreamError::Broken(origin, cause),
            Self::Stale(cause) => UpstreamError::Stale(origin, cause),
        }
    }
}

/// Finds the TLS error in a chain of errors.
pub(super) fn tls_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    // The source of an `io::Error` is the source of the error inside it; the inner error itself is passed over.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inside) => tls_cause(inside),
        None => tls_cause(error.source()?),
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
