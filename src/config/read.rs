//! Reads a configuration's text: parses it, reads the tables, and compares them with each other.

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::collection::{self, Upstreams};
use super::key_names::TOP;
use super::layers::{self, Overlay};
use super::mistake::{Mistake, Mistakes};
use super::presets::PresetChoice;
use super::secrets::{Machine, Secrets};
use super::server::{self, DRAIN, LIMITS, PROXY_PROTOCOL};
use super::toml_node::{MistakeLog, TomlNode, TomlTable};
use super::unknown_key_hints;
use super::upstream::UPSTREAM;
use super::{
    AdminAccess, AdminActions, Collection, Config, Upstream, codings, listen, parent, secrets, snapshots, tls,
    toml_text, upstream, urls_and_headers,
};
use crate::server::{AccessLog, HostList, PeerSettings, ResponseSpans, ServerSettings};

/// unpage's own query parameters and their defaults.
const PARAMS: [(&str, &str); 7] = [
    ("format_param", "_format"),
    ("snapshot_param", "_snapshot"),
    ("since_param", "_since"),
    ("end_param", "_end"),
    ("wait_param", "_wait"),
    ("columns_param", "_columns"),
    ("fields_param", "_fields"),
];

impl Config {
    /// Reads a configuration in TOML, as `config/unpage.toml` documents it, and the secrets that it names.
    ///
    /// # Errors
    /// Returns every mistake at once, each with its line and a remedy.
    pub fn from_toml(text: &str) -> Result<Self, Mistakes> {
        Self::read(text, "configuration", &Machine)
    }

    /// Returns a configuration for all paths of an API whose pagination is to be recognised.
    ///
    /// # Errors
    /// Fails where the text is no base URL of an API.
    pub fn for_upstream(url: &str) -> Result<Self, Mistakes> {
        Self::transparent(url).map_err(|mut mistakes| {
            mistakes.list.iter_mut().for_each(|mistake| "upstream".clone_into(&mut mistake.at));
            mistakes
        })
    }

    /// Reads a configuration file in TOML and the secrets that it names.
    ///
    /// # Errors
    /// Returns every mistake at once, each with its line and a remedy.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        Self::load_with(path, &Machine)
    }

    /// Reads a configuration file in TOML with these secrets.
    #[doc(hidden)]
    pub fn load_with(path: &Path, secrets: &dyn Secrets) -> Result<Self, Mistakes> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&text, &name, secrets),
            Err(error) => Err(Mistakes::one(&name, "", error.to_string(), "name a readable file of UTF-8 text")),
        }
    }

    /// Reads a text; `name` is what its mistakes call it.
    pub fn read(text: &str, name: &str, secrets: &dyn Secrets) -> Result<Self, Mistakes> {
        Self::read_layers(text, name, secrets, |_| None)
    }

    /// Reads a text above its presets and below an overlay, which may depend on the text.
    pub(super) fn read_layers<'a>(
        text: &'a str,
        name: &str,
        secrets: &dyn Secrets,
        overlay: impl FnOnce(&DeTable<'a>) -> Option<Overlay<'a>>,
    ) -> Result<Self, Mistakes> {
        let notes = MistakeLog::new(text, unknown_key_hints::unknown_key);
        let (mut entries, broken) = DeTable::parse_recoverable(text);
        for error in &broken {
            let span = error.span().unwrap_or(0..0);
            let mut what = error.message().replace('\n', "; ");
            // Only a key is repeated: what else is broken may hold a secret.
            if let ("duplicate key", Some(key)) = (what.as_str(), text.get(span.clone())) {
                what = format!("duplicate key: {key}");
            }
            notes.note("", span.start, what, String::new());
        }
        // What a recovering parser makes of a broken text would only be blamed for more.
        let config = if broken.is_empty() {
            let overlay = overlay(entries.get_ref());
            let presets = layers::settle(entries.get_mut(), overlay, &notes);
            top(&TomlTable::top(&notes, entries.get_ref(), &TOP), &presets, secrets)
        } else {
            None
        };
        let list = notes.into_list();
        match config {
            Some(config) if list.is_empty() => Ok(config),
            _ => Err(Mistakes { name: name.to_owned(), list }),
        }
    }

    /// One collection of everything that an upstream has: by the preset of its host, or its pagination is to be recognised.
    pub fn transparent(upstream: &str) -> Result<Self, Mistakes> {
        Self::of_upstream(upstream, None)
    }

    /// The same by this preset, or by none where the name is `none`.
    pub fn of_upstream(upstream: &str, preset: Option<&str>) -> Result<Self, Mistakes> {
        let upstream = toml_text::text(upstream);
        let preset = preset.map_or(String::new(), |name| format!("preset = {}\n", toml_text::text(name)));
        let text = format!("[[collection]]\npath = \"/{{*rest}}\"\nupstream = {upstream}\n{preset}");
        Self::read(&text, "", &Machine).map_err(|Mistakes { list, .. }| {
            let of_option = |mut mistake: Mistake| {
                if mistake.what.starts_with("neither a URL") {
                    mistake.what = format!("not a URL: {upstream}");
                    "write https://HOST, or HOST:PORT for http".clone_into(&mut mistake.hint);
                }
                let option = if mistake.at.ends_with("preset") { "--preset" } else { "--upstream" };
                Mistake { at: option.to_owned(), place: None, ..mistake }
            };
            Mistakes { name: String::new(), list: list.into_iter().map(of_option).collect() }
        })
    }

    /// Returns a router from paths to collections. `{*rest}` also matches nothing: `/{*rest}` serves `/` too, unless another collection does.
    pub fn routes(&self) -> matchit::Router<Arc<Collection>> {
        let mut router = matchit::Router::new();
        for collection in &self.collections {
            router.insert(&collection.path, collection.clone()).expect("`read` refuses paths that conflict");
        }
        for collection in &self.collections {
            if let Some(parent) = bare_parent(&collection.path) {
                // A collection that has this path itself goes first.
                let _taken = router.insert(parent, collection.clone());
            }
        }
        router
    }
}

/// Returns the path without `{*rest}`, where that may match nothing.
pub(super) fn bare_parent(path: &str) -> Option<&str> {
    let (parent, _) = path.split_once("{*")?;
    parent.ends_with('/').then_some(parent)
}

fn top(table: &TomlTable<'_>, presets: &[Option<PresetChoice>], secrets: &dyn Secrets) -> Option<Config> {
    let listen = table.or("listen", listen::usual(), listen::read);
    let socket_mode = table.or("socket_mode", listen::SOCKET_MODE, listen::socket_mode);
    let tls = table.maybe("tls", tls::read);
    let admin_token = table.maybe("admin_token", |node| secrets::secret(node, secrets));
    let admin_access = table.or("admin_open", AdminAccess::Guarded, |node| listen::ADMIN_ACCESS.read(node));
    let admin = table.maybe("admin", |node| listen::admin(node, &listen));
    if admin.is_some_and(|admin| !admin_access.suffices(admin, admin_token.as_ref()))
        && !["admin", "admin_token"].iter().any(|key| table.notes.wrong_at(key))
    {
        table.refuse_at::<()>(
            "admin",
            "this address is not this machine's alone, and there is no admin_token",
            listen::ADMIN_HINT,
        );
    }
    let admin_actions = table.or("admin_actions", AdminActions::Refused, |node| listen::ADMIN_ACTIONS.read(node));
    if admin.is_some_and(|admin| !admin_actions.are_safe(admin, admin_token.as_ref())) && !table.notes.wrong_at("admin")
    {
        table.refuse_at::<()>(
            "admin_actions",
            "admin is not this machine's alone, and actions there need admin_token",
            "write admin_token = { file = \"PATH\" }, or leave admin_actions out",
        );
    }
    let [format_param, snapshot_param, since_param, end_param, wait_param, columns_param, fields_param] = params(table);
    let server = ServerSettings {
        limits: table.maybe("limits", |node| LIMITS.read(node)).unwrap_or_default(),
        drain: table.maybe("drain", |node| DRAIN.read(node)).unwrap_or_default(),
        peers: PeerSettings {
            proxy_protocol: table.maybe("proxy_protocol", |node| PROXY_PROTOCOL.read(node)),
            trusted_proxies: table.maybe("trusted_proxies", listen::peers).unwrap_or_default(),
        },
        hosts: table.maybe("hosts", |node| node.each(server::host)).map(HostList::of),
        access_log: table.or("access_log", AccessLog::Off, |node| listen::ACCESS_LOG.read(node)),
        spans: ResponseSpans::On,
    };
    let snapshots = table.maybe("snapshots", snapshots::read).unwrap_or_default();
    let named = table.maybe("upstream", TomlNode::named).unwrap_or_default();
    let upstreams: Upstreams<'_> = named.iter().map(|(name, node)| (*name, shared(name, node, secrets))).collect();
    let hint = "write at least one [[collection]] with path, upstream, records and pagination";
    let nodes = table.must("collection", hint, |node| {
        if node.value.is_table() {
            return node.refuse("one table where a list of them belongs", "write [[collection]] with two brackets");
        }
        node.list()
    })?;
    let read = |(at, node)| {
        let collection = collection::read(node, &upstreams, &snapshots, secrets)?;
        Some(collection.with_preset(presets.get(at).copied().flatten()))
    };
    let collections: Vec<_> = nodes.iter().enumerate().map(read).collect();
    let mut router = matchit::Router::new();
    for (node, collection) in nodes.iter().zip(&collections) {
        let Some(Collection { path, .. }) = collection else { continue };
        if let Err(matchit::InsertError::Conflict { with }) = router.insert(path, ()) {
            let place = node.member("path").unwrap_or_else(|| node.clone());
            place.refuse::<()>(
                format!("{path} is already served by the collection of {with}"),
                "give one of them another path; upstream_path says what the upstream is asked for",
            );
        }
    }
    parent::check(&nodes, &collections);
    let collections = collections.into_iter().map(|collection| collection.map(Arc::new)).collect::<Option<_>>()?;
    Some(Config {
        listen,
        socket_mode,
        tls,
        admin,
        admin_token,
        admin_access,
        admin_actions,
        format_param,
        snapshot_param,
        since_param,
        end_param,
        wait_param,
        codings: codings::read(table),
        columns_param,
        fields_param,
        server,
        snapshots,
        collections,
    })
}

fn shared(name: &str, node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Arc<Upstream>> {
    if name.contains("://") {
        return node.refuse("a name that looks like a URL", "write [upstream.NAME] with url = \"https://…\" in it");
    }
    let table = node.table(&UPSTREAM)?;
    let place = table.must("url", "write url = \"https://api.example.com\"", urls_and_headers::place);
    upstream::read(&table, place, "aliases", secrets).map(Arc::new)
}

/// Reads unpage's own query parameters, which must differ.
fn params(table: &TomlTable<'_>) -> [String; PARAMS.len()] {
    let params =
        PARAMS.map(|(key, default)| table.or(key, default.to_owned(), |node| node.text().map(ToOwned::to_owned)));
    for (at, (key, _)) in PARAMS.iter().enumerate() {
        if let Some(other) = params[..at].iter().position(|earlier| *earlier == params[at]) {
            let what = format!("the same parameter as {}", PARAMS[other].0);
            table.refuse_at::<()>(key, what, "give each of them a name of its own");
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_names::KeyNames;
    use crate::pagination::Style;

    struct Anything;

    impl Secrets for Anything {
        fn env(&self, name: &str) -> Result<String, String> {
            Ok(name.to_owned())
        }

        fn file(&self, path: &Path) -> Result<String, String> {
            Ok(path.display().to_string())
        }
    }

    /// `config/unpage.toml` is the reference: it loads, and shows every key.
    #[test]
    fn the_annotated_file_shows_every_key() {
        let text = include_str!("../../config/unpage.toml");
        if let Err(mistakes) = Config::read(text, "config/unpage.toml", &Anything) {
            panic!("{mistakes}");
        }
        let notes = MistakeLog::new(text, unknown_key_hints::unknown_key);
        let entries = DeTable::parse(text).unwrap();
        assert!(top(&TomlTable::top(&notes, entries.get_ref(), &TOP), &[], &Anything).is_some());
        let met = notes.met.into_inner();
        let styles = Style::SCHEMAS.iter().map(|schema| *schema as &dyn KeyNames);
        let levels = unknown_key_hints::LEVELS.into_iter().chain(styles);
        let known: Vec<_> = levels.flat_map(|level| level.keys().into_iter().map(|key| (level.name(), key))).collect();
        assert!(known.len() > 100, "{} keys", known.len());
        let missing: Vec<_> = known.iter().filter(|key| !met.contains(key)).collect();
        assert!(missing.is_empty(), "config/unpage.toml does not show {missing:?}");
    }

    #[test]
    fn the_rest_may_be_empty() {
        let config = Config::transparent("http://127.0.0.1:1/api/").unwrap();
        assert_eq!(config.collections[0].upstream.url.as_str(), "http://127.0.0.1:1/api");
        let routes = config.routes();
        for path in ["/", "/a", "/a/b"] {
            assert_eq!(routes.at(path).unwrap().value.path, "/{*rest}", "{path}");
        }
        let mistakes = Config::transparent("http://a:b@c").unwrap_err().to_string();
        assert!(mistakes.starts_with("--upstream: a user or password in a URL"), "{mistakes}");
    }

    #[test]
    fn a_path_of_its_own_goes_before_the_empty_rest() {
        let collection = |path: &str| {
            format!(
                "[[collection]]\npath = \"{path}\"\nupstream = \"http://a\"\nrecords = \"$\"\npagination = \"none\"\n"
            )
        };
        let text = collection("/a/{*rest}") + &collection("/a/") + &collection("/{*rest}");
        let config = Config::read(&text, "", &Anything).unwrap();
        let routes = config.routes();
        let served = |path: &str| routes.at(path).unwrap().value.path.as_str();
        assert_eq!(
            [served("/a/"), served("/a/b"), served("/a"), served("/")],
            ["/a/", "/a/{*rest}", "/{*rest}", "/{*rest}"]
        );
    }
}
