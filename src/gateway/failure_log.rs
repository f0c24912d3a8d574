//! Failures of crawls, the newest ones, for the operator.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::error::Failure;

/// Largest number of failures that are kept.
const MAX_FAILURES: usize = 50;

/// Newest failures, at most [`MAX_FAILURES`]; equal failures of a collection are one entry.
#[derive(Debug, Default)]
pub(super) struct FailureLog(Mutex<VecDeque<ListedFailure>>);

/// Failure of one crawl, or of several that failed alike.
#[derive(Clone, Debug)]
pub struct ListedFailure {
    /// Time of the newest of them.
    pub at: SystemTime,
    /// Number of equal failures.
    pub count: u64,
    /// Path of the collection, as it is configured.
    pub collection: String,
    /// Path and query of the newest request, without the query's values.
    pub address: String,
    /// Origin of the upstream.
    pub origin: String,
    /// Number of records that readers could have.
    pub records: u64,
    pub failure: Failure,
}

impl FailureLog {
    /// Adds a failure in front of the others, and forgets the oldest one where there are too many.
    pub(super) fn add(&self, new: ListedFailure) {
        let mut list = self.0.lock();
        let is_equal = |old: &ListedFailure| {
            old.collection == new.collection
                && old.failure.fault == new.failure.fault
                && old.failure.message == new.failure.message
        };
        let earlier = list.iter().position(is_equal).and_then(|at| list.remove(at));
        let count = earlier.map_or(0, |earlier| earlier.count) + new.count;
        list.push_front(ListedFailure { count, ..new });
        list.truncate(MAX_FAILURES);
    }

    /// Returns the failures, the newest first.
    pub(super) fn list(&self) -> Vec<ListedFailure> {
        self.0.lock().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fault;

    #[test]
    fn equal_failures_are_one_and_the_oldest_are_forgotten() {
        let log = FailureLog::default();
        let add = |message: &str| {
            log.add(ListedFailure {
                at: SystemTime::now(),
                count: 1,
                collection: "/orders".to_owned(),
                address: "/orders".to_owned(),
                origin: "http://a".to_owned(),
                records: 0,
                failure: Failure::new(Fault::Timeout, message, "hint"),
            });
        };
        ["first", "second", "first"].into_iter().for_each(add);
        let list: Vec<_> = log.list().into_iter().map(|listed| (listed.failure.message, listed.count)).collect();
        assert_eq!(list, [("first".to_owned(), 2), ("second".to_owned(), 1)]);
        (0..60).for_each(|number| add(&number.to_string()));
        assert_eq!((log.list().len(), log.list()[0].failure.message.as_str()), (MAX_FAILURES, "59"));
    }
}
