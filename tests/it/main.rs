//! The proxy between two sockets: responses, upstream requests, and the command line.
//!
//! Three helpers: `upstream` (the demo's legacy API with a script of faults), `proxy` (in this process, or the real binary)
//! and `client` (HTTP/1.1, HTTP/2, bare TCP). The parts:

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows it in tests, and means their helpers too")]

mod client;
mod proxy;
mod upstream;

// Complete collections, byte for byte, in every pagination type; heads of streams; raw records.
mod streams;
// Content codings of streams: negotiated, flushed, broken, limited.
mod coded_streams;
// Pages as they arrive: records that leave before their page is whole, the next page asked for early, pages that break off.
mod arrival;
// Pages ahead of their turn and parts side by side: in order, at most this many at a time, and in bounded memory.
mod plans;
// Windows over a range of time.
mod windows;
// Everything else: passed through, byte for byte, in both directions; paths that lead out.
mod forward;
// Streams that break: every fault, cap and circle; clients that leave; a proxy that is stopped or killed.
mod endings;
// WebSockets that are passed on: handshakes, bytes, ends, lies.
mod websocket;
// Limits on what a client takes of the server, each reached over a socket.
mod limits;
// Streams of some members of the records.
mod fields;
// Other formats than NDJSON.
mod formats;
// Columnar formats.
#[cfg(feature = "columnar")]
mod columnar;
// Listeners: TLS, unix sockets, inherited sockets, several at a time.
mod listeners;
// The stop: readiness, the drain's phases, streams that are cut, signals.
mod drain;
// Resumed downloads: ranges, conditions and states of a snapshot.
mod resume;
// Snapshots that clients name themselves, and waits for the end of a stream.
mod sessions;
// Snapshots that unpage makes by itself, before a client asks.
mod refresh;
// Verdicts: in a head, behind a body, in an end marker.
mod verdicts;
mod verify;
// Lists that change while they are read.
mod consistency;
// Configured credentials: requests that get them, and fields that would change a request on its way.
mod deputy;
// Pools of credentials: budgets, the member of a crawl.
mod credential_pools;
// Configured credentials that change: files of secrets, tokens.
mod credentials;
// Shared crawls; freshness and retention of snapshots; resumed crawls.
mod sharing;
// Snapshots and files that an older version of unpage has left: resumed, served, or refused with the reason.
mod upgrade;
// Limits on descriptors, and the files of snapshots that are closed meanwhile.
mod descriptors;
// Chaos: generated cases of faults and lies in every dialect, and a judge of its own.
mod chaos;
// Trouble that passes: retried, counted, and not to be seen in the stream.
mod retries;
// Several crawls before one upstream: its demands, how much it is asked at a time, and readers that are slow.
mod pace;
// Clients that don't read: the memory that their crawls take, and the crawls that wait.
mod memory;
// Heads that two parsers may read differently, hosts, HTTP/1.0, and bodies that stand still.
mod head_agreement;
mod malformed;
// Files that a configuration names, before a start.
mod check;
// A line of the log for each response.
mod access_log;
// A configuration that is read again while streams are under way.
mod reload;
// The admin address: crawls, waits, ends.
mod metrics;
// Manual pages, completions, and the probe of a container.
mod shipped;
// The operator's dashboard: its tables, its events, its actions.
mod dashboard;
// Pages that are no JSON: XML and CSV.
mod encodings;
// Content codings: asked for, decoded, refused, and left alone where answers are only passed on.
mod codings;
// Secrets of configurations and clients, of which none is in anything that is written or shown.
mod planted_secrets;
// Requests to the upstream: fields, credentials, links, aliases; addresses that are never connected to.
mod manners;
// Redirects of pages, and addresses that are not dialled.
mod redirects;
// Unix sockets, proxies and tunnels to the upstream.
mod routes;
// Every failure in the words that its user reads, held in tests/data/messages.
mod problems;
// The command line: output, exit codes, last lines, wrong arguments, closed pipes.
mod fetch;
// Runs of `fetch` that begin behind the records of those before.
mod since_from;
// Configurations that are written for a URL, and the explanation of a fetch.
mod init;
// Evidence of an API for its lists: presets of the host, and lists that are paged by `Link`.
mod host_presets;
// The lists of all parents as one stream.
mod children;
// A file that is fetched in several attempts.
mod parts;
// An upstream without a configuration: recognised, or refused.
mod auto;
// One state of a collection: as of a time, by its version, by its validator; and what came since a record.
mod validity;
// States that a request of its own opens for a crawl: named, renewed, closed.
mod opened_states;
// Public reports of trouble with other APIs, each condensed to its upstream.
mod trouble;
// TLS to the upstream, with an authority of one's own and without.
mod tls;
