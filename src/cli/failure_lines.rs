//! Lines of a failure on stderr. Hints speak of configuration keys, which have other names on the command line.

use clap::{Args, Command};

use crate::config::{KeyPlace, key_place};
use crate::error::Failure;

/// Options that are not named as their keys are.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("ca", "--cacert"),
    ("accept", "-H"),
    ("headers", "-H"),
    ("credentials.token", "--token-config"),
    ("credentials.aws", "--set credentials.aws=…"),
    ("credentials", "-H"),
];

/// Prints a failure, the party at fault and the remedy, by the options of the command with these arguments.
pub(super) fn tell<A: Args>(failure: &Failure) {
    eprintln!("error: {failure}\nfault: {}\nhint: {}", failure.fault.name(), failure.hint);
    if let Some(options) = options_for::<A>(&failure.hint) {
        eprintln!("options: {options}");
    }
}

/// Returns the options of a command for the keys that a hint names; `None` where it names no key.
fn options_for<A: Args>(hint: &str) -> Option<String> {
    let command = A::augment_args(Command::new(""));
    let flags: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    let mut told: Vec<String> = Vec::new();
    // `path` is a key of the tables that hints show, and never one that a fetch could set.
    for (key, place) in keys_in(hint).into_iter().filter(|(key, _)| *key != "path") {
        let (table, is_inner) = key.split_once('.').map_or((key, false), |(table, _)| (table, true));
        let flag = table.replace('_', "-");
        let is_own = |name: &str| name == table || name.contains('.') && key.starts_with(name);
        let other = OTHER_NAMES.iter().find(|(name, _)| is_own(name)).map(|(_, option)| *option);
        let option = match (other, place) {
            (Some(option), _) if key.starts_with("credentials.token.") => format!("`{key}` is in the file of {option}"),
            (Some(option), _) => format!("`{key}` is {option}"),
            (None, KeyPlace::Collection) if !is_inner && flags.contains(&flag.as_str()) => {
                format!("`{key}` is --{flag}")
            }
            (None, KeyPlace::Style) => format!("`{key}` stands inside --pagination '{{ … }}'"),
            (None, KeyPlace::Collection) => format!("`{key}` is --set {key}=…"),
        };
        if !told.contains(&option) {
            told.push(option);
        }
    }
    (!told.is_empty()).then(|| told.join("; "))
}

/// Configuration keys that a text names: in backticks, in front of `=`, or with an underscore or dot, which no other word has.
fn keys_in(text: &str) -> Vec<(&str, KeyPlace)> {
    let is_part = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '.');
    let mut keys = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, found) = rest.split_at(start);
        let (word, behind) = found.split_at(found.find(|c| !is_part(c)).unwrap_or(found.len()));
        let word = word.trim_end_matches('.');
        let is_whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let is_key =
            word.contains(['_', '.']) || behind.starts_with(" = ") || before.ends_with('`') && behind.starts_with('`');
        if is_whole && is_key {
            keys.extend(key_place(word).map(|place| (word, place)));
        }
        rest = behind;
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::CommandFactory;

    use super::super::CommandLine;
    use super::super::fetch::FetchArguments;
    use super::super::init::InitArguments;
    use super::super::probe::ProbeArguments;
    use super::*;
    use crate::config::NAMED_ALIKE;

    /// Words in backticks that are commands, values or members, and no keys.
    const OTHER_WORDS: [&str; 21] = [
        "_columns",
        "_more",
        "snapshot",
        "arrow",
        "auto",
        "columnar",
        "complete",
        "csv",
        "csv-excel",
        "init",
        "json",
        "jsonl",
        "marker",
        "moved",
        "ndjson",
        "offset",
        "openapi",
        "read",
        "serve",
        "swagger",
        "tsv",
    ];

    #[test]
    fn keys_of_a_hint_are_options_where_there_are_some() {
        let cases = [
            (
                "ask for smaller pages (page_size), or raise caps.page",
                Some("`page_size` is --page-size; `caps.page` is --set caps.page=…"),
            ),
            ("set end = { status = 404 }", Some("`end` stands inside --pagination '{ … }'")),
            ("check `pagination` (param, key, type)", Some("`pagination` is --pagination")),
            ("correct `pagination.key`", Some("`pagination.key` stands inside --pagination '{ … }'")),
            ("set `parent.key`", Some("`parent.key` is --set parent.key=…")),
            ("name it in `ca`; or configure `credentials`", Some("`ca` is --cacert; `credentials` is -H")),
            ("set credentials.token.keep to a file", Some("`credentials.token.keep` is in the file of --token-config")),
            ("check `as` of credentials.token", Some("`credentials.token` is --token-config")),
            ("secret_key of credentials.aws", Some("`credentials.aws` is --set credentials.aws=…")),
            ("add it to upstream_aliases", Some("`upstream_aliases` is --upstream-aliases")),
            ("the key of a record, by its end", None),
            ("see --on-missed report", None),
        ];
        for (hint, told) in cases {
            assert_eq!(options_for::<InitArguments>(hint).as_deref(), told, "{hint}");
        }
        let lone = "single_page = \"accept\"";
        let told = |options: Option<String>| options.unwrap();
        assert_eq!(told(options_for::<FetchArguments>(lone)), "`single_page` is --single-page");
        assert_eq!(told(options_for::<ProbeArguments>(lone)), "`single_page` is --set single_page=…");
    }

    /// Names of the long options of a command.
    fn flags(command: &str) -> Vec<String> {
        let all = CommandLine::command();
        let command = all.find_subcommand(command).unwrap();
        command.get_arguments().filter_map(|argument| Some(argument.get_long()?.to_owned())).collect()
    }

    /// Texts of the program, each with its file.
    fn texts() -> Vec<(PathBuf, String)> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        // Texts of an API, and options of curl.
        let others = [source.join("demo"), source.join("telemetry/dashboard/curl.rs")];
        let (mut folders, mut texts) = (vec![source.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("tests.rs")
                    && !path.ends_with("model_tests.rs")
                    && !others.iter().any(|other| path.starts_with(other))
                {
                    let all = std::fs::read_to_string(&path).unwrap();
                    let file = path.strip_prefix(&source).unwrap();
                    texts.extend(quoted(&all).into_iter().map(|text| (file.to_owned(), text)));
                }
            }
        }
        texts
    }

    /// Texts in double quotes in front of the tests of a file, on lines that are no comment.
    fn quoted(file: &str) -> Vec<String> {
        let before = file.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = before.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code =
            lines.collect::<Vec<_>>().join("\n").replace("'\"'", "").replace("b'\"'", "").replace("\\\"", "\u{0}");
        code.split('"').skip(1).step_by(2).map(|text| text.replace('\0', "\"")).collect()
    }

    /// Options that a text names.
    fn options(text: &str) -> Vec<&str> {
        let starts = text.match_indices("--").map(|(at, _)| at);
        let starts = starts.filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-'));
        let names =
            starts.map(|at| text[at + 2..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap());
        names.filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn a_text_names_options_of_its_own_command_alone() {
        let crawls = ["fetch", "probe", "init", "explain"];
        let mut seen = 0;
        for (file, text) in texts() {
            let file = file.to_str().unwrap();
            let own = match file.strip_prefix("cli/").map(|file| file.split(['/', '.']).next().unwrap()) {
                Some("serve" | "listeners" | "serve_gateway") => vec!["serve"],
                Some(command @ ("fetch" | "probe" | "init" | "explain" | "check" | "demo" | "presets")) => {
                    vec![command]
                }
                Some(_) => crawls.to_vec(),
                // Those say for which command an option is.
                None if text.contains("fetch: ") => vec!["fetch"],
                None => vec!["serve", "fetch"],
            };
            let named =
                |command: &&str| text.contains(&format!("unpage {command}")) || text.contains(&format!("`{command}`"));
            let named: Vec<_> =
                ["serve", "fetch", "probe", "init", "explain", "demo"].into_iter().filter(named).collect();
            for option in options(&text) {
                let is_of = |command: &&str| flags(command).iter().any(|flag| flag == option);
                let is_own = if file.starts_with("cli/") { own.iter().all(is_of) } else { own.iter().any(is_of) };
                assert!(is_own || named.iter().any(is_of), "src/{file}: --{option} is no option of {own:?}: {text}");
                seen += 1;
            }
        }
        assert!(seen > 40, "{seen} options");
    }

    #[test]
    fn a_text_names_keys_that_exist() {
        let mut seen = 0;
        for (file, text) in texts() {
            let words = text.split('`').skip(1).step_by(2);
            let is_key_like = |word: &&str| {
                word.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'))
                    && word.contains(|c: char| c.is_ascii_lowercase())
            };
            for word in words.filter(is_key_like).filter(|word| !OTHER_WORDS.contains(word)) {
                let exists = word.split('.').all(KeyPlace::exists);
                assert!(exists, "src/{}: `{word}` is no key: {text}", file.display());
                seen += 1;
            }
            // Whatever it names, the commands that tell it have the options.
            for (command, told) in [
                ("fetch", options_for::<FetchArguments>(&text)),
                ("probe", options_for::<ProbeArguments>(&text)),
                ("init", options_for::<InitArguments>(&text)),
            ] {
                let flags = flags(command);
                for option in told.iter().flat_map(|told| options(told)) {
                    assert!(flags.iter().any(|flag| flag == option), "{command}: --{option} for {text}");
                }
            }
        }
        assert!(seen > 60, "{seen} keys");
    }

    #[test]
    fn keys_are_named_as_the_options_of_a_fetch() {
        for key in NAMED_ALIKE {
            assert!(flags("fetch").contains(&key.replace('_', "-")), "{key}");
        }
    }
}
