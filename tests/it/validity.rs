//! One state of a collection in all of its pages, and what came since a record.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use unpage::config::{Config, Machine};
use unpage::crawl::{Crawl, Crawls};
use unpage::error::{Failure, Fault};
use unpage::pagination::PageRequest;
use unpage::pagination::verdict::Verdict;
use unpage::snapshot::{self, MemoryBudget, ReaderEvent};
use unpage::upstream::{Client, Governors};

use super::client::{self, Received, Version, stream};
use super::proxy::{Proxy, collection};
use super::upstream::{Asked, Reply, Upstream, answer};

/// 2020-01-01T00:00:01Z and a bit.
const TIME: Duration = Duration::from_millis(1_577_836_801_500);

/// A crawl of the collection that these lines make.
pub(super) fn crawl(upstream: &Upstream, query: &str, lines: &str) -> Crawl {
    let config =
        Config::read(&collection(&upstream.url(), lines), "", &Machine).unwrap_or_else(|told| panic!("{told}"));
    let collection = &config.collections[0];
    let url = format!("{}/list{query}", upstream.url()).parse().unwrap();
    Crawl {
        client: Client::new(Arc::clone(&collection.upstream), &Governors::default()).unwrap(),
        pagination: Arc::clone(&collection.pagination),
        caps: collection.caps.clone(),
        first: PageRequest { method: collection.method.clone(), ..PageRequest::get(url) },
        since: None,
        valid_at: Some(UNIX_EPOCH + TIME),
        width: 4,
        memory: MemoryBudget::unlimited(),
        crawls: Crawls::default(),
        parents: None,
    }
}

/// Outcome.
pub(super) async fn whole(crawl: Crawl) -> Result<(String, Verdict, Option<SystemTime>), Failure> {
    let opened = crawl.open().await?;
    let valid_at = opened.valid_at();
    let (writer, log) = snapshot::transient_log(1 << 20);
    let mut reader = log.reader(0, None).unwrap();
    tokio::spawn(opened.run(writer));
    let mut text = Vec::new();
    loop {
        match reader.next().await.map_err(|failure| (*failure).clone())? {
            ReaderEvent::Bytes(bytes) => text.extend_from_slice(&bytes),
            ReaderEvent::Complete(verdict) => return Ok((String::from_utf8(text).unwrap(), verdict, valid_at)),
            ReaderEvent::Stop => panic!("no end was given"),
        }
    }
}

/// Three pages that lead to each other by a link, a token and a number.
fn page(asked: &Asked, headers: &[(&str, &str)]) -> Reply {
    let number: u64 = asked.target.split("page=").nth(1).map_or(1, |rest| rest[..1].parse().unwrap());
    let next = if number < 3 { format!("\"/list?page={}\"", number + 1) } else { "null".to_owned() };
    let token = if number < 3 { (number + 1).to_string() } else { "null".to_owned() };
    let records = if number <= 3 { format!("{{\"id\":{number}}}") } else { String::new() };
    let body = format!("{{\"meta\":{{\"version\":\"v7\"}},\"data\":[{records}],\"next\":{next},\"token\":{token}}}");
    let mut fields = vec![("content-type", "application/json")];
    fields.extend_from_slice(headers);
    Reply::Whole(answer(200, &fields, body))
}

const LINK: &str = "records = \"data\"\npagination = { type = \"next_url\", next = \"next\" }\n";
const TOKEN: &str = "records = \"data\"\npagination = { type = \"cursor\", next = \"token\", param = \"page\" }\n";
const NUMBER: &str = "records = \"data\"\npagination = { type = \"page\", param = \"page\" }\n";
const ALL: &str = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n";

#[tokio::test]
async fn every_page_is_asked_for_as_of_one_time() {
    let upstream = Upstream::scripted(0, |asked, _| page(asked, &[])).await;
    for style in [LINK, TOKEN, NUMBER] {
        for (format, written) in [("", "2020-01-01T00%3A00%3A01Z"), (", format = \"unix\"", "1577836801")] {
            upstream.forget();
            let lines = format!("{style}valid_at = {{ param = \"validAt\", from = \"clock\"{format} }}");
            let (text, _, valid_at) = whole(crawl(&upstream, "?q=1", &lines)).await.unwrap();
            assert_eq!((text.as_str(), valid_at), (ALL, Some(UNIX_EPOCH + Duration::from_secs(1_577_836_801))));
            let asked = upstream.asked();
            assert!(asked.len() >= 3, "{asked:?}");
            let wanted = format!("validAt={written}");
            assert!(asked.iter().all(|asked| asked.target.contains(&wanted)), "{asked:?}");
        }
    }
    // Who names a time in the request wants that one.
    upstream.forget();
    let lines = format!("{LINK}valid_at = {{ param = \"validAt\", from = \"clock\" }}");
    let (text, _, valid_at) = whole(crawl(&upstream, "?validAt=2019", &lines)).await.unwrap();
    assert_eq!((text.as_str(), valid_at), (ALL, None));
    assert!(upstream.asked().iter().all(|asked| asked.target.contains("validAt=2019")));
}

#[tokio::test]
async fn the_first_pages_version_is_every_later_ones() {
    let upstream = Upstream::scripted(0, |asked, _| page(asked, &[("x-version", "h7")])).await;
    for style in [LINK, TOKEN, NUMBER] {
        for (from, version) in [("meta.version", "v=v7"), ("header:X-Version", "v=h7")] {
            upstream.forget();
            let lines = format!("{style}valid_at = {{ param = \"v\", from = \"{from}\" }}");
            let (text, ..) = whole(crawl(&upstream, "", &lines)).await.unwrap();
            assert_eq!(text, ALL);
            let asked = upstream.asked();
            assert!(asked.len() >= 3 && !asked[0].target.contains("v="), "{asked:?}");
            assert!(asked[1..].iter().all(|asked| asked.target.contains(version)), "{asked:?}");
        }
    }
    let lines = format!("{LINK}valid_at = {{ param = \"v\", from = \"meta.none\" }}");
    let failure = whole(crawl(&upstream, "", &lines)).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Configuration, "{failure}");
}

#[tokio::test]
async fn later_pages_are_asked_for_only_if_nothing_has_changed() {
    const CHANGED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
    const TODAY: (&str, &str) = ("date", "Thu, 02 Jan 2020 00:00:00 GMT");
    let cases = [
        (vec![("etag", "\"a\""), ("last-modified", CHANGED), TODAY], Some(("if-match", "\"a\""))),
        (vec![("etag", "W/\"a\""), ("last-modified", CHANGED), TODAY], Some(("if-unmodified-since", CHANGED))),
        (vec![("etag", "W/\"a\"")], None),
        (vec![], None),
    ];
    for (headers, condition) in cases {
        let upstream = Upstream::scripted(0, move |asked, _| page(asked, &headers)).await;
        for style in [LINK, TOKEN, NUMBER] {
            upstream.forget();
            let (text, ..) = whole(crawl(&upstream, "", &format!("{style}match = true"))).await.unwrap();
            assert_eq!(text, ALL);
            let asked = upstream.asked();
            assert!(asked.len() >= 3, "{asked:?}");
            for (at, asked) in asked.iter().enumerate() {
                for name in ["if-match", "if-unmodified-since"] {
                    let wanted = condition.filter(|(field, _)| at > 0 && *field == name).map(|(_, value)| value);
                    let found = asked.headers.get(name).map(|value| value.to_str().unwrap());
                    assert_eq!(found, wanted, "{name} of request {at} of {style}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_level_upstream_breaks_where_no_state_spans_the_pages() {
    const NONE: &str = "page 1 has neither a strong ETag nor a Last-Modified before the second of its Date";
    const OTHER: &str = "since a later answer has `etag: \"p2\"`";
    const REFUSED: &str = "since a later answer has no `etag`";
    let of_each_page = |asked: &Asked| match asked.target.contains("page=2") {
        true => page(asked, &[("etag", "\"p2\"")]),
        false => page(asked, &[("etag", "\"a\"")]),
    };
    let past_the_end = |asked: &Asked| match asked.target.contains("page=4") {
        true => Reply::status(404),
        false => page(asked, &[("etag", "\"a\"")]),
    };
    let by_status = NUMBER.replace(" }", ", end = { status = 404 } }");
    let untagged = Upstream::scripted(0, |asked, _| page(asked, &[("etag", "W/\"a\"")])).await;
    let tagged = Upstream::scripted(0, |asked, _| page(asked, &[("etag", "\"a\"")])).await;
    let apart = Upstream::scripted(0, move |asked, _| of_each_page(asked)).await;
    let refusing = Upstream::scripted(0, move |asked, _| past_the_end(asked)).await;
    let cases = [
        (&untagged, LINK, 1, Some(NONE)),
        (&untagged, NUMBER, 1, Some(NONE)),
        (&apart, TOKEN, 2, Some(OTHER)),
        (&refusing, by_status.as_str(), 4, Some(REFUSED)),
        (&tagged, LINK, 3, None),
    ];
    for (upstream, style, requests, broken) in cases {
        upstream.forget();
        let crawl = crawl(upstream, "", &format!("{style}match = true\nconsistency = \"upstream\""));
        let ended = whole(Crawl { width: 1, ..crawl }).await;
        assert_eq!(upstream.asked().len(), requests, "{style}");
        match (ended, broken) {
            (Ok((text, verdict, _)), None) => {
                assert_eq!((text.as_str(), verdict.consistency.word()), (ALL, "upstream"));
            }
            (Err(failure), Some(why)) => {
                assert!(failure.fault == Fault::Unproven && failure.message.contains(why), "{failure}");
                let levels = ["\"verify\"", "\"repair\"", "\"detect\""];
                assert!(levels.iter().all(|level| failure.hint.contains(level)), "{}", failure.hint);
            }
            (ended, _) => panic!("{style}: {ended:?}"),
        }
    }
    // One page is of one moment, whatever it names.
    let single = Upstream::scripted(0, |_, _| Reply::json(r#"{"data":[{"id":1}]}"#)).await;
    let (_, verdict, _) =
        whole(crawl(&single, "", &format!("{LINK}match = true\nconsistency = \"upstream\""))).await.unwrap();
    assert_eq!(verdict.consistency.word(), "snapshot");
}

#[tokio::test]
async fn an_end_by_a_status_is_given_without_regard_to_a_condition() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("page=4") {
        true => Reply::status(404),
        false => page(asked, &[("etag", "\"a\"")]),
    })
    .await;
    let by_status = NUMBER.replace(" }", ", end = { status = 404 } }");
    for (style, word) in [(LINK, "upstream"), (&by_status, "unverified")] {
        let (text, verdict, _) = whole(crawl(&upstream, "", &format!("{style}match = true"))).await.unwrap();
        assert_eq!((text.as_str(), verdict.consistency.word()), (ALL, word), "{verdict}");
    }
}

#[tokio::test]
async fn a_collection_that_changed_breaks_the_crawl() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("page=3") {
        true if asked.headers.contains_key("if-match") => Reply::status(412),
        _ => page(asked, &[("etag", "\"a\"")]),
    })
    .await;
    let failure = whole(crawl(&upstream, "", &format!("{LINK}match = true"))).await.unwrap_err();
    assert_eq!(failure.fault, Fault::Changed);
    assert!(failure.message.contains("the collection changed"), "{failure}");
    // Without the condition, 412 is a refusal as any other.
    let upstream = Upstream::scripted(0, |_, _| Reply::status(412)).await;
    let failure = whole(crawl(&upstream, "", &format!("{LINK}match = true"))).await.unwrap_err();
    assert!(matches!(failure.fault, Fault::RefusedClient(status) if status == 412), "{failure}");
}

#[tokio::test]
async fn one_request_tells_whether_a_collection_is_unchanged() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let same = |name, value| asked.headers.get(name).is_some_and(|found| found == value);
        if same("if-none-match", "\"a\"") || same("if-modified-since", "then") {
            return Reply::status(304);
        }
        page(asked, &[("etag", "\"b\"")])
    })
    .await;
    for style in [LINK, NUMBER, ""] {
        let crawl = crawl(&upstream, "", style);
        for (etag, modified, unchanged) in [
            (Some("\"a\""), None, true),
            (Some("\"a\""), Some("then"), true),
            (None, Some("then"), true),
            (Some("\"old\""), Some("then"), false),
        ] {
            upstream.forget();
            assert_eq!(crawl.unchanged(etag, modified).await.unwrap(), unchanged, "{etag:?} {modified:?}");
            assert_eq!(upstream.asked().len(), 1);
        }
        upstream.forget();
        assert!(!crawl.unchanged(None, None).await.unwrap());
        assert!(upstream.asked().is_empty());
    }
}

#[tokio::test]
async fn records_since_a_key_are_streamed_and_no_total_is_compared() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let after: u64 = asked.target.split("after=").nth(1).map_or(0, |rest| rest[..1].parse().unwrap());
        let ids: Vec<_> = (after + 1..=9).take(2).map(|id| format!("{{\"id\":{id}}}")).collect();
        Reply::json(format!("{{\"total\":9,\"data\":[{}]}}", ids.join(",")))
    })
    .await;
    let lines = "records = \"data\"\nkey = \"id\"\ntotal = \"total\"\nsince = { param = \"after\" }\n\
                 pagination = { type = \"keyset\", param = \"after\" }";
    let crawl = Crawl { since: Some("6".to_owned()), ..crawl(&upstream, "", lines) };
    let opened = crawl.clone().open().await.unwrap();
    assert!(!opened.starts_midway());
    let (text, verdict, _) = whole(crawl).await.unwrap();
    assert_eq!(text, "{\"id\":7}\n{\"id\":8}\n{\"id\":9}\n");
    assert!(verdict.records == 3 && verdict.proof.contains("`since`"), "{verdict}");
    assert!(upstream.asked()[0].target.contains("after=6"));
}

/// Answer of a proxy to this target with this `Accept-Datetime`.
async fn memento(upstream: &Upstream, lines: &str, target: &str, datetime: &str) -> Received {
    let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
    let mut request = stream(target);
    if !datetime.is_empty() {
        request.headers_mut().insert("accept-datetime", datetime.parse().unwrap());
    }
    client::receive(Version::Http1, proxy.address, request).await
}

#[tokio::test]
async fn memento_datetime_is_the_moment_that_was_requested() {
    const NOON: &str = "Sun, 06 Nov 1994 12:00:07 GMT";
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[1]")).await;
    let clock =
        |format| format!("records = \"$\"\npagination = \"none\"\nvalid_at = {{ param = \"as_of\", {format} }}");
    let second = clock("from = \"clock\"");
    let day = clock("from = \"clock\", format = \"date\"");
    let said = |received: &Received| received.header("memento-datetime").map(ToOwned::to_owned);
    for (lines, target, expected, asked) in [
        (&second, "/a", Some(NOON), "/a?as_of=1994-11-06T12%3A00%3A07Z"),
        (&day, "/a", Some("Sun, 06 Nov 1994 00:00:00 GMT"), "/a?as_of=1994-11-06"),
        (&second, "/a?as_of=2001", None, "/a?as_of=2001"),
    ] {
        upstream.forget();
        let received = memento(&upstream, lines, target, NOON).await;
        assert_eq!((received.whole(), said(&received).as_deref()), ("1\n", expected), "{lines} {target}");
        assert_eq!(received.header("link").is_some_and(|link| link.contains("original")), expected.is_some());
        assert_eq!(received.header("vary"), Some("accept, accept-encoding, accept-datetime"));
        assert_eq!(upstream.asked()[0].target, asked);
    }
    // Without a wish it is the clock's.
    let now = said(&memento(&upstream, &second, "/a", "").await).unwrap();
    assert!(
        SystemTime::now().duration_since(httpdate::parse_http_date(&now).unwrap()).unwrap() < Duration::from_secs(60)
    );
    let plain = memento(&upstream, "records = \"$\"\npagination = \"none\"", "/a", NOON).await;
    assert_eq!((said(&plain), plain.header("vary")), (None, Some("accept, accept-encoding")));
}

#[tokio::test]
async fn a_record_that_the_upstream_refuses_is_the_upstreams_refusal() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("after=nonsense") {
        true => Reply::status(404),
        false => Reply::json("[]"),
    })
    .await;
    let lines = "records = \"$\"\nkey = \"id\"\nsince = { param = \"after\" }\n\
                 pagination = { type = \"keyset\", param = \"after\" }";
    let refused = memento(&upstream, lines, "/a?_since=nonsense", "").await;
    assert_eq!(refused.head.status, 404);
    assert!(!refused.whole().contains("set end") && refused.whole().contains("`since`"), "{}", refused.whole());
    assert_eq!(memento(&upstream, lines, "/a?_since=7", "").await.whole(), "");
}
