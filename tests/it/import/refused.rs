//! Rows that a shard refuses, and transactions that another program's locks end.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use ringshard::bulk::FileFormat;

use crate::support::blocking::wait_until_blocked;
use crate::support::harness::{Ran, Test};
use crate::support::random::Random;
use crate::support::rings::{ids_of, owner};
use crate::support::user_files::{counts, empty, file_of, stored, unfinished, users, write};

/// A trigger that raises this for users with a name.
fn raising(name: &str, raise: &str) -> String {
    format!(
        "CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           IF NEW.name = '{name}' THEN {raise}; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION judge()"
    )
}

fn on_all_shards(test: &Test, sql: &str) {
    for number in 1..=3 {
        test.execute(number, sql);
    }
}

#[test]
fn a_row_that_a_shard_refuses_is_named_and_can_be_corrected() {
    let unique = "ALTER TABLE users ADD UNIQUE (name)";
    let deferred = "ALTER TABLE users ADD UNIQUE (name) DEFERRABLE INITIALLY DEFERRED";
    for (number, (constraint, code, words)) in [
        ("ALTER TABLE users ADD CHECK (name <> 'bad')".to_owned(), 65, "(SQLSTATE 23514)"),
        (unique.to_owned(), 5, "Key (name)=(bad) already exists. (SQLSTATE 23505)"),
        (deferred.to_owned(), 5, "Key (name)=(bad) already exists. (SQLSTATE 23505)"),
        (raising("bad", "RAISE 'no % here', NEW.name"), 65, "ERROR: no bad here (SQLSTATE P0001)"),
        (raising("bad", "RAISE 'my own' USING ERRCODE = 'ME001'"), 65, "ERROR: my own (SQLSTATE ME001)"),
        (raising("bad", "NEW.region := repeat('x', 51)"), 65, "(SQLSTATE 22001)"),
        (raising("bad", "NEW.name := 1 / 0"), 65, "(SQLSTATE 22012)"),
    ]
    .into_iter()
    .enumerate()
    {
        let test = Test::initialised();
        on_all_shards(&test, &constraint);
        let all = users(1..=600);
        // In the way of those with the same name.
        let unique = words.contains("already exists");
        let first = ids_of(owner(100), 1, 1)[0];
        let bad: Vec<i64> = if unique { vec![100] } else { vec![100, 400, 599] };
        let mut given = all.clone();
        for id in bad.iter().chain(unique.then_some(&first)) {
            given.get_mut(id).unwrap().0 = Some("bad".into());
        }
        let format = if number % 2 == 0 { FileFormat::Csv } else { FileFormat::JsonLines };
        write(&test, "f", file_of(&given, format));
        let line = |id: i64| if format == FileFormat::Csv { id + 1 } else { id };
        // Nothing is stored on that shard, and the first such record is named.
        let words_of =
            |id: i64| format!("f:{}: shard `shard_{}` refuses user `{id}`: ERROR: ", line(id), owner(id));
        let ran = test.run(&["import", "f"]).fails(code).says(words).says("--rejects rejected collects");
        assert!(bad.iter().any(|id| ran.stderr.contains(&words_of(*id))), "{ran:?}");
        assert_eq!(test.ids(owner(100)), Vec::<i64>::new());

        // The same file continues, and what was refused is collected as it was written.
        let ran = test.run(&["import", "f", "--rejects", "bad"]).success().says(words).says(&words_of(100));
        assert_eq!(counts(&ran)[0], 600, "{constraint}");
        assert_eq!(counts(&ran)[4], bad.len() as u64, "{constraint}");
        assert_eq!(unfinished(&test), 0);
        let rejected: BTreeMap<_, _> = bad.iter().map(|id| (*id, given[id].clone())).collect();
        let rejects = String::from_utf8(fs::read(test.home.path().join("bad")).unwrap()).unwrap();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&rejects), sorted(&String::from_utf8(file_of(&rejected, format)).unwrap()));
        let corrected: BTreeMap<_, _> = bad.iter().map(|id| (*id, all[id].clone())).collect();
        write(&test, "bad", file_of(&corrected, format));
        test.run(&["import", "bad"]).success();
        given.extend(corrected);
        assert_eq!(stored(&test), given, "{constraint}");
    }
}

#[test]
fn refused_rows_follow_on_conflict_and_the_layout_of_the_file() {
    let test = Test::initialised();
    on_all_shards(&test, "ALTER TABLE users ADD CHECK (name <> 'bad')");
    test.run(&["create-user", "--id", "1", "--name", "old"]).success();
    write(
        &test,
        "f.csv",
        "\u{feff}sep=;\r\nEMail;User_ID;Name;;\r\n;1;bad;;\r\n\"a;b\";2;bad\r\n;;;;\r\n;3;\"\";;\r\n;3;last;;\r\n",
    );
    // A user that exists and is left as it is meets no constraint, but Postgres checks the new row first.
    let ran = test.run(&["import", "f.csv", "--on-conflict", "skip", "--rejects", "bad"]).success();
    assert_eq!(counts(&ran), [4, 1, 0, 1, 2, 0]);
    assert_eq!(stored(&test)[&3].0.as_deref(), Some(""));
    let ran = test.run(&["import", "f.csv", "--on-conflict", "update", "--rejects", "bad"]).success();
    assert_eq!((counts(&ran)[0], counts(&ran)[4]), (4, 2));
    assert_eq!(stored(&test)[&3].0.as_deref(), Some("last"));
    assert_eq!(stored(&test)[&1].0.as_deref(), Some("old"));
    let rejects = fs::read_to_string(test.home.path().join("bad")).unwrap();
    let mut lines: Vec<&str> = rejects.lines().collect();
    lines[2..].sort_unstable();
    assert_eq!(lines, ["\u{feff}sep=;", "EMail;User_ID;Name;;", "\"a;b\";2;bad", ";1;bad"]);
    write(&test, "bad", rejects.replace("bad", "good"));
    test.run(&["import", "bad", "--on-conflict", "update"]).success();
    assert_eq!(stored(&test)[&1].0.as_deref(), Some("good"));
    assert_eq!(stored(&test)[&2], (Some("good".into()), None, Some("a;b".into())));
    // A user that exists is a conflict, also beside refused rows.
    write(&test, "g.csv", "user_id,name\n1,x\n2,bad\n");
    test.run(&["import", "g.csv", "--rejects", "bad"]).fails(5).says("g.csv:2: user `1` exists already");
}

#[test]
fn an_interrupted_import_collects_refused_rows_again() {
    let test = Test::initialised();
    on_all_shards(&test, "ALTER TABLE users ADD CHECK (name <> 'bad')");
    let all = users(1..20_000);
    let mut given = all.clone();
    let bad: Vec<i64> = (1..20).map(|n| n * 1_000 + n).collect();
    for id in &bad {
        given.get_mut(id).unwrap().0 = Some("bad".into());
    }
    write(&test, "f.csv", file_of(&given, FileFormat::Csv));
    let (mut kills, mut resumed, mut random) = (0, 0, Random(0x2545_F491_4F6C_DD1D));
    loop {
        let words = ["import", "f.csv", "--batch-kib", "16", "--rejects", "bad"];
        let mut child = test.command().args(words).spawn().unwrap();
        if kills < 10 {
            std::thread::sleep(Duration::from_millis(30 + random.below(200)));
            child.kill().unwrap();
        }
        let ran = Ran::of(child);
        kills += 1;
        if ran.code == -1 {
            continue;
        }
        let counts = counts(&ran.success());
        assert_eq!((counts[0], counts[4]), (19_999, bad.len() as u64));
        resumed += counts[5];
        let rejects = fs::read_to_string(test.home.path().join("bad")).unwrap();
        assert_eq!(rejects.lines().count(), bad.len() + 1, "{rejects}");
        let good: BTreeMap<_, _> =
            all.iter().filter(|(id, _)| !bad.contains(id)).map(|(id, user)| (*id, user.clone())).collect();
        assert_eq!(stored(&test), good);
        assert_eq!(unfinished(&test), 0);
        if kills > 10 {
            break;
        }
        empty(&test);
    }
    assert!(resumed > 0, "no run resumed another one");
}

#[test]
fn a_transaction_that_may_succeed_later_is_repeated() {
    for code in ["40P01", "40001", "55P03"] {
        let test = Test::initialised();
        // A sequence counts on when a transaction is rolled back.
        let number = owner(100);
        test.execute(number, "CREATE SEQUENCE tries");
        let raise =
            format!("IF nextval('tries') < 4 THEN RAISE 'try later' USING ERRCODE = '{code}'; END IF");
        test.execute(number, &raising("Name 100", &raise));
        let all = users(1..300);
        write(&test, "f.csv", file_of(&all, FileFormat::Csv));
        let ran = test.run(&["import", "f.csv", "-v"]).success();
        assert_eq!(ran.stderr.matches("Repeats a batch on").count(), 3, "{ran:?}");
        assert_eq!(counts(&ran), [299, 299, 0, 0, 0, 0]);
        assert_eq!(stored(&test), all);
    }
}

#[test]
fn a_deadlock_with_another_program_is_survived() {
    let test = Test::initialised();
    let number = owner(1);
    let mine = ids_of(number, 1, 200);
    let (first, last) = (mine[0], mine[199]);
    let all = users(mine);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    // Only the import looks for deadlocks soon, so it is the victim.
    let mut other = test.client(number);
    other.batch_execute("SET deadlock_timeout = '1h'; SET statement_timeout = '1min'; BEGIN").unwrap();
    let update = "UPDATE users SET region = 'X' WHERE user_id = $1";
    other.execute(update, &[&last]).unwrap();
    let words = ["import", "f.csv", "--restart", "--on-conflict", "update", "-v"];
    let import = test.command().args(words).spawn().unwrap();
    wait_until_blocked(&test, number);
    other.execute(update, &[&first]).unwrap();
    other.batch_execute("COMMIT").unwrap();
    let ran = Ran::of(import).success().says("Repeats a batch on").says("deadlock detected");
    assert_eq!(counts(&ran)[2], all.len() as u64);
    assert_eq!(stored(&test), all);
}

#[test]
fn a_lock_that_is_not_released_ends_the_import_and_the_next_run_continues() {
    let test = Test::initialised();
    let number = owner(1);
    let all = users(1..300);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    test.execute(number, &format!("ALTER DATABASE {} SET lock_timeout = '10ms'", test.database(number)));
    let mut other = test.client(number);
    other.batch_execute("BEGIN; UPDATE users SET region = 'X' WHERE user_id = 1").unwrap();
    let words = ["import", "f.csv", "--on-conflict", "update"];
    let ran = test.run(&words).fails(75).says("(SQLSTATE 55P03)");
    ran.says("run this again with the same file to continue");
    other.batch_execute("ROLLBACK").unwrap();
    test.run(&words).success();
    assert_eq!(stored(&test), all);
}
