use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::{Config, Secrets};
use crate::id::CacheKey;
use crate::pagination::request::RequestBody;

struct NoSecrets;

impl Secrets for NoSecrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(format!("value of {name}"))
    }

    fn file(&self, _: &Path) -> Result<String, String> {
        Err("no such file".to_owned())
    }
}

fn configured(lines: &str) -> Config {
    let head = "[[collection]]\npath = \"/orders\"\nupstream = \"http://api.test\"\n";
    Config::read(&format!("{head}{lines}\n"), "", &NoSecrets).unwrap()
}

const PLAIN: &str = "records = \"data\"\npagination = { type = \"cursor\", next = \"next\", param = \"cursor\" }";

const FULL: &str = "method = \"POST\"\npublic = true\naccept = \"application/vnd.test\"\nheaders = { x-b = \"2\", x-a = \"1\" }\n\
    credentials = { query = { name = \"key\", value = { env = \"KEY\" } } }\n\
    records = { path = [\"a.b\", \"c[-1].d\"], as = \"values\" }\nkey = \"id\"\n\
    page_size = { param = \"body:limit\", value = 50, max = 100 }\n\
    pagination = { type = \"keyset\", key = [\"id\", \"x[0]\"], param = \"body:after\", encode = \"json\", more = { path = \"more\", while = \"Y\" } }\n\
    partition = { param = \"body:region\", values = [\"eu\", 2] }\ntotal = \"header:X-Total\"\n\
    valid_at = { param = \"as_of\", from = \"clock\", format = \"unix\" }\n\
    limits = { max_pages = 9 }\nerror_path = \"problem\"";

/// A request with everything that a client can say.
fn full_request() -> PageRequest {
    let mut first = PageRequest::get("http://api.test/orders?a=1".parse().unwrap());
    first.method = http::Method::POST;
    first.body = Some(RequestBody::Json(serde_json::json!({ "q": [1] })));
    for (name, value) in [("x-z", "1"), ("x-a", "2"), ("x-z", "3")] {
        first.headers.append(name, HeaderValue::from_static(value));
    }
    first
}

fn lines(parts: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Vec<String> {
    let mut lines = Vec::new();
    parts(&mut |part| lines.push(String::from_utf8(part.to_vec()).unwrap()));
    lines
}

/// These texts are in journals: where they change, [`KEY_VERSION`] must, too, and the text before must become a version like [`v1`].
#[test]
fn keys_are_what_they_always_were() {
    let (plain, full) = (configured(PLAIN), configured(FULL));
    let request = |config: &Config, first: &PageRequest, all: bool| {
        let collection = &config.collections[0];
        let request = KeyedRequest {
            pagination: &CanonicalPagination::new(&collection.pagination),
            order: if all { PartOrder::Any } else { PartOrder::Listed },
            first,
            parents: None,
            upstream: &collection.upstream,
            since: all.then_some("ord_7"),
            valid_at: all.then(|| UNIX_EPOCH + Duration::from_millis(784_111_777_500)),
        };
        lines(|part| request.shared(collection, part))
    };
    let first = PageRequest::get("http://api.test/orders".parse().unwrap());
    assert_eq!(
        request(&plain, &first, false),
        [
            "unpage cache key 2",
            "method",
            "GET",
            "url",
            "http://api.test/orders",
            "pagination",
            r#"{"pagination":{"next":"next","param":"cursor","type":"cursor"},"records":"data"}"#,
            "unpage cache key 2",
            "accept",
            "application/json",
            "collection",
            "/orders",
        ]
    );
    assert_eq!(
        request(&full, &full_request(), true),
        [
            "unpage cache key 2",
            "method",
            "POST",
            "url",
            "http://api.test/orders?a=1",
            "body",
            r#"{"q":[1]}"#,
            "media_type",
            "application/json",
            "pagination",
            concat!(
                r#"{"error_path":"problem","key":"id","limits":{"max_pages":9},"page_size":{"max":100,"param":"body:limit","value":50},"#,
                r#""pagination":{"encode":"json","key":["id","x[0]"],"more":{"path":"more","while":"Y"},"param":"body:after","type":"keyset"},"#,
                r#""partition":{"param":"body:region","values":["eu",2]},"records":{"as":"values","path":["a.b","c[-1].d"]},"#,
                r#""total":"header:x-total","valid_at":{"format":"unix","from":"clock","param":"as_of"}}"#
            ),
            "order",
            "any",
            "since",
            "ord_7",
            "valid_at",
            "784111777",
            "unpage cache key 2",
            "accept",
            "application/vnd.test",
            "configured",
            "x-a: 1",
            "configured",
            "x-b: 2",
            "credentials",
            "?key=value of KEY",
            "field",
            "x-a: 2",
            "field",
            "x-z: 1",
            "field",
            "x-z: 3",
            "collection",
            "/orders",
            "scope",
            "public",
        ]
    );
    let collection = &full.collections[0];
    let request = KeyedRequest {
        pagination: &CanonicalPagination::new(&collection.pagination),
        order: PartOrder::Listed,
        first: &full_request(),
        parents: None,
        upstream: &collection.upstream,
        since: Some("ord_7"),
        valid_at: Some(UNIX_EPOCH + Duration::from_millis(784_111_777_500)),
    };
    assert_eq!(
        lines(|part| v1::shared(&request, collection, &collection.pagination, b"{ }", part)),
        [
            r#""/orders" None None Public"#,
            concat!(
                r#"Pagination { style: Keyset { key: [Path { segments: [Name("id")] }, Path { segments: [Name("x"), Index(0)] }], "#,
                r#"param: Body(Path { segments: [Name("after")] }), encode: Json, overlap: None }, "#,
                r#"records: Records { paths: [Path { segments: [Name("a"), Name("b")] }, "#,
                r#"Path { segments: [Name("c"), FromEnd(1), Name("d")] }], shape: Values, presence: Required, encoding: None, "#,
                r#"validation: Structure, whitespace: Kept }, key: Some(Path { segments: [Name("id")] }), "#,
                r#"page_size: Some(PageSize { param: Some(Body(Path { segments: [Name("limit")] })), value: Some(50), max: Some(100) }), "#,
                r#"more: Some(More { path: Path { segments: [Name("more")] }, while_: String("Y") }), end: Style, same_token: Error, "#,
                r#"total: Some(Header("x-total")), total_pages: None, "#,
                r#"limits: Limits { max_offset: None, max_pages: Some(9), max_results: None }, "#,
                r#"error: Some(Path { segments: [Name("problem")] }), "#,
                r#"partition: Some(Values { param: Body(Path { segments: [Name("region")] }), values: [String("eu"), Number(2)] }), "#,
                r#"order: Listed, since: None, valid_at: Some(ValidAt { param: Query("as_of"), from: Clock(Unix) }), precondition: None } "#,
                r#"Url { scheme: "http", cannot_be_a_base: false, username: "", password: None, host: Some(Domain("api.test")), "#,
                r#"port: None, path: "/", query: None, fragment: None } "application/vnd.test" [("x-a", "1"), ("x-b", "2")]"#
            ),
            "key=value of KEY",
            "POST",
            "http://api.test/orders?a=1",
            "{ }",
            r#"Some("ord_7")"#,
            "Some(784111777.5s)",
            "x-a: 2",
            "x-z: 1",
            "x-z: 3",
        ]
    );
    let written = concat!(
        "method = \"POST\"\nrecords = { path = [\"a.b\", \"c[-1].d\"], as = \"values\" }\nkey = \"id\"\n",
        "page_size = { param = \"body:limit\", value = 50, max = 100 }\n",
        "pagination = { type = \"keyset\", key = [\"id\", \"x[0]\"], param = \"body:after\", encode = \"json\", ",
        "more = { path = \"more\", while = \"Y\" } }\npartition = { param = \"body:region\", values = [\"eu\", 2] }\n",
        "total = \"header:x-total\"\nvalid_at = { param = \"as_of\", from = \"clock\", format = \"unix\" }\n",
        "limits = { max_pages = 9 }\nerror_path = \"problem\"\n"
    );
    let file = lines(|part| v1::file(&full_request(), &collection.pagination, part));
    assert_eq!(file, ["POST", "http://api.test/orders?a=1", r#"{"q":[1]}"#, written]);
}

#[test]
fn an_option_at_its_default_has_no_part_and_another_order_of_keys_is_the_same() {
    let canonical = |lines: &str| CanonicalPagination::new(&configured(lines).collections[0].pagination);
    let spelled = "pagination = { param = \"cursor\", same_token = \"error\", next = \"$.next\", type = \"cursor\" }\n\
                   order = \"listed\"\nmatch = false\nrecords_optional = false\nrecords = \"$.data\"";
    assert_eq!(canonical(spelled), canonical(PLAIN));
    assert_ne!(canonical(&format!("{PLAIN}\nrecords_optional = true")), canonical(PLAIN));
}

#[test]
fn parts_of_one_request_are_told_apart() {
    let body = |body: Option<RequestBody>| {
        let config = configured(PLAIN);
        let first = PageRequest { body, ..PageRequest::get("http://api.test/orders".parse().unwrap()) };
        let (pagination, upstream) =
            (CanonicalPagination::new(&config.collections[0].pagination), &config.collections[0].upstream);
        let request = KeyedRequest {
            pagination: &pagination,
            order: PartOrder::Listed,
            first: &first,
            parents: None,
            upstream,
            since: None,
            valid_at: None,
        };
        CacheKey::from_parts(|part| request.records(part))
    };
    let json = Bytes::from_static(b"\"a\"");
    let keys = [
        None,
        Some(RequestBody::Other(Bytes::new())),
        Some(RequestBody::Other(json)),
        Some(RequestBody::Json("a".into())),
    ]
    .map(body);
    assert!((1..keys.len()).all(|at| !keys[..at].contains(&keys[at])), "{keys:?}");
}

#[test]
fn a_field_that_comes_twice_keeps_its_order() {
    let headers = |values: &[&'static str]| -> HeaderMap {
        values.iter().map(|value| (HeaderName::from_static("x"), HeaderValue::from_static(value))).collect()
    };
    assert_ne!(fields(&headers(&["1", "2"])), fields(&headers(&["2", "1"])));
    assert_eq!(fields(&headers(&["1", "2"])), [b"x: 1", b"x: 2"]);
}
