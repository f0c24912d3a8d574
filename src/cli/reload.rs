//! Reload of the configuration of `serve`: all of the file is used, or nothing of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use super::notify::{notify, tell_reloading};
use super::stop_signals::HangUps;
use crate::config::{Config, ConfigDifference};
use crate::gateway::Gateway;
use crate::telemetry::Reloads;

/// Interval at which a watched file is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// A reload that was refused: the reason, on one line.
#[derive(Debug)]
struct RefusedReload(String);

/// The configuration file of a server, and the configuration that was last read from it.
#[derive(Debug)]
pub(super) struct ReloadedFile {
    pub(super) path: PathBuf,
    pub(super) running: Config,
    pub(super) gateway: Gateway,
    pub(super) counts: Reloads,
    /// Text of the file before `running` was read from it.
    pub(super) text: Option<Vec<u8>>,
    /// Reason for which the newest text was refused.
    pub(super) refused: Option<String>,
}

/// Time at which a file is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReloadOn {
    HangUp,
    /// SIGHUP, and a change of its text.
    Change,
}

impl ReloadedFile {
    /// Reads the file again at each SIGHUP, and when it changed; never returns.
    pub(super) async fn follow(mut self, mut hang_ups: HangUps, on: ReloadOn) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // Its answer is told also where it is the same as before.
                () = hang_ups.next() => self.refused = None,
                _ = looks.tick(), if on == ReloadOn::Change => {
                    let text = text(&self.path);
                    // A file that is missing for a moment is being replaced.
                    if text.is_none() || text == self.text {
                        continue;
                    }
                }
            }
            self.text = text(&self.path);
            tell_reloading();
            self.reload().await;
            notify(NotifyState::Ready);
        }
    }

    async fn reload(&mut self) {
        match self.replace().await {
            Ok(ConfigDifference { added, removed, changed, .. }) => {
                self.refused = None;
                self.counts.note_good();
                tracing::info!(
                    "{} reloaded: collections added: {}; removed: {}; changed: {}",
                    self.path.display(),
                    list(&added),
                    list(&removed),
                    list(&changed)
                );
            }
            Err(RefusedReload(reason)) => {
                // A file that the configuration names may come a moment later: a watched one is tried again at each look.
                self.text = None;
                if self.refused.as_ref() == Some(&reason) {
                    return;
                }
                self.counts.note_refused();
                tracing::error!(
                    "{} is not reloaded, and the configuration before goes on: {reason}",
                    self.path.display()
                );
                self.refused = Some(reason);
            }
        }
    }

    async fn replace(&mut self) -> Result<ConfigDifference, RefusedReload> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || Config::load(&path)).await;
        let new = match read {
            Ok(Ok(new)) => new,
            Ok(Err(mistakes)) => return Err(RefusedReload(on_one_line(&mistakes.to_string()))),
            Err(stopped) => return Err(RefusedReload(stopped.to_string())),
        };
        let difference = self.running.difference(&new);
        if !difference.fixed.is_empty() {
            let keys = difference.fixed.join(", ");
            return Err(RefusedReload(format!("keys that need a restart were changed: {keys}")));
        }
        self.gateway.reload(&new).map_err(|error| RefusedReload(format!("{error}; hint: {}", error.hint())))?;
        self.running = new;
        Ok(difference)
    }
}

/// Answers each SIGHUP of a server without a configuration file; never returns.
pub(super) async fn refuse_all(mut hang_ups: HangUps) {
    loop {
        hang_ups.next().await;
        tracing::warn!("SIGHUP changes nothing: there is no configuration file to read again");
    }
}

/// Returns the text of a file, if it can be read.
pub(super) fn text(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// Returns the names with commas between them, or `none`.
pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
