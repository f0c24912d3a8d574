//! Keys of a `[[collection]]` that make its pagination.

use super::key_names::KeyNames;
use super::keywords::{Flag, Words};
use super::pagination_key::{self, Styled};
use super::pagination_values::{
    COUNT, ERROR_PATH, LAST_LINK, PARAM, PATH, RECORD_PATHS, SHAPES, SOURCE, TEXT, VALUES, WAIT,
};
use super::partition_key::{PARTITIONS, WINDOWS};
use super::since_valid_at::{SINCES, VALID_ATS, since};
use super::table_schema::{Form, Schema, rule, table};
use super::toml_node::{TomlNode, TomlTable};
use super::toml_text::{Pairs, one_or_list};
use crate::pagination::{
    ConsistencyLevel, Cookies, Encoding, ErrorCondition, ErrorSettings, Limits, LonePage, OnDouble, OnMissed, OwnWords,
    PageSize, Pagination, PartOrder, Path, Precondition, Presence, RecordOrder, Records, RecordsShape, Style,
    UnnamedCounts, Validation, Whitespace,
};

const RECORDS_HINT: &str =
    "say where a page keeps its records: records = \"data\", or \"$\" where the page itself is the array";

/// One key: how its value is read into a pagination, and how it is written where it isn't the default.
struct PaginationKey {
    name: &'static str,
    read: fn(&TomlNode<'_>, &mut Draft),
    write: fn(&Pagination) -> Option<String>,
}

/// A pagination whose keys are read one after the other.
struct Draft {
    pagination: Pagination,
    is_style_wrong: bool,
    has_error_path: bool,
}

/// The names of [`KEYS`].
pub(super) struct PaginationKeys;

impl KeyNames for PaginationKeys {
    fn name(&self) -> &'static str {
        "[[collection]]"
    }

    fn keys(&self) -> Vec<&'static str> {
        KEYS.iter().map(|key| key.name).collect()
    }
}

/// A key that sets one field: an `Option`, or a field whose form has a `usual` value.
macro_rules! field {
    ($name:literal, some $($field:ident).+, $form:expr) => {
        PaginationKey {
            name: $name,
            read: |node, draft| draft.pagination.$($field).+ = $form.read(node),
            write: |pagination| pagination.$($field).+.as_ref().map(|value| $form.write(value)),
        }
    };
    ($name:literal, usual $($field:ident).+, $form:expr) => {
        PaginationKey {
            name: $name,
            read: |node, draft| draft.pagination.$($field).+ = $form.read(node).unwrap_or($form.usual()),
            write: |pagination| {
                let value = &pagination.$($field).+;
                (*value != $form.usual()).then(|| $form.write(value))
            },
        }
    };
}

/// In the order in which they are read and written: a type may inherit `key`, and a number of pages depends on the type.
static KEYS: [PaginationKey; 26] = [
    PaginationKey { name: "records", read: read_records, write: write_records },
    field!("records_optional", usual records.presence, Flag([Presence::Required, Presence::Optional])),
    field!("encoding", usual records.encoding, Words(&[("none", Encoding::None), ("base64", Encoding::Base64), ("ndjson", Encoding::Lines), ("xml", Encoding::Xml), ("csv", Encoding::Csv(b',')), ("csv_semicolon", Encoding::Csv(b';')), ("tsv", Encoding::Csv(b'\t'))])),
    field!("validate", usual records.validation, Words(&[("structure", Validation::Structure), ("full", Validation::Full)])),
    field!("compact", usual records.whitespace, Flag([Whitespace::Kept, Whitespace::Dropped])),
    field!("key", some key, PATH),
    field!("on_double", usual on_double, Words(&[("fail", OnDouble::Fail), ("drop", OnDouble::Drop)])),
    field!("page_size", some page_size, PAGE_SIZES),
    PaginationKey { name: "pagination", read: read_style, write: |pagination| Some(pagination_key::write(pagination)) },
    PaginationKey {
        name: "keep",
        read: |node, draft| draft.pagination.keep = node.each(|node| TEXT.read(node)).unwrap_or_default(),
        write: |pagination| {
            let keep = &pagination.keep;
            (!keep.is_empty()).then(|| one_or_list(keep, |name| TEXT.write(name)))
        },
    },
    field!("cookies", usual cookies, Flag([Cookies::Dropped, Cookies::Kept])),
    field!("single_page", usual single_page, Words(&[("refuse", LonePage::Refuse), ("break", LonePage::Break), ("accept", LonePage::Accept)])),
    field!("partition", some partition, PARTITIONS),
    field!("windows", some windows, WINDOWS),
    field!("order", usual order, Words(&[("listed", PartOrder::Listed), ("any", PartOrder::Any)])),
    PaginationKey { name: "total", read: read_total, write: write_total },
    PaginationKey {
        name: "total_pages",
        read: read_total_pages,
        write: |pagination| pagination.total_pages.as_ref().map(|source| SOURCE.write(source)),
    },
    PaginationKey {
        name: "since",
        read: |node, draft| draft.pagination.since = since(node, draft.pagination.key.as_ref()),
        write: |pagination| pagination.since.as_ref().map(|value| SINCES.write(value)),
    },
    field!("valid_at", some valid_at, VALID_ATS),
    field!("consistency", some consistency, Words(&[("none", ConsistencyLevel::None), ("detect", ConsistencyLevel::Detect), ("repair", ConsistencyLevel::Repair), ("verify", ConsistencyLevel::Verify), ("upstream", ConsistencyLevel::Upstream)])),
    field!("match", usual precondition, Flag([Precondition::None, Precondition::Match])),
    field!("stable_order", usual record_order, Flag([RecordOrder::Assumed, RecordOrder::Configured])),
    field!("settle", some settle, WAIT),
    field!("on_missed", usual on_missed, Words(&[("fail", OnMissed::Fail), ("report", OnMissed::Report)])),
    PaginationKey {
        name: "limits",
        read: |node, draft| draft.pagination.limits = LIMITS.read(node).unwrap_or_default(),
        write: |pagination| {
            let limits = &pagination.limits;
            (*limits != Limits::default()).then(|| LIMITS.write(limits))
        },
    },
    PaginationKey { name: "error_path", read: read_error_path, write: write_error_path },
];

/// `records = { path, as }`.
pub(super) struct RecordsTable {
    paths: Vec<Path>,
    shape: RecordsShape,
}

table! {
    pub(super) RECORDS "records": RecordsTable = RecordsTable {
        "path" => paths: RECORD_PATHS, required(RECORDS_HINT);
        "as" => shape: SHAPES, usual;
    }
}

table! {
    pub(super) PAGE_SIZE "page_size": PageSize = PageSize {
        "param" => param: PARAM, some;
        "value" => value: COUNT, some;
        "max" => max: COUNT, some;
    }
}

table! {
    pub(super) LIMITS "limits": Limits = Limits {
        "max_offset" => max_offset: COUNT, some;
        "max_pages" => max_pages: COUNT, some;
        "max_results" => max_results: COUNT, some;
    }
}

table! {
    pub(super) ERROR "error_path": ErrorCondition = ErrorCondition {
        "path" => path: ERROR_PATH, required("name the value: path = \"status\"");
        "ok" => ok: VALUES, some;
        "retry" => retry: VALUES, some;
    }
}

const PAGE_SIZES: Form<PageSize> = Form { read: read_page_size, write: |size| PAGE_SIZE.write(size) };

/// Reads all keys of a pagination; `None` where the style is wrong. A wrong value of another key is noted, and its default
/// stands in the result, for the rules that look at several keys.
pub(super) fn read(table: &TomlTable<'_>) -> Option<Pagination> {
    let to_be_found = Records { paths: Vec::new(), ..Records::at(Path::root()) };
    let pagination = Pagination::of(Style::AUTO, to_be_found);
    let mut draft = Draft { pagination, is_style_wrong: false, has_error_path: false };
    for key in &KEYS {
        if let Some(node) = table.get(key.name) {
            (key.read)(&node, &mut draft);
        }
    }
    let is_auto = table.get("pagination").is_none_or(|node| {
        let named = node.member("type").unwrap_or(node);
        named.value.as_str() == Some(Style::AUTO.name())
    });
    if table.get("records").is_none() && !is_auto {
        table.refuse_at::<()>("records", "missing", RECORDS_HINT);
    }
    let Draft { mut pagination, is_style_wrong, has_error_path } = draft;
    if !has_error_path {
        pagination.failures.conditions.extend(pagination.usual_error().map(ErrorCondition::at));
    }
    (!is_style_wrong).then_some(pagination)
}

/// Writes the keys whose values are not the default.
pub(super) fn write(pagination: &Pagination, pairs: &mut Pairs) {
    for key in &KEYS {
        if let Some(value) = (key.write)(pagination) {
            pairs.put(key.name, value);
        }
    }
}

fn read_style(node: &TomlNode<'_>, draft: &mut Draft) {
    let Some(Styled { style, more, end, same_token }) = Styled::read(node, draft.pagination.key.as_ref()) else {
        draft.is_style_wrong = true;
        return;
    };
    draft.pagination = Pagination { style, more, end, same_token, ..draft.pagination.clone() };
}

fn read_records(node: &TomlNode<'_>, draft: &mut Draft) {
    let records = if node.value.is_table() {
        RECORDS.read(node)
    } else {
        RECORD_PATHS.read(node).map(|paths| RecordsTable { paths, shape: RecordsShape::Elements })
    };
    if let Some(RecordsTable { paths, shape }) = records {
        (draft.pagination.records.paths, draft.pagination.records.shape) = (paths, shape);
    }
}

fn write_records(Pagination { records, .. }: &Pagination) -> Option<String> {
    let Records { paths, shape, .. } = records;
    match shape {
        RecordsShape::Elements if paths.is_empty() => None,
        RecordsShape::Elements => Some(RECORD_PATHS.write(paths)),
        _ => Some(RECORDS.write(&RecordsTable { paths: paths.clone(), shape: *shape })),
    }
}

fn read_page_size(node: &TomlNode<'_>) -> Option<PageSize> {
    let size = PAGE_SIZE.read(node)?;
    if node.member("value").is_none() && node.member("max").is_none() {
        return node.refuse("asks for no size", "write value = 100, or max with the most that the upstream gives");
    }
    Some(size)
}

/// Reads a path, `header:NAME`, or `link:last` for the page number in the `Link` to the last page.
fn read_total_pages(node: &TomlNode<'_>, draft: &mut Draft) {
    let pagination = &mut draft.pagination;
    pagination.total_pages = match node.value.as_str() {
        Some(LAST_LINK) if draft.is_style_wrong => None,
        Some(LAST_LINK) => pagination.style.rules().last_link().or_else(|| {
            node.refuse(
                "only page numbers in a query stand in such a link",
                "take another place, or type = \"page\" with the query parameter that the link has",
            )
        }),
        _ => SOURCE.read(node),
    };
}

/// Reads a place, or `false` where no number beside the records counts them.
fn read_total(node: &TomlNode<'_>, draft: &mut Draft) {
    match node.value.as_bool() {
        Some(false) => draft.pagination.unnamed_counts = UnnamedCounts::Ignored,
        Some(true) => drop(node.refuse::<()>("true is not a place", "write total = \"meta.total\", or false for none")),
        None => draft.pagination.total = SOURCE.read(node),
    }
}

fn write_total(pagination: &Pagination) -> Option<String> {
    match (&pagination.total, pagination.unnamed_counts) {
        (Some(source), _) => Some(SOURCE.write(source)),
        (None, UnnamedCounts::Ignored) => Some("false".to_owned()),
        (None, UnnamedCounts::Heeded) => None,
    }
}

/// Reads conditions, or `false` where nothing in a page says that it failed.
fn read_error_path(node: &TomlNode<'_>, draft: &mut Draft) {
    draft.has_error_path = true;
    match node.value.as_bool() {
        Some(false) => draft.pagination.failures.words = OwnWords::Ignored,
        Some(true) => drop(node.refuse::<()>("true is not a path", "write error_path = \"errors\", or false for none")),
        None => draft.pagination.failures.conditions = node.each(read_error).unwrap_or_default(),
    }
}

/// Reads a path, or a table with a path and values.
fn read_error(node: &TomlNode<'_>) -> Option<ErrorCondition> {
    if node.value.is_table() { ERROR.read(node) } else { ERROR_PATH.read(node).map(ErrorCondition::at) }
}

fn write_error_path(pagination: &Pagination) -> Option<String> {
    let ErrorSettings { conditions, words } = &pagination.failures;
    let write = |condition: &ErrorCondition| match condition {
        ErrorCondition { path, ok: None, retry: None } => ERROR_PATH.write(path),
        condition => ERROR.write(condition),
    };
    match (conditions.as_slice(), words) {
        (_, OwnWords::Ignored) => Some("false".to_owned()),
        ([], OwnWords::Heeded) => None,
        ([only], _) if pagination.usual_error().map(ErrorCondition::at).as_ref() == Some(only) => None,
        (conditions, OwnWords::Heeded) => Some(one_or_list(conditions, write)),
    }
}
