//! The public face is documented: each item that `lib.rs` re-exports, with its public fields, variants and functions.
//!
//! rustc's `missing_docs` passes over items whose module is hidden, also where they are re-exported.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Rust files at or below a module's place.
fn files(module: &str) -> Vec<String> {
    let file = source().join(format!("{module}.rs"));
    if file.exists() {
        return vec![fs::read_to_string(file).unwrap()];
    }
    let (mut texts, mut folders) = (Vec::new(), vec![source().join(module)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}

/// Names that `lib.rs` re-exports, each with its module.
fn face() -> Vec<(String, String)> {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    let exports = lib.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';'));
    let pairs = exports.flat_map(|export| {
        let (module, names) = export.split_once("::").unwrap();
        let names = names.trim_matches(['{', '}']).split(", ");
        names.map(|name| (module.to_owned(), name.to_owned())).collect::<Vec<_>>()
    });
    pairs.collect()
}

/// Public lines of a definition or an inherent impl that have no doc comment, and the number of those that have one.
fn undocumented(text: &str, name: &str, documented: &mut usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut missing = Vec::new();
    let mut inside = None;
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let named =
            |rest: &str| rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
        let defines = ["struct ", "enum ", "type ", "fn ", "async fn "]
            .iter()
            .any(|kind| code.strip_prefix("pub ").and_then(|rest| rest.strip_prefix(kind)).is_some_and(named));
        let implements = indent == 0
            && code.starts_with("impl")
            && !code.contains(" for ")
            && code.split([' ', '<', '>']).any(|word| word == name);
        if indent == 0 && (defines || implements) {
            inside = Some(code.starts_with("pub enum"));
        } else if *line == "}" || indent == 0 && line.ends_with(';') {
            inside = None;
        }
        let is_variant = inside == Some(true) && indent == 4 && code.starts_with(char::is_uppercase);
        let is_member = inside.is_some() && indent == 4 && code.starts_with("pub ");
        if !(indent == 0 && defines || is_variant || is_member) {
            continue;
        }
        let above = lines[..at].iter().rev().take_while(|above| above.trim_start().starts_with(['#', '/']));
        let above: Vec<&str> = above.map(|above| above.trim_start()).collect();
        if above.iter().any(|above| above.starts_with("///") || *above == "#[doc(hidden)]") {
            *documented += 1;
        } else {
            missing.push(format!("{name}: {code}"));
        }
    }
    missing
}

#[test]
fn every_item_of_the_public_face_is_documented() {
    let face = face();
    assert!(face.len() > 12, "{face:?}");
    let mut missing = Vec::new();
    for (module, name) in &face {
        // tower's.
        if name == "BoxError" {
            continue;
        }
        let mut documented = 0;
        missing.extend(files(module).iter().flat_map(|text| undocumented(text, name, &mut documented)));
        assert!(documented > 0, "{name} is not defined in {module}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
