//! What all requests of a walk carry so that all pages are of one state of the collection.

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::follow::Follow;
use crate::pagination::page::{Head, PageFields};
use crate::pagination::source::first_live;
use crate::pagination::validity::unchanged_since;
use crate::pagination::{Encode, PageError, PageRequest, Precondition, ValidAt, VersionSource};

/// What names the state of the collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pins {
    /// What goes into the parameter of `valid_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Value>,
    /// `If-Match` or `If-Unmodified-Since`, and its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<(String, String)>,
}

impl Pins {
    /// What the first request says of it.
    pub(super) fn of(valid_at: Option<&ValidAt>, first: &PageRequest) -> Self {
        Self { version: valid_at.and_then(|valid_at| first.json_at(&valid_at.param)), condition: None }
    }

    /// Whether an answer may say that the collection has changed.
    pub(super) fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Follow {
    /// The first page came: what it says of the collection's state holds for all that follow.
    pub(super) fn pin(&mut self, head: &Head, fields: &PageFields) -> Result<(), PageError> {
        if let Some(VersionSource::Page(source)) = self.pagination.valid_at.as_ref().map(|valid_at| &valid_at.from)
            && self.pins.version.is_none()
        {
            let live = first_live(std::slice::from_ref(source), head, fields, &[]);
            let (_, version) = live.ok_or_else(|| PageError::NoVersion(source.to_string()))?;
            self.pins.version = Some(version);
        }
        if self.pagination.precondition == Precondition::Match {
            let condition = unchanged_since(&head.headers);
            self.pins.condition = condition.map(|(name, value)| (name.to_string(), value.to_owned()));
        }
        let mut first = self.first.clone();
        self.pin_to(&mut first)?;
        self.first = first;
        Ok(())
    }

    /// Puts what is known of the collection's state into a request.
    pub(super) fn pin_to(&self, request: &mut PageRequest) -> Result<(), PageError> {
        if let (Some(ValidAt { param, .. }), Some(version)) = (&self.pagination.valid_at, &self.pins.version) {
            let text = version.as_str().map_or_else(|| version.to_string(), ToOwned::to_owned);
            // What a link has already stays as the link writes it.
            if request.value_at(param) != Some(text) {
                request.set(param, version, Encode::Plain)?;
            }
        }
        if let Some((name, value)) = &self.pins.condition {
            let unfit = || PageError::BadCheckpoint("the condition of its pages is no header field".to_owned());
            let name: HeaderName = name.parse().map_err(|_| unfit())?;
            request.headers.insert(name, HeaderValue::from_str(value).map_err(|_| unfit())?);
        }
        Ok(())
    }

    /// Whether the first page has yet to say what later requests carry.
    pub(super) fn awaits_pins(&self) -> bool {
        let from_page = self.pagination.valid_at.as_ref().is_some_and(|it| matches!(it.from, VersionSource::Page(_)));
        let wanted = from_page && self.pins.version.is_none() || self.pagination.precondition == Precondition::Match;
        self.tally.pages == 0 && wanted
    }
}
