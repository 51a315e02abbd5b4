//! The REPL as a person uses it: lines, keys, state, Ctrl-C.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::prompts::{greeted, prompt};
use crate::support::pty::Person;
use crate::support::rebalances::add;

const UP: &str = "\u{1b}[A";
const RIGHT: &str = "\u{1b}[C";
const TAB: &str = "\t";
const CTRL_C: &str = "\u{3}";

#[test]
fn three_lines_say_what_matters_and_ctrl_d_ends() {
    let test = filled(300);
    let mut person = Person::at_the_repl(&test, 100, &[]);
    person.is_at(&prompt(&test, ""));
    let screen = person.screen();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 4, "{screen}");
    assert!(lines[0].ends_with("3 shards, all up"), "{screen}");
    let share = |number| {
        let rows = u32::try_from(test.ids(number).len()).unwrap();
        format!("shard_{number} {:.1} %", f64::from(rows) * 100.0 / 299.0)
    };
    assert_eq!(lines[1], format!("299 users: {}, {}, {}", share(1), share(2), share(3)));
    assert!(lines[2].contains("help") && lines[2].contains("\\q"), "{screen}");
    assert_eq!(person.leaves().0, 0);
    // The other ways out.
    for word in ["quit", "exit;", "\\q"] {
        let mut person = greeted(&test, 100, &[]);
        person.types(&format!("{word}\r"));
        assert_eq!(person.ends().0, 0, "{word}");
    }
}

#[test]
fn without_a_cluster_it_says_how_to_make_one() {
    let test = Test::new();
    let mut person = Person::at_the_repl(&test, 100, &[]);
    person.is_at("ringshard>");
    person.reads("no shard is configured");
    person.reads("init-shards makes three");
    let flags = test.shard_flags().iter().map(|flag| format!(" '{flag}'")).collect::<String>();
    person.types(&format!("init-shards{flags}\r"));
    person.waits_until("at a prompt of three", |person| person.last_line().ends_with(" 3>"));
    person.is_at(&prompt(&test, ""));
    person.enters("create-user --id 1 --name Ann");
    person.reads("│       1 ┆ Ann  ┆");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn tab_completes_commands_flags_shards_and_ids() {
    let test = Test::initialised();
    let at = |line: &str| format!("{} {line}", prompt(&test, ""));
    let mut person = greeted(&test, 100, &[]);
    person.types(&format!("create-u{TAB}"));
    person.is_at(&at("create-user --id N --name S"));
    person.types(&format!("--id 4711 --na{TAB}'Ann Lee'"));
    person.is_at(&at("create-user --id 4711 --name 'Ann Lee'"));
    person.types("\r");
    person.reads("│    4711 ┆ Ann Lee ┆");
    person.types(&format!("get-user --id 4{TAB}"));
    person.is_at(&at("get-user --id 4711"));
    person.clears_the_line();
    person.types(&format!("remove-shard sh{TAB}"));
    person.is_at(&at("remove-shard shard_"));
    person.types(&format!("{TAB}{TAB}"));
    person.reads("shard_1  shard_2  shard_3");
    person.clears_the_line();
    person.types(&format!("count --by r{TAB}"));
    person.is_at(&at("count --by region"));
    std::fs::write(test.home.path().join("a file.csv"), "user_id,name\n").unwrap();
    person.clears_the_line();
    person.types(&format!("import a{TAB}"));
    person.is_at(&at("import 'a file.csv'"));
    person.clears_the_line();
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn the_history_outlives_the_session_and_holds_no_password() {
    let test = Test::initialised();
    let at = |line: &str| format!("{} {line}", prompt(&test, ""));
    let mut person = greeted(&test, 120, &[]);
    for line in ["get-user 1 -o csv", " count --by shard", "add-shard x postgresql://u:hunter2@127.0.0.1:1/x"]
    {
        person.enters(line);
    }
    person.types(UP);
    person.waits_until("the last line", |person| person.last_line().contains("add-shard x"));
    assert!(!person.last_line().contains("hunter2"), "{}", person.screen());
    // Even killed, it has written its lines.
    let pid = person.pid();
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    person.ends();
    let path = test.home.path().join("state/history");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("get-user 1 -o csv") && !text.contains("hunter2"), "{text}");
    assert!(!text.contains("count"), "a line that begins with a blank is kept: {text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let mut person = greeted(&test, 100, &[]);
    person.types(&format!("{UP}{UP}"));
    person.is_at(&at("get-user 1 -o csv"));
    // A hint from the history is taken over by the right arrow.
    person.clears_the_line();
    person.types("get-user 1 -");
    person.is_at(&at("get-user 1 -o csv"));
    person.types(&format!("{RIGHT}\r"));
    person.reads("error:");
    person.is_asked();
    person.enters("history");
    person.reads("get-user 1 -o csv");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn ctrl_c_clears_the_line_and_cancels_at_the_server() {
    let test = Test::initialised();
    let at = prompt(&test, "");
    let mut person = greeted(&test, 100, &[]);
    person.types("delete-user 1");
    person.clears_the_line();
    person.is_at(&at);
    person.types("sql 'SELECT pg_sleep(600)'\r");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.600' AND state = 'active' \
                    AND pid <> pg_backend_pid() AND datname LIKE current_database()";
    let asleep = || (1..=3).map(|n| test.query(n, sleeping, &[])[0].get::<_, i64>(0)).sum::<i64>();
    let begun = std::time::Instant::now();
    while asleep() < 3 {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    person.types(CTRL_C);
    person.reads("stopped by Ctrl-C");
    person.is_at(&at);
    assert_eq!(asleep(), 0);
    person.enters("count");
    person.reads("│    0 │");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn ctrl_c_stops_a_rebalance_at_a_safe_point_and_the_session_goes_on() {
    let test = filled(3_000);
    add(&test, 4).success();
    let mut person = greeted(&test, 160, &[]);
    person.types("rebalance -y --chunk-rows 20 --max-rows-per-sec 200\r");
    person.waits_for("-> shard_4");
    person.types(CTRL_C);
    person.reads("stopped");
    person.is_asked();
    person.presses_enter_until("4*>");
    person.enters("verify");
    person.reads("each on its owner");
    person.enters("rebalance -y");
    person.presses_enter_until("4>");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn lines_go_on_and_several_can_be_pasted() {
    let test = Test::initialised();
    let at = prompt(&test, "");
    let mut person = greeted(&test, 100, &[]);
    person.types("create-user --id 1 \\\r --name 'Ann\rLee'\r");
    person.reads("Ann\\nLee");
    person.is_at(&at);
    let paste = |text: &str| format!("\u{1b}[200~{text}\u{1b}[201~");
    person.types(&paste("create-user --id 2 --name B\ncreate-user --id 3 --name C\nget-user 4\ncount"));
    person.waits_until("pasted", |person| person.last_line() == "count");
    assert_eq!(test.run(&["count"]).stdout, "1\n", "nothing runs before Enter");
    person.types("\r");
    // The third one fails, and the fourth is not run.
    person.reads("user `4` not found");
    person.is_at(&at);
    assert_eq!(test.run(&["count"]).stdout, "3\n");
    assert!(!person.screen().contains("rows"), "{}", person.screen());
    // The same as keys, from a terminal that does not mark what is pasted.
    person.types("create-user --id 5 --name E\rcreate-user --id 6 --name F\r");
    person.reads("│       6 ┆ F ");
    person.is_at(&at);
    assert_eq!(test.run(&["count"]).stdout, "5\n");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn an_init_file_is_run_first_and_a_session_has_settings() {
    let test = Test::initialised();
    std::fs::write(test.home.path().join("init"), "set format json\nset timing on\nnonsense\n").unwrap();
    let mut person = greeted(&test, 100, &[]);
    person.reads("init:3: unrecognized subcommand");
    person.enters("count");
    person.reads("{\"rows\": 0}");
    person.enters("unset format");
    person.enters("\\x");
    person.enters("count");
    person.reads("expanded is on");
    person.reads("rows ┆ 0");
    assert_eq!(person.leaves().0, 0);
    let mut person = Person::runs(&test.command(), 100, &["repl", "--no-init"], &[]);
    person.is_at(&prompt(&test, ""));
    assert!(!person.screen().contains("init:3"), "{}", person.screen());
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn a_command_is_watched_until_ctrl_c() {
    let test = Test::initialised();
    let mut person = greeted(&test, 100, &[]);
    person.enters("\\timing");
    person.types("watch 0.2 count\r");
    person.reads("every 0.2 s: count");
    person.reads("│    0 │");
    test.run(&["create-user", "--id", "1", "--name", "A"]).success();
    person.reads("│    1 │");
    for _ in 0..5 {
        let before = person.seen_count("Time: ");
        person.waits_until("another run", |person| person.seen_count("Time: ") > before);
    }
    person.types(CTRL_C);
    person.is_at(&prompt(&test, ""));
    // The times of each run are its own.
    let text = person.text();
    let line = text.lines().rfind(|line| line.contains("Time: ")).unwrap();
    let figures: Vec<f64> = line.split([' ', ',', ')']).filter_map(|word| word.parse().ok()).collect();
    assert!(2.0 * figures[0] > figures[1] + figures[2] + figures[3], "{line}");
    // That was no error, and what comes next has its own.
    assert!(!person.screen().contains("stopped"), "{}", person.screen());
    person.enters("nonsense");
    person.reads("error: unrecognized subcommand");
    person.enters("\\watch count --nonsense");
    person.reads("unexpected argument");
    assert_eq!(person.leaves().0, 0);
}
