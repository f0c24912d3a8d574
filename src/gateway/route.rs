//! Which collection a path belongs to, and the upstream's address for it.

use std::sync::Arc;

use url::Url;

use crate::config::{Collection, Config, Upstream};
use crate::pagination::request::remove_query;
use crate::upstream::{BadTrust, Client};

/// Every collection by its path, and a client for each upstream.
#[derive(Debug)]
pub(super) struct Routes {
    router: matchit::Router<Arc<Collection>>,
    clients: Vec<(Arc<Upstream>, Client)>,
}

/// A path's collection, and the values of the path's `{name}` segments.
#[derive(Debug)]
pub(super) struct Route {
    collection: Arc<Collection>,
    client: Client,
    segments: Vec<(String, String)>,
}

impl Routes {
    pub(super) fn new(config: &Config) -> Result<Self, BadTrust> {
        let mut clients: Vec<(Arc<Upstream>, Client)> = Vec::new();
        for collection in &config.collections {
            let upstream = &collection.upstream;
            if !clients.iter().any(|(known, _)| Arc::ptr_eq(known, upstream)) {
                clients.push((Arc::clone(upstream), Client::new(Arc::clone(upstream))?));
            }
        }
        Ok(Self { router: config.routes(), clients })
    }

    pub(super) fn find(&self, path: &str) -> Option<Route> {
        let found = self.router.at(path).ok()?;
        let collection = Arc::clone(found.value);
        let (_, client) = self.clients.iter().find(|(known, _)| Arc::ptr_eq(known, &collection.upstream))?;
        let segments = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Some(Route { client: client.clone(), collection, segments })
    }
}

impl Route {
    pub(super) fn collection(&self) -> &Collection {
        &self.collection
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where the upstream has what the client asked for here; unpage's own parameter is not for the upstream.
    pub(super) fn upstream_url(&self, uri: &http::Uri, format_param: &str) -> Url {
        let mut url = self.collection.upstream.url.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        let path = match &self.collection.upstream_path {
            Some(template) => self.segments.iter().fold(template.clone(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value).replace(&format!("{{*{name}}}"), value)
            }),
            None => uri.path().to_owned(),
        };
        url.set_path(&format!("{prefix}{path}"));
        url.set_query(uri.query());
        if uri.query().is_some() {
            remove_query(&mut url, format_param);
        }
        url
    }
}
