//! Layers of a configuration, from below: a preset, the file, and `--set` and the other options of a command. A layer completes the tables
//! below it key by key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use super::completed_table::{complete, moved, text};
use super::keywords::nearest;
use super::presets::{ChosenBy, NO_PRESET, Preset, PresetChoice, presets};
use super::toml_node::MistakeLog;
use super::upstream::CLIENT_KEYS;

/// Collection that the options of a command complete.
#[derive(Clone, Debug)]
pub(super) struct Overlay<'a> {
    /// Index in the file.
    pub(super) collection: usize,
    pub(super) entries: DeTable<'a>,
}

/// Puts the presets below the collections and upstreams of a file, and the options of a command above one of them. Returns the preset of each
/// collection.
pub(super) fn settle<'a>(
    file: &mut DeTable<'a>,
    overlay: Option<Overlay<'a>>,
    notes: &MistakeLog<'_>,
) -> Vec<Option<PresetChoice>> {
    if let Some(overlay) = overlay {
        put_above(file, overlay);
    }
    let mut upstreams: Vec<(String, NamedUpstream)> = Vec::new();
    if let Some(DeValue::Table(tables)) = file.get_mut("upstream").map(Spanned::get_mut) {
        for (name, value) in tables.iter_mut() {
            let DeValue::Table(table) = value.get_mut() else { continue };
            let name: &str = name.get_ref();
            let preset = named(table, &format!("upstream.{name}"), notes);
            if let Wanted::Preset(preset, span) = &preset {
                complete(table, &preset.upstream, Some(span));
            }
            upstreams.push((name.to_owned(), NamedUpstream { preset, url: text(table, "url").map(ToOwned::to_owned) }));
        }
    }
    let Some(DeValue::Array(collections)) = file.get_mut("collection").map(Spanned::get_mut) else { return Vec::new() };
    let each = collections.iter_mut().enumerate();
    each.map(|(at, value)| match value.get_mut() {
        DeValue::Table(table) => collection(table, at, &upstreams, notes),
        _ => None,
    })
    .collect()
}

/// Puts options above a collection; those of the requests go to its upstream where that has a name.
fn put_above<'a>(file: &mut DeTable<'a>, Overlay { collection, mut entries }: Overlay<'a>) {
    let mut client = DeTable::new();
    if let Some(DeValue::Array(collections)) = file.get_mut("collection").map(Spanned::get_mut)
        && let Some(DeValue::Table(table)) = collections.get_mut(collection).map(Spanned::get_mut)
    {
        let upstream = text(table, "upstream").filter(|name| !name.contains("://")).map(ToOwned::to_owned);
        if upstream.is_some() {
            for key in CLIENT_KEYS.keys.iter().chain(&["upstream_aliases"]) {
                if let Some((_, value)) = entries.remove_entry(*key) {
                    let key = key.strip_prefix("upstream_").unwrap_or(key);
                    client.insert(Spanned::new(0..0, key.into()), value);
                }
            }
        }
        set_above(table, entries);
        if let Some(name) = upstream
            && let Some(DeValue::Table(tables)) = file.get_mut("upstream").map(Spanned::get_mut)
            && let Some(DeValue::Table(table)) = tables.get_mut(name.as_str()).map(Spanned::get_mut)
        {
            set_above(table, client);
        }
    }
}

fn set_above<'a>(table: &mut DeTable<'a>, mut above: DeTable<'a>) {
    complete(&mut above, table, None);
    *table = above;
}

/// An upstream with a name, as far as its collections depend on it.
struct NamedUpstream {
    preset: Wanted,
    url: Option<String>,
}

/// Value of `preset`.
#[derive(Clone)]
enum Wanted {
    /// The key is absent.
    Any,
    /// `none`, or a mistake, which is noted.
    None,
    /// The preset, and the place of its name.
    Preset(&'static Preset, Range<usize>),
}

fn named(table: &DeTable<'_>, at: &str, notes: &MistakeLog<'_>) -> Wanted {
    let Some(value) = table.get("preset") else { return Wanted::Any };
    let span = value.span();
    match value.get_ref().as_str() {
        // The reader of the table says that it is no text.
        Some(NO_PRESET) | None => Wanted::None,
        Some(name) => match Preset::named(name) {
            Some(preset) => Wanted::Preset(preset, span),
            None => {
                let near = nearest(name, presets().iter().map(|preset| preset.name));
                let near = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
                let hint = format!("`unpage presets` lists them{near}");
                notes.note(&format!("{at}.preset"), span.start, format!("unknown preset {name:?}"), hint);
                Wanted::None
            }
        },
    }
}

fn collection<'a>(
    table: &mut DeTable<'a>,
    at: usize,
    upstreams: &[(String, NamedUpstream)],
    notes: &MistakeLog<'_>,
) -> Option<PresetChoice> {
    let shared = text(table, "upstream").and_then(|name| upstreams.iter().find(|(known, _)| known == name));
    let shared = shared.map(|(_, upstream)| upstream);
    let own = named(table, &format!("collection[{at}]"), notes);
    let inherited = shared.map_or(Wanted::Any, |upstream| upstream.preset.clone());
    let (preset, span, by) = match (own, inherited) {
        (Wanted::Preset(preset, span), _) | (Wanted::Any, Wanted::Preset(preset, span)) => {
            (preset, span, ChosenBy::Key)
        }
        (Wanted::Any, Wanted::Any) => (by_host(table, shared)?, 0..0, ChosenBy::Host),
        _ => return None,
    };
    let span = Some(&span);
    if table.get("upstream").is_none()
        && let Some(url) = preset.upstream.get("url")
    {
        table.insert(Spanned::new(0..0, "upstream".into()), moved(url, span));
    }
    if shared.is_none() {
        let mut client = preset.upstream.clone();
        client.remove("url");
        if let Some(aliases) = client.remove("aliases") {
            client.insert(Spanned::new(0..0, "upstream_aliases".into()), aliases);
        }
        complete(table, &client, span);
    }
    complete(table, &preset.collection, span);
    Some(PresetChoice { preset, by })
}

/// Returns the preset of the upstream's host, where the collection says nothing of its pagination.
fn by_host(table: &DeTable<'_>, shared: Option<&NamedUpstream>) -> Option<&'static Preset> {
    if ["pagination", "records"].iter().any(|key| table.get(*key).is_some()) {
        return None;
    }
    let url = shared.map_or_else(|| text(table, "upstream"), |upstream| upstream.url.as_deref())?;
    let mut url = Url::parse(url).ok()?;
    let path = text(table, "upstream_path").or_else(|| text(table, "path"))?;
    let path = format!("{}{}", url.path().trim_end_matches('/'), path.split("{*").next().unwrap_or_default());
    url.set_path(&path);
    let preset = Preset::of_host(&url)?;
    let method = |table| text(table, "method").unwrap_or("GET");
    let is_complete = preset.lacks().next().is_none();
    let is_asked_so = text(table, "method").is_none() || method(table) == method(&preset.collection);
    (is_complete && is_asked_so).then_some(preset)
}
