//! How a collection is paginated, as written: `records`, `key`, `page_size`, `pagination` and what belongs to them.

use http::StatusCode;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Level, STYLES};
use super::node::{Node, Table};
use super::partition::{order, partition};
use super::upstream;
use super::validity;
use super::value::{self, choice};
use crate::pagination::{
    Advance, Base, Cursor, Encode, Encoding, End, Limits, More, Overlap, PageSize, Pagination, Param, PartOrder, Path,
    Precondition, Presence, Records, RecordsShape, SameToken, Source, Style, Template, Token, Validation, Whitespace,
};

const PARAM: &str =
    "say where it goes: param = \"NAME\" (query), \"body:PATH\", \"form:NAME\", \"header:NAME\" or \"path:NAME\"";
const RECORDS: &str =
    "say where a page keeps its records: records = \"data\", or \"$\" where the page itself is the array";

/// Reads everything about pagination that a table says; `None` if the style was wrong. What else was wrong is noted, and
/// the linter goes on with a default.
pub(super) fn read(table: &Table<'_>) -> Option<Pagination> {
    let key = table.maybe("key", value::path);
    let styled = match table.get("pagination") {
        Some(node) => styled(&node, key.as_ref()),
        None => Some(Styled { style: Style::Auto, more: None, end: End::Style, same_token: SameToken::Error }),
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
    let types = STYLES.each_ref().map(|level| (level.name, level));
    // A type that needs nothing else may be written as its name alone.
    let nothing = DeValue::Table(DeTable::new());
    let (named, node) = match node.value {
        DeValue::String(_) => (node.clone(), node.clone().holding(&nothing)),
        DeValue::Table(_) => match node.member("type") {
            Some(named) => (named, node.clone()),
            None => {
                let all = types.map(|(name, _)| name).join(", ");
                return node.refuse("no type", format!("write type = one of {all}"));
            }
        },
        other => {
            let what = format!("expected a table or a type's name, found {}", other.type_str());
            return node.refuse(what, "write pagination = { type = \"cursor\", … }, or pagination = \"link_header\"");
        }
    };
    let level: &'static Level = value::known(&named, "type", &types)?;
    let table = node.table(level)?;
    let style = style(level.name, &table, key);
    let more = table.maybe("more", more);
    let end = table.or("end", End::Style, end);
    let same_token = table.or("same_token", SameToken::Error, |node| {
        choice(node, &[("error", SameToken::Error), ("end", SameToken::End)])
    });
    Some(Styled { style: style?, more, end, same_token })
}

fn style(name: &str, table: &Table<'_>, key: Option<&Path>) -> Option<Style> {
    match name {
        "link_header" => Some(Style::LinkHeader {
            rel: table.or("rel", "next".to_owned(), owned),
            attribute: table.maybe("link_attr", link_attribute),
        }),
        "next_url" => Some(Style::NextUrl {
            next: table.must("next", "say where the URL stands: next = \"links.next\" or \"header:NAME\"", next)?,
            base: table.or("base", Base::Request, base),
        }),
        "cursor" => cursor(table).map(Style::Cursor),
        "page" => {
            let template = table.maybe("template", template);
            let start = table.or("start", 1, |node| node.number(0));
            Some(Style::Page { param: table.must("param", PARAM, value::param)?, start, template })
        }
        "offset" => {
            let template = table.maybe("template", template);
            let start = table.or("start", 0, |node| node.number(0));
            let step = table.or("step", Advance::Returned, step);
            Some(Style::Offset { param: table.must("param", PARAM, value::param)?, start, step, template })
        }
        "keyset" => keyset(table, key),
        "range" => {
            let unit = table.must("unit", "write unit = \"items\", as the API's Accept-Ranges says", owned);
            let size = table.must("size", "say how many records to ask for: size = 100", |node| node.number(1));
            Some(Style::Range { unit: unit?, size: size? })
        }
        "none" => Some(Style::Single),
        _ => Some(Style::Auto),
    }
}

fn cursor(table: &Table<'_>) -> Option<Cursor> {
    let merge = table.maybe("merge", value::path);
    let end_values =
        table.maybe("end_values", |node| node.list()?.iter().map(value::json).collect()).unwrap_or_default();
    let template = table.maybe("template", template);
    let tokens = match (table.get("tokens"), table.get("next")) {
        (Some(tokens), None) => {
            for key in ["param", "from_url_param"] {
                if table.get(key).is_some() {
                    table.refuse_at::<()>(key, "stands beside tokens", "write it into each of tokens");
                }
            }
            tokens.list()?.iter().map(|node| token(&node.table(&keys::TOKEN)?)).collect::<Vec<_>>()
        }
        (Some(tokens), Some(_)) => {
            return tokens.refuse("both next and tokens", "write one token as next and param, several as tokens");
        }
        (None, None) if table.get("merge").is_some() && table.get("param").is_none() => Vec::new(),
        (None, _) => vec![token(table)],
    };
    let tokens = tokens.into_iter().collect::<Option<_>>()?;
    Some(Cursor { tokens, merge, end_values, template })
}

fn token(table: &Table<'_>) -> Option<Token> {
    let next = table.must("next", "say where the token stands: next = \"meta.next_cursor\" or \"header:NAME\"", next);
    let param = table.must("param", PARAM, value::param);
    let from_url_param = table.maybe("from_url_param", owned);
    Some(Token { next: next?, param: param?, from_url_param })
}

fn keyset(table: &Table<'_>, collection_key: Option<&Path>) -> Option<Style> {
    let key = match (table.get("key"), collection_key) {
        (None, Some(key)) => Some(vec![key.clone()]),
        (node, _) if node.is_some() => table.maybe("key", |node| node.each(value::path)),
        _ => {
            table.refuse_at("key", "missing", "say which of a record's fields goes into the next request: key = \"id\"")
        }
    };
    let param = table.must("param", PARAM, value::param);
    let encode =
        table.or("encode", Encode::Plain, |node| choice(node, &[("plain", Encode::Plain), ("json", Encode::Json)]));
    let overlap = table.or("overlap", Overlap::None, |node| match node.number(0)? {
        0 => Some(Overlap::None),
        1 => Some(Overlap::First),
        more => node.refuse(
            format!("{more} records of overlap"),
            "0 where a page starts after the record that the token names, 1 where it starts with it",
        ),
    });
    Some(Style::Keyset { key: key?, param: param?, encode, overlap })
}

fn owned(node: &Node<'_>) -> Option<String> {
    node.text().map(ToOwned::to_owned)
}

fn template(node: &Node<'_>) -> Option<Template> {
    owned(node).map(Template)
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

fn base(node: &Node<'_>) -> Option<Base> {
    if node.value.as_str() == Some("request") {
        return Some(Base::Request);
    }
    let url = value::base_url(node.text()?);
    url.map(Base::Url).map_err(|(what, _)| node.refuse::<()>(what, "write \"request\" or the API's root URL")).ok()
}

fn link_attribute(node: &Node<'_>) -> Option<(String, String)> {
    match node.named()?.as_slice() {
        [(name, value)] => Some(((*name).to_owned(), owned(value)?)),
        _ => node.refuse("not one attribute", "write link_attr = { results = \"true\" }"),
    }
}

/// A path, `header:NAME`, or `link:last` for the page number in the `Link` to the last page.
fn total_pages(node: &Node<'_>, style: Option<&Style>) -> Option<Source> {
    if node.value.as_str() != Some(value::LAST_LINK) {
        return value::source(node);
    }
    match style? {
        Style::Page { param: Param::Query(param), start, template: None } => {
            Some(Source::LastLink { param: param.clone(), start: *start })
        }
        _ => node.refuse(
            "only page numbers in a query stand in such a link",
            "take another place, or type = \"page\" with the query parameter that the link has",
        ),
    }
}

fn step(node: &Node<'_>) -> Option<Advance> {
    match node.text()? {
        "returned" => Some(Advance::Returned),
        "page_size" => Some(Advance::PageSize),
        _ => value::path(node).map(Advance::Body),
    }
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

impl Param {
    /// The name that a template may use for the parameter's own value.
    pub(super) fn own_name(&self) -> String {
        match self {
            Self::Query(name) | Self::Form(name) | Self::Path(name) => name.clone(),
            Self::Body(path) => path.to_string(),
            Self::Header(name) => name.to_string(),
        }
    }
}
