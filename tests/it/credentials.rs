//! Configured credentials that change while unpage runs: files of secrets that are replaced, and tokens that end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use unpage::demo::Legacy;

use super::client::{self, BOTH, Version};
use super::proxy::{Process, Proxy, collection, run};
use super::upstream::{Asked, Gate, Reply, Upstream, answer, held};

const NEXT_URL: &str = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";

/// Replaces a file as a whole, as Kubernetes does with a secret.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, file).unwrap();
}

fn refused() -> Reply {
    Reply::Whole(answer(401, &[], "{\"error\":\"expired\"}"))
}

fn bearer(asked: &Asked) -> &str {
    asked.header("authorization").unwrap_or_default().strip_prefix("Bearer ").unwrap_or_default()
}

/// An upstream whose pages from the third on want the second secret, which is in the file from then on.
async fn rotated_at_the_third_page(file: &Arc<PathBuf>) -> Upstream {
    let file = Arc::clone(file);
    fs::write(&*file, "secret-one\n").unwrap();
    Upstream::scripted(200, move |asked, answer| {
        if asked.page < 3 {
            return Reply::Whole(answer);
        }
        replace(&file, "secret-two\n");
        if bearer(asked) == "secret-two" { Reply::Whole(answer) } else { refused() }
    })
    .await
}

#[tokio::test]
async fn a_secret_file_that_is_replaced_during_a_crawl_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(folder.path().join("token"));
    for version in BOTH {
        let upstream = rotated_at_the_third_page(&file).await;
        let lines = format!("credentials = {{ bearer = {{ file = {:?} }} }}\n{NEXT_URL}", file.display());
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = client::receive(version, proxy.address, client::stream("/next_url/orders?page_size=50")).await;
        assert_eq!(received.whole().lines().count(), 200);
        let secrets: Vec<_> = upstream.asked().iter().map(|asked| bearer(asked).to_owned()).collect();
        assert_eq!(secrets, ["secret-one", "secret-one", "secret-one", "secret-two", "secret-two"]);
        // What is passed through has the new one, too.
        let received = client::receive(version, proxy.address, client::get("/next_url/orders?page=4", "*/*")).await;
        assert_eq!(received.head.status, 200);
    }
}

#[tokio::test]
async fn a_passed_request_is_repeated_with_the_secret_that_its_file_has_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "secret-one").unwrap();
    let upstream = Upstream::scripted(1, |asked, _| match asked.target.contains("key=secret-two") {
        true => Reply::json("[1]"),
        false => refused(),
    })
    .await;
    let lines = format!(
        "credentials = {{ query = {{ name = \"key\", value = {{ file = {:?} }} }} }}\nrecords = \"$\"\npagination = \"none\"",
        file.display()
    );
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let get = || client::receive(Version::Http1, proxy.address, client::get("/orders", "*/*"));
    assert_eq!(get().await.head.status, 401, "the file has no other secret");
    assert_eq!(upstream.asked().len(), 1);
    for bad in ["", "secret-one"] {
        replace(&file, bad);
        assert_eq!(get().await.head.status, 401, "{bad:?}");
    }
    assert_eq!(upstream.forget().len(), 3);
    replace(&file, "secret-two");
    assert_eq!(get().await.head.status, 200);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn fetch_follows_the_file_of_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(folder.path().join("token"));
    let upstream = rotated_at_the_third_page(&file).await;
    let url = format!("{}/next_url/orders?page_size=50", upstream.url());
    let credentials = format!("credentials={{ bearer = {{ file = {:?} }} }}", file.display());
    let pagination = "{ type = \"next_url\", next = \"next\" }";
    let arguments = ["fetch", &url, "--set", &credentials, "--records", "results", "--pagination", pagination];
    let output = run(arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 200);
}

/// A token server: its n-th answer is the token `token-n`, with these members beside it.
async fn token_server(members: &'static str) -> Upstream {
    Upstream::scripted(1, move |asked, _| {
        Reply::json(format!("{{\"access_token\":\"token-{}\"{members}}}", asked.attempt))
    })
    .await
}

/// Credentials by this server, with these keys beside its URL.
fn token(server: &Upstream, keys: &str) -> String {
    format!("credentials = {{ token = {{ url = \"{}/token\", {keys} }} }}", server.url())
}

const CLIENT: &str = "grant = \"client_credentials\", client = { id = \"me\", secret = { env = \"CARGO_PKG_NAME\" } }";

/// Number of a token.
fn number(asked: &Asked) -> usize {
    bearer(asked).strip_prefix("token-").and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn lines(received: &client::Received) -> usize {
    received.whole().lines().count()
}

const ORDERS: &str = "/next_url/orders?page_size=50";

#[tokio::test]
async fn a_crawl_outlives_its_tokens() {
    let tokens = token_server(",\"expires_in\":3600").await;
    // Each token is good for three pages.
    let upstream = Upstream::scripted(500, |asked, answer| match number(asked) == asked.page.div_ceil(3) {
        true => Reply::Whole(answer),
        false => refused(),
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{}\n{NEXT_URL}", token(&tokens, CLIENT)))).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
    assert_eq!(lines(&received), 500);
    let asked = tokens.asked();
    assert_eq!((asked.len(), upstream.asked().len()), (4, 13));
    for asked in asked {
        assert_eq!(asked.header("authorization"), Some("Basic bWU6dW5wYWdl"));
        assert_eq!((asked.method.as_str(), &*asked.body), ("POST", &b"grant_type=client_credentials"[..]));
    }
}

#[tokio::test]
async fn a_401_at_any_page_costs_one_renewal() {
    for at in 1..=4 {
        let tokens = token_server("").await;
        let upstream = Upstream::scripted(200, move |asked, answer| match (asked.page == at, number(asked)) {
            (true, 1) => refused(),
            (_, 0) => Reply::status(400),
            _ => Reply::Whole(answer),
        })
        .await;
        let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, CLIENT));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
        assert_eq!(lines(&received), 200);
        assert_eq!((tokens.asked().len(), upstream.asked().len()), (2, 5), "page {at}");
    }
}

#[tokio::test]
async fn crawls_whose_token_is_refused_at_a_time_share_one_renewal() {
    let tokens = token_server("").await;
    let gate = Gate::default();
    let held = gate.clone();
    let is_second = |asked: &Asked| asked.target.contains("page=2");
    let upstream = Upstream::scripted(200, move |asked, answer| match (number(asked), is_second(asked)) {
        (1, true) => held.before(refused()),
        _ => Reply::Whole(answer),
    })
    .await;
    let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, CLIENT));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let address = proxy.address;
    let crawls = [0, 1].map(|own| {
        let request = client::stream(&format!("{ORDERS}&a={own}"));
        tokio::spawn(client::receive(Version::Http1, address, request))
    });
    let both = async {
        while upstream.asked().iter().filter(|asked| is_second(asked)).count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("both crawls ask for page 2");
    gate.open();
    for crawl in crawls {
        assert_eq!(lines(&crawl.await.unwrap()), 200);
    }
    assert_eq!(tokens.asked().len(), 2);
}

#[tokio::test]
async fn a_path_that_always_says_401_leaves_the_others_their_token() {
    let tokens = token_server("").await;
    let upstream = Upstream::scripted(200, |asked, answer| match asked.target.contains("/forbidden/") {
        true => refused(),
        false => Reply::Whole(answer),
    })
    .await;
    let toml = collection(&upstream.url(), &format!("{}\n{NEXT_URL}", token(&tokens, CLIENT)));
    let proxy = Proxy::start(&toml).await;
    for round in 0..10 {
        let own = &format!("&round={round}");
        let received = client::receive(Version::Http1, proxy.address, client::stream(&format!("{ORDERS}{own}"))).await;
        assert_eq!(lines(&received), 200);
        let forbidden = format!("/next_url/forbidden/orders?page_size=50{own}");
        let received = client::receive(Version::Http1, proxy.address, client::get(&forbidden, "*/*")).await;
        assert_eq!(received.head.status, 401);
        let received = client::receive(Version::Http1, proxy.address, client::stream(&forbidden)).await;
        let problem: serde_json::Value = serde_json::from_str(received.whole()).unwrap();
        assert_eq!((received.head.status.as_u16(), &problem["fault"]), (401, &"configuration".into()), "{problem}");
    }
    // One for all, and one that was in vain; another ten seconds later on a machine that takes so long.
    assert!((2..=4).contains(&tokens.asked().len()), "{}", tokens.asked().len());
    assert_eq!(upstream.asked().iter().filter(|asked| number(asked) == 0).count(), 0);
}

#[tokio::test]
async fn several_credentials_go_with_each_request_and_are_renewed_each_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(folder.path().join("key"));
    fs::write(&*file, "key-1").unwrap();
    let tokens = token_server("").await;
    // The second page wants another token, the third another key, in the query.
    let replaced = Arc::clone(&file);
    let upstream = Upstream::scripted(200, move |asked, answer| {
        if asked.header("x-application") != Some("unpage") {
            return Reply::status(400);
        }
        let key = if asked.target.contains("key=key-2") { 2 } else { 1 };
        match asked.page {
            2 if number(asked) < 2 => refused(),
            3 if key < 2 => {
                replace(&replaced, "key-2");
                refused()
            }
            _ => Reply::Whole(answer),
        }
    })
    .await;
    let token = format!("{{ token = {{ url = \"{}/token\", {CLIENT} }} }}", tokens.url());
    let application = "{ header = { name = \"X-Application\", value = { env = \"CARGO_PKG_NAME\" } } }";
    let key = format!("{{ query = {{ name = \"key\", value = {{ file = {:?} }} }} }}", file.display());
    let lines_of = format!("credentials = [{application}, {token}, {key}]\n{NEXT_URL}");
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
    assert_eq!(lines(&received), 200);
    assert!(upstream.asked().iter().all(|asked| asked.header("x-application") == Some("unpage")));
    // A first token, its renewal, and one for the 401 that the key was meant by.
    assert_eq!((tokens.asked().len(), upstream.asked().len()), (3, 6));
    let shown = format!("{:?} {}", received.head, received.whole());
    assert!(!shown.contains("key-") && !shown.contains("token-"), "{shown}");
}

/// Files of AWS's keys, in this generation.
fn aws_files(folder: &Path, generation: usize) {
    for name in ["key", "secret", "session"] {
        replace(&folder.join(name), &format!("s3cret-{name}-{generation}\n"));
    }
}

/// Lines of a collection with the keys of these files.
fn aws(folder: &Path, service: &str) -> String {
    let [key, secret, session] =
        ["key", "secret", "session"].map(|name| format!("{{ file = {:?} }}", folder.join(name)));
    format!(
        "credentials.aws = {{ service = \"{service}\", region = \"eu-west-1\", access_key = {key}, secret_key = {secret}, \
         session_token = {session} }}\n{NEXT_URL}"
    )
}

/// Returns the text between the mark and the next comma of a request's `Authorization`.
fn signed<'a>(asked: &'a Asked, mark: &str) -> &'a str {
    let rest = asked.header("authorization").and_then(|field| field.split_once(mark)).map_or("", |(_, rest)| rest);
    rest.split(',').next().unwrap_or_default()
}

#[tokio::test]
async fn each_page_and_each_retry_is_signed_for_aws_with_the_keys_that_their_files_have_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let rotated = folder.path().to_owned();
    for refusal in [400, 403] {
        aws_files(folder.path(), 1);
        let at = rotated.clone();
        let upstream = Upstream::scripted(200, move |asked, answer| {
            let is_new = signed(asked, "Credential=").starts_with("s3cret-key-2/")
                && asked.header("x-amz-security-token") == Some("s3cret-session-2");
            match asked.page {
                3 if !is_new => {
                    aws_files(&at, 2);
                    Reply::Whole(super::upstream::answer(
                        refusal,
                        &[],
                        "{\"message\":\"s3cret-session-1 has expired\"}",
                    ))
                }
                _ => Reply::Whole(answer),
            }
        })
        .await;
        let lines_of = format!("headers = {{ X-Amz-Target = \"Orders.List\" }}\n{}", aws(folder.path(), "execute-api"));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
        assert_eq!(lines(&received), 200);
        let asked = upstream.asked();
        let signatures: std::collections::HashSet<_> = asked.iter().map(|asked| signed(asked, "Signature=")).collect();
        assert_eq!((asked.len(), signatures.len()), (5, 5));
        for asked in &asked {
            assert!(signed(asked, "Credential=").ends_with("/eu-west-1/execute-api/aws4_request"), "{asked:?}");
            let names = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target";
            assert_eq!(signed(asked, "SignedHeaders="), names);
        }
        // A client's own keys are not sent with the proxy's, and what is passed through is signed, too.
        let mut get = client::get("/next_url/orders?page=4&q=a+b", "*/*");
        get.headers_mut().insert("x-amz-security-token", "s3cret-of-the-client".parse().unwrap());
        assert_eq!(client::receive(Version::Http1, proxy.address, get).await.head.status, 200);
        let last = upstream.asked().pop().unwrap();
        assert!(last.target.contains("q=a%20b") && !signed(&last, "Signature=").is_empty(), "{last:?}");
        assert_eq!(last.header("x-amz-security-token"), Some("s3cret-session-2"));
    }
}

#[tokio::test]
async fn a_refusal_by_aws_names_the_key_or_the_clock_and_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    aws_files(folder.path(), 1);
    for (status, said, hint) in [
        (403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "clock"),
        (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "secret_key of credentials.aws"),
        (400, "{\"__type\":\"a.b#UnrecognizedClientException\"}", "access_key of credentials.aws"),
        (403, "{\"message\":\"no\"}", "secret of credentials"),
    ] {
        // AWS repeats the fields that it has got.
        let upstream = Upstream::scripted(200, move |asked, _| {
            let token = asked.header("x-amz-security-token").unwrap();
            Reply::Whole(answer(status, &[], format!("{token} {said}")))
        })
        .await;
        let proxy = Proxy::start(&collection(&upstream.url(), &aws(folder.path(), "s3"))).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
        assert_eq!(upstream.asked().len(), 1, "no file has other keys");
        let failure = received.whole();
        assert!(failure.contains("\"fault\": \"configuration\"") && failure.contains(hint), "{failure}");
        assert!(!received.head.status.is_success() && !failure.contains("s3cret"), "{failure}");
    }
}

#[tokio::test]
async fn bodies_of_clients_are_signed_and_operations_that_may_write_are_not() {
    let folder = tempfile::tempdir().unwrap();
    aws_files(folder.path(), 1);
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{\"results\":[]}")).await;
    let lines_of = format!("method = \"POST\"\npassthrough = [\"PUT /objects\"]\n{}", aws(folder.path(), "dynamodb"));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let body = "{\"TableName\":\"t\"}";
    let sha256 = "f28af92fc15f446717e10364e12f5128ef4611dfaeb8469b0ca93776dd9d3f5a";
    for (method, target, operation, framing, hash) in [
        ("POST", "/orders", "DynamoDB_20120810.Scan", "length", Some(sha256)),
        // A page's body is held until it is whole.
        ("POST", "/orders", "DynamoDB_20120810.Scan", "chunks", Some(sha256)),
        ("POST", "/orders", "DynamoDB_20120810.DeleteTable", "length", None),
        ("PUT", "/objects", "DynamoDB_20120810.PutItem", "length", Some(sha256)),
        ("PUT", "/objects", "DynamoDB_20120810.PutItem", "chunks", Some("UNSIGNED-PAYLOAD")),
    ] {
        let length = body.len();
        let (framing, body) = match framing {
            "length" => (format!("Content-Length: {length}"), body.to_owned()),
            _ => ("Transfer-Encoding: chunked".to_owned(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n")),
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: p\r\nConnection: close\r\nX-Amz-Target: {operation}\r\n{framing}\r\n\r\n"
        );
        let answer = client::raw(proxy.address, head + &body).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        let asked = upstream.forget().pop().unwrap();
        assert_eq!(asked.body, "{\"TableName\":\"t\"}");
        assert_eq!(asked.header("x-amz-content-sha256"), hash, "{method} {operation}");
        assert_eq!(signed(&asked, "Signature=").is_empty(), hash.is_none(), "{method} {operation}");
    }
}

#[tokio::test]
async fn bodies_that_are_held_to_be_signed_are_64_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    aws_files(folder.path(), 1);
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{}")).await;
    let lines_of = format!("passthrough = [\"PUT /objects\"]\n{}", aws(folder.path(), "s3"));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let put = |fields: &str| format!("PUT /objects HTTP/1.1\r\nHost: p\r\nConnection: close\r\n{fields}\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(put("Expect: 100-continue\r\nContent-Length: 2").as_bytes()).await.unwrap();
        // The body is read from then on.
        let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        client.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        held.push(client);
    }
    let answer = client::raw(proxy.address, put("Content-Length: 2") + "ab").await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("64 bodies of requests are held"), "{answer}");
    assert!(upstream.asked().is_empty());
    // A larger body is not held, and needs no place.
    let large = "x".repeat((1 << 20) + 1);
    let answer = client::raw(proxy.address, put(&format!("Content-Length: {}", large.len())) + &large).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(upstream.forget()[0].header("x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    let mut last = held.pop().unwrap();
    last.write_all(b"ab").await.unwrap();
    let mut answer = Vec::new();
    last.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let answer = client::raw(proxy.address, put("Content-Length: 2") + "ab").await;
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    let asked = upstream.asked();
    assert!(asked.len() == 2 && asked.iter().all(|asked| signed(asked, "Signature=").len() == 64), "{asked:?}");
}

#[tokio::test]
async fn an_operation_of_aws_that_may_write_is_signed_for_no_client() {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
    const DELETE: &str = "Action=DeleteUser&Version=2010-05-08&UserName=bob";
    let hidden = format!("\"&{DELETE}&z=\"");
    let folder = tempfile::tempdir().unwrap();
    aws_files(folder.path(), 1);
    for (service, cases) in [
        (
            "iam",
            &[
                ("/", FORM, DELETE, false),
                ("/", FORM, "Action=ListUsers&Version=2010-05-08", true),
                // JSON texts that are forms as well.
                ("/", FORM, &hidden, false),
                ("/", &*format!("{FORM}; a=json"), &hidden, false),
                ("/", "Content-Type: application/json", &hidden, false),
                ("/", &*format!("{FORM}\r\nContent-Type: application/json"), "[]", false),
                ("/", FORM, "%41ction=DeleteUser", false),
                ("/", FORM, "\r\nAction=DeleteUser", false),
                ("/", FORM, "Action=ListUsers%2CDeleteUser", false),
                ("/?Action=DeleteUser", FORM, "", false),
                ("/?Action=ListUsers", FORM, "Action=DeleteUser", false),
                ("/?action=DeleteUser", FORM, "", false),
                ("/?Action=ListUsers", FORM, "", true),
            ][..],
        ),
        (
            "monitoring",
            &[
                ("/", "X-Amz-Target: A_1.ListMetrics", "{\"Action\": \"Delete\"}", true),
                ("/", "X-Amz-Target: A_1.DeleteAlarms", "{}", false),
                ("/", "X-Amz-Target: A_1.DeleteAlarms,A_1.ListMetrics", "{}", false),
                ("/", "X-Amz-Target: A_1.ListMetrics\r\nX-Amz-Target: A_1.DeleteAlarms", "{}", false),
                ("/", "X-Amz-Target:", "{}", false),
                ("/service/CloudWatch/operation/ListMetrics", "Via: 1.1 a", "", true),
                ("/service/CloudWatch/operation/DeleteAlarms", "Via: 1.1 a", "", false),
                ("/service/CloudWatch/operation/%44eleteAlarms", "Via: 1.1 a", "", false),
            ][..],
        ),
        (
            "execute-api",
            &[
                ("/events?action=created", "Via: 1.1 a", "", true),
                ("/events", FORM, "Action=created", true),
                ("/service/7/operation/created", "Via: 1.1 a", "", true),
                ("/events", "X-Amz-Target: A_1.DeleteEvents", "", false),
            ][..],
        ),
    ] {
        let upstream = Upstream::scripted(1, |_, _| Reply::json("{\"results\":[]}")).await;
        let lines_of = format!("method = \"POST\"\n{}", aws(folder.path(), service));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
        for (target, field, body, is_signed) in cases {
            // Passed through, and as a stream.
            for accept in ["*/*", "application/x-ndjson"] {
                let length = body.len();
                let head = format!(
                    "POST {target} HTTP/1.1\r\nHost: p\r\nConnection: close\r\nAccept: {accept}\r\n{field}\r\nContent-Length: {length}\r\n\r\n"
                );
                let answer = client::raw(proxy.address, head + body).await;
                let answer = String::from_utf8_lossy(&answer);
                let asked = upstream.forget();
                let signatures = asked.iter().filter(|asked| !signed(asked, "Signature=").is_empty()).count();
                let case = format!("{service} {target} {field} {body} {accept}: {answer}");
                match (is_signed, accept) {
                    (true, _) => assert_eq!((asked.len(), signatures), (1, 1), "{case}"),
                    (false, "*/*") => assert_eq!((asked.len(), signatures), (1, 0), "{case}"),
                    (false, _) => assert!(asked.is_empty() && answer.starts_with("HTTP/1.1 403 "), "{case}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_signature() {
    let folder = tempfile::tempdir().unwrap();
    aws_files(folder.path(), 1);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let to = format!("http://{}/orders?page=2&page_size=50", other.local_addr().unwrap());
    let upstream = Upstream::scripted(200, move |asked, answer| match asked.page {
        2 => Reply::Whole(super::upstream::answer(307, &[("location", &to)], "")),
        _ => Reply::Whole(answer),
    })
    .await;
    let proxy = Proxy::start(&collection(&upstream.url(), &aws(folder.path(), "s3"))).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
    assert!(received.broken.is_some() && upstream.asked().len() == 2);
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the other host was contacted");
}

#[tokio::test]
async fn another_status_than_401_is_the_end_of_a_token_where_that_is_configured() {
    for (expired, whole) in [("", false), (", expired = [403, 498]", true)] {
        let tokens = token_server("").await;
        let upstream = Upstream::scripted(200, |asked, answer| match (asked.page, number(asked)) {
            (2, 1) => Reply::status(403),
            (3, 2) => Reply::status(498),
            _ => Reply::Whole(answer),
        })
        .await;
        let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, &format!("{CLIENT}{expired}")));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
        assert_eq!(received.broken.is_none(), whole);
        assert_eq!(tokens.asked().len(), if whole { 3 } else { 1 });
    }
}

#[tokio::test]
async fn crawls_and_passed_requests_that_begin_together_share_one_token() {
    let gate = Gate::default();
    let held = gate.clone();
    let tokens = Upstream::scripted(1, move |_, _| held.before(Reply::json("{\"access_token\":\"token-1\"}"))).await;
    let upstream = Upstream::scripted(200, |asked, answer| match number(asked) {
        1 => Reply::Whole(answer),
        _ => refused(),
    })
    .await;
    let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, CLIENT));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let address = proxy.address;
    let asking: Vec<_> = ["&a=1", "&a=2", "&a=3"]
        .into_iter()
        .flat_map(|own| [client::stream(&format!("{ORDERS}{own}")), client::get(&format!("{ORDERS}{own}"), "*/*")])
        .map(|request| tokio::spawn(client::receive(Version::Http1, address, request)))
        .collect();
    gate.reached().await;
    assert!(upstream.asked().is_empty());
    gate.open();
    for asked in asking {
        assert_eq!(asked.await.unwrap().head.status, 200);
    }
    assert_eq!(tokens.asked().len(), 1);
}

#[tokio::test]
async fn a_refused_renewal_is_the_configurations_fault_and_is_not_repeated() {
    let error = "{\"error\":\"invalid_client\",\"error_description\":\"unpage is no secret of me\"}";
    let tokens = Upstream::scripted(1, move |_, _| Reply::Whole(answer(401, &[], error))).await;
    let upstream = Upstream::of(10).await;
    let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, CLIENT));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    for accept in ["application/x-ndjson", "*/*", "application/x-ndjson"] {
        let received = client::receive(Version::Http1, proxy.address, client::get(ORDERS, accept)).await;
        let problem: serde_json::Value = serde_json::from_str(received.whole()).unwrap();
        assert_eq!((received.head.status.as_u16(), &problem["fault"]), (502, &"configuration".into()), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        // The secret is `unpage`.
        assert!(detail.contains("401 Unauthorized: invalid_client: … is no secret of me"), "{detail}");
        assert!(problem["hint"].as_str().unwrap().contains("send = \"body\""), "{problem}");
    }
    assert_eq!((tokens.asked().len(), upstream.asked().len()), (1, 0));
    // The upstream is well: without the credentials it answers.
    let direct = Proxy::start(&collection(&upstream.url(), NEXT_URL)).await;
    assert_eq!(client::receive(Version::Http1, direct.address, client::stream(ORDERS)).await.head.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_is_not_well_is_asked_again_as_a_page_is() {
    let tokens = Upstream::scripted(1, |asked, _| match asked.attempt {
        1 => Reply::status(503),
        2 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
        _ => Reply::json("{\"access_token\":\"token-1\"}"),
    })
    .await;
    let upstream = Upstream::of(100).await;
    let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, CLIENT));
    let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
    assert_eq!((lines(&received), tokens.asked().len(), upstream.asked().len()), (100, 3, 2));
}

#[tokio::test]
async fn a_redirect_of_the_endpoint_leads_nowhere() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let to = format!("http://{}/token?code=hunter2", other.local_addr().unwrap());
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let tokens = Upstream::scripted(1, move |_, _| Reply::Whole(answer(status, &[("location", &to)], ""))).await;
        let url = format!("{}/orders", tokens.url());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token.toml");
        fs::write(
            &file,
            format!("[token]\nurl = \"{}/token\"\n{}\n", tokens.url(), CLIENT.replace(", client", "\nclient")),
        )
        .unwrap();
        let output = run(["fetch", &url, "--token-config", file.to_str().unwrap()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("fault: configuration") && said.contains("leads to http://127.0.0.1:"), "{said}");
        assert!(!output.status.success() && !said.contains("hunter2"), "{said}");
        assert!(said.contains("--token-config"), "{said}");
        assert_eq!(tokens.asked().len(), 1, "{said}");
    }
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the other host was contacted");
}

#[tokio::test]
async fn the_hints_of_a_fetch_name_the_option_that_was_given() {
    let tokens = token_server("").await;
    let upstream = Upstream::scripted(1, |_, _| refused()).await;
    let url = format!("{}/orders", upstream.url());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token.toml");
    let fetch = async |text: &str| {
        fs::write(&file, text).unwrap();
        let output = run(["fetch", &url, "--token-config", file.to_str().unwrap()]).await;
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    for text in ["", "[tokens]\nurl = \"x\""] {
        let said = fetch(text).await;
        assert!(said.contains("--token-config") && !said.contains("--bearer-env"), "{said}");
    }
    let table = |keys: &str| format!("[token]\nurl = \"{}/token\"\n{keys}\n", tokens.url());
    let said = fetch(&table(&CLIENT.replace(", client", "\nclient"))).await;
    assert!(said.contains("refuses the token that was granted"), "{said}");
    assert!(said.contains("`credentials.token.params` is in the file of --token-config"), "{said}");
    let keep = folder.path().join("kept");
    let grant = format!(
        "grant = \"refresh_token\"\nrefresh_token = {{ env = \"CARGO_PKG_NAME\" }}\nkeep = {:?}",
        keep.to_str().unwrap()
    );
    fs::write(&keep, "not a refresh token").unwrap();
    let said = fetch(&table(&grant)).await;
    assert!(said.contains(&format!("{} is no file of a refresh token", keep.display())), "{said}");
    assert!(said.contains("or delete it") && !said.contains("--keep"), "{said}");
    let said = fetch(&table(&grant.replace("/kept", "/none/kept"))).await;
    assert!(said.contains("/none/kept.lock: No such file") && !said.contains("--keep"), "{said}");
}

#[tokio::test]
async fn the_request_has_the_form_that_its_server_wants() {
    let secret = "{ env = \"CARGO_PKG_NAME\" }";
    let body =
        format!("grant = \"client_credentials\", client = {{ id = \"me\", secret = {secret}, send = \"body\" }}");
    let login = format!("grant = \"login\", params = {{ user = \"a&b\", password = {secret} }}");
    for (keys, target, sent, answered, field, value) in [
        (
            format!("{body}, params = {{ scope = \"a b\" }}"),
            "/token",
            "grant_type=client_credentials&client_id=me&client_secret=unpage&scope=a+b",
            Reply::json("{\"access_token\":\"s3cret\"}"),
            "authorization",
            "Bearer s3cret",
        ),
        (
            format!("{login}, as = \"json\", access = \"data[0].token\", put = {{ header = \"X-Auth\" }}"),
            "/token",
            "{\"password\":\"unpage\",\"user\":\"a&b\"}",
            Reply::json("{\"data\":[{\"token\":\"s3cret\"}]}"),
            "x-auth",
            "s3cret",
        ),
        (
            format!("{login}, method = \"GET\", access = \"header:X-Token\", put = {{ query = \"key\" }}"),
            "/token?password=unpage&user=a%26b",
            "",
            Reply::Whole(answer(201, &[("x-token", "s3cret")], "welcome")),
            "",
            "key=s3cret",
        ),
    ] {
        let answered = std::sync::Mutex::new(Some(answered));
        let tokens = Upstream::scripted(1, move |_, _| answered.lock().unwrap().take().unwrap()).await;
        let upstream = Upstream::of(10).await;
        let lines_of = format!("{}\n{NEXT_URL}", token(&tokens, &keys));
        let proxy = Proxy::start(&collection(&upstream.url(), &lines_of)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
        assert_eq!(lines(&received), 10);
        assert!(!format!("{:?}", received.head).contains("s3cret"));
        let (asked, page) = (&tokens.asked()[0], &upstream.asked()[0]);
        assert_eq!((asked.target.as_str(), &*asked.body), (target, sent.as_bytes()));
        match field {
            "" => assert!(page.target.contains(value), "{}", page.target),
            field => assert_eq!(page.header(field), Some(value)),
        }
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_kept_before_it_is_used_and_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("refresh");
    // A refresh token is worth one use, and the n-th request has another one than all before it.
    let tokens = Upstream::scripted(1, |asked, _| {
        let (number, next) = (asked.page, asked.page + 1);
        let wanted = if number == 1 { "refresh_token=unpage".to_owned() } else { format!("refresh_token=r{number}") };
        if !String::from_utf8_lossy(&asked.body).contains(&wanted) || asked.attempt > 1 {
            return Reply::Whole(answer(400, &[], "{\"error\":\"invalid_grant\"}"));
        }
        Reply::json(format!("{{\"access_token\":\"token-{number}\",\"refresh_token\":\"r{next}\"}}"))
    })
    .await;
    let grant = format!(
        "grant = \"refresh_token\", refresh_token = {{ env = \"CARGO_PKG_NAME\" }}, keep = {:?}",
        keep.to_str().unwrap()
    );
    // Nothing listens at the upstream's address yet: a kill finds the new tokens answered and not used.
    let port = held(([127, 0, 0, 1], 0).into());
    let address = port.local_addr().unwrap();
    let lines_of = format!("retry = {{ attempts = 100, cap = \"1s\" }}\n{}\n{NEXT_URL}", token(&tokens, &grant));
    let toml = collection(&format!("http://{address}"), &lines_of);
    let mut process = Process::serve(&toml).await;
    let asking = tokio::spawn(client::receive(Version::Http1, process.address, client::stream(ORDERS)));
    process.wait_for("attempt 1 failed").await;
    process.signal(rustix::process::Signal::KILL);
    process.end().await;
    drop(asking.await);
    assert_eq!(tokens.asked().len(), 1);
    let gate = Gate::default();
    let held = gate.clone();
    let kept = keep.clone();
    let script = move |asked: &Asked, answer| {
        let text = fs::read_to_string(&kept).unwrap();
        assert!(text.contains(&format!("\"r{}\"", number(asked) + 1)), "used before it is kept: {text}");
        if number(asked) == 2 { held.before(Reply::Whole(answer)) } else { Reply::Whole(answer) }
    };
    let upstream = Upstream::at(address, Legacy::of(100), script, None).await;
    let process = Process::serve(&toml).await;
    let asking = tokio::spawn(client::receive(Version::Http1, process.address, client::stream(ORDERS)));
    gate.reached().await;
    process.signal(rustix::process::Signal::KILL);
    process.end().await;
    drop(asking.await);
    gate.open();
    for renewals in 3..=4 {
        let process = Process::serve(&toml).await;
        let received = client::receive(Version::Http1, process.address, client::stream(ORDERS)).await;
        assert_eq!(lines(&received), 100, "{}", received.whole());
        assert_eq!(tokens.asked().len(), renewals);
        process.signal(rustix::process::Signal::TERM);
        let (said, _) = process.end().await;
        assert!(!said.contains("r2") && !said.contains("token-"), "{said}");
    }
    // A folder that takes no file: the refresh token is not used.
    fs::remove_dir_all(folder.path()).unwrap();
    let counts = || (upstream.asked().len(), tokens.asked().len());
    let before = counts();
    let proxy = Proxy::start(&toml).await;
    let received = client::receive(Version::Http1, proxy.address, client::stream(ORDERS)).await;
    assert!(received.head.status == 502 && received.whole().contains("credentials.token.keep"), "{}", received.whole());
    assert_eq!(counts(), before);
}

/// All that unpage writes: its log with everything in it, reports, metrics, and the files of its snapshots.
#[tokio::test]
async fn no_secret_is_in_anything_that_is_written() {
    let planted = ["s3cret-client", "s3cret-refresh", "s3cret-rotated", "s3cret-token", "s3cret-param"];
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        format!("{{ file = {:?} }}", folder.path().join(name))
    };
    let [client_secret, refresh, param] =
        [("client", planted[0]), ("first", planted[1]), ("param", planted[4])].map(|(name, text)| secret(name, text));
    // The first two refresh tokens are good, and errors repeat what they were sent.
    let tokens = Upstream::scripted(1, |asked, _| match asked.page {
        number @ 1..=2 => Reply::json(format!(
            "{{\"access_token\":\"s3cret-token-{number}\",\"refresh_token\":\"s3cret-rotated-{number}\"}}"
        )),
        _ => {
            let sent = String::from_utf8_lossy(&asked.body).into_owned();
            let error = serde_json::json!({ "error": "invalid_grant", "error_description": sent });
            Reply::Whole(answer(400, &[], error.to_string()))
        }
    })
    .await;
    let upstream = Upstream::scripted(200, |asked, answer| match asked.page {
        3.. => Reply::Whole(super::upstream::answer(401, &[], format!("bad token: {}", bearer(asked)))),
        _ => Reply::Whole(answer),
    })
    .await;
    let kept = folder.path().join("kept");
    let keys = format!(
        "grant = \"refresh_token\", client = {{ id = \"me\", secret = {client_secret}, send = \"body\" }}, \
         refresh_token = {refresh}, keep = {kept:?}, params = {{ extra = {param} }}"
    );
    let snapshots = tempfile::tempdir().unwrap();
    let toml = format!(
        "[snapshots]\ndir = {:?}\n{}",
        snapshots.path(),
        collection(&upstream.url(), &format!("{}\n{NEXT_URL}", token(&tokens, &keys)))
    );
    let file = folder.path().join("unpage.toml");
    fs::write(&file, toml).unwrap();
    let process = Process::serve_debugging(&file).await;
    let mut shown = String::new();
    for target in [ORDERS, "/next_url/orders?page=9", ORDERS] {
        for accept in ["application/x-ndjson", "*/*"] {
            let received = client::receive(Version::Http1, process.address, client::get(target, accept)).await;
            // The upstream's own answer may repeat a token to a client that it is passed on to.
            if accept != "*/*" {
                shown += &format!("{:?} {}", received.head, String::from_utf8_lossy(&received.body));
            }
        }
    }
    process.signal(rustix::process::Signal::TERM);
    shown += &process.end().await.0;
    assert!(shown.contains("invalid_grant") && tokens.asked().len() > 1, "{shown}");
    let mut files = 0;
    for file in fs::read_dir(snapshots.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        shown += &String::from_utf8_lossy(&fs::read(file).unwrap());
        files += 1;
    }
    assert!(files > 0, "no journal was read");
    assert!(fs::read_to_string(kept).unwrap().contains(planted[2]));
    for secret in planted {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
