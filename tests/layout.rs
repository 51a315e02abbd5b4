//! The wings of ARCHITECTURE.md, held: what each must never name.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

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
    (
        "src/host",
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
    ("sysinfo::", "src/host"),
    ("use postgres", "src/pg"),
    ("r2d2::", "src/pg"),
    ("rustls::", "src/pg"),
    ("io::stdout", "src/terminal"),
    ("io::stderr", "src/terminal"),
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
