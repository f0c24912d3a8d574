//! Experiments: is there an order by a unique key, and a filter that cuts the collection into ranges?

use std::cmp::Ordering;

use http::Method;
use serde_json::Value;

use super::{ExperimentOutcome, Experiments, SeenPage};
use crate::pagination::Param;

const SORT: &str = "unique order";
const RANGE: &str = "range filter";

/// Parameters that sort by the key that they name.
const SORTS: [&str; 2] = ["sort", "ordering"];

/// Usual names of a record's time.
const TIMES: [&str; 10] = [
    "created_at",
    "created",
    "createdAt",
    "updated_at",
    "updated",
    "updatedAt",
    "placed",
    "date",
    "timestamp",
    "modified",
];

/// Ends of a parameter that bounds a member from below.
const BOUNDS: [&str; 3] = ["[gte]", "_gte", "__gte"];

pub(super) async fn sort(experiments: &mut Experiments<'_>, page: &SeenPage) {
    let Some(key) = experiments.findings.key else {
        return experiments.note(SORT, ExperimentOutcome::Open, "no member differs in all records that came");
    };
    let count = page.records.len();
    if count > 2 && is_ordered(&page.records, key) {
        let text = format!("the {count} records of page 1 stand in the order of `{key}`");
        return experiments.note(SORT, ExperimentOutcome::Shown, text);
    }
    let sorts = if count > 2 && experiments.crawl.first.method == Method::GET { &SORTS[..] } else { &[] };
    for name in sorts {
        let sorted = experiments.ask(&Param::Query((*name).to_owned()), key).await;
        if sorted.is_some_and(|sorted| sorted.records.len() > 2 && is_ordered(&sorted.records, key)) {
            return experiments.note(SORT, ExperimentOutcome::Shown, format!("{name}={key} in the query sorts by it"));
        }
    }
    let tried = if sorts.is_empty() {
        "no parameter was tried".to_owned()
    } else {
        format!("{} do not change that", sorts.join(", "))
    };
    experiments.note(SORT, ExperimentOutcome::Open, format!("page 1 is not in the order of `{key}`, and {tried}"));
}

pub(super) async fn range(experiments: &mut Experiments<'_>, page: &SeenPage) {
    let fields = TIMES.into_iter().chain(experiments.findings.key);
    let found = fields.filter_map(|field| Some((field, median(&page.records, field)?))).next();
    let Some((field, bound)) = found.filter(|_| experiments.crawl.first.method == Method::GET) else {
        return experiments.note(
            RANGE,
            ExperimentOutcome::Open,
            "no time or key is known that ranges could be made of",
        );
    };
    for end in BOUNDS {
        let param = format!("{field}{end}");
        let Some(filtered) = experiments.ask(&Param::Query(param.clone()), bound.clone()).await else { continue };
        let is_in = |record: &Value| record.get(field).and_then(|own| order(own, &bound)).is_some_and(Ordering::is_ge);
        if !filtered.records.is_empty() && filtered.records.iter().all(is_in) && !page.records.iter().all(is_in) {
            let text = format!(
                "{param}={} gave records from there on alone: partition = {{ from = \"{param}\", … }} may read ranges side by side",
                plain(&bound)
            );
            return experiments.note(RANGE, ExperimentOutcome::Shown, text);
        }
    }
    let tried: Vec<_> = BOUNDS.iter().map(|end| format!("{field}{end}")).collect();
    experiments.note(RANGE, ExperimentOutcome::Open, format!("{} filter nothing", tried.join(", ")));
}

/// Returns a value of a member that some records are below.
fn median(records: &[Value], field: &str) -> Option<Value> {
    let mut values: Vec<_> = records.iter().map(|record| record.get(field)).collect::<Option<_>>()?;
    let least = *values.iter().min_by(|one, other| order(one, other).unwrap_or(Ordering::Equal))?;
    values.sort_by(|one, other| order(one, other).unwrap_or(Ordering::Equal));
    let middle = *values.get(values.len() / 2)?;
    order(least, middle)?.is_lt().then(|| middle.clone())
}

fn is_ordered(records: &[Value], key: &str) -> bool {
    let all = |wanted: Ordering| {
        records.windows(2).all(|pair| match (pair[0].get(key), pair[1].get(key)) {
            (Some(one), Some(other)) => order(one, other) == Some(wanted),
            _ => false,
        })
    };
    all(Ordering::Less) || all(Ordering::Greater)
}

/// Compares two numbers, or two texts.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}
