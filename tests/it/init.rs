//! `init` writes a configuration that streams what its URL has, and `explain` asks nothing.

use super::proxy::run;
use super::streams::orders;
use super::upstream::{Reply, Upstream};

/// GraphQL document of the test upstream's orders.
const ORDERS_QUERY: &str = r#"{"query": "query ($first: Int, $after: String) { orders(first: $first, after: $after) { totalCount edges { node { id } } pageInfo { endCursor hasNextPage } } }"}"#;

#[tokio::test]
async fn a_written_configuration_streams_what_the_url_has() {
    let upstream = Upstream::of(120).await;
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        ("/link/orders", ""),
        ("/next_url/orders", ""),
        ("/relative/orders", ""),
        ("/odata/orders", ""),
        ("/header/orders", ""),
        ("/cursor/orders", ""),
        ("/cursor/orders?limit=50", ""),
        ("/values/orders", ""),
        ("/search/orders", "{}"),
        ("/graphql", ORDERS_QUERY),
        ("/page/orders", ""),
        ("/page/orders?size=50&page=1", ""),
        ("/offset/orders", ""),
        ("/offset/orders?limit=50&offset=0", ""),
        ("/range/orders", ""),
        ("/keyset/orders", ""),
    ];
    let hand_written = folder.path().join("hand-written.toml");
    std::fs::write(&hand_written, super::proxy::demo(&upstream)).unwrap();
    for (at, (path, body)) in paths.iter().enumerate() {
        let file = folder.path().join(format!("{at}.toml"));
        let file = file.to_str().unwrap();
        let url = format!("{}{path}", upstream.url());
        let data: &[&str] = if body.is_empty() { &[] } else { &["-d", body] };
        let output = run([&["init", &url, "--output", file], data].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{path}");
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
            assert!(line.contains("    # "), "{path}: {line}");
        }
        assert!(
            text.contains("pagination = {") && text.contains("# recognised on page 1; page 2 has other records"),
            "{text}"
        );
        // An object keyed by id names its key.
        let key = if *path == "/values/orders" { "found on page 1" } else { "unproven: differs in each of the first" };
        assert!(text.contains(&format!("key = \"id\"    # {key}")), "{text}");
        let output = run(["check", file]).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        // Without a number of the first page.
        let target = path.replace("&page=1", "").replace("&offset=0", "");
        let output = run([&["fetch", "--config", file, &target], data].concat()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{path}: {said}");
        let known = run([&["fetch", "--config", hand_written.to_str().unwrap(), &target], data].concat()).await;
        assert_eq!(known.status.code(), Some(0), "{path}: {}", String::from_utf8_lossy(&known.stderr));
        assert!(output.stdout == known.stdout, "{path}: {said}\n{text}");
        assert!(*path == "/graphql" || output.stdout == orders(120).into_bytes(), "{path}: {said}\n{text}");
        // No file is replaced.
        let output = run([&["init", &url, "--output", file], data].concat()).await;
        assert_eq!((output.status.code(), std::fs::read_to_string(file).unwrap()), (Some(1), text));
        assert!(String::from_utf8_lossy(&output.stderr).contains("hint: name another --output"));
    }
}

#[tokio::test]
async fn experiments_say_what_was_shown() {
    let upstream = Upstream::of(120).await;
    for (path, shown) in [
        ("/offset/orders?limit=50&offset=0", &["order", "page 2", "page size", "addresses", "last page", "total"][..]),
        ("/page/orders?size=50&page=1", &["order", "page 2", "page size", "addresses", "last page", "total"]),
        ("/cursor/orders?limit=50", &["order", "page 2", "page size"]),
    ] {
        upstream.forget();
        let output = run(["init", &format!("{}{path}", upstream.url())]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        for subject in shown {
            let line = format!("#   {:<21} shown ", format!("{subject}:"));
            assert!(text.contains(&line), "{path}: {subject}\n{text}");
        }
        for subject in ["conditional requests", "unique order", "range filter"] {
            assert!(text.contains(&format!("#   {subject}:")), "{path}: {subject}\n{text}");
        }
        // Two pages to recognise, up to twelve to find a token's parameter, and the experiments.
        assert!((4..=30).contains(&upstream.asked().len()), "{path}: {}", upstream.asked().len());
    }
}

#[tokio::test]
async fn an_experiment_that_is_refused_proves_nothing() {
    // Other sizes, numbers and unknown parameters are refused, and page 1 differs each time.
    let upstream = Upstream::scripted(0, |asked, _| {
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        match query {
            "" => Reply::json("{\"data\":[{\"id\":1},{\"id\":2}],\"next\":\"/list?cursor=b\"}"),
            "cursor=b" => Reply::json("{\"data\":[{\"id\":3},{\"id\":4}],\"next\":null}"),
            _ => Reply::status(400),
        }
    })
    .await;
    let output = run(["init", &format!("{}/list", upstream.url())]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "page size:            unproven",
        "addresses:            unproven",
        "conditional requests: refuted",
        "range filter:         unproven",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("\npage_size"), "{text}");
}

#[tokio::test]
async fn the_largest_size_that_came_is_written() {
    // Ten records a page unless `limit` says otherwise, and at most `cap`.
    for (cap, written, requests) in [(1000, Some(100), 4), (50, Some(50), 6), (10, None, 25)] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let query = asked.target.split_once('?').map_or("", |(_, query)| query);
            let number = |name: &str| {
                let pair = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                pair.and_then(|value| value.parse::<usize>().ok())
            };
            let from = number("offset").unwrap_or(0);
            let to = (from + number("limit").unwrap_or(10).min(cap)).min(235);
            let records: Vec<_> = (from..to.max(from)).map(|id| format!("{{\"id\":{id}}}")).collect();
            let place = format!("\"offset\":{from},\"limit\":{},\"total\":235", to.max(from) - from);
            Reply::json(format!("{{\"items\":[{}],{place}}}", records.join(",")))
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unpage.toml");
        let file = file.to_str().unwrap();
        let output = run(["init", &format!("{}/list", upstream.url()), "--output", file]).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let text = std::fs::read_to_string(file).unwrap();
        let line = |size| format!("page_size = {{ param = \"limit\", value = {size} }}    # shown");
        let sized = text.lines().find(|line| line.starts_with("page_size"));
        assert!(
            written.map_or(sized.is_none(), |size| sized.is_some_and(|sized| sized.starts_with(&line(size)))),
            "{text}"
        );
        upstream.forget();
        let output = run(["fetch", "--config", file, "/list"]).await;
        assert_eq!(output.stdout.split(|byte| *byte == b'\n').count(), 236, "{text}");
        assert!(upstream.asked().len() <= requests, "{} requests\n{text}", upstream.asked().len());
    }
}

#[tokio::test]
async fn options_stay_in_the_written_file() {
    let upstream = Upstream::of(120).await;
    let url = format!("{}/cursor/orders?limit=50", upstream.url());
    let options =
        ["--set", "rate=500/s", "--set", "retry.attempts=7", "--set", "headers={ X-Team = \"data\" }", "--width", "3"];
    let output = run([&["init", &url, "-H", "X-Trace: SECRET", "--bearer-env", "TOKEN"], &options[..]].concat()).await;
    assert_eq!(output.status.code(), Some(2), "a variable that is not set");
    let output = run([&["init", &url, "-H", "X-Trace: SECRET"], &options[..]].concat()).await;
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "rate = \"500/s\"    # as given",
        "retry = { attempts = 7 }    # as given",
        "headers = { X-Team = \"data\" }    # as given",
        "width = 3    # as given",
        "# Clients send these header fields themselves: x-trace.",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("SECRET"), "{text}");
    // A preset that is given stays one line, and keys above it have theirs.
    let url = format!("{}/odata/orders", upstream.url());
    let output = run(["init", &url, "--preset", "odata", "--key", "id", "--set", "records=value"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "preset = \"odata\"    # as given; documented",
        "key = \"id\"    # as given",
        "records = \"value\"    # as given",
    ] {
        assert!(text.contains(line), "{line}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// An API's document in the ways of several generators.
const DOCUMENT: &str = r##"{
  "openapi": "3.1.0",
  "servers": [{"url": "/api"}],
  "paths": {
    "/orders": {"get": {
      "summary": "List orders",
      "parameters": [{"$ref": "#/components/parameters/limit"}, {"name": "cursor", "in": "query"}, {"name": "X-Trace", "in": "header"}],
      "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderPage"}}}}}}},
    "/orders/{id}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}}}},
    "/orders/{order}/events": {"get": {
      "parameters": [{"name": "page", "in": "query"}, {"name": "per_page", "in": "query"}],
      "responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}}}}},
    "/linked": {"get": {"responses": {"200": {
      "headers": {"Link": {"schema": {"type": "string"}}},
      "content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}}}}}}},
    "/plain": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}}}},
    "/caf\u0301e": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}}}}},
    "/two words\n": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {}}}}}}}},
    "/upload": {"post": {"responses": {"200": {}}}}
  },
  "components": {
    "parameters": {"limit": {"name": "limit", "in": "query"}},
    "schemas": {
      "Tree": {"allOf": [{"$ref": "#/components/schemas/Branches"}, {"$ref": "#/components/schemas/Branches"}]},
      "Branches": {"type": "object", "properties": {
        "a": {"$ref": "#/components/schemas/Tree"}, "b": {"$ref": "#/components/schemas/Tree"}, "c": {"$ref": "#/components/schemas/Wide"}}},
      "Wide": {"type": "object", "properties": {
        "a": {"$ref": "#/components/schemas/Wide"}, "b": {"$ref": "#/components/schemas/Wide"}, "c": {"$ref": "#/components/schemas/Tree"}}},
      "Order": {"type": "object", "properties": {"id": {"type": "string"}, "lines": {"type": "array", "items": {"type": "object"}}}},
      "OrderPage": {"allOf": [
        {"type": "object", "properties": {"data": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}}}},
        {"type": "object", "properties": {"next_cursor": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}]}
    }
  }
}"##;

#[tokio::test]
async fn lists_of_an_openapi_document_become_collections() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.split('?').next().unwrap() {
        "/openapi.json" => Reply::json(DOCUMENT),
        "/api/orders" if asked.target.contains("cursor=b") => {
            Reply::json("{\"data\":[{\"id\":\"2\"}],\"next_cursor\":null}")
        }
        "/api/orders" => Reply::json("{\"data\":[{\"id\":\"1\"}],\"next_cursor\":\"b\"}"),
        _ => Reply::status(404),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unpage.toml");
    let file = file.to_str().unwrap();
    let url = format!("{}/openapi.json", upstream.url());
    let output = run(["init", "--openapi", &url, "--output", file, "--set", "rate=500/s"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(upstream.asked().len(), 1, "no list is asked for");
    let text = std::fs::read_to_string(file).unwrap();
    for lines in [
        format!("url = \"{}/api\"    # the document's server\nrate = \"500/s\"    # as given", upstream.url()),
        "[[collection]]    # List orders\npath = \"/orders\"".to_owned(),
        "records = \"data\"    # unproven: by the answer's schema".to_owned(),
        "pagination = { type = \"cursor\", next = \"next_cursor\", param = \"cursor\" }    # unproven: ".to_owned(),
        "path = \"/orders/{order}/events\"".to_owned(),
        "pagination = { type = \"page\", param = \"page\"".to_owned(),
        "pagination = { type = \"link_header\"".to_owned(),
        "pagination = \"auto\"    # the document does not tell".to_owned(),
        "# Parameters: limit, cursor.".to_owned(),
    ] {
        assert!(text.contains(&lines), "{lines}\n{text}");
    }
    assert!(!text.contains("path = \"/orders/{id}\"") && !text.contains("/upload"), "{text}");
    let output = run(["fetch", "--config", file, "/orders"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"id\":\"1\"}\n{\"id\":\"2\"}\n", "{said}");
    // A file has no address that its server could be relative to.
    let document = folder.path().join("openapi.json");
    std::fs::write(&document, DOCUMENT).unwrap();
    let output = run(["init", "--openapi", document.to_str().unwrap()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("the document's server is no URL"), "{said}");
}

#[tokio::test]
async fn a_page_that_nothing_proves_is_written_as_such() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"items\":[{\"id\":1},{\"id\":2}]}")).await;
    let output = run(["init", &format!("{}/few", upstream.url())]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("# single_page = \"accept\"    # unproven: one page of 2 records"), "{text}");
    assert!(text.contains("\n# pagination = ") && !text.contains("\npagination = "), "{text}");
}

#[tokio::test]
async fn an_explanation_asks_nothing() {
    // No server listens there.
    let url = "http://127.0.0.1:1/page/orders";
    let keys =
        ["--records", "items", "--page-size", "size=50", "--pagination", "{ type = \"page\", param = \"page\" }"];
    let output = run([&["explain", url, "--total", "total"], &keys[..]].concat()).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "preset:         none",
        &format!("first request:  GET {url}?size=50&page=1"),
        "end proven by:  the total at `total` that agrees, or a page without records behind the last",
        "requests:       one for each 50 records, up to 6 at a time, and one to confirm the end",
        "pagination = { type = \"page\", param = \"page\"",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let range = "{ type = \"range\", unit = \"items\", size = 100 }";
    let output = run(["explain", url, "--records", "$", "--pagination", range]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    for line in [
        &format!("first request:  GET {url}, Range: items=0-99\n"),
        "end proven by:  the total of Content-Range, or a page without records behind the last\n",
        "requests:       one for each 100 records, up to 6 at a time\n",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let output = run(["explain", "https://api.github.com/repos/rust-lang/rust/issues?access_token=SECRET"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("preset github (documented), chosen by the host"), "{told}");
    assert!(told.contains("issues?access_token=…&per_page=100"), "{told}");
}

#[tokio::test]
async fn an_explanation_of_children_begins_with_the_parents_and_needs_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unpage.toml");
    let text = "[upstream.a]\nurl = \"http://127.0.0.1:1\"\n\
                [upstream.other]\nurl = \"http://127.0.0.1:2\"\ncredentials = { bearer = { env = \"NO_SUCH_VARIABLE\" } }\n\
                [[collection]]\npath = \"/orgs\"\nupstream = \"a\"\nrecords = \"$\"\npagination = \"link_header\"\n\
                [[collection]]\npath = \"/orgs/{org}/events\"\nupstream = \"a\"\nrecords = \"$\"\nkey = \"id\"\nsettle = \"30s\"\n\
                parent = { collection = \"/orgs\", key = \"login\", query = \"all=1\" }\nconsistency = \"repair\"\n\
                pagination = { type = \"keyset\", key = [\"at\", \"id\"], param = \"after\", encode = \"json\" }\n\
                [[collection]]\npath = \"/x\"\nupstream = \"other\"\nrecords = \"$\"\npagination = \"link_header\"\n";
    std::fs::write(&file, text).unwrap();
    let output = run(["explain", "--config", file.to_str().unwrap(), "/orgs/*/events"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for lines in [
        "first request:  GET http://127.0.0.1:1/orgs?all=1\n\
         then for each:  GET http://127.0.0.1:1/orgs/{org}/events; {org} is its `login`\n",
        "requests:       one for each page of the upstream's own size in the list of each parent, up to 6 lists at a time\n",
        "late records:   the end is read a second time, once its last record is 30s old\n",
        "verdict:        at best steady or mended: pages begin behind a unique key",
    ] {
        assert!(told.contains(lines), "{lines}\n{told}");
    }
}

#[tokio::test]
async fn a_body_that_was_given_is_in_the_configuration() {
    let upstream = Upstream::scripted(1, |asked, _| {
        let rest = if asked.target.contains("page=2") { "" } else { ",\"next\":\"/search?page=2\"" };
        let id = usize::from(rest.is_empty());
        match (asked.method.as_str(), str::from_utf8(&asked.body).unwrap()) {
            ("POST", "{\"q\":null,\"size\":5}") => Reply::json(format!("{{\"items\":[{{\"id\":{id}}}]{rest}}}")),
            _ => Reply::status(400),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unpage.toml");
    let file = file.to_str().unwrap();
    let body = "{\"q\": null, \"size\": 5}";
    let output = run(["init", &format!("{}/search", upstream.url()), "-d", body, "-o", file]).await;
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("body = \"{\\\"q\\\":null,\\\"size\\\":5}\"    # as given"), "{text}");
    upstream.forget();
    let output = run(["fetch", "--config", file, "/search"]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "{\"id\":0}\n{\"id\":1}\n", "{text}");
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn options_beside_a_document_are_keys_of_its_lists_and_of_its_upstream() {
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("openapi.json");
    std::fs::write(&document, DOCUMENT).unwrap();
    let document = document.to_str().unwrap();
    let keys = ["--key", "uid", "--rate", "5/s", "--set", "url=https://api.test/v2", "--set", "keep_for=1h"];
    let output = run([&["init", "--openapi", document], &keys[..]].concat()).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("url = \"https://api.test/v2\"    # as given\nrate = \"5/s\"    # as given\n"), "{text}");
    let lists = text.matches("[[collection]]").count();
    assert_eq!(text.matches("keep_for = \"1h\"    # as given\nkey = \"uid\"    # as given\n").count(), lists, "{text}");
    assert!(lists > 1);
    let output = run(["init", "--openapi", document, "--preset", "link-header", "--set", "url=https://api.test"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.contains("url = \"https://api.test\"    # as given\npreset = \"link-header\"    # as given\n"),
        "{text}"
    );
    assert!(!text.contains("pagination =") && text.matches("records =").count() == lists, "{text}");
    let output = run(["init", "--openapi", "nowhere.json"]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*said), (Some(2), "error: nowhere.json: no such file, and no URL\n"));
    let output = run(["init", document]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("is a file, where a URL is wanted"), "{said}");
}
