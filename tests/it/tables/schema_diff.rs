//! `schema diff`: it finds each kind of difference, and nothing where there is none.

use crate::support::harness::Test;

const TABLES: &str = "\
    CREATE TABLE orders (user_id bigint NOT NULL, number integer, total numeric(12, 2) DEFAULT 0, note text, PRIMARY KEY (user_id, number)); \
    CREATE INDEX orders_total ON orders (total); \
    CREATE TABLE countries (code text PRIMARY KEY); \
    GRANT SELECT ON orders TO plain";

#[test]
fn each_kind_of_difference_is_found() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, TABLES);
    }
    test.run(&["table", "add", "orders", "--key", "user_id"]).success();
    test.run(&["table", "add", "countries", "--reference"]).success();
    assert_eq!(test.run(&["schema", "diff"]).success().stdout, "");
    let shown = test.run(&["schema", "show", "orders"]).success().stdout;
    for line in [
        "table\torders\ttable\tall\n",
        "column\tuser_id\tbigint NOT NULL\tall\ncolumn\tnumber\tinteger NOT NULL\tall\ncolumn\ttotal\tnumeric(12,2) DEFAULT 0\tall\n",
        "constraint\torders_pkey\tPRIMARY KEY (user_id, number)\tall\n",
        "index\torders_total\tCREATE INDEX orders_total ON public.orders USING btree (total)\tall\n",
        "grant\torders to plain\tSELECT\tall\n",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("order of columns") && !shown.contains("countries"), "{shown}");
    test.run(&["schema", "show", "order"]).fails(4).says("no table `order`");
    for (damage, expected) in [
        ("ALTER TABLE orders ADD COLUMN extra text", vec!["column orders.extra|text|\\N"]),
        (
            "ALTER TABLE orders DROP COLUMN extra, ALTER COLUMN note TYPE varchar(9)",
            vec!["column orders.note|character varying(9)|text"],
        ),
        (
            "ALTER TABLE orders ALTER COLUMN note TYPE text, ALTER COLUMN note SET NOT NULL",
            vec!["column orders.note|text NOT NULL|text"],
        ),
        (
            "ALTER TABLE orders ALTER COLUMN note DROP NOT NULL, ALTER COLUMN total SET DEFAULT 1",
            vec!["column orders.total|numeric(12,2) DEFAULT 1|numeric(12,2) DEFAULT 0"],
        ),
        (
            "ALTER TABLE orders ALTER COLUMN total SET DEFAULT 0, ADD CONSTRAINT c CHECK (total > 0)",
            vec!["constraint orders.c|CHECK ((total > (0)::numeric))|\\N"],
        ),
        (
            "ALTER TABLE orders DROP CONSTRAINT c; DROP INDEX orders_total",
            vec![
                "index orders.orders_total|\\N|CREATE INDEX orders_total ON public.orders USING btree (total)",
            ],
        ),
        (
            "CREATE INDEX orders_total ON orders (total); GRANT UPDATE, INSERT (note) ON orders TO plain",
            vec!["grant orders to plain|SELECT, UPDATE|SELECT", "grant orders.note to plain|INSERT|\\N"],
        ),
        (
            "REVOKE UPDATE, INSERT (note) ON orders FROM plain; ALTER TABLE orders DROP COLUMN total, DROP COLUMN note; \
             ALTER TABLE orders ADD COLUMN note text, ADD COLUMN total numeric(12, 2) DEFAULT 0; \
             CREATE INDEX orders_total ON orders (total)",
            vec!["order of columns orders|user_id, number, note, total|user_id, number, total, note"],
        ),
        (
            "CREATE TRIGGER own BEFORE UPDATE ON countries FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            vec![
                "trigger countries.own|CREATE TRIGGER own BEFORE UPDATE ON public.countries FOR EACH ROW EXECUTE FUNCTION \
                 suppress_redundant_updates_trigger()|\\N",
                "order of columns orders|user_id, number, note, total|user_id, number, total, note",
            ],
        ),
        (
            "DROP TABLE countries; ALTER TABLE orders OWNER TO plain",
            vec![
                "table countries|\\N|table",
                "order of columns orders|user_id, number, note, total|user_id, number, total, note",
                "owner orders|plain|postgres",
                // Now an owner's own.
                "grant orders to plain|\\N|SELECT",
            ],
        ),
    ] {
        test.execute(2, damage);
        let ran = test.run(&["schema", "diff"]).fails(1).says("the shards differ in");
        let found: Vec<String> = ran.fields().iter().map(|fields| fields[1..].join("|")).collect();
        assert_eq!(found, expected, "{damage}");
        assert!(ran.fields().iter().all(|fields| fields[0] == "shard_2"), "{ran:?}");
    }
    let shown = test.run(&["schema", "show", "orders"]).success().stdout;
    assert!(
        shown.contains("owner\torders\tpostgres\tshard_1,shard_3\nowner\torders\tplain\tshard_2\n"),
        "{shown}"
    );
    // An index on the position is ringshard's own.
    test.execute(3, "CREATE INDEX ringshard_position ON users ((md5(user_id::text)::uuid))");
    let columns = test.run(&["-o", "json", "schema", "diff"]).fails(1).json();
    let keys: Vec<&String> = columns[0].as_object().unwrap().keys().collect();
    assert_eq!((keys.len(), columns.as_array().unwrap().len()), (4, 4));
}
