//! The log: the lines and levels of the prototype, and no forged lines.

use crate::support::harness::{Ran, Test};
use crate::support::rings::{owner, prototype_ring};

/// Checks the time and returns level and message of each line.
fn records(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .map(|line| {
            let (time, rest) = line.split_at(24);
            let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert_eq!(shape, "0000-00-00 00:00:00,000 ", "{line}");
            let (level, message) = rest.split_once("] ").unwrap();
            (level.strip_prefix('[').unwrap(), message)
        })
        .collect()
}

#[test]
fn create_user_writes_the_log_lines_of_the_prototype() {
    let test = Test::initialised();
    test.run(&["count"]).success();
    let words = [
        "create-user",
        "--id",
        "1",
        "--name",
        "Alice",
        "--region",
        "US",
        "--email",
        "alice@example.com",
        "-vv",
    ];
    let ran = test.run(&words).success();
    let records = records(&ran.stderr);
    // Of the statement its beginning, as far as the prototype would have it, too.
    let begin = |message: &'_ str| message.split(") SELECT").next().unwrap_or_default().to_owned();
    let plain: Vec<(&str, String)> = records
        .iter()
        .filter(|(_, message)| !message.contains('#'))
        .map(|(level, message)| (*level, begin(message)))
        .collect();
    let plain: Vec<(&str, &str)> = plain.iter().map(|(level, message)| (*level, message.as_str())).collect();
    assert_eq!(
        plain,
        [
            (
                "INFO",
                "Initializing consistent hashing with nodes: ['shard_1', 'shard_2', 'shard_3'], virtual_nodes: 100"
            ),
            ("INFO", "Hash ring built with 300 virtual nodes"),
            (
                "INFO",
                "Received request to create user: {'user_id': 1, 'name': 'Alice', 'region': 'US', 'email': 'alice@example.com'}"
            ),
            ("DEBUG", "Hashed key '1' to 261578874264819908609102035485573088411"),
            ("INFO", "Key '1' (hash: 261578874264819908609102035485573088411) assigned to node shard_2"),
            ("DEBUG", "Creating session for shard: shard_2"),
            ("DEBUG", "Added user 1 to session for shard shard_2"),
            ("DEBUG", "Executing in shard shard_2: INSERT INTO public.users (user_id, name, region, email"),
            ("DEBUG", "Closed session for shard shard_2"),
            ("INFO", "Committed user 1 to shard shard_2"),
        ]
    );
    assert_eq!(records.iter().filter(|(_, message)| message.starts_with("Added virtual node ")).count(), 300);
    assert_eq!(records.iter().filter(|(_, message)| message.starts_with("Hashed key 'shard_")).count(), 300);
    let first = "Added virtual node shard_1#0 for shard_1 at hash 249607299871848383982239823986748066662";
    assert!(records.contains(&("DEBUG", first)));
}

#[test]
fn log_levels_match_the_prototype() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    let levels = |words: &[&str]| -> Vec<String> {
        let ran = test.run(words);
        let log: Vec<&str> = ran
            .stderr
            .lines()
            .filter(|line| !line.starts_with("error") && !line.starts_with("hint"))
            .collect();
        records(&log.join("\n")).iter().map(|(level, message)| format!("{level} {message}")).collect()
    };
    let missing = levels(&["get-user", "2", "-v"]);
    assert!(missing.iter().any(|line| line == "WARNING User 2 not found in shard shard_2"), "{missing:?}");
    let twice = levels(&["create-user", "--id", "1", "--name", "x", "-v"]);
    assert!(
        twice.iter().any(|line| line.starts_with("ERROR Failed to create user 1 in shard shard_2: ")),
        "{twice:?}"
    );
    assert!(twice.iter().all(|line| !line.starts_with("DEBUG")));
    assert!(levels(&["get-user", "1"]).is_empty());
    // The keys behind the last point wrap around to the first point.
    let ring = prototype_ring(3);
    let wraps = (1..100_000)
        .find(|id| ring.locate(ringshard::model::ring::position::Position::of_key(&id.to_string())).wrapped)
        .unwrap();
    let wrapped = levels(&["ring", "locate", &wraps.to_string(), "-v"]);
    assert!(wrapped.iter().any(|line| line.contains(") wrapped around to node shard_2")), "{wrapped:?}");
}

#[test]
fn a_log_file_gets_the_lines_instead_of_stderr() {
    let test = Test::initialised();
    let file = test.home.path().join("ringshard.log");
    for _ in 0..2 {
        let ran = test.run(&["get-user", "1", "--log-file", file.to_str().unwrap()]).fails(4);
        assert!(!ran.stderr.contains("[INFO]"));
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let records = records(&text);
    assert_eq!(records.iter().filter(|(level, _)| *level == "WARNING").count(), 2, "appended: {text}");
    assert!(!text.contains("DEBUG"));
}

#[test]
fn data_cannot_forge_a_line_or_drive_a_terminal() {
    let test = Test::initialised();
    let name = "--name=x\n2025-01-01 00:00:00,000 [ERROR] forged\u{1b}[31m\u{202e}";
    let ran = test.run(&["create-user", "--id", "1", name, "-vv"]).success();
    for (level, _) in records(&ran.stderr) {
        assert_ne!(level, "ERROR");
    }
    assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "{ran:?}");
    assert_eq!(test.ids(owner(1)), [1]);
    let ran = Ran::of(test.command().env("TERM", "xterm").args(["get-user", "2", "-v"]).spawn().unwrap());
    assert!(!ran.stderr.contains('\u{1b}'), "no colours off a terminal: {ran:?}");
}
