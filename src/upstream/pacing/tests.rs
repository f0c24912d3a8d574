//! Permits in turn, waits, and which governors are forgotten.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;
use url::Url;

use super::governors::{FEW, KEPT, MARGIN, MOST};
use super::{CrawlLine, Governors, Permit, Traffic};
use crate::config;
use crate::pace::{HoldReason, Pace, RequestCounts, Width};

fn upstream(width: u32) -> config::Upstream {
    let mut upstream = config::Upstream::at(Url::parse("http://127.0.0.1:1").unwrap());
    let width = width.try_into().unwrap();
    upstream.pace = Pace { width: Width::Fixed(width), max_width: width, ..Pace::default() };
    upstream
}

fn lines<const N: usize>(width: u32) -> (Governors, [CrawlLine; N]) {
    let (governors, upstream) = (Governors::default(), upstream(width));
    let lines = std::array::from_fn(|_| governors.line(&upstream, &[vec![]], ""));
    (governors, lines)
}

/// Polls once.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn answer(permit: &Permit, status: u16, fields: &[(&'static str, &'static str)]) {
    let fields = fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    permit.answered(StatusCode::from_u16(status).unwrap(), &fields.collect());
}

#[tokio::test]
async fn crawls_have_their_turns_one_after_the_other() {
    let (_governors, [greedy, modest]) = lines(1);
    let first = greedy.permit_of(0).await;
    let order = Mutex::new(Vec::new());
    let ask = async |name: &'static str, line: &CrawlLine| {
        let _permit = line.permit_of(0).await;
        order.lock().push(name);
    };
    let mut all: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for name in ["greedy 1", "greedy 2", "greedy 3"] {
        all.push(Box::pin(ask(name, &greedy)));
    }
    for name in ["modest 1", "modest 2"] {
        all.push(Box::pin(ask(name, &modest)));
    }
    assert!(all.iter_mut().all(|waits| poll(waits.as_mut()).is_none()));
    drop(first);
    while !all.is_empty() {
        all.retain_mut(|waits| poll(waits.as_mut()).is_none());
    }
    assert_eq!(*order.lock(), ["greedy 1", "modest 1", "greedy 2", "modest 2", "greedy 3"]);
}

#[tokio::test]
async fn who_gives_up_leaves_the_queue_with_or_without_a_permit() {
    let (governors, [line]) = lines(1);
    let first = line.permit_of(0).await;
    let mut last = pin!(line.permit_of(0));
    {
        let (mut gives_up, mut is_late) = (pin!(line.permit_of(0)), pin!(line.permit_of(0)));
        assert!(poll(gives_up.as_mut()).is_none() && poll(is_late.as_mut()).is_none());
        assert!(poll(last.as_mut()).is_none());
        assert_eq!(governors.traffic()[0].load.waiting, 3);
        // It comes to the head of the queue, but is never polled again.
        drop(first);
        assert_eq!(governors.traffic()[0].load.waiting, 2);
    }
    let permit = poll(last).expect("those before it have left");
    let load = governors.traffic()[0].load;
    assert_eq!((load.in_flight, load.waiting), (1, 0));
    drop(permit);
    assert_eq!(governors.traffic()[0].load.in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_demanded_wait_holds_other_crawls() {
    let (governors, [refused, other]) = lines(4);
    let permit = refused.permit_of(0).await;
    answer(&permit, 429, &[("retry-after", "7")]);
    drop(permit);
    let since = Instant::now();
    answer(&other.permit_of(0).await, 200, &[]);
    let waited = since.elapsed();
    assert!(waited >= Duration::from_secs(7) && waited < Duration::from_millis(7010), "{waited:?}");
    let standing = &governors.traffic()[0];
    assert_eq!((standing.load.counts.requests, standing.load.counts.too_many), (2, 1));
    assert_eq!((standing.waited, standing.origin.as_str()), (waited, "http://127.0.0.1:1"));
    assert_eq!((standing.load.held, standing.retries), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn waits_are_seen_while_they_last_and_counted_when_they_end() {
    let (governors, [refused, other]) = lines(4);
    let permit = refused.permit_of(0).await;
    answer(&permit, 503, &[("retry-after", "60")]);
    drop(permit);
    let seen = || {
        let standing = governors.by_origin().remove(0);
        (standing.load.waiting, standing.backing_off, standing.retries, standing.load.held, standing.waited)
    };
    let (minute, none) = (Duration::from_secs(60), Duration::ZERO);
    let again = refused.back_off();
    {
        let mut left = pin!(other.permit_of(0));
        assert!(poll(left.as_mut()).is_none());
        assert_eq!(seen(), (1, 1, 1, minute, none));
        tokio::time::advance(Duration::from_secs(20)).await;
    }
    assert_eq!(seen(), (0, 1, 1, Duration::from_secs(40), Duration::from_secs(20)));
    tokio::time::advance(Duration::from_secs(50)).await;
    drop(again);
    assert_eq!(seen(), (0, 0, 1, none, Duration::from_secs(90)));
    let cost = |line: &CrawlLine| {
        let usage = line.usage().counts();
        (usage.requests, usage.retries, usage.waits, usage.waited.as_secs())
    };
    assert_eq!((cost(&refused), cost(&other)), ((1, 1, 1, 70), (0, 0, 1, 20)), "each crawl has its own");
}

#[tokio::test(start_paused = true)]
async fn credentials_are_added_up_and_those_that_are_forgotten_stay_counted() {
    let (governors, upstream) = (Governors::default(), upstream(3));
    let mut elsewhere = upstream.clone();
    elsewhere.url = Url::parse("http://127.0.0.1:2").unwrap();
    let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
    for number in 1..FEW {
        let permit = governors.line(&upstream, &[key(number)], "").permit_of(0).await;
        answer(&permit, 429, &[("retry-after", "1")]);
    }
    let _permit = governors.line(&elsewhere, &[vec![]], "").permit_of(0).await;
    tokio::time::advance(KEPT).await;
    let counted = || {
        let upstreams = governors.by_origin();
        let of = |standing: &Traffic| {
            (standing.origin.clone(), standing.load.limit, standing.load.in_flight, standing.load.counts)
        };
        upstreams.iter().map(of).collect::<Vec<_>>()
    };
    let before = counted();
    let refused = RequestCounts { requests: FEW as u64 - 1, too_many: FEW as u64 - 1, unavailable: 0 };
    assert_eq!(before[0].0, "http://127.0.0.1:1");
    assert_eq!((before[0].2, before[0].3), (0, refused));
    let one = RequestCounts { requests: 1, ..RequestCounts::default() };
    assert_eq!(before[1], ("http://127.0.0.1:2".to_owned(), 3, 1, one));
    drop(governors.line(&upstream, &[key(FEW)], ""));
    assert_eq!(governors.traffic().len(), 2, "the others are forgotten");
    let after = counted();
    assert_eq!((after[0].1, after[0].3), (3, refused));
    assert_eq!(after[1], before[1]);
}

#[tokio::test(start_paused = true)]
async fn turns_come_when_nobody_but_the_clock_brings_them() {
    let (_governors, [one, other]) = lines(4);
    let permit = one.permit_of(0).await;
    answer(
        &permit,
        200,
        &[("x-ratelimit-remaining", "10"), ("x-ratelimit-limit", "1000"), ("x-ratelimit-reset", "1000")],
    );
    let since = Instant::now();
    let (first, second, third) = tokio::join!(other.permit_of(0), one.permit_of(0), other.permit_of(0));
    let waited = since.elapsed().as_secs();
    assert!((275..290).contains(&waited), "{waited} s");
    drop((first, second, third, permit));
}

#[tokio::test(start_paused = true)]
async fn each_credential_has_a_governor_that_is_kept_while_it_is_used() {
    let (governors, upstream) = (Governors::default(), upstream(1));
    let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
    let kept = governors.line(&upstream, &[key(0)], "");
    let _permit = kept.permit_of(0).await;
    for number in (0..FEW).chain(0..FEW) {
        drop(governors.line(&upstream, &[key(number)], ""));
    }
    assert_eq!(governors.traffic().len(), FEW);
    tokio::time::advance(KEPT).await;
    drop(governors.line(&upstream, &[key(FEW)], ""));
    let in_flight: usize = governors.traffic().iter().map(|standing| standing.load.in_flight).sum();
    assert_eq!((governors.traffic().len(), in_flight), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn ever_new_credentials_push_out_those_that_were_used_longest_ago_and_none_that_is_in_use() {
    let (governors, upstream) = (Governors::default(), upstream(1));
    let key = |number: usize| vec![("authorization".to_owned(), number.to_string().into_bytes())];
    let permit = governors.line(&upstream, &[key(0)], "").permit_of(0).await;
    let busy = governors.line(&upstream, &[key(1)], "");
    let first = busy.permit_of(0).await;
    let mut waits = pin!(busy.permit_of(0));
    assert!(poll(waits.as_mut()).is_none());
    answer(&governors.line(&upstream, &[key(2)], "").permit_of(0).await, 429, &[("retry-after", "300")]);
    for number in 3..MOST + 10 * MARGIN {
        answer(&governors.line(&upstream, &[key(number)], "").permit_of(0).await, 200, &[]);
        assert!(governors.count() <= MOST);
        // Used again and again, it is never the one that was used longest ago.
        drop(governors.line(&upstream, &[key(3)], ""));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    let all = MOST + 10 * MARGIN;
    let kept: Vec<_> = (0..all).filter(|number| governors.knows(&upstream, &key(*number))).collect();
    assert_eq!(kept[..4], [0, 1, 2, 3]);
    assert!(kept[4] > 9 * MARGIN && kept[4..].windows(2).all(|pair| pair[0] + 1 == pair[1]), "{}", kept[4]);
    let standing = governors.by_origin().remove(0);
    assert_eq!((standing.load.in_flight, standing.load.waiting), (2, 1));
    assert_eq!((standing.load.counts.requests, standing.load.counts.too_many), (all as u64, 1));
    drop((permit, first));
    assert!(poll(waits).is_some(), "its governor is still the one that it waits at");
}

#[tokio::test(start_paused = true)]
async fn governors_in_use_are_kept_however_many_they_are() {
    let (governors, upstream) = (Governors::default(), upstream(1));
    let key = |number: usize| vec![("cookie".to_owned(), number.to_string().into_bytes())];
    let lines: Vec<_> = (0..MOST + FEW).map(|number| governors.line(&upstream, &[key(number)], "")).collect();
    assert_eq!(governors.count(), MOST + FEW);
    assert_eq!(governors.next_sweep(), MOST + FEW, "and are not searched for each");
    drop(lines);
    drop(governors.line(&upstream, &[key(MOST + FEW)], ""));
    assert_eq!(governors.count(), MOST - MARGIN + 1);
}

#[tokio::test(start_paused = true)]
async fn another_pace_is_that_of_the_next_crawl_and_a_wait_goes_on_for_its_reason() {
    let (governors, [line]) = lines(2);
    answer(&line.permit_of(0).await, 429, &[("retry-after", "40")]);
    governors.adopt_paces(&[upstream(2)].iter());
    assert_eq!(governors.traffic()[0].load.counts.requests, 1, "the same pace keeps its governor");
    governors.adopt_paces(&[upstream(1)].iter());
    let next = governors.line(&upstream(1), &[vec![]], "");
    assert_eq!(governors.by_origin()[0].load.counts.requests, 1, "no sum shrinks");
    let begun = Instant::now();
    let first = next.permit_of(0).await;
    assert!(begun.elapsed() >= Duration::from_secs(40), "{:?}", begun.elapsed());
    assert!(poll(pin!(next.permit_of(0)).as_mut()).is_none(), "one at a time is the new pace");
    drop((line, next, first));
    // Of another wait, the reason is kept, too.
    let empty = [("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "50")];
    answer(&governors.line(&upstream(1), &[vec![]], "").permit_of(0).await, 200, &empty);
    governors.adopt_paces(&[upstream(2)].iter());
    assert_eq!(governors.traffic()[0].load.hold, Some(HoldReason::Budget));
}
