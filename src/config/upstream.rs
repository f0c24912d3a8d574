//! Who answers, and what unpage says to them beside the client's own words: `[upstream.NAME]`, or the same keys in a
//! `[[collection]]` whose `upstream` is a URL.

use std::path::PathBuf;

use http::header::{self, HeaderName, HeaderValue};
use url::Url;

use super::keys;
use super::node::{Node, Table};
use super::secrets::{self, Secrets};
use super::value::{self, choice};
use super::{HttpVersion, RetryPolicy, Timeouts, Upstream, pace};

/// The keys that say how an upstream is spoken to; a collection has them only where it names the upstream's URL itself.
pub(super) const MANNERS: [&str; 11] =
    ["credentials", "accept", "headers", "ca", "http", "timeouts", "retry", "width", "max_width", "rate", "rate_limit"];

/// Reads the manners of the upstream at `url`, whose aliases stand under `aliases_key`.
pub(super) fn read(table: &Table<'_>, url: Option<Url>, aliases_key: &str, secrets: &dyn Secrets) -> Option<Upstream> {
    let aliases = table.maybe(aliases_key, |node| node.each(|alias| alias_of(alias, url.as_ref()))).unwrap_or_default();
    let plain = url.as_ref().is_some_and(|url| url.scheme() == "http");
    if let (Some(ca), true) = (table.get("ca"), plain) {
        ca.refuse::<()>("no certificates are checked over plain http", "write https:// in the URL, or leave out ca");
    }
    let credentials = table.maybe("credentials", |node| secrets::credentials(node, secrets));
    let accept = table.maybe("accept", value::header_value);
    let headers = table.maybe("headers", headers).unwrap_or_default();
    let ca = table.maybe("ca", |node| node.text().map(PathBuf::from));
    let versions = [("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    let http = table.maybe("http", |node| choice(node, &versions));
    let timeouts = table.maybe("timeouts", timeouts).unwrap_or_default();
    let retry = table.maybe("retry", retry).unwrap_or_default();
    let pace = pace::read(table);
    // The URL is missed only here, so that the mistakes above are told together with its own.
    let default = Upstream::at(url?);
    Some(Upstream {
        aliases,
        credentials: credentials.unwrap_or(default.credentials),
        accept: accept.unwrap_or(default.accept),
        headers,
        ca,
        http: http.unwrap_or(default.http),
        timeouts,
        retry,
        pace,
        url: default.url,
    })
}

fn alias_of(node: &Node<'_>, upstream: Option<&Url>) -> Option<Url> {
    let alias = value::origin(node)?;
    if upstream.is_some_and(|upstream| upstream.origin() == alias.origin()) {
        return node
            .refuse("the alias is the upstream itself", "leave it out: links to the upstream are followed anyway");
    }
    Some(alias)
}

fn headers(node: &Node<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let fields: Vec<_> = node.named()?.into_iter().map(|(name, value)| field(name, &value)).collect();
    fields.into_iter().collect()
}

fn field(name: &str, node: &Node<'_>) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = name.parse::<HeaderName>() else {
        return node.refuse(format!("not a header name: {name:?}"), "letters, digits and -, as in X-Api-Version");
    };
    if matches!(name, header::AUTHORIZATION | header::PROXY_AUTHORIZATION | header::COOKIE) {
        return node.refuse(
            format!("{name} is a secret, and a secret does not stand in this file"),
            "write credentials = { bearer = { env = \"NAME\" } }, { basic = … } or { header = { name, value } }",
        );
    }
    if name == header::ACCEPT {
        return node.refuse("accept has a key of its own", "write accept = \"…\" beside headers");
    }
    let owned = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::RANGE];
    if owned.contains(&name) {
        return node.refuse(format!("{name} is set by unpage for each request"), "leave it out");
    }
    Some((name, value::header_value(node)?))
}

fn timeouts(node: &Node<'_>) -> Option<Timeouts> {
    let table = node.table(&keys::TIMEOUTS)?;
    let default = Timeouts::default();
    Some(Timeouts {
        connect: table.or("connect", default.connect, value::wait),
        head: table.or("head", default.head, value::wait),
        idle: table.or("idle", default.idle, value::wait),
    })
}

fn retry(node: &Node<'_>) -> Option<RetryPolicy> {
    let table = node.table(&keys::RETRY)?;
    let default = RetryPolicy::default();
    let retry = RetryPolicy {
        attempts: table.or("attempts", default.attempts, attempts),
        base: table.or("base", default.base, value::wait),
        cap: table.or("cap", default.cap, value::wait),
        statuses: table.maybe("statuses", |node| node.each(status)).unwrap_or_default(),
        wait: table.maybe("wait", |node| {
            let table = node.table(&keys::WAIT)?;
            let path =
                table.must("path", "name the number in the error's body: path = \"retry_after_ms\"", value::path);
            let unit = table.must("unit", "say what the number counts: unit = \"1ms\" or \"1s\"", value::wait);
            Some((path?, unit?))
        }),
    };
    if retry.base > retry.cap && !table.notes.wrong_at(&table.at) {
        let what = format!(
            "the first wait, {}, is longer than the longest, {}",
            humantime::format_duration(retry.base),
            humantime::format_duration(retry.cap)
        );
        return table.refuse_at("base", what, "lower base, or raise cap");
    }
    Some(retry)
}

fn attempts(node: &Node<'_>) -> Option<u32> {
    match node.number(1)? {
        number @ 1..=100 => u32::try_from(number).ok(),
        number => node.refuse(format!("{number} attempts are a siege"), "write a number from 1 to 100"),
    }
}

/// A status that says that something failed.
pub(super) fn status(node: &Node<'_>) -> Option<u16> {
    match node.number(0)? {
        number @ 400..=599 => u16::try_from(number).ok(),
        number => node.refuse(format!("not an error status: {number}"), "write a number from 400 to 599"),
    }
}
