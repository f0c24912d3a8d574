//! The token endpoint: one request for a token, with the secrets of the configuration as they are now.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::StreamExt;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::LIMIT;
use super::answer::{self, TokenAnswer};
use super::assertion;
use super::error::{TokenError, TokenErrorCause};
use super::refresh_file::KeepError;
use super::refresh_token::{RefreshTokens, RefreshTurn};
use super::request::{TokenSecrets, request};
use crate::config::{Grant, TokenParam, TokenSettings, Upstream};
use crate::upstream::credential::followed_secret::newest;
use crate::upstream::redaction::without_all;
use crate::upstream::transport::Transport;
use crate::upstream::{ConnectorError, DecodedBody};

/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct TokenEndpoint {
    settings: TokenSettings,
    transport: Transport,
    /// The way to the endpoint: that of the upstream, with another URL.
    way: Arc<Upstream>,
    refresh: RefreshTokens,
}

impl TokenEndpoint {
    pub(super) fn new(settings: &TokenSettings, upstream: &Upstream) -> Result<Self, ConnectorError> {
        if let Grant::JwtBearer(assertion) = &settings.grant {
            // A wrong key is told at the start.
            assertion::signed(assertion, assertion.key.expose(), SystemTime::now()).map_err(ConnectorError::Key)?;
        }
        let Upstream { proxy, ca, client_cert, private_addresses, timeouts, .. } = upstream.clone();
        let way =
            Upstream { proxy, ca, client_cert, private_addresses, timeouts, ..Upstream::at(settings.url.clone()) };
        let keep = match &settings.grant {
            Grant::RefreshToken { keep, .. } => keep.clone(),
            Grant::ClientCredentials | Grant::JwtBearer(_) | Grant::Login => None,
        };
        let (transport, refresh) = (Transport::hyper(&way)?, RefreshTokens::new(keep));
        Ok(Self { settings: settings.clone(), transport, way: Arc::new(way), refresh })
    }

    /// The same endpoint by another transport.
    #[cfg(test)]
    pub(super) fn through(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    pub(super) fn name(&self) -> String {
        self.settings.endpoint()
    }

    pub(super) fn error(&self, cause: TokenErrorCause, what: impl Into<String>) -> TokenError {
        TokenError { endpoint: self.name(), what: what.into(), cause }
    }

    /// Requests a token. Returns also the texts that no message may repeat.
    pub(super) async fn request_token(&mut self) -> (Result<TokenAnswer, TokenError>, Vec<String>) {
        let mut texts = Vec::new();
        let answer = self.renew(&mut texts).await.map_err(|error| TokenError {
            // The endpoint's own words may repeat them.
            what: without_all(&texts, &error.what),
            ..error
        });
        if let Ok(answer) = &answer {
            texts.extend(answer.refresh.clone());
        }
        (answer, texts)
    }

    async fn renew(&mut self, texts: &mut Vec<String>) -> Result<TokenAnswer, TokenError> {
        let (secrets, turn) = self.secrets().await?;
        *texts = secrets.texts(&self.settings);
        let (status, headers, body) = match tokio::time::timeout(LIMIT, self.exchange(&secrets)).await {
            Ok(exchanged) => exchanged?,
            Err(_) => return Err(self.error(TokenErrorCause::Unavailable, "it did not answer within 30s")),
        };
        if status.is_redirection() {
            let to = headers.get(LOCATION).and_then(|to| Url::parse(to.to_str().ok()?).ok());
            let to = to.map_or("another path".to_owned(), |to| to.origin().ascii_serialization());
            return Err(self.error(TokenErrorCause::Redirect, format!("it answered {status} and leads to {to}")));
        }
        let answer = answer::read(&self.settings, status, &headers, &body);
        let answer = answer.map_err(|(cause, what)| self.error(cause, what))?;
        if let (Some(turn), Some(token)) = (turn, &answer.refresh)
            && turn.token != *token
        {
            self.rotate(turn, token.clone()).await?;
        }
        Ok(answer)
    }

    async fn rotate(&mut self, turn: RefreshTurn, token: String) -> Result<(), TokenError> {
        if let Grant::RefreshToken { keep: None, .. } = &self.settings.grant {
            tracing::warn!(
                "{} has replaced the refresh token, and the next start needs the new one: set `keep` to a file that keeps it",
                self.name()
            );
        }
        let kept = self.refresh.rotate(turn, token).await;
        kept.map_err(|why| self.keep_error("its new refresh token can't be kept", &why))
    }

    fn keep_error(&self, what: &str, why: &KeepError) -> TokenError {
        let cause = match why {
            KeepError::Io { .. } => TokenErrorCause::Keep,
            KeepError::Damaged(_) => TokenErrorCause::KeepDamaged,
            KeepError::Held { .. } => TokenErrorCause::KeepHeld,
        };
        self.error(cause, format!("{what}: {why}"))
    }

    /// Reads the secrets of the request.
    async fn secrets(&mut self) -> Result<(TokenSecrets, Option<RefreshTurn>), TokenError> {
        let client = self.settings.client.as_ref().and_then(|client| client.secret.as_ref()).map(newest);
        let params = self.settings.params.iter().map(|(_, param)| match param {
            TokenParam::Text(text) => text.clone(),
            TokenParam::Secret(secret) => newest(secret),
        });
        let params = params.collect();
        let (grant, turn) = match &self.settings.grant {
            Grant::ClientCredentials | Grant::Login => (None, None),
            Grant::JwtBearer(assertion) => {
                let signed = assertion::signed(assertion, &newest(&assertion.key), SystemTime::now());
                (Some(signed.map_err(|why| self.error(TokenErrorCause::Secret, why))?), None)
            }
            Grant::RefreshToken { first, .. } => {
                let turn = self.refresh.turn(newest(first)).await;
                let turn = turn.map_err(|why| self.keep_error("the file that keeps its refresh token", &why))?;
                (Some(turn.token.clone()), Some(turn))
            }
        };
        Ok((TokenSecrets { grant, client, params }, turn))
    }

    /// Sends the request once, to the configured URL alone.
    async fn exchange(&self, secrets: &TokenSecrets) -> Result<(StatusCode, HeaderMap, Vec<u8>), TokenError> {
        let unavailable = |why: String| self.error(TokenErrorCause::Unavailable, why);
        let sent = self.transport.send(request(&self.settings, secrets)).await;
        let answer = sent.map_err(|error| {
            let error = error.at(self.settings.url.origin().ascii_serialization());
            let cause = if error.is_transient() { TokenErrorCause::Unavailable } else { TokenErrorCause::Address };
            self.error(cause, error.to_string())
        })?;
        let (head, body) = answer.into_parts();
        let mut body = DecodedBody::new(&self.way, &head.headers, body);
        let mut text = Vec::new();
        while let Some(piece) = body.next().await {
            text.extend_from_slice(&piece.map_err(|error| unavailable(error.to_string()))?);
            if text.len() > MAX_ANSWER {
                return Err(self.error(TokenErrorCause::Answer, "its answer is longer than 64 KiB"));
            }
        }
        Ok((head.status, head.headers, text))
    }
}
