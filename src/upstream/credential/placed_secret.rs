//! A secret in its place of a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::config::{Secret, SecretPlace};
use crate::pagination::request::set_query;

/// A secret, ready to be sent.
#[derive(Debug)]
pub(in crate::upstream) struct PlacedSecret {
    text: Secret,
    place: SentPlace,
    is_accepted: AtomicBool,
}

/// Keys that requests to this service and region of AWS are signed with.
#[derive(Debug)]
pub(in crate::upstream) struct AwsSigner {
    pub(super) service: Arc<str>,
    pub(super) region: Arc<str>,
    pub(super) access_key: Arc<PlacedSecret>,
    pub(super) secret_key: Arc<PlacedSecret>,
    pub(super) session_token: Option<Arc<PlacedSecret>>,
}

#[derive(Debug)]
enum SentPlace {
    Field(HeaderName, HeaderValue),
    Parameter(String),
    /// The signature of the whole request, which is made with it.
    Signature(AwsSigner),
}

impl PlacedSecret {
    /// A text that the place can't carry is sent without its control characters, and is refused by the upstream.
    pub(super) fn new(place: &SecretPlace, text: &str) -> Self {
        let place = match place {
            SecretPlace::Header(name, form) => {
                let printable = || text.chars().filter(|c| !c.is_control()).collect::<String>();
                let value = form.value(text).or_else(|| form.value(&printable()));
                SentPlace::Field(name.clone(), value.expect("a field carries any text without control characters"))
            }
            SecretPlace::Query(name) => SentPlace::Parameter(name.clone()),
        };
        Self { text: Secret::new(text.to_owned()), place, is_accepted: AtomicBool::new(false) }
    }

    /// A secret key of AWS, which is not sent itself.
    pub(super) fn signing(signer: AwsSigner) -> Self {
        let text = Secret::new(signer.secret_key.text().to_owned());
        Self { text, place: SentPlace::Signature(signer), is_accepted: AtomicBool::new(false) }
    }

    /// Returns the signer of requests; none where the secret itself is sent.
    pub(super) fn signer(&self) -> Option<&AwsSigner> {
        match &self.place {
            SentPlace::Signature(signer) => Some(signer),
            SentPlace::Field(..) | SentPlace::Parameter(_) => None,
        }
    }

    /// Notes that a request with this secret was not refused for it.
    pub(super) fn accept(&self) {
        self.is_accepted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.is_accepted.load(Ordering::Relaxed)
    }

    pub(super) fn text(&self) -> &str {
        self.text.expose()
    }

    /// Adds the secret to a request. A signature is added last, when all else is there.
    pub(super) fn add_to(&self, url: &mut Cow<'_, Url>, headers: &mut HeaderMap) {
        match &self.place {
            SentPlace::Field(name, value) => drop(headers.insert(name.clone(), value.clone())),
            SentPlace::Parameter(name) => set_query(url.to_mut(), name, self.text()),
            SentPlace::Signature(_) => {}
        }
    }

    /// Returns the secret as it is, and as the request has it.
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.text().to_owned()];
        if let SentPlace::Field(_, value) = &self.place {
            let value = String::from_utf8_lossy(value.as_bytes());
            secrets.push(value.split_once(' ').map_or(&*value, |(_, rest)| rest).to_owned());
        }
        secrets
    }
}
