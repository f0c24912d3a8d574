//! Lists that change while they are read: records that are gone when a keyset is read on behind them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::Method;
use serde_json::{Value, json};

use crate::client::BOTH;
use crate::proxy::{Proxy, collection, run};
use crate::streams::ask;
use crate::upstream::{Asked, Reply, Upstream, answer};

pub(super) const SIZE: usize = 20;

/// The end of the list that settles has been asked for again.
static READ_AGAIN: AtomicBool = AtomicBool::new(false);

/// Ids from 1 on, but for these.
pub(super) fn ids(records: usize, gone: &[usize]) -> Vec<usize> {
    (1..=records).filter(|id| !gone.contains(id)).collect()
}

pub(super) fn number(asked: &Asked, name: &str) -> Option<usize> {
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.map(|value| value.parse().unwrap())
}

pub(super) fn page(ids: &[usize]) -> String {
    json!({ "data": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<Value>>() }).to_string()
}

pub(super) fn lines(ids: &[usize]) -> String {
    ids.iter().map(|id| format!("{{\"id\":{id}}}\n")).collect()
}

/// An upstream that looks the record of a key up: behind one that is gone nothing follows. Record 60 goes when it has been read.
async fn looking_up() -> Upstream {
    Upstream::scripted(0, |asked, _| {
        let after = number(asked, "starting_after");
        let list = ids(399, if after.is_some_and(|after| after >= 59) { &[60] } else { &[] });
        let from = match after {
            None => Some(0),
            Some(after) => list.iter().position(|id| *id == after).map(|at| at + 1),
        };
        let window = from.map_or(&[][..], |from| &list[from..list.len().min(from + SIZE)]);
        Reply::json(page(window))
    })
    .await
}

pub(super) const OFFSET: &str = "{ type = \"offset\", param = \"offset\" }";

const KEYSET: &str = "{ type = \"keyset\", key = \"id\", param = \"starting_after\" }";

#[tokio::test]
async fn a_record_that_is_gone_when_a_keyset_is_read_on_behind_it_costs_no_other() {
    let upstream = looking_up().await;
    let toml = collection(&upstream.url(), &format!("records = \"data\"\npagination = {KEYSET}"));
    let proxy = Proxy::start(&toml).await;
    for version in BOTH {
        let received = ask(version, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.whole(), lines(&ids(399, &[])));
    }
    let url = format!("{}/orders", upstream.url());
    let arguments =
        ["fetch", &url, "--records", "data", "--key", "id", "--pagination", KEYSET, "--consistency", "repair"];
    let fetched = run(arguments).await;
    let said = String::from_utf8_lossy(&fetched.stderr);
    assert_eq!((fetched.status.code(), fetched.stdout), (Some(0), lines(&ids(399, &[])).into_bytes()), "{said}");
    assert!(said.contains("mended: records moved 1 time; 0 pages read again, 1 step back"), "{said}");
}

#[tokio::test]
async fn keys_that_tie_or_fall_are_named() {
    for (key, first, told) in [
        ("n", json!([{"n": 1}, {"n": 2, "x": 1}, {"n": 2, "x": 2}]), "two records of the page have the same `n`, 2,"),
        (
            "n",
            (1..12).chain([4]).map(|n| json!({ "n": n })).collect(),
            "the keys at `n` are in no order: 4 came after 11",
        ),
    ] {
        let body = json!({ "data": first }).to_string();
        let upstream = Upstream::scripted(0, move |_, _| Reply::json(body.clone())).await;
        let url = format!("{}/orders", upstream.url());
        let pagination = format!("{{ type = \"keyset\", key = \"{key}\", param = \"after\" }}");
        let fetched = run(["fetch", &url, "--records", "data", "--pagination", &pagination]).await;
        let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
        assert!(fetched.status.code() == Some(2) && said.contains(told) && said.contains("\nhint: "), "{said}");
    }
}

/// Runs `fetch` of a keyset or cursor with these arguments; returns its exit code, its lines, and its last words.
async fn fetched(url: &str, pagination: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let arguments = ["fetch", url, "--records", "data", "--pagination", pagination];
    let output = run(arguments.iter().chain(more).copied()).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_number_is_sent_as_its_page_spells_it() {
    const KEYS: [&str; 6] = ["1e2", "2E2", "3.0e+2", "4e02", "500", "6e2"];
    for (encode, keys) in
        [("", "\"id\""), (", encode = \"json\"", "\"id\""), (", encode = \"json\"", "[\"id\", \"n\"]")]
    {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let query = asked.target.split_once('?').map_or("", |(_, query)| query);
            let after = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "after");
            let spelled = |key: &str| if keys.starts_with('[') { format!("[{key},7]") } else { key.to_owned() };
            let from = after.map(|(_, after)| KEYS.iter().position(|key| spelled(key) == after));
            // Behind a key that it does not know, this upstream has nothing.
            let from = from.map_or(0, |at| at.map_or(KEYS.len(), |at| at + 1));
            let records: Vec<_> = KEYS[from..].iter().take(2).map(|key| format!("{{\"id\":{key},\"n\":7}}")).collect();
            Reply::json(format!("{{\"data\":[{}]}}", records.join(",")))
        })
        .await;
        let pagination =
            format!("{{ type = \"keyset\", key = {keys}, param = \"after\", anchor = \"compared\"{encode} }}");
        let (code, lines, said) = fetched(&format!("{}/orders", upstream.url()), &pagination, &[]).await;
        assert_eq!((code, lines.lines().count()), (Some(0), KEYS.len()), "{said}");
        assert_eq!(upstream.asked().len(), 4);
    }
}

#[tokio::test]
async fn a_page_that_may_be_the_first_again_proves_no_end() {
    for records in [1, 2] {
        let upstream = Upstream::scripted(0, move |_, _| Reply::json(page(&ids(records, &[])))).await;
        let url = format!("{}/orders", upstream.url());
        for consistency in ["detect", "repair", "none"] {
            for overlap in [0, 1] {
                for size in [&[][..], &["--page-size", "{ param = \"limit\", value = 100 }"]] {
                    let pagination =
                        format!("{{ type = \"keyset\", key = \"id\", param = \"after\", overlap = {overlap} }}");
                    let level = ["--key", "id", "--consistency", consistency];
                    let (code, _, said) = fetched(&url, &pagination, &[&level, size].concat()).await;
                    let case = format!("{records} {consistency} {overlap} {size:?}: {said}");
                    // A page of one record is hardly one that was cut where a hundred were asked for, or where the record behind
                    // which a page stands is its first one: by pages of one record no such list could be read.
                    let is_short = records == 1 && (!size.is_empty() || overlap == 1);
                    if is_short {
                        assert!(code == Some(0) && said.contains("; unverified: "), "{case}");
                    } else {
                        assert!(matches!(code, Some(2..=5)) && said.contains("after"), "{case}");
                    }
                }
            }
        }
        assert!(upstream.asked().len() >= 24);
    }
}

#[tokio::test]
async fn a_list_of_one_record_ends_where_its_key_is_heeded() {
    for lookup in [true, false] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            Reply::json(page(if number(asked, "after").is_none() { &[1] } else { &[] }))
        })
        .await;
        let anchor = if lookup { "looked_up" } else { "compared" };
        let pagination = format!("{{ type = \"keyset\", key = \"id\", param = \"after\", anchor = \"{anchor}\" }}");
        let level = ["--key", "id", "--consistency", "repair"];
        let (code, lines, said) = fetched(&format!("{}/orders", upstream.url()), &pagination, &level).await;
        assert!(code == Some(0) && lines == "{\"id\":1}\n" && said.contains("; steady: "), "{said}");
    }
}

#[tokio::test]
async fn the_end_of_a_list_that_settles_has_its_late_records() {
    const START: u64 = 1_760_000_000;
    let upstream = Upstream::scripted(0, |asked, _| {
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        let after = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "after");
        let after = after.map_or((0, 0), |(_, after)| serde_json::from_str::<(u64, u64)>(&after).unwrap());
        let mut list: Vec<(u64, u64)> = (1..=5).map(|id| (START + id, id)).collect();
        if asked.attempt > 1 || after != (START + 2, 2) && READ_AGAIN.load(Ordering::Relaxed) {
            READ_AGAIN.store(true, Ordering::Relaxed);
            list = [list, vec![(START + 3, 9), (START + 6, 10)]].concat();
            list.sort_unstable();
        }
        let records = list.into_iter().filter(|record| *record > after).take(2);
        let records: Vec<_> = records.map(|(at, id)| format!("{{\"id\":{id},\"at\":{at}}}")).collect();
        let age = if READ_AGAIN.load(Ordering::Relaxed) { 7 } else { 4 };
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(START + age));
        let fields = [("content-type", "application/json"), ("date", &date)];
        Reply::Whole(answer(200, &fields, format!("{{\"data\":[{}]}}", records.join(","))))
    })
    .await;
    let pagination =
        "{ type = \"keyset\", key = [\"at\", \"id\"], param = \"after\", encode = \"json\", anchor = \"compared\" }";
    let url = format!("{}/orders", upstream.url());
    let (code, lines, said) = fetched(&url, pagination, &["--key", "id", "--settle", "50ms"]).await;
    let ids: Vec<_> = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!((code, &ids), (Some(0), &vec![json!(1), json!(2), json!(3), json!(4), json!(5), json!(9)]), "{said}");
    assert!(said.contains("an empty page past the last; settled up to 2025-10-09T08:53:25Z"), "{said}");
    assert!(said.contains("1 late insert seen"), "{said}");
    assert_eq!(upstream.asked().len(), 7);
    for (key, told) in [
        ("[\"n\", \"id\"]", "`n`, by which the list is to settle, should be a time"),
        ("[\"down\", \"id\"]", "the times at `down` fall"),
    ] {
        let upstream = Upstream::scripted(0, |_, _| {
            Reply::json(format!(
                "{{\"data\":[{{\"id\":1,\"n\":7,\"down\":{START}}},{{\"id\":2,\"n\":8,\"down\":{}}}]}}",
                START - 1
            ))
        })
        .await;
        let pagination = format!("{{ type = \"keyset\", key = {key}, param = \"after\", encode = \"json\" }}");
        let (code, _, said) = fetched(&format!("{}/orders", upstream.url()), &pagination, &["--settle", "50ms"]).await;
        assert!(code == Some(2) && said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn a_misspelled_parameter_of_a_token_is_named() {
    for (grows, told) in [
        (false, "the page repeats the records of page 1, as if the upstream ignored `cursr`"),
        (true, "the next token is the one that was just sent, as if the upstream ignored `cursr`"),
    ] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let first = if grows { asked.attempt * 100 + asked.page } else { 1 };
            Reply::json(format!("{{\"data\":[{{\"id\":{first}}},{{\"id\":2}}],\"next\":\"b\"}}"))
        })
        .await;
        let url = format!("{}/orders", upstream.url());
        for same_token in ["", ", same_token = \"end\""] {
            let pagination = format!("{{ type = \"cursor\", next = \"next\", param = \"cursr\"{same_token} }}");
            let (code, _, said) = fetched(&url, &pagination, &[]).await;
            if grows && !same_token.is_empty() {
                assert!(code == Some(4) && said.contains("`cursr`"), "{said}");
            } else {
                assert!(code == Some(4) && said.contains(told), "{said}");
            }
            assert!(
                same_token.is_empty() || !said.contains("set same_token = \"end\""),
                "a hint that is followed already: {said}"
            );
        }
    }
}

#[tokio::test]
async fn a_list_that_is_not_watched_says_so() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let offset = number(asked, "offset").unwrap_or(0);
        let list = ids(50, &[]);
        Reply::json(page(list.get(offset..list.len().min(offset + SIZE)).unwrap_or_default()))
    })
    .await;
    let url = format!("{}/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--pagination", OFFSET, "--consistency", "none"];
    let said = String::from_utf8(run(arguments).await.stderr).unwrap();
    assert!(said.contains("; unverified: not watched, as configured"), "{said}");
}
