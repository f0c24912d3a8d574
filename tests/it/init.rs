//! `init` writes a configuration that streams what its URL has, and `explain` asks nothing.

use super::proxy::run;
use super::streams::orders;
use super::upstream::{Reply, Upstream};

#[tokio::test]
async fn a_written_configuration_streams_what_the_url_has() {
    let upstream = Upstream::of(120).await;
    let folder = tempfile::tempdir().unwrap();
    let paths = [
        "/link/orders",
        "/next_url/orders",
        "/odata/orders",
        "/header/orders",
        "/cursor/orders?limit=50",
        "/page/orders?size=50&page=1",
        "/offset/orders?limit=50&offset=0",
    ];
    for (at, path) in paths.iter().enumerate() {
        let file = folder.path().join(format!("{at}.toml"));
        let file = file.to_str().unwrap();
        let output = run(["init", &format!("{}{path}", upstream.url()), "--output", file]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{path}");
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')) {
            assert!(line.contains("    # "), "{path}: {line}");
        }
        assert!(
            text.contains("pagination = {") && text.contains("# recognised on page 1; page 2 has other records"),
            "{text}"
        );
        assert!(text.contains("key = \"id\"    # unproven: differs in each of the first"), "{text}");
        let output = run(["check", file]).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        // Without a number of the first page.
        let target = path.replace("&page=1", "").replace("&offset=0", "");
        let output = run(["fetch", "--config", file, &target]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout == orders(120).into_bytes(), "{path}: {said}\n{text}");
        // No file is replaced.
        let output = run(["init", &format!("{}{path}", upstream.url()), "--output", file]).await;
        assert_eq!((output.status.code(), std::fs::read_to_string(file).unwrap()), (Some(1), text));
    }
}

#[tokio::test]
async fn a_page_that_nothing_proves_is_written_as_such() {
    let upstream = Upstream::scripted(0, |_, _| Reply::json("{\"items\":[{\"id\":1},{\"id\":2}]}")).await;
    let output = run(["init", &format!("{}/few", upstream.url())]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("# single_page = \"accept\"    # unproven: one page of 2 records"), "{text}");
    assert!(text.contains("\n# pagination = ") && !text.contains("\npagination = "), "{text}");
}

#[tokio::test]
async fn an_explanation_asks_nothing() {
    // No server listens there.
    let url = "http://127.0.0.1:1/page/orders";
    let keys =
        ["--records", "items", "--page-size", "size=50", "--pagination", "{ type = \"page\", param = \"page\" }"];
    let output = run([&["explain", url, "--total", "total"], &keys[..]].concat()).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "preset:         none",
        &format!("first request:  GET {url}?size=50"),
        "end proven by:  the total at `total` that agrees, or a page without records behind the last",
        "requests:       one for each 50 records, up to 6 at a time, and one to confirm the end",
        "pagination = { type = \"page\", param = \"page\"",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let output = run(["explain", "https://api.github.com/repos/rust-lang/rust/issues?access_token=SECRET"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("preset github (documented), chosen by the host"), "{told}");
    assert!(told.contains("issues?access_token=…&per_page=100"), "{told}");
}
