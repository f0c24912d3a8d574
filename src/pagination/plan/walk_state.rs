//! State of a walk: the page that it asks for, or the proof that there is no other.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::pagination::proof::Proof;
use crate::pagination::request::PageRequest;

/// Order of a walk.
#[derive(Clone, Debug)]
pub enum WalkStep {
    /// Ask for this page, and report what comes.
    Fetch(Arc<PageRequest>),
    /// Nothing more: the walk is complete.
    Done(Proof),
}

#[derive(Debug)]
pub(super) enum WalkState {
    Ask(Arc<PageRequest>, Aim),
    Asked(Arc<PageRequest>, Aim),
    Done(Proof),
}

/// Purpose of a request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Aim {
    Records,
    /// The same page once more: as it came, it can't be one of the collection.
    Again,
    /// The page must show that nothing follows a count that agrees already: a total alone may be the size of one page.
    Confirm(Proof),
}

impl WalkState {
    pub(super) fn request(&self) -> Option<&PageRequest> {
        match self {
            Self::Ask(request, _) | Self::Asked(request, _) => Some(request),
            Self::Done(_) => None,
        }
    }

    pub(super) fn aim(&self) -> Option<Aim> {
        match self {
            Self::Ask(_, aim) | Self::Asked(_, aim) => Some(*aim),
            Self::Done(_) => None,
        }
    }
}
