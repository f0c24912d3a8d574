//! TLS to the upstream: a certificate authority of one's own, and what is said without it.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::client::{self, BOTH, Version};
use super::metrics;
use super::proxy::{Process, Proxy, collection, run};
use super::retries::{closed_on, closing};
use super::streams::orders;
use super::upstream::{Asked, Framing, Reply, Upstream};

const CURSOR: &str =
    "records = \"data\"\npagination = { type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";

/// An upstream behind a certificate for `localhost`, and the file that names who signed it.
pub(super) async fn secured(protocols: &[&str]) -> (Upstream, tempfile::NamedTempFile) {
    // The second page is cut once, so that trouble inside TLS is seen to pass as well.
    secured_by(protocols, |asked, answer| match (asked.page, asked.attempt) {
        (2, 1) => Reply::Cut(answer, Framing::Length),
        _ => Reply::Whole(answer),
    })
    .await
}

/// The same, where this script decides.
pub(super) async fn secured_by(
    protocols: &[&str],
    script: fn(&Asked, Response<Bytes>) -> Reply,
) -> (Upstream, tempfile::NamedTempFile) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let upstream = Upstream::start(120, script, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    (upstream, file)
}

#[tokio::test]
async fn a_configured_authority_is_trusted_over_either_version() {
    let cases: [(&[&str], &str); 5] = [
        (&["h2", "http/1.1"], "auto"),
        (&["http/1.1"], "auto"),
        (&[], "auto"),
        (&["h2", "http/1.1"], "1.1"),
        (&["h2"], "2"),
    ];
    for (protocols, version) in cases {
        let (upstream, ca) = secured(protocols).await;
        let url = format!("https://localhost:{}", upstream.address.port());
        let lines = format!("ca = \"{}\"\nhttp = \"{version}\"\n{CURSOR}", ca.path().display());
        let proxy = Proxy::start(&collection(&url, &lines)).await;
        for client in BOTH {
            upstream.forget();
            let received = client::receive(client, proxy.address, client::stream("/cursor/orders")).await;
            assert!(received.whole() == orders(120), "{protocols:?} {version}: {}", received.whole());
            assert_eq!(upstream.asked().len(), 7, "six pages of 20, and one of them twice");
            let received = client::receive(client, proxy.address, client::get("/page/orders?size=1", "*/*")).await;
            assert!(received.whole().contains("ord_000000001"));
        }
        let host = format!("localhost:{}", upstream.address.port());
        assert!(upstream.asked().iter().all(|asked| asked.header("host") == Some(host.as_str())));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt_in_tls_either() {
    let (upstream, ca) = secured_by(&["http/1.1"], closing).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let lines = format!("ca = \"{}\"\nretry = {{ attempts = 1 }}\n{CURSOR}", ca.path().display());
    let proxy = Proxy::start(&collection(&url, &lines)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
    assert!(received.whole() == orders(120), "{}", received.whole());
    let asked = upstream.asked();
    assert!(closed_on(&asked) > 0);
    assert_eq!(asked.len(), 6 + closed_on(&asked), "six pages of 20");
}

#[tokio::test]
async fn fetch_trusts_the_authority_that_it_is_given() {
    let (upstream, ca) = secured(&["h2", "http/1.1"]).await;
    let url = format!("https://localhost:{}/cursor/orders", upstream.address.port());
    let pagination = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
    let file = ca.path().to_str().unwrap();
    let output = run(["fetch", &url, "--cacert", file, "--records", "data", "--pagination", pagination]).await;
    assert!(output.status.success() && output.stdout == orders(120).into_bytes());
    // Without it, and with the right authority for another name.
    let other = format!("https://127.0.0.1:{}/cursor/orders", upstream.address.port());
    for (arguments, cause) in
        [(vec!["fetch", &url], "UnknownIssuer"), (vec!["fetch", &other, "--cacert", file], "not valid for name")]
    {
        let output = run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(cause), "{said}");
        assert!(said.contains("hint: ") && said.contains("--cacert"), "{said}");
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_what_to_do() {
    let (upstream, ca) = secured(&["h2", "http/1.1"]).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let proxy = Proxy::start(&collection(&url, CURSOR)).await;
    for accept in ["application/x-ndjson", "*/*"] {
        let received = client::receive(Version::Http1, proxy.address, client::get("/cursor/orders", accept)).await;
        assert_eq!(received.head.status, 502);
        let said = received.whole();
        assert!(said.contains("invalid peer certificate: UnknownIssuer") && said.contains("`ca`"), "{said}");
    }
    assert_eq!(upstream.asked().len(), 0);
    let trusting = Proxy::start(&collection(&url, &format!("ca = \"{}\"\n{CURSOR}", ca.path().display()))).await;
    client::receive(Version::Http1, trusting.address, client::get("/", "*/*")).await;
}

#[tokio::test]
async fn a_file_that_is_no_authority_stops_the_start() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in [empty.path().to_str().unwrap(), "/nowhere/ca.pem"] {
        let output = run(["fetch", "https://localhost:1/", "--cacert", path]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(path), "{said}");
    }
}

/// An authority that signs certificates of clients.
pub(super) struct ClientAuthority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientAuthority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Writes a certificate and its key.
    pub(super) fn sign(&self, folder: &std::path::Path) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["unpage".to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        std::fs::write(folder.join("client.crt"), certificate.pem()).unwrap();
        std::fs::write(folder.join("client.key"), key.serialize_pem()).unwrap();
    }
}

/// An upstream that wants a certificate of this authority's.
pub(super) async fn asking(authority: &ClientAuthority) -> (Upstream, tempfile::NamedTempFile) {
    let server = ClientAuthority::new();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &server.issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut clients = rustls::RootCertStore::empty();
    clients.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients), Arc::clone(&provider)).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let script = |_: &Asked, answer| Reply::Whole(answer);
    let upstream = Upstream::start(120, script, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &server.pem).unwrap();
    (upstream, file)
}

/// The alert of a server of TLS 1.2 that got no client certificate, which may be about the ciphers as well.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

#[tokio::test]
async fn a_handshake_that_fails_without_a_word_may_be_for_want_of_a_certificate() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/orders", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut connections = 0;
        while let Ok((mut connection, _)) = listener.accept().await {
            connections += 1;
            let hello = connection.read(&mut [0; 4096]).await.unwrap();
            connection.write_all(&HANDSHAKE_FAILURE).await.unwrap();
            assert!(hello > 0);
            if connections == 2 {
                break;
            }
        }
        connections
    });
    let output = run(["fetch", &url, "--set", "retry = { attempts = 2, base = \"1ms\" }"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("the upstream may want a client certificate"), "{said}");
    assert_eq!(asked.await.unwrap(), 2, "{said}");
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_gets_the_configured_one() {
    let (authority, other) = (ClientAuthority::new(), ClientAuthority::new());
    let (upstream, ca) = asking(&authority).await;
    let url = format!("https://localhost:{}", upstream.address.port());
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["client.crt", "client.key"].map(|name| folder.path().join(name));
    let with = format!("ca = {:?}\nclient_cert = {{ cert = {cert:?}, key = {key:?} }}\n{CURSOR}", ca.path());
    let without = format!("ca = {:?}\n{CURSOR}", ca.path());
    for (signed_by, lines, is_good) in
        [(&other, &with, false), (&authority, &without, false), (&authority, &with, true)]
    {
        signed_by.sign(folder.path());
        let proxy = Proxy::start(&collection(&url, lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/cursor/orders")).await;
        assert_eq!(received.head.status.as_u16(), if is_good { 200 } else { 502 }, "{}", received.whole());
        assert!(!is_good || received.whole() == orders(120));
        let is_told =
            received.whole().contains("\"fault\": \"configuration\"") && received.whole().contains("set `client_cert`");
        assert_eq!(is_told, !is_good, "{}", received.whole());
        assert_eq!(upstream.asked().is_empty(), !is_good);
    }
    // Its end is a metric, from the start on.
    let mut process = Process::serve(&format!("admin = \"127.0.0.1:0\"\n{}", collection(&url, &with))).await;
    let admin = process.admin().await;
    let samples = metrics::samples(admin).await;
    let (year, expiry) = (365.0 * 86_400.0, format!("unpage_certificate_expiry_seconds{{cert={cert:?}}}"));
    assert!(samples[&expiry] > year, "{samples:?}");
    // A pipe in its place holds no scrape.
    let kept = folder.path().join("kept.crt");
    std::fs::rename(&cert, &kept).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&cert).status().unwrap().success());
    assert_eq!(metrics::samples(admin).await.get(&expiry), None);
    std::fs::rename(&kept, &cert).unwrap();
    assert!(metrics::samples(admin).await[&expiry] > year);
    // fetch has it, too, and a key of another certificate is told at the start.
    let target = format!("{url}/cursor/orders");
    let certificate = format!("client_cert={{ cert = {cert:?}, key = {key:?} }}");
    let pagination = "{ type = \"cursor\", next = \"meta.next_cursor\", param = \"cursor\" }";
    let arguments = ["fetch", &target, "--cacert", ca.path().to_str().unwrap(), "--set", &certificate];
    let arguments = [&arguments[..], &["--records", "data", "--pagination", pagination]].concat();
    let output = run(&arguments).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), orders(120));
    std::fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let output = run(&arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("it is the key of another certificate"), "{said}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, collection(&url, &with)).unwrap();
    let output = run(["check".as_ref(), file.path().as_os_str()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("it is the key of another certificate"), "{said}");
}
