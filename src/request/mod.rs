//! Request: a client's request for a stream, or for the upstream's own answer.

mod accept;
mod conditions;
mod directive_list;
mod freshness;
mod options;
mod prefer;
mod range;
mod trailers;
mod want_digest;

use std::borrow::Cow;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Version};
use url::form_urlencoded;

use crate::config::{Collection, Config};
use crate::id::SnapshotId;
use crate::pagination::Param;

pub use accept::{EndMark, MediaType};
pub use conditions::{EntityTag, IfNoneMatch, IfRange};
pub use freshness::{Freshness, Otherwise, Reuse, StorePolicy};
pub use options::{StreamOptions, View};
pub use prefer::PREFER;
pub use range::{Range, RangeSpec};
pub use trailers::Trailers;
pub use want_digest::WantDigest;

/// Value of the parameter for an end marker.
pub const END_MARKER: &str = "marker";

/// Moment that the stream shall be of (RFC 7089).
pub const ACCEPT_DATETIME: HeaderName = HeaderName::from_static("accept-datetime");

/// Kind of a client's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientRequest {
    /// The upstream's own answer, untouched.
    Forward,
    /// A stream of the collection's records.
    Stream(Box<StreamOptions>),
}

/// Names of unpage's own query parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamNames {
    /// Parameter for the format, for clients that can't set `Accept`.
    pub format: String,
    /// Parameter for the id of a snapshot.
    pub snapshot: String,
    /// Parameter for the key of the record after which the stream begins.
    pub since: String,
    /// Parameter for an end marker; with another value than `marker` it is the upstream's own.
    pub end: String,
}

/// Error in a request for a stream; the upstream is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("unknown format `{format}` in the parameter `{param}`")]
    Format { param: String, format: String },
    #[error("the parameter `{param}` names no snapshot: `{name}`")]
    Snapshot { param: String, name: String },
    #[error("the parameter `{param}` asks for a status, and the URL names no snapshot")]
    StatusOfNone { param: String },
    #[error("the parameter `{param}` asks for the records behind one, and this collection has no `since`")]
    Since { param: String },
    #[error("a stream can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one")]
    Http10,
    #[error("the request asks for several ranges of a stream at once")]
    Ranges,
    #[error("the Accept-Datetime field is not a date in the format of HTTP")]
    Datetime,
}

/// Options in the query and the `Accept` field.
struct QueryOptions {
    media_type: Option<MediaType>,
    view: View,
    pinned: Option<SnapshotId>,
    since: Option<String>,
}

impl ParamNames {
    pub fn new(config: &Config) -> Self {
        Self {
            format: config.format_param.clone(),
            snapshot: config.snapshot_param.clone(),
            since: config.since_param.clone(),
            end: config.end_param.clone(),
        }
    }
}

impl ClientRequest {
    /// Reads the head of a request to a collection.
    pub fn read(head: &Parts, collection: &Collection, params: &ParamNames) -> Result<Self, RequestError> {
        let query = QueryOptions::read(head, params)?;
        let media_type = match (query.media_type, query.pinned) {
            (Some(media_type), _) => media_type,
            // A pinned URL names records in any case, and a client that resumes a download repeats the URL but maybe not the fields.
            (None, Some(_)) => MediaType::default(),
            (None, None) => return Ok(Self::Forward),
        };
        if !reads_collection(&head.method, collection, query.pinned) {
            return Ok(Self::Forward);
        }
        if query.pinned.is_none() && names_a_page(head, collection) {
            return Ok(Self::Forward);
        }
        // Without its `since`, the whole collection would look like the answer.
        if query.since.is_some() && collection.pagination.since.is_none() {
            return Err(RequestError::Since { param: params.since.clone() });
        }
        if query.pinned.is_none() && head.version < Version::HTTP_11 {
            return Err(RequestError::Http10);
        }
        let (headers, method) = (&head.headers, &head.method);
        // No other method has ranges, and an end marker comes after no range: the field is ignored (RFC 9110 §14.2).
        let has_ranges = *method == Method::GET && media_type.end() == EndMark::None;
        let conditional = matches!(*method, Method::GET | Method::HEAD);
        Ok(Self::Stream(Box::new(StreamOptions {
            method: method.clone(),
            version: head.version,
            media_type,
            order: prefer::order(headers),
            view: query.view,
            pinned: query.pinned,
            range: if has_ranges { Range::read(headers)? } else { None },
            if_range: IfRange::read(headers),
            if_none_match: if conditional { IfNoneMatch::read(headers) } else { None },
            freshness: Freshness::read(headers),
            digest: WantDigest::read(headers),
            trailers: Trailers::read(headers),
            accept_datetime: accept_datetime(headers)?,
            since: query.since,
        })))
    }
}

impl QueryOptions {
    fn read(head: &Parts, params: &ParamNames) -> Result<Self, RequestError> {
        let [mut format, mut snapshot, mut since, mut end] = [const { None::<Cow<'_, str>> }; 4];
        for (name, value) in form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()) {
            let own = [
                (&params.format, &mut format),
                (&params.snapshot, &mut snapshot),
                (&params.since, &mut since),
                (&params.end, &mut end),
            ];
            for (_, first) in own.into_iter().filter(|(own, first)| name == own.as_str() && first.is_none()) {
                *first = Some(value.clone());
            }
        }
        let pinned = snapshot.map(|name| match name.parse() {
            Ok(id) => Ok(id),
            Err(_) => Err(RequestError::Snapshot { param: params.snapshot.clone(), name: name.into_owned() }),
        });
        let pinned = pinned.transpose()?;
        let since = since.map(Cow::into_owned);
        let marker = end.is_some_and(|end| end == END_MARKER);
        let (media_type, view) = match format {
            Some(format) if format == "status" && pinned.is_none() => {
                return Err(RequestError::StatusOfNone { param: params.format.clone() });
            }
            Some(format) if format == "status" => (None, View::Status),
            Some(format) => match MediaType::of_name(&format) {
                Some(media_type) => (Some(media_type), View::Records),
                None => return Err(RequestError::Format { param: params.format.clone(), format: format.into_owned() }),
            },
            None => (MediaType::accepted(&head.headers), View::Records),
        };
        // The URL of a snapshot alone asks for its records, too.
        let media_type = media_type.or_else(|| (marker && pinned.is_some()).then(MediaType::default));
        let media_type = media_type.map(|media_type| if marker { media_type.marked() } else { media_type });
        Ok(Self { media_type, view, pinned, since })
    }
}

/// Returns `true` where this method reads the collection. A request with another method is forwarded.
fn reads_collection(method: &Method, collection: &Collection, pinned: Option<SnapshotId>) -> bool {
    match *method {
        Method::GET | Method::HEAD => collection.method == Method::GET || collection.body.is_some() || pinned.is_some(),
        ref method => *method == collection.method,
    }
}

/// Reads the moment that the stream shall be of. An invalid one is an error: a client would not see that it got another (RFC 7089 §4.5.3).
fn accept_datetime(headers: &HeaderMap) -> Result<Option<SystemTime>, RequestError> {
    let Some(field) = headers.get(ACCEPT_DATETIME) else { return Ok(None) };
    let date = field.to_str().ok().and_then(|date| httpdate::parse_http_date(date.trim()).ok());
    date.map(Some).ok_or(RequestError::Datetime)
}

/// Returns `true` where the query has the collection's own page parameter: such a request is for that page. A parameter in the body is found
/// by the gateway, once the body has been read.
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
    use crate::config::Machine;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn read_of(config: &Config, request: http::request::Builder) -> Result<ClientRequest, RequestError> {
        let [format, snapshot, since, end] = ["_format", "_snapshot", "_since", "_end"].map(ToOwned::to_owned);
        let (head, ()) = request.body(()).unwrap().into_parts();
        ClientRequest::read(&head, &config.collections[0], &ParamNames { format, snapshot, since, end })
    }

    fn read(request: http::request::Builder) -> Result<ClientRequest, RequestError> {
        read_of(&Config::transparent(([127, 0, 0, 1], 1).into(), "http://127.0.0.1:1").unwrap(), request)
    }

    fn options(request: http::request::Builder) -> StreamOptions {
        match read(request) {
            Ok(ClientRequest::Stream(options)) => *options,
            other => panic!("no stream is asked for: {other:?}"),
        }
    }

    #[test]
    fn a_pinned_url_is_about_its_snapshot_whatever_the_fields_say() {
        for accept in ["*/*", "text/html", "application/x-ndjson"] {
            let target = format!("/a?x=1&_snapshot={ID}");
            let options = options(Request::get(target).version(Version::HTTP_10).header("accept", accept));
            assert_eq!((options.pinned, options.view), (Some(ID.parse().unwrap()), View::Records), "{accept}");
        }
        let status = options(Request::get(format!("/a?_format=status&_snapshot={ID}")));
        assert_eq!((status.view, status.media_type), (View::Status, MediaType::default()));
        let labelled = options(Request::get(format!("/a?_format=jsonl&_snapshot={ID}")));
        assert_eq!(labelled.media_type.essence(), "application/jsonl");
        assert_eq!(read(Request::delete(format!("/a?_snapshot={ID}"))), Ok(ClientRequest::Forward));
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
        let options = options(get);
        assert_eq!(options.range, Some(Range::Bytes(RangeSpec::From(5))));
        let tag = EntityTag::new(ID.parse().unwrap());
        assert!(options.if_range.unwrap().matches(&tag));
        assert!(options.if_none_match.unwrap().matches(&tag));
        assert_eq!(options.freshness.reuse, Reuse::Within(Duration::from_secs(5)));
        assert_eq!(options.digest, WantDigest::Sha256);
        assert_eq!(options.accept_datetime, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)));
        assert_eq!(options.since, None);
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
            Ok(ClientRequest::Stream(options)) => assert_eq!(options.since.as_deref(), Some("a b")),
            other => panic!("{other:?}"),
        }
        let without = configured("");
        let pinned = format!("/a?_snapshot={ID}&_since=5");
        for target in ["/a?_since=5", "/a?x=1&%5fsince", &pinned] {
            assert_eq!(
                read_of(&without, asked(target)),
                Err(RequestError::Since { param: "_since".to_owned() }),
                "{target}"
            );
        }
        assert_eq!(read_of(&without, asked("/a?_since=5&after=7")), Ok(ClientRequest::Forward));
    }

    #[test]
    fn ranges_are_for_get_alone() {
        let head =
            options(Request::head("/a?_format=ndjson").header("range", "bytes=5-6,9-").header("if-none-match", "*"));
        assert_eq!((head.range, head.if_none_match), (None, Some(IfNoneMatch::Any)));
    }

    #[test]
    fn what_can_not_be_granted_is_said() {
        let name = |name: &str| RequestError::Snapshot { param: "_snapshot".to_owned(), name: name.to_owned() };
        for (request, bad) in [
            (Request::get("/a?_snapshot=latest"), name("latest")),
            (Request::get("/a?_snapshot"), name("")),
            (Request::get("/a?_format=status"), RequestError::StatusOfNone { param: "_format".to_owned() }),
            (Request::get("/a?_format=ndjson").version(Version::HTTP_10), RequestError::Http10),
            (Request::get("/a?_format=ndjson").header("range", "bytes=0-1,2-3"), RequestError::Ranges),
            (Request::get("/a?_format=ndjson").header("accept-datetime", "yesterday"), RequestError::Datetime),
        ] {
            assert_eq!(read(request), Err(bad));
        }
    }

    #[test]
    fn who_asks_for_no_stream_is_passed_on() {
        for target in ["/a", "/a?_since=5", "/a?snapshot=1"] {
            let request = Request::get(target).header("range", "bytes=0-1,2-3").header("accept-datetime", "x");
            assert_eq!(read(request), Ok(ClientRequest::Forward), "{target}");
        }
    }
}
