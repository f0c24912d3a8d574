//! Listeners: TLS by SNI and with certificates of clients, unix sockets, inherited sockets, several at a time.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{self, Version, get};
use super::proxy::{Process, Proxy, collection};
use super::upstream::{Reply, Upstream};

const ONE_PAGE: &str = "records = \"$\"\npagination = \"none\"";

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate of a client, with its key.
type ClientPair = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes `NAME.crt` and `NAME.key` into a folder.
    fn write(&self, folder: &Path, name: &str) {
        let (certificate, key) = self.sign(name);
        std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn client_pair(&self) -> ClientPair {
        let (certificate, key) = self.sign("client");
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
    }

    /// Does a handshake as a client that trusts this authority and offers these protocols.
    async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        protocols: &[&str],
        client: Option<ClientPair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match client {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), socket).await
    }
}

async fn upstream() -> Upstream {
    Upstream::scripted(0, |_, _| Reply::json("[1]")).await
}

/// A proxy with these lines in `[tls]`.
async fn secured(upstream: &Upstream, tls: &str) -> Proxy {
    let limits = "[limits]\nfirst_byte = \"300ms\"\nhandshake = \"300ms\"";
    Proxy::start(&format!("[tls]\n{tls}\n{limits}\n{}", collection(&upstream.url(), ONE_PAGE))).await
}

fn pair(folder: &Path, name: &str) -> String {
    format!("cert = {:?}\nkey = {:?}", folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")))
}

/// Asks over a TLS stream, in the version that its handshake chose, and returns the answer's body.
async fn ask(stream: TlsStream<TcpStream>) -> Result<Bytes, hyper::Error> {
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let request =
        Request::get("https://a.example/").header("host", "a.example").body(Full::<Bytes>::default()).unwrap();
    let io = TokioIo::new(stream);
    let response = if is_http2 {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    };
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn the_version_of_http_is_that_of_the_handshake() {
    let (upstream, authority, folder) = (upstream().await, Authority::new(), tempfile::tempdir().unwrap());
    authority.write(folder.path(), "a.example");
    let proxy = secured(&upstream, &pair(folder.path(), "a.example")).await;
    for (offered, chosen) in [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)] {
        let stream = authority.connect(proxy.address, "a.example", offered, None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes));
        assert_eq!(ask(stream).await.unwrap(), "[1]");
    }
    // A client without TLS gets an alert and the end, not an answer.
    let mut plain = TcpStream::connect(proxy.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: p\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // It may end by a reset.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(proxy.monitor.failed_handshakes(), 1);
    // So is one that trusts another authority, and none that says nothing, as health checks do.
    drop(TcpStream::connect(proxy.address).await.unwrap());
    let stranger = Authority::new().connect(proxy.address, "a.example", &[], None).await;
    assert!(stranger.is_err());
    proxy.until(|monitor| monitor.failed_handshakes() == 2 && monitor.connections() == 0).await;
}

#[tokio::test]
async fn a_silent_client_is_closed_before_and_after_its_handshake() {
    let (upstream, authority, folder) = (upstream().await, Authority::new(), tempfile::tempdir().unwrap());
    authority.write(folder.path(), "a.example");
    let proxy = secured(&upstream, &pair(folder.path(), "a.example")).await;
    let closed = |limit: &str| proxy.monitor.closed().find(|(label, _)| *label == limit).unwrap().1;
    let limit = Duration::from_secs(20);
    let mut silent = TcpStream::connect(proxy.address).await.unwrap();
    tokio::time::timeout(limit, silent.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    assert_eq!(closed("handshake"), 1);
    for protocol in ["h2", "http/1.1"] {
        let mut silent = authority.connect(proxy.address, "a.example", &[protocol], None).await.unwrap();
        // The end comes without close_notify.
        let _ = tokio::time::timeout(limit, silent.read_to_end(&mut Vec::new())).await.expect("it stays open");
    }
    assert_eq!(closed("first_byte"), 2);
    let stream = authority.connect(proxy.address, "a.example", &["h2"], None).await.unwrap();
    assert_eq!(ask(stream).await.unwrap(), "[1]");
}

#[tokio::test]
async fn the_certificate_is_that_of_the_servers_name() {
    let (upstream, authority, folder) = (upstream().await, Authority::new(), tempfile::tempdir().unwrap());
    authority.write(folder.path(), "a.example");
    authority.write(folder.path(), "b.example");
    let inline = |name: &str| format!("{{ {} }}", pair(folder.path(), name).replace('\n', ", "));
    let proxy = secured(&upstream, &format!("pairs = [{}, {}]", inline("a.example"), inline("b.example"))).await;
    for name in ["a.example", "b.example"] {
        let stream = authority.connect(proxy.address, name, &["h2"], None).await.unwrap();
        assert_eq!(ask(stream).await.unwrap(), "[1]");
    }
    // The first pair is for names that none has: this client refuses it.
    assert!(authority.connect(proxy.address, "c.example", &["h2"], None).await.is_err());
}

#[tokio::test]
async fn a_client_may_have_to_show_a_certificate() {
    let (upstream, authority, folder) = (upstream().await, Authority::new(), tempfile::tempdir().unwrap());
    authority.write(folder.path(), "a.example");
    let (clients, others) = (Authority::new(), Authority::new());
    let file = folder.path().join("clients.pem");
    std::fs::write(&file, clients.certificate.pem()).unwrap();
    for (auth, without) in [("required", false), ("optional", true)] {
        let pair = pair(folder.path(), "a.example");
        let tls = format!("{pair}\nclient_ca = {file:?}\nclient_auth = \"{auth}\"\nmin = \"1.3\"");
        let proxy = secured(&upstream, &tls).await;
        for (client, is_served) in
            [(Some(clients.client_pair()), true), (Some(others.client_pair()), false), (None, without)]
        {
            // With TLS 1.3 the refusal may come behind the client's handshake.
            let answer = match authority.connect(proxy.address, "a.example", &["http/1.1"], client).await {
                Ok(stream) => ask(stream).await.ok(),
                Err(_) => None,
            };
            assert_eq!(answer.is_some(), is_served, "{auth}");
        }
    }
}

#[tokio::test]
async fn several_addresses_are_served_at_a_time() {
    let upstream = upstream().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    // A process that was killed has left it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listen = format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]\nsocket_mode = \"0660\"", path.display());
    let mut process = Process::listening(&format!("{listen}\n{}", collection(&upstream.url(), ONE_PAGE))).await;
    process.wait_for("listening on unix:").await;
    assert_eq!(client::receive(Version::Http1, process.address, get("/", "*/*")).await.whole(), "[1]");
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(b"GET / HTTP/1.0\r\nHost: p\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("[1]"), "{answer}");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777,
        0o660
    );
    process.signal(Signal::TERM);
    assert_eq!(process.end().await.1, Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn no_connection_is_refused_while_the_service_manager_keeps_the_socket() {
    let upstream = upstream().await;
    let folder = tempfile::tempdir().unwrap();
    let manager = tokio::net::UnixDatagram::bind(folder.path().join("notify")).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config = format!("listen = \"fd:http\"\n{}", collection(&upstream.url(), ONE_PAGE));
    let start = async || {
        let inherited = Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        Process::inheriting(&config, inherited, &folder.path().join("notify")).await
    };
    let told = async || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).await.unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut waiting = None;
    for _ in 0..3 {
        let process = start().await;
        assert_eq!(told().await, "READY=1");
        // The request that came while no process was there.
        if let Some(asked) = waiting.take() {
            let mut asked: TcpStream = asked;
            let mut answer = String::new();
            asked.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("[1]"), "{answer}");
        }
        assert_eq!(client::receive(Version::Http1, address, get("/", "*/*")).await.whole(), "[1]");
        // The socket is on loopback, though the arguments name no address.
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stranger.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
        process.signal(Signal::TERM);
        assert_eq!(told().await, "STOPPING=1");
        assert_eq!(process.end().await.1, Some(0));
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
        waiting = Some(asks);
    }
}

/// A request for a stream over a new connection, behind these bytes and with these fields; its status.
async fn status_behind(proxy: &Proxy, header: &str, target: &str, fields: &str) -> String {
    let mut socket = TcpStream::connect(proxy.address).await.unwrap();
    let accept = "Accept: application/x-ndjson\r\nConnection: close";
    let request = format!("{header}GET {target} HTTP/1.1\r\nHost: p\r\n{accept}\r\n{fields}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}

/// Crawls that an address without credentials may begin are its caller's, whoever brings the request.
#[tokio::test]
async fn callers_are_counted_by_the_address_that_trusted_peers_tell() {
    let upstream = upstream().await;
    let lines = format!("[snapshots]\ndisk = \"0\"\nopens = \"1/h\"\n{}", collection(&upstream.url(), ONE_PAGE));
    let from = |client: &str| format!("X-Forwarded-For: 6.6.6.6, {client}\r\n");
    let trusting = Proxy::start(&format!("trusted_proxies = [\"127.0.0.0/8\"]\n{lines}")).await;
    assert_eq!(status_behind(&trusting, "", "/1", &from("1.1.1.1")).await, "200");
    assert_eq!(status_behind(&trusting, "", "/2", &from("1.1.1.1")).await, "429");
    assert_eq!(status_behind(&trusting, "", "/3", &from("2.2.2.2")).await, "200");
    // Without trust all of them are one caller.
    let strict = Proxy::start(&lines).await;
    assert_eq!(status_behind(&strict, "", "/1", &from("1.1.1.1")).await, "200");
    assert_eq!(status_behind(&strict, "", "/3", &from("2.2.2.2")).await, "429");
    // By the PROXY header, which a named peer always has to write.
    let behind =
        Proxy::start(&format!("proxy_protocol = {{ from = [\"127.0.0.1\"], timeout = \"300ms\" }}\n{lines}")).await;
    let header = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 80 90\r\n");
    assert_eq!(status_behind(&behind, &header("1.1.1.1"), "/1", &from("9.9.9.9")).await, "200");
    assert_eq!(status_behind(&behind, &header("1.1.1.1"), "/2", &from("8.8.8.8")).await, "429");
    assert_eq!(status_behind(&behind, &header("2.2.2.2"), "/3", "").await, "200");
    for bad in ["", "PROXY TCP4 1.1.1.1 10.0.0.1\r\n"] {
        let mut socket = TcpStream::connect(behind.address).await.unwrap();
        socket.write_all(format!("{bad}GET / HTTP/1.1\r\nHost: p\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Bytes that were not read make the end a reset.
        let _ = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.is_empty(), "{answer:?}");
    }
    let closed = behind.monitor.closed().find(|(label, _)| *label == "proxy_header").unwrap().1;
    assert_eq!(closed, 2);
}
