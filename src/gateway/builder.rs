//! Construction of a [`Gateway`], its reload, its shutdown, and its parts as the operator's address shows them.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::admission::Admission;
use super::cache_key_upgrade::OlderKeys;
use super::crawl_table::CrawlTable;
use super::fill::CacheFill;
use super::routing::Routing;
use super::{Gateway, Shared, refresh};
use crate::config::{Collection, Config};
use crate::crawl::Crawls;
use crate::response::{Body, BoxError, CodedStreams, TableIndexes};
use crate::snapshot::{Registry, Store, StoreError};
use crate::upstream::{ConnectorError, Governors, Transport};

/// Settings of a [`Gateway`] in addition to its configuration.
#[derive(Clone, Debug)]
pub struct GatewayBuilder {
    config: Config,
    transport: Option<Transport>,
}

/// Error of [`GatewayBuilder::build`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The certificate authorities of an upstream can't be used.
    #[error(transparent)]
    #[doc(hidden)]
    Trust(#[from] ConnectorError),
    /// The folder of the snapshots can't be used.
    #[error(transparent)]
    #[doc(hidden)]
    Store(#[from] StoreError),
    /// The caller is not inside a tokio runtime, where crawls would run.
    #[error("there is no tokio runtime to run crawls in")]
    #[doc(hidden)]
    NoRuntime,
}

impl GatewayError {
    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Trust(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::NoRuntime => "build the gateway inside the runtime that serves it",
        }
    }
}

impl GatewayBuilder {
    /// Sends the requests for all upstreams to this service instead of over the network.
    ///
    /// The service gets requests as an HTTP client does: with the absolute form of their URI and without `Host`. Of the
    /// configuration, `ca`, `http` and `timeouts.connect` are then the service's affair.
    ///
    /// The end of a response's body must be what it means: `None` where all of it has come, an error where it broke off. A
    /// body that is shorter or longer than its `Content-Length` is taken for a broken one.
    #[must_use]
    pub fn transport<S, B>(self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self { transport: Some(Transport::new(service)), ..self }
    }

    /// Opens the snapshot store (in memory, where `[snapshots]` has no `dir`) and the upstreams' trust stores, and starts the gateway's own tasks in the current tokio runtime.
    ///
    /// # Errors
    /// Fails where the snapshot folder or a certificate file can't be used, or outside a tokio runtime.
    pub fn build(self) -> Result<Gateway, GatewayError> {
        if Handle::try_current().is_err() {
            return Err(GatewayError::NoRuntime);
        }
        let snapshots = &self.config.snapshots;
        let registry = Registry::new(Store::open(snapshots.settings.clone())?, snapshots.keep_for);
        let older_keys = OlderKeys::new(&registry.store().stored());
        let crawls = Crawls::default();
        let fill = CacheFill {
            registry,
            older_keys: Arc::new(older_keys),
            admission: Admission::new(snapshots.crawls, crawls.clone()),
            crawls,
            table: CrawlTable::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            linger: snapshots.settings.linger,
        };
        Ok(Gateway::start(&self.config, fill, self.transport.as_ref())?)
    }
}

impl Gateway {
    /// Returns a builder of a gateway for this configuration.
    pub fn builder(config: Config) -> GatewayBuilder {
        GatewayBuilder { config, transport: None }
    }

    /// Replaces the collections, the upstreams and the names of unpage's parameters by those of this configuration.
    ///
    /// Requests and crawls in progress keep what they began with. A snapshot answers further requests as long as its cache key stays the
    /// same: that of the request, its upstream and its pagination. Everything else is what the gateway was built with.
    ///
    /// # Errors
    /// Fails where a certificate file can't be used; nothing is replaced then.
    #[doc(hidden)]
    pub fn reload(&self, config: &Config) -> Result<(), GatewayError> {
        let Shared { routing, lookup, governors, transport, .. } = &*self.shared;
        let new = Arc::new(Routing::new(config, governors, transport.as_ref(), Some(&self.routing()))?);
        governors.adopt_paces(&config.collections.iter().map(|collection| &*collection.upstream));
        let old = std::mem::replace(&mut *routing.write(), Arc::clone(&new));
        old.refreshing.cancel();
        refresh::start(config, &new, &lookup.fill);
        Ok(())
    }

    /// Stops all crawls and waits for their tasks to end, and for what they have appended to be written.
    ///
    /// Snapshots with files keep what was written and are resumed after the next start. Streams under way break, so stop
    /// serving first.
    pub async fn shutdown(&self) {
        let fill = &self.shared.lookup.fill;
        fill.stop.cancel();
        fill.tasks.close();
        fill.tasks.wait().await;
        fill.registry.store().written().await;
    }

    /// Returns the number of tasks that have not ended.
    #[doc(hidden)]
    pub fn tasks(&self) -> usize {
        self.shared.lookup.fill.tasks.len()
    }

    #[doc(hidden)]
    pub fn registry(&self) -> &Registry {
        &self.shared.lookup.fill.registry
    }

    #[doc(hidden)]
    pub fn governors(&self) -> &Governors {
        &self.shared.governors
    }

    #[doc(hidden)]
    pub fn coded_streams(&self) -> &CodedStreams {
        &self.shared.coded_streams
    }

    #[doc(hidden)]
    pub fn tables(&self) -> &TableIndexes {
        &self.shared.tables
    }

    #[doc(hidden)]
    pub fn crawls(&self) -> &Crawls {
        &self.shared.lookup.fill.crawls
    }

    #[doc(hidden)]
    pub fn crawl_table(&self) -> &CrawlTable {
        &self.shared.lookup.fill.table
    }

    /// Returns the collections of the configuration that was read last.
    #[doc(hidden)]
    pub fn collections(&self) -> Vec<Arc<Collection>> {
        self.routing().routes.collections().cloned().collect()
    }

    /// Returns the name of the query parameter that names a snapshot.
    #[doc(hidden)]
    pub fn snapshot_param(&self) -> String {
        self.routing().names.snapshot.clone()
    }
}
