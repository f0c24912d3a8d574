//! The failure of an attempt, and failures of a crawl in words for its reader: the party at fault, the remedy, and no credentials.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::prefix_check::PageChanged;
use crate::error::{Failure, Fault};
use crate::pagination::page::Head;
use crate::pagination::plan::PageName;
use crate::pagination::request::RedactedUrl;
use crate::pagination::retry::PagePlace;
use crate::pagination::{Blame, PageError, PageRequest, RefusalCause};
use crate::upstream::{Client, UpstreamError};

/// The failure of one attempt, which another one may mend. It may hold credentials that the upstream repeats.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// A status that brings no page, the start of its body, and the member of a pool whose credentials the request had.
    Refused(Box<Head>, Bytes, Option<usize>),
    Transport(UpstreamError),
    Page(PageError),
}

/// Author of the request for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAuthor {
    /// The client: the request for page 1 as it came.
    Client,
    /// The configuration, which has added to the request for page 1.
    Extended,
    /// The configuration, by which the request follows from an earlier page.
    Configuration,
}

impl RequestAuthor {
    /// Author of the request for this page, which has the URL `asked`; `client` is that of the client's request.
    pub(super) fn of(name: PageName, asked: &url::Url, client: &url::Url) -> Self {
        match name.is_first() {
            true if asked == client => Self::Client,
            true => Self::Extended,
            false => Self::Configuration,
        }
    }

    /// The failure of a page; of a refused one (4xx, RFC 9110 §15.5) the party at fault is the one that must send something else.
    pub(super) fn wrong_page(self, client: &Client, wrong: &PageError, url: &url::Url) -> Failure {
        let failure = wrong_page(client, wrong, url);
        let PageError::Status { status, cause, .. } = wrong else { return failure };
        let keys = client.upstream().credentials.aws_keys().next();
        if let (RefusalCause::Aws(reason), true) = (cause, keys.is_some()) {
            return Failure { fault: Fault::RefusedConfiguration(*status), hint: reason.hint().to_owned(), ..failure };
        }
        let by_author = |is_client| if is_client { Fault::RefusedClient } else { Fault::RefusedConfiguration };
        let fault = match status.as_u16() {
            403 if *cause == RefusalCause::TooMany => return failure,
            401 | 403 | 407 => by_author(client.upstream().credentials.are_passed()),
            404 | 405 | 410 => by_author(self != Self::Configuration),
            300..=399 | 406 => Fault::RefusedConfiguration,
            408 | 421 | 423 | 425 | 426 | 429 => return failure,
            400..=499 => by_author(self == Self::Client),
            _ => return failure,
        };
        let credentials = &client.upstream().credentials;
        let members =
            client.refused_members().iter().map(|member| format!("[{member}]")).collect::<Vec<_>>().join(", ");
        let key = if members.is_empty() { "credentials".to_owned() } else { format!("credentials.pool{members}") };
        let hint = match status.as_u16() {
            401 | 403 if credentials.tokens().next().is_some() => format!(
                "the upstream refuses the token that was granted: check what it is granted for (scope, audience) in {key}.token.params, and its place in {key}.token.put"
            ),
            401 | 403 if !credentials.are_passed() => {
                format!("the upstream refuses the secret of {key}: check the secret, its place and its rights")
            }
            _ => return Failure { fault: fault(*status), ..failure },
        };
        let message = match members.is_empty() {
            true => failure.message,
            false => format!("{} (requested with {key})", failure.message),
        };
        Failure { fault: fault(*status), message, hint, ..failure }
    }
}

pub(super) fn failed(client: &Client, error: &AttemptError, request: &PageRequest, place: PagePlace) -> Failure {
    let message = |error: &UpstreamError| format!("{}: {error}", RedactedUrl(&request.url));
    match error {
        AttemptError::Refused(head, ..) => {
            let message = format!("{}: the upstream answered {}", RedactedUrl(&request.url), head.status);
            Failure { headers: kept_headers(head), ..Failure::new(Fault::Refused(head.status), message, "") }
        }
        AttemptError::Transport(error @ UpstreamError::Timeout(..)) => {
            Failure::new(Fault::Timeout, message(error), error.hint())
        }
        AttemptError::Transport(error @ UpstreamError::Coding(_)) => {
            // The message may repeat a header field of the upstream's.
            let message = client.redact(&request.url, &request.headers, &message(error));
            Failure::new(Fault::Upstream, message, error.hint())
        }
        AttemptError::Transport(error) if error.refuses_credentials() => {
            Failure::new(Fault::Credentials, message(error), error.hint())
        }
        AttemptError::Transport(error) => Failure::new(Fault::Unreachable, message(error), error.hint()),
        AttemptError::Page(wrong) => {
            let failure = broken(client, wrong, &request.url, &request.headers);
            // On a later page the path has been right before.
            let hint = if place == PagePlace::First { wrong.hint_of_first() } else { wrong.hint() };
            let failure = Failure { hint: hint.to_owned(), ..failure };
            match (wrong, place) {
                (PageError::NoRecords { .. } | PageError::NotAnArray { .. }, PagePlace::First) => {
                    Failure { fault: Fault::Configuration, ..failure }
                }
                _ => failure,
            }
        }
    }
}

/// The failure of a page behind which the upstream has moved its own place, with the remedy.
pub(super) fn of_moved_place(failure: Failure) -> Failure {
    let hint = "the upstream keeps the place of the crawl itself (same_token = \"again\"), so that a lost page can't be requested again: crawl again";
    Failure { hint: hint.to_owned(), ..failure }
}

/// The failure to read records that waited in the crawl's file.
pub(super) fn unreadable_spill(error: &std::io::Error) -> Failure {
    let message = format!("records that waited on disk can't be read again: {error}");
    Failure::new(Fault::Stopped, message, "look at the disk of the temporary files, or set caps.spool = \"0\"")
}

/// The failure of a crawl that a [`PageError`] breaks.
pub(super) fn wrong_page(client: &Client, wrong: &PageError, url: &url::Url) -> Failure {
    broken(client, wrong, url, &HeaderMap::new())
}

fn broken(client: &Client, wrong: &PageError, url: &url::Url, headers: &HeaderMap) -> Failure {
    let fault = match (wrong, wrong.blame()) {
        (PageError::Status { status, .. }, _) => Fault::Refused(*status),
        (PageError::CollectionChanged, _) => Fault::Changed,
        (_, Blame::Upstream) => Fault::Upstream,
        (_, Blame::Configuration) => Fault::Configuration,
        (_, Blame::Unproven) => Fault::Unproven,
        (_, Blame::Moved) => Fault::Moved,
        (_, Blame::Unpage) => Fault::Lost,
    };
    let mut message = wrong.to_string();
    let mut source = std::error::Error::source(wrong);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    if let PageError::Status { status, excerpt, .. } | PageError::SharedRefused { status, excerpt } = wrong
        && !excerpt.trim().is_empty()
    {
        let verb = if status.is_redirection() { "leading to" } else { "saying" };
        message = format!("{message}, {verb} `{}`", excerpt.trim());
    }
    Failure::new(fault, format!("{}: {}", RedactedUrl(url), client.redact(url, headers, &message)), wrong.hint())
}

/// The failure of a crawl whose records moved while they were read, for this reason.
pub(super) fn moved(url: RedactedUrl<'_>, why: &str) -> Failure {
    let hint = "consistency = \"repair\" with a `key` reads again what moved; consistency = \"verify\" reads all until two reads are equal; on_missed = \"report\" accepts a list that may have lost records; or fetch the collection again when fewer records change";
    Failure::new(Fault::Moved, format!("{url}: records may be missing or doubled: {why}"), hint)
}

/// The fields of a refusal's head that a client needs to act on its status.
pub(super) fn kept_headers(head: &Head) -> Vec<(http::HeaderName, HeaderValue)> {
    [header::WWW_AUTHENTICATE, header::RETRY_AFTER]
        .into_iter()
        .filter_map(|name| head.headers.get(&name).map(|value| (name, value.clone())))
        .collect()
}

/// Adds the page's name to the message.
pub(super) fn on_page(name: PageName, failure: Failure) -> Failure {
    Failure { message: format!("{name} of {}", failure.message), ..failure }
}

impl AttemptError {
    /// Returns whether the same request may be answered better a moment later; of a refusal, its status decides.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused(..) => true,
            Self::Transport(error) => error.is_transient(),
            Self::Page(error) => error.is_transient(),
        }
    }

    /// Returns true if the upstream has not served the request: it was not sent, or refused for its pace. A gateway's 503 may also mean that
    /// the connection broke after the request had been served.
    pub(super) fn is_unserved(&self) -> bool {
        match self {
            Self::Refused(head, ..) => head.status == StatusCode::TOO_MANY_REQUESTS,
            Self::Transport(
                UpstreamError::Connect(..)
                | UpstreamError::Name(..)
                | UpstreamError::Proxy(..)
                | UpstreamError::Tls(..)
                | UpstreamError::Token(_),
            ) => true,
            Self::Transport(_) | Self::Page(_) => false,
        }
    }

    /// Returns whether another attempt rarely mends it: a page of markup, as a login page is, or a name that has no address.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Page(PageError::Markup { .. }) | Self::Transport(UpstreamError::Name(..)) => true,
            Self::Refused(..) | Self::Transport(_) | Self::Page(_) => false,
        }
    }

    /// Returns whether a page that was asked for before its address was known may not exist. One that the upstream has no time for now is
    /// like any other page.
    pub(super) fn may_lie_behind_the_end(&self) -> bool {
        match self {
            Self::Refused(head, ..) => {
                !matches!(head.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Transport(UpstreamError::Stale(..) | UpstreamError::Token(_)) => false,
            Self::Transport(_) | Self::Page(_) => true,
        }
    }
}

impl From<UpstreamError> for AttemptError {
    fn from(error: UpstreamError) -> Self {
        Self::Transport(error)
    }
}

impl From<PageError> for AttemptError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl From<PageChanged> for AttemptError {
    fn from(changed: PageChanged) -> Self {
        Self::Page(PageError::Changed(changed.records))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{AwsKeys, Credential, Credentials, FieldForm, Secret, SecretPlace, Upstream};
    use crate::pagination::AwsRefusal;
    use crate::upstream::Governors;

    #[test]
    fn a_refusal_names_the_party_that_must_send_something_else() {
        let url: url::Url = "http://a/items".parse().unwrap();
        let of = |credentials, author: RequestAuthor, status: u16, cause| {
            let upstream = Upstream { credentials, ..Upstream::at(url.clone()) };
            let client = Client::new(Arc::new(upstream), &Governors::default()).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let wrong = PageError::Status { status, cause, excerpt: String::new() };
            author.wrong_page(&client, &wrong, &url).fault.name()
        };
        use RequestAuthor::{Client as Own, Configuration, Extended};
        let (client, configuration, upstream) = ("client", "configuration", "upstream");
        for (statuses, by_own, by_extended, by_configuration) in [
            (&[401, 403, 407][..], client, client, client),
            (&[404, 405, 410], client, client, configuration),
            (&[400, 411, 412, 413, 414, 415, 416, 422, 431, 451], client, configuration, configuration),
            (&[301, 302, 307, 406], configuration, configuration, configuration),
            (&[202, 204, 207, 408, 421, 423, 425, 429, 500, 502, 503, 504], upstream, upstream, upstream),
        ] {
            for status in statuses {
                let faults = [Own, Extended, Configuration]
                    .map(|author| of(Credentials::default(), author, *status, RefusalCause::Unsaid));
                assert_eq!(faults, [by_own, by_extended, by_configuration], "{status}");
            }
        }
        let place = || SecretPlace::Header(header::AUTHORIZATION, FieldForm::Prefixed("Bearer "));
        let configured = || Credential::Fixed(place(), Secret::new("secret".to_owned())).into();
        for status in [401, 403, 407] {
            assert_eq!(of(configured(), Own, status, RefusalCause::Unsaid), configuration);
        }
        assert_eq!(of(configured(), Own, 403, RefusalCause::TooMany), upstream);
        let keys = || {
            let secret = |text: &str| Secret::new(text.to_owned());
            let (service, region) = ("dynamodb".to_owned(), "eu-west-1".to_owned());
            let keys =
                AwsKeys { service, region, access_key: secret("a"), secret_key: secret("b"), session_token: None };
            Credential::Aws(Box::new(keys)).into()
        };
        let clock = RefusalCause::Aws(AwsRefusal::Clock);
        for status in [400, 401, 403] {
            assert_eq!(of(keys(), Own, status, clock), configuration);
        }
        // A client that signs its requests itself, and an API that is not AWS's.
        assert_eq!(of(Credentials::default(), Own, 400, clock), client);
        assert_eq!(of(configured(), Own, 400, clock), client);
    }
}
