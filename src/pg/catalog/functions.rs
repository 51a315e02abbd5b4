//! The functions that `init-shards` installs in a catalog each time: their texts, and how `doctor` finds them.

use std::sync::LazyLock;

use super::quoted;
use crate::model::ring::position::Position;

/// A function of the schema `ringshard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedFunction {
    pub(crate) name: &'static str,
    /// Its body, which `pg_proc.prosrc` keeps unchanged.
    pub(crate) source: &'static str,
    /// Whether it is SECURITY DEFINER.
    pub(crate) is_definer: bool,
}

/// The texts that `init-shards` runs, in this order.
pub(crate) static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../sql/functions/write_user.sql"),
        include_str!("../../../sql/functions/tables.sql"),
        include_str!("../../../sql/functions/one_row.sql"),
        include_str!("../../../sql/functions/route.sql"),
        include_str!("../../../sql/functions/guard.sql"),
        include_str!("../../../sql/functions/side_effects.sql"),
        include_str!("../../../sql/functions/rebalance.sql"),
        include_str!("../../../sql/functions/failover.sql"),
        include_str!("../../../sql/functions/ids.sql"),
    ];
    files.map(ToOwned::to_owned).into_iter().chain(guards(USERS_KEY)).collect()
});

/// The sharding key of `users` in the Python prototype; its guards need no other name.
pub(crate) const USERS_KEY: &str = "user_id";

/// The functions of the guard for tables with this key.
pub(crate) fn guards(key: &str) -> [String; 4] {
    let quoted = quoted(key);
    // A column may have the name of a variable of the function, so it is qualified.
    let update =
        "(SELECT own_row.KEY FROM new_rows AS own_row UNION ALL SELECT own_row.KEY FROM old_rows AS own_row)";
    let rows = include_str!("../../../sql/functions/guard_rows.sql");
    let row = include_str!("../../../sql/functions/guard_row.sql");
    let texts = [
        ("insert", rows, "new_rows"),
        ("update", rows, update),
        ("delete", rows, "old_rows"),
        ("row", row, ""),
    ];
    texts.map(|(operation, text, rows)| {
        text.replace("GUARD", &guard_name(operation, key))
            .replace("CHANGED_ROWS", rows)
            .replace("$$", &body_quote(&quoted))
            // Last, as a name may be anything.
            .replace("KEY", &quoted)
    })
}

/// What quotes the body of a function that contains this name, which may be anything.
fn body_quote(name: &str) -> String {
    let plain = std::iter::once("$$".to_owned());
    let mut quotes = plain.chain((0..).map(|number| format!("$body_{number}$")));
    quotes.find(|quote| !name.contains(quote)).expect("a name has an end")
}

/// The name of the guard of one operation for tables with this key.
pub(crate) fn guard_name(operation: &str, key: &str) -> String {
    match key {
        USERS_KEY => format!("guard_{operation}"),
        // A column's name is too long to be part of another one.
        _ => format!("guard_{operation}_{:08x}", Position::of_key(key).number() >> 96),
    }
}

/// The text before the name of each function.
const BEGIN: &str = "CREATE OR REPLACE FUNCTION ringshard.";

/// All functions, as `doctor` must find them.
pub(crate) fn expected() -> Vec<ExpectedFunction> {
    TEXTS.iter().flat_map(|text| text.split(BEGIN).skip(1)).map(parse).collect()
}

/// Parses `name(parameters) … AS $$body$$`.
fn parse(text: &'static str) -> ExpectedFunction {
    let shape = "a test checks that each embedded function is `name(…) … AS $$…$$`";
    let (head, rest) = text.split_once("AS $$").expect(shape);
    let (source, _) = rest.split_once("$$").expect(shape);
    let (name, _) = head.split_once('(').expect(shape);
    ExpectedFunction { name, source, is_definer: head.contains("SECURITY DEFINER") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_of_the_files_is_found() {
        let expected = expected();
        let names: Vec<&str> = expected.iter().map(|function| function.name).collect();
        let count: usize = TEXTS.iter().map(|text| text.matches("FUNCTION ringshard.").count()).sum();
        assert_eq!(names.len(), count);
        for name in ["write_user", "store_rows", "guard_update", "side_effects", "fence", "overwrite_state"] {
            assert!(names.contains(&name), "{name}");
        }
        let definers: Vec<&str> =
            expected.iter().filter(|function| function.is_definer).map(|function| function.name).collect();
        assert_eq!(
            definers,
            [
                "route",
                "shard_number",
                "require_owner",
                "ranges",
                "guard_truncate",
                "next_id",
                "next_own_id",
                "guard_insert",
                "guard_update",
                "guard_delete",
                "guard_row"
            ]
        );
        assert!(expected.iter().all(|function| function.source.starts_with('\n')));
    }

    #[test]
    fn guards_of_other_keys_have_other_names_and_quote_the_key() {
        let [insert, update, _, row] = guards("a \"b\"");
        assert!(insert.contains("own_row.\"a \"\"b\"\"\"::text"), "{insert}");
        assert!(update.contains("SELECT own_row.\"a \"\"b\"\"\" FROM new_rows"), "{update}");
        assert!(row.contains("coalesce(NEW.\"a \"\"b\"\"\", OLD.\"a \"\"b\"\"\")"), "{row}");
        assert_eq!(guard_name("insert", "user_id"), "guard_insert");
        assert_ne!(guard_name("insert", "id"), guard_name("insert", "bid"));
    }

    #[test]
    fn a_key_may_be_called_like_a_part_of_the_text() {
        let [_, update, ..] = guards("GUARD of CHANGED_ROWS, KEY $$; x $body_0$");
        assert_eq!(update.matches("\"GUARD of CHANGED_ROWS, KEY $$; x $body_0$\"").count(), 7, "{update}");
        assert!(update.contains("AS $body_1$\n") && update.ends_with("$body_1$;\n"), "{update}");
    }
}
