//! What a `load run` does to the users of a cluster: it reads those of others, and removes its own.

use std::thread;
use std::time::Duration;

use super::load::{number, started};
use crate::support::harness::{Ran, Test};
use crate::support::prompts::repl_at_prompt;

fn wait_for_more_than(test: &Test, users: usize) {
    while (1..=3).map(|number| test.ids(number).len()).sum::<usize>() <= users {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_removes_the_users_that_it_created() {
    let test = Test::initialised();
    test.run(&["load", "fill", "300"]).success();
    let words = ["--duration", "500ms", "--mix", "get=50,create=40,update=10"];
    let ran = Ran::of(started(&test, &words)).success();
    let whole = ran.json();
    assert!(number(&whole, "created") > 0, "{ran:?}");
    assert_eq!(number(&whole, "removed"), number(&whole, "created"), "{ran:?}");
    assert_eq!(test.run(&["count"]).success().stdout, "300\n");
    // Those that a run keeps, and those of a killed run.
    let whole = Ran::of(started(&test, &[&words[..], &["--keep"]].concat())).success().json();
    assert!(whole["removed"].is_null(), "{whole}");
    let kept = 300 + number(&whole, "created");
    assert_eq!(test.run(&["count"]).success().stdout, format!("{kept}\n"));
    // Somebody works with one of them: it is not the run's any more.
    let adopted = (1..=3).flat_map(|shard| test.ids(shard)).max().unwrap().to_string();
    test.run(&["update-user", &adopted, "--email", "somebody@example.org"]).success();
    let mut child = started(&test, &["--duration", "60s", "--mix", "create=1"]);
    wait_for_more_than(&test, usize::try_from(kept).unwrap());
    test.run(&["load", "clean"]).fails(75).says("a load run is at work");
    child.kill().unwrap();
    child.wait().unwrap();
    // Its session ends a little later.
    while test.run(&["load", "clean"]).code == 75 {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(test.run(&["count"]).success().stdout, "301\n");
    test.run(&["get-user", &adopted]).success();
    assert_eq!(test.run(&["load", "clean"]).success().stdout, "0\n");
}

#[test]
fn users_of_others_are_read_and_compared_one_by_one() {
    let test = Test::initialised();
    test.run(&["load", "fill", "100"]).success();
    for id in 1_001..1_021 {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "Stranger"]).success();
    }
    // Those that load made are still changed, and those of others checked.
    let words = ["--duration", "500ms", "--mix", "get=50,update=40,delete=10"];
    let whole = Ran::of(started(&test, &words)).success().json();
    assert_eq!((number(&whole, "wrong"), number(&whole, "changed_by_others")), (0, 0));
    assert_eq!(number(&whole, "answers_checked"), number(&whole, "operations"));
    let export = test.run(&["export"]).success().stdout;
    assert_eq!(export.matches(",Stranger,,\n").count(), 20, "{export}");
    // Another program changes one, and deletes one: that is no wrong answer.
    let child = started(&test, &["--duration", "2s", "--mix", "get=1", "--users", "1001..1020"]);
    thread::sleep(Duration::from_millis(500));
    test.run(&["update-user", "1001", "--name", "Changed"]).success();
    test.run(&["delete-user", "1002"]).success();
    let whole = Ran::of(child).success().json();
    assert_eq!((number(&whole, "wrong"), number(&whole, "changed_by_others")), (0, 2), "{whole}");
    // On a terminal it asks.
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("load run --duration 300ms\r");
    terminal.wait_for_text("Continue? [y/N]");
    terminal.send_keys("n\r");
    terminal.wait_for_text("error: not confirmed");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn a_run_begins_with_a_shard_down() {
    let test = Test::initialised();
    test.run(&["load", "fill", "300"]).success();
    test.allow(2, false);
    let ran = Ran::of(started(&test, &["--duration", "700ms", "--mix", "get=80,create=20"])).fails(6);
    let whole = ran.json();
    test.allow(2, true);
    assert!(number(&whole, "operations") > 0 && number(&whole, "answers_checked") > 0, "{ran:?}");
    assert_eq!(number(&whole, "wrong"), 0, "{ran:?}");
    test.run(&["load", "clean"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "300\n");
}
