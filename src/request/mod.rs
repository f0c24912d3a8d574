//! What the client asked for: a stream in some format, or the upstream's own answer.

mod accept;
mod condition;
mod digest;
mod directives;
mod freshness;
mod prefer;
mod range;
mod wish;

use std::borrow::Cow;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Version};
use url::form_urlencoded;

use crate::config::Collection;
use crate::id::SnapshotId;
use crate::pagination::Param;

pub use accept::MediaType;
pub use condition::{IfNoneMatch, IfRange};
pub use digest::WantDigest;
pub use freshness::{Freshness, Otherwise, Reuse, StorePolicy};
pub use range::{Range, Span};
pub use wish::{View, Wish};

/// When the stream shall have been so (RFC 7089).
const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// What one client request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The upstream's own answer, untouched.
    Forward,
    /// The whole collection, a record a line.
    Stream(Box<Wish>),
}

/// The names of the query parameters that are unpage's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// The format, for who can't set `Accept`.
    pub format: String,
    /// The snapshot that is meant.
    pub snapshot: String,
    /// The key of the record to go on behind.
    pub since: String,
}

/// Why a wish for a stream can't be granted; the upstream is not troubled with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    #[error("unknown format `{format}` in the parameter `{param}`")]
    Format { param: String, format: String },
    #[error("the parameter `{param}` names no snapshot: `{name}`")]
    Snapshot { param: String, name: String },
    #[error("the parameter `{param}` asks for a status, and the URL names no snapshot")]
    StatusOfNone { param: String },
    #[error("the parameter `{param}` asks for what follows a record, and this collection has no `since`")]
    Since { param: String },
    #[error("a stream can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one")]
    Http10,
    #[error("the request asks for several ranges of a stream at once")]
    Ranges,
    #[error("the Accept-Datetime field is no date as HTTP has them")]
    Datetime,
}

/// What the query and the `Accept` field ask for.
struct Wanted {
    media_type: Option<MediaType>,
    view: View,
    pinned: Option<SnapshotId>,
    since: Option<String>,
}

impl Ask {
    /// Reads the head of a request to a collection.
    pub fn read(head: &Parts, collection: &Collection, params: &Params) -> Result<Self, BadAsk> {
        let wanted = Wanted::read(head, params)?;
        let media_type = match (wanted.media_type, wanted.pinned) {
            (Some(media_type), _) => media_type,
            // A pinned URL has no other meaning, and who goes on with a download repeats the URL but maybe not the fields.
            (None, Some(_)) => MediaType::XNdjson,
            (None, None) => return Ok(Self::Forward),
        };
        if !walks(&head.method, collection, wanted.pinned) {
            return Ok(Self::Forward);
        }
        if wanted.pinned.is_none() && names_a_page(head, collection) {
            return Ok(Self::Forward);
        }
        // The whole collection looks like what was asked for, and isn't.
        if wanted.since.is_some() && collection.pagination.since.is_none() {
            return Err(BadAsk::Since { param: params.since.clone() });
        }
        if wanted.pinned.is_none() && head.version < Version::HTTP_11 {
            return Err(BadAsk::Http10);
        }
        let (headers, method) = (&head.headers, &head.method);
        let conditional = matches!(*method, Method::GET | Method::HEAD);
        Ok(Self::Stream(Box::new(Wish {
            method: method.clone(),
            version: head.version,
            media_type,
            order: prefer::order(headers),
            view: wanted.view,
            pinned: wanted.pinned,
            // RFC 9110 §14.2: no other method has ranges.
            range: if *method == Method::GET { Range::read(headers)? } else { None },
            if_range: IfRange::read(headers),
            if_none_match: if conditional { IfNoneMatch::read(headers) } else { None },
            freshness: Freshness::read(headers),
            digest: WantDigest::read(headers),
            accept_datetime: accept_datetime(headers)?,
            since: wanted.since,
        })))
    }
}

impl Wanted {
    fn read(head: &Parts, params: &Params) -> Result<Self, BadAsk> {
        let query = head.uri.query().unwrap_or_default();
        let value = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(own, _)| own == name).map(|(_, v)| v);
        let pinned = value(&params.snapshot).map(|name| match name.parse() {
            Ok(id) => Ok(id),
            Err(_) => Err(BadAsk::Snapshot { param: params.snapshot.clone(), name: name.into_owned() }),
        });
        let pinned = pinned.transpose()?;
        let since = value(&params.since).map(Cow::into_owned);
        let (media_type, view) = match value(&params.format) {
            Some(format) if format == "status" && pinned.is_none() => {
                return Err(BadAsk::StatusOfNone { param: params.format.clone() });
            }
            Some(format) if format == "status" => (None, View::Status),
            Some(format) => match MediaType::of_format(&format) {
                Some(media_type) => (Some(media_type), View::Records),
                None => return Err(BadAsk::Format { param: params.format.clone(), format: format.into_owned() }),
            },
            None => (MediaType::accepted(&head.headers), View::Records),
        };
        Ok(Self { media_type, view, pinned, since })
    }
}

/// Whether this method reads the collection. One that doesn't is the upstream's, whatever else the request says.
fn walks(method: &Method, collection: &Collection, pinned: Option<SnapshotId>) -> bool {
    match *method {
        Method::GET | Method::HEAD => collection.method == Method::GET || collection.body.is_some() || pinned.is_some(),
        ref method => *method == collection.method,
    }
}

/// Who wishes for a moment and writes it wrongly would else get another one without a word (RFC 7089 §4.5.3).
fn accept_datetime(headers: &HeaderMap) -> Result<Option<SystemTime>, BadAsk> {
    let Some(field) = headers.get(ACCEPT_DATETIME) else { return Ok(None) };
    let date = field.to_str().ok().and_then(|date| httpdate::parse_http_date(date.trim()).ok());
    date.map(Some).ok_or(BadAsk::Datetime)
}

/// Who passes the collection's own page parameter wants that page. Where the parameter stands in the body, that is only known
/// when the body has been read: the gateway looks at it then, and forwards the request all the same.
fn names_a_page(head: &Parts, collection: &Collection) -> bool {
    let params = collection.pagination.style.page_params();
    let query = head.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, _)| params.iter().any(|param| matches!(param, Param::Query(own) if *own == name)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;
    use crate::config::{Config, Machine};

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn read_of(config: &Config, request: http::request::Builder) -> Result<Ask, BadAsk> {
        let [format, snapshot, since] = ["_format", "_snapshot", "_since"].map(ToOwned::to_owned);
        let (head, ()) = request.body(()).unwrap().into_parts();
        Ask::read(&head, &config.collections[0], &Params { format, snapshot, since })
    }

    fn read(request: http::request::Builder) -> Result<Ask, BadAsk> {
        read_of(&Config::transparent(([127, 0, 0, 1], 1).into(), "http://127.0.0.1:1").unwrap(), request)
    }

    fn wish(request: http::request::Builder) -> Wish {
        match read(request) {
            Ok(Ask::Stream(wish)) => *wish,
            other => panic!("no stream is asked for: {other:?}"),
        }
    }

    #[test]
    fn a_pinned_url_is_about_its_snapshot_whatever_the_fields_say() {
        for accept in ["*/*", "text/html", "application/x-ndjson"] {
            let target = format!("/a?x=1&_snapshot={ID}");
            let wish = wish(Request::get(target).version(Version::HTTP_10).header("accept", accept));
            assert_eq!((wish.pinned, wish.view), (Some(ID.parse().unwrap()), View::Records), "{accept}");
        }
        let status = wish(Request::get(format!("/a?_format=status&_snapshot={ID}")));
        assert_eq!((status.view, status.media_type), (View::Status, MediaType::XNdjson));
        let labelled = wish(Request::get(format!("/a?_format=jsonl&_snapshot={ID}")));
        assert_eq!(labelled.media_type, MediaType::Jsonl);
        assert_eq!(read(Request::delete(format!("/a?_snapshot={ID}"))), Ok(Ask::Forward));
    }

    #[test]
    fn everything_that_a_client_wishes_is_read() {
        let get = Request::get("/a?_format=ndjson")
            .header("range", "bytes=5-")
            .header("if-range", format!("\"{ID}\""))
            .header("if-none-match", format!("W/\"{ID}\""))
            .header("cache-control", "max-age=5")
            .header("want-repr-digest", "sha-256=5")
            .header("accept-datetime", "Thu, 01 Jan 1970 00:00:07 GMT");
        let wish = wish(get);
        assert_eq!(wish.range, Some(Range::Bytes(Span::From(5))));
        assert!(wish.if_range.unwrap().matches(ID.parse().unwrap()));
        assert!(wish.if_none_match.unwrap().matches(ID.parse().unwrap()));
        assert_eq!(wish.freshness.reuse, Reuse::Within(Duration::from_secs(5)));
        assert_eq!(wish.digest, WantDigest::Sha256);
        assert_eq!(wish.accept_datetime, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)));
        assert_eq!(wish.since, None);
    }

    #[test]
    fn what_follows_a_record_is_only_asked_for_where_that_can_be() {
        let configured = |since| {
            let toml = format!(
                "[[collection]]\npath = \"/a\"\nupstream = \"http://127.0.0.1:1\"\nrecords = \"$\"\nkey = \"id\"\n\
                 pagination = {{ type = \"keyset\", param = \"after\" }}\n{since}"
            );
            Config::read(&toml, "", &Machine).unwrap()
        };
        let asked = |target| Request::get(target).header("accept", "application/x-ndjson");
        let with = configured("since = { param = \"after\" }");
        match read_of(&with, asked("/a?_since=a%20b")) {
            Ok(Ask::Stream(wish)) => assert_eq!(wish.since.as_deref(), Some("a b")),
            other => panic!("{other:?}"),
        }
        let without = configured("");
        let pinned = format!("/a?_snapshot={ID}&_since=5");
        for target in ["/a?_since=5", "/a?x=1&%5fsince", &pinned] {
            assert_eq!(read_of(&without, asked(target)), Err(BadAsk::Since { param: "_since".to_owned() }), "{target}");
        }
        assert_eq!(read_of(&without, asked("/a?_since=5&after=7")), Ok(Ask::Forward));
    }

    #[test]
    fn ranges_are_for_get_alone() {
        let head =
            wish(Request::head("/a?_format=ndjson").header("range", "bytes=5-6,9-").header("if-none-match", "*"));
        assert_eq!((head.range, head.if_none_match), (None, Some(IfNoneMatch::Any)));
    }

    #[test]
    fn what_can_not_be_granted_is_said() {
        let name = |name: &str| BadAsk::Snapshot { param: "_snapshot".to_owned(), name: name.to_owned() };
        for (request, bad) in [
            (Request::get("/a?_snapshot=latest"), name("latest")),
            (Request::get("/a?_snapshot"), name("")),
            (Request::get("/a?_format=status"), BadAsk::StatusOfNone { param: "_format".to_owned() }),
            (Request::get("/a?_format=ndjson").version(Version::HTTP_10), BadAsk::Http10),
            (Request::get("/a?_format=ndjson").header("range", "bytes=0-1,2-3"), BadAsk::Ranges),
            (Request::get("/a?_format=ndjson").header("accept-datetime", "yesterday"), BadAsk::Datetime),
        ] {
            assert_eq!(read(request), Err(bad));
        }
    }

    #[test]
    fn who_asks_for_no_stream_is_passed_on() {
        for target in ["/a", "/a?_since=5", "/a?snapshot=1"] {
            let request = Request::get(target).header("range", "bytes=0-1,2-3").header("accept-datetime", "x");
            assert_eq!(read(request), Ok(Ask::Forward), "{target}");
        }
    }
}
