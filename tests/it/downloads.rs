//! Downloads that go on: what the installed curl and wget make of a snapshot that they have a part of.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use unpage::snapshot::Fault;

use super::resume::{Kept, PLAIN, complete, failed, lines};

/// A tool that goes on with the file `f`.
const GOING_ON: [&[&str]; 4] = [
    &["curl", "-sS", "-f", "-C", "-", "-o", "f"],
    &["curl", "-sS", "-f", "-C", "-", "-o", "f", "--http2-prior-knowledge"],
    &["curl", "-sS", "-f", "-C", "-", "-o", "f", "-L", "-H", "Accept: application/x-ndjson"],
    &["wget", "-nv", "-c", "--waitretry=0", "--tries=4", "-O", "f"],
];

async fn run(tool: &[&str], folder: &Path, address: SocketAddr, target: &str) -> Output {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).arg(format!("http://{address}{target}")).current_dir(folder).kill_on_drop(true);
    // Their own configuration files would speak, too.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder);
    command.output().await.unwrap_or_else(|error| panic!("{} is not installed: {error}", tool[0]))
}

fn folder_with(part: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f"), part).unwrap();
    folder
}

/// The tool must have done well, and the file be the whole.
fn is_whole(output: &Output, folder: &TempDir, whole: &str, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(folder.path().join("f")).unwrap();
    assert!(file == whole.as_bytes(), "{what}: the file has {} bytes of {} or others", file.len(), whole.len());
}

#[tokio::test]
async fn a_download_goes_on_with_a_complete_snapshot() {
    let whole = lines(200 << 10);
    let kept = Kept::complete(&whole).await;
    for tool in GOING_ON {
        for have in [1, 100_001, whole.len() - 1, whole.len()] {
            let folder = folder_with(&whole[..have]);
            let output = run(tool, folder.path(), kept.address, &kept.pinned()).await;
            // curl -f says of the 416 that a whole file gets that it is an error, and leaves the file alone.
            if have == whole.len() && tool[0] == "curl" {
                assert_eq!(output.status.code(), Some(22));
                assert_eq!(std::fs::read(folder.path().join("f")).unwrap(), whole.as_bytes());
            } else {
                is_whole(&output, &folder, &whole, &format!("{tool:?} from {have}"));
            }
        }
    }
}

#[tokio::test]
async fn a_download_goes_on_while_the_snapshot_grows() {
    let whole = lines(200 << 10);
    let half = whole[..whole.len() / 2].rfind('\n').unwrap() + 1;
    for tool in GOING_ON {
        // Before what is there, at its end, and behind it.
        for have in [1000, half - 2, half + 5000] {
            let mut kept = Kept::serve(PLAIN).await;
            kept.append(&whole[..half]);
            let (folder, address, target) = (folder_with(&whole[..have]), kept.address, kept.pinned());
            let path = folder.path().to_owned();
            let running = tokio::spawn(async move { run(tool, &path, address, &target).await });
            while kept.snapshot.log().extent().readers == 0 {
                assert!(!running.is_finished(), "{tool:?} did not wait");
                tokio::task::yield_now().await;
            }
            kept.append(&whole[half..]);
            kept.seal(complete(&whole));
            is_whole(&running.await.unwrap(), &folder, &whole, &format!("{tool:?} from {have}"));
        }
    }
}

#[tokio::test]
async fn wget_goes_on_by_itself_when_its_connection_breaks() {
    let whole = lines(200 << 10);
    let half = whole[..whole.len() / 2].rfind('\n').unwrap() + 1;
    let mut kept = Kept::serve(PLAIN).await;
    kept.append(&whole[..half]);
    // Without a length, wget takes a cut within a chunk for an end, so the 200 is cut as the proxy itself does it: behind a chunk. With a
    // Content-Range it notices any.
    let tail = format!("{}\r\n", &whole[half - 50..half - 2]).into_bytes();
    let (address, mut cuts) = cutting(kept.address, [Cut::Behind(tail), Cut::After(30_000), Cut::After(1)]).await;
    let (folder, target) = (tempfile::tempdir().unwrap(), kept.pinned());
    let growing = async {
        cuts.recv().await.unwrap();
        kept.append(&whole[half..]);
        cuts.recv().await.unwrap();
        cuts.recv().await.unwrap();
        kept.seal(complete(&whole));
        std::future::pending().await
    };
    let tool = ["wget", "-nv", "--waitretry=0", "--tries=6", "-O", "f"];
    tokio::select! {
        output = run(&tool, folder.path(), address, &target) => is_whole(&output, &folder, &whole, "wget"),
        () = growing => {}
    }
}

#[tokio::test]
async fn no_tool_takes_a_broken_snapshot_for_a_whole_one() {
    let whole = lines(200 << 10);
    let half = whole[..whole.len() / 2].rfind('\n').unwrap() + 1;
    for tool in GOING_ON {
        let mut kept = Kept::serve(PLAIN).await;
        kept.append(&whole[..half]);
        kept.seal(failed(Fault::Upstream));
        for have in [1000, half - 2, half + 5000] {
            let folder = folder_with(&whole[..have]);
            let output = run(tool, folder.path(), kept.address, &kept.pinned()).await;
            assert!(!output.status.success(), "{tool:?} from {have}");
            let file = std::fs::read(folder.path().join("f")).unwrap();
            assert!(whole.as_bytes().starts_with(&file), "{tool:?} from {have}");
        }
    }
}

/// Where a connection is cut.
enum Cut {
    Behind(Vec<u8>),
    After(usize),
}

/// A way to this server that cuts each of its first connections there, and tells of each cut.
async fn cutting<const N: usize>(server: SocketAddr, at: [Cut; N]) -> (SocketAddr, UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        let mut at = at.into_iter();
        while let Ok((client, _)) = listener.accept().await {
            let (cut, tell) = (at.next(), tell.clone());
            let (mut from_client, to_client) = client.into_split();
            let (from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                until(cut.as_ref(), from_server, to_client).await;
                // Nobody listens any more when the test is over.
                tell.send(()).unwrap_or_default();
            });
        }
    });
    (address, told)
}

async fn until(cut: Option<&Cut>, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (mut passed, mut written) = (Vec::new(), 0);
    while from.read_buf(&mut passed).await.is_ok_and(|read| read > 0) {
        if to.write_all(&passed[written..]).await.is_err() {
            return;
        }
        written = passed.len();
        let here = match cut {
            Some(Cut::Behind(tail)) => passed.ends_with(tail),
            Some(Cut::After(bytes)) => passed.len() >= *bytes,
            None => false,
        };
        if here {
            return;
        }
    }
}
