//! Reasons for which crawls wait, in words.

use super::markup::duration;
use crate::gateway::ListedCrawl;
use crate::upstream::Traffic;

/// Returns the reason for which a crawl has no first page.
pub(super) fn first_wait(crawl: &ListedCrawl, traffic: Option<&Traffic>) -> String {
    match traffic {
        _ if !crawl.is_admitted() => "for one of the places that `crawls` of [snapshots] allows".to_owned(),
        Some(traffic) if !traffic.load.held.is_zero() => upstream_wait(traffic),
        _ => "for the first page".to_owned(),
    }
}

/// Returns the reason for which requests to an upstream wait.
pub(super) fn upstream_wait(traffic: &Traffic) -> String {
    let load = &traffic.load;
    match (load.hold, load.rate) {
        (Some(hold), _) => format!("{}: {hold}", duration(load.held.as_secs() + 1)),
        (None, _) if traffic.backing_off > 0 => "until a page is asked for again".to_owned(),
        (None, Some(rate)) => format!("for its turn, at {rate:.1} requests/s"),
        (None, None) => format!("for one of {} requests at a time", load.limit),
    }
}
