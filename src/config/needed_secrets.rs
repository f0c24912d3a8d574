//! Secrets of a command that reads one collection of a file: those of other collections may be absent.

use toml::de::DeTable;

use super::Config;
use super::completed_table::text;
use super::mistake::Mistake;

/// Returns the mistakes at options, at the collection with this index, at those of its parents, and at the upstreams of these.
pub(super) fn concerning(mistakes: &[Mistake], file: &str, config: &Config, collection: usize) -> Vec<Mistake> {
    let index_of_parent = |index: &usize| {
        let parent = config.collections.get(*index)?.parent.as_ref()?;
        config.collections.iter().position(|other| other.path == parent.collection)
    };
    let tables = DeTable::parse(file).ok();
    let tables = tables.as_ref().and_then(|file| file.get_ref().get("collection")?.get_ref().as_array());
    let places: Vec<String> = std::iter::successors(Some(collection), index_of_parent)
        .flat_map(|index| {
            let table = tables.and_then(|tables| tables.get(index)?.get_ref().as_table());
            let upstream = table.and_then(|table| text(table, "upstream"));
            [Some(format!("collection[{index}].")), upstream.map(|name| format!("upstream.{name}."))]
        })
        .flatten()
        .collect();
    let concerns = |at: &str| at.starts_with("--") || places.iter().any(|place| at.starts_with(place.as_str()));
    mistakes.iter().filter(|mistake| concerns(&mistake.at)).cloned().collect()
}
