//! Pools of credentials that are interchangeable: the budget of each member, and the member of a crawl whose cursors are bound to it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::header::HeaderValue;

use super::client::{self, Version};
use super::metrics;
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Asked, Gate, Reply, Upstream, answer};

const NUMBERED: &str = "records = \"items\"\npagination = { type = \"page\", param = \"page\", end = \"empty_page\" }";
const NEXT_URL: &str = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";
const ORDERS: &str = "/next_url/orders?page_size=50";

/// A pool of the keys `key-a` and `key-b`, each with a second field, in this folder.
fn pool(folder: &tempfile::TempDir, sticky: &str) -> String {
    format!("credentials = {{ pool = [{}]{sticky} }}", ["a", "b"].map(|name| pool_member(folder, name)).join(", "))
}

fn pool_of_three(folder: &tempfile::TempDir) -> String {
    format!("credentials = {{ pool = [{}] }}", ["a", "b", "c"].map(|name| pool_member(folder, name)).join(", "))
}

fn pool_member(folder: &tempfile::TempDir, name: &str) -> String {
    let file = folder.path().join(name);
    fs::write(&file, format!("key-{name}")).unwrap();
    let secret = format!("{{ file = {file:?} }}");
    format!(
        "[{{ header = {{ name = \"X-Key\", value = {secret} }} }}, {{ query = {{ name = \"member\", value = {secret} }} }}]"
    )
}

/// Member of a request, whose credentials are all that member's.
fn member(asked: &Asked) -> char {
    let key = asked.header("x-key").unwrap();
    assert!(asked.target.contains(&format!("member={key}")), "{} with {key}", asked.target);
    key.chars().last().unwrap()
}

fn members(upstream: &Upstream) -> String {
    upstream.asked().iter().map(member).collect()
}

/// Ten pages of five records, and an empty one.
fn numbered(asked: &Asked) -> http::Response<bytes::Bytes> {
    let page = asked.target.split(['?', '&']).find_map(|pair| pair.strip_prefix("page=")?.parse::<u64>().ok());
    let page = page.unwrap_or(1);
    let items: Vec<_> = (0..5).filter(|_| page <= 10).map(|at| page * 5 + at).collect();
    answer(200, &[], format!("{{\"items\":{items:?}}}"))
}

async fn stream(proxy: &Proxy, target: &str) -> usize {
    let received = client::receive(Version::Http1, proxy.address, client::stream(target)).await;
    received.whole().lines().count()
}

#[tokio::test]
async fn the_member_with_the_most_budget_left_takes_the_next_page() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| {
        let mut page = numbered(asked);
        let left = if member(asked) == 'a' { "0" } else { "9000" };
        let fields = page.headers_mut();
        fields.insert("x-ratelimit-limit", HeaderValue::from_static("10000"));
        fields.insert("x-ratelimit-remaining", HeaderValue::from_static(left));
        fields.insert("x-ratelimit-reset", HeaderValue::from_static("3600"));
        Reply::Whole(page)
    })
    .await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ""));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    assert_eq!(stream(&proxy, "/list").await, 50);
    assert_eq!(members(&upstream), "abbbbbbbbbb");
}

#[tokio::test]
async fn members_without_budgets_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| Reply::Whole(numbered(asked))).await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ""));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    assert_eq!(stream(&proxy, "/list").await, 50);
    let members = members(&upstream);
    assert!(members.matches('a').count() >= 4 && members.matches('b').count() >= 4, "{members}");
}

#[tokio::test]
async fn a_page_that_one_member_is_refused_for_its_pace_is_requested_with_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| match member(asked) {
        'a' => Reply::Whole(answer(429, &[("retry-after", "3600")], "")),
        _ => Reply::Whole(numbered(asked)),
    })
    .await;
    let lines = format!("{}\nwidth = 1\nretry = {{ base = \"1ms\" }}\n{NUMBERED}", pool(&folder, ""));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    assert_eq!(stream(&proxy, "/list").await, 50);
    assert_eq!(members(&upstream), "abbbbbbbbbbb");
}

#[tokio::test]
async fn a_page_that_one_member_is_refused_by_401_is_requested_once_with_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| match member(asked) {
        _ if asked.target.starts_with("/nobody") => Reply::status(401),
        'a' => Reply::status(401),
        _ => Reply::Whole(numbered(asked)),
    })
    .await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ""));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    // Where each is refused, none counts as refused.
    let target = "/nobody";
    let received = client::receive(Version::Http1, proxy.address, client::stream(target)).await;
    let said = String::from_utf8_lossy(&received.body).into_owned();
    assert_eq!(members(&upstream).len(), 2, "{said}");
    assert!(said.contains("(requested with credentials.pool[0], [1])") && !said.contains("key-"), "{said}");
    upstream.forget();
    assert_eq!(stream(&proxy, "/list").await, 50);
    assert_eq!(members(&upstream).matches('a').count(), 1);
    upstream.forget();
    // It is asked last, and so not for another crawl.
    assert_eq!(stream(&proxy, "/other").await, 50);
    assert_eq!(members(&upstream), "bbbbbbbbbbb");
}

/// A list of ten pages whose upstream refuses the members in this text.
async fn revoking(refused: &Arc<Mutex<&'static str>>) -> Upstream {
    let refused = Arc::clone(refused);
    Upstream::scripted(0, move |asked, _| match refused.lock().unwrap().contains(member(asked)) {
        true => Reply::status(401),
        false => Reply::Whole(numbered(asked)),
    })
    .await
}

/// Longest time of an answer that waits for nothing; a refusal counts for a minute.
const AT_ONCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn where_each_member_is_refused_the_stream_ends_at_once_with_all_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Arc::new(Mutex::new("a"));
    let upstream = revoking(&refused).await;
    let (process, admin) = metrics::serve(&upstream, &format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ""))).await;
    let receive = async |target| {
        let answer = client::receive(Version::Http1, process.address, client::stream(target));
        let received = tokio::time::timeout(AT_ONCE, answer).await.expect("it waits");
        let members: String = upstream.forget().iter().map(member).collect();
        (received, members)
    };
    let (received, members) = receive("/list").await;
    assert_eq!((received.whole().lines().count(), members.matches('a').count()), (50, 1));
    let member_refused = format!("unpage_upstream_member_held_seconds{{origin=\"{}\",member=\"0\"}}", upstream.url());
    let held = format!("unpage_upstream_held_seconds{{origin=\"{}\"}}", upstream.url());
    let samples = metrics::samples(admin).await;
    assert!(samples[&member_refused] > 30.0 && samples[&held] == 0.0, "{samples:?}");
    // The one that was accepted is refused, too: the other is asked again, since it may have another secret by now.
    *refused.lock().unwrap() = "ab";
    for target in ["/list?x=0", "/list?x=1", "/list?x=2"] {
        let (received, members) = receive(target).await;
        let said = String::from_utf8_lossy(&received.body).into_owned();
        assert_eq!((received.head.status.as_u16(), &*members), (401, "ba"), "{said}");
        assert!(said.contains("refuses the secret of credentials.pool[0], [1]: check the secret"), "{said}");
        assert!(said.contains("\"fault\": \"configuration\""), "{said}");
    }
    // The secret of the first one is mended, before its minute is over.
    *refused.lock().unwrap() = "b";
    let (received, members) = receive("/list?x=3").await;
    assert_eq!((received.whole().lines().count(), &*members), (50, "baaaaaaaaaaa"));
    process.signal(rustix::process::Signal::TERM);
    let (said, _) = process.end().await;
    assert!(said.contains("refuses credentials.pool[1] with 401") && !said.contains("asks for it"), "{said}");
}

#[tokio::test]
async fn a_crawl_goes_on_while_one_member_of_three_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = revoking(&Arc::new(Mutex::new("ab"))).await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool_of_three(&folder));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    assert_eq!(stream(&proxy, "/list").await, 50);
    assert_eq!(members(&upstream), "abccccccccccc");
}

#[tokio::test]
async fn a_url_that_all_are_refused_is_asked_of_two_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Arc::new(Mutex::new("abc"));
    let upstream = revoking(&refused).await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool_of_three(&folder));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let asked = async |request| {
        let status = client::receive(Version::Http1, proxy.address, request).await.head.status.as_u16();
        (status, upstream.forget().iter().map(member).collect::<String>())
    };
    assert_eq!(asked(client::stream("/list")).await, (401, "abc".to_owned()));
    for _ in 0..3 {
        let (status, members) = asked(client::stream("/list")).await;
        assert_eq!((status, members.len()), (401, 2), "{members}");
    }
    for (at, expected) in [3, 2, 2].into_iter().enumerate() {
        let (status, members) = asked(client::get("/passed", "application/json")).await;
        assert_eq!((status, members.len()), (401, expected), "request {at}: {members}");
    }
    for target in ["/other", "/list?org=2"] {
        let (status, members) = asked(client::stream(target)).await;
        assert_eq!((status, members.len()), (401, 3), "another one is asked of all: {members}");
    }
    // Of each two one is accepted.
    *refused.lock().unwrap() = "a";
    assert_eq!(asked(client::stream("/list")).await.0, 200);
}

#[tokio::test]
async fn a_crawl_whose_members_are_all_refused_is_resumed_once_one_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Arc::new(Mutex::new(""));
    let flag = Arc::clone(&refused);
    // The fourth page is the first one after which no secret is right.
    let upstream = Upstream::scripted(0, move |asked, _| {
        let mut refused = flag.lock().unwrap();
        if refused.is_empty() && asked.target.contains("page=4&") {
            *refused = "ab";
        }
        match refused.contains(member(asked)) {
            true => Reply::status(401),
            false => Reply::Whole(numbered(asked)),
        }
    })
    .await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ""));
    let toml = format!("[snapshots]\ndir = {:?}\n{}", folder.path().join("kept"), collection(&upstream.url(), &lines));
    let receive = async |process: &Process, target: &str| {
        let answer = client::receive(Version::Http1, process.address, client::stream(target));
        tokio::time::timeout(AT_ONCE, answer).await.expect("it waits")
    };
    let first = Process::serve(&toml).await;
    let broken = receive(&first, "/list").await;
    assert!(broken.broken.is_some(), "{broken:?}");
    let url = broken.head.headers["content-location"].to_str().unwrap().to_owned();
    first.signal(rustix::process::Signal::KILL);
    first.end().await;
    upstream.forget();
    let second = Process::serve(&toml).await;
    let still = receive(&second, &url).await;
    assert!(still.broken.is_some() && upstream.forget().len() == 2, "{still:?}");
    *refused.lock().unwrap() = "a";
    let resumed = receive(&second, &url).await;
    let records: Vec<u64> = resumed.whole().lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(records, (5..55).collect::<Vec<_>>());
    let asked: Vec<_> = upstream.forget().into_iter().map(|asked| asked.target).collect();
    assert!(asked.iter().all(|target| !["page=1&", "page=2&"].iter().any(|page| target.contains(page))), "{asked:?}");
}

#[tokio::test]
async fn a_crawl_that_is_bound_to_one_member_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    // No member opens the list of nobody; of any other one the first page alone is answered.
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.contains("page=1&") {
        true if !asked.target.starts_with("/nobody") => Reply::Whole(numbered(asked)),
        _ => Reply::status(401),
    })
    .await;
    let lines = format!("{}\nwidth = 1\n{NUMBERED}", pool(&folder, ", sticky = true"));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    for (target, is_opened) in [("/list", true), ("/nobody", false)] {
        let received = client::receive(Version::Http1, proxy.address, client::stream(&format!("{target}?x=1"))).await;
        let members: String = upstream.forget().iter().map(member).collect();
        let said = String::from_utf8_lossy(&received.body).into_owned();
        if is_opened {
            assert!(received.broken.is_some() && ["aa", "bb"].contains(&&*members), "{members}: {said}");
        } else {
            assert!(said.contains("refuses the secret of credentials.pool[0], [1]"), "{said}");
            assert!(["ab", "ba"].contains(&&*members), "{members}");
        }
    }
}

/// A list of two pages by the upstream's own addresses, where the member that asks first is refused for as long as the flag says.
async fn linked(gate: &Gate, is_revoked: &Arc<AtomicBool>) -> Upstream {
    let (gate, is_revoked, revoked) = (gate.clone(), Arc::clone(is_revoked), Arc::new(OnceLock::new()));
    Upstream::scripted(0, move |asked, _| {
        let of = member(asked);
        if *revoked.get_or_init(|| of) == of && is_revoked.load(Ordering::SeqCst) {
            return Reply::status(401);
        }
        // A cursor is worth nothing with the other member's credentials.
        match asked.target.split_once("cursor=").map(|(_, cursor)| cursor.starts_with(of)) {
            None => {
                let next =
                    format!("/list?cursor={of}&{}", asked.target.split_once('?').unwrap().1.replace("member", "m"));
                Reply::json(format!("{{\"results\":[1,2],\"next\":{next:?}}}"))
            }
            Some(true) if asked.target.contains("held") && asked.attempt == 1 => gate.before(Reply::status(503)),
            Some(true) => Reply::json("{\"results\":[3],\"next\":null}"),
            Some(false) => Reply::status(400),
        }
    })
    .await
}

#[tokio::test]
async fn a_crawl_whose_member_is_refused_before_its_first_page_keeps_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let is_revoked = Arc::new(AtomicBool::new(true));
    let upstream = linked(&Gate::default(), &is_revoked).await;
    let (mut process, _) = metrics::serve(&upstream, &format!("{}\n{NEXT_URL}", pool(&folder, ""))).await;
    let mut all = String::new();
    for number in 0..20 {
        let target = client::stream(&format!("/list?number={number}"));
        let received = client::receive(Version::Http1, process.address, target).await;
        assert_eq!(received.whole(), "1\n2\n3\n", "{number}");
        all.push_str(&members(&upstream));
        upstream.forget();
    }
    // Asked last for a minute, the refused member opens no other crawl.
    assert!(!all[1..].contains(&all[..1]), "{all}");
    let at = if all.starts_with('a') { 0 } else { 1 };
    process.has_said(&format!("refuses credentials.pool[{at}] with 401")).await;
}

#[tokio::test]
async fn a_crawl_that_keeps_an_unusual_member_is_resumed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, is_revoked) = (Gate::default(), Arc::new(AtomicBool::new(true)));
    let upstream = linked(&gate, &is_revoked).await;
    let lines = format!("{}\n{NEXT_URL}", pool(&folder, ""));
    let toml = format!("[snapshots]\ndir = {:?}\n{}", folder.path().join("kept"), collection(&upstream.url(), &lines));
    let first = Process::serve(&toml).await;
    let target = "/list?held=1";
    let mut response = client::send(Version::Http1, first.address, client::stream(target)).await;
    let url = response.headers()["content-location"].to_str().unwrap().to_owned();
    assert_eq!(client::lines(response.body_mut(), 1).await, b"1\n");
    gate.reached().await;
    first.signal(rustix::process::Signal::KILL);
    first.end().await;
    gate.open();
    is_revoked.store(false, Ordering::SeqCst);
    let asked = members(&upstream);
    let second = Process::serve(&toml).await;
    let received = client::receive(Version::Http1, second.address, client::stream(&url)).await;
    assert_eq!(received.whole(), "1\n2\n3\n");
    let resumed = members(&upstream)[asked.len()..].to_owned();
    assert!(!resumed.is_empty() && !resumed.contains(&asked[..1]), "{asked} {resumed}");
}

#[tokio::test]
async fn a_request_that_only_reads_is_passed_through_with_another_member_after_a_401() {
    let folder = tempfile::tempdir().unwrap();
    let is_revoked = Arc::new(AtomicBool::new(true));
    let upstream = linked(&Gate::default(), &is_revoked).await;
    let lines = format!("{}\npassthrough = [\"DELETE /list\"]\n{NEXT_URL}", pool(&folder, ""));
    let (mut process, _) = metrics::serve(&upstream, &lines).await;
    let status = async |method: &str| {
        let mut request = client::get("/list?page=1", "application/json");
        *request.method_mut() = method.parse().unwrap();
        client::receive(Version::Http1, process.address, request).await.head.status.as_u16()
    };
    // A request that may write is never sent twice.
    assert_eq!((status("DELETE").await, members(&upstream).len()), (401, 1));
    let refused = members(&upstream);
    assert_eq!((status("GET").await, members(&upstream).len()), (200, 3));
    assert_eq!((status("HEAD").await, members(&upstream).len()), (200, 4));
    let all = members(&upstream);
    assert!(all.starts_with(&refused.repeat(2)) && !all[2..].contains(&refused), "{all}");
    let at = if refused == "a" { 0 } else { 1 };
    process.has_said(&format!("refuses credentials.pool[{at}] with 401")).await;
}

#[tokio::test]
async fn a_crawl_whose_addresses_the_upstream_hands_out_keeps_its_member_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::of(200).await;
    let toml = collection(&upstream.url(), &format!("{}\n{NEXT_URL}", pool(&folder, "")));
    let mut of_crawls = Vec::new();
    for _ in 0..2 {
        let proxy = Proxy::start(&toml).await;
        let mut all = String::new();
        for number in 0..20 {
            assert_eq!(stream(&proxy, &format!("{ORDERS}&number={number}")).await, 200);
            let members: String = upstream.forget().iter().map(member).collect();
            assert!(["aaaa", "bbbb"].contains(&&*members), "{members}");
            all.extend(members.chars().next());
        }
        // Pages that are passed through stay with the member of their path.
        for page in 1..=4 {
            let target = format!("{ORDERS}&page={page}");
            let received = client::receive(Version::Http1, proxy.address, client::get(&target, "*/*")).await;
            assert_eq!(received.head.status, 200);
            assert!(!format!("{:?}", received.head).contains("key-"), "{:?}", received.head);
        }
        let members: String = upstream.forget().iter().map(member).collect();
        assert!(["aaaa", "bbbb"].contains(&&*members), "{members}");
        of_crawls.push(all);
    }
    assert_eq!(of_crawls[0], of_crawls[1]);
    assert!(of_crawls[0].contains('a') && of_crawls[0].contains('b'), "{of_crawls:?}");
}

#[tokio::test]
async fn sticky_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(200, |asked, usual| match asked.target.starts_with("/list") {
        true => Reply::Whole(numbered(asked)),
        false => Reply::Whole(usual),
    })
    .await;
    for (sticky, lines, target, records, is_mixed) in
        [(", sticky = true", NUMBERED, "/list", 50, false), (", sticky = false", NEXT_URL, ORDERS, 200, true)]
    {
        let lines = format!("{}\nwidth = 1\n{lines}", pool(&folder, sticky));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        assert_eq!(stream(&proxy, target).await, records);
        let members: String = upstream.forget().iter().map(member).collect();
        assert_eq!(members.contains('a') && members.contains('b'), is_mixed, "{sticky}: {members}");
    }
}

#[tokio::test]
async fn metrics_and_log_lines_name_a_member_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::scripted(0, |asked, _| match member(asked) {
        'b' if !asked.target.starts_with("/later") => Reply::Whole(numbered(asked)),
        _ => Reply::Whole(answer(429, &[("retry-after", "3600")], "")),
    })
    .await;
    let lines = format!("{}\nwidth = 1\nretry = {{ base = \"1ms\", cap = \"2h\" }}\n{NUMBERED}", pool(&folder, ""));
    let (mut process, admin) = metrics::serve(&upstream, &lines).await;
    let received = client::receive(Version::Http1, process.address, client::stream("/list")).await;
    assert_eq!(received.whole().lines().count(), 50);
    process.has_said("the upstream answered 429 Too Many Requests to credentials.pool[0]; attempt 1 failed").await;
    let samples = metrics::samples(admin).await;
    let of = |name: &str, member: u8| {
        samples[&format!("unpage_upstream_member_{name}{{origin=\"{}\",member=\"{member}\"}}", upstream.url())]
    };
    assert!(of("held_seconds", 0) > 200.0 && of("held_seconds", 1) == 0.0, "{samples:?}");
    assert_eq!([of("in_flight", 0), of("in_flight", 1)], [0.0, 0.0]);
    assert!(!samples.keys().any(|series| series.contains("key-")), "{samples:?}");
    // Where both members are held, a wait is told with the one that it is for.
    let proxy = process.address;
    let crawl = |target| tokio::spawn(client::send(Version::Http1, proxy, client::stream(target)));
    let first = crawl("/later");
    process.wait_for("to credentials.pool[1]; attempt 1 failed").await;
    let second = crawl("/later?behind=1");
    let said = process.wait_for(": the upstream asks for it").await;
    assert!(said.contains(&format!("{}, credentials.pool[", upstream.url())), "{said}");
    first.abort();
    second.abort();
}
