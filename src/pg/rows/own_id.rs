//! Asks a shard for an id of a new user that it owns.

use std::hash::{BuildHasher as _, RandomState};

use postgres::error::SqlState;

use super::Router;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::net::session::only;
use crate::pg::pool::read_routing::ReadIntent;

/// The statement; one row.
pub(crate) const NEXT_OWN_ID: &str =
    "SELECT meta.shard, meta.cluster, ringshard.next_own_id() AS id FROM ringshard.meta";
/// The SQLSTATE of a shard that owns nothing: sql/functions/ids.sql.
const MAKES_NO_ID: &str = "RS010";

impl Router<'_> {
    /// A new id that belongs to the shard which made it: the owner of a random position, so that shards get new users by their
    /// shares of the ring; or another one, if that is down or owns nothing any more.
    pub fn next_own_id(&self) -> Result<UserId> {
        let random = RandomState::new().hash_one(());
        let first = self.0.view().owner(Position::of_key(&random.to_string())).clone();
        let mut others = self.0.holding();
        others.retain(|shard| *shard != first);
        let mut failure: Option<Error> = None;
        for shard in std::iter::once(first).chain(others) {
            match self.ask_for_id(&shard)? {
                Ok(id) => return Ok(id),
                // That a shard is down matters more than that another one owns nothing.
                Err(error) if failure.as_ref().is_none_or(|known| known.kind() != Kind::Unreachable) => {
                    failure = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(failure.expect("a shard was asked"))
    }

    /// The inner error lets another shard make the id.
    fn ask_for_id(&self, shard: &ShardName) -> Result<Result<UserId>> {
        let what = "make an id";
        let mut session = match self.0.reach(ReadIntent::Primary, shard) {
            Err(error) if error.kind() == Kind::Unreachable => return Ok(Err(error)),
            session => session?,
        };
        match session.query(NEXT_OWN_ID, &[]) {
            Ok(rows) => {
                let row = only(rows, what, shard)?;
                self.0.check_row(shard, &row)?;
                Ok(Ok(UserId::new(row.get("id"))))
            }
            Err(cause) => {
                let error = self.0.explain(what, shard, &mut session, &cause);
                let makes_none = cause.code().map(SqlState::code) == Some(MAKES_NO_ID);
                if makes_none || error.kind() == Kind::Unreachable { Ok(Err(error)) } else { Err(error) }
            }
        }
    }
}
