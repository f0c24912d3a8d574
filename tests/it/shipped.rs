//! Parts of packages that the binary writes itself, and the probe of a container.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use tokio::net::TcpListener;
use tokio::process::Command;

use super::metrics;
use super::proxy::run;
use super::upstream::{Reply, Upstream, answer};

#[tokio::test]
async fn health_exits_with_0_only_where_the_answer_is_200() {
    let upstream = Upstream::scripted(0, |asked, _| match asked.target.as_str() {
        "/readyz" => Reply::Whole(answer(503, &[], "stopping\n")),
        _ => Reply::Whole(answer(404, &[], "")),
    })
    .await;
    let (_process, admin) = metrics::serve(&upstream, "records = \"$\"\npagination = \"none\"").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (url, code, said) in [
        (format!("http://{admin}/readyz"), 0, ""),
        (format!("http://{admin}/healthz"), 0, ""),
        (format!("{}/readyz", upstream.url()), 1, "/readyz answered 503"),
        (format!("{}/other", upstream.url()), 1, "/other answered 404"),
        (format!("http://{closed}/readyz"), 1, "/readyz can't be asked: Connection refused"),
        (format!("https://{admin}/readyz"), 2, "speaks http alone"),
        ("readyz".to_owned(), 2, "relative URL"),
    ] {
        let output = run(["health", &url]).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{url}: {stderr}");
        assert!(stderr.contains(said) && stderr.is_empty() == said.is_empty(), "{url}: {stderr}");
        assert_eq!(stderr.contains("hint: "), code == 1, "{url}: {stderr}");
    }
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn each_command_has_a_manual_page_with_its_options() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("share/man1");
    assert!(run(["man".as_ref(), pages.as_os_str()]).await.status.success());
    let help = String::from_utf8(run(["--help"]).await.stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description goes on in lines that are further in.
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands = commands.filter(|name| !name.is_empty() && *name != "help");
    let mut wanted: BTreeSet<_> = commands.map(|name| format!("unpage-{name}.1")).collect();
    wanted.insert("unpage.1".to_owned());
    let written: BTreeSet<_> =
        fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(written, wanted);
    assert!(written.len() > 8);
    let fetch = fs::read_to_string(pages.join("unpage-fetch.1")).unwrap();
    assert!(fetch.contains(r"\-\-max\-records"), "{fetch}");

    fs::write(folder.path().join("file"), "").unwrap();
    let output = run(["man".as_ref(), folder.path().join("file").as_os_str()]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("the manual can't be written to"), "{stderr}");
}

#[tokio::test]
async fn completions_know_commands_and_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(["completions", shell]).await;
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("explain") && script.contains("max-records"), "{shell}");
    }
    assert_eq!(run(["completions", "csh"]).await.status.code(), Some(2));

    // bash itself completes with the script.
    let script = String::from_utf8(run(["completions", "bash"]).await.stdout).unwrap();
    let complete =
        "\nCOMP_WORDS=(unpage fetch --max-r); COMP_CWORD=2; _unpage unpage --max-r fetch; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["--norc", "-c", &(script + complete)]).stdin(Stdio::null()).output().await;
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap().trim(), "--max-records");
}
