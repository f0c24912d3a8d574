//! The key `pagination`: its type, the keys that the type declares, and those that several types share.

use http::StatusCode;
use toml::de::{DeTable, DeValue};

use super::key_names::KeyNames;
use super::keywords::{Words, one_of};
use super::pagination_values::{JSON, LINKS, PARAM, PATH, SOURCE, STATUSES, TEXT};
use super::table_schema::{Schema, rule, table};
use super::toml_node::{TomlNode, TomlTable};
use super::toml_text::{Pairs, json, list, one_or_list, text};
use super::urls_and_headers::base_url;
use crate::pagination::styles::{KeyKind, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
use crate::pagination::{End, EndStatuses, More, Pagination, Path, SameToken, Source, Style};

/// Value of `pagination`.
pub(super) struct Styled {
    pub(super) style: Style,
    pub(super) more: Option<More>,
    pub(super) end: End,
    pub(super) same_token: SameToken,
}

/// Keys of one of `tokens`, or of another table inside a type's table.
struct Inner(&'static str, &'static [StyleKey]);

/// `end = { status = 404 }`, or several.
pub(super) struct StatusEnd {
    status: Vec<u16>,
}

table! {
    pub(super) MORE "pagination.more": More = More {
        "path" => path: PATH, required("name the flag: path = \"has_more\"");
        "while" => while_: JSON, or(serde_json::Value::Bool(true));
    }
}

table! {
    pub(super) END "pagination.end": StatusEnd = StatusEnd {
        "status" => status: STATUSES, required("write end = { status = 404 }, or [204, 404]");
    }
}

/// The words of `end`; nothing, where the type's own end holds.
static ENDS: Words<End> =
    Words(&[("no_next", End::NoNext), ("empty_page", End::EmptyPage), ("short_page", End::ShortPage)]);

static SAME_TOKENS: Words<SameToken> =
    Words(&[("error", SameToken::Error), ("end", SameToken::End), ("again", SameToken::Again)]);

impl KeyNames for StyleSchema {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keys(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).collect()
    }
}

impl KeyNames for Inner {
    fn name(&self) -> &'static str {
        self.0
    }

    fn keys(&self) -> Vec<&'static str> {
        self.1.iter().map(|key| key.name).collect()
    }
}

impl Styled {
    /// Reads a type's name, or a table with its `type`; `collection_key` stands for keys that inherit it.
    pub(super) fn read(node: &TomlNode<'_>, collection_key: Option<&Path>) -> Option<Self> {
        // A type that needs nothing else may be written as its name alone.
        let nothing = DeValue::Table(DeTable::new());
        let (named, node) = match node.value {
            DeValue::String(_) => (node.clone(), node.clone().holding(&nothing)),
            DeValue::Table(_) => match node.member("type") {
                Some(named) => (named, node.clone()),
                None => {
                    let all = Style::SCHEMAS.iter().map(|schema| schema.name).collect::<Vec<_>>().join(", ");
                    return node.refuse("no type", format!("write type = one of {all}"));
                }
            },
            other => {
                let what = format!("expected a table or a type's name, found {}", other.type_str());
                return node
                    .refuse(what, "write pagination = { type = \"cursor\", … }, or pagination = \"link_header\"");
            }
        };
        let word = named.text()?;
        let Some(schema) = Style::SCHEMAS.iter().find(|schema| schema.name == word) else {
            let names = Style::SCHEMAS.iter().map(|schema| schema.name);
            return named.refuse(format!("unknown type {word:?}"), one_of(word, names));
        };
        let table = node.table(*schema)?;
        let mut values = read_values(&table, schema.keys, collection_key);
        let mut mistakes = Vec::new();
        let style = Style::read(schema.name, &mut values, &mut mistakes);
        for mistake in mistakes {
            table.refuse_at::<()>(mistake.key, mistake.what, mistake.hint);
        }
        let more = table.maybe("more", |node| MORE.read(node));
        let end = table.or("end", End::Style, end);
        let same_token = table.or("same_token", SAME_TOKENS.usual(), |node| SAME_TOKENS.read(node));
        Some(Self { style: style?, more, end, same_token })
    }
}

/// Writes the value of `pagination`.
pub(super) fn write(Pagination { style, more, end, same_token, .. }: &Pagination) -> String {
    let mut pairs = Pairs::default();
    pairs.put("type", text(style.name()));
    write_values(&mut pairs, style.schema().keys, &style.values());
    if *same_token != SAME_TOKENS.usual() {
        pairs.put("same_token", SAME_TOKENS.write(same_token));
    }
    if let Some(more) = more {
        pairs.put("more", MORE.write(more));
    }
    match end {
        End::Style => {}
        End::Status(EndStatuses(all)) => {
            pairs.put("end", END.write(&StatusEnd { status: all.iter().map(StatusCode::as_u16).collect() }));
        }
        word => pairs.put("end", ENDS.write(word)),
    }
    pairs.table()
}

fn end(node: &TomlNode<'_>) -> Option<End> {
    if !node.value.is_table() {
        return ENDS.read(node);
    }
    let statuses = END.read(node)?.status.into_iter().map(StatusCode::from_u16);
    statuses.collect::<Result<_, _>>().ok().map(|statuses| End::Status(EndStatuses(statuses)))
}

/// Reads the keys that are not shared by several types, and notes which are missing.
fn read_values(table: &TomlTable<'_>, keys: &'static [StyleKey], collection_key: Option<&Path>) -> StyleValues {
    let mut values = StyleValues::default();
    for StyleKey { name, kind, need } in keys {
        match (table.get(name), need, collection_key) {
            _ if matches!(kind, KeyKind::Shared) => {}
            (Some(node), ..) => values.put(name, read_value(&node, *kind)),
            (None, KeyNeed::Inherited(_), Some(key)) => {
                values.put(name, Some(StyleValue::Paths(vec![key.clone()])));
            }
            (None, KeyNeed::Required(hint) | KeyNeed::Inherited(hint), _) => {
                table.refuse_at::<()>(name, "missing", *hint);
            }
            (None, ..) => {}
        }
    }
    values
}

fn read_value(node: &TomlNode<'_>, kind: KeyKind) -> Option<StyleValue> {
    Some(match kind {
        KeyKind::Shared => return None,
        KeyKind::Text => StyleValue::Text(TEXT.read(node)?),
        KeyKind::Number { least } => StyleValue::Number(node.number(least)?),
        KeyKind::Word(words) => {
            let word = node.text()?;
            if !words.contains(&word) {
                let key = node.at.rsplit('.').next().unwrap_or_default();
                return node.refuse(format!("unknown {key} {word:?}"), one_of(word, words.iter().copied()));
            }
            StyleValue::Text(word.to_owned())
        }
        KeyKind::WordOrPath(words) if words.contains(&node.text()?) => StyleValue::Text(node.text()?.to_owned()),
        KeyKind::WordOrUrl(word) if node.text()? == word => StyleValue::Text(word.to_owned()),
        KeyKind::WordOrUrl(word) => {
            let url = base_url(node.text()?);
            let hint = format!("write {word:?} or the API's root URL");
            StyleValue::Url(url.map_err(|(what, _)| node.refuse::<()>(what, hint)).ok()?)
        }
        KeyKind::WordOrPath(_) | KeyKind::Path => StyleValue::Path(PATH.read(node)?),
        KeyKind::Paths => StyleValue::Paths(node.each(|node| PATH.read(node))?),
        KeyKind::Param => StyleValue::Param(PARAM.read(node)?),
        KeyKind::Sources => StyleValue::Sources(node.each(next_source)?),
        KeyKind::Values => StyleValue::Values(node.list()?.iter().map(|node| JSON.read(node)).collect::<Option<_>>()?),
        KeyKind::Json => StyleValue::Json(JSON.read(node)?),
        KeyKind::Pair => match node.named()?.as_slice() {
            [(name, value)] => StyleValue::Pair((*name).to_owned(), TEXT.read(value)?),
            _ => {
                let key = node.at.rsplit('.').next().unwrap_or_default();
                return node.refuse("not one attribute", format!("write {key} = {{ results = \"true\" }}"));
            }
        },
        KeyKind::Table(keys) => {
            StyleValue::Table(read_values(&node.table(&Inner("pagination.next_request", keys))?, keys, None))
        }
        KeyKind::Tables(keys) => {
            let tables: Vec<_> = node
                .list()?
                .iter()
                .map(|node| Some(read_values(&node.table(&Inner("pagination.tokens", keys))?, keys, None)))
                .collect();
            StyleValue::Tables(tables.into_iter().collect::<Option<_>>()?)
        }
    })
}

/// A path, `header:NAME` or `{ links, rel }`.
fn next_source(node: &TomlNode<'_>) -> Option<Source> {
    if node.value.is_table() { LINKS.read(node) } else { SOURCE.read(node) }
}

/// Writes values in the order of their keys.
fn write_values(pairs: &mut Pairs, keys: &[StyleKey], values: &StyleValues) {
    for StyleKey { name, kind, .. } in keys {
        if let Some((_, value)) = values.iter().find(|(key, _)| key == name) {
            pairs.put(name, write_value(*kind, value));
        }
    }
}

fn write_table(keys: &[StyleKey], values: &StyleValues) -> String {
    let mut pairs = Pairs::default();
    write_values(&mut pairs, keys, values);
    pairs.table()
}

fn write_value(kind: KeyKind, value: &StyleValue) -> String {
    match (value, kind) {
        (StyleValue::Text(value), _) => text(value),
        (StyleValue::Number(number), _) => number.to_string(),
        // Told apart from the words that may stand there, too.
        (StyleValue::Path(path), KeyKind::WordOrPath(words)) if words.contains(&path.to_string().as_str()) => {
            text(&format!("$.{path}"))
        }
        (StyleValue::Path(path), _) => PATH.write(path),
        (StyleValue::Paths(paths), _) => one_or_list(paths, |path| PATH.write(path)),
        (StyleValue::Param(param), _) => PARAM.write(param),
        (StyleValue::Sources(sources), _) => one_or_list(sources, |source| SOURCE.write(source)),
        (StyleValue::Values(values), _) => list(values, json),
        (StyleValue::Json(value), _) => json(value),
        (StyleValue::Url(url), _) => text(url.as_str()),
        (StyleValue::Pair(name, value), _) => format!("{{ {} = {} }}", text(name), text(value)),
        (StyleValue::Table(values), KeyKind::Table(keys)) => write_table(keys, values),
        (StyleValue::Tables(tables), KeyKind::Tables(keys)) => list(tables, |values| write_table(keys, values)),
        (StyleValue::Table(_) | StyleValue::Tables(_), _) => String::new(),
    }
}
