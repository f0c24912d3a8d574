//! A pagination as the lines of a `[[collection]]`.

use toml::de::DeTable;

use super::collection::COLLECTION;
use super::mistake::{Mistake, Mistakes};
use super::toml_node::{MistakeLog, TomlTable};
use super::toml_text::{Pairs, list, text};
use super::{Config, Machine, collection_pagination, lint, unknown_key_hints};
use crate::pagination::{BodyKind, Pagination};

/// Returns the keys of a `[[collection]]` that make this pagination, one a line; [`read_written`] makes it again.
pub fn written(pagination: &Pagination) -> String {
    let mut lines = Pairs::default();
    if pagination.body_kind() != BodyKind::Labelled {
        lines.put("method", text("POST"));
    }
    collection_pagination::write(pagination, &mut lines);
    let allow = lint::to_allow(pagination);
    if !allow.is_empty() {
        lines.put("allow", list(&allow, |name| text(name)));
    }
    lines.lines()
}

/// Returns the mistakes in a `[[collection]]` with these lines, as `unpage check` finds them.
pub fn mistakes_in(lines: &str) -> Vec<Mistake> {
    let text = format!("[[collection]]\npath = \"/\"\nupstream = \"http://localhost\"\n{lines}");
    Config::read(&text, "", &Machine).err().map(|mistakes| mistakes.list).unwrap_or_default()
}

/// Reads the text of [`written`].
pub fn read_written(text: &str) -> Result<Pagination, Mistakes> {
    let mistakes = |list| Mistakes { name: String::new(), list };
    let notes = MistakeLog::new(text, unknown_key_hints::unknown_key);
    let entries = DeTable::parse(text).map_err(|error| {
        let what = error.message().replace('\n', "; ");
        mistakes(vec![Mistake { at: String::new(), place: None, what, hint: String::new() }])
    })?;
    let pagination = collection_pagination::read(&TomlTable::top(&notes, entries.get_ref(), &COLLECTION));
    let list = notes.into_list();
    pagination.filter(|_| list.is_empty()).ok_or_else(|| mistakes(list))
}
