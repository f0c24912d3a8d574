//! Ends of a collection, as configured: flags, statuses, repeated tokens, and limits that are no end.

use http::StatusCode;
use serde_json::Value;

use super::envelope_names::{WordRole, is_truncation};
use super::error::PageError;
use super::page::PageFields;
use super::path::Path;
use crate::caps::Caps;

/// Event that ends a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The style's default: no next address for links and tokens, an empty page past the last for numbers and keys.
    Style,
    /// No next address.
    NoNext,
    /// A page without records.
    EmptyPage,
    /// A page with fewer records than were asked for; unsafe where the upstream caps or filters.
    ShortPage,
    /// One of these statuses past the last page.
    Status(EndStatuses),
}

/// Statuses without a page, each of which ends a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndStatuses(pub Vec<StatusCode>);

/// The upstream's flag that more pages follow: while the value at `path` equals `while_`.
#[derive(Clone, Debug, PartialEq)]
pub struct More {
    pub path: Path,
    /// Value while there is more.
    pub while_: Value,
}

/// Meaning of a token or link that is the one that was just sent; any longer cycle is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameToken {
    /// A cycle.
    Error,
    /// The upstream's way to say that there is no more (CloudWatch, Okta).
    End,
    /// A handle for a place that the upstream keeps and moves with each answer (a scroll): it is sent again until a page is empty.
    Again,
}

/// Policy for a page on which `auto` finds no sign of a pagination, and which may be all of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LonePage {
    /// It is no collection.
    Refuse,
    /// Its records leave, and then the stream breaks.
    Break,
    /// It is the whole collection, by the operator's word.
    Accept,
}

/// Use of numbers beside the records that seem to count them, where no total is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnnamedCounts {
    /// A count that contradicts the records refutes an end, and `auto` takes one as the total.
    #[default]
    Heeded,
    Ignored,
}

/// Depths beyond which the upstream doesn't answer; reaching one is an error, never an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub max_offset: Option<u64>,
    pub max_pages: Option<u64>,
    pub max_results: Option<u64>,
}

impl End {
    /// Returns true if a refusal ends the collection.
    pub(crate) fn is_by_refusal(&self) -> bool {
        matches!(self, Self::Status(statuses) if statuses.0.iter().any(|status| *status != StatusCode::NO_CONTENT))
    }

    /// Returns true if a page's answer with this status ends the collection.
    pub(super) fn is_by(&self, status: StatusCode) -> bool {
        matches!(self, Self::Status(statuses) if statuses.0.contains(&status))
    }
}

impl From<StatusCode> for End {
    fn from(status: StatusCode) -> Self {
        Self::Status(EndStatuses(vec![status]))
    }
}

impl Limits {
    /// Checks that one more page may be asked for after `pages` with `records`.
    pub(super) fn check(&self, caps: &Caps, pages: u64, records: u64) -> Result<(), PageError> {
        let limits = [
            ("max_pages", self.max_pages, pages),
            ("max_results", self.max_results, records),
            ("caps.pages", Some(caps.pages), pages),
        ];
        for (name, limit, reached) in limits {
            if let Some(value) = limit.filter(|limit| reached >= *limit) {
                return Err(PageError::Limit { name, value });
            }
        }
        Ok(())
    }
}

/// Truth that a text spells.
fn truth(text: &str) -> Option<bool> {
    let text = text.trim();
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") { Some(true) } else { is("false").then_some(false) }
}

/// Returns true if the word "true" at this path may say that more pages follow, in place of a failure: it is the configured flag, or a name for
/// a list of which this page has a part.
pub(super) fn may_say_more(more: Option<&More>, path: &str) -> bool {
    let is_flag =
        |more: &More| (more.while_ == Value::Bool(true) || more.while_ == "true") && more.path.to_string() == path;
    let name = path.rsplit(['.', '[']).next().unwrap_or(path);
    WordRole::of(name) == Some(WordRole::Partial) && (is_truncation(name) || more.is_some_and(is_flag))
}

impl More {
    /// Reads the flag; `None` where the page lacks it or has `null`.
    pub(super) fn read(&self, fields: &PageFields) -> Result<Option<bool>, PageError> {
        match (fields.get(&self.path), &self.while_) {
            (None | Some(Value::Null), _) => Ok(None),
            (Some(Value::Bool(found)), Value::Bool(wanted)) => Ok(Some(found == wanted)),
            (Some(Value::Number(found)), Value::Number(wanted)) => Ok(Some(found.as_f64() == wanted.as_f64())),
            (Some(Value::String(found)), Value::String(wanted)) => match (truth(found), truth(wanted)) {
                (Some(found), Some(wanted)) => Ok(Some(found == wanted)),
                // "1" beside "true" may mean either.
                (None, Some(_)) => Err(PageError::BadFlag(self.path.clone())),
                (_, None) if found != wanted && found.trim().eq_ignore_ascii_case(wanted.trim()) => {
                    Err(PageError::BadFlag(self.path.clone()))
                }
                (_, None) => Ok(Some(found == wanted)),
            },
            // "true" or 1 where true was expected may mean either, and so may a flag that stands twice.
            (Some(found), wanted) if found != wanted => Err(PageError::BadFlag(self.path.clone())),
            (Some(_), _) => Ok(Some(true)),
        }
    }
}
