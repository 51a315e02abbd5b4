//! When a server is gone: replicas, and who takes over.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::failover::promote::PromoteArgs;
use crate::commands::failover::replica::ReplicaCommand;
use crate::commands::ring::membership::RemoveShardArgs;
use crate::error::Result;
use crate::model::ring::moved_share::{moved, ring_flows};

pub(crate) fn replica(command: &ReplicaCommand, context: &Context<'_>) -> Result<Steps> {
    let steps = KnownCluster::of(context)?.steps;
    Ok(match command {
        ReplicaCommand::List => steps
            .add("look", "all shards say which replicas each has; those of the configuration count as well")
            .add("ask", "each replica says how far it has replayed, and its primary how far it is")
            .add("answer", "a line a replica; one that does not answer is `down`, and a warning says why"),
        ReplicaCommand::Add(args) => steps
            .add(
                "check",
                format!(
                    "the server must be a standby, of shard `{}` and of this cluster: else exit code 78",
                    args.name
                ),
            )
            .add("tell", "all shards write it down, without its password")
            .add("configure", "the URL goes into the configuration"),
        ReplicaCommand::Remove(args) => steps
            .add("tell", format!("all shards forget that it is a replica of `{}`", args.name))
            .add("configure", "the URL is taken out of the configuration; the server is left alone"),
    })
}

pub(crate) fn remove_dead(args: &RemoveShardArgs, context: &Context<'_>) -> Result<Steps> {
    let name = &args.name;
    let known = KnownCluster::of(context)?;
    let rows = if args.recover_from.is_some() {
        "the users are read where they are recovered from, in one snapshot, and each goes to its recipient"
    } else {
        "its users are lost; how many they were when they were counted last is shown"
    };
    let recipients = match known.view.topology.without(name) {
        Ok(rest) => {
            let moved = moved(&ring_flows(&known.view.ring, &rest.ring())) * 100.0;
            format!(
                "by what is known here, {moved:.2} % of the ring goes to the other {} shards",
                rest.names().count()
            )
        }
        Err(why) => format!("by what is known here, that is refused: {why}"),
    };
    Ok(known
        .steps
        .add(
            "refuse",
            format!("as long as anything answers where `{name}` is, nothing is done (exit code 5)"),
        )
        .add("look", "all other shards say what they hold; each must answer")
        .add("recipients", recipients)
        .add("rows", rows)
        .add("question", "who inherits what, and what is lost: it must be agreed to")
        .add(
            "reassign",
            "one transaction on each recipient: rows, arcs, the topology without the shard, in a new epoch",
        )
        .add("retire", "its address is written down: if it comes back, it is fenced before it can serve")
        .add("configure", "it is taken out of the configuration"))
}

pub(crate) fn promote(args: &PromoteArgs, context: &Context<'_>) -> Result<Steps> {
    let name = &args.name;
    let steps = KnownCluster::of(context)?.steps;
    let lag = if args.force {
        "hand-overs of arcs that it has not seen are named, and lost"
    } else {
        "a hand-over of arcs that it has not seen would be undone: then it says which, and exits with 5"
    };
    Ok(steps
        .add(
            "refuse",
            format!("as long as anything answers where `{name}` is, nothing is done (exit code 5)"),
        )
        .add("look", "all other shards say what they hold; each must answer")
        .add("choose", "the replica that has received most of the write-ahead log, or the one that is named")
        .add("compare", lag)
        .add(
            "question",
            "what was acknowledged after the replica's last transaction is lost: it must be agreed to",
        )
        .add("lock", "nobody changes the ring meanwhile (7283004): else exit code 75")
        .add("promote", "pg_promote; it says that it is the next incarnation of the shard")
        .add(
            "tell",
            "all shards write down where it is now, in a new epoch, and that the old address is retired",
        )
        .add("configure", "the new URL goes into the configuration"))
}
