//! Arguments of `fetch` and `probe`: a URL or a collection, and keys of its configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::crawl_target::{self, OwnRequest};
use crate::config::{Collection, Machine, Options, Proxy, Secrets, toml_inline};
use crate::crawl::Crawl;

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
    /// URL of the collection, with the query that belongs to it; `HOST:PORT/PATH` is http. With --config also a path, as /orders?status=open
    #[arg(required_unless_present = "collection")]
    url: Option<String>,
    /// Configuration file of which a collection is fetched: the one that the path leads to, or --collection. Other options go before its keys
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Collection of --config, by its `path`
    #[arg(long, value_name = "PATH", requires = "config")]
    collection: Option<String>,
    /// Preset of the API, or `none` to recognise its pagination. `unpage presets` lists all [default: by the host]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Any key of a collection and its upstream, with a dot for one inside of a table: retry.attempts=9; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
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
    #[arg(long, value_name = "PATH|false", conflicts_with = "no_total")]
    total: Option<String>,
    /// As --total false
    #[arg(long)]
    no_total: bool,
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
    upstream_aliases: Vec<String>,
    /// Redirects of a page's GET: followed inside the URL's origin, or a failure [default: same-origin]
    #[arg(long, value_name = "same-origin|off")]
    redirects: Option<String>,
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
    /// Time within which records appear in a list that is sorted by time: the end is read again for late ones. For a keyset whose --pagination has
    /// that time as its first key
    #[arg(long, value_name = "TIME")]
    settle: Option<String>,
    /// End of a fetch that read all pages while records moved, so that some may be missing: `fail` exits with 7, `report` with 0 [default: fail]
    #[arg(long, value_name = "fail|report")]
    on_missed: Option<String>,
    /// GET or POST [default: GET, or POST with --data]
    #[arg(long, value_name = "METHOD", value_parser = method)]
    method: Option<Method>,
    /// Body of every page's request; JSON unless a Content-Type says otherwise; @FILE reads it from a file
    #[arg(long, short, value_name = "TEXT")]
    data: Option<String>,
    /// Header field of every page's request; @FILE reads such lines from a file, which keeps a token out of the list of processes
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE|@FILE")]
    headers: Vec<String>,
    /// Environment variable with a token, sent as `Authorization: Bearer`
    #[arg(long, value_name = "NAME")]
    bearer_env: Option<String>,
    /// TOML file with keys of `credentials`, as [token]: its token is renewed during the fetch
    #[arg(long, value_name = "FILE", conflicts_with = "bearer_env")]
    token_config: Option<PathBuf>,
    /// HTTP proxy in front of the API; `env`: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as curl [default: env]
    #[arg(long, value_name = "none|env|URL", value_parser = proxy)]
    proxy: Option<Proxy>,
    /// PEM file of certificate authorities that are trusted beside the platform's
    #[arg(long, value_name = "FILE")]
    cacert: Option<String>,
}

impl CrawlArguments {
    /// Returns the crawl that the arguments describe and its collection, or the mistake in them.
    pub(super) fn crawl(self) -> Result<(Crawl, Arc<Collection>), String> {
        self.crawl_with(&Machine)
    }

    /// The same with the secrets of another place.
    pub(super) fn crawl_with(self, secrets: &dyn Secrets) -> Result<(Crawl, Arc<Collection>), String> {
        let mut headers = self.fields()?;
        let credentials = self.credentials()?;
        if credentials.is_some() && headers.contains_key(header::AUTHORIZATION) {
            let option = if self.bearer_env.is_some() { "--bearer-env" } else { "--token-config" };
            return Err(format!("{option} and -H Authorization: both are credentials: give one of them"));
        }
        let options = self.options(headers.remove(header::ACCEPT).as_ref());
        let own = OwnRequest { headers, data: self.data.clone(), proxy: self.proxy.clone(), secrets };
        let url = self.url.as_deref();
        let (crawl, collection) = match &self.config {
            Some(file) => crawl_target::of_file(file, url, self.collection.as_deref(), &options, own)?,
            None => crawl_target::of_url(url.unwrap_or_default(), &options, own)?,
        };
        crawl_target::tell_preset(&collection, &crawl.first.url);
        Ok((crawl, collection))
    }

    /// Returns the keys that the options set, with their values as TOML.
    pub(super) fn lines(&self) -> Vec<(String, String)> {
        let accept = self.fields().ok().and_then(|mut fields| fields.remove(header::ACCEPT));
        self.options(accept.as_ref()).lines()
    }

    /// Returns the name of the preset, if one is given.
    pub(super) fn preset(&self) -> Option<&str> {
        self.preset.as_deref()
    }

    /// Returns the names of the header fields, without their values.
    pub(super) fn field_names(&self) -> Vec<String> {
        let fields = self.fields().unwrap_or_default();
        fields.keys().filter(|name| *name != header::ACCEPT).map(ToString::to_string).collect()
    }

    /// Returns true where the requests have a body of the command line.
    pub(super) fn has_data(&self) -> bool {
        self.data.is_some()
    }

    /// Returns the URL or the text in its place.
    pub(super) fn place(&self) -> &str {
        self.url.as_deref().unwrap_or_default()
    }

    /// Returns true where no URL is meant by the text in its place.
    pub(super) fn names_no_url(&self) -> bool {
        !self.place().is_empty() && !crawl_target::with_scheme(self.place()).contains("://")
    }

    /// Returns the file that stands in place of the URL.
    pub(super) fn file(&self) -> Option<&Path> {
        self.url.as_deref().map(Path::new).filter(|file| file.is_file())
    }

    /// Returns the options that are keys of the configuration.
    fn options(&self, accept: Option<&HeaderValue>) -> Options {
        let method = self.method.clone().or(self.data.as_ref().map(|_| Method::POST));
        let text = |text: &str| Some(text.to_owned());
        let single: [(&'static str, Option<String>); 21] = [
            ("preset", self.preset.clone()),
            ("pagination", self.pagination.clone()),
            ("records", self.records.clone()),
            ("key", self.key.clone()),
            ("on_double", self.on_double.clone()),
            ("page_size", self.page_size.clone()),
            ("total", self.total.clone().or(self.no_total.then(|| "false".to_owned()))),
            ("error_path", self.error_path.clone()),
            ("partition", self.partition.clone()),
            ("order", self.order.clone()),
            ("consistency", self.consistency.clone()),
            ("settle", self.settle.clone()),
            ("on_missed", self.on_missed.clone()),
            ("stable_order", self.stable_order.then(|| "true".to_owned())),
            ("width", self.width.clone()),
            ("rate", self.rate.clone()),
            ("method", method.and_then(|method| text(method.as_str()))),
            ("redirects", self.redirects.clone()),
            ("ca", self.cacert.clone()),
            ("accept", accept.and_then(|accept| accept.to_str().ok()).and_then(text)),
            // What can't be read is told by `crawl`.
            ("credentials", self.credentials().unwrap_or_default()),
        ];
        let lists = [("keep", &self.keep), ("upstream_aliases", &self.upstream_aliases)];
        let lists = lists.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value.clone())));
        let single = single.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Options { keys: single.chain(lists).collect(), set: self.set.clone() }
    }

    /// Returns the configured credentials as an inline table.
    fn credentials(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.token_config else {
            return Ok(self.bearer_env.as_ref().map(|name| format!("{{ bearer = {{ env = {name:?} }} }}")));
        };
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let inline = text.and_then(|text| toml_inline(&text));
        inline.map(Some).map_err(|what| format!("--token-config: {}: {what}", file.display()))
    }

    fn fields(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for field in &self.headers {
            match field.strip_prefix('@') {
                None => append(&mut headers, field)?,
                Some(file) => {
                    let text = std::fs::read_to_string(file).map_err(|error| format!("--header: {file}: {error}"))?;
                    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
                    lines.try_for_each(|line| append(&mut headers, line))?;
                }
            }
        }
        Ok(headers)
    }
}

fn append(headers: &mut HeaderMap, field: &str) -> Result<(), String> {
    // The value may be a secret, and so may any text in its place.
    let name = field.split([':', ' ']).next().unwrap_or_default();
    let bad = || format!("--header: not `Name: value`: {name:?}…");
    let (name, value) = field.split_once(':').ok_or_else(bad)?;
    let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
    if OWNED.contains(&name) {
        return Err(format!("--header: {name} is set by unpage for each request: leave it out"));
    }
    headers.append(name, HeaderValue::from_str(value.trim()).map_err(|_| bad())?);
    Ok(())
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
