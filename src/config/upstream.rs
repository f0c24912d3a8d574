//! Upstreams: `[upstream.NAME]`, or the same keys in a `[[collection]]` whose `upstream` is a URL.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use url::{Host, Url};

use super::key_names::Level;
use super::keywords::Words;
use super::pagination_values::PATH;
use super::passthrough::Passthrough;
use super::secrets::Secrets;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::times_and_sizes::wait;
use super::toml_node::{TomlNode, TomlTable};
use super::urls_and_headers::{header_value, origin};
use super::{
    ClientCertificate, HttpVersion, PrivateAddresses, Redirects, RetryPolicy, RewriteLinks, Timeouts, Upstream,
    credentials_key, pace, proxy,
};
use crate::field_class::{FieldPattern, FieldRules, names_a_secret};
use crate::pagination::Path;

pub(super) static UPSTREAM: Level =
    Level { name: "[upstream.NAME]", keys: &["preset", "url", "aliases"], others: &[&CLIENT_KEYS] };

/// Keys of the requests to an upstream; a collection has them only where it names the upstream's URL itself.
pub(super) static CLIENT_KEYS: Level = Level {
    name: "[upstream.NAME]",
    keys: &[
        "credentials",
        "accept",
        "headers",
        "ignore_fields",
        "identity_fields",
        "passthrough",
        "rewrite_links",
        "ca",
        "client_cert",
        "http",
        "proxy",
        "redirects",
        "private_addresses",
        "timeouts",
        "retry",
        "width",
        "max_width",
        "rate",
        "rate_limit",
    ],
    others: &[],
};

static VERSIONS: Words<HttpVersion> =
    Words(&[("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)]);

static REWRITE_LINKS: Words<RewriteLinks> = Words(&[("headers", RewriteLinks::Headers), ("off", RewriteLinks::Off)]);

static REDIRECTS: Words<Redirects> = Words(&[("same-origin", Redirects::SameOrigin), ("off", Redirects::Off)]);

static PRIVATE_ADDRESSES: Words<PrivateAddresses> =
    Words(&[("allow", PrivateAddresses::Allow), ("refuse", PrivateAddresses::Refuse)]);

table! {
    read pub(super) TIMEOUTS "timeouts": Timeouts = Timeouts {
        "connect" => connect: ReadOnly(wait), or(Timeouts::default().connect);
        "head" => head: ReadOnly(wait), or(Timeouts::default().head);
        "idle" => idle: ReadOnly(wait), or(Timeouts::default().idle);
    }
}

table! {
    read pub(super) CLIENT_CERT "client_cert": ClientCertificate = ClientCertificate {
        "cert" => cert: ReadOnly(file), required("write cert = \"client.crt\": a PEM file of the certificate and its chain");
        "key" => key: ReadOnly(file), required("write key = \"client.key\": a PEM file of the certificate's key");
    }
}

fn file(node: &TomlNode<'_>) -> Option<PathBuf> {
    node.text().map(PathBuf::from)
}

/// `retry = { … }`.
pub(super) struct RetryTable {
    attempts: u32,
    base: Duration,
    cap: Duration,
    statuses: Vec<u16>,
    wait: Option<WaitTable>,
}

/// `retry.wait = { path, unit }`.
pub(super) struct WaitTable {
    path: Path,
    unit: Duration,
}

table! {
    read pub(super) RETRY "retry": RetryTable = RetryTable {
        "attempts" => attempts: ReadOnly(attempts), or(RetryPolicy::default().attempts);
        "base" => base: ReadOnly(wait), or(RetryPolicy::default().base);
        "cap" => cap: ReadOnly(wait), or(RetryPolicy::default().cap);
        "statuses" => statuses: ReadOnly(|node| node.each(retried_status)), or(Vec::new());
        "wait" => wait: WAIT, some;
    }
}

table! {
    read pub(super) WAIT "retry.wait": WaitTable = WaitTable {
        "path" => path: PATH, required("name the number in the error's body: path = \"retry_after_ms\"");
        "unit" => unit: ReadOnly(wait), required("say what the number counts: unit = \"1ms\" or \"1s\"");
    }
}

/// Reads the keys of the upstream at `url`, whose aliases stand under `aliases_key`.
pub(super) fn read(
    table: &TomlTable<'_>,
    place: Option<(Url, Option<PathBuf>)>,
    aliases_key: &str,
    secrets: &dyn Secrets,
) -> Option<Upstream> {
    let (url, socket) = place.unzip();
    let aliases = table.maybe(aliases_key, |node| node.each(|alias| alias_of(alias, url.as_ref()))).unwrap_or_default();
    let plain = url.as_ref().is_some_and(|url| url.scheme() == "http");
    if let (Some(ca), true) = (table.get("ca"), plain) {
        ca.refuse::<()>("no certificates are checked over plain http", "write https:// in the URL, or leave out ca");
    }
    if let (Some(cert), true) = (table.get("client_cert"), plain) {
        cert.refuse::<()>(
            "no certificate is asked for over plain http",
            "write https:// in the URL, or leave out client_cert",
        );
    }
    let credentials = table.maybe("credentials", |node| credentials_key::read(node, secrets));
    let accept = table.maybe("accept", header_value);
    let headers = table.maybe("headers", headers).unwrap_or_default();
    let ignored = table.maybe("ignore_fields", ignored_fields).unwrap_or_default();
    let identity = table.maybe("identity_fields", |node| node.each(field_pattern)).unwrap_or_default();
    let passthrough = table.maybe("passthrough", Passthrough::read).unwrap_or_default();
    let rewrite_links = table.or("rewrite_links", REWRITE_LINKS.usual(), |node| REWRITE_LINKS.read(node));
    let ca = table.maybe("ca", file);
    let client_cert = table.maybe("client_cert", |node| CLIENT_CERT.read(node));
    let http = table.or("http", VERSIONS.usual(), |node| VERSIONS.read(node));
    let proxy = table.maybe("proxy", |node| match socket.as_ref().and_then(Option::as_ref) {
        Some(_) => node.refuse("there is no proxy in front of a unix socket", "leave proxy out"),
        None => proxy::read(node, secrets),
    });
    let redirects = table.or("redirects", REDIRECTS.usual(), |node| REDIRECTS.read(node));
    let private_addresses = table.or("private_addresses", PRIVATE_ADDRESSES.usual(), |node| {
        let private = PRIVATE_ADDRESSES.read(node)?;
        refuse_literal(node, url.as_ref(), private);
        Some(private)
    });
    let timeouts = table.maybe("timeouts", |node| TIMEOUTS.read(node)).unwrap_or_default();
    let retry = table.maybe("retry", retry).unwrap_or_default();
    let pace = pace::read(table);
    // The URL is missed only here, so that the mistakes above are told together with its own.
    let default = Upstream::at(url?);
    Some(Upstream {
        socket: socket.flatten(),
        proxy: proxy.unwrap_or(default.proxy),
        aliases,
        credentials: credentials.unwrap_or(default.credentials),
        accept: accept.unwrap_or(default.accept),
        headers,
        fields: FieldRules { ignored, identity },
        passthrough,
        rewrite_links,
        ca,
        client_cert,
        http,
        redirects,
        private_addresses,
        timeouts,
        retry,
        pace,
        url: default.url,
    })
}

/// Refuses an address in the URL itself that no look-up will check.
fn refuse_literal(node: &TomlNode<'_>, url: Option<&Url>, private: PrivateAddresses) {
    let address = match url.and_then(Url::host) {
        Some(Host::Ipv4(address)) => IpAddr::from(address),
        Some(Host::Ipv6(address)) => IpAddr::from(address),
        Some(Host::Domain(_)) | None => return,
    };
    if let (PrivateAddresses::Refuse, Err(kind)) = (private, private.check(address)) {
        node.refuse::<()>(
            format!("the URL has {}", kind.name()),
            "write a public address, or leave out private_addresses",
        );
    }
}

fn alias_of(node: &TomlNode<'_>, upstream: Option<&Url>) -> Option<Url> {
    let alias = origin(node)?;
    if upstream.is_some_and(|upstream| upstream.origin() == alias.origin()) {
        return node
            .refuse("the alias is the upstream itself", "leave it out: links to the upstream are followed anyway");
    }
    Some(alias)
}

fn headers(node: &TomlNode<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let fields: Vec<_> = node.named()?.into_iter().map(|(name, value)| field(name, &value)).collect();
    fields.into_iter().collect()
}

fn field(name: &str, node: &TomlNode<'_>) -> Option<(HeaderName, HeaderValue)> {
    let Ok(name) = name.parse::<HeaderName>() else {
        return node.refuse(format!("not a header name: {name:?}"), "letters, digits and -, as in X-Api-Version");
    };
    if matches!(name, header::AUTHORIZATION | header::PROXY_AUTHORIZATION | header::COOKIE) {
        return node.refuse(
            format!("{name} is a secret, and a secret must not stand in this file"),
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
    let mut value = header_value(node)?;
    value.set_sensitive(names_a_secret(name.as_str()));
    Some((name, value))
}

fn field_pattern(node: &TomlNode<'_>) -> Option<FieldPattern> {
    let text = node.text()?;
    match FieldPattern::parse(text) {
        Some(pattern) => Some(pattern),
        None => node.refuse(
            format!("not a header name: {text:?}"),
            "letters, digits and -, as in X-Trace; X-Trace-* for all that begin so",
        ),
    }
}

fn ignored_fields(node: &TomlNode<'_>) -> Option<Vec<FieldPattern>> {
    node.each(|node| {
        let pattern = field_pattern(node)?;
        if [header::AUTHORIZATION, header::COOKIE].iter().any(|credential| pattern.matches(credential)) {
            return node.refuse(
                format!("{pattern} holds the client's credentials"),
                "write public = true in the collections whose callers share regardless of their credentials",
            );
        }
        Some(pattern)
    })
}

fn retry(node: &TomlNode<'_>) -> Option<RetryPolicy> {
    let table = node.table(&RETRY)?;
    let RetryTable { attempts, base, cap, statuses, wait } = (RETRY.read)(&table)?;
    if base > cap && !table.notes.wrong_at(&table.at) {
        let [first, longest] = [base, cap].map(humantime::format_duration);
        let what = format!("the first wait, {first}, is longer than the longest, {longest}");
        return table.refuse_at("base", what, "lower base, or raise cap");
    }
    let wait = wait.map(|WaitTable { path, unit }| (path, unit));
    Some(RetryPolicy { attempts, base, cap, statuses, wait })
}

/// Reads a status under which a page may come later: any but the redirects and those of a page.
fn retried_status(node: &TomlNode<'_>) -> Option<u16> {
    match node.number(0)? {
        number @ (201 | 202 | 204 | 205 | 207..=299 | 400..=599) => u16::try_from(number).ok(),
        number => node.refuse(
            format!("not a status without a page: {number}"),
            "write one of 200 to 299, but for 200, 203 and 206, or of 400 to 599",
        ),
    }
}

fn attempts(node: &TomlNode<'_>) -> Option<u32> {
    match node.number(1)? {
        number @ 1..=100 => u32::try_from(number).ok(),
        number => node.refuse(format!("too many attempts: {number}"), "write a number from 1 to 100"),
    }
}
