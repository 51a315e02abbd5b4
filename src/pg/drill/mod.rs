//! Drills: deliberate failures. Ends sessions, closes a database to connections, or makes a connection slow.
//!
//! Dropping the value undoes the failure; the server or the kernel undoes it if this process is killed.

mod outage;
mod proxy;
mod slow;

use postgres::types::Type;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::pool::Shards;
pub use outage::{Closed, Outage, closed};
pub use slow::{Slow, Slowed};

/// The sessions of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSessions {
    /// Its `application_name`; empty if it gave none.
    pub application: String,
    /// Their number.
    pub count: i64,
    /// How many of them this role may not end.
    pub not_permitted: i64,
}

/// A prepared drill on a shard; nothing has failed yet.
pub struct Drill<'cluster> {
    shards: &'cluster Shards,
    shard: ShardName,
    address: Address,
    session: Session,
    database: String,
    role: String,
}

/// Prepares a drill: checks that the shard answers and is of this cluster.
pub fn begin<'cluster>(cluster: &'cluster Cluster, shard: &ShardName) -> Result<Drill<'cluster>> {
    if !cluster.shards.names().contains(shard) {
        return Err(Error::new(Kind::NotFound, format!("no shard is called `{shard}`"))
            .hint("ringshard shards lists them"));
    }
    let address = cluster.shards.address(shard)?;
    let mut session = cluster.shards.connect_direct(shard)?;
    cluster.describe(shard, &mut session)?;
    let sql = "SELECT pg_catalog.current_database()::text, current_user::text";
    let rows = session
        .query(sql, &[])
        .map_err(|cause| sqlstate::doing("read the database and the role", shard, &cause))?;
    let row = crate::pg::net::session::only(rows, "read the database and the role", shard)?;
    let (database, role) = (row.get(0), row.get(1));
    Ok(Drill { shards: &cluster.shards, shard: shard.clone(), address, session, database, role })
}

impl Drill<'_> {
    /// The database of the shard.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Its address, without a password.
    pub fn shown_address(&self) -> &str {
        self.address.shown()
    }

    /// The other sessions on the database, by program.
    pub fn sessions(&mut self) -> Result<Vec<ProgramSessions>> {
        let rows = self
            .session
            .query(include_str!("../../../sql/queries/drill/sessions.sql"), &[(&self.database, Type::TEXT)])
            .map_err(|cause| sqlstate::doing("list the sessions", &self.shard, &cause))?;
        let sessions = rows.iter().map(|row| ProgramSessions {
            application: row.get(0),
            count: row.get(1),
            not_permitted: row.get(2),
        });
        Ok(sessions.collect())
    }

    /// Fails with `Permission` if this role may not end all of these sessions.
    pub fn check_permission(&self, sessions: &[ProgramSessions]) -> Result<()> {
        let not_permitted: i64 = sessions.iter().map(|sessions| sessions.not_permitted).sum();
        if not_permitted == 0 {
            return Ok(());
        }
        let role = &self.role;
        let message = format!(
            "role `{role}` may not end {not_permitted} of the sessions on database `{}` of shard `{}`",
            self.database, self.shard
        );
        let hint =
            format!("GRANT pg_signal_backend TO \"{role}\"; only a superuser may end sessions of superusers");
        Err(Error::new(Kind::Permission, message).hint(hint).on_shard(&self.shard))
    }

    /// Ends all other client sessions on the database; returns their number by program.
    pub fn kill_connections(mut self) -> Result<Vec<ProgramSessions>> {
        end_sessions(&mut self.session, &self.database, &self.shard)
    }
}

fn end_sessions(session: &mut Session, database: &str, shard: &ShardName) -> Result<Vec<ProgramSessions>> {
    let rows = session
        .query(include_str!("../../../sql/queries/drill/end_sessions.sql"), &[(&database, Type::TEXT)])
        .map_err(|cause| sqlstate::doing("end the sessions", shard, &cause))?;
    let ended = rows.iter().map(|row| ProgramSessions {
        application: row.get(0),
        count: row.get(1),
        not_permitted: 0,
    });
    Ok(ended.collect())
}
