//! Parents: a request whose path has `*` in place of the values that parents have is for the lists of all parents.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};

use super::route::Route;
use crate::cache_key::of_upstream;
use crate::config::{ParentLink, Upstream, written};
use crate::crawl::Parents;
use crate::id::CacheKey;
use crate::pagination::PageRequest;
use crate::pagination::request::RequestBody;

/// Segment of a request's path that stands for the values of all parents. Escaped (`%2A`) it is a value like any other.
const ALL: &str = "*";

/// Segments of the path that the parents fill, the innermost first; empty where the request is for one list. A `*` that no parent fills is a
/// value like any other, and so are all, where one stands in front of a value.
pub(super) fn open_segments(route: &Route) -> Vec<String> {
    let mut open = Vec::new();
    let mut own = route.parents().map(|parents| (route.collection().parent.clone(), parents));
    while let Some((Some(link), parents)) = own {
        let is_all = route.segments().iter().any(|(name, value)| **name == *link.segment && value == ALL);
        if !is_all {
            break;
        }
        open.push(link.segment.to_string());
        own = parents.parents().map(|above| (parents.collection().parent.clone(), above));
    }
    let stars = route.segments().iter().filter(|(_, value)| value == ALL).count();
    if stars == open.len() { open } else { Vec::new() }
}

/// Returns the parents that fill these segments, the first of which is the route's own.
pub(super) fn parents(route: &Route, open: &[String], sent: &HeaderMap) -> Option<Arc<Parents>> {
    let (_, above) = open.split_first()?;
    let (link, parents) = (route.collection().parent.clone()?, route.parents()?);
    let collection = parents.collection();
    let names: Vec<_> = above.iter().map(String::as_str).collect();
    let first = PageRequest {
        method: collection.method.clone(),
        url: parents.lists_url(&names, link.query.as_deref()),
        headers: sent.clone(),
        body: collection.body.clone().map(RequestBody::Json),
    };
    let named = route.segments().iter().filter(|(name, _)| !open.contains(name));
    let above = self::parents(&parents, above, sent);
    let own = &route.collection().upstream;
    let apart = (!Arc::ptr_eq(own, &collection.upstream)).then_some(&*collection.upstream);
    let identity = identity(&link, &parents, &first, above.as_deref(), apart);
    Some(Arc::new(Parents {
        client: parents.client().clone(),
        pagination: Arc::clone(&collection.pagination),
        caps: collection.caps.clone(),
        named: named.map(|(name, value)| (name.clone(), Value::from(decoded(value)).to_string())).collect(),
        first,
        link,
        above,
        identity,
    }))
}

/// Text that has all that decides which lists the parents lead to, and what is added to their records; `apart` is the parents' upstream, where
/// it is configured apart from that of the lists.
fn identity(
    link: &ParentLink,
    parents: &Route,
    first: &PageRequest,
    above: Option<&Parents>,
    apart: Option<&Upstream>,
) -> String {
    let body = first.body.as_ref().map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
    let mut parts = vec![
        json!(first.method.as_str()),
        json!(first.url.as_str()),
        json!(body),
        json!(written(&parents.collection().pagination)),
        json!(link.key.to_string()),
        json!(&*link.segment),
        json!(link.on_gone == crate::config::OnGone::Report),
        json!(link.with),
        json!(above.map(|above| above.identity.as_str())),
    ];
    // A hash, since credentials are among it.
    let key = apart.map(|upstream| CacheKey::from_parts(|part| of_upstream(upstream, part)));
    parts.extend(key.map(|key| json!(key.to_string())));
    Value::from(parts).to_string()
}

fn decoded(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
