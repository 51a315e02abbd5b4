//! Row-level security: rows that a policy hides are never taken for rows that are not there.

use crate::support::clusters::with_users;
use crate::support::harness::{Test, admin, socket_dir};
use crate::support::pooler::Pooler;

/// Makes the role `plain` the owner of everything, and hides all users but those of EU from it.
fn hide(test: &Test, is_forced: bool) {
    for number in 1..=3 {
        let database = test.database(number);
        admin().batch_execute(&format!("ALTER DATABASE {database} OWNER TO plain")).unwrap();
        let sql = if is_forced {
            "ALTER TABLE users OWNER TO plain; ALTER TABLE users FORCE ROW LEVEL SECURITY;"
        } else {
            "GRANT ALL ON users TO plain;"
        };
        test.execute(
            number,
            &format!(
                "{sql} ALTER TABLE users ENABLE ROW LEVEL SECURITY; \
                 CREATE POLICY eu ON users USING (region = 'EU') WITH CHECK (true); \
                 GRANT USAGE, CREATE ON SCHEMA ringshard, public TO plain; \
                 GRANT ALL ON ALL TABLES IN SCHEMA ringshard TO plain"
            ),
        );
    }
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), config.replace("postgres@", "plain@")).unwrap();
}

/// Every command that reads or writes users is refused, and says why.
fn assert_refused(test: &Test) {
    std::fs::write(test.home.path().join("f.csv"), "user_id,name\n1,x\n").unwrap();
    // User 2 is hidden, and lies on a shard.
    for words in [
        &["get-user", "2"][..],
        // On the fast path, in a session that may be that of a pooler.
        &["-c", "ring show", "-c", "get-user 2"],
        &["update-user", "2", "--name", "x"],
        &["delete-user", "2"],
        &["create-user", "--id", "2", "--name", "x"],
        &["count"],
        &["list-users"],
        &["export"],
        &["verify"],
        &["ring", "locate", "2"],
        &["sql", "SELECT count(*) FROM users"],
        &["import", "f.csv", "--on-conflict", "update"],
        &["import", "f.csv", "--on-conflict", "skip"],
    ] {
        let ran = test.run(words);
        assert_eq!(ran.code, if words[0] == "ring" { 6 } else { 77 }, "{words:?}: {ran:?}");
        assert!(ran.stderr.contains("hint: row-level security"), "{words:?}: {ran:?}");
    }
}

#[test]
fn commands_of_a_role_that_does_not_see_all_rows_are_refused() {
    for is_forced in [true, false] {
        let test = with_users(30);
        hide(&test, is_forced);
        assert_refused(&test);
        let crosses = test.run(&["doctor"]).fails(1);
        assert!(crosses.stdout.contains("policies hide rows of `users` from \"plain\""), "{crosses:?}");
        let all: usize = (1..=3).map(|number| test.ids(number).len()).sum();
        assert_eq!(all, 30);
    }
}

#[test]
fn nothing_moves_and_no_shard_is_called_empty_while_rows_are_hidden() {
    let test = with_users(30);
    hide(&test, true);
    let before: Vec<_> = (1..=3).map(|number| test.ids(number)).collect();
    test.run(&["remove-shard", "shard_3"]).success();
    test.run(&["rebalance", "-y"]).fails(77).says("row");
    assert_eq!(before, (1..=3).map(|number| test.ids(number)).collect::<Vec<_>>());
    for number in 1..=3 {
        test.execute(number, "ALTER TABLE users NO FORCE ROW LEVEL SECURITY");
    }
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "30\n");
    assert!(test.ids(3).is_empty());
}

#[test]
fn a_pooler_that_drops_settings_hides_nothing() {
    for ignored in ["", "options"] {
        let pooler = Pooler::ignoring("transaction", 4, ignored);
        let test = with_users(30);
        hide(&test, true);
        let config = std::fs::read_to_string(test.config()).unwrap();
        let direct = format!("host={}", socket_dir().display());
        let through = pooler.url("x").split_once('?').unwrap().1.to_owned();
        std::fs::write(test.config(), config.replace(&direct, &through)).unwrap();
        // The pooler connects as a superuser, from whom nothing is hidden.
        assert_eq!(test.run(&["count"]).success().stdout, "30\n");
        let plain = Pooler::as_role("transaction", 4, ignored, "plain");
        let through_plain = plain.url("x").split_once('?').unwrap().1.to_owned();
        std::fs::write(test.config(), config.replace(&direct, &through_plain)).unwrap();
        assert_refused(&test);
    }
}
