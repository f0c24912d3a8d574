//! Every preset against an upstream that behaves as the API's documents say: walked over a socket to the proven end, its traps included.
//!
//! `tests/data/presets/NAME.toml` is the upstream of the preset NAME; `presets/upstream.rs` documents its keys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows it in tests, and means their helpers too")]

#[path = "presets/upstream.rs"]
mod upstream;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::Value;
use unpage::Failure;
use unpage::config::{ChosenBy, Config, Preset, Verified, presets};
use unpage::crawl::{Crawl, Crawls};
use unpage::pagination::request::RequestBody;
use unpage::pagination::{PageRequest, Style};
use unpage::snapshot::{self, MemoryBudget, ReaderEvent};
use unpage::upstream::{Client, Governors};
use upstream::{Fixture, Script, Skeleton};

fn fixture(name: &str) -> Fixture {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/presets").join(name).with_extension("toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A collection of all paths of the skeleton. Its waits cost no time, and that is all that differs from the preset.
fn config(preset: &str, fixture: &Fixture, url: &str) -> Result<Config, String> {
    let text = format!(
        "[[collection]]\npath = \"/{{*rest}}\"\nupstream = \"{url}\"\npreset = \"{preset}\"\nrate = \"100000/s\"\n\
         retry = {{ base = \"1ms\" }}\n{}\n",
        fixture.lines
    );
    Config::from_toml(&text).map_err(|mistakes| mistakes.to_string())
}

/// Returns the records of the fixture's collection, crawled as `unpage fetch` does, or the failure.
async fn walk(preset: &str, fixture: &Fixture, skeleton: &Skeleton) -> Result<Vec<String>, String> {
    let config = config(preset, fixture, &skeleton.url)?;
    let collection = &config.collections[0];
    let crawl = Crawl {
        client: Client::new(Arc::clone(&collection.upstream), &Governors::default()).unwrap(),
        pagination: Arc::clone(&collection.pagination),
        caps: collection.caps.clone(),
        first: PageRequest {
            method: collection.method.clone(),
            url: format!("{}{}", skeleton.url, fixture.target).parse().unwrap(),
            headers: HeaderMap::new(),
            body: collection.body.clone().map(RequestBody::Json),
        },
        since: None,
        valid_at: None,
        width: collection.upstream.pace.widest(),
        memory: MemoryBudget::unlimited(),
        crawls: Crawls::default(),
        parents: None,
    };
    let told = |failure: &Failure| format!("{failure}: {}", failure.hint);
    let opened = crawl.open().await.map_err(|failure| told(&failure))?;
    let (writer, log) = snapshot::transient_log(1 << 20);
    let mut reader = log.reader(0, None).unwrap();
    let crawling = tokio::spawn(opened.run(writer));
    let mut lines = Vec::new();
    loop {
        match reader.next().await.map_err(|failure| told(&failure))? {
            ReaderEvent::Bytes(bytes) => lines.extend_from_slice(&bytes),
            ReaderEvent::Complete(_) => break,
            ReaderEvent::Stop => return Err("stopped".to_owned()),
        }
    }
    crawling.await.unwrap();
    Ok(String::from_utf8(lines).unwrap().lines().map(ToOwned::to_owned).collect())
}

#[tokio::test]
async fn every_preset_streams_its_api_exactly_and_meets_the_traps() {
    let mut wrong = Vec::new();
    let mut met = 0;
    for preset in presets() {
        let fixture = fixture(preset.name);
        assert!(!fixture.traps.is_empty(), "{} has no trap", preset.name);
        let skeleton = Skeleton::start(&fixture, Script::Sound).await;
        match walk(preset.name, &fixture, &skeleton).await {
            Ok(records) if records == fixture.records() => {}
            Ok(records) => wrong.push(format!("{}: {records:?}", preset.name)),
            Err(failure) => wrong.push(format!("{}: {failure}", preset.name)),
        }
        let log = skeleton.log();
        for trap in fixture.traps.iter().filter(|trap| !log.met.contains(*trap)) {
            wrong.push(format!("{}: the trap {trap} was not met in {:?}", preset.name, log.targets));
        }
        wrong.extend(log.broken_rules.iter().map(|rule| format!("{}: {rule}", preset.name)));
        met += log.met.len();
        if log.targets.len() < 2 {
            wrong.push(format!("{}: asked {:?} only", preset.name, log.targets));
        }
    }
    assert!(wrong.is_empty(), "{} of {} presets:\n{}", wrong.len(), presets().len(), wrong.join("\n"));
    assert!(met > presets().len(), "only {met} traps were met");
}

#[tokio::test]
async fn a_failure_under_status_200_breaks_the_stream() {
    let mut count = 0;
    for preset in presets() {
        let fixture = fixture(preset.name);
        for (rank, body) in fixture.fails.iter().enumerate() {
            let skeleton = Skeleton::start(&fixture, Script::Failing(rank)).await;
            let broken = walk(preset.name, &fixture, &skeleton).await;
            assert!(broken.is_err(), "{} with {body}: {broken:?}", preset.name);
            assert!(skeleton.log().targets.len() > 1, "{}: {broken:?}", preset.name);
            count += 1;
        }
    }
    assert!(count >= 12, "only {count} failures");
}

#[tokio::test]
async fn a_warning_beside_the_records_breaks_nothing() {
    let mut count = 0;
    for preset in presets() {
        let fixture = fixture(preset.name);
        for (rank, body) in fixture.warns.iter().enumerate() {
            let skeleton = Skeleton::start(&fixture, Script::Warning(rank)).await;
            let records =
                walk(preset.name, &fixture, &skeleton).await.unwrap_or_else(|failure| panic!("{failure}: {body}"));
            let page: Value = serde_json::from_str(body).unwrap();
            assert_eq!(records.len(), 3 + page["entry"].as_array().unwrap().len(), "{body}: {records:?}");
            assert_eq!(skeleton.log().targets.len(), 2, "{body}");
            count += 1;
        }
    }
    assert_eq!(count, 3);
}

#[test]
fn each_known_api_has_a_preset_and_each_preset_a_fixture() {
    // The 48 APIs of the one study and the 52 of the other, by the names of their presets here.
    let wanted = include_str!("data/presets.txt");
    let names: BTreeSet<_> = presets().iter().map(|preset| preset.name).collect();
    let missing: Vec<_> = wanted.lines().filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty() && wanted.lines().count() >= 80, "{missing:?}");
    for preset in presets() {
        assert!(!preset.about.is_empty() && !preset.source.is_empty(), "{}", preset.name);
        fixture(preset.name);
    }
}

/// A preset may say `recorded` only where a recorded answer of its API has the records and the live pointer that it names.
#[test]
fn a_recorded_preset_fits_a_recorded_answer() {
    let samples: Vec<Value> =
        include_str!("data/samples/answers.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut count = 0;
    for preset in presets().iter().filter(|preset| preset.verified == Verified::Recorded) {
        let config = config(preset.name, &fixture(preset.name), "http://127.0.0.1:1").unwrap();
        let pagination = &config.collections[0].pagination;
        let own = samples
            .iter()
            .filter(|sample| sample["of"].as_str().is_some_and(|of| of.split('/').next() == Some(preset.name)));
        let fits = own.filter(|sample| {
            let has_records = pagination.records.paths.iter().any(|path| {
                path.split_at_each().0.of_value(&sample["body"]).is_some_and(|records| records.get("@len").is_some())
            });
            let is_live = match &pagination.style {
                Style::LinkHeader(_) => sample["link"].as_array().is_some_and(|rels| rels.contains(&"next".into())),
                _ => pagination.pointers().iter().filter_map(|source| source.path()).any(|path| {
                    let value = path.of_value(&sample["body"]).and_then(Value::as_str);
                    value.is_some_and(|kind| kind.starts_with("url:") || kind == "str" || kind == "digits")
                }),
            };
            has_records && is_live
        });
        assert!(fits.count() > 0, "{}", preset.name);
        count += 1;
    }
    assert!(count >= 4, "only {count} presets");
}

/// The trial of a new user: five APIs without their presets, each configured by `init` and at most two options.
#[tokio::test]
async fn init_configures_an_api_whose_preset_is_taken_away() {
    const TRIAL: [(&str, &[&str]); 5] = [
        ("github", &["--set", "retry.statuses=[403]"]),
        ("zendesk", &[]),
        ("airtable", &[]),
        ("hubspot", &[]),
        ("shopify", &[]),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in TRIAL {
        let fixture = fixture(name);
        let skeleton = Skeleton::start(&fixture, Script::Sound).await;
        let file = folder.path().join(name).with_extension("toml");
        let file = file.to_str().unwrap();
        let url = format!("{}{}", skeleton.url, fixture.target);
        let (status, _, said) = run(&[&["init", &url, "--output", file], options].concat()).await;
        assert_eq!(status, Some(0), "{name}: {said}");
        let written = fs::read_to_string(file).unwrap();
        assert!(!written.contains("preset = "), "{name}: {written}");
        let (status, lines, said) = run(&["fetch", "--config", file, &fixture.target]).await;
        assert_eq!((status, lines), (Some(0), fixture.records()), "{name}: {said}\n{written}");
        assert!(skeleton.log().targets.len() > 4, "{name}");
    }
}

/// Runs the binary; returns its status, the lines of stdout, and stderr.
async fn run(arguments: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_unpage"));
    let output = command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect();
    (output.status.code(), lines, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_preset_is_chosen_by_the_host_where_nothing_else_is_said() {
    let chosen = |keys: &str| {
        let text = format!("[[collection]]\npath = \"/repos/{{owner}}/{{repo}}/issues\"\n{keys}\n");
        let config = Config::from_toml(&text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let collection = &config.collections[0];
        let choice = collection.preset.map(|choice| (choice.preset.name, choice.by));
        (choice, collection.pagination.style.name(), collection.upstream.url.to_string())
    };
    let github = "upstream = \"https://api.github.com\"";
    assert_eq!(chosen(github), (Some(("github", ChosenBy::Host)), "link_header", "https://api.github.com/".to_owned()));
    for said in ["preset = \"none\"", "pagination = \"auto\"", "method = \"POST\""] {
        assert_eq!(chosen(&format!("{github}\n{said}")).0, None, "{said}");
    }
    // The preset names the upstream, too.
    assert_eq!(
        chosen("preset = \"github\""),
        (Some(("github", ChosenBy::Key)), "link_header", "https://api.github.com/".to_owned())
    );
    let shared = "upstream = \"a\"\n[upstream.a]\npreset = \"github\"\nurl = \"http://127.0.0.1:1\"";
    assert_eq!(chosen(shared).0, Some(("github", ChosenBy::Key)));
    let transparent = Config::for_upstream("https://api.github.com").unwrap();
    assert_eq!(transparent.collections[0].preset.map(|choice| choice.by), Some(ChosenBy::Host));
    assert!(presets().iter().any(|preset| preset.verified == Verified::Unverified));
}

#[test]
fn a_key_of_the_file_goes_before_that_of_the_preset() {
    let text = "[[collection]]\npath = \"/a\"\npreset = \"github\"\npage_size = { value = 7 }\nheaders = { X-A = \"1\" }\n\
                retry = { attempts = 2 }\n[[collection]]\npath = \"/b\"\npreset = \"github\"\n\
                pagination = { type = \"page\", param = \"page\" }\n";
    let config = Config::from_toml(text).unwrap();
    let [a, b] = [0, 1].map(|at| &config.collections[at]);
    let size = a.pagination.page_size.as_ref().unwrap();
    assert_eq!((size.value, size.max), (Some(7), Some(100)));
    assert_eq!((a.upstream.retry.attempts, a.upstream.retry.statuses.as_slice()), (2, &[403][..]));
    assert_eq!((a.pagination.style.name(), b.pagination.style.name()), ("link_header", "page"));
    let wrong = "[[collection]]\npath = \"/a\"\npreset = \"githup\"\nupstream = \"http://a\"\n";
    let told = Config::from_toml(wrong).unwrap_err().to_string();
    assert!(told.contains("configuration:3: collection[0].preset: unknown preset \"githup\""), "{told}");
    assert!(told.contains("did you mean \"github\"?") && told.contains("unpage presets"), "{told}");
    assert!(Preset::named("github").is_some_and(|preset| preset.extends.as_deref() == Some("link-header")));
}
