//! A shard that is gone for good is taken out of the ring, and the others reassign its arcs, with the rows of a replica or
//! of a backup where there is one.
//!
//! `model/succession.rs` decides who inherits what. Each recipient hears of it in one transaction: its rows, its arcs, the
//! topology without the shard, in a new epoch. Nobody else owns these arcs, so the recipients need not wait for each other;
//! where some have heard and others not, the next run tells the rest.

use crate::pg::failover::promote;
use crate::pg::failover::survivors;
use std::collections::BTreeMap;

use postgres::IsolationLevel;
use postgres::types::Type;

use super::survivors::{ForcedState, Survivors, ours};
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::{Reassignment, reassign};
use crate::model::names::ShardName;
use crate::model::rebalance::Reply;
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::UserId;
use crate::pg::catalog;
use crate::pg::cluster::Cluster;
use crate::pg::cluster::prototype_log;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate;
use crate::pg::rebalance::connection::Connection;
use crate::pg::scan::snapshot::held_of;

/// How many rows are fetched, and stored, at once.
const ROWS_PER_FETCH: i32 = 2_000;

/// What a removal comes to, before it is done.
pub struct RemovalPlan {
    dead: ShardName,
    rest: Survivors,
    reassignment: Reassignment,
    /// Where the shard was.
    pub url: String,
    /// Whether a wish of another kind is given up with it.
    pub has_desired_topology: bool,
    /// Whether an earlier run has begun it.
    pub is_begun: bool,
}

/// What an recipient has got.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reassigned {
    /// In how many arcs.
    pub arcs: u64,
    /// How much of the ring.
    pub share: f64,
    /// Users that were brought in.
    pub rows: u64,
}

/// A removal that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// The epoch of all shards then.
    pub epoch: Epoch,
    /// Heir by recipient.
    pub recipients: BTreeMap<ShardName, Reassigned>,
    /// Users of the backup that others have the arcs of, and that were left where they are.
    pub passed_by: u64,
    /// Whether a change of the ring is still under way.
    pub is_changing: bool,
}

/// Where rows of the shard are recovered from: a replica, or a restored backup.
pub struct Recovery {
    session: Session,
    /// The arcs that it owns, if it says so.
    owns: Vec<Arc>,
    url: String,
}

impl RemovalPlan {
    /// What each recipient is to get, rows aside.
    pub fn recipients(&self) -> BTreeMap<ShardName, Reassigned> {
        let recipients = self.reassignment.recipients.iter();
        let reassigned = |arcs: &[Arc]| Reassigned {
            arcs: arcs.len() as u64,
            share: arcs.iter().map(|arc| arc.share()).sum(),
            rows: 0,
        };
        recipients.map(|(shard, recipient)| (shard.clone(), reassigned(&recipient.inherits))).collect()
    }
}

/// What it would come to if a shard that is gone were removed.
pub fn plan_removal(cluster: &Cluster, dead: &ShardName, recovery: Option<&Recovery>) -> Result<RemovalPlan> {
    promote::refresh_survivors(cluster, dead)?;
    survivors::must_not_answer(cluster, dead)?;
    let rest = survivors::survivors(cluster, dead)?;
    let url = cluster.shards().address(dead)?.shown().to_owned();
    let backup = recovery.map_or(&[][..], |recovery| &recovery.owns);
    let reassignment = reassign(&rest.states(), dead, backup).map_err(|why| {
        Error::new(Kind::Conflict, format!("shard `{dead}` cannot be removed: {why}"))
            .hint("ringshard promote makes a replica of it the primary, if there is one")
            .on_shard(dead)
    })?;
    if reassignment.recipients.is_empty() {
        let message = format!("shard `{dead}` is no part of the ring any more");
        return Err(Error::new(Kind::NotFound, message)
            .hint(format!("ringshard remove-shard {dead} takes it out of the configuration")));
    }
    let has_desired_topology = rest.seen.iter().any(|(_, seen)| seen.state.ring.desired_topology.is_some());
    let is_begun = reassignment.recipients.len() < rest.seen.len();
    Ok(RemovalPlan { dead: dead.clone(), rest, reassignment, url, has_desired_topology, is_begun })
}

/// Looks whether rows of a shard can be recovered from a database.
pub fn open_recovery(cluster: &Cluster, dead: &ShardName, url: &ConnectionString) -> Result<Recovery> {
    let address = cluster.shards().resolve(dead, url)?;
    let mut session = Session::connect(dead, &address)?;
    let sql = "SELECT pg_catalog.to_regclass('public.users') IS NOT NULL, \
                      pg_catalog.to_regclass('ringshard.meta') IS NOT NULL";
    let doing = |cause: postgres::Error| sqlstate::doing("look at the backup", dead, &cause);
    let rows = session.query(sql, &[]).map_err(doing)?;
    let (has_users, has_catalog) = rows.first().map_or((false, false), |row| (row.get(0), row.get(1)));
    if !has_users {
        let message = format!("the database at {} has no table `users`", address.shown());
        return Err(Error::new(Kind::Configuration, message).hint("name the replica, or the restored backup"));
    }
    // A dump of the table alone tells nothing of where it is from.
    let mut owns = Vec::new();
    if has_catalog {
        let rows = session.query(include_str!("../../../sql/queries/snapshot.sql"), &[]).map_err(doing)?;
        let held = held_of(&only(rows, "look at the backup", dead)?, dead)?.arcs;
        owns =
            merged(held.into_iter().filter(crate::model::ring::arc::ShardArc::is_owned).map(|held| held.arc));
        let said = catalog::describe(&mut session, dead)?;
        let (shard, of) = said.identity();
        let is_stale = shard.starts_with(&format!("{dead}_retired_"));
        let shard = if is_stale { dead.as_str() } else { shard };
        catalog::check_identity(dead, &address, cluster.id(), (shard, of))?;
    }
    Ok(Recovery { session, owns, url: address.shown().to_owned() })
}

/// Does it, as it was planned. `progress` hears how many rows were brought in.
pub fn remove_dead_shard(
    cluster: &Cluster,
    plan: &RemovalPlan,
    recovery: Option<Recovery>,
    progress: impl Fn(u64),
) -> Result<Removed> {
    let dead = &plan.dead;
    let _still = survivors::lock_changes(cluster, &plan.rest)?;
    let rest = survivors::survivors(cluster, dead)?;
    if rest.states() != plan.rest.states() {
        let message = "the ring was changed meanwhile; nothing was done";
        return Err(Error::new(Kind::Locked, message)
            .hint(format!("ringshard remove-shard {dead} --dead"))
            .on_shard(dead));
    }
    survivors::must_not_answer(cluster, dead)?;
    let mut recipients = plan.recipients();
    let mut links: BTreeMap<&ShardName, Connection> = BTreeMap::new();
    for shard in plan.reassignment.recipients.keys() {
        let mut link = Connection::open(cluster, shard)?;
        let begun = link.session().client().batch_execute("BEGIN");
        begun.map_err(|cause| sqlstate::doing("begin to reassign", shard, &cause))?;
        links.insert(shard, link);
    }
    let passed_by = match recovery {
        Some(recovery) => bring_in(plan, recovery, &mut links, &mut recipients, progress)?,
        None => 0,
    };
    let Reassignment { epoch, topology, change, .. } = &plan.reassignment;
    for (shard, recipient) in &plan.reassignment.recipients {
        let link = links.get_mut(shard).expect("each recipient has a connection");
        let stated = ForcedState {
            epoch: *epoch,
            topology,
            change: change.as_ref(),
            arcs: &recipient.arcs,
            dead: Some((dead, &plan.url)),
        };
        let again = format!("ringshard remove-shard {dead} --dead goes on");
        let reply = link.restate(&recipient.seen, &stated).map_err(ours("reassign", shard));
        let reply = reply.map_err(|error| error.hint(again.clone()))?;
        if matches!(reply, Reply::Stale) {
            let message = format!("shard `{shard}` was changed meanwhile, and inherits nothing yet");
            return Err(Error::new(Kind::Locked, message).hint(again).on_shard(shard));
        }
        let committed = link.session().client().batch_execute("COMMIT");
        committed.map_err(|cause| sqlstate::doing("reassign", shard, &cause).hint(again))?;
        for arc in &recipient.inherits {
            log::info!("Arc {arc} reassigned to {shard}");
        }
    }
    cluster.shards().remove(dead);
    cluster.refresh()?;
    Ok(Removed { epoch: *epoch, recipients, passed_by, is_changing: change.is_some() })
}

/// `RecipientRows` on their way to one recipient: ids, names, regions, emails.
#[derive(Default)]
struct RecipientRows(Vec<i64>, Vec<Option<String>>, Vec<Option<String>>, Vec<Option<String>>);

impl RecipientRows {
    /// Stores them in the transaction that is open. What lies in the way is on no arc of this shard, and set aside.
    fn store(&self, link: &mut Connection, dead: &ShardName) -> Result<()> {
        let shard = link.shard().clone();
        let reason = format!("in the way of rows recovered from {dead}");
        let parameters: &[Parameter<'_>] = &[
            (&self.0, Type::INT8_ARRAY),
            (&self.1, Type::TEXT_ARRAY),
            (&self.2, Type::TEXT_ARRAY),
            (&self.3, Type::TEXT_ARRAY),
        ];
        let aside: &[Parameter<'_>] = &[(&self.0, Type::INT8_ARRAY), (&reason, Type::TEXT)];
        let doing = |cause: postgres::Error| sqlstate::doing("store recovered users", &shard, &cause);
        let session = link.session();
        session
            .query(
                "WITH stray AS (DELETE FROM public.users WHERE user_id = ANY ($1) \
                                RETURNING user_id, name, region, email) \
                 INSERT INTO ringshard.quarantine (reason, user_id, name, region, email) \
                 SELECT $2, user_id, name, region, email FROM stray",
                aside,
            )
            .map_err(doing)?;
        session
            .query(include_str!("../../../sql/queries/verify/place.sql"), parameters)
            .map(|_| ())
            .map_err(doing)
    }
}

/// Brings the rows of a backup to the recipients, in their open transactions; how many were passed by.
fn bring_in(
    plan: &RemovalPlan,
    mut recovery: Recovery,
    links: &mut BTreeMap<&ShardName, Connection>,
    recipients: &mut BTreeMap<ShardName, Reassigned>,
    progress: impl Fn(u64),
) -> Result<u64> {
    let dead = &plan.dead;
    let doing = |cause: postgres::Error| {
        let error = sqlstate::doing("read the backup", dead, &cause);
        error.hint(format!("nothing was changed; look at {}", recovery.url))
    };
    let pieces = plan.reassignment.pieces();
    let recipient_of = |position: Position| {
        let at = pieces.partition_point(|(arc, _)| arc.last() < position);
        pieces.get(at).filter(|(arc, _)| arc.contains(position)).map(|(_, shard)| *shard)
    };
    let begin = recovery.session.client().build_transaction();
    let mut snapshot =
        begin.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().map_err(doing)?;
    let sql = "SELECT user_id::bigint, name::text, region::text, email::text FROM public.users";
    let statement = snapshot.prepare(sql).map_err(doing)?;
    let portal = snapshot.bind(&statement, &[]).map_err(doing)?;
    let (mut passed_by, mut brought) = (0, 0);
    loop {
        let rows = snapshot.query_portal(&portal, ROWS_PER_FETCH).map_err(doing)?;
        let mut batches: BTreeMap<&ShardName, RecipientRows> = BTreeMap::new();
        for row in &rows {
            let id = UserId::new(row.try_get(0).map_err(doing)?);
            let Some(shard) = recipient_of(Position::of_user(id)) else {
                passed_by += 1;
                continue;
            };
            prototype_log::key_reassigned(&id.to_string(), shard);
            let batch = batches.entry(shard).or_default();
            batch.0.push(id.number());
            batch.1.push(row.try_get(1).map_err(doing)?);
            batch.2.push(row.try_get(2).map_err(doing)?);
            batch.3.push(row.try_get(3).map_err(doing)?);
        }
        for (shard, batch) in batches {
            batch.store(links.get_mut(shard).expect("each recipient has a connection"), dead)?;
            let count = batch.0.len() as u64;
            recipients.get_mut(shard).expect("each recipient is one").rows += count;
            brought += count;
        }
        progress(brought);
        if rows.len() < usize::try_from(ROWS_PER_FETCH).unwrap_or(usize::MAX) {
            return Ok(passed_by);
        }
    }
}
