//! Test support: the demo's legacy API by script, with the latencies, limits and faults that APIs have, and a log of every request.
//! [`Scripted`] takes the time from its caller; [`serve`] puts it on a socket. [`PipedCrawl`] does without sockets, to count what a crawl costs.

mod fault;
mod latency;
mod limit;
mod log;
mod piped;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};

pub use fault::{Fault, Harm, On};
pub use latency::{Jitter, Latency};
pub use limit::{Counted, RateLimit, Reset, Says};
pub use log::{Asked, Log, Logged};
pub use piped::{PipedCrawl, PipedStyle, is_counted};
pub use server::serve;

use limit::{Meter, Verdict};
use unpage::demo::{Legacy, OrderCount};

/// Behaviour of an upstream; by default it answers everything at once.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Latency of answers.
    pub latency: Latency,
    /// Number of requests that are processed at a time; the others queue.
    pub at_once: Option<usize>,
    /// Rate limit.
    pub limit: Option<RateLimit>,
    /// Speed of a body, in bytes a second.
    pub bytes_per_second: Option<u64>,
    /// Faults.
    pub faults: Vec<Fault>,
    /// The time since 1970 at the start.
    pub epoch: Duration,
}

/// A legacy API that follows a script.
#[derive(Clone, Debug)]
pub struct Scripted {
    legacy: Legacy,
    script: Script,
    log: Log,
    meter: Meter,
    /// Time at which each worker is free.
    working: Vec<Duration>,
    in_flight: BTreeSet<u64>,
    /// Number of requests, also before the log was cleared.
    ids: u64,
}

/// Outcome of a request.
#[derive(Debug)]
pub struct Reply {
    /// Argument of [`Scripted::finished`].
    pub id: u64,
    /// Time from the request to its answer's head.
    pub after: Duration,
    /// The answer.
    pub response: Response<Bytes>,
    /// Delivery of the answer.
    pub delivery: Delivery,
}

/// Delivery of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As it is.
    Whole,
    /// This many bytes of the body a second; at least 1.
    Paced(u64),
    /// Half of the body, and then the connection breaks.
    Cut,
    /// Half of the body, and then nothing until the client leaves.
    Stall,
    /// Not at all: the connection is closed.
    Close,
}

impl Scripted {
    /// This API with this script, at its start.
    pub fn new(legacy: Legacy, script: Script) -> Self {
        let working = vec![Duration::ZERO; script.at_once.unwrap_or_default()];
        Self {
            legacy,
            script,
            log: Log::default(),
            meter: Meter::default(),
            working,
            in_flight: BTreeSet::new(),
            ids: 0,
        }
    }

    /// Outcome of a request that arrives now, as the time since the start. It is in flight until it is
    /// [`finished`](Self::finished).
    pub fn ask(&mut self, now: Duration, request: &Request<Bytes>) -> Reply {
        let mut asked = self.asked(request);
        self.ids += 1;
        self.in_flight.insert(self.ids);
        // By the clock, since windows begin with a full second, minute or hour of it.
        let clock = self.script.epoch.saturating_add(now);
        let budget = self.script.limit.as_ref().map(|limit| limit.count(&mut self.meter, clock));
        let refused = budget.is_some_and(|budget| budget.verdict == Verdict::Refused);
        let (after, (mut response, delivery)) = if refused {
            let refusal = fault::refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests: ask less often");
            (Duration::ZERO, (refusal, Delivery::Whole))
        } else {
            let response = self.legacy.answer(request.method(), request.uri(), request.headers(), request.body());
            asked.orders = orders(&response);
            let delivery = self.script.bytes_per_second.map_or(Delivery::Whole, |rate| Delivery::Paced(rate.max(1)));
            let fault = self.script.faults.iter().find(|fault| fault.strikes(&asked));
            let (response, delivery) = match fault {
                Some(fault) => fault.harm.done_to(response, delivery),
                None => (response, delivery),
            };
            let latency = self.script.latency.of(&asked, self.in_flight.len());
            let busy = latency.saturating_add(delivery.takes(&response).unwrap_or_default());
            (self.turn(now, busy).saturating_add(latency), (response, delivery))
        };
        if let (Some(limit), Some(budget)) = (&self.script.limit, budget) {
            limit.tell(budget, clock, response.headers_mut());
        }
        let status = (delivery != Delivery::Close).then(|| response.status());
        let sent = if delivery.is_complete() { orders(&response) } else { 0 };
        self.log.add(Logged { at: now, asked, in_flight: self.in_flight.len(), status, sent });
        Reply { id: self.ids, after, response, delivery }
    }

    /// A request is no longer in flight: its answer has left, or its client has.
    pub fn finished(&mut self, id: u64) {
        self.in_flight.remove(&id);
    }

    /// Everything that was asked so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Starts the log anew and gives the old one; pages and attempts are counted from 1 again.
    pub fn forget(&mut self) -> Log {
        std::mem::take(&mut self.log)
    }

    /// The script, to be changed from the next request on; but for [`Script::at_once`], which holds from the start.
    pub fn script_mut(&mut self) -> &mut Script {
        &mut self.script
    }

    fn asked(&mut self, request: &Request<Bytes>) -> Asked {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
        let range = request.headers().get(header::RANGE).map(|range| String::from_utf8_lossy(range.as_bytes()));
        let body = String::from_utf8_lossy(request.body());
        let what = format!("{} {target}\n{}\n{body}", request.method(), range.unwrap_or_default());
        let (page, attempt) = self.log.recognise(what);
        Asked { number: self.log.count() as u64 + 1, target, page, attempt, orders: 0 }
    }

    /// Time in the queue of a request that takes so long.
    fn turn(&mut self, now: Duration, busy: Duration) -> Duration {
        let Some(first) = self.working.iter_mut().min() else { return Duration::ZERO };
        let begins = (*first).max(now);
        *first = begins.saturating_add(busy);
        begins - now
    }
}

impl Reply {
    /// Time from the request to the end of its answer; none if it never ends.
    pub fn whole(&self) -> Option<Duration> {
        Some(self.after.saturating_add(self.delivery.takes(&self.response)?))
    }
}

impl Delivery {
    /// Duration of a body; none if it has no end.
    fn takes(self, response: &Response<Bytes>) -> Option<Duration> {
        match self {
            Self::Whole | Self::Cut | Self::Close => Some(Duration::ZERO),
            Self::Paced(rate) => Some(Duration::from_secs_f64(response.body().len() as f64 / rate as f64)),
            Self::Stall => None,
        }
    }

    fn is_complete(self) -> bool {
        matches!(self, Self::Whole | Self::Paced(_))
    }
}

fn orders(response: &Response<Bytes>) -> u64 {
    response.extensions().get().map_or(0, |OrderCount(orders)| *orders)
}
