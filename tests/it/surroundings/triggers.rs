//! Triggers and rules of the user's own: what they change or leave out is never acknowledged as stored, and no move fires them.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test, admin};

/// A trigger with this body on each shard.
fn add_trigger(test: &Test, when: &str, body: &str) {
    for number in 1..=3 {
        test.execute(
            number,
            &format!(
                "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
                 CREATE TRIGGER own {when} ON users FOR EACH ROW EXECUTE FUNCTION own()"
            ),
        );
    }
}

fn stored(test: &Test) -> Vec<i64> {
    let mut ids: Vec<i64> = (1..=3).flat_map(|number| test.ids(number)).collect();
    ids.sort_unstable();
    ids
}

fn script(test: &Test, lines: &str) -> Ran {
    let mut child = test.command().arg("--keep-going").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    Ran::of(child)
}

#[test]
fn an_id_that_a_trigger_gives_is_not_acknowledged() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, "CREATE SEQUENCE own_id START 1000");
    }
    add_trigger(&test, "BEFORE INSERT", "NEW.user_id := nextval('public.own_id'); RETURN NEW;");
    test.run(&["create-user", "--id", "5", "--name", "A"]).fails(1).says("trigger");
    let lines = "create-user --id 6 --name B\ncreate-user --id 7 --name C\ncreate-user --id 8 --name D\n";
    let ran = script(&test, lines);
    assert_eq!((ran.stdout.as_str(), ran.stderr.matches("trigger or a rule").count()), ("", 3), "{ran:?}");
    std::fs::write(test.home.path().join("f.csv"), "user_id,name\n11,Ed\n12,Fy\n13,Gi\n").unwrap();
    for how in ["error", "skip", "update"] {
        test.run(&["import", "f.csv", "--on-conflict", how]).fails(65).says("trigger");
    }
    assert!(stored(&test).is_empty());
}

#[test]
fn rows_that_a_trigger_or_a_rule_leaves_out_are_not_acknowledged() {
    let body = "IF coalesce(NEW.email, '') LIKE '%@test' THEN RETURN NULL; END IF; RETURN NEW;";
    let test = with_users(10);
    add_trigger(&test, "BEFORE INSERT OR UPDATE", body);
    let create = |id: &'static str, email: &'static str| {
        test.run(&["create-user", "--id", id, "--name", "x", "--email", email])
    };
    create("100", "a@test").fails(1).says("trigger");
    create("101", "a@x").success();
    create("101", "a@test").fails(5);
    create("101", "b@x").fails(5);
    test.run(&["update-user", "1", "--email", "a@test"]).fails(1).says("trigger");
    test.run(&["update-user", "1", "--email", "a@x"]).success();
    test.run(&["update-user", "999", "--email", "a@test"]).fails(4);
    let ran = script(
        &test,
        "create-user --id 110 --name A --email a@test\ncreate-user --id 111 --name B --email b@x\n",
    );
    assert_eq!(ran.fields().iter().map(|fields| fields[0]).collect::<Vec<_>>(), ["111"]);
    let users = "user_id,name,email\n121,Ann,ann@test\n122,Bob,bob@x\n123,Cy,cy@test\n124,Di,di@x\n";
    std::fs::write(test.home.path().join("f.csv"), users).unwrap();
    for how in ["error", "skip", "update"] {
        test.run(&["import", "f.csv", "--on-conflict", how]).fails(65).says("trigger");
    }
    assert!(stored(&test).iter().all(|id| ![121, 123].contains(id)));
}

#[test]
fn a_delete_that_a_trigger_refuses_is_not_acknowledged() {
    let test = with_users(10);
    add_trigger(
        &test,
        "BEFORE DELETE",
        "UPDATE public.users SET region = 'gone' WHERE user_id = OLD.user_id; RETURN NULL;",
    );
    test.run(&["delete-user", "1"]).fails(1).says("trigger");
    test.run(&["delete-user", "999"]).fails(4);
    assert_eq!(stored(&test).len(), 10);
}

#[test]
fn values_that_a_trigger_stores_are_shown_with_a_warning() {
    let test = with_users(3);
    add_trigger(&test, "BEFORE INSERT OR UPDATE", "NEW.email := lower(NEW.email); RETURN NEW;");
    let ran = test.run(&["create-user", "--id", "10", "--name", "A", "--email", "A@X"]).success();
    assert_eq!(ran.stdout, "10\tA\t\\N\ta@x\n");
    ran.says("a trigger of `users` stored other values");
    let ran = test.run(&["update-user", "10", "--email", "B@X"]).success();
    assert_eq!(ran.stdout, "10\tA\t\\N\tb@x\n");
    ran.says("a trigger of `users` stored other values");
    let ran =
        script(&test, "create-user --id 11 --name A --email C@X\ncreate-user --id 12 --name A --email d@x\n");
    assert_eq!(ran.stdout, "11\tA\t\\N\tc@x\n12\tA\t\\N\td@x\n");
}

#[test]
fn an_import_says_that_a_trigger_stored_other_values() {
    let import = |test: &Test, lines: &str, how: &str| {
        let file = test.home.path().join("f.csv");
        std::fs::write(file, format!("user_id,name,email\n{lines}")).unwrap();
        test.run(&["import", "f.csv", "--on-conflict", how])
    };
    let said = "warning: a trigger of `users` stored other values than the file has: ";
    let test = with_users(3);
    let first = import(&test, "10,A,A@X\n", "error").success();
    assert_eq!(first.stderr, "", "without a trigger");
    add_trigger(&test, "BEFORE INSERT OR UPDATE", "NEW.email := lower(NEW.email); RETURN NEW;");
    for (lines, how, changed) in [
        ("20,A,A@X\n", "error", "1 user, such as `20`"),
        ("21,A,a@x\n22,B,\n", "error", ""),
        // Those that exist differ, but not by a trigger; and the first row of an id is stored.
        ("10,B,B@Y\n23,A,A@X\n24,A,a@x\n24,A,B@X\n", "skip", "1 user, such as `23`"),
        // The last row of an id is stored.
        ("10,B,B@Y\n25,A,A@X\n25,A,a@x\n26,A,a@x\n26,A,A@X\n", "update", "2 users, such as `"),
    ] {
        let ran = import(&test, lines, how).success();
        let expected = if changed.is_empty() { String::new() } else { format!("{said}{changed}") };
        assert!(ran.stderr.starts_with(&expected), "{how}: {ran:?}");
        assert_eq!(ran.stderr.matches("a trigger").count(), usize::from(!changed.is_empty()), "{ran:?}");
    }
    // Rows that a shard refuses are stored in parts.
    test.execute(1, "ALTER TABLE users ADD CHECK (name <> 'bad')");
    test.execute(2, "ALTER TABLE users ADD CHECK (name <> 'bad')");
    test.execute(3, "ALTER TABLE users ADD CHECK (name <> 'bad')");
    let lines: String =
        (30..60).map(|id| format!("{id},{},A@X\n", if id % 7 == 0 { "bad" } else { "good" })).collect();
    std::fs::write(test.home.path().join("g.csv"), format!("user_id,name,email\n{lines}")).unwrap();
    let ran = test.run(&["import", "g.csv", "--rejects", "bad.csv"]).success();
    assert!(ran.stderr.contains(&format!("{said}26 users, such as `")), "{ran:?}");
    // The hint works as it is printed.
    let hint = ran.stderr.split("hint: ringshard ").nth(1).unwrap().split(" shows").next().unwrap();
    assert!(test.run(&hint.split(' ').collect::<Vec<_>>()).success().stdout.contains("a@x"));
}

#[test]
fn a_move_fires_no_trigger_and_stores_the_rows_as_they_are() {
    let test = with_users(200);
    for number in 1..=3 {
        test.execute(number, "UPDATE users SET email = 'A@X'; CREATE TABLE audit (op text)");
    }
    add_trigger(
        &test,
        "BEFORE INSERT OR UPDATE OR DELETE",
        "INSERT INTO public.audit VALUES (TG_OP); IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; \
         NEW.email := lower(NEW.email); RETURN NEW;",
    );
    test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["verify", "--deep"]).success();
    for number in 1..=3 {
        assert_eq!(test.query(number, "SELECT count(*) FROM audit", &[])[0].get::<_, i64>(0), 0);
        assert_eq!(
            test.query(number, "SELECT count(*) FROM users WHERE email <> 'A@X'", &[])[0].get::<_, i64>(0),
            0
        );
    }
    assert_eq!(stored(&test).len(), 200);
    // A trigger that cannot be suppressed.
    test.execute(3, "ALTER TABLE users ENABLE ALWAYS TRIGGER own");
    test.run(&["add-shard", "shard_2", "--weight", "1"]).success();
    test.run(&["rebalance", "-y"])
        .fails(78)
        .says("nothing was moved: `side_effects` of shard `shard_3`")
        .says("`own`");
    test.execute(3, "ALTER TABLE users DISABLE TRIGGER own");
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(stored(&test).len(), 200);
}

#[test]
fn a_role_that_cannot_suppress_triggers_does_not_move_rows() {
    let test = with_users(60);
    for number in 1..=3 {
        let database = test.database(number);
        admin().batch_execute(&format!("ALTER DATABASE {database} OWNER TO plain")).unwrap();
        test.execute(
            number,
            "DO $$ DECLARE it regclass; BEGIN FOR it IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'ringshard'::regnamespace \
             LOOP EXECUTE 'ALTER TABLE ' || it || ' OWNER TO plain'; END LOOP; END $$; \
             ALTER TABLE users OWNER TO plain; GRANT ALL ON SCHEMA ringshard, public TO plain",
        );
    }
    add_trigger(&test, "AFTER DELETE", "RETURN NULL;");
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), config.replace("postgres@", "plain@")).unwrap();
    test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
    test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved: `side_effects`").says("`own`");
    for number in 1..=3 {
        test.execute(number, "DROP TRIGGER own ON users");
    }
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(stored(&test).len(), 60);
}
