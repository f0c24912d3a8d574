//! The module tree of `src` without its tests: items, imports, and the paths that the code names.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::source::{self, Comment, Spanned, Token, behind_group};

pub(crate) type FileId = usize;
pub(crate) type ModuleId = usize;

/// The crate as `lib.rs` and `main.rs` declare it. Modules and items under `#[cfg(test)]` are not in it.
pub(crate) struct Crate {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: Vec<Module>,
    pub(crate) items: Vec<Item>,
    pub(crate) impls: Vec<Impl>,
}

pub(crate) struct SourceFile {
    /// Below `src`, as in `crawl/mod.rs`.
    pub(crate) path: String,
    pub(crate) text: &'static str,
    pub(crate) tokens: Vec<Spanned<'static>>,
    pub(crate) comments: Vec<Comment<'static>>,
    /// True for each line (from 0) of code that is compiled only for tests.
    pub(crate) test_lines: Vec<bool>,
    /// Positions of the tokens that are compiled without tests, with the module they stand in.
    code: Vec<(usize, ModuleId)>,
}

pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) parent: Option<ModuleId>,
    pub(crate) file: FileId,
    pub(crate) visibility: Visibility,
    children: HashMap<String, ModuleId>,
    items: HashMap<String, Vec<usize>>,
    pub(crate) imports: Vec<Import>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visibility {
    Public,
    /// Public, but under `#[doc(hidden)]`.
    Hidden,
    /// `pub(crate)`, `pub(super)`, `pub(in …)`
    Restricted,
    Private,
}

pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) file: FileId,
    pub(crate) line: usize,
    pub(crate) visibility: Visibility,
}

/// An inherent impl block.
pub(crate) struct Impl {
    pub(crate) path: Vec<String>,
    pub(crate) module: ModuleId,
    pub(crate) file: FileId,
    pub(crate) line: usize,
}

pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// The name it is bound to; none for a glob.
    pub(crate) alias: Option<String>,
    pub(crate) visibility: Visibility,
    pub(crate) line: usize,
}

/// A use of one file's item in another file.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) path: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Target {
    Item(usize),
    Module(ModuleId),
}

/// Words that begin an item with a name.
const NAMED_ITEMS: &[&str] = &["struct", "enum", "union", "trait", "type", "fn", "const", "static"];
/// Those of them that define a type.
pub(crate) const TYPES: &[&str] = &["struct", "enum", "union", "trait", "type"];

impl Crate {
    pub(crate) fn read() -> Self {
        let texts: HashMap<String, &'static str> = source::rust_files("src")
            .into_iter()
            .map(|(path, text)| (path["src/".len()..].to_owned(), &*Box::leak(text.into_boxed_str())))
            .collect();
        let mut tree = Self { files: Vec::new(), modules: Vec::new(), items: Vec::new(), impls: Vec::new() };
        for root in ["lib", "main"] {
            tree.add_file(&texts, format!("{root}.rs"), root, None, Visibility::Public);
        }
        assert!(tree.files.len() > 60, "only {} files of src are reached from lib.rs and main.rs", tree.files.len());
        tree
    }

    fn add_file(
        &mut self,
        texts: &HashMap<String, &'static str>,
        path: String,
        name: &str,
        parent: Option<ModuleId>,
        visibility: Visibility,
    ) -> ModuleId {
        let text = *texts.get(&path).unwrap_or_else(|| panic!("src/{path} is declared and not there"));
        let (tokens, comments) = source::lex(text);
        let file = self.files.len();
        let test_lines = vec![false; text.lines().count()];
        self.files.push(SourceFile { path, text, tokens: tokens.clone(), comments, test_lines, code: Vec::new() });
        let module = self.add_module(name, parent, file, visibility);
        self.read_items(texts, &tokens, 0, tokens.len(), module, true);
        module
    }

    fn add_module(&mut self, name: &str, parent: Option<ModuleId>, file: FileId, visibility: Visibility) -> ModuleId {
        let module = self.modules.len();
        let (children, items, imports) = (HashMap::new(), HashMap::new(), Vec::new());
        self.modules.push(Module { name: name.to_owned(), parent, file, visibility, children, items, imports });
        if let Some(parent) = parent {
            self.modules[parent].children.insert(name.to_owned(), module);
        }
        module
    }

    /// Reads the items from `at` to `end`. `top` is false inside of functions and impls, where only imports and types are of interest.
    fn read_items(
        &mut self,
        texts: &HashMap<String, &'static str>,
        tokens: &[Spanned<'static>],
        mut at: usize,
        end: usize,
        module: ModuleId,
        top: bool,
    ) {
        let file = self.modules[module].file;
        let word = |at: usize| match tokens.get(at).map(|spanned| spanned.token) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        };
        let is = |at: usize, c: char| tokens.get(at).is_some_and(|spanned| spanned.token == Token::Punct(c));
        let mut attributes = Attributes::default();
        while at < end {
            let start = at;
            if is(at, '#') {
                let open = if is(at + 1, '!') { at + 2 } else { at + 1 };
                let behind = behind_group(tokens, open);
                attributes.read(&tokens[open..behind]);
                if open == at + 2 && attributes.hidden && self.modules[module].visibility == Visibility::Public {
                    self.modules[module].visibility = Visibility::Hidden;
                }
                if open == at + 2 {
                    attributes = Attributes::default();
                }
                if attributes.start.is_none() {
                    attributes.start = Some(start);
                }
                at = behind;
                continue;
            }
            if attributes.test {
                let behind = behind_item(tokens, at, end);
                let first = tokens[attributes.start.unwrap_or(at)].line;
                let last = tokens[behind - 1].line;
                self.files[file].test_lines[first - 1..last].fill(true);
                attributes = Attributes::default();
                at = behind;
                continue;
            }
            let (visibility, keyword) = visibility(tokens, at, attributes.hidden);
            let line = tokens[start].line;
            match word(keyword) {
                Some("mod") if word(keyword + 1).is_some() && (is(keyword + 2, ';') || is(keyword + 2, '{')) => {
                    let name = word(keyword + 1).unwrap_or_default();
                    if is(keyword + 2, ';') {
                        let path = child_path(&self.files[file].path, texts, name);
                        self.add_file(texts, path, name, Some(module), visibility);
                        at = keyword + 3;
                    } else {
                        let child = self.add_module(name, Some(module), file, visibility);
                        let behind = behind_group(tokens, keyword + 2);
                        self.read_items(texts, tokens, keyword + 3, behind - 1, child, true);
                        at = behind;
                    }
                }
                Some("use") if top || keyword == start => {
                    let behind = (keyword..end).find(|at| is(*at, ';')).map_or(end, |at| at + 1);
                    let mut imports = Vec::new();
                    use_tree(&tokens[keyword + 1..behind - 1], &[], visibility, &mut imports);
                    self.modules[module].imports.extend(imports);
                    at = behind;
                }
                Some("macro_rules") if top => {
                    let name = word(keyword + 2).unwrap_or_default();
                    self.add_item(name, "macro", module, line, visibility);
                    at = behind_item(tokens, keyword, end);
                    self.keep(file, keyword, at, module);
                }
                Some("impl") if top => {
                    self.read_impl(tokens, keyword, module);
                    let open = (keyword..end).find(|at| is(*at, '{')).unwrap_or(end);
                    let behind = behind_group(tokens, open);
                    self.keep(file, keyword, open, module);
                    self.read_items(texts, tokens, open, behind, module, false);
                    at = behind;
                }
                _ if top => {
                    // `const fn`, `async fn`, `unsafe fn`, `pub const X`: the last of these words that a name follows.
                    let kind = (keyword..(keyword + 5).min(end)).find(|at| {
                        word(*at).is_some_and(|word| NAMED_ITEMS.contains(&word))
                            && word(at + 1).is_some_and(|name| !NAMED_ITEMS.contains(&name) && name != "unsafe")
                    });
                    let behind = behind_item(tokens, keyword, end);
                    match kind.filter(|kind| *kind < behind) {
                        Some(at) => {
                            let word_at = word(at).unwrap_or_default();
                            let kind = NAMED_ITEMS.iter().find(|kind| **kind == word_at).unwrap();
                            self.add_item(word(at + 1).unwrap_or_default(), kind, module, line, visibility);
                            self.read_items(texts, tokens, at + 2, behind, module, false);
                        }
                        None => self.keep(file, start, behind, module),
                    }
                    at = behind;
                }
                // A type inside of a function. An associated type of a trait or impl begins with `type`.
                Some(kind @ ("struct" | "enum" | "union")) if word(keyword + 1).is_some() => {
                    let kind = NAMED_ITEMS.iter().find(|named| **named == kind).unwrap();
                    self.add_item(word(keyword + 1).unwrap_or_default(), kind, module, line, visibility);
                    at = keyword + 2;
                }
                _ => {
                    self.keep(file, at, at + 1, module);
                    at += 1;
                }
            }
            attributes = Attributes::default();
        }
    }

    fn keep(&mut self, file: FileId, from: usize, to: usize, module: ModuleId) {
        self.files[file].code.extend((from..to).map(|at| (at, module)));
    }

    fn add_item(&mut self, name: &str, kind: &'static str, module: ModuleId, line: usize, visibility: Visibility) {
        let file = self.modules[module].file;
        let item = self.items.len();
        self.items.push(Item { name: name.to_owned(), kind, file, line, visibility });
        self.modules[module].items.entry(name.to_owned()).or_default().push(item);
    }

    /// Notes an inherent impl: one without `for` before its block.
    fn read_impl(&mut self, tokens: &[Spanned<'static>], keyword: usize, module: ModuleId) {
        let mut at = keyword + 1;
        if tokens[at].token == Token::Punct('<') {
            at = behind_angles(tokens, at);
        }
        let head: Vec<_> =
            tokens[at..].iter().map(|spanned| spanned.token).take_while(|token| *token != Token::Punct('{')).collect();
        let for_trait = head.iter().enumerate().any(|(at, token)| {
            // `for<'a>` belongs to a bound.
            *token == Token::Word("for") && head.get(at + 1) != Some(&Token::Punct('<'))
        });
        if for_trait {
            return;
        }
        let path = head.iter().map_while(|token| match token {
            Token::Word(word) => Some(Some((*word).to_owned())),
            Token::PathSep => Some(None),
            _ => None,
        });
        let path = path.flatten().collect();
        self.impls.push(Impl { path, module, file: self.modules[module].file, line: tokens[keyword].line });
    }

    /// Everything that a path in a module leads to: an item and a module may share a name.
    pub(crate) fn resolve(&self, module: ModuleId, path: &[String]) -> HashSet<Target> {
        let mut found = HashSet::new();
        self.resolve_into(module, path, &mut Vec::new(), &mut found);
        found
    }

    fn resolve_into(
        &self,
        module: ModuleId,
        path: &[String],
        open: &mut Vec<(ModuleId, String)>,
        found: &mut HashSet<Target>,
    ) {
        let Some(first) = path.first() else {
            found.insert(Target::Module(module));
            return;
        };
        match first.as_str() {
            "crate" => return self.within(self.crate_root(module), &path[1..], open, found),
            "unpage" => return self.within(0, &path[1..], open, found),
            "self" => return self.within(module, &path[1..], open, found),
            "super" => {
                return self.within(self.modules[module].parent.unwrap_or(module), &path[1..], open, found);
            }
            _ => {}
        }
        self.within(module, path, open, found);
    }

    /// Looks a path up below a module, through imports and re-exports.
    fn within(
        &self,
        module: ModuleId,
        path: &[String],
        open: &mut Vec<(ModuleId, String)>,
        found: &mut HashSet<Target>,
    ) {
        let Some(first) = path.first() else {
            found.insert(Target::Module(module));
            return;
        };
        if first == "super" || first == "self" {
            return self.resolve_into(module, path, open, found);
        }
        let here = &self.modules[module];
        let before = found.len();
        if let Some(items) = here.items.get(first) {
            found.extend(items.iter().map(|item| Target::Item(*item)));
        }
        if let Some(child) = here.children.get(first) {
            self.within(*child, &path[1..], open, found);
        }
        if found.len() > before {
            return;
        }
        // An import may lead back to its own name, as `use bytes::Bytes as bytes` does.
        let name = (module, first.clone());
        if open.contains(&name) {
            return;
        }
        open.push(name);
        for import in here.imports.iter().filter(|import| import.alias.as_ref() == Some(first)) {
            let longer: Vec<_> = import.path.iter().chain(&path[1..]).cloned().collect();
            self.resolve_into(module, &longer, open, found);
        }
        if found.len() == before {
            for import in here.imports.iter().filter(|import| import.alias.is_none()) {
                let mut modules = HashSet::new();
                self.resolve_into(module, &import.path, open, &mut modules);
                for target in modules {
                    if let Target::Module(target) = target
                        && target != module
                    {
                        self.within(target, path, open, found);
                    }
                }
            }
        }
        open.pop();
    }

    fn crate_root(&self, mut module: ModuleId) -> ModuleId {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }

    /// Every use of an item of one file in another: by import or by path, traced through re-exports to the file that defines it. A re-export
    /// alone is no use, since it only says where a name can be found.
    pub(crate) fn uses(&self) -> BTreeMap<(FileId, FileId), Vec<Mention>> {
        let mut uses: BTreeMap<(FileId, FileId), Vec<Mention>> = BTreeMap::new();
        let mut known: HashMap<(ModuleId, Vec<String>), HashSet<Target>> = HashMap::new();
        let mut add = |from: FileId, module: ModuleId, path: &[String], line: usize| {
            let targets = known.entry((module, path.to_vec())).or_insert_with(|| self.resolve(module, path));
            for target in &*targets {
                if let Target::Item(item) = *target
                    && self.items[item].file != from
                {
                    let mention = Mention { line, path: path.join("::") };
                    uses.entry((from, self.items[item].file)).or_default().push(mention);
                }
            }
        };
        for (id, module) in self.modules.iter().enumerate() {
            for import in module.imports.iter().filter(|import| import.visibility == Visibility::Private) {
                add(module.file, id, &import.path, import.line);
            }
        }
        for (id, file) in self.files.iter().enumerate() {
            for (module, path, line) in file.paths() {
                add(id, module, &path, line);
            }
        }
        uses
    }

    /// Everything that a user of the library can name: items under their public paths, without those below `#[doc(hidden)]`.
    pub(crate) fn public_items(&self) -> BTreeMap<String, usize> {
        let mut found = BTreeMap::new();
        self.public_below(0, "", &mut HashSet::new(), &mut found);
        found
    }

    fn public_below(
        &self,
        module: ModuleId,
        prefix: &str,
        seen: &mut HashSet<ModuleId>,
        found: &mut BTreeMap<String, usize>,
    ) {
        if !seen.insert(module) {
            return;
        }
        let here = &self.modules[module];
        for item in here.items.values().flatten() {
            if self.items[*item].visibility == Visibility::Public {
                found.insert(format!("{prefix}{}", self.items[*item].name), *item);
            }
        }
        for child in here.children.values().filter(|child| self.modules[**child].visibility == Visibility::Public) {
            self.public_below(*child, &format!("{prefix}{}::", self.modules[*child].name), seen, found);
        }
        for import in here.imports.iter().filter(|import| import.visibility == Visibility::Public) {
            for target in self.resolve(module, &import.path) {
                match (target, &import.alias) {
                    (Target::Item(item), Some(alias)) => drop(found.insert(format!("{prefix}{alias}"), item)),
                    (Target::Module(target), Some(alias)) => {
                        self.public_below(target, &format!("{prefix}{alias}::"), seen, found);
                    }
                    (Target::Module(target), None) => self.public_below(target, prefix, seen, found),
                    (Target::Item(_), None) => {}
                }
            }
        }
    }

    /// `src/crawl/mod.rs:12`
    pub(crate) fn place(&self, file: FileId, line: usize) -> String {
        format!("src/{}:{line}", self.files[file].path)
    }
}

impl SourceFile {
    /// The first step of the path: `pagination`, `batch`, `main`.
    pub(crate) fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// Paths in the code outside of imports: each with its module and line.
    pub(crate) fn paths(&self) -> Vec<(ModuleId, Vec<String>, usize)> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.code.len() {
            let (position, module) = self.code[at];
            let before = position.checked_sub(1).map(|before| self.tokens[before].token);
            let Token::Word(first) = self.tokens[position].token else {
                at += 1;
                continue;
            };
            if matches!(before, Some(Token::Punct('.') | Token::PathSep)) {
                at += 1;
                continue;
            }
            let line = self.tokens[position].line;
            let mut path = vec![first.to_owned()];
            at += 1;
            while let Some([separator, name]) = self.code.get(at..at + 2)
                && self.tokens[separator.0].token == Token::PathSep
                && let Token::Word(word) = self.tokens[name.0].token
            {
                path.push(word.to_owned());
                at += 2;
            }
            paths.push((module, path, line));
        }
        paths
    }

    /// The code without tests, as words and signs with a space between, and each with its line.
    pub(crate) fn code(&self) -> impl Iterator<Item = Spanned<'static>> {
        self.code.iter().map(|(at, _)| self.tokens[*at])
    }

    /// Number of lines outside of tests.
    pub(crate) fn lines(&self) -> usize {
        self.test_lines.iter().filter(|test| !**test).count()
    }
}

#[derive(Default)]
struct Attributes {
    test: bool,
    hidden: bool,
    start: Option<usize>,
}

impl Attributes {
    fn read(&mut self, tokens: &[Spanned<'_>]) {
        let words: Vec<_> = tokens
            .iter()
            .filter_map(|spanned| match spanned.token {
                Token::Word(word) => Some(word),
                _ => None,
            })
            .collect();
        self.test |= words == ["cfg", "test"] || words.starts_with(&["cfg", "all", "test"]) || words == ["test"];
        self.hidden |= words == ["doc", "hidden"];
    }
}

/// The visibility at a position, and the position behind it.
fn visibility(tokens: &[Spanned<'_>], at: usize, hidden: bool) -> (Visibility, usize) {
    if tokens[at].token != Token::Word("pub") {
        return (Visibility::Private, at);
    }
    match tokens.get(at + 1).map(|spanned| spanned.token) {
        Some(Token::Punct('(')) => (Visibility::Restricted, behind_group(tokens, at + 1)),
        _ if hidden => (Visibility::Hidden, at + 1),
        _ => (Visibility::Public, at + 1),
    }
}

/// Position behind an item: its block, or its semicolon. A `const`, `static` or `use` ends with its semicolon alone.
fn behind_item(tokens: &[Spanned<'_>], start: usize, end: usize) -> usize {
    let word = |at: usize| match tokens[at].token {
        Token::Word(word) => Some(word),
        _ => None,
    };
    let first = (start..end)
        .find(|at| !matches!(word(*at), Some("pub")) && !matches!(tokens[*at].token, Token::Punct('(' | ')')));
    let is_fn = (start..(start + 8).min(end)).any(|at| word(at) == Some("fn"));
    let by_semicolon = first.is_some_and(|at| matches!(word(at), Some("const" | "static" | "use" | "type" | "let")));
    let mut at = start;
    while at < end {
        match tokens[at].token {
            Token::Punct(';') => return at + 1,
            Token::Punct('{') if !by_semicolon || is_fn => return behind_group(tokens, at),
            Token::Punct('(' | '[' | '{') => at = behind_group(tokens, at),
            _ => at += 1,
        }
    }
    end
}

fn behind_angles(tokens: &[Spanned<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, spanned) in tokens.iter().enumerate().skip(open) {
        match spanned.token {
            Token::Punct('<') => depth += 1,
            // The arrow of `Fn() -> T` closes nothing.
            Token::Punct('>') if tokens[at - 1].token != Token::Punct('-') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

fn child_path(parent: &str, texts: &HashMap<String, &'static str>, name: &str) -> String {
    let folder = match parent {
        "lib.rs" | "main.rs" => String::new(),
        path => match path.strip_suffix("mod.rs") {
            Some(folder) => folder.to_owned(),
            None => format!("{}/", path.trim_end_matches(".rs")),
        },
    };
    let file = format!("{folder}{name}.rs");
    if texts.contains_key(&file) { file } else { format!("{folder}{name}/mod.rs") }
}

/// Reads the tree of a `use`, without the word itself and the semicolon.
fn use_tree(tokens: &[Spanned<'_>], prefix: &[String], visibility: Visibility, imports: &mut Vec<Import>) {
    let (mut path, mut at) = (prefix.to_vec(), 0);
    let Some(line) = tokens.first().map(|spanned| spanned.line) else {
        return;
    };
    while at < tokens.len() {
        match tokens[at].token {
            Token::Word("as") => {
                let alias = match tokens.get(at + 1).map(|spanned| spanned.token) {
                    Some(Token::Word(alias)) => alias.to_owned(),
                    _ => "_".to_owned(),
                };
                imports.push(Import { path, alias: Some(alias), visibility, line });
                return;
            }
            // `use a::{self, B}` names `a`.
            Token::Word("self") if !path.is_empty() => at += 1,
            Token::Word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            Token::Punct('*') => {
                imports.push(Import { path, alias: None, visibility, line });
                return;
            }
            Token::Punct('{') => {
                let behind = behind_group(tokens, at);
                for part in split_by_comma(&tokens[at + 1..behind - 1]) {
                    use_tree(part, &path, visibility, imports);
                }
                return;
            }
            _ => at += 1,
        }
    }
    let alias = path.last().cloned();
    imports.push(Import { path, alias, visibility, line });
}

fn split_by_comma<'t, 'a>(tokens: &'t [Spanned<'a>]) -> Vec<&'t [Spanned<'a>]> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    while at < tokens.len() {
        match tokens[at].token {
            Token::Punct('{') => at = behind_group(tokens, at),
            Token::Punct(',') => {
                parts.push(&tokens[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    parts.push(&tokens[start..]);
    parts
}
