//! History of the last five minutes, sampled once a second from counters that exist.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::gateway::ListedCrawl;
use crate::upstream::Traffic;

/// Number of samples that are kept: five minutes of one a second.
const SAMPLES: usize = 300;

/// Weight of a second in the smoothed rate of a crawl.
const SMOOTH: f64 = 0.2;

#[derive(Debug, Default)]
pub(super) struct History {
    /// Records of all crawls in each second, the oldest first.
    rates: VecDeque<u64>,
    /// Records of all crawls at the last sample.
    records: Option<u64>,
    /// Answers of 429 and 503 until each sample, by origin.
    refusals: BTreeMap<String, VecDeque<u64>>,
    /// Records and their smoothed rate, of crawls under way while the page is looked at.
    crawls: HashMap<u64, CrawlRate>,
}

#[derive(Clone, Copy, Debug)]
struct CrawlRate {
    records: u64,
    /// Records a second; none at the first sample.
    smoothed: Option<f64>,
}

impl History {
    /// Adds the sample of a second.
    pub(super) fn sample(&mut self, records: u64, upstreams: &[Traffic]) {
        let rate = self.records.replace(records).map_or(0, |before| records.saturating_sub(before));
        push(&mut self.rates, rate);
        for traffic in upstreams {
            push(self.refusals.entry(traffic.origin.clone()).or_default(), refusals(traffic));
        }
    }

    /// Adds a second to the rates of these crawls, and forgets all others.
    pub(super) fn sample_crawls(&mut self, crawls: &[std::sync::Arc<ListedCrawl>]) {
        let sampled = crawls.iter().filter_map(|crawl| {
            let records = crawl.opened()?.snapshot.log().extent().records;
            let before = self.crawls.get(&crawl.number).copied();
            let smoothed = before.map(|before| {
                let rate = records.saturating_sub(before.records) as f64;
                before.smoothed.map_or(rate, |smoothed| smoothed + SMOOTH * (rate - smoothed))
            });
            Some((crawl.number, CrawlRate { records, smoothed }))
        });
        self.crawls = sampled.collect();
    }

    /// Returns the smoothed records a second of a crawl.
    pub(super) fn rate_of(&self, crawl: u64) -> Option<f64> {
        self.crawls.get(&crawl)?.smoothed
    }

    /// Returns the answers of 429 and 503 in the last five minutes.
    pub(super) fn refusals_of(&self, traffic: &Traffic) -> u64 {
        let samples = self.refusals.get(&traffic.origin);
        // An upstream that was not there at the first sample began with none.
        let before = samples.filter(|samples| samples.len() == SAMPLES).and_then(|samples| samples.front().copied());
        refusals(traffic).saturating_sub(before.unwrap_or(0))
    }

    /// Records of all crawls in each of the last seconds, the oldest first.
    pub(super) fn rates(&self) -> impl ExactSizeIterator<Item = u64> {
        self.rates.iter().copied()
    }
}

fn refusals(traffic: &Traffic) -> u64 {
    traffic.load.counts.too_many + traffic.load.counts.unavailable
}

fn push(samples: &mut VecDeque<u64>, sample: u64) {
    if samples.len() == SAMPLES {
        samples.pop_front();
    }
    samples.push_back(sample);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_kept() {
        let mut history = History::default();
        (0..400).for_each(|second| history.sample(second * 10, &[]));
        assert_eq!((history.rates().len(), history.rates().sum::<u64>()), (SAMPLES, 3_000));
        history.sample(0, &[]);
        assert_eq!(history.rates().last(), Some(0), "a counter never falls");
    }
}
