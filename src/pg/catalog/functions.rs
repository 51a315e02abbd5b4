//! The functions that `init-shards` installs in a catalog each time: their texts, and how `doctor` finds them.

use std::sync::LazyLock;

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
pub(crate) static TEXTS: LazyLock<[String; 8]> = LazyLock::new(|| {
    [
        include_str!("../../../sql/functions/write_user.sql").to_owned(),
        include_str!("../../../sql/functions/guard.sql").to_owned(),
        guard("insert", "new_rows"),
        guard(
            "update",
            "(SELECT user_id FROM new_rows UNION ALL SELECT user_id FROM old_rows) AS changed_rows",
        ),
        guard("delete", "old_rows"),
        include_str!("../../../sql/functions/side_effects.sql").to_owned(),
        include_str!("../../../sql/functions/rebalance.sql").to_owned(),
        include_str!("../../../sql/functions/failover.sql").to_owned(),
    ]
});

/// The guard of one operation; `rows` are its transition tables.
fn guard(operation: &str, rows: &str) -> String {
    include_str!("../../../sql/functions/guard_rows.sql")
        .replace("OPERATION", operation)
        .replace("CHANGED_ROWS", rows)
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
        let names: Vec<&str> = expected().iter().map(|function| function.name).collect();
        let guard = [
            "raise_other_row",
            "has_user_triggers",
            "write_user",
            "owner_of",
            "raise_wrong_shard",
            "guard_truncate",
        ];
        let guard_rows = ["guard_insert", "guard_update", "guard_delete"];
        let effects = ["side_effects", "forbid_side_effects"];
        let moves = [
            "require_durable_commit",
            "require_confirmed",
            "announce",
            "fence",
            "receive_chunk",
            "purge",
            "release",
            "finish",
        ];
        let failover = [
            "current_timeline",
            "system_identifier",
            "is_confirmed",
            "begin_to_confirm",
            "confirm_primary",
            "record_incarnation",
            "replace_primary",
            "overwrite_state",
            "fence_stale_primary",
        ];
        assert_eq!(names, [&guard[..], &guard_rows[..], &effects[..], &moves[..], &failover[..]].concat());
        let count: usize = TEXTS.iter().map(|text| text.matches("FUNCTION ringshard.").count()).sum();
        assert_eq!(names.len(), count);
        let definers: Vec<&str> =
            expected().iter().filter(|function| function.is_definer).map(|function| function.name).collect();
        assert_eq!(definers, ["guard_truncate", "guard_insert", "guard_update", "guard_delete"]);
        assert!(expected().iter().all(|function| function.source.starts_with('\n')));
    }
}
