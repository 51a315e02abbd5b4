//! Makes the cluster's tables on a new shard as they are on another one, with `pg_dump`: their types, functions, indexes,
//! constraints, owners and grants come along. It copies no rows.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

use postgres::error::SqlState;
use postgres::types::{Json, Type};
use postgres::{IsolationLevel, Row, Transaction};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::table::{TableName, Tables};
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::requests::connection::ROW_TEXT;

/// Makes the tables of the cluster that the shard `to` lacks, in one transaction. `session` is one of `to`, which has the functions
/// of the catalog: the guard's triggers are part of the tables. Fails with `Configuration` if there is no `pg_dump` that is new
/// enough.
pub(crate) fn copy_tables(
    cluster: &Cluster,
    tables: &Tables,
    from: &ShardName,
    (to, session): (&ShardName, &mut PooledSession),
) -> Result<()> {
    let changes = schema_changes(cluster, from)?;
    let sql = dump(cluster, tables, from)?;
    if schema_changes(cluster, from)? != changes {
        let message = format!("the schema of shard `{from}` changed while it was read");
        return Err(Error::new(Kind::Locked, message).hint("run this again").on_shard(from));
    }
    let fail = |cause: postgres::Error| {
        let why = sqlstate::message_of(&cause);
        let message = format!("cannot make the tables of shard `{from}` on shard `{to}`: {why}");
        let is_missing = cause.code() == Some(&SqlState::UNDEFINED_TABLE);
        let kind = if is_missing { Kind::Configuration } else { Kind::Failed };
        Error::new(kind, message).on_shard(to).hint(if is_missing {
            "ringshard table add (with --reference, if it is small and the same for all) adds the table that they refer to"
        } else {
            "the server of the new shard needs the roles and extensions of the others; then run this again"
        })
    };
    let mut transaction = session.client().transaction().map_err(fail)?;
    if tables.has_prototype() {
        // The catalog came with a plain one.
        transaction.batch_execute("DROP TABLE IF EXISTS public.users").map_err(fail)?;
    }
    transaction.batch_execute(&sql).map_err(fail)?;
    // Those of the dump are for the session.
    transaction.batch_execute("RESET ALL").map_err(fail)?;
    let references = tables.all().iter().filter(|table| table.key.is_none()).map(|table| &table.name);
    copy_rows(cluster, from, to, &references.collect::<Vec<_>>(), &mut transaction)?;
    // The new tables have the changes that the old ones have.
    let record = "INSERT INTO ringshard.schema_change \
                  SELECT * FROM pg_catalog.json_populate_recordset(NULL::ringshard.schema_change, $1) ON CONFLICT DO NOTHING";
    transaction.execute_typed(record, &[(&changes, Type::JSON)]).map_err(fail)?;
    transaction.commit().map_err(fail)
}

/// The changes of the schema that a shard has recorded, as JSON.
pub(super) fn schema_changes(cluster: &Cluster, shard: &ShardName) -> Result<Json<Vec<Value>>> {
    let sql = "SELECT coalesce(pg_catalog.json_agg(change ORDER BY changed_at, id), '[]') FROM ringshard.schema_change AS change";
    let what = "read the changes of the schema";
    let rows = cluster.shards().checkout(shard)?.query(sql, &[]);
    Ok(only(rows.map_err(|cause| sqlstate::doing(what, shard, &cause))?, what, shard)?.get(0))
}

/// Copies the rows of reference tables, in one snapshot of `from`.
fn copy_rows(
    cluster: &Cluster,
    from: &ShardName,
    to: &ShardName,
    references: &[&TableName],
    receiving: &mut Transaction<'_>,
) -> Result<()> {
    if references.is_empty() {
        return Ok(());
    }
    let at_source = |cause: postgres::Error| sqlstate::doing("read a reference table", from, &cause);
    let at_target = |cause: postgres::Error| sqlstate::doing("fill a reference table", to, &cause);
    let mut session = cluster.shards().checkout(from)?;
    let begin = session.client().build_transaction();
    let mut snapshot =
        begin.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().map_err(at_source)?;
    snapshot.batch_execute(ROW_TEXT).map_err(at_source)?;
    receiving.batch_execute(ROW_TEXT).map_err(at_target)?;
    // They may refer to each other; where the role may not do this, they must be filled parents first.
    let suppress = "SELECT pg_catalog.set_config('session_replication_role', 'replica', true) \
                    FROM pg_catalog.pg_roles WHERE rolsuper AND rolname = current_user";
    receiving.batch_execute(suppress).map_err(at_target)?;
    for table in references {
        let columns = "SELECT (ringshard.columns_of(pg_catalog.to_regclass($1))).stored";
        let row = snapshot.query_typed_one(columns, &[(&table.as_sql(), Type::TEXT)]).map_err(at_source)?;
        let (name, columns) = (table.as_sql(), row.get::<_, &str>(0));
        // COPY of a partitioned table itself is refused.
        let copy = format!("COPY (SELECT {columns} FROM {name}) TO STDOUT");
        let mut rows = snapshot.copy_out(&copy).map_err(at_source)?;
        let mut writer =
            receiving.copy_in(&format!("COPY {name} ({columns}) FROM STDIN")).map_err(at_target)?;
        io::copy(&mut rows, &mut writer).map_err(|cause| {
            let message =
                format!("cannot copy the reference table `{table}` from shard `{from}` to `{to}`: {cause}");
            Error::new(Kind::Unreachable, message).hint("run this again").on_shard(to)
        })?;
        writer.finish().map_err(at_target)?;
    }
    Ok(())
}

/// The statements that make these tables, and what they depend on.
fn dump(cluster: &Cluster, tables: &Tables, from: &ShardName) -> Result<String> {
    let what = "read the tables";
    let mut session = cluster.shards().checkout(from)?;
    // Everything but other tables: types and functions are not dumped with a table.
    let rows = session
        .query(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
                    pg_catalog.current_setting('server_version_num')::integer / 10000, \
                    ARRAY(SELECT pg_catalog.format('%I.%I', of_table.nspname, ancestor.relname) \
                          FROM pg_catalog.pg_partition_ancestors(c.oid) AS listed \
                          JOIN pg_catalog.pg_class AS ancestor ON ancestor.oid = listed.relid \
                          JOIN pg_catalog.pg_namespace AS of_table ON of_table.oid = ancestor.relnamespace) \
             FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'ringshard') \
               AND n.nspname !~ '^pg_(toast|temp)'",
            &[],
        )
        .map_err(|cause| sqlstate::doing(what, from, &cause))?;
    // A table is dumped with its partitions.
    let is_copied = |row: &Row| {
        let mut names: Vec<&str> = row.get(2);
        names.push(row.get(0));
        tables.all().iter().any(|table| names.contains(&table.name.as_sql()))
    };
    let others = rows.iter().filter(|row| !is_copied(row)).map(|row| row.get::<_, String>(0));
    let major: i32 = rows.first().map_or(0, |row| row.get(1));
    let address = cluster.shards().address(from)?;
    let program = program(major, from)?;
    let mut command = Command::new(&program);
    command.args(["--schema-only", "--exclude-schema=ringshard"]);
    command.args(others.map(|name| format!("--exclude-table={}", pattern(&name))));
    command.arg(format!("--dbname={}", address.shown()));
    if let Some(password) = password(&address) {
        command.env("PGPASSWORD", password);
    }
    let failed = |why: String| {
        Error::new(Kind::Failed, format!("cannot {what} of shard `{from}`: pg_dump: {why}"))
            .hint("this role needs the right to read these tables")
            .on_shard(from)
    };
    let output = command.output().map_err(|cause| failed(cause.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(output.stdout).map_err(|cause| failed(cause.to_string()))?;
    Ok(as_statements(&text))
}

/// Without what is for psql, or for newer servers; the schema `public` is there.
fn as_statements(dump: &str) -> String {
    let is_statement = |line: &&str| {
        ![
            "\\restrict",
            "\\unrestrict",
            "SET transaction_timeout",
            "CREATE SCHEMA public;",
            "ALTER SCHEMA public ",
        ]
        .iter()
        .any(|start| line.starts_with(start))
            && !line.contains(" ON SCHEMA public ")
    };
    let lines: Vec<&str> = dump.lines().filter(is_statement).collect();
    lines.join("\n")
}

/// A pattern of `pg_dump` that matches only this name, which is quoted where necessary.
fn pattern(name: &str) -> String {
    // Within quotes nothing has a meaning but quotes.
    let quote = |part: &str| if part.starts_with('"') { part.to_owned() } else { format!("\"{part}\"") };
    let mut parts = Vec::new();
    let (mut part, mut is_quoted) = (String::new(), false);
    for c in name.chars() {
        match c {
            '.' if !is_quoted => parts.push(std::mem::take(&mut part)),
            _ => {
                is_quoted ^= c == '"';
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.iter().map(|part| quote(part)).collect::<Vec<_>>().join(".")
}

fn password(address: &Address) -> Option<String> {
    let password = address.endpoints.first()?.config.get_password()?;
    String::from_utf8(password.to_vec()).ok()
}

/// The newest `pg_dump` of at least this major version: in PATH, or in Debian's folders.
fn program(major: i32, shard: &ShardName) -> Result<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|folder| folder.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).collect::<Vec<_>>().into_iter().chain(debian);
    let version_of = |program: &PathBuf| {
        let output = Command::new(program).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse::<i32>().ok()
    };
    let found = folders.map(|folder| folder.join("pg_dump"));
    let found = found.filter_map(|program| Some((version_of(&program)?, program)));
    found.filter(|(version, _)| *version >= major).max().map(|(_, program)| program).ok_or_else(|| {
        let message = format!("pg_dump of Postgres {major} or newer is needed to make the tables of shard `{shard}` elsewhere");
        Error::new(Kind::Configuration, message).hint(format!(
            "install it (Debian: apt-get install postgresql-client-{major}), or make the tables there; then run this again"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_pattern_that_matches_it_alone() {
        assert_eq!(pattern("public.orders"), "\"public\".\"orders\"");
        assert_eq!(pattern("\"a.b\".\"O\"\"x*\""), "\"a.b\".\"O\"\"x*\"");
    }

    #[test]
    fn what_only_psql_or_a_newer_server_knows_is_left_out() {
        let dump = "\\restrict abc\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\nCREATE TABLE a ();\n\\unrestrict abc";
        assert_eq!(as_statements(dump), "SET lock_timeout = 0;\nCREATE TABLE a ();");
    }
}
