//! The REPL: lines, keys, state, Ctrl-C.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::pty::Terminal;
use crate::support::rebalances::add_shard;

const UP: &str = "\u{1b}[A";
const RIGHT: &str = "\u{1b}[C";
const TAB: &str = "\t";
const CTRL_C: &str = "\u{3}";

#[test]
fn the_greeting_has_three_lines_and_ctrl_d_exits() {
    let test = filled(300);
    let mut terminal = Terminal::repl(&test, 100, &[]);
    terminal.wait_for_last_line(&prompt(&test, ""));
    let screen = terminal.screen();
    let lines: Vec<&str> = screen.lines().collect();
    assert_eq!(lines.len(), 4, "{screen}");
    assert!(lines[0].ends_with("3 shards, all up"), "{screen}");
    let share = |number| {
        let rows = u32::try_from(test.ids(number).len()).unwrap();
        format!("shard_{number} {:.1} %", f64::from(rows) * 100.0 / 299.0)
    };
    assert_eq!(lines[1], format!("299 users: {}, {}, {}", share(1), share(2), share(3)));
    assert!(lines[2].contains("help") && lines[2].contains("\\q"), "{screen}");
    assert_eq!(terminal.exit_at_prompt().0, 0);
    // The other ways to exit.
    for word in ["quit", "exit;", "\\q"] {
        let mut terminal = repl_at_prompt(&test, 100, &[]);
        terminal.send_keys(&format!("{word}\r"));
        assert_eq!(terminal.wait_for_exit().0, 0, "{word}");
    }
}

#[test]
fn without_a_cluster_the_repl_says_how_to_create_one() {
    let test = Test::new();
    let mut terminal = Terminal::repl(&test, 100, &[]);
    terminal.wait_for_last_line("ringshard>");
    terminal.wait_for_text("no shard is configured");
    terminal.wait_for_text("init-shards creates three");
    let flags = test.shard_flags().iter().map(|flag| format!(" '{flag}'")).collect::<String>();
    terminal.send_keys(&format!("init-shards{flags}\r"));
    terminal.wait_until("at a prompt of three", |terminal| terminal.last_line().ends_with(" 3>"));
    terminal.wait_for_last_line(&prompt(&test, ""));
    terminal.enter_line("create-user --id 1 --name Ann");
    terminal.wait_for_text("│       1 ┆ Ann  ┆");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn tab_completes_commands_flags_shards_and_ids() {
    let test = Test::initialised();
    let at = |line: &str| format!("{} {line}", prompt(&test, ""));
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys(&format!("create-u{TAB}"));
    terminal.wait_for_last_line(&at("create-user --name S | --set COLUMN=VALUE"));
    terminal.send_keys(&format!("--id 4711 --na{TAB}'Ann Lee'"));
    terminal.wait_for_last_line(&at("create-user --id 4711 --name 'Ann Lee'"));
    terminal.send_keys("\r");
    terminal.wait_for_text("│    4711 ┆ Ann Lee ┆");
    terminal.send_keys(&format!("get-user --id 4{TAB}"));
    terminal.wait_for_last_line(&at("get-user --id 4711"));
    terminal.clear_line();
    terminal.send_keys(&format!("remove-shard sh{TAB}"));
    terminal.wait_for_last_line(&at("remove-shard shard_"));
    terminal.send_keys(&format!("{TAB}{TAB}"));
    terminal.wait_for_text("shard_1  shard_2  shard_3");
    terminal.clear_line();
    terminal.send_keys(&format!("count --by r{TAB}"));
    terminal.wait_for_last_line(&at("count --by region"));
    std::fs::write(test.home.path().join("a file.csv"), "user_id,name\n").unwrap();
    terminal.clear_line();
    terminal.send_keys(&format!("import a{TAB}"));
    terminal.wait_for_last_line(&at("import 'a file.csv'"));
    terminal.clear_line();
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn the_history_persists_and_holds_no_password() {
    let test = Test::initialised();
    let at = |line: &str| format!("{} {line}", prompt(&test, ""));
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    for line in ["get-user 1 -o csv", " count --by shard", "add-shard x postgresql://u:hunter2@127.0.0.1:1/x"]
    {
        terminal.enter_line(line);
    }
    terminal.send_keys(UP);
    terminal.wait_until("the last line", |terminal| terminal.last_line().contains("add-shard x"));
    assert!(!terminal.last_line().contains("hunter2"), "{}", terminal.screen());
    // The lines are written even if it is killed.
    let pid = terminal.pid();
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    terminal.wait_for_exit();
    let path = test.home.path().join("state/history");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("get-user 1 -o csv") && !text.contains("hunter2"), "{text}");
    assert!(!text.contains("count"), "a line that begins with a blank is kept: {text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys(&format!("{UP}{UP}"));
    terminal.wait_for_last_line(&at("get-user 1 -o csv"));
    // The right arrow accepts a hint from the history.
    terminal.clear_line();
    terminal.send_keys("get-user 1 -");
    terminal.wait_for_last_line(&at("get-user 1 -o csv"));
    terminal.send_keys(&format!("{RIGHT}\r"));
    terminal.wait_for_text("error:");
    terminal.wait_for_prompt();
    terminal.enter_line("history");
    terminal.wait_for_text("get-user 1 -o csv");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn ctrl_c_clears_the_line_and_cancels_at_the_server() {
    let test = Test::initialised();
    let at = prompt(&test, "");
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("delete-user 1");
    terminal.clear_line();
    terminal.wait_for_last_line(&at);
    terminal.send_keys("sql 'SELECT pg_sleep(600)'\r");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.600' AND state = 'active' \
                    AND pid <> pg_backend_pid() AND datname LIKE current_database()";
    let asleep = || (1..=3).map(|n| test.query(n, sleeping, &[])[0].get::<_, i64>(0)).sum::<i64>();
    let begun = std::time::Instant::now();
    while asleep() < 3 {
        assert!(begun.elapsed().as_secs() < 20);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    terminal.send_keys(CTRL_C);
    terminal.wait_for_text("stopped by Ctrl-C");
    terminal.wait_for_last_line(&at);
    assert_eq!(asleep(), 0);
    terminal.enter_line("count");
    terminal.wait_for_text("│    0 │");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn ctrl_c_stops_a_rebalance_but_not_the_session() {
    let test = filled(3_000);
    add_shard(&test, 4).success();
    let mut terminal = repl_at_prompt(&test, 160, &[]);
    terminal.send_keys("rebalance -y --chunk-rows 20 --max-rows-per-sec 200\r");
    terminal.wait_for_output("-> shard_4");
    terminal.send_keys(CTRL_C);
    terminal.wait_for_text("stopped");
    terminal.wait_for_prompt();
    terminal.press_enter_until("4*>");
    terminal.enter_line("verify");
    terminal.wait_for_text("each on its owner");
    terminal.enter_line("rebalance -y");
    terminal.press_enter_until("4>");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn continued_and_pasted_lines_work() {
    let test = Test::initialised();
    let at = prompt(&test, "");
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("create-user --id 1 \\\r --name 'Ann\rLee'\r");
    terminal.wait_for_text("Ann\\nLee");
    terminal.wait_for_last_line(&at);
    let paste = |text: &str| format!("\u{1b}[200~{text}\u{1b}[201~");
    terminal.send_keys(&paste("create-user --id 2 --name B\ncreate-user --id 3 --name C\nget-user 4\ncount"));
    terminal.wait_until("pasted", |terminal| terminal.last_line() == "count");
    assert_eq!(test.run(&["count"]).stdout, "1\n", "nothing runs before Enter");
    terminal.send_keys("\r");
    // The third one fails, and the fourth is not run.
    terminal.wait_for_text("user `4` not found");
    terminal.wait_for_last_line(&at);
    assert_eq!(test.run(&["count"]).stdout, "3\n");
    assert!(!terminal.screen().contains("rows"), "{}", terminal.screen());
    // The same as keys, from a terminal without bracketed paste.
    terminal.send_keys("create-user --id 5 --name E\rcreate-user --id 6 --name F\r");
    terminal.wait_for_text("│       6 ┆ F ");
    terminal.wait_for_last_line(&at);
    assert_eq!(test.run(&["count"]).stdout, "5\n");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn the_prompt_of_a_further_line_names_the_open_quote() {
    let test = Test::initialised();
    let at = prompt(&test, "");
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("create-user --id 1 --name O'Brien\r");
    terminal.wait_for_last_line("'>");
    // Ctrl-C and Ctrl-D give it up, and the next line is a command.
    terminal.send_keys(CTRL_C);
    terminal.wait_for_last_line(&at);
    terminal.send_keys("get-user \"\r");
    terminal.wait_for_last_line("\">");
    terminal.send_keys("\u{4}");
    terminal.wait_for_last_line(&at);
    terminal.send_keys("create-user --id 1 \\\r");
    terminal.wait_for_last_line(">");
    terminal.send_keys("--name 'Ann\r");
    terminal.wait_for_last_line("'>");
    terminal.send_keys("Lee'\r");
    terminal.wait_for_text("Ann\\nLee");
    terminal.wait_for_last_line(&at);
    assert_eq!(test.run(&["count"]).stdout, "1\n");
    // The history has the whole command.
    terminal.send_keys(UP);
    terminal.wait_until("recalled", |terminal| terminal.last_line() == "Lee'");
    terminal.send_keys(CTRL_C);
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn an_init_file_is_run_first_and_a_session_has_settings() {
    let test = Test::initialised();
    std::fs::write(test.home.path().join("init"), "set format json\nset timing on\nnonsense\n").unwrap();
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.wait_for_text("init:3: unrecognized subcommand");
    terminal.enter_line("count");
    terminal.wait_for_text("{\"rows\": 0}");
    terminal.enter_line("unset format");
    terminal.enter_line("\\x");
    terminal.enter_line("count");
    terminal.wait_for_text("expanded is on");
    terminal.wait_for_text("rows ┆ 0");
    assert_eq!(terminal.exit_at_prompt().0, 0);
    let mut terminal = Terminal::run_in_session(&test.command(), 100, &["repl", "--no-init"], &[]);
    terminal.wait_for_last_line(&prompt(&test, ""));
    assert!(!terminal.screen().contains("init:3"), "{}", terminal.screen());
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn watch_repeats_a_command_until_ctrl_c() {
    let test = Test::initialised();
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.enter_line("\\timing");
    terminal.send_keys("watch 0.2 count\r");
    terminal.wait_for_text("every 0.2 s: count");
    terminal.wait_for_text("│    0 │");
    test.run(&["create-user", "--id", "1", "--name", "A"]).success();
    terminal.wait_for_text("│    1 │");
    for _ in 0..5 {
        let before = terminal.seen_count("Time: ");
        terminal.wait_until("another run", |terminal| terminal.seen_count("Time: ") > before);
    }
    terminal.send_keys(CTRL_C);
    terminal.wait_for_last_line(&prompt(&test, ""));
    // The times of each run are its own.
    let text = terminal.text();
    let line = text.lines().rfind(|line| line.contains("Time: ")).unwrap();
    let figures: Vec<f64> = line.split([' ', ',', ')']).filter_map(|word| word.parse().ok()).collect();
    assert!(2.0 * figures[0] > figures[1] + figures[2] + figures[3], "{line}");
    // That was not an error, and the next command has its own.
    assert!(!terminal.screen().contains("stopped"), "{}", terminal.screen());
    terminal.enter_line("nonsense");
    terminal.wait_for_text("error: unrecognized subcommand");
    terminal.enter_line("\\watch count --nonsense");
    terminal.wait_for_text("unexpected argument");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}
