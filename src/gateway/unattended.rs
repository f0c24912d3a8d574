//! What was interrupted when unpage ended goes on with its next start, where no client is needed for it.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Uri, header};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::asked::Asked;
use super::crawling::{Begun, Job};
use super::stream::job;
use crate::request::Ask;
use crate::snapshot::{Lookup, Next, Outcome, Purpose, Snapshot, Stored};

/// How many go on at a time.
const AT_A_TIME: usize = 4;

/// A request for a stream that has nothing of its client but what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unattended {
    /// Path and query.
    target: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    body: String,
}

impl Unattended {
    /// None where the body is no text.
    pub(super) fn of(target: &str, body: &Bytes) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?.to_owned();
        Some(Self { target: target.to_owned(), body })
    }
}

/// Goes on with all that were interrupted, the newest first.
pub(super) async fn go_on(shared: Arc<Shared>) {
    let mut interrupted = shared.crawling.registry.store().stored();
    interrupted.retain(|stored| stored.verdict.is_none());
    interrupted.sort_by_key(|stored| Reverse(stored.birth.facts.created));
    stream::iter(interrupted).for_each_concurrent(AT_A_TIME, |stored| go_on_with(stored, &shared)).await;
}

async fn go_on_with(stored: Stored, shared: &Shared) {
    let begun = serde_json::from_str::<Begun>(stored.birth.begun.get());
    let Some(unattended) = begun.ok().and_then(|begun| begun.unattended) else {
        return tracing::info!("snapshot {}: goes on when its client asks for it", stored.id);
    };
    let job = again(unattended, shared).filter(|job| job.asked.key == stored.birth.key);
    let Some(job) = job else {
        return tracing::warn!("snapshot {}: doesn't go on: the configuration is not what it was", stored.id);
    };
    let found = shared.crawling.registry.find(stored.id, stored.birth.key, Purpose::Read);
    // Else somebody has asked for it already.
    if let Lookup::Lead(lead) = found {
        let subscription = lead.subscription();
        shared.crawling.go_on(lead, stored.id, Purpose::Read, job);
        if let Outcome::Open(snapshot) = subscription.outcome().await {
            attend(&snapshot).await;
        }
    }
}

/// The same request to what is configured now.
fn again(Unattended { target, body }: Unattended, shared: &Shared) -> Option<Job> {
    let target: Uri = target.parse().ok()?;
    let route = shared.routes.find(target.path()).ok()?;
    let collection = route.collection();
    let request = Request::builder().method(collection.method.clone()).uri(target);
    let (head, ()) = request.header(header::ACCEPT, "application/x-ndjson").body(()).ok()?.into_parts();
    let Ok(Ask::Stream(wish)) = Ask::read(&head, collection, &shared.params) else { return None };
    let registry = &shared.crawling.registry;
    let asked = Asked::read(&route, &head, &Bytes::from(body), &wish, &shared.params, registry).ok()?;
    Some(job(&route, &asked, &wish, shared))
}

/// Reads what comes from now on: a crawl that nobody reads stops.
async fn attend(snapshot: &Snapshot) {
    let log = snapshot.log();
    let Ok(mut reader) = log.reader(log.extent().visible, None) else { return };
    while let Ok(Next::Bytes(_)) = reader.next().await {}
}
