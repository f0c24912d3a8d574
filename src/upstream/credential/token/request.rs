//! The request for a token: its parameters, their form, and the client's authentication.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::config::{ClientAuthentication, Grant, ParamEncoding, TokenParam, TokenSettings};
use crate::upstream::OutgoingBody;

/// Secrets of a token's configuration as they are now.
pub(super) struct TokenSecrets {
    /// Refresh token or assertion.
    pub(super) grant: Option<String>,
    pub(super) client: Option<String>,
    /// Values of the parameters, in their order.
    pub(super) params: Vec<String>,
}

impl TokenSecrets {
    /// Returns texts that no message may repeat.
    pub(super) fn texts(&self, settings: &TokenSettings) -> Vec<String> {
        let is_secret = |(_, param): &&(String, TokenParam)| matches!(param, TokenParam::Secret(_));
        let params = settings.params.iter().zip(&self.params).filter(|(param, _)| is_secret(param));
        self.grant.iter().chain(&self.client).chain(params.map(|(_, value)| value)).cloned().collect()
    }
}

/// Makes the request.
pub(super) fn request(settings: &TokenSettings, secrets: &TokenSecrets) -> Request<OutgoingBody> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let grant = secrets.grant.as_deref().unwrap_or_default();
    match &settings.grant {
        Grant::ClientCredentials => pairs.push(("grant_type", "client_credentials")),
        Grant::RefreshToken { .. } => pairs.extend([("grant_type", "refresh_token"), ("refresh_token", grant)]),
        Grant::JwtBearer(_) => {
            pairs.extend([("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", grant)]);
        }
        Grant::Login => {}
    }
    let mut basic = None;
    if let Some(client) = &settings.client {
        let id = client.id.expose();
        match (client.send, &secrets.client) {
            (ClientAuthentication::Basic, Some(secret)) => basic = Some(basic_field(id, secret)),
            (_, secret) => {
                pairs.push(("client_id", id));
                pairs.extend(secret.iter().map(|secret| ("client_secret", secret.as_str())));
            }
        }
    }
    pairs.extend(settings.params.iter().zip(&secrets.params).map(|((name, _), value)| (name.as_str(), value.as_str())));
    let mut url = settings.url.clone();
    let (body, media_type) = match settings.encoding {
        ParamEncoding::Form => {
            let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
            (body, Some("application/x-www-form-urlencoded"))
        }
        ParamEncoding::Json => {
            let members: Map<String, Value> =
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            (Value::from(members).to_string(), Some("application/json"))
        }
        ParamEncoding::Query => {
            url.query_pairs_mut().extend_pairs(pairs);
            (String::new(), None)
        }
    };
    let mut request = Request::new(Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync());
    *request.method_mut() = settings.method.clone();
    *request.uri_mut() = url.as_str().parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("unpage/", env!("CARGO_PKG_VERSION"))));
    headers.extend(media_type.map(|media_type| (CONTENT_TYPE, HeaderValue::from_static(media_type))));
    headers.extend(basic.map(|basic| (AUTHORIZATION, basic)));
    request
}

/// Credentials of a client, encoded twice (RFC 6749 §2.3.1).
fn basic_field(id: &str, secret: &str) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = BASE64_STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}
