//! The paths of the legacy API, each with its answer and the configuration that crawls it.

use http::Method;
use serde_json::{Value, json};

use super::answer::DemoAnswer;
use super::refusal::DemoRefusal;
use super::request::DemoRequest;
use super::{by_link, by_number, by_token};

/// A path of the legacy API.
#[derive(Debug)]
pub(super) struct DemoCollection {
    pub(super) path: &'static str,
    pub(super) method: Method,
    pub(super) about: &'static str,
    pub(super) answer: fn(&DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal>,
    /// Lines of its `[[collection]]` beside `path`, `upstream`, `method` and `key`.
    pub(super) walk: &'static str,
}

/// List of the other paths.
pub(super) static INDEX: DemoCollection =
    DemoCollection { path: "/", method: Method::GET, about: "this list", answer: index, walk: "" };

/// The orders in each pagination type.
pub(super) static COLLECTIONS: [DemoCollection; 14] = [
    DemoCollection {
        path: "/link/orders",
        method: Method::GET,
        about: "a bare array, Link header (RFC 8288)",
        answer: by_link::link,
        walk: r#"
records = "$"
page_size = { param = "per_page", max = 1000 }
pagination = { type = "link_header" }
total = "header:X-Total-Count"
"#,
    },
    DemoCollection {
        path: "/next_url/orders",
        method: Method::GET,
        about: "absolute next URL in the body",
        answer: by_link::next_url,
        walk: r#"
records = "results"
page_size = { param = "page_size", max = 1000 }
pagination = { type = "next_url", next = "next" }
total = "count"
"#,
    },
    DemoCollection {
        path: "/relative/orders",
        method: Method::GET,
        about: "next URL without an origin (JSON:API)",
        answer: by_link::relative,
        walk: r#"
records = "data"
page_size = { param = "page[size]", max = 1000 }
pagination = { type = "next_url", next = "links.next" }
total = "meta.total"
"#,
    },
    DemoCollection {
        path: "/odata/orders",
        method: Method::GET,
        about: "next URL relative to the request (OData)",
        answer: by_link::odata,
        walk: r#"
records = "value"
page_size = { param = "$maxpagesize", max = 1000 }
pagination = { type = "next_url", next = '["@odata.nextLink"]' }
total = '["@odata.count"]'
"#,
    },
    DemoCollection {
        path: "/header/orders",
        method: Method::GET,
        about: "next URL in the Next-Page header field",
        answer: by_link::header,
        walk: r#"
records = "data"
page_size = { param = "_limit", max = 1000 }
pagination = { type = "next_url", next = "header:Next-Page" }
"#,
    },
    DemoCollection {
        path: "/cursor/orders",
        method: Method::GET,
        about: "opaque token, null at the end",
        answer: by_token::cursor,
        walk: r#"
records = "data"
page_size = { param = "limit", max = 1000 }
pagination = { type = "cursor", next = "meta.next_cursor", param = "cursor" }
"#,
    },
    DemoCollection {
        path: "/values/orders",
        method: Method::GET,
        about: "an object keyed by id, token empty at the end",
        answer: by_token::values,
        walk: r#"
records = { path = "orders", as = "values" }
page_size = { param = "limit", max = 1000 }
pagination = { type = "cursor", next = "next_cursor", param = "cursor" }
"#,
    },
    DemoCollection {
        path: "/search/orders",
        method: Method::POST,
        about: "token into the JSON body, absent at the end",
        answer: by_token::search,
        walk: r#"
records = "results"
page_size = { param = "body:limit", max = 1000 }
pagination = { type = "cursor", next = "paging.next.after", param = "body:after" }
total = "total"
"#,
    },
    DemoCollection {
        path: "/graphql",
        method: Method::POST,
        about: "a connection's cursor into the variables (GraphQL)",
        answer: by_token::graphql,
        walk: r#"
body = { query = "query ($first: Int, $after: String) { orders(first: $first, after: $after) { totalCount edges { node { id } } pageInfo { endCursor hasNextPage } } }" }
records = "data.orders.edges[*].node"
page_size = { param = "body:variables.first", max = 1000 }
pagination = { type = "cursor", next = "data.orders.pageInfo.endCursor", param = "body:variables.after", more = { path = "data.orders.pageInfo.hasNextPage", while = true } }
total = "data.orders.totalCount"
error_path = "errors"
"#,
    },
    DemoCollection {
        path: "/keyset/orders",
        method: Method::GET,
        about: "the last record's id, has_more (Stripe)",
        answer: by_token::keyset,
        walk: r#"
records = "data"
page_size = { param = "limit", max = 1000 }
pagination = { type = "keyset", key = "id", param = "starting_after", more = { path = "has_more", while = true } }
"#,
    },
    DemoCollection {
        path: "/page/orders",
        method: Method::GET,
        about: "page number, total",
        answer: by_number::page,
        walk: r#"
records = "items"
page_size = { param = "size", max = 1000 }
pagination = { type = "page", param = "page", start = 1 }
total = "total"
total_pages = "pages"
"#,
    },
    DemoCollection {
        path: "/offset/orders",
        method: Method::GET,
        about: "offset and limit, total",
        answer: by_number::offset,
        walk: r#"
records = "items"
page_size = { param = "limit", max = 1000 }
pagination = { type = "offset", param = "offset" }
total = "total"
"#,
    },
    DemoCollection {
        path: "/range/orders",
        method: Method::GET,
        about: "Range and Content-Range of unit items",
        answer: by_number::range,
        walk: r#"
records = "$"
pagination = { type = "range", unit = "items", size = 1000 }
"#,
    },
    DemoCollection {
        path: "/none/orders",
        method: Method::GET,
        about: "one page, cut at 1,000 records",
        answer: by_number::none,
        walk: r#"
records = "orders"
pagination = { type = "none" }
total = "total"
"#,
    },
];

fn index(request: &DemoRequest<'_>) -> Result<DemoAnswer, DemoRefusal> {
    let entry = |collection: &DemoCollection| -> Value {
        json!({ "path": collection.path, "method": collection.method.as_str(), "about": collection.about })
    };
    let collections: Vec<_> = COLLECTIONS.iter().map(entry).collect();
    Ok(DemoAnswer::without_orders(json!({ "orders": request.legacy.count(), "collections": collections })))
}
