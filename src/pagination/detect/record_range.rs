//! First pages that are a range of the records: `Content-Range` names it, in the unit of the requests for further ranges (RFC 9110 §14).

use http::{Method, header};

use super::Candidate;
use super::first_page::{AmbiguousCounts, FirstPage};
use crate::pagination::content_range::{ContentRange, content_range};
use crate::pagination::styles::RangeHeader;

/// Unit of a `Content-Range` that names none, as PostgREST's, unless `Range-Unit` does.
const USUAL_UNIT: &str = "items";

/// Ranges of the unit that `Content-Range` names, as long as the first one. An API that ignores `Range` gives the first range again, which
/// the second page refutes.
pub(super) fn candidate(answer: &FirstPage<'_>) -> Option<Candidate> {
    let ContentRange { span, total } = content_range(answer.headers).ok()??;
    let text = answer.headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim();
    let named = answer.headers.get("range-unit").and_then(|unit| unit.to_str().ok());
    let unit = text.split_once(' ').map(|(unit, _)| unit).or(named).unwrap_or(USUAL_UNIT);
    let is_asked = answer.request.method == Method::GET && !answer.request.headers.contains_key(header::RANGE);
    let is_whole = span == Some((0, answer.count.checked_sub(1)?));
    if !is_asked || !is_whole || unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let total = total.map_or("an unknown number".to_owned(), |total| total.to_string());
    let why = format!("Content-Range says that these are {} {unit} of {total}", answer.count);
    let style = RangeHeader { unit: unit.to_owned(), size: answer.count };
    Some(answer.candidate(style, AmbiguousCounts::Refused, why))
}
