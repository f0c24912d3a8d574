//! Use of the cache for a request: its `Cache-Control` (RFC 9111 §5.2.1).

use std::time::Duration;

use http::{HeaderMap, header};

use super::directive_list::directives;

/// Use of the cache that a client allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub reuse: Reuse,
    pub otherwise: Otherwise,
    pub storage: StorePolicy,
}

/// Permission to keep what is crawled for a request (RFC 9111 §5.2.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePolicy {
    Allowed,
    /// `no-store`.
    Forbidden,
}

/// Kept snapshots that may answer the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Those that are fresh by the collection's configuration.
    Fresh,
    /// Of those, the ones that began at most this long ago: `max-age`.
    Within(Duration),
    /// None: `no-cache`.
    Never,
}

/// Answer where no kept snapshot may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    Crawl,
    /// An error: `only-if-cached`.
    Refuse,
}

impl Default for Freshness {
    fn default() -> Self {
        Self { reuse: Reuse::Fresh, otherwise: Otherwise::Crawl, storage: StorePolicy::Allowed }
    }
}

impl Freshness {
    /// Reads the field. A directive with an invalid value has its strictest meaning.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut freshness = Self::default();
        for (name, value) in directives(headers, &header::CACHE_CONTROL) {
            match name.as_str() {
                "no-cache" => freshness.reuse = Reuse::Never,
                "no-store" => freshness.storage = StorePolicy::Forbidden,
                "only-if-cached" => freshness.otherwise = Otherwise::Refuse,
                "max-age" => freshness.reuse = freshness.reuse.at_most(seconds(&value)),
                _ => {}
            }
        }
        freshness
    }
}

impl Reuse {
    fn at_most(self, age: Duration) -> Self {
        match self {
            Self::Fresh => Self::Within(age),
            Self::Within(other) => Self::Within(age.min(other)),
            Self::Never => Self::Never,
        }
    }
}

fn seconds(value: &str) -> Duration {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    Duration::from_secs(if digits { value.parse().unwrap_or(u64::MAX) } else { 0 })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(fields: &[&str]) -> Freshness {
        let fields = fields.iter().map(|field| (header::CACHE_CONTROL, HeaderValue::from_str(field).unwrap()));
        Freshness::read(&fields.collect())
    }

    #[test]
    fn each_directive_has_its_place() {
        let any = Freshness::default();
        let within = |seconds| Freshness { reuse: Reuse::Within(Duration::from_secs(seconds)), ..any };
        for (fields, freshness) in [
            (&[][..], any),
            (&["max-stale=7, min-fresh, x=\"no-cache, no-store\""], any),
            (&["No-Cache"], Freshness { reuse: Reuse::Never, ..any }),
            (&["no-cache, max-age=5"], Freshness { reuse: Reuse::Never, ..any }),
            (&["max-age=5", "max-age=\"3\""], within(3)),
            (&["max-age=99999999999999999999999"], within(u64::MAX)),
            (&["max-age"], within(0)),
            (&["max-age=-1"], within(0)),
            (&["no-store"], Freshness { storage: StorePolicy::Forbidden, ..any }),
            (&["only-if-cached, max-age=60"], Freshness { otherwise: Otherwise::Refuse, ..within(60) }),
        ] {
            assert_eq!(read(fields), freshness, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_may_stand_there(text in "[ -~]{0,40}") {
            let freshness = read(&["max-age=9", &text, "no-cache"]);
            prop_assert_eq!(freshness.reuse, Reuse::Never);
        }
    }
}
