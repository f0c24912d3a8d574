//! Presets: facts about APIs, as data. The files of `config/presets/` are part of the program.

use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};
use url::Url;

use super::collection::COLLECTION;
use super::completed_table::complete;
use super::key_names::Level;
use super::keywords::Words;
use super::mistake::Mistakes;
use super::pagination_values::TEXT;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::toml_node::{MistakeLog, TomlNode, TomlTable};
use super::unknown_key_hints;
use super::upstream::CLIENT_KEYS;

/// Facts about an API, or about a style that many APIs have.
#[derive(Debug)]
pub struct Preset {
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
    pub about: String,
    /// Preset that this one completes.
    pub extends: Option<String>,
    pub verified: Verified,
    /// Document that the facts are from.
    pub source: String,
    /// Traps of the API.
    pub notes: Vec<String>,
    /// `host/path` with `*` for any segment, and `*.` for any subdomain.
    hosts: Vec<String>,
    /// Keys of an upstream, with those of `extends`.
    pub(super) upstream: DeTable<'static>,
    /// Keys of a collection, with those of `extends`.
    pub(super) collection: DeTable<'static>,
}

/// Evidence for a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Answers of the API itself were recorded.
    Recorded,
    /// The API's own documents say so.
    Documented,
    /// Third parties say so. Such a preset is never chosen by the host.
    Unverified,
}

/// Preset of a collection, and the reason for it.
#[derive(Clone, Copy, Debug)]
pub struct PresetChoice {
    pub preset: &'static Preset,
    pub by: ChosenBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// The key `preset`, or `--preset`.
    Key,
    /// The upstream's host, where neither a preset nor a pagination is configured.
    Host,
}

/// Value of `preset` for no preset, by the host neither.
pub(super) const NO_PRESET: &str = "none";

static VERIFIED: Words<Verified> = Words(&[
    ("recorded", Verified::Recorded),
    ("documented", Verified::Documented),
    ("unverified", Verified::Unverified),
]);

static PRESET_UPSTREAM: Level =
    Level { name: "[upstream] of a preset", keys: &["url", "aliases"], others: &[&CLIENT_KEYS] };

/// Texts of a preset's file.
struct PresetFile {
    about: String,
    extends: Option<String>,
    verified: Verified,
    source: String,
    hosts: Vec<String>,
    notes: Vec<String>,
    /// Read for their key names alone: the layers have the values.
    _upstream: Option<()>,
    _collection: Option<()>,
}

table! {
    read PRESET "a preset": PresetFile = PresetFile {
        "about" => about: TEXT, required("name the API");
        "extends" => extends: TEXT, some;
        "verified" => verified: VERIFIED, required("write \"recorded\", \"documented\" or \"unverified\"");
        "source" => source: TEXT, required("name the document");
        "hosts" => hosts: ReadOnly(texts), or(Vec::new());
        "notes" => notes: ReadOnly(texts), or(Vec::new());
        "upstream" => _upstream: ReadOnly(|node| node.table(&PRESET_UPSTREAM).map(drop)), some;
        "collection" => _collection: ReadOnly(|node| node.table(&COLLECTION).map(drop)), some;
    }
}

macro_rules! files {
    ($($name:literal),+) => {
        [$(($name, include_str!(concat!("../../config/presets/", $name, ".toml")))),+]
    };
}

/// Name and text of each preset, in the order of their names.
#[rustfmt::skip]
static FILES: [(&str, &str); 95] = files![
    "adobe-commerce", "airtable", "akeneo", "asana", "atom", "auth0", "aws-json", "azure-arm", "bitbucket", "box",
    "canvas-lms", "chargebee", "circleci", "confluence", "contentful", "crossref", "datadog", "digitalocean",
    "discord", "discourse", "docusign", "dynamics-365", "elasticsearch", "facebook", "fhir", "freshdesk", "gbif",
    "gitea", "github", "github-search", "gitlab", "google", "graphql", "greenhouse", "hal", "hubspot", "hubspot-search", "intercom",
    "intercom-search", "jira", "jira-lists", "json-api", "klaviyo", "kubernetes", "linear", "link-header",
    "mailchimp", "microsoft-graph", "notion", "notion-lists", "nvd", "odata", "odata-v2", "okta", "okta-log",
    "openalex", "openfda", "opensearch", "opsgenie", "pagerduty", "paypal", "pipedrive", "posthog", "quickbooks", "recurly",
    "reddit", "rss", "s3", "salesforce", "scim", "sendgrid", "sentry", "servicenow", "shopify", "shopify-graphql", "slack",
    "socrata", "solr", "spotify", "square", "stac", "stackexchange", "strava", "stripe", "stripe-search", "trello",
    "twilio", "twitter-x", "typeform", "woocommerce", "wordpress", "xero", "zendesk", "zendesk-incremental", "zoom"
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &'static str)| Preset::read(name, text);
    FILES.iter().map(|file| read(file).expect("a test reads every preset")).collect()
});

/// Returns all presets in the order of their names.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

impl Preset {
    /// Returns the preset of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Returns the preset for an upstream's URL with the path of a collection, which may have `{name}` segments: the one with the most
    /// segments, if it has a document.
    pub(crate) fn of_host(url: &Url) -> Option<&'static Self> {
        let matches = PRESETS.iter().filter_map(|preset| {
            let segments = preset.hosts.iter().filter_map(|pattern| matched_segments(pattern, url)).max()?;
            Some((segments, preset))
        });
        // One without a document keeps those with fewer segments away: it is for a part of the API that is another.
        let (_, longest) = matches.max_by_key(|(segments, _)| *segments)?;
        (longest.verified != Verified::Unverified).then_some(longest)
    }

    /// Returns the keys without which no collection is complete, and which are left to the user.
    pub fn lacks(&self) -> impl Iterator<Item = &'static str> {
        ["records", "pagination"].into_iter().filter(|key| self.collection.get(*key).is_none())
    }

    /// Returns true for a key of a collection that the preset sets.
    pub fn sets(&self, key: &str) -> bool {
        self.collection.get(key).is_some()
    }

    fn read(name: &'static str, text: &'static str) -> Result<Self, Mistakes> {
        let notes = MistakeLog::new(text, unknown_key_hints::unknown_key);
        let bad = |what: String| Mistakes::one(name, "", what, "");
        let parsed = DeTable::parse(text).map_err(|error| bad(error.to_string()))?;
        let read = (PRESET.read)(&TomlTable::top(&notes, parsed.get_ref(), &PRESET));
        let list = notes.into_list();
        let Some(file) = read.filter(|_| list.is_empty()) else {
            return Err(Mistakes { name: name.to_owned(), list });
        };
        let mut preset = Self {
            name,
            text,
            about: file.about,
            extends: file.extends,
            verified: file.verified,
            source: file.source,
            notes: file.notes,
            hosts: file.hosts,
            upstream: inner(parsed.get_ref(), "upstream"),
            collection: inner(parsed.get_ref(), "collection"),
        };
        if let Some(base) = &preset.extends {
            let (name, text) = FILES
                .iter()
                .find(|(name, _)| name == base)
                .ok_or_else(|| bad(format!("no preset {base:?} to extend")))?;
            let base = Self::read(name, text)?;
            complete(&mut preset.upstream, &base.upstream, None);
            complete(&mut preset.collection, &base.collection, None);
        }
        Ok(preset)
    }
}

impl Verified {
    /// The word in a preset's file.
    pub fn name(self) -> &'static str {
        VERIFIED.0.iter().find(|(_, meaning)| *meaning == self).map_or("", |(name, _)| name)
    }
}

impl std::fmt::Display for PresetChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Preset { name, verified, .. } = self.preset;
        write!(f, "preset {name} ({})", verified.name())?;
        match self.by {
            ChosenBy::Key => Ok(()),
            ChosenBy::Host => f.write_str(", chosen by the host"),
        }
    }
}

fn inner(file: &DeTable<'static>, key: &str) -> DeTable<'static> {
    match file.get(key).map(toml::Spanned::get_ref) {
        Some(DeValue::Table(table)) => table.clone(),
        _ => DeTable::new(),
    }
}

fn texts(node: &TomlNode<'_>) -> Option<Vec<String>> {
    node.each(|node| node.text().map(ToOwned::to_owned))
}

/// Returns the number of segments of a `host/path` pattern, the host's among them, if it matches the beginning of a URL.
fn matched_segments(pattern: &str, url: &Url) -> Option<usize> {
    let (host, path) = pattern.split_once('/').unwrap_or((pattern, ""));
    let own = url.host_str()?;
    let is_host = match host.strip_prefix('*') {
        Some(suffix) => own.len() > suffix.len() && own.ends_with(suffix),
        None => own == host,
    };
    let wanted: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let mut segments = url.path().split('/').filter(|segment| !segment.is_empty());
    let is_path = wanted.iter().all(|wanted| segments.next().is_some_and(|own| *wanted == "*" || *wanted == own));
    (is_host && is_path).then(|| 1 + wanted.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_preset() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/presets");
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().trim_end_matches(".toml").to_owned())
            .collect();
        found.sort();
        assert_eq!(found, FILES.map(|(name, _)| name));
        for (name, text) in FILES {
            if let Err(mistakes) = Preset::read(name, text) {
                panic!("{mistakes}");
            }
        }
    }

    #[test]
    fn the_longest_pattern_of_a_documented_preset_is_chosen() {
        let chosen = |url: &str| Preset::of_host(&url.parse().unwrap()).map(|preset| preset.name);
        for (url, preset) in [
            ("https://api.github.com/repos/{owner}/{repo}/issues", Some("github")),
            ("https://acme.atlassian.net/rest/api/3/search/jql", Some("jira")),
            ("https://acme.atlassian.net/rest/api/3/project/search", Some("jira-lists")),
            ("https://api.notion.com/v1/databases/{id}/query", Some("notion")),
            ("https://api.notion.com/v1/users", Some("notion-lists")),
            ("https://api.hubapi.com/crm/v3/objects/contacts", Some("hubspot")),
            // Without a document, and another than the one with a document.
            ("https://api.hubapi.com/crm/v3/objects/contacts/search", None),
            ("https://oauth.reddit.com/r/rust/new", None),
            ("https://atlassian.net/rest/api/3/project", None),
            ("https://api.github.com.example.com/repos", None),
            ("http://127.0.0.1:8080/repos", None),
        ] {
            assert_eq!(chosen(url), preset, "{url}");
        }
    }
}
