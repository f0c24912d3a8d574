//! The refresh token: the configured one, or the last that has replaced it.

use std::io;
use std::path::PathBuf;

use tokio::task::spawn_blocking;

use super::refresh_file::{KeepError, LockedFile};

/// Refresh tokens of one configuration.
#[derive(Debug)]
pub(super) struct RefreshTokens {
    keep: Option<PathBuf>,
    last: Option<RotatedToken>,
}

/// A token that has replaced the configured one.
struct RotatedToken {
    /// The configured one.
    first: String,
    token: String,
    is_saved: bool,
}

/// A refresh token that no other process uses meanwhile.
pub(super) struct RefreshTurn {
    first: String,
    pub(super) token: String,
    file: Option<LockedFile>,
}

impl RefreshTokens {
    pub(super) fn new(keep: Option<PathBuf>) -> Self {
        Self { keep, last: None }
    }

    /// Returns the newest token that descends from the configured one.
    ///
    /// # Errors
    /// Fails where another process keeps the file's lock, where the file can't be read, or where the last token could not be written and still
    /// can't be.
    pub(super) async fn turn(&mut self, first: String) -> Result<RefreshTurn, KeepError> {
        let last = self.last.as_mut().filter(|last| last.first == first);
        let Some(keep) = self.keep.clone() else {
            let token = last.map_or_else(|| first.clone(), |last| last.token.clone());
            return Ok(RefreshTurn { first, token, file: None });
        };
        let unsaved = last.filter(|last| !last.is_saved);
        let token = unsaved.as_ref().map(|last| last.token.clone());
        let file = LockedFile::lock(&keep).await?;
        let turn = spawn_blocking(move || {
            if let Some(token) = token {
                file.write(&first, &token)?;
            }
            let token = file.read(&first)?.unwrap_or_else(|| first.clone());
            Ok(RefreshTurn { first, token, file: Some(file) })
        });
        let turn = turn.await.unwrap_or_else(|why| Err(KeepError::Io { path: keep, why: io::Error::other(why) }))?;
        if let Some(last) = unsaved {
            last.is_saved = true;
        }
        Ok(turn)
    }

    /// Takes the token that has replaced that of the turn: it is on the disk when this returns.
    pub(super) async fn rotate(&mut self, turn: RefreshTurn, token: String) -> Result<(), KeepError> {
        let RefreshTurn { first, file, .. } = turn;
        let last = RotatedToken { first: first.clone(), token: token.clone(), is_saved: file.is_none() };
        let last = self.last.insert(last);
        if let Some(file) = file {
            let path = self.keep.clone().unwrap_or_default();
            let written = spawn_blocking(move || file.write(&first, &token)).await;
            written.unwrap_or_else(|why| Err(KeepError::Io { path, why: io::Error::other(why) }))?;
            last.is_saved = true;
        }
        Ok(())
    }
}

impl std::fmt::Debug for RotatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotatedToken").field("is_saved", &self.is_saved).finish_non_exhaustive()
    }
}
