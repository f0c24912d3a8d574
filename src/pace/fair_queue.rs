//! The queue of requests: round robin between crawls, first come first served within a crawl.

use std::collections::{HashMap, VecDeque};

/// A crawl, as the queue tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CrawlId(pub u64);

/// A request's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    crawl: CrawlId,
    number: u64,
}

#[derive(Debug, Default)]
pub(super) struct FairQueue {
    /// Crawls with waiting requests, the next one first; each stands here once.
    crawls: VecDeque<CrawlId>,
    waiting: HashMap<CrawlId, VecDeque<Ticket>>,
    drawn: u64,
    length: usize,
}

impl FairQueue {
    pub(super) fn join(&mut self, crawl: CrawlId) -> Ticket {
        self.drawn += 1;
        self.length += 1;
        let ticket = Ticket { crawl, number: self.drawn };
        let own = self.waiting.entry(crawl).or_default();
        if own.is_empty() {
            self.crawls.push_back(crawl);
        }
        own.push_back(ticket);
        ticket
    }

    /// Takes the request at the head of the queue.
    pub(super) fn next(&mut self) -> Option<Ticket> {
        let crawl = self.crawls.pop_front()?;
        let own = self.waiting.get_mut(&crawl)?;
        let ticket = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&crawl);
        } else {
            self.crawls.push_back(crawl);
        }
        self.length -= usize::from(ticket.is_some());
        ticket
    }

    /// Takes a request out of the queue.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        let Some(own) = self.waiting.get_mut(&ticket.crawl) else { return };
        let before = own.len();
        own.retain(|waiting| *waiting != ticket);
        self.length -= before - own.len();
        if own.is_empty() {
            self.waiting.remove(&ticket.crawl);
            self.crawls.retain(|crawl| *crawl != ticket.crawl);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crawls_take_turns_also_beside_a_greedy_one() {
        let mut queue = FairQueue::default();
        let (greedy, modest) = (CrawlId(1), CrawlId(2));
        let first: Vec<_> = (0..4).map(|_| queue.join(greedy)).collect();
        let late = [queue.join(modest), queue.join(modest)];
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, [first[0], late[0], first[1], late[1], first[2], first[3]]);
    }

    proptest! {
        #[test]
        fn each_request_is_granted_once_and_in_order(steps in proptest::collection::vec((0..4_u8, 0..4_u64), 0..200)) {
            let mut queue = FairQueue::default();
            let (mut model, mut taken): (Vec<Ticket>, Vec<Ticket>) = (Vec::new(), Vec::new());
            for (step, crawl) in steps {
                match step {
                    0 | 1 => model.push(queue.join(CrawlId(crawl))),
                    2 => {
                        let next = queue.next();
                        prop_assert_eq!(next.is_none(), model.is_empty());
                        let Some(next) = next else { continue };
                        // First come, first served within a crawl.
                        let first = model.iter().find(|ticket| ticket.crawl == next.crawl);
                        prop_assert_eq!(first, Some(&next));
                        model.retain(|ticket| *ticket != next);
                        taken.push(next);
                    }
                    _ => {
                        let Some(leaves) = model.get(crawl as usize).copied() else { continue };
                        queue.leave(leaves);
                        model.retain(|ticket| *ticket != leaves);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.crawls.len(), queue.waiting.len());
            }
        }
    }
}
