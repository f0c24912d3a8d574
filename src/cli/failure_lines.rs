//! Lines of a failure on stderr. Hints speak of configuration keys, which have other names on the command line.

use clap::{Args, Command};

use super::crawl_args::CrawlArguments;
use crate::config::{KeyPlace, key_place};
use crate::error::Failure;

/// Options that are not named as their keys are.
const OTHER_NAMES: [(&str, &str); 5] =
    [("ca", "--cacert"), ("accept", "-H"), ("headers", "-H"), ("credentials", "-H"), ("single_page", "--single-page")];

/// Prints a failure, the party at fault and the remedy.
pub(super) fn tell(failure: &Failure) {
    eprintln!("error: {failure}\nfault: {}\nhint: {}", failure.fault.name(), failure.hint);
    if let Some(options) = options_for(&failure.hint) {
        eprintln!("options: {options}");
    }
}

/// Returns the options of `fetch` for the keys that a hint names; `None` where it names no key.
fn options_for(hint: &str) -> Option<String> {
    let command = CrawlArguments::augment_args(Command::new(""));
    let flags: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    let mut told: Vec<String> = Vec::new();
    // `path` is a key of the tables that hints show, and never one that a fetch could set.
    for (key, place) in keys_in(hint).into_iter().filter(|(key, _)| *key != "path") {
        let table = key.split('.').next().unwrap_or(key);
        let flag = table.replace('_', "-");
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == table).map(|(_, option)| *option);
        let option = match (other, place) {
            (Some(option), _) => format!("`{key}` is {option}"),
            (None, KeyPlace::Collection) if flags.contains(&flag.as_str()) => format!("`{key}` is --{flag}"),
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
    use super::*;

    #[test]
    fn keys_of_a_hint_are_options_where_there_are_some() {
        let cases = [
            (
                "ask for smaller pages (page_size), or raise caps.page",
                Some("`page_size` is --page-size; `caps.page` is --set caps.page=…"),
            ),
            ("set end = { status = 404 }", Some("`end` stands inside --pagination '{ … }'")),
            ("check `pagination` (param, key, type)", Some("`pagination` is --pagination")),
            ("name it in `ca`; or configure `credentials`", Some("`ca` is --cacert; `credentials` is -H")),
            ("add it to upstream_aliases", Some("`upstream_aliases` is --upstream-aliases")),
            ("the key of a record, by its end", None),
            ("see --on-missed report", None),
        ];
        for (hint, told) in cases {
            assert_eq!(options_for(hint).as_deref(), told, "{hint}");
        }
    }
}
