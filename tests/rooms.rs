//! The rules of the house that a machine can hold, against the tables of ARCHITECTURE.md: which room uses which, which places are
//! pure, and the reason for each dependency.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in tests, and means their helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a pure place may not name: tasks, sockets, files, the environment, the clock, dice.
const IMPURE: &[&str] = &[
    "tokio::",
    "tokio_util::",
    "hyper::",
    "hyper_util::",
    "fastrand::",
    "rand::",
    "Instant::now",
    "SystemTime::now",
    "std::env",
    "std::fs",
    "std::io",
    "std::process",
    "std::thread",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
];

/// One file of `src`.
struct File {
    /// Below `src`, as in `pagination/plan/follow.rs`.
    path: String,
    text: String,
    /// The text without comments, without what strings hold and without tests.
    code: String,
}

#[test]
fn the_rooms_use_each_other_as_the_table_says() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files() {
        let used = found.entry(file.room().to_owned()).or_default();
        used.extend(rooms_in(&file.code).into_iter().filter(|room| room != file.room()));
    }
    let said =
        table("Who may depend on whom").into_iter().map(|row| (row[0].join(""), row[1].iter().cloned().collect()));
    let said: BTreeMap<String, BTreeSet<String>> = said.collect();
    assert!(found.len() > 10, "only {} rooms", found.len());
    for room in found.keys().chain(said.keys()) {
        assert_eq!(found.get(room), said.get(room), "{room}: src on the left, ARCHITECTURE.md on the right");
    }
}

#[test]
fn the_pure_places_do_no_io_and_have_no_clock_and_no_dice() {
    let places = table("What is pure");
    let (mut pure, mut impure) = (0, Vec::new());
    for file in files() {
        let within = |names: &[String]| names.iter().any(|name| file.path.starts_with(name.as_str()));
        if !places.iter().any(|row| within(&row[0]) && !within(&row[1])) {
            continue;
        }
        pure += 1;
        let named = IMPURE.iter().filter(|word| names(&file.code, word));
        impure.extend(named.map(|word| format!("src/{} names {word}", file.path)));
    }
    assert!(pure > 30, "only {pure} pure files");
    assert!(impure.is_empty(), "{impure:#?}");
}

#[test]
fn each_dependency_has_its_line() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    for (key, heading) in [("dependencies", "Dependencies"), ("dev-dependencies", "Dependencies of the tests")] {
        let found: BTreeSet<String> = manifest[key].as_table().unwrap().keys().cloned().collect();
        let said: BTreeSet<String> = table(heading).into_iter().flat_map(|row| row[0].clone()).collect();
        assert_eq!(found, said, "[{key}] of Cargo.toml on the left, ARCHITECTURE.md on the right");
    }
}

#[test]
fn each_file_says_what_it_is_and_leaves_nothing_undone() {
    let mut wrong = Vec::new();
    for File { path, text, code } in files() {
        if !text.starts_with("//! ") {
            wrong.push(format!("src/{path} does not start with a //! sentence"));
        }
        if names(&code, ".unwrap(") {
            wrong.push(format!("src/{path} has an unwrap outside its tests"));
        }
        // 307 is called so, and is no mark.
        let text = text.replace("TEMPORARY_REDIRECT", "");
        let undone =
            ["TODO", "FIXME", "XXX", "TEMP", "todo!", "unimplemented!"].into_iter().filter(|mark| names(&text, mark));
        wrong.extend(undone.map(|mark| format!("src/{path} has a {mark}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl File {
    /// The first step of the path: `pagination`, `batch`, `main`.
    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `src` but `lib.rs`, which only names the rooms, and those that hold nothing but tests.
fn files() -> Vec<File> {
    let src = root().join("src");
    let (mut folders, mut files) = (vec![src.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "lib.rs" && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(path).unwrap();
                let code = without_tests(&without_comments_and_strings(&text));
                files.push(File { path: name, text, code });
            }
        }
    }
    assert!(files.len() > 60, "only {} files", files.len());
    files
}

/// The rows of the table below a heading of ARCHITECTURE.md: per cell, what stands between backticks.
fn table(heading: &str) -> Vec<[Vec<String>; 2]> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let below =
        text.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'));
    let section = below.skip(1).take_while(|line| !line.starts_with('#'));
    let rows = section.filter(|line| line.starts_with('|')).skip(2).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        assert!(cells.len() >= 2 && cells.iter().all(|cell| !cell.trim().is_empty()), "{heading}: {line}");
        let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
        [quoted(cells[0]), quoted(cells[1])]
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table below {heading:?}");
    rows
}

/// The rooms that code names, as `crate::ROOM` or in `crate::{ROOM, …}`.
fn rooms_in(code: &str) -> BTreeSet<String> {
    let uses = code.split("crate::").skip(1).chain(code.split("unpage::").skip(1));
    let mut rooms = BTreeSet::new();
    for after in uses {
        match after.strip_prefix('{') {
            Some(list) => rooms.extend(first_names(list)),
            None => drop(rooms.insert(word(after).to_owned())),
        }
    }
    rooms.into_iter().filter(|room| !room.is_empty()).collect()
}

/// The first name of each element of a braced list whose opening brace was read already.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut starts) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => starts = true,
            c if starts && !c.is_whitespace() => {
                names.push(word(&list[at..]).to_owned());
                starts = false;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether code has this name, and not only as the end of a longer one.
fn names(code: &str, name: &str) -> bool {
    let is_start = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(name).any(|(at, _)| name.starts_with('.') || is_start(at))
}

/// Rust's tokens as far as they hide others: comments are left out, strings and characters left empty.
fn without_comments_and_strings(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|raw| (raw, raw.len() - raw.trim_start_matches('#').len()));
        let starts_word = !code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = match (c, raw) {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            ('r', Some((raw, hashes))) if starts_word && raw[hashes..].starts_with('"') => {
                let close = format!("\"{}", "#".repeat(hashes));
                let body = hashes + 2;
                body + rest[body..].find(&close).map_or(rest.len() - body, |end| end + close.len())
            }
            ('"', _) => 1 + quoted(&rest[1..], '"'),
            ('\'', _) if is_character(&rest[1..]) => 1 + quoted(&rest[1..], '\''),
            _ => {
                code.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// The length of a literal up to and with its closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(after_quote: &str) -> bool {
    let mut next = after_quote.chars();
    next.next() == Some('\\') || next.next() == Some('\'')
}

/// Code without its `#[cfg(test)]` modules.
fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]\nmod ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = match (part.find('{'), part.find(';')) {
            (open, Some(end)) if open.is_none_or(|open| end < open) => end + 1,
            (Some(open), _) => open + 1 + block(&part[open + 1..]),
            _ => part.len(),
        };
        kept.push_str(&part[end..]);
    }
    kept
}

/// The length of a block up to and with its closing brace.
fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn the_reader_of_code_is_not_fooled() {
    let text = "a(\"// crate::no\"); /* crate::no */ b('\"', '\\'', r#\"\"crate::no\"#); // crate::no\nuse crate::{yes, \
                also::{x, y}};\n#[cfg(test)]\nmod tests { use crate::no; }\nfn f<'a>() { crate::third::x() }";
    let code = without_tests(&without_comments_and_strings(text));
    assert_eq!(rooms_in(&code).into_iter().collect::<Vec<_>>(), ["also", "third", "yes"]);
    assert!(names("hyper::x", "hyper::") && !names("metahyper::x", "hyper::") && names("x.unwrap()", ".unwrap("));
}
