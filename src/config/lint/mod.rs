//! Contradictions: configurations that each key allows and that lose or repeat records all the same.
//!
//! Each rule has a name. Where an API can really be as odd as that, `allow = ["name"]` in its `[[collection]]` lifts the
//! rule; the others can't work under any API.

mod encodings;
mod ends_and_doubles;
mod parameters;
mod partitions;
mod since_valid_at;
mod sizes;

use http::Method;
use serde_json::Value;

use super::keywords::one_of;
use super::toml_node::{TomlNode, TomlTable};
use crate::pagination::{BodyKind, Pagination};

pub(super) struct LintFacts<'a> {
    pub(super) pagination: &'a Pagination,
    pub(super) method: &'a Method,
    pub(super) body: Option<&'a Value>,
    /// Statuses that are retried in addition to 408, 429 and 5xx.
    pub(super) retried: &'a [u16],
}

/// Possibility to lift a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exception {
    Possible,
    Never,
}

/// One contradiction.
struct Rule {
    name: &'static str,
    exception: Exception,
    /// Keys that it depends on: where one of them is wrong in itself, the rule is not applied.
    about: &'static [&'static str],
    check: fn(&LintFacts<'_>) -> Option<Contradiction>,
}

struct Contradiction {
    at: &'static str,
    what: String,
    hint: &'static str,
}

/// MistakeLog every contradiction in a collection, but for those that its `allow` names.
pub(super) fn check(table: &TomlTable<'_>, facts: &LintFacts<'_>) {
    let allowed = table.maybe("allow", |node| node.each(allowed_rule)).unwrap_or_default();
    let judges = |rule: &&Rule| {
        let unsure = |key: &&str| table.notes.wrong_at(&table.path_of(key));
        !allowed.contains(&rule.name) && !rule.about.iter().any(unsure)
    };
    // All rules are asked before one of them is told, so that they don't silence each other.
    let broken: Vec<_> = rules().filter(judges).filter_map(|rule| Some((rule, (rule.check)(facts)?))).collect();
    for (rule, Contradiction { at, what, hint }) in broken {
        let lift = match rule.exception {
            Exception::Possible => {
                format!("; where the API really is so, write allow = [{:?}] in its [[collection]]", rule.name)
            }
            Exception::Never => String::new(),
        };
        table.refuse_at::<()>(at, format!("{what} ({})", rule.name), format!("{hint}{lift}"));
    }
}

/// Returns the rules that this pagination breaks and that can be lifted.
pub(super) fn to_allow(pagination: &Pagination) -> Vec<&'static str> {
    let method = if pagination.body_kind() != BodyKind::Labelled { &Method::POST } else { &Method::GET };
    let facts = LintFacts { pagination, method, body: None, retried: &[] };
    let broken = rules().filter(|rule| rule.exception == Exception::Possible && (rule.check)(&facts).is_some());
    broken.map(|rule| rule.name).collect()
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    parameters::RULES
        .iter()
        .chain(encodings::RULES)
        .chain(ends_and_doubles::RULES)
        .chain(sizes::RULES)
        .chain(partitions::RULES)
        .chain(since_valid_at::RULES)
}

fn allowed_rule(node: &TomlNode<'_>) -> Option<&'static str> {
    let name = node.text()?;
    match rules().find(|rule| rule.name == name) {
        Some(Rule { name, exception: Exception::Possible, .. }) => Some(name),
        Some(_) => {
            node.refuse(format!("{name:?} can't be lifted"), "no API works that way: mend what the rule is about")
        }
        None => {
            let names = rules().filter(|rule| rule.exception == Exception::Possible).map(|rule| rule.name);
            let names: Vec<_> = names.collect();
            node.refuse(format!("unknown rule {name:?}"), one_of(name, names.into_iter()))
        }
    }
}
