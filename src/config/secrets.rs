//! Credentials. Their secrets never stand in the configuration, but in the environment or in files.

use std::path::Path;

use super::key_names::Level;
use super::secret::Secret;
use super::toml_node::TomlNode;

pub(super) static SECRET: Level = Level { name: "a secret", keys: &["env", "file"], others: &[] };

pub(super) const HINT: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

/// Source of secrets; an error says why one can't be read.
pub trait Secrets {
    fn env(&self, name: &str) -> Result<String, String>;
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// Environment of the process, and files.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Secrets for Machine {
    fn env(&self, name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| error.to_string())
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }
}

pub(super) fn secret(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Secret> {
    if node.value.is_str() {
        return node.refuse("a secret must not stand in this file", HINT);
    }
    let table = node.table(&SECRET)?;
    let (from, text, file) = match (table.get("env"), table.get("file")) {
        (Some(env), None) => {
            let name = env.text()?;
            (format!("environment variable {name}"), secrets.env(name), None)
        }
        (None, Some(file)) => {
            let path = file.text()?;
            (format!("file {path}"), secrets.file(Path::new(path)), Some(Path::new(path)))
        }
        _ => return node.refuse("a secret comes from exactly one place", HINT),
    };
    match text.as_deref().map(without_line_end) {
        Ok("") => node.refuse(format!("{from} is empty"), "set it to the secret before unpage starts"),
        Ok(text) => Some(match file {
            Some(file) => Secret::in_file(text.to_owned(), file),
            None => Secret::new(text.to_owned()),
        }),
        Err(why) => node.refuse(format!("{from}: {why}"), "it is read when unpage starts: set it to the secret before"),
    }
}

/// Returns a secret without the line end behind it in its file.
pub fn without_line_end(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}
