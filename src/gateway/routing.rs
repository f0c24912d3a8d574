//! Routing: everything of a gateway that a reload of the configuration replaces.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::forward::Forwarding;
use super::route::Routes;
use crate::config::{Config, Resume};
use crate::request::ParamNames;
use crate::upstream::{ConnectorError, Governors, Transport};

#[derive(Debug)]
pub(super) struct Routing {
    pub(super) routes: Arc<Routes>,
    pub(super) names: ParamNames,
    /// Answer to a range that names no snapshot.
    pub(super) unnamed: Resume,
    pub(super) forwarding: Forwarding,
    /// Cancels the tasks that keep snapshots ready; crawls that they began go on while they have readers.
    pub(super) refreshing: CancellationToken,
}

impl Routing {
    /// Makes the routing of a configuration. Tokens are those of the old one, as far as they are requested by the same settings.
    pub(super) fn new(
        config: &Config,
        governors: &Governors,
        transport: Option<&Transport>,
        old: Option<&Self>,
    ) -> Result<Self, ConnectorError> {
        let routes = Arc::new(Routes::new(config, governors, transport, old.map(|old| &*old.routes))?);
        let names = ParamNames::new(config);
        let forwarding = Forwarding::new(&routes, names.clone().of_pages(), config.server.limits.request_body);
        Ok(Self { routes, names, unnamed: config.snapshots.resume, forwarding, refreshing: CancellationToken::new() })
    }
}
