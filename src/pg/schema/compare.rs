//! Reads the definitions of the cluster's tables from all shards.

use postgres::types::Type;

use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::schema::difference::{self, Definitions, Difference, Object, ObjectKind};
use crate::model::table::Table;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;

/// What differs between the shards that belong to the ring or will join: columns, constraints, indexes, triggers, owners and
/// privileges of the cluster's tables.
pub fn differences(cluster: &Cluster) -> Result<Vec<Difference>> {
    Ok(difference::differences(&definitions(cluster)?))
}

/// The definitions of the cluster's tables, of each shard that belongs to the ring or will join.
pub fn definitions(cluster: &Cluster) -> Result<Vec<(ShardName, Definitions)>> {
    cluster.refresh()?;
    let view = cluster.view();
    // The first shard decides between two halves.
    let mut names: Vec<ShardName> = view.topology.names().cloned().collect();
    names.extend(cluster.belonging().into_iter().filter(|name| view.topology.shard(name).is_none()));
    let tables = view.topology.tables().all();
    let read = cluster.shards().on_each(&names, |shard, session| {
        let fail = |cause: postgres::Error| sqlstate::doing("read the definitions of tables", shard, &cause);
        let mut transaction = session.client().build_transaction().read_only(true).start().map_err(fail)?;
        // So that names are written alike, whatever the search path of the role.
        transaction.batch_execute("SET LOCAL search_path = pg_catalog").map_err(fail)?;
        let quoted: Vec<&str> = tables.iter().map(|table| table.name.as_sql()).collect();
        let shown: Vec<String> = tables.iter().map(|table: &Table| table.name.to_string()).collect();
        let rows = transaction
            .query_typed(
                include_str!("../../../sql/queries/schema/definitions.sql"),
                &[(&quoted, Type::TEXT_ARRAY), (&shown, Type::TEXT_ARRAY)],
            )
            .map_err(fail)?;
        let definition = |row: &postgres::Row| {
            let kind: &str = row.get("kind");
            let kind = ObjectKind::ALL.into_iter().find(|one| one.as_str() == kind);
            let kind = kind.expect("the query names only these");
            let object = Object { table: row.get("table_name"), kind, name: row.get("name") };
            (object, row.get::<_, Option<String>>("definition").unwrap_or_default())
        };
        Ok(rows.iter().map(definition).collect::<Definitions>())
    });
    read.into_iter().map(|(shard, definitions)| Ok((shard, definitions?))).collect()
}
