//! Scripted faults: the failing requests, their attempts, and the failures.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::Delivery;
use super::log::Asked;

/// Fault of some requests. If several match, the first one counts.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Failing requests.
    pub on: On,
    /// On which of their attempts, counted from 1.
    pub attempts: RangeInclusive<u64>,
    /// Failure.
    pub harm: Harm,
}

/// Selection of requests.
#[derive(Clone, Debug)]
pub enum On {
    /// Every one.
    Every,
    /// The one of this number, counted from 1.
    Request(u64),
    /// All that ask what was the n-th to be asked among different requests, counted from 1.
    Page(u64),
    /// All whose path and query hold this text.
    Target(String),
    /// All whose answer would hold more orders than this.
    LargerThan(u64),
    /// All that this holds for.
    Test(fn(&Asked) -> bool),
}

/// Faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// An error.
    Status(StatusCode),
    /// An error that says when to come again.
    Later(StatusCode, Duration),
    /// Half of the body, and then the connection breaks.
    Cut,
    /// A body that is framed well, and breaks off inside its JSON text.
    Garbage,
    /// Half of the body, and then nothing until the client leaves.
    Stall,
    /// The connection is closed before the answer.
    Close,
}

impl Fault {
    /// One that happens on the first attempt and not again.
    pub fn once(on: On, harm: Harm) -> Self {
        Self { on, attempts: 1..=1, harm }
    }

    /// One that happens each time.
    pub fn always(on: On, harm: Harm) -> Self {
        Self { on, attempts: 1..=u64::MAX, harm }
    }

    pub(super) fn strikes(&self, asked: &Asked) -> bool {
        self.attempts.contains(&asked.attempt) && self.on.matches(asked)
    }
}

impl On {
    pub(super) fn matches(&self, asked: &Asked) -> bool {
        match self {
            Self::Every => true,
            Self::Request(number) => *number == asked.number,
            Self::Page(page) => *page == asked.page,
            Self::Target(text) => asked.target.contains(text),
            Self::LargerThan(orders) => asked.orders > *orders,
            Self::Test(test) => test(asked),
        }
    }
}

impl Harm {
    /// Fate of an answer.
    pub(super) fn done_to(self, mut answer: Response<Bytes>, delivery: Delivery) -> (Response<Bytes>, Delivery) {
        match self {
            Self::Status(status) => (refusal(status, "it is the script's fault"), delivery),
            Self::Later(status, wait) => {
                let mut refusal = refusal(status, "it is the script's fault; come later");
                let seconds = HeaderValue::from(whole_seconds(wait));
                refusal.headers_mut().insert(header::RETRY_AFTER, seconds);
                (refusal, delivery)
            }
            Self::Garbage => {
                let half = answer.body().len() / 2;
                answer.body_mut().truncate(half);
                (answer, delivery)
            }
            Self::Cut => (answer, Delivery::Cut),
            Self::Stall => (answer, Delivery::Stall),
            Self::Close => (answer, Delivery::Close),
        }
    }
}

/// An answer that is an error.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(serde_json::json!({ "error": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A time in seconds, rounded up, so that a client that waits for it has waited long enough.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
