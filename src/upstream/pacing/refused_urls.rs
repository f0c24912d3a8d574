//! URLs that an upstream refuses to each member of a pool: asking all of them again for each request spends their budgets in vain.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use url::{Position, Url};

/// Time for which a refusal by all members counts, from the one on that was asked of all.
const LENGTH: Duration = Duration::from_secs(10);

/// Most URLs that are remembered. Further ones are asked of all members each time.
const MOST: usize = 1024;

/// Members that are asked for a URL that was refused to all of them a moment ago.
const FEW: usize = 2;

/// URLs that were refused (401) to all members, each with the time. The query belongs to them: another one may have other rights.
#[derive(Debug, Default)]
pub(in crate::upstream) struct RefusedUrls {
    hasher: RandomState,
    /// By the hash of path and query.
    times: Mutex<HashMap<u64, Instant>>,
}

impl RefusedUrls {
    /// Returns the most members to ask for this URL.
    pub(in crate::upstream) fn most_members(&self, url: &Url) -> usize {
        let counts = |at: &Instant| at.elapsed() < LENGTH;
        if self.times.lock().get(&self.hash(url)).is_some_and(counts) { FEW } else { usize::MAX }
    }

    /// Notes that each member was asked for this URL and refused.
    pub(in crate::upstream) fn add(&self, url: &Url) {
        let mut times = self.times.lock();
        if times.len() >= MOST {
            times.retain(|_, at| at.elapsed() < LENGTH);
        }
        if times.len() < MOST {
            times.insert(self.hash(url), Instant::now());
        }
    }

    /// Forgets a URL that was answered with a member's credentials.
    pub(in crate::upstream) fn remove(&self, url: &Url) {
        let mut times = self.times.lock();
        if !times.is_empty() {
            times.remove(&self.hash(url));
        }
    }

    fn hash(&self, url: &Url) -> u64 {
        self.hasher.hash_one(&url[Position::BeforePath..Position::AfterQuery])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(target: &str) -> Url {
        Url::parse(&format!("http://localhost{target}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_url_that_all_were_refused_is_asked_of_two_for_ten_seconds() {
        let urls = RefusedUrls::default();
        assert_eq!(urls.most_members(&url("/a?x=1")), usize::MAX);
        urls.add(&url("/a?x=1"));
        assert_eq!(urls.most_members(&url("/a?x=1")), FEW);
        assert_eq!(urls.most_members(&url("/a?x=2")), usize::MAX);
        tokio::time::advance(LENGTH).await;
        assert_eq!(urls.most_members(&url("/a?x=1")), usize::MAX);
        urls.add(&url("/a?x=1"));
        urls.remove(&url("/a?x=1"));
        assert_eq!(urls.most_members(&url("/a?x=1")), usize::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn ever_new_urls_fill_no_memory_and_make_room_when_they_are_old() {
        let urls = RefusedUrls::default();
        (0..2 * MOST).for_each(|number| urls.add(&url(&format!("/{number}"))));
        assert_eq!(urls.times.lock().len(), MOST);
        tokio::time::advance(LENGTH).await;
        urls.add(&url("/new"));
        assert_eq!(urls.times.lock().len(), 1);
        assert_eq!(urls.most_members(&url("/new")), FEW);
    }
}
