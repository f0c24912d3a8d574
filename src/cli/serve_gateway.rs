//! Gateway of `serve`: its default folder for snapshots, the wait for its lock, and the fall back to memory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use etcetera::BaseStrategy;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::gateway::{Gateway, GatewayError};
use crate::snapshot::StoreError;

/// Wait for a folder that another process holds: after a kill the system needs some time to release its lock.
const PATIENCE: Duration = Duration::from_secs(2);

/// Builds a gateway with its snapshots in the configured folder, else in the platform's cache folder, else in memory alone.
pub(super) async fn build(mut config: Config) -> Result<Gateway, GatewayError> {
    let settings = &mut config.snapshots.settings;
    if settings.dir.is_some() || settings.disk == 0 {
        return patient(&config).await;
    }
    settings.dir = folder(config.listen);
    match patient(&config).await {
        Err(GatewayError::Store(error)) => {
            tracing::warn!(
                "{error}; snapshots stay in memory and are lost when this process ends; set `dir` in [snapshots] to another folder"
            );
            config.snapshots.settings.dir = None;
            Gateway::builder(config).build()
        }
        gateway => gateway,
    }
}

async fn patient(config: &Config) -> Result<Gateway, GatewayError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Gateway::builder(config.clone()).build() {
            Err(GatewayError::Store(StoreError::Locked(_))) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            gateway => return gateway,
        }
    }
}

/// Returns the folder for this address: the next process that listens there resumes its snapshots.
fn folder(listen: SocketAddr) -> Option<PathBuf> {
    // Port 0 is another free port each time, so that no later process would use the folder.
    if listen.port() == 0 {
        tracing::debug!("snapshots stay in memory: port 0 is another port at each start");
        return None;
    }
    let Ok(platform) = etcetera::choose_base_strategy() else {
        tracing::warn!(
            "snapshots stay in memory: there is no home directory for a cache folder; set `dir` in [snapshots]"
        );
        return None;
    };
    Some(platform.cache_dir().join("unpage").join(listen.to_string().replace([':', '[', ']', '%'], "-")))
}
