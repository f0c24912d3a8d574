//! Paths that an upstream refuses to each member of a pool: asking all of them again for each request spends their budgets in vain.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time for which a refusal by all members counts, from the one on that was asked of all.
const LENGTH: Duration = Duration::from_secs(10);

/// Most paths that are remembered. Further ones are asked of all members each time.
const MOST: usize = 1024;

/// Members that are asked for a path that was refused to all of them a moment ago.
const FEW: usize = 2;

/// Paths that were refused (401) to all members, each with the time.
#[derive(Debug, Default)]
pub(in crate::upstream) struct RefusedPaths(Mutex<HashMap<String, Instant>>);

impl RefusedPaths {
    /// Returns the most members to ask for this path.
    pub(in crate::upstream) fn most_members(&self, path: &str) -> usize {
        let counts = |at: &Instant| at.elapsed() < LENGTH;
        if self.0.lock().get(path).is_some_and(counts) { FEW } else { usize::MAX }
    }

    /// Notes that each member was asked for this path and refused.
    pub(in crate::upstream) fn add(&self, path: &str) {
        let mut paths = self.0.lock();
        if paths.len() >= MOST {
            paths.retain(|_, at| at.elapsed() < LENGTH);
        }
        if paths.len() < MOST {
            paths.insert(path.to_owned(), Instant::now());
        }
    }

    /// Forgets a path that was answered with a member's credentials.
    pub(in crate::upstream) fn remove(&self, path: &str) {
        let mut paths = self.0.lock();
        if !paths.is_empty() {
            paths.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_path_that_all_were_refused_is_asked_of_two_for_ten_seconds() {
        let paths = RefusedPaths::default();
        assert_eq!(paths.most_members("/a"), usize::MAX);
        paths.add("/a");
        assert_eq!((paths.most_members("/a"), paths.most_members("/b")), (FEW, usize::MAX));
        tokio::time::advance(LENGTH).await;
        assert_eq!(paths.most_members("/a"), usize::MAX);
        paths.add("/a");
        paths.remove("/a");
        assert_eq!(paths.most_members("/a"), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn ever_new_paths_fill_no_memory_and_make_room_when_they_are_old() {
        let paths = RefusedPaths::default();
        (0..2 * MOST).for_each(|number| paths.add(&format!("/{number}")));
        assert_eq!(paths.0.lock().len(), MOST);
        tokio::time::advance(LENGTH).await;
        paths.add("/new");
        assert_eq!(paths.0.lock().len(), 1);
        assert_eq!(paths.most_members("/new"), FEW);
    }
}
