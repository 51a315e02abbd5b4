//! Makes one shard in one transaction: catalog, table, functions, guard. Also checks a table that is adopted: its columns,
//! and that each row is on its owner.

use std::collections::BTreeMap;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{Json, Type};
use postgres::{GenericClient, IsolationLevel, Transaction};
use uuid::Uuid;

use super::inspect::{COLUMNS, InitOutcome, Inspection};
use super::relation::{Relation, Unsupported};
use super::{CATALOG_VERSION, functions, triggers};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Membership, Topology};
use crate::model::user::UserId;
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// The migrations up to [`CATALOG_VERSION`], each with the version that it makes.
const MIGRATIONS: [(i32, &str); 14] = [
    (1, include_str!("../../../sql/migrations/0001_catalog.sql")),
    (2, include_str!("../../../sql/migrations/0002_imports.sql")),
    (3, include_str!("../../../sql/migrations/0003_rebalancing.sql")),
    (4, include_str!("../../../sql/migrations/0004_replicas.sql")),
    (5, include_str!("../../../sql/migrations/0005_fast_path.sql")),
    (6, include_str!("../../../sql/migrations/0006_names.sql")),
    (7, include_str!("../../../sql/migrations/0007_left_behind.sql")),
    (8, include_str!("../../../sql/migrations/0008_timeline.sql")),
    (9, include_str!("../../../sql/migrations/0009_tables.sql")),
    (10, include_str!("../../../sql/migrations/0010_schema_changes.sql")),
    (11, include_str!("../../../sql/migrations/0011_ids_and_partitions.sql")),
    (12, include_str!("../../../sql/migrations/0012_import_files.sql")),
    (13, include_str!("../../../sql/migrations/0013_routes.sql")),
    (14, include_str!("../../../sql/migrations/0014_committed_transactions.sql")),
];
/// How many misplaced users an error lists.
const MISPLACED_SHOWN: usize = 10;

/// The rows of one table, compared with the ring.
struct RowPlacement {
    rows: usize,
    misplaced: usize,
    /// The first misplaced ones.
    examples: Vec<(UserId, ShardName)>,
}

/// What all shards have in common.
pub(crate) struct InstallPlan<'a> {
    pub(crate) membership: &'a Membership,
    /// The ring of its topology, and its arcs.
    pub(crate) ring: &'a Ring,
    pub(crate) arcs: BTreeMap<&'a ShardName, Vec<Arc>>,
    /// The URL of each shard, without a password.
    pub(crate) addresses: Vec<(ShardName, String)>,
}

/// The URLs of these shards, without passwords.
pub(crate) fn addresses(shards: &Shards) -> Result<Vec<(ShardName, String)>> {
    shards
        .names()
        .into_iter()
        .map(|name| shards.address(&name).map(|address| (name, address.shown().to_owned())))
        .collect()
}

impl InstallPlan<'_> {
    /// Makes or completes one shard, in one transaction.
    pub(crate) fn make_shard(
        &self,
        session: &mut PooledSession,
        name: &ShardName,
        found: &Inspection,
    ) -> Result<InitOutcome> {
        let fail = |cause: postgres::Error| sqlstate::doing("set up the catalog", name, &cause);
        // READ COMMITTED, whatever the server's default: each statement sees what was committed before it.
        let begin = session.client().build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let mut transaction = begin.start().map_err(fail)?;
        let is_repaired = self.install(&mut transaction, name, found).map_err(fail)?;
        let done = match &found.description {
            Some(description) if description.catalog_version < CATALOG_VERSION => InitOutcome::Upgraded,
            Some(_) if is_repaired => InitOutcome::Repaired,
            Some(_) => InitOutcome::Unchanged,
            None if found.has_users && self.membership.topology.tables().is_default() => {
                InitOutcome::Adopted(self.check_adopted(&mut transaction, name)?)
            }
            None => InitOutcome::Created,
        };
        transaction.commit().map_err(fail)?;
        Ok(done)
    }

    /// Creates what is missing or outdated; returns whether the index or a trigger was.
    fn install(
        &self,
        transaction: &mut Transaction<'_>,
        name: &ShardName,
        found: &Inspection,
    ) -> Result<bool, postgres::Error> {
        transaction
            .batch_execute("SET LOCAL lock_timeout = '10s'; SET LOCAL client_min_messages = warning; SET LOCAL row_security = off; SET LOCAL statement_timeout = 0")?;
        let version = found.description.as_ref().map_or(0, |description| description.catalog_version);
        for (to, sql) in MIGRATIONS {
            if version < to {
                transaction.batch_execute(sql)?;
            }
        }
        let tables = self.membership.topology.tables();
        // A table of another shape is the application's.
        let is_prototype = tables.has_prototype();
        if is_prototype {
            transaction.batch_execute(include_str!("../../../sql/queries/users.sql"))?;
        }
        for text in functions::TEXTS.iter() {
            transaction.batch_execute(text)?;
        }
        let lacks_region_index = is_prototype && !found.has_region_index;
        if lacks_region_index {
            // The Python prototype's name for it, unless the name is taken.
            let taken = "SELECT pg_catalog.to_regclass('public.idx_users_region') IS NOT NULL";
            let name = if transaction.query_typed_one(taken, &[])?.get(0) { "" } else { "idx_users_region" };
            transaction.batch_execute(&format!("CREATE INDEX {name} ON public.users (region)"))?;
        }
        let mut is_guarded = true;
        for (table, key) in tables.sharded() {
            is_guarded &= triggers::install(transaction, table, key)?;
        }
        if found.description.is_none() {
            self.install_arcs(transaction, name)?;
        }
        self.record_topology_md5(transaction, name)?;
        let (shards, urls): (Vec<&str>, Vec<&str>) =
            self.addresses.iter().map(|(shard, url)| (shard.as_str(), url.as_str())).unzip();
        transaction.execute_typed(
            "INSERT INTO ringshard.shard_endpoint (shard, url) SELECT * FROM unnest($1::text[], $2::text[]) \
             ON CONFLICT (shard) DO UPDATE SET url = excluded.url WHERE shard_endpoint.url <> excluded.url",
            &[(&shards, Type::TEXT_ARRAY), (&urls, Type::TEXT_ARRAY)],
        )?;
        // Autovacuum would not analyze them, as they change too rarely. Without statistics the planner expects hundreds of
        // rows in `meta`, which makes each read of a user slower.
        transaction.batch_execute("ANALYZE ringshard.meta, ringshard.arc, ringshard.ring")?;
        Ok(!is_guarded || lacks_region_index)
    }

    /// Writes the shard's first rows of `meta` and `arc`.
    fn install_arcs(
        &self,
        transaction: &mut Transaction<'_>,
        name: &ShardName,
    ) -> Result<(), postgres::Error> {
        let Membership { cluster, epoch, topology } = self.membership;
        let own = self.arcs.get(name).into_iter().flatten();
        let (first, last): (Vec<_>, Vec<_>) =
            own.map(|arc| (Uuid::from(arc.first()), Uuid::from(arc.last()))).unzip();
        transaction.execute_typed(
            include_str!("../../../sql/queries/install.sql"),
            &[
                (&CATALOG_VERSION, Type::INT4),
                (cluster, Type::UUID),
                (&name.as_str(), Type::TEXT),
                (&epoch.number(), Type::INT8),
                (&Json(topology), Type::JSONB),
                (&first, Type::UUID_ARRAY),
                (&last, Type::UUID_ARRAY),
            ],
        )?;
        Ok(())
    }

    /// Sets `topology_md5`, which older catalogs lack, if no change is under way and the arcs are those of the ring.
    fn record_topology_md5(
        &self,
        transaction: &mut Transaction<'_>,
        name: &ShardName,
    ) -> Result<(), postgres::Error> {
        // Locked until the commit.
        transaction.batch_execute("SELECT FROM ringshard.meta FOR UPDATE")?;
        let rows =
            transaction.query_typed(include_str!("../../../sql/queries/unrecorded_topology.sql"), &[])?;
        for row in rows {
            let Json(topology): Json<Topology> = row.get("topology");
            let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (row.get("firsts"), row.get("lasts"));
            // A CHECK of the table ensures that an arc does not wrap.
            let held =
                firsts.iter().zip(&lasts).map(|(first, last)| Arc::new((*first).into(), (*last).into()));
            // A shard that is behind has another topology.
            let other = (topology != self.membership.topology).then(|| topology.ring());
            let expected = match &other {
                Some(ring) => ring.arcs_by_shard().remove(name),
                None => self.arcs.get(name).cloned(),
            };
            if merged(held) == merged(expected.unwrap_or_default()) {
                transaction.batch_execute(
                    "UPDATE ringshard.meta SET topology_md5 = pg_catalog.md5(topology::text)::uuid",
                )?;
            }
        }
        Ok(())
    }

    /// Checks an adopted table again, as other clients may have written since the first check; now creating the guard has
    /// locked them out. Returns the number of rows.
    fn check_adopted(&self, transaction: &mut Transaction<'_>, name: &ShardName) -> Result<i64> {
        let placed = place_rows(transaction, name, self.ring)?;
        if placed.misplaced > 0 {
            let end =
                format!("they were written while init-shards was running; shard `{name}` was not changed");
            return Err(misplaced(placed.misplaced, &placed.examples, self.ring, &end).on_shard(name));
        }
        Ok(i64::try_from(placed.rows).expect("a table has fewer than 2^63 rows"))
    }
}

/// Checks the tables to adopt: the columns must be the Python prototype's, and each row must be on its owner.
pub(crate) fn check_rows(
    shards: &Shards,
    found: &BTreeMap<ShardName, Inspection>,
    ring: &Ring,
) -> Result<()> {
    let adopt: Vec<ShardName> = found
        .iter()
        .filter(|(_, found)| found.has_users && found.description.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    for name in &adopt {
        check_table(name, &found[name])?;
    }
    let mut examples = Vec::new();
    let mut count = 0;
    let place = |name: &ShardName, session: &mut PooledSession| {
        let fail = |cause: postgres::Error| sqlstate::doing("read the ids of users", name, &cause);
        let mut transaction = session.client().transaction().map_err(fail)?;
        let all = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0";
        transaction.batch_execute(all).map_err(fail)?;
        place_rows(&mut transaction, name, ring)
    };
    for (_, placed) in shards.on_each(&adopt, place) {
        let placed = placed?;
        count += placed.misplaced;
        examples.extend(placed.examples);
    }
    if count > 0 { Err(misplaced(count, &examples, ring, "nothing was changed")) } else { Ok(()) }
}

/// An existing table must be an ordinary one with exactly the Python prototype's columns.
pub(crate) fn check_table(name: &ShardName, found: &Inspection) -> Result<()> {
    if let Some(Unsupported { why, statement }) =
        found.relation.as_ref().and_then(Relation::unsupported_as_prototype)
    {
        let hint = match statement {
            Some(statement) => format!("{statement}, in that database"),
            None => "make `users` an ordinary table with the same rows, then run this again".to_owned(),
        };
        return Err(Error::new(
            Kind::Configuration,
            format!("the table of shard `{name}` cannot be used: {why}"),
        )
        .hint(hint)
        .on_shard(name));
    }
    if !found.has_users || found.columns == COLUMNS {
        return Ok(());
    }
    let message =
        format!("shard `{name}` has a table `users` with other columns: {}", found.columns.join(", "));
    Err(Error::new(Kind::Configuration, message)
        .hint(format!("it must have {}", COLUMNS.join(", ")))
        .on_shard(name))
}

/// The error for rows that are not on their owner.
fn misplaced(count: usize, examples: &[(UserId, ShardName)], ring: &Ring, end: &str) -> Error {
    let shown: Vec<String> = examples
        .iter()
        .take(MISPLACED_SHOWN)
        .map(|(id, shard)| {
            format!("user `{id}` is on `{shard}`, its owner is `{}`", ring.owner(Position::of_user(*id)))
        })
        .collect();
    let rest =
        if count > shown.len() { format!("\n  and {} more", count - shown.len()) } else { String::new() };
    let message = format!(
        "{}; {end}:\n  {}{rest}",
        if count == 1 {
            "1 user is on a shard that does not own it".into()
        } else {
            format!("{count} users are on shards that do not own them")
        },
        shown.join("\n  ")
    );
    Error::new(Kind::Failed, message)
        .hint("move these rows to their owners, or use the shard names with which the rows were written")
}

/// Compares the rows of a shard with the ring, streaming the ids.
fn place_rows(client: &mut impl GenericClient, name: &ShardName, ring: &Ring) -> Result<RowPlacement> {
    let fail = |cause: postgres::Error| sqlstate::doing("read the ids of users", name, &cause);
    let no_parameters: [(i64, Type); 0] = [];
    let sql = "SELECT user_id FROM public.users ORDER BY user_id";
    let mut rows = client.query_typed_raw(sql, no_parameters).map_err(fail)?;
    let mut placed = RowPlacement { rows: 0, misplaced: 0, examples: Vec::new() };
    while let Some(row) = rows.next().map_err(fail)? {
        let id = UserId::new(row.get(0));
        placed.rows += 1;
        if ring.owner(Position::of_user(id)) != name {
            placed.misplaced += 1;
            if placed.examples.len() < MISPLACED_SHOWN {
                placed.examples.push((id, name.clone()));
            }
        }
    }
    Ok(placed)
}
