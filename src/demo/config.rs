//! The configuration that crawls every collection of the legacy API.

use std::fmt::Write;

use super::endpoints::COLLECTIONS;

/// unpage's configuration for a legacy API at this URL, in TOML: one `[[collection]]` per path.
pub fn configuration(upstream: &str) -> String {
    let upstream = toml::Value::from(upstream);
    let mut text = String::new();
    for collection in &COLLECTIONS {
        write!(
            text,
            "# {}\n[[collection]]\npath = \"{}\"\nupstream = {upstream}\nmethod = \"{}\"\nkey = \"id\"{}\n",
            collection.about, collection.path, collection.method, collection.walk
        )
        .expect("a `String` takes every text");
    }
    text
}
