//! Digest that a client wants: the `Want-Repr-Digest` field (RFC 9530 §4).

use http::{HeaderMap, HeaderName};

use super::directive_list::directives;

const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// Digest of the whole that a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantDigest {
    /// None, or an unknown one.
    Nothing,
    Sha256,
}

impl WantDigest {
    /// Reads the field. Unknown digests are ignored, and the last of several members with one name counts (RFC 9651 §3.2).
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let weights = directives(headers, &WANT_REPR_DIGEST);
        let weight =
            weights.into_iter().rfind(|(name, _)| name == "sha-256").and_then(|(_, weight)| weight.parse().ok());
        // 0 is "not acceptable", and 10 is the most.
        if weight.is_some_and(|weight: u8| (1..=10).contains(&weight)) { Self::Sha256 } else { Self::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[&str]) -> WantDigest {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(WANT_REPR_DIGEST, HeaderValue::from_str(field).unwrap());
        }
        WantDigest::read(&headers)
    }

    #[test]
    fn a_digest_is_wanted_by_its_name_and_a_weight() {
        for fields in [
            &["sha-256=5"][..],
            &["sha-256=1"],
            &["sha-512=3, sha-256=10, unixsum=0"],
            &["sha-512=3", "sha-256=10"],
            &["sha-256=0, sha-256=1"],
            &["sha-256=5;x=1"],
        ] {
            assert_eq!(read(fields), WantDigest::Sha256, "{fields:?}");
        }
        for fields in [
            &[][..],
            &[""],
            &["sha-256"],
            &["sha-256=0"],
            &["sha-256=11"],
            &["sha-256=-1"],
            &["sha-512=5"],
            &["sha-256=1, sha-256=0"],
        ] {
            assert_eq!(read(fields), WantDigest::Nothing, "{fields:?}");
        }
    }
}
