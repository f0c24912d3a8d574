//! `[tls]`: certificates towards clients, and those of clients.

use std::path::PathBuf;

use super::key_names::Level;
use super::keywords::Words;
use super::table_schema::{ReadOnly, Schema, rule, table};
use super::toml_node::{TomlNode, TomlTable};
use crate::server::{CertificatePair, ClientAuth, MinVersion, TlsSettings};

pub(super) static TLS: Level =
    Level { name: "[tls]", keys: &["cert", "key", "pairs", "client_ca", "client_auth", "min"], others: &[] };

const CERT: &str = "write cert = \"tls.crt\": a PEM file of the certificate and its chain";
const KEY: &str = "write key = \"tls.key\": a PEM file of the certificate's key";

table! {
    read pub(super) PAIR "tls.pairs": CertificatePair = CertificatePair {
        "cert" => cert: ReadOnly(file), required(CERT);
        "key" => key: ReadOnly(file), required(KEY);
    }
}

static CLIENT_AUTH: Words<fn(PathBuf) -> ClientAuth> =
    Words(&[("required", ClientAuth::Required), ("optional", ClientAuth::Optional)]);

static MIN_VERSIONS: Words<MinVersion> = Words(&[("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)]);

fn file(node: &TomlNode<'_>) -> Option<PathBuf> {
    node.text().map(PathBuf::from)
}

pub(super) fn read(node: &TomlNode<'_>) -> Option<TlsSettings> {
    let table = node.table(&TLS)?;
    let pairs = pairs(&table);
    let authorities = table.maybe("client_ca", file);
    let auth = table.or("client_auth", CLIENT_AUTH.usual(), |node| CLIENT_AUTH.read(node));
    if table.get("client_auth").is_some() && table.get("client_ca").is_none() {
        let hint = "write client_ca = \"clients.pem\" too: a PEM file of the authorities that sign them";
        table.refuse_at::<()>("client_auth", "no authority signs certificates of clients", hint);
    }
    let min = table.or("min", MIN_VERSIONS.usual(), |node| MIN_VERSIONS.read(node));
    Some(TlsSettings { pairs: pairs?, client_auth: authorities.map_or(ClientAuth::None, auth), min })
}

/// Reads `cert` and `key`, and the further pairs.
fn pairs(table: &TomlTable<'_>) -> Option<Vec<CertificatePair>> {
    let mut pairs = table.maybe("pairs", |node| node.each(|pair| PAIR.read(pair))).unwrap_or_default();
    if table.get("pairs").is_none() || table.get("cert").is_some() || table.get("key").is_some() {
        let (cert, key) = (table.must("cert", CERT, file), table.must("key", KEY, file));
        pairs.insert(0, CertificatePair { cert: cert?, key: key? });
    }
    Some(pairs)
}
