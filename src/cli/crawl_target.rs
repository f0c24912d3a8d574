//! Crawl of `fetch` and `probe`: by a URL, or by a collection of a configuration file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use url::{Host, Url};

use crate::config::{ChosenBy, Collection, Config, FileCollection, Options, Preset, Proxy, Secrets, Upstream};
use crate::crawl::{Crawl, Crawls};
use crate::gateway;
use crate::pagination::PageRequest;
use crate::pagination::request::{RedactedUrl, RequestBody};
use crate::snapshot::MemoryBudget;
use crate::upstream::{Client, Governors};

/// Header fields and body of the requests, as the command line has them.
pub(super) struct OwnRequest<'a> {
    pub(super) headers: HeaderMap,
    /// Text of `--data`.
    pub(super) data: Option<String>,
    /// Proxy, whose password may stand here and in no file.
    pub(super) proxy: Option<Proxy>,
    pub(super) secrets: &'a dyn Secrets,
}

/// Returns the crawl of a URL, by the options, or by the preset of its host.
pub(super) fn of_url(url: &str, options: &Options, own: OwnRequest<'_>) -> Result<(Crawl, Arc<Collection>), String> {
    let url = absolute(url)?;
    let collection =
        options.read(origin(&url)?.as_str(), url.path(), own.secrets).map_err(|mistakes| mistakes.to_string())?;
    let collection = own.proxied(&collection);
    let crawl = at(&collection, url, own)?;
    Ok((crawl, collection))
}

/// Returns the crawl of a file's collection: of the one that a path leads to, or of a URL by the keys of the collection at `path`.
pub(super) fn of_file(
    file: &Path,
    target: Option<&str>,
    path: Option<&str>,
    options: &Options,
    own: OwnRequest<'_>,
) -> Result<(Crawl, Arc<Collection>), String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| format!("--config: {name}: {error}"))?;
    let target = target.or(path).unwrap_or_default();
    let is_path = target.starts_with('/');
    let url = if is_path { None } else { Some(absolute(target)?) };
    let leads = path.filter(|_| !is_path).or(url.as_ref().map(Url::path)).unwrap_or(target);
    let leads = leads.split(['?', '#']).next().unwrap_or(leads);
    let chosen = options.read_above(FileCollection { name: &name, text: &text, path: leads }, own.secrets);
    let (mut config, collection) = chosen.map_err(|mistakes| mistakes.to_string())?;
    // Also those of its parents.
    config.collections.iter_mut().for_each(|other| *other = own.proxied(other));
    let chosen = config.collections.iter().find(|own| own.path == collection.path);
    let collection = chosen.map_or(collection, Arc::clone);
    if let Some(url) = url {
        // Not at an alias either: the credentials go to the upstream alone.
        if collection.upstream.url.origin() != url.origin() {
            return Err(format!(
                "{} is not at the upstream of {}, which is {}: write a path, as /orders, or another --collection",
                RedactedUrl(&url),
                collection.path,
                collection.upstream.url
            ));
        }
        if collection.parent.is_some() && url.path().split('/').any(|segment| segment == "*") {
            return Err(format!(
                "`*` stands for all parents in a path alone: write {} in place of the URL",
                url.path()
            ));
        }
        let crawl = at(&collection, url, own)?;
        return Ok((crawl, collection));
    }
    let target = if target == collection.path { all_children(&config, &collection) } else { target.to_owned() };
    if target.contains('{') {
        return Err(format!(
            "{target} has segments to be filled: write a path that leads to it, in place of --collection"
        ));
    }
    let uri: Uri = target.parse().map_err(|error| format!("not a path with a query: {target:?}: {error}"))?;
    let crawl = gateway::crawl_of(&config, &uri, &own.headers, None, None).map_err(|failure| failure.to_string())?;
    let body = own.body(&collection)?.or(crawl.first.body);
    let first = PageRequest { body, ..crawl.first };
    Ok((Crawl { first, ..crawl }, collection))
}

/// Returns the path of a collection, with `*` in place of each segment that parents fill.
fn all_children(config: &Config, collection: &Collection) -> String {
    let mut path = collection.path.clone();
    let mut parent = collection.parent.as_ref();
    while let Some(link) = parent {
        path = path.replace(&format!("{{{}}}", link.segment), "*");
        let above = config.collections.iter().find(|collection| collection.path == link.collection);
        parent = above.and_then(|above| above.parent.as_ref());
    }
    path
}

/// Tells the preset that was chosen by the host, or one that fits it and leaves keys to the user.
pub(super) fn tell_preset(collection: &Collection, url: &Url) {
    match collection.preset {
        Some(choice) if choice.by == ChosenBy::Host => {
            eprintln!("{choice}; --preset none recognises the pagination instead");
        }
        None if collection.pagination.style.is_auto() => {
            let Some(preset) = Preset::of_host(url) else { return };
            let lacks: Vec<_> = preset.lacks().map(|key| format!("--{key}")).collect();
            if !lacks.is_empty() {
                eprintln!(
                    "the host has the preset {0}, which needs {1}: --preset {0} uses it",
                    preset.name,
                    lacks.join(" and ")
                );
            }
        }
        _ => {}
    }
}

fn at(collection: &Collection, mut url: Url, own: OwnRequest<'_>) -> Result<Crawl, String> {
    url.set_fragment(None);
    let body = own.body(collection)?.or_else(|| collection.body.clone().map(RequestBody::Json));
    Ok(Crawl {
        client: Client::new(Arc::clone(&collection.upstream), &Governors::default())
            .map_err(|error| error.to_string())?,
        pagination: Arc::clone(&collection.pagination),
        caps: collection.caps.clone(),
        first: PageRequest { method: collection.method.clone(), url, headers: own.headers, body },
        since: None,
        valid_at: None,
        width: collection.upstream.pace.widest(),
        memory: MemoryBudget::unlimited(),
        crawls: Crawls::default(),
        parents: None,
    })
}

impl OwnRequest<'_> {
    /// Returns the collection with the command line's proxy in front of its upstream.
    fn proxied(&self, collection: &Arc<Collection>) -> Arc<Collection> {
        let Some(proxy) = self.proxy.clone() else { return Arc::clone(collection) };
        let upstream = Upstream { proxy, ..(*collection.upstream).clone() };
        Arc::new(Collection { upstream: Arc::new(upstream), ..(**collection).clone() })
    }

    fn body(&self, collection: &Collection) -> Result<Option<RequestBody>, String> {
        let Some(data) = &self.data else { return Ok(None) };
        let text = match data.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).map_err(|error| format!("--data: {file}: {error}"))?,
            None => data.clone(),
        };
        let kind = collection.pagination.body_kind();
        RequestBody::read(self.headers.get(header::CONTENT_TYPE), text.into(), kind)
            .map_err(|error| format!("--data: not JSON: {error}; name another media type with -H 'Content-Type: …'"))
    }
}

/// Parses a URL.
fn absolute(text: &str) -> Result<Url, String> {
    Url::parse(&with_scheme(text)).map_err(|error| match Path::new(text).exists() {
        true => format!("{text} is a file, where a URL is wanted: name a configuration by --config, and a document of `init` by --openapi"),
        false => format!("{text} is no URL: {error}: write https://HOST/PATH, or HOST:PORT/PATH for http"),
    })
}

/// Returns the text of a URL with its scheme. Without one, a host with a port is asked over http, and so is this machine.
pub(super) fn with_scheme(text: &str) -> Cow<'_, str> {
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let is_local = || matches!(Host::parse(authority), Ok(Host::Ipv4(_) | Host::Ipv6(_))) || authority == "localhost";
    let has_port = !host.is_empty() && !host.contains('@') && port.parse::<u16>().is_ok();
    if !text.contains("://") && (has_port || is_local()) { format!("http://{text}").into() } else { text.into() }
}

/// Returns the origin that all next links must have.
pub(super) fn origin(url: &Url) -> Result<Url, String> {
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
