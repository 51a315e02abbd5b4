//! Scripts that store many users: in batches of hundreds, with the effect of single commands.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::rebalances::{add_shard, assert_settled, start_slow_rebalance, wait_for_moved_rows};
use crate::support::rings::topology_of;

/// Lines that store the users of these ids.
fn creates(ids: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::new();
    for id in ids {
        writeln!(text, "create-user --id {id} --name 'Name {id}' --region EU").unwrap();
    }
    text
}

fn write(test: &Test, text: &str) {
    std::fs::write(test.home.path().join("script"), text).unwrap();
}

fn stored(test: &Test) -> Vec<i64> {
    let mut ids: Vec<i64> = (1..=3).flat_map(|number| test.ids(number)).collect();
    ids.sort_unstable();
    ids
}

fn shown(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(|id| format!("{id}\tName {id}\tEU\t\\N\n")).collect()
}

#[test]
fn exactly_the_lines_before_an_error_are_stored() {
    for wrong in [1, 2, 700, 1_999] {
        let test = Test::initialised();
        test.run(&["create-user", "--id", &wrong.to_string(), "--name", "before"]).success();
        write(&test, &creates(1..=2_000));
        let ran = test.run(&["-f", "script"]).fails(5);
        assert!(ran.stderr.starts_with(&format!("script:{wrong}: error: user `{wrong}` exists")), "{ran:?}");
        assert_eq!(ran.stdout, shown(1..wrong), "{wrong}");
        assert_eq!(stored(&test), (1..=wrong).collect::<Vec<_>>(), "{wrong}");
    }
}

#[test]
fn a_duplicate_id_and_a_bad_line_stop_at_their_line() {
    let test = Test::initialised();
    let text = creates((1..=600).chain([555]).chain(601..=800));
    write(&test, &text);
    let ran = test.run(&["-f", "script"]).fails(5);
    assert!(ran.stderr.starts_with("script:601: error: user `555` exists"), "{ran:?}");
    assert_eq!(stored(&test), (1..=600).collect::<Vec<_>>());
    write(&test, &format!("{}create-user --id x --name y\n{}", creates(601..=900), creates(901..=950)));
    test.run(&["-f", "script"]).fails(2).says("script:301: error: invalid value 'x'");
    assert_eq!(stored(&test), (1..=900).collect::<Vec<_>>());
}

#[test]
fn keep_going_reports_every_error_and_stores_the_others() {
    let test = Test::initialised();
    for id in [3, 500, 501] {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "before"]).success();
    }
    write(&test, &creates(1..=1_500));
    let ran = test.run(&["-f", "script", "--keep-going"]).fails(5);
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(errors.len(), 3, "{ran:?}");
    for (error, id) in errors.iter().zip([3, 500, 501]) {
        assert!(error.starts_with(&format!("script:{id}: error: user `{id}` exists")), "{error}");
    }
    assert_eq!(stored(&test), (1..=1_500).collect::<Vec<_>>());
    assert_eq!(ran.stdout, shown((1..=1_500).filter(|id| ![3, 500, 501].contains(id))));
}

#[test]
fn other_commands_see_the_creates_before_them() {
    let test = Test::initialised();
    let mut text = String::new();
    for block in 0..5 {
        text += &creates(block * 300 + 1..=block * 300 + 300);
        text += "count\n";
    }
    write(&test, &text);
    let ran = test.run(&["-f", "script"]).success();
    let counts: Vec<&str> = ran.stdout.lines().filter(|line| !line.contains('\t')).collect();
    assert_eq!(counts, ["300", "600", "900", "1200", "1500"]);
}

#[test]
fn a_line_is_answered_before_the_next_one_comes() {
    let test = Test::initialised();
    let mut child = test.command().stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    for id in 1..=40 {
        input.write_all(creates([id]).as_bytes()).unwrap();
        assert!(output.next().unwrap().unwrap().starts_with(&format!("{id}\t")));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn flags_apply_to_their_line_only() {
    let test = Test::initialised();
    let text = creates(1..=300).replace("--id 200 ", "--id 200 -o json ");
    write(&test, &text);
    let ran = test.run(&["-f", "script"]).success();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 300);
    assert!(lines[199].starts_with("{\"user_id\": 200") && lines[198].starts_with("199\t"), "{}", lines[199]);
}

#[test]
fn a_script_stores_its_users_during_a_rebalance() {
    let test = filled(2_000);
    add_shard(&test, 4).success();
    let mut mover = start_slow_rebalance(&test, 500);
    wait_for_moved_rows(&test, &[4], 1);
    write(&test, &creates(2_000..12_000));
    let ran = test.run(&["-f", "script", "-q"]).success();
    assert_eq!(ran.stdout, shown(2_000..12_000));
    let _ = mover.kill();
    mover.wait().unwrap();
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..12_000);
}
