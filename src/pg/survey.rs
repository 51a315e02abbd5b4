//! Questions to all shards at once: how many rows, how large, who holds a row.

use postgres::types::Type;

use super::cache;
use super::cluster::Cluster;
use super::failure;
use super::pool::Loan;
use super::rows::Expected;
use super::session::only;
use super::uuid::Uuid;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::position::Position;
use crate::model::user::UserId;

/// How full a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows of `users`, counted.
    pub rows: i64,
    /// Bytes of `users` with its indexes, as the server's file system has them.
    pub size_bytes: i64,
}

impl Cluster {
    /// Each configured shard's size; a shard that fails fails alone.
    pub fn sizes(&self) -> Vec<(ShardName, Result<Size>)> {
        let sizes = self.shards().on_each(&self.shards().names(), |name, loan| {
            let rows = loan
                .query(include_str!("../../sql/size.sql"), &[])
                .map_err(|cause| failure::doing("count users", name, &cause))?;
            let row = only(rows, "count users", name)?;
            self.check_row(name, &row)?;
            Ok(Size { rows: row.get("rows"), size_bytes: row.get("size_bytes") })
        });
        if let Some((id, folder)) = self.id().zip(self.cache_folder.as_deref()) {
            let rows =
                |(name, size): &(ShardName, Result<Size>)| Some((name.clone(), size.as_ref().ok()?.rows));
            cache::write_counts(folder, &id, sizes.iter().filter_map(rows).collect());
        }
        sizes
    }

    /// How many users a shard had when they were counted last by this user's processes, and when that was, in seconds
    /// since 1970.
    pub fn last_known_rows(&self, name: &ShardName) -> Option<(i64, u64)> {
        let (id, folder) = self.id().zip(self.cache_folder.as_deref())?;
        cache::read_counts(folder, &id).get(name).copied()
    }

    /// The shard that owns a position, or has it fenced if none does, by the word of all shards that answer:
    /// while a change is under way no topology tells.
    pub(super) fn holder(&self, position: Position) -> Option<ShardName> {
        let states = self.shards().on_each(&self.shards().names(), |name, loan| {
            let rows = loan
                .query(include_str!("../../sql/holder.sql"), &[(&Uuid::from(position), Type::UUID)])
                .map_err(|cause| failure::doing("look for an owner", name, &cause))?;
            let row = only(rows, "look for an owner", name)?;
            self.check_row(name, &row)?;
            Ok(row.get::<_, Option<String>>("state"))
        });
        let held = |wanted: &str| {
            let shard = states
                .iter()
                .find(|(_, state)| state.as_ref().is_ok_and(|state| state.as_deref() == Some(wanted)));
            shard.map(|(name, _)| name.clone())
        };
        held("owned").or_else(|| held("fenced"))
    }

    /// How many rows lie in `users` of a shard that does not belong to the ring any more, and how many were set aside
    /// there; `None` if it cannot be asked.
    pub fn left_on(&self, shard: &ShardName) -> Option<(i64, i64)> {
        let mut loan = self.shards().checkout(shard).ok()?;
        let sql = "SELECT (SELECT count(*) FROM public.users), (SELECT count(*) FROM ringshard.quarantine)";
        let rows = loan.query(sql, &[]).ok()?;
        rows.first().map(|row| (row.get(0), row.get(1)))
    }

    /// Which shards hold a row of this user, owner or not.
    pub fn holders(&self, id: UserId) -> Vec<(ShardName, Result<bool>)> {
        self.shards().on_each(&self.shards().names(), |name, loan| {
            let cluster = self.id();
            let expected = Expected { cluster: cluster.as_ref(), shard: name, at_rest: None };
            self.holds(loan, expected, id)
        })
    }

    fn holds(&self, loan: &mut Loan, expected: Expected<'_>, id: UserId) -> Result<bool> {
        let rows = loan
            .query(include_str!("../../sql/holds.sql"), &[(&id.number(), Type::INT8)])
            .map_err(|cause| failure::doing("look for a user", expected.shard, &cause))?;
        let row = only(rows, "look for a user", expected.shard)?;
        self.check_row(expected.shard, &row)?;
        Ok(row.get("holds"))
    }
}
