//! Options of a request for a stream.

use std::borrow::Cow;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};
use url::form_urlencoded;

use super::{
    ACCEPT_DATETIME, AcceptEncoding, END_MARKER, EndMark, EndWait, Freshness, IfNoneMatch, IfRange, MediaType,
    ParamNames, Range, RangeSpec, RequestError, SnapshotName, Trailers, WAIT_COMPLETE, WantDigest, prefer_order,
};
use crate::config::{Collection, ContentCoding};
use crate::format::{ColumnNames, FieldNames, Format};
use crate::id::SnapshotId;
use crate::pagination::first_value::is_first_value;
use crate::pagination::{Param, PartOrder};

/// Options of a request for a stream, read from its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamOptions {
    /// GET, HEAD, or the method of the collection.
    pub method: Method,
    /// Version of HTTP; over HTTP/1.0 only a body with a known length can be told from a broken one.
    pub version: Version,
    pub media_type: MediaType,
    pub accept_encoding: AcceptEncoding,
    /// Columns of a table.
    pub columns: Option<ColumnNames>,
    /// Members of the records.
    pub fields: Option<FieldNames>,
    /// Preferred order of the collection's parts.
    pub order: Option<PartOrder>,
    pub view: View,
    /// Snapshot that the URL names.
    pub named: Option<SnapshotName>,
    /// Wait for the proven end before the head.
    pub wait: Option<EndWait>,
    /// Range of a GET.
    pub range: Option<Range>,
    /// Condition of the range.
    pub if_range: Option<IfRange>,
    /// Snapshots that the client has; only for GET and HEAD.
    pub if_none_match: Option<IfNoneMatch>,
    pub freshness: Freshness,
    /// Digest of the whole that the client wants.
    pub digest: WantDigest,
    pub trailers: Trailers,
    /// Moment that the stream shall be of.
    pub accept_datetime: Option<SystemTime>,
    /// Key of the record after which the stream begins.
    pub since: Option<String>,
}

/// View of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Records,
    Status,
}

impl StreamOptions {
    /// Reads the head of a request to a collection. Returns `None` for a request that asks for no stream: the upstream answers it.
    ///
    /// # Errors
    /// Fails where a stream is asked for that can't be given; the upstream is not asked.
    pub fn read(head: &Parts, collection: &Collection, params: &ParamNames) -> Result<Option<Self>, RequestError> {
        let (headers, method) = (&head.headers, &head.method);
        let [format, snapshot, since, end, wait, columns, fields] = own_params(&head.uri, params)?;
        let named = |name: Cow<'_, str>| match name.parse() {
            Ok(name) => Ok(name),
            Err(_) => Err(RequestError::Snapshot { param: params.snapshot.clone(), name: name.into_owned() }),
        };
        let named: Option<SnapshotName> = snapshot.map(named).transpose()?;
        let pinned = id_of(named.as_ref());
        let view = if format.as_deref() == Some("status") { View::Status } else { View::Records };
        if view == View::Status && named.is_none() {
            return Err(RequestError::StatusOfNone { param: params.format.clone() });
        }
        let media_type = match (view, format) {
            (View::Status, _) => None,
            (View::Records, None) => MediaType::accepted(headers),
            (View::Records, Some(format)) => {
                let unknown = || match Format::COLUMNAR.into_iter().find(|name| *name == format) {
                    Some(format) => RequestError::FormatNotBuilt { format },
                    None => RequestError::Format { param: params.format.clone(), format: format.to_string() },
                };
                Some(MediaType::of_name(&format).ok_or_else(unknown)?)
            }
        };
        // A URL with such a parameter names records in any case: the upstream's first page would look like the answer, and a client that
        // resumes a download repeats the URL but maybe not the fields.
        let names_records = named.is_some()
            || since.is_some()
            || columns.is_some()
            || [&end, &wait].into_iter().flatten().any(|value| is_own(value));
        if media_type.is_none() && !names_records
            || !reads_collection(method, collection, pinned)
            || pinned.is_none() && names_a_page(head, collection)
        {
            return Ok(None);
        }
        if view == View::Records && media_type.is_none() && MediaType::excludes_ndjson(headers) {
            return Err(RequestError::NotAcceptable);
        }
        let media_type = media_type.unwrap_or_default();
        let media_type = match end {
            Some(end) if end == END_MARKER => media_type.marked(),
            // A client that waits for a marker would take a stream without one for a broken one.
            Some(end) if is_own(&end) => {
                return Err(RequestError::End { param: params.end.clone(), end: end.into_owned() });
            }
            _ => media_type,
        };
        if media_type.end() == EndMark::Marker && media_type.format() != Format::Ndjson {
            return Err(RequestError::EndOfFormat { format: media_type.format().name() });
        }
        let columns = match columns {
            Some(columns) => Some(read_columns(&columns, media_type, params)?),
            // The address of a table names its columns, unless they are those of its records: it means the same bytes for ever.
            None if pinned.is_some() => None,
            None => collection.columns.clone().filter(|_| media_type.format().has_columns()),
        };
        let fields = fields.map(|fields| read_fields(&fields, media_type, params)).transpose()?;
        // Without its `since`, the whole collection would look like the answer.
        if since.is_some() && collection.pagination.since.is_none() {
            return Err(RequestError::Since { param: params.since.clone() });
        }
        if since.as_deref() == Some("") {
            return Err(RequestError::SinceNothing { param: params.since.clone() });
        }
        let demanded = match wait {
            Some(wait) if wait == WAIT_COMPLETE => Some(EndWait::Demanded),
            // A client that can't tell a broken stream from a whole one would get a stream.
            Some(wait) => return Err(RequestError::Wait { param: params.wait.clone(), wait: wait.into_owned() }),
            None => None,
        };
        // A format that can't be sent while records come is waited for; a HEAD without a snapshot tells no length.
        let needs_end = media_type.format().passes() > 1 && (*method != Method::HEAD || named.is_some());
        let demanded = demanded.or(needs_end.then_some(EndWait::Demanded));
        let wait = if view == View::Records { EndWait::read(headers, demanded) } else { None };
        if named.is_none() && head.version < Version::HTTP_11 {
            let has_length = fields.is_none();
            match wait {
                _ if !has_length => return Err(RequestError::Http10Length),
                None => return Err(RequestError::Http10),
                Some(_) => {}
            }
        }
        let accept_encoding = AcceptEncoding::read(headers);
        // No other method has ranges, an end marker comes after no range, and no range has a content coding: the field is ignored (RFC 9110
        // §14.2).
        let has_ranges =
            *method == Method::GET && media_type.end() == EndMark::None && !accept_encoding.refuses_identity();
        let conditional = matches!(*method, Method::GET | Method::HEAD);
        Ok(Some(Self {
            method: method.clone(),
            version: head.version,
            media_type,
            accept_encoding,
            columns,
            fields,
            order: prefer_order::read(headers),
            view,
            named,
            wait,
            range: if has_ranges { Range::read(headers)? } else { None },
            if_range: IfRange::read(headers),
            if_none_match: if conditional { IfNoneMatch::read(headers) } else { None },
            freshness: Freshness::read(headers),
            digest: WantDigest::read(headers),
            trailers: Trailers::read(headers),
            accept_datetime: accept_datetime(headers)?,
            since: since.map(Cow::into_owned),
        }))
    }

    /// Returns the id of the snapshot that the URL names.
    pub fn pinned(&self) -> Option<SnapshotId> {
        id_of(self.named.as_ref())
    }

    /// Returns the content coding of the response, of those offered.
    ///
    /// A range is one of the bytes without a coding: clients that decode as they receive count those, and a coded stream is never the same
    /// twice. A digest is of these bytes, too, and a client that waits for the end wants their length, as HTTP/1.0 needs it.
    ///
    /// # Errors
    /// Fails where the client accepts neither a coding that is offered nor a body without one.
    pub fn coding(&self, offered: &[ContentCoding]) -> Result<Option<ContentCoding>, RequestError> {
        if self.view == View::Status {
            return Ok(None);
        }
        // Readers that ask for ranges ask a snapshot's address for its length first, whatever they accept.
        let asks_length = self.method == Method::HEAD && self.named.is_some();
        let needs_length = asks_length || self.wait.is_some() || self.version < Version::HTTP_11;
        let is_plain = self.range.is_some() || self.digest == WantDigest::Sha256 || needs_length;
        let refuses_identity = self.accept_encoding.refuses_identity();
        match self.accept_encoding.preferred(offered) {
            None if refuses_identity => Err(RequestError::Coding),
            coding => Ok(coding.filter(|_| !is_plain || refuses_identity)),
        }
    }

    /// Returns the range of a part; a range from the first byte on is the whole.
    pub fn partial_range(&self) -> Option<Range> {
        self.range.filter(|range| *range != Range::Bytes(RangeSpec::From(0)))
    }

    /// Returns `true` for a part of which neither the URL nor `If-Range` says the snapshot (RFC 9110 §14.2).
    pub fn has_unnamed_range(&self) -> bool {
        self.partial_range().is_some() && self.if_range.is_none() && self.named.is_none()
    }
}

fn id_of(named: Option<&SnapshotName>) -> Option<SnapshotId> {
    match named? {
        SnapshotName::Id(id) => Some(*id),
        SnapshotName::Session(_) => None,
    }
}

/// Returns `false` for a value of the parameters for an end and a wait that begins with a digit, as those of upstreams do.
fn is_own(value: &str) -> bool {
    !value.starts_with(|first: char| first.is_ascii_digit())
}

/// Reads the columns of a table.
fn read_columns(text: &str, media_type: MediaType, params: &ParamNames) -> Result<ColumnNames, RequestError> {
    let param = params.columns.clone();
    if !media_type.format().has_columns() {
        return Err(RequestError::Columns { param, format: media_type.format().name() });
    }
    text.parse().map_err(|error| RequestError::ColumnNames { param, error })
}

/// Reads the members of records.
fn read_fields(text: &str, media_type: MediaType, params: &ParamNames) -> Result<FieldNames, RequestError> {
    let param = params.fields.clone().unwrap_or_default();
    if media_type.format().has_columns() {
        return Err(RequestError::FieldsOfTable { param, format: media_type.format().name() });
    }
    text.parse().map_err(|error| RequestError::FieldNames { param, error })
}

/// Returns the values of unpage's own parameters: format, snapshot, since, end, wait, columns and fields. Further values of `end` and `wait` are
/// the upstream's.
fn own_params<'q>(uri: &'q Uri, params: &ParamNames) -> Result<[Option<Cow<'q, str>>; 7], RequestError> {
    let ParamNames { format, snapshot, since, end, wait, columns, fields } = params;
    let names = [Some(format), Some(snapshot), Some(since), Some(end), Some(wait), Some(columns), fields.as_ref()];
    let mut values = [const { None }; 7];
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let is_named = |own: &Option<&String>| own.is_some_and(|own| name == own.as_str());
        let Some(place) = names.iter().position(is_named) else { continue };
        match &values[place] {
            None => values[place] = Some(value),
            Some(first) if *first == value || [end, wait].iter().any(|own| name == own.as_str()) => {}
            Some(_) => return Err(RequestError::Several { param: name.into_owned() }),
        }
    }
    Ok(values)
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

/// Returns `true` where the query names a later page by the collection's own parameter: such a request is for that page. A parameter in the
/// body is found by the gateway, once the body has been read.
fn names_a_page(head: &Parts, collection: &Collection) -> bool {
    let style = &collection.pagination.style;
    let params = style.page_params();
    let own = |name: &str| params.iter().find(|param| matches!(param, Param::Query(own) if own == name));
    let query = head.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| own(&name).is_some_and(|param| !is_first_value(style, param, &value)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::super::{EntityTag, Reuse};
    use super::*;
    use crate::config::{Config, Machine};
    use crate::format::{ColumnNamesError, FieldNamesError};

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn read_of(config: &Config, request: http::request::Builder) -> Result<Option<StreamOptions>, RequestError> {
        let (head, ()) = request.body(()).unwrap().into_parts();
        StreamOptions::read(&head, &config.collections[0], &ParamNames::usual())
    }

    fn read(request: http::request::Builder) -> Result<Option<StreamOptions>, RequestError> {
        read_of(&Config::transparent("http://127.0.0.1:1").unwrap(), request)
    }

    fn options(request: http::request::Builder) -> StreamOptions {
        read(request).unwrap().expect("a stream is asked for")
    }

    #[test]
    fn a_pinned_url_is_about_its_snapshot_whatever_the_fields_say() {
        for accept in ["*/*", "text/html", "application/x-ndjson"] {
            let target = format!("/a?x=1&_snapshot={ID}");
            let options = options(Request::get(target).version(Version::HTTP_10).header("accept", accept));
            assert_eq!((options.pinned(), options.view), (Some(ID.parse().unwrap()), View::Records), "{accept}");
        }
        let status = options(Request::get(format!("/a?_format=status&_snapshot={ID}")));
        assert_eq!((status.view, status.media_type), (View::Status, MediaType::default()));
        let labelled = options(Request::get(format!("/a?_format=jsonl&_snapshot={ID}")));
        assert_eq!(labelled.media_type.essence(), "application/jsonl");
        assert_eq!(read(Request::delete(format!("/a?_snapshot={ID}"))), Ok(None));
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
        let options = read_of(&with, asked("/a?_since=a%20b")).unwrap().unwrap();
        assert_eq!(options.since.as_deref(), Some("a b"));
        let without = configured("");
        let pinned = format!("/a?_snapshot={ID}&_since=5");
        for target in ["/a?_since=5", "/a?x=1&%5fsince", &pinned] {
            assert_eq!(
                read_of(&without, asked(target)),
                Err(RequestError::Since { param: "_since".to_owned() }),
                "{target}"
            );
        }
        assert_eq!(read_of(&without, asked("/a?_since=5&after=7")), Ok(None));
        let nothing = RequestError::SinceNothing { param: "_since".to_owned() };
        assert_eq!(read_of(&with, asked("/a?_since=")), Err(nothing));
        let alone = read_of(&with, Request::get("/a?_since=5")).unwrap().unwrap();
        assert_eq!(alone.since.as_deref(), Some("5"));
    }

    #[test]
    fn an_end_that_begins_with_a_digit_is_the_upstreams_own() {
        for target in ["/a?_format=ndjson&_end=20", "/a?_end=2026-01-01&_format=ndjson"] {
            assert_eq!(options(Request::get(target)).media_type.end(), EndMark::None, "{target}");
        }
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
        let end = |end: &str| RequestError::End { param: "_end".to_owned(), end: end.to_owned() };
        for (request, bad) in [
            (Request::get("/a?_snapshot=latest"), name("latest")),
            (Request::get("/a?_snapshot"), name("")),
            (Request::get("/a?_format=status"), RequestError::StatusOfNone { param: "_format".to_owned() }),
            (Request::get("/a?_format=ndjson&_end=markr"), end("markr")),
            (Request::get("/a?_end=&_format=ndjson"), end("")),
            (Request::get("/a?_end=Marker").header("accept", "application/x-ndjson"), end("Marker")),
            (Request::get(format!("/a?_end=true&_snapshot={ID}")), end("true")),
            (
                Request::get("/a?_columns=id&_format=json"),
                RequestError::Columns { param: "_columns".to_owned(), format: "json" },
            ),
            (
                Request::get("/a?_columns=id,&_format=csv"),
                RequestError::ColumnNames { param: "_columns".to_owned(), error: ColumnNamesError::Empty },
            ),
            (Request::get("/a?_format=csv&_format=json"), RequestError::Several { param: "_format".to_owned() }),
            (
                Request::get("/a?_fields=id&_format=csv"),
                RequestError::FieldsOfTable { param: "_fields".to_owned(), format: "csv" },
            ),
            (
                Request::get("/a?_fields=id,&_format=json"),
                RequestError::FieldNames { param: "_fields".to_owned(), error: FieldNamesError::Empty },
            ),
            (Request::get("/a?_end=marker&_format=json"), RequestError::EndOfFormat { format: "json" }),
            (Request::get(format!("/a?_snapshot={ID}")).header("accept", "*/*;q=0"), RequestError::NotAcceptable),
            (Request::get("/a?_format=ndjson").version(Version::HTTP_10), RequestError::Http10),
            (Request::get("/a?_format=csv").version(Version::HTTP_10), RequestError::Http10),
            (
                Request::get("/a?_format=ndjson&_fields=id&_wait=complete").version(Version::HTTP_10),
                RequestError::Http10Length,
            ),
            (Request::get("/a?_format=ndjson").header("range", "bytes=0-1,2-3"), RequestError::Ranges),
            (Request::get("/a?_format=ndjson").header("accept-datetime", "yesterday"), RequestError::Datetime),
        ] {
            assert_eq!(read(request), Err(bad));
        }
    }

    #[test]
    fn who_asks_for_no_stream_is_passed_on() {
        for target in ["/a", "/a?snapshot=1", "/a?_end=20", "/a?_wait=5&_wait=complete", "/a?_fields=id"] {
            let request = Request::get(target).header("range", "bytes=0-1,2-3").header("accept-datetime", "x");
            assert_eq!(read(request), Ok(None), "{target}");
        }
        assert_eq!(read(Request::post("/a?_wait=complete&_columns=id").header("accept", "*/*;q=0")), Ok(None));
    }

    #[test]
    fn a_parameter_that_only_streams_have_asks_for_one() {
        for accept in ["*/*", "application/json", "text/html, */*;q=0.5"] {
            let waiting = options(Request::get("/a?_wait=complete").header("accept", accept));
            assert_eq!((waiting.wait, waiting.media_type), (Some(EndWait::Demanded), MediaType::default()));
            let marked = options(Request::get("/a?_end=marker&_fields=id").header("accept", accept));
            assert_eq!(marked.media_type, MediaType::default().marked());
            assert!(marked.fields.is_some());
        }
        let param = |name: &str| name.to_owned();
        for (target, bad) in [
            ("/a?_wait", RequestError::Wait { param: param("_wait"), wait: String::new() }),
            ("/a?_wait=true", RequestError::Wait { param: param("_wait"), wait: param("true") }),
            ("/a?_wait=5&_format=ndjson", RequestError::Wait { param: param("_wait"), wait: param("5") }),
            ("/a?_end=markr", RequestError::End { param: param("_end"), end: param("markr") }),
            ("/a?_columns=id", RequestError::Columns { param: param("_columns"), format: "ndjson" }),
            ("/a?_since=5", RequestError::Since { param: param("_since") }),
        ] {
            assert_eq!(read(Request::get(target)), Err(bad), "{target}");
        }
        let refused = Request::get("/a?_wait=complete").header("accept", "application/x-ndjson;q=0");
        assert_eq!(read(refused), Err(RequestError::NotAcceptable));
    }
}
