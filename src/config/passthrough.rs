//! `passthrough`: requests that are passed through with the configured credentials, besides those for the pages of a collection.

use http::Method;

use super::toml_node::TomlNode;

const HINT: &str =
    "write passthrough = [\"POST /v1/orders\", \"DELETE /v1/orders/{id}\"], with paths as clients ask for them";

/// Methods and paths that get the configured credentials from any client.
#[derive(Clone, Debug, Default)]
pub struct Passthrough(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    method: Method,
    path: String,
    router: matchit::Router<()>,
}

impl Passthrough {
    pub(super) fn read(node: &TomlNode<'_>) -> Option<Self> {
        node.each(rule).map(Self)
    }

    /// Returns `true` for a request that gets the credentials.
    pub fn allows(&self, method: &Method, path: &str) -> bool {
        self.0.iter().any(|rule| rule.method == *method && rule.router.at(path).is_ok())
    }

    /// Returns the rules as they are written.
    pub fn rules(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|Rule { method, path, .. }| format!("{method} {path}"))
    }
}

fn rule(node: &TomlNode<'_>) -> Option<Rule> {
    let text = node.text()?;
    let Some((method, path)) = text.split_once(' ').filter(|(_, path)| path.starts_with('/')) else {
        return node.refuse(format!("not a method and a path: {text:?}"), HINT);
    };
    let (Ok(method), true) = (method.parse::<Method>(), method.bytes().all(|byte| byte.is_ascii_uppercase())) else {
        return node.refuse(format!("not a method: {method:?}"), HINT);
    };
    // GET names the handshake of a WebSocket, which is no page.
    if method == Method::HEAD {
        return node.refuse(format!("{method} has the configured credentials anyway"), "leave it out");
    }
    let mut router = matchit::Router::new();
    match router.insert(path, ()) {
        Ok(()) => Some(Rule { method, path: path.to_owned(), router }),
        Err(error) => {
            node.refuse(format!("not a path that can be matched: {}", error.to_string().to_lowercase()), HINT)
        }
    }
}
