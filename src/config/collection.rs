//! `[[collection]]`: its path, its upstream and its pagination.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;

use super::collection_pagination::PaginationKeys;
use super::key_names::Level;
use super::keywords::{Words, one_of};
use super::lint::{self, LintFacts};
use super::pagination_values::{self, COUNT};
use super::path_segments::segments;
use super::secrets::Secrets;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::times_and_sizes::{size, size_or_none};
use super::toml_node::{TomlNode, TomlTable};
use super::upstream::{self, CLIENT_KEYS};
use super::{Caps, Collection, Snapshots, Upstream, collection_pagination, parent, snapshots, urls_and_headers};
use crate::format::ColumnNames;
use crate::pagination::{Pagination, Param, Partition};

pub(super) static COLLECTION: Level = Level {
    name: "[[collection]]",
    keys: &[
        "path",
        "preset",
        "upstream",
        "upstream_path",
        "upstream_aliases",
        "method",
        "body",
        "parent",
        "caps",
        "columns",
        "allow",
    ],
    others: &[&CLIENT_KEYS, &PaginationKeys, &snapshots::SHARING],
};

static METHODS: Words<Method> = Words(&[("GET", Method::GET), ("POST", Method::POST)]);

table! {
    read pub(super) CAPS "caps": Caps = Caps {
        "page" => page_bytes: ReadOnly(size), or(Caps::default().page_bytes);
        "record" => record_bytes: ReadOnly(size), or(Caps::default().record_bytes);
        "gap" => gap_bytes: ReadOnly(size), or(Caps::default().gap_bytes);
        "pages" => pages: COUNT, or(Caps::default().pages);
        "empty_pages" => empty_pages: COUNT, or(Caps::default().empty_pages);
        "window" => window_bytes: ReadOnly(size), or(Caps::default().window_bytes);
        "spool" => spool_bytes: ReadOnly(size_or_none), or(Caps::default().spool_bytes);
    }
}

/// `[upstream.NAME]` tables; `None` for one that was wrong.
pub(super) type Upstreams<'a> = BTreeMap<&'a str, Option<Arc<Upstream>>>;

/// Reads one collection; `None` if something was wrong that has no default.
pub(super) fn read(
    node: &TomlNode<'_>,
    upstreams: &Upstreams<'_>,
    all: &Snapshots,
    secrets: &dyn Secrets,
) -> Option<Collection> {
    let table = node.table(&COLLECTION)?;
    let path = table.must("path", "write the path that clients ask for: path = \"/v1/orders\"", path);
    let upstream = upstream_of(&table, upstreams, secrets);
    table.maybe("preset", TomlNode::text);
    let method = table.or("method", METHODS.usual(), |node| METHODS.read(node));
    let body = table.maybe("body", pagination_values::body);
    let upstream_path = table.maybe("upstream_path", upstream_path);
    let caps = table.or("caps", Caps::default(), |node| CAPS.read(node));
    let columns = table.maybe("columns", columns);
    let sharing = snapshots::sharing(&table, all);
    if sharing.refresh.is_some() {
        check_refresh(&table, path.as_deref(), &method, body.is_some());
    }
    let pagination = collection_pagination::read(&table);
    if let Some(pagination) = &pagination {
        let retried = upstream.as_deref().map_or(&[][..], |upstream| &upstream.retry.statuses);
        lint::check(&table, &LintFacts { pagination, method: &method, body: body.as_ref(), retried });
        check_segments(&table, path.as_deref(), upstream_path.as_deref(), pagination);
        if let (Some(upstream), Some(base)) = (&upstream, pagination.style.rules().base_url()) {
            let known = std::iter::once(&upstream.url).chain(&upstream.aliases);
            if !known.into_iter().any(|url| url.origin() == base.origin()) {
                let what = format!("{base} is another server than the upstream");
                table.refuse_at::<()>("pagination.base", what, "name its origin in the upstream's aliases too");
            }
        }
    }
    let parent = parent::read(&table, path.as_deref(), upstream_path.as_deref(), pagination.as_ref());
    Some(Collection {
        path: path?,
        method,
        body,
        upstream_path,
        upstream: upstream?,
        pagination: Arc::new(pagination?),
        parent: parent.map(Arc::new),
        caps,
        columns,
        sharing,
        preset: None,
    })
}

fn columns(node: &TomlNode<'_>) -> Option<ColumnNames> {
    let names = node.each(TomlNode::text)?;
    let hint = "name each column once, by its path: columns = [\"id\", \"customer.email\"]";
    ColumnNames::new(names).map_or_else(|error| node.refuse(error.to_string(), hint), Some)
}

/// Reads an upstream of the collection's own, or returns the named one.
fn upstream_of(table: &TomlTable<'_>, upstreams: &Upstreams<'_>, secrets: &dyn Secrets) -> Option<Arc<Upstream>> {
    let hint = "write the API's URL, or the NAME of an [upstream.NAME]";
    let node = table.must("upstream", hint, |node| Some(node.clone()))?;
    let text = node.text()?;
    if text.contains("://") || text.starts_with("unix:") {
        return upstream::read(table, urls_and_headers::place(&node), "upstream_aliases", secrets).map(Arc::new);
    }
    for key in CLIENT_KEYS.keys.iter().chain(&["upstream_aliases"]) {
        if table.get(key).is_some() {
            let there = key.strip_prefix("upstream_").unwrap_or(key);
            let hint = format!("write {there} in [upstream.{text}]: all collections of one upstream are asked alike");
            table.refuse_at::<()>(key, "the upstream is a shared one", hint);
        }
    }
    match upstreams.get(text) {
        Some(upstream) => upstream.clone(),
        None if upstreams.is_empty() => node.refuse(
            format!("neither a URL nor an upstream's name: {text:?}"),
            "write \"https://…\", or add [upstream.NAME]",
        ),
        None => node.refuse(format!("unknown upstream {text:?}"), one_of(text, upstreams.keys().copied())),
    }
}

fn path(node: &TomlNode<'_>) -> Option<String> {
    let path = absolute(node)?;
    // The router is the judge of its own syntax; whether two collections are in each other's way is asked later.
    match matchit::Router::new().insert(path, ()) {
        Ok(()) => Some(path.to_owned()),
        Err(error) => node.refuse(
            format!("not a path that can be matched: {}", error.to_string().to_lowercase()),
            "write {name} for one segment, {*name} for the rest at the end, {{ and }} for braces",
        ),
    }
}

fn upstream_path(node: &TomlNode<'_>) -> Option<String> {
    absolute(node).map(ToOwned::to_owned)
}

fn absolute<'a>(node: &TomlNode<'a>) -> Option<&'a str> {
    let path = node.text()?;
    if path.contains(['?', '#']) || path.contains(char::is_whitespace) {
        return node.refuse(format!("more than a path: {path:?}"), "the query is the client's; leave it out");
    }
    if path.starts_with('/') { Some(path) } else { node.refuse(format!("relative: {path:?}"), "start it with /") }
}

/// Refuses `refresh` where only a client can make the request for the collection.
fn check_refresh(table: &TomlTable<'_>, path: Option<&str>, method: &Method, has_body: bool) {
    if let Some(name) = path.map(segments).and_then(|names| names.first().map(|name| (*name).to_owned())) {
        let what = format!("only clients know {{{name}}} of the path");
        table.refuse_at::<()>("refresh", what, "write a [[collection]] with the whole path, or leave it out");
    }
    if *method == Method::POST && !has_body {
        table.refuse_at::<()>("refresh", "only clients have the body of the request", "write body, or leave it out");
    }
}

/// Compares the `{segments}` of the two paths with the `path:NAME` parameters.
fn check_segments(table: &TomlTable<'_>, path: Option<&str>, upstream_path: Option<&str>, pagination: &Pagination) {
    let Some(path) = path else { return };
    let given = segments(path);
    let parts = pagination.partition.as_ref().map(Partition::params).unwrap_or_default();
    let parts: BTreeSet<_> = parts.into_iter().filter_map(segment_of).collect();
    let filled: BTreeSet<_> =
        pagination.style.params().into_iter().filter_map(segment_of).chain(parts.iter().copied()).collect();
    let asked = upstream_path.map_or_else(|| given.clone(), segments);
    for name in asked.difference(&given).filter(|name| !filled.contains(*name)) {
        let what = format!("nothing fills {{{name}}}");
        table.refuse_at::<()>("upstream_path", what, "name the segment in path, or fill it with param = \"path:NAME\"");
    }
    for name in filled {
        if !asked.contains(name) {
            let what = format!("the upstream's path has no segment {{{name}}}");
            let hint = format!("write upstream_path = \"/…/{{{name}}}\"");
            table.refuse_at::<()>(if parts.contains(name) { "partition" } else { "pagination.param" }, what, hint);
        } else if parts.contains(name) {
            // A range's first part has no lower end and its last no upper one; a list's parts each have their value.
            if matches!(pagination.partition, Some(Partition::Range(_))) {
                let what = format!("a part without an end has nothing for {{{name}}}");
                table.refuse_at::<()>(
                    "partition",
                    what,
                    "ends of a range stand in the query, the body or a header field",
                );
            }
        } else if !given.contains(name) && !pagination.style.is_numbered() {
            let what = format!("the first request has no token for {{{name}}} yet");
            let hint = format!(
                "name the segment in path too, so that the client says where to begin: path = \"/…/{{{name}}}\""
            );
            table.refuse_at::<()>("pagination.param", what, hint);
        }
    }
}

fn segment_of(param: &Param) -> Option<&str> {
    match param {
        Param::Path(name) => Some(name),
        _ => None,
    }
}
