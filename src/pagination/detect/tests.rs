//! Each rule of detection, and each trap that real APIs set for it.

use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::pagination::request::RequestBody;
use crate::pagination::{LinkHeader, NextUrl, Offset, PageNumber, Param, Path, RangeHeader};

fn get(query: &str) -> PageRequest {
    PageRequest::get(Url::parse(&format!("https://api.example.com/v1/items{query}")).unwrap())
}

fn post(body: Value) -> PageRequest {
    PageRequest { method: Method::POST, body: Some(RequestBody::Json(body)), ..get("") }
}

fn head(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

fn records(count: u64) -> Value {
    (1..=count).map(|id| json!({"id": id})).collect()
}

/// The candidates, each in a few words.
fn found(request: &PageRequest, headers: &HeaderMap, page: &Value) -> Vec<String> {
    detect(request, headers, page).candidates.iter().map(|candidate| shown(&candidate.pagination)).collect()
}

fn in_body(query: &str, page: &Value) -> Vec<String> {
    found(&get(query), &HeaderMap::new(), page)
}

fn shown(pagination: &Pagination) -> String {
    let source = |source: &Source| match source {
        Source::Body(path) => path.to_string(),
        Source::Header(name) => format!("header:{name}"),
        Source::Links { path, rel } => format!("{path}[rel={rel}]"),
        Source::LastLink { .. } => "link:last".to_owned(),
    };
    let mut text = pagination.style.name().to_owned();
    text += &match &pagination.style {
        Style::LinkHeader(LinkHeader { attribute: Some((name, value)), .. }) => format!(" {name}={value}"),
        Style::NextUrl(NextUrl { next, .. }) => format!(" {}", source(&next[0])),
        Style::Cursor(Cursor { tokens, merge, .. }) => match (tokens.first(), merge) {
            (Some(token), _) => format!(" {} → {}", source(&token.next[0]), token.param),
            (None, merge) => format!(" merge {}", merge.as_ref().unwrap()),
        },
        Style::Page(PageNumber { param, start, .. }) | Style::Offset(Offset { param, start, .. }) => {
            format!(" {param} from {start}")
        }
        Style::Range(RangeHeader { unit, size }) => format!(" `{unit}` of {size}"),
        _ => String::new(),
    };
    if let Some(more) = &pagination.more {
        text += &format!(", while {}={}", more.path, more.while_);
    }
    for (name, total) in [("total", &pagination.total), ("total_pages", &pagination.total_pages)] {
        text += &total.as_ref().map(|total| format!(", {name} {}", source(total))).unwrap_or_default();
    }
    text
}

#[test]
fn a_link_header_is_trusted_most() {
    let link = head(&[("link", "</v1/items?page=2>; rel=\"next\""), ("x-total-count", "50")]);
    let page = json!({"next_url": "/v1/items?page=2", "items": records(2), "page": 1, "total_pages": 25});
    let candidates = found(&get(""), &link, &page);
    assert_eq!(
        candidates[..2],
        ["link_header, total header:x-total-count", "next_url next_url, total header:x-total-count"]
    );

    let sentry = head(&[(
        "link",
        "<https://a/?c=0>; rel=\"previous\"; results=\"false\", <https://a/?c=1>; rel=\"next\"; results=\"true\"",
    )]);
    assert_eq!(found(&get(""), &sentry, &records(2)), ["link_header results=true"]);
}

#[test]
fn links_to_other_pages_only_are_the_last_page() {
    let last = head(&[("link", "<https://a/i?page=1>; rel=\"first\", <https://a/i?page=1>; rel=\"last\"")]);
    assert_eq!(found(&get(""), &last, &records(2)), ["link_header"]);
    // None of these is about a last page.
    for link in ["</i>; rel=self", "</style.css>; rel=preload", "</>; rel=\"https://api.w.org/\"", ""] {
        assert_eq!(found(&get(""), &head(&[("link", link)]), &records(2)), [""; 0], "{link}");
    }
}

#[test]
fn links_that_contradict_each_other_end_nothing() {
    let last = head(&[("link", "<https://a/i?page=1>; rel=\"first\", <https://a/i?page=7>; rel=\"last\"")]);
    assert_eq!(found(&get(""), &last, &records(2)), [""; 0]);
    let total = head(&[("link", "<https://a/i?page=1>; rel=\"first\""), ("x-total-count", "9")]);
    assert_eq!(found(&get(""), &total, &records(2)), [""; 0]);
}

#[test]
fn a_link_header_that_can_t_be_read_is_reported() {
    let detection = detect(&get(""), &head(&[("link", "</v1/items?page=2; rel=next")]), &records(2));
    assert!(detection.candidates.is_empty());
    assert!(detection.seen[0].starts_with("the Link header can't be read: expected `>`"), "{:?}", detection.seen);
}

#[test]
fn a_url_under_a_next_like_key_is_followed() {
    let cases = [
        (json!({"count": 50, "next": "https://a/x?page=2", "previous": null, "results": records(2)}), "next"),
        (json!({"value": records(2), "@odata.nextLink": "https://a/x?$skiptoken=2"}), "[\"@odata.nextLink\"]"),
        (json!({"d": {"results": records(2), "__next": "https://a/x?$skip=2"}}), "d.__next"),
        (json!({"records": records(2), "nextRecordsUrl": "/services/data/v60.0/query/01gD-2000"}), "nextRecordsUrl"),
        (json!({"items": records(2), "links": {"self": "/x", "next": "/x?page=2"}}), "links.next"),
        (json!({"items": records(2), "_links": {"next": {"href": "x?page=2"}}}), "_links.next.href"),
        (
            json!({"data": records(2), "paging": {"cursors": {"after": "b"}, "next": "https://a/x?after=b"}}),
            "paging.next",
        ),
        (
            json!({"features": records(2), "links": [{"rel": "self", "href": "/x"}, {"rel": "next", "href": "/x?t=2"}]}),
            "links[rel=next]",
        ),
        (json!({"entities": records(2), "links": [{"rel": ["next"], "href": "/x?t=2"}]}), "links[rel=next]"),
        (json!({"items": records(2), "links": [{"rel": "last next", "href": "/x?t=2"}]}), "links[rel=next]"),
        // The URL is that of each page, and the token stands in the link's body.
        (
            json!({"features": records(2), "links": [{"rel": "next", "method": "POST", "href": get("").url.as_str(), "body": {"t": 2}}]}),
            "links[rel=next]",
        ),
    ];
    for (page, path) in cases {
        assert_eq!(in_body("", &page)[0], format!("next_url {path}"), "{page}");
    }
}

#[test]
fn a_next_url_among_the_records_or_in_data_is_none() {
    let page = json!({"items": [{"id": 1, "next": "https://a/2"}], "user": {"next": "https://a/b"}});
    assert_eq!(in_body("", &page), [""; 0]);
    assert_eq!(live_pointer(&get("").url, &HeaderMap::new(), &page), None);
}

#[test]
fn header_fields_can_hold_the_next_url_or_number() {
    let kinto = head(&[("next-page", "https://a/records?_token=x")]);
    assert_eq!(found(&get(""), &kinto, &json!({"data": records(2)})), ["next_url header:next-page"]);
    let gitlab = head(&[("x-page", "1"), ("x-next-page", "2"), ("x-total-pages", "3")]);
    assert_eq!(found(&get("?per_page=2"), &gitlab, &records(2))[0], "cursor header:x-next-page → `page`");
    let ended = head(&[("x-page", "3"), ("x-next-page", ""), ("x-total-pages", "3")]);
    assert_eq!(found(&get("?per_page=2&page=3"), &ended, &records(1))[0], "next_url header:x-next-page");
    let azure = head(&[("x-ms-continuation", "abc")]);
    assert_eq!(found(&get(""), &azure, &records(1))[0], "cursor header:x-ms-continuation → `continuation`");
}

/// The parameters that are tried for a token, in their order.
fn tried(query: &str, page: &Value) -> Vec<String> {
    let candidates = in_body(query, page);
    candidates.iter().filter_map(|text| Some(text.split_once(" → `")?.1.split_once('`')?.0.to_owned())).collect()
}

#[test]
fn a_token_s_parameters_are_tried_in_the_order_of_their_likelihood() {
    let next = |key: &str| json!({"items": records(2), key: "t0k3n"});
    assert_eq!(tried("", &next("next_cursor"))[..3], ["cursor", "next_cursor", "page_token"]);
    assert_eq!(tried("", &next("nextPageToken"))[..2], ["pageToken", "nextPageToken"]);
    assert_eq!(tried("", &next("next_token"))[0], "next_token");
    assert_eq!(tried("", &next("next_starting_after"))[0], "starting_after");
    assert_eq!(tried("", &next("next_page_start_id"))[0], "page_start_id");
    assert_eq!(tried("?page[size]=2", &next("next_cursor"))[..2], ["page[after]", "page[cursor]"]);
    assert_eq!(tried("?_size=2", &next("next"))[0], "_next");
    // The request's own parameter comes first, and the one in the API's URLs before it.
    assert_eq!(tried("?continuation=", &next("next_cursor"))[0], "continuation");
    let mut page = next("next_cursor");
    page["last"] = json!("https://a/x?limit=2&weiter=t0k3n");
    assert_eq!(tried("", &page)[0], "weiter");
    assert!(tried("", &next("next_cursor")).len() <= 8);
}

#[test]
fn a_filter_of_the_request_is_never_replaced_by_a_token() {
    let page = json!({"items": records(2), "next_cursor": "t0k3n"});
    let tried = tried("?after=2024-01-01&from=2024-01-01&page_token=", &page);
    assert_eq!(tried[0], "page_token");
    assert!(!tried.iter().any(|name| name == "after" || name == "from"), "{tried:?}");
}

#[test]
fn numbers_as_tokens_go_where_the_request_has_its_number() {
    let json_server =
        json!({"first": 1, "prev": null, "next": 2, "last": 50, "pages": 50, "items": 5000, "data": records(2)});
    assert_eq!(in_body("?_page=1&_per_page=2", &json_server)[0], "cursor next → `_page`");
    let pipedrive = json!({"data": records(2), "additional_data": {"pagination": {"start": 0, "limit": 2,
        "more_items_in_collection": true, "next_start": 2}}});
    let more = "while additional_data.pagination.more_items_in_collection=true";
    assert_eq!(
        in_body("?start=0&limit=2", &pipedrive)[0],
        format!("cursor additional_data.pagination.next_start → `start`, {more}")
    );
    // Zero may be an end or a beginning.
    assert_eq!(in_body("", &json!({"items": records(2), "next_cursor": 0})), [""; 0]);
}

#[test]
fn tokens_go_into_the_body_of_a_post() {
    let page = json!({"results": records(2), "nextCursor": "t"});
    assert_eq!(found(&post(json!({})), &HeaderMap::new(), &page)[0], "cursor nextCursor → `body:cursor`");
    let intercom =
        json!({"data": records(2), "pages": {"page": 1, "total_pages": 2, "next": {"page": 2, "starting_after": "t"}}});
    let request = post(json!({"pagination": {"per_page": 2, "starting_after": null}}));
    assert_eq!(
        found(&request, &HeaderMap::new(), &intercom)[0],
        "cursor pages.next.starting_after → `body:pagination.starting_after`"
    );
}

#[test]
fn a_graphql_connection_continues_by_the_variable_of_its_query() {
    let page = json!({"data": {"orders": {"edges": [{"cursor": "a", "node": {"id": 1}}],
        "pageInfo": {"hasNextPage": true, "endCursor": "a"}}}});
    let request =
        post(json!({"query": "query($n: Int, $c: String) { orders(first: $n, after: $c) { edges { node { id } } } }"}));
    let detection = detect(&request, &HeaderMap::new(), &page);
    assert_eq!(
        shown(&detection.candidates[0].pagination),
        "cursor data.orders.pageInfo.endCursor → `body:variables.c`, while data.orders.pageInfo.hasNextPage=true"
    );
    assert_eq!(detection.candidates[0].pagination.records.paths, ["data.orders.edges[*].node".parse().unwrap()]);
    let signs = crate::pagination::ErrorSettings::at("errors".parse().unwrap());
    assert_eq!(detection.candidates[0].pagination.failures, signs);
}

#[test]
fn mediawiki_s_continue_is_merged() {
    let page = json!({"query": {"allpages": records(2)}, "continue": {"apcontinue": "B", "continue": "-||"}});
    assert_eq!(in_body("", &page), ["cursor merge continue"]);
}

#[test]
fn a_null_pointer_is_the_last_page_of_its_kind() {
    let cases = [
        (json!({"count": 2, "next": null, "previous": null, "results": records(2)}), "next_url next"),
        (json!({"items": records(2), "next_page_uri": null}), "next_url next_page_uri"),
        (
            json!({"channels": records(2), "response_metadata": {"next_cursor": ""}}),
            "cursor response_metadata.next_cursor → `cursor`",
        ),
        (json!({"items": records(2), "bookmark": null}), "cursor bookmark → `bookmark`"),
        (json!({"items": records(2), "next_cursor": "null"}), "cursor next_cursor → `cursor`"),
        (
            json!({"data": records(2), "has_more": false, "last_id": null}),
            "cursor last_id → `after`, while has_more=true",
        ),
    ];
    for (page, expected) in cases {
        assert_eq!(in_body("", &page)[0], expected, "{page}");
    }
    let text = json!({"items": records(2), "next_cursor": "null"});
    let Style::Cursor(cursor) = detect(&get(""), &HeaderMap::new(), &text).candidates.remove(0).pagination.style else {
        panic!("a cursor")
    };
    assert_eq!(cursor.end_values, [json!("null")]);
}

#[test]
fn a_null_pointer_that_the_page_contradicts_ends_nothing() {
    let total = json!({"items": records(2), "next_cursor": null, "total": 10});
    let detection = detect(&get(""), &HeaderMap::new(), &total);
    assert!(detection.candidates.is_empty());
    assert!(detection.seen.last().unwrap().contains("doesn't end the collection"), "{:?}", detection.seen);
    assert_eq!(in_body("", &json!({"items": records(2), "next_cursor": null, "has_more": true})), [""; 0]);
    assert_eq!(in_body("", &json!({"items": records(2), "owner": {"history": {"next_page": null}}})), [""; 0]);
    let pages = json!({"items": records(2), "next_page_url": null, "current_page": 1, "last_page": 3});
    assert_eq!(in_body("?page=1", &pages), ["page `page` from 1, total_pages last_page"]);
}

#[test]
fn an_empty_pointer_ends_nothing_where_the_array_may_be_another() {
    let at = |path: &str, page: &Value| {
        let url = Url::parse(&format!("https://api.example.com/v1/{path}")).unwrap();
        found(&PageRequest::get(url), &HeaderMap::new(), page)
    };
    for (path, page) in [
        ("x", json!({"ids": [1, 2, 3, 4], "owners": [{"id": 7}], "next_cursor": null})),
        ("x", json!({"fields": [{"name": "a"}], "tuples": [[1], [2]], "next": null})),
        ("orders/open", json!({"orders": [], "customers": [{"id": 1}], "next": null})),
        ("orders/5", json!({"id": 5, "lines": [{"n": 1}], "next": null})),
        ("orders/5", json!({"order": {"id": "5", "lines": [{"n": 1}]}, "next": null})),
        ("x", json!({"items": [{"id": 1}], "values": [{"id": 1}, {"id": 2}], "next": null})),
    ] {
        assert_eq!(at(path, &page), [""; 0], "{page}");
    }
    for (path, page) in [
        ("x", json!({"anything": records(2), "errors": [], "next": null})),
        ("x", json!({"items": records(2), "tags": ["x"], "next": null})),
        ("orders/open", json!({"orders": records(2), "customers": [], "next": null})),
        ("x", json!({"data": {"list": records(2)}, "next": null})),
    ] {
        assert_eq!(at(path, &page), ["next_url next"], "{page}");
    }
    let doubt = json!({"id": 5, "lines": records(1), "next": null});
    let seen = detect(&get(""), &HeaderMap::new(), &doubt).seen;
    assert!(seen.last().unwrap().contains("`$` has an id, and `lines` may be a part of it"), "{seen:?}");
    // A configured `records` leaves no doubt.
    let known = ConfiguredFacts { records: "lines".parse().ok(), ..ConfiguredFacts::default() };
    let known = detect_beside(&get(""), &HeaderMap::new(), &doubt, known);
    assert_eq!(known.candidates.len(), 1);
}

#[test]
fn a_live_pointer_belongs_to_none_of_several_arrays() {
    let page = |other: &str| json!({"owners": records(2), other: [1, 2], "next_cursor": "t"});
    assert_eq!(in_body("", &page("ids")), [""; 0]);
    assert_eq!(in_body("", &page("errors"))[0], "cursor next_cursor → `cursor`");
    let empty = json!({"owners": records(2), "tags": [], "next_cursor": "t"});
    assert_eq!(in_body("", &empty)[0], "cursor next_cursor → `cursor`");
    let seen = detect(&get(""), &HeaderMap::new(), &page("ids")).seen;
    assert_eq!(seen[1], "no array that is surely the records: 2 elements at `owners`, 2 elements at `ids`");
}

#[test]
fn a_count_that_is_greater_than_the_page_contradicts_an_empty_pointer() {
    for name in ["count", "size", "total", "resultCount"] {
        let page = json!({"items": records(2), "next": null, name: 100});
        assert_eq!(in_body("", &page), [""; 0], "{name}");
    }
    let two = json!({"items": records(2), "next": null, "total": 100, "totalResults": 2});
    assert_eq!(in_body("", &two), [""; 0]);
    for page in [json!({"count": 2}), json!({"count": 50}), json!({"size": 50, "total": 2})] {
        let mut page = page;
        page["items"] = records(2);
        page["next"] = Value::Null;
        assert_eq!(in_body("?limit=50", &page).len(), 1, "{page}");
    }
}

#[test]
fn a_null_that_may_be_the_request_s_own_missing_cursor_ends_nothing() {
    let page = json!({"items": records(2), "cursor": null});
    assert_eq!(in_body("", &page), [""; 0]);
    assert_eq!(in_body("?limit=2", &page), [""; 0]);
    assert_eq!(in_body("?limit=10", &page), ["cursor cursor → `cursor`"]);
}

#[test]
fn a_value_that_repeats_the_request_is_no_pointer() {
    let page = json!({"items": records(2), "cursor": "t0k3n", "next": "https://api.example.com/v1/items?cursor=t0k3n"});
    assert_eq!(in_body("?cursor=t0k3n", &page), [""; 0]);
    let link = head(&[("link", "<https://api.example.com/v1/items?after=9>; rel=\"next\"")]);
    assert_eq!(found(&get("?after=9"), &link, &records(2)), [""; 0]);
    // Beside a key that says "next", `cursor` is the page's own.
    let page = json!({"items": records(2), "cursor": "own", "next_cursor": null});
    assert_eq!(in_body("", &page), ["cursor next_cursor → `cursor`"]);
}

#[test]
fn page_numbers_are_recognised() {
    let fastapi = json!({"items": records(2), "total": 50, "page": 1, "size": 2, "pages": 25});
    assert_eq!(in_body("?page=1&size=2", &fastapi), ["page `page` from 1, total total, total_pages pages"]);
    assert_eq!(in_body("?size=2", &fastapi)[0], "page `page` from 1, total total, total_pages pages");
    let spring = json!({"content": records(2), "number": 0, "size": 20, "totalPages": 1, "totalElements": 2});
    assert_eq!(in_body("", &spring)[0], "page `page` from 0, total totalElements, total_pages totalPages");
    let laravel = json!({"data": records(2), "meta": {"current_page": 1, "last_page": 3, "total": 6},
        "links": {"first": "https://a/x?p=1"}});
    assert_eq!(in_body("", &laravel)[0], "page `p` from 1, total meta.total, total_pages meta.last_page");
    let json_api = json!({"data": records(2), "meta": {"page": {"total": 50}}});
    assert_eq!(
        in_body("?page[number]=1&page[size]=2", &json_api),
        ["page `page[number]` from 1, total meta.page.total"]
    );
    let wordpress = head(&[("x-wp-total", "50"), ("x-wp-totalpages", "25")]);
    assert_eq!(
        found(&get("?page=1"), &wordpress, &records(2)),
        ["page `page` from 1, total header:x-wp-total, total_pages header:x-wp-totalpages"]
    );
    // Without a total, a `page` in the page may mean anything, and so does one that is no first page.
    assert_eq!(in_body("", &json!({"items": records(2), "page": 1})), [""; 0]);
    assert_eq!(in_body("", &json!({"items": records(2), "page": 5, "total_pages": 9})), [""; 0]);
}

#[test]
fn a_page_number_beside_a_flag_is_recognised() {
    let page = json!({"data": records(2), "page": 1, "has_more": true});
    assert_eq!(in_body("?limit=2", &page)[0], "page `page` from 1, while has_more=true");
    assert_eq!(in_body("", &json!({"data": records(2), "page": 1})), [""; 0]);
}

#[test]
fn offsets_are_recognised() {
    let jira = json!({"startAt": 0, "maxResults": 2, "total": 50, "isLast": false, "values": records(2)});
    assert_eq!(in_body("?startAt=0&maxResults=2", &jira), ["offset `startAt` from 0, while isLast=false, total total"]);
    assert_eq!(in_body("", &jira)[0], "offset `startAt` from 0, while isLast=false, total total");
    let scim = json!({"totalResults": 50, "itemsPerPage": 2, "startIndex": 1, "Resources": records(2)});
    assert_eq!(in_body("", &scim)[0], "offset `startIndex` from 1, total totalResults");
    assert_eq!(in_body("?$skip=0&$top=2", &json!({"value": records(2)})), ["offset `$skip` from 0"]);
    // The start of a time range is no offset.
    for query in ["?start=1700000000", "?from=1&to=9", "?start=2024-01-01"] {
        assert_eq!(in_body(query, &json!({"items": records(2)})), [""; 0], "{query}");
    }
}

#[test]
fn counts_that_are_not_to_be_used_are_none() {
    let ignored = || ConfiguredFacts { unnamed_counts: UnnamedCounts::Ignored, ..ConfiguredFacts::default() };
    let in_body = |query: &str, page: &Value| -> Vec<String> {
        let candidates = detect_beside(&get(query), &HeaderMap::new(), page, ignored()).candidates;
        candidates.iter().map(|candidate| shown(&candidate.pagination)).collect()
    };
    let page = json!({"items": records(2), "page": 1, "total": 90, "total_pages": 45});
    assert_eq!(in_body("", &page)[0], "page `page` from 1");
    assert_eq!(in_body("?page=1", &json!({"items": records(2), "count": 90})), ["page `page` from 1"]);
    assert_eq!(in_body("", &json!({"items": records(2), "offset": 0, "total": 90}))[0], "offset `offset` from 0");
    assert_eq!(in_body("", &json!({"items": records(2), "next": null, "total": 90})), ["next_url next"]);
    assert_eq!(in_body("", &json!({"items": [], "total": 0})), [""; 0]);
}

#[test]
fn ids_lead_on_only_where_a_flag_says_that_more_follow() {
    let page = json!({"data": records(2), "has_more": true});
    assert_eq!(in_body("?limit=2", &page), ["keyset, while has_more=true"]);
    assert_eq!(in_body("?starting_after=1", &page), [""; 0]);
    for records in [json!([{"id": 1}, {"id": 1}]), json!([{"id": 1}, {"n": 2}]), json!([{"id": 1}])] {
        assert_eq!(in_body("", &json!({"data": records, "has_more": true})), [""; 0], "{records}");
    }
}

#[test]
fn a_total_alone_is_never_guessed() {
    for page in [json!({"data": records(2), "total": 5000}), json!({"data": records(2)}), records(100)] {
        assert_eq!(in_body("?limit=2", &page), [""; 0], "{page}");
    }
    let seen = detect(&get(""), &HeaderMap::new(), &json!({"data": records(2), "total": 5000, "has_more": true})).seen;
    let expected = [
        "no Link header",
        "an array of 2 records at `data`",
        "no next URL or token",
        "`has_more` says that there is more",
        "`total` = 5000 but no page or offset field",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn keys_of_a_long_page_are_places_too() {
    let long = json!({"data": (0..100).map(|id| json!({"id": id})).collect::<Vec<_>>(), "has_more": true});
    assert_eq!(in_body("", &outline(long.to_string().as_bytes())), ["keyset, while has_more=true"]);
}

#[test]
fn a_range_without_a_unit_is_of_items_or_of_the_field_beside_it() {
    let of = |fields: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        found(&get(""), &headers, &records(2))
    };
    assert_eq!(of(&[("content-range", "0-1/5")]), ["range `items` of 2"]);
    assert_eq!(of(&[("content-range", "0-1/*"), ("range-unit", "rows")]), ["range `rows` of 2"]);
    for other in ["bytes 0-1/5", "items 5-6/9", "items 0-9/20", "items */20", "items"] {
        assert_eq!(of(&[("content-range", other)]), [""; 0], "{other}");
    }
}

#[test]
fn an_object_is_keyed_by_id_where_its_records_say_so() {
    let at = |page: &Value| detect(&get(""), &HeaderMap::new(), page).seen.get(1).cloned().unwrap_or_default();
    let keyed = json!({"5": {"id": 5, "tags": ["a"]}, "7": {"id": 7, "tags": ["b"]}});
    assert_eq!(at(&json!({"query": {"pages": keyed}, "next": "t"})), "an object of 2 records at `query.pages`");
    // What records refer to is keyed, too.
    assert_eq!(at(&json!({"items": records(3), "users": keyed})), "an array of 3 records at `items`");
    for page in [
        json!({"a": {"5": {"id": 5}}}),
        json!({"a": {"5": {"id": 5}, "6": {"id": 7}}}),
        json!({"a": keyed, "b": keyed}),
        json!({"included": keyed}),
        json!({"items": [], "users": keyed}),
        json!({"matrix": [[1, "a"]], "columns": keyed}),
        json!({"lists": [1, {"id": 1}], "users": keyed}),
        json!({"a": {"b": {"c": {"d": {"orders": [{"n": 1}]}}}}, "users": keyed}),
        json!({"items": [1, 2], "users": keyed}),
    ] {
        assert!(!at(&page).starts_with("an object"), "{page}");
    }
}

#[test]
fn trap_an_offset_that_is_a_token() {
    let airtable = json!({"records": records(2), "offset": "itrEN2TCbrcSN2BMs/recoNJW2NhS6TbIFl"});
    assert_eq!(in_body("?pageSize=2", &airtable)[0], "cursor offset → `offset`");
    let asana = json!({"data": records(2), "next_page": {"offset": "eyJ0eXAi", "path": "/tasks?offset=eyJ0eXAi",
        "uri": "https://a/tasks?offset=eyJ0eXAi"}});
    let candidates = in_body("", &asana);
    assert_eq!(candidates[..2], ["next_url next_page.uri", "cursor next_page.offset → `offset`"]);
    let chargebee = json!({"list": records(2), "next_offset": "[\"1700000000\",\"1\"]"});
    assert_eq!(in_body("", &chargebee)[0], "cursor next_offset → `offset`");
}

#[test]
fn trap_a_page_that_is_a_token() {
    let fastapi = json!({"items": records(2), "total": 50, "current_page": "Pg%3D%3D", "next_page": "Pmk6MTAw"});
    let candidates = in_body("?size=2", &fastapi);
    assert_eq!(candidates[0], "cursor next_page → `page`, total total");
    assert!(candidates.iter().all(|candidate| candidate.starts_with("cursor next_page")), "{candidates:?}");
    assert!(candidates.contains(&"cursor next_page → `cursor`, total total".to_owned()));
}

#[test]
fn trap_a_cursor_in_an_object_named_records() {
    let gong = json!({"requestId": "r", "records": {"totalRecords": 2, "currentPageSize": 2, "cursor": "t0k3n"}, "calls": records(2)});
    let candidates = in_body("", &gong);
    assert_eq!(candidates[0], "cursor records.cursor → `cursor`, total records.totalRecords");
    assert_eq!(records_path(&get(""), &gong), Some("calls".parse().unwrap()));
}

#[test]
fn trap_count_is_a_total_or_the_size_of_the_page() {
    let total =
        |query: &str, page: &Value| shown(&detect(&get(query), &HeaderMap::new(), page).candidates[0].pagination);
    let page = |count: u64| json!({"count": count, "results": records(2)});
    assert_eq!(total("?page=1", &page(50)), "page `page` from 1, total count");
    assert_eq!(total("?page=1", &page(2)), "page `page` from 1");
    assert_eq!(total("?page=1&limit=50", &page(50)), "page `page` from 1");
    // A link needs no total, and so gets none that may be wrong.
    let link = json!({"count": 50, "next": "https://a/x?page=2", "results": records(2)});
    assert_eq!(total("", &link), "next_url next");
    // A total that the page alone exceeds is none, and neither are two that disagree.
    assert_eq!(total("?page=1", &json!({"total": 1, "results": records(2)})), "page `page` from 1");
    let two = json!({"results": records(2), "meta": {"total_count": 9, "total_filtered_count": 5}});
    assert_eq!(total("?page=1", &two), "page `page` from 1");
}

#[test]
fn a_flag_goes_with_every_kind() {
    let zendesk = json!({"tickets": records(2), "meta": {"has_more": false, "after_cursor": "t"},
        "links": {"prev": "https://a/x?page[before]=t", "next": "https://a/x?page[after]=t"}});
    assert_eq!(in_body("?page[size]=100", &zendesk)[0], "next_url links.next, while meta.has_more=true");
    let twice = json!({"items": records(2), "next_cursor": "t", "has_more": true, "meta": {"isLast": true}});
    assert_eq!(in_body("", &twice)[0], "cursor next_cursor → `cursor`");
    // Datasette's `truncated: false` is no flag.
    let datasette = json!({"rows": records(2), "truncated": false, "next": "2", "next_url": "https://a/x?_next=2",
        "filtered_table_rows_count": 50});
    assert_eq!(
        in_body("?_size=2", &datasette)[..2],
        [
            "next_url next_url, total filtered_table_rows_count",
            "cursor next → `_next`, total filtered_table_rows_count"
        ]
    );
}

#[test]
fn the_record_array_is_found_by_its_shape_and_name() {
    let at = |path: &str, page: &Value| {
        let request = PageRequest::get(Url::parse(&format!("https://api.example.com/v1/{path}?x=1")).unwrap());
        records_path(&request, page).map(|path| path.to_string())
    };
    let some = |path: &str| Some(path.to_owned());
    assert_eq!(at("x", &records(2)), some("$"));
    assert_eq!(at("x", &json!({"anything": records(2), "errors": [], "links": records(3)})), some("anything"));
    assert_eq!(at("deal_groups", &json!({"dealStages": records(4), "dealGroups": records(2)})), some("dealGroups"));
    assert_eq!(at("custom-fields", &json!({"fieldOptions": records(9), "fields": records(2)})), some("fields"));
    assert_eq!(at("rows", &json!({"columns": ["a", "b"], "rows": [[1, 2]]})), some("rows"));
    assert_eq!(at("x", &json!({"meta": {"component_sets": records(2)}})), some("meta.component_sets"));
    assert_eq!(at("x", &json!({"a": {"b": {"items": records(1)}}, "tags": ["x"]})), some("a.b.items"));
    // Two arrays with equal scores, an object keyed by id, and no array.
    assert_eq!(at("x", &json!({"ones": records(2), "others": records(2)})), None);
    assert_eq!(at("x", &json!({"1": {"id": 1}, "2": {"id": 2}})), None);
    assert_eq!(at("x", &json!({"errors": records(2)})), None);
    let seen = detect(&get(""), &HeaderMap::new(), &json!({"ones": records(2), "others": records(3)})).seen;
    assert_eq!(seen[1], "no array that is surely the records: 2 elements at `ones`, 3 elements at `others`");
}

#[test]
fn all_arrays_are_listed() {
    let page = json!({"a": records(3), "b": {"c": [], "d": {"e": {"f": [1], "g": {"h": [1]}}}}});
    let expected = [("a", 3), ("b.c", 0), ("b.d.e.f", 1)].map(|(path, length)| (path.parse::<Path>().unwrap(), length));
    assert_eq!(arrays(&page), expected);
    assert_eq!(arrays(&records(2)), [(Path::root(), 2)]);
}

#[test]
fn live_pointers_are_named() {
    let none = HeaderMap::new();
    let cases = [
        (json!({"items": records(2), "next_cursor": "t"}), "`next_cursor` holds a token"),
        (json!({"items": records(2), "links": {"next": "https://a/x?page=2"}}), "`links.next` holds a URL"),
        (json!({"items": records(2), "next_page": 2, "page": 1, "total_pages": 2}), "`next_page` holds a number"),
        (
            json!({"data": {"x": {"nodes": records(2), "pageInfo": {"hasNextPage": true, "endCursor": "t"}}}}),
            "`data.x.pageInfo.endCursor` holds a token",
        ),
    ];
    for (page, expected) in cases {
        assert_eq!(live_pointer(&get("").url, &none, &page).as_deref(), Some(expected), "{page}");
    }
    let link = head(&[("link", "<https://a/?page=2>; rel=\"next\"")]);
    assert_eq!(live_pointer(&get("").url, &link, &records(2)).as_deref(), Some("a Link header with rel=next"));
    let kinto = head(&[("next-page", "https://a/?_token=2")]);
    assert_eq!(live_pointer(&get("").url, &kinto, &records(2)).as_deref(), Some("header `next-page` holds a URL"));
}

#[test]
fn no_false_alarm_for_pointers_that_lead_nowhere() {
    let none = HeaderMap::new();
    for page in [
        json!({"items": records(2), "previous": "https://a/x?page=1", "self": "https://a/x", "next": null}),
        json!({"items": records(2), "cursor": "own", "after": "own", "offset": "own", "page_token": "own"}),
        json!({"items": records(2), "links": {"self": "https://a/x?page=2", "next": "https://a/x?page=2"}}),
        json!({"items": records(2), "meta": {"has_more": false, "after_cursor": "t"}, "links": {"next": "https://a/x"}}),
        json!({"items": records(2), "bookmark": "nil", "_scroll_id": "abc"}),
        json!({"items": records(2), "paging": {"cursors": {"before": "a", "after": "b"}}}),
        json!({"items": records(2), "next_page": 3, "page": 2, "total_pages": 2}),
        json!({"items": records(2), "nextSyncToken": "t", "@odata.deltaLink": "https://a/delta"}),
    ] {
        assert_eq!(live_pointer(&get("").url, &none, &page), None, "{page}");
    }
    let sentry = head(&[("link", "<https://a/?c=1>; rel=\"next\"; results=\"false\"")]);
    assert_eq!(live_pointer(&get("").url, &sentry, &records(2)), None);
    let okta = head(&[("link", "<https://a/?after=1>; rel=\"self\""), ("link", "<https://a/?after=1>; rel=\"next\"")]);
    assert_eq!(live_pointer(&get("").url, &okta, &records(2)), None);
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = proptest::sample::select(vec![
        "next",
        "next_page",
        "links",
        "meta",
        "data",
        "items",
        "cursor",
        "cursors",
        "after",
        "page",
        "total",
        "href",
        "has_more",
        "continue",
        "last_id",
        "offset",
        "limit",
        "rel",
        "nextü",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/?=&%:0-9ü]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_candidate_is_complete_and_no_page_makes_it_panic(page in any_json(), query in "(\\?[a-z_=&0-9\\[\\]]{0,20})?") {
        let request = get(&query);
        for Candidate { pagination, .. } in detect(&request, &HeaderMap::new(), &page).candidates {
            let array = pagination.records.paths[0].split_at_each().0;
            prop_assert!(array.of_value(&page).is_some_and(Value::is_array));
            let style = pagination.style.name();
            prop_assert!(["link_header", "next_url", "cursor", "page", "offset", Style::SINGLE.name()].contains(&style));
            if let Style::Cursor(Cursor { tokens, .. }) = pagination.style {
                for token in tokens {
                    prop_assert!(matches!(token.param, Param::Query(_)));
                }
            }
        }
        live_pointer(&get("").url, &HeaderMap::new(), &page);
        arrays(&page);
    }
}

#[test]
fn a_numbered_link_that_lost_a_parameter_is_not_followed() {
    let detection = |next: &str| {
        let request = PageRequest::get(Url::parse("http://a/items?pageSize=2&state=open").unwrap());
        detect(&request, &HeaderMap::new(), &json!({"items": [{"id": 1}, {"id": 2}], "next": next}))
    };
    for kept in ["/items?page=2&pageSize=2&state=open", "/items?cursor=bmV4dA", "/items/next/bmV4dA"] {
        assert!(
            detection(kept).candidates.iter().any(|candidate| candidate.pagination.style.name() == "next_url"),
            "{kept}"
        );
    }
    for lost in ["/items?page=2", "http://a/items?page=2&pageSize=2", "/items?offset=2&state=open"] {
        let detection = detection(lost);
        assert!(detection.candidates.iter().all(|candidate| candidate.pagination.style.name() != "next_url"), "{lost}");
        assert!(detection.seen.iter().any(|seen| seen.starts_with("the next link lacks")), "{:?}", detection.seen);
    }
}
