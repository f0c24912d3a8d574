//! Runs every example: each ends by itself and fails where its result is not what it says.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The built examples stand beside the binary. `cargo test` builds them; a run of this test alone needs `--examples` too.
fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_unpage")).parent().unwrap().join("examples").join(name)
}

#[test]
fn every_example_ends_well() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut run = Vec::new();
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let output = Command::new(built(&name)).output().unwrap_or_else(|error| panic!("{name}: {error}"));
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{stdout}{stderr}", output.status);
        assert!(!stdout.is_empty(), "{name} shows its result");
        run.push(name);
    }
    run.sort();
    assert_eq!(run, ["axum_router", "client", "layer"]);
}
