//! Gateway of `serve`: its default folder for snapshots, the wait for its lock, and the fall back to memory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::gateway::{Gateway, GatewayError};
use crate::server::ListenAddress;
use crate::snapshot::StoreError;

/// Wait for a folder that another process holds: after a kill the system needs some time to release its lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest wait for a folder whose process is stopping: longer than most orchestrators let it.
const HANDOVER: Duration = Duration::from_secs(15 * 60);

/// File in the folder of a process that is stopping.
const LEAVING: &str = "leaving";

/// Mark in the folder of this process that it is stopping, for the process that is to follow: it waits for the folder, with its sockets
/// open, where it would otherwise refuse to start. Streams that go on here write their files to the end, so that the folder can't be
/// handed over before; a successor that began in memory would request again what is in the files.
#[derive(Debug)]
pub(super) struct LeavingMark(Option<PathBuf>);

impl LeavingMark {
    /// Marks nothing yet, and removes the mark of a process that did not come to its end.
    pub(super) fn new(dir: Option<&Path>) -> Self {
        let mark = Self(dir.map(|dir| dir.join(LEAVING)));
        mark.remove();
        mark
    }

    pub(super) fn set(&self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::write(path, "")
        {
            tracing::debug!("{}: {error}", path.display());
        }
    }

    fn remove(&self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}

impl Drop for LeavingMark {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Builds a gateway with its snapshots in the configured folder, else in the platform's cache folder, else in memory alone. Returns the
/// folder, too.
pub(super) async fn build(mut config: Config) -> Result<(Gateway, LeavingMark), GatewayError> {
    let settings = &mut config.snapshots.settings;
    if settings.dir.is_some() || settings.disk == 0 {
        let gateway = patient(&config).await?;
        return Ok((gateway, LeavingMark::new(config.snapshots.settings.dir.as_deref())));
    }
    settings.dir = config.listen.first().and_then(folder);
    match patient(&config).await {
        Err(GatewayError::Store(error)) => {
            tracing::warn!(
                "{error}; snapshots stay in memory and are lost when this process ends; set `dir` in [snapshots] to another folder"
            );
            config.snapshots.settings.dir = None;
            Ok((Gateway::builder(config).build()?, LeavingMark::new(None)))
        }
        gateway => Ok((gateway?, LeavingMark::new(config.snapshots.settings.dir.as_deref()))),
    }
}

async fn patient(config: &Config) -> Result<Gateway, GatewayError> {
    let begun = Instant::now();
    // Removed a moment before the lock is free.
    let mut marked = begun;
    let mut is_told = false;
    loop {
        match Gateway::builder(config.clone()).build() {
            Err(GatewayError::Store(StoreError::Locked(dir))) => {
                let is_leaving = dir.join(LEAVING).exists();
                if is_leaving && !is_told {
                    is_told = true;
                    tracing::info!("waiting for {}: the process that has it is stopping", dir.display());
                }
                if is_leaving {
                    marked = Instant::now();
                }
                if marked.elapsed() >= PATIENCE || begun.elapsed() >= HANDOVER {
                    return Err(GatewayError::Store(StoreError::Locked(dir)));
                }
                sleep(Duration::from_millis(20)).await;
            }
            gateway => return gateway,
        }
    }
}

/// Returns the folder for this address: the next process that listens there resumes its snapshots.
fn folder(listen: &ListenAddress) -> Option<PathBuf> {
    // Port 0 is another free port each time, so that no later process would use the folder.
    if listen.tcp().is_some_and(|address| address.port() == 0) {
        tracing::debug!("snapshots stay in memory: port 0 is another port at each start");
        return None;
    }
    let Ok(platform) = etcetera::choose_base_strategy() else {
        tracing::warn!(
            "snapshots stay in memory: there is no home directory for a cache folder; set `dir` in [snapshots]"
        );
        return None;
    };
    Some(
        platform
            .cache_dir()
            .join("unpage")
            .join(listen.to_string().trim_start_matches("plain:").replace([':', '[', ']', '%', '/'], "-")),
    )
}
