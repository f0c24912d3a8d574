//! `proxy`: the way to an upstream through an HTTP proxy.

use url::Url;

use super::Secret;
use super::secrets::{self, Secrets};
use super::toml_node::TomlNode;

/// Proxy in front of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    None,
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, read when the upstream's client is made.
    Environment,
    /// `http://host:port`, perhaps with a user name and password.
    At(Secret),
}

const HINT: &str = "write \"none\", \"env\" or \"http://HOST:PORT\"";

impl Proxy {
    /// Reads `none`, `env` or a proxy's URL; the error is a description and a hint, without the URL.
    pub fn from_text(text: &str) -> Result<Self, (String, &'static str)> {
        let url = match text {
            "none" => return Ok(Self::None),
            "env" => return Ok(Self::Environment),
            _ => Url::parse(text).map_err(|error| (format!("no URL of a proxy: {error}"), HINT))?,
        };
        match url.scheme() {
            "http" if url.path() == "/" && url.query().is_none() => Ok(Self::At(Secret::new(text.to_owned()))),
            "http" => Err(("a proxy is a host and a port, and this has a path".to_owned(), HINT)),
            scheme => Err((format!("unpage speaks HTTP with a proxy, not {scheme}"), HINT)),
        }
    }
}

/// Reads `proxy = "env"`, or the place of a URL that is a secret.
pub(super) fn read(node: &TomlNode<'_>, secrets: &dyn Secrets) -> Option<Proxy> {
    let text = if node.value.is_str() {
        let text = node.text()?;
        if text.contains('@') {
            let hint = "name its place: proxy = { env = \"NAME\" } or { file = \"PATH\" }, with the whole URL";
            return node.refuse("a password of a proxy must not stand in this file", hint);
        }
        text.to_owned()
    } else {
        secrets::secret(node, secrets)?.expose().to_owned()
    };
    Proxy::from_text(&text).map_err(|(what, hint)| node.refuse::<()>(what, hint)).ok()
}
