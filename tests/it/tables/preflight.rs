//! What a table may get after it was added: before rows move it is looked at again.

use super::sharded::{adopted, rows};
use crate::support::harness::{Test, admin, url};

/// The tables of an application, with a second shard that is to get its part.
fn about_to_grow() -> Test {
    let test = adopted();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test
}

#[test]
fn what_cannot_move_is_refused_with_its_name_and_moves_when_it_is_gone() {
    let test = about_to_grow();
    let everything = rows(&test, "orders", &[1]);
    // On the first shard, on both, or on the second: what it gets, what is said, and how it is removed.
    for (on, statement, says, undo) in [
        (
            &[1, 2][..],
            "CREATE TABLE notes (order_user bigint, number integer, FOREIGN KEY (order_user, number) REFERENCES orders ON DELETE CASCADE)",
            "foreign key `notes_order_user_number_fkey` of table notes",
            "DROP TABLE notes",
        ),
        (
            &[1, 2],
            "CREATE TABLE kinds (kind integer PRIMARY KEY); ALTER TABLE orders ADD kind integer REFERENCES kinds",
            "foreign key `orders_kind_fkey` to table kinds",
            "ALTER TABLE orders DROP kind; DROP TABLE kinds",
        ),
        (
            &[1, 2],
            "ALTER TABLE users ADD friend bigint REFERENCES users ON DELETE SET NULL",
            "foreign key `users_friend_fkey`",
            "ALTER TABLE users DROP friend",
        ),
        (
            &[1, 2],
            "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
             CREATE TRIGGER own BEFORE DELETE ON payments FOR EACH ROW EXECUTE FUNCTION own(); \
             ALTER TABLE payments ENABLE ALWAYS TRIGGER own",
            "trigger `own` of table payments",
            "DROP FUNCTION own CASCADE",
        ),
        (
            &[1, 2],
            "CREATE RULE own AS ON INSERT TO orders DO INSTEAD NOTHING",
            "has a rule: own",
            "DROP RULE own ON orders",
        ),
        (&[1, 2], "ALTER TABLE payments SET UNLOGGED", "unlogged", "ALTER TABLE payments SET LOGGED"),
        (&[1, 2], "CREATE TABLE late () INHERITS (orders)", "parent or child", "DROP TABLE late"),
        (&[1, 2], "CREATE UNIQUE INDEX own ON orders (total)", "own", "DROP INDEX own"),
        (&[2], "ALTER TABLE orders ADD more text", "orders", "ALTER TABLE orders DROP more"),
        (
            &[2],
            "ALTER TABLE orders ALTER total TYPE numeric",
            "orders",
            "ALTER TABLE orders ALTER total TYPE numeric(12, 2)",
        ),
        (
            &[2],
            "ALTER TABLE orders ADD CONSTRAINT own CHECK (total > 5)",
            "orders",
            "ALTER TABLE orders DROP CONSTRAINT own",
        ),
    ] {
        for number in on {
            test.execute(*number, statement);
        }
        let ran = test.run(&["rebalance", "-y"]);
        assert!([78, 1].contains(&ran.code), "{statement}: {ran:?}");
        assert!(
            ran.stderr.contains("error: nothing was moved") && ran.stderr.contains(says),
            "{statement}: {ran:?}"
        );
        test.run(&["doctor"]).fails(1);
        assert_eq!(rows(&test, "orders", &[2]), [""; 0], "{statement}");
        for number in on {
            test.execute(*number, undo);
        }
    }
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(rows(&test, "orders", &[1, 2]), everything);
    assert!(!rows(&test, "orders", &[2]).is_empty());
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn triggers_that_a_move_can_suppress_do_not_fire() {
    let test = about_to_grow();
    let own = "CREATE TABLE fired (what text); \
               CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (TG_OP); RETURN NULL; END $$; \
               CREATE TRIGGER own AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION own()";
    (1..=2).for_each(|number| test.execute(number, own));
    let everything = rows(&test, "orders", &[1]);
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(rows(&test, "orders", &[1, 2]), everything);
    assert_eq!(rows(&test, "fired", &[1, 2]), [""; 0]);
}

#[test]
fn policies_that_hide_rows_are_refused() {
    let test = Test::new();
    for number in 1..=2 {
        admin().batch_execute(&format!("ALTER DATABASE {} OWNER TO plain", test.database(number))).unwrap();
    }
    let mut client = test.other_program("plain", 1);
    client
        .batch_execute("CREATE TABLE notes (k bigint PRIMARY KEY, t text); INSERT INTO notes SELECT i FROM generate_series(1, 50) AS i")
        .unwrap();
    test.run(&["init-shards", "--shard", &format!("main={}", url("plain", &test.database(1)))]).success();
    test.run(&["table", "add", "notes", "--key", "k"]).success();
    test.run(&["add-shard", "s2", &url("plain", &test.database(2))]).success();
    let policy = "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
                  CREATE POLICY few ON notes USING (k < 10)";
    client.batch_execute(policy).unwrap();
    test.run(&["rebalance", "-y"]).fails(77).says("row-level security hides rows");
    test.run(&["count", "--table", "notes"]).fails(77);
    test.run(&["export", "--table", "notes"]).fails(77);
    client.batch_execute("ALTER TABLE notes DISABLE ROW LEVEL SECURITY").unwrap();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.run(&["count", "--table", "notes"]).success().stdout, "50\n");
}

#[test]
fn publications_are_told() {
    let test = about_to_grow();
    test.execute(1, "CREATE PUBLICATION changes FOR TABLE users, orders");
    let ran = test.run(&["rebalance", "-y"]).success();
    let told =
        "the publication `changes` of shard `main` has public.orders, public.users: its subscribers see rows";
    assert!(ran.stderr.contains(told) && !ran.stderr.contains("of shard `s2`"), "{ran:?}");
}
