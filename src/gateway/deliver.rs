//! A snapshot and a wish become a response: all of it, a part of it, or why not.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};

use super::part::{Missing, Slice};
use super::{problem, status};
use crate::id::SnapshotId;
use crate::request::{BadAsk, Params, Range, Span, View, WantDigest, Wish};
use crate::response::{Body, Length, StreamBody, empty};
use crate::snapshot::{FileStorage, Retention, Snapshot, SnapshotState};

/// What the gateway knows of a request beside its wish.
#[derive(Clone, Debug)]
pub struct Said {
    /// The names of unpage's own parameters.
    pub params: Params,
    /// Path and canonical query, as they name the same snapshots; unpage's parameters are not in it, but for the one that says since when.
    pub original: String,
    /// Where the snapshot comes from.
    pub found: Found,
    /// What of the client's preferences was followed.
    pub applied: Option<HeaderValue>,
    /// Who may see it.
    pub scope: Scope,
    /// What becomes of a wish for a part of nobody knows which snapshot.
    pub unnamed: Unnamed,
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was kept; where it answers more requests than those for its name, for how long it is still fresh.
    Kept(Option<Duration>),
    /// Its crawl was under way for somebody else.
    Joined,
    /// It was begun for this request, since there was none.
    Missed,
    /// It was begun for this request, since the others are too old.
    Stale,
    /// It was begun for this request, since the client wants none that is there.
    Unwanted,
}

/// Who may see a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Who it was made for.
    Caller,
    /// Everybody.
    Everyone,
}

/// What becomes of a wish for a part that names no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unnamed {
    /// It is refused: what the client has may be of another one.
    Refuse,
    /// It is sent to this one, since there was no other.
    Redirect,
}

/// What of the snapshot is wanted.
enum Wanted {
    Whole,
    Part(Range),
    /// A part of a snapshot that may be another one.
    PartOfNone,
}

/// The snapshot's addresses, as paths with a query.
pub(super) struct Links {
    original: String,
    pub(super) pinned: String,
    status: String,
}

/// Answers a wish with a snapshot.
pub async fn deliver(snapshot: &Snapshot, wish: &Wish, said: &Said) -> Response<Body> {
    let links = Links::to(snapshot.id(), said);
    if wish.view == View::Status {
        return status::answer(snapshot, wish, &links);
    }
    if has_it_all(snapshot, wish) {
        return with_fields(StatusCode::NOT_MODIFIED, validators(snapshot, wish, said, &links), empty());
    }
    let slice = match Wanted::of(wish, snapshot.id()) {
        Wanted::Whole if wish.method == Method::HEAD => Slice::head(snapshot.log()),
        Wanted::Whole => Slice::whole(snapshot.log()),
        Wanted::Part(range) => Slice::part(snapshot.log(), range).await,
        Wanted::PartOfNone => return unnamed(snapshot.id(), said),
    };
    match slice {
        // Only its end would tell the client that it is whole, and there that can't be told from a broken one's.
        Ok(Slice { length: None, .. }) if wish.version < Version::HTTP_11 => problem::bad_ask(&BadAsk::Http10),
        Ok(slice) => with_digest(success(slice, snapshot, wish, said, &links), snapshot, wish).await,
        Err(Missing::Behind(content_range)) => problem::behind(&content_range),
        Err(Missing::Broken(failure)) => problem::broken(&failure),
        Err(Missing::Gone(gone)) => problem::dropped(gone),
    }
}

/// Whether the client has the snapshot already. Of one that isn't complete it can only have a part, whose tag clients remember as they do
/// that of a whole: "not modified" would make a whole of the part.
fn has_it_all(snapshot: &Snapshot, wish: &Wish) -> bool {
    let known = wish.if_none_match.as_ref().is_some_and(|known| known.matches(snapshot.id()));
    known && matches!(snapshot.state(), SnapshotState::Complete(_))
}

impl Wanted {
    fn of(wish: &Wish, id: SnapshotId) -> Self {
        match (wish.range, wish.if_range) {
            (Some(range), Some(if_range)) if if_range.matches(id) => Self::Part(range),
            (Some(range), None) if wish.pinned.is_some() => Self::Part(range),
            (None, _) | (Some(_), Some(_)) | (Some(Range::Bytes(Span::From(0))), None) => Self::Whole,
            (Some(_), None) => Self::PartOfNone,
        }
    }
}

impl Links {
    fn to(id: SnapshotId, said: &Said) -> Self {
        // A path that begins with two slashes would be read as another host's name.
        let original =
            if said.original.starts_with("//") { format!("/.{}", said.original) } else { said.original.clone() };
        let separator = if original.contains('?') { '&' } else { '?' };
        let pinned = format!("{original}{separator}{}={id}", said.params.snapshot);
        let status = format!("{pinned}&{}=status", said.params.format);
        Self { original, pinned, status }
    }
}

fn success(slice: Slice, snapshot: &Snapshot, wish: &Wish, said: &Said, links: &Links) -> Response<Body> {
    let Slice { reader, length, content_range } = slice;
    let mut fields = validators(snapshot, wish, said, links);
    fields.insert(header::CONTENT_TYPE, wish.media_type.header());
    fields.insert(header::VIA, HeaderValue::from_static("1.1 unpage"));
    fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
    let ranges = if can_go_on(snapshot, wish) { "bytes" } else { "none" };
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static(ranges));
    set(&mut fields, header::AGE, age(snapshot).as_secs().to_string());
    set(&mut fields, HeaderName::from_static("cache-status"), cache_status(said.found, snapshot.retention()));
    // Of what moment it is, only the upstream's answer for one moment says (RFC 7089 §2.1.1).
    let moment = snapshot.facts().valid_at;
    if let Some(moment) = moment {
        set(&mut fields, HeaderName::from_static("memento-datetime"), httpdate::fmt_http_date(moment));
    }
    let status = has_address(snapshot, wish).then(|| format!("<{}>; rel=\"status\"", links.status));
    let original = moment.map(|_| format!("<{}>; rel=\"original\"", links.original));
    let links: Vec<_> = status.into_iter().chain(original).collect();
    if !links.is_empty() {
        set(&mut fields, header::LINK, links.join(", "));
    }
    if let Some(modified) = &snapshot.facts().last_modified {
        set(&mut fields, header::LAST_MODIFIED, modified.clone());
    }
    if let Some(applied) = &said.applied {
        fields.insert("preference-applied", applied.clone());
    }
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let status = if content_range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if let Some(content_range) = content_range {
        set(&mut fields, header::CONTENT_RANGE, content_range);
    }
    let body = match reader {
        Some(reader) => Body::new(StreamBody::new(reader, length.map_or(Length::Open, Length::Exactly))),
        None => empty(),
    };
    with_fields(status, fields, body)
}

/// RFC 9530: of the whole, also where a part of it is answered.
async fn with_digest(mut response: Response<Body>, snapshot: &Snapshot, wish: &Wish) -> Response<Body> {
    if wish.digest == WantDigest::Sha256
        && let Some(digest) = snapshot.digest().await
    {
        set(response.headers_mut(), HeaderName::from_static("repr-digest"), digest.to_string());
    }
    response
}

/// What a 304 says, too.
fn validators(snapshot: &Snapshot, wish: &Wish, said: &Said, links: &Links) -> HeaderMap {
    let mut fields = HeaderMap::new();
    set(&mut fields, header::ETAG, format!("\"{}\"", snapshot.id()));
    if has_address(snapshot, wish) {
        set(&mut fields, header::CONTENT_LOCATION, links.pinned.clone());
    }
    let is_complete = matches!(snapshot.state(), SnapshotState::Complete(_));
    let cache_control = match (is_kept(snapshot), is_complete, said.scope) {
        (true, true, Scope::Caller) => "private, no-cache",
        (true, true, Scope::Everyone) => "no-cache",
        _ => "no-store",
    };
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    fields
}

/// Whether a client whose download breaks now can have the rest.
fn can_go_on(snapshot: &Snapshot, wish: &Wish) -> bool {
    has_address(snapshot, wish) && snapshot.log().extent().from == 0
}

/// Whether a GET can ask for it again: what another method began has that method's key.
fn has_address(snapshot: &Snapshot, wish: &Wish) -> bool {
    matches!(wish.method, Method::GET | Method::HEAD) && snapshot.retention() != Retention::Transient
}

fn is_kept(snapshot: &Snapshot) -> bool {
    snapshot.retention() != Retention::Transient && snapshot.facts().storage == FileStorage::Allowed
}

fn age(snapshot: &Snapshot) -> Duration {
    SystemTime::now().duration_since(snapshot.facts().created).unwrap_or_default()
}

/// RFC 9211.
fn cache_status(found: Found, retention: Retention) -> String {
    let forwarded = |why: &str| {
        let stored = if retention == Retention::Transient { "" } else { "; stored" };
        format!("unpage; fwd={why}{stored}")
    };
    match found {
        Found::Kept(None) => "unpage; hit".to_owned(),
        Found::Kept(Some(ttl)) => format!("unpage; hit; ttl={}", ttl.as_secs()),
        Found::Joined => "unpage; fwd=miss; collapsed".to_owned(),
        Found::Missed => forwarded("miss"),
        Found::Stale => forwarded("stale"),
        Found::Unwanted => forwarded("request"),
    }
}

/// Answers a wish for a part of nobody knows which snapshot, where this one is the newest.
pub(super) fn unnamed(newest: SnapshotId, said: &Said) -> Response<Body> {
    let links = Links::to(newest, said);
    match said.unnamed {
        Unnamed::Refuse => problem::partial(Some(&links.pinned)),
        Unnamed::Redirect => {
            let mut fields = HeaderMap::new();
            set(&mut fields, header::LOCATION, links.pinned.clone());
            fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            with_fields(StatusCode::TEMPORARY_REDIRECT, fields, empty())
        }
    }
}

fn with_fields(status: StatusCode, fields: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// What can't stand in a field is left out.
fn set(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}
