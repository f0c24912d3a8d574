//! Willingness to take trailer fields: the `TE` field (RFC 9110 §10.1.4).

use http::{HeaderMap, header};

use super::directive_list::directives;

/// Willingness of a client to take fields after a body. Without it they may be dropped on the way, and none is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    Unwanted,
    Accepted,
}

impl Trailers {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let is_named = directives(headers, &header::TE).iter().any(|(coding, _)| coding == "trailers");
        if is_named { Self::Accepted } else { Self::Unwanted }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn trailers_are_accepted_by_their_name() {
        for (field, trailers) in [
            ("trailers", Trailers::Accepted),
            ("deflate;q=0.5, Trailers", Trailers::Accepted),
            ("", Trailers::Unwanted),
            ("gzip", Trailers::Unwanted),
            ("trailer", Trailers::Unwanted),
        ] {
            let headers = HeaderMap::from_iter([(header::TE, HeaderValue::from_static(field))]);
            assert_eq!(Trailers::read(&headers), trailers, "{field}");
        }
        assert_eq!(Trailers::read(&HeaderMap::new()), Trailers::Unwanted);
    }
}
