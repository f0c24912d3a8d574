//! Pages as they arrive: a record leaves before its page is whole, the next page is asked for as soon as it is known, and a
//! page that breaks off continues where it was.

use std::process::Stdio;
use std::sync::Arc;

use http::Method;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use super::client::{self, BOTH, Received, Version};
use super::endings::assert_told;
use super::proxy::{Proxy, binary, collection};
use super::streams::ask;
use super::upstream::{Gate, Part, Reply, Upstream, answer};

const CURSOR: &str = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"after\" }";

/// Largest number of pages in flight.
const WIDTH: usize = 6;

fn send(text: impl Into<String>) -> Part {
    Part::Send(text.into())
}

/// The records with these numbers, as they stand in an array.
fn records(ids: impl IntoIterator<Item = usize>) -> String {
    let records: Vec<_> = ids.into_iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    records.join(",")
}

/// The same as a stream has them.
fn lines(ids: impl IntoIterator<Item = usize>) -> String {
    ids.into_iter().map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

/// The number of the page that was asked for, from 1: its token.
fn number(target: &str) -> usize {
    target.split_once("after=").map_or(1, |(_, token)| token.parse().unwrap())
}

/// Waits until all that the proxy would have sent before has arrived: what it is asked now, it sends later.
pub(super) async fn settled(proxy: &Proxy) {
    for _ in 0..20 {
        client::receive(Version::Http1, proxy.address, client::get("/ping", "*/*")).await;
    }
}

pub(super) fn asked(upstream: &Upstream) -> usize {
    upstream.asked().iter().filter(|asked| asked.target != "/ping").count()
}

#[tokio::test]
async fn a_record_leaves_before_its_page_is_whole() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |_, _| {
            let (start, end) = (format!("{{\"data\":[{},", records(1..=2)), "{\"id\":3}],\"next\":null}");
            let length = start.len() + end.len();
            Part::answer("", length, [send(start), Part::Wait(held.clone()), send(end)])
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
        let mut response = client::send(version, proxy.address, client::stream("/")).await;
        let first = client::lines(response.body_mut(), 1).await;
        gate.open();
        let rest = Received::read(response).await;
        assert_eq!([first, rest.body.clone()].concat(), lines(1..=3).as_bytes());
        assert!(rest.broken.is_none(), "{version:?}");
    }
}

/// Early next addresses: the bytes that a page sends before it waits, and after that.
type Pointing = fn(usize, Option<usize>) -> (String, String, String);

const POINTING: [(&str, &str, Pointing); 3] = [
    ("a Link header", "records = \"$\"\npagination = \"link_header\"", |page, next| {
        let link = next.map(|next| format!("link: </?after={next}>; rel=\"next\"\r\n")).unwrap_or_default();
        (link, String::new(), format!("[{}]", records([page])))
    }),
    ("a token before the records", CURSOR, |page, next| {
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        (String::new(), format!("{{\"next\":{next},\"data\":["), format!("{}]}}", records([page])))
    }),
    (
        "a URL and a flag before the records",
        "records = \"data\"\npagination = { type = \"next_url\", next = \"next\", more = { path = \"more\", while = true } }",
        |page, next| {
            let (url, more) = (next.map_or(String::new(), |next| format!("/?after={next}")), next.is_some());
            (
                String::new(),
                format!("{{\"next\":\"{url}\",\"more\":{more},\"data\":["),
                format!("{}]}}", records([page])),
            )
        },
    ),
];

#[tokio::test]
async fn the_next_page_is_asked_for_while_this_one_arrives() {
    const PAGES: usize = 20;
    for (name, config, pointing) in POINTING {
        // Each page waits for the request that it leads to.
        let gates: Arc<Vec<Gate>> = Arc::new((0..=PAGES).map(|_| Gate::default()).collect());
        gates[PAGES].open();
        let upstream = Upstream::scripted(0, move |asked, _| {
            let page = number(&asked.target);
            gates[page - 1].open();
            let (headers, start, end) = pointing(page, Some(page + 1).filter(|next| *next <= PAGES));
            let length = start.len() + end.len();
            Part::answer(&headers, length, [send(start), Part::Wait(gates[page].clone()), send(end)])
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), config)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert_eq!(received.whole(), lines(1..=PAGES), "{name}");
        assert_eq!(asked(&upstream), PAGES, "{name}");
    }
}

/// An upstream of this many pages whose bodies all wait at gates of their own, with a `Link` in their heads.
async fn held(pages: usize) -> (Upstream, Arc<Vec<Gate>>) {
    let gates: Arc<Vec<Gate>> = Arc::new((0..=pages).map(|_| Gate::default()).collect());
    let own = Arc::clone(&gates);
    let upstream = Upstream::scripted(0, move |asked, _| {
        if asked.target == "/ping" {
            return Reply::json("{}");
        }
        let page = number(&asked.target);
        let next = if page < pages { format!("link: </?after={}>; rel=next\r\n", page + 1) } else { String::new() };
        let (start, end) = (format!("[{}", records([page * 2])), format!(",{}]", records([page * 2 + 1])));
        Part::answer(&next, start.len() + end.len(), [send(start), Part::Wait(own[page].clone()), send(end)])
    })
    .await;
    (upstream, gates)
}

const LINK: &str = "records = \"$\"\npagination = \"link_header\"";

#[tokio::test]
async fn so_many_pages_are_in_flight_and_no_more() {
    let (upstream, gates) = held(12).await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINK)).await;
    let response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
    gates[WIDTH].reached().await;
    settled(&proxy).await;
    assert_eq!(asked(&upstream), WIDTH);
    // They may become whole in any order.
    gates.iter().rev().for_each(Gate::open);
    assert_eq!(Received::read(response).await.whole(), lines(2..=25));
    assert_eq!(asked(&upstream), 12);
}

#[tokio::test]
async fn a_client_that_leaves_takes_all_pages_in_flight_along() {
    for version in BOTH {
        let (upstream, gates) = held(12).await;
        let proxy = Proxy::start(&collection(&upstream.url(), LINK)).await;
        let response = client::send(version, proxy.address, client::stream("/")).await;
        for gate in &gates[1..=WIDTH] {
            gate.reached().await;
        }
        drop(response);
        for gate in &gates[1..=WIDTH] {
            gate.left().await;
        }
        settled(&proxy).await;
        assert_eq!(asked(&upstream), WIDTH);
    }
}

#[tokio::test]
async fn pages_in_flight_are_read_while_the_client_reads_nothing() {
    // More than the stream's window and all sockets on the way hold.
    const FIRST: usize = 2_000_000;
    let gates: Arc<Vec<Gate>> = Arc::new((0..=4).map(|_| Gate::default()).collect());
    let own = Arc::clone(&gates);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let page = number(&asked.target);
        let next = format!("</?after={}>; rel=next", page + 1);
        let link = if page < 4 { vec![("link", next.as_str())] } else { Vec::new() };
        let ids = if page == 1 { 1..=FIRST } else { FIRST + page..=FIRST + page };
        let whole = Reply::Whole(answer(200, &link, format!("[{}]", records(ids))));
        if page == 1 { whole } else { own[page].before(whole) }
    })
    .await;
    let config = format!("retry = {{ attempts = 1 }}\n{LINK}");
    let proxy = Proxy::start(&collection(&upstream.url(), &config)).await;
    let response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
    // Each page leads to the next one before the client has read a byte of the first.
    for gate in &gates[2..] {
        gate.reached().await;
        gate.open();
    }
    let received = Received::read(response).await;
    let whole = [lines(1..=FIRST), lines(FIRST + 2..=FIRST + 4)].concat();
    assert!(received.whole() == whole, "{} of {} bytes", received.body.len(), whole.len());
    assert_eq!(asked(&upstream), 4);
}

#[tokio::test]
async fn a_guess_asks_for_nothing_ahead_until_it_has_held() {
    let gates: Arc<Vec<Gate>> = Arc::new((0..=12).map(|_| Gate::default()).collect());
    let own = Arc::clone(&gates);
    gates[1].open();
    let upstream = Upstream::scripted(0, move |asked, _| {
        if asked.target == "/ping" {
            return Reply::json("{}");
        }
        let page = number(&asked.target);
        let next = if page < 12 { format!("\"/?after={}\"", page + 1) } else { "null".to_owned() };
        let (start, end) = (format!("{{\"next\":{next},\"data\":["), format!("{}]}}", records([page])));
        Part::answer("", start.len() + end.len(), [send(start), Part::Wait(own[page].clone()), send(end)])
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), "pagination = \"auto\"")).await;
    let asking = tokio::spawn(client::send(Version::Http1, proxy.address, client::stream("/")));
    gates[2].reached().await;
    settled(&proxy).await;
    assert_eq!(asked(&upstream), 2);
    gates[2].open();
    // It has held: now the others may come early, in any order.
    gates[2 + WIDTH].reached().await;
    gates.iter().rev().for_each(Gate::open);
    let received = Received::read(asking.await.unwrap()).await;
    assert_eq!(received.whole(), lines(1..=12));
    assert_eq!(asked(&upstream), 12);
}

#[tokio::test]
async fn a_fetch_of_so_many_records_asks_for_nothing_ahead() {
    let (upstream, gates) = held(12).await;
    let mut command = binary();
    let url = format!("{}/", upstream.url());
    command.args(["fetch", &url, "--records", "$", "--pagination", "link_header", "--max-records", "1"]);
    let fetching = tokio::spawn(async move { command.output().await.unwrap() });
    gates[1].reached().await;
    gates[1].open();
    assert_eq!(fetching.await.unwrap().stdout, lines([2]).as_bytes());
    // The crawl may have gone on to the second page, before it was told that this was enough.
    assert!(asked(&upstream) <= 2, "{}", asked(&upstream));
}

#[tokio::test]
async fn a_page_whose_records_come_last_is_not_read_whole_before_its_turn() {
    const PAD: usize = 24 << 20;
    let (first, second) = (Gate::default(), Gate::default());
    let own = [first.clone(), second.clone()];
    let upstream = Upstream::scripted(0, move |asked, _| {
        if asked.target == "/ping" {
            return Reply::json("{}");
        }
        let page = number(&asked.target);
        let link = if page == 1 { "link: </?after=2>; rel=next\r\n" } else { "" };
        let pad = if page == 1 { 1 } else { PAD };
        let (start, end) = (format!("[[{}],", vec!["0"; pad / 2 + 1].join(",")), format!("[{}]]", records([page])));
        let length = start.len() + end.len();
        Part::answer(link, length, [send(start), Part::Wait(own[page - 1].clone()), send(end)])
    })
    .await;
    let config = "records = \"$[-1]\"\npagination = \"link_header\"";
    let proxy = Proxy::start(&collection(&upstream.url(), config)).await;
    let asking = tokio::spawn(client::send(Version::Http1, proxy.address, client::stream("/")));
    first.reached().await;
    settled(&proxy).await;
    // The gate is behind what all sockets on the way hold.
    assert!(futures_util::poll!(Box::pin(second.reached())).is_pending());
    first.open();
    second.open();
    assert_eq!(Received::read(asking.await.unwrap()).await.whole(), lines(1..=2));
    assert_eq!(asked(&upstream), 2);
}

#[tokio::test]
async fn a_head_request_asks_for_nothing_ahead() {
    let (upstream, gates) = held(3).await;
    let proxy = Proxy::start(&collection(&upstream.url(), LINK)).await;
    let mut request = client::stream("/");
    *request.method_mut() = Method::HEAD;
    let received = client::receive(Version::Http1, proxy.address, request).await;
    assert_eq!(received.head.status, 200);
    gates[1].left().await;
    assert_eq!(asked(&upstream), 1);
}

#[tokio::test]
async fn values_behind_the_records_of_a_page_are_waited_for() {
    let after = "\"next\":\"2\"";
    let flag = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"after\", more = { path = \"more\", while = true } }";
    let sources =
        "records = \"data\"\npagination = { type = \"cursor\", next = [\"better\", \"next\"], param = \"after\" }";
    for (config, before, after, pages) in [
        (CURSOR, "", after, 2),
        // The flag outranks the token: there is no second page.
        (flag, "\"next\":\"2\",", "\"more\":false", 1),
        // The better token is the one that counts, and leads to the end.
        (sources, "\"next\":\"nowhere\",", "\"better\":\"2\"", 2),
    ] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match asked.target.as_str() {
            "/" => {
                let (start, end) =
                    (format!("{{{before}\"data\":[{},", records(1..=2)), format!("{}],{after}}}", records([3])));
                Part::answer("", start.len() + end.len(), [send(start), Part::Wait(held.clone()), send(end)])
            }
            "/?after=2" => Reply::json(format!("{{\"data\":[{}]}}", records([4]))),
            _ => Reply::json("{}"),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), config)).await;
        let mut response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
        let first = client::lines(response.body_mut(), 1).await;
        settled(&proxy).await;
        assert_eq!(asked(&upstream), 1, "{after}");
        gate.open();
        let rest = Received::read(response).await;
        assert_eq!([first.as_slice(), rest.whole().as_bytes()].concat(), lines(1..=2 + pages).as_bytes(), "{after}");
        assert_eq!(asked(&upstream), pages, "{after}");
    }
}

#[tokio::test]
async fn an_empty_page_ends_the_crawl_before_the_next_is_requested() {
    let config = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"after\", end = \"empty_page\" }";
    let upstream = Upstream::scripted(0, |asked, _| {
        let page = number(&asked.target);
        let data = if page < 5 { records([page]) } else { String::new() };
        Reply::json(format!("{{\"next\":\"{}\",\"data\":[{data}]}}", page + 1))
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), config)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
    assert_eq!(received.whole(), lines(1..=4));
    assert_eq!(asked(&upstream), 5);
}

#[tokio::test]
async fn a_page_that_came_early_counts_for_nothing_if_the_one_before_is_bad() {
    // The first page waits until the second one is whole, and then says that it failed.
    let config = format!("error_path = \"error\"\n{CURSOR}");
    for end in ["\"error\":\"partial\"", "\"next\":\"3\""] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match number(&asked.target) {
            _ if asked.target == "/ping" => Reply::json("{}"),
            1 => {
                let (start, end) =
                    (format!("{{\"next\":\"2\",\"data\":[{},", records(1..=2)), format!("{}],{end}}}", records([3])));
                Part::answer("", start.len() + end.len(), [send(start), Part::Wait(held.clone()), send(end)])
            }
            _ => Reply::json(format!("{{\"data\":[{}]}}", records([4]))),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), &config)).await;
        let mut response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
        assert_eq!(response.status(), 200);
        let mut body = client::lines(response.body_mut(), 1).await;
        settled(&proxy).await;
        assert_eq!(asked(&upstream), 2);
        gate.open();
        let rest = Received::read(response).await;
        assert_told(&rest, Version::Http1, end);
        body.extend(rest.body);
        assert_eq!(String::from_utf8(body).unwrap(), "{\"id\":1}\n{\"id\":2", "{end}");
    }
}

#[tokio::test]
async fn a_circle_of_early_tokens_is_an_error() {
    for length in 1..=4 {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let page = number(&asked.target);
            let next = if page < length { page + 1 } else { 2.min(length) };
            Reply::json(format!("{{\"next\":\"{next}\",\"data\":[{}]}}", records([page])))
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert!(received.broken.is_some() || received.head.status == 502, "{length}");
        assert!(lines(1..=length).as_bytes().starts_with(&received.body) || received.head.status == 502, "{length}");
        assert!(asked(&upstream) <= length + 1, "{length}: {}", asked(&upstream));
    }
}

#[tokio::test]
async fn a_page_that_repeats_an_earlier_one_gives_nothing_however_slowly_it_comes() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(0, move |asked, _| match asked.page {
        1 => Reply::json(format!("[{}]", records(1..=4))),
        _ => {
            let (start, end) = (format!("[{},", records(1..=3)), format!("{}]", records([4])));
            Part::answer("", start.len() + end.len(), [send(start), Part::Wait(held.clone()), send(end)])
        }
    })
    .await;
    let lines_of = "records = \"$\"\npagination = { type = \"page\", param = \"page\" }";
    let proxy = Proxy::start(&collection(&upstream.url(), lines_of)).await;
    let response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
    gate.reached().await;
    gate.open();
    let received = Received::read(response).await;
    assert_told(&received, Version::Http1, "repeated");
    assert_eq!(received.body, lines(1..=4).strip_suffix("}\n").unwrap().as_bytes());
}

/// The second page of two.
const PAGE: &str = "{\"data\":[{\"id\":3},{\"id\":4},{\"id\":5}]}";

/// An upstream whose second page breaks off after `cut` bytes, when the gate is opened, and is `again` the next time.
async fn breaking(cut: usize, again: &'static str, gate: Gate) -> Upstream {
    Upstream::scripted(0, move |asked, _| match (number(&asked.target), asked.attempt) {
        (1, _) => Reply::json(format!("{{\"data\":[{}],\"next\":\"2\"}}", records(1..=2))),
        (_, 1) => Part::answer("", PAGE.len(), [send(&PAGE[..cut]), Part::Wait(gate.clone())]),
        _ => Reply::json(again),
    })
    .await
}

/// Number of records that have certainly ended in this prefix of the page.
fn ended(cut: usize) -> usize {
    PAGE[..cut].matches("},").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_breaks_off_goes_on_where_it_was() {
    let mut cases = tokio::task::JoinSet::new();
    for cut in 0..=PAGE.len() - 1 {
        cases.spawn(async move {
            let gate = Gate::default();
            let upstream = breaking(cut, PAGE, gate.clone()).await;
            let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
            let mut response = client::send(Version::Http2, proxy.address, client::stream("/")).await;
            // It breaks off when the client has what came of it, but for the end of the last record.
            let first = client::lines(response.body_mut(), 1 + ended(cut)).await;
            gate.reached().await;
            gate.open();
            let rest = Received::read(response).await;
            assert_eq!([first.as_slice(), rest.whole().as_bytes()].concat(), lines(1..=5).as_bytes(), "cut at {cut}");
            assert_eq!(upstream.asked().len(), 3);
        });
    }
    assert_eq!(cases.join_all().await.len(), PAGE.len());
}

#[tokio::test]
async fn a_page_that_has_changed_since_breaks_the_stream() {
    for again in [
        "{\"data\":[{\"id\":4},{\"id\":5}]}",
        "{\"data\":[{\"id\":3},{\"id\":44},{\"id\":5}]}",
        "{\"data\":[{\"id\":3}]}",
        "{\"data\":[]}",
    ] {
        let cut = PAGE.len() - 5;
        let gate = Gate::default();
        let upstream = breaking(cut, again, gate.clone()).await;
        let url = format!("{}/", upstream.url());
        let pagination = "{ type = \"cursor\", next = \"next\", param = \"after\" }";
        let mut command = binary();
        command.args(["fetch", &url, "--records", "data", "--pagination", pagination]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut written = String::new();
        for _ in 0..3 {
            stdout.read_line(&mut written).await.unwrap();
        }
        gate.open();
        stdout.read_to_string(&mut written).await.unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(written, "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n{\"id\":4", "{again}");
        assert_eq!(child.wait().await.unwrap().code(), Some(5), "{said}");
        let message = "the page changed between two attempts, after 2 of its records had been read";
        assert!(said.contains("error: page 2 of ") && said.contains(message), "{said}");
    }
}

#[tokio::test]
async fn a_page_that_is_gone_when_it_is_asked_again_is_no_end() {
    for config in [
        "pagination = { type = \"page\", param = \"after\", start = 1, end = { status = 404 } }",
        "total = \"total\"\npagination = { type = \"page\", param = \"after\", start = 1 }",
    ] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match (number(&asked.target), asked.attempt) {
            (1, _) => Reply::json(format!("{{\"total\":2,\"data\":[{}]}}", records(1..=2))),
            (_, 1) => Part::answer("", PAGE.len(), [send(&PAGE[..30]), Part::Wait(held.clone())]),
            _ => Reply::status(404),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), &format!("records = \"data\"\n{config}"))).await;
        let response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
        gate.reached().await;
        settled(&proxy).await;
        gate.open();
        let received = Received::read(response).await;
        assert_told(&received, Version::Http1, config);
        assert!(lines(1..=4).as_bytes().starts_with(&received.body), "{config}");
    }
}

#[tokio::test]
async fn a_page_that_began_and_is_refused_when_it_is_asked_again_is_no_end() {
    // What the first attempt brings after its head, before it breaks off.
    let begun = [
        "",
        "{",
        "{\"data\":[",
        "{\"data\":[{\"id\":3",
        "{\"data\":[{\"id\":3},{\"id\":4}",
        "{\"data\":[{\"id\":3},{\"id\":4},<html>502 Bad Gateway</html>",
    ];
    for config in [
        "width = 1\npagination = { type = \"page\", param = \"after\", start = 1, end = { status = 404 } }",
        "width = 1\ntotal = \"total\"\npagination = { type = \"page\", param = \"after\", start = 1 }",
    ] {
        for start in begun {
            let upstream = Upstream::scripted(0, move |asked, _| match (number(&asked.target), asked.attempt) {
                (1, _) => Reply::json(format!("{{\"total\":2,\"data\":[{}]}}", records(1..=2))),
                (_, 1) => Part::answer("", start.len() + 1, [send(start)]),
                _ => Reply::status(404),
            })
            .await;
            let proxy = Proxy::start(&collection(&upstream.url(), &format!("records = \"data\"\n{config}"))).await;
            let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
            assert_told(&received, Version::Http1, start);
            assert!(lines(1..=4).as_bytes().starts_with(&received.body), "{config} {start}");
            assert_eq!(asked(&upstream), 3, "{config} {start}");
        }
    }
}

#[tokio::test]
async fn a_page_that_had_a_part_of_a_record_is_not_empty_when_it_is_asked_again() {
    for start in ["{\"data\":[{\"id\":3", "{\"data\":[{\"id\":3},{\"id\":4},<html>502 Bad Gateway</html>"] {
        let upstream = Upstream::scripted(0, move |asked, _| match (number(&asked.target), asked.attempt) {
            (1, _) => Reply::json(format!("{{\"data\":[{}]}}", records(1..=2))),
            (_, 1) => Part::answer("", start.len() + 1, [send(start)]),
            _ => Reply::json("{\"data\":[]}"),
        })
        .await;
        let config = "width = 1\nrecords = \"data\"\npagination = { type = \"page\", param = \"after\", start = 1 }";
        let proxy = Proxy::start(&collection(&upstream.url(), config)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
        assert_told(&received, Version::Http1, start);
        assert!(lines(1..=4).as_bytes().starts_with(&received.body), "{start}");
        assert_eq!(asked(&upstream), 3, "{start}");
    }
}

#[tokio::test]
async fn silence_in_the_middle_of_a_page_is_a_fault_that_passes() {
    let upstream = breaking(PAGE.len() - 5, PAGE, Gate::default()).await;
    let limits = format!("timeouts = {{ connect = \"5s\", head = \"5s\", idle = \"100ms\" }}\n{CURSOR}");
    let proxy = Proxy::start(&collection(&upstream.url(), &limits)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/").await;
    assert_eq!(received.whole(), lines(1..=5));
    assert_eq!(asked(&upstream), 3);
}

#[tokio::test]
async fn a_first_page_that_breaks_off_after_its_first_records_breaks_the_stream() {
    for version in BOTH {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match asked.attempt {
            1 => Part::answer("", PAGE.len(), [send(&PAGE[..20]), Part::Wait(held.clone())]),
            _ => Reply::Whole(answer(403, &[], "no more")),
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
        let response = client::send(version, proxy.address, client::stream("/")).await;
        assert_eq!(response.status(), 200);
        gate.open();
        let received = Received::read(response).await;
        assert_told(&received, version, "the first page");
        assert_eq!(received.body, b"{\"id\":3");
        assert_eq!(asked(&upstream), 2);
    }
}

#[tokio::test]
async fn pages_that_wait_for_their_turn_are_bounded_in_memory_and_then_on_disk() {
    for (spool, most) in [("0", 20), ("40KiB", 35), ("1GiB", 62)] {
        let gate = Gate::default();
        let held = gate.clone();
        let upstream = Upstream::scripted(0, move |asked, _| match number(&asked.target) {
            _ if asked.target == "/ping" => Reply::json("{}"),
            page if page > 60 => Reply::json("[]"),
            page => {
                let padding = " ".repeat(4000);
                let reply = Reply::json(format!("[{{\"id\":{page},\"padding\":\"{padding}\"}}]"));
                if page == 2 { held.before(reply) } else { reply }
            }
        })
        .await;
        let lines = format!(
            "records = \"$\"\ncaps = {{ window = \"16KiB\", spool = \"{spool}\" }}\npagination = {{ type = \"page\", param = \"after\", start = 1 }}"
        );
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let response = client::send(Version::Http1, proxy.address, client::stream("/")).await;
        gate.reached().await;
        settled(&proxy).await;
        assert!((6..=most).contains(&asked(&upstream)), "{spool}: {}", asked(&upstream));
        gate.open();
        let received = Received::read(response).await;
        assert_eq!(received.whole().lines().count(), 60, "{spool}");
        for (index, line) in received.whole().lines().enumerate() {
            assert!(line.starts_with(&format!("{{\"id\":{},", index + 1)), "{spool}");
        }
    }
}
