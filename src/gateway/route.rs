//! Which collection a path belongs to, and the upstream's address for it.

use std::sync::Arc;

use url::Url;

use crate::cache_key::CanonicalPagination;
use crate::config::{Collection, Config, Upstream};
use crate::pagination::request::{query_value, remove_query};
use crate::request::Params;
use crate::upstream::{BadTrust, Client, Governors, Transport};

/// Collections by their paths.
#[derive(Debug)]
pub(super) struct Routes {
    router: matchit::Router<Arc<Collection>>,
    targets: Vec<Arc<RouteTarget>>,
}

/// A collection, with what is made of its configuration once.
#[derive(Debug)]
struct RouteTarget {
    collection: Arc<Collection>,
    /// One for all collections of an upstream.
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

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// No collection has it.
    Unknown,
    /// It has `.` or `..` segments, which a URL resolves: it would reach another path than the one that was matched.
    Climbing,
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
        if climbs(path) {
            return Err(NoRoute::Climbing);
        }
        let found = self.router.at(path).map_err(|_| NoRoute::Unknown)?;
        let target = self.targets.iter().find(|target| Arc::ptr_eq(&target.collection, found.value));
        let target = Arc::clone(target.ok_or(NoRoute::Unknown)?);
        let segments = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Route { client: target.client.clone(), target, segments })
    }
}

impl Route {
    /// The same route, whose upstream is reached through this transport.
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

    /// Where the upstream has what the client asked for here; unpage's own parameters are not for the upstream.
    pub(super) fn upstream_url(&self, uri: &http::Uri, params: &Params) -> Url {
        let mut url = self.collection().upstream.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        let path = match &self.collection().upstream_path {
            Some(template) => self.segments.iter().fold(template.clone(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value).replace(&format!("{{*{name}}}"), value)
            }),
            None => uri.path().to_owned(),
        };
        url.set_path(&format!("{prefix}{path}"));
        url.set_query(uri.query());
        for own in [&params.format, &params.snapshot, &params.since] {
            if query_value(&url, own).is_some() {
                remove_query(&mut url, own);
            }
        }
        url
    }
}

/// Whether a path has dot segments by the WHATWG rules, which also take `%2e` for a dot and `\` for a slash.
fn climbs(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.contains('\\') || path.split('/').any(is_dots)
}

#[cfg(test)]
mod tests {
    use super::climbs;

    #[test]
    fn dot_segments_are_found_however_they_are_spelled() {
        for path in ["/a/../b", "/..", "/a/.", "/a/%2E%2e/b", "/a/.%2e", "/a\\..\\b"] {
            assert!(climbs(path), "{path}");
        }
        for path in ["/", "/a/b", "/a..b/...", "/.well-known/x", "/a/%2e%2e%2e"] {
            assert!(!climbs(path), "{path}");
        }
    }
}
