//! The whole way, between two sockets: an upstream, a proxy, a client.
//!
//! - [`page`]: pages that are sent without being built
//! - [`upstream`]: serves them as an API does
//! - [`wire`]: over HTTP/1.1, HTTP/2 or TLS, and in a content coding
//! - [`client`]: fetches, and only counts
//! - [`passthrough`]: the bare proxy that unpage is held against
//! - [`proxies`]: unpage and the others, as processes
//! - [`process`]: what a process has cost
//! - [`proxy`], [`keyed`], [`early`], [`memory`], [`crowd`], [`small`], [`observed`], [`wires`], [`plans`], [`snapshots`], [`peers`]: what is measured

pub mod client;
pub mod crowd;
pub mod early;
pub mod keyed;
pub mod memory;
pub mod observed;
pub mod page;
pub mod passthrough;
pub mod peers;
pub mod plans;
pub mod process;
pub mod proxies;
pub mod proxy;
pub mod small;
pub mod snapshots;
pub mod upstream;
pub mod wire;
pub mod wires;

use std::path::PathBuf;

/// Settings of all parts.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Enough rounds for a median, or a look whether it runs.
    pub effort: Effort,
    /// The binary under test.
    pub unpage: PathBuf,
    /// nginx, where it is to be compared.
    pub nginx: Option<PathBuf>,
    /// A Python with what `peers/requirements.txt` asks for.
    pub python: Option<PathBuf>,
    /// The folder of the peers' scripts.
    pub scripts: PathBuf,
    /// Folder for results and scratch files.
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    Full,
    Quick,
}

impl Effort {
    /// One of two numbers.
    pub fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// The contenders of a round: every other round has them in reverse, so that a drift of the machine hits all of them.
pub fn order<T: Clone>(contenders: &[T], round: usize) -> Vec<T> {
    let mut order = contenders.to_vec();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}
