//! A scripted API on a port of its own, and the configuration with which unpage walks it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use unpage::demo::Legacy;
use unpage_upstream::{Log, Script, Scripted, serve};

use super::super::Setting;
use super::super::process::Pinning;
use super::super::proxies::{Proxy, STREAMS_ALONE};

/// A running API; it ends with this value.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    scripted: Arc<Mutex<Scripted>>,
    task: JoinHandle<()>,
}

/// Configuration of a collection for unpage.
#[derive(Clone, Debug)]
pub struct Walk {
    pub style: Style,
    /// Page size.
    pub page: u64,
    /// Lines of the upstream's table: `width` and the like.
    pub upstream: String,
    /// Lines of the collection's table: `partition` and the like.
    pub collection: String,
}

/// A pagination that the API has, with a total or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Offset,
    OffsetWithoutTotal,
    PageWithoutTotal,
    Cursor,
}

impl Style {
    /// Path of a collection, at the API and at unpage.
    pub fn path(self) -> &'static str {
        match self {
            Self::Offset | Self::OffsetWithoutTotal => "/offset/orders",
            Self::PageWithoutTotal => "/page/orders",
            Self::Cursor => "/cursor/orders",
        }
    }

    /// Its pagination, and the size of its pages.
    fn lines(self, size: u64) -> String {
        let (records, param, pagination) = match self {
            Self::Offset | Self::OffsetWithoutTotal => ("items", "limit", r#"type = "offset", param = "offset""#),
            Self::PageWithoutTotal => ("items", "size", r#"type = "page", param = "page", start = 1"#),
            Self::Cursor => ("data", "limit", r#"type = "cursor", next = "meta.next_cursor", param = "cursor""#),
        };
        let total = if self == Self::Offset { "total = \"total\"\n" } else { "" };
        let size = format!(r#"{{ param = "{param}", value = {size}, max = {size} }}"#);
        format!("records = \"{records}\"\npage_size = {size}\npagination = {{ {pagination} }}\n{total}")
    }
}

impl Api {
    pub async fn start(legacy: Legacy, script: Script) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let scripted = Arc::new(Mutex::new(Scripted::new(legacy, script)));
        let task = tokio::spawn(serve(listener, Arc::clone(&scripted), pending()));
        Ok(Self { address, scripted, task })
    }

    /// unpage in front of it, a process of its own.
    pub async fn behind(&self, setting: &Setting, walk: &Walk) -> anyhow::Result<Proxy> {
        let text = format!(
            "{STREAMS_ALONE}\n[upstream.api]\nurl = \"http://{}\"\n{}\n\n[[collection]]\npath = \"{}\"\nupstream = \"api\"\nkey = \"id\"\n{}{}\n",
            self.address,
            walk.upstream,
            walk.style.path(),
            walk.style.lines(walk.page),
            walk.collection
        );
        Proxy::configured(setting, &text, Pinning::Shared).await
    }

    /// Requests since the last call.
    pub fn log(&self) -> Log {
        self.scripted().forget()
    }

    fn scripted(&self) -> MutexGuard<'_, Scripted> {
        self.scripted.lock()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}
