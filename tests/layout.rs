//! The wings of ARCHITECTURE.md, held: what each must never name.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What no wing names that lies below all others.
const FOUNDATION_NEVER: &[&str] = &[
    "crate::bulk",
    "crate::commands",
    "crate::host",
    "crate::local",
    "crate::model",
    "crate::pg",
    "crate::settings",
    "crate::terminal",
    "postgres::",
    "r2d2",
];

/// A wing (or a file), and the words that never stand in its code.
const NEVER: &[(&str, &[&str])] = &[
    (
        "src/model",
        &[
            "crate::commands",
            "crate::host",
            "crate::local",
            "crate::pg",
            "crate::settings",
            "crate::terminal",
            "crate::threads",
            "postgres::",
            "r2d2",
            "log::",
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::time",
            "SystemTime",
            "clap",
            "comfy_table",
        ],
    ),
    (
        "src/bulk",
        &[
            "crate::commands",
            "crate::host",
            "crate::local",
            "crate::pg",
            "crate::settings",
            "crate::terminal",
            "postgres::",
        ],
    ),
    ("src/files", FOUNDATION_NEVER),
    (
        "src/host.rs",
        &[
            "crate::bulk",
            "crate::commands",
            "crate::local",
            "crate::pg",
            "crate::settings",
            "crate::terminal",
            "postgres::",
            "r2d2",
        ],
    ),
    ("src/error.rs", &["crate::", "postgres::", "std::io"]),
    ("src/threads.rs", FOUNDATION_NEVER),
    ("src/threads.rs", &["crate::files"]),
    (
        "src/local",
        &[
            "crate::commands",
            "crate::host",
            "crate::pg",
            "crate::settings",
            "crate::terminal",
            "postgres::",
            "r2d2",
        ],
    ),
    (
        "src/pg",
        &[
            "crate::bulk",
            "crate::commands",
            "crate::host",
            "crate::settings",
            "crate::terminal",
            "clap",
            "comfy_table",
        ],
    ),
    ("src/settings", &["crate::commands", "crate::host", "crate::terminal", "postgres::", "r2d2"]),
    ("src/commands", &["crate::terminal", "postgres::", "r2d2", "comfy_table", "std::env"]),
    ("src/terminal", &["postgres::", "r2d2", "crate::host", "crate::pg", "crate::local"]),
];

/// Words that stand in one place alone.
const ONLY: &[(&str, &str)] = &[
    ("comfy_table", "src/terminal/render/table.rs"),
    ("ratatui", "src/terminal/monitor"),
    ("sysinfo::", "src/host.rs"),
    ("use postgres", "src/pg"),
    ("r2d2::", "src/pg"),
    ("rustls::", "src/pg"),
    ("io::stdout", "src/terminal"),
    ("io::stderr", "src/terminal"),
    ("Builder::new().spawn", "src/threads.rs"),
    ("thread::spawn", "nowhere"),
    ("scope.spawn", "nowhere"),
    ("println!", "nowhere"),
    ("print!(", "nowhere"),
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|entry| sources(&entry))
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
        .collect()
}

/// The lines of code, without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_wing_names_what_it_must_not_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (wing, words) in NEVER {
        let files = sources(&root.join(wing));
        assert!(!files.is_empty(), "{wing} is gone");
        for file in files {
            let code = code(&file);
            for word in *words {
                assert!(!code.contains(word), "{} names `{word}`", file.display());
            }
        }
    }
}

#[test]
fn some_names_stand_in_one_place_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (word, place) in ONLY {
        let mut found = 0;
        for file in sources(&root.join("src")) {
            if code(&file).contains(word) {
                found += 1;
                assert!(file.starts_with(root.join(place)), "{} names `{word}`", file.display());
            }
        }
        assert!(found > 0 || *place == "nowhere", "`{word}` is named nowhere any more: mend this test");
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in sources(&root.join("src")).into_iter().chain(sources(&root.join("tests"))) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}

/// The rooms of `src/pg`, from low to high: a room never uses one that stands behind it.
const PG_ROOMS: &[&str] = &[
    "failpoint",
    "net",
    "pool",
    "catalog",
    "doctor",
    "cluster",
    "requests",
    "two_phase",
    "scan",
    "rebalance",
    "tables",
    "schema",
    "failover",
    "rows",
    "import",
    "verify",
    "drill",
    "poll",
    "preview",
    "sql",
    "client",
];

/// The modules of `src`, by path (`pg::net::session`), and the modules that each one uses.
struct Modules {
    files: BTreeMap<String, PathBuf>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Modules {
    fn read() -> Self {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        for file in sources(&src) {
            let inner = file.strip_prefix(&src).unwrap().with_extension("");
            let parts: Vec<_> = inner.iter().map(|part| part.to_str().unwrap()).collect();
            let parts = if parts.last() == Some(&"mod") { &parts[..parts.len() - 1] } else { &parts[..] };
            files.insert(parts.join("::"), file);
        }
        let mut modules = Self { files, uses: BTreeMap::new() };
        for (module, file) in &modules.files {
            // What a file's own tests use is no matter of the layout.
            let code = code(file);
            let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let used = paths_in(code).filter_map(|path| modules.module_of(module, &path));
            // The `mod.rs` of a folder puts together what its files hold, which may use what it holds itself.
            let is_child = |other: &str| {
                file.ends_with("mod.rs")
                    && other.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with("::"))
            };
            let used = used.filter(|other| other != module && !is_child(other)).collect();
            modules.uses.insert(module.clone(), used);
        }
        modules
    }

    /// The module that a path leads to, as it stands in the code of a module.
    fn module_of(&self, module: &str, path: &str) -> Option<String> {
        let mut base: Vec<&str> = module.split("::").collect();
        let mut rest: Vec<&str> = path.split("::").collect();
        match rest[0] {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            child if self.files.contains_key(&format!("{module}::{child}")) => rest.insert(0, "self"),
            _ => return None,
        }
        rest.remove(0);
        while rest.first() == Some(&"super") {
            base.pop();
            rest.remove(0);
        }
        base.extend(rest);
        (1..=base.len()).rev().map(|length| base[..length].join("::")).find(|m| self.files.contains_key(m))
    }

    /// All modules that a module uses, over others.
    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(module) = open.pop() {
            for next in self.uses.get(module).into_iter().flatten() {
                if reached.insert(next.as_str()) {
                    open.push(next);
                }
            }
        }
        reached
    }

    fn folder(&self, module: &str) -> &Path {
        self.files[module].parent().unwrap()
    }
}

/// The paths in `use` lines, one for each name, and those that begin with `crate`, `super` or `self` elsewhere.
fn paths_in(code: &str) -> impl Iterator<Item = String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if let Some(tree) = code[at + 4..].split(';').next() {
            expand("", tree.trim(), &mut paths);
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let path = code[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).next();
            paths.extend(path.map(|path| path.trim_end_matches(':').to_owned()));
        }
    }
    paths.into_iter()
}

/// The paths of a tree such as `a::{b, c::{d, e}}`.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, body)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        paths.push(format!("{before}{name}"));
        return;
    };
    let before = format!("{before}{}", head.trim());
    let (mut depth, mut begin) = (0, 0);
    for (at, sign) in body.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                expand(&before, body[begin..at].trim(), paths);
                begin = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn the_rooms_of_postgres_stand_in_one_order() {
    let room = |module: &str| -> Option<usize> {
        let name = module.strip_prefix("pg::")?.split("::").next()?;
        let place = PG_ROOMS.iter().position(|room| *room == name);
        Some(place.unwrap_or_else(|| panic!("`{name}` is no room in the list: say where it stands")))
    };
    let modules = Modules::read();
    for (module, used) in &modules.uses {
        for other in used {
            if let Some((from, to)) = room(module).zip(room(other)) {
                assert!(to <= from, "`{module}` uses `{other}`, a higher room");
            }
        }
    }
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let modules = Modules::read();
    for module in modules.files.keys() {
        for other in modules.reached(module) {
            let is_circle = other != module && modules.reached(other).contains(module.as_str());
            assert!(!is_circle, "`{module}` and `{other}` use each other, perhaps over others");
        }
    }
}

#[test]
fn no_folders_use_each_other_in_a_circle() {
    let modules = Modules::read();
    let mut folders: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for (module, used) in &modules.uses {
        let from = modules.folder(module);
        let others = used.iter().map(|other| modules.folder(other));
        // A folder and one inside it belong together.
        let apart = others.filter(|to| !from.starts_with(to) && !to.starts_with(from));
        folders.entry(from).or_default().extend(apart);
    }
    let reaches = |from: &Path, goal: &Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(folder) = open.pop() {
            for next in folders.get(folder).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen.contains(goal)
    };
    for folder in folders.keys() {
        assert!(!reaches(folder, folder), "{} is part of a circle of folders", folder.display());
    }
}

#[test]
fn what_tests_share_lies_in_support() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for file in sources(&root) {
        let code = code(&file);
        for path in paths_in(&code).filter(|path| path.starts_with("crate::")) {
            let is_shared = path.starts_with("crate::support");
            assert!(is_shared, "{} uses `{path}`: what two files use lies in support", file.display());
        }
    }
}

/// The files of documentation: at the top, and below `docs`.
fn documents() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                below(&entry, found);
            } else if entry.extension().is_some_and(|end| end == "md") {
                found.push(entry);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    below(&root.join("docs"), &mut found);
    let top = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    found.extend(top.filter(|entry| entry.extension().is_some_and(|end| end == "md")));
    assert!(found.len() > 10, "{found:?}");
    found
}

#[test]
fn files_that_the_documentation_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tops =
        ["src/", "sql/", "tests/", "docs/", "scripts/", "benches/", "completions/", ".ci/", ".github/"];
    let mut missing = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let named = quoted.filter(|name| tops.iter().any(|top| name.starts_with(top)));
        // A name with a space is a command; one with a star or dots stands for several files.
        let named = named.filter(|name| !name.contains([' ', '*', '…', '<', '{']) && !name.contains("NNNN"));
        for name in named.filter(|name| !root.join(name).exists()) {
            missing.push(format!("{} names `{name}`", document.display()));
        }
        // Links: `](path)` or `](path#heading)`.
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            let is_local = !path.is_empty() && !path.contains("://");
            if is_local && !document.parent().unwrap().join(path).exists() {
                missing.push(format!("{} links to {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
