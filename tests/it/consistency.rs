//! Lists that change while they are read: records that are gone when a keyset is read on behind them.

use http::Method;
use serde_json::{Value, json};

use crate::client::BOTH;
use crate::proxy::{Proxy, collection, run};
use crate::streams::ask;
use crate::upstream::{Asked, Reply, Upstream};

pub(super) const SIZE: usize = 20;

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
