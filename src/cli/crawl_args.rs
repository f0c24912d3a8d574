//! URL and pagination of `fetch` and `probe`, from the command line.

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use crate::config::{Caps, Options, Proxy, Redirects, Upstream};
use crate::crawl::{Crawl, Crawls};
use crate::pagination::request::{RedactedUrl, RequestBody};
use crate::pagination::{BodyKind, PageRequest};
use crate::snapshot::MemoryBudget;
use crate::upstream::{Client, Governors};

/// Header fields that belong to a connection or a page, which the user can't set.
const OWNED: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Debug, clap::Args)]
pub(super) struct CrawlArguments {
    /// URL of the collection, with the query that belongs to it
    url: Url,
    /// A type name or an inline table as in a configuration file: '{ type = "cursor", next = "next_cursor", param = "cursor" }'
    #[arg(long, value_name = "TYPE|TABLE")]
    pagination: Option<String>,
    /// Path of the records in a page: a JSONPath, `$` for the page itself
    #[arg(long, value_name = "PATH")]
    records: Option<String>,
    /// Path of the value that identifies a record
    #[arg(long, value_name = "PATH")]
    key: Option<String>,
    /// A record whose key came before, where that shows that records moved or changed: `fail` breaks the stream, `drop` keeps the first one
    /// [default: fail]
    #[arg(long, value_name = "fail|drop")]
    on_double: Option<String>,
    /// Parameter and value of the page size
    #[arg(long, value_name = "NAME=NUMBER")]
    page_size: Option<String>,
    /// Place of the total number of records: a path or header:NAME; `false`: no number beside the records counts them
    #[arg(long, value_name = "PATH|false")]
    total: Option<String>,
    /// Path whose value in a page of status 200 means that it failed, or '{ path = "status", ok = ["OK"], retry = ["WAIT"] }';
    /// `false`: nothing does [default: `errors` for GraphQL]
    #[arg(long, value_name = "PATH|TABLE|false")]
    error_path: Option<String>,
    /// Query parameter that each next link gets again where it lacks it, as a page size or a filter; may be repeated
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Other origin that the API's own links name, as http:// where the URL has https://; they are rewritten to the URL's origin; may be
    /// repeated
    #[arg(long, value_name = "URL")]
    upstream_aliases: Vec<Url>,
    /// Redirects of a page's GET: followed inside the URL's origin, or a failure [default: same-origin]
    #[arg(long, value_name = "same-origin|off", value_parser = redirects)]
    redirects: Option<Redirects>,
    /// Number of pages that are requested at a time, or `adaptive` [default: 6]
    #[arg(long, value_name = "NUMBER|adaptive")]
    width: Option<String>,
    /// Limit of the requests: `10/s`, `600/min`, `5000/h`
    #[arg(long, value_name = "NUMBER/TIME")]
    rate: Option<String>,
    /// Parts of the collection that are crawled side by side, as an inline table:
    /// '{ from = "created[gte]", to = "created[lt]", kind = "unix", field = "created", order = "descending" }',
    /// '{ param = "region", values = ["eu", "us"] }'
    #[arg(long, value_name = "TABLE")]
    partition: Option<String>,
    /// Order of the parts of --partition; `any`: as their records come [default: listed]
    #[arg(long, value_name = "listed|any")]
    order: Option<String>,
    /// Care for a list that changes while it is read: `repair` reads again what a move leaves uncertain (offsets, pages of free size, keysets), `verify`
    /// reads all until two reads are equal; both need a --key [default: detect]
    #[arg(long, value_name = "none|detect|repair|verify")]
    consistency: Option<String>,
    /// Your word that records keep their order: one that stays does not move past another. The verdict says whose word it is
    #[arg(long)]
    stable_order: bool,
    /// End of a fetch that read all pages while records moved, so that some may be missing: `fail` exits with 7, `report` with 0 [default: fail]
    #[arg(long, value_name = "fail|report")]
    on_missed: Option<String>,
    /// GET or POST [default: GET, or POST with --data]
    #[arg(long, value_name = "METHOD", value_parser = method)]
    method: Option<Method>,
    /// Body of every page's request; JSON unless a Content-Type says otherwise; @FILE reads it from a file
    #[arg(long, short, value_name = "TEXT")]
    data: Option<String>,
    /// Header field of every page's request
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// HTTP proxy in front of the API; `env`: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as curl [default: env]
    #[arg(long, value_name = "none|env|URL", value_parser = proxy)]
    proxy: Option<Proxy>,
    /// PEM file of certificate authorities that are trusted beside the platform's
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

impl CrawlArguments {
    /// Returns the crawl that the arguments describe, or the mistake in them.
    pub(super) fn crawl(self) -> Result<Crawl, String> {
        let method = self.method.clone().unwrap_or(if self.data.is_some() { Method::POST } else { Method::GET });
        let mut headers = self.fields()?;
        let mut upstream = Upstream::at(origin(&self.url)?);
        if let Some(accept) = headers.remove(header::ACCEPT) {
            upstream.accept = accept;
        }
        upstream.aliases = self.upstream_aliases.iter().map(origin).collect::<Result<_, _>>()?;
        upstream.ca = self.cacert.clone();
        upstream.proxy = self.proxy.clone().unwrap_or(Proxy::Environment);
        upstream.redirects = self.redirects.unwrap_or(upstream.redirects);
        let options = Options {
            pagination: self.pagination.clone(),
            records: self.records.clone(),
            key: self.key.clone(),
            on_double: self.on_double.clone(),
            page_size: self.page_size.clone(),
            total: self.total.clone(),
            error_path: self.error_path.clone(),
            keep: self.keep.clone(),
            partition: self.partition.clone(),
            order: self.order.clone(),
            consistency: self.consistency.clone(),
            on_missed: self.on_missed.clone(),
            stable_order: self.stable_order.then(|| "true".to_owned()),
            width: self.width.clone(),
            rate: self.rate.clone(),
            method: method.clone(),
        };
        let (pagination, pace) = options.read().map_err(|mistakes| mistakes.to_string())?;
        upstream.pace = pace;
        let width = upstream.pace.widest();
        let body = self.body(&headers, pagination.body_kind())?;
        let mut url = self.url;
        url.set_fragment(None);
        Ok(Crawl {
            client: Client::new(Arc::new(upstream), &Governors::default()).map_err(|error| error.to_string())?,
            pagination: Arc::new(pagination),
            caps: Caps::default(),
            first: PageRequest { method, url, headers, body },
            since: None,
            valid_at: None,
            width,
            memory: MemoryBudget::unlimited(),
            crawls: Crawls::default(),
        })
    }

    fn fields(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for field in &self.headers {
            // The value may be a secret, and so may any text in its place.
            let name = field.split([':', ' ']).next().unwrap_or_default();
            let bad = || format!("--header: not `Name: value`: {name:?}…");
            let (name, value) = field.split_once(':').ok_or_else(bad)?;
            let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
            if OWNED.contains(&name) {
                return Err(format!("--header: {name} is set by unpage for each request: leave it out"));
            }
            headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad())?);
        }
        Ok(headers)
    }

    fn body(&self, headers: &HeaderMap, kind: BodyKind) -> Result<Option<RequestBody>, String> {
        let Some(data) = &self.data else { return Ok(None) };
        let text = match data.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).map_err(|error| format!("--data: {file}: {error}"))?,
            None => data.clone(),
        };
        RequestBody::read(headers.get(header::CONTENT_TYPE), text.into(), kind)
            .map_err(|error| format!("--data: not JSON: {error}; name another media type with -H 'Content-Type: …'"))
    }
}

/// Methods that a collection can be crawled with: any other may change something each time.
fn method(word: &str) -> Result<Method, String> {
    [Method::GET, Method::POST]
        .into_iter()
        .find(|method| method.as_str() == word)
        .ok_or_else(|| format!("unknown method {word:?}: one of GET, POST"))
}

fn proxy(text: &str) -> Result<Proxy, String> {
    Proxy::from_text(text).map_err(|(what, hint)| format!("{what}: {hint}"))
}

fn redirects(word: &str) -> Result<Redirects, String> {
    match word {
        "same-origin" => Ok(Redirects::SameOrigin),
        "off" => Ok(Redirects::Off),
        _ => Err(format!("unknown redirects {word:?}: one of same-origin, off")),
    }
}

/// Returns the origin that all next links must have.
fn origin(url: &Url) -> Result<Url, String> {
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("not an http or https URL: {}", RedactedUrl(url)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL carries a user name or password: send them with -H 'Authorization: …'".to_owned());
    }
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    Ok(origin)
}
