//! `[limits]`, `[drain]`, `proxy_protocol` and `hosts`: what clients may take of the server, its stop, and the load balancers and names in front.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use super::listen;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::times_and_sizes::{size, wait, wait_or_none};
use super::toml_node::TomlNode;
use crate::server::{DrainSettings, Http2Limits, ProxyProtocol, ServerLimits};

table! {
    read pub(super) LIMITS "[limits]": ServerLimits = ServerLimits {
        "connections" => connections: ReadOnly(count), some;
        "connections_per_address" => connections_per_address: ReadOnly(count), some;
        "handshake" => handshake: ReadOnly(wait), or(ServerLimits::default().handshake);
        "first_byte" => first_byte: ReadOnly(wait), or(ServerLimits::default().first_byte);
        "head" => head: ReadOnly(wait), or(ServerLimits::default().head);
        "idle" => idle: ReadOnly(wait), or(ServerLimits::default().idle);
        "write" => write: ReadOnly(wait), or(ServerLimits::default().write);
        "stream_write" => stream_write: ReadOnly(wait), or(ServerLimits::default().stream_write);
        "websocket_idle" => websocket_idle: ReadOnly(wait), or(ServerLimits::default().websocket_idle);
        "request_body" => request_body: ReadOnly(wait), or(ServerLimits::default().request_body);
        "requests_per_connection" => requests_per_connection: ReadOnly(requests), some;
        "connection_age" => connection_age: ReadOnly(wait), some;
        "http2" => http2: HTTP2, or(Http2Limits::default());
    }
}

table! {
    read pub(super) HTTP2 "limits.http2": Http2Limits = Http2Limits {
        "streams" => streams: ReadOnly(small), or(Http2Limits::default().streams);
        "stream_window" => stream_window: ReadOnly(window), or(Http2Limits::default().stream_window);
        "connection_window" => connection_window: ReadOnly(window), or(Http2Limits::default().connection_window);
        "send_buffer" => send_buffer: ReadOnly(window), or(Http2Limits::default().send_buffer);
        "header_list" => header_list: ReadOnly(window), or(Http2Limits::default().header_list);
        "pending_resets" => pending_resets: ReadOnly(small), or(Http2Limits::default().pending_resets);
        "local_resets" => local_resets: ReadOnly(small), or(Http2Limits::default().local_resets);
        "ping" => ping: ReadOnly(wait), or(Http2Limits::default().ping);
    }
}

table! {
    read pub(super) DRAIN "[drain]": DrainSettings = DrainSettings {
        "delay" => delay: ReadOnly(wait_or_none), or(Duration::ZERO);
        "grace" => grace: ReadOnly(wait_or_none), some;
    }
}

table! {
    read pub(super) PROXY_PROTOCOL "proxy_protocol": ProxyProtocol = ProxyProtocol {
        "from" => from: ReadOnly(listen::peers), required("name the load balancers that write the header: from = [\"10.0.0.0/8\"]");
        "timeout" => timeout: ReadOnly(wait), or(Duration::from_secs(5));
    }
}

/// Reads a name of `hosts`.
pub(super) fn host(node: &TomlNode<'_>) -> Option<String> {
    let text = node.text()?.to_ascii_lowercase();
    let name = match text.strip_prefix('*') {
        Some("") => return Some(text),
        Some(rest) => rest.strip_prefix('.').unwrap_or("*"),
        None => &text,
    };
    let is_name = || name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let is_ipv6 = || {
        let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        inside.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if is_name() || is_ipv6() {
        return Some(text);
    }
    let hint =
        "write hosts = [\"api.example.com\", \"*.internal\", \"[::1]\"], names without scheme and port; \"*\" for all";
    node.refuse(format!("not a host: {text:?}"), hint)
}

fn count(node: &TomlNode<'_>) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(node.number(1)?).ok()?)
}

fn requests(node: &TomlNode<'_>) -> Option<NonZeroU64> {
    NonZeroU64::new(node.number(1)?)
}

/// Reads a number of streams. More than ten thousand on one connection is a slip of the finger, or an attack.
fn small(node: &TomlNode<'_>) -> Option<u32> {
    match node.number(1)? {
        number @ 1..=10_000 => u32::try_from(number).ok(),
        number => node.refuse(format!("too many: {number}"), "write a number from 1 to 10000"),
    }
}

/// Reads a size that HTTP/2 can name (RFC 9113 §6.9.1).
fn window(node: &TomlNode<'_>) -> Option<u32> {
    match size(node)? {
        bytes @ 1024..=0x7fff_ffff => u32::try_from(bytes).ok(),
        _ => node.refuse("no size that HTTP/2 can use", "write a size from \"1KiB\" to \"2047MiB\""),
    }
}
