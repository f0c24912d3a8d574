//! Difference between two configurations: what a reload replaces, and the keys that need a restart.

use std::collections::BTreeMap;

use super::{Collection, Config, Secret};

/// Difference of a new configuration from the one that a server runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigDifference {
    /// Keys that differ and can't change while a server runs, as in a file.
    pub fixed: Vec<&'static str>,
    /// Paths of the collections that only the new configuration has.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Paths of the collections whose keys differ, or those of their upstream. Secrets are not compared.
    pub changed: Vec<String>,
}

impl Config {
    /// Returns the difference of a new configuration from this one.
    #[doc(hidden)]
    pub fn difference(&self, new: &Self) -> ConfigDifference {
        let (before, after) = (described(&self.collections), described(&new.collections));
        let missing_in = |others: &BTreeMap<&str, String>, all: &BTreeMap<&str, String>| {
            all.keys().filter(|path| !others.contains_key(*path)).map(|path| (*path).to_owned()).collect()
        };
        let is_changed = |(path, text): &(&&str, &String)| before.get(**path).is_some_and(|before| before != *text);
        ConfigDifference {
            fixed: self.fixed_keys(new),
            added: missing_in(&before, &after),
            removed: missing_in(&after, &before),
            changed: after.iter().filter(is_changed).map(|(path, _)| (*path).to_owned()).collect(),
        }
    }

    fn fixed_keys(&self, new: &Self) -> Vec<&'static str> {
        let (server, snapshots) = (&self.server, &self.snapshots);
        let same = [
            ("listen", self.listen == new.listen),
            ("socket_mode", self.socket_mode == new.socket_mode),
            ("tls", self.tls == new.tls),
            ("admin", self.admin == new.admin),
            ("admin_token", is_same_source(self.admin_token.as_ref(), new.admin_token.as_ref())),
            ("admin_open", self.admin_access == new.admin_access),
            ("admin_actions", self.admin_actions == new.admin_actions),
            ("access_log", server.access_log == new.server.access_log),
            ("proxy_protocol", server.peers.proxy_protocol == new.server.peers.proxy_protocol),
            ("trusted_proxies", server.peers.trusted_proxies == new.server.peers.trusted_proxies),
            ("hosts", server.hosts == new.server.hosts),
            ("codings, coded_streams", self.codings == new.codings),
            ("[limits]", server.limits == new.server.limits),
            ("[drain]", server.drain == new.server.drain),
            (
                "dir, memory, disk, linger, ahead, slow_reader, stall of [snapshots]",
                snapshots.settings == new.snapshots.settings,
            ),
            ("keep_for of [snapshots]", snapshots.keep_for == new.snapshots.keep_for),
            ("crawls of [snapshots]", snapshots.crawls == new.snapshots.crawls),
            ("opens of [snapshots]", snapshots.opens == new.snapshots.opens),
            ("resume_on_start of [snapshots]", snapshots.on_start == new.snapshots.on_start),
        ];
        same.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
    }
}

fn is_same_source(before: Option<&Secret>, after: Option<&Secret>) -> bool {
    before.zip(after).map_or(before.is_some() == after.is_some(), |(before, after)| before.is_same_source(after))
}

fn described(collections: &[std::sync::Arc<Collection>]) -> BTreeMap<&str, String> {
    collections.iter().map(|collection| (collection.path.as_str(), format!("{collection:?}"))).collect()
}
