//! Evidence of an API for its lists: a preset that the host has chosen and that page 1 does not fit, and lists that are paged by `Link`.

use unpage::config::Config;

use super::client::{self, Version};
use super::proxy::{Process, Proxy, run};
use super::upstream::{Reply, Upstream, answer};

fn records(from: usize, to: usize) -> String {
    let records: Vec<_> = (from..to).map(|id| format!("{{\"id\":{id}}}")).collect();
    format!("[{}]", records.join(","))
}

#[tokio::test]
async fn a_preset_of_the_host_holds_where_page_1_fits_it() {
    let groups = |count: usize, total: usize| {
        Reply::json(format!("{{\"total_count\":{total},\"runner_groups\":{}}}", records(0, count)))
    };
    let upstream = Upstream::scripted(0, move |asked, _| match asked.target.split('?').next().unwrap() {
        path if path.ends_with("/runner-groups") => groups(3, 3),
        path if path.ends_with("/full") => groups(100, 100),
        path if path.ends_with("/missing") => groups(3, 7),
        path if path.ends_with("/issues") => Reply::json(records(0, 5)),
        _ => Reply::json("{\"message\":\"unknown\"}"),
    })
    .await;
    // GitHub pages by `Link`, by its documents: fewer records than were asked for, without a link, are all, and the total agrees.
    for (path, status, lines) in [("runner-groups", 0, 3), ("issues", 0, 5), ("full", 5, 100), ("missing", 5, 0)] {
        upstream.forget();
        let url = format!("http://api.github.com/orgs/a/actions/{path}");
        let output = run(["fetch", &url, "--proxy", &upstream.url()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let written = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), written.lines().count()), (Some(status), lines), "{path}: {said}");
        assert_eq!(said.contains("the preset of the host does not fit"), path != "issues", "{said}");
        assert!(said.contains("preset github (documented), chosen by the host"), "{said}");
        assert!((1..=7).contains(&upstream.asked().len()), "{path}");
    }
    // A preset that the operator names is not given up.
    let url = "http://api.github.com/orgs/a/actions/runner-groups";
    let output = run(["fetch", url, "--proxy", &upstream.url(), "--preset", "github"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    // Nor is its file: the fallback stands in it.
    let output = run(["init", url, "--proxy", &upstream.url()]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("preset = \"none\"    # page 1 does not fit the preset github"), "{text}");
    assert!(text.contains("records = \"runner_groups\""), "{text}");
}

#[tokio::test]
async fn an_api_that_pages_by_link_and_sends_none_has_ended() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let at: usize = asked.target.split("from=").nth(1).map_or(0, |from| from.parse().unwrap());
        match asked.target.split('?').next().unwrap() {
            "/orders" => {
                let next = format!("</orders?limit=10&from={}>; rel=\"next\"", at + 10);
                let headers = [("content-type", "application/json"), ("link", next.as_str())];
                let headers = if at < 20 { &headers[..] } else { &headers[..1] };
                Reply::Whole(answer(200, headers, records(at, 25.min(at + 10))))
            }
            "/tags" | "/v2/tags" => Reply::json(records(0, 3)),
            "/full" => Reply::json(records(0, 10)),
            "/capped" => Reply::json(records(0, 5)),
            _ => Reply::json(format!("{{\"items\":{}}}", records(0, 3))),
        }
    })
    .await;
    let proxy = Proxy::of(&Config::transparent(&upstream.url()).unwrap()).await;
    let receive = |path: &'static str| client::receive(Version::Http1, proxy.address, client::stream(path));
    assert_eq!(receive("/tags?limit=10").await.head.status, 502);
    let orders = receive("/orders?limit=10").await;
    assert_eq!(orders.whole().lines().count(), 25);
    let tags = receive("/tags?limit=10&again&_end=marker").await;
    assert_eq!((tags.head.status.as_u16(), tags.whole().lines().count()), (200, 4), "{}", tags.whole());
    assert!(tags.whole().contains("unverified") && tags.whole().contains("the lack of a Link"), "{}", tags.whole());
    // To another caller the answers of this one say nothing.
    let mut other = client::stream("/tags?limit=10&again");
    other.headers_mut().insert("authorization", "Bearer other".parse().unwrap());
    assert_eq!(client::receive(Version::Http1, proxy.address, other).await.head.status, 502);
    // A full page, a round number, another form, folder and size, and a page of the upstream's own size may go on.
    for path in
        ["/full?limit=10", "/capped?limit=10", "/items?limit=10", "/v2/tags?limit=10", "/tags?limit=50", "/tags"]
    {
        assert_eq!(receive(path).await.head.status, 502, "{path}");
    }
}

#[tokio::test]
async fn serve_takes_a_preset_for_its_upstream() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let next = if asked.target.contains("skip") { "" } else { ",\"@odata.nextLink\":\"Orders?$skiptoken=3\"" };
        let from = if asked.target.contains("skip") { 3 } else { 0 };
        Reply::json(format!("{{\"value\":{}{next}}}", records(from, from + 3)))
    })
    .await;
    let url = upstream.url();
    let process = Process::serve_with(["--upstream", &url, "--preset", "odata"].map(AsRef::as_ref)).await;
    let received = client::receive(Version::Http1, process.address, client::stream("/v4/Orders")).await;
    assert_eq!(received.whole().lines().count(), 6, "{}", received.whole());
    let output = run(["serve", "unpage.toml", "--preset", "odata"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot be used with"));
    let output = run(["serve", "--upstream", &url, "--preset", "odate"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.starts_with("--preset: unknown preset \"odate\""), "{said}");
}
