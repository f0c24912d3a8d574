//! The examples of README.md and docs/: each configuration is accepted, each `unpage fetch` has arguments that unpage takes, each link leads to a file,
//! and each page is short enough to be read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use unpage::config::{Config, Secrets};

/// Secrets that need neither an environment nor a disk.
struct AnySecret;

impl Secrets for AnySecret {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Ok(path.display().to_string())
    }
}

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
    /// As in `docs/sharing.md:12`.
    place: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = docs.filter(|file| file.extension().is_some_and(|extension| extension == "md")).collect();
    files.sort();
    assert!(files.len() >= 9, "{files:?}");
    files.insert(0, root().join("README.md"));
    files
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().display().to_string()
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        let mut open: Option<Block> = None;
        for (at, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let place = format!("{}:{}", shown(&file), at + 1);
                    open = Some(Block { language: language.to_owned(), text: String::new(), place });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text += &format!("{line}\n"),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{} has a block that is not closed", shown(&file));
    }
    blocks
}

#[test]
fn every_configuration_in_the_documents_is_accepted() {
    let blocks: Vec<_> = blocks().into_iter().filter(|block| block.language == "toml").collect();
    assert!(blocks.len() >= 5, "only {} configurations", blocks.len());
    for block in blocks {
        if let Err(mistakes) = Config::read(&block.text, &block.place, &AnySecret) {
            panic!("{mistakes}");
        }
    }
}

/// `config/unpage.toml` shows every key, which a test beside the configuration's code checks.
#[test]
fn the_reference_names_every_key() {
    let annotated: toml::Table = fs::read_to_string(root().join("config/unpage.toml")).unwrap().parse().unwrap();
    let mut keys = BTreeSet::new();
    for (key, value) in annotated {
        if key == "upstream" {
            // The keys of this table are names.
            for upstream in value.as_table().unwrap().values() {
                collect_keys(upstream, &mut keys);
            }
        } else {
            collect_keys(&value, &mut keys);
            keys.insert(key);
        }
    }
    assert!(keys.len() > 100, "only {} keys", keys.len());
    let pages = ["docs/configuration.md", "docs/configuration-server.md", "docs/credentials.md", "docs/aws.md"];
    let text = pages.map(|page| fs::read_to_string(root().join(page)).unwrap()).join("\n");
    let words: BTreeSet<_> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let missing: Vec<_> = keys.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{pages:?} have no {missing:?}");
}

fn collect_keys(value: &toml::Value, keys: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                // These tables have an API's own names.
                if !["headers", "body", "link_attr", "with", "params", "claims"].contains(&key.as_str()) {
                    collect_keys(value, keys);
                }
                keys.insert(key.clone());
            }
        }
        toml::Value::Array(elements) => {
            for element in elements {
                collect_keys(element, keys);
            }
        }
        _ => {}
    }
}

/// Runs each command against a server that answers 404, which is exit status 3; wrong arguments are 2.
#[test]
fn every_fetch_in_the_documents_has_arguments_that_unpage_takes() {
    let blocks = blocks();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            if stream.read(&mut head).is_ok_and(|length| length > 0) {
                drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let query = blocks.iter().find(|block| block.language == "json").unwrap();
    fs::write(folder.path().join("products.json"), &query.text).unwrap();
    fs::write(folder.path().join("token.toml"), "bearer = { env = \"PATH\" }").unwrap();
    let mut count = 0;
    for block in blocks.iter().filter(|block| block.language == "sh") {
        for command in commands(&block.text).filter(|command| command.starts_with("unpage fetch ")) {
            let output = Command::new("sh")
                .args(["-c", &against(&command, &address.to_string())])
                .current_dir(folder.path())
                .env("PATH", format!("{}:{}", program_folder(), std::env::var("PATH").unwrap()))
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{}: {command}\n{told}", block.place);
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} commands");
}

/// Commands of a block, each without its continuations.
fn commands(text: &str) -> impl Iterator<Item = String> {
    let mut commands: Vec<String> = Vec::new();
    for line in text.lines() {
        match commands.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push_str(line);
            }
            _ => commands.push(line.to_owned()),
        }
    }
    commands.into_iter()
}

/// A command with another server in place of each origin.
fn against(command: &str, address: &str) -> String {
    let mut text = String::new();
    let mut rest = command;
    while let Some(separator) = rest.find("://") {
        let scheme = rest[..separator].rfind("http").unwrap();
        let host = separator + "://".len();
        let end = host + rest[host..].find(['/', '?', '\'', ' ']).unwrap_or(rest.len() - host);
        text += &format!("{}http://{address}", &rest[..scheme]);
        rest = &rest[end..];
    }
    text + rest
}

fn program_folder() -> String {
    Path::new(env!("CARGO_BIN_EXE_unpage")).parent().unwrap().display().to_string()
}

#[test]
fn every_link_between_the_documents_leads_to_a_file() {
    let mut count = 0;
    let pages =
        ["ARCHITECTURE.md", "CONTRIBUTING.md", "bench/README.md", "tests/real/README.md"].map(|file| root().join(file));
    for file in documents().into_iter().chain(pages) {
        let text = fs::read_to_string(&file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains("://") {
                assert!(file.parent().unwrap().join(path).exists(), "{}: {link}", shown(&file));
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} links");
}

/// Paths in backticks are below the root of the repository, or below `src`; `NAME` stands for any name.
#[test]
fn every_file_that_the_documents_name_exists() {
    let mut count = 0;
    let pages = ["ARCHITECTURE.md", "CONTRIBUTING.md"].map(|file| root().join(file));
    for file in documents().into_iter().chain(pages) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, line) in text.lines().enumerate() {
            for path in line.split('`').skip(1).step_by(2).filter(|code| is_path(code)) {
                let exists = [root().join(path), root().join("src").join(path)].iter().any(|path| path.exists());
                assert!(exists, "{}:{}: {path}", shown(&file), at + 1);
                count += 1;
            }
        }
    }
    assert!(count > 60, "only {count} paths");
}

/// A Rust file, or a folder with the slash at its end.
fn is_path(code: &str) -> bool {
    let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let file = code.ends_with(".rs") || code.ends_with('/');
    plain
        && file
        && code.len() > 1
        && !code.contains("NAME")
        && !code.starts_with(['/', '.'])
        && !code.starts_with("target")
}

#[test]
fn the_documents_stay_short() {
    let architecture = (root().join("ARCHITECTURE.md"), ARCHITECTURE_BYTES);
    for (file, limit) in documents().into_iter().map(|file| (file, 8 * 1024)).chain([architecture]) {
        let bytes = fs::metadata(&file).unwrap().len();
        assert!(bytes <= limit, "{} has {bytes} bytes, at most {limit}", shown(&file));
    }
}

const ARCHITECTURE_BYTES: u64 = 12 * 1024;

/// String literals of a source file in front of its tests.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap();
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = code.replace("'\"'", "' '").replace("'\\\"'", "' '");
    let mut literals = Vec::new();
    let mut rest = code.as_str();
    while let Some(start) = rest.find('"') {
        let inner = &rest[start + 1..];
        let mut end = 0;
        while end < inner.len() && !inner[end..].starts_with('"') {
            end +=
                if inner[end..].starts_with('\\') { 2 } else { inner[end..].chars().next().map_or(1, char::len_utf8) };
        }
        literals.push(inner[..end].replace("\\\"", "\""));
        rest = &inner[end + 1..];
    }
    literals
}

/// Messages name keys and flags that exist: those of a crawl's failures, in the words of a configuration and of the command line.
#[test]
fn messages_name_what_exists() {
    let help = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_unpage")).args([command, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let commands =
        ["fetch", "probe", "init", "explain", "presets", "serve", "check", "demo", "health", "completions", "man"];
    let help: String = commands.map(help).concat();
    let reference = fs::read_to_string(root().join("config/unpage.toml")).unwrap();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    let keys: BTreeSet<&str> = reference.split(|c| !is_word(c)).collect();
    let (mut flags, mut named, mut wrong) = (0, 0, Vec::new());
    let mut files: Vec<PathBuf> =
        ["src/crawl", "src/upstream", "src/cli", "src/cli/fetch", "src/gateway", "src/pagination"]
            .into_iter()
            .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .collect();
    files.sort();
    for file in files {
        for text in literals(&fs::read_to_string(&file).unwrap()).iter().filter(|text| text.contains(' ')) {
            for flag in text.split("--").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase())) {
                let flag: String = flag.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                flags += 1;
                if !help.contains(&format!("--{flag}")) {
                    wrong.push(format!("{}: --{flag} in {text:?}", shown(&file)));
                }
            }
            for table in ["caps", "retry", "limits", "timeouts", "page_size", "pagination", "partition"] {
                for key in text.split(&format!("{table}.")).skip(1) {
                    let key: String = key.chars().take_while(|c| is_word(*c)).collect();
                    named += usize::from(!key.is_empty());
                    if !key.is_empty() && !keys.contains(key.as_str()) {
                        wrong.push(format!("{}: {table}.{key} in {text:?}", shown(&file)));
                    }
                }
            }
            for (before, _) in text.match_indices(" = ").map(|(at, _)| text.split_at(at)) {
                let key = before.rsplit(|c| !is_word(c)).next().unwrap();
                named += usize::from(key.contains('_'));
                if key.contains('_') && !keys.contains(key) {
                    wrong.push(format!("{}: {key} in {text:?}", shown(&file)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(flags > 10 && named > 20, "{flags} flags and {named} keys were looked at");
}
