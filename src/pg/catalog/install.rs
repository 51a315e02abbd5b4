//! One shard, made in one transaction: catalog, table, functions, guard. Also what must hold of a table that is
//! adopted: its columns, and that each row lies on its owner.

use std::collections::BTreeMap;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::Json;
use postgres::{GenericClient, IsolationLevel, Transaction};
use uuid::Uuid;

use super::CATALOG_VERSION;
use super::inspect::{InitOutcome, Inspection};
use super::triggers;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Membership, Topology};
use crate::model::user::UserId;
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// The columns of the seed's table, sorted.
pub(crate) const COLUMNS: [&str; 4] = [
    "email character varying(100)",
    "name character varying(100)",
    "region character varying(50)",
    "user_id bigint primary key",
];
/// What leads from no catalog to [`CATALOG_VERSION`]: the version that each one makes.
const MIGRATIONS: [(i32, &str); 6] = [
    (1, include_str!("../../../sql/migrations/0001_catalog.sql")),
    (2, include_str!("../../../sql/migrations/0002_imports.sql")),
    (3, include_str!("../../../sql/migrations/0003_rebalancing.sql")),
    (4, include_str!("../../../sql/migrations/0004_replicas.sql")),
    (5, include_str!("../../../sql/migrations/0005_fast_path.sql")),
    (6, include_str!("../../../sql/migrations/0006_names.sql")),
];
/// How many misplaced users an error names.
const MISPLACED_SHOWN: usize = 10;

/// The users of one table, as the ring sees them.
struct RowPlacement {
    rows: usize,
    misplaced: usize,
    /// The first of those that are misplaced.
    examples: Vec<(UserId, ShardName)>,
}

/// What all shards are made from.
pub(crate) struct InstallPlan<'a> {
    pub(crate) membership: &'a Membership,
    /// The ring of its topology.
    pub(crate) ring: &'a Ring,
    /// How to reach each shard, without any password.
    pub(crate) addresses: Vec<(ShardName, String)>,
}

/// The addresses of these shards, as the catalog has them.
pub(crate) fn addresses(shards: &Shards) -> Result<Vec<(ShardName, String)>> {
    shards
        .names()
        .into_iter()
        .map(|name| shards.address(&name).map(|address| (name, address.shown().to_owned())))
        .collect()
}

impl InstallPlan<'_> {
    /// One transaction: all of a shard, or nothing.
    pub(crate) fn make_shard(
        &self,
        session: &mut PooledSession,
        name: &ShardName,
        found: &Inspection,
    ) -> Result<InitOutcome> {
        let fail = |cause: postgres::Error| sqlstate::doing("set up the catalog", name, &cause);
        // Each statement sees what others committed before it, whatever the server's default is.
        let begin = session.client().build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let mut transaction = begin.start().map_err(fail)?;
        let is_repaired = self.install(&mut transaction, name, found).map_err(fail)?;
        let done = match &found.said {
            Some(said) if said.catalog_version < CATALOG_VERSION => InitOutcome::Upgraded,
            Some(_) if is_repaired => InitOutcome::Repaired,
            Some(_) => InitOutcome::Unchanged,
            None if found.has_users => InitOutcome::Adopted(self.check_adopted(&mut transaction, name)?),
            None => InitOutcome::Created,
        };
        transaction.commit().map_err(fail)?;
        Ok(done)
    }

    /// Brings what is missing or old; whether the index or a trigger was.
    fn install(
        &self,
        transaction: &mut Transaction<'_>,
        name: &ShardName,
        found: &Inspection,
    ) -> Result<bool, postgres::Error> {
        transaction
            .batch_execute("SET LOCAL lock_timeout = '10s'; SET LOCAL client_min_messages = warning")?;
        let version = found.said.as_ref().map_or(0, |said| said.catalog_version);
        for (to, sql) in MIGRATIONS {
            if version < to {
                transaction.batch_execute(sql)?;
            }
        }
        transaction.batch_execute(include_str!("../../../sql/queries/users.sql"))?;
        transaction.batch_execute(include_str!("../../../sql/functions/write_user.sql"))?;
        transaction.batch_execute(include_str!("../../../sql/functions/guard.sql"))?;
        transaction.batch_execute(include_str!("../../../sql/functions/rebalance.sql"))?;
        transaction.batch_execute(include_str!("../../../sql/functions/failover.sql"))?;
        if !found.has_region_index {
            // The seed's name for it, unless something else has that name.
            let taken = "SELECT pg_catalog.to_regclass('public.idx_users_region') IS NOT NULL";
            let name = if transaction.query_one(taken, &[])?.get(0) { "" } else { "idx_users_region" };
            transaction.batch_execute(&format!("CREATE INDEX {name} ON public.users (region)"))?;
        }
        // From here on to the commit nobody else writes to the table, if a trigger had to be made.
        let is_guarded = triggers::faults(transaction)?.is_empty();
        if !is_guarded {
            transaction.batch_execute(include_str!("../../../sql/queries/triggers.sql"))?;
        }
        if found.said.is_none() {
            self.install_arcs(transaction, name)?;
        }
        record_topology_md5(transaction, name)?;
        for (shard, url) in &self.addresses {
            transaction.execute(
                "INSERT INTO ringshard.shard_endpoint (shard, url) VALUES ($1, $2) \
                 ON CONFLICT (shard) DO UPDATE SET url = excluded.url WHERE shard_endpoint.url <> excluded.url",
                &[&shard.as_str(), url],
            )?;
        }
        // Nobody else would: they change too seldom. Without it `meta` is planned for as hundreds of rows, and each read
        // of a user goes through steps of a plan that one row does not need.
        transaction.batch_execute("ANALYZE ringshard.meta, ringshard.arc")?;
        Ok(!is_guarded || !found.has_region_index)
    }

    /// The shard's first own rows of the catalog.
    fn install_arcs(
        &self,
        transaction: &mut Transaction<'_>,
        name: &ShardName,
    ) -> Result<(), postgres::Error> {
        let Membership { cluster, epoch, topology } = self.membership;
        let arcs = self.ring.arcs();
        let own = arcs.iter().filter(|owned| owned.shard == name).map(|owned| owned.arc);
        let (first, last): (Vec<_>, Vec<_>) =
            own.map(|arc| (Uuid::from(arc.first()), Uuid::from(arc.last()))).unzip();
        transaction.execute(
            include_str!("../../../sql/queries/install.sql"),
            &[&CATALOG_VERSION, cluster, &name.as_str(), &epoch.number(), &Json(topology), &first, &last],
        )?;
        Ok(())
    }

    /// The rows of an adopted table were checked before, but others may have written since; now the guard is
    /// there, and it locked them out. Returns the number of rows.
    fn check_adopted(&self, transaction: &mut Transaction<'_>, name: &ShardName) -> Result<i64> {
        let placed = place_rows(transaction, name, self.ring)?;
        if placed.misplaced > 0 {
            let end = format!("written while init-shards was at work; shard `{name}` was left as it was");
            return Err(misplaced(placed.misplaced, &placed.examples, self.ring, &end).on_shard(name));
        }
        Ok(i64::try_from(placed.rows).expect("a table has fewer than 2^63 rows"))
    }
}

/// Where nothing is under way and the arcs are those of the ring, the catalog says so. An older one could not.
fn record_topology_md5(transaction: &mut Transaction<'_>, name: &ShardName) -> Result<(), postgres::Error> {
    // Nobody changes it from here on.
    transaction.execute("SELECT FROM ringshard.meta FOR UPDATE", &[])?;
    let rows = transaction.query(include_str!("../../../sql/queries/unsaid_rest.sql"), &[])?;
    for row in rows {
        let Json(topology): Json<Topology> = row.get("topology");
        let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (row.get("firsts"), row.get("lasts"));
        // The table's CHECK sees to it that an arc does not wrap.
        let held = firsts.iter().zip(&lasts).map(|(first, last)| Arc::new((*first).into(), (*last).into()));
        let ring = topology.ring();
        let given = ring.arcs().into_iter().filter(|owned| owned.shard == name).map(|owned| owned.arc);
        if merged(held) == merged(given) {
            transaction.execute(
                "UPDATE ringshard.meta SET topology_md5 = pg_catalog.md5(topology::text)::uuid",
                &[],
            )?;
        }
    }
    Ok(())
}

/// Tables that are to be adopted must be the seed's, with each row on its owner.
pub(crate) fn check_rows(
    shards: &Shards,
    found: &BTreeMap<ShardName, Inspection>,
    ring: &Ring,
) -> Result<()> {
    let adopt: Vec<ShardName> = found
        .iter()
        .filter(|(_, found)| found.has_users && found.said.is_none())
        .map(|(name, _)| name.clone())
        .collect();
    for name in &adopt {
        check_columns(name, &found[name])?;
    }
    let mut examples = Vec::new();
    let mut count = 0;
    for (_, placed) in shards.on_each(&adopt, |name, session| place_rows(session.client(), name, ring)) {
        let placed = placed?;
        count += placed.misplaced;
        examples.extend(placed.examples);
    }
    if count > 0 { Err(misplaced(count, &examples, ring, "nothing was changed")) } else { Ok(()) }
}

/// A table that is there must have the seed's columns, and no others.
pub(crate) fn check_columns(name: &ShardName, found: &Inspection) -> Result<()> {
    if !found.has_users || found.columns == COLUMNS {
        return Ok(());
    }
    let message =
        format!("shard `{name}` has a table `users` of other columns: {}", found.columns.join(", "));
    Err(Error::new(Kind::Configuration, message)
        .hint(format!("it must have {}", COLUMNS.join(", ")))
        .on_shard(name))
}

/// Users lie where the ring does not want them.
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
            "1 user lies on a shard that does not own it".into()
        } else {
            format!("{count} users lie on shards that do not own them")
        },
        shown.join("\n  ")
    );
    Error::new(Kind::Failed, message).hint(
        "move these rows to their owners, or name the shards as they were named when the rows were written",
    )
}

/// Compares the rows of a shard with the ring. Streams the ids.
fn place_rows(client: &mut impl GenericClient, name: &ShardName, ring: &Ring) -> Result<RowPlacement> {
    let fail = |cause: postgres::Error| sqlstate::doing("read the ids of users", name, &cause);
    let no_parameters: [&str; 0] = [];
    let mut rows =
        client.query_raw("SELECT user_id FROM public.users ORDER BY user_id", no_parameters).map_err(fail)?;
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
