//! SQL at the prompt and in scripts, as in psql.

use crate::support::clusters::filled;
use crate::support::prompts::repl_at_prompt;
use crate::support::pty::Terminal;

/// Types a line that is continued, at this prompt.
fn enter_open_line(terminal: &mut Terminal, line: &str, next: &str) {
    terminal.send_keys(line);
    terminal.send_keys("\r");
    terminal.wait_for_last_line(next);
}

#[test]
fn statements_end_with_a_semicolon_and_may_have_lines() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 80, &[]);
    terminal.enter_line("select count(*) from users;");
    terminal.wait_for_text("│    49 │");
    terminal.enter_line("clear");
    enter_open_line(&mut terminal, "SELECT region,", "->");
    enter_open_line(&mut terminal, "  'it;s -- '", "->");
    enter_open_line(&mut terminal, "FROM users WHERE name = 'no", "'>");
    terminal.send_keys("body' OR user_id = 7;\r");
    terminal.wait_for_prompt();
    terminal.wait_for_text("│ US     ┆ it;s --  │");
    assert!(!terminal.screen().contains("error"), "{}", terminal.screen());
    // Two in one line, and a command after them.
    terminal.enter_line("clear");
    terminal.enter_line("select 40 + 1 as one; select count(*) as two from users where user_id in (1, 2);");
    terminal.wait_for_text("┆ one │");
    terminal.wait_for_text("│   2 │");
    // Ctrl-C leaves the statement.
    enter_open_line(&mut terminal, "select", "->");
    terminal.send_keys("\u{3}");
    terminal.wait_for_prompt();
    terminal.enter_line("update users set name = 'new' where user_id = 7;");
    terminal.wait_for_text("UPDATE 1 on shard shard_");
    terminal.enter_line("get-user 7 -o csv");
    terminal.wait_for_text("7,new,");
    terminal.exit_at_prompt();
}

#[test]
fn keywords_tables_and_columns_are_completed() {
    let test = filled(5);
    let mut terminal = repl_at_prompt(&test, 80, &[]);
    terminal.send_keys("SELECT us\t\t");
    terminal.wait_for_text("user_id");
    terminal.send_keys("er_\t");
    terminal.wait_for_text("SELECT user_id");
    terminal.send_keys(" FR\t users\r");
    terminal.wait_for_last_line("->");
    terminal.send_keys("where na\t = 'x';\r");
    terminal.wait_for_prompt();
    terminal.wait_for_text("name  = 'x'");
    assert!(!terminal.screen().contains("error"), "{}", terminal.screen());
    terminal.exit_at_prompt();
}

#[test]
fn scripts_have_statements_of_several_lines() {
    let test = filled(50);
    let script =
        "SELECT count(*)\nFROM users -- ;\n;\ncount\nwith w as (select 1)\nselect * from w;select 1/0\n";
    std::fs::write(test.home.path().join("script"), script).unwrap();
    let ran = test.run(&["-f", "script"]).fails(1);
    assert!(ran.stdout.starts_with("49\n49\n"), "{ran:?}");
    std::fs::write(test.home.path().join("script"), script.replace(";select 1/0", ";")).unwrap();
    let ran = test.run(&["-f", "script"]).success();
    assert_eq!(ran.stdout, "49\n49\nshard_1\t1\nshard_2\t1\nshard_3\t1\n");
    assert_eq!(
        test.run(&["-c", "SELECT max(user_id) FROM users; select 1 + 48 from users limit 1;", "-c", "count"])
            .success()
            .stdout,
        "49\n49\n49\n"
    );
}

#[test]
fn a_statement_may_end_with_a_command_of_psql() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 80, &[]);
    terminal.enter_line("select count(*) as how_many from users \\gx");
    terminal.wait_for_text("│ how_many ┆ 49 │");
    // About the last one, which is a table again.
    terminal.enter_line("\\g");
    terminal.wait_for_text("│       49 │");
    let out = test.home.path().join("out");
    enter_open_line(&mut terminal, "select user_id from users", "->");
    terminal.send_keys(&format!("where user_id in (1, 2) order by 1 \\g {}\r", out.display()));
    terminal.wait_for_prompt();
    terminal.enter_line("select user_id from users where user_id = 3 \\g | tr 3 x");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "1\n2\n");
    terminal.wait_for_text("\nx");
    terminal.enter_line("clear");
    terminal.send_keys("select 40 + 2 as sum, user_id from users where user_id = 3 \\watch 1\r");
    terminal.wait_for_text("every 1 s");
    terminal.wait_for_text("│  42 ┆       3 │");
    terminal.send_keys("\u{3}");
    terminal.wait_for_prompt();
    terminal.enter_line("clear");
    terminal.enter_line("\\di");
    terminal.wait_for_text("users_pkey");
    terminal.exit_at_prompt();
}
