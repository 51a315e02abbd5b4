//! Reserves ids for the new users of a load, which no other load uses.

use crate::error::{Error, Kind, Result};
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, RESERVED_IDS};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// How many ids one run may use; far more than it needs.
const BLOCK: i64 = 1 << 33;
/// How many blocks to try if other loads hold them.
const BLOCKS_TRIED: i64 = 64;

/// Reserved ids; dropping this releases them.
pub struct ReservedIds {
    /// The first id: greater than that of any user.
    pub first: UserId,
    /// The number of ids.
    pub count: u64,
    /// The session that holds the lock.
    session: Session,
}

impl ReservedIds {
    /// Whether they are still reserved: the lock ends with its session, as when the server restarts.
    pub fn are_held(&mut self) -> bool {
        self.session.is_alive(true)
    }
}

/// Reserves ids above those of all users, with a session lock on a block of ids, on the arbiter. Fails if none is left.
pub fn reserve_ids(cluster: &Cluster) -> Result<ReservedIds> {
    let names = cluster.belonging();
    let highest = cluster.shards().on_each(&names, |name, session| {
        let rows = session
            .query("SELECT max(user_id) FROM public.users", &[])
            .map_err(|cause| sqlstate::doing("look for the highest id", name, &cause))?;
        Ok(only(rows, "look for the highest id", name)?.get::<_, Option<i64>>(0))
    });
    let mut first = 1;
    for (_, highest) in highest {
        first = first.max(highest?.unwrap_or(0).saturating_add(1));
    }
    let Some(arbiter) = names.first() else {
        return Err(Error::new(Kind::Configuration, "no shard belongs to the ring")
            .hint("ringshard doctor shows what is wrong"));
    };
    let mut session = cluster.shards().connect_unpooled(arbiter)?;
    for block in (first / BLOCK..).take(usize::try_from(BLOCKS_TRIED).unwrap_or(1)) {
        let (Ok(key), Some(end)) =
            (i32::try_from(block), (block + 1).checked_mul(BLOCK).filter(|end| *end > first))
        else {
            break;
        };
        let begin = first.max(block * BLOCK);
        // A block that is nearly used up would not last.
        if end - begin < BLOCK / 2 {
            continue;
        }
        let fail = |cause| sqlstate::doing("reserve ids", arbiter, &cause);
        if advisory_lock::try_lock_part(&mut session, RESERVED_IDS, key).map_err(fail)? {
            let count = u64::try_from(end - begin).unwrap_or_default();
            return Ok(ReservedIds { first: UserId::new(begin), count, session });
        }
    }
    Err(Error::new(Kind::Failed, format!("there are no ids left above `{}` for new users", first - 1))
        .hint("ringshard load run --mix get=95,update=5 creates none")
        .on_shard(arbiter))
}
