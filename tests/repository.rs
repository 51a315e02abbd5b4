//! What is beside the code: the rules for dependencies, the generated files, and the names of benches.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use toml_edit::DocumentMut;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every package that the program or its tests are built from, on any platform.
fn metadata() -> Value {
    // Not `--offline`: a build fetches only what its platform needs.
    let mut cargo = Command::new(env!("CARGO"));
    let out =
        cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(root()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// What this test takes from `deny.toml`.
struct Rules {
    licences: BTreeSet<String>,
    registries: BTreeSet<String>,
}

impl Rules {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
        let document: DocumentMut = text.parse().unwrap();
        let texts = |table: &str, key: &str| {
            let list = document[table][key].as_array().unwrap();
            list.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        // The checks below assume these.
        for (table, key) in
            [("bans", "wildcards"), ("sources", "unknown-registry"), ("sources", "unknown-git")]
        {
            assert_eq!(document[table][key].as_str(), Some("deny"), "{table}.{key}");
        }
        assert!(document["sources"]["allow-git"].as_array().unwrap().is_empty());
        Self { licences: texts("licenses", "allow"), registries: texts("sources", "allow-registry") }
    }

    /// What is wrong with a package.
    fn faults(&self, package: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let licence = package["license"].as_str();
        match licence.map(|text| is_satisfied(text, &|name| self.licences.contains(name))) {
            Some(Ok(true)) => {}
            Some(Ok(false)) => {
                faults.push(format!("its licence is not allowed: {}", licence.unwrap_or_default()));
            }
            Some(Err(why)) => faults.push(format!("its licence cannot be read: {why}")),
            None => faults.push("it names no licence".into()),
        }
        // This package itself has no source.
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+");
            if !registry.is_some_and(|registry| self.registries.contains(registry)) {
                faults.push(format!("it comes from {source}"));
            }
        }
        for needed in package["dependencies"].as_array().unwrap() {
            if needed["req"] == "*" {
                faults.push(format!("it takes any version of {}", needed["name"]));
            }
        }
        faults
    }
}

/// Whether the allowed licences satisfy an SPDX expression, by the rules of cargo-deny: a licence with an exception
/// (`WITH …`) is a licence of its own, and `/` is an old way to write `OR`.
fn is_satisfied(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let is_met = any_of(&mut rest, is_allowed)?;
    if rest.is_empty() { Ok(is_met) } else { Err(format!("`{}` is left of `{expression}`", rest.join(" "))) }
}

fn any_of(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut is_met = all_of(rest, is_allowed)?;
    while let Some((&"OR", behind)) = rest.split_first() {
        *rest = behind;
        is_met |= all_of(rest, is_allowed)?;
    }
    Ok(is_met)
}

fn all_of(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut is_met = one(rest, is_allowed)?;
    while let Some((&"AND", behind)) = rest.split_first() {
        *rest = behind;
        is_met &= one(rest, is_allowed)?;
    }
    Ok(is_met)
}

fn one(rest: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let (first, behind) = rest.split_first().ok_or("a licence is missing at its end")?;
    *rest = behind;
    match *first {
        "(" => {
            let is_met = any_of(rest, is_allowed)?;
            let (&last, behind) = rest.split_first().ok_or("a `(` is open")?;
            if last != ")" {
                return Err(format!("`{last}` stands where a `)` should"));
            }
            *rest = behind;
            Ok(is_met)
        }
        "AND" | "OR" | "WITH" | ")" => Err(format!("`{first}` stands where a licence should")),
        name => match rest {
            ["WITH", exception, behind @ ..] => {
                let name = format!("{name} WITH {exception}");
                *rest = behind;
                Ok(is_allowed(&name))
            }
            _ => Ok(is_allowed(name)),
        },
    }
}

#[test]
fn dependencies_keep_to_deny_toml() {
    let rules = Rules::read();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    let mut unused = rules.licences.clone();
    let mut faults = Vec::new();
    for package in packages {
        let named = |why: String| format!("{} {}: {why}", package["name"], package["version"]);
        faults.extend(rules.faults(package).into_iter().map(named));
        let licence = package["license"].as_str().unwrap_or_default();
        unused.retain(|name| !licence.split(|c: char| " ()/".contains(c)).any(|word| word == name));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(unused.is_empty(), "deny.toml allows licences that no dependency has: {unused:?}");
}

#[test]
fn licences_are_read_as_spdx_says() {
    let met = |text: &str| is_satisfied(text, &|name| ["MIT", "ISC"].contains(&name));
    for text in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0/MIT",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "MIT WITH x OR ISC",
    ] {
        assert_eq!(met(text), Ok(true), "{text}");
    }
    for text in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "GPL-3.0 OR MIT AND BSL-1.0",
        "(GPL-3.0 OR BSL-1.0) AND MIT",
        "MIT WITH x",
    ] {
        assert_eq!(met(text), Ok(false), "{text}");
    }
    for text in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT)"] {
        assert!(met(text).is_err(), "{text}");
    }
}

#[test]
fn a_dependency_that_breaks_a_rule_is_named() {
    let rules = Rules { licences: ["MIT".to_owned()].into(), registries: ["https://r".to_owned()].into() };
    let package = |licence: Option<&str>, source: &str, version: &str| {
        serde_json::json!({
            "license": licence,
            "source": source,
            "dependencies": [{ "name": "d", "req": version }],
        })
    };
    assert_eq!(rules.faults(&package(Some("MIT"), "registry+https://r", "^1")), [""; 0]);
    for (wrong, words) in [
        (package(None, "registry+https://r", "^1"), "no licence"),
        (package(Some("GPL-3.0"), "registry+https://r", "^1"), "not allowed: GPL-3.0"),
        (package(Some("MIT"), "registry+https://other", "^1"), "it comes from registry+https://other"),
        (package(Some("MIT"), "git+https://r#1", "^1"), "it comes from git"),
        (package(Some("MIT"), "registry+https://r", "*"), "any version of"),
    ] {
        let faults = rules.faults(&wrong);
        assert!(faults.len() == 1 && faults[0].contains(words), "{words}: {faults:?}");
    }
}

fn script(name: &str, words: &[&str]) -> Output {
    Command::new(root().join("scripts").join(name)).args(words).output().unwrap()
}

#[test]
fn generated_files_are_fresh() {
    let out = script("generate", &["--check", env!("CARGO_BIN_EXE_ringshard")]);
    let (shown, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{told}(-: as committed, +: as it should be)\n{shown}");
}

#[test]
fn the_benches_are_named_before_anything_is_installed() {
    // Without cargo in PATH, the script fails where it wants to build or install.
    let bench = |words: &[&str]| {
        let mut bench = Command::new(root().join("scripts/bench"));
        bench
            .args(words)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .output()
            .unwrap()
    };
    let benches = std::fs::read_dir(root().join("benches")).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<String> = benches
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(!names.is_empty());
    let help = bench(&["--help"]);
    let unknown = bench(&["nonsense"]);
    assert_eq!((help.status.code(), unknown.status.code()), (Some(0), Some(2)));
    for name in names {
        assert!(String::from_utf8_lossy(&help.stdout).contains(&format!("\n  {name} ")), "{name}: {help:?}");
        assert!(String::from_utf8_lossy(&unknown.stderr).contains(&name), "{name}: {unknown:?}");
    }
}

/// The files below a folder, with their texts.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => vec![(path.display().to_string(), text)],
        Err(_) => texts(&path),
    };
    paths.flat_map(text).collect()
}

#[test]
fn sql_files_name_the_constants_of_their_advisory_locks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/pg/net/advisory_lock.rs")).unwrap();
    // `pub(crate) const NAME: i64 = 7_283_001;`
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub(crate) const "));
    let names: Vec<(String, &str)> = constants
        .map(|line| {
            let (name, rest) = line.split_once(": ").unwrap();
            (rest.chars().skip(4).filter(char::is_ascii_digit).collect(), name)
        })
        .collect();
    assert_eq!(names.len(), 9, "{names:?}");
    let mut found = 0;
    for (file, text) in texts(&root.join("sql")) {
        for (at, _) in text.match_indices("72830") {
            let key = &text[at..at + 7];
            let name = names.iter().find(|(known, _)| known == key).map(|(_, name)| *name);
            let name = name.unwrap_or_else(|| panic!("{file}: {key} is the key of no lock"));
            assert!(text.contains(&format!("{key} is {name} ")), "{file} does not say what {key} is");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} keys were found in sql/");
}
