//! Describes tables: finds one, checks whether it can be sharded, counts its rows.

use postgres::GenericClient;
use postgres::types::Type;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::topology::Topology;
use crate::model::table::{ShardingKey, Table, TableName};
use crate::pg::catalog::relation::{NumberedColumn, Relation, Unsupported};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;

/// The rows of a table on all shards, and its size with indexes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSize {
    /// The number of rows; of a reference table on one shard.
    pub rows: i64,
    /// The number of bytes.
    pub size_bytes: i64,
}

/// See [`super::find`].
pub(super) fn find(
    cluster: &Cluster,
    name: &str,
    key: Option<&str>,
    unchecked_unique: Vec<String>,
) -> Result<Table> {
    cluster.refresh()?;
    let view = cluster.view();
    let shard = view.topology.names().next().expect("a topology has a shard");
    let mut session = cluster.shards().checkout(shard)?;
    let what = "look for the table";
    let sql = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
               FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE c.oid = pg_catalog.to_regclass($1)";
    let found = session.query(sql, &[(&name, Type::TEXT)]);
    let found = found.map_err(|cause| sqlstate::doing(what, shard, &cause))?;
    let Some(row) = found.first() else {
        return Err(Error::new(Kind::NotFound, format!("shard `{shard}` has no table `{name}`"))
            .hint(format!(
                "ringshard sql --shard {shard} \"SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'p') \
                 AND oid >= 16384\" lists its tables"
            ))
            .on_shard(shard));
    };
    let name = TableName::new(row.get::<_, String>(0));
    let Some(key) = key else { return Ok(Table { name, key: None, unchecked_unique, is_prototype: false }) };
    let relation = Relation::read(session.client(), &name, key)
        .map_err(|cause| sqlstate::doing("read the table", shard, &cause))?;
    let of = relation.and_then(|relation| relation.key_type);
    let Some(of) = of else {
        return Err(Error::new(Kind::NotFound, format!("the table `{name}` has no column `{key}`"))
            .hint("name one of its columns with --key")
            .on_shard(shard));
    };
    let of = of.parse().map_err(|why: String| {
        Error::new(Kind::Configuration, format!("the table `{name}` cannot be sharded by `{key}`: {why}"))
            .hint("choose another column with --key")
    })?;
    Ok(Table {
        name,
        key: Some(ShardingKey { column: key.to_owned(), of }),
        unchecked_unique,
        is_prototype: false,
    })
}

/// Why a table of a shard cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFault {
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// Fails with `Configuration` if a shard's table cannot be sharded like this.
pub(super) fn check(cluster: &Cluster, shard: &ShardName, table: &Table) -> Result<()> {
    let mut session = cluster.shards().checkout(shard)?;
    let fault = fault(session.client(), table);
    match fault.map_err(|cause| sqlstate::doing("read the table", shard, &cause))? {
        None => Ok(()),
        Some(TableFault { why, hint }) => {
            let message = format!("the table `{}` of shard `{shard}` cannot be used: {why}", table.name);
            Err(Error::new(Kind::Configuration, message).hint(hint).on_shard(shard))
        }
    }
}

/// Why a table cannot be sharded, or be a reference table, as the cluster has it; `None` if it can.
pub(crate) fn fault(
    client: &mut impl GenericClient,
    table: &Table,
) -> Result<Option<TableFault>, postgres::Error> {
    let column = table.key.as_ref().map_or("", |key| &key.column);
    let relation = Relation::read(client, &table.name, column)?;
    Ok(fault_of(relation.as_ref(), table))
}

fn fault_of(relation: Option<&Relation>, table: &Table) -> Option<TableFault> {
    let Table { name, key, unchecked_unique, is_prototype } = table;
    let refuse = |why: String, hint: String| Some(TableFault { why, hint });
    let Some(relation) = relation else {
        return refuse("it does not exist".into(), "create it on all shards alike".into());
    };
    let alter =
        |clause: &str| format!("run on each shard, with psql: ALTER TABLE {} {clause}", name.as_sql());
    let unsupported =
        if *is_prototype { relation.unsupported_as_prototype() } else { relation.unsupported(name) };
    if let Some(Unsupported { why, statement }) = unsupported {
        let hint = match (statement, &relation.partition_of, key) {
            (Some(statement), ..) => format!("run on each shard, with psql: {statement}"),
            (None, Some(parent), Some(ShardingKey { column, .. })) => {
                format!("add the table with all its partitions: ringshard table add {parent} --key {column}")
            }
            (None, Some(parent), None) => {
                format!("add the table with all its partitions: ringshard table add {parent} --reference")
            }
            (None, None, _) => format!("make `{name}` an ordinary table"),
        };
        return refuse(why, hint);
    }
    if relation.has_policies {
        let why = format!("policies hide rows from role {}", relation.role);
        return refuse(why, format!("as a superuser of that server: ALTER ROLE {} BYPASSRLS", relation.role));
    }
    let ShardingKey { column, of } = key.as_ref()?;
    if relation.key_type.as_deref().and_then(|of| of.parse().ok()) != Some(*of) {
        let found = relation.key_type.as_deref().unwrap_or("missing");
        return refuse(
            format!("its column `{column}` is {found} instead of {of}"),
            "make it alike on all shards".into(),
        );
    }
    if !relation.is_key_not_null {
        return refuse(
            format!("`{column}` may be NULL, and a row without a key has no shard"),
            alter(&format!("ALTER COLUMN {} SET NOT NULL", crate::pg::catalog::quoted(column))),
        );
    }
    let other = relation.unique_indexes.iter().find(|index| !unchecked_unique.contains(index))?;
    refuse(
        format!("its unique index {other} does not contain `{column}`, so no shard can keep it unique"),
        format!(
            "make `{column}` part of it; or, if its values are made unique otherwise: ringshard table add {name} --key \
             {column} --unchecked-unique {other}"
        ),
    )
}

/// Whether `users`, the table of the Python prototype, has got other columns.
pub(super) fn has_other_columns(cluster: &Cluster, topology: &Topology) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute \
               WHERE attrelid = pg_catalog.to_regclass('public.users') AND attnum > 0 AND NOT attisdropped \
                 AND attname NOT IN ('user_id', 'name', 'region', 'email'))";
    let what = "look for other columns of `users`";
    for shard in topology.names() {
        let mut session = cluster.shards().checkout(shard)?;
        let rows = session.query(sql, &[]).map_err(|cause| sqlstate::doing(what, shard, &cause))?;
        if only(rows, what, shard)?.get(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// See [`super::left_guarded`].
pub(super) fn left_guarded(cluster: &Cluster, name: &str) -> Result<Option<TableName>> {
    let sql = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) \
               FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE c.oid = pg_catalog.to_regclass($1) AND NOT c.relispartition AND EXISTS ( \
                   SELECT FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid \
                   WHERE t.tgrelid = c.oid AND p.pronamespace = 'ringshard'::regnamespace)";
    for shard in cluster.view().topology.names() {
        let mut session = cluster.shards().checkout(shard)?;
        let found = session.query(sql, &[(&name, Type::TEXT)]);
        let found = found.map_err(|cause| sqlstate::doing("look for guards", shard, &cause))?;
        if let Some(row) = found.first() {
            return Ok(Some(TableName::new(row.get::<_, String>(0))));
        }
    }
    Ok(None)
}

/// What a move of rows would set off on any shard.
pub(super) fn side_effects(cluster: &Cluster) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for shard in cluster.view().topology.names() {
        let mut connection = Connection::open(cluster, shard)?;
        let rows = connection.session().query("SELECT effect FROM ringshard.side_effects(28) AS effect", &[]);
        let rows = rows.map_err(|cause| sqlstate::doing("look for side effects", shard, &cause))?;
        all.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// See [`super::collisions`].
pub(super) fn collisions(cluster: &Cluster, table: &Table) -> Result<Vec<Error>> {
    let Some(key) = &table.key else { return Ok(Vec::new()) };
    let view = cluster.view();
    let shard = view.topology.names().next().expect("a topology has a shard");
    let mut session = cluster.shards().checkout(shard)?;
    let relation = Relation::read(session.client(), &table.name, &key.column)
        .map_err(|cause| sqlstate::doing("read the table", shard, &cause))?;
    let name = &table.name;
    let warning = |numbered: &NumberedColumn| {
        let (column, consequence) = (&numbered.column, numbered.consequence());
        let message = format!("each shard numbers `{column}` of `{name}` for itself, {consequence}");
        let hint = match &numbered.clause {
            Some(clause) => {
                let sql = format!("ALTER TABLE {} {clause}", name.as_sql());
                format!("ringshard schema apply -c '{}'", sql.replace('\'', "'\\''"))
            }
            None => "let the application choose the keys, as in a column of type bigint                      `DEFAULT ringshard.next_own_id()` does"
                .into(),
        };
        Error::new(Kind::Failed, message).hint(hint)
    };
    Ok(relation.iter().flat_map(|relation| &relation.numbered_columns).map(warning).collect())
}

/// The sizes of the tables of the cluster, in their order.
pub fn sizes(cluster: &Cluster) -> Result<Vec<(Table, TableSize)>> {
    cluster.refresh()?;
    let view = cluster.view();
    let tables = view.topology.tables().all().to_vec();
    let shards: Vec<ShardName> = view.topology.names().cloned().collect();
    let mut sizes: Vec<(Table, TableSize)> =
        tables.iter().map(|table| (table.clone(), TableSize::default())).collect();
    let found = cluster.shards().on_each(&shards, |shard, session| {
        let measure = |table: &Table| {
            let sql = format!(
                "SELECT pg_catalog.count(*), \
                        (SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(oid))::bigint FROM pg_catalog.pg_class \
                         WHERE oid = pg_catalog.to_regclass($1) \
                            OR oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))) \
                 FROM {}",
                table.name.as_sql()
            );
            let what = "count the rows";
            let fail = |cause: postgres::Error| sqlstate::doing(what, shard, &cause);
            let mut transaction = session.client().transaction().map_err(fail)?;
            // Somebody may have the table locked, as by an ALTER TABLE that is not committed.
            transaction.batch_execute("SET LOCAL lock_timeout = '2s'").map_err(fail)?;
            let rows = transaction.query_typed(&sql, &[(&table.name.as_sql(), Type::TEXT)]).map_err(fail)?;
            let row = only(rows, what, shard)?;
            Ok(TableSize { rows: row.get(0), size_bytes: row.get(1) })
        };
        tables.iter().map(measure).collect::<Result<Vec<_>>>()
    });
    for (_, of_shard) in found {
        for ((table, sum), size) in sizes.iter_mut().zip(of_shard?) {
            sum.rows = if table.key.is_some() { sum.rows + size.rows } else { size.rows };
            sum.size_bytes += size.size_bytes;
        }
    }
    Ok(sizes)
}
