//! Configured credentials that change while unpage runs: files of secrets that are replaced, and tokens that end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::client::{self, BOTH, Version};
use super::proxy::{Proxy, collection, run};
use super::upstream::{Asked, Reply, Upstream, answer};

const NEXT_URL: &str = "records = \"results\"\npagination = { type = \"next_url\", next = \"next\" }";

/// Replaces a file as a whole, as Kubernetes does with a secret.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    fs::write(&next, text).unwrap();
    fs::rename(next, file).unwrap();
}

fn refused() -> Reply {
    Reply::Whole(answer(401, &[], "{\"error\":\"expired\"}"))
}

fn bearer(asked: &Asked) -> &str {
    asked.header("authorization").unwrap_or_default().strip_prefix("Bearer ").unwrap_or_default()
}

/// An upstream whose pages from the third on want the second secret, which is in the file from then on.
async fn rotated_at_the_third_page(file: &Arc<PathBuf>) -> Upstream {
    let file = Arc::clone(file);
    fs::write(&*file, "secret-one\n").unwrap();
    Upstream::scripted(200, move |asked, answer| {
        if asked.page < 3 {
            return Reply::Whole(answer);
        }
        replace(&file, "secret-two\n");
        if bearer(asked) == "secret-two" { Reply::Whole(answer) } else { refused() }
    })
    .await
}

#[tokio::test]
async fn a_secret_file_that_is_replaced_during_a_crawl_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(folder.path().join("token"));
    for version in BOTH {
        let upstream = rotated_at_the_third_page(&file).await;
        let lines = format!("credentials = {{ bearer = {{ file = {:?} }} }}\n{NEXT_URL}", file.display());
        let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
        let received = client::receive(version, proxy.address, client::stream("/next_url/orders?page_size=50")).await;
        assert_eq!(received.whole().lines().count(), 200);
        let secrets: Vec<_> = upstream.asked().iter().map(|asked| bearer(asked).to_owned()).collect();
        assert_eq!(secrets, ["secret-one", "secret-one", "secret-one", "secret-two", "secret-two"]);
        // What is passed through has the new one, too.
        let received = client::receive(version, proxy.address, client::get("/next_url/orders?page=4", "*/*")).await;
        assert_eq!(received.head.status, 200);
    }
}

#[tokio::test]
async fn a_passed_request_is_repeated_with_the_secret_that_its_file_has_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "secret-one").unwrap();
    let upstream = Upstream::scripted(1, |asked, _| match asked.target.contains("key=secret-two") {
        true => Reply::json("[1]"),
        false => refused(),
    })
    .await;
    let lines = format!(
        "credentials = {{ query = {{ name = \"key\", value = {{ file = {:?} }} }} }}\nrecords = \"$\"\npagination = \"none\"",
        file.display()
    );
    let proxy = Proxy::start(&collection(&upstream.url(), &lines)).await;
    let get = || client::receive(Version::Http1, proxy.address, client::get("/orders", "*/*"));
    assert_eq!(get().await.head.status, 401, "the file has no other secret");
    assert_eq!(upstream.asked().len(), 1);
    for bad in ["", "secret-one"] {
        replace(&file, bad);
        assert_eq!(get().await.head.status, 401, "{bad:?}");
    }
    assert_eq!(upstream.forget().len(), 3);
    replace(&file, "secret-two");
    assert_eq!(get().await.head.status, 200);
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn fetch_follows_the_file_of_its_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = Arc::new(folder.path().join("token"));
    let upstream = rotated_at_the_third_page(&file).await;
    let url = format!("{}/next_url/orders?page_size=50", upstream.url());
    let credentials = format!("credentials={{ bearer = {{ file = {:?} }} }}", file.display());
    let pagination = "{ type = \"next_url\", next = \"next\" }";
    let arguments = ["fetch", &url, "--set", &credentials, "--records", "results", "--pagination", pagination];
    let output = run(arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 200);
}
