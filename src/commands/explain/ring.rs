//! `ring show`, `ring locate` and `ring simulate`.

use std::path::Path;

use super::one_user::key;
use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::ring::{LocateArgs, RingCommand, ShowArgs, SimulateArgs};
use crate::error::Result;
use crate::model::ring::moved_share::{moved, ring_flows};
use crate::model::user::UserId;
use crate::pg::preview;

pub(crate) fn of(command: &RingCommand, context: &Context<'_>) -> Result<Steps> {
    match command {
        RingCommand::Show(args) => show(args, context),
        RingCommand::Locate(args) => locate(args, context),
        RingCommand::Simulate(args) => simulate(args, context),
    }
}

/// All shards are asked for the topology, which all three begin with.
fn refreshed(known: KnownCluster) -> Steps {
    let count = known.cluster.shards().names().len();
    known.steps.add(
        "refresh",
        format!("all {count} shards are asked for the topology; if none answers, the last one that was heard of counts"),
    )
}

fn show(args: &ShowArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let nodes = known.view.ring.len();
    let steps = refreshed(known);
    if let Some(file) = args.picture.file()? {
        let steps = steps.add(
            "draw",
            "from the topology alone: arcs, virtual nodes, keys, and what the change moves that is asked for, under way or \
             wished for",
        );
        return Ok(steps.add(
            "answer",
            if file == Path::new("-") {
                "SVG on standard output".to_owned()
            } else {
                format!("SVG, written beside `{}` and put into its place when it is whole", file.display())
            },
        ));
    }
    Ok(if args.vnodes {
        steps.add("answer", format!("computed from the topology alone: {nodes} virtual nodes, clockwise"))
    } else {
        steps
            .add("shares", "computed from the topology alone: the sum of each shard's arcs")
            .statement(preview::size())
            .add("answer", "a line a shard; rows come from that statement on each of them, at once")
    })
}

fn locate(args: &LocateArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let view = std::sync::Arc::clone(&known.view);
    let count = known.cluster.shards().names().len();
    let mut steps = refreshed(known);
    for word in &args.keys {
        steps = key(steps, word, &view.ring);
        // `007` is a key of its own, and no user's.
        let id = word.parse::<UserId>().ok().filter(|id| id.to_string() == *word);
        steps = match id {
            Some(id) => steps
                .statement(preview::has_user(id))
                .add("shards", format!("{count} of {count} are asked, owner or not, who really has the row")),
            None => steps.add("shards", "none is asked for a row: no user has this key"),
        };
    }
    Ok(steps.add("answer", "key, hash, point and owner; exit code 6 if a shard could not be asked"))
}

fn simulate(args: &SimulateArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    // Nothing to simulate, or a shard that is not there: the command would say so.
    let target = args.checked_target(&known.view.topology)?;
    let moves = moved(&ring_flows(&known.view.ring, &target.ring()));
    Ok(refreshed(known)
        .add(
            "compare",
            "both rings are cut into arcs, and those whose owner differs are added up; no row is looked at",
        )
        .add("share", format!("by the topology known here {:.2} % of all keys would move", moves * 100.0))
        .add(
            "answer",
            "a line a shard: its share before and after, what comes and goes, and what modulo would move",
        ))
}
