//! `ring show`, `ring locate` and `ring simulate`.

use super::one_user::key;
use super::steps::{KnownCluster, Steps, moved_pct};
use crate::commands::Context;
use crate::commands::ring::route::RouteArgs;
use crate::commands::ring::{LocateArgs, RingCommand, ShowArgs, SimulateArgs, user_of_key};
use crate::error::Result;
use crate::pg::preview;

pub(crate) fn of(command: &RingCommand, context: &Context<'_>) -> Result<Steps> {
    match command {
        RingCommand::Show(args) => show(args, context),
        RingCommand::Locate(args) => locate(args, context),
        RingCommand::Simulate(args) => simulate(args, context),
        RingCommand::Export(_) => export(context),
    }
}

fn show(args: &ShowArgs, context: &Context<'_>) -> Result<Steps> {
    let steps = KnownCluster::of(context)?.steps;
    let is_picture = args.picture.file()?.is_some();
    let steps = steps.add("ring", "computed from the topology, which is read again first");
    Ok(if is_picture || args.vnodes { steps } else { steps.statement(preview::size()) })
}

fn export(context: &Context<'_>) -> Result<Steps> {
    let steps = KnownCluster::of(context)?.steps;
    Ok(steps.add("ring", "computed from the topology, which is read again first; no row is read"))
}

pub(crate) fn route(args: &RouteArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let steps = args.keys.iter().fold(known.steps, |steps, text| key(steps, text, known.view.ring()));
    Ok(steps.add("change", "while one is under way, each shard is asked whether it owns the key"))
}

fn locate(args: &LocateArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let count = known.cluster.shards().names().len();
    let mut steps = known.steps;
    for text in &args.keys {
        steps = key(steps, text, known.view.ring());
        let may_exist = !known.view.topology.tables().is_default() || user_of_key(text).is_some();
        steps = if may_exist {
            steps
                .statement(preview::has_key(text))
                .add("shards", format!("{count} of {count} are asked whether they hold the row"))
        } else {
            steps.add("shards", "none is asked for a row: no user has this key")
        };
    }
    Ok(steps)
}

fn simulate(args: &SimulateArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let target = args.checked_target(&known.view.topology)?;
    let share = moved_pct(&known.view.topology, &target);
    Ok(known.steps.add("share", format!("{share:.2} % of all keys would move; no row is read")))
}
