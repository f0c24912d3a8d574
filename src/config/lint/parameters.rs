//! Parameters that can't carry what the pagination type puts into them.

use super::{Contradiction, Exception, LintFacts, Rule};
use crate::pagination::styles::Template;
use crate::pagination::{BodyKind, Encode, Param, Style};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "offset-in-page",
        exception: Exception::Possible,
        about: &["pagination.param"],
        check: |facts| {
            let style = &facts.pagination.style;
            let param = style.params().into_iter().find(|param| style.counts_pages() && sounds_like_offset(param))?;
            Some(Contradiction {
                at: "pagination.param",
                what: format!("{param} sounds like a record number, and type page advances it by 1"),
                hint: "write type = \"offset\"",
            })
        },
    },
    Rule {
        name: "page-in-offset",
        exception: Exception::Possible,
        about: &["pagination.param"],
        check: |facts| {
            let style = &facts.pagination.style;
            let param = style.params().into_iter().find(|param| style.counts_records() && sounds_like_page(param))?;
            Some(Contradiction {
                at: "pagination.param",
                what: format!(
                    "{param} sounds like a page number, and type offset advances it by the records that came"
                ),
                hint: "write type = \"page\"",
            })
        },
    },
    Rule {
        name: "token-is-size",
        exception: Exception::Never,
        about: &["pagination", "page_size"],
        check: token_is_size,
    },
    Rule {
        name: "body-under-get",
        exception: Exception::Possible,
        about: &["pagination", "page_size", "partition", "method", "body"],
        check: body_under_get,
    },
    Rule {
        name: "form-and-json",
        exception: Exception::Never,
        about: &["pagination", "page_size", "partition", "body"],
        check: form_and_json,
    },
    Rule {
        name: "keys-as-text",
        exception: Exception::Never,
        about: &["pagination"],
        check: |facts| {
            let style = &facts.pagination.style;
            let is_text = |param: &&Param| !matches!(param, Param::Body(_));
            let param = style.params().into_iter().find(is_text).filter(|_| style.rules().sends_array())?;
            Some(Contradiction {
                at: "pagination.key",
                what: format!("several keys make an array, and {param} takes text"),
                hint: "write encode = \"json\", or put it into the body: param = \"body:PATH\"",
            })
        },
    },
    Rule {
        name: "keep-of-own-addresses",
        exception: Exception::Never,
        about: &["pagination", "keep"],
        check: |facts| {
            let style = &facts.pagination.style;
            let takes_links = style.takes_links() || style.is_auto();
            (!facts.pagination.keep.is_empty() && !takes_links).then(|| Contradiction {
                at: "keep",
                what: format!(
                    "type {} makes each next request from the first one, so that none loses a parameter",
                    style.name()
                ),
                hint: "leave keep out",
            })
        },
    },
    Rule {
        name: "raw-outside-of-a-url",
        exception: Exception::Never,
        about: &["pagination"],
        check: |facts| {
            let Style::Cursor(cursor) = &facts.pagination.style else { return None };
            let is_in_url = |param: &&Param| matches!(param, Param::Query(_) | Param::Path(_));
            let param = facts.pagination.style.params().into_iter().find(|param| !is_in_url(param))?;
            (cursor.encode == Encode::Raw).then(|| Contradiction {
                at: "pagination.encode",
                what: format!("raw text stands in a URL, and {param} is in none"),
                hint: "leave encode out: nothing is percent-encoded there",
            })
        },
    },
    Rule { name: "template", exception: Exception::Never, about: &["pagination"], check: template },
];

fn token_is_size(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let size = facts.pagination.page_size.as_ref()?.param.as_ref()?;
    facts.pagination.style.params().contains(&size).then(|| Contradiction {
        at: "page_size.param",
        what: format!("{size} is also where the pagination goes, and one of them would overwrite the other"),
        hint: "leave out page_size.param, and write {limit} into the template where one value holds both",
    })
}

fn body_under_get(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let written = facts.pagination.body_kind() != BodyKind::Labelled || facts.body.is_some();
    (written && facts.method == http::Method::GET).then(|| Contradiction {
        at: body_writer(facts),
        what: "a GET request has no body, and most servers don't look at one".to_owned(),
        hint: "write method = \"POST\", or use a query parameter",
    })
}

fn form_and_json(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let size = facts.pagination.page_size.as_ref().and_then(|size| size.param.as_ref());
    let ranges = facts.pagination.ranges();
    let params: Vec<_> = facts.pagination.style.params().into_iter().chain(size).chain(ranges).collect();
    let form = params.iter().any(|param| matches!(param, Param::Form(_)));
    let json = facts.body.is_some() || params.iter().any(|param| matches!(param, Param::Body(_)));
    (form && json).then(|| Contradiction {
        at: body_writer(facts),
        what: "one request can't have both a form and a JSON body".to_owned(),
        hint: "write all of them as form:NAME or all as body:PATH; fixed fields of a form come from the client",
    })
}

/// The key that has something in the request's body.
fn body_writer(facts: &LintFacts<'_>) -> &'static str {
    let size = facts.pagination.page_size.as_ref().and_then(|size| size.param.as_ref());
    let mut params = facts.pagination.style.params().into_iter().chain(size);
    match facts.body {
        Some(_) => "body",
        None if params.any(|param| matches!(param, Param::Body(_) | Param::Form(_))) => "pagination.param",
        None => "partition",
    }
}

fn template(facts: &LintFacts<'_>) -> Option<Contradiction> {
    let Template(text) = facts.pagination.template()?;
    let params = facts.pagination.style.params();
    let refuse = |what: String, hint| Some(Contradiction { at: "pagination.template", what, hint });
    let [param] = params.as_slice() else {
        return refuse("a template holds one token, and there is not exactly one".to_owned(), "leave it out");
    };
    let own = param.own_name();
    let moving = facts.pagination.style.rules().placeholders();
    let used = placeholders(text);
    if let Some(unknown) = used.iter().find(|name| **name != own && **name != "limit" && !moving.contains(name)) {
        return refuse(
            format!("unknown placeholder {{{unknown}}}"),
            "known: {page} for type page; {offset} and {end_offset} for offset; {cursor} for cursor; {limit}; and the \
             parameter's own name for its value in the client's request",
        );
    }
    if !used.iter().any(|name| moving.contains(name)) {
        return refuse(
            format!("nothing in it moves: {text:?} has no {{{}}}", moving[0]),
            "write the placeholder that changes from page to page into it",
        );
    }
    let sized = used.iter().any(|name| matches!(*name, "limit" | "end_offset"));
    let unknown = facts.pagination.page_size.as_ref().and_then(crate::pagination::PageSize::asked).is_none();
    if sized && unknown {
        return refuse("it needs a page size, and there is none".to_owned(), "write page_size = { value = 100 }");
    }
    None
}

/// The names in braces; GraphQL's and JSON's own braces enclose more than a name.
fn placeholders(text: &str) -> Vec<&str> {
    let name =
        |inner: &&str| inner.chars().all(|c| c.is_alphanumeric() || "_.-$[]\"@".contains(c)) && !inner.is_empty();
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(inner, _)| inner)).filter(name).collect()
}

fn sounds_like_offset(param: &Param) -> bool {
    let name = plain(param);
    ["offset", "skip", "startat", "startindex", "startposition", "startrow", "firstresult"]
        .iter()
        .any(|word| name.ends_with(word))
        || matches!(name.as_str(), "start" | "from" | "first")
}

fn sounds_like_page(param: &Param) -> bool {
    let name = plain(param);
    ["page", "pagenumber", "pagenum", "pageno", "pagenr", "pageindex"].iter().any(|word| name.ends_with(word))
        && !name.ends_with("perpage")
        || matches!(name.as_str(), "p" | "pg")
}

/// A parameter's name without the punctuation and case that APIs vary: `page[number]` → `pagenumber`.
fn plain(param: &Param) -> String {
    param.own_name().chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
