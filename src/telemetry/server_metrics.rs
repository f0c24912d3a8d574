//! Metrics of connections, and of streams as their clients see them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType::{Counter, Gauge};

use super::family::{family, histogram};
use crate::gateway::Gateway;
use crate::server::{ServerMonitor, seconds_to_expiry};

pub(super) fn encode(encoder: &mut DescriptorEncoder<'_>, server: &ServerMonitor, gateway: &Gateway) -> fmt::Result {
    let help = "Connections of clients that are open: opening (no request yet), idle, active (requests in progress), websocket.";
    let open = server.connections_by_state().map(|(state, count)| ([("state", state.to_owned())], count as u64));
    family(encoder, Gauge, "unpage_connections", help, open)?;
    let help = "Requests of clients that are in progress, to the end of their responses or WebSockets.";
    let in_progress = server.in_progress();
    family(encoder, Gauge, "unpage_requests", help, [([], in_progress.all as u64)])?;
    let help = "Streams that are in progress.";
    family(encoder, Gauge, "unpage_streams", help, [([], in_progress.streams as u64)])?;
    family(encoder, Gauge, "unpage_websockets", "WebSockets that are open.", [([], in_progress.websockets as u64)])?;
    let help = "WebSockets that were opened.";
    family(encoder, Counter, "unpage_websockets_opened_total", help, [([], server.upgraded())])?;
    let help = "Connections of clients that were accepted.";
    family(encoder, Counter, "unpage_connections_accepted_total", help, [([], server.accepted())])?;
    let help = "Connections and requests of clients that a limit has ended, by the limit's key in [limits]; full: idle, and gave its \
                place to another one.";
    let closed = server.closed().map(|(limit, count)| ([("limit", limit.to_owned())], count));
    family(encoder, Counter, "unpage_connections_closed_total", help, closed)?;
    let help = "TLS handshakes that a client or unpage has refused.";
    family(encoder, Counter, "unpage_tls_handshakes_failed_total", help, [([], server.failed_handshakes())])?;
    let help = "Seconds until a certificate of [tls], or one that an upstream gets (client_cert), expires.";
    let mut expiries: BTreeMap<_, _> = server.certificate_expiries().into_iter().collect();
    // Read at each scrape: connections read a changed file, too.
    let collections = gateway.collections();
    let files = collections.iter().filter_map(|collection| collection.upstream.client_cert.as_ref());
    for file in files.map(|files| &files.cert).collect::<BTreeSet<_>>() {
        if let Some(left) = seconds_to_expiry(file) {
            expiries.insert(file.clone(), left);
        }
    }
    let expiries = expiries.into_iter().map(|(file, left)| ([("cert", file.display().to_string())], left));
    family(encoder, Gauge, "unpage_certificate_expiry_seconds", help, expiries)?;
    encode_streams(encoder, server)
}

fn encode_streams(encoder: &mut DescriptorEncoder<'_>, server: &ServerMonitor) -> fmt::Result {
    let help = "Seconds from a request to the first byte of its stream.";
    histogram(encoder, "unpage_first_record_seconds", help, server.first_record())?;
    let help = "Seconds from a request to the end of its stream.";
    histogram(encoder, "unpage_stream_seconds", help, server.stream_seconds())?;
    let help = "Streams that ended, as their clients see it: complete, broken (unpage has cut it), gone (the client left, or its \
                connection broke).";
    let ended = server.streams_ended().map(|(end, count)| ([("end", end.to_owned())], count));
    family(encoder, Counter, "unpage_streams_ended_total", help, ended)
}
