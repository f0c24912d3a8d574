//! Checks of a request before any service sees it: heads that two parsers may read differently, and names that are not the server's.

use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use http_body_util::Full;
use serde_json::json;

use super::head_scanner::HeadFlaw;
use super::hosts::HostList;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Flaw(HeadFlaw),
    /// `Host` is missing, is there twice, or differs from the authority of the target.
    HostCount,
    HostSyntax,
    /// A `Transfer-Encoding` that is not `chunked`.
    Encoding,
    Connect,
    Misdirected(String),
    /// A page of a host that is not one of the server's asks for another protocol.
    Origin(String),
}

/// Checks a head. `flaw` is the verdict on its bytes.
///
/// # Errors
/// Fails with the reason for which no service may see the request.
pub(super) fn check(head: &Parts, flaw: Result<(), HeadFlaw>, hosts: Option<&HostList>) -> Result<(), Refused> {
    flaw.map_err(Refused::Flaw)?;
    if head.method == Method::CONNECT {
        return Err(Refused::Connect);
    }
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        (Some(encoding), None) if encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => {}
        (Some(_), _) => return Err(Refused::Encoding),
    }
    let host = host(head)?;
    let Some(hosts) = hosts else { return Ok(()) };
    if let Some(host) = host.filter(|host| !hosts.allows(host.host())) {
        return Err(Refused::Misdirected(host.host().to_owned()));
    }
    if head.headers.contains_key(header::UPGRADE) { check_origin(head, hosts) } else { Ok(()) }
}

/// Checks the page that opens a WebSocket: browsers let any page open one to any server, and read what comes (RFC 6455 §10.2). Programs that are
/// no browser send no `Origin`.
fn check_origin(head: &Parts, hosts: &HostList) -> Result<(), Refused> {
    for origin in head.headers.get_all(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| authority_of(origin.split_once("://")?.1).ok());
        if !host.is_some_and(|host| hosts.allows(host.host())) {
            return Err(Refused::Origin(String::from_utf8_lossy(origin.as_bytes()).into_owned()));
        }
    }
    Ok(())
}

/// Returns the host and port that the request is for (RFC 9110 §7.2); none only over HTTP/1.0.
fn host(head: &Parts) -> Result<Option<Authority>, Refused> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let (field, second) = (fields.next().map(authority).transpose()?, fields.next());
    let target = head.uri.authority().map(|target| authority_of(target.as_str())).transpose()?;
    match (head.version, field, target) {
        _ if second.is_some() => Err(Refused::HostCount),
        (_, Some(field), Some(target)) if field != target => Err(Refused::HostCount),
        (Version::HTTP_10, None, None) => Ok(None),
        // Of HTTP/1.1, an absolute target does not replace the field (RFC 9112 §3.2.2).
        (Version::HTTP_11, None, _) | (_, None, None) => Err(Refused::HostCount),
        (_, field, target) => Ok(field.or(target)),
    }
}

fn authority(value: &HeaderValue) -> Result<Authority, Refused> {
    authority_of(value.to_str().map_err(|_| Refused::HostSyntax)?)
}

fn authority_of(text: &str) -> Result<Authority, Refused> {
    let is_of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let authority = text.parse::<Authority>().ok().filter(|_| text.bytes().all(is_of_a_host));
    let has_port = |authority: &Authority| match text.strip_prefix(authority.host()) {
        Some("") => true,
        rest => rest.and_then(|rest| rest.strip_prefix(':')).is_some_and(|port| port.parse::<u16>().is_ok()),
    };
    authority.filter(|authority| !authority.host().is_empty() && has_port(authority)).ok_or(Refused::HostSyntax)
}

impl Refused {
    /// Returns the answer, a problem report (RFC 9457). Over HTTP/1.1 the connection closes: bytes behind such a head may be no request.
    pub(super) fn response(&self, version: Version) -> Response<Full<Bytes>> {
        let (status, detail, hint) = self.report();
        let report = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
            "fault": "client",
            "hint": hint,
        });
        let mut response = Response::new(Full::from(format!("{report:#}\n")));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if version != Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn report(&self) -> (StatusCode, String, &'static str) {
        let one = "send one Host field, with the host and port of the URL";
        let bad = |detail: &str, hint| (StatusCode::BAD_REQUEST, detail.to_owned(), hint);
        match self {
            Self::Flaw(HeadFlaw::BareLineFeed) => {
                bad("a line of the head ends with LF alone", "end each line with CR LF")
            }
            Self::Flaw(HeadFlaw::TwoLengths) => bad("the head has more than one Content-Length", "send one"),
            Self::Flaw(HeadFlaw::LengthAndEncoding) => {
                bad("the head has both Content-Length and Transfer-Encoding", "send one of them")
            }
            Self::Flaw(HeadFlaw::LongLength) => bad("Content-Length is too long", "send it without padding"),
            Self::Flaw(HeadFlaw::Unaligned) => bad(
                "the bytes before this request are no messages of HTTP/1.1",
                "check the framing of the body before it",
            ),
            Self::HostCount => bad("the request does not name one host", one),
            Self::HostSyntax => bad("Host is not a host with an optional port", one),
            Self::Encoding => (
                StatusCode::NOT_IMPLEMENTED,
                "a Transfer-Encoding other than chunked".to_owned(),
                "send the body with Content-Length, or with Transfer-Encoding: chunked",
            ),
            Self::Connect => (
                StatusCode::NOT_IMPLEMENTED,
                "unpage is no tunnel: CONNECT is not supported".to_owned(),
                "ask for a path of a collection; a forward proxy is another program",
            ),
            Self::Misdirected(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                format!("this server is not {host}"),
                "ask by a name in `hosts` of the operator, by default localhost and loopback addresses; `hosts` is for `listen`: \
                 `admin` on loopback answers to localhost and loopback addresses alone",
            ),
            Self::Origin(origin) => (
                StatusCode::FORBIDDEN,
                format!("a page of {origin} may open no WebSocket here"),
                "open it from a page of this server; the operator may name other hosts in `hosts`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(
        version: Version,
        target: &str,
        fields: &[(&str, &str)],
        hosts: Option<&HostList>,
    ) -> Result<(), Refused> {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, Ok(()), hosts)
    }

    #[test]
    fn a_request_names_one_host() {
        use Version as V;
        let (twice, odd) = (Err(Refused::HostCount), Err(Refused::HostSyntax));
        let host = |value: &'static str| vec![("host", value)];
        for (version, target, fields, expected) in [
            (V::HTTP_11, "/", host("a:80"), Ok(())),
            (V::HTTP_11, "/", host("[::1]:80"), Ok(())),
            (V::HTTP_11, "http://a/x", host("a"), Ok(())),
            (V::HTTP_11, "http://b/x", host("a"), twice.clone()),
            (V::HTTP_11, "http://a/x", vec![], twice.clone()),
            (V::HTTP_11, "/", vec![], twice.clone()),
            (V::HTTP_11, "/", vec![("host", "a"), ("host", "a")], twice.clone()),
            (V::HTTP_10, "/", vec![], Ok(())),
            (V::HTTP_10, "/", host("a/b"), odd.clone()),
            (V::HTTP_2, "http://a/x", vec![], Ok(())),
            (V::HTTP_2, "http://a/x", host("b"), twice.clone()),
            (V::HTTP_2, "/x", vec![], twice.clone()),
            (V::HTTP_11, "/", host(""), odd.clone()),
            (V::HTTP_11, "/", host("user@a"), odd.clone()),
            (V::HTTP_11, "/", host("a, b"), odd.clone()),
            (V::HTTP_11, "/", host("a b"), odd.clone()),
            (V::HTTP_11, "/", host("a:port"), odd.clone()),
        ] {
            assert_eq!(checked(version, target, &fields, None), expected, "{version:?} {target} {fields:?}");
        }
    }

    #[test]
    fn only_the_servers_own_names_are_answered() {
        let hosts = HostList::of_loopback();
        for (version, target, host, allowed) in [
            (Version::HTTP_11, "/", "localhost:8080", true),
            (Version::HTTP_11, "/", "evil.example", false),
            (Version::HTTP_2, "http://evil.example/", "evil.example", false),
            (Version::HTTP_10, "/", "evil.example", false),
        ] {
            let refused = checked(version, target, &[("host", host)], Some(&hosts));
            assert_eq!(refused, if allowed { Ok(()) } else { Err(Refused::Misdirected("evil.example".to_owned())) });
        }
    }

    #[test]
    fn chunked_is_the_only_encoding() {
        for (encodings, expected) in [
            (&["Chunked"][..], Ok(())),
            (&["gzip, chunked"], Err(Refused::Encoding)),
            (&["chunked", "chunked"], Err(Refused::Encoding)),
            (&["identity", "chunked"], Err(Refused::Encoding)),
        ] {
            let fields: Vec<_> = [("host", "a")]
                .into_iter()
                .chain(encodings.iter().map(|value| ("transfer-encoding", *value)))
                .collect();
            assert_eq!(checked(Version::HTTP_11, "/", &fields, None), expected, "{encodings:?}");
        }
    }
}
