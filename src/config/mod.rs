//! Configuration: TOML as written → all mistakes at once → [`Config`], in which only valid values exist.

mod addresses;
mod codings;
mod collection;
mod collection_pagination;
mod command_line;
mod completed_table;
mod credentials;
mod credentials_key;
mod difference;
mod key_names;
mod keywords;
mod layers;
mod lint;
mod listen;
mod mistake;
mod needed_secrets;
mod opened_state;
mod option_names;
pub(crate) mod optional_secrets;
mod pace;
mod pagination_key;
mod pagination_text;
mod pagination_values;
mod parent;
mod partition_key;
mod passthrough;
mod path_segments;
mod presets;
mod proxy;
mod read;
mod secret;
mod secrets;
mod server;
mod since_valid_at;
mod snapshots;
mod table_schema;
mod times_and_sizes;
mod tls;
mod token;
mod token_key;
mod toml_node;
mod toml_text;
mod unknown_key_hints;
mod upstream;
mod urls_and_headers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

pub use self::addresses::{AddressKind, PrivateAddresses};
pub use self::codings::{Codings, ContentCoding};
pub use self::command_line::{FileCollection, Options};
pub use self::credentials::{AwsKeys, Credential, Credentials, FieldForm, MemberChoice, SecretPlace};
pub use self::difference::ConfigDifference;
pub use self::listen::{AdminAccess, AdminActions};
pub use self::mistake::{Mistake, Mistakes, TextPosition};
#[cfg(test)]
pub(crate) use self::option_names::NAMED_ALIKE;
pub use self::pagination_text::{mistakes_in, read_written, written};
pub use self::parent::{OnGone, ParentLink};
pub use self::passthrough::Passthrough;
pub use self::presets::{ChosenBy, Preset, PresetChoice, Verified, presets};
pub use self::proxy::Proxy;
pub use self::secret::Secret;
pub use self::secrets::{Machine, Secrets, without_line_end};
pub use self::snapshots::{OnStart, Resume, Scope, Sharing, SlowReader, SnapshotSettings, Snapshots};
pub use self::token::{
    Assertion, ClientAuthentication, Grant, ParamEncoding, SigningAlgorithm, TokenClient, TokenParam, TokenSettings,
};
#[cfg(feature = "cli")]
pub(crate) use self::toml_text::{inline as toml_inline, text as toml_quoted};
pub use self::unknown_key_hints::{KeyPlace, key_place};
pub use crate::caps::Caps;
use crate::field_class::FieldRules;
use crate::format::ColumnNames;
pub use crate::pace::Pace;
pub use crate::pagination::retry::RetryPolicy;
use crate::pagination::{Pagination, PaginationAuthor};
use crate::server::{ListenAddress, ServerSettings, TlsSettings};

/// A configuration: collections of paginated APIs, and how they are crawled, kept and served.
///
/// `config/unpage.toml` documents every key.
#[derive(Clone, Debug)]
pub struct Config {
    #[doc(hidden)]
    pub listen: Vec<ListenAddress>,
    /// Mode of unix sockets in `listen`.
    #[doc(hidden)]
    pub socket_mode: u32,
    #[doc(hidden)]
    pub tls: Option<TlsSettings>,
    /// Address of the dashboard, `/metrics` and `/healthz`; not `listen`.
    #[doc(hidden)]
    pub admin: Option<SocketAddr>,
    /// Bearer token for everything at `admin` but the checks of health and readiness.
    #[doc(hidden)]
    pub admin_token: Option<Secret>,
    #[doc(hidden)]
    pub admin_access: AdminAccess,
    #[doc(hidden)]
    pub admin_actions: AdminActions,
    /// Query parameter by which a client that can't set `Accept` asks for a stream; not sent upstream.
    #[doc(hidden)]
    pub format_param: String,
    #[doc(hidden)]
    pub snapshot_param: String,
    /// Query parameter that names the record to resume after; not sent upstream.
    #[doc(hidden)]
    pub since_param: String,
    /// Query parameter that asks for an end marker with the value `marker`, which is not sent upstream.
    #[doc(hidden)]
    pub end_param: String,
    /// Query parameter that asks for the end before the head with the value `complete`, which is not sent upstream.
    #[doc(hidden)]
    pub wait_param: String,
    #[doc(hidden)]
    pub codings: Codings,
    #[doc(hidden)]
    pub columns_param: String,
    #[doc(hidden)]
    pub fields_param: String,
    /// Limits and stop of the server.
    #[doc(hidden)]
    pub server: ServerSettings,
    #[doc(hidden)]
    pub snapshots: Snapshots,
    /// At least one.
    #[doc(hidden)]
    pub collections: Vec<Arc<Collection>>,
}

/// One upstream resource whose pages unpage walks.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Path of the client's request: literal segments, `{name}` for one segment, `{*name}` for the rest, which may be
    /// empty. [`Config::routes`] matches it.
    pub path: String,
    /// Method of the pages' requests.
    pub method: Method,
    /// JSON body of the pages' requests, where the client sends none.
    pub body: Option<Value>,
    /// Replaces the request's path at the upstream; may hold the `{name}` segments of `path` and of `path:NAME` parameters.
    pub upstream_path: Option<String>,
    pub upstream: Arc<Upstream>,
    pub pagination: Arc<Pagination>,
    /// Collection whose records each lead to a list of this one.
    pub parent: Option<Arc<ParentLink>>,
    /// unpage's own caps: reaching one breaks the stream.
    pub caps: Caps,
    /// Columns of its tables, where a request names none.
    pub columns: Option<ColumnNames>,
    pub sharing: Sharing,
    #[doc(hidden)]
    pub preset: Option<PresetChoice>,
}

impl Collection {
    /// Returns true if the host has chosen the preset.
    #[cfg(feature = "cli")]
    pub(crate) fn is_by_host(&self) -> bool {
        self.pagination.author == PaginationAuthor::HostPreset
    }

    /// The collection with the preset that completes it. One that the host has chosen may not fit a list of its API.
    fn with_preset(mut self, preset: Option<PresetChoice>) -> Self {
        if preset.is_some_and(|choice| choice.by == ChosenBy::Host) {
            Arc::make_mut(&mut self.pagination).author = PaginationAuthor::HostPreset;
        }
        Self { preset, ..self }
    }
}

/// The paginated API.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Scheme, host, port and, where the API does not stand at the root, a path prefix without a trailing slash.
    pub url: Url,
    /// Unix socket that is dialled, in place of the host and port of `url`.
    pub socket: Option<PathBuf>,
    pub proxy: Proxy,
    /// Other origins that the API's next links may name; they are rewritten to `url`'s origin.
    pub aliases: Vec<Url>,
    pub credentials: Credentials,
    /// The `Accept` of the pages' requests; default `application/json`.
    pub accept: HeaderValue,
    /// Header fields added to every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Fields of clients' requests that don't count, or that identify a caller.
    pub fields: FieldRules,
    /// Requests that are passed through with the configured credentials, besides those for pages.
    pub passthrough: Passthrough,
    pub rewrite_links: RewriteLinks,
    /// A PEM file of certificate authorities that are trusted in addition to the platform's.
    pub ca: Option<PathBuf>,
    /// The certificate that the upstream gets, where it asks for one.
    pub client_cert: Option<ClientCertificate>,
    pub http: HttpVersion,
    pub redirects: Redirects,
    /// Addresses that the URL's host may have.
    pub private_addresses: PrivateAddresses,
    pub timeouts: Timeouts,
    pub retry: RetryPolicy,
    pub pace: Pace,
}

/// PEM files of a certificate with its chain, and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Links of answers that are passed through and lead to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteLinks {
    /// Those in `Link`, `Location` and `Content-Location` lead to the client's own origin.
    Headers,
    Off,
}

/// HTTP version of the requests to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where TLS negotiates it (ALPN), else HTTP/1.1.
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, over plain TCP with prior knowledge.
    Http2,
}

/// Redirects of a page's GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Followed inside the upstream's origin and its aliases.
    SameOrigin,
    /// A failure of the page.
    Off,
}

/// Time limits of a request to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included; default 10 s.
    pub connect: Duration,
    /// From the request to the head of the response; default 60 s.
    pub head: Duration,
    /// Between two pieces of a page's body; default 30 s.
    pub idle: Duration,
}

impl Upstream {
    /// Returns true where tokens are requested on the same way as the other one's.
    pub fn requests_tokens_as(&self, other: &Self) -> bool {
        self.proxy == other.proxy
            && self.ca == other.ca
            && self.client_cert == other.client_cert
            && self.private_addresses == other.private_addresses
            && self.timeouts == other.timeouts
    }

    /// Returns an upstream with the defaults of all keys but the URL.
    pub fn at(url: Url) -> Self {
        Self {
            url,
            socket: None,
            proxy: Proxy::None,
            aliases: Vec::new(),
            credentials: Credentials::default(),
            accept: HeaderValue::from_static("application/json"),
            headers: Vec::new(),
            fields: FieldRules::default(),
            passthrough: Passthrough::default(),
            rewrite_links: RewriteLinks::Headers,
            ca: None,
            client_cert: None,
            http: HttpVersion::Auto,
            redirects: Redirects::SameOrigin,
            private_addresses: PrivateAddresses::Allow,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            pace: Pace::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), head: Duration::from_secs(60), idle: Duration::from_secs(30) }
    }
}
