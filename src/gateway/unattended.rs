//! What was interrupted when unpage ended goes on with its next start, where no client is needed for it.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Uri, header};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::asked::Asked;
use super::crawling::{Begun, Crawling, Job};
use super::stream::job;
use crate::request::Ask;
use crate::snapshot::{LeadOutcome, LookupPurpose, LookupResult, ReaderEvent, Snapshot, StoredSnapshot};

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

async fn go_on_with(stored: StoredSnapshot, shared: &Shared) {
    let begun = serde_json::from_str::<Begun>(stored.birth.begun.get());
    let Some(unattended) = begun.ok().and_then(|begun| begun.unattended) else {
        return tracing::info!("snapshot {}: goes on when its client asks for it", stored.id);
    };
    let Some(job) = again(unattended, shared) else {
        return tracing::warn!("snapshot {}: is not resumed: its request is none for a stream any more", stored.id);
    };
    let (registry, older_keys, key) = (&shared.crawling.registry, &shared.crawling.older_keys, job.asked.key);
    if let Some(first_key) = job.asked.first_key {
        older_keys.adopt(registry, first_key, key);
    }
    let Some(found) = registry.find(stored.id, key, LookupPurpose::Read) else {
        let reason =
            older_keys.reason(registry, stored.id).unwrap_or_else(|| "the configuration is not what it was".to_owned());
        return tracing::warn!("snapshot {}: is not resumed: {reason}", stored.id);
    };
    // Else somebody has asked for it already.
    if let LookupResult::Lead(lead) = found {
        let subscription = lead.subscription();
        shared.crawling.go_on(lead, stored.id, LookupPurpose::Read, job);
        if let LeadOutcome::Open(snapshot) = subscription.outcome().await {
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
    let Crawling { registry, older_keys, .. } = &shared.crawling;
    let asked = Asked::read(&route, &head, &Bytes::from(body), &wish, &shared.params, registry, older_keys).ok()?;
    Some(job(&route, &asked, &wish, shared))
}

/// Reads what comes from now on: a crawl that nobody reads stops.
async fn attend(snapshot: &Snapshot) {
    let log = snapshot.log();
    let Ok(mut reader) = log.reader(log.extent().visible, None) else { return };
    while let Ok(ReaderEvent::Bytes(_)) = reader.next().await {}
}
