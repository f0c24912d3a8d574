//! unpage and those it is held against, each a process that ends with its value.

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Setting;
use super::process::Pinning;
use super::upstream::Dialect;

/// Streams as they pass through: nothing is shared or kept, and `opens` doesn't count. The cost of snapshots is a part of its own.
pub const STREAMS_ALONE: &str = "listen = \"127.0.0.1:0\"\n
[snapshots]\ndisk = \"0\"\nmemory = \"8MiB\"\nfresh_for = \"0\"\nopens = \"1000000/s\"\n";

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    pub pid: u32,
    /// Killed when it is dropped.
    _child: Child,
}

impl Proxy {
    /// `unpage serve` in front of every dialect.
    pub async fn unpage(setting: &Setting, upstream: SocketAddr, pinning: Pinning) -> anyhow::Result<Self> {
        Self::configured(setting, &configuration(upstream, "")?, pinning).await
    }

    /// The same with a key of the records.
    pub async fn keyed(setting: &Setting, upstream: SocketAddr, pinning: Pinning) -> anyhow::Result<Self> {
        Self::configured(setting, &configuration(upstream, "key = \"id\"\nconsistency = \"detect\"\n")?, pinning).await
    }

    /// `unpage serve` with a log in JSON, and the address of its metrics, which listens before the proxy does.
    pub async fn observed(
        setting: &Setting,
        upstream: SocketAddr,
        pinning: Pinning,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        // The port is free now; that another takes it before unpage does would be seen as a failure to start.
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = format!("admin = \"{admin}\"\n{}", configuration(upstream, "")?);
        let proxy = Self::served(setting, &configuration, &["--log-format", "json"], pinning).await?;
        Ok((proxy, admin))
    }

    /// `unpage serve` with this configuration.
    pub async fn configured(setting: &Setting, configuration: &str, pinning: Pinning) -> anyhow::Result<Self> {
        Self::served(setting, configuration, &[], pinning).await
    }

    async fn served(
        setting: &Setting,
        configuration: &str,
        options: &[&str],
        pinning: Pinning,
    ) -> anyhow::Result<Self> {
        let file = setting.out.join("unpage.toml");
        fs::write(&file, configuration)?;
        let mut command = command(&setting.unpage, pinning);
        command.args(["serve".as_ref(), "--config".as_ref(), file.as_os_str()]).args(options);
        Self::announced(command).await
    }

    /// hyper alone.
    pub async fn passthrough(upstream: SocketAddr, pinning: Pinning) -> anyhow::Result<Self> {
        let mut command = command(&std::env::current_exe()?, pinning);
        command.args(["passthrough", "--upstream", &upstream.to_string()]);
        Self::announced(command).await
    }

    /// nginx, with large buffers and no temporary files or as it is installed.
    pub async fn nginx(
        setting: &Setting,
        binary: &Path,
        buffers: Buffers,
        upstream: SocketAddr,
        pinning: Pinning,
    ) -> anyhow::Result<Self> {
        let folder = fs::canonicalize(&setting.out)?.join(format!("nginx-{buffers:?}").to_lowercase());
        let buffers = match buffers {
            Buffers::Tuned => {
                "proxy_buffers 16 128k; proxy_buffer_size 128k; proxy_busy_buffers_size 256k; proxy_max_temp_file_size 0;"
            }
            Buffers::Default => "",
        };
        // nginx speaks HTTP/1.0 to its upstream unless it is told otherwise, and the body would have no chunks there.
        let place = format!(
            "proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection \"\"; {buffers}"
        );
        Self::started(&folder, binary, &place, pinning).await
    }

    /// nginx that serves the folder of this file with `sendfile on`, and the file's path there.
    pub async fn file_server(
        setting: &Setting,
        binary: &Path,
        file: &Path,
        number: usize,
        pinning: Pinning,
    ) -> anyhow::Result<(Self, String)> {
        let folder = fs::canonicalize(&setting.out)?.join(format!("nginx-files-{number}"));
        let file = fs::canonicalize(file)?;
        let (root, name) = (file.parent().context("no folder")?, file.file_name().context("no name")?);
        let path = format!("/{}", name.to_string_lossy());
        let place = format!("root {}; sendfile on; tcp_nopush on;", root.display());
        Ok((Self::started(&folder, binary, &place, pinning).await?, path))
    }

    async fn started(folder: &Path, binary: &Path, place: &str, pinning: Pinning) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        // The port is free now; that another takes it before nginx does would be seen as a failure to start.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, nginx_conf(folder, place, address))?;
        let mut command = command(binary, pinning);
        command.arg("-p").arg(folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
        let child = command.spawn().context("nginx can't be started")?;
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { address, pid: child.id().context("nginx ended")?, _child: child })
    }

    /// Waits for the line on which a proxy says where it listens.
    async fn announced(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("{command:?}"))?;
        let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let address = loop {
            let line = lines.next_line().await?.with_context(|| format!("{command:?} ended"))?;
            if let Some((_, address)) = line.split_once("listening on http://") {
                // In JSON, the line goes on behind the address.
                break address.split(|c: char| c.is_whitespace() || c == '"').next().unwrap_or_default().parse()?;
            }
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("ERROR") {
                    eprintln!("{line}");
                }
            }
        });
        Ok(Self { address, pid: child.id().context("it ended")?, _child: child })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    Tuned,
    Default,
}

fn command(binary: &Path, pinning: Pinning) -> Command {
    let mut command = match pinning {
        Pinning::Second => {
            let mut command = Command::new("taskset");
            command.args(["-c", "1"]).arg(binary);
            command
        }
        Pinning::Shared => Command::new(binary),
    };
    command.kill_on_drop(true).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn configuration(upstream: SocketAddr, keys: &str) -> Result<String, std::fmt::Error> {
    let mut text = format!("{STREAMS_ALONE}\n[upstream.bench]\nurl = \"http://{upstream}\"\n");
    for dialect in Dialect::ALL {
        let pagination = match dialect {
            Dialect::Link => r#"{ type = "link_header" }"#,
            Dialect::Before | Dialect::After => r#"{ type = "next_url", next = "next" }"#,
            Dialect::Offset => r#"{ type = "offset", param = "offset" }"#,
        };
        write!(text, "\n[[collection]]\npath = \"{}\"\nupstream = \"bench\"\nrecords = \"data\"\n", dialect.path())?;
        writeln!(text, "{keys}pagination = {pagination}\ncaps = {{ page = \"300MiB\" }}")?;
        if dialect == Dialect::Offset {
            writeln!(text, "total = \"total\"")?;
        }
    }
    Ok(text)
}

fn nginx_conf(folder: &Path, place: &str, address: SocketAddr) -> String {
    let folder = folder.display();
    // Worker processes would run as another user, who can't read what unpage keeps: there is one process, as who starts it.
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    location / {{ {place} }}
  }}
}}
"
    )
}
