//! Automatic resumption: crawls that were interrupted when unpage ended are resumed at its next start, where they need no client.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Uri, header};

use super::ask::{StreamRequest, UnattendedRequest};
use super::cache_key::keys_of;
use super::fill::CacheFill;
use super::route::Routes;
use super::snapshot_birth::FillRecord;
use crate::request::{ParamNames, StreamOptions};
use crate::snapshot::{FlightOutcome, LookupPurpose, LookupResult, RequestKeys, StoredSnapshot};

const AT_A_TIME: usize = 4;

/// Resumes all interrupted crawls, the newest first.
pub(super) async fn resume_all(routes: Arc<Routes>, names: ParamNames, fill: CacheFill) {
    let mut interrupted = fill.registry.store().stored();
    interrupted.retain(|stored| stored.verdict.is_none());
    interrupted.sort_by_key(|stored| Reverse(stored.birth.facts.created));
    let resume = |stored| resume(stored, &routes, &names, &fill);
    stream::iter(interrupted).for_each_concurrent(AT_A_TIME, resume).await;
}

async fn resume(stored: StoredSnapshot, routes: &Routes, names: &ParamNames, fill: &CacheFill) {
    let record = serde_json::from_str::<FillRecord>(stored.birth.begun.get());
    let Some(unattended) = record.ok().and_then(|record| record.unattended) else {
        return tracing::info!("snapshot {}: is resumed when its client asks for it", stored.id);
    };
    let Some((request, keys)) = request_again(unattended, routes, names, fill) else {
        return tracing::warn!("snapshot {}: is not resumed: its request asks for no stream any more", stored.id);
    };
    match fill.registry.find(stored.id, keys, LookupPurpose::Read) {
        Some(LookupResult::Lead(lead)) => {
            let subscription = lead.subscription();
            fill.resume(lead, stored.id, LookupPurpose::Read, &Arc::new(request));
            if let FlightOutcome::Open(snapshot) = subscription.outcome().await {
                snapshot.read_to_end().await;
            }
        }
        Some(LookupResult::OtherFields) | None => {
            let reason = fill.older_keys.reason(&fill.registry, stored.id);
            let reason = reason.unwrap_or_else(|| "the configuration is not what it was".to_owned());
            tracing::warn!("snapshot {}: is not resumed: {reason}", stored.id);
        }
        // A client has asked for it already.
        Some(LookupResult::Follow(_) | LookupResult::Found(_) | LookupResult::Stored(_)) => {}
    }
}

/// Returns the same request to the collections of today's configuration.
pub(super) fn request_again(
    UnattendedRequest { target, body }: UnattendedRequest,
    routes: &Routes,
    names: &ParamNames,
    fill: &CacheFill,
) -> Option<(StreamRequest, RequestKeys)> {
    let (target, body): (Uri, Bytes) = (target.parse().ok()?, body.into());
    let route = routes.find(target.path()).ok()?;
    let request = Request::builder().method(route.collection().method.clone()).uri(target);
    let (head, ()) = request.header(header::ACCEPT, "application/x-ndjson").body(()).ok()?.into_parts();
    let options = StreamOptions::read(&head, route.collection(), names).ok()??;
    let request = StreamRequest::new(&route, &head, body, options, names).ok()?;
    let keys = keys_of(&request, &head.headers, &route, fill);
    Some((request, keys))
}
