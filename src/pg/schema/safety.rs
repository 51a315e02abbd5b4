//! What must hold after a change: each table of the cluster is there with its key, and the guard checks its rows.

use postgres::GenericClient;

use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::schema::SchemaChange;
use crate::model::table::{Table, Tables};
use crate::pg::catalog::inspect::COLUMNS;
use crate::pg::catalog::triggers;
use crate::pg::tables::{self, TableFault};

/// A table of the cluster, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    table: String,
    why: String,
}

/// What is wrong with the tables of the cluster on a shard.
pub(super) fn faults(
    client: &mut impl GenericClient,
    tables: &Tables,
) -> Result<Vec<Fault>, postgres::Error> {
    let mut faults = Vec::new();
    for table in tables.all() {
        let mut add = |why: String| faults.push(Fault { table: table.name.to_string(), why });
        if let Some(TableFault { why, .. }) = tables::fault(client, table)? {
            add(why);
            continue;
        }
        if let Some(key) = &table.key {
            for fault in triggers::faults(client, &table.name, key)? {
                add(format!("ringshard's trigger {fault}"));
            }
        }
        if table.is_prototype {
            for column in missing_columns(client, table)? {
                add(format!("the commands about users need its column {column}"));
            }
        }
    }
    Ok(faults)
}

/// The columns of the prototype's table that a table lacks.
fn missing_columns(client: &mut impl GenericClient, table: &Table) -> Result<Vec<String>, postgres::Error> {
    let sql = include_str!("../../../sql/queries/doctor/columns.sql");
    debug_assert!(table.is_prototype, "the query is about `users`");
    let rows = client.query_typed(sql, &[])?;
    let found: Vec<String> =
        rows.iter().map(|row| format!("{} {}", row.get::<_, &str>(0), row.get::<_, &str>(1))).collect();
    let expected = COLUMNS.map(|column| column.trim_end_matches(" primary key").to_owned());
    Ok(expected.into_iter().filter(|column| !found.contains(column)).collect())
}

/// The error for the first fault that a change would cause.
pub(super) fn refusal(
    change: &SchemaChange,
    shard: &ShardName,
    before: &[Fault],
    after: &[Fault],
) -> Option<Error> {
    let Fault { table, why } = after.iter().find(|fault| !before.contains(fault))?;
    let message = format!(
        "`{}` was rolled back on shard `{shard}`: after it the table `{table}` of the cluster could not be used: {why}",
        change.name
    );
    Some(
        Error::new(Kind::Failed, message)
            .hint(format!("leave that out; to drop or rename a table, first: ringshard table remove {table}"))
            .on_shard(shard),
    )
}
