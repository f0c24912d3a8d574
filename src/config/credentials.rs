//! Credentials that unpage adds to requests: secrets and tokens, each with its place in a request.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use url::Url;

use super::secret::Secret;
use super::token::TokenSettings;

/// Credentials that unpage adds to requests. The client's own are passed on, unless they stand in the same field or
/// parameter.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Credentials of a request: one set, or several interchangeable sets (a pool). Empty if requests have the client's own credentials alone.
    pub members: Vec<Vec<Credential>>,
    pub choice: MemberChoice,
}

/// Choice of a member of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemberChoice {
    /// For each page where unpage computes its address, for each crawl where the upstream hands it out: it may be bound to the credentials.
    #[default]
    ByStyle,
    /// For each crawl.
    Crawl,
    /// For each page.
    Page,
}

/// Secret or token with its place in a request.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A secret of the configuration.
    Fixed(SecretPlace, Secret),
    /// A token that is requested from an endpoint.
    Token(SecretPlace, Box<TokenSettings>),
    /// Keys of AWS, with which each request is signed.
    Aws(Box<AwsKeys>),
}

/// Keys of AWS, and the service and region that a signature is for (SigV4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    pub service: String,
    pub region: String,
    pub access_key: Secret,
    pub secret_key: Secret,
    /// Token of temporary keys.
    pub session_token: Option<Secret>,
}

/// Place of a secret in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretPlace {
    /// A header field: `Authorization: Bearer …`, `Authorization: Basic …`, or one of the API's own.
    Header(HeaderName, FieldForm),
    /// A query parameter.
    Query(String),
}

/// Form of a header field's value with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldForm {
    /// The secret behind this text: `Bearer `, or none.
    Prefixed(&'static str),
    /// The password of this user (RFC 7617).
    Basic(String),
}

impl Credentials {
    /// Returns true where no credentials but the client's own go upstream.
    pub fn are_passed(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns true for several that are interchangeable.
    pub fn are_pooled(&self) -> bool {
        self.members.len() > 1
    }

    /// Returns the credentials of a member; none if requests have the client's own alone.
    pub fn of(&self, member: usize) -> &[Credential] {
        self.members.get(member).map_or(&[], Vec::as_slice)
    }

    /// Returns the credentials of all members.
    pub fn all(&self) -> impl Iterator<Item = &Credential> {
        self.members.iter().flatten()
    }

    /// Returns the settings of the tokens among them.
    pub fn tokens(&self) -> impl Iterator<Item = &TokenSettings> {
        self.all().filter_map(|credential| match credential {
            Credential::Fixed(..) | Credential::Aws(_) => None,
            Credential::Token(_, settings) => Some(&**settings),
        })
    }

    /// Returns the keys of AWS among them.
    pub fn aws_keys(&self) -> impl Iterator<Item = &AwsKeys> {
        self.all().filter_map(|credential| match credential {
            Credential::Fixed(..) | Credential::Token(..) => None,
            Credential::Aws(keys) => Some(&**keys),
        })
    }

    /// Returns the names of the query parameters that have them.
    pub fn query_params(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(|credential| match credential.place() {
            SecretPlace::Query(name) => Some(name.as_str()),
            SecretPlace::Header(..) => None,
        })
    }
}

impl From<Credential> for Credentials {
    fn from(credential: Credential) -> Self {
        Self { members: vec![vec![credential]], choice: MemberChoice::default() }
    }
}

impl Credential {
    pub fn place(&self) -> &SecretPlace {
        match self {
            Self::Fixed(place, _) | Self::Token(place, _) => place,
            Self::Aws(_) => &SecretPlace::AWS_SIGNATURE,
        }
    }

    /// Returns a text that identifies its owner and does not change while unpage runs.
    pub fn identity(&self) -> Cow<'_, str> {
        match self {
            Self::Fixed(_, secret) => secret.expose().into(),
            Self::Token(_, settings) => settings.identity().into(),
            Self::Aws(keys) => keys.identity(),
        }
    }
}

impl AwsKeys {
    /// Returns a text that identifies the owner: the file of the access key, since temporary keys have another one each hour, or the access
    /// key itself where no file has it.
    fn identity(&self) -> Cow<'_, str> {
        match self.access_key.file() {
            Some(file) => format!("{file:?}").into(),
            None => self.access_key.expose().into(),
        }
    }

    /// Returns the region that a host of AWS has in its name, where signatures are for another one.
    pub fn other_region<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let host = url.host_str()?;
        let mut suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].into_iter();
        let labels = suffixes.find_map(|suffix| host.strip_suffix(suffix))?;
        // The last such label is the region: a bucket in front of it may have a region's name.
        // Older addresses of S3 have both in one label: `s3-us-west-2`.
        let without_service = |label: &'a str| label.strip_prefix("s3-fips-").or_else(|| label.strip_prefix("s3-"));
        let mut regions = labels.rsplit('.').map(|label| without_service(label).unwrap_or(label));
        let region = regions.find(|label| is_region(label))?;
        (region != self.region).then_some(region)
    }
}

/// Returns true for a name like `eu-west-1` or `us-gov-east-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<_> = label.split('-').collect();
    let [area, .., number] = parts.as_slice() else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() > 2 && area.len() == 2 && is_number
}

impl SecretPlace {
    /// Place of an access key of AWS, with the signature behind it.
    pub const AWS_SIGNATURE: Self = Self::Header(AUTHORIZATION, FieldForm::Prefixed("AWS4-HMAC-SHA256 Credential="));
    pub const AWS_SESSION_TOKEN: Self =
        Self::Header(HeaderName::from_static("x-amz-security-token"), FieldForm::Prefixed(""));

    /// Returns true for the same field or parameter.
    pub(super) fn is_that_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(name, _), Self::Header(other, _)) => name == other,
            (Self::Query(name), Self::Query(other)) => name == other,
            (Self::Header(..), Self::Query(_)) | (Self::Query(_), Self::Header(..)) => false,
        }
    }

    /// Returns true where a request can have this secret in its place.
    pub fn carries(&self, secret: &str) -> bool {
        match self {
            Self::Header(_, form) => form.value(secret).is_some(),
            Self::Query(_) => true,
        }
    }
}

impl FieldForm {
    /// Returns the field's value, which no `Debug` output shows; none where no header field can carry the secret.
    pub fn value(&self, secret: &str) -> Option<HeaderValue> {
        let text = match self {
            Self::Prefixed(prefix) => format!("{prefix}{secret}"),
            Self::Basic(user) => format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{secret}"))),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn keys(access_key: Secret) -> AwsKeys {
        let secret_key = Secret::new("secret".to_owned());
        let (service, region) = ("s3".to_owned(), "eu-west-1".to_owned());
        AwsKeys { service, region, access_key, secret_key, session_token: None }
    }

    #[test]
    fn a_host_of_another_region_is_noticed() {
        let keys = keys(Secret::new("AKID".to_owned()));
        for (host, other) in [
            ("s3.eu-west-1.amazonaws.com", None),
            ("bucket.s3.us-east-2.amazonaws.com", Some("us-east-2")),
            ("us-east-2.s3.eu-west-1.amazonaws.com", None),
            ("search-x.us-gov-west-1.es.amazonaws.com", Some("us-gov-west-1")),
            ("dynamodb.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("bucket.s3-eu-west-1.amazonaws.com", None),
            ("s3-fips-us-west-2.amazonaws.com", Some("us-west-2")),
            ("iam.amazonaws.com", None),
            ("bucket-of-1.s3.amazonaws.com", None),
            ("minio.us-east-2.example.com", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(keys.other_region(&Url::parse(&format!("https://{host}/")).unwrap()), other, "{host}");
        }
    }

    #[test]
    fn an_access_key_in_a_file_may_change_and_its_owner_stays() {
        let in_file = |text: &str| keys(Secret::in_file(text.to_owned(), Path::new("/run/key")));
        assert_eq!(in_file("ASIA1").identity(), in_file("ASIA2").identity());
        let alone = |text: &str| keys(Secret::new(text.to_owned()));
        assert_ne!(alone("AKIA1").identity(), alone("AKIA2").identity());
    }
}
