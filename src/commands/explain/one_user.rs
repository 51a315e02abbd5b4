//! The commands for one user: hash, ring, owner, one statement.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::users::one_user::{CreateUserArgs, DeleteUserArgs, GetUserArgs, UpdateUserArgs};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::cluster::view::View;
use crate::pg::preview::{OfUser, Owner};
use crate::pg::rows::router::{FENCE_HELP_AFTER, FENCE_PATIENCE};
use crate::pg::rows::statements::RowChange;

/// The way of a user to its owner, as far as all four commands have it in common.
struct KeyRoute {
    known: KnownCluster,
    owner: ShardName,
}

impl KeyRoute {
    fn of(id: UserId, context: &Context<'_>) -> Result<Self> {
        let mut known = KnownCluster::of(context)?;
        let view = &known.view;
        let owner = view.ring.owner(Position::of_user(id)).clone();
        let steps = std::mem::take(&mut known.steps);
        let steps = key(steps, &id.to_string(), &view.ring);
        let count = known.cluster.shards().names().len();
        let settings = context.settings();
        let url = settings.shards.iter().find(|(name, _)| *name == owner).map(|(_, url)| &url.value);
        let is_private = url.is_some_and(|url| url.local_database().is_some());
        let started = if is_private { "; the private Postgres is started if it is down" } else { "" };
        let steps = steps.add("shards", format!("1 of {count} is asked: `{owner}`")).add(
            "connection",
            format!(
                "one, to {} (at most {} ms), and kept for the next command of this process{started}",
                known.shown_address(&owner)?,
                settings.connect_timeout.value.as_millis()
            ),
        );
        let steps = moving(steps, view, Position::of_user(id), &owner);
        known.steps = steps;
        Ok(Self { known, owner })
    }

    /// The same with the statement that is sent first. `so`: what follows where the ring is at rest; `vain`: what else.
    fn sent(self, of_user: impl FnOnce(Owner<'_>) -> OfUser, so: &str, vain: &str) -> Steps {
        let stable_ring = self.known.view.stable_ring();
        let OfUser { fast_path, by_arcs } =
            of_user(Owner { cluster: self.known.cluster.id(), shard: &self.owner, stable_ring });
        let Some(statement) = fast_path else { return self.known.steps.statement(by_arcs) };
        let owns = "if the shard says that its arcs are those of this ring, it owns what the ring gives it";
        self.known
            .steps
            .statement(statement)
            .add("at rest", format!("{owns}{so}"))
            .add("else", format!("{vain}, and the arcs decide, by: {}", by_arcs.sql))
    }

    /// What all three writes have in common. `done` is what is done to the row.
    fn write(self, change: RowChange<'_>, done: &str) -> Steps {
        let so = format!(", and {done}; who wants to move a range waits for this to commit");
        self.sent(|owner| owner.write(change), &so, "nothing was done")
            .add(
                "barrier",
                "the shard takes a shared lock and holds it to the commit; who wants to move a range takes it exclusively",
            )
            .add(
                "arc",
                format!("in a new statement it looks whether it owns the position, and only then {done}"),
            )
            .add(
                "guard",
                "as that is proved, the triggers that refuse rows of other shards need not prove it again",
            )
            .add(
                "fenced",
                format!(
                    "if the arc is just being moved: tried again for {} s, then exit code 75; after {} s ringshard brings \
                     the move of that chunk to its end itself",
                    FENCE_PATIENCE.as_secs(),
                    FENCE_HELP_AFTER.as_secs()
                ),
            )
            .add("not here", "if the arc has moved: the topology is read again, and the new owner is asked")
            .add("commit", "on disk before the answer comes, whatever synchronous_commit is by default")
            .add(
                "lost",
                "if the connection is lost before the answer: its session is ended at the server, and the user is read; \
                 a write is never repeated blindly",
            )
    }
}

/// Where a key lies on a ring, and why.
pub(crate) fn key(steps: Steps, key: &str, ring: &Ring) -> Steps {
    let position = Position::of_key(key);
    let node = ring.locate(position);
    let point = format!("{}#{} at {}", node.shard, node.index, node.position);
    let (passed, all) = (ring.passed(position), ring.len());
    let walk = if node.wrapped {
        format!("clockwise from 0 it lies behind all {all} points; over the top, the first of all is {point}")
    } else {
        format!(
            "clockwise from 0 it lies behind {passed} of {all} points; the first one at or after it is {point}"
        )
    };
    let share = ring.share(node.shard).unwrap_or(0.0);
    steps
        .add("hash", format!("md5(\"{key}\") = {:032x} = {position}", position.number()))
        .add("ring", walk)
        .add("owner", format!("`{}`, which has {:.2} % of the ring", node.shard, share * 100.0))
}

/// Who is to have a position, where another ring is on its way.
fn moving(steps: Steps, view: &View, position: Position, owner: &ShardName) -> Steps {
    if let Some((_, ring)) = &view.change {
        let next = ring.owner(position);
        return if next == owner {
            steps.add("change", format!("one is under way; `{owner}` keeps this user"))
        } else {
            let detail = format!(
                "one is under way, and gives this user to `{next}`: asked at once if `{owner}` has let go of it"
            );
            steps.add("change", detail)
        };
    }
    match &view.desired_topology {
        Some(requested) if requested.ring().owner(position) != owner => {
            let next = requested.ring().owner(position).clone();
            steps.add(
                "wish",
                format!("a rebalance would move this user to `{next}`; until then nothing changes"),
            )
        }
        _ => steps,
    }
}

pub(crate) fn get(args: &GetUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    let way = KeyRoute::of(id, context)?;
    let so = ": its row counts, and the absence of a row too";
    Ok(way
        .sent(|owner| owner.get(id), so, "no answer")
        .add("check", "in one snapshot: who answers, its epoch, the arc at the position, and the row")
        .add("owned", "if the shard owns the arc, its row counts, and the absence of a row too")
        .add(
            "fenced",
            "if the arc is on its way to a peer: the row is kept, and the peer is asked; the word of who owns it counts",
        )
        .add(
            "not here",
            "if the arc has moved: the topology is read again, and the new owner is asked, 3 times at most",
        )
        .add("answer", "the user; exit code 4 if there is none, 69 if the shard cannot be reached"))
}

pub(crate) fn create(args: &CreateUserArgs, context: &Context<'_>) -> Result<Steps> {
    let user = args.user();
    let way = KeyRoute::of(user.user_id, context)?;
    let steps = way.write(RowChange::Create(&user), "stores the row, unless one of this id is there");
    Ok(steps.add("answer", "the user as it was stored; exit code 5 if the id is taken"))
}

pub(crate) fn update(args: &UpdateUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    let patch = args.patch();
    let steps = KeyRoute::of(id, context)?
        .write(RowChange::Update(id, &patch), "changes the fields whose flag is true");
    Ok(steps.add("answer", "the user as it is then; exit code 4 if there is none"))
}

pub(crate) fn delete(args: &DeleteUserArgs, context: &Context<'_>) -> Result<Steps> {
    let id = args.which.id()?;
    let steps = KeyRoute::of(id, context)?.write(RowChange::Delete(id), "deletes the row");
    Ok(steps.add("answer", "the user as it was; exit code 4 if there is none"))
}
