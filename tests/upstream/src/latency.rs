//! Latency of a scripted upstream: a distribution, a knee, and pages that are slower than others.

use std::f64::consts::TAU;
use std::time::Duration;

use super::fault::On;
use super::log::Asked;
use unpage::demo::scattered;

/// Time from a request to the head of its answer; none by default.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Latency without load.
    pub jitter: Jitter,
    /// This many requests are answered side by side as fast as one; with more in flight, each takes this many times as long.
    pub knee: Option<u32>,
    /// Slower requests, each with its factor; all that match count.
    pub slow: Vec<(On, f64)>,
    /// Another seed, another sequence of times.
    pub seed: u64,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// Always this.
    Fixed(Duration),
    /// Anything between the two, alike.
    Uniform(Duration, Duration),
    /// Never less than the least, and on average so much longer.
    Exponential {
        /// The least.
        least: Duration,
        /// Mean factor.
        mean: Duration,
    },
    /// Half of them below the median, with a long tail above.
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the logarithm; 0.5 has one of 30 take three times as long.
        sigma: f64,
    },
}

impl Default for Jitter {
    fn default() -> Self {
        Self::Fixed(Duration::ZERO)
    }
}

impl From<Jitter> for Latency {
    fn from(jitter: Jitter) -> Self {
        Self { jitter, ..Self::default() }
    }
}

impl Latency {
    /// Always the same.
    pub fn fixed(time: Duration) -> Self {
        Jitter::Fixed(time).into()
    }

    /// Latency of this request with this many in flight, itself included.
    pub(super) fn of(&self, asked: &Asked, in_flight: usize) -> Duration {
        let crowd = self.knee.map_or(1.0, |knee| (in_flight as f64 / f64::from(knee.max(1))).max(1.0));
        let slow = self.slow.iter().filter(|(on, _)| on.matches(asked)).map(|(_, times)| times).product::<f64>();
        let dice = [0, 1].map(|nth| dice(self.seed, 2 * asked.number + nth));
        scaled(self.jitter.draw(dice), crowd * slow)
    }
}

impl Jitter {
    /// A time, given two numbers between 0 and 1.
    fn draw(self, [dice, other]: [f64; 2]) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Uniform(from, to) => from + scaled(to.saturating_sub(from), dice),
            Self::Exponential { least, mean } => least + scaled(mean, -dice.ln()),
            Self::LogNormal { median, sigma } => {
                // Box and Muller's way from two even numbers to one of the normal distribution.
                let normal = (-2.0 * dice.ln()).sqrt() * (TAU * other).cos();
                scaled(median, (sigma * normal).exp())
            }
        }
    }
}

/// A number above 0 and below 1 that depends on seed and count alone.
fn dice(seed: u64, count: u64) -> f64 {
    let bits = scattered(scattered(seed).wrapping_add(count)) >> 12;
    (bits as f64 + 0.5) / (1_u64 << 52) as f64
}

fn scaled(time: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * times).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Duration = Duration::from_millis(100);

    fn asked(number: u64) -> Asked {
        Asked { number, target: "/orders".to_owned(), page: number, attempt: 1, orders: 10 }
    }

    /// The times of many requests that come alone, in units and in order of their length.
    fn drawn(jitter: Jitter) -> Vec<f64> {
        let latency = Latency::from(jitter);
        let mut times: Vec<_> =
            (1..=10_000).map(|number| latency.of(&asked(number), 1).as_secs_f64() / UNIT.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    #[test]
    fn each_distribution_has_its_shape() {
        let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len() as f64;
        let uniform = drawn(Jitter::Uniform(UNIT, 3 * UNIT));
        assert!(uniform[0] >= 1.0 && uniform[9_999] <= 3.0 && (mean(&uniform) - 2.0).abs() < 0.02);
        let exponential = drawn(Jitter::Exponential { least: UNIT, mean: UNIT });
        assert!(exponential[0] >= 1.0 && (mean(&exponential) - 2.0).abs() < 0.05);
        let log_normal = drawn(Jitter::LogNormal { median: UNIT, sigma: 0.5 });
        assert!((log_normal[5_000] - 1.0).abs() < 0.02, "{}", log_normal[5_000]);
        let slowest = log_normal.iter().filter(|time| **time > 3.0).count();
        assert!((100..=180).contains(&slowest), "{slowest}");
        assert_eq!(drawn(Jitter::Fixed(UNIT)), vec![1.0; 10_000]);
    }

    #[test]
    fn the_seed_decides() {
        let times = |seed| {
            let latency = Latency { jitter: Jitter::Uniform(Duration::ZERO, UNIT), seed, ..Latency::default() };
            (1..=5).map(|number| latency.of(&asked(number), 1)).collect::<Vec<_>>()
        };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }

    #[test]
    fn beyond_the_knee_all_wait_longer() {
        let latency = Latency { knee: Some(12), ..Latency::fixed(UNIT) };
        let at = |in_flight| latency.of(&asked(1), in_flight);
        assert_eq!([1, 12, 18, 48].map(at), [UNIT, UNIT, UNIT * 3 / 2, UNIT * 4]);
    }

    #[test]
    fn one_page_is_slower_than_the_others() {
        let latency = Latency { slow: vec![(On::Page(3), 100.0)], ..Latency::fixed(UNIT) };
        assert_eq!([2, 3, 4].map(|page| latency.of(&asked(page), 1)), [UNIT, 100 * UNIT, UNIT]);
    }
}
