//! The legacy API, crawled by hand on every path: the first page by its documentation, each further one by the page before.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::endpoints::COLLECTIONS;
use super::{Legacy, Order, configuration, token_codec};
use crate::pagination::Path;

const HOST: &str = "legacy.example:8081";

/// A client with one page size, and its API.
struct Client {
    legacy: Legacy,
    size: u64,
}

/// A page: the bytes of its orders, and the parameter of the next page.
type Page = (Vec<String>, Option<String>);

/// Requests a page, with the parameter from the page before.
type Step = fn(&Client, Option<String>) -> Page;

const WALKS: [(&str, Step); 14] = [
    ("/link/orders", |client, at| {
        let page = client.get(&at.unwrap_or(format!("/link/orders?status=open&per_page={}", client.size)));
        (page.orders(&[]), page.link("next"))
    }),
    ("/next_url/orders", |client, at| {
        let page = client.get(&at.unwrap_or(format!("/next_url/orders?page_size={}", client.size)));
        (page.orders(&["results"]), page.text("/next"))
    }),
    ("/relative/orders", |client, at| {
        let page = client.get(&at.unwrap_or(format!("/relative/orders?page%5Bsize%5D={}", client.size)));
        (page.orders(&["data"]), page.text("/links/next"))
    }),
    ("/odata/orders", |client, at| {
        let page = client.get(&at.unwrap_or(format!("/odata/orders?$maxpagesize={}", client.size)));
        (page.orders(&["value"]), page.text("/@odata.nextLink").map(|link| format!("/odata/{link}")))
    }),
    ("/header/orders", |client, at| {
        let page = client.get(&at.unwrap_or(format!("/header/orders?_limit={}", client.size)));
        (page.orders(&["data"]), page.header("next-page"))
    }),
    ("/cursor/orders", |client, at| {
        let page = client.get(&format!("/cursor/orders?limit={}{}", client.size, param("cursor", at)));
        (page.orders(&["data"]), page.text("/meta/next_cursor"))
    }),
    ("/values/orders", |client, at| {
        let page = client.get(&format!("/values/orders?limit={}{}", client.size, param("cursor", at)));
        (page.orders(&["orders"]), page.text("/next_cursor").filter(|cursor| !cursor.is_empty()))
    }),
    ("/search/orders", |client, at| {
        let page = client.post("/search/orders", &json!({ "limit": client.size, "after": at }));
        (page.orders(&["results"]), page.text("/paging/next/after"))
    }),
    ("/graphql", |client, at| {
        let variables = json!({ "first": client.size, "after": at });
        let page = client.post("/graphql", &json!({ "query": "{ orders { … } }", "variables": variables }));
        let info = page.value("/data/orders/pageInfo");
        let next = (info["hasNextPage"] == json!(true)).then(|| info["endCursor"].as_str().unwrap().to_owned());
        (page.orders(&["data", "orders", "edges"]), next)
    }),
    ("/keyset/orders", |client, at| {
        let page = client.get(&format!("/keyset/orders?limit={}{}", client.size, param("starting_after", at)));
        let orders = page.orders(&["data"]);
        let last = orders.last().map(|order| member(order, "id"));
        (orders, last.filter(|_| page.value("/has_more") == json!(true)))
    }),
    ("/page/orders", |client, at| {
        let at: u64 = at.map_or(1, |at| at.parse().unwrap());
        let page = client.get(&format!("/page/orders?page={at}&size={}", client.size));
        until_empty(page.orders(&["items"]), at + 1)
    }),
    ("/offset/orders", |client, at| {
        let at: u64 = at.map_or(0, |at| at.parse().unwrap());
        let page = client.get(&format!("/offset/orders?offset={at}&limit={}", client.size));
        let orders = page.orders(&["items"]);
        let next = at + orders.len() as u64;
        until_empty(orders, next)
    }),
    ("/range/orders", |client, at| {
        let at: u64 = at.map_or(0, |at| at.parse().unwrap());
        let range = format!("items={at}-{}", at + client.size - 1);
        let page = client.ask(&Method::GET, "/range/orders", &[(header::RANGE, &range)], b"");
        if page.response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            assert_eq!(page.header("content-range"), Some(format!("items */{}", client.legacy.records)));
            return (Vec::new(), None);
        }
        let orders = page.orders(&[]);
        let next = at + orders.len() as u64;
        until_empty(orders, next)
    }),
    ("/none/orders", |client, _| (client.get("/none/orders").orders(&["orders"]), None)),
];

#[test]
fn every_path_gives_every_order_once_and_in_order() {
    assert!(WALKS.iter().map(|(path, _)| path).eq(COLLECTIONS.iter().map(|collection| &collection.path)));
    let mut pages_seen = 0;
    for (records, max_page) in
        [(0, 1_000), (1, 1_000), (100, 1_000), (101, 1_000), (250, 1_000), (250, 100), (1_001, 1_000)]
    {
        let wanted: Vec<_> = (1..=records).map(|number| Order(number).to_string()).collect();
        for size in [7, 100, 5_000] {
            let mut client = Client { legacy: Legacy::of(records), size };
            client.legacy.max_page = max_page;
            for (path, step) in WALKS {
                let pages = walk(&client, step);
                let context = format!("{path} with {records} orders, {size} (at most {max_page}) a page");
                pages_seen += pages.len();
                if path == "/none/orders" {
                    assert_eq!(pages.concat(), wanted[..records.min(max_page) as usize], "{context}");
                } else {
                    let size = size.min(max_page);
                    assert_eq!(pages.concat(), wanted, "{context}");
                    assert_eq!(pages.len() as u64, records.div_ceil(size), "{context}");
                    assert!(pages.iter().all(|page| page.len() as u64 <= size), "{context}");
                }
            }
        }
    }
    assert!(pages_seen > 3_000, "{pages_seen}");
}

/// All pages with orders.
fn walk(client: &Client, step: Step) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut at = None;
    loop {
        let (orders, next) = step(client, at);
        if !orders.is_empty() {
            pages.push(orders);
        }
        at = Some(match next {
            Some(next) => next,
            None => return pages,
        });
    }
}

#[test]
fn a_single_page_has_no_next_page() {
    let client = Client { legacy: Legacy::of(100), size: 100 };
    assert_eq!(client.get("/link/orders").header("link"), None);
    assert_eq!(client.get("/next_url/orders").value("/next"), Value::Null);
    assert_eq!(client.get("/relative/orders").value("/links/next"), Value::Null);
    assert!(client.get("/odata/orders").json().get("@odata.nextLink").is_none());
    assert_eq!(client.get("/header/orders").header("next-page"), None);
    assert_eq!(client.get("/cursor/orders").value("/meta/next_cursor"), Value::Null);
    assert_eq!(client.get("/values/orders").value("/next_cursor"), json!(""));
    assert!(client.post("/search/orders", &json!({})).json().get("paging").is_none());
    let page_info = client.post("/graphql", &json!({ "query": "…" })).value("/data/orders/pageInfo");
    assert_eq!(page_info, json!({ "endCursor": token_codec::write(100), "hasNextPage": false }));
    assert_eq!(client.get("/keyset/orders").value("/has_more"), json!(false));
    assert_eq!(client.get("/range/orders").response.status(), StatusCode::OK);
}

#[test]
fn links_name_the_requested_host_and_keep_other_parameters() {
    let client = Client { legacy: Legacy::of(250), size: 0 };
    let page = client.get("/link/orders?status=open%26paid&page=2&q=a+b");
    let at = |page: u64| format!("http://{HOST}/link/orders?status=open%26paid&q=a+b&page={page}");
    for (rel, number) in [("first", 1), ("prev", 1), ("next", 3), ("last", 3)] {
        assert_eq!(page.link(rel), Some(at(number)), "{rel}");
    }
    assert_eq!(page.header("x-total-count").as_deref(), Some("250"));
    let page = client.get("/next_url/orders?page=2");
    assert_eq!(page.text("/next"), Some(format!("http://{HOST}/next_url/orders?page=3")));
    assert_eq!(page.text("/previous"), Some(format!("http://{HOST}/next_url/orders?page=1")));
    let page = client.get("https://other.example/header/orders");
    assert_eq!(page.header("next-page").as_deref(), Some("https://other.example/header/orders?_token=aWQ%2BMTAw"));
    assert_eq!(client.get("/relative/orders").text("/links/next").unwrap(), "/relative/orders?page%5Bnumber%5D=2");
    assert_eq!(client.get("/odata/orders").text("/@odata.nextLink").unwrap(), "orders?%24skiptoken=aWQ%2BMTAw");
}

#[test]
fn extremes_are_answered() {
    let mut endless = Client { legacy: Legacy::of(u64::MAX), size: 0 };
    (endless.legacy.default_page, endless.legacy.max_page) = (0, 0);
    let last = format!("/offset/orders?offset={}", u64::MAX - 1);
    assert_eq!(endless.get(&last).orders(&["items"]), [Order(u64::MAX).to_string()]);
    assert_eq!(endless.get(&format!("/offset/orders?offset={}", u64::MAX)).value("/items"), json!([]));
    for collection in &COLLECTIONS {
        for host in ["", "a b", "<orders>", "[::1", "\u{fc}"] {
            let host = HeaderValue::from_bytes(host.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(header::HOST, host)]);
            let uri = Uri::from_static(collection.path);
            let response = endless.legacy.answer(&collection.method, &uri, &headers, br#"{"query":"q"}"#);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert!(response.status().is_success(), "{} {body}", collection.path);
            let next = body.get("next").and_then(Value::as_str);
            assert!(next.is_none_or(|next| next.starts_with("http://localhost/")), "{next:?}");
        }
    }
}

#[test]
fn past_the_end() {
    let client = Client { legacy: Legacy::of(250), size: 0 };
    assert_eq!(client.get("/link/orders?page=9").body(), "[]");
    assert_eq!(client.get("/link/orders?page=9").link("prev"), Some(format!("http://{HOST}/link/orders?page=3")));
    client.refused("/next_url/orders?page=4", StatusCode::NOT_FOUND, "there are only 3 pages: 4");
    assert_eq!(
        client.get("/page/orders?page=18446744073709551615").json(),
        json!({ "items": [], "total": 250, "page": u64::MAX, "size": 100, "pages": 3 })
    );
    assert_eq!(
        client.get("/offset/orders?offset=250").json(),
        json!({ "items": [], "limit": 100, "offset": 250, "total": 250 })
    );
    assert_eq!(
        client.get(&format!("/cursor/orders?{}", param("cursor", Some(token_codec::write(250))))).value("/data"),
        json!([])
    );
    assert_eq!(
        client.get(&format!("/values/orders?{}", param("cursor", Some(token_codec::write(250))))).value("/orders"),
        json!({})
    );
}

#[test]
fn ranges() {
    let client = Client { legacy: Legacy::of(2_500), size: 0 };
    for (asked, status, content_range) in [
        ("items=0-99", StatusCode::PARTIAL_CONTENT, Some("items 0-99/2500")),
        ("items=2490-2599", StatusCode::PARTIAL_CONTENT, Some("items 2490-2499/2500")),
        ("items=100-", StatusCode::PARTIAL_CONTENT, Some("items 100-1099/2500")),
        ("items=2500-2599", StatusCode::RANGE_NOT_SATISFIABLE, Some("items */2500")),
        ("bytes=0-99", StatusCode::PARTIAL_CONTENT, Some("items 0-99/2500")),
        ("items=9-1", StatusCode::BAD_REQUEST, None),
        ("items=-5", StatusCode::BAD_REQUEST, None),
        ("items=0-1,5-6", StatusCode::BAD_REQUEST, None),
    ] {
        let page = client.ask(&Method::GET, "/range/orders", &[(header::RANGE, asked)], b"");
        assert_eq!(page.response.status(), status, "{asked}");
        assert_eq!(page.header("content-range").as_deref(), content_range, "{asked}");
    }
    let small = Client { legacy: Legacy::of(3), size: 0 };
    let whole = small.ask(&Method::GET, "/range/orders", &[(header::RANGE, "items=0-99")], b"");
    assert_eq!((whole.response.status(), whole.orders(&[]).len()), (StatusCode::OK, 3));
}

#[test]
fn wrong_parameters_are_refused() {
    let client = Client { legacy: Legacy::of(250), size: 0 };
    for (asked, message) in [
        ("/link/orders?page=0", "`page` counts from 1"),
        ("/link/orders?page=-1", "`page` must be a whole number: -1"),
        ("/next_url/orders?page=two", "`page` must be a whole number: two"),
        ("/relative/orders?page[size]=0", "`page[size]` must be at least 1"),
        ("/odata/orders?$skiptoken=100", "`$skiptoken` is not a token of this collection's: 100"),
        ("/header/orders?_token=", "`_token` is not a token of this collection's: "),
        ("/cursor/orders?cursor=aWQ+MTAw", "`cursor` is not a token of this collection's: aWQ MTAw"),
        ("/cursor/orders?cursor=aWQ%2BMjUx", "`cursor` is not a token of this collection's: aWQ+MjUx"),
        ("/values/orders?limit=1.5", "`limit` must be a whole number: 1.5"),
        ("/keyset/orders?starting_after=ord_000000251", "`starting_after` is no order's id: ord_000000251"),
        ("/keyset/orders?starting_after=ord_000000000", "`starting_after` is no order's id: ord_000000000"),
        ("/page/orders?size=", "`size` must be a whole number: "),
        ("/offset/orders?offset=99999999999999999999", "`offset` must be a whole number: 99999999999999999999"),
    ] {
        client.refused(asked, StatusCode::BAD_REQUEST, message);
    }
    for (path, body, message) in [
        ("/search/orders", r#"{"limit":"100"}"#, "`limit` must be a whole number: \"100\""),
        ("/search/orders", r#"{"after":100}"#, "`after` must be a text: 100"),
        ("/graphql", r#"{"variables":{}}"#, "`query` is missing: send {\"query\": …, \"variables\": …}"),
    ] {
        let answer = client.ask(&Method::POST, path, &[], body.as_bytes());
        assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json(), json!({ "error": message }));
    }
    for body in ["[]", "{", "after=100"] {
        let answer = client.ask(&Method::POST, "/search/orders", &[], body.as_bytes());
        assert_eq!(answer.response.status(), StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.text("/error").unwrap().starts_with("the body must be a JSON object: "), "{body}");
    }
}

#[test]
fn graphql_errors_come_under_status_200() {
    let client = Client { legacy: Legacy::of(250), size: 0 };
    let answer = client.post("/graphql", &json!({ "query": "…", "variables": { "after": "x" } }));
    assert_eq!(answer.response.status(), StatusCode::OK);
    let errors = json!([{ "message": "`after` is not a token of this collection's: x" }]);
    assert_eq!(answer.json(), json!({ "errors": errors, "data": null }));
}

#[test]
fn wrong_paths_methods_and_media_types_are_refused() {
    let client = Client { legacy: Legacy::of(250), size: 0 };
    client.refused("/orders", StatusCode::NOT_FOUND, "no such path; GET / lists those there are: /orders");
    client.refused("/search/orders", StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here: GET");
    for (method, path, allowed) in [(Method::HEAD, "/page/orders", "GET"), (Method::GET, "/graphql", "POST")] {
        let answer = client.ask(&method, path, &[], b"");
        assert_eq!(answer.response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow").as_deref(), Some(allowed));
    }
    for (accept, status) in [
        ("application/json", StatusCode::OK),
        ("text/html, application/json;q=0.1", StatusCode::OK),
        ("Application/JSON; charset=utf-8", StatusCode::OK),
        ("application/*", StatusCode::OK),
        ("text/html, */*;q=0.8", StatusCode::OK),
        ("application/x-ndjson", StatusCode::NOT_ACCEPTABLE),
        ("application/json;q=0, */*", StatusCode::NOT_ACCEPTABLE),
        ("text/*", StatusCode::NOT_ACCEPTABLE),
    ] {
        let answer = client.ask(&Method::GET, "/page/orders", &[(header::ACCEPT, accept)], b"");
        assert_eq!(answer.response.status(), status, "{accept}");
    }
}

#[test]
fn the_index_lists_every_path() {
    let index = Client { legacy: Legacy::of(250), size: 0 }.get("/");
    assert_eq!(index.value("/orders"), json!(250));
    let listed = index.value("/collections");
    let listed = listed.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap());
    assert!(listed.eq(COLLECTIONS.iter().map(|collection| collection.path)));
}

/// Each collection's configured paths name what its pages have.
#[test]
fn the_configuration_fits_the_pages() {
    let client = Client { legacy: Legacy::of(2_500), size: 0 };
    let config: toml::Table = configuration("http://[::1]:8081/\"").parse().unwrap();
    let collections = config["collection"].as_array().unwrap();
    assert_eq!(collections.len(), COLLECTIONS.len());
    for collection in collections {
        let path = collection["path"].as_str().unwrap();
        assert_eq!(collection["upstream"].as_str(), Some("http://[::1]:8081/\""));
        let method: Method = collection["method"].as_str().unwrap().parse().unwrap();
        let body = collection.get("body").map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let page = client.ask(&method, path, &[], &body);
        assert!(page.response.status().is_success(), "{path}");
        let at = |text: &str| text.parse::<Path>().unwrap().of_value(&page.json()).cloned();

        let pagination = &collection["pagination"];
        for source in [collection.get("total"), pagination.get("next")].into_iter().flatten() {
            let source = source.as_str().unwrap();
            match source.strip_prefix("header:") {
                Some(name) => assert!(page.header(name).is_some(), "{path} {source}"),
                None => assert!(at(source).is_some_and(|value| !value.is_null()), "{path} {source}"),
            }
        }
        if let Some(more) = pagination.get("more") {
            assert_eq!(at(more["path"].as_str().unwrap()), Some(json!(true)), "{path}");
        }
        if let Some(size) = collection.get("page_size") {
            assert_eq!(size["max"].as_integer(), Some(Legacy::MAX_PAGE as i64), "{path}");
        }
        let records = match &collection["records"] {
            toml::Value::String(records) => records.split("[*]").next().unwrap(),
            values => values["path"].as_str().unwrap(),
        };
        let records = at(records).unwrap();
        assert!(records.is_array() || records.is_object(), "{path}");
    }
}

/// An answer as it came.
struct Answered {
    response: Response<Bytes>,
}

impl Client {
    fn get(&self, uri: &str) -> Answered {
        self.ask(&Method::GET, uri, &[], b"")
    }

    fn post(&self, path: &str, body: &Value) -> Answered {
        self.ask(&Method::POST, path, &[], body.to_string().as_bytes())
    }

    fn ask(&self, method: &Method, uri: &str, fields: &[(header::HeaderName, &str)], body: &[u8]) -> Answered {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(HOST))]);
        for (name, value) in fields {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        let response = self.legacy.answer(method, &uri.parse::<Uri>().unwrap(), &headers, body);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        Answered { response }
    }

    fn refused(&self, uri: &str, status: StatusCode, message: &str) {
        let answer = self.get(uri);
        assert_eq!((answer.response.status(), answer.json()), (status, json!({ "error": message })), "{uri}");
    }
}

impl Answered {
    fn body(&self) -> &str {
        std::str::from_utf8(self.response.body()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    fn value(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap()
    }

    fn text(&self, pointer: &str) -> Option<String> {
        self.json().pointer(pointer).and_then(Value::as_str).map(ToOwned::to_owned)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    fn link(&self, rel: &str) -> Option<String> {
        let links = self.header("link")?;
        let link = links.split(", ").find_map(|link| link.strip_suffix(&format!(">; rel=\"{rel}\"")))?;
        Some(link.strip_prefix('<').unwrap().to_owned())
    }

    /// The bytes of each order in the array, or in the object's values, at this path; an edge is its node.
    fn orders(&self, path: &[&str]) -> Vec<String> {
        assert!(self.response.status().is_success(), "{}", self.body());
        let holder = path.iter().fold(self.body(), |text, name| members(text)[*name].get());
        let orders: Vec<&RawValue> = match holder.as_bytes()[0] {
            b'{' => {
                let members = members(holder);
                assert!(members.iter().all(|(id, order)| member(order.get(), "id") == *id));
                members.into_values().collect()
            }
            _ => serde_json::from_str(holder).unwrap(),
        };
        let node =
            |order: &RawValue| members(order.get()).get("node").map_or(order.get(), |node| node.get()).to_owned();
        orders.into_iter().map(node).collect()
    }
}

fn members(text: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(text).unwrap()
}

fn member(order: &str, name: &str) -> String {
    serde_json::from_str(members(order)[name].get()).unwrap()
}

/// One more query parameter, where there is something to say.
fn param(name: &str, value: Option<String>) -> String {
    let encoded =
        |value: String| percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC).to_string();
    value.map(|value| format!("&{name}={}", encoded(value))).unwrap_or_default()
}

/// The step of a client that continues until a page is empty.
fn until_empty(orders: Vec<String>, next: u64) -> Page {
    let next = (!orders.is_empty()).then(|| next.to_string());
    (orders, next)
}
