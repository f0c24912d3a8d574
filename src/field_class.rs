//! Classes of request header fields: fields that a crawl sends, fields that its cache key has, and fields that identify a caller.
//!
//! [`TABLE`] is the data; `docs/forwarding.md` shows it to operators, and a test compares the two. A field that the table does not have is an
//! identity if a word of its name says so (`CREDENTIAL_PARTS`, `IDENTITY_WORDS`), and else counts as [`FieldClass::Other`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use http::HeaderName;

/// Class of a request header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldClass {
    /// Belongs to one connection (RFC 9110 §7.6.1).
    Connection,
    /// Is about the client's own response, which is not the page that a crawl asks for.
    Response,
    /// Is added by a proxy, a load balancer or a tracer, and mostly differs in each request.
    Hop,
    /// Tells of the client's program.
    Program,
    /// Names another method for the request.
    MethodOverride,
    /// Names another URL for the request.
    UrlOverride,
    /// Proves who the caller is.
    Credential,
    /// Names the caller, as an authenticating proxy has found out.
    Identity,
    /// Selects or describes content, and identifies no caller.
    Content,
    /// May change the answer.
    Other,
}

/// Pattern of field names: a name, or the beginning of one before a `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPattern(String);

/// Classes that an upstream's configuration gives to fields, before those of [`TABLE`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldRules {
    /// Fields that are neither keyed nor sent.
    pub ignored: Vec<FieldPattern>,
    /// Further fields that identify a caller.
    pub identity: Vec<FieldPattern>,
}

/// Fields by their class. A name that ends in `*` stands for all fields that begin like it and have no class of their own.
pub static TABLE: [(FieldClass, &str); 9] = [
    (
        FieldClass::Connection,
        "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer \
         transfer-encoding upgrade",
    ),
    (
        FieldClass::Response,
        "accept accept-encoding content-length expect host if-match if-modified-since if-none-match if-range \
         if-unmodified-since range",
    ),
    (FieldClass::MethodOverride, "x-http-method x-http-method-override x-method-override"),
    (
        FieldClass::UrlOverride,
        "l5d-dst-override x-envoy-original-path x-forwarded-path x-forwarded-uri x-http-host-override \
         x-http-path-override x-original-uri x-original-url x-override-url x-rewrite-url x-waws-unencoded-url",
    ),
    (FieldClass::Credential, "authorization cookie fastly-key x-vercel-oidc-token x-vercel-protection-bypass"),
    (
        FieldClass::Identity,
        "cf-access-* client-cert client-cert-chain eppn iv-* l5d-client-id mellon-* oidc-* \
         remote-email remote-groups remote-name remote-user sm-user ssl-client-* tailscale-* teleport-* \
         x-amzn-mtls-* x-amzn-oidc-* x-anonymous-consumer x-apigateway-api-userinfo x-arr-clientcert \
         x-auth-request-* x-authenticated-* x-authentik-* x-client-cert* x-client-dn x-client-id x-client-verify \
         x-consumer-* x-credential-identifier x-endpoint-api-userinfo x-forwarded-access-token \
         x-forwarded-client-cert x-forwarded-email x-forwarded-groups x-forwarded-preferred-username \
         x-forwarded-tls-client-cert* x-forwarded-user x-goog-authenticated-user-* x-goog-iap-* x-hasura-* \
         x-ms-client-principal* x-ms-token-* x-pomerium-* x-remote-* x-shib-* x-ssl-client-* x-userinfo \
         x-vouch-* x-webauth-*",
    ),
    (FieldClass::Content, "accept-language content-digest content-encoding content-language content-type"),
    (
        FieldClass::Hop,
        "akamai-* b3 baggage cdn-loop cf-connecting-* cf-ew-via cf-ipcountry cf-pseudo-ipv4 cf-ray cf-visitor \
         cf-warp-tag-id cf-worker client-ip cloudfront-* connect-time correlation-id disguised-host \
         elastic-apm-traceparent fastly-* fly-* forwarded front-end-https grpc-trace-bin jaeger-* l5d-* \
         max-forwards newrelic ot-* remote-addr request-context request-id rndr-id sentry-trace sw8* \
         total-route-time trace-id traceparent tracestate true-client-ip uber-trace-id uberctx-* via \
         was-default-hostname x-akamai-* x-amz-apigw-id x-amz-cf-* x-amzn-requestid x-amzn-trace-id \
         x-appgw-trace-id x-arr-log-id x-arr-ssl x-azure-* x-b3-* x-client-ip x-client-trace-id \
         x-cloud-trace-context x-cluster-client-ip x-correlation-id x-correlationid x-datadog-* x-dynatrace \
         x-edgeconnect-* x-envoy-* x-forwarded x-forwarded-by x-forwarded-for x-forwarded-host \
         x-forwarded-method x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-protocol \
         x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-honeycomb-trace x-instana-* x-kong-request-id \
         x-newrelic-* x-nf-* x-original-for x-original-forwarded-for x-original-host x-original-method \
         x-original-proto x-originating-ip x-ot-span-context x-queue-start x-railway-* x-real-ip x-real-port \
         x-remote-addr x-remote-ip x-remote-port x-request-id x-request-start x-requestid x-scheme \
         x-site-deployment-id x-timer x-trace x-trace-id x-traceid x-unique-id x-url-scheme x-varnish x-vercel-*",
    ),
    (
        FieldClass::Program,
        "accept-datetime amz-sdk-* cache-control client-request-id device-memory dnt downlink dpr early-data ect \
         idempotency-key origin pragma prefer priority referer return-client-request-id rtt save-data sec-* \
         upgrade-insecure-requests user-agent viewport-width want-content-digest want-digest want-repr-digest \
         width x-amz-user-agent x-client-data x-goog-api-client x-idempotency-key x-ms-client-request-id \
         x-requested-with x-stainless-* x-stripe-client-* x-user-agent",
    ),
];

/// Parts of names that are those of secrets.
const CREDENTIAL_PARTS: [&str; 10] =
    ["auth", "bearer", "cookie", "credential", "jwt", "key", "passw", "secret", "session", "token"];

/// Words of names, between hyphens and without a plural's `s`, that are those of a caller or of an account.
const IDENTITY_WORDS: &str = "account actor behalf cert company customer dn email group identity impersonate installation issuer login member oidc org \
     organisation organization owner principal profile realm role saml scope sid sso subject subscription sudo team \
     tenant uid user userid userinfo username whoami workspace";

/// [`TABLE`] by names, and its beginnings of names, the longest first.
struct Index {
    names: HashMap<&'static str, FieldClass>,
    beginnings: Vec<(&'static str, FieldClass)>,
    identity_words: HashSet<&'static str>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let rows = || TABLE.iter().flat_map(|(class, names)| names.split_whitespace().map(|name| (name, *class)));
    let names = rows().filter(|(name, _)| !name.ends_with('*')).collect();
    let mut beginnings: Vec<_> = rows().filter_map(|(name, class)| Some((name.strip_suffix('*')?, class))).collect();
    beginnings.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
    Index { names, beginnings, identity_words: IDENTITY_WORDS.split_whitespace().collect() }
});

impl FieldClass {
    /// Returns the class of the field with this name.
    pub fn of(name: &HeaderName) -> Self {
        Self::of_known(name).unwrap_or_else(|| {
            let name = &*with_hyphens(name.as_str());
            let by_beginning = INDEX.beginnings.iter().find(|(beginning, _)| name.starts_with(beginning));
            by_beginning.map_or_else(|| Self::of_words(name), |(_, class)| *class)
        })
    }

    /// Returns the class of a field that the table has by its full name, as it has all that never go upstream.
    pub fn of_known(name: &HeaderName) -> Option<Self> {
        INDEX.names.get(&*with_hyphens(name.as_str())).copied()
    }

    /// Returns the class of a field that the table does not have.
    fn of_words(name: &str) -> Self {
        if names_a_secret(name) {
            return Self::Credential;
        }
        let known = &INDEX.identity_words;
        let is_identity =
            |word: &str| known.contains(word) || word.strip_suffix('s').is_some_and(|one| known.contains(one));
        if name.split('-').any(is_identity) { Self::Identity } else { Self::Other }
    }

    /// Returns `true` for fields that decide which snapshots their caller may read.
    pub fn identifies(self) -> bool {
        matches!(self, Self::Credential | Self::Identity)
    }
}

/// Returns a name with `-` for `_`: behind CGI, WSGI and Rack the two are one letter.
fn with_hyphens(name: &str) -> Cow<'_, str> {
    if name.contains('_') { name.replace('_', "-").into() } else { name.into() }
}

/// Returns `true` for a name that is one of a secret.
pub fn names_a_secret(name: &str) -> bool {
    // Each `str::contains` would prepare a search that is longer than the name.
    let is_at = |at: usize, part: &str| name.as_bytes()[at..].starts_with(part.as_bytes());
    let begins_part = |at: &usize| matches!(name.as_bytes()[*at], b'a'..=b'c' | b'j' | b'k' | b'p' | b's' | b't');
    (0..name.len()).filter(begins_part).any(|at| CREDENTIAL_PARTS.iter().any(|part| is_at(at, part)))
}

impl FieldRules {
    pub fn class_of(&self, name: &HeaderName) -> FieldClass {
        let is_in = |patterns: &[FieldPattern]| patterns.iter().any(|pattern| pattern.matches(name));
        match FieldClass::of(name) {
            // Nothing makes a field of the connection, or one that changes the request, an ordinary one.
            fixed @ (FieldClass::Connection
            | FieldClass::Response
            | FieldClass::MethodOverride
            | FieldClass::UrlOverride) => fixed,
            _ if is_in(&self.identity) => FieldClass::Identity,
            // A field that identifies is ignored by its full name only: `X-Forwarded-*` is written against noise.
            class if class.identifies() && !self.ignored_identities().any(|pattern| pattern.matches(name)) => class,
            _ if is_in(&self.ignored) => FieldClass::Hop,
            class => class,
        }
    }

    /// Returns the ignored fields that would identify a caller.
    pub fn ignored_identities(&self) -> impl Iterator<Item = &FieldPattern> {
        self.ignored.iter().filter(|pattern| pattern.class().is_some_and(FieldClass::identifies))
    }
}

impl std::fmt::Display for FieldPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FieldPattern {
    /// Parses a name or `BEGINNING*`; returns none where no field can have such a name.
    pub fn parse(text: &str) -> Option<Self> {
        let text = with_hyphens(&text.to_ascii_lowercase()).into_owned();
        let name = text.strip_suffix('*').unwrap_or(&text);
        // A `*` is a letter of names (RFC 9110 §5.6.2), which no known one has.
        let is_name = !name.contains('*') && name.parse::<HeaderName>().is_ok();
        is_name.then_some(Self(text))
    }

    pub fn matches(&self, name: &HeaderName) -> bool {
        let name = &*with_hyphens(name.as_str());
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.0 == name,
        }
    }

    /// Returns the class of the field that has this name; none for the beginning of names.
    fn class(&self) -> Option<FieldClass> {
        if self.0.ends_with('*') { None } else { self.0.parse().ok().map(|name| FieldClass::of(&name)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> FieldClass {
        FieldClass::of(&name.parse().unwrap())
    }

    #[test]
    fn each_name_has_one_class_and_the_lists_are_sorted() {
        let mut seen = HashSet::new();
        for (class, names) in TABLE {
            assert!(names.split_whitespace().is_sorted(), "{class:?}");
            for name in names.split_whitespace() {
                assert!(seen.insert(name) && FieldPattern::parse(name).is_some(), "{name}");
            }
        }
        assert!(seen.len() > 200 && IDENTITY_WORDS.split_whitespace().is_sorted(), "{}", seen.len());
        assert!(CREDENTIAL_PARTS.into_iter().all(names_a_secret));
    }

    #[test]
    fn the_page_for_operators_shows_each_name() {
        let page = include_str!("../docs/forwarding.md").to_ascii_lowercase();
        let shown: HashSet<_> = page.split('`').skip(1).step_by(2).collect();
        let names = TABLE.iter().flat_map(|(_, names)| names.split_whitespace());
        let parts = CREDENTIAL_PARTS.into_iter().chain(IDENTITY_WORDS.split_whitespace());
        let missing: Vec<_> = names.chain(parts).filter(|name| !shown.contains(name)).collect();
        assert!(missing.is_empty(), "docs/forwarding.md: {missing:?}");
    }

    #[test]
    fn a_name_goes_before_a_beginning_and_both_before_words() {
        use FieldClass::{Credential, Hop, Identity, MethodOverride, Other, Program, UrlOverride};
        for (name, expected) in [
            ("x-forwarded-for", Hop),
            ("x-forwarded-user", Identity),
            ("x-forwarded-elsewhere", Other),
            ("x-remote-user", Identity),
            ("x-remote-addr", Hop),
            ("l5d-client-id", Identity),
            ("l5d-ctx-trace", Hop),
            ("x-amzn-oidc-data", Identity),
            ("x-amzn-trace-id", Hop),
            ("idempotency-key", Program),
            ("fastly-key", Credential),
            ("x-api-key", Credential),
            ("private-token", Credential),
            ("x-tenant-id", Identity),
            ("x-user-roles", Identity),
            ("x_org", Identity),
            ("sudo", Identity),
            ("x-on-behalf-of", Identity),
            ("x-impersonate", Identity),
            ("impersonate-extra", Identity),
            ("dd-api-key", Credential),
            ("x-datadog-trace-id", Hop),
            ("x_http-method_override", MethodOverride),
            ("x_original_url", UrlOverride),
            ("x_forwarded_for", Hop),
            ("x_forwarded_user", Identity),
            ("notion-version", Other),
            ("x-organic", Other),
        ] {
            assert_eq!(class(name), expected, "{name}");
        }
    }

    #[test]
    fn the_configuration_goes_before_the_table_but_for_fields_that_never_go_upstream() {
        let patterns = |names: &[&str]| names.iter().map(|name| FieldPattern::parse(name).unwrap()).collect();
        let rules = FieldRules {
            ignored: patterns(&["x-noise*", "te", "x-org", "x-forwarded-*"]),
            identity: patterns(&["x-foo", "host"]),
        };
        for (name, class) in [
            ("x-noise-5", FieldClass::Hop),
            ("x-org", FieldClass::Hop),
            ("te", FieldClass::Connection),
            ("x-foo", FieldClass::Identity),
            ("host", FieldClass::Response),
            ("x-bar", FieldClass::Other),
            ("x-forwarded-odd", FieldClass::Hop),
            ("x-forwarded-user", FieldClass::Identity),
            ("x_foo", FieldClass::Identity),
        ] {
            assert_eq!(rules.class_of(&name.parse().unwrap()), class, "{name}");
        }
    }

    #[test]
    fn a_pattern_is_a_name_or_its_beginning() {
        for (pattern, name, matches) in [
            ("X-Trace", "x-trace", true),
            ("x-trace", "x-trace-id", false),
            ("x-trace*", "x-trace-id", true),
            ("X-Trace-*", "x-trace", false),
        ] {
            assert_eq!(
                FieldPattern::parse(pattern).unwrap().matches(&name.parse().unwrap()),
                matches,
                "{pattern} {name}"
            );
        }
        for text in ["", "*", "a b", "x-*-y", "x:"] {
            assert_eq!(FieldPattern::parse(text), None, "{text}");
        }
    }
}
