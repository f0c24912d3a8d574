//! Route: the collection of a path, and the upstream's address for it.

use std::sync::Arc;

use http::HeaderValue;
use url::Url;

use crate::cache_key::CanonicalPagination;
use crate::config::{Collection, Config, Upstream};
use crate::pagination::Pagination;
use crate::request::{ACCEPT_DATETIME, PREFER, ParamNames};
use crate::response::vary;
use crate::upstream::{BadTrust, Client, Governors, Transport};

/// Collections by their paths.
#[derive(Debug)]
pub(super) struct Routes {
    router: matchit::Router<Arc<Collection>>,
    targets: Vec<Arc<RouteTarget>>,
}

/// A collection, with all that is derived from its configuration once.
#[derive(Debug)]
struct RouteTarget {
    collection: Arc<Collection>,
    /// Shared by all collections of an upstream.
    client: Client,
    canonical: CanonicalPagination,
}

/// A path's collection, and the values of the path's `{name}` segments.
#[derive(Debug)]
pub(super) struct Route {
    target: Arc<RouteTarget>,
    client: Client,
    segments: Vec<(String, String)>,
}

/// Reason for which a path has no collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// No collection has this path.
    Unknown,
    /// The path has `.` or `..` segments, which a URL resolves: the upstream would see another path than the one that was matched.
    DotSegments,
}

impl Routes {
    pub(super) fn new(config: &Config, governors: &Governors, transport: Option<&Transport>) -> Result<Self, BadTrust> {
        let mut clients: Vec<(Arc<Upstream>, Client)> = Vec::new();
        let mut targets = Vec::new();
        for collection in &config.collections {
            let upstream = &collection.upstream;
            let client = match (clients.iter().find(|(known, _)| Arc::ptr_eq(known, upstream)), transport) {
                (Some((_, client)), _) => client.clone(),
                (None, Some(transport)) => Client::with_transport(Arc::clone(upstream), governors, transport.clone()),
                (None, None) => Client::new(Arc::clone(upstream), governors)?,
            };
            clients.push((Arc::clone(upstream), client.clone()));
            let canonical = CanonicalPagination::new(&collection.pagination);
            targets.push(Arc::new(RouteTarget { collection: Arc::clone(collection), client, canonical }));
        }
        Ok(Self { router: config.routes(), targets })
    }

    pub(super) fn find(&self, path: &str) -> Result<Route, NoRoute> {
        if has_dot_segments(path) {
            return Err(NoRoute::DotSegments);
        }
        let found = self.router.at(path).map_err(|_| NoRoute::Unknown)?;
        let target = self.targets.iter().find(|target| Arc::ptr_eq(&target.collection, found.value));
        let target = Arc::clone(target.ok_or(NoRoute::Unknown)?);
        let segments = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Route { client: target.client.clone(), target, segments })
    }
}

impl Route {
    /// Returns the route with this transport to its upstream.
    pub(super) fn through(self, transport: Transport) -> Self {
        Self { client: self.client.through(transport), ..self }
    }

    pub(super) fn collection(&self) -> &Arc<Collection> {
        &self.target.collection
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn canonical_pagination(&self) -> &CanonicalPagination {
        &self.target.canonical
    }

    /// Returns the value of `Vary`. In addition to the fields that select a representation, the answers of a collection with parts depend on the order,
    /// and those of one with a moment on that.
    pub(super) fn vary(&self) -> HeaderValue {
        let Pagination { partition, valid_at, .. } = &*self.collection().pagination;
        let order = partition.as_ref().map(|_| PREFER);
        vary(order.into_iter().chain(valid_at.as_ref().map(|_| ACCEPT_DATETIME)))
    }

    /// Returns the upstream's URL for a request, without unpage's own parameters.
    pub(super) fn upstream_url(&self, uri: &http::Uri, names: &ParamNames) -> Url {
        let mut url = self.collection().upstream.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        let path = match &self.collection().upstream_path {
            Some(template) => self.segments.iter().fold(template.clone(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value).replace(&format!("{{*{name}}}"), value)
            }),
            None => uri.path().to_owned(),
        };
        url.set_path(&format!("{prefix}{path}"));
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

/// Returns `true` for a path with dot segments by the rules of the WHATWG, which also take `%2e` for a dot and `\` for a slash.
fn has_dot_segments(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.contains('\\') || path.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::has_dot_segments;

    #[test]
    fn dot_segments_are_found_however_they_are_spelled() {
        for path in ["/a/../b", "/..", "/a/.", "/a/%2E%2e/b", "/a/.%2e", "/a\\..\\b"] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in ["/", "/a/b", "/a..b/...", "/.well-known/x", "/a/%2e%2e%2e"] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }
}
