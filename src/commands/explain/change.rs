//! The commands that change the ring.

use super::steps::{KnownCluster, Steps, moved_pct};
use crate::commands::Context;
use crate::commands::failover::replica::shown_of;
use crate::commands::ring::membership::{AddShardArgs, RemoveShardArgs};
use crate::commands::ring::rebalance::{RebalanceArgs, RebalanceCommand};
use crate::commands::schema::SchemaCommand;
use crate::commands::table::TableCommand;
use crate::error::Result;
use crate::model::rebalance::arbiter;
use crate::model::ring::topology::{Membership, Topology};
use crate::pg::rebalance::{DesiredChange, Topologies};

/// The topologies as this process knows them.
fn topologies(known: &KnownCluster) -> Option<Topologies> {
    let view = &known.view;
    let cluster = known.cluster.id()?;
    let highest_number = view.topology.highest_number();
    let membership = Membership { cluster, epoch: view.epoch, topology: view.topology.clone() };
    Some(Topologies { membership, desired_topology: view.desired_topology.clone(), highest_number })
}

/// The desired topology that the command would store, or why it would be refused.
fn plan(steps: Steps, now: &Topology, desired: Result<(Topology, DesiredChange)>) -> Steps {
    match desired {
        Ok((desired, _)) => steps
            .add(
                "desired topology",
                format!("stored on `{}`, the first shard, by compare and set", arbiter(now)),
            )
            .add("share", format!("a rebalance would move {:.2} % of all keys", moved_pct(now, &desired))),
        Err(error) => {
            let code = error.kind().exit_code();
            steps.add("refusal", format!("{error} (exit code {code}); nothing is changed"))
        }
    }
}

pub(crate) fn add_shard(args: &AddShardArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let Some(topologies) = topologies(&known) else { return Ok(known.steps) };
    let desired = topologies.with(&args.name, args.weight);
    let mut steps = known.steps;
    if matches!(desired, Ok((_, DesiredChange::Joins))) {
        let url = shown_of(context, &args.name, &args.new_url(context)?)?;
        steps = steps.add("database", format!("{url}; created if it is missing, and it must hold no users"));
    }
    Ok(plan(steps, &known.view.topology, desired))
}

pub(crate) fn remove_shard(args: &RemoveShardArgs, context: &Context<'_>) -> Result<Steps> {
    if args.dead {
        return super::failures::remove_dead(args, context);
    }
    let known = KnownCluster::of(context)?;
    if known.cluster.shards().names().contains(&args.name) && !known.view.belongs(&args.name) {
        return Ok(known
            .steps
            .add("configuration", "removed from it alone: the shard is not part of the ring"));
    }
    let Some(topologies) = topologies(&known) else { return Ok(known.steps) };
    Ok(plan(known.steps, &known.view.topology, topologies.without(&args.name)))
}

pub(crate) fn rebalance(args: &RebalanceArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let (now, goal) = (&known.view.topology, known.view.goal());
    let first = arbiter(now);
    let steps = known.steps;
    match &args.command {
        Some(RebalanceCommand::Status) => return Ok(steps),
        Some(RebalanceCommand::Cancel(_)) => {
            let announce = format!("a new epoch that leads back: to `{first}` first, then to the others");
            return Ok(steps.add("announce", announce));
        }
        None => {}
    }
    let steps = steps.add(
        "share",
        if goal == now {
            "no other topology is known here; without one, nothing moves".to_owned()
        } else {
            format!("by what is known here, {:.2} % of all keys are to move", moved_pct(now, goal))
        },
    );
    if args.dry_run {
        return Ok(steps);
    }
    let pace = args.pace.max_rows_per_sec.map_or_else(String::new, |rate| format!(", {rate} users a second"));
    Ok(steps
        .add("lock", format!("on `{first}`, held for the run; if another process has it: exit code 75"))
        .add("announce", format!("a new epoch: to `{first}` first, by compare and set, then to the others"))
        .add("chunks", format!("at most {} users each{pace}", args.pace.chunk_rows))
        .add("fence", "the source stops writes to the chunk; these wait, and reads continue")
        .add("receive", "the target stores the rows and owns the chunk: its commit is the hand-over")
        .add("purge", "the source deletes the rows")
        .add("finish", format!("the next topology is in force, on `{first}` first; it cannot be canceled")))
}

pub(crate) fn table(command: &TableCommand, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let first = arbiter(&known.view.topology);
    Ok(match command {
        TableCommand::List | TableCommand::Show(_) => {
            known.steps.add("count", "the rows of the tables, on every shard")
        }
        TableCommand::Add(_) => known
            .steps
            .add("checks", "on every shard: the key, its type, unique indexes, policies, rules")
            .add("desired topology", format!("stored on `{first}`, the first shard, by compare and set"))
            .add("guard", "on every shard: triggers that refuse rows which do not belong there")
            .add("rows", "on every shard: each must be on an arc of that shard; with one shard each is")
            .add("finish", format!("the table is part of the topology, in a new epoch, on `{first}` first")),
        TableCommand::Remove(_) => known
            .steps
            .add("finish", format!("the table is not part of the topology any more, on `{first}` first"))
            .add("guard", "dropped on every shard; the rows stay"),
    })
}

pub(crate) fn schema(command: &SchemaCommand, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let first = arbiter(&known.view.topology);
    Ok(match command {
        SchemaCommand::Status => known.steps.add("read", "`ringshard.schema_change` of every shard"),
        SchemaCommand::Show(_) | SchemaCommand::Diff => {
            known.steps.add("read", "the definitions of the tables, on every shard")
        }
        SchemaCommand::Apply(args) if args.dry_run => {
            known.steps.add("read", "`ringshard.schema_change` of every shard")
        }
        SchemaCommand::Apply(_) => known
            .steps
            .add("plan", "which shards have the change; a change of the ring that is planned: exit code 75")
            .add("lock", format!("the run lock on `{first}`, so that no rebalance begins meanwhile"))
            .add(
                "first",
                format!("the statements on `{first}`, with the record of the change, in one transaction"),
            )
            .add("check", "in the same transaction: each table of the cluster has its key and its guard")
            .add("others", "the same on all other shards at once; one that has the change is skipped"),
    })
}
