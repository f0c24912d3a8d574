//! Credentials. Their secrets never stand in the configuration, but in the environment or in files.

use std::path::Path;

use http::header::AUTHORIZATION;

use super::key_names::Level;
use super::toml_node::{TomlNode, TomlTable};
use super::urls_and_headers::header_name;
use super::{Credentials, FieldForm, Secret, SecretPlace};

pub(super) static CREDENTIALS: Level =
    Level { name: "credentials", keys: &["bearer", "basic", "header", "query"], others: &[] };
pub(super) static BASIC: Level = Level { name: "credentials.basic", keys: &["user", "password"], others: &[] };
pub(super) static NAMED: Level = Level { name: "credentials.header and .query", keys: &["name", "value"], others: &[] };
pub(super) static SECRET: Level = Level { name: "a secret", keys: &["env", "file"], others: &[] };

const HINT: &str = "write { env = \"NAME\" } or { file = \"PATH\" }";

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

/// Reads `credentials = { … }`.
pub(super) fn credentials(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credentials> {
    if node.value.is_str() {
        return node.refuse("a secret must not stand in this file", format!("{HINT} inside {{ bearer = … }}"));
    }
    let table = node.table(&CREDENTIALS)?;
    let kinds: Vec<_> = CREDENTIALS.keys.iter().filter_map(|key| Some((*key, table.get(key)?))).collect();
    let [(kind, node)] = kinds.as_slice() else {
        let what = if kinds.is_empty() { "no kind of credentials" } else { "several kinds of credentials" };
        return node.refuse(what, "write one of bearer, basic, header, query");
    };
    match *kind {
        "bearer" => {
            let place = SecretPlace::Header(AUTHORIZATION, FieldForm::Prefixed("Bearer "));
            fixed(node, place, secret(node, secrets)?)
        }
        "basic" => basic(node, secrets),
        "header" => {
            let (name, value) = named(node, secrets, header_name)?;
            fixed(node, SecretPlace::Header(name, FieldForm::Prefixed("")), value)
        }
        _ => {
            let (name, value) = named(node, secrets, |node| node.text().map(ToOwned::to_owned))?;
            fixed(node, SecretPlace::Query(name), value)
        }
    }
}

fn fixed(node: &TomlNode<'_>, place: SecretPlace, secret: Secret) -> Option<Credentials> {
    if !place.carries(secret.expose()) {
        let hint = "look for line breaks or control characters in it";
        return node.refuse("a header field can't carry this secret", hint);
    }
    Some(Credentials::Fixed(place, secret))
}

fn basic(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credentials> {
    let table = node.table(&BASIC)?;
    let user = table.must("user", "write user = \"…\" (it may be empty)", |node| match node.any_text()? {
        user if user.contains(':') => node.refuse("a user name has no colon (RFC 7617)", "split it at the colon"),
        user => Some(user),
    });
    let password = secret_of(&table, "password", secrets);
    fixed(node, SecretPlace::Header(AUTHORIZATION, FieldForm::Basic(user?.to_owned())), password?)
}

fn named<'a, N>(
    node: &TomlNode<'a>,
    secrets: &dyn Secrets,
    name: impl FnOnce(&TomlNode<'a>) -> Option<N>,
) -> Option<(N, Secret)> {
    let table = node.table(&NAMED)?;
    let name = table.must("name", "write name = \"…\"", name);
    let value = secret_of(&table, "value", secrets);
    Some((name?, value?))
}

fn secret_of(table: &TomlTable<'_>, key: &str, secrets: &dyn Secrets) -> Option<Secret> {
    table.must(key, HINT, |node| secret(node, secrets))
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
