//! `auto`: an upstream of which nothing is known, recognised on its first page and verified on its second.

use unpage::config::Config;

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, run};
use super::streams::orders;
use super::upstream::{Reply, Upstream};

/// The demo's collections whose first page says enough.
const RECOGNISED: [&str; 11] = [
    "/link/orders",
    "/next_url/orders",
    "/relative/orders",
    "/odata/orders",
    "/header/orders",
    "/cursor/orders",
    "/page/orders",
    "/offset/orders",
    "/range/orders",
    "/keyset/orders",
    "/values/orders",
];

/// A proxy in front of an upstream without a configuration.
async fn transparent(upstream: &Upstream) -> Proxy {
    Proxy::of(&Config::transparent(&upstream.url()).unwrap()).await
}

#[tokio::test]
async fn collections_are_recognised_and_come_whole() {
    // Several pages, the last of them short; then the last of them full.
    for records in [130, 120] {
        let upstream = Upstream::of(records).await;
        let proxy = transparent(&upstream).await;
        let mut wrong = Vec::new();
        for path in RECOGNISED {
            for version in BOTH {
                upstream.forget();
                let received = client::receive(version, proxy.address, client::stream(path)).await;
                if received.whole() != orders(records) {
                    let start: String = received.whole().chars().take(400).collect();
                    wrong.push(format!("{path}: {} {start}", received.head.status));
                    continue;
                }
                assert!(upstream.asked().iter().all(|asked| asked.attempt == 1), "{path} asks for the same page twice");
            }
        }
        assert!(wrong.is_empty(), "{records} records: {wrong:#?}");
    }
}

#[tokio::test]
async fn an_unrecognised_pagination_is_refused_and_never_looks_complete() {
    let upstream = Upstream::scripted(130, |asked, answer| match asked.target.split('?').next().unwrap() {
        "/list" => Reply::json("[{\"id\":1},{\"id\":2}]"),
        "/object" => Reply::json("{\"items\":[{\"id\":1},{\"id\":2}]}"),
        "/ignored" => Reply::json("{\"items\":[{\"id\":1},{\"id\":2}],\"page\":1,\"total\":9}"),
        "/one" => Reply::json("{\"id\":1}"),
        _ => Reply::Whole(answer),
    })
    .await;
    let proxy = transparent(&upstream).await;
    for path in ["/list", "/object", "/ignored", "/one", "/none/orders"] {
        let received = client::receive(Version::Http1, proxy.address, client::stream(path)).await;
        assert_eq!(received.head.status, 502, "{path}: {}", received.whole());
        assert!(received.whole().contains("\"fault\": \"unproven\""), "{}", received.whole());
        let output = run(["fetch", &format!("{}{path}", upstream.url()), "--single-page", "refuse"]).await;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(5), 0), "{path}");
    }
}

/// Records of a page whose records begin at a number.
fn numbered(first: usize, count: usize) -> String {
    let records: Vec<_> = (first..first + count).map(|id| format!("{{\"id\":{id}}}")).collect();
    format!("[{}]", records.join(","))
}

fn parameter(target: &str, name: &str) -> Option<usize> {
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
}

#[tokio::test]
async fn a_single_page_is_proven_by_its_own_words_or_by_asking() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let page = parameter(&asked.target, "page").unwrap_or(1);
        let offset = parameter(&asked.target, "offset").unwrap_or(0);
        let items = |records: &str, more: &str| format!("{{\"items\":{records}{more}}}");
        Reply::json(match asked.target.split('?').next().unwrap() {
            "/flag" => items(&numbered(1, 3), ",\"has_more\":false"),
            "/nothing" => items("[]", ",\"total\":0"),
            // Nothing in the pages says that they are pages.
            "/pages" if page <= 3 => items(&numbered(4 * page - 3, 4), ""),
            "/offsets" => numbered(offset + 1, 4.min(10_usize.saturating_sub(offset))),
            _ => {
                "[]".to_owned().replace("[]", if asked.target.starts_with("/pages") { "{\"items\":[]}" } else { "[]" })
            }
        })
    })
    .await;
    for (path, records, most) in [("/flag", 3, 1), ("/nothing", 0, 1), ("/pages", 12, 12), ("/offsets", 10, 12)] {
        upstream.forget();
        let output = run(["fetch", &format!("{}{path}", upstream.url())]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let wanted: String = (1..=records).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stdout).unwrap()),
            (Some(0), wanted),
            "{path}: {said}"
        );
        assert!((1..=most).contains(&upstream.asked().len()), "{path}: {:?}", upstream.asked().len());
    }
}

#[tokio::test]
async fn ids_lead_on_where_a_flag_says_that_more_follow() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let behind = |name: &str| query.strip_prefix(name)?.strip_prefix("=k")?.parse().ok();
        let first = match path {
            "/looked_up" => behind("starting_after"),
            "/after_id" => behind("after_id"),
            _ => None,
        };
        let first = first.unwrap_or(0);
        let records: Vec<_> = (first + 1..=first + 4).take_while(|id| *id <= 10).collect();
        let lines: Vec<_> = records.iter().map(|id| format!("{{\"id\":\"k{id}\"}}")).collect();
        let last =
            if path == "/after_id" { format!(",\"last_id\":\"k{}\"", first + lines.len()) } else { String::new() };
        Reply::json(format!("{{\"data\":[{}],\"has_more\":{}{last}}}", lines.join(","), first + 4 < 10))
    })
    .await;
    let wanted: String = (1..=10).map(|id| format!("{{\"id\":\"k{id}\"}}\n")).collect();
    for path in ["/looked_up", "/after_id"] {
        let output = run(["fetch", &format!("{}{path}", upstream.url())]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stdout).unwrap()),
            (Some(0), wanted.clone()),
            "{said}"
        );
    }
    upstream.forget();
    let output = run(["fetch", &format!("{}/ignored", upstream.url())]).await;
    assert_eq!((output.status.code(), output.stdout.len(), upstream.asked().len()), (Some(5), 0, 2));
}

/// The World Bank's pages: an array of an object about the page, and of the page's records.
#[tokio::test]
async fn records_beside_their_envelope_are_recognised_and_held_to_its_counts() {
    const ERROR: &str =
        r#"[{"message":[{"id":"120","key":"Invalid value","value":"The parameter value is not valid"}]}]"#;
    let upstream = Upstream::scripted(0, |asked, _| {
        let page = parameter(&asked.target, "page").unwrap_or(1);
        let is_cut = asked.target.starts_with("/cut");
        Reply::json(match asked.target.split('?').next().unwrap() {
            "/error" => ERROR.to_owned(),
            "/fails" if page == 3 => ERROR.to_owned(),
            _ => {
                let records = if page > 3 || is_cut && page == 3 { 0 } else { 4 };
                let about = format!("{{\"page\":{page},\"pages\":3,\"per_page\":\"4\",\"total\":12}}");
                format!("[{about},{}]", numbered(4 * page - 3, records))
            }
        })
    })
    .await;
    const CONFIGURED: [&str; 4] = ["--records", "[1]", "--pagination", "{ type = \"page\", param = \"page\" }"];
    for (path, flags, code, told) in [
        ("/whole", &[][..], 0, "12 records"),
        ("/whole", &CONFIGURED, 0, "12 records"),
        ("/cut", &[], 5, "12"),
        ("/cut", &CONFIGURED, 5, "12"),
        ("/fails", &[], 4, "`[0].message` is "),
        ("/fails", &CONFIGURED, 4, "`[0].message` is "),
        ("/error", &[], 3, "`message` is "),
        ("/error", &CONFIGURED, 3, "`[0].message` is "),
    ] {
        upstream.forget();
        let url = format!("{}{path}", upstream.url());
        let output = run([&["fetch", url.as_str()][..], flags].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && said.contains(told), "{path} {flags:?}: {said}");
        let wanted: String = (1..=12).map(|id| format!("{{\"id\":{id}}}\n")).collect();
        assert!(code > 0 || String::from_utf8(output.stdout).unwrap() == wanted, "{path}");
        assert!(!upstream.asked().is_empty());
    }
}

#[tokio::test]
async fn a_key_is_no_place_where_the_first_page_shows_otherwise() {
    let keys = [70, 12, 55, 31, 94, 26, 83, 48];
    let page = move |ids: Vec<usize>| {
        let records: Vec<_> = ids.iter().take(3).map(|id| format!("{{\"id\":{id}}}")).collect();
        Reply::json(format!("{{\"data\":[{}],\"has_more\":{}}}", records.join(","), ids.len() > 3))
    };
    let upstream = Upstream::scripted(0, move |asked, answer| {
        let after = parameter(&asked.target, "starting_after");
        match asked.target.split('?').next().unwrap() {
            "/compared" => page(keys.into_iter().filter(|key| after.is_none_or(|after| *key > after)).collect()),
            "/filter" if after.is_some() => page(vec![83, 48]),
            "/filter" | "/ignored" => page(keys.to_vec()),
            "/users" => Reply::json("{\"messages\":[],\"users\":{\"1\":{\"id\":1},\"2\":{\"id\":2}},\"next\":null}"),
            "/properties" if asked.target.contains("page=2") => {
                Reply::json("{\"things\":{\"1\":{\"id\":1,\"b\":2},\"2\":{\"id\":2,\"b\":2}},\"page\":2,\"pages\":2}")
            }
            "/properties" => Reply::json("{\"things\":{\"1\":{\"id\":1},\"2\":{\"id\":2}},\"page\":1,\"pages\":2}"),
            _ => Reply::Whole(answer),
        }
    })
    .await;
    let proxy = transparent(&upstream).await;
    for path in ["/compared", "/filter", "/ignored"] {
        upstream.forget();
        let received = client::receive(Version::Http1, proxy.address, client::stream(path)).await;
        assert_eq!(received.head.status, 502, "{path}: {}", received.whole());
        assert!(received.whole().contains("did not lead to the last one"), "{}", received.whole());
        assert_eq!(upstream.asked().len(), 2, "{:?}", upstream.asked());
    }
    // Objects keyed by id beside an empty list are no records, and a second page of the same ids is no second page.
    for (path, status, requests) in [("/users", 200, 1), ("/properties?page=1", 502, 2)] {
        upstream.forget();
        let received = client::receive(Version::Http1, proxy.address, client::stream(path)).await;
        assert_eq!(received.head.status, status, "{path}: {}", received.whole());
        assert!(!received.whole().contains("\"id\":"), "{path}: {}", received.whole());
        assert_eq!(upstream.asked().len(), requests, "{path}: {:?}", upstream.asked());
    }
}

#[tokio::test]
async fn what_may_say_anything_proves_no_single_page() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let items = |more: &str| format!("{{\"items\":{}{more}}}", numbered(1, 10));
        Reply::json(match asked.target.split('?').next().unwrap() {
            // `page` is a filter, or page 2 needs a login.
            "/filter" if parameter(&asked.target, "page") == Some(2) => "{\"items\":[]}".to_owned(),
            // The total may be that of the page, whose size was clamped.
            "/total" => items(",\"total\":10"),
            "/text" => items(",\"has_more\":\"false\""),
            _ => items(""),
        })
    })
    .await;
    for path in ["/filter", "/total?limit=100", "/text"] {
        upstream.forget();
        let output = run(["fetch", &format!("{}{path}", upstream.url())]).await;
        assert_eq!(output.status.code(), Some(5), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        assert!((1..=6).contains(&upstream.asked().len()), "{path}");
    }
}

#[tokio::test]
async fn a_single_page_that_nothing_proves_is_written_and_is_no_success() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"items\":[{\"id\":1},{\"id\":2}]}")).await;
    let url = format!("{}/few", upstream.url());
    let output = run(["fetch", &url]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    // A stream without a proof never parses as a whole one.
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"id\":1}\n{\"id\":2");
    assert!(said.contains("one page, and nothing shows that it is the whole collection"), "{said}");
    assert!(said.contains("`single_page` is --single-page"), "{said}");
    assert!(upstream.asked().len() <= 6);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("few.ndjson");
    for _ in 0..2 {
        let output = run(["fetch", &url, "--output", file.to_str().unwrap()]).await;
        assert_eq!((output.status.code(), file.exists()), (Some(5), false));
        let part = std::fs::read_to_string(folder.path().join("few.ndjson.part")).unwrap();
        assert_eq!(part, "{\"id\":1}\n{\"id\":2}\n");
    }
    let output = run(["fetch", &url, "--single-page", "accept", "--output", file.to_str().unwrap(), "--restart"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), std::fs::read_to_string(&file).unwrap().lines().count()), (Some(0), 2), "{said}");
    assert!(
        said.contains("the absence of any sign of a further page") && said.contains("unverified: single_page"),
        "{said}"
    );

    let served =
        |policy: &str| format!("[[collection]]\npath = \"/few\"\nupstream = \"{}\"\n{policy}\n", upstream.url());
    let refusing = Proxy::start(&served("")).await;
    let received = client::receive(Version::Http1, refusing.address, client::stream("/few")).await;
    assert_eq!(received.head.status, 502);
    assert!(received.whole().contains("single_page"), "{}", received.whole());
    let accepting = Proxy::start(&served("single_page = \"accept\"")).await;
    let received = client::receive(Version::Http1, accepting.address, client::stream("/few")).await;
    assert_eq!((received.head.status.as_u16(), received.whole().lines().count()), (200, 2));
}

#[tokio::test]
async fn a_second_page_that_contradicts_is_no_end() {
    // The same records again for every cursor: the token was taken from the page, and means nothing to the upstream.
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"data\":[{\"id\":1}],\"next_cursor\":\"abc\"}")).await;
    let proxy = transparent(&upstream).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/orders")).await;
    assert_eq!(received.head.status, 502, "{}", received.whole());
}

#[tokio::test]
async fn a_last_page_without_its_array_ends_a_list_only_where_the_api_says_so() {
    // Pages of ten, of 20 records: the third is empty and leaves its array out.
    for (path, ends) in [
        ("/token", "\"next_cursor\":null"),
        ("/flag?page=1", "\"page\":3,\"has_more\":false"),
        ("/total?page=1", "\"page\":3"),
        ("/silent?page=1", "\"page\":3"),
        ("/other", "\"next_cursor\":null,\"item\":{\"id\":20}"),
    ] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let query = asked.target.split_once('?').map_or("", |(_, query)| query);
            let number = query.rsplit_once('=').and_then(|(_, number)| number.parse().ok()).unwrap_or(1u64);
            let records: Vec<_> = (number * 10 - 10..number * 10).map(|id| format!("{{\"id\":{id}}}")).collect();
            let beside = match path.split('?').next().unwrap() {
                "/token" | "/other" => format!("\"next_cursor\":\"{}\"", number + 1),
                "/flag" => format!("\"page\":{number},\"has_more\":true"),
                "/total" => format!("\"page\":{number},\"total\":20"),
                _ => format!("\"page\":{number}"),
            };
            if number > 2 {
                Reply::json(format!("{{{ends}}}"))
            } else {
                Reply::json(format!("{{\"items\":[{}],{beside}}}", records.join(",")))
            }
        })
        .await;
        let output = run(["fetch", &format!("{}{path}", upstream.url())]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let is_whole = !matches!(path, "/silent?page=1" | "/other");
        assert_eq!(output.status.code(), Some(if is_whole { 0 } else { 4 }), "{path}: {said}");
        assert_eq!(said.contains("complete: 20 records"), is_whole, "{path}: {said}");
        assert_eq!(said.contains("no record array at `items`"), !is_whole, "{path}: {said}");
        assert!(upstream.asked().iter().any(|asked| asked.target.ends_with("=3")), "{path}");
    }
}

/// Records with the numbers `from` to `to`, each with a text of `padding` bytes.
fn padded(from: usize, to: usize, padding: usize) -> Vec<String> {
    (from..to).map(|id| format!("{{\"id\":{id},\"text\":\"{}\"}}", "x".repeat(padding))).collect()
}

#[tokio::test]
async fn an_object_in_place_of_the_array_is_not_guessed_and_the_error_names_its_form() {
    // Page 1 is an array. An object of 16 KiB and more is known by its names alone. An error keyed by its status looks like a list of PHP.
    for (kind, padding, code) in [
        ("php", 1, 5),
        ("php", 3000, 5),
        ("words", 1, 5),
        ("words", 3000, 5),
        ("texts", 1, 5),
        ("error", 1, 5),
        ("late", 1, 4),
        ("late_error", 1, 4),
    ] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let page: usize = asked.target.rsplit_once("page=").map_or(1, |(_, page)| page.parse().unwrap());
            let records = padded(page * 10 - 10, (page * 10).min(35), padding);
            let next = if page < 4 { format!("\"/list?page={}\"", page + 1) } else { "null".to_owned() };
            let keyed = |name: &dyn Fn(usize) -> String| {
                let members = records.iter().enumerate().map(|(at, record)| format!("\"{}\":{record}", name(at)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            };
            let (items, next) = match (kind, page) {
                (_, 1) | ("late" | "late_error", 2) => (format!("[{}]", records.join(",")), next),
                ("words", _) => (keyed(&|at| format!("of{at}")), next),
                ("texts", _) => ("{\"0\":\"try again later\"}".to_owned(), "null".to_owned()),
                ("error" | "late_error", _) => ("{\"500\":{\"message\":\"internal\"}}".to_owned(), "null".to_owned()),
                _ => (keyed(&|at| (page * 10 - 10 + at).to_string()), next),
            };
            Reply::json(format!("{{\"items\":{items},\"next\":{next}}}"))
        })
        .await;
        let output = run(["fetch", &format!("{}/list", upstream.url())]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{kind} {padding}: {said}");
        assert!(said.contains("as = \"list\"") || said.contains("as = \"one_or_more\""), "{kind} {padding}: {said}");
        assert!((2..=6).contains(&upstream.asked().len()), "{kind} {padding}: {}", upstream.asked().len());
    }
}

#[tokio::test]
async fn one_record_in_place_of_an_array_breaks_and_names_the_key() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let page: usize = asked.target.rsplit_once("page=").map_or(1, |(_, page)| page.parse().unwrap());
        let records = padded(page * 10 - 10, (page * 10).min(21), 1).join(",");
        Reply::json(match page {
            3 => format!("{{\"items\":{records},\"next\":null}}"),
            _ => format!("{{\"items\":[{records}],\"next\":\"/list?page={}\"}}", page + 1),
        })
    })
    .await;
    let url = format!("{}/list", upstream.url());
    let output = run(["fetch", &url]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no record array at `items`") && said.contains("as = \"one_or_more\""), "{said}");
    let records = "{ path = \"items\", as = \"one_or_more\" }";
    let output = run(["fetch", &url, "--records", records]).await;
    assert_eq!((output.status.code(), output.stdout), (Some(0), (padded(0, 21, 1).join("\n") + "\n").into_bytes()));
}

#[tokio::test]
async fn columns_are_not_guessed_and_the_error_names_their_form() {
    let upstream = Upstream::scripted(0, |asked, _| {
        Reply::json(match asked.target.contains("page=2") {
            false => "{\"ids\":[1,2],\"names\":[\"a\",\"b\"],\"next\":\"/table?page=2\"}",
            // A column more than page 1 has.
            true => "{\"ids\":[3],\"names\":[\"c\"],\"ages\":[7],\"next\":null}",
        })
    })
    .await;
    let url = format!("{}/table", upstream.url());
    let output = run(["fetch", &url]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(5), 0), "{said}");
    let records = "{ path = [\"ids\", \"names\"], as = \"columns\" }";
    assert!(said.contains(&format!("write records = {records}")), "{said}");
    let output = run(["fetch", &url, "--records", records]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!((output.status.code(), lines), (Some(0), 3), "{said}");
}

#[tokio::test]
async fn fetch_recognises_the_pagination_of_a_post_too() {
    let upstream = Upstream::of(130).await;
    let output = run(["fetch", &format!("{}/search/orders", upstream.url()), "--data", "{}"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout == orders(130).into_bytes(), "{said}");
    assert!(said.ends_with("end proven by no next address and the upstream's total of 130; unverified: links and tokens do not show whether records moved between two pages\n"), "{said}");
}

#[tokio::test]
async fn repair_of_a_recognised_pagination_that_has_none_is_warned_of() {
    let upstream = Upstream::of(60).await;
    for (path, is_warned) in [("/link/orders", true), ("/offset/orders", false)] {
        let url = format!("{}{path}", upstream.url());
        let output = run(["fetch", &url, "--key", "id", "--consistency", "repair"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout == orders(60).into_bytes(), "{said}");
        assert_eq!(said.contains("consistency = \"repair\" does no more here than \"detect\""), is_warned, "{said}");
    }
}

#[tokio::test]
async fn everything_else_passes_an_unknown_upstream_untouched() {
    let upstream = Upstream::of(130).await;
    let proxy = transparent(&upstream).await;
    for version in BOTH {
        let received = client::receive(version, proxy.address, client::get("/page/orders?size=1", "*/*")).await;
        assert!(received.whole().starts_with("{\"items\":[{\"id\":\"ord_000000001\""), "{}", received.whole());
        let received = client::receive(version, proxy.address, client::get("/", "*/*")).await;
        assert!(received.whole().contains("/link/orders"));
    }
}

#[tokio::test]
async fn two_pages_are_read_however_large_they_are() {
    let records = |page: usize| {
        let record = |n| format!("{{\"id\":\"{page}-{n}\",\"text\":\"{}\"}}", "x".repeat(1000));
        (0..600).map(record).collect::<Vec<_>>()
    };
    let upstream = Upstream::scripted(0, move |asked, _| {
        let page = asked.target.split("page=").nth(1).map_or(1, |page| page.parse().unwrap());
        let next = if page < 3 { format!("\"/list?page={}\"", page + 1) } else { "null".to_owned() };
        Reply::json(format!("{{\"next\":{next},\"data\":[{}]}}", records(page).join(",")))
    })
    .await;
    let proxy = transparent(&upstream).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/list")).await;
    let lines: String = (1..=3).flat_map(records).map(|record| record + "\n").collect();
    assert!(received.whole() == lines, "{} of {} bytes", received.body.len(), lines.len());
}

#[tokio::test]
async fn an_offset_that_counts_pages_is_told_apart_by_one_more_request() {
    for (counts_pages, records, requests) in [(true, 35, None), (false, 10, Some(3)), (false, 35, None)] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let skip = asked.target.split("skip=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
            let from: usize = if counts_pages { 10 * skip } else { skip };
            let page: Vec<_> = (from..records.min(from + 10)).map(|id| format!("{{\"id\":{id}}}")).collect();
            Reply::json(format!("{{\"items\":[{}]}}", page.join(",")))
        })
        .await;
        let output = run(["fetch", &format!("{}/items?skip=0&limit=10", upstream.url())]).await;
        let (written, said) = (output.stdout, String::from_utf8(output.stderr).unwrap());
        assert_eq!(
            (output.status.code(), written.split(|byte| *byte == b'\n').count() - 1),
            (Some(0), records),
            "{said}"
        );
        assert!(requests.is_none_or(|requests| requests == upstream.asked().len()), "{said}");
    }
}

#[tokio::test]
async fn a_link_to_another_origin_names_the_key_and_the_option() {
    let upstream = Upstream::scripted(0, move |asked, _| {
        let next = if asked.target.contains("page=2") { "null" } else { "\"https://public.example/rows?page=2\"" };
        let first = if next == "null" { 3 } else { 1 };
        Reply::json(format!("{{\"next\":{next},\"items\":[{{\"id\":{first}}},{{\"id\":{}}}]}}", first + 1))
    })
    .await;
    let url = format!("{}/rows", upstream.url());
    let output = run(["fetch", &url]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    let told =
        ["https://public.example", &upstream.url(), "upstream_aliases` is --upstream-aliases", "fault: unproven"];
    assert!(output.status.code() == Some(5) && told.iter().all(|told| said.contains(told)), "{said}");
    let output = run(["fetch", &url, "--upstream-aliases", "https://public.example"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.split(|byte| *byte == b'\n').count() - 1), (Some(0), 4), "{said}");
}

/// A list of 25 records in pages of ten, whose every count is wrong: of records, of pages, in the page or its head.
#[tokio::test]
async fn no_count_is_used_where_the_user_says_so() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let page = parameter(&asked.target, "page").unwrap_or(1);
        let from = parameter(&asked.target, "offset").unwrap_or(10 * page - 10);
        let (records, page) = (numbered(from + 1, 10.min(25_usize.saturating_sub(from))), from / 10 + 1);
        let next = if page < 3 { format!("\"?page={}\"", page + 1) } else { "null".to_owned() };
        Reply::json(match asked.target.split('?').next().unwrap() {
            "/page" => format!("{{\"items\":{records},\"page\":{page},\"total\":90}}"),
            "/pages" => format!("{{\"items\":{records},\"page\":{page},\"total_pages\":9}}"),
            "/spring" => format!("{{\"content\":{records},\"number\":{page},\"totalPages\":9,\"totalElements\":90}}"),
            "/offset" => format!("{{\"items\":{records},\"offset\":{from},\"limit\":10,\"total\":90}}"),
            "/asked" => format!("{{\"items\":{records},\"count\":90}}"),
            "/next" => format!("{{\"items\":{records},\"next\":{next},\"total\":90}}"),
            // One page that says that it is the last.
            "/last" => format!("{{\"items\":{},\"next\":null,\"total\":90}}", numbered(1, 25)),
            _ => "{\"items\":[],\"total\":0}".to_owned(),
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let wanted: String = (1..=25).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let paths = ["/page", "/pages", "/spring", "/offset", "/asked?page=1", "/next", "/last"];
    for (at, path) in paths.into_iter().enumerate() {
        let url = format!("{}{path}", upstream.url());
        let heeded = run(["fetch", &url]).await;
        assert!(matches!(heeded.status.code(), Some(4 | 5 | 7)), "{path}: {}", String::from_utf8_lossy(&heeded.stderr));
        for flags in [&["--no-total"][..], &["--total", "false"], &["--set", "total=false"]] {
            let ignored = run([&["fetch", &url][..], flags].concat()).await;
            let said = String::from_utf8(ignored.stderr).unwrap();
            assert_eq!(
                (ignored.status.code(), String::from_utf8(ignored.stdout).unwrap()),
                (Some(0), wanted.clone()),
                "{path}: {said}"
            );
        }
        // What `init` writes keeps the word.
        let file = folder.path().join(format!("{at}.toml"));
        let file = file.to_str().unwrap();
        let output = run(["init", &url, "--no-total", "--output", file]).await;
        let text = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            text.contains("total = false") && !text.contains("total_pages"),
            "{}\n{text}",
            String::from_utf8_lossy(&output.stderr)
        );
        let target = path.split('?').next().unwrap();
        let output = run(["fetch", "--config", file, target]).await;
        assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted, "{path}: {text}");
        let config = format!("[[collection]]\npath = \"{target}\"\nupstream = \"{}\"\ntotal = false\n", upstream.url());
        let proxy = Proxy::start(&config).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(path)).await;
        assert_eq!(received.whole(), wanted, "{path}");
    }
    // A total of none is a count, too.
    let output = run(["fetch", &format!("{}/none", upstream.url()), "--no-total"]).await;
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Lists of 25 records that show 1 first. Half of them are asked for from 0, so that each page by the shown number misses a record, or a page.
#[tokio::test]
async fn a_number_that_pages_show_is_tried_where_no_count_would_show_a_loss() {
    let upstream = Upstream::scripted(0, |asked, _| {
        let path = asked.target.split('?').next().unwrap();
        let least = usize::from(!path.ends_with("/0"));
        let kind = path.trim_end_matches(['0', '1']);
        let (name, step) = match kind {
            "/page/" | "/flag/" => ("page", 10),
            "/sized/" => ("from", 1),
            _ => ("offset", 1),
        };
        let from = step * parameter(&asked.target, name).unwrap_or(least).saturating_sub(least);
        let records = numbered(from + 1, 10.min(25_usize.saturating_sub(from)));
        let (shown, number) = (from + 1, from / 10 + 1);
        Reply::json(match kind {
            "/sized/" => format!("{{\"data\":{records},\"from\":{shown},\"size\":10}}"),
            "/offset/" => format!("{{\"data\":{records},\"offset\":{shown},\"total\":25}}"),
            "/page/" => format!("{{\"data\":{records},\"page\":{number},\"total\":25}}"),
            "/flag/" => format!("{{\"data\":{records},\"page\":{number},\"has_more\":{}}}", from + 10 < 25),
            // An offset that counts pages.
            _ => {
                let records = numbered(10 * from + 1, 10.min(250_usize.saturating_sub(10 * from)));
                format!("{{\"data\":{records},\"offset\":{from},\"limit\":10,\"total\":250}}")
            }
        })
    })
    .await;
    let wanted: String = (1..=25).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    for (path, flags) in [
        ("/sized", &[][..]),
        ("/sized", &["--no-total"]),
        ("/offset", &["--no-total"]),
        ("/page", &["--no-total"]),
        ("/flag", &[]),
        ("/flag", &["--no-total"]),
    ] {
        let output = run([&["fetch", &format!("{}{path}/1", upstream.url())][..], flags].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8(output.stdout).unwrap()),
            (Some(0), wanted.clone()),
            "{path}: {said}"
        );
        let output = run([&["fetch", &format!("{}{path}/0", upstream.url())][..], flags].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        // What the API shows to understand when it is asked is right, too.
        let is_right = path != "/sized" && output.status.success() && output.stdout == wanted.as_bytes();
        assert!(is_right || output.status.code() == Some(5), "{path} {flags:?}: {:?} {said}", output.status);
    }
    for url in ["/counted/0", "/counted/0?offset=0"] {
        let output = run(["fetch", &format!("{}{url}", upstream.url()), "--no-total"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let records = output.stdout.split(|byte| *byte == b'\n').count() - 1;
        assert!(
            output.status.code() == Some(5) || (output.status.code(), records) == (Some(0), 250),
            "{url}: {records} {said}"
        );
    }
}

#[tokio::test]
async fn a_request_midway_and_a_list_that_grows_are_what_their_numbers_say() {
    let requests = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::scripted(0, move |asked, _| {
        let target = &asked.target;
        if target.starts_with("/mid") {
            let from = parameter(target, "offset").unwrap_or(0);
            return Reply::json(format!("{{\"items\":{}}}", numbered(from + 1, 10.min(50_usize.saturating_sub(from)))));
        }
        if target.starts_with("/pages") || target.starts_with("/whole") {
            // An offset that counts pages, and one that has to be a multiple of the limit.
            let offset = parameter(target, "offset").unwrap_or(0);
            let step = if target.starts_with("/pages") { 10 } else { 1 };
            if step == 1 && !offset.is_multiple_of(10) {
                return Reply::status(400);
            }
            let records = numbered(step * offset + 1, 10.min(990_usize.saturating_sub(step * offset)));
            return Reply::json(format!("{{\"items\":{records},\"offset\":{offset},\"limit\":10}}"));
        }
        // A record in front of each answer but the first, and ages that are others each time.
        let age = requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let added = usize::from(age > 0 && target.starts_with("/live"));
        let page = parameter(target, "page").unwrap_or(1);
        let records: Vec<_> = (0..35 + added).rev().skip(10 * page - 10).take(10).collect();
        let records = records.iter().map(|name| match target.starts_with("/live") {
            true => format!("{{\"id\":{name},\"age\":{age}}}"),
            false => format!("{{\"name\":\"s{name}\",\"age\":{age}}}"),
        });
        let records = records.collect::<Vec<_>>().join(",");
        Reply::json(format!("{{\"items\":[{records}],\"page\":{page},\"has_more\":{}}}", 10 * page < 35 + added))
    })
    .await;
    for (path, flags) in [
        // Asked first: its answers have another age each time.
        ("/live", &["--on-missed", "report"][..]),
        ("/ages", &["--key", "name"]),
        ("/mid?offset=20", &["--no-total"]),
        ("/whole", &[]),
    ] {
        let output = run([&["fetch", &format!("{}{path}", upstream.url())][..], flags].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        let lines = output.stdout.split(|byte| *byte == b'\n').count() - 1;
        let expected = match path {
            "/mid?offset=20" => 30..=30,
            "/whole" => 990..=990,
            _ => 35..=36,
        };
        assert!(output.status.code() == Some(0) && expected.contains(&lines), "{path}: {lines} {said}");
    }
    let output = run(["fetch", &format!("{}/pages", upstream.url())]).await;
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
}
