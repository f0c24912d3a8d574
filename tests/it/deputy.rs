//! Requests that are passed through with the configured credentials, and those that are not; fields that would make a request another one.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, collection, run};
use super::upstream::{Asked, Reply, Upstream};

const LINES: &str =
    "passthrough = [\"POST /orders\", \"DELETE /orders/{id}\"]\nrecords = \"$\"\npagination = \"link_header\"";

/// Credentials in a field and in the query, as the configuration has them and as the upstream sees them.
const CREDENTIALS: [&str; 2] = [
    "credentials = { header = { name = \"X-Api-Key\", value = { env = \"CARGO_PKG_NAME\" } } }",
    "credentials = { query = { name = \"key\", value = { env = \"CARGO_PKG_NAME\" } } }",
];

fn has_credentials(asked: &Asked) -> bool {
    asked.header("x-api-key") == Some("unpage") || asked.target.contains("key=unpage")
}

async fn ask(proxy: &Proxy, version: Version, method: &str, target: &str, fields: &[(&str, &str)]) -> client::Received {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    client::receive(version, proxy.address, request.body(Full::<Bytes>::default()).unwrap()).await
}

#[tokio::test]
async fn the_configured_credentials_go_with_pages_and_with_what_passthrough_names() {
    for credentials in CREDENTIALS {
        let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
        let proxy = Proxy::start(&collection(&upstream.url(), &format!("{credentials}\n{LINES}"))).await;
        for (method, target, accept, has) in [
            ("GET", "/orders", "application/x-ndjson", true),
            ("GET", "/orders", "application/json", true),
            ("HEAD", "/orders", "*/*", true),
            ("POST", "/orders", "*/*", true),
            ("POST", "/orders/7", "*/*", false),
            ("DELETE", "/orders/7", "*/*", true),
            ("DELETE", "/orders/7", "application/x-ndjson", true),
            ("DELETE", "/orders", "application/x-ndjson", false),
            ("DELETE", "/orders/7/items", "*/*", false),
            ("PUT", "/orders/7", "*/*", false),
            ("PATCH", "/orders/7?_format=ndjson", "*/*", false),
            ("OPTIONS", "/orders", "*/*", false),
        ] {
            for version in BOTH {
                let fields = [("accept", accept), ("authorization", "Bearer own")];
                ask(&proxy, version, method, target, &fields).await.whole();
                let asked = upstream.forget().pop().unwrap();
                assert_eq!(has_credentials(&asked), has, "{method} {target} {credentials}");
                assert_eq!(asked.header("authorization"), Some("Bearer own"), "{method} {target}");
            }
        }
    }
}

#[tokio::test]
async fn the_method_of_a_collection_is_one_for_pages() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{\"hits\": [1]}")).await;
    let lines = "method = \"POST\"\nrecords = \"hits\"\npagination = \"none\"";
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{}\n{lines}", CREDENTIALS[0]))).await;
    for (method, has) in [("POST", true), ("GET", true), ("PUT", false)] {
        ask(&proxy, Version::Http1, method, "/_search", &[("accept", "*/*")]).await;
        assert_eq!(has_credentials(&upstream.forget()[0]), has, "{method}");
    }
}

#[tokio::test]
async fn a_write_that_a_page_request_hides_has_no_configured_credentials() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("{\"hits\": [1]}")).await;
    let lines = "method = \"POST\"\nrecords = \"hits\"\npagination = \"none\"\npassthrough = [\"POST /named\"]";
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{}\n{lines}", CREDENTIALS[0]))).await;
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let query = "{\"query\": \"query { mutation { id } }\"}";
    let mutation = "{\"query\": \"mutation { remove }\"}";
    let large = format!("{{\"query\": \"{{ a }}\", \"x\": \"{}\"}}", "x".repeat(3 << 20));
    for (target, label, body, has) in [
        ("/q", json, query, true),
        ("/q?_method=get", json, query, true),
        ("/q", form, "a=1", true),
        ("/q?_method=DELETE", json, query, false),
        ("/q", form, "_method=DELETE", false),
        ("/q", json, mutation, false),
        ("/q", json, &large, false),
        ("/graphql", json, query, true),
        ("/graphql", json, "{\"documentId\": \"a\"}", false),
        ("/q?doc_id=5", json, "{\"variables\": {}}", false),
        ("/q?queryId=5", json, "{\"a\": {}}", true),
        ("/named", json, mutation, true),
    ] {
        let request = |accept: &str| {
            let request = Request::post(target).header("content-type", label).header("accept", accept);
            request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
        };
        let seen = |what: &str| {
            let asked = upstream.forget().pop().unwrap();
            assert!(has_credentials(&asked) == has && asked.body == body, "{target} {label} {what}");
        };
        for version in BOTH {
            assert_eq!(client::receive(version, proxy.address, request("*/*")).await.head.status, 200);
            seen("passed through");
            if body.len() < 1 << 20 {
                let streamed = client::receive(version, proxy.address, request("application/x-ndjson")).await;
                assert_eq!(streamed.head.status.as_u16(), if has { 200 } else { 403 }, "{target} {label}");
                assert_eq!(streamed.whole().contains("`passthrough`"), !has);
                assert_eq!(upstream.forget().len(), usize::from(has));
            }
        }
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: p\r\nContent-Type: {label}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = client::raw(proxy.address, format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        seen("in chunks");
    }
}

#[tokio::test]
async fn no_field_makes_a_request_another_one() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{}\n{LINES}", CREDENTIALS[0]))).await;
    for accept in ["application/x-ndjson", "*/*"] {
        for version in BOTH {
            for name in ["x-http-method-override", "x-http-method", "x-method-override", "x_http_method_override"] {
                let refused = ask(&proxy, version, "GET", "/orders", &[("accept", accept), (name, "DELETE")]).await;
                assert!(refused.head.status == 400 && refused.whole().contains(name), "{name} {accept}");
                let same = ask(&proxy, version, "GET", "/orders", &[("accept", accept), (name, "get")]).await;
                assert_eq!(same.head.status, 200);
            }
            let names = [
                "x-original-url",
                "x_original_url",
                "x-rewrite-url",
                "x-original-uri",
                "x-forwarded-uri",
                "l5d-dst-override",
            ];
            let fields: Vec<_> = names.map(|name| (name, "/admin")).into_iter().chain([("accept", accept)]).collect();
            ask(&proxy, version, "GET", "/orders", &fields).await.whole();
            let overridden = |asked: &Asked| {
                asked.method != Method::GET
                    || asked
                        .headers
                        .keys()
                        .any(|name| names.contains(&name.as_str()) || name.as_str().contains("method"))
            };
            assert!(!upstream.forget().iter().any(overridden), "{accept} {version:?}");
        }
        for named in ["X-Forwarded-User", "Authorization", "x-api-key", "Cookie", "Host"] {
            let refused =
                ask(&proxy, Version::Http1, "GET", "/orders", &[("accept", accept), ("connection", named)]).await;
            assert_eq!(refused.head.status, 400, "{named}");
        }
    }
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn check_warns_of_requests_that_any_client_can_do_as_the_operator() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let search = collection(
        "http://b.example",
        &format!("method = \"POST\"\n{}\nrecords = \"$\"\npagination = \"none\"", CREDENTIALS[0]),
    );
    let search = search.replace("/{*rest}", "/search/{*rest}");
    let orders = format!("{}\nignore_fields = [\"X-Forwarded-*\", \"X-Org\"]\n{LINES}", CREDENTIALS[1]);
    let orders = collection("http://a.example", &orders);
    std::fs::write(&file, format!("{orders}{search}")).unwrap();
    let output = run(["check".as_ref(), file.path().as_os_str()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(output.status.success() && warnings.len() == 4, "{said}");
    for (warning, part) in warnings.iter().zip([
        "/search/{*rest}: any POST",
        "ignore_fields: callers",
        "DELETE /orders/{id} is sent",
        "POST /orders is sent",
    ]) {
        assert!(warning.contains(part), "{warning}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_the_credentials_of_another() {
    let upstream = Upstream::scripted(1, |_, _| Reply::json("[1]")).await;
    let proxy = Proxy::start(&collection(&upstream.url(), &format!("{}\n{LINES}", CREDENTIALS[0]))).await;
    for path in ["..%2f..%2fadmin", "..%5c..%5cadmin", "%2e%2e%2fadmin", "..;", "..%3bx"] {
        let refused = ask(&proxy, Version::Http1, "DELETE", &format!("/orders/{path}"), &[]).await;
        assert_eq!(refused.head.status, 400, "{path}");
    }
    let target = "/orders/group%2Fproject";
    ask(&proxy, Version::Http1, "DELETE", target, &[]).await.whole();
    assert_eq!(upstream.asked()[0].target, target);
}
