//! Reserves ids for the new users of a load, which no other load uses.

use crate::error::{Error, Kind, Result};
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, RESERVED_IDS};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// How many ids one run may use; far more than it needs.
const BLOCK: i64 = 1 << 33;
/// An id that hardly any cluster has, for when not all shards can be asked.
const FAR: i64 = 1 << 60;
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
    let mut arbiter = None;
    let mut unreachable = None;
    for (name, highest) in highest {
        match highest {
            Ok(highest) => {
                first = first.max(highest.unwrap_or(0).saturating_add(1));
                arbiter = arbiter.or(Some(name));
            }
            Err(error) if error.kind() == Kind::Unreachable => {
                // Its highest id is not known.
                first = first.max(FAR);
                unreachable = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let Some(arbiter) = &arbiter else {
        return Err(unreachable.unwrap_or_else(|| {
            Error::new(Kind::Configuration, "no shard belongs to the ring")
                .hint("ringshard doctor shows what is wrong")
        }));
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

/// Whether a run has reserved ids. Shards that do not answer are not asked.
pub fn are_reserved(cluster: &Cluster) -> Result<bool> {
    let held = cluster.shards().on_each(&cluster.belonging(), |name, session| {
        let fail = |cause| sqlstate::doing("look for load runs", name, &cause);
        advisory_lock::is_any_part_locked(session, RESERVED_IDS).map_err(fail)
    });
    for (_, held) in held {
        match held {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if error.kind() == Kind::Unreachable => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
