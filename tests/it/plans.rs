//! Pages that are asked for ahead of their turn, and parts that are walked side by side: what a client gets is the list.

use std::sync::Arc;

use http::{Method, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use unpage::demo::{Calendar, Legacy, Stamp, TimeSpan, Times};

use super::arrival::{asked, settled};
use super::client::{self, BOTH, Received, Version};
use super::proxy::{Proxy, collection};
use super::streams::ask;
use super::upstream::{Framing, Gate, Reply, Upstream, answer};

const WIDTH: usize = 6;

/// Numbered pages; the upstream says how many there are.
const PAGES: &str = "records = \"data\"\npagination = { type = \"page\", param = \"page\" }\ntotal_pages = \"pages\"";

/// The number of the page that was asked for, from 1.
fn number(target: &str) -> usize {
    target.split_once("page=").map_or(0, |(_, number)| number.parse().unwrap())
}

/// A page of two records of this many bytes, of this many pages.
fn page(number: usize, pages: usize, size: usize) -> http::Response<bytes::Bytes> {
    let records = if (1..=pages).contains(&number) { record(number, size) } else { String::new() };
    answer(200, &[("content-type", "application/json")], format!("{{\"pages\":{pages},\"data\":[{records}]}}"))
}

/// The two records of a page, as they stand in its array.
fn record(number: usize, size: usize) -> String {
    let text = "x".repeat(size);
    format!("{{\"id\":{},\"x\":\"{text}\"}},{{\"id\":{},\"x\":\"\"}}", 2 * number, 2 * number + 1)
}

/// All of them as a stream has them.
fn lines(pages: usize, size: usize) -> String {
    let page = |number| record(number, size).replace("},{", "}\n{") + "\n";
    (1..=pages).map(page).collect()
}

fn gates(count: usize) -> Arc<Vec<Gate>> {
    Arc::new((0..=count).map(|_| Gate::default()).collect())
}

/// An upstream with this many pages, each of which waits at its gate, and a proxy before it.
async fn gated(pages: usize, gates: &Arc<Vec<Gate>>) -> (Upstream, Proxy) {
    let at = Arc::clone(gates);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let number = number(&asked.target);
        let reply = Reply::Whole(page(number, pages, 10));
        at.get(number).map_or(Reply::status(404), |gate| gate.before(reply))
    })
    .await;
    gates[0].open();
    let proxy = Proxy::start(&collection(&upstream.url(), PAGES)).await;
    (upstream, proxy)
}

#[tokio::test]
async fn pages_that_come_in_reverse_leave_in_order() {
    const LAST: usize = 24;
    let gates = gates(LAST + 1);
    let (upstream, proxy) = gated(LAST, &gates).await;
    gates[1].open();
    gates[LAST + 1].open();
    let receiving = async {
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert_eq!(received.whole(), lines(LAST, 10));
    };
    let opening = async {
        for first in (2..=LAST).step_by(WIDTH) {
            let batch = first..=LAST.min(first + WIDTH - 1);
            for number in batch.clone() {
                gates[number].reached().await;
            }
            // As many as may be are asked for, and no more.
            settled(&proxy).await;
            assert_eq!(asked(&upstream), *batch.end());
            batch.rev().for_each(|number| gates[number].open());
        }
    };
    tokio::join!(receiving, opening);
    // The count of pages and the first one past them agree.
    assert!((LAST..=LAST + 1).contains(&asked(&upstream)), "{} requests", asked(&upstream));
}

/// Page 2 waits while all others are there at once: what comes of them is more than memory may hold.
async fn stuck(caps: &str, pages: usize) -> (Upstream, Proxy, Gate, Gate) {
    let (second, last) = (Gate::default(), Gate::default());
    let (held, reached) = (second.clone(), last.clone());
    reached.open();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let number = number(&asked.target);
        let reply = Reply::Whole(page(number, pages, 20_000));
        match number {
            2 => held.before(reply),
            number if number == pages => reached.before(reply),
            _ => reply,
        }
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{PAGES}\n{caps}"))).await;
    (upstream, proxy, second, last)
}

#[tokio::test]
async fn a_page_that_is_stuck_lets_the_others_wait_on_disk() {
    const LAST: usize = 60;
    let (upstream, proxy, second, last) = stuck("caps = { window = \"64KiB\", spool = \"1GiB\" }", LAST).await;
    let receiving = async {
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert!(received.whole() == lines(LAST, 20_000), "{} bytes came", received.body.len());
    };
    let opening = async {
        second.reached().await;
        // 1.2 MB of other pages have come meanwhile.
        last.reached().await;
        second.open();
    };
    tokio::join!(receiving, opening);
    assert!((LAST..=LAST + 1).contains(&asked(&upstream)), "{} requests", asked(&upstream));
}

#[tokio::test]
async fn a_page_that_is_stuck_stops_the_others_where_nothing_may_wait_on_disk() {
    const LAST: usize = 60;
    let (upstream, proxy, second, last) = stuck("caps = { window = \"64KiB\", spool = \"0\" }", LAST).await;
    let receiving = async {
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert!(received.whole() == lines(LAST, 20_000), "{} bytes came", received.body.len());
    };
    let opening = async {
        second.reached().await;
        settled(&proxy).await;
        // Pages 1 and 2, three that fill the window, and those that were under way.
        assert!(asked(&upstream) <= 5 + WIDTH, "{} requests", asked(&upstream));
        assert!(futures_util::poll!(Box::pin(last.reached())).is_pending());
        second.open();
        last.reached().await;
    };
    tokio::join!(receiving, opening);
    assert!((LAST..=LAST + 1).contains(&asked(&upstream)), "{} requests", asked(&upstream));
}

#[tokio::test]
async fn a_page_ahead_that_fails_is_requested_again_in_its_turn() {
    const LAST: usize = 8;
    let (second, again) = (Gate::default(), Gate::default());
    let (held, retried) = (second.clone(), again.clone());
    retried.open();
    let upstream = Upstream::scripted(0, move |asked, _| {
        let number = number(&asked.target);
        let response = page(number, LAST, 2_000);
        match (number, asked.attempt) {
            (2, _) => held.before(Reply::Whole(response)),
            (4, 1) => Reply::Cut(response, Framing::Length),
            (4, 2) => Reply::status(503),
            (4, 3) => retried.before(Reply::Whole(response)),
            _ => Reply::Whole(response),
        }
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), PAGES)).await;
    let receiving = async {
        assert_eq!(ask(Version::Http1, &proxy, &Method::GET, "/").await.whole(), lines(LAST, 2_000));
    };
    let opening = async {
        second.reached().await;
        second.open();
        again.reached().await;
    };
    tokio::join!(receiving, opening);
    let attempts = upstream.asked().iter().filter(|asked| number(&asked.target) == 4).count();
    assert_eq!(attempts, 3);
}

#[tokio::test]
async fn a_client_that_leaves_takes_all_pages_along() {
    for version in BOTH {
        let gates = gates(40);
        let (upstream, proxy) = gated(30, &gates).await;
        gates[1].open();
        let mut response = client::send(version, proxy.address, client::stream("/")).await;
        client::lines(response.body_mut(), 1).await;
        for gate in &gates[2..2 + WIDTH] {
            gate.reached().await;
        }
        drop(response);
        for gate in &gates[2..2 + WIDTH] {
            gate.left().await;
        }
        settled(&proxy).await;
        assert_eq!(asked(&upstream), 1 + WIDTH);
    }
}

#[tokio::test]
async fn a_client_that_is_cut_off_takes_all_pages_along() {
    let gates = gates(40);
    let (_upstream, proxy) = gated(30, &gates).await;
    gates[1].open();
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: p\r\nAccept: application/x-ndjson\r\n\r\n").await.unwrap();
    for gate in &gates[2..2 + WIDTH] {
        gate.reached().await;
    }
    drop(socket);
    for gate in &gates[2..2 + WIDTH] {
        gate.left().await;
    }
}

#[tokio::test]
async fn a_head_request_asks_for_one_numbered_page() {
    let gates = gates(40);
    let (upstream, proxy) = gated(30, &gates).await;
    gates.iter().for_each(Gate::open);
    let mut request = client::stream("/");
    *request.method_mut() = Method::HEAD;
    let received = client::receive(Version::Http1, proxy.address, request).await;
    assert_eq!(received.head.status, 200);
    settled(&proxy).await;
    assert_eq!(asked(&upstream), 1);
}

/// 20 orders in one year, 50 in another and 3,000 in the third, of which ten share each moment.
fn skewed() -> Legacy {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    let from = 1_514_764_800;
    let span =
        |nth, orders, together| TimeSpan { from: from + nth * YEAR, until: from + (nth + 1) * YEAR, orders, together };
    let times = Times::Spans(vec![span(0, 20, 1), span(1, 50, 1), span(2, 3_000, 10)]);
    let calendar = Calendar { times, stamp: Stamp::Unix };
    Legacy { calendar, max_page: 50, default_page: 50, ..Legacy::of(3_070) }
}

const CURSOR: &str = "records = \"data\"\nkey = \"id\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
const CUT: &str = "partition = { from = \"created[gte]\", to = \"created[lt]\", kind = \"unix\", field = \"created\", order = \"ascending\" }";

#[tokio::test]
async fn a_skewed_collection_that_is_cut_is_the_same_collection() {
    let upstream = Upstream::serving(skewed(), |_, answer| Reply::Whole(answer), None).await;
    let plain = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
    let whole = ask(Version::Http1, &plain, &Method::GET, "/cursor/orders").await;
    let needed = upstream.forget().len();
    assert_eq!((whole.whole().lines().count(), needed), (3_070, 62));
    let cut = Proxy::start(&collection(&upstream.url(), &format!("{CURSOR}\n{CUT}"))).await;
    for version in BOTH {
        let listed = ask(version, &cut, &Method::GET, "/cursor/orders").await;
        assert!(listed.whole() == whole.whole(), "{} bytes came", listed.body.len());
        let parts = parts_of(&upstream);
        assert!(parts > 1, "it was never cut");
        assert!(upstream.forget().len() <= 2 * needed);
    }
    let mut request: Request<_> = client::stream("/cursor/orders");
    request.headers_mut().insert("prefer", "order=any".parse().unwrap());
    let any = client::receive(Version::Http1, cut.address, request).await;
    assert_eq!(any.header("preference-applied"), Some("order=any"));
    assert!(sorted(&any) == sorted(&whole), "{} bytes came", any.body.len());
}

/// Number of different lower bounds that were requested with a cursor, and so continued.
fn parts_of(upstream: &Upstream) -> usize {
    let bound = |target: &str| target.split(['?', '&']).find(|pair| pair.contains("gte")).map(ToOwned::to_owned);
    let asked = upstream.asked();
    let bounds: std::collections::HashSet<_> =
        asked.iter().filter(|asked| asked.target.contains("cursor=")).map(|asked| bound(&asked.target)).collect();
    bounds.len()
}

fn sorted(received: &Received) -> Vec<&str> {
    let mut lines: Vec<_> = received.whole().lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn an_empty_page_is_no_end_while_pages_behind_it_have_records() {
    let (held, behind) = (Gate::default(), Gate::default());
    let (empty, seen) = (held.clone(), behind.clone());
    seen.open();
    let upstream = Upstream::scripted(0, move |asked, _| match number(&asked.target) {
        3 => empty.before(Reply::json("{\"data\":[]}")),
        // It is asked for when the fourth and fifth have come.
        8 => seen.before(Reply::Whole(page(8, 9, 10))),
        number => Reply::Whole(page(number, 9, 10)),
    })
    .await;
    let lines = PAGES.replace("\ntotal_pages = \"pages\"", "");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let receiving = ask(Version::Http1, &proxy, &Method::GET, "/");
    let opening = async {
        behind.reached().await;
        held.open();
    };
    let (received, ()) = tokio::join!(receiving, opening);
    assert!(received.cut(), "{:?}", received.broken);
}

/// A search that answers 40 records at most and no deeper, as if nothing followed, is read whole in parts; without parts it breaks.
#[tokio::test]
async fn a_list_beyond_the_upstreams_limit_is_read_in_parts() {
    const LINES: &str = "records = \"data\"\nlimits = { max_results = 40 }\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }\n";
    const PARTS: &str =
        "partition = { from = \"from\", to = \"to\", kind = \"integer\", field = \"id\", order = \"ascending\" }\n";
    let upstream = Upstream::scripted(0, |asked, _| {
        let url: url::Url = format!("http://a{}", asked.target).parse().unwrap();
        let value = |name: &str| {
            let found = url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.parse::<usize>().unwrap())
        };
        let (from, to, after) =
            (value("from").unwrap_or(1).max(1), value("to").unwrap_or(301), value("after").unwrap_or(0));
        let ids: Vec<_> = (from..to.min(301)).take(40).skip(after).take(10).collect();
        let next = if ids.len() == 10 && after < 30 { (after + 10).to_string() } else { "null".to_owned() };
        let data: Vec<_> = ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
        Reply::json(format!("{{\"data\":[{}],\"next\":{next}}}", data.join(",")))
    })
    .await;
    let all: String = (1..=300).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    for (width, parts) in [(1, PARTS), (4, PARTS), (1, "")] {
        upstream.forget();
        let lines = format!("width = {width}\n{LINES}{parts}");
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/search").await;
        if parts.is_empty() {
            assert!(received.cut() && upstream.asked().len() == 4, "{:?}", received.body);
        } else {
            assert_eq!(received.whole(), all, "width {width}");
            assert!(upstream.asked().len() > 30, "{}", upstream.asked().len());
        }
    }
}

#[tokio::test]
async fn a_page_number_in_the_path_and_a_link_that_is_a_template_lead_on() {
    let upstream = Upstream::scripted(0, |asked, _| match &*asked.target {
        "/archive/page-1.json/items" => Reply::json("[1,2]"),
        "/archive/page-2.json/items" | "/linked?size=2&page=2" => Reply::json("[3]"),
        "/linked?size=2" => {
            let link = ("link", "</linked{?size,none}&page=2>; rel=\"next\"");
            Reply::Whole(answer(200, &[link], "[1,2]"))
        }
        _ => Reply::json("[]"),
    })
    .await;
    let proxy = Proxy::start(&format!(
        "[[collection]]\npath = \"/archive\"\nupstream = \"{0}\"\nupstream_path = \"/archive/{{n}}/items\"\nrecords = \"$\"\n\
         pagination = {{ type = \"page\", param = \"path:n\", template = \"page-{{page}}.json\" }}\n\
         [[collection]]\npath = \"/linked\"\nupstream = \"{0}\"\nrecords = \"$\"\npagination = \"link_header\"\n",
        upstream.url()
    ))
    .await;
    for target in ["/archive", "/linked?size=2"] {
        let received = client::receive(Version::Http1, proxy.address, client::stream(target)).await;
        assert_eq!(received.whole(), "1\n2\n3\n", "{target}");
    }
    let linked = upstream.asked().iter().filter(|asked| asked.target.starts_with("/linked")).count();
    assert_eq!(linked, 2);
}
