//! Where `serve` keeps snapshots when it wasn't told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use etcetera::BaseStrategy;
use tokio::time::{Instant, sleep};

use crate::config::Config;
use crate::gateway::{Gateway, GatewayError};
use crate::snapshot::StoreError;

/// How long a folder is waited for that another process has: one that was killed has it until the system has cleaned up behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A gateway that keeps its snapshots where it was told, or else in the platform's cache folder, or else in memory alone.
pub(super) async fn gateway(mut config: Config) -> Result<Gateway, GatewayError> {
    let settings = &mut config.snapshots.settings;
    if settings.dir.is_some() || settings.disk == 0 {
        return patient(&config).await;
    }
    settings.dir = folder(config.listen);
    match patient(&config).await {
        Err(GatewayError::Store(error)) => {
            tracing::warn!(
                "{error}; they stay in memory, and end with this process; `dir` in [snapshots] names another folder"
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

/// The folder of the process that listens there: the next one that does goes on with what this one leaves.
fn folder(listen: SocketAddr) -> Option<PathBuf> {
    // Each port 0 is another free one, and so nobody would come back to such a folder.
    if listen.port() == 0 {
        tracing::debug!("snapshots stay in memory: the port is another one each time");
        return None;
    }
    let Ok(platform) = etcetera::choose_base_strategy() else {
        tracing::warn!(
            "snapshots stay in memory: there is no home, and so no cache folder; `dir` in [snapshots] names one"
        );
        return None;
    };
    Some(platform.cache_dir().join("unpage").join(listen.to_string().replace([':', '[', ']', '%'], "-")))
}
