//! Any text is a configuration or a list of mistakes, each of which says something; a configuration can be routed and written.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use unpage::config::{Config, Secrets, written};

struct Known;

impl Secrets for Known {
    fn env(&self, name: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }

    fn file(&self, _: &Path) -> Result<String, String> {
        Err("no such file".to_owned())
    }
}

fuzz_target!(|text: &str| {
    match Config::read(text, "fuzz.toml", &Known) {
        Ok(config) => {
            let _routes = config.routes();
            assert!(config.collections.iter().all(|collection| !written(&collection.pagination).is_empty()));
        }
        Err(mistakes) => assert!(mistakes.list.iter().all(|mistake| !mistake.what.is_empty()), "{mistakes}"),
    }
});
