//! How a collection is paginated, as written: `records`, `key`, `page_size`, `pagination` and what belongs to them.

use http::StatusCode;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Level, STYLES};
use super::node::{Node, Table};
use super::partition::{order, partition};
use super::upstream;
use super::validity;
use super::value::{self, choice};
use crate::pagination::styles::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleValue, StyleValues};
use crate::pagination::{
    Encoding, End, Limits, More, PageSize, Pagination, PartOrder, Path, Precondition, Presence, Records, RecordsShape,
    SameToken, Source, Style, Validation, Whitespace,
};

const RECORDS: &str =
    "say where a page keeps its records: records = \"data\", or \"$\" where the page itself is the array";

/// Reads everything about pagination that a table says; `None` if the style was wrong. What else was wrong is noted, and
/// the linter goes on with a default.
pub(super) fn read(table: &Table<'_>) -> Option<Pagination> {
    let key = table.maybe("key", value::path);
    let styled = match table.get("pagination") {
        Some(node) => styled(&node, key.as_ref()),
        None => Some(Styled { style: Style::AUTO, more: None, end: End::Style, same_token: SameToken::Error }),
    };
    let found_later = table.get("pagination").is_none_or(|node| {
        let named = node.member("type").unwrap_or(node);
        named.value.as_str() == Some("auto")
    });
    let records = match table.get("records") {
        Some(node) => records(&node),
        None if found_later => None,
        None => table.refuse_at("records", "missing", RECORDS),
    };
    let presence =
        if table.or("records_optional", false, Node::flag) { Presence::Optional } else { Presence::Required };
    let encoding = table
        .or("encoding", Encoding::None, |node| choice(node, &[("none", Encoding::None), ("base64", Encoding::Base64)]));
    let validation = table.or("validate", Validation::Structure, |node| {
        choice(node, &[("structure", Validation::Structure), ("full", Validation::Full)])
    });
    let whitespace = if table.or("compact", false, Node::flag) { Whitespace::Dropped } else { Whitespace::Kept };
    let page_size = table.maybe("page_size", page_size);
    let total = table.maybe("total", value::source);
    let style = styled.as_ref().map(|styled| &styled.style);
    let total_pages = table.maybe("total_pages", |node| total_pages(node, style));
    let partition = table.maybe("partition", partition);
    let order = table.or("order", PartOrder::Listed, order);
    let limits = table.maybe("limits", limits).unwrap_or_default();
    let error = table.get("error_path").map(|node| error_path(&node));
    let since = table.maybe("since", |node| validity::since(node, key.as_ref()));
    let valid_at = table.maybe("valid_at", validity::valid_at);
    let precondition = table.or("match", Precondition::None, validity::precondition);
    let Styled { style, more, end, same_token } = styled?;
    let to_be_found = Records { paths: Vec::new(), ..Records::at(Path::root()) };
    let records = records.unwrap_or(to_be_found);
    let records = Records { presence, encoding, validation, whitespace, ..records };
    let pagination = Pagination {
        records,
        key,
        page_size,
        more,
        end,
        same_token,
        total,
        total_pages,
        limits,
        error: None,
        partition,
        order,
        since,
        valid_at,
        precondition,
        style,
    };
    Some(Pagination { error: error.unwrap_or_else(|| pagination.usual_error()), ..pagination })
}

/// What the `pagination` key says.
struct Styled {
    style: Style,
    more: Option<More>,
    end: End,
    same_token: SameToken,
}

fn styled(node: &Node<'_>, key: Option<&Path>) -> Option<Styled> {
    let types: Vec<_> =
        STYLES.iter().zip(Style::SCHEMAS).map(|(level, schema)| (level.name, (level, *schema))).collect();
    // A type that needs nothing else may be written as its name alone.
    let nothing = DeValue::Table(DeTable::new());
    let (named, node) = match node.value {
        DeValue::String(_) => (node.clone(), node.clone().holding(&nothing)),
        DeValue::Table(_) => match node.member("type") {
            Some(named) => (named, node.clone()),
            None => {
                let all = types.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                return node.refuse("no type", format!("write type = one of {all}"));
            }
        },
        other => {
            let what = format!("expected a table or a type's name, found {}", other.type_str());
            return node.refuse(what, "write pagination = { type = \"cursor\", … }, or pagination = \"link_header\"");
        }
    };
    let (level, schema): (&'static Level, _) = value::known(&named, "type", &types)?;
    let table = node.table(level)?;
    let style = style(schema.name, schema.keys, &table, key);
    let more = table.maybe("more", more);
    let end = table.or("end", End::Style, end);
    let same_token = table.or("same_token", SameToken::Error, |node| {
        choice(node, &[("error", SameToken::Error), ("end", SameToken::End)])
    });
    Some(Styled { style: style?, more, end, same_token })
}

/// Reads the keys of one style by their kinds, and makes the style of their values.
fn style(name: &str, keys: &'static [StyleKey], table: &Table<'_>, collection_key: Option<&Path>) -> Option<Style> {
    let mut mistakes = Vec::new();
    let style = Style::read(name, &mut style_values(keys, table, collection_key), &mut mistakes);
    for KeyMistake { key, what, hint } in mistakes {
        table.refuse_at::<()>(key, what, hint);
    }
    style
}

fn style_values(keys: &'static [StyleKey], table: &Table<'_>, collection_key: Option<&Path>) -> StyleValues {
    let mut values = StyleValues::default();
    for StyleKey { name, kind, need } in keys.iter().filter(|key| !matches!(key.kind, KeyKind::Shared)) {
        match (table.get(name), need, collection_key) {
            (Some(node), _, _) => values.put(name, style_value(&node, *kind)),
            (None, KeyNeed::Inherited(_), Some(key)) => values.put(name, Some(StyleValue::Paths(vec![key.clone()]))),
            (None, KeyNeed::Required(hint) | KeyNeed::Inherited(hint), _) => {
                table.refuse_at::<()>(name, "missing", *hint);
            }
            (None, KeyNeed::Optional, _) => {}
        }
    }
    values
}

fn style_value(node: &Node<'_>, kind: KeyKind) -> Option<StyleValue> {
    match kind {
        KeyKind::Shared => None,
        KeyKind::Text => owned(node).map(StyleValue::Text),
        KeyKind::Number { least } => node.number(least).map(StyleValue::Number),
        KeyKind::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            choice(node, &words).map(|word| StyleValue::Text(word.to_owned()))
        }
        KeyKind::Param => value::param(node).map(StyleValue::Param),
        KeyKind::Path => value::path(node).map(StyleValue::Path),
        KeyKind::Paths => node.each(value::path).map(StyleValue::Paths),
        KeyKind::Sources => next(node).map(StyleValue::Sources),
        KeyKind::Values => node.list()?.iter().map(value::json).collect::<Option<_>>().map(StyleValue::Values),
        KeyKind::WordOrPath(words) => {
            let word = node.text()?;
            let is_word = words.contains(&word);
            if is_word { owned(node).map(StyleValue::Text) } else { value::path(node).map(StyleValue::Path) }
        }
        KeyKind::WordOrUrl(word) if node.value.as_str() == Some(word) => Some(StyleValue::Text(word.to_owned())),
        KeyKind::WordOrUrl(word) => {
            let hint = format!("write {word:?} or the API's root URL");
            let url = value::base_url(node.text()?).map(StyleValue::Url);
            url.map_err(|(what, _)| node.refuse::<()>(what, hint)).ok()
        }
        KeyKind::Pair => match node.named()?.as_slice() {
            [(name, value)] => Some(StyleValue::Pair((*name).to_owned(), owned(value)?)),
            _ => node.refuse("not one attribute", "write link_attr = { results = \"true\" }"),
        },
        KeyKind::Tables(keys) => {
            let table = |node: &Node<'_>| Some(style_values(keys, &node.table(&keys::TOKEN)?, None));
            node.list()?.iter().map(table).collect::<Option<_>>().map(StyleValue::Tables)
        }
    }
}

fn owned(node: &Node<'_>) -> Option<String> {
    node.text().map(ToOwned::to_owned)
}

/// A path, `header:NAME`, `{ links, rel }`, or a list of these.
fn next(node: &Node<'_>) -> Option<Vec<Source>> {
    node.each(|node| {
        if !node.value.is_table() {
            return value::source(node);
        }
        let table = node.table(&keys::LINKS)?;
        let path = table.must("links", "name the array of link objects: links = \"links\"", value::path);
        let rel = table.or("rel", "next".to_owned(), owned);
        Some(Source::Links { path: path?, rel })
    })
}

/// A path, `header:NAME`, or `link:last` for the page number in the `Link` to the last page.
fn total_pages(node: &Node<'_>, style: Option<&Style>) -> Option<Source> {
    if node.value.as_str() != Some(value::LAST_LINK) {
        return value::source(node);
    }
    style?.rules().last_link().or_else(|| {
        node.refuse(
            "only page numbers in a query stand in such a link",
            "take another place, or type = \"page\" with the query parameter that the link has",
        )
    })
}

fn more(node: &Node<'_>) -> Option<More> {
    let table = node.table(&keys::MORE)?;
    let path = table.must("path", "name the flag: path = \"has_more\"", value::path);
    let while_ = table.or("while", serde_json::Value::Bool(true), value::json);
    Some(More { path: path?, while_ })
}

fn end(node: &Node<'_>) -> Option<End> {
    if node.value.is_table() {
        let table = node.table(&keys::END)?;
        let status = table.must("status", "write end = { status = 404 }", upstream::status)?;
        return StatusCode::from_u16(status).ok().map(End::Status);
    }
    choice(node, &[("no_next", End::NoNext), ("empty_page", End::EmptyPage), ("short_page", End::ShortPage)])
}

fn records(node: &Node<'_>) -> Option<Records> {
    let paths = |node: &Node<'_>| node.each(value::records_path);
    if !node.value.is_table() {
        return Some(Records { paths: paths(node)?, ..Records::at(Path::root()) });
    }
    let table = node.table(&keys::RECORDS)?;
    let shape = table.or("as", RecordsShape::Elements, |node| {
        choice(node, &[("elements", RecordsShape::Elements), ("values", RecordsShape::Values)])
    });
    let paths = table.must("path", RECORDS, paths)?;
    Some(Records { paths, shape, ..Records::at(Path::root()) })
}

fn page_size(node: &Node<'_>) -> Option<PageSize> {
    let table = node.table(&keys::PAGE_SIZE)?;
    let number = |node: &Node<'_>| node.number(1);
    let size = PageSize {
        param: table.maybe("param", value::param),
        value: table.maybe("value", number),
        max: table.maybe("max", number),
    };
    match size.asked() {
        None if table.get("value").is_none() && table.get("max").is_none() => {
            node.refuse("asks for no size", "write value = 100, or max with the most that the upstream gives")
        }
        _ => Some(size),
    }
}

/// A path, or `false` where nothing in a page says that it failed.
fn error_path(node: &Node<'_>) -> Option<Path> {
    match node.value.as_bool() {
        Some(false) => None,
        Some(true) => node.refuse("true is no place", "write error_path = \"errors\", or false for none"),
        None => value::path(node),
    }
}

fn limits(node: &Node<'_>) -> Option<Limits> {
    let table = node.table(&keys::LIMITS)?;
    let number = |node: &Node<'_>| node.number(1);
    Some(Limits {
        max_offset: table.maybe("max_offset", number),
        max_pages: table.maybe("max_pages", number),
        max_results: table.maybe("max_results", number),
    })
}
