//! The `Cache-Status` field (RFC 9211): the way in which a response came to its snapshot.

use std::time::Duration;

use crate::snapshot::Retention;

/// Origin of the snapshot that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    Hit {
        /// Time for which the snapshot answers further requests; none where the request names it.
        ttl: Option<Duration>,
    },
    /// Its crawl was under way for another request.
    Collapsed,
    /// Filled for this request, as none was kept.
    Miss,
    /// Filled or revalidated for this request, as the one that is kept is too old.
    Stale,
    /// Filled for this request, as its client wants none that is kept.
    Bypass,
}

impl CacheStatus {
    /// Returns the value of the field.
    pub fn value(self, retention: Retention) -> String {
        let forwarded = |reason: &str| {
            let stored = if retention == Retention::Transient { "" } else { "; stored" };
            format!("unpage; fwd={reason}{stored}")
        };
        match self {
            Self::Hit { ttl: None } => "unpage; hit".to_owned(),
            Self::Hit { ttl: Some(ttl) } => format!("unpage; hit; ttl={}", ttl.as_secs()),
            Self::Collapsed => "unpage; fwd=miss; collapsed".to_owned(),
            Self::Miss => forwarded("miss"),
            Self::Stale => forwarded("stale"),
            Self::Bypass => forwarded("request"),
        }
    }
}
