//! The commands for one user: hash, ring, owner, statement.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::users::one_user::{
    CreateUserArgs, DeleteUserArgs, GetUserArgs, UpdateUserArgs, by_columns, id_is_missing, row_key,
};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::position::Position;
use crate::pg::cluster::view::View;
use crate::pg::preview::{self, OfUser, Owner};
use crate::pg::rows::any_row::{GivenValues, RowKey};
use crate::pg::rows::router::{FENCE_HELP_AFTER, FENCE_PATIENCE};
use crate::pg::rows::statements::{RowOperation, UserChange};

/// The route of a user to its owner, which all four commands begin with.
struct UserRoute {
    known: KnownCluster,
    owner: ShardName,
}

impl UserRoute {
    fn of(id: &str, context: &Context<'_>) -> Result<Self> {
        let mut known = KnownCluster::of(context)?;
        let position = Position::of_key(id);
        let owner = known.view.ring().owner(position).clone();
        let count = known.cluster.shards().names().len();
        let settings = context.settings();
        let url = settings.shards.iter().find(|(name, _)| *name == owner).map(|(_, url)| &url.value);
        let is_private = url.is_some_and(|url| url.local_database().is_some());
        let started = if is_private { "; starts the private Postgres if it is down" } else { "" };
        let address = known.shown_address(&owner)?;
        let timeout_ms = settings.connect_timeout.value.as_millis();
        let steps = key(known.steps, id, known.view.ring())
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

    fn write(self, of_user: impl FnOnce(Owner<'_>) -> OfUser) -> Steps {
        self.send(of_user)
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
    let steps = by_columns(
        context,
        args.which.id().map(Some),
        |_, _| {
            let id = args.which.id()?;
            Ok(UserRoute::of(&id.to_string(), context)?.send(|owner| owner.get(id)))
        },
        |_, table, key| {
            let row = row_key(table, key, args.which.text()?)?;
            Ok(UserRoute::of(row.text(), context)?.send(|_| preview::get_row(&row)))
        },
    )?;
    Ok(steps.add(
        "fenced",
        "if the user is being moved, the other shard is asked too, and the answer of the owner counts",
    ))
}

pub(crate) fn create(args: &CreateUserArgs, context: &Context<'_>) -> Result<Steps> {
    if args.text().is_none() {
        return Ok(KnownCluster::of(context)?
            .steps
            .add("shards", "the owner of a random position of the ring makes an id that it owns; if it is down, another shard")
            .statement(preview::next_own_id())
            .add("then", "the user is stored with this id: ringshard explain create-user --id N shows how"));
    }
    by_columns(
        context,
        args.id(),
        |_, id| {
            let user = args.user(id.ok_or_else(id_is_missing)?)?;
            let route = UserRoute::of(&user.user_id.to_string(), context)?;
            Ok(route.write(|owner| owner.write(UserChange::Create(&user))))
        },
        |_, table, key| {
            let row = row_key(table, key, args.text().unwrap_or_default())?;
            write_row(&row, RowOperation::Create, &args.values_of_row(key)?, context)
        },
    )
}

pub(crate) fn update(args: &UpdateUserArgs, context: &Context<'_>) -> Result<Steps> {
    by_columns(
        context,
        args.which.id().map(Some),
        |_, _| {
            let (id, patch) = (args.which.id()?, args.patch()?);
            let route = UserRoute::of(&id.to_string(), context)?;
            Ok(route.write(|owner| owner.write(UserChange::Update(id, &patch))))
        },
        |_, table, key| {
            let row = row_key(table, key, args.which.text()?)?;
            write_row(&row, RowOperation::Update, &args.values_of_row(key)?, context)
        },
    )
}

pub(crate) fn delete(args: &DeleteUserArgs, context: &Context<'_>) -> Result<Steps> {
    by_columns(
        context,
        args.which.id().map(Some),
        |_, _| {
            let id = args.which.id()?;
            let route = UserRoute::of(&id.to_string(), context)?;
            Ok(route.write(|owner| owner.write(UserChange::Delete(id))))
        },
        |_, table, key| {
            let row = row_key(table, key, args.which.text()?)?;
            write_row(&row, RowOperation::Delete, &GivenValues::new(), context)
        },
    )
}

fn write_row(
    row: &RowKey<'_>,
    operation: RowOperation,
    given: &GivenValues,
    context: &Context<'_>,
) -> Result<Steps> {
    let route = UserRoute::of(row.text(), context)?;
    Ok(route.write(|owner| preview::write_row(owner, row, operation, given)))
}
