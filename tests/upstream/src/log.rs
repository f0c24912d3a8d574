//! Log of a scripted upstream, request by request, and the counts of tests and benches.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;

/// One request among those that came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The how-many-th request it is, from 1.
    pub number: u64,
    /// Path and query.
    pub target: String,
    /// The how-many-th of the different requests it is, from 1.
    pub page: u64,
    /// Number of attempts so far, this one included.
    pub attempt: u64,
    /// Number of orders in its answer.
    pub orders: u64,
}

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Time of arrival, since the start.
    pub at: Duration,
    /// The request.
    pub asked: Asked,
    /// Number of requests in flight at its arrival, itself included.
    pub in_flight: usize,
    /// The status of the answer; none where there was no answer.
    pub status: Option<StatusCode>,
    /// Number of orders sent.
    pub sent: u64,
}

/// Every request since the start.
#[derive(Clone, Debug, Default)]
pub struct Log {
    requests: Vec<Logged>,
    /// By what was asked: which page it is, and how often it was asked.
    known: HashMap<String, (u64, u64)>,
}

impl Log {
    /// Every request, in the order in which they came.
    pub fn requests(&self) -> &[Logged] {
        &self.requests
    }

    /// Number of requests.
    pub fn count(&self) -> usize {
        self.requests.len()
    }

    /// Number of different requests.
    pub fn pages(&self) -> usize {
        self.known.len()
    }

    /// The most that were in flight at once.
    pub fn most_in_flight(&self) -> usize {
        self.requests.iter().map(|logged| logged.in_flight).max().unwrap_or_default()
    }

    /// Number of answers with this status.
    pub fn answered(&self, status: StatusCode) -> usize {
        self.requests.iter().filter(|logged| logged.status == Some(status)).count()
    }

    /// The share of requests that were answered with this status.
    pub fn share(&self, status: StatusCode) -> f64 {
        self.answered(status) as f64 / self.count().max(1) as f64
    }

    /// Requests a second from the first to the last of those that were answered with this status.
    pub fn per_second(&self, status: StatusCode) -> f64 {
        let mut answered = self.requests.iter().filter(|logged| logged.status == Some(status));
        let Some(first) = answered.next() else { return 0.0 };
        let (more, last) = answered.fold((0_u64, first), |(more, _), logged| (more + 1, logged));
        let time = last.at.saturating_sub(first.at).as_secs_f64();
        if time > 0.0 { more as f64 / time } else { 0.0 }
    }

    /// Page of a request, and number of the attempt at it.
    pub(super) fn recognise(&mut self, what: String) -> (u64, u64) {
        let next = self.known.len() as u64 + 1;
        let (page, attempts) = self.known.entry(what).or_insert((next, 0));
        *attempts += 1;
        (*page, *attempts)
    }

    pub(super) fn add(&mut self, logged: Logged) {
        self.requests.push(logged);
    }
}
