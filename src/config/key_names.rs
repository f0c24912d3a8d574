//! Names of tables and of their keys, for messages and the check for unknown keys.

/// Keys of one kind of table.
pub(super) trait KeyNames: Sync {
    fn name(&self) -> &'static str;

    fn keys(&self) -> Vec<&'static str>;
}

/// A table whose keys are read by code, because they depend on each other or on other tables.
pub(super) struct Level {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
    /// Keys of these are keys of this table, too.
    pub(super) others: &'static [&'static dyn KeyNames],
}

impl KeyNames for Level {
    fn name(&self) -> &'static str {
        self.name
    }

    fn keys(&self) -> Vec<&'static str> {
        self.keys.iter().copied().chain(self.others.iter().flat_map(|other| other.keys())).collect()
    }
}

/// The file itself. Its table is read in `read.rs`, which knows the hints, and they know all tables.
pub(super) static TOP: Level = Level {
    name: "the top of the file",
    keys: &[
        "listen",
        "socket_mode",
        "access_log",
        "tls",
        "proxy_protocol",
        "trusted_proxies",
        "admin_token",
        "admin_open",
        "admin_actions",
        "admin",
        "hosts",
        "format_param",
        "snapshot_param",
        "since_param",
        "end_param",
        "wait_param",
        "codings",
        "coded_streams",
        "columns_param",
        "fields_param",
        "limits",
        "drain",
        "snapshots",
        "collection",
        "upstream",
    ],
    others: &[],
};
