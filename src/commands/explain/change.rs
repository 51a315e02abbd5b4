//! Changing the ring: the wish, and what carries it out.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::ring::membership::{AddShardArgs, RemoveShardArgs};
use crate::commands::ring::rebalance::{RebalanceArgs, RebalanceCommand};
use crate::error::{Error, Result};
use crate::model::rebalance::arbiter;
use crate::model::ring::moved_share::{moved, ring_flows};
use crate::model::ring::topology::{Membership, Topology};
use crate::pg::rebalance::Topologies;

/// The share of all keys that goes elsewhere, in per cent.
fn moves_pct(before: &Topology, after: &Topology) -> f64 {
    moved(&ring_flows(&before.ring(), &after.ring())) * 100.0
}

/// How it stands, by what is known here.
fn standing(known: &KnownCluster) -> Option<Topologies> {
    let view = &known.view;
    let cluster = known.cluster.id()?;
    let membership = Membership { cluster, epoch: view.epoch, topology: view.topology.clone() };
    Some(Topologies { membership, desired_topology: view.desired_topology.clone() })
}

/// What both wishes begin with.
fn looked(known: KnownCluster) -> (Steps, Option<Topologies>) {
    let standing = standing(&known);
    let steps = known.steps.add("look", "all shards say how it stands; a change under way: exit code 75");
    (steps, standing)
}

/// What both wishes end with.
fn wish(steps: Steps, now: &Topology, desired_topology: Option<&Topology>) -> Steps {
    let first = arbiter(now);
    let steps = steps.add(
        "wish",
        format!("written down on `{first}`, the first shard, by compare and set: if somebody was faster, exit code 75"),
    );
    let steps = match desired_topology {
        None => steps,
        Some(desired_topology) => {
            let share = moves_pct(now, desired_topology);
            steps.add(
                "share",
                format!("by what is known here, a rebalance would move {share:.2} % of all keys"),
            )
        }
    };
    steps.add("answer", "the shard's share now and then; nothing has moved")
}

/// That it does not come to a wish.
fn refused(steps: Steps, error: &Error) -> Steps {
    let code = error.kind().exit_code();
    steps
        .add("refusal", format!("by what is known here: {error} (exit code {code}); nothing is written down"))
}

pub(crate) fn add_shard(args: &AddShardArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let now = known.view.topology.clone();
    let is_new = known.view.topology.shard(&args.name).is_none();
    let (mut steps, standing) = looked(known);
    let desired_topology = match standing.map(|standing| standing.with(&args.name, args.weight)).transpose() {
        Ok(wished) => wished.map(|(desired_topology, _)| desired_topology),
        Err(error) => return Ok(refused(steps, &error)),
    };
    if is_new {
        let place = if args.url.is_some() {
            "its database is looked for at the URL"
        } else {
            "its database is to lie beside the others"
        };
        steps = steps
            .add("database", format!("{place}, and is made if it is not there; it must hold no users"))
            .add(
                "catalog",
                format!("`{}` gets the table `users` and the catalog, and owns no arc yet", args.name),
            )
            .add("address", "where it is goes to all shards, without a password, and into the configuration");
    }
    Ok(wish(steps, &now, desired_topology.as_ref()))
}

pub(crate) fn remove_shard(args: &RemoveShardArgs, context: &Context<'_>) -> Result<Steps> {
    if args.dead {
        return super::failover::remove_dead(args, context);
    }
    let known = KnownCluster::of(context)?;
    let now = known.view.topology.clone();
    let is_configured = known.cluster.shards().names().contains(&args.name);
    let has_left = is_configured && !known.view.belongs(&args.name);
    let (steps, standing) = looked(known);
    if has_left {
        return Ok(steps.add(
            "forget",
            "by what is known here it does not belong to the ring: it is taken out of the configuration",
        ));
    }
    Ok(match standing.map(|standing| standing.without(&args.name)).transpose() {
        Ok(wished) => wish(steps, &now, wished.map(|(desired_topology, _)| desired_topology).as_ref()),
        Err(error) => refused(steps, &error),
    })
}

pub(crate) fn rebalance(args: &RebalanceArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let (now, goal) = (known.view.topology.clone(), known.view.goal().clone());
    let first = arbiter(&now).clone();
    let steps =
        known.steps.add("look", "all shards say what they hold, what is under way and what is wished for");
    match &args.command {
        Some(RebalanceCommand::Status) => {
            return Ok(steps.add(
                "answer",
                "how far it is, and who is at it, by the shards' own words; nothing is changed",
            ));
        }
        Some(RebalanceCommand::Cancel(_)) => {
            return Ok(steps
                .add("question", "nothing under way: exit code 4; else what goes back is shown, and must be agreed to")
                .add("announce", format!("the next epoch, with the old ring, to `{first}` first and then to the others"))
                .add("back", "when all have heard, what is fenced is released, or deleted where its target has it; what had moved goes back")
                .add("finish", "the old ring is in force; the wish stays"));
        }
        None => {}
    }
    let share = if goal == now {
        "no other ring is known of here; what the shards say counts, and without a wish nothing moves"
            .to_owned()
    } else {
        format!("by what is known here, {:.2} % of all keys are to move", moves_pct(&now, &goal))
    };
    let steps = steps.add("share", share).add(
        "plan",
        "the ids of all shards stream here, and what lies on each range is counted, so the plan is exact",
    );
    if args.dry_run {
        return Ok(steps.add("answer", "the plan; nothing is changed"));
    }
    let pace = match args.pace.max_rows_per_sec {
        Some(rate) => format!("; at most {rate} users a second"),
        None => String::new(),
    };
    Ok(steps
        .add("preflight", "what a move depends on is checked, as doctor does; what is wrong is told before anything moves")
        .add("question", "the plan is shown, and only that is carried out, if it is agreed to (--yes)")
        .add("lock", format!("on `{first}`, so that a second rebalance is told (75); it is a courtesy, and not what keeps users safe"))
        .add("announce", format!("the next epoch with both rings: to `{first}` first, by compare and set, then to all others"))
        .add(
            "fence",
            format!(
                "chunk by chunk (at most {} users) the source lets go: a writer of these waits, readers do not{pace}",
                args.pace.chunk_rows
            ),
        )
        .add("read", "the rows, their digest and the proof of the fence, in one statement")
        .add("adopt", "the target stores the rows and owns the chunk: its commit is the hand-over")
        .add("purge", "the source deletes them, and the next chunk follows")
        .add("finish", format!("the new ring is in force, on `{first}` first; from then on it cannot be taken back"))
        .add("verify", "each row is looked at once more")
        .add("crash", "at any point: all users are served, and ringshard rebalance goes on, ringshard rebalance cancel goes back"))
}
