//! The database of a shard that is to join: made, or taken, empty; and how others find it.

use std::collections::BTreeMap;

use postgres::types::{Json, Type};

use super::wish::Standing;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::topology::Membership;
use crate::pg::cluster::Cluster;
use crate::pg::conninfo::ConnectionString;
use crate::pg::pool::Loan;
use crate::pg::session::Parameter;
use crate::pg::{failure, init, make};

impl Cluster {
    /// Makes a database a shard that owns nothing yet, and tells all shards where it is.
    pub fn prepare_shard(&self, standing: &Standing, name: &ShardName, url: &ConnectionString) -> Result<()> {
        // Whatever was known of it before: this is the database that is meant.
        self.shards().remove(name);
        self.shards().add(name.clone(), url)?;
        let prepared = self.prepare_added(standing, name);
        if prepared.is_err() && standing.goal().shard(name).is_none() {
            self.shards().remove(name);
        }
        prepared
    }

    fn prepare_added(&self, standing: &Standing, name: &ShardName) -> Result<()> {
        let Membership { cluster, epoch, topology } = &standing.membership;
        let names: Vec<ShardName> = topology.names().chain([name]).cloned().collect();
        let found: BTreeMap<_, _> = init::inspect_all(self.shards(), &names)?;
        init::check_distinct(self.shards(), &found)?;
        let own = &found[name];
        make::check_columns(name, own)?;
        if let Some(said) = &own.said {
            let (shard, of) = (said.shard.as_str(), said.membership.cluster.as_str());
            let address = self.shards().address(name)?;
            crate::pg::catalog::check_identity(name, &address, Some(cluster), shard, of)?;
        }
        let ring = topology.ring();
        let addresses = make::addresses(self.shards())?;
        let plan = make::Plan { membership: &standing.membership, ring: &ring, addresses };
        let mut loan = self.shards().checkout(name)?;
        let fail = |cause: postgres::Error| failure::doing("prepare the shard", name, &cause);
        let address = self.shards().address(name)?;
        let taken = || {
            let message = format!(
                "the database of shard `{name}` at {} holds users or arcs already, and is to begin empty",
                address.shown()
            );
            Error::new(Kind::Conflict, message)
                .hint("name an empty database; users that are there can be exported, and imported when it is a shard")
                .on_shard(name)
        };
        if own.has_users && loan.query("SELECT FROM public.users LIMIT 1", &[]).map_err(fail)?.len() == 1 {
            return Err(taken());
        }
        plan.make_shard(&mut loan, name, own)?;
        // One that was here before, or was made for a wish that was given up, may be behind.
        let parameters: &[Parameter<'_>] = &[(&epoch.number(), Type::INT8), (&Json(topology), Type::JSONB)];
        let rows = loan.query(include_str!("../../../sql/join.sql"), parameters).map_err(fail)?;
        if rows.is_empty() {
            return Err(taken());
        }
        self.tell_places(&mut loan, name)?;
        drop(loan);
        self.tell_address(&names, name)
    }

    /// A new shard learns which replicas there are, and where old data may come back.
    fn tell_places(&self, loan: &mut Loan, name: &ShardName) -> Result<()> {
        let view = self.view();
        let fail = |cause: postgres::Error| failure::doing("write down where the shards are", name, &cause);
        for (shard, place) in &view.places {
            let sql = "UPDATE ringshard.address SET replicas = $2, incarnation = $3 WHERE shard = $1";
            let parameters: &[Parameter<'_>] = &[
                (&shard.as_str(), Type::TEXT),
                (&place.replicas, Type::TEXT_ARRAY),
                (&place.incarnation.0, Type::INT8),
            ];
            loan.query(sql, parameters).map_err(fail)?;
        }
        let sql = "UPDATE ringshard.meta SET retired = $1";
        loan.query(sql, &[(&Json(&view.retired), Type::JSONB)]).map_err(fail)?;
        Ok(())
    }

    /// Each of these shards learns where the new one is.
    fn tell_address(&self, names: &[ShardName], new: &ShardName) -> Result<()> {
        let address = self.shards().address(new)?;
        let told = self.shards().on_each(names, |name, loan| {
            let parameters: &[Parameter<'_>] = &[(&new.as_str(), Type::TEXT), (&address.shown(), Type::TEXT)];
            loan.query(
                "WITH known AS (INSERT INTO ringshard.address (shard, url) VALUES ($1, $2) \
                                ON CONFLICT (shard) DO UPDATE SET url = excluded.url) \
                 UPDATE ringshard.meta SET retired = retired - $2",
                parameters,
            )
            .map_err(|cause| failure::doing("write down an address", name, &cause))
        });
        told.into_iter().try_for_each(|(_, told)| told.map(|_| ()))
    }
}
