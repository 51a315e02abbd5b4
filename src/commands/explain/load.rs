//! What `load` would do.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::load::{FillArgs, LoadCommand, RunArgs};
use crate::error::Result;
use crate::model::load::fake_users;
use crate::model::load::mix::LoadOperation;
use crate::model::text::counted;

pub(crate) fn of(command: &LoadCommand, context: &Context<'_>) -> Result<Steps> {
    match command {
        LoadCommand::Fill(args) => fill(args, context),
        LoadCommand::Run(args) => run(args, context),
    }
}

fn fill(args: &FillArgs, context: &Context<'_>) -> Result<Steps> {
    let (first, last) = (args.start, args.last()?);
    let example = fake_users::user(args.seed, first);
    let text = |field: Option<String>| field.unwrap_or_default();
    let regions: Vec<String> =
        fake_users::REGIONS.iter().map(|(region, share)| format!("{region} {share} %")).collect();
    Ok(KnownCluster::of(context)?
        .steps
        .add(
            "make",
            format!(
                "{} with the ids {first} to {last}; each follows from the seed {} and its id, such as {}, {}, {}",
                counted(args.count, "user"),
                args.seed,
                text(example.name),
                text(example.region),
                text(example.email)
            ),
        )
        .add("regions", format!("skewed: {}", regions.join(", ")))
        .add("store", "as import does: each to the shard that owns it, by COPY, in batches that commit")
        .add("resume", "after an interruption the same command goes on where it was"))
}

fn run(args: &RunArgs, context: &Context<'_>) -> Result<Steps> {
    let users = args.users.map_or_else(
        || "all users are read once".to_owned(),
        |users| format!("the users {} to {} are read once", users.first, users.last),
    );
    let pace = args.rate.map_or_else(
        || "as fast as they are answered".to_owned(),
        |rate| format!("{rate} operations a second, and a latency counts from when an operation was due"),
    );
    let mut steps = KnownCluster::of(context)?
        .steps
        .add("users", format!("{users}, so that every answer can be checked; if load did not make all of them, they are only read"))
        .add("connect", format!("{} to each shard", counted(args.clients.into(), "connection")));
    if args.mix.weight(LoadOperation::Create) > 0 {
        steps = steps
            .add("ids", "those above the highest are claimed for new users, by a lock on the first shard");
    }
    Ok(steps
        .add(
            "run",
            format!(
                "{} for {:?}: {}, {} keys, {pace}; each operation as its command does it",
                counted(args.clients.into(), "client"),
                args.duration,
                args.mix,
                args.keys_name()
            ),
        )
        .add("check", "each answer is compared with what was acknowledged before it was asked for, and sent before it came")
        .add("check", "at the end every user that was written is read again; shards that are down are tried for 10 s")
        .add("answer", "counts, errors and latencies by operation and shard; exit code 1 for a wrong answer, 6 if some could not be checked"))
}
