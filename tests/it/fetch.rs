//! The command line: what `fetch`, `probe`, `check` and `serve` write, say and exit with.

use std::path::Path;
use std::process::{Output, Stdio};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use unpage::upstream::coding::Decoder;

use super::client::{self, Version};
use super::proxy::{Proxy, binary, demo, run};
use super::streams::orders;
use super::upstream::{Gate, Reply, Upstream, answer};

const CURSOR: &str = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Exit code, and the last line of stderr.
fn end(output: &Output) -> (i32, &str) {
    (output.status.code().unwrap(), text(&output.stderr).lines().last().unwrap_or_default())
}

fn decoded(coding: &str, coded: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(&HeaderMap::from_iter([(CONTENT_ENCODING, coding.parse().unwrap())]));
    let (mut coded, mut text) = (Bytes::copy_from_slice(coded), Vec::new());
    while let Some(piece) = decoder.next(&mut coded).unwrap() {
        text.extend_from_slice(&piece);
    }
    decoder.finish().unwrap();
    text
}

fn file(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (folder, path)
}

#[tokio::test]
async fn every_pagination_can_be_given_on_the_command_line() {
    let upstream = Upstream::of(120).await;
    let body = "{\"query\": \"{ orders }\"}";
    let cases: [(&str, &[&str], &str); 12] = [
        ("/link/orders", &["--pagination", "link_header", "--records", "$"], "no next address"),
        (
            "/next_url/orders",
            &["--pagination", "{ type = \"next_url\", next = \"next\" }", "--records", "results", "--total", "count"],
            "no next address",
        ),
        (
            "/odata/orders",
            &["--pagination", "{ type = \"next_url\", next = '[\"@odata.nextLink\"]' }", "--records", "value"],
            "no next address",
        ),
        (
            "/header/orders",
            &["--pagination", "{ type = \"next_url\", next = \"header:Next-Page\" }", "--records", "data"],
            "no next address",
        ),
        (
            "/cursor/orders",
            &["--pagination", CURSOR, "--records", "data", "--page-size", "limit=50"],
            "no next address",
        ),
        (
            "/keyset/orders?limit=50",
            &[
                "--pagination",
                "{ type = \"keyset\", param = \"starting_after\", more = { path = \"has_more\", while = true } }",
                "--records",
                "data",
                "--key",
                "id",
            ],
            "the upstream's flag",
        ),
        (
            "/page/orders?size=50",
            &["--pagination", "{ type = \"page\", param = \"page\", start = 1 }", "--records", "items"],
            "an empty page past the last",
        ),
        (
            "/page/orders?size=50",
            &[
                "--pagination",
                "{ type = \"page\", param = \"page\", start = 1 }",
                "--records",
                "items",
                "--total",
                "total",
            ],
            "the upstream's total of 120",
        ),
        (
            "/offset/orders",
            &[
                "--pagination",
                "{ type = \"offset\", param = \"offset\" }",
                "--records",
                "items",
                "--page-size",
                "limit=50",
            ],
            "an empty page past the last",
        ),
        (
            "/range/orders",
            &["--pagination", "{ type = \"range\", unit = \"items\", size = 50 }", "--records", "$"],
            "the upstream's total of 120",
        ),
        (
            "/search/orders",
            &[
                "--pagination",
                "{ type = \"cursor\", next = \"paging.next.after\", param = \"body:after\" }",
                "--records",
                "results",
                "--method",
                "POST",
                "--page-size",
                "body:limit=50",
            ],
            "no next address",
        ),
        (
            "/graphql",
            &[
                "--pagination",
                "{ type = \"cursor\", next = \"data.orders.pageInfo.endCursor\", param = \"body:variables.after\", more = { path = \"data.orders.pageInfo.hasNextPage\", while = true } }",
                "--records",
                "data.orders.edges[*].node",
                "--data",
                body,
            ],
            "the upstream's flag",
        ),
    ];
    for (target, arguments, proof) in cases {
        let url = format!("{}{target}", upstream.url());
        let output = run(["fetch", &url].iter().chain(arguments)).await;
        assert!(text(&output.stdout) == orders(120), "{target}: {}", text(&output.stderr));
        let (code, said) = end(&output);
        assert_eq!(code, 0);
        assert!(
            said.starts_with("complete: 120 records in ")
                && said.contains(&format!("end proven by {proof}"))
                && said.contains("; unverified: "),
            "{said}"
        );
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn output_goes_to_a_file() {
    let upstream = Upstream::of(70).await;
    let (_folder, path) = file("orders.ndjson", "what was here before, and longer than nothing");
    let url = format!("{}/cursor/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--pagination", CURSOR, "--output"];
    let output = run(arguments.iter().chain(&[path.as_str()])).await;
    assert_eq!(
        end(&output),
        (
            0,
            "complete: 70 records in 4 pages; end proven by no next address; unverified: links and tokens do not show whether records moved between two pages"
        )
    );
    assert_eq!(text(&output.stdout), "");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), orders(70));
    let output = run(arguments.iter().chain(&["-"])).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*orders(70)));
    let output = run(arguments.iter().chain(&["-", "--format", "parquet"])).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let output = run(arguments.iter().chain(&["/nowhere/orders.ndjson"])).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("/nowhere/orders.ndjson.part: No such file or directory"));
}

/// Encodes a file whose name says its format, in a format that is named, and in neither.
#[tokio::test]
async fn the_format_is_that_of_the_option_or_of_the_name_of_the_file() {
    let upstream = Upstream::of(45).await;
    let url = format!("{}/cursor/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--pagination", CURSOR];
    let lines = orders(45);
    let records: Vec<_> = lines.lines().collect();
    let array = format!("[{}]\n", records.join(","));
    let ids: Vec<_> =
        records.iter().map(|record| serde_json::from_str::<Value>(record).unwrap()["id"].to_string()).collect();
    let rows = |ids: &[String]| ids.iter().map(|id| format!("\"{}\",\r\n", id.trim_matches('"'))).collect::<String>();
    let table = format!("\"id\",_\r\n{}", rows(&ids));
    let folder = tempfile::tempdir().unwrap();
    for (name, options, whole) in [
        ("orders.json", &[][..], &array),
        ("orders.csv", &["--columns", "id"], &table),
        ("orders.txt", &["--format", "csv", "--columns", "id"], &table),
        ("orders.csv", &["--format", "ndjson"], &lines),
        ("orders.json.gz", &[], &array),
        ("orders.ndjson.zst", &[], &lines),
    ] {
        let path = folder.path().join(name);
        let output = run(arguments.iter().chain(options).chain(&["--output", path.to_str().unwrap()])).await;
        assert_eq!(output.status.code(), Some(0), "{name} {options:?}: {}", text(&output.stderr));
        let found = std::fs::read(&path).unwrap();
        let coding = name
            .rsplit('.')
            .find_map(|suffix| [("gz", "gzip"), ("zst", "zstd")].into_iter().find(|(of, _)| *of == suffix));
        let found = coding.map_or(found.clone(), |(_, coding)| decoded(coding, &found));
        assert_eq!(text(&found), whole, "{name} {options:?}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name} leaves a file");
    }
    // Without a file, and with so many records as are asked for.
    let output = run(arguments.iter().chain(&["--format", "csv", "--columns", "id", "--max-records", "3"])).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), &*format!("\"id\",_\r\n{}", rows(&ids[..3]))));
    for wrong in
        [&["--format", "json", "--columns", "id"][..], &["--columns", "id,id", "--format", "csv"], &["--format", "xml"]]
    {
        let output = run(arguments.iter().chain(wrong)).await;
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", text(&output.stderr));
    }
}

/// A column that no record has is most likely misspelled; a file and stdout are told of it alike.
#[tokio::test]
async fn columns_that_no_record_has_are_warned_of() {
    let upstream = Upstream::of(45).await;
    let url = format!("{}/cursor/orders", upstream.url());
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["fetch", &url, "--records", "data", "--pagination", CURSOR];
    for name in ["orders.csv", "orders.parquet", "-"] {
        let path = if name == "-" { "-".into() } else { folder.path().join(name).to_str().unwrap().to_owned() };
        for (columns, warning, beyond) in [
            ("id,nmae,customer.naem", "warning: columns `nmae`, `customer.naem` are in no record\n", true),
            ("id,nmae,_more", "warning: column `nmae` is in no record\n", false),
            ("id,customer.name", "", true),
        ] {
            let options = ["--format", if name == "orders.parquet" { "parquet" } else { "csv" }, "--columns", columns];
            let output = run(arguments.iter().chain(&options).chain(&["--output", &path])).await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name} {columns}: {said}");
            assert!(said.contains(warning) && said.contains("warning: column") != warning.is_empty(), "{name}: {said}");
            let last = said.lines().last().unwrap();
            let counted = last.ends_with("; 45 of 45 records have values outside of the columns");
            assert!(last.starts_with("complete: 45 records") && counted == beyond, "{name} {columns}: {last}");
        }
    }
}

/// Records that the format can't have end the fetch at the first one, and what was fetched is no loss.
#[tokio::test]
async fn a_format_that_cannot_have_the_records_loses_none() {
    let upstream = Upstream::of(45).await;
    let url = format!("{}/cursor/orders", upstream.url());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.geojson");
    let path = path.to_str().unwrap();
    let arguments = ["fetch", &url, "--records", "data", "--pagination", CURSOR, "--output", path];
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains("record 0, counted from 0, is no GeoJSON Feature"),
        "{}",
        text(&output.stderr)
    );
    assert!(!std::fs::exists(path).unwrap());
    let output = run(arguments.iter().chain(&["--format", "ndjson"])).await;
    assert_eq!((output.status.code(), std::fs::read_to_string(path).unwrap()), (Some(0), orders(45)));
}

#[tokio::test]
async fn max_records_gives_so_many_whole_lines_and_says_that_there_are_more() {
    let upstream = Upstream::of(60).await;
    let url = format!("{}/cursor/orders", upstream.url());
    // Pages of 20: within one, at an end of one, and at the end of all.
    for (most, code, pages) in
        [(0, 6, 1), (1, 6, 1), (19, 6, 1), (20, 6, 2), (21, 6, 2), (59, 6, 3), (60, 0, 3), (61, 0, 3)]
    {
        upstream.forget();
        let number = most.to_string();
        let output = run(["fetch", &url, "--records", "data", "--pagination", CURSOR, "--max-records", &number]).await;
        assert_eq!(text(&output.stdout), orders(most.min(60)), "{most}");
        let (exit, said) = end(&output);
        assert_eq!(exit, code, "{most}: {said}");
        let plural = if most == 1 { "" } else { "s" };
        let expected = match code {
            6 => format!("stopped: {most} record{plural} as --max-records says; this is not the whole collection"),
            _ => "complete: 60 records in 3 pages; end proven by no next address; unverified: links and tokens do not show whether records moved between two pages".to_owned(),
        };
        assert_eq!(said, expected);
        // It may have asked ahead, but not for everything.
        assert!(upstream.asked().len() >= pages, "{most}");
    }
}

#[tokio::test]
async fn fields_body_and_method_go_with_every_page() {
    let upstream = Upstream::of(40).await;
    let (_folder, body) = file("body.json", "{\"q\": \"a b\", \"limit\": 20}");
    let url = format!("{}/search/orders?v=1", upstream.url());
    let pagination = "{ type = \"cursor\", next = \"paging.next.after\", param = \"body:after\" }";
    let data = format!("@{body}");
    let output = run([
        "fetch",
        &url,
        "-H",
        "X-Own: 1",
        "-H",
        "X-Own:2",
        "--header",
        "Accept: application/json;v=2",
        "--data",
        &data,
        "--records",
        "results",
        "--pagination",
        pagination,
    ])
    .await;
    assert_eq!(text(&output.stdout), orders(40), "{}", text(&output.stderr));
    let asked = upstream.asked();
    assert_eq!(asked.len(), 2);
    for asked in &asked {
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/search/orders?v=1"));
        assert_eq!(asked.headers.get_all("x-own").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(asked.header("accept"), Some("application/json;v=2"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert!(text(&asked.body).starts_with("{\"q\":\"a b\",\"limit\":20"), "{}", text(&asked.body));
    }
}

#[tokio::test]
async fn each_end_has_a_code_of_its_own() {
    let upstream = Upstream::scripted(120, |asked, answer| match (asked.target.as_str(), asked.page) {
        ("/refused", _) => Reply::status(403),
        ("/unproven", _) => Reply::json("{\"orders\":[1,2]}"),
        (_, 3) => Reply::status(410),
        _ => Reply::Whole(answer),
    })
    .await;
    let url = |path: &str| format!("{}{path}", upstream.url());
    let broken = ["--records", "data", "--pagination", CURSOR];
    for (path, arguments, code, last) in [
        ("/refused", &[][..], 3, "not started: no record was written"),
        ("/unproven", &["--single-page", "refuse"], 5, "not started: no record was written"),
        (
            "/cursor/orders",
            &broken,
            4,
            "broken: after 40 records; what was written is incomplete, and its last records are held back",
        ),
    ] {
        upstream.forget();
        let output = run([&["fetch", url(path).as_str()][..], arguments].concat()).await;
        assert_eq!(end(&output), (code, last), "{path}");
        assert!(orders(40).starts_with(text(&output.stdout)) && !output.stdout.ends_with(b"\n"), "{path}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_reported_before_any_request() {
    let there = "http://127.0.0.1:1/orders";
    let cases: [(&[&str], &str); 16] = [
        (&["fetch"], "<URL>"),
        (&["fetch", there, "--method", "DELETE"], "unknown method \"DELETE\": one of GET, POST"),
        (&["fetch", there, "-H", "Host: a"], "host is set by unpage for each request"),
        (&["fetch", there, "-H", "range: items=5-"], "range is set by unpage"),
        (&["fetch", "orders"], "relative URL without a base"),
        (&["fetch", "ftp://a/"], "not an http or https URL"),
        (&["fetch", "http://u:p@a/"], "user name or password"),
        (&["fetch", there, "--pagination", "curser"], "cursor"),
        (&["fetch", there, "--pagination", "{ type = \"cursor\" }"], "next"),
        (&["fetch", there, "--pagination", "{ type = "], "--pagination"),
        (&["fetch", there, "--records", "a[*", "--pagination", "none"], "--records"),
        (&["fetch", there, "--page-size", "limit=many"], "--page-size"),
        (&["fetch", there, "-H", "X"], "--header"),
        (&["fetch", there, "--data", "@/nowhere"], "/nowhere"),
        (&["fetch", there, "--data", "{"], "--data: not JSON"),
        (&["fetch", there, "--max-records", "few"], "--max-records"),
    ];
    for (arguments, part) in cases {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(part), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "");
    }
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_accident() {
    let upstream = Upstream::of(100_000).await;
    let url = format!("{}/cursor/orders?limit=50", upstream.url());
    let mut command = binary();
    command.args(["fetch", &url, "--records", "data", "--pagination", CURSOR]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), orders(1).trim_end());
    drop(lines);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!((child.wait().await.unwrap().code(), said.as_str()), (Some(1), ""));
    assert!(upstream.asked().len() < 2_000);
}

#[tokio::test]
async fn records_are_written_as_they_come() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::scripted(40, move |asked, answer| match asked.page {
        2 => held.before(Reply::Whole(answer)),
        _ => Reply::Whole(answer),
    })
    .await;
    let mut command = binary();
    command.args(["fetch", &format!("{}/cursor/orders", upstream.url()), "--records", "data", "--pagination", CURSOR]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut written = String::new();
    for _ in 0..19 {
        stdout.read_line(&mut written).await.unwrap();
    }
    gate.open();
    stdout.read_to_string(&mut written).await.unwrap();
    assert_eq!(written, orders(40));
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn check_tells_every_mistake_of_a_file_and_exits_with_2() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let good = data.join("good/worked-examples.toml");
    let output = run([Path::new("check"), &good]).await;
    // Its secrets are not in this environment.
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("ok, ") || said.contains("environment"), "{said}");
    for name in ["everything-at-once", "unknown-keys", "offset-in-page"] {
        let expected = std::fs::read_to_string(data.join(format!("bad/{name}.txt"))).unwrap();
        let (_folder, path) =
            file("unpage.toml", &std::fs::read_to_string(data.join(format!("bad/{name}.toml"))).unwrap());
        let output = run(["check", &path]).await;
        let said = text(&output.stderr).replace(&path, &format!("{name}.toml"));
        assert_eq!(output.status.code(), Some(2), "{said}");
        let mistakes = |text: &str| text.lines().filter(|line| line.contains(".toml:")).count();
        assert!(mistakes(&said) > 0 && mistakes(&said) == mistakes(&expected), "{said}\n{expected}");
    }
    let one = "[[collection]]\npath = \"/a\"\nupstream = \"http://a\"\nrecords = \"$\"\npagination = \"none\"\n";
    let (_folder, path) = file("unpage.toml", one);
    let output = run(["check", &path]).await;
    let told = format!("{path}: ok, 1 collection\n/a: verdict: at best snapshot: one page is all there is\n");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), told.as_str()));
    let output = run(["check", "/nowhere/unpage.toml"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/nowhere/unpage.toml"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn serve_binds_nothing_with_a_bad_configuration() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap();
    let one = "[[collection]]\npath = \"/\"\nupstream = \"http://a\"\nrecords = \"$\"\npagination = \"none\"\n";
    let (_folder, bad) = file("unpage.toml", &format!("listen = \"{taken}\"\n{one}unknown = 1\n"));
    let (_other, good) = file("unpage.toml", &format!("listen = \"{taken}\"\n{one}"));
    // The address is taken: had it tried to listen, it would say so.
    let output = run(["serve", "--config", &bad]).await;
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("unknown") && !said.contains("listen on"), "{said}");
    let output = run(["serve", "--config", &good]).await;
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains(&format!("can't listen on {taken}")), "{said}");
    for (arguments, part) in [
        (&["serve"][..], "--config <FILE>|--upstream <URL>"),
        (&["serve", "--config", "/nowhere.toml"], "/nowhere.toml"),
        (&["serve", "--config", good.as_str(), "--upstream", "http://a"], "cannot be used with"),
        (&["serve", "--upstream", "http://u:s3cr3t@a"], "--upstream"),
    ] {
        let output = run(arguments).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(part) && !said.contains("s3cr3t"), "{said}");
    }
}

#[tokio::test]
async fn the_output_of_probe_is_a_configuration() {
    let upstream = Upstream::of(120).await;
    for path in ["/link/orders", "/next_url/orders", "/cursor/orders", "/page/orders", "/offset/orders"] {
        let output = run(["probe", &format!("{}{path}", upstream.url())]).await;
        let (said, found) = (text(&output.stderr), text(&output.stdout));
        assert!(output.status.success() && said.starts_with("verdict: at best unverified: "), "{path}: {said}");
        // Its lines are those that a [[collection]] has beside its path and its upstream.
        let toml = format!("[[collection]]\npath = \"{path}\"\nupstream = \"{}\"\n{found}", upstream.url());
        let proxy = Proxy::start(&toml).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(path)).await;
        assert!(received.whole() == orders(120), "{path}: {toml}");
    }
    let output = run(["probe", &format!("{}/nowhere", upstream.url())]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), ""));
    assert!(text(&output.stderr).contains("404 Not Found"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_probe_prints_passes_check() {
    let upstream = Upstream::of(120).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unpage.toml");
    let mut checked = 0;
    for path in ["/link/orders", "/next_url/orders", "/cursor/orders", "/page/orders", "/offset/orders"] {
        for level in ["none", "detect", "repair", "verify"] {
            for key in [None, Some("id")] {
                let url = format!("{}{path}", upstream.url());
                let mut arguments = vec!["probe", &url, "--consistency", level];
                arguments.extend(key.iter().flat_map(|key| ["--key", key]));
                let output = run(&arguments).await;
                let (said, found) = (text(&output.stderr), text(&output.stdout));
                let case = format!("{path} {level} {key:?}: {said}");
                if output.status.success() {
                    let collection = format!("[[collection]]\npath = \"{path}\"\nupstream = \"{}\"\n", upstream.url());
                    std::fs::write(&file, collection + found).unwrap();
                    let check = run(["check", file.to_str().unwrap()]).await;
                    assert!(check.status.success(), "{case}{}", text(&check.stderr));
                    checked += 1;
                } else {
                    let told = said.contains("(nothing-to-") && said.contains("key");
                    assert!(output.status.code() == Some(2) && found.is_empty() && told, "{case}");
                }
            }
        }
    }
    assert!(checked >= 20, "{checked}");
}

#[tokio::test]
async fn fetch_through_the_proxy_is_the_proxys_upstream_again() {
    // A page parameter makes the proxy pass pages on, so that unpage can walk what unpage forwards.
    let upstream = Upstream::of(120).await;
    let proxy = Proxy::start(&demo(&upstream)).await;
    let url = format!("http://{}/page/orders?page=1", proxy.address);
    let output =
        run(["fetch", &url, "--records", "items", "--pagination", "{ type = \"page\", param = \"page\", start = 1 }"])
            .await;
    assert!(text(&output.stdout) == orders(120), "{}", text(&output.stderr));
}

#[tokio::test]
async fn the_demo_shows_the_main_job_and_ends() {
    let arguments = ["demo", "--once", "--records", "2500", "--latency", "1ms", "--listen", "127.0.0.1:0"];
    let output = run(arguments).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("streamed 2,500 records, "), "{said}");
    let rows = said.lines().filter(|line| ["by hand, ", "unpage, "].iter().any(|way| line.starts_with(way)));
    let cells = rows.map(|row| row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).take(2).collect());
    let cells: Vec<Vec<_>> = cells.collect();
    let expected = [
        ["by hand, 100 a page, one after the other", "25 pages"],
        ["by hand, 1,000 a page, one after the other", "3 pages"],
        ["unpage, 1,000 a page, several pages at a time", "3 pages"],
        ["unpage, 1,000 a page, each names the next one", "3 pages"],
    ];
    assert_eq!(cells[..], expected, "{said}");
}

#[tokio::test]
async fn an_empty_collection_is_complete() {
    let upstream = Upstream::scripted(0, |_, _| Reply::Whole(answer(200, &[], "{\"data\":[],\"next\":null}"))).await;
    let url = format!("{}/orders", upstream.url());
    let pagination = "{ type = \"cursor\", next = \"next\", param = \"after\" }";
    let output = run(["fetch", &url, "--records", "data", "--pagination", pagination]).await;
    assert_eq!(
        end(&output),
        (0, "complete: 0 records in 1 page; end proven by no next address; snapshot: all records are of one moment")
    );
    assert_eq!(text(&output.stdout), "");
}

#[tokio::test]
async fn a_list_whose_records_moved_breaks_unless_that_is_accepted() {
    let pages = [r#"[{"id":1},{"id":2}],"next":"a""#, r#"[{"id":3},{"id":4}],"next":"b""#, r#"[{"id":1},{"id":5}]"#];
    let upstream = Upstream::scripted(0, move |asked, _| {
        let at = ["after=a", "after=b"].iter().position(|token| asked.target.contains(token)).map_or(0, |at| at + 1);
        Reply::json(format!("{{\"data\":{}}}", pages[at]))
    })
    .await;
    let url = format!("{}/orders", upstream.url());
    let pagination = "{ type = \"cursor\", next = \"next\", param = \"after\" }";
    let arguments =
        ["fetch", &url, "--records", "data", "--pagination", pagination, "--key", "id", "--on-double", "drop"];
    let broken = run(arguments).await;
    let said = text(&broken.stderr);
    assert_eq!(broken.status.code(), Some(7), "{said}");
    assert!(
        said.contains("\nfault: moved\n")
            && said.contains("`on_missed` is --on-missed")
            && said.contains("broken: after 5")
    );
    assert_eq!(text(&broken.stdout).lines().last(), Some("{\"id\":5"), "its last byte is held back");
    let accepted = run(arguments.iter().chain(&["--on-missed", "report"])).await;
    let (code, last) = end(&accepted);
    assert_eq!((code, text(&accepted.stdout).lines().count()), (0, 5), "{last}");
    assert!(text(&accepted.stderr).starts_with("warning: ") && last.starts_with("complete: 5 records in 3 pages; "));
    assert!(last.contains("; 1 double dropped; moved: records may be missing or doubled, since "), "{last}");
}

const ORDERS: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }\n";

#[tokio::test]
async fn one_file_serves_and_fetches() {
    let upstream = Upstream::of(120).await;
    let url = upstream.url();
    let (_folder, path) = file(
        "unpage.toml",
        &format!(
            "[[collection]]\npath = \"/{{kind}}/list\"\nupstream = \"{url}\"\nupstream_path = \"/{{kind}}/orders\"\n{ORDERS}"
        ),
    );
    let there = format!("{url}/cursor/orders");
    let cases: [&[&str]; 3] = [
        &["/cursor/list"],
        &["/cursor/list", "--set", "page_size={ param = \"limit\", value = 7 }"],
        &[&there, "--collection", "/{kind}/list"],
    ];
    for arguments in cases {
        upstream.forget();
        let output = run([&["fetch", "--config", path.as_str()], arguments].concat()).await;
        assert!(text(&output.stdout) == orders(120), "{arguments:?}: {}", text(&output.stderr));
        let is_sized = arguments.contains(&"--set");
        assert!(upstream.asked().iter().all(|asked| asked.target.contains("limit=7") == is_sized), "{arguments:?}");
    }
    let wrong: [(&[&str], &str); 4] = [
        (&["/other"], "no collection has the path /other"),
        (
            &["http://127.0.0.1:1/cursor/orders", "--collection", "/{kind}/list"],
            "is not at the upstream of /{kind}/list",
        ),
        (&["--collection", "/{kind}/list"], "has segments to be filled"),
        (&["/cursor/list", "--set", "recrods=a"], "--set recrods: unknown key"),
    ];
    for (arguments, part) in wrong {
        let output = run([&["fetch", "--config", path.as_str()], arguments].concat()).await;
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
}

#[tokio::test]
async fn tokens_need_not_stand_in_arguments() {
    let upstream = Upstream::of(20).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (_folder, fields) = file("fields", &format!("traceparent: {trace}\n\nAuthorization: Bearer secret\n"));
    // As curl takes it.
    let address = format!("{}/cursor/orders", upstream.url().trim_start_matches("http://"));
    let keys = ["--records", "data", "--pagination", CURSOR];
    for token in [["-H", &format!("@{fields}")], ["--bearer-env", "THE_TOKEN"]] {
        upstream.forget();
        let arguments = [&["fetch", address.as_str()], &token[..], &keys[..]].concat();
        let output = binary().env("THE_TOKEN", "secret").args(&arguments).output().await.unwrap();
        assert!(text(&output.stdout) == orders(20), "{}", text(&output.stderr));
        let asked = upstream.asked();
        assert!(!asked.is_empty());
        for asked in asked {
            assert_eq!(asked.header("authorization"), Some("Bearer secret"), "{token:?}");
            // A trace of the crawl's own where the operator names none.
            let traced = asked.header("traceparent");
            assert!(traced.is_some() && (traced == Some(trace)) == (token[0] == "-H"), "{traced:?}");
        }
    }
    let output = run(["fetch", &address, "--bearer-env", "NOT_SET_ANYWHERE"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("environment variable NOT_SET_ANYWHERE"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_finished_file_is_never_replaced_by_a_part() {
    let upstream = Upstream::of(70).await;
    let (folder, path) = file("orders.ndjson", "whole\n");
    let url = format!("{}/cursor/orders", upstream.url());
    let arguments = ["fetch", &url, "--records", "data", "--pagination", CURSOR, "--output", &path];
    let output = run([&arguments[..], &["--max-records", "5"]].concat()).await;
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--max-records would replace it"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
    assert!(upstream.asked().is_empty());
    // What an earlier run left under the same name is in the way, until it is deleted.
    let part = folder.path().join("orders.ndjson.part");
    std::fs::write(&part, "of another collection\n").unwrap();
    let output = run(arguments).await;
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("--restart"), "{}", text(&output.stderr));
    let output = run([&arguments[..], &["--restart"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(std::fs::read_to_string(&path).unwrap() == orders(70) && !part.exists());
}

#[tokio::test]
async fn check_needs_no_secrets_and_names_presets() {
    let (_folder, path) = file(
        "unpage.toml",
        "[[collection]]\npath = \"/repos/{*rest}\"\npreset = \"github\"\n\
         credentials = { bearer = { env = \"NOT_SET_ANYWHERE\" } }\n",
    );
    for arguments in [&["check", path.as_str()][..], &["check", "--config", path.as_str()]] {
        let output = run(arguments).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("warning: environment variable NOT_SET_ANYWHERE"), "{said}");
        assert!(said.contains("/repos/{*rest}: preset github (documented)"), "{said}");
    }
    let output = run(["serve", &path]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("NOT_SET_ANYWHERE"), "{}", text(&output.stderr));
}

#[tokio::test]
async fn a_collection_is_fetched_without_the_secrets_of_others() {
    let upstream = Upstream::of(40).await;
    let url = upstream.url();
    let absent = "credentials = { bearer = { env = \"NOT_SET_ANYWHERE\" } }";
    let list = "records = \"$\"\npagination = \"link_header\"\nupstream_path = \"/link/orders\"";
    let (_folder, path) = file(
        "unpage.toml",
        &format!(
            "admin_token = {{ env = \"NOT_SET_ANYWHERE\" }}\n\
             [upstream.known]\nurl = \"{url}\"\n[upstream.guarded]\nurl = \"{url}\"\n{absent}\n\
             [[collection]]\npath = \"/own\"\nupstream = \"known\"\n{list}\n\
             [[collection]]\npath = \"/other\"\nupstream = \"guarded\"\n{list}\n\
             [[collection]]\npath = \"/inline\"\nupstream = \"{url}\"\n{absent}\n{list}\n\
             [[collection]]\npath = \"/of/{{id}}/children\"\nupstream = \"known\"\n\
             records = \"$\"\npagination = \"link_header\"\n\
             parent = {{ collection = \"/other\", key = \"id\" }}\n"
        ),
    );
    let output = run(["fetch", "--config", &path, "/own"]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), &*orders(40)), "{}", text(&output.stderr));
    upstream.forget();
    for (target, place) in [
        ("/other", "upstream.guarded.credentials.bearer: environment variable NOT_SET_ANYWHERE"),
        ("/inline", "collection[2].credentials.bearer: environment variable NOT_SET_ANYWHERE"),
        ("/of/*/children", "upstream.guarded.credentials.bearer: environment variable NOT_SET_ANYWHERE"),
    ] {
        let output = run(["fetch", "--config", &path, target]).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(place), "{target}: {said}");
        assert_eq!(said.matches("NOT_SET_ANYWHERE").count(), 1, "{target}: {said}");
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn presets_are_listed_and_shown() {
    let output = run(["presets"]).await;
    let listed = text(&output.stdout);
    assert!(listed.lines().count() >= 89 && listed.contains("github               documented  GitHub"), "{listed}");
    let output = run(["presets", "github"]).await;
    let shown = text(&output.stdout);
    assert!(shown.contains("# preset = \"github\"") && shown.contains("# preset = \"link-header\""), "{shown}");
    assert!(!shown.contains("# Add"), "{shown}");
    let output = run(["presets", "kubernetes"]).await;
    assert!(!text(&output.stdout).starts_with("# Add"), "{}", text(&output.stdout));
    let output = run(["presets", "google"]).await;
    let shown = text(&output.stdout);
    assert!(shown.starts_with("# Add `records` to the [[collection]]"), "{shown}");
    let output = run(["presets", "githup"]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
}

#[tokio::test]
async fn a_login_page_is_asked_for_three_times_and_not_five() {
    let upstream = Upstream::scripted(0, |_, _| {
        Reply::Whole(answer(200, &[("content-type", "text/html")], "<!DOCTYPE html><title>Log in</title>"))
    })
    .await;
    for options in [&[][..], &["--records", "$", "--pagination", "link_header"]] {
        upstream.forget();
        let output = run([&["fetch", upstream.url().as_str()], options].concat()).await;
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        assert_eq!(upstream.asked().len(), 3, "{options:?}");
    }
}
