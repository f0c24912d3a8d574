//! Reads a configuration's text: parses it, reads the tables, and compares them with each other.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

use super::collection::{self, Upstreams};
use super::key_names::TOP;
use super::mistake::Mistakes;
use super::secrets::{Machine, Secrets};
use super::toml_node::{MistakeLog, TomlNode, TomlTable};
use super::unknown_key_hints;
use super::upstream::UPSTREAM;
use super::{Caps, Collection, Config, Snapshots, Upstream, snapshots, upstream, urls_and_headers};
use crate::pagination::{Pagination, Records, Style};

/// unpage's own query parameters and their defaults.
const PARAMS: [(&str, &str); 4] =
    [("format_param", "_format"), ("snapshot_param", "_snapshot"), ("since_param", "_since"), ("end_param", "_end")];

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
        Self::transparent(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), url).map_err(|mut mistakes| {
            mistakes.list.iter_mut().for_each(|mistake| "upstream".clone_into(&mut mistake.at));
            mistakes
        })
    }

    /// Reads a configuration file in TOML and the secrets that it names.
    ///
    /// # Errors
    /// Returns every mistake at once, each with its line and a remedy.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(&text, &name, &Machine),
            Err(error) => Err(Mistakes::one(&name, "", error.to_string(), "name a readable file of UTF-8 text")),
        }
    }

    /// Reads a text; `name` is what its mistakes call it.
    pub fn read(text: &str, name: &str, secrets: &dyn Secrets) -> Result<Self, Mistakes> {
        let notes = MistakeLog::new(text, unknown_key_hints::unknown_key);
        let (entries, broken) = DeTable::parse_recoverable(text);
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
        let config =
            if broken.is_empty() { top(&TomlTable::top(&notes, entries.get_ref(), &TOP), secrets) } else { None };
        let list = notes.into_list();
        match config {
            Some(config) if list.is_empty() => Ok(config),
            _ => Err(Mistakes { name: name.to_owned(), list }),
        }
    }

    /// One collection of everything that an upstream has, its pagination to be recognised.
    pub fn transparent(listen: SocketAddr, upstream: &str) -> Result<Self, Mistakes> {
        let mut url =
            urls_and_headers::base_url(upstream).map_err(|(what, hint)| Mistakes::one("", "--upstream", what, hint))?;
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let found_later = Records { paths: Vec::new(), ..Records::at(crate::pagination::Path::root()) };
        let collection = Collection {
            path: "/{*rest}".to_owned(),
            method: http::Method::GET,
            body: None,
            upstream_path: None,
            upstream: Arc::new(Upstream::at(url)),
            pagination: Arc::new(Pagination::of(Style::AUTO, found_later)),
            caps: Caps::default(),
            sharing: Snapshots::default().sharing(),
        };
        let collections = vec![Arc::new(collection)];
        let [format_param, snapshot_param, since_param, end_param] = PARAMS.map(|(_, default)| default.to_owned());
        let snapshots = Snapshots::default();
        Ok(Self { listen, admin: None, format_param, snapshot_param, since_param, end_param, snapshots, collections })
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
fn bare_parent(path: &str) -> Option<&str> {
    let (parent, _) = path.split_once("{*")?;
    parent.ends_with('/').then_some(parent)
}

fn top(table: &TomlTable<'_>, secrets: &dyn Secrets) -> Option<Config> {
    let listen = table.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), |node| {
        address(node, "write listen = \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every interface")
    });
    let admin = table.maybe("admin", |node| admin(node, listen));
    let [format_param, snapshot_param, since_param, end_param] = params(table);
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
    let collections: Vec<_> =
        nodes.iter().map(|node| collection::read(node, &upstreams, &snapshots, secrets)).collect();
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
    let collections = collections.into_iter().map(|collection| collection.map(Arc::new)).collect::<Option<_>>()?;
    Some(Config { listen, admin, format_param, snapshot_param, since_param, end_param, snapshots, collections })
}

fn shared(name: &str, node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Arc<Upstream>> {
    if name.contains("://") {
        return node.refuse("a name that looks like a URL", "write [upstream.NAME] with url = \"https://…\" in it");
    }
    let table = node.table(&UPSTREAM)?;
    let url = table.must("url", "write url = \"https://api.example.com\"", urls_and_headers::url);
    upstream::read(&table, url, "aliases", secrets).map(Arc::new)
}

fn address(node: &TomlNode<'_>, hint: &str) -> Option<SocketAddr> {
    let text = node.text()?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => node.refuse(format!("not an address and port: {text:?}"), hint),
    }
}

fn admin(node: &TomlNode<'_>, listen: SocketAddr) -> Option<SocketAddr> {
    let hint = "write admin = \"127.0.0.1:9090\": any client that can connect reads it without credentials";
    let admin = address(node, hint)?;
    // Each port 0 is another free one.
    let is_shared = admin.port() == listen.port() && admin.port() != 0;
    if is_shared && (admin.ip() == listen.ip() || admin.ip().is_unspecified() || listen.ip().is_unspecified()) {
        return node.refuse(
            format!("listen has this port already: {listen}"),
            "give one of them another port: clients of the proxy are not meant to reach admin",
        );
    }
    Some(admin)
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
        assert!(top(&TomlTable::top(&notes, entries.get_ref(), &TOP), &Anything).is_some());
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
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config::transparent(listen, "http://127.0.0.1:1/api/").unwrap();
        assert_eq!(config.collections[0].upstream.url.as_str(), "http://127.0.0.1:1/api");
        let routes = config.routes();
        for path in ["/", "/a", "/a/b"] {
            assert_eq!(routes.at(path).unwrap().value.path, "/{*rest}", "{path}");
        }
        let mistakes = Config::transparent(listen, "http://a:b@c").unwrap_err().to_string();
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
