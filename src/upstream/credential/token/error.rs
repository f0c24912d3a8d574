//! Errors of requests for a token, each with advice for the operator.

/// Error of a request for a token. It holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no token from {endpoint}: {what}")]
pub struct TokenError {
    pub(super) endpoint: String,
    pub(super) what: String,
    pub(super) cause: TokenErrorCause,
}

/// Cause of a [`TokenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenErrorCause {
    /// No answer, or one that says that the endpoint is not well.
    Unavailable,
    /// The client's id or secret.
    Client,
    /// The refresh token, assertion, or user name and password.
    Grant,
    /// Anything else about the request.
    Request,
    /// An answer without a token.
    Answer,
    Redirect,
    /// An address that may not be dialled.
    Address,
    /// A secret of the configuration.
    Secret,
    /// The file that keeps the refresh token.
    Keep,
    /// Content of that file.
    KeepDamaged,
    /// Lock of that file, which another process holds.
    KeepHeld,
}

impl TokenError {
    /// Returns true if the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        self.cause == TokenErrorCause::Unavailable
    }

    /// Advice for the operator, on one line.
    pub fn hint(&self) -> &'static str {
        match self.cause {
            TokenErrorCause::Unavailable => {
                "check that the token endpoint is well, and its address in credentials.token"
            }
            TokenErrorCause::Client => {
                "check `id` and `secret` of the client in credentials.token; send = \"body\" sends them in the body, where some servers want them"
            }
            TokenErrorCause::Grant => {
                "what the token is granted for is not valid any more: set credentials.token to a new refresh token, key or password, then fetch again"
            }
            TokenErrorCause::Request => "check `params`, `as` and `grant` of credentials.token",
            TokenErrorCause::Answer => "check `access` of credentials.token, the place of the token in the answer",
            TokenErrorCause::Redirect => {
                "secrets go to the configured address alone: write the one that answers into credentials.token"
            }
            TokenErrorCause::Address => {
                "the token endpoint's addresses are checked as the upstream's: see credentials.token, and `private_addresses`"
            }
            TokenErrorCause::Secret => "check the secrets of credentials.token and their files",
            TokenErrorCause::Keep => {
                "a refresh token is kept before it is used: set credentials.token.keep to a file in a folder where this user may make files"
            }
            TokenErrorCause::KeepDamaged => {
                "restore the file of credentials.token.keep, or delete it: the next token is then requested with the configured refresh_token"
            }
            TokenErrorCause::KeepHeld => {
                "processes with one credentials.token.keep renew in turn: end the one that does not go on"
            }
        }
    }
}
