//! The ring that is exported for other programs, with their languages as far as this machine has them.

use std::path::Path;
use std::process::Command;

use ringshard::model::ring::position::Position;
use serde_json::Value;

use crate::support::harness::Test;
use crate::support::rings::owner;

/// Runs a program in the folder of the test; `None` if this machine does not have it.
fn run(test: &Test, command: &str) -> Option<String> {
    let (program, words) = command.split_once(' ').unwrap_or((command, ""));
    let output =
        match Command::new(program).args(words.split_whitespace()).current_dir(test.home.path()).output() {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return None,
            output => output.unwrap(),
        };
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Each language with the file of the exported ring, the program that prints the number of the shard of each key, and what builds
/// and runs it.
const LANGUAGES: [(&str, &str, &str, &[&str]); 5] = [
    ("python", "ring.py", "main.py", &["python3 main.py"]),
    ("javascript", "ring.js", "main.js", &["node main.js"]),
    (
        "java",
        "Ring.java",
        "Main.java",
        &["javac -encoding UTF-8 Main.java Ring.java", "java -Dfile.encoding=UTF-8 -cp . Main"],
    ),
    ("c", "ring.c", "main.c", &["cc -std=c99 -Wall -Werror -o main main.c ring.c -lm", "./main"]),
    ("go", "ring/ring.go", "main.go", &["go mod init test", "go run ."]),
];

#[test]
fn the_exported_ring_finds_the_same_owners_in_each_language() {
    let test = Test::initialised();
    let data = test.run(&["ring", "export", "--format", "json"]).success().json();
    assert_eq!((&data["epoch"], &data["shards"][2]["name"]), (&1.into(), &"shard_3".into()));
    let vectors = data["vectors"].as_array().unwrap();
    // An empty line is no key to the programs below.
    let vectors: Vec<&Value> = vectors.iter().filter(|vector| vector["key"] != "").collect();
    for vector in &vectors {
        if let Ok(id) = vector["key"].as_str().unwrap().parse::<i64>() {
            assert_eq!(vector["number"], owner(id), "{vector}");
        }
    }
    let lines = |field: &str| -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        vectors.iter().map(|vector| text(&vector[field]) + "\n").collect()
    };
    std::fs::write(test.home.path().join("keys"), lines("key")).unwrap();
    std::fs::create_dir(test.home.path().join("ring")).unwrap();
    let mut checked = Vec::new();
    for (language, ring, main, commands) in LANGUAGES {
        let written = test.run(&["ring", "export", "-o", language]).success();
        std::fs::write(test.home.path().join(ring), written.stdout).unwrap();
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/users/programs");
        std::fs::copy(programs.join(main), test.home.path().join(main)).unwrap();
        let printed: Option<Vec<String>> = commands.iter().map(|command| run(&test, command)).collect();
        if let Some(printed) = printed.as_ref().and_then(|printed| printed.last()) {
            assert_eq!(*printed, lines("number"), "{language}");
            checked.push(language);
        }
    }
    // A machine that builds Rust has a compiler of C.
    assert!(checked.contains(&"c"), "{checked:?}");
    test.run(&["ring", "export"]).fails(2);
    test.run(&["ring", "export", "--format", "cobol"]).fails(2);
    test.run(&["count", "--format", "python"]).fails(2);
}

#[test]
fn the_exported_ring_of_rust_finds_the_same_owners() {
    let test = Test::initialised();
    let written = test.run(&["ring", "export", "--format", "rust"]).success().stdout;
    // What the module does: the first range that does not end before the position.
    let ranges: Vec<(u128, usize)> = written
        .lines()
        .filter_map(|line| line.trim().strip_prefix("(0x")?.strip_suffix("),"))
        .map(|line| {
            let (last, number) = line.split_once(", ").unwrap();
            (u128::from_str_radix(last, 16).unwrap(), number.parse().unwrap())
        })
        .collect();
    for id in 1..=1_000 {
        let position = Position::of_key(&id.to_string()).number();
        assert_eq!(ranges[ranges.partition_point(|(last, _)| *last < position)].1, owner(id), "{id}");
    }
}
