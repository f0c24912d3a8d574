//! A page that may be all of its collection: without any sign of a further one, or with a sign that there is none.

use super::Candidate;
use super::first_page::{AmbiguousCounts, FirstPage};
use super::member_names::more_while;
use super::next_pointer::Pointer;
use super::page_members::OuterField;
use crate::pagination::styles::Style;

/// Returns the page as all of its collection, unless something in it says that there is more.
pub(super) fn lone(answer: &FirstPage<'_>, pointers: &[Pointer]) -> Option<Candidate> {
    let is_linked = answer.links.iter().any(|link| link.has_rel("next"));
    let says_more = answer.says_more() == Some(true) || pointers.iter().any(Pointer::is_live);
    // A flag that is no boolean may say anything.
    let is_unclear = |field: &OuterField<'_>| {
        more_while(field.name).is_some() && !field.value.is_boolean() && !field.value.is_null()
    };
    let is_part = super::names_a_place(answer.request) || super::names_a_bound(answer.request);
    if is_linked || says_more || is_part || answer.near().any(is_unclear) {
        return None;
    }
    Some(answer.candidate(Style::SINGLE, AmbiguousCounts::Refused, "one page without a sign of more".to_owned()))
}

/// Returns the same with its evidence, where the page itself says that it is all: by a flag, or by a total of none. Any other total may count
/// the page.
pub(super) fn shown(answer: &FirstPage<'_>, lone: &Candidate) -> Option<Candidate> {
    let total = answer.total(AmbiguousCounts::Refused).filter(|total| total.value == answer.count);
    let why = match (answer.more().filter(|_| answer.says_more() == Some(false)), total) {
        (Some(more), _) => format!("`{}` says that nothing follows", more.path),
        (None, Some(total)) if total.value == 0 => format!("`{}` is {}, which is all", total.shown, total.value),
        _ => return None,
    };
    Some(Candidate { why, ..lone.clone() })
}
