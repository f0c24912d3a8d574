//! Route: the collection of a path, and the upstream's address for it.

use std::sync::Arc;

use http::header::ACCEPT_ENCODING;
use http::{HeaderName, HeaderValue, Method};
use url::Url;

use super::aws_operation::OperationPlaces;
use super::hidden_write::{HiddenWrite, WriteFinder};
use super::path_template;
use crate::cache_key::CanonicalPagination;
use crate::config::{Collection, Config, Upstream};
use crate::pagination::Pagination;
use crate::pagination::dot_segments::has_dot_segments;
use crate::request::{ACCEPT_DATETIME, PREFER, ParamNames};
use crate::response::vary;
use crate::upstream::{Client, ConnectorError, Governors, Transport};

/// Collections by their paths.
#[derive(Debug)]
pub(super) struct Routes {
    router: matchit::Router<Arc<Collection>>,
    targets: Arc<[Arc<RouteTarget>]>,
}

/// A collection, with all that is derived from its configuration once.
#[derive(Debug)]
struct RouteTarget {
    collection: Arc<Collection>,
    /// Shared by all collections of an upstream.
    client: Client,
    canonical: CanonicalPagination,
    /// Matches the collection's `upstream_path`.
    upstream_paths: Option<matchit::Router<()>>,
    /// Index of the parents' collection.
    parent: Option<usize>,
}

/// A path's collection, and the values of the path's `{name}` segments.
#[derive(Debug)]
pub(super) struct Route {
    target: Arc<RouteTarget>,
    /// All collections, of which some are the parents of others.
    targets: Arc<[Arc<RouteTarget>]>,
    client: Client,
    transport: Option<Transport>,
    segments: Vec<(String, String)>,
}

/// Part of the configured credentials in a request that is passed through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfiguredCredentials {
    /// They go with it, or there are none.
    Sent,
    Withheld,
}

/// Reason for which a path has no collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// No collection has this path.
    Unknown,
    /// The path has `.` or `..` segments, or NUL: the upstream may take it for another path than the one that was matched.
    DotSegments,
}

impl Routes {
    pub(super) fn new(
        config: &Config,
        governors: &Governors,
        transport: Option<&Transport>,
        old: Option<&Self>,
    ) -> Result<Self, ConnectorError> {
        let old_clients: Vec<_> = old.iter().flat_map(|old| old.targets.iter()).map(|target| &target.client).collect();
        let mut clients: Vec<(Arc<Upstream>, Client)> = Vec::new();
        let mut targets = Vec::new();
        for collection in &config.collections {
            let upstream = &collection.upstream;
            let client = match (clients.iter().find(|(known, _)| Arc::ptr_eq(known, upstream)), transport) {
                (Some((_, client)), _) => client.clone(),
                (None, Some(transport)) => Client::with_transport(Arc::clone(upstream), governors, transport.clone())?,
                (None, None) => Client::new(Arc::clone(upstream), governors)?,
            };
            let client = old_clients.iter().fold(client, |client, old| client.with_tokens_of(old));
            clients.push((Arc::clone(upstream), client.clone()));
            let canonical = CanonicalPagination::new(&collection.pagination);
            let upstream_paths = collection.upstream_path.as_ref().and_then(|template| {
                let mut paths = matchit::Router::new();
                // A template that can't be matched has no way back.
                paths.insert(template, ()).ok().map(|()| paths)
            });
            let parent = collection.parent.as_ref().and_then(|parent| {
                config.collections.iter().position(|collection| collection.path == parent.collection)
            });
            let collection = Arc::clone(collection);
            targets.push(Arc::new(RouteTarget { collection, client, canonical, upstream_paths, parent }));
        }
        Ok(Self { router: config.routes(), targets: targets.into() })
    }

    /// Collections in the order of the configuration.
    pub(super) fn collections(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.targets.iter().map(|target| &target.collection)
    }

    pub(super) fn find(&self, path: &str) -> Result<Route, NoRoute> {
        if has_dot_segments(path) {
            return Err(NoRoute::DotSegments);
        }
        let found = self.router.at(path).map_err(|_| NoRoute::Unknown)?;
        let target = self.targets.iter().find(|target| Arc::ptr_eq(&target.collection, found.value));
        let target = Arc::clone(target.ok_or(NoRoute::Unknown)?);
        let targets = Arc::clone(&self.targets);
        let mut segments = values(&found.params);
        let rest = path_template::rest_of(&target.collection.path);
        segments
            .extend(rest.filter(|rest| found.params.get(rest).is_none()).map(|rest| (rest.to_owned(), String::new())));
        Ok(Route { client: target.client.clone(), target, targets, transport: None, segments })
    }

    /// Returns the path and query by which a client asks for this URL of the route's upstream; none where no request of a client leads there,
    /// and for another server's URL.
    pub(super) fn client_target(&self, route: &Route, url: &str, names: &ParamNames) -> Option<String> {
        let upstream = &route.collection().upstream;
        let url = Url::parse(url).ok().filter(|url| url.username().is_empty() && url.password().is_none())?;
        let is_own = std::iter::once(&upstream.url).chain(&upstream.aliases).any(|own| own.origin() == url.origin());
        let path =
            url.path().strip_prefix(upstream.url.path().trim_end_matches('/')).filter(|path| path.starts_with('/'));
        let path = path.filter(|_| is_own)?;
        let of_upstream = self.targets.iter().filter(|target| Arc::ptr_eq(&target.collection.upstream, upstream));
        let leads_there = |candidate: &String| {
            let Ok(found) = self.find(candidate) else { return false };
            let uri = candidate.parse::<http::Uri>();
            Arc::ptr_eq(&found.collection().upstream, upstream)
                && uri.is_ok_and(|uri| found.upstream_url(&uri, names).path() == url.path())
        };
        let own_first = std::iter::once(&route.target).chain(of_upstream);
        let target = own_first.filter_map(|target| target.client_path(path)).find(leads_there)?;
        let query = url.query().map(|query| format!("?{query}"));
        let fragment = url.fragment().map(|fragment| format!("#{fragment}"));
        Some([target, query.unwrap_or_default(), fragment.unwrap_or_default()].concat())
    }
}

impl RouteTarget {
    /// Returns the client's path for a path of the upstream, if the collection has this one.
    fn client_path(&self, path: &str) -> Option<String> {
        match (&self.collection.upstream_path, &self.upstream_paths) {
            (None, _) => Some(path.to_owned()),
            (Some(_), paths) => {
                let found = paths.as_ref()?.at(path).ok()?;
                Some(path_template::fill(&self.collection.path, &values(&found.params)))
            }
        }
    }
}

fn values(params: &matchit::Params<'_, '_>) -> Vec<(String, String)> {
    params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Route {
    /// Returns the route with this transport to its upstream.
    pub(super) fn through(self, transport: Transport) -> Self {
        Self { client: self.client.through(transport.clone()), transport: Some(transport), ..self }
    }

    pub(super) fn collection(&self) -> &Arc<Collection> {
        &self.target.collection
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the client for a request that is passed through. The configured credentials are for pages: GET, HEAD, and the method of the
    /// collection, unless the request hides a write. Any other request of any client would else be done as the operator.
    pub(super) fn client_for(
        &self,
        method: &Method,
        path: &str,
        write: Option<&HiddenWrite>,
    ) -> (Client, ConfiguredCredentials) {
        if write.is_none() && self.page_methods().contains(&method) {
            return (self.client.clone(), ConfiguredCredentials::Sent);
        }
        self.named_by_passthrough(self.client.clone(), method, path)
    }

    /// Returns a finder of writes for a request that gets the configured credentials as one for a page; none for any other.
    pub(super) fn write_finder(&self, method: &Method, path: &str) -> Option<WriteFinder<impl Fn(&str) -> bool>> {
        let (upstream, methods) = (&self.collection().upstream, self.page_methods());
        let is_free = upstream.credentials.are_passed() || upstream.passthrough.allows(method, path);
        let is_for_pages = move |name: &str| methods.iter().any(|method| method.as_str().eq_ignore_ascii_case(name));
        let open_path = (!self.segments.is_empty()).then(|| self.upstream_path(path));
        let operations = OperationPlaces::of(upstream, open_path.as_deref());
        (!is_free && self.is_for_pages(method)).then_some(WriteFinder { is_for_pages, operations })
    }

    /// Returns true for a method by which pages are requested.
    pub(super) fn is_for_pages(&self, method: &Method) -> bool {
        self.page_methods().contains(&method)
    }

    /// Returns true where the configured credentials sign each request as a whole.
    pub(super) fn signs_requests(&self) -> bool {
        self.collection().upstream.credentials.aws_keys().next().is_some()
    }

    fn page_methods(&self) -> [&Method; 3] {
        [&Method::GET, &Method::HEAD, &self.collection().method]
    }

    /// Returns the client for a WebSocket's handshake; none where the upstream can have none. A WebSocket is no page: its client may write.
    pub(super) fn client_for_websocket(&self, path: &str) -> Option<(Client, ConfiguredCredentials)> {
        Some(self.named_by_passthrough(self.client.upgrading()?, &Method::GET, path))
    }

    fn named_by_passthrough(&self, client: Client, method: &Method, path: &str) -> (Client, ConfiguredCredentials) {
        let upstream = &self.collection().upstream;
        if upstream.credentials.are_passed() || upstream.passthrough.allows(method, path) {
            (client, ConfiguredCredentials::Sent)
        } else {
            (client.without_credentials(), ConfiguredCredentials::Withheld)
        }
    }

    pub(super) fn segments(&self) -> &[(String, String)] {
        &self.segments
    }

    /// The collection of the parents, if the route's collection has any.
    pub(super) fn parents(&self) -> Option<Self> {
        let target = self.targets.get(self.target.parent?)?;
        let client = match &self.transport {
            _ if Arc::ptr_eq(&target.collection.upstream, &self.target.collection.upstream) => self.client.clone(),
            Some(transport) => target.client.through(transport.clone()),
            None => target.client.clone(),
        };
        Some(Self {
            target: Arc::clone(target),
            targets: Arc::clone(&self.targets),
            client,
            transport: self.transport.clone(),
            segments: self.segments.clone(),
        })
    }

    /// Returns the upstream's URL for the lists of several parents, with this query. The segments that parents fill are open.
    pub(super) fn lists_url(&self, open: &[&str], query: Option<&str>) -> Url {
        let Collection { path, upstream, upstream_path, .. } = &**self.collection();
        let named: Vec<_> = self.segments.iter().filter(|(name, _)| !open.contains(&name.as_str())).cloned().collect();
        let lists = path_template::fill(upstream_path.as_deref().unwrap_or(path), &named);
        let mut url = upstream.url.clone();
        url.set_path(&format!("{}{lists}", upstream.url.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    pub(super) fn canonical_pagination(&self) -> &CanonicalPagination {
        &self.target.canonical
    }

    /// Returns the value of `Vary`: fields that select a representation, the order of parts, and the moment of the records.
    pub(super) fn vary(&self) -> HeaderValue {
        vary(self.selectors())
    }

    /// Returns the value of `Vary` for a stream that may have a content coding.
    pub(super) fn vary_of_a_stream(&self) -> HeaderValue {
        vary([ACCEPT_ENCODING].into_iter().chain(self.selectors()))
    }

    fn selectors(&self) -> impl Iterator<Item = HeaderName> {
        let Pagination { partition, valid_at, .. } = &*self.collection().pagination;
        let order = partition.as_ref().map(|_| PREFER);
        order.into_iter().chain(valid_at.as_ref().map(|_| ACCEPT_DATETIME))
    }

    fn upstream_path(&self, path: &str) -> String {
        let Collection { upstream, upstream_path, .. } = &**self.collection();
        let filled = upstream_path.as_ref().map(|template| path_template::fill(template, &self.segments));
        format!("{}{}", upstream.url.path().trim_end_matches('/'), filled.as_deref().unwrap_or(path))
    }

    /// Returns the upstream's URL for a request, without unpage's own parameters.
    pub(super) fn upstream_url(&self, uri: &http::Uri, names: &ParamNames) -> Url {
        let mut url = self.collection().upstream.url.clone();
        url.set_path(&self.upstream_path(uri.path()));
        match uri.query().map(|query| (query, names.foreign_pairs(query))) {
            Some((query, foreign)) if foreign.len() < query.split('&').count() => {
                url.set_query(Some(foreign.join("&").as_str()).filter(|query| !query.is_empty()));
            }
            // Without a parameter of unpage's own, the query goes upstream as it is.
            _ => url.set_query(uri.query()),
        }
        url
    }
}
