//! Ways to the upstream: a unix socket, an HTTP proxy in the clear, and tunnels through one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, binary, collection};
use super::streams::orders;
use super::tls::secured;
use super::upstream::{Reply, Upstream};

const CURSOR: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
const NEXT_URL: &str = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";

/// `Basic` of the user `unpage` and the password `s3cr3t@`.
const BASIC: &str = "Basic dW5wYWdlOnMzY3IzdEA=";

/// A forward proxy: every host leads to one upstream.
struct ForwardProxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl ForwardProxy {
    /// A proxy that wants these credentials, if any.
    async fn before(upstream: SocketAddr, wanted: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&heads);
        let serving = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, upstream, wanted, Arc::clone(&seen)));
            }
        });
        Self { address, heads, serving }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves one connection: a tunnel, or one request in the clear.
async fn serve(mut client: TcpStream, to: SocketAddr, wanted: Option<&str>, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    let authorization = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().starts_with("proxy-authorization: ").then(|| &line[21..]));
    if wanted.is_some() && authorization != wanted {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        client.write_all(refusal).await.unwrap();
        return;
    }
    let mut upstream = TcpStream::connect(to).await.unwrap();
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 202 Connection established\r\n\r\n").await.unwrap();
    } else {
        let (method, rest) = head.split_once(' ').unwrap();
        let (_, path) = rest.strip_prefix("http://").expect("the whole URL").split_once('/').unwrap();
        let one = format!("{method} /{path}").replacen("\r\n", "\r\nConnection: close\r\n", 1);
        upstream.write_all(one.as_bytes()).await.unwrap();
    }
    // Either side may leave first.
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}

#[tokio::test]
async fn an_upstream_behind_a_unix_socket_is_like_any_other() {
    let upstream = Upstream::scripted(120, |_, answered| Reply::Whole(answered)).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let to = upstream.address;
    let relay = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut upstream).await;
            });
        }
    });
    // The links of `next_url` name the host of the request: http://localhost.
    for (url, path, lines) in [
        (format!("unix:{}", socket.display()), "/next_url/orders", NEXT_URL),
        (format!("unix:{}:/cursor", socket.display()), "/orders", CURSOR),
        (format!("unix:{}", socket.display()), "/cursor/orders", "http = \"2\""),
    ] {
        let proxy = Proxy::start(&collection(&url, lines)).await;
        for version in BOTH {
            let received = client::receive(version, proxy.address, client::stream(path)).await;
            assert!(received.whole() == orders(120), "{url}: {}", received.whole());
            let received = client::receive(version, proxy.address, client::get(path, "*/*")).await;
            assert_eq!(received.head.status, 200);
        }
        assert!(upstream.forget().iter().all(|asked| asked.header("host").is_none_or(|host| host == "localhost")));
    }
    relay.abort();
    let gone = format!("unix:{}/gone.sock", folder.path().display());
    let proxy = Proxy::start(&collection(&gone, CURSOR)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    let said = received.whole();
    assert!(received.head.status == 502 && said.contains(&format!("no connection to {gone}: No such file")), "{said}");
}

#[tokio::test]
async fn a_configured_proxy_gets_whole_urls_or_tunnels_and_its_credentials() {
    let upstream = Upstream::scripted(120, |_, answered| Reply::Whole(answered)).await;
    let forward = ForwardProxy::before(upstream.address, Some(BASIC)).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("http://unpage:s3cr3t%40@{}\n", forward.address)).unwrap();
    let through = format!("proxy = {{ file = \"{}\" }}\n{CURSOR}", secret.path().display());
    for (version, start) in [("auto", "GET http://api.example/cursor/orders"), ("2", "CONNECT api.example:80 ")] {
        let lines = format!("http = \"{version}\"\n{through}");
        let proxy = Proxy::start(&collection("http://api.example", &lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
        assert!(received.whole() == orders(120), "{}", received.whole());
        let heads = forward.heads();
        assert!(
            !heads.is_empty() && heads.iter().all(|head| head.starts_with(start) && head.contains(BASIC)),
            "{heads:?}"
        );
    }
    let (secure, ca) = secured(&["h2", "http/1.1"]).await;
    let forward = ForwardProxy::before(secure.address, None).await;
    let lines = format!("proxy = \"http://{}\"\nca = \"{}\"\n{CURSOR}", forward.address, ca.path().display());
    let proxy = Proxy::start(&collection("https://localhost", &lines)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    assert!(received.whole() == orders(120), "{}", received.whole());
    assert!(forward.heads().iter().all(|head| head.starts_with("CONNECT localhost:443 ")));
    assert_eq!(secure.asked().len(), 7, "six pages of 20, and one of them twice");
}

#[tokio::test]
async fn the_status_of_a_refused_tunnel_is_told() {
    for (answer, told) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 900000\r\n\r\nno", "it answered 403 Forbidden to CONNECT"),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\n", "it answered 502 Bad Gateway to CONNECT"),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "it answered 407 Proxy Authentication Required"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[]", "it sent bytes before the tunnel was used"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lines =
            format!("proxy = \"http://{}\"\nretry = {{ attempts = 1 }}\n{CURSOR}", listener.local_addr().unwrap());
        let proxy = Proxy::start(&collection("https://api.example", &lines)).await;
        let asking = client::receive(Version::Http1, proxy.address, client::get("/cursor/orders", "*/*"));
        let refusing = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            (String::from_utf8(head).unwrap(), socket)
        };
        let (received, (head, _open)) = tokio::join!(asking, refusing);
        assert!(head.starts_with("CONNECT api.example:443 HTTP/1.1\r\n"), "{head}");
        let said = received.whole();
        assert!(received.head.status == 502 && said.contains(told) && said.contains("`proxy`"), "{said}");
    }
}

#[tokio::test]
async fn fetch_takes_the_proxy_of_the_environment_or_its_own() {
    let upstream = Upstream::scripted(120, |_, answered| Reply::Whole(answered)).await;
    let forward = ForwardProxy::before(upstream.address, Some(BASIC)).await;
    let proxy = format!("http://unpage:s3cr3t%40@{}", forward.address);
    let wrong = format!("http://unpage:s3cr3t-too@{}", forward.address);
    let local = format!("http://{}/cursor/orders", upstream.address);
    let closed = "http://127.0.0.1:1";
    let far = "http://api.example/cursor/orders";
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], i32, &'a str);
    let cases: [Case<'_>; 9] = [
        (far, &[("HTTP_PROXY", &proxy)], &[], 0, "complete: 120 records"),
        (far, &[("http_proxy", &proxy)], &[], 0, "complete: 120 records"),
        (far, &[("ALL_PROXY", &proxy)], &[], 0, "complete: 120 records"),
        (far, &[("HTTP_PROXY", closed)], &["--proxy", &proxy], 0, "complete: 120 records"),
        (far, &[("HTTP_PROXY", &wrong)], &[], 3, "through its proxy: it answered 407"),
        (far, &[("HTTP_PROXY", closed)], &[], 3, "through its proxy"),
        (far, &[("ALL_PROXY", "socks5://127.0.0.1:1")], &[], 2, "names a proxy by socks5"),
        (&local, &[("HTTP_PROXY", closed)], &[], 0, "complete: 120 records"),
        (&local, &[], &["--proxy", "none"], 0, "complete: 120 records"),
    ];
    for (url, variables, more, code, said) in cases {
        let mut command = binary();
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        let pagination = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
        let arguments = ["fetch", url, "--records", "data", "--verbose", "--pagination", pagination];
        let output = command.envs(variables.iter().copied()).args(arguments).args(more).output().await.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && stderr.contains(said), "{variables:?} {more:?}: {stderr}");
        assert!(!stderr.contains("s3cr3t"), "{stderr}");
    }
    forward.heads();
    // NO_PROXY, and `serve`, which takes no proxy of the environment.
    let mut command = binary();
    command.env("HTTP_PROXY", &proxy).env("NO_PROXY", "example");
    let output = command.args(["fetch", "http://api.no-such.example/", "--records", "data"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(forward.heads().is_empty());
}

#[tokio::test]
async fn no_path_leaves_the_prefix_of_its_collection() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"seen\":true}")).await;
    let lines = format!(
        "[[collection]]\npath = \"/api/{{*rest}}\"\nupstream_path = \"/public/{{*rest}}\"\nupstream = \"{}\"\n{CURSOR}",
        upstream.url()
    );
    let proxy = Proxy::start(&lines).await;
    for path in
        ["..%2fevil", "..%5cevil", "..;/evil", "%252e%252e%252fevil", "a/%00", "a%2f..%2f..%2fevil", "..;a=b/..%2Fevil"]
    {
        for target in [format!("/api/{path}"), format!("/api/{path}?_format=ndjson")] {
            let received = client::receive(Version::Http1, proxy.address, client::get(&target, "*/*")).await;
            assert_eq!(received.head.status, 400, "{target}: {}", received.whole());
        }
    }
    assert!(upstream.asked().is_empty());
    let received =
        client::receive(Version::Http1, proxy.address, client::get("/api/group%2Fproject/{rest}", "*/*")).await;
    assert_eq!(received.head.status, 200);
    assert_eq!(upstream.asked()[0].target, "/public/group%2Fproject/%7Brest%7D");
}

#[tokio::test]
async fn connections_have_one_limit_with_tls_and_a_407_is_no_clients() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let lines = format!("timeouts = {{ connect = \"200ms\" }}\nretry = {{ attempts = 1 }}\n{CURSOR}");
    let proxy = Proxy::start(&collection(&url, &lines)).await;
    let mut post = client::get("/x", "*/*").map(|_| http_body_util::Full::from("hello"));
    *post.method_mut() = http::Method::POST;
    for request in [client::get("/x", "*/*"), client::stream("/x"), post] {
        let received = client::receive(Version::Http1, proxy.address, request).await;
        assert!(
            received.head.status == 502 && received.whole().contains("not made within 200ms"),
            "{}",
            received.whole()
        );
    }
    let upstream = Upstream::scripted(0, |_, _| Reply::status(407)).await;
    let proxy = Proxy::start(&collection(&upstream.url(), CURSOR)).await;
    let received = client::receive(Version::Http1, proxy.address, client::get("/x", "*/*")).await;
    assert!(received.head.status == 502 && received.whole().contains("it answered 407"), "{}", received.whole());
}
