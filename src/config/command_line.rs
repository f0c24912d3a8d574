//! A collection from the command line: options are the uppermost layer, above a file's collection or a URL, and above a preset.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::completed_table::{complete, moved, text};
use super::layers::Overlay;
use super::mistake::{Mistake, Mistakes};
use super::needed_secrets::concerning;
use super::option_names::{below_collection, option, top_key};
use super::optional_secrets::OptionalSecrets;
use super::read::bare_parent;
use super::secrets::Secrets;
use super::toml_text;
#[cfg(feature = "cli")]
use super::upstream::CLIENT_KEYS;
use super::{Collection, Config};

/// Options of `fetch` and `probe`: keys of `[[collection]]` with their values, as text or as TOML's `{ … }`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keys that have an option of their own, which is named as the key, with `-` for `_`. A key that comes twice has a list.
    pub keys: Vec<(&'static str, String)>,
    /// `--set KEY=VALUE`: any key, with a dot for one inside of a table; the value in TOML, or text.
    pub set: Vec<String>,
}

/// Collection of a file that the options complete.
#[derive(Clone, Copy, Debug)]
pub struct FileCollection<'a> {
    /// Name of the file in messages.
    pub name: &'a str,
    pub text: &'a str,
    /// Its `path`, or one that leads to it.
    pub path: &'a str,
}

impl Options {
    /// Returns the key of `[upstream.NAME]` for one of a collection; none where it belongs to the collection alone.
    #[cfg(feature = "cli")]
    pub(crate) fn upstream_key(key: &str) -> Option<&str> {
        match key {
            "upstream_aliases" => Some("aliases"),
            key => CLIENT_KEYS.keys.contains(&key).then_some(key),
        }
    }

    /// Reads the options above a URL: its origin, and its path.
    ///
    /// # Errors
    /// Returns every mistake at once, each with its option.
    pub fn read(&self, origin: &str, path: &str, secrets: &dyn Secrets) -> Result<Arc<Collection>, Mistakes> {
        let [origin, path] = [origin, path].map(toml_text::text);
        let text = format!(
            "[[collection]]\npath = \"/{{*rest}}\"\nupstream = {origin}\nupstream_path = {path}\nproxy = \"env\"\n"
        );
        let entries = self.entries()?;
        let overlay = |_: &DeTable<'_>| Some(Overlay { collection: 0, entries });
        let read = Config::read_layers(&text, "", secrets, overlay);
        let mistakes = |mistakes| self.by_option(mistakes, |_| true);
        Ok(Arc::clone(&read.map_err(mistakes)?.collections[0]))
    }

    /// Reads the options above a collection of a file. Returns the configuration of the whole file, and the collection. Secrets that neither
    /// the collection nor one of its parents needs may be absent.
    ///
    /// # Errors
    /// Returns every mistake at once, each with its option or its line; one of them is a path that leads to no collection.
    pub fn read_above(
        &self,
        file: FileCollection<'_>,
        secrets: &dyn Secrets,
    ) -> Result<(Config, Arc<Collection>), Mistakes> {
        let Mistakes { name, list } = match self.read_with(file, secrets) {
            Ok(read) => return Ok(read),
            Err(mistakes) => mistakes,
        };
        // Where this succeeds, all mistakes are at secrets.
        let Ok((config, collection)) = self.read_with(file, &OptionalSecrets::of(secrets)) else {
            return Err(Mistakes { name, list });
        };
        let index = config.collections.iter().position(|other| Arc::ptr_eq(other, &collection)).unwrap_or_default();
        let list = concerning(&list, file.text, &config, index);
        if list.is_empty() { Ok((config, collection)) } else { Err(Mistakes { name, list }) }
    }

    fn read_with(
        &self,
        file: FileCollection<'_>,
        secrets: &dyn Secrets,
    ) -> Result<(Config, Arc<Collection>), Mistakes> {
        let entries = self.entries()?;
        let keys: Vec<String> = entries.keys().map(|key| key.get_ref().to_string()).collect();
        let mut chosen = Err(Vec::new());
        let read = Config::read_layers(file.text, file.name, secrets, |tables| {
            chosen = choose(tables, file.path);
            let collection = *chosen.as_ref().ok()?;
            Some(Overlay { collection, entries })
        });
        let is_own = |at: &str| keys.iter().any(|key| key == top_key(at));
        let config = read.map_err(|mistakes| self.by_option(mistakes, is_own))?;
        match chosen {
            Ok(at) => {
                let collection = Arc::clone(&config.collections[at]);
                Ok((config, collection))
            }
            Err(paths) => {
                let what = format!("no collection has the path {}", file.path);
                let hint = format!("name one of them, or a path that leads to it: {}", paths.join(", "));
                Err(Mistakes::one(file.name, "", what, &hint))
            }
        }
    }

    /// Returns the keys of a `[[collection]]` that the options set, with their values; none where one is wrong. A preset is left out.
    pub fn lines(&self) -> Vec<(String, String)> {
        let entries = self.entries().unwrap_or_default();
        let lines = entries.iter().filter(|(key, _)| **key.get_ref() != *"preset");
        lines.map(|(key, value)| (key.get_ref().to_string(), toml_text::value(value.get_ref()))).collect()
    }

    /// Returns the options as the keys of a table.
    fn entries(&self) -> Result<DeTable<'_>, Mistakes> {
        let mut entries = DeTable::new();
        let mut broken = Vec::new();
        let mut bad = |at: String, what| broken.push(Mistake { at, place: None, what, hint: String::new() });
        for (key, text) in &self.keys {
            match value(key, text) {
                Ok(value) => put(&mut entries, key, value),
                Err(what) => bad(option(key), what),
            }
        }
        for text in &self.set {
            match set(text) {
                Ok(mut table) => {
                    complete(&mut table, &entries, None);
                    entries = table;
                }
                Err(what) => bad("--set".to_owned(), what),
            }
        }
        if broken.is_empty() { Ok(entries) } else { Err(Mistakes { name: String::new(), list: broken }) }
    }

    /// Names the options in mistakes at their keys.
    fn by_option(&self, mistakes: Mistakes, is_own: impl Fn(&str) -> bool) -> Mistakes {
        let renamed = |mistake: Mistake| {
            if !is_own(&mistake.at) {
                return mistake;
            }
            let key = below_collection(&mistake.at);
            let is_set = self.set.iter().any(|set| top_key(set) == top_key(&mistake.at));
            let at = if is_set { format!("--set {key}") } else { option(key) };
            Mistake { at, place: None, ..mistake }
        };
        let is_plain = mistakes.list.iter().all(|mistake| is_own(&mistake.at));
        let name = if is_plain { String::new() } else { mistakes.name };
        Mistakes { name, list: mistakes.list.into_iter().map(renamed).collect() }
    }
}

/// Returns the index of the collection that has this path, or that it leads to; else the paths that there are.
fn choose(file: &DeTable<'_>, path: &str) -> Result<usize, Vec<String>> {
    let collections = file.get("collection").and_then(|value| value.get_ref().as_array());
    let tables = collections.into_iter().flat_map(|tables| tables.iter()).map(|value| value.get_ref().as_table());
    let paths: Vec<_> = tables.map(|table| table.and_then(|table| text(table, "path")).unwrap_or_default()).collect();
    if let Some(at) = paths.iter().position(|own| *own == path) {
        return Ok(at);
    }
    let mut router = matchit::Router::new();
    for (at, path) in paths.iter().enumerate() {
        // A path that is wrong is noted when the collections are read.
        let _wrong = router.insert(*path, at);
    }
    for (at, parent) in paths.iter().enumerate().filter_map(|(at, path)| Some((at, bare_parent(path)?))) {
        let _taken = router.insert(parent, at);
    }
    router.at(path).map(|found| *found.value).map_err(|_| paths.iter().map(|path| (*path).to_owned()).collect())
}

/// Places in an option's text are none of the file's.
const NOWHERE: Range<usize> = 0..0;

fn put<'a>(entries: &mut DeTable<'a>, key: &'a str, value: DeValue<'a>) {
    let value = moved(&Spanned::new(NOWHERE, value), Some(&NOWHERE));
    match entries.get_mut(key).map(Spanned::get_mut) {
        Some(DeValue::Array(values)) => values.push(value),
        Some(first) => {
            let mut values = DeArray::new();
            values.push(Spanned::new(0..0, std::mem::replace(first, DeValue::Boolean(false))));
            values.push(value);
            *first = DeValue::Array(values);
        }
        None => drop(entries.insert(Spanned::new(0..0, key.into()), value)),
    }
}

/// Reads `KEY=VALUE` as a table of one key.
fn set(text: &str) -> Result<DeTable<'_>, String> {
    let Some((key, value)) = text.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
        return Err(format!("not KEY=VALUE: {text:?}"));
    };
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err(format!("not a key: {key:?}"));
    }
    let mut value = match DeValue::parse(value) {
        Ok(parsed) => parsed.into_inner(),
        // Text needs no quotes, which a shell would take away.
        Err(_) if !value.starts_with(['{', '[', '"', '\'']) => DeValue::String(value.into()),
        Err(error) => return Err(format!("{key}: {}", error.message().replace('\n', "; "))),
    };
    let mut keys: Vec<_> = key.split('.').collect();
    let top = keys.remove(0);
    for inner in keys.into_iter().rev() {
        let mut table = DeTable::new();
        table.insert(Spanned::new(0..0, inner.into()), Spanned::new(0..0, value));
        value = DeValue::Table(table);
    }
    let mut table = DeTable::new();
    put(&mut table, top, value);
    Ok(table)
}

/// An option's text as the value of its key.
fn value<'a>(key: &str, text: &'a str) -> Result<DeValue<'a>, String> {
    let is_word = match key {
        "width" => text.parse::<u64>().is_ok(),
        "error_path" | "total" => text == "false",
        "stable_order" => true,
        _ => text.trim_start().starts_with('{'),
    };
    if is_word || text.trim_start().starts_with('{') {
        let parsed = DeValue::parse(text).map_err(|error| error.message().replace('\n', "; "))?;
        return Ok(parsed.into_inner());
    }
    if key != "page_size" {
        return Ok(DeValue::String(text.into()));
    }
    let mut table = DeTable::new();
    let mut put =
        |key: &'static str, value| drop(table.insert(Spanned::new(0..0, key.into()), Spanned::new(0..0, value)));
    match text.rsplit_once('=') {
        None => put("param", DeValue::String(text.into())),
        Some((param, number)) => {
            put("param", DeValue::String(param.into()));
            // The number goes through TOML, so that one rule says what a number is.
            let number = DeValue::parse(number).map_err(|_| format!("not a number: {number:?}; write limit=100"))?;
            put("value", number.into_inner());
        }
    }
    Ok(DeValue::Table(table))
}
