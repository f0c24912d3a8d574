//! Pace of the requests to an upstream: `width`, `max_width`, `rate` and `rate_limit`.

use std::num::NonZeroU32;
use std::time::Duration;

use http::HeaderName;

use super::keywords::Words;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::times_and_sizes::LONGEST;
use super::toml_node::{TomlNode, TomlTable};
use super::urls_and_headers::header_name;
use crate::pace::{BudgetFields, BudgetScope, Pace, Rate, Width};

const WIDTH: &str = "write how many pages are asked for at a time: width = 6, or \"adaptive\"";

table! {
    read pub(super) RATE_LIMIT "rate_limit": BudgetFields = BudgetFields {
        "remaining" => remaining: ReadOnly(header_name), some;
        "reset" => reset: ReadOnly(header_name), some;
        "limit" => limit: ReadOnly(header_name), some;
        "used" => used: ReadOnly(header_name), some;
        "at_a_time" => at_a_time: ReadOnly(header_name), some;
        "per" => scope: SCOPES, usual;
    }
}

static SCOPES: Words<BudgetScope> =
    Words(&[("upstream", BudgetScope::Upstream), ("method", BudgetScope::Method), ("route", BudgetScope::Route)]);

pub(super) fn read(table: &TomlTable<'_>) -> Pace {
    let default = Pace::default();
    let pace = Pace {
        width: table.or("width", default.width, width),
        max_width: table.or("max_width", default.max_width, |node| count(node, node.number(1)?)),
        rate: table.maybe("rate", rate),
        budget: table.maybe("rate_limit", budget).unwrap_or_default(),
    };
    let wrong = ["width", "max_width"].iter().any(|key| table.notes.wrong_at(&table.path_of(key)));
    if let (Width::Fixed(width), Some(_), false) = (pace.width, table.get("width"), wrong)
        && width > pace.max_width
    {
        let what = format!(
            "the width of one crawl, {width}, is more than that of all crawls of an upstream, {}",
            pace.max_width
        );
        table.refuse_at::<()>("width", what, "lower width, or raise max_width");
    }
    pace
}

fn width(node: &TomlNode<'_>) -> Option<Width> {
    match node.value.as_str() {
        Some("adaptive") => Some(Width::Adaptive),
        Some(other) => node.refuse(format!("not a width: {other:?}"), WIDTH),
        None => count(node, node.number(1)?).map(Width::Fixed),
    }
}

/// Reads a number of pages. More than a thousand at a time is a slip of the finger, or an attack.
fn count(node: &TomlNode<'_>, number: u64) -> Option<NonZeroU32> {
    let count = u32::try_from(number).ok().filter(|number| *number <= 1000).and_then(NonZeroU32::new);
    count.or_else(|| node.refuse(format!("too many pages at a time: {number}"), "write a number from 1 to 1000"))
}

/// Reads a rate like `"10/s"`, `"600/min"` or `"100/10s"`.
pub(super) fn rate(node: &TomlNode<'_>) -> Option<Rate> {
    let key = node.at.rsplit('.').next().unwrap_or_default();
    let hint = format!("write a number of requests and a time: {key} = \"10/s\", \"600/min\" or \"5000/h\"");
    let Some(text) = node.value.as_str() else {
        return node.refuse(format!("expected a number and a time, found {}", node.value.type_str()), hint);
    };
    let Some((requests, period)) = text.split_once('/') else {
        return node.refuse(format!("not a rate: {text:?}"), hint);
    };
    let requests = requests.trim();
    if requests.contains('.') {
        return node.refuse(format!("not a whole number of requests: {requests}"), "take a longer time: \"30/min\"");
    }
    let Ok(requests) = requests.parse::<u32>() else { return node.refuse(format!("not a rate: {text:?}"), hint) };
    let Some(requests) = NonZeroU32::new(requests) else {
        return node.refuse("a rate can't be zero", hint);
    };
    match period_of(period.trim()) {
        Some(Duration::ZERO) => node.refuse(format!("the time of a rate can't be zero: {text:?}"), hint),
        Some(period) if period > LONGEST => {
            node.refuse(format!("longer than a day: {text:?}"), "count the requests of a shorter time: \"1000/1d\"")
        }
        Some(period) => Some(Rate { requests, period }),
        None => node.refuse(format!("not a time: {:?}", period.trim()), hint),
    }
}

/// Parses a time; a unit alone is one of it.
fn period_of(text: &str) -> Option<Duration> {
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic());
    humantime::parse_duration(&if bare { format!("1{text}") } else { text.to_owned() }).ok()
}

fn budget(node: &TomlNode<'_>) -> Option<BudgetFields> {
    let table = node.table(&RATE_LIMIT)?;
    let fields = (RATE_LIMIT.read)(&table)?;
    if RATE_LIMIT.keys.iter().all(|key| table.get(key).is_none()) {
        return node
            .refuse("names no header field", "write rate_limit = { remaining = \"X-Left\", reset = \"X-Reset\" }");
    }
    if let (Some(used), Some(_)) = (table.get("used"), &fields.remaining) {
        return used.refuse("stands beside remaining, which says the same", "name one of the two fields");
    }
    let names: [(&str, &Option<HeaderName>); 5] = [
        ("remaining", &fields.remaining),
        ("reset", &fields.reset),
        ("limit", &fields.limit),
        ("used", &fields.used),
        ("at_a_time", &fields.at_a_time),
    ];
    for (at, (key, name)) in names.iter().enumerate() {
        let earlier = names[..at].iter().find(|(_, earlier)| name.is_some() && earlier == name);
        if let Some((other, _)) = earlier {
            let what = format!("the same header field as {other}");
            table.refuse_at::<()>(key, what, "name the field that holds it, or leave it out");
        }
    }
    Some(fields)
}
