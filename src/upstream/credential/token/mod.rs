//! A token that all requests of an upstream share: requested once for all of them, renewed before its end and when it is refused.

mod answer;
mod assertion;
mod endpoint;
mod error;
mod held_token;
mod refresh_file;
mod refresh_token;
mod renewals;
mod request;
mod vain_renewals;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::endpoint::TokenEndpoint;
pub use self::error::TokenError;
use self::error::TokenErrorCause;
use self::held_token::HeldToken;
pub use self::renewals::TokenRenewals;
use self::vain_renewals::VainRenewals;
use super::placed_secret::PlacedSecret;
use crate::config::{SecretPlace, TokenSettings, Upstream};
use crate::upstream::ConnectorError;

/// Time for which a refusal of the endpoint is its answer to all requests, between two renewals of tokens that were refused unused, and between
/// two that one path asks for in vain.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest time of a request for a token, and of the wait for another process that renews it.
const LIMIT: Duration = Duration::from_secs(30);

/// Holder of a token.
#[derive(Debug)]
pub(in crate::upstream) struct TokenHolder {
    place: SecretPlace,
    /// Statuses, beside 401, that refuse a token.
    expired: Vec<u16>,
    renewals: TokenRenewals,
    /// Held during a renewal: one at a time.
    endpoint: tokio::sync::Mutex<TokenEndpoint>,
    state: Mutex<TokenState>,
}

#[derive(Debug, Default)]
struct TokenState {
    token: Option<HeldToken>,
    failed: Option<(Instant, TokenError)>,
    /// Time of the last renewal of a token that no request had been accepted with.
    renewed_unused: Option<Instant>,
    vain: VainRenewals,
    /// Texts that no message may repeat, of the last two renewals.
    secrets: [Vec<String>; 2],
    /// The same of the last renewal in vain.
    secrets_in_vain: Vec<String>,
}

impl TokenHolder {
    /// Makes a holder whose requests take the way of the upstream's.
    ///
    /// # Errors
    /// Fails where that way can't be set up.
    pub(in crate::upstream) fn new(
        place: &SecretPlace,
        settings: &TokenSettings,
        upstream: &Upstream,
        renewals: TokenRenewals,
    ) -> Result<Self, ConnectorError> {
        Ok(Self { renewals, ..Self::of(place, settings, TokenEndpoint::new(settings, upstream)?) })
    }

    fn of(place: &SecretPlace, settings: &TokenSettings, endpoint: TokenEndpoint) -> Self {
        let (place, expired, renewals) = (place.clone(), settings.expired.clone(), TokenRenewals::default());
        Self { place, expired, renewals, endpoint: tokio::sync::Mutex::new(endpoint), state: Mutex::default() }
    }

    /// Returns true for a status with which the upstream refuses a token.
    pub(super) fn is_refusal(&self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED || self.expired.contains(&status.as_u16())
    }

    /// Returns a token that is valid for some time; renews the held one shortly before its end.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Arc<PlacedSecret>, TokenError> {
        let held = self.state.lock().token.clone();
        let now = Instant::now();
        if let Some(held) = held.as_ref().filter(|held| held.is_fresh(now)) {
            return Ok(Arc::clone(&held.placed));
        }
        // The endpoint is not asked again by each request that could still do with the held one.
        let has_failed = self.state.lock().failed.as_ref().is_some_and(|(at, _)| now.duration_since(*at) < PAUSE);
        if let Some(held) = held.as_ref().filter(|held| has_failed && held.is_valid(now)) {
            return Ok(Arc::clone(&held.placed));
        }
        let renewed = self.renew(held.as_ref().map(|held| Arc::clone(&held.placed))).await;
        match (renewed, held) {
            // A token whose renewal fails is used up to its end.
            (Err(_), Some(held)) if held.is_valid(now) => Ok(held.placed),
            (renewed, _) => renewed,
        }
    }

    /// Returns the token to use after this one was refused at this path: the newer one, if there is one, else a renewed one; none if a renewal
    /// was in vain.
    pub(super) async fn after(
        self: &Arc<Self>,
        refused: &Arc<PlacedSecret>,
        path: &str,
    ) -> Result<Option<Arc<PlacedSecret>>, TokenError> {
        let now = Instant::now();
        {
            let mut state = self.state.lock();
            let is_current = state.token.as_ref().is_some_and(|held| Arc::ptr_eq(&held.placed, refused));
            if is_current && state.vain.forbid(path, now) {
                return Ok(None);
            }
            if is_current && !refused.is_accepted() {
                if state.renewed_unused.is_some_and(|at| now.duration_since(at) < PAUSE) {
                    return Ok(None);
                }
                state.renewed_unused = Some(now);
            }
        }
        self.renew(Some(Arc::clone(refused))).await.map(Some)
    }

    /// Notes how a request for this path was answered that is not sent again: one that is refused asked for a renewal in vain.
    pub(super) fn answered(&self, sent: &PlacedSecret, status: StatusCode, path: &str) {
        let is_refused = self.is_refusal(status);
        if !is_refused {
            sent.accept();
        }
        let mut state = self.state.lock();
        match is_refused {
            true => state.vain.add(path, Instant::now()),
            false => state.vain.remove(path),
        }
    }

    /// Returns another token than this one. The renewal does not end with the request that waits for it: an answer that is lost may hold the
    /// only valid refresh token.
    async fn renew(self: &Arc<Self>, old: Option<Arc<PlacedSecret>>) -> Result<Arc<PlacedSecret>, TokenError> {
        let (holder, asked) = (Arc::clone(self), Instant::now());
        match tokio::spawn(async move { holder.renew_in_turn(old, asked).await }).await {
            Ok(renewed) => renewed,
            Err(_) => {
                let endpoint = self.endpoint.lock().await;
                Err(endpoint.error(TokenErrorCause::Unavailable, "unpage stopped before it answered"))
            }
        }
    }

    async fn renew_in_turn(
        &self,
        old: Option<Arc<PlacedSecret>>,
        asked: Instant,
    ) -> Result<Arc<PlacedSecret>, TokenError> {
        let mut endpoint = self.endpoint.lock().await;
        if let Some(settled) = self.settled(old.as_ref(), asked) {
            return settled;
        }
        let (renewed, secrets) = endpoint.request_token().await;
        let now = Instant::now();
        let mut state = self.state.lock();
        let renewed = renewed.and_then(|answer| match self.place.carries(&answer.access) {
            true => Ok(answer),
            false => Err(endpoint.error(TokenErrorCause::Answer, "the token in its answer has control characters")),
        });
        self.renewals.note(&renewed);
        match renewed {
            Ok(answer) => {
                let placed = Arc::new(PlacedSecret::new(&self.place, &answer.access));
                state.secrets.swap(0, 1);
                state.secrets[1] = secrets;
                state.secrets[1].extend(placed.secrets());
                state.token = Some(HeldToken::new(&placed, now, answer.lifetime));
                state.failed = None;
                tracing::info!("a token from {} is in use", endpoint.name());
                Ok(placed)
            }
            Err(error) => {
                tracing::warn!("{error}");
                state.secrets_in_vain = secrets;
                state.failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    /// Returns what another renewal has come to since this one was asked for.
    fn settled(
        &self,
        old: Option<&Arc<PlacedSecret>>,
        asked: Instant,
    ) -> Option<Result<Arc<PlacedSecret>, TokenError>> {
        let (state, now) = (self.state.lock(), Instant::now());
        let is_old = |held: &HeldToken| old.is_some_and(|old| Arc::ptr_eq(&held.placed, old));
        if let Some(held) = state.token.as_ref().filter(|held| !is_old(held) && held.is_valid(now)) {
            return Some(Ok(Arc::clone(&held.placed)));
        }
        let (at, error) = state.failed.as_ref()?;
        let holds = *at >= asked || !error.is_transient() && now.duration_since(*at) < PAUSE;
        holds.then(|| Err(error.clone()))
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let state = self.state.lock();
        [state.secrets.concat(), state.secrets_in_vain.clone()].concat()
    }
}

#[cfg(test)]
mod tests;
