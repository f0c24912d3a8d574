//! The scripted API in virtual time: no test waits, and every time is exact.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn request(target: &str) -> Request<Bytes> {
    Request::get(target).body(Bytes::new()).unwrap()
}

fn page(number: u64) -> Request<Bytes> {
    request(&format!("/offset/orders?limit=10&offset={}", 10 * number))
}

/// Clients that ask for one page after the other, each as soon as it has the one before; gives the time of the last end.
fn crawl(scripted: &mut Scripted, clients: usize, pages: u64) -> Duration {
    let (mut now, mut next) = (Duration::ZERO, 0);
    let mut under_way = BTreeMap::new();
    loop {
        while under_way.len() < clients && next < pages {
            let reply = scripted.ask(now, &page(next));
            under_way.insert((now + reply.whole().unwrap(), reply.id), ());
            next += 1;
        }
        let Some(((end, id), ())) = under_way.pop_first() else { return now };
        now = end;
        scripted.finished(id);
    }
}

fn scripted(script: Script) -> Scripted {
    Scripted::new(Legacy::of(1_000_000), script)
}

#[test]
fn as_many_as_are_asked_at_once_share_the_time() {
    for (clients, expected) in [(1, 6_000), (6, 1_000), (60, 100)] {
        let mut scripted = scripted(Script { latency: Latency::fixed(100 * MS), ..Script::default() });
        assert_eq!(crawl(&mut scripted, clients, 60), expected * MS);
        assert_eq!(scripted.log().most_in_flight(), clients);
        assert_eq!(scripted.log().answered(StatusCode::OK), 60);
    }
}

#[test]
fn whoever_comes_when_all_are_busy_waits_for_a_turn() {
    let script = Script { latency: Latency::fixed(100 * MS), at_once: Some(4), ..Script::default() };
    let mut scripted = scripted(script);
    let after: Vec<_> = (0..9).map(|number| scripted.ask(Duration::ZERO, &page(number)).after / 100).collect();
    assert_eq!(after, [1, 1, 1, 1, 2, 2, 2, 2, 3].map(|turn| turn * MS));
    assert_eq!(scripted.ask(10_000 * MS, &page(9)).after, 100 * MS, "the queue is empty by then");
}

#[test]
fn beyond_the_knee_more_clients_gain_nothing() {
    let rate = |clients| {
        let latency = Latency { knee: Some(12), ..Latency::fixed(50 * MS) };
        let mut scripted = scripted(Script { latency, ..Script::default() });
        2_000.0 / crawl(&mut scripted, clients, 2_000).as_secs_f64()
    };
    let [six, twelve, many] = [6, 12, 48].map(rate);
    assert!((twelve / six - 2.0).abs() < 0.02, "{six} {twelve}");
    assert!((many / twelve - 1.0).abs() < 0.05, "{twelve} {many}");
}

#[test]
fn a_body_takes_its_time_and_its_turn() {
    let script = Script { bytes_per_second: Some(1_000), at_once: Some(1), ..Script::default() };
    let mut scripted = scripted(script);
    let first = scripted.ask(Duration::ZERO, &page(0));
    let takes = Duration::from_secs_f64(first.response.body().len() as f64 / 1_000.0);
    assert_eq!((first.after, first.whole(), first.delivery), (Duration::ZERO, Some(takes), Delivery::Paced(1_000)));
    assert_eq!(scripted.ask(Duration::ZERO, &page(1)).after, takes);
}

#[test]
fn what_is_beyond_the_limit_is_refused_at_once_and_says_so() {
    let limit = RateLimit { says: vec![Says::XRateLimit(Reset::Delta), Says::RetryAfter], ..RateLimit::per_second(20) };
    let mut scripted = scripted(Script { limit: Some(limit), latency: Latency::fixed(30 * MS), ..Script::default() });
    for nth in 0..400 {
        let reply = scripted.ask(nth * 25 * MS, &page(nth.into()));
        scripted.finished(reply.id);
        let remaining = reply.response.headers()["x-ratelimit-remaining"].to_str().unwrap().to_owned();
        assert_eq!(remaining, "0");
        if nth % 2 == 1 {
            assert_eq!((reply.response.status(), reply.after), (StatusCode::TOO_MANY_REQUESTS, Duration::ZERO));
            assert_eq!(reply.response.headers()[header::RETRY_AFTER], "1");
        }
    }
    let log = scripted.log();
    assert!((log.share(StatusCode::TOO_MANY_REQUESTS) - 0.5).abs() < 1e-9);
    assert!((log.per_second(StatusCode::OK) - 20.0).abs() < 1e-9);
}

#[test]
fn windows_begin_with_the_clocks_own_seconds() {
    let limit = RateLimit {
        counted: Counted::FixedWindow,
        says: vec![Says::XRateLimit(Reset::Epoch)],
        ..RateLimit::per_second(2)
    };
    let epoch = Duration::from_millis(1_600_000_000_400);
    let mut scripted = scripted(Script { limit: Some(limit), epoch, ..Script::default() });
    let answers = [0, 10, 590, 600, 700].map(|at| {
        let reply = scripted.ask(at * MS, &page(0));
        let reset = reply.response.headers()["x-ratelimit-reset"].to_str().unwrap().parse::<u64>().unwrap();
        (reply.response.status().as_u16(), reset - 1_600_000_000)
    });
    assert_eq!(answers, [(200, 1), (200, 1), (429, 1), (200, 2), (200, 2)]);
}

#[test]
fn faults_strike_the_attempts_and_pages_that_they_are_for() {
    let faults = vec![
        Fault { on: On::Page(2), attempts: 2..=3, harm: Harm::Status(StatusCode::BAD_GATEWAY) },
        Fault::once(On::Target("offset=20&".to_owned()), Harm::Later(StatusCode::SERVICE_UNAVAILABLE, 1_500 * MS)),
        Fault::always(On::Test(|asked| asked.target.contains("offset=30")), Harm::Stall),
        Fault::always(On::Request(9), Harm::Close),
    ];
    let mut scripted = scripted(Script { faults, ..Script::default() });
    let mut ask = |number| {
        let reply = scripted.ask(Duration::ZERO, &page(number));
        (reply.response.status().as_u16(), reply.delivery, reply.whole().is_some())
    };
    let whole = (200, Delivery::Whole, true);
    assert_eq!(ask(1), whole);
    assert_eq!(
        [ask(5), ask(5), ask(5), ask(5)],
        [whole, (502, Delivery::Whole, true), (502, Delivery::Whole, true), whole]
    );
    assert_eq!(ask(3), (200, Delivery::Stall, false));
    assert_eq!([ask(2), ask(2)], [whole; 2], "offset=20& stands in no target: it is the last parameter");
    assert_eq!(ask(1), (200, Delivery::Close, true));
    let log = scripted.log();
    assert_eq!((log.count(), log.pages()), (9, 4));
    let statuses: Vec<_> = log.requests().iter().map(|logged| logged.status.map(|status| status.as_u16())).collect();
    assert_eq!(statuses[8], None);
    let sent: u64 = log.requests().iter().map(|logged| logged.sent).sum();
    assert_eq!(sent, 50, "an error, a stall and a closed connection bring no order");
}

#[test]
fn pages_that_are_too_large_fail() {
    let harm = Harm::Status(StatusCode::INTERNAL_SERVER_ERROR);
    let mut scripted = scripted(Script { faults: vec![Fault::always(On::LargerThan(250), harm)], ..Script::default() });
    let mut status = |limit| {
        let target = format!("/cursor/orders?limit={limit}");
        scripted.ask(Duration::ZERO, &request(&target)).response.status().as_u16()
    };
    assert_eq!([1_000, 500, 251, 250, 125].map(&mut status), [500, 500, 500, 200, 200]);
}

#[test]
fn garbage_is_framed_well_and_no_json() {
    let harm = |harm| {
        let faults = vec![Fault::always(On::Every, harm)];
        scripted(Script { faults, ..Script::default() }).ask(Duration::ZERO, &page(0))
    };
    let (garbage, cut) = (harm(Harm::Garbage), harm(Harm::Cut));
    assert_eq!((garbage.delivery, cut.delivery), (Delivery::Whole, Delivery::Cut));
    assert!(cut.response.body().starts_with(garbage.response.body()));
    assert!(serde_json::from_slice::<serde_json::Value>(garbage.response.body()).is_err());
}

#[test]
fn requests_differ_by_all_that_they_ask_with() {
    let mut scripted = scripted(Script::default());
    for range in ["items=0-9", "items=10-19", "items=0-9"] {
        let request = Request::get("/range/orders").header(header::RANGE, range).body(Bytes::new()).unwrap();
        scripted.ask(Duration::ZERO, &request);
    }
    for after in ["{}", r#"{"after":"aWQ+MTAw"}"#] {
        scripted.ask(Duration::ZERO, &Request::post("/search/orders").body(Bytes::from(after)).unwrap());
    }
    let seen = scripted.log().requests().iter().map(|logged| (logged.asked.page, logged.asked.attempt));
    assert_eq!(seen.collect::<Vec<_>>(), [(1, 1), (2, 1), (1, 2), (3, 1), (4, 1)]);
    assert_eq!(scripted.forget().count(), 5);
    scripted.ask(Duration::ZERO, &page(0));
    assert_eq!(scripted.log().requests()[0].asked.number, 1);
    assert_eq!(scripted.log().most_in_flight(), 6, "what was never finished is still in flight");
}

proptest! {
    #[test]
    fn no_more_than_its_workers_are_ever_at_work(
        workers in 1_usize..6, gaps in prop::collection::vec(0_u32..100, 1..60), seed: u64
    ) {
        let latency = Latency { seed, ..Jitter::Uniform(10 * MS, 200 * MS).into() };
        let mut scripted = scripted(Script { latency: latency.clone(), at_once: Some(workers), ..Script::default() });
        let (mut now, mut at_work) = (Duration::ZERO, Vec::new());
        for (number, gap) in gaps.into_iter().enumerate() {
            now += gap * MS;
            let reply = scripted.ask(now, &page(number as u64));
            let takes = latency.of(&scripted.log().requests()[number].asked, 1);
            at_work.push((now + reply.after - takes, now + reply.after));
            prop_assert!(reply.after >= takes);
        }
        for (begun, _) in &at_work {
            let with = at_work.iter().filter(|(from, until)| from <= begun && begun < until).count();
            prop_assert!(with <= workers, "{} at work", with);
        }
    }
}
