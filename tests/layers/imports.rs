//! Reads which module of a crate uses which other, from its source text, and finds
//! circles. It knows paths (`use` declarations, and those that stand in code) and
//! re-exports; it knows no types, and expands no macro. What only tests use does
//! not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tokens::{Token, tokens};

/// The modules from a crate's root down to one, by name.
pub(crate) type Module = Vec<String>;

/// The modules of a crate, and what each names.
pub(crate) struct Crate {
    modules: BTreeMap<Module, File>,
}

#[derive(Default)]
struct File {
    path: PathBuf,
    /// What is imported under a name: re-exported, as far as others see it.
    imported: BTreeMap<String, Vec<String>>,
    paths: Vec<Named>,
}

/// A path that a module names: from the crate's root, and as it stands there.
struct Named {
    path: Vec<String>,
    written: Vec<String>,
    line: usize,
}

/// A module uses one beside it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) from: Module,
    pub(crate) to: Module,
    /// File and line of the first place.
    pub(crate) place: String,
}

// === impl Crate ===

impl Crate {
    /// Reads a crate from its root file on, following `mod` declarations.
    pub(crate) fn read(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let folder = root.parent().expect("a file is in a folder").to_owned();
        let mut this = Self { modules: BTreeMap::new() };
        this.read_file(Vec::new(), root, &folder, read);
        this
    }

    fn read_file(
        &mut self,
        module: Module,
        path: &Path,
        folder: &Path,
        read: &dyn Fn(&Path) -> Option<String>,
    ) {
        let text = read(path).unwrap_or_else(|| panic!("there is no {}", path.display()));
        let file = File { path: path.to_owned(), ..File::default() };
        self.modules.insert(module.clone(), file);
        let tokens = tokens(&text);
        let mut reader = Reader { tokens: &tokens, at: 0, path, declared: Vec::new(), krate: self };
        reader.block(&module);
        for child in reader.declared {
            let inner: PathBuf = child[module.len()..].iter().collect();
            let inner = folder.join(inner);
            self.read_file(child, &inner.with_extension("rs"), &inner, read);
        }
    }

    /// How many modules were found, the root included.
    pub(crate) fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether there is a module of this name in the root.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.modules.contains_key(&[name.to_owned()] as &[String])
    }

    /// Every place, in modules whose path begins so, that names a path which begins
    /// like this one, `std::fs` for example.
    pub(crate) fn places_that_name(&self, within: &[&str], start: &str) -> Vec<String> {
        let start: Vec<&str> = start.split("::").collect();
        let begins = |named: &Named| {
            named.written.len() >= start.len()
                && named.written.iter().zip(&start).all(|(a, b)| a == b)
        };
        let places = |file: &File| {
            let path = file.path.display().to_string();
            let found = file.paths.iter().filter(|named| begins(named));
            found.map(|named| format!("{path}:{}", named.line)).collect::<Vec<_>>()
        };
        let inside = |module: &Module| {
            module.len() >= within.len() && module.iter().zip(within).all(|(a, b)| a == b)
        };
        self.modules
            .iter()
            .filter(|(module, _)| inside(module))
            .flat_map(|(_, file)| places(file))
            .collect()
    }

    /// Which module uses which beside it, or in another branch of the tree: both are
    /// given as children of the nearest module that holds both.
    pub(crate) fn uses(&self) -> BTreeMap<(Module, Module), Use> {
        let mut uses = BTreeMap::new();
        for (module, file) in &self.modules {
            for named in &file.paths {
                let target = self.resolve(&named.path);
                let common = module.iter().zip(&target).take_while(|(a, b)| a == b).count();
                if common == module.len() || common == target.len() {
                    continue;
                }
                let from = module[..=common].to_vec();
                let to = target[..=common].to_vec();
                let place = format!("{}:{}", file.path.display(), named.line);
                uses.entry((from.clone(), to.clone())).or_insert(Use { from, to, place });
            }
        }
        uses
    }

    /// The module that a path leads into, through re-exports.
    fn resolve(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // Re-exports of re-exports end; this is against a circle of them.
        for _ in 0..8 {
            let inside = (0..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n]));
            let inside = inside.unwrap_or_default();
            let name = path.get(inside);
            let imported = &self.modules[&path[..inside]].imported;
            let Some(through) = name.and_then(|name| imported.get(name)) else {
                path.truncate(inside);
                return path;
            };
            path = [through, &path[inside + 1..]].concat();
        }
        Vec::new()
    }

    /// Every circle of modules that lie side by side: all uses among those that reach
    /// one another.
    pub(crate) fn circles(&self) -> Vec<Vec<Use>> {
        let uses: Vec<Use> = self.uses().into_values().collect();
        let reached = |start: &Module| {
            let mut reached = BTreeSet::new();
            let mut next = vec![start];
            while let Some(module) = next.pop() {
                for used in uses.iter().filter(|one| one.from == *module) {
                    if reached.insert(&used.to) {
                        next.push(&used.to);
                    }
                }
            }
            reached
        };
        let modules: BTreeSet<&Module> = uses.iter().map(|one| &one.from).collect();
        let reach: BTreeMap<_, _> = modules.iter().map(|one| (*one, reached(one))).collect();
        let both = |a, b| reach.get(a).is_some_and(|r| r.contains(b));
        let mut circles: BTreeMap<&Module, Vec<Use>> = BTreeMap::new();
        for one in uses.iter().filter(|one| both(&one.to, &one.from)) {
            let first = modules.iter().find(|m| both(m, &one.from) && both(&one.from, m));
            circles.entry(first.expect("itself, at least")).or_default().push(one.clone());
        }
        circles.into_values().collect()
    }
}

/// Goes through the tokens of one file.
struct Reader<'r> {
    tokens: &'r [Token],
    at: usize,
    path: &'r Path,
    /// Modules in files of their own.
    declared: Vec<Module>,
    krate: &'r mut Crate,
}

// === impl Reader ===

impl Reader<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    /// What stands in a module, to its closing brace or the end of the file.
    fn block(&mut self, module: &Module) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.word(0) {
                "}" if depth == 0 => return,
                "{" => depth += 1,
                "}" => depth -= 1,
                "#" => {
                    if self.attribute() {
                        self.skip_item();
                    }
                    continue;
                }
                // Who may see it: not whom it uses.
                "pub" if self.word(1) == "(" => {
                    self.at += 1;
                    self.skip_group();
                    continue;
                }
                "mod" if is_name(self.word(1)) => {
                    let mut child = module.clone();
                    child.push(self.word(1).to_owned());
                    self.at += 2;
                    if self.word(0) == ";" {
                        self.declared.push(child);
                    } else {
                        self.at += 1;
                        let file = File { path: self.path.to_owned(), ..File::default() };
                        self.krate.modules.insert(child.clone(), file);
                        self.block(&child);
                    }
                }
                "use" => {
                    self.at += 1;
                    self.tree(module, &[]);
                    continue;
                }
                word if is_name(word) && self.word(1) == "::" => {
                    let line = self.tokens[self.at].line;
                    let mut path = vec![self.word(0).to_owned()];
                    while self.word(1) == "::" && is_name(self.word(2)) {
                        path.push(self.word(2).to_owned());
                        self.at += 2;
                    }
                    self.name(module, &path, line);
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// A tree of a `use` declaration, below a prefix; stands behind it afterwards.
    fn tree(&mut self, module: &Module, prefix: &[String]) {
        let mut path = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.word(0) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while self.at < self.tokens.len() && self.word(0) != "}" {
                        self.tree(module, &path);
                        if self.word(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    self.name(module, &path, line);
                    return;
                }
                "as" => {
                    let name = self.word(1).to_owned();
                    self.at += 2;
                    self.import(module, &path, name, line);
                    return;
                }
                word if is_name(word) => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
                _ => {
                    // `a::{self, ..}` is `a`.
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    if let Some(name) = path.last().cloned() {
                        self.import(module, &path, name, line);
                    }
                    return;
                }
            }
        }
    }

    fn import(&mut self, module: &Module, path: &[String], name: String, line: usize) {
        if let Some(path) = self.name(module, path, line)
            && let Some(file) = self.krate.modules.get_mut(module)
        {
            file.imported.insert(name, path);
        }
    }

    /// Notes a path, and returns it from the crate's root.
    fn name(&mut self, module: &Module, path: &[String], line: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut full = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            // Without a prefix it is a child. Other crates' lead nowhere below this one.
            _ => [module.as_slice(), &path[..1]].concat(),
        };
        for word in rest {
            match word.as_str() {
                "super" => drop(full.pop()),
                _ => full.push(word.clone()),
            }
        }
        let file = self.krate.modules.get_mut(module)?;
        file.paths.push(Named { path: full.clone(), written: path.to_vec(), line });
        Some(full)
    }

    /// An attribute; whether it leaves what follows to tests alone.
    fn attribute(&mut self) -> bool {
        self.at += 1;
        if self.word(0) == "!" {
            self.at += 1;
        }
        let start = self.at;
        self.skip_group();
        let words: Vec<&str> =
            self.tokens[start..self.at].iter().map(|token| token.text.as_str()).collect();
        words.starts_with(&["[", "cfg", "(", "test"])
            || words.starts_with(&["[", "cfg", "(", "all", "(", "test"])
    }

    /// From an opening bracket to behind the one that closes it.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.word(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// An item, with further attributes: to its `;`, or to the end of its braces.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            match self.word(0) {
                "#" => drop(self.attribute()),
                "(" | "[" => self.skip_group(),
                "{" => return self.skip_group(),
                ";" => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
