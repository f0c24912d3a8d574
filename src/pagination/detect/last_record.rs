//! A flag that more records follow and no pointer to them: the key of the last record leads on.

use std::collections::HashSet;

use serde_json::Value;

use super::Candidate;
use super::first_page::{AmbiguousCounts, FirstPage};
use super::page_outline::ELEMENTS;
use crate::pagination::path::Segment;
use crate::pagination::styles::{KeyUse, Keyset, Overlap};
use crate::pagination::{Encode, Path};

/// Parameter that takes the key of a page's last record: in every API that is known, for a list in any order. Similar ones, as `after`
/// and `since_id`, compare keys in some APIs, which loses records of a list in another order.
const PARAM: &str = "starting_after";

/// Name of the key.
const KEY: &str = "id";

/// Returns the keyset of the records' ids, where the page says that more follow. An API that ignores the parameter gives page 1 again.
pub(super) fn candidate(answer: &FirstPage<'_>, page: &Value) -> Option<Candidate> {
    if answer.says_more() != Some(true) {
        return None;
    }
    let records = answer.records.split_at_each().0.of_value(page)?.as_array()?;
    // The outline of a long page has its first records alone.
    let records = &records[..records.len().min(ELEMENTS)];
    let ids = records.iter().map(|record| record.get(KEY).filter(|id| id.is_string() || id.is_number()));
    let ids: HashSet<String> = ids.map(|id| Some(id?.to_string())).collect::<Option<_>>()?;
    let param = answer.param(PARAM);
    let is_free = answer.asked.iter().all(|asked| asked.param != param);
    if !is_free || ids.len() < records.len() || records.len() < 2 {
        return None;
    }
    // An upstream may compare numbers, wherever they stand in its list: such a list has to be in their order. Texts are looked up.
    let is_number = |id: &String| id.trim_matches('"').bytes().all(|byte| byte.is_ascii_digit());
    let usage = if ids.iter().all(is_number) { KeyUse::Unknown } else { KeyUse::LookedUp };
    let why = format!("more records follow, and nothing but their `{KEY}` leads to them; sent as {param}");
    let key = vec![Path::new(vec![Segment::Name(KEY.to_owned())])];
    let style = Keyset { key, param, encode: Encode::Plain, overlap: Overlap::None, usage };
    Some(answer.candidate(style, AmbiguousCounts::Refused, why))
}
