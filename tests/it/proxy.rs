//! The proxy under test: in this process on a port of its own, or the real binary.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use unpage::config::{Config, Machine};
use unpage::gateway::Gateway;
use unpage::server::{Certificates, Listener, Server, ServerMonitor, Workers};

use super::upstream::Upstream;

/// Retries that cost no time; three attempts in all.
pub(super) const RETRY: &str = "retry = { attempts = 3, base = \"1ms\", cap = \"2s\" }";

/// Each stream has a crawl of its own that ends with it, unless others ask for the same meanwhile.
const UNKEPT: &str = "[snapshots]\ndisk = \"0\"\nlinger = \"0\"\nfresh_for = \"0\"";

const BINARY: &str = env!("CARGO_BIN_EXE_unpage");

/// A proxy in this process; it stops when it is dropped.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) monitor: ServerMonitor,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// A proxy for this configuration.
    pub(super) async fn start(toml: &str) -> Self {
        let config = Config::read(&unkept(toml), "the test's configuration", &Machine);
        Self::of(&config.unwrap_or_else(|mistakes| panic!("{mistakes}\nin\n{toml}"))).await
    }

    /// A proxy for what is configured already.
    pub(super) async fn of(config: &Config) -> Self {
        let gateway = Gateway::builder(config.clone()).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = Server::new(config.server.clone());
        let certificates = config.tls.clone().map(|tls| Arc::new(Certificates::load(tls).unwrap()));
        let monitor = server.monitor();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(async move {
            let listeners = vec![Listener::from(listener).with_tls(certificates)];
            server.run(&Workers::current(), listeners, gateway, stopped, std::future::pending()).await;
        });
        Self { address, monitor, stop, serving }
    }

    /// A proxy in front of every collection of the demo.
    pub(super) async fn before(upstream: &Upstream) -> Self {
        Self::start(&demo(upstream)).await
    }

    /// Resolves when the server's figures are these.
    pub(super) async fn until(&self, are_these: impl Fn(&ServerMonitor) -> bool) {
        let reached = async {
            while !are_these(&self.monitor) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("the figures stay others");
    }

    /// Stops accepting, and resolves when what was under way has ended.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The configuration of the demo's collections, with retries that cost no time.
pub(super) fn demo(upstream: &Upstream) -> String {
    unpage::demo::configuration(&upstream.url()).replace("\nmethod", &format!("\n{RETRY}\nmethod"))
}

/// The configuration, where nothing is kept for those who come later, unless it says otherwise.
fn unkept(toml: &str) -> String {
    if toml.contains("[snapshots]") || !toml.contains("[[collection]]") {
        return toml.to_owned();
    }
    toml.replacen("[[collection]]", &format!("{UNKEPT}\n[[collection]]"), 1)
}

/// One collection of `upstream` at `/orders`, with these lines more.
pub(super) fn collection(upstream: &str, lines: &str) -> String {
    let retry = if lines.contains("retry") { "" } else { RETRY };
    format!("[[collection]]\npath = \"/{{*rest}}\"\nupstream = \"{upstream}\"\n{retry}\n{lines}\n")
}

/// Runs the binary with these arguments to its end.
pub(super) async fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    binary().args(arguments).output().await.unwrap()
}

/// The binary, without what the environment of the tests would tell it; killed when it is dropped.
pub(super) fn binary() -> Command {
    clean(Command::new(BINARY))
}

fn clean(mut command: Command) -> Command {
    command.env_remove("UNPAGE_LOG").env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// `unpage serve` as a process of its own.
pub(super) struct Process {
    pub(super) address: SocketAddr,
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Process {
    /// Starts the binary with a configuration file, and waits until it listens.
    pub(super) async fn serve(toml: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, unkept(toml)).unwrap();
        Self::serve_with(["--config".as_ref(), file.path().as_os_str()]).await
    }

    /// Starts the binary with a configuration file and this many descriptors.
    pub(super) async fn serve_within(descriptors: usize, toml: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, unkept(toml)).unwrap();
        let mut command = clean(Command::new("sh"));
        command.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(BINARY);
        // Many crawls would fill the pipe, which nothing reads.
        command.env("UNPAGE_LOG", "warn,unpage::cli=info");
        Self::spawn(command, ["--config".as_ref(), file.path().as_os_str()]).await
    }

    /// Starts the binary with a configuration file and a log of all that may help.
    pub(super) async fn serve_debugging(file: &std::path::Path) -> Self {
        let mut command = binary();
        command.env("UNPAGE_LOG", "debug");
        Self::spawn(command, ["--config".as_ref(), file.as_os_str()]).await
    }

    /// Starts the binary with these arguments, and waits until it listens.
    pub(super) async fn serve_with(arguments: impl IntoIterator<Item = &OsStr>) -> Self {
        Self::spawn(binary(), arguments).await
    }

    /// Starts the binary with a configuration file that says where it listens, and waits until it does.
    pub(super) async fn listening(toml: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, unkept(toml)).unwrap();
        let mut command = binary();
        command.args(["serve", "--config"]).arg(file.path());
        Self::started(command).await
    }

    /// Starts the binary with a configuration file, and waits until it says this.
    pub(super) async fn saying(part: &str, toml: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, unkept(toml)).unwrap();
        let mut command = binary();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(file.path());
        Self::until_it_says(part, command).await
    }

    /// The same with a socket that it inherits by the name `http`, and a service manager to be told.
    pub(super) async fn inheriting(toml: &str, socket: Stdio, manager: &std::path::Path) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, unkept(toml)).unwrap();
        let mut command = clean(Command::new("sh"));
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec \"$0\" \"$@\"";
        command.arg("-c").arg(script).arg(BINARY).args(["serve", "--config"]).arg(file.path());
        command.stdin(socket).env("NOTIFY_SOCKET", manager);
        Self::started(command).await
    }

    async fn spawn(mut command: Command, arguments: impl IntoIterator<Item = &OsStr>) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::started(command).await
    }

    async fn started(command: Command) -> Self {
        let mut process = Self::until_it_says("listening on ", command).await;
        process.address = process.address_in("listening on ").await;
        process
    }

    async fn until_it_says(part: &str, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { address, child, stderr, said: String::new() };
        process.wait_for(part).await;
        process
    }

    /// Reads what it says until a line has this in it.
    pub(super) async fn wait_for(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).await.unwrap();
            assert!(read > 0, "it ended before it said {part:?}:\n{}", self.said);
            self.said.push_str(&line);
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The line that has this in it, whether it was said before or is waited for.
    pub(super) async fn has_said(&mut self, part: &str) -> String {
        match self.said.lines().find(|line| line.contains(part)).map(ToOwned::to_owned) {
            Some(line) => line,
            None => self.wait_for(part).await,
        }
    }

    /// Address of the last URL in the line that has this in it, whether it was said before or is waited for.
    pub(super) async fn address_in(&mut self, part: &str) -> SocketAddr {
        let line = self.has_said(part).await;
        line.rsplit_once("://").unwrap().1.split(['/', '"']).next().unwrap().trim().parse().unwrap()
    }

    /// The operator's address.
    pub(super) async fn admin(&mut self) -> SocketAddr {
        self.address_in("metrics at ").await
    }

    /// Forgets what it has said.
    pub(super) fn forget(&mut self) {
        self.said.clear();
    }

    /// Number of its sockets.
    pub(super) fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id().unwrap())).unwrap();
        let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// Sends a signal to it.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = self.child.id().unwrap().try_into().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for its end: everything that it said, and its exit code.
    pub(super) async fn end(mut self) -> (String, Option<i32>) {
        self.stderr.read_to_string(&mut self.said).await.unwrap();
        let code = self.child.wait().await.unwrap().code();
        (self.said, code)
    }
}
