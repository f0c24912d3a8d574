//! Costs of snapshots: replay beside a file server, files beside memory alone, readers beside stalled ones, and a long crawl.

mod download;
mod journal;
mod long;
mod readers;
mod replay;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};

pub use self::download::{Download, Window};
use super::Setting;
use super::process::Pinning;
use super::proxies::Proxy;
use super::upstream::{Dialect, Upstream};
use crate::figure::Figure;

/// A row of the table, for those who want it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Row {
    Replay,
    Journal,
    Readers,
    Long,
}

/// Measures these rows, or all of them, and gives the figures and everything that they were made of.
pub async fn run(setting: &Setting, rows: &[Row], pinning: Pinning) -> anyhow::Result<(Vec<Figure>, Value)> {
    let (mut figures, mut details) = (Vec::new(), Vec::new());
    for row in Row::value_variants().iter().filter(|row| rows.is_empty() || rows.contains(row)) {
        let (more, detail) = match row {
            Row::Replay => replay::run(setting, pinning).await?,
            Row::Journal => journal::run(setting, pinning).await?,
            Row::Readers => readers::run(setting, pinning).await?,
            Row::Long => long::run(setting, pinning).await?,
        };
        figures.extend(more);
        details.push(json!({ "row": format!("{row:?}"), "details": detail }));
    }
    Ok((figures, details.into()))
}

/// Folder of the snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Files,
    Memory,
}

/// unpage over a folder of its own or in memory alone, with these lines in the table of the snapshots.
async fn unpage(
    setting: &Setting,
    name: &str,
    upstream: &Upstream,
    keeping: Keeping,
    lines: &str,
    pinning: Pinning,
) -> anyhow::Result<(Proxy, PathBuf)> {
    let folder = emptied(setting, name)?;
    Ok((started(setting, &folder, upstream, keeping, lines, pinning).await?, folder))
}

/// A folder without snapshots.
fn emptied(setting: &Setting, name: &str) -> anyhow::Result<PathBuf> {
    let folder = setting.out.join(format!("snapshots-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(folder)
}

/// unpage over this folder, with the snapshots that it has.
async fn started(
    setting: &Setting,
    folder: &Path,
    upstream: &Upstream,
    keeping: Keeping,
    lines: &str,
    pinning: Pinning,
) -> anyhow::Result<Proxy> {
    let place = match keeping {
        Keeping::Files => format!("dir = \"{}\"", std::path::absolute(folder)?.display()),
        Keeping::Memory => "disk = \"0\"".to_owned(),
    };
    let configuration = format!(
        "listen = \"127.0.0.1:0\"\n\n[snapshots]\n{place}\n{lines}\n
[[collection]]\npath = \"{}\"\nupstream = \"http://{}\"\nrecords = \"data\"\npagination = {{ type = \"link_header\" }}\n",
        Dialect::Link.path(),
        upstream.address,
    );
    Proxy::configured(setting, &configuration, pinning).await
}

/// The only file of lines in a folder of snapshots.
fn lines_of(folder: &Path) -> anyhow::Result<PathBuf> {
    let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let file =
        files.iter().map(std::fs::DirEntry::path).find(|file| file.extension().is_some_and(|end| end == "ndjson"));
    file.with_context(|| format!("no snapshot in {}", folder.display()))
}
