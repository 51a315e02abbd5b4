//! The commands for one user: hash, ring, owner, statement.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::users::one_user::{CreateUserArgs, DeleteUserArgs, GetUserArgs, UpdateUserArgs};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::cluster::view::View;
use crate::pg::preview::{self, OfUser, Owner};
use crate::pg::rows::router::{FENCE_HELP_AFTER, FENCE_PATIENCE};
use crate::pg::rows::statements::RowChange;

/// The route of a user to its owner, which all four commands begin with.
struct UserRoute {
    known: KnownCluster,
    owner: ShardName,
}

impl UserRoute {
    fn of(id: UserId, context: &Context<'_>) -> Result<Self> {
        let mut known = KnownCluster::of(context)?;
        let position = Position::of_user(id);
        let owner = known.view.ring().owner(position).clone();
        let count = known.cluster.shards().names().len();
        let settings = context.settings();
        let url = settings.shards.iter().find(|(name, _)| *name == owner).map(|(_, url)| &url.value);
        let is_private = url.is_some_and(|url| url.local_database().is_some());
        let started = if is_private { "; starts the private Postgres if it is down" } else { "" };
        let address = known.shown_address(&owner)?;
        let timeout_ms = settings.connect_timeout.value.as_millis();
        let steps = key(known.steps, &id.to_string(), known.view.ring())
            .add("shards", format!("1 of {count} is asked: `{owner}`"))
            .add("connection", format!("to {address}, with a timeout of {timeout_ms} ms{started}"));
        known.steps = change(steps, &known.view, position, &owner);
        Ok(Self { known, owner })
    }

    /// Adds the statement that is sent first, and the one that follows if the ring is not stable.
    fn send(self, of_user: impl FnOnce(Owner<'_>) -> OfUser) -> Steps {
        let stable_ring = self.known.view.stable_ring();
        let OfUser { fast_path, by_arcs } =
            of_user(Owner { cluster: self.known.cluster.id(), shard: &self.owner, stable_ring });
        let Some(statement) = fast_path else { return self.known.steps.statement(by_arcs) };
        self.known
            .steps
            .statement(statement)
            .add("stable ring", "it has an effect only if the shard's arcs are exactly those of this ring")
            .add("otherwise", format!("the shard checks the arc of this user: {}", by_arcs.sql))
    }

    fn write(self, change: RowChange<'_>) -> Steps {
        self.send(|owner| owner.write(change))
            .add("barrier", "a shared lock until the commit; the fence of a chunk takes the same lock exclusively")
            .add(
                "fenced",
                format!(
                    "if the user is being moved, the write is tried again for {} s, then exit code 75; after {} s ringshard \
                     completes the move of that chunk itself",
                    FENCE_PATIENCE.as_secs(),
                    FENCE_HELP_AFTER.as_secs()
                ),
            )
            .add(
                "unknown outcome",
                "if the connection is lost before the answer, its session is ended and the user is read; the write is \
                 never repeated blindly",
            )
    }
}

/// The place of a key on a ring.
pub(crate) fn key(steps: Steps, key: &str, ring: &Ring) -> Steps {
    let position = Position::of_key(key);
    let node = ring.locate(position);
    let point = format!("{}#{} at {}", node.shard, node.index, node.position);
    let (lower, all) = (ring.passed(position), ring.len());
    let walk = if node.wrapped {
        format!(
            "all {all} virtual nodes have lower positions; the ring wraps around to the first one, {point}"
        )
    } else {
        format!("{lower} of {all} virtual nodes have lower positions; the next one clockwise is {point}")
    };
    let share = ring.share(node.shard).unwrap_or(0.0);
    steps
        .add("hash", format!("md5(\"{key}\") = {:032x} = {position}", position.number()))
        .add("ring", walk)
        .add("owner", format!("`{}`, which has {:.2} % of the ring", node.shard, share * 100.0))
}

/// The owner of a position in the ring that follows, if there is one.
fn change(steps: Steps, view: &View, position: Position, owner: &ShardName) -> Steps {
    let next = view.goal().ring().owner(position).clone();
    match (&view.change, next == *owner) {
        (Some(_), true) => steps.add("change", format!("under way; `{owner}` keeps this user")),
        (Some(_), false) => steps.add(
            "change",
            format!("under way; it moves this user to `{next}`, which is asked if `{owner}` does not own it any more"),
        ),
        (None, true) => steps,
        (None, false) => steps.add(
            "change",
            format!("planned; a rebalance would move this user to `{next}`, until then nothing changes"),
        ),
    }
}

pub(crate) fn get(args: &GetUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    Ok(UserRoute::of(id, context)?.send(|owner| owner.get(id)).add(
        "fenced",
        "if the user is being moved, the other shard is asked too, and the answer of the owner counts",
    ))
}

pub(crate) fn create(args: &CreateUserArgs, context: &Context<'_>) -> Result<Steps> {
    let Some(id) = args.id() else {
        return Ok(KnownCluster::of(context)?
            .steps
            .add("shards", "the owner of a random position of the ring makes an id that it owns; if it is down, another shard")
            .statement(preview::next_own_id())
            .add("then", "the user is stored with this id: ringshard explain create-user --id N shows how"));
    };
    let user = args.user(id);
    Ok(UserRoute::of(id, context)?.write(RowChange::Create(&user)))
}

pub(crate) fn update(args: &UpdateUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    Ok(UserRoute::of(id, context)?.write(RowChange::Update(id, &args.patch())))
}

pub(crate) fn delete(args: &DeleteUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    Ok(UserRoute::of(id, context)?.write(RowChange::Delete(id)))
}
