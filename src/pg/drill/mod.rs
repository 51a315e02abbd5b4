//! Failures on intent: sessions that are ended, a database that takes no connections, a line that is slow.
//!
//! Each is undone when its value goes, and, as far as a server or the kernel can see to it, when this process does.

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
pub use outage::Outage;
pub use slow::{Slow, Slowed};

/// The sessions of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSessions {
    /// Its `application_name`; empty if it gave none.
    pub application: String,
    /// How many.
    pub count: i64,
    /// How many of them this role may not end.
    pub out_of_reach: i64,
}

/// A shard that is to be hurt, and has not been yet.
pub struct Drill<'cluster> {
    shards: &'cluster Shards,
    shard: ShardName,
    address: Address,
    session: Session,
    database: String,
    role: String,
}

/// Looks at a shard that is to be hurt: whether it is there, and is this cluster's.
pub fn begin<'cluster>(cluster: &'cluster Cluster, shard: &ShardName) -> Result<Drill<'cluster>> {
    if !cluster.shards.names().contains(shard) {
        return Err(Error::new(Kind::NotFound, format!("there is no shard `{shard}`"))
            .hint("ringshard shards lists them"));
    }
    let address = cluster.shards.address(shard)?;
    let mut session = cluster.shards.connect_apart(shard)?;
    cluster.describe(shard, &mut session)?;
    let sql = "SELECT pg_catalog.current_database()::text, current_user::text";
    let rows = session.query(sql, &[]).map_err(|cause| sqlstate::doing("look around", shard, &cause))?;
    let row = crate::pg::net::session::only(rows, "look around", shard)?;
    let (database, role) = (row.get(0), row.get(1));
    Ok(Drill { shards: &cluster.shards, shard: shard.clone(), address, session, database, role })
}

impl Drill<'_> {
    /// The database that is to be hurt.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Where it is, without a password.
    pub fn shown_address(&self) -> &str {
        self.address.shown()
    }

    /// Who is connected besides this session, and would be hurt.
    pub fn sessions(&mut self) -> Result<Vec<ProgramSessions>> {
        let rows = self
            .session
            .query(include_str!("../../../sql/queries/drill/sessions.sql"), &[(&self.database, Type::TEXT)])
            .map_err(|cause| sqlstate::doing("list the sessions", &self.shard, &cause))?;
        let sessions = rows.iter().map(|row| ProgramSessions {
            application: row.get(0),
            count: row.get(1),
            out_of_reach: row.get(2),
        });
        Ok(sessions.collect())
    }

    /// Whether this role may end those. An error if it may not: half a failure is none.
    pub fn check_reach(&self, sessions: &[ProgramSessions]) -> Result<()> {
        let out_of_reach: i64 = sessions.iter().map(|sessions| sessions.out_of_reach).sum();
        if out_of_reach == 0 {
            return Ok(());
        }
        let role = &self.role;
        let message = format!(
            "role `{role}` may not end {out_of_reach} of the sessions on database `{}` of shard `{}`",
            self.database, self.shard
        );
        let hint =
            format!("GRANT pg_signal_backend TO \"{role}\"; sessions of superusers only a superuser may end");
        Err(Error::new(Kind::Permission, message).hint(hint).on_shard(&self.shard))
    }

    /// Ends all sessions of clients on the database but this one; how many of each program.
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
        out_of_reach: 0,
    });
    Ok(ended.collect())
}
