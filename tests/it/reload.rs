//! Reload: a configuration that is read again while streams are under way, and snapshots that stay.

use http::{Method, StatusCode};
use rustix::process::Signal;
use tempfile::NamedTempFile;

use super::client::{self, BOTH, Received, Version, lines, stream};
use super::metrics::samples;
use super::proxy::{Process, run};
use super::upstream::{Gate, Reply, Upstream, answer};

const KEPT: &str = "[snapshots]\ndisk = \"0\"\nfresh_for = \"1h\"\nkeep_for = \"1h\"\n";

/// Two pages of each path; those of `/held` wait for the gate before their second one.
async fn upstream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::scripted(0, move |asked, _| {
        let path = asked.target.split('?').next().unwrap();
        let next = format!("<{path}?page=2>; rel=next");
        match (path, asked.target.contains("page=2")) {
            ("/held", true) => gate.before(Reply::Whole(answer(200, &[], "[3]"))),
            (_, true) => Reply::Whole(answer(200, &[], "[3]")),
            (_, false) => Reply::Whole(answer(200, &[("link", next.as_str())], "[1,2]")),
        }
    })
    .await
}

fn collections(upstream: &Upstream, paths: &[&str]) -> String {
    let of = |path: &&str| {
        format!(
            "[[collection]]\npath = \"{path}\"\nupstream = \"{}\"\nrecords = \"$\"\npagination = \"link_header\"\n",
            upstream.url()
        )
    };
    paths.iter().map(of).collect()
}

/// A server, and the file that it reads again.
struct Reloaded {
    process: Process,
    file: NamedTempFile,
}

impl Reloaded {
    async fn serve(text: &str, arguments: &[&str]) -> Self {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        let arguments = arguments.iter().map(AsRef::as_ref).chain(["--config".as_ref(), file.path().as_os_str()]);
        let process = Process::serve_with(arguments).await;
        Self { process, file }
    }

    /// Writes the file, and returns what the server says of it after a signal.
    async fn reload(&mut self, text: &str) -> String {
        std::fs::write(&self.file, text).unwrap();
        self.process.signal(Signal::HUP);
        self.process.wait_for("reloaded").await
    }

    async fn ask(&self, version: Version, target: &str) -> Received {
        client::receive(version, self.process.address, stream(target)).await
    }
}

#[tokio::test]
async fn streams_go_on_snapshots_stay_and_collections_come_and_go() {
    for version in BOTH {
        let gate = Gate::default();
        let upstream = upstream(&gate).await;
        let mut server =
            Reloaded::serve(&format!("{KEPT}{}", collections(&upstream, &["/held", "/a", "/b"])), &[]).await;
        assert_eq!(server.ask(version, "/a").await.whole(), "1\n2\n3\n");
        let mut under_way = client::send(version, server.process.address, stream("/held")).await;
        let begun = lines(under_way.body_mut(), 1).await;
        gate.reached().await;

        let said = server.reload(&format!("{KEPT}{}", collections(&upstream, &["/held", "/a", "/c"]))).await;
        assert!(said.contains("collections added: /c; removed: /b; changed: none"), "{said}");
        upstream.forget();
        assert_eq!(server.ask(version, "/a").await.whole(), "1\n2\n3\n");
        assert!(upstream.asked().is_empty(), "its snapshot stays");
        assert_eq!(server.ask(version, "/b").await.head.status, StatusCode::NOT_FOUND);
        assert_eq!(server.ask(version, "/c").await.whole(), "1\n2\n3\n");

        // Gone from the configuration, and still read to its end.
        server.reload(&format!("{KEPT}{}", collections(&upstream, &["/a"]))).await;
        assert_eq!(server.ask(version, "/held").await.head.status, StatusCode::NOT_FOUND);
        gate.open();
        let rest = Received::read(under_way).await;
        assert_eq!([begun, rest.whole().as_bytes().to_vec()].concat(), b"1\n2\n3\n");
    }
}

#[tokio::test]
async fn a_file_with_a_mistake_changes_nothing_and_is_told_on_one_line() {
    let upstream = upstream(&Gate::default()).await;
    let before = format!("admin = \"127.0.0.1:0\"\n{KEPT}{}", collections(&upstream, &["/a"]));
    let mut server = Reloaded::serve(&before, &[]).await;
    let admin = server.process.admin().await;
    let other = collections(&upstream, &["/b"]);
    for (text, reason) in [
        (format!("access_logg = true\n{before}"), "unknown key"),
        (format!("{KEPT}{other}"), "keys that need a restart were changed: admin"),
        (format!("admin = \"127.0.0.1:0\"\nsocket_mode = \"0666\"\n{KEPT}{other}"), "were changed: socket_mode"),
        (
            before.replace("[[collection]]", "[[collection]]\nca = \"/nowhere.pem\"").replace("http://", "https://"),
            "can't be read",
        ),
        (String::new(), "collection"),
    ] {
        let said = server.reload(&text).await;
        assert!(said.contains("ERROR") && said.contains("the configuration before goes on: "), "{said}");
        assert!(said.contains(reason), "{said}");
        assert_eq!(server.ask(Version::Http1, "/a").await.whole(), "1\n2\n3\n");
        assert_eq!(server.ask(Version::Http1, "/b").await.head.status, StatusCode::NOT_FOUND);
    }
    let good = format!("admin = \"127.0.0.1:0\"\n{KEPT}{other}");
    server.reload(&good).await;
    assert_eq!(server.ask(Version::Http1, "/b").await.whole(), "1\n2\n3\n");
    let samples = samples(admin).await;
    assert_eq!(samples["unpage_config_reloads_total{result=\"refused\"}"], 5.0);
    assert_eq!(samples["unpage_config_reloads_total{result=\"good\"}"], 1.0);
    assert!(samples["unpage_config_last_reload_success_timestamp_seconds"] > 1.7e9);
}

#[tokio::test]
async fn no_stream_breaks_by_many_reloads() {
    let gate = Gate::default();
    let upstream = upstream(&gate).await;
    let texts = [&["/held", "/a"][..], &["/held"]].map(|paths| format!("{KEPT}{}", collections(&upstream, paths)));
    let mut server = Reloaded::serve(&texts[0], &[]).await;
    let mut under_way = Vec::new();
    for number in 0..50 {
        let mut response = client::send(BOTH[number % 2], server.process.address, stream("/held")).await;
        assert_eq!(lines(response.body_mut(), 1).await, b"1\n");
        under_way.push(response);
    }
    for reload in 0..100 {
        server.reload(&texts[(reload + 1) % 2]).await;
    }
    gate.open();
    for response in under_way {
        assert_eq!(Received::read(response).await.whole(), "2\n3\n");
    }
}

#[tokio::test]
async fn a_collection_is_refreshed_as_the_newest_configuration_says() {
    let upstream = upstream(&Gate::default()).await;
    let of = |path: &str| format!("{KEPT}{}refresh = \"1h\"\n", collections(&upstream, &[path]));
    let mut server = Reloaded::serve(&of("/a"), &[]).await;
    for path in ["/b", "/c"] {
        server.reload(&of(path)).await;
        let asked = async {
            while !upstream.asked().iter().any(|asked| asked.target.starts_with(&format!("{path}?page=2"))) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), asked)
            .await
            .expect("it is crawled before a client asks");
    }
}

#[tokio::test]
async fn a_pagination_that_was_recognised_is_shown_until_one_is_configured() {
    let gate = Gate::default();
    let upstream = upstream(&gate).await;
    let top = format!("admin = \"127.0.0.1:0\"\n{KEPT}");
    let configured = collections(&upstream, &["/a"]);
    let auto = configured.replace("records = \"$\"\npagination = \"link_header\"\n", "");
    let mut server = Reloaded::serve(&format!("{top}{auto}"), &[]).await;
    let admin = server.process.admin().await;
    let source = async || {
        let rows = client::receive(Version::Http1, admin, client::get("/collections.json", "*/*")).await;
        let rows: serde_json::Value = serde_json::from_slice(&rows.body).unwrap();
        rows[0]["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(server.ask(Version::Http1, "/a").await.whole(), "1\n2\n3\n");
    assert_eq!(source().await, "recognised");
    let elsewhere = auto.replace("127.0.0.1", "localhost");
    for (collections, expected) in [(&elsewhere, "unknown"), (&auto, "recognised"), (&configured, "configured")] {
        server.reload(&format!("{top}{collections}")).await;
        assert_eq!(source().await, expected, "{collections}");
    }
}

#[tokio::test]
async fn a_watched_file_is_reloaded_without_a_signal() {
    let upstream = upstream(&Gate::default()).await;
    let mut server = Reloaded::serve(&collections(&upstream, &["/a"]), &["--watch"]).await;
    std::fs::write(&server.file, collections(&upstream, &["/a", "/b"])).unwrap();
    let said = server.process.wait_for("reloaded").await;
    assert!(said.contains("collections added: /b; removed: none; changed: none"), "{said}");
    assert_eq!(server.ask(Version::Http1, "/b").await.whole(), "1\n2\n3\n");
}

#[tokio::test]
async fn a_server_without_a_file_says_so() {
    let upstream = upstream(&Gate::default()).await;
    let mut process = Process::serve_with(["--upstream".as_ref(), upstream.url().as_ref()]).await;
    process.signal(Signal::HUP);
    process.wait_for("there is no configuration file to read again").await;
    assert_eq!(client::receive(Version::Http1, process.address, stream("/a")).await.whole(), "1\n2\n3\n");
}

#[tokio::test]
async fn check_tells_what_a_reload_would_change() {
    let upstream = upstream(&Gate::default()).await;
    assert_eq!(
        client::receive(Version::Http1, upstream.url()[7..].parse().unwrap(), stream("/a")).await.whole(),
        "[1,2]"
    );
    let (running, new) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
    std::fs::write(&running, collections(&upstream, &["/a", "/b"])).unwrap();
    std::fs::write(&new, format!("hosts = [\"a\"]\n{}", collections(&upstream, &["/b", "/c"]))).unwrap();
    let [new, running] = [new.path(), running.path()].map(|path| path.to_str().unwrap());
    let output = run(["check", new, "--diff", running]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    for line in [
        "reload: collections added: /c",
        "reload: collections removed: /a",
        "reload: collections changed: none",
        "reload: refused, since keys that need a restart differ: hosts",
    ] {
        assert!(said.lines().any(|said| said == line), "{said}");
    }
    assert!(output.status.success());
}

#[tokio::test]
async fn a_session_never_stands_for_a_snapshot_of_another_configuration() {
    let upstream = upstream(&Gate::default()).await;
    let text = |lines: &str| format!("{KEPT}{}{lines}", collections(&upstream, &["/a"]));
    let mut server = Reloaded::serve(&text(""), &[]).await;
    let target = "/a?_snapshot=~mine";
    assert_eq!(server.ask(Version::Http1, target).await.whole(), "1\n2\n3\n");
    server.reload(&text("page_size = { param = \"limit\", value = 7 }\n")).await;
    for (method, range) in [(Method::HEAD, None), (Method::GET, Some("bytes=2-")), (Method::GET, None)] {
        let mut request = stream(target);
        *request.method_mut() = method;
        if let Some(range) = range {
            request.headers_mut().insert("range", range.parse().unwrap());
        }
        let received = client::receive(Version::Http1, server.process.address, request).await;
        assert_eq!(received.head.status, StatusCode::GONE, "{range:?}");
    }
    server.reload(&text("")).await;
    assert_eq!(server.ask(Version::Http1, target).await.whole(), "1\n2\n3\n", "its snapshot is still kept");
}

#[tokio::test]
async fn a_token_outlives_a_reload_that_does_not_change_it() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.as_str() {
        "/token" => Reply::Whole(answer(
            200,
            &[("content-type", "application/json")],
            format!(
                "{{\"access_token\":\"access-{0}\",\"refresh_token\":\"refresh-{0}\",\"expires_in\":3600}}",
                asked.attempt
            ),
        )),
        _ if asked.header("authorization") == Some("Bearer access-1") => Reply::Whole(answer(200, &[], "[1]")),
        _ => Reply::status(401),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let [refresh, secret] = ["refresh", "secret"].map(|name| folder.path().join(name));
    std::fs::write(&refresh, "first").unwrap();
    std::fs::write(&secret, "hidden").unwrap();
    let text = |lines: &str| {
        format!(
            "[[collection]]\npath = \"/a\"\nupstream = \"{0}\"\nrecords = \"$\"\npagination = \"none\"\n{lines}\n\
             [collection.credentials.token]\nurl = \"{0}/token\"\ngrant = \"refresh_token\"\nrefresh_token = {{ file = {refresh:?} }}\n\
             client = {{ id = \"unpage\", secret = {{ file = {secret:?} }} }}\n",
            upstream.url()
        )
    };
    let mut server = Reloaded::serve(&text(""), &[]).await;
    assert_eq!(server.ask(Version::Http1, "/a").await.whole(), "1\n");
    server.reload(&text("headers = { x-new = \"1\" }")).await;
    assert_eq!(server.ask(Version::Http1, "/a?x=1").await.whole(), "1\n");
    let asked = upstream.asked();
    assert_eq!(asked.iter().filter(|asked| asked.target == "/token").count(), 1);
    assert!(asked.iter().any(|asked| asked.header("x-new") == Some("1")), "the new configuration is in use");
}

#[tokio::test]
async fn a_watched_file_that_names_a_missing_secret_is_tried_again() {
    let upstream = upstream(&Gate::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    let mut server = Reloaded::serve(&collections(&upstream, &["/a"]), &["--watch"]).await;
    let credentials = format!("credentials = {{ bearer = {{ file = {secret:?} }} }}\n");
    std::fs::write(&server.file, format!("{}{credentials}", collections(&upstream, &["/b"]))).unwrap();
    server.process.wait_for("is not reloaded").await;
    std::fs::write(&secret, "token").unwrap();
    server.process.wait_for("collections added: /b").await;
    assert_eq!(server.ask(Version::Http1, "/b").await.whole(), "1\n2\n3\n");
}

#[tokio::test]
async fn an_address_of_a_table_means_the_same_bytes_after_a_reload() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("[{\"a\":1,\"b\":2},{\"a\":3,\"b\":4}]")).await;
    let text = |columns: &str| {
        let of = collections(&upstream, &["/a"]);
        format!("{KEPT}{}{columns}", of.replace("link_header", "none"))
    };
    let mut server = Reloaded::serve(&text(""), &[]).await;
    let whole = server.ask(Version::Http1, "/a?_format=csv").await;
    assert_eq!(whole.whole(), "\"a\",b,_more\r\n\"1\",2,\r\n\"3\",4,\r\n");
    server.reload(&text("columns = [\"b\", \"_more\"]\n")).await;
    let address = whole.header("content-location").unwrap();
    assert_eq!(server.ask(Version::Http1, address).await.whole(), whole.whole());
    let newer = server.ask(Version::Http1, "/a?_format=csv").await;
    assert!(newer.whole().starts_with("\"b\",_more"), "{}", newer.whole());
    server.reload(&text("")).await;
    let address = newer.header("content-location").unwrap();
    assert_eq!(server.ask(Version::Http1, address).await.whole(), newer.whole());
}

#[tokio::test]
async fn a_token_of_the_operator_is_replaced_in_its_file_and_blocks_no_reload() {
    let upstream = upstream(&Gate::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let [file, other] = ["admin_token", "other_token"].map(|name| folder.path().join(name));
    for file in [&file, &other] {
        std::fs::write(file, "token-one\n").unwrap();
    }
    let text = |file: &std::path::Path, paths: &[&str]| {
        let top = format!("admin = \"127.0.0.1:0\"\nadmin_token = {{ file = {file:?} }}\n");
        format!("{top}{KEPT}{}", collections(&upstream, paths))
    };
    let mut server = Reloaded::serve(&text(&file, &["/a"]), &["--watch"]).await;
    let admin = server.process.admin().await;
    let status = async |token: &str| {
        let mut request = client::get("/metrics", "*/*");
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client::receive(Version::Http1, admin, request).await.head.status
    };
    assert_eq!(status("token-one").await, StatusCode::OK);
    std::fs::write(&file, "token-two\n").unwrap();
    let is_read = async { while status("token-two").await != StatusCode::OK {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), is_read).await.expect("the file is read again");
    assert_eq!(status("token-one").await, StatusCode::UNAUTHORIZED);
    let told = server.process.wait_for("the changed secret").await;
    assert!(told.contains("admin_token") && !told.contains("token-two"), "{told}");

    // By --watch, then by a signal.
    std::fs::write(&server.file, text(&file, &["/a", "/b"])).unwrap();
    let told = server.process.wait_for("reloaded").await;
    assert!(told.contains("collections added: /b; removed: none; changed: none"), "{told}");
    let told = server.reload(&text(&file, &["/a", "/c"])).await;
    assert!(told.contains("collections added: /c; removed: /b; changed: none"), "{told}");
    assert_eq!(server.ask(Version::Http1, "/c").await.whole(), "1\n2\n3\n");
    // A file without a token leaves the last one in use.
    std::fs::write(&file, "").unwrap();
    let asking = async { while status("token-two").await == StatusCode::OK {} };
    tokio::select! {
        _ = server.process.wait_for("it is empty") => {}
        () = asking => panic!("a file without a token locks the operator out"),
    }
    let told = server.reload(&text(&other, &["/a"])).await;
    assert!(told.contains("keys that need a restart were changed: admin_token"), "{told}");
    assert_eq!(status("token-two").await, StatusCode::OK);
}

#[tokio::test]
async fn a_member_of_a_pool_has_the_number_of_the_present_configuration() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.header("authorization") {
        Some("Bearer key-bad") => Reply::status(401),
        _ => Reply::json("[1,2]"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let pool = |names: &[&str]| {
        let member = |name: &&str| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("key-{name}")).unwrap();
            format!("{{ bearer = {{ file = {file:?} }} }}")
        };
        let members: Vec<_> = names.iter().map(member).collect();
        let credentials = format!("credentials = {{ pool = [{}], sticky = false }}\n", members.join(", "));
        format!("admin = \"127.0.0.1:0\"\n{}{credentials}", collections(&upstream, &["/{list}"]))
    };
    let mut server = Reloaded::serve(&pool(&["bad", "good"]), &[]).await;
    let admin = server.process.admin().await;
    assert_eq!(server.ask(Version::Http1, "/a").await.whole(), "1\n2\n");
    server.process.wait_for("refuses credentials.pool[0]").await;
    let held = |samples: &std::collections::BTreeMap<String, f64>, member: usize| {
        let origin = upstream.url();
        samples.get(&format!("unpage_upstream_member_held_seconds{{origin=\"{origin}\",member=\"{member}\"}}")).copied()
    };
    let before = samples(admin).await;
    assert!(held(&before, 0).unwrap() > 0.0 && held(&before, 1) == Some(0.0), "{before:?}");
    for (names, bad) in [(&["good", "bad"][..], Some(1)), (&["new", "good", "bad"], Some(2)), (&["good", "new"], None)]
    {
        server.reload(&pool(names)).await;
        assert_eq!(server.ask(Version::Http1, &format!("/{}", names.join("-"))).await.whole(), "1\n2\n");
        let samples = samples(admin).await;
        for member in 0..names.len() {
            let is_held = held(&samples, member).unwrap() > 0.0;
            assert_eq!(is_held, bad == Some(member), "{names:?}: {member}: {samples:?}");
        }
    }
    let keys: Vec<_> = upstream.asked().iter().map(|asked| asked.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys.iter().filter(|key| *key == "Bearer key-bad").count(), 1, "{keys:?}");
}
