//! A crawl without a snapshot, which only its caller reads.

use http::{HeaderMap, Uri};
use url::form_urlencoded;

use super::ask::{later_page, url_and_parents};
use super::headers::for_a_crawl;
use super::route::Routes;
use crate::config::Config;
use crate::crawl::{Crawl, Crawls};
use crate::error::{Failure, Fault};
use crate::pagination::PageRequest;
use crate::pagination::request::RequestBody;
use crate::request::ParamNames;
use crate::snapshot::MemoryBudget;
use crate::upstream::{Governors, Transport};

/// Returns the crawl of the collection that has this path.
pub(crate) fn crawl_of(
    config: &Config,
    uri: &Uri,
    headers: &HeaderMap,
    since: Option<String>,
    transport: Option<&Transport>,
) -> Result<Crawl, Failure> {
    let routes = Routes::new(config, &Governors::default(), transport, None);
    let routes = routes.map_err(|bad| Failure::new(Fault::Configuration, bad.to_string(), bad.hint()))?;
    let route = routes.find(uri.path()).map_err(|_| {
        let message = format!("no collection is configured at {}", uri.path());
        Failure::new(Fault::Configuration, message, "name a path that a `path` of the configuration matches")
    })?;
    let (collection, names) = (route.collection(), ParamNames::new(config));
    let own = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    if own(&names.snapshot).is_some() {
        let message = format!("{} names a snapshot, which only a server keeps", names.snapshot);
        return Err(Failure::new(Fault::Configuration, message, "leave it out, or ask the server"));
    }
    let since = since.or_else(|| own(&names.since));
    if since.is_some() && collection.pagination.since.is_none() {
        let message =
            format!("the collection at {} is not configured to be asked for what follows a record", uri.path());
        return Err(Failure::new(Fault::Configuration, message, "set `since` in its configuration"));
    }
    let sent = for_a_crawl(headers, collection.sharing.scope, &collection.upstream.fields).0;
    let (url, parents) = url_and_parents(&route, uri, &names, &sent);
    let first = PageRequest {
        method: collection.method.clone(),
        url,
        headers: sent,
        body: collection.body.clone().map(RequestBody::Json),
    };
    if let Some(param) = later_page(&collection.pagination, &first) {
        let message = format!("the target names a page by {param}, and a stream has all pages");
        return Err(Failure::new(Fault::Configuration, message, "leave that parameter out"));
    }
    Ok(Crawl {
        client: route.client().clone(),
        pagination: collection.pagination.clone(),
        caps: collection.caps.clone(),
        first,
        since,
        valid_at: None,
        width: collection.upstream.pace.widest(),
        memory: MemoryBudget::unlimited(),
        crawls: Crawls::default(),
        parents,
    })
}
