//! `parent`: the collection whose records each lead to a list of this one.

use std::sync::Arc;

use super::Collection;
use super::keywords::{Words, one_of};
use super::pagination_values::{PATH, TEXT};
use super::path_segments::segments;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::toml_node::{TomlNode, TomlTable};
use crate::pagination::{Pagination, Path};

/// Most parents, grandparents included, of a list.
const DEPTH: usize = 3;

/// Rule by which a record of another collection leads to a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentLink {
    /// `path` of the other collection.
    pub collection: String,
    /// Path of the value that leads to the list.
    pub key: Path,
    /// The `{segment}` of the list's path that has this value.
    pub segment: Arc<str>,
    /// Query of the requests for the parents.
    pub query: Option<String>,
    pub on_gone: OnGone,
    /// Members that are added to each record, with the segment whose value they have.
    pub with: Vec<(String, String)>,
}

/// Policy for a parent whose list is refused with 404 or 410.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGone {
    /// The stream breaks.
    Fail,
    /// The verdict counts the parent.
    Report,
}

/// `parent = { … }`, as it is written.
pub(super) struct ParentTable {
    collection: String,
    key: Path,
    query: Option<String>,
    on_gone: OnGone,
    with: Vec<(String, String)>,
}

table! {
    read pub(super) PARENT "parent": ParentTable = ParentTable {
        "collection" => collection: TEXT, required("name the parents by their path: collection = \"/issues\"");
        "key" => key: PATH, required("name the value of a parent that stands in the path of its list: key = \"number\"");
        "query" => query: ReadOnly(query), some;
        "on_gone" => on_gone: ON_GONE, usual;
        "with" => with: ReadOnly(members), or(Vec::new());
    }
}

static ON_GONE: Words<OnGone> = Words(&[("fail", OnGone::Fail), ("report", OnGone::Report)]);

fn query(node: &TomlNode<'_>) -> Option<String> {
    let text = node.text()?;
    if text.starts_with('?') || text.contains(|c: char| c == '#' || c.is_whitespace()) {
        return node
            .refuse(format!("not a query: {text:?}"), "write it encoded, and without `?`: query = \"state=all\"");
    }
    Some(text.to_owned())
}

fn members(node: &TomlNode<'_>) -> Option<Vec<(String, String)>> {
    let read = node.named()?.into_iter().map(|(name, value)| Some((name.to_owned(), value.text()?.to_owned())));
    read.collect()
}

/// Reads `parent` of the collection with these paths.
pub(super) fn read(
    table: &TomlTable<'_>,
    path: Option<&str>,
    upstream_path: Option<&str>,
    pagination: Option<&Pagination>,
) -> Option<ParentLink> {
    let ParentTable { collection, key, query, on_gone, with } = table.maybe("parent", |node| PARENT.read(node))?;
    let path = path?;
    let segment = own_segment(table, path, &collection)?;
    if upstream_path.is_some_and(|path| !segments(path).contains(segment)) {
        let what = format!("each list would be requested by the same path, which has no {{{segment}}}");
        return table.refuse_at("upstream_path", what, format!("write upstream_path = \"/…/{{{segment}}}/…\""));
    }
    if pagination.is_some_and(|pagination| pagination.style.is_auto()) {
        let hint = "name the type: most lists of children are one page, which shows nothing; `unpage probe` on one of several pages finds it";
        return table.refuse_at("pagination", "the lists of children are not recognised one by one", hint);
    }
    let names = segments(path);
    if let Some((_, wrong)) = with.iter().find(|(_, segment)| !names.contains(segment.as_str())) {
        return table.refuse_at(
            "parent.with",
            format!("the path has no segment {{{wrong}}}"),
            one_of(wrong, names.iter().copied()),
        );
    }
    Some(ParentLink { collection, key, segment: Arc::from(segment), query, on_gone, with })
}

/// Returns the one segment that the path has in addition to those of its parents.
fn own_segment<'p>(table: &TomlTable<'_>, path: &'p str, parents: &str) -> Option<&'p str> {
    if path.contains("{*") {
        let hint = "write {name}, for one segment";
        return table.refuse_at("path", "{*name} may be several segments, and a parent has one value", hint);
    }
    let (own, above) = (segments(path), segments(parents));
    let more = own.iter().copied().find(|name| !above.contains(name));
    let hint = format!(
        "write the segments of {parents} under the same names, and one more for the key: path = \"{parents}/{{key}}/…\""
    );
    match (more, above.iter().find(|name| !own.contains(*name))) {
        (_, Some(missing)) => table.refuse_at("path", format!("{{{missing}}} of the parents' path is missing"), hint),
        (Some(segment), None) if own.len() == above.len() + 1 => Some(segment),
        (_, None) => {
            let what =
                format!("a parent fills one segment, and there are {} more than in {parents}", own.len() - above.len());
            table.refuse_at("path", what, hint)
        }
    }
}

/// Checks that the parents are collections of the same file and upstream, and not too many generations.
pub(super) fn check(nodes: &[TomlNode<'_>], collections: &[Option<Collection>]) {
    let named = |path: &str| collections.iter().flatten().find(|collection| collection.path == path);
    for (node, own) in nodes.iter().zip(collections) {
        let Some(own @ Collection { parent: Some(parent), .. }) = own else { continue };
        let place = node.member("parent").unwrap_or_else(|| node.clone());
        let Some(of) = named(&parent.collection) else {
            // One that is wrong in itself is told at its own place.
            if collections.iter().all(Option::is_some) {
                let paths = collections.iter().flatten().map(|collection| collection.path.as_str());
                let paths: Vec<_> = paths.filter(|path| *path != own.path).collect();
                let what = format!("no collection has the path {}", parent.collection);
                place.refuse::<()>(what, one_of(&parent.collection, paths.into_iter()));
            }
            continue;
        };
        if of.upstream.url.origin() != own.upstream.url.origin() {
            place.refuse::<()>(
                format!("the parents are at {}, and their lists at {}", of.upstream.url, own.upstream.url),
                "the credentials of a client go to one upstream: configure both collections there",
            );
        }
        let hint = "leave windows out of the collections of parents and children";
        if own.pagination.windows.is_some() {
            node.member("windows")
                .unwrap_or_else(|| place.clone())
                .refuse::<()>("the lists of all parents are not read in windows", hint);
        } else if of.pagination.windows.is_some() {
            place.refuse::<()>(format!("{} is read in windows, and parents are not", parent.collection), hint);
        }
        // A list has one segment more than its parents, so that no chain is a circle.
        let generations = std::iter::successors(Some(of), |of| named(&of.parent.as_deref()?.collection)).count();
        if generations > DEPTH {
            place.refuse::<()>(
                format!("{generations} generations of parents"),
                format!("at most {DEPTH}: name the first segments in the path of the request"),
            );
        }
    }
}
