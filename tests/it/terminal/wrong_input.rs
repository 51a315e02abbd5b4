//! Wrong input of every kind: each has its message, hint and exit code, as text and as JSON.

use crate::support::harness::{Ran, Test};

/// Arguments, the exit code, and a part of the message.
type Case = (&'static [&'static str], i32, &'static str);

const USAGE: &[Case] = &[
    (&["nonsense"], 2, "unrecognized subcommand"),
    (&["create-usr", "--id", "1"], 2, "create-usr"),
    (&["--nonsense"], 2, "--nonsense"),
    (&["create-user"], 2, "--name"),
    (&["create-user", "--id", "1"], 2, "--name"),
    (&["create-user", "--id", "x", "--name", "x"], 2, "whole number"),
    (&["create-user", "--id", "", "--name", "x"], 2, "--id"),
    (&["create-user", "--id", "1.5", "--name", "x"], 2, "whole number"),
    (&["create-user", "--id", "9223372036854775808", "--name", "x"], 2, "9223372036854775807"),
    (&["create-user", "--id", "-9223372036854775809", "--name", "x"], 2, "whole number"),
    (&["create-user", "--id", "1", "--id", "2", "--name", "x"], 2, "--id"),
    (&["create-user", "1", "--id", "1", "--name", "x"], 2, "cannot be used with"),
    (&["create-user", "--id", "1", "--name", "x", "--age", "3"], 2, "--age"),
    (&["get-user"], 2, "a required argument is missing: --id N or ID"),
    (&["create-user", "1"], 2, "a required argument is missing: --name S or --set COLUMN=VALUE"),
    (&["load", "run", "--clients", "5000"], 2, "5000 is not from 1 to 1000"),
    (&["load", "fill", "0"], 2, "0 is less than 1"),
    (&["get-user", "abc"], 2, "whole number"),
    (&["get-user", "1", "2"], 2, "2"),
    (&["get-user", "--id", "1", "2"], 2, "cannot be used with"),
    (&["update-user", "--id", "1"], 2, "required"),
    (&["update-user", "--name", "x"], 2, "required"),
    (&["update-user", "--id", "1", "--region", "EU", "--no-region"], 2, "cannot be used with"),
    (&["delete-user"], 2, "required"),
    (&["count", "--by", "moon"], 2, "moon"),
    (&["count", "extra"], 2, "extra"),
    (&["shards", "-o", "yaml"], 2, "yaml"),
    (&["shards", "--color", "sometimes"], 2, "sometimes"),
    (&["ring"], 2, "a command is missing"),
    (&["ring", "turn"], 2, "turn"),
    (&["ring", "locate"], 2, "KEY"),
    (&["ring", "simulate"], 2, "nothing to simulate"),
    (&["ring", "simulate", "--add", "a b"], 2, "letters"),
    (&["ring", "simulate", "--add", "x:heavy"], 2, "weight"),
    (&["ring", "simulate", "--add", "x:0"], 2, "0.01 to 100"),
    (&["ring", "simulate", "--vnodes", "0"], 2, "0"),
    (&["ring", "simulate", "--vnodes", "many"], 2, "not a whole number"),
    (&["init-shards", "--vnodes", ""], 2, "value"),
    (&["ring", "simulate", "--vnodes", "99999999"], 2, "99999999"),
    (
        &["ring", "simulate", "--remove", "shard_1", "--remove", "shard_2", "--remove", "shard_3"],
        2,
        "1 to 1000 shards",
    ),
    (&["init-shards", "--shards", "0"], 2, "0"),
    (&["init-shards", "--shards", "many"], 2, "many"),
    (&["init-shards", "--vnodes", "-1"], 2, "-1"),
    (&["init-shards", "--shard", "no_url"], 2, "`=` is missing"),
    (&["init-shards", "--shard", "a="], 2, "empty"),
    (&["init-shards", "--shard", "a b=postgresql://h/d"], 2, "letters"),
    (&["init-shards", "--shard", "a=postgresql://h/d", "--shards", "2"], 2, "cannot be used with"),
    (
        &["init-shards", "--shard", "a=postgresql://h/d", "--server", "postgresql://h"],
        2,
        "cannot be used with",
    ),
    (&["init-shards", "--shard", "a=postgresql://h/d", "--shard", "a=postgresql://h/e"], 2, "given twice"),
    (&["completions", "cobol"], 2, "cobol"),
    (&["man"], 2, "DIR"),
    (&["config", "edit"], 2, "edit"),
    (&["local", "explode"], 2, "explode"),
    (&["-c", "count", "-f", "x"], 2, "cannot be used with"),
    (&["-c", "count", "shards"], 2, "cannot be combined"),
    (&["-c", "create-user --id 1 --name 'open"], 2, "quote"),
    (&["-q"], 2, "a command is missing"),
    (&["-c", "count --config other.toml"], 2, "applies to a whole run"),
    (&["-c", "-v"], 2, "a value is required"),
];

const WORLD: &[Case] = &[
    (&["get-user", "404"], 4, "user `404` not found"),
    (&["update-user", "404", "--name", "x"], 4, "user `404` not found"),
    (&["delete-user", "404"], 4, "user `404` not found"),
    (&["create-user", "--id", "1", "--name", "x"], 5, "exists already"),
    (&["ring", "simulate", "--remove", "shard_9"], 4, "no shard `shard_9`"),
    (&["ring", "simulate", "--add", "shard_1"], 5, "shard `shard_1` exists already"),
    (&["--config", "/nonexistent/x.toml", "shards"], 78, "no shard is configured"),
    (&["--config", "/dev", "shards"], 78, "cannot read"),
    (&["--log-file", "/nonexistent/log", "shards"], 78, "cannot write the log"),
    (&["-f", "/nonexistent"], 65, "cannot read `/nonexistent`"),
    (&["man", "/dev/null/x"], 1, "cannot write man pages"),
    (&["init-shards", "--shards", "5"], 5, "a cluster of 3 shards"),
];

fn check(test: &Test, cases: &[Case]) {
    for (words, code, says) in cases {
        let ran = test.run(words).fails(*code).says(says).says("error: ").says("hint: ");
        assert_eq!(ran.stdout, "", "{words:?}: only data goes to stdout");
        let json: Vec<&str> = ["-o", "json"].iter().chain(*words).copied().collect();
        if words.contains(&"-o") {
            continue;
        }
        let ran = test.run(&json).fails(*code);
        let value: serde_json::Value =
            serde_json::from_str(&ran.stderr).unwrap_or_else(|why| panic!("{why}: {ran:?}"));
        let mut keys: Vec<&String> = value["error"].as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["code", "hint", "kind", "message", "shard"]);
        assert_eq!(value["error"]["code"], *code);
        assert!(value["error"]["message"].as_str().unwrap().contains(says), "{ran:?}");
        assert!(value["error"]["hint"].is_string(), "{ran:?}");
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let test = Test::new();
    let words: Vec<&[&str]> = USAGE.iter().map(|(words, ..)| *words).collect();
    assert!(words.len() >= 40);
    test.init().success();
    check(&test, USAGE);
    let long = "x".repeat(101);
    for flag in ["--name", "--region", "--email"] {
        let ran = test.run(&["create-user", "--id", "1", "--name", "x", flag, &long]);
        ran.fails(2);
    }
    assert_eq!(test.run(&["count"]).success().stdout, "0\n", "a usage error stored a user");
}

#[test]
fn runtime_errors_have_their_exit_codes() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    check(&test, WORLD);
}

#[test]
fn without_shards_every_command_gives_a_hint() {
    let test = Test::new();
    for words in
        [&["shards"][..], &["count"], &["get-user", "1"], &["ring", "show"], &["ring", "locate", "1"]]
    {
        test.run(words).fails(78).says("no shard is configured").says("ringshard init-shards");
    }
}

#[test]
fn wrong_settings_name_their_source() {
    let test = Test::initialised();
    let with =
        |name: &str, value: &str| Ran::of(test.command().env(name, value).arg("shards").spawn().unwrap());
    with("RINGSHARD_FORMAT", "yaml").fails(78).says("`RINGSHARD_FORMAT`").says("tsv");
    with("RINGSHARD_COLOR", "x").fails(78);
    with("RINGSHARD_POOL_SIZE", "0").fails(78).says("from 1 to 1000");
    with("RINGSHARD_CONNECT_TIMEOUT_MS", "soon").fails(78);
    with("RINGSHARD_CLUSTER", "x").fails(78).says("UUID");
    with("RINGSHARD_SHARDS", "a").fails(78);
    with("RINGSHARD_SHARDS", "a=nonsense").fails(78).says("shard `a`");
    with("PGPORT", "x").fails(78).says("`PGPORT` is `x`");
    let config = std::fs::read_to_string(test.config()).unwrap();
    for (text, place) in [("pool = 1\n", "`pool`"), ("pool_size = [1]\n", "`pool_size`"), ("= 3\n", ":1: ")] {
        std::fs::write(test.config(), format!("{text}{config}")).unwrap();
        test.run(&["shards"]).fails(78).says("ringshard.toml").says(place);
    }
}

#[test]
fn a_script_stops_at_its_first_error_and_names_the_line() {
    let test = Test::initialised();
    let file = test.home.path().join("users.txt");
    let text =
        "# comment\n\nringshard create-user --id 1 --name 'A B';\ncreate-user --id 1 --name C\ncount\n";
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let ran = test.run(&["-f", name]).fails(5).says(&format!("{name}:4: error: user `1` exists already"));
    assert_eq!(ran.stdout, "1\tA B\t\\N\t\\N\n");
    let ran = test.run(&["-f", name, "--keep-going"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, "1\n"));
    let ran = test.run(&["-c", "count", "-c", "get-user 1 -o json", "-c", "count --nonsense"]).fails(2);
    assert_eq!(ran.stdout, "1\n{\"user_id\": 1, \"name\": \"A B\", \"region\": null, \"email\": null}\n");
    ran.says("-c:3: error: ");
}

#[test]
fn a_dangerous_command_needs_confirmation() {
    let test = Test::new();
    // A private server in this home, which the test may destroy.
    let programs = std::env::var_os("RINGSHARD_PG_BIN");
    let run = |words: &[&str]| {
        let mut command = test.command();
        if let Some(programs) = &programs {
            command.env("RINGSHARD_PG_BIN", programs);
        }
        Ran::of(command.args(words).spawn().unwrap())
    };
    run(&["init-shards", "--shards", "2"]).success();
    run(&["create-user", "--id", "1", "--name", "x"]).success();
    run(&["local", "destroy"]).fails(3).says("--yes");
    run(&["local", "destroy", "--no-input"]).fails(3);
    assert_eq!(run(&["count"]).success().stdout, "1\n");
    // A stopped server is started again when it is needed.
    run(&["local", "stop"]).success();
    assert_eq!(run(&["local", "status", "-o", "json"]).success().json()["running"], false);
    assert_eq!(run(&["count"]).success().stdout, "1\n");
    run(&["local", "destroy", "-y"]).success();
    run(&["local", "destroy", "-y"]).success();
    run(&["count"]).fails(69).says("init-shards").says("shard_1");
    // A new one can be made.
    run(&["init-shards"]).success();
    assert_eq!(run(&["count"]).success().stdout, "0\n");
    run(&["local", "destroy", "-y"]).success();
}

#[test]
fn invalid_utf8_is_refused_without_a_panic() {
    use std::os::unix::ffi::OsStrExt as _;
    let test = Test::initialised();
    let bad = std::ffi::OsStr::from_bytes(b"\xff");
    Ran::of(test.command().arg("get-user").arg(bad).spawn().unwrap()).fails(2);
    for name in ["RINGSHARD_SHARDS", "RINGSHARD_CLUSTER", "RINGSHARD_FORMAT"] {
        let ran = test.command().env(name, bad).arg("shards").spawn().unwrap();
        Ran::of(ran).fails(78).says(name).says("UTF-8");
    }
    let ran = test.command().args(["get-user", "x\nerror: forged\nhint: forged"]).spawn().unwrap();
    assert!(!Ran::of(ran).fails(2).stderr.lines().skip(1).any(|line| line.starts_with("error: ")));
}

#[test]
fn a_statement_of_sql_is_told_from_a_misspelt_command() {
    let test = Test::initialised();
    for words in [
        "SELECT * FROM users;",
        "select 1",
        "show server_version;",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "(SELECT 1) UNION (SELECT 2)",
        "explain SELECT 1",
        "explain count",
    ] {
        test.run(&["-c", words]).success();
    }
    assert!(!test.run(&["-c", "selekt"]).fails(2).stderr.contains("help sql"));
    // Statements that no shard may run.
    for words in ["TRUNCATE users;", "drop table users", "COPY users TO STDOUT"] {
        test.run(&["-c", words]).fails(2).says("ringshard help sql").says("ringshard help schema apply");
    }
}

#[test]
fn a_command_in_capitals_and_a_comment_of_sql_are_told_how_to_be_written() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    for (words, command) in
        [("COUNT;", "count"), ("Get-User 1", "get-user"), ("DELETE-USER 1", "delete-user"), ("EXIT", "exit")]
    {
        let ran = test.run(&["-c", words]).fails(2);
        assert!(ran.stderr.contains(&format!("hint: commands are in lower case: `{command}`\n")), "{ran:?}");
    }
    for (words, is_told) in
        [("-- delete-user 1", true), ("/* all */ count", true), ("--delete-user 1", false)]
    {
        std::fs::write(test.home.path().join("script"), words).unwrap();
        let ran = test.run(&["-f", "script"]).fails(2);
        assert_eq!(ran.stderr.contains("a comment begins with `#`"), is_told, "{ran:?}");
    }
    // None of it was run.
    assert_eq!(test.run(&["-c", "# delete-user 1", "-c", "count # all"]).success().stdout, "1\n");
}

#[test]
fn what_is_typed_elsewhere_is_corrected() {
    let test = Test::new();
    for (words, hint) in [
        (&["get-usr", "1"][..], "ringshard get-user 1; ringshard help lists the commands"),
        (&["users"], "ringshard list-users; ringshard help lists the commands"),
        (&["version"], "ringshard --version; ringshard help lists the commands"),
        (&["ring", "shw"], "ringshard ring show; ringshard ring --help shows how"),
        (&["get-user", "1", "--json"], "ringshard get-user 1 -o json; ringshard get-user --help shows how"),
        (
            &["load", "fill", "--users", "5000"],
            "ringshard load fill 5000; ringshard load fill --help shows how",
        ),
        (&["load", "fill", "--users=5000"], "ringshard load fill 5000; ringshard load fill --help shows how"),
        (&["count", "--regoin", "EU"], "ringshard count --region EU; ringshard count --help shows how"),
        (&["count", "--regoin=EU"], "ringshard count --region EU; ringshard count --help shows how"),
        (&["completions", "tcsh"], "ringshard completions --help shows how"),
        (&["completions", "fsh"], "ringshard completions fish; ringshard completions --help shows how"),
        (&["load", "run", "--duration", "5"], "ringshard load run --help shows how"),
        (&["xyzzy"], "ringshard help lists the commands"),
    ] {
        let ran = test.run(words).fails(2);
        assert!(ran.stderr.ends_with(&format!("hint: {hint}\n")), "{ran:?}");
    }
    test.run(&["load", "run", "--duration", "5"]).says("the unit is missing: 5s is 5 seconds");
}
