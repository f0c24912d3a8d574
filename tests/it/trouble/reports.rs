//! The reports, condensed: one upstream and one configuration each.

use super::{Report, Right};
use crate::upstream::{Reply, answer};
use Right::{Breaks, Either, Exact};

/// A record without anything odd.
fn item(number: u64) -> String {
    format!("{{\"id\":{number},\"name\":\"item {number}\"}}")
}

pub(super) static REPORTS: [Report; 29] = [
    Report {
        source: "alexpeattie/nitlink#2",
        about: "rel='next', whose quotes are part of the value by the letter of RFC 8288",
        target: "/purchases?per_page=10",
        first: "",
        answer: |call| {
            let number = call.number("page", 1);
            let (records, more) = call.page(number, 10);
            let link = format!("<{}/purchases?page={}&per_page=10>; rel='next'", call.base(), number + 1);
            Reply::Whole(answer(200, &[("link", link.as_str())][usize::from(!more)..], records))
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\npagination = \"link_header\"",
        // By the page numbers that the API is asked for, without its links.
        auto: Exact,
        configured: Breaks(&["rel", "link"]),
    },
    Report {
        source: "boyter/searchcode#27",
        about: "nextpage is documented as null on the last page and never is; pages are counted from 0",
        target: "/api/codesearch_I/?q=x&per_page=10",
        first: "&p=0",
        answer: |call| {
            let page = call.number("p", 0);
            let (records, _) = call.page(page + 1, 10);
            Reply::json(format!("{{\"nextpage\":{},\"page\":{page},\"results\":{records}}}", page + 1))
        },
        records: 35,
        record: item,
        lines: "records = \"results\"\npagination = { type = \"page\", param = \"p\", start = 0 }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "pulsar-edit/package-backend#4",
        about: "the next link always says page=1, and the last one page=[object Object]; page numbers work",
        target: "/api/packages?sort=downloads",
        first: "",
        answer: |call| {
            let (records, _) = call.page(call.number("page", 1), 10);
            let link = |page: &str, rel: &str| format!("<{}/api/packages?page={page}>; rel=\"{rel}\"", call.base());
            let links = [link("1", "self"), link("[object Object]", "last"), link("1", "next")].join(", ");
            Reply::Whole(answer(200, &[("link", &links)], records))
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "brian7704/OpenTAKServer#291; PostHog/posthog#16911; pola-rs/polars#10041",
        about: "a Python API writes NaN into a record of page 2",
        target: "/api/point?per_page=10",
        first: "&page=1",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, _) = call.page(page, 10);
            Reply::json(format!("{{\"current_page\":{page},\"num_pages\":4,\"total\":35,\"results\":{records}}}"))
        },
        records: 35,
        record: |number| format!("{{\"id\":{number},\"ce\":{}}}", if number == 13 { "NaN" } else { "9.5" }),
        lines: "records = \"results\"\ntotal = \"total\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Breaks(&["json"]),
        configured: Breaks(&["json"]),
    },
    Report {
        source: "woocommerce/wc-api-python#40; forwardemail/superagent#1249; dgtlmoon/changedetection.io#2945",
        about: "every page starts with a UTF-8 byte order mark",
        target: "/wp-json/wc/v3/products?per_page=10",
        first: "&page=1",
        answer: |call| call.linked(call.number("page", 1), "\u{feff}", ""),
        records: 35,
        record: item,
        lines: "records = \"$\"\npagination = \"link_header\"",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "OneBusAway/onebusaway-android#2148; MotusDev/Motus-TO-DO#25",
        about: "Content-Type says ISO-8859-1, and the bytes are UTF-8",
        target: "/api/where/alerts?limit=10",
        first: "&offset=0",
        answer: |call| {
            let place = call.number("offset", 0);
            let (records, _) = call.slice(place, 10);
            let body = format!("{{\"offset\":{place},\"limit\":10,\"total\":35,\"list\":{records}}}");
            Reply::Whole(answer(200, &[("content-type", "application/json;charset=ISO-8859-1")], body))
        },
        records: 35,
        record: |number| format!("{{\"id\":{number},\"name\":\"What’s happening\"}}"),
        lines: "records = \"list\"\ntotal = \"total\"\npagination = { type = \"offset\", param = \"offset\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "OData/WebApi#2265; MrThearMan/graphene-django-query-optimizer#213; PostgREST/postgrest#2776",
        about: "each record has the first of its own items, and a next link of its own for them",
        target: "/v1/Orders?$expand=Items",
        first: "",
        answer: |call| {
            let place = call.number("$skip", 0);
            let (records, more) = call.slice(place, 10);
            let next = format!("{}/v1/Orders?$expand=Items&$skip={}", call.base(), place + 10);
            let next = if more { format!(",\"@odata.nextLink\":\"{next}\"") } else { String::new() };
            Reply::json(format!("{{\"@odata.context\":\"$metadata#Orders\",\"value\":{records}{next}}}"))
        },
        records: 35,
        record: |number| {
            let link = format!("http://127.0.0.1/v1/Orders({number})/Items?$skip=2");
            format!("{{\"id\":{number},\"Items\":[{{\"no\":1}},{{\"no\":2}}],\"Items@odata.nextLink\":\"{link}\"}}")
        },
        lines: "records = \"value\"\npagination = { type = \"next_url\", next = \"['@odata.nextLink']\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "algolia/search-bundle#197; composer/packagist#1003; algolia/algoliasearch-client-javascript#718",
        about: "nbHits is 70, and beyond 50 pages are empty, with status 200 and a message",
        target: "/1/indexes/videos?hitsPerPage=10",
        first: "&page=0",
        answer: |call| {
            let page = call.number("page", 0);
            let (records, message) = match page {
                0..5 => (call.page(page + 1, 10).0, ""),
                _ => ("[]".to_owned(), ",\"message\":\"you can only fetch the 50 hits for this query\""),
            };
            Reply::json(format!(
                "{{\"hits\":{records},\"nbHits\":70,\"page\":{page},\"nbPages\":5,\"hitsPerPage\":10{message}}}"
            ))
        },
        records: 70,
        record: item,
        lines: "records = \"hits\"\ntotal = \"nbHits\"\npagination = { type = \"page\", param = \"page\", start = 0 }",
        auto: Breaks(&["70", "message"]),
        configured: Breaks(&["total", "message"]),
    },
    Report {
        source: "USEPA/e-manifest#1641",
        about: "a page past the last is page 1 again; the total is right, and a multiple of the page size",
        target: "/manifests",
        first: "?page=1",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, _) = call.page(if page <= 3 { page } else { 1 }, 10);
            Reply::json(format!("{{\"manifests\":{records},\"total\":30}}"))
        },
        records: 30,
        record: item,
        lines: "records = \"manifests\"\ntotal = \"total\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "api-platform/core#3967; HydraCG/Specifications#42; tdt/core#459",
        about: "API Platform: hydra:view with hydra:next, names with a colon",
        target: "/api/books",
        first: "",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, more) = call.page(page, 10);
            let next = if more { format!(",\"hydra:next\":\"/api/books?page={}\"", page + 1) } else { String::new() };
            let view = format!("{{\"@id\":\"/api/books?page={page}\",\"hydra:last\":\"/api/books?page=4\"{next}}}");
            let body = format!("{{\"hydra:totalItems\":35,\"hydra:member\":{records},\"hydra:view\":{view}}}");
            Reply::Whole(answer(200, &[("content-type", "application/ld+json; charset=utf-8")], body))
        },
        records: 35,
        record: item,
        lines: r#"records = '["hydra:member"]'
total = '["hydra:totalItems"]'
pagination = { type = "next_url", next = '["hydra:view"]["hydra:next"]' }"#,
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "bigcommerce/bigcommerce-api-ruby#47",
        about: "the page past the last is 204 No Content",
        target: "/api/v2/orders?limit=10",
        first: "&page=1",
        answer: |call| match call.page(call.number("page", 1), 10) {
            (records, _) if records != "[]" => Reply::json(records),
            _ => Reply::status(204),
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\nrecords_optional = true\npagination = { type = \"page\", param = \"page\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "everything2/everything2#3053; restforce/restforce#779",
        about: "a client that accepts gzip is told that it comes, and gets plain JSON",
        target: "/api/writeups",
        first: "?page=1",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, _) = call.page(page, 10);
            let is_labelled = call.asked.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
            let fields = [("content-encoding", "gzip")];
            let body = format!("{{\"page\":{page},\"total_pages\":4,\"writeups\":{records}}}");
            Reply::Whole(answer(200, &fields[usize::from(!is_labelled)..], body))
        },
        records: 35,
        record: item,
        lines: "headers = { Accept-Encoding = \"identity\" }\nrecords = \"writeups\"\ntotal_pages = \"total_pages\"\n\
            pagination = { type = \"page\", param = \"page\" }",
        auto: Breaks(&["gzip"]),
        configured: Exact,
    },
    Report {
        source: "ropensci/fishbaseapi#68; postmanlabs/postman-app-support#3858",
        about: "from page 2 on Content-Length is larger than the body, whose JSON is whole",
        target: "/fooditems?limit=10",
        first: "&offset=0",
        answer: |call| {
            let place = call.number("offset", 0);
            let (records, _) = call.slice(place, 10);
            let body = format!("{{\"count\":35,\"returned\":10,\"data\":{records}}}");
            match place {
                0 => Reply::json(body),
                _ => {
                    Reply::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100).into())
                }
            }
        },
        records: 35,
        record: item,
        lines: "records = \"data\"\ntotal = \"count\"\npagination = { type = \"offset\", param = \"offset\" }",
        auto: Breaks(&["body", "cut", "broke off", "ended"]),
        configured: Breaks(&["body", "cut", "broke off", "ended"]),
    },
    Report {
        source: "KnpLabs/php-github-api#455, #349; anmol098/waka-readme-stats#316",
        about: "the first two requests are answered with 202 and {}, until the list is computed",
        target: "/repos/a/b/stats/contributors",
        first: "",
        answer: |call| match (call.number("page", 1), call.asked.attempt) {
            (1, 1 | 2) => Reply::Whole(answer(202, &[], "{}")),
            (page, _) => call.linked(page, "", ""),
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\npagination = \"link_header\"",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "nocodb/nocodb#12084; microsoftgraph/microsoft-graph-docs-contrib#658",
        about: "the next link lost the page size, so that page 2 is one of other pages: records 11 to 25 are in none",
        target: "/api/v3/data/records?pageSize=10",
        first: "",
        answer: |call| {
            let (page, size) = (call.number("page", 1), call.number("pageSize", 25));
            let (records, more) = call.page(page, size);
            let next = format!("\"{}{}?page={}\"", call.base(), call.path(), page + 1);
            Reply::json(format!("{{\"records\":{records},\"next\":{}}}", if more { next.as_str() } else { "null" }))
        },
        records: 60,
        record: item,
        lines: "records = \"records\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "googlemaps/google-maps-services-python#280, #366; slimkrazy/python-google-places#112",
        about: "a token that is used too soon is answered with 200, no results, no token and status: INVALID_REQUEST",
        target: "/maps/api/place/nearbysearch/json?location=1,2",
        first: "",
        answer: |call| {
            let place = call.number("pagetoken", 0);
            if place > 0 && call.asked.attempt == 1 {
                return Reply::json("{\"results\":[],\"status\":\"INVALID_REQUEST\"}");
            }
            let (records, more) = call.slice(place, 10);
            let token = if more { format!(",\"next_page_token\":\"{}\"", place + 10) } else { String::new() };
            Reply::json(format!("{{\"results\":{records},\"status\":\"OK\"{token}}}"))
        },
        records: 35,
        record: item,
        lines: "records = \"results\"\n\
            error_path = { path = \"status\", ok = [\"OK\", \"ZERO_RESULTS\"], retry = [\"INVALID_REQUEST\"] }\n\
            pagination = { type = \"cursor\", next = \"next_page_token\", param = \"pagetoken\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "MicrosoftDocs/office-365-management-api#7; AVEVA/AVEVA-Samples-CloudOperations#79",
        about: "the next page's URL stands in the header field NextPageUri",
        target: "/api/v1.0/activity/feed/subscriptions/content?contentType=Audit.General",
        first: "",
        answer: |call| {
            let place = call.number("nextPage", 0);
            let (records, more) = call.slice(place, 10);
            let next = format!("{}{}?contentType=Audit.General&nextPage={}", call.base(), call.path(), place + 10);
            Reply::Whole(answer(200, &[("nextpageuri", next.as_str())][usize::from(!more)..], records))
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\npagination = { type = \"next_url\", next = \"header:NextPageUri\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "ga4gh-beacon/beacon-v2#99",
        about: "skip is the number of pages to skip, not of records",
        target: "/api/individuals?limit=10",
        first: "&skip=0",
        answer: |call| {
            let skip = call.number("skip", 0);
            let (records, _) = call.page(skip + 1, 10);
            let summary = format!("{{\"pagination\":{{\"skip\":{skip},\"limit\":10}}}}");
            let counts = "{\"exists\":true,\"numTotalResults\":35}";
            Reply::json(format!(
                "{{\"meta\":{summary},\"responseSummary\":{counts},\"response\":{{\"results\":{records}}}}}"
            ))
        },
        records: 35,
        record: item,
        lines: "records = \"response.results\"\ntotal = \"responseSummary.numTotalResults\"\nallow = [\"offset-in-page\"]\n\
            pagination = { type = \"page\", param = \"skip\", start = 0 }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "vippsas/zeroeventhub#40; modaic-ai/modaic#188; wbolster/jsonlines#53",
        about: "records have U+2028 and U+0085 raw, where some readers of lines cut",
        target: "/feed",
        first: "?page=1",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, _) = call.page(page, 10);
            Reply::json(format!("{{\"page\":{page},\"total_pages\":4,\"events\":{records}}}"))
        },
        records: 35,
        record: |number| format!("{{\"id\":{number},\"text\":\"one\u{2028}two\u{85}three\"}}"),
        lines: "records = \"events\"\ntotal_pages = \"total_pages\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "xing/rails_cursor_pagination#101; desmondmorris/node-twitter#302; stripe/stripe-python#1689",
        about: "a cursor with truncated microseconds: each page begins with the last record of the one before",
        target: "/posts?first=10",
        first: "",
        answer: |call| {
            let after = call.number("after", 1).max(1);
            let (records, more) = call.slice(after - 1, 10);
            let token = if more { format!("\"{}\"", after + 9) } else { "null".to_owned() };
            Reply::json(format!("{{\"page\":{records},\"pageInfo\":{{\"hasNextPage\":{more},\"endCursor\":{token}}}}}"))
        },
        records: 35,
        record: item,
        lines: "records = \"page\"\nkey = \"id\"\npagination = { type = \"cursor\", next = \"pageInfo.endCursor\", param = \"after\", \
            more = { path = \"pageInfo.hasNextPage\" } }",
        auto: Breaks(&["key = \\\"id\\\""]),
        configured: Exact,
    },
    Report {
        source: "WP-API/WP-API#969; Automattic/jetpack#25540; WordPress/gutenberg#4936",
        about: "a caching plugin writes an HTML comment behind the JSON of page 2",
        target: "/wp-json/wp/v2/posts?per_page=10",
        first: "&page=1",
        answer: |call| match call.number("page", 1) {
            2 => call.linked(2, "", "\n<!-- Performance optimized by a plugin. -->"),
            page => call.linked(page, "", ""),
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\ntotal = \"header:X-WP-Total\"\npagination = \"link_header\"",
        auto: Breaks(&["<!--", "found `<`"]),
        configured: Breaks(&["<!--", "found `<`"]),
    },
    Report {
        source: "intercom/intercom-ruby#452; modelcontextprotocol/typescript-sdk#2735; salto-io/salto#5724",
        about: "a scroll whose token never changes: the upstream keeps the place, and the end is an empty page",
        target: "/companies/scroll",
        first: "",
        answer: |call| {
            let is_next = call.asked.target.contains("scroll_param=60bb598b");
            let place = if is_next { call.asked.attempt as u64 * 10 } else { 0 };
            let (records, _) = call.slice(place.min(35), 10);
            Reply::json(format!("{{\"data\":{records},\"scroll_param\":\"60bb598b\"}}"))
        },
        records: 35,
        record: item,
        lines: "records = \"data\"\n\
            pagination = { type = \"cursor\", next = \"scroll_param\", param = \"scroll_param\", same_token = \"again\" }",
        auto: Breaks(&["same_token", "not recognised"]),
        configured: Exact,
    },
    Report {
        source: "uriyyo/fastapi-pagination#1393, #1047",
        about: "the token is percent-encoded already, and is meant to stand in the URL as it is",
        target: "/users?size=10",
        first: "",
        answer: |call| {
            let (_, query) = call.asked.target.split_once('?').unwrap_or_default();
            let token = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
            let place =
                match token.map(|token| token.strip_suffix("%3D%3D").and_then(|place| place.parse::<u64>().ok())) {
                    None => 0,
                    Some(Some(place)) => place,
                    Some(None) => return Reply::Whole(answer(400, &[], "{\"detail\":\"Invalid cursor value\"}")),
                };
            let (records, more) = call.slice(place, 10);
            let next = if more { format!("\"{}%3D%3D\"", place + 10) } else { "null".to_owned() };
            Reply::json(format!("{{\"items\":{records},\"next_page\":{next}}}"))
        },
        records: 35,
        record: item,
        lines: "records = \"items\"\npagination = { type = \"cursor\", next = \"next_page\", param = \"cursor\", encode = \"raw\" }",
        auto: Either,
        configured: Exact,
    },
    Report {
        source: "picqer/exact-php-client#193; open-horizon/exchange-api#480; uwaterloo/OpenData#2",
        about: "an array of one record comes as that record itself",
        target: "/api/v1/crm/Accounts",
        first: "",
        answer: |call| {
            let place = call.number("$skiptoken", 0);
            let (records, more) = call.slice(place, 10);
            let next = format!(",\"__next\":\"{}{}?$skiptoken={}\"", call.base(), call.path(), place + 10);
            let records = if more { &*records } else { records.trim_matches(['[', ']']) };
            Reply::json(format!("{{\"d\":{{\"results\":{records}{}}}}}", if more { next.as_str() } else { "" }))
        },
        records: 31,
        record: item,
        lines: "records = { path = \"d.results\", as = \"one_or_more\" }\npagination = { type = \"next_url\", next = \"d.__next\" }",
        auto: Breaks(&["no record array"]),
        configured: Exact,
    },
    Report {
        source: "simonw/datasette#405; derhuerst/db-rest#11",
        about: "the pages themselves are newline-delimited JSON, linked by Link",
        target: "/fixtures/facetable.json?_shape=array&_nl=on",
        first: "",
        answer: |call| {
            let place = call.number("_next", 0);
            let end = (place + 10).min(35);
            let lines: Vec<_> = (place + 1..=end).map(call.report.record).collect();
            let link = format!("<{}{}?_shape=array&_nl=on&_next={end}>; rel=\"next\"", call.base(), call.path());
            let fields = [("link", link.as_str()), ("content-type", "text/plain; charset=utf-8")];
            Reply::Whole(answer(200, &fields[usize::from(end == 35)..], lines.join("\n")))
        },
        records: 35,
        record: item,
        lines: "records = \"$\"\nencoding = \"ndjson\"\npagination = \"link_header\"",
        auto: Breaks(&["ndjson"]),
        configured: Exact,
    },
    Report {
        source: "BRGM/hubeau#72; tmarmer/EasyPaginationDotNet",
        about: "each page has status 206, because it is not the whole collection",
        target: "/api/v0/indicateurs?size=10",
        first: "",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, more) = call.page(page, 10);
            let next = format!("\"{}{}?page={}&size=10\"", call.base(), call.path(), page + 1);
            let next = if more { next.as_str() } else { "null" };
            Reply::Whole(answer(206, &[], format!("{{\"count\":35,\"next\":{next},\"data\":{records}}}")))
        },
        records: 35,
        record: item,
        lines: "records = \"data\"\ntotal = \"count\"\npagination = { type = \"next_url\", next = \"next\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "encode/httpx#195; apache/httpcomponents-client#698; code4craft/webmagic#796",
        about: "Content-Encoding is UTF-8, which is a charset",
        target: "/departures",
        first: "?page=1",
        answer: |call| {
            let page = call.number("page", 1);
            let (records, _) = call.page(page, 10);
            let body = format!("{{\"page\":{page},\"total_pages\":4,\"departures\":{records}}}");
            Reply::Whole(answer(200, &[("content-encoding", "UTF-8")], body))
        },
        records: 35,
        record: item,
        lines: "records = \"departures\"\ntotal_pages = \"total_pages\"\npagination = { type = \"page\", param = \"page\" }",
        auto: Exact,
        configured: Exact,
    },
    Report {
        source: "BasedHardware/omi#15153; spatie/dropbox-api#4; GoldenCheetah/GoldenCheetah#2630",
        about: "the pages behind the first have another path, and the token alone in their body",
        target: "/2/files/list_folder",
        first: "",
        answer: |call| {
            let body = String::from_utf8_lossy(&call.asked.body).into_owned();
            let place = match (call.path().ends_with("/continue"), body.as_str()) {
                (false, "{\"path\":\"\",\"limit\":10}" | "{\"limit\":10,\"path\":\"\"}") => 0,
                (true, body) => match body.strip_prefix("{\"cursor\":\"A").and_then(|body| body.strip_suffix("\"}")) {
                    Some(place) => place.parse().unwrap(),
                    None => return Reply::status(400),
                },
                _ => return Reply::status(400),
            };
            let (entries, more) = call.slice(place, 10);
            Reply::json(format!("{{\"entries\":{entries},\"cursor\":\"A{}\",\"has_more\":{more}}}", place + 10))
        },
        records: 35,
        record: item,
        lines: "method = \"POST\"\nbody = { path = \"\", limit = 10 }\nrecords = \"entries\"\n\
            pagination = { type = \"cursor\", next = \"cursor\", param = \"body:cursor\", more = { path = \"has_more\" }, \
            next_request = { path = \"/2/files/list_folder/continue\", body = {} } }",
        auto: Breaks(&["400"]),
        configured: Exact,
    },
    Report {
        source: "withcoral/coral#1088; CrossRef/rest-api-doc#417; django-haystack/pysolr#359; apache/hugegraph#164",
        about: "the token's parameter must be in the first request, too, and an unchanged token is the end",
        target: "/solr/core/select?rows=10",
        first: "&cursorMark=*",
        answer: |call| {
            let (_, query) = call.asked.target.split_once('?').unwrap_or_default();
            let mut query = url::form_urlencoded::parse(query.as_bytes());
            let Some((_, mark)) = query.find(|(name, _)| name == "cursorMark") else { return Reply::status(400) };
            let place = mark.strip_prefix("AoEj").map_or(0, |place| place.parse().unwrap());
            let (docs, _) = call.slice(place, 10);
            let next = (place + 10).min(35);
            Reply::json(format!(
                "{{\"response\":{{\"numFound\":35,\"docs\":{docs}}},\"nextCursorMark\":\"AoEj{next}\"}}"
            ))
        },
        records: 35,
        record: item,
        lines: "records = \"response.docs\"\ntotal = \"response.numFound\"\n\
            pagination = { type = \"cursor\", next = \"nextCursorMark\", param = \"cursorMark\", first = \"*\", same_token = \"end\" }",
        auto: Either,
        configured: Exact,
    },
];
