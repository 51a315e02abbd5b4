//! The keys of the advisory locks. Who holds which, and where: docs/internals/catalog.md.
//!
//! SQL files that name a key say which constant it is; a test compares them.

use postgres::types::Type;

use super::session::Session;

/// The writers' barrier.
pub(crate) const BARRIER: i64 = 7_283_001;
/// `init-shards`.
pub(crate) const INIT_SHARDS: i64 = 7_283_002;
/// An import, with a part of the file's key.
pub(crate) const IMPORT: i32 = 7_283_003;
/// A change of the ring, or a repair.
pub(crate) const RUN_LOCK: i64 = 7_283_004;
/// A closed database, with the hash of its name.
pub(crate) const DRILL: i32 = 7_283_005;
/// A block of reserved ids, with its number.
pub(crate) const RESERVED_IDS: i32 = 7_283_006;

/// Takes a lock of the session, unless another session holds it.
pub(crate) fn try_lock(session: &mut Session, key: i64) -> Result<bool, postgres::Error> {
    let rows = session.query("SELECT pg_catalog.pg_try_advisory_lock($1)", &[(&key, Type::INT8)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The same for a lock with two keys.
pub(crate) fn try_lock_part(session: &mut Session, key: i32, part: i32) -> Result<bool, postgres::Error> {
    let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, $2)";
    let rows = session.query(sql, &[(&key, Type::INT4), (&part, Type::INT4)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Releases a lock of the session. If that fails, the connection is gone, and the lock with it.
pub(crate) fn unlock(session: &mut Session, key: i64) {
    let _ = session.query("SELECT pg_catalog.pg_advisory_unlock($1)", &[(&key, Type::INT8)]);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sql_files(folder: &Path) -> Vec<(String, String)> {
        let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths
            .flat_map(|path| match fs::read_to_string(&path) {
                Ok(text) => vec![(path.display().to_string(), text)],
                Err(_) => sql_files(&path),
            })
            .collect()
    }

    #[test]
    fn sql_files_name_the_constants_of_their_keys() {
        let names = [
            (BARRIER, "BARRIER"),
            (INIT_SHARDS, "INIT_SHARDS"),
            (IMPORT.into(), "IMPORT"),
            (RUN_LOCK, "RUN_LOCK"),
            (DRILL.into(), "DRILL"),
            (RESERVED_IDS.into(), "RESERVED_IDS"),
        ];
        let mut found = 0;
        for (file, text) in sql_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")) {
            for (at, _) in text.match_indices("72830") {
                let key: i64 = text[at..at + 7].parse().unwrap();
                let name = names.iter().find(|(known, _)| *known == key).map(|(_, name)| *name);
                let name = name.unwrap_or_else(|| panic!("{file}: {key} is the key of no lock"));
                assert!(text.contains(&format!("{key} is {name} ")), "{file} does not say what {key} is");
                found += 1;
            }
        }
        assert!(found > 10, "only {found} keys were found in sql/");
    }
}
