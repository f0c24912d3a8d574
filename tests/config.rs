//! Configuration files that load, and those that don't, with every word that unpage says about them.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use unpage::config::{
    Config, ConfigDifference, Credential, FileCollection, HttpVersion, Options, Pace, SecretPlace, Secrets, written,
};
use unpage::pace::{Rate, Width};
use unpage::pagination::partition_settings::{Bound, Direction, RangeKind, RangePartition};
use unpage::pagination::path::Segment;
use unpage::pagination::{
    self, Advance, Base, Cookies, Cursor, Encode, Encoding, End, ErrorCondition, ErrorSettings, KeyUse, Keyset, Limits,
    LinkHeader, LonePage, More, NextRequest, NextUrl, Offset, OnDouble, OnMissed, Overlap, OwnWords, PageNumber,
    PageSize, Pagination, PaginationAuthor, Param, PartOrder, Partition, Precondition, Presence, RangeHeader,
    RecordOrder, Records, RecordsShape, SameToken, Source, Style, Template, Token, UnnamedCounts, Validation,
    Whitespace, Windows,
};

/// Secrets that need neither an environment nor a disk.
struct Known;

impl Secrets for Known {
    fn env(&self, name: &str) -> Result<String, String> {
        match name {
            "EMPTY" => Ok("\n".to_owned()),
            "BROKEN" => Ok("two\nlines".to_owned()),
            "NOT_SET" => Err("not set".to_owned()),
            name => Ok(format!("value of {name}")),
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        match path.to_str() {
            Some("/nowhere") => Err("no such file".to_owned()),
            _ => Ok(format!("content of {}\n", path.display())),
        }
    }
}

fn data(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

fn read(text: &str) -> Result<Config, String> {
    Config::read(text, "unpage.toml", &Known).map_err(|mistakes| mistakes.to_string())
}

/// Each `bad/NAME.toml` is refused with exactly the words of `bad/NAME.txt`; `UPDATE_GOLDEN=1` writes them anew.
#[test]
fn every_mistake_is_reported_at_once() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = data("bad");
    assert!(files.len() >= 25, "{} files", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let told = Config::read(&text, name(&file), &Known).expect_err(name(&file)).to_string() + "\n";
        assert!(!told.contains("hunter2"), "{} tells a secret", file.display());
        let golden = file.with_extension("txt");
        if update {
            fs::write(&golden, &told).unwrap();
        }
        assert_eq!(told, fs::read_to_string(&golden).unwrap_or_default(), "{}", file.display());
    }
}

/// The examples load, and what is written of them reads back.
#[test]
fn good_files_load_and_read_back() {
    let mut count = 0;
    let annotated = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/unpage.toml");
    for file in data("good").into_iter().chain([annotated]) {
        let text = fs::read_to_string(&file).unwrap();
        let config = read(&text).unwrap_or_else(|mistakes| panic!("{}: {mistakes}", file.display()));
        for collection in &config.collections {
            let again = read_back(&collection.pagination).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            assert_eq!(again, *collection.pagination, "{}", written(&collection.pagination));
            count += 1;
        }
    }
    assert!(count >= 16 + 13, "{count} collections");
}

fn read_back(pagination: &Pagination) -> Result<Pagination, String> {
    let params: Vec<&Param> = match &pagination.style {
        Style::Cursor(cursor) => cursor.tokens.iter().map(|token| &token.param).collect(),
        Style::Page(PageNumber { param, .. })
        | Style::Offset(Offset { param, .. })
        | Style::Keyset(Keyset { param, .. }) => vec![param],
        _ => Vec::new(),
    };
    let parts = pagination.partition.as_ref().map(Partition::params).unwrap_or_default();
    let mut segments: Vec<_> = params.into_iter().chain(parts).filter_map(segment_of).collect();
    segments.dedup();
    let path: String = segments.iter().map(|name| format!("/{{{name}}}")).collect();
    let path = format!("/x{path}");
    let text = format!("[[collection]]\npath = {path:?}\nupstream = \"http://a\"\n{}", written(pagination));
    let config = read(&text).map_err(|mistakes| format!("{mistakes}\n{text}"))?;
    Ok((*config.collections[0].pagination).clone())
}

fn segment_of(param: &Param) -> Option<&str> {
    match param {
        Param::Path(name) => Some(name),
        _ => None,
    }
}

#[test]
fn a_file_is_read_into_the_configuration_it_describes() {
    let config = read(
        r#"
listen = "0.0.0.0:80"
admin = "[::1]:9090"
format_param = "as"
[upstream.a]
url = "https://api.example.com/v2/"
aliases = ["https://public.example.com/"]
headers = { X-Version = "1" }
http = "2"
timeouts = { idle = "1m 30s" }
width = "adaptive"
max_width = 16
rate = "600/min"
rate_limit = { remaining = "X-Left" }
retry = { attempts = 2, wait = { path = "retry_after_ms", unit = "1ms" } }
credentials = { basic = { user = "u", password = { file = "p" } } }
[[collection]]
path = "/a"
upstream = "a"
method = "POST"
body = '{"a": null}'
records = "data"
caps = { page = "1MiB", window = "1MiB", spool = "0" }
pagination = { type = "cursor", next = "next", param = "body:/variables/after" }
partition = { from = "body:/from", to = "body:to", kind = "date", field = "day", lower = 2020-01-01, upper = "now", order = "descending" }
order = "any"
[[collection]]
path = "/b"
upstream = "a"
"#,
    )
    .unwrap();
    let [a, b] = config.collections.as_slice() else { panic!("{} collections", config.collections.len()) };
    assert_eq!((config.listen[0].tcp().unwrap().port(), config.format_param.as_str()), (80, "as"));
    assert_eq!(config.admin, Some("[::1]:9090".parse().unwrap()));
    assert!(std::sync::Arc::ptr_eq(&a.upstream, &b.upstream), "one name is one upstream");
    assert_eq!(a.upstream.url.as_str(), "https://api.example.com/v2");
    assert_eq!(a.upstream.http, HttpVersion::Http2);
    assert_eq!(a.upstream.timeouts.idle, Duration::from_secs(90));
    assert_eq!(a.upstream.retry.wait.as_ref().unwrap().1, Duration::from_millis(1));
    let [Credential::Fixed(SecretPlace::Header(name, form), secret)] = a.upstream.credentials.of(0) else {
        panic!("{:?}", a.upstream.credentials)
    };
    let value = form.value(secret.expose()).unwrap();
    assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Basic dTpjb250ZW50IG9mIHA="[..]));
    assert!(!format!("{config:?}").contains("dTpjb250"), "a secret is never shown");
    assert_eq!((a.method.clone(), a.body.clone()), (Method::POST, Some(json!({"a": null}))));
    assert_eq!((a.caps.page_bytes, a.caps.record_bytes), (1 << 20, 16 << 20));
    assert_eq!((a.caps.window_bytes, a.caps.spool_bytes), (1 << 20, 0));
    let pace = &a.upstream.pace;
    assert_eq!((pace.width, pace.widest()), (Width::Adaptive, 16));
    assert_eq!(pace.rate.unwrap(), Rate { requests: 600.try_into().unwrap(), period: Duration::from_secs(60) });
    assert_eq!((pace.budget.remaining.as_ref().unwrap().as_str(), &pace.budget.reset), ("x-left", &None));
    let Style::Cursor(cursor) = &a.pagination.style else { panic!() };
    assert_eq!(cursor.tokens[0].param, Param::Body("variables.after".parse().unwrap()), "a pointer is a path");
    let Some(Partition::Range(range)) = &a.pagination.partition else { panic!("{:?}", a.pagination.partition) };
    assert_eq!((range.kind, range.direction), (RangeKind::Date, Direction::Descending));
    assert_eq!((&range.lower, &range.upper), (&Some(Bound::At(json!("2020-01-01"))), &Some(Bound::Now)));
    assert_eq!(a.pagination.order, PartOrder::Any);
    assert_eq!((b.pagination.style.clone(), b.pagination.order), (Style::AUTO, PartOrder::Listed));
    assert!(b.pagination.records.paths.is_empty(), "to be found");
}

#[test]
fn no_time_is_said_with_a_unit_or_without() {
    for none in ["0", "0s", "0ms"] {
        let text = format!(
            "[snapshots]\nfresh_for = \"{none}\"\nlinger = \"{none}\"\n[[collection]]\npath = \"/a\"\nupstream = \"http://h\"\n\
             pagination = \"none\"\nrecords = \"$\""
        );
        let kept = read(&text).unwrap().snapshots;
        assert_eq!((kept.fresh_for, kept.settings.linger), (Duration::ZERO, Duration::ZERO));
    }
}

#[test]
fn errors_beside_a_graphql_answers_data_are_looked_for() {
    let error = |records: &str, param: &str, lines: &str| {
        let config = read(&format!(
            "[[collection]]\npath = \"/a\"\nupstream = \"http://a\"\nmethod = \"POST\"\nrecords = \"{records}\"\n{lines}\n\
             pagination = {{ type = \"cursor\", next = \"next\", param = \"{param}\" }}"
        ));
        let pagination = config.unwrap().collections[0].pagination.clone();
        assert_eq!(read_back(&pagination).unwrap(), *pagination, "{}", written(&pagination));
        pagination.failures.conditions.first().map(|condition| condition.path.to_string())
    };
    let errors = Some("errors".to_owned());
    assert_eq!(error("data.orders.nodes", "body:/variables/after", ""), errors);
    assert_eq!(error("data.orders.edges[*].node", "body:variables.page.after", ""), errors);
    assert_eq!(
        error("data.orders.nodes", "body:variables.after", "error_path = \"extensions.errors\""),
        Some("extensions.errors".to_owned())
    );
    assert_eq!(error("data.orders.nodes", "body:variables.after", "error_path = false"), None);
    assert_eq!(error("data", "body:variables.after", ""), None, "JSON:API's");
    assert_eq!(error("data.orders", "body:after", ""), None);
    assert_eq!(error("orders.data", "body:variables.after", ""), None);
    let told = read("[[collection]]\npath = \"/a\"\nupstream = \"http://a\"\nerror_path = true").unwrap_err();
    assert!(told.contains("true is not a path\n    hint: write error_path = \"errors\", or false for none"), "{told}");
}

#[test]
fn load_reads_a_file_and_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    let file = folder.path().join("unpage.toml");
    let text = format!(
        "[[collection]]\npath = \"/a\"\nupstream = \"http://a\"\ncredentials = {{ query = {{ name = \"key\", value = {{ file = {:?} }} }} }}\n",
        secret.display()
    );
    fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    let [Credential::Fixed(SecretPlace::Query(name), value)] = config.collections[0].upstream.credentials.of(0) else {
        panic!()
    };
    assert_eq!((name.as_str(), value.expose(), value.file()), ("key", "s3cret", Some(&*secret)));
    let missing = Config::load(&folder.path().join("absent.toml")).unwrap_err().to_string();
    assert!(missing.contains("absent.toml: ") && missing.contains("hint: name a readable file"), "{missing}");
}

/// A panic shows values as `Debug` does.
#[tokio::test]
async fn no_debug_output_of_a_configuration_or_a_gateway_shows_a_secret() {
    let secret = "{ file = \"p\" }";
    let bearer = format!("bearer = {secret}");
    for credentials in [
        format!("{{ {bearer} }}"),
        format!("{{ basic = {{ user = \"u\", password = {secret} }} }}"),
        format!(
            "[{{ header = {{ name = \"x-key\", value = {secret} }} }}, {{ query = {{ name = \"key\", value = {secret} }} }}]"
        ),
        format!("{{ pool = [{{ {bearer} }}, {{ query = {{ name = \"key\", value = {secret} }} }}] }}"),
        format!(
            "{{ aws = {{ service = \"s3\", region = \"eu-west-1\", access_key = {secret}, secret_key = {secret} }} }}"
        ),
        format!(
            "{{ token = {{ url = \"https://a/token\", grant = \"client_credentials\", client = {{ id = \"u\", secret = {secret} }} }} }}"
        ),
    ] {
        let config = read(&format!(
            "admin_token = {secret}\n[[collection]]\npath = \"/a\"\nupstream = \"https://a\"\ncredentials = {credentials}\n"
        ))
        .unwrap();
        let shown = format!("{config:?} {:?}", unpage::gateway::Gateway::builder(config.clone()).build().unwrap());
        assert!(shown.matches("Secret(…)").count() > 2, "{shown}");
        for text in ["content of", "Y29udGVudCBvZi", "dTpjb250ZW50"] {
            assert!(!shown.contains(text), "{credentials}: {shown}");
        }
    }
}

#[test]
fn the_command_line_speaks_the_files_language() {
    let options = |keys: &[(&'static str, &str)]| Options {
        keys: keys.iter().map(|(key, text)| (*key, (*text).to_owned())).collect(),
        set: Vec::new(),
    };
    let read = |options: &Options| {
        let collection = options.read("http://a", "/b", &Known).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        ((*collection.pagination).clone(), collection.upstream.pace.clone())
    };
    let all = options(&[
        ("pagination", "{ type = \"cursor\", next = \"next_cursor\", param = \"cursor\", more = { path = \"more\" } }"),
        ("records", "[\"the.data\"]"),
        ("key", "id"),
        ("page_size", "limit=100"),
        ("total", "header:X-Total-Count"),
        ("partition", "{ param = \"region\", values = [\"eu\", \"us\"] }"),
        ("order", "any"),
        ("width", "12"),
        ("rate", "10/s"),
    ]);
    let (pagination, pace) = read(&all);
    assert_eq!(
        written(&pagination),
        r#"records = "[\"the.data\"]"
key = "id"
page_size = { param = "limit", value = 100 }
pagination = { type = "cursor", next = "next_cursor", param = "cursor", more = { path = "more", while = true } }
partition = { param = "region", values = ["eu", "us"] }
order = "any"
total = "header:x-total-count"
"#
    );
    assert_eq!((pace.width, pace.rate.unwrap().requests.get()), (Width::Fixed(12.try_into().unwrap()), 10));
    let (auto, pace) = read(&Options::default());
    assert_eq!(pace, Pace::default());
    assert_eq!((auto.style, auto.records.paths.len()), (Style::AUTO, 0));
    let (sized, _) = read(&options(&[("page_size", "$top=50")]));
    let sized = sized.page_size.unwrap();
    assert_eq!((sized.param, sized.value), (Some(Param::Query("$top".into())), Some(50)));
    let set = ["retry.attempts=9", "page_size.value=7", "page_size.param=limit", "rate=5/s"].map(ToOwned::to_owned);
    let set = Options { set: set.to_vec(), ..options(&[("rate", "10/s"), ("page_size", "size=9")]) };
    let collection = set.read("http://a", "/b", &Known).unwrap();
    let size = collection.pagination.page_size.clone().unwrap();
    assert_eq!((size.param, size.value), (Some(Param::Query("limit".into())), Some(7)));
    assert_eq!((collection.upstream.retry.attempts, collection.upstream.pace.rate.unwrap().requests.get()), (9, 5));
}

#[test]
fn options_go_before_the_keys_of_a_file() {
    let text = "[upstream.a]\nurl = \"http://a\"\nrate = \"1/s\"\n[[collection]]\npath = \"/b/{id}\"\nupstream = \"a\"\n\
                records = \"data\"\npagination = \"none\"\n";
    let file = |path| FileCollection { name: "unpage.toml", text, path };
    let set = |set: &[&str]| Options { keys: Vec::new(), set: set.iter().map(|&set| set.to_owned()).collect() };
    for path in ["/b/{id}", "/b/7"] {
        let (_, collection) = set(&["rate=9/s", "records=items"]).read_above(file(path), &Known).unwrap();
        assert_eq!(collection.pagination.records.paths[0].to_string(), "items");
        assert_eq!(collection.upstream.pace.rate.unwrap().requests.get(), 9);
    }
    let told = |options: Options, path| options.read_above(file(path), &Known).unwrap_err().to_string();
    assert_eq!(
        told(set(&["rate=x", "recodrs=a"]), "/b/7"),
        "--set rate: not a rate: \"x\"\n    hint: write a number of requests and a time: rate = \"10/s\", \"600/min\" or \
         \"5000/h\"\n--set recodrs: unknown key \"recodrs\"\n    hint: did you mean \"records\"?"
    );
    let nowhere = told(set(&[]), "/c");
    assert!(
        nowhere.contains("no collection has the path /c") && nowhere.ends_with("leads to it: /b/{id}"),
        "{nowhere}"
    );
    assert!(told(set(&["rate"]), "/b/7").starts_with("--set: not KEY=VALUE: \"rate\""));
}

#[test]
fn the_options_of_the_command_line_are_read_like_keys() {
    let told = |pagination: &str, page_size: Option<&str>, records: Option<&str>| {
        let keys = [("pagination", Some(pagination)), ("records", records), ("page_size", page_size)];
        let keys = keys.into_iter().filter_map(|(key, text)| Some((key, text?.to_owned())));
        let options = Options { keys: keys.collect(), set: Vec::new() };
        options.read("http://a", "/b", &Known).unwrap_err().to_string()
    };
    let types = "one of link_header, next_url, cursor, page, offset, keyset, range, none, auto";
    let records = "--records: missing\n    hint: say where a page keeps its records: records = \"data\", or \"$\" where the \
                   page itself is the array";
    assert_eq!(
        told("cursors", None, Some("a")),
        format!("--pagination: unknown type \"cursors\"\n    hint: {types}; did you mean \"cursor\"?")
    );
    assert_eq!(told("link_header", None, None), records);
    assert_eq!(
        told("{ type = \"page\", param = \"offset\", strat = 1 }", Some("limit=0"), None),
        format!(
            "--page-size.value: out of range: 0\n    hint: write a whole number from 1 on\n\
             --pagination.strat: unknown key \"strat\"\n    hint: did you mean \"start\"?\n{records}\n\
             --pagination.param: `offset` sounds like a record number, and type page advances it by 1 (offset-in-page)\n    \
             hint: write type = \"offset\"; where the API really is so, write allow = [\"offset-in-page\"] in its \
             [[collection]]"
        )
    );
    let broken = told("{ type = \"page\"", Some("limit=ten"), None);
    assert!(broken.starts_with("--pagination: ") && broken.contains("\n--page-size: "), "{broken}");
    let keys = [("width", "wide"), ("rate", "10"), ("order", "any")].map(|(key, text)| (key, text.to_owned()));
    let paced = Options { keys: keys.to_vec(), set: Vec::new() };
    assert_eq!(
        paced.read("http://a", "/b", &Known).unwrap_err().to_string(),
        "--width: not a width: \"wide\"\n    hint: write how many pages are asked for at a time: width = 6, or \"adaptive\"\n\
         --rate: not a rate: \"10\"\n    hint: write a number of requests and a time: rate = \"10/s\", \"600/min\" or \
         \"5000/h\"\n--order: without a partition there is one part, and its records leave as they are listed \
         (order-of-one-part)\n    hint: write partition = { … }, or leave order out"
    );
    let body = told("{ type = \"cursor\", next = \"a\", param = \"body:a\" }", None, Some("$"));
    assert!(body.contains("(body-under-get)"), "{body}");
}

fn name_of() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[a-zA-Z$@_. \"\\\\\u{7f}\u{1}é-]{1,8}"].prop_filter("kind", |name| !name.contains(':'))
}

fn path() -> impl Strategy<Value = pagination::Path> {
    let segment = prop_oneof![
        4 => name_of().prop_map(Segment::Name),
        1 => (0..9_usize).prop_map(Segment::Index),
        1 => (1..9_usize).prop_map(Segment::FromEnd),
    ];
    prop::collection::vec(segment, 0..4).prop_map(pagination::Path::new)
}

fn header() -> impl Strategy<Value = HeaderName> {
    "x-[a-z]{1,8}".prop_map(|name| name.parse().unwrap())
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        3 => path().prop_map(Source::Body),
        1 => header().prop_map(Source::Header),
        1 => (path(), name_of()).prop_map(|(path, rel)| Source::Links { path, rel }),
    ]
}

fn param() -> impl Strategy<Value = Param> {
    prop_oneof![
        4 => name_of().prop_map(Param::Query),
        1 => name_of().prop_map(|name| Param::Body(pagination::Path::new(vec![Segment::Name(name)]))),
        1 => header().prop_map(Param::Header),
        1 => "[a-z]{1,8}".prop_map(Param::Path),
    ]
}

fn sources() -> impl Strategy<Value = Vec<Source>> {
    prop::collection::vec(source(), 1..3)
}

fn token() -> impl Strategy<Value = Token> {
    (sources(), param(), prop::option::of(name_of()), prop::option::of(name_of())).prop_map(
        |(next, param, from_url_param, first)| {
            let first = first.filter(|_| !matches!(param, Param::Path(_)));
            Token { next, param, from_url_param, first }
        },
    )
}

fn template(moving: &'static str) -> impl Strategy<Value = Option<Template>> {
    prop::option::of(name_of().prop_map(move |text| Template(format!("{text} {{{moving}}} {text}"))))
}

fn cursor() -> impl Strategy<Value = Style> {
    let merge = prop::option::of(path());
    let end_values = prop::collection::vec(prop_oneof![Just(json!("null")), Just(json!(-1)), Just(json!(["a"]))], 0..3);
    let bodies = prop_oneof![Just(json!({})), Just(json!({"scroll": "1m", "n": [1, 2.5]}))];
    let method = prop_oneof![Just(None), Just(Some(Method::POST))];
    let headers = prop_oneof![
        Just(HeaderMap::new()),
        Just(HeaderMap::from_iter([(HeaderName::from_static("x-next"), HeaderValue::from_static("a \"b\""))]))
    ];
    let next_request =
        (method, "/[a-z]{1,8}", prop::option::of(bodies), headers).prop_map(|(method, path, body, headers)| {
            NextRequest { method, path: Some(path), body, headers: Box::new(headers) }
        });
    let rest = (template("cursor"), any::<bool>(), prop::option::of(next_request));
    (prop::collection::vec(token(), 1..3), merge, end_values, rest).prop_map(
        |(tokens, merge, end_values, (template, is_raw, next_request))| {
            let template = template.filter(|_| tokens.len() == 1);
            let is_in_url = |token: &Token| matches!(token.param, Param::Query(_) | Param::Path(_));
            let encode = if is_raw && tokens.iter().all(is_in_url) { Encode::Raw } else { Encode::Plain };
            Style::Cursor(Cursor { tokens, merge, end_values, template, encode, next_request })
        },
    )
}

fn style() -> impl Strategy<Value = Style> {
    let attribute = prop::option::of((name_of(), name_of()));
    let base = prop_oneof![Just(Base::Request), Just(Base::Url("http://a/v1/".parse().unwrap()))];
    let step = prop_oneof![Just(Advance::Returned), Just(Advance::PageSize), path().prop_map(Advance::Body)];
    let encode = prop_oneof![Just(Encode::Plain), Just(Encode::Json)];
    let overlap = prop_oneof![Just(Overlap::None), Just(Overlap::First)];
    let usage = prop_oneof![Just(KeyUse::Unknown), Just(KeyUse::Compared), Just(KeyUse::LookedUp)];
    prop_oneof![
        Just(Style::SINGLE),
        (name_of(), attribute).prop_map(|(rel, attribute)| Style::LinkHeader(LinkHeader { rel, attribute })),
        (sources(), base).prop_map(|(next, base)| Style::NextUrl(NextUrl { next, base })),
        cursor(),
        (param(), 0..3_u64, template("page")).prop_map(|(param, start, template)| Style::Page(PageNumber {
            param,
            start,
            template
        })),
        (param(), 0..3_u64, step, template("offset"))
            .prop_map(|(param, start, step, template)| Style::Offset(Offset { param, start, step, template })),
        (prop::collection::vec(path(), 1..3), param(), encode, overlap, usage).prop_map(
            |(key, param, encode, overlap, usage)| Style::Keyset(Keyset { key, param, encode, overlap, usage })
        ),
        (name_of(), 1..999_u64).prop_map(|(unit, size)| Style::Range(RangeHeader { unit, size })),
    ]
}

fn bound(kind: RangeKind, number: i64) -> Bound {
    match (kind, number) {
        (RangeKind::Unix | RangeKind::Rfc3339 | RangeKind::Date, 31) => Bound::Now,
        (RangeKind::Unix | RangeKind::Integer, number) => Bound::At(json!(number)),
        (RangeKind::Rfc3339, day) => Bound::At(json!(format!("2020-01-{day:02}T00:00:00Z"))),
        (RangeKind::Date, day) => Bound::At(json!(format!("2020-01-{day:02}"))),
    }
}

fn range() -> impl Strategy<Value = Partition> {
    let kind = prop::sample::select(vec![RangeKind::Unix, RangeKind::Rfc3339, RangeKind::Date, RangeKind::Integer]);
    let ends = (prop::option::of(1..9_i64), prop::option::of(20..32_i64));
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    (param(), param(), kind, path(), ends, direction).prop_map(|(from, to, kind, field, (lower, upper), direction)| {
        let (lower, upper) = (lower.map(|lower| bound(kind, lower)), upper.map(|upper| bound(kind, upper)));
        Partition::Range(RangePartition { from, to, kind, field, lower, upper, direction })
    })
}

fn partition() -> impl Strategy<Value = Partition> {
    let value = prop_oneof![name_of().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(json!(true))];
    let values = prop::collection::vec(value, 1..4).prop_filter("doubled", |values| {
        let texts: std::collections::BTreeSet<_> = values.iter().map(|v| v.to_string().replace('"', "")).collect();
        texts.len() == values.len()
    });
    prop_oneof![
        range(),
        (param(), values).prop_map(|(param, values)| Partition::Values { param, values }),
        (param(), param(), 2..99_u64).prop_map(|(param, count_param, count)| Partition::Numbered {
            param,
            count_param,
            count
        }),
    ]
}

fn failures() -> impl Strategy<Value = ErrorSettings> {
    let values = || prop::option::of(prop::collection::vec(prop_oneof![Just(json!("OK")), Just(json!(0))], 1..3));
    let condition = (path(), values(), values()).prop_map(|(path, ok, retry)| ErrorCondition { path, ok, retry });
    prop_oneof![
        1 => Just(ErrorSettings { conditions: Vec::new(), words: OwnWords::Ignored }),
        3 => prop::collection::vec(condition, 0..3)
            .prop_map(|conditions| ErrorSettings { conditions, words: OwnWords::Heeded }),
    ]
}

fn pagination() -> impl Strategy<Value = Pagination> {
    let shape = prop_oneof![Just(RecordsShape::Elements), Just(RecordsShape::Values)];
    let presence = prop_oneof![Just(Presence::Required), Just(Presence::Optional)];
    let text = (
        prop_oneof![Just(Encoding::None), Just(Encoding::Base64), Just(Encoding::Lines)],
        prop_oneof![Just(Validation::Structure), Just(Validation::Full)],
        prop_oneof![Just(Whitespace::Kept), Just(Whitespace::Dropped)],
    );
    let records = (prop::collection::vec(path(), 1..3), shape, presence, text).prop_map(
        |(paths, shape, presence, (encoding, validation, whitespace))| Records {
            paths,
            shape,
            presence,
            encoding,
            validation,
            whitespace,
        },
    );
    let size = (param(), prop::option::of(1..100_u64), prop::option::of(100..999_u64))
        .prop_filter("no size", |(_, value, max)| value.or(*max).is_some())
        .prop_map(|(param, value, max)| PageSize { param: Some(param), value, max });
    let flag = prop_oneof![Just(json!(false)), Just(json!("yes")), Just(json!({"a b": [1, 2.5, true]}))];
    let more = (path(), flag).prop_map(|(path, while_): (_, Value)| More { path, while_ });
    let odd = vec![
        End::NoNext,
        End::EmptyPage,
        End::ShortPage,
        End::from(StatusCode::NOT_FOUND),
        End::from(StatusCode::NO_CONTENT),
    ];
    let ends = prop_oneof![2 => Just(End::Style), 1 => prop::sample::select(odd)];
    let limits = (prop::option::of(1..9_u64), prop::option::of(1..9_u64)).prop_map(|(max_pages, max_results)| Limits {
        max_offset: None,
        max_pages,
        max_results,
    });
    let total = prop_oneof![path().prop_map(Source::Body), header().prop_map(Source::Header)];
    let total = prop_oneof![
        2 => total.prop_map(|total| (Some(total), UnnamedCounts::Heeded)),
        1 => Just((None, UnnamedCounts::Heeded)),
        1 => Just((None, UnnamedCounts::Ignored)),
    ];
    let parts = (records, prop::option::of(path()), prop::option::of(size), prop::option::of(more));
    let same = prop_oneof![Just(SameToken::Error), Just(SameToken::End), Just(SameToken::Again)];
    let order = prop_oneof![Just(PartOrder::Listed), Just(PartOrder::Any)];
    let cut = (prop::option::of(partition()), order, any::<bool>());
    let rest = (ends, total, limits, failures(), same, cut);
    (style(), parts, rest).prop_map(|(style, (records, key, page_size, more), rest)| {
        let (end, (total, unnamed_counts), limits, failures, same, (partition, order, has_windows)) = rest;
        let total_pages = match &style {
            Style::Page(PageNumber { param: Param::Query(param), start, template: None }) => {
                Some(Source::LastLink { param: param.clone(), start: *start })
            }
            _ => None,
        };
        let points = matches!(style, Style::LinkHeader(_) | Style::NextUrl(_) | Style::Cursor(_));
        let ranged = matches!(style, Style::Range(_));
        let (more, end) = if ranged { (None, End::Style) } else { (more, end) };
        let same_token = match same {
            _ if !points => SameToken::Error,
            SameToken::Again if partition.is_some() => SameToken::End,
            same => same,
        };
        let on_double = if key.is_some() && points { OnDouble::Drop } else { OnDouble::Fail };
        Pagination {
            records,
            key,
            on_double,
            page_size,
            more,
            end,
            same_token,
            total,
            total_pages,
            limits,
            failures,
            unnamed_counts,
            windows: (has_windows && partition.is_none()).then(|| Windows {
                from: Param::Query("since".to_owned()),
                to: Param::Body("range.until".parse().unwrap()),
                kind: RangeKind::Date,
                field: "day".parse().unwrap(),
                span: Duration::from_secs(7 * 86_400),
                lower: Bound::At("2024-01-01".into()),
                upper: Some(Bound::Now),
            }),
            partition,
            order,
            since: None,
            valid_at: None,
            precondition: Precondition::None,
            on_missed: OnMissed::Fail,
            settle: matches!(style, Style::Keyset(_)).then_some(Duration::from_millis(90_500)),
            record_order: RecordOrder::Assumed,
            single_page: LonePage::Refuse,
            consistency: None,
            cookies: if points { Cookies::Kept } else { Cookies::Dropped },
            author: PaginationAuthor::Operator,
            keep: if style.takes_links() { vec!["limit".to_owned(), "a b".to_owned()] } else { Vec::new() },
            style,
        }
    })
}

proptest! {
    /// A configuration without a contradiction reads back as it was written.
    #[test]
    fn a_written_configuration_reads_back(pagination in pagination()) {
        match read_back(&pagination) {
            Ok(again) => prop_assert_eq!(again, pagination),
            // Contradictions name their rule, and `end` is no key of type none.
            Err(told) => prop_assert!(
                told.split("[[collection]]").next().unwrap_or_default().lines().filter(|line| line.starts_with("unpage.toml"))
                    .all(|line| line.ends_with(')') || line.contains("a part without an end has nothing for") || line.ends_with("unknown key \"end\"") || line.ends_with("would replace the whole body")),
                "{}", told
            ),
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\PC|\n){0,200}") {
        drop(read(&text));
    }
}

#[test]
fn a_file_does_not_differ_from_itself() {
    let every_key = include_str!("../config/unpage.toml");
    assert_eq!(read(every_key).unwrap().difference(&read(every_key).unwrap()), ConfigDifference::default());
}

#[test]
fn a_difference_names_collections_by_their_paths_and_the_keys_that_need_a_restart() {
    let of = |path: &str, page: &str| {
        format!(
            "[[collection]]\npath = \"{path}\"\nupstream = \"http://localhost:1\"\nrecords = \"$\"\npagination = \"{page}\"\n"
        )
    };
    let before = [of("/a", "link_header"), of("/b", "link_header"), of("/c", "link_header")].concat();
    let after = ["socket_mode = \"0666\"\n", &of("/b", "none"), &of("/c", "link_header"), &of("/d", "none")].concat();
    let expected = ConfigDifference {
        fixed: vec!["socket_mode"],
        added: vec!["/d".to_owned()],
        removed: vec!["/a".to_owned()],
        changed: vec!["/b".to_owned()],
    };
    assert_eq!(read(&before).unwrap().difference(&read(&after).unwrap()), expected);
}
