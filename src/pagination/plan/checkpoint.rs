//! What a walk knows after a whole page, as data: folded in their order, its checkpoints make the walk again.

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use super::follow::{Aim, Follow, State};
use super::halve::Resized;
use super::pins::Pins;
use super::tally::Tally;
use crate::pagination::proof::Proof;
use crate::pagination::{PageError, PageRequest};

/// What a walk knows after a whole page. The sets that it must not forget grow by what this page adds; all else is as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    leads: Leads,
    tally: Tally,
    /// The number that the next page is asked with.
    number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resized: Option<Resized>,
    /// What the first page says of the collection's state, behind that page alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pins: Option<Pins>,
}

/// Where the page leads.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Leads {
    On { request: Difference, aim: Aim },
    Over(Proof),
}

impl Checkpoint {
    /// How many records had come.
    pub fn records(&self) -> u64 {
        self.tally.records
    }
}

impl Follow {
    /// What it knows, right after [`Follow::arrived`].
    pub fn checkpoint(&self) -> Checkpoint {
        let leads = match &self.state {
            State::Ask(request, aim) | State::Asked(request, aim) => {
                Leads::On { request: self.difference(request), aim: *aim }
            }
            State::Done(proof) => Leads::Over(*proof),
        };
        Checkpoint {
            leads,
            tally: self.tally.counts(),
            number: self.position.number,
            stride: self.stride,
            size: self.size,
            resized: self.resized,
            pins: Some(self.pins.clone()).filter(|pins| self.tally.pages == 1 && !pins.is_empty()),
        }
    }

    /// Goes on behind the pages that `past` tells of, of which `last` is the last record: new ⇒ Ask or Done.
    pub fn resume(
        &mut self,
        past: impl IntoIterator<Item = Checkpoint>,
        last: Option<Vec<u8>>,
    ) -> Result<(), PageError> {
        let mut leads = None;
        for checkpoint in past {
            self.tally.fold(&checkpoint.tally)?;
            self.position.number = checkpoint.number;
            (self.stride, self.size, self.resized) = (checkpoint.stride, checkpoint.size, checkpoint.resized);
            self.pins = checkpoint.pins.unwrap_or(std::mem::take(&mut self.pins));
            leads = Some(checkpoint.leads);
        }
        if last.is_some() != (self.tally.records > 0) {
            return Err(PageError::BadCheckpoint(
                "it tells of records that are not there, or of none that are".to_owned(),
            ));
        }
        if let (Some(_), Some(size)) = (self.resized, self.size) {
            let unfit = || PageError::BadCheckpoint("the collection's pages can't be of another size".to_owned());
            self.first = self.in_size(&self.origin, size).ok_or_else(unfit)?;
        }
        let mut first = self.first.clone();
        self.pin_to(&mut first)?;
        self.first = first;
        match leads {
            Some(Leads::On { request, aim }) => {
                self.state = State::Ask(Box::new(request.applied(&self.origin)?), aim);
            }
            Some(Leads::Over(proof)) => self.state = State::Done(proof),
            None => {}
        }
        self.last = last;
        Ok(())
    }

    /// What sets a request apart from the first one.
    pub(super) fn difference(&self, request: &PageRequest) -> Difference {
        Difference::between(&self.origin, request, &self.pagination.own_headers())
    }
}
