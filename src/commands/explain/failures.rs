//! The commands for servers that failed, and `drill`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::failover::drill::DrillCommand;
use crate::commands::failover::promote::PromoteArgs;
use crate::commands::ring::membership::RemoveShardArgs;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::moved_share::ring_flows;

/// The check that both failover commands begin with.
fn probe(known: KnownCluster, name: &ShardName) -> Result<Steps> {
    let address = known.shown_address(name)?;
    let probe = format!("{address} must not answer, else exit code 5; all other shards must answer");
    Ok(known.steps.add("probe", probe))
}

pub(crate) fn remove_dead(args: &RemoveShardArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let view = Arc::clone(&known.view);
    let recipients = match view.topology.without(&args.name) {
        Ok(rest) => {
            let after = rest.ring();
            let mut shares: BTreeMap<&ShardName, f64> = BTreeMap::new();
            for ((_, recipient), share) in ring_flows(view.ring(), &after) {
                *shares.entry(recipient).or_default() += share * 100.0;
            }
            let each = shares.iter().map(|(name, share)| format!("`{name}` gets {share:.2} % of the ring"));
            each.collect::<Vec<_>>().join(", ")
        }
        Err(why) => format!("refused: {why}"),
    };
    let reassign = "one transaction on each recipient: rows, arcs and the new topology, in a new epoch";
    Ok(probe(known, &args.name)?.add("recipients", recipients).add("reassign", reassign))
}

pub(crate) fn promote(args: &PromoteArgs, context: &Context<'_>) -> Result<Steps> {
    let handovers = if args.force {
        "those that the replica has not replayed are shown, and lost"
    } else {
        "the replica must have replayed all hand-overs of the shard, else exit code 5"
    };
    Ok(probe(KnownCluster::of(context)?, &args.name)?
        .add("hand-overs", handovers)
        .add(
            "lock",
            "the run lock: the ring cannot change meanwhile; if another process has it: exit code 75",
        )
        .add("promote", "pg_promote; then all shards record the new address, in a new epoch"))
}

pub(crate) fn drill(command: &DrillCommand, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let shard = match command {
        DrillCommand::KillConnections(args) => &args.shard,
        DrillCommand::Outage(args) => &args.shard,
        DrillCommand::Slow(args) => &args.shard,
    };
    let address = known.shown_address(shard)?;
    let steps = known.steps.add("shard", format!("`{shard}` at {address}"));
    Ok(match command {
        DrillCommand::KillConnections(_) => {
            steps.add("end", "pg_terminate_backend for each client's session on that database but this one")
        }
        DrillCommand::Outage(args) => steps
            .add(
                "close",
                format!(
                    "ALTER DATABASE … ALLOW_CONNECTIONS false, for {} s or until Ctrl-C; all its sessions are ended",
                    args.length.length.as_secs_f64()
                ),
            )
            .add(
                "open",
                "done by a session in another database: at the end, if this process is killed, or when the time is up",
            ),
        DrillCommand::Slow(args) => steps.add(
            "proxy",
            format!(
                "this process delays everything by {} ms each way, for {} s or until Ctrl-C; each ringshard of this user \
                 connects through it, other programs do not",
                args.delay.as_millis(),
                args.length.length.as_secs_f64()
            ),
        ),
    })
}
