//! The record of changes in each shard's catalog.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;

/// How far a change is on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeState {
    /// It was begun outside a transaction; it may be at work, or interrupted.
    Applying,
    /// It is complete.
    Applied,
}

impl ChangeState {
    /// As in the catalog.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applying => "applying",
            Self::Applied => "applied",
        }
    }
}

/// A change as a shard has recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// See `SchemaChange::id`.
    pub id: Uuid,
    /// The name.
    pub name: String,
    /// How far it is.
    pub state: ChangeState,
    /// When that was recorded, in microseconds since 1970.
    pub at_unix_us: i64,
}

/// The changes of all shards.
#[derive(Debug)]
pub struct SchemaStatus {
    /// Each change, the oldest first, with what each shard that answers has recorded of it.
    pub changes: Vec<(Recorded, BTreeMap<ShardName, Recorded>)>,
    /// The shards that answer.
    pub shards: Vec<ShardName>,
    /// The others.
    pub missing: Vec<(ShardName, Error)>,
}

/// All changes of a shard, in the order in which it recorded them.
pub(super) fn read(session: &mut Session, shard: &ShardName) -> Result<Vec<Recorded>> {
    let sql = "SELECT id, name, state = 'applied', (EXTRACT(epoch FROM changed_at) * 1000000)::bigint \
               FROM ringshard.schema_change ORDER BY changed_at, id";
    let rows = session.query(sql, &[]);
    let rows = rows.map_err(|cause| sqlstate::doing("read the changes of the schema", shard, &cause))?;
    let recorded = rows.iter().map(|row| Recorded {
        id: row.get(0),
        name: row.get(1),
        state: if row.get(2) { ChangeState::Applied } else { ChangeState::Applying },
        at_unix_us: row.get(3),
    });
    Ok(recorded.collect())
}

/// Reads the changes from all shards that belong to the ring or will join.
pub fn status(cluster: &Cluster) -> Result<SchemaStatus> {
    cluster.refresh()?;
    let mut changes: BTreeMap<Uuid, (Recorded, BTreeMap<ShardName, Recorded>)> = BTreeMap::new();
    let (mut shards, mut missing) = (Vec::new(), Vec::new());
    let read_all = cluster.shards().on_each(&cluster.belonging(), |shard, session| read(session, shard));
    for (shard, recorded) in read_all {
        match recorded {
            Err(error) => missing.push((shard, error)),
            Ok(recorded) => {
                for one in recorded {
                    let (_, of) = changes.entry(one.id).or_insert_with(|| (one.clone(), BTreeMap::new()));
                    of.insert(shard.clone(), one);
                }
                shards.push(shard);
            }
        }
    }
    let mut changes: Vec<_> = changes.into_values().collect();
    // A change is as old as its oldest record.
    let oldest = |of: &BTreeMap<ShardName, Recorded>| of.values().map(|recorded| recorded.at_unix_us).min();
    changes.sort_by_key(|(_, of)| oldest(of));
    Ok(SchemaStatus { changes, shards, missing })
}

/// The statement that records a change; it does nothing if the change is recorded.
pub(super) const INSERT: &str = "INSERT INTO ringshard.schema_change (id, name, statements, state) VALUES ($1, $2, $3, $4) \
                                 ON CONFLICT (id) DO NOTHING";
