//! Secrets in every place of a configuration and of a client's requests, and upstreams that repeat what they are sent: none is in
//! anything that is written or shown.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderValue, Request};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use rcgen::KeyPair;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use unpage::config::{Config, Machine};
use unpage::gateway::Gateway;

use super::client::{self, BOTH, Received, Version};
use super::proxy::binary;
use super::tls::{ClientAuthority, asking};
use super::upstream::{Asked, Reply, Upstream, answer, held};

/// Start of every secret.
const MARK: &str = "s3cr3t";

/// Start of the values of a client's query: its snapshot's address has them, in files of the operator's alone, too.
const QUERY_MARK: &str = "pr1vat3";

/// Names of the secrets in the configuration; each has a file of its name.
const CONFIGURED: [&str; 13] = [
    "admin",
    "bearer",
    "basic",
    "header",
    "query",
    "pool-a",
    "pool-b",
    "client",
    "password",
    "refresh",
    "proxy",
    "aws-key",
    "aws-token",
];

/// Answers to a list's requests. All but `fine` repeat a part of the request.
const CASES: [&str; 6] = ["fine", "refused", "broken", "retried", "garbled", "moved"];

/// A secret with characters that JSON, URLs and forms may write in other ways.
fn secret(name: &str) -> String {
    format!("{MARK}/{name}+\"x=0123456789")
}

/// Parts of a request that an upstream may repeat, each in several spellings.
fn echoes(asked: &Asked) -> Vec<String> {
    let mut values = vec![asked.target.clone(), String::from_utf8_lossy(&asked.body).into_owned()];
    values.push(percent_decode_str(&asked.target).decode_utf8_lossy().into_owned());
    for value in asked.headers.values().map(|value| value.to_str().unwrap()) {
        let pair = value.strip_prefix("Basic ").and_then(|pair| BASE64_STANDARD.decode(pair).ok());
        let pair = pair.map(|pair| String::from_utf8(pair).unwrap());
        let is_echoed = pair.is_some() || shows_secret(value);
        values.extend(pair.into_iter().chain(is_echoed.then(|| value.to_owned())));
    }
    let spellings = |value: String| {
        let json = serde_json::to_string(&value).unwrap().trim_matches('"').replace('/', "\\/");
        let encoded = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        [value, json, encoded]
    };
    values.into_iter().flat_map(spellings).collect()
}

/// Returns true for a text with a secret, or with one in base64.
fn shows_secret(text: &str) -> bool {
    let in_base64 = |before: &str| {
        let encoded = BASE64_STANDARD.encode(format!("{before}{MARK}"));
        // Characters that only the secret decides.
        encoded[before.len() + usize::from(!before.is_empty())..encoded.trim_end_matches('=').len() - 1].to_owned()
    };
    text.contains(MARK) || ["", "a", "aa"].into_iter().any(|before| text.contains(&in_base64(before)))
}

/// An upstream of lists at `/KIND/CASE/N`, where N selects what is repeated.
async fn lists() -> Upstream {
    let tried = Mutex::new(HashSet::new());
    Upstream::scripted(0, move |asked, _| {
        let segments: Vec<_> = asked.target.split(['/', '?']).collect();
        let values = echoes(asked);
        let echo = &values[segments.get(3).and_then(|which| which.parse().ok()).unwrap_or(0) % values.len()];
        let is_second = asked.target.contains("c=2");
        let is_new = tried.lock().unwrap().insert(asked.target.clone());
        if asked.header("authorization").is_some_and(|value| value.contains("pool-b")) {
            return Reply::Whole(answer(401, &[], format!("{{\"error\":\"who is {echo}?\"}}")));
        }
        match (segments[2], is_second) {
            ("refused", _) => Reply::Whole(answer(403, &[], format!("no: {echo}"))),
            ("broken", true) => Reply::Whole(answer(404, &[], format!("no: {echo}"))),
            ("retried", true) if is_new => Reply::Whole(answer(503, &[], format!("not now: {echo}"))),
            ("garbled", _) => Reply::Whole(answer(200, &[("content-type", "text/html")], format!("<b>{echo}</b>"))),
            ("moved", _) => {
                let place = if echo.contains(['"', '\\']) { "login" } else { echo };
                let location = format!("//elsewhere.example/{place}");
                Reply::Whole(answer(302, &[("location", &location)], echo.clone()))
            }
            (_, false) => Reply::json("{\"data\":[1],\"next\":\"2\"}"),
            (_, true) => Reply::json("{\"data\":[2],\"next\":null}"),
        }
    })
    .await
}

/// A server of tokens, which refuses those of paths with `bad` and repeats what they sent.
async fn tokens() -> Upstream {
    Upstream::scripted(0, |asked, _| {
        if asked.target.contains("bad") {
            let values = echoes(asked);
            let which = asked.target.rsplit('/').next().and_then(|which| which.parse().ok()).unwrap_or(0);
            let error =
                serde_json::json!({ "error": "invalid_client", "error_description": values[which % values.len()] });
            return Reply::Whole(answer(400, &[], error.to_string()));
        }
        let (access, refresh) = (secret(&format!("access-{}", asked.attempt)), secret("rotated"));
        Reply::json(
            serde_json::json!({ "access_token": access.replace('"', ""), "refresh_token": refresh }).to_string(),
        )
    })
    .await
}

/// Writes the secrets, and the configuration that names them.
async fn configuration(folder: &Path, lists: &Upstream, tokens: &Upstream, tls: &Upstream, ca: &Path) -> String {
    for name in CONFIGURED {
        // A bearer token and a field have no quotes.
        let text =
            if ["password", "refresh", "query"].contains(&name) { secret(name) } else { secret(name).replace('"', "") };
        let text = if name == "proxy" { format!("http://me:{MARK}-proxy@{}", unused()) } else { text };
        std::fs::write(folder.join(name), text).unwrap();
    }
    std::fs::write(folder.join("access"), format!("{MARK}-access-key")).unwrap();
    std::fs::write(folder.join("key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let file = |name: &str| format!("{{ file = {:?} }}", folder.join(name));
    let client = format!("client = {{ id = \"me\", secret = {}, send = \"body\" }}", file("client"));
    let by_header = format!("client = {{ id = \"me\", secret = {} }}", file("client"));
    let refresh = format!("refresh_token = {}", file("refresh"));
    let keep = format!("keep = {:?}", folder.join("kept"));
    let login = format!("as = \"json\", params = {{ user = \"me\", password = {} }}", file("password"));
    let jwt = format!("jwt = {{ key = {}, algorithm = \"ES256\", claims = {{ iss = \"me\" }} }}", file("key"));
    let token = |path: &str, grant: &str, keys: &str| {
        format!("credentials.token = {{ url = \"{}/{path}\", grant = \"{grant}\", {keys} }}", tokens.url())
    };
    let mut upstreams = vec![
        ("own".to_owned(), format!("headers = {{ X-Team-Token = \"{MARK}-of-the-team\" }}")),
        ("bearer".to_owned(), format!("credentials.bearer = {}", file("bearer"))),
        ("basic".to_owned(), format!("credentials.basic = {{ user = \"me\", password = {} }}", file("basic"))),
        ("header".to_owned(), format!("credentials.header = {{ name = \"X-Own\", value = {} }}", file("header"))),
        ("query".to_owned(), format!("credentials.query = {{ name = \"own\", value = {} }}", file("query"))),
        (
            "pool".to_owned(),
            format!("credentials.pool = [{{ bearer = {} }}, {{ bearer = {} }}]", file("pool-a"), file("pool-b")),
        ),
        (
            "aws".to_owned(),
            format!(
                "credentials.aws = {{ service = \"s3\", region = \"eu-west-1\", access_key = {}, secret_key = {}, session_token = {} }}",
                file("access"),
                file("aws-key"),
                file("aws-token")
            ),
        ),
        ("proxied".to_owned(), format!("proxy = {}", file("proxy"))),
        ("client".to_owned(), token("good", "client_credentials", &client)),
        ("refresh".to_owned(), token("good", "refresh_token", &format!("{by_header}, {refresh}, {keep}"))),
        ("login".to_owned(), token("good", "login", &format!("{login}, put = {{ query = \"session\" }}"))),
        ("jwt".to_owned(), token("good", "jwt_bearer", &format!("{jwt}, put = {{ header = \"X-Own\" }}"))),
    ];
    for which in 0..12 {
        let path = format!("bad/{which}");
        let (grant, keys) = [
            ("client_credentials", client.clone()),
            ("client_credentials", by_header.clone()),
            ("refresh_token", format!("{client}, {refresh}")),
            ("login", login.clone()),
            ("jwt_bearer", jwt.clone()),
        ][which % 5]
            .clone();
        upstreams.push((format!("bad{which}"), token(&path, grant, &keys)));
    }
    let snapshots = folder.join("snapshots");
    let mut toml = format!(
        "admin = \"127.0.0.1:0\"\nadmin_token = {}\nadmin_actions = true\naccess_log = true\n[snapshots]\ndir = {snapshots:?}\n",
        file("admin")
    );
    let keys = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"c\" }";
    for (name, lines) in upstreams {
        write!(
            toml,
            "[upstream.{name}]\nurl = \"{}\"\nretry = {{ attempts = 2, base = \"1ms\" }}\n{lines}\n",
            lists.url()
        )
        .unwrap();
        write!(toml, "[[collection]]\npath = \"/{name}/{{*rest}}\"\nupstream = \"{name}\"\n{keys}\n").unwrap();
    }
    let [cert, key] = ["client.crt", "client.key"].map(|name| folder.join(name));
    let mtls = format!("ca = {ca:?}\nclient_cert = {{ cert = {cert:?}, key = {key:?} }}");
    let url = format!("https://localhost:{}", tls.address.port());
    let keys = keys.replace("\"next\"", "\"meta.next_cursor\"").replace("\"c\"", "\"cursor\"");
    write!(toml, "[upstream.mtls]\nurl = \"{url}\"\n{mtls}\n").unwrap();
    write!(toml, "[[collection]]\npath = \"/cursor/orders\"\nupstream = \"mtls\"\n{keys}\n").unwrap();
    toml
}

/// An address at which nothing listens.
fn unused() -> SocketAddr {
    held(SocketAddr::from(([127, 0, 0, 1], 0))).local_addr().unwrap()
}

/// Starts a collector of spans, where they are exported.
async fn collector() -> Option<Upstream> {
    if cfg!(feature = "otlp") {
        Some(Upstream::scripted(0, |_, _| Reply::Whole(answer(200, &[], ""))).await)
    } else {
        None
    }
}

/// `unpage serve` with all that it can log.
struct Tracing {
    address: SocketAddr,
    admin: SocketAddr,
    child: Child,
    said: JoinHandle<String>,
}

impl Tracing {
    async fn serve(file: &Path, format: &str, collector: Option<&Upstream>) -> Self {
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", format, "--config"]).arg(file);
        let endpoint = collector.map_or_else(|| "http://localhost:4318".to_owned(), Upstream::url);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={MARK}-of-the-collector"));
        let mut child = command.env("UNPAGE_LOG", "trace").stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut said, mut addresses) = (String::new(), Vec::new());
        while addresses.len() < 2 {
            let start = said.len();
            assert!(stderr.read_line(&mut said).await.unwrap() > 0, "it ended:\n{said}");
            let line = &said[start..];
            if line.contains("listening on http://") || line.contains("metrics at http://") {
                let address = line.rsplit_once("http://").unwrap().1.split(['/', '"', '\n']).next().unwrap();
                addresses.push(address.parse().unwrap());
            }
        }
        // A full pipe would hold the process up.
        let said = tokio::spawn(async move {
            stderr.read_to_string(&mut said).await.unwrap();
            said
        });
        Self { address: addresses[0], admin: addresses[1], child, said }
    }

    async fn end(mut self) -> String {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().await.unwrap().success());
        self.said.await.unwrap()
    }
}

/// Asks as a client that has secrets of its own.
async fn ask(server: &Tracing, version: Version, target: &str) -> Received {
    let mut request = client::stream(target);
    let bearer = secret("client-bearer").replace('"', "");
    for (name, value) in [
        ("authorization", format!("Bearer {bearer}")),
        ("cookie", format!("lang=de; sid={MARK}-of-the-cookie")),
        ("x-api-key", secret("client-key")),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    client::receive(version, server.address, request).await
}

/// Asks the operator's address.
async fn operator(server: &Tracing, path: &str, token: &str) -> Received {
    let mut request = Request::get(path).body(Full::default()).unwrap();
    request.headers_mut().insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    client::receive(Version::Http1, server.admin, request).await
}

/// Places of secrets that were found.
#[derive(Default)]
struct Leaks {
    keys: Vec<String>,
    found: Vec<String>,
    places: usize,
}

impl Leaks {
    /// Looks for secrets, and for lines of private keys.
    fn look(&mut self, place: &str, text: &str) {
        self.look_beside_queries(place, &text.replace(QUERY_MARK, MARK));
    }

    /// The same where values of the client's query may be.
    fn look_beside_queries(&mut self, place: &str, text: &str) {
        self.places += 1;
        let shows = |line: &&str| shows_secret(line) || self.keys.iter().any(|key| line.contains(key));
        let leaks: Vec<_> = text.lines().filter(shows).map(|line| format!("{place}: {line}")).collect();
        self.found.extend(leaks);
    }

    /// Looks into all files of a folder.
    fn look_into(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                self.look_into(&entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                self.look_beside_queries(&entry.path().display().to_string(), &String::from_utf8_lossy(&bytes));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_anything_that_is_written_or_shown() {
    let authority = ClientAuthority::new();
    let (lists, tokens, (tls, ca)) = (lists().await, tokens().await, asking(&authority).await);
    for (round, format) in ["text", "json"].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        authority.sign(folder);
        let file = folder.join("unpage.toml");
        std::fs::write(&file, configuration(folder, &lists, &tokens, &tls, ca.path()).await).unwrap();
        let mut leaks = Leaks::default();
        for name in ["key", "client.key"] {
            let pem = std::fs::read_to_string(folder.join(name)).unwrap();
            leaks.keys.extend(pem.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
        }
        let other = folder.join("other.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&other, text.replace(&format!("{MARK}-of-the-team"), &format!("{MARK}-of-others"))).unwrap();
        // A panic may show any value by `Debug`.
        let config = Config::read(&text, "the test's configuration", &Machine).unwrap();
        leaks.look("a panic", &format!("{config:?}"));
        leaks.look("a panic", &format!("{:?}", Gateway::builder(config).build().unwrap()));
        let collector = collector().await;
        let server = Tracing::serve(&file, format, collector.as_ref()).await;
        let token: String =
            url::form_urlencoded::byte_serialize(secret("x").replace(MARK, QUERY_MARK).as_bytes()).collect();
        let query = format!("id={token}&note={QUERY_MARK}-note&password={QUERY_MARK}");
        let mut counts = [0; 3];
        let kinds = [
            "own", "bearer", "basic", "header", "query", "pool", "client", "refresh", "login", "jwt", "aws", "proxied",
        ];
        let bad = (0..12).map(|which| format!("bad{which}"));
        for (turn, kind) in kinds.into_iter().map(str::to_owned).chain(bad).enumerate() {
            for case in CASES {
                // No kind has more parts to repeat than these, in two rounds.
                let parts = match (case, kind.as_str()) {
                    ("fine", _) | (_, "proxied") => 0..1,
                    (_, kind) if kind.starts_with("bad") => 0..0,
                    _ => 0..12,
                };
                for which in parts.filter(|which| ["refused", "fine"].contains(&case) || (which + turn) % 6 == 0) {
                    let target = format!("/{kind}/{case}/{}?{query}", which * 2 + round);
                    let received = ask(&server, BOTH[which % 2], &target).await;
                    let body = String::from_utf8_lossy(&received.body).into_owned();
                    match (received.head.status.as_u16(), received.cut()) {
                        (200, false) => counts[0] += 1,
                        (200, true) => counts[1] += 1,
                        _ => counts[2] += 1,
                    }
                    leaks.look(&target, &body);
                    if let (200, "fine", Some(location)) =
                        (received.head.status.as_u16(), case, received.header("content-location"))
                    {
                        let status = ask(&server, Version::Http1, &format!("{location}&_format=status")).await;
                        assert_eq!(status.head.status, 200, "{location}");
                        leaks.look_beside_queries(location, std::str::from_utf8(&status.body).unwrap());
                    }
                }
            }
        }
        assert!(counts[0] > 20 && counts[1] > 8 && counts[2] > 100, "{counts:?}");
        assert_eq!(ask(&server, Version::Http1, "/cursor/orders").await.head.status, 200, "mTLS");
        let token = std::fs::read_to_string(folder.join("admin")).unwrap();
        let refused = operator(&server, "/", &format!("{MARK}-wrong")).await;
        assert_eq!(refused.head.status, 401);
        let tables = ["figures", "crawls", "upstreams", "snapshots", "failures", "collections"]
            .map(|name| format!("/{name}.json"));
        for path in tables.iter().map(String::as_str).chain(["/", "/metrics", "/snapshots", "/healthz", "/log-level"]) {
            let received = operator(&server, path, &token).await;
            assert_eq!(received.head.status, 200, "{path}");
            leaks.look(path, std::str::from_utf8(&received.body).unwrap());
            leaks.look(path, &format!("{:?}", received.head.headers));
        }
        let said = server.end().await;
        leaks.look("log", &said);
        let asked_of_collector = collector.iter().flat_map(Upstream::asked);
        let spans: Vec<_> = asked_of_collector.map(|asked| String::from_utf8_lossy(&asked.body).into_owned()).collect();
        assert_eq!(spans.concat().contains("crawl /bearer/{*rest}"), cfg!(feature = "otlp"));
        spans.iter().for_each(|batch| leaks.look("spans", batch));
        leaks.look_into(&folder.join("snapshots"));
        for arguments in [
            &["check", "FILE"][..],
            &["check", "FILE", "--diff", "OTHER"],
            &["check", "OTHER", "--diff", "FILE"],
            &["explain", "--config", "FILE", "/basic/fine/0"],
            &["fetch", "--config", "FILE", "/bearer/fine/0"],
            &["fetch", "--config", "FILE", "/query/broken/0"],
            &["fetch", "--config", "FILE", "/header/refused/7", "--verbose"],
            &["fetch", "--config", "FILE", "/bad4/fine/0"],
            &["probe", "--config", "FILE", "/basic/garbled/2"],
        ] {
            let named = |argument: &&str| match *argument {
                "FILE" => file.clone().into_os_string(),
                "OTHER" => other.clone().into_os_string(),
                other => other.into(),
            };
            let mut command = binary();
            let output = command.args(arguments.iter().map(named)).env("UNPAGE_LOG", "trace").output().await.unwrap();
            assert!(output.status.code().is_some_and(|code| code != 101), "{output:?}");
            leaks.look(&format!("{arguments:?}"), &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        }
        assert!(leaks.places > 200, "{}", leaks.places);
        assert!(leaks.found.is_empty(), "{} leaks:\n{}", leaks.found.len(), leaks.found.join("\n"));
        for event in ["attempt 1 failed", "no: ", "invalid_client", "credentials.pool[1]"] {
            assert!(said.contains(event), "{event}");
        }
    }
}
