//! `unpage check`: the files that a configuration names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::proxy::{collection, run};

/// Writes a certificate of this last year and its key into a folder.
fn write_pair(folder: &Path, name: &str, year: i32) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    fs::write(folder.join(format!("{name}.crt")), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// Runs `check` with these lines of `[tls]`, of `[snapshots]` and of the collection. Returns whether it passes, and what it says.
async fn check(folder: &Path, tls: &str, snapshots: &str, lines: &str) -> (bool, String) {
    let file = folder.join("unpage.toml");
    let one = collection("https://a.example", &format!("{lines}\nrecords = \"$\"\npagination = \"none\""));
    let tls = if tls.is_empty() { String::new() } else { format!("[tls]\n{tls}\n") };
    let toml = format!("{tls}[snapshots]\n{snapshots}\n{one}");
    fs::write(&file, toml.replace("DIR", folder.to_str().unwrap())).unwrap();
    let output = run(["check".as_ref(), file.as_os_str()]).await;
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn actions_without_an_address_are_warned_of() {
    let one = collection("https://a.example", "records = \"$\"\npagination = \"none\"");
    for (admin, is_warned) in [("", true), ("admin = \"127.0.0.1:9090\"", false)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, format!("{admin}\nadmin_actions = true\n{one}")).unwrap();
        let output = run(["check".as_ref(), file.path().as_os_str()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("warning: admin_actions: without an address"), is_warned, "{said}");
    }
}

#[tokio::test]
async fn signatures_for_another_region_than_the_upstreams_are_warned_of() {
    let keys = "access_key = { env = \"NOT_SET_HERE\" }, secret_key = { env = \"NOT_SET_EITHER\" }";
    for (region, is_warned) in [("us-east-1", true), ("eu-west-1", false)] {
        let lines = format!(
            "credentials.aws = {{ service = \"s3\", region = \"{region}\", {keys} }}\nrecords = \"$\"\npagination = \"none\""
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), collection("https://bucket.s3.eu-west-1.amazonaws.com", &lines)).unwrap();
        let output = run(["check".as_ref(), file.path().as_os_str()]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains("warning: environment variable NOT_SET_EITHER"), "{said}");
        assert_eq!(said.contains("warning: credentials.aws.region: https://bucket.s3.eu-west-1"), is_warned, "{said}");
    }
}

#[tokio::test]
async fn a_pool_that_has_one_secret_twice_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, secret) in [("a", "s3cret-one"), ("b", "s3cret-two"), ("c", "s3cret-one")] {
        fs::write(folder.join(name), secret).unwrap();
    }
    for (files, twice) in [("abc", Some("[0] and credentials.pool[2] have one secret")), ("ab", None), ("xy", None)] {
        let members = files.chars().map(|name| format!("{{ bearer = {{ file = \"DIR/{name}\" }} }}"));
        let pool = members.collect::<Vec<_>>().join(", ");
        let (passed, output) = check(folder, "", "", &format!("credentials = {{ pool = [{pool}] }}")).await;
        assert!(passed && output.contains(twice.unwrap_or("share the requests")), "{output}");
        assert!(output.contains("have one secret") == twice.is_some() && !output.contains("s3cret"), "{output}");
    }
}

#[tokio::test]
async fn files_that_are_there_have_to_be_right_and_others_may_be_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_pair(folder, "good", 2100);
    write_pair(folder, "other", 2100);
    write_pair(folder, "old", 2020);
    fs::write(folder.join("empty"), "").unwrap();
    symlink(folder.join("good.crt"), folder.join("link.crt")).unwrap();
    let pair = |cert: &str, key: &str| format!("cert = \"DIR/{cert}.crt\"\nkey = \"DIR/{key}.key\"");
    let with_ca = |ca: &str| format!("{}\nclient_ca = \"DIR/{ca}\"", pair("good", "good"));
    let good = pair("link", "good");
    for (tls, snapshots, lines, passes, said) in [
        (good.clone(), "dir = \"DIR/a/b\"", "ca = \"DIR/good.crt\"", true, ": ok, 1 collection"),
        (pair("good", "absent"), "", "", true, "warning: tls: DIR/absent.key: No such file"),
        (good.clone(), "", "ca = \"DIR/absent.pem\"", true, "warning: ca: DIR/absent.pem: No such file"),
        (pair("good", "other"), "", "", false, "tls: the key in DIR/other.key is not that of"),
        (pair("old", "old"), "", "", false, "tls: the certificate in DIR/old.crt has expired"),
        (with_ca("empty"), "", "", false, "tls: DIR/empty is no PEM file of certificates"),
        (String::new(), "", "ca = \"DIR/good.key\"", false, "ca of https://a.example/: the certificate authorities in"),
        (String::new(), "", "ca = \"DIR\"", false, "hint: set `ca`"),
        (String::new(), "dir = \"DIR/empty\"", "", false, "snapshots.dir: DIR/empty: not a directory"),
        (String::new(), "dir = \"DIR/empty/a\"", "", false, "snapshots.dir: DIR/empty: not a directory"),
    ] {
        let (passed, output) = check(folder, &tls, snapshots, lines).await;
        let said = said.replace("DIR", folder.to_str().unwrap());
        assert!(passed == passes && output.contains(&said), "{tls} {snapshots} {lines}: {output}");
        assert_eq!(output.contains("hint: "), !passes, "{output}");
    }
    assert!(!folder.join("a").exists());
}
