//! The functions that this program installs in a catalog, parsed from the embedded files.

/// A function of the schema `ringshard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedFunction {
    pub(crate) name: &'static str,
    /// Its body, which `pg_proc.prosrc` keeps unchanged.
    pub(crate) source: &'static str,
    /// Whether it is SECURITY DEFINER.
    pub(crate) is_definer: bool,
}

/// The files that `init-shards` runs each time.
const FILES: [&str; 4] = [
    include_str!("../../../sql/functions/write_user.sql"),
    include_str!("../../../sql/functions/guard.sql"),
    include_str!("../../../sql/functions/rebalance.sql"),
    include_str!("../../../sql/functions/failover.sql"),
];
/// The text before the name of each function.
const BEGIN: &str = "CREATE OR REPLACE FUNCTION ringshard.";

/// All functions.
pub(crate) fn functions() -> Vec<ExpectedFunction> {
    FILES.iter().flat_map(|file| file.split(BEGIN).skip(1)).map(parse).collect()
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
        let names: Vec<&str> = functions().iter().map(|function| function.name).collect();
        let guard = ["write_user", "owner_of", "raise_wrong_shard", "guard", "guard_truncate"];
        let moves =
            ["require_durable_commit", "announce", "fence", "receive_chunk", "purge", "release", "finish"];
        let failover = ["replace_primary", "overwrite_state", "fence_stale_primary"];
        assert_eq!(names, [&guard[..], &moves[..], &failover[..]].concat());
        let count: usize = FILES.iter().map(|file| file.matches("FUNCTION ringshard.").count()).sum();
        assert_eq!(names.len(), count);
        let definers: Vec<&str> =
            functions().iter().filter(|function| function.is_definer).map(|function| function.name).collect();
        assert_eq!(definers, ["guard", "guard_truncate"]);
        assert!(functions().iter().all(|function| function.source.starts_with('\n')));
    }
}
