//! `credentials = { … }`, a list of several that a request has at once, or a pool of several that are interchangeable.

use http::header::AUTHORIZATION;

use super::credentials::{AwsKeys, Credential, Credentials, FieldForm, MemberChoice, SecretPlace};
use super::key_names::Level;
use super::secret::Secret;
use super::secrets::{self, HINT, Secrets};
use super::token_key;
use super::toml_node::{TomlNode, TomlTable};
use super::urls_and_headers::secret_field;

pub(super) static CREDENTIALS: Level =
    Level { name: "credentials", keys: &["bearer", "basic", "header", "query", "token", "aws"], others: &[] };
pub(super) static POOL: Level = Level { name: "credentials", keys: &["pool", "sticky"], others: &[] };
pub(super) static AWS: Level = Level {
    name: "credentials.aws",
    keys: &["service", "region", "access_key", "secret_key", "session_token"],
    others: &[],
};
pub(super) static BASIC: Level = Level { name: "credentials.basic", keys: &["user", "password"], others: &[] };
pub(super) static NAMED: Level = Level { name: "credentials.header and .query", keys: &["name", "value"], others: &[] };

/// Reads `credentials = { … }`, a list of such tables, or a pool.
pub(super) fn read(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credentials> {
    if node.member("pool").is_none() {
        return Some(Credentials { members: vec![set(node, secrets)?], choice: MemberChoice::default() });
    }
    let table = node.table(&POOL)?;
    let members = table.maybe("pool", |node| {
        let members: Vec<_> = node.list()?.iter().map(|member| set(member, secrets)).collect();
        match members.len() {
            1 => node.refuse("a pool of one", "name several that are interchangeable, or write it without pool"),
            _ => members.into_iter().collect::<Option<Vec<_>>>(),
        }
    });
    let choice = table.maybe("sticky", TomlNode::flag).map_or(MemberChoice::default(), |is_sticky| match is_sticky {
        true => MemberChoice::Crawl,
        false => MemberChoice::Page,
    });
    Some(Credentials { members: members?, choice })
}

/// Reads the credentials that a request has at once.
fn set(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Vec<Credential>> {
    let all = node.each(|node| one(node, secrets))?;
    let is_taken = |at: usize| all[..at].iter().any(|other| other.place().is_that_of(all[at].place()));
    if (0..all.len()).any(is_taken) {
        return node.refuse("two credentials in one field or parameter", "write each once");
    }
    Some(all)
}

fn one(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credential> {
    if node.value.is_str() {
        return node.refuse("a secret must not stand in this file", format!("{HINT} inside {{ bearer = … }}"));
    }
    let table = node.table(&CREDENTIALS)?;
    let kinds: Vec<_> = CREDENTIALS.keys.iter().filter_map(|key| Some((*key, table.get(key)?))).collect();
    let [(kind, node)] = kinds.as_slice() else {
        let what = if kinds.is_empty() { "no kind of credentials" } else { "several kinds of credentials" };
        return node.refuse(
            what,
            "write one of bearer, basic, header, query, token, aws; several at once are a list: [{ … }, { … }]",
        );
    };
    match *kind {
        "bearer" => {
            let place = SecretPlace::Header(AUTHORIZATION, FieldForm::Prefixed("Bearer "));
            fixed(node, place, secrets::secret(node, secrets)?)
        }
        "basic" => basic(node, secrets),
        "token" => token_key::read(node, secrets),
        "aws" => aws(node, secrets),
        "header" => {
            let (name, value) = named(node, secrets, secret_field)?;
            fixed(node, SecretPlace::Header(name, FieldForm::Prefixed("")), value)
        }
        _ => {
            let (name, value) = named(node, secrets, |node| node.text().map(ToOwned::to_owned))?;
            fixed(node, SecretPlace::Query(name), value)
        }
    }
}

fn fixed(node: &TomlNode<'_>, place: SecretPlace, secret: Secret) -> Option<Credential> {
    let secret = carried(node, &place, secret)?;
    Some(Credential::Fixed(place, secret))
}

/// Returns the secret if a request can have it in this place.
fn carried(node: &TomlNode<'_>, place: &SecretPlace, secret: Secret) -> Option<Secret> {
    if !place.carries(secret.expose()) {
        let hint = "look for line breaks or control characters in it";
        return node.refuse("a header field can't carry this secret", hint);
    }
    Some(secret)
}

fn basic(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credential> {
    let table = node.table(&BASIC)?;
    let user = table.must("user", "write user = \"…\" (it may be empty)", |node| match node.any_text()? {
        user if user.contains(':') => node.refuse("a user name has no colon (RFC 7617)", "split it at the colon"),
        user => Some(user),
    });
    let password = secret_of(&table, "password", secrets);
    fixed(node, SecretPlace::Header(AUTHORIZATION, FieldForm::Basic(user?.to_owned())), password?)
}

fn aws(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Credential> {
    let table = node.table(&AWS)?;
    let service = table.must("service", "write service = \"execute-api\", or as it is in signatures", scope_part);
    let region = table.must("region", "write region = \"eu-west-1\"", scope_part);
    let key = |place: SecretPlace| {
        move |node: &TomlNode<'_>| secrets::secret(node, secrets).and_then(|secret| carried(node, &place, secret))
    };
    let access_key = table.must("access_key", HINT, key(SecretPlace::AWS_SIGNATURE));
    let secret_key = secret_of(&table, "secret_key", secrets);
    let session_token = table.maybe("session_token", key(SecretPlace::AWS_SESSION_TOKEN));
    let (service, region) = (service?, region?);
    let keys = AwsKeys { service, region, access_key: access_key?, secret_key: secret_key?, session_token };
    Some(Credential::Aws(Box::new(keys)))
}

/// Reads a part of the scope of signatures, whose parts are separated by slashes.
fn scope_part(node: &TomlNode<'_>) -> Option<String> {
    let name = node.text()?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        let hint = "write the name alone: service = \"execute-api\", region = \"eu-west-1\"";
        return node.refuse(format!("not the name of a service or region of AWS: {name:?}"), hint);
    }
    Some(name.to_owned())
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
    table.must(key, HINT, |node| secrets::secret(node, secrets))
}
