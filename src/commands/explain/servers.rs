//! The commands about servers and about the program itself.

use super::steps::{KnownCluster, Steps, listed};
use crate::commands::Context;
use crate::commands::monitoring::stats::StatsArgs;
use crate::commands::setup::completions::{CompletionsArgs, ManArgs};
use crate::commands::setup::config::ConfigCommand;
use crate::commands::setup::init_shards::InitShardsArgs;
use crate::commands::setup::local::LocalCommand;
use crate::error::Result;
use crate::pg::preview;

pub(crate) fn init_shards(args: &InitShardsArgs) -> Steps {
    let databases = if !args.shard.is_empty() {
        "the databases that --shard names are taken; they must be there"
    } else if args.server.is_some() {
        "a database a shard on the server of --server; those that are missing are made"
    } else {
        "those of the configuration; without one, shard_1 and so on on a private Postgres, which is made and started"
    };
    Steps::default()
        .add("databases", databases)
        .add("look", "at all of them before anything is changed: version, columns, each row against the ring, catalogs")
        .add("lock", "an advisory lock on each, so that no second init-shards interferes")
        .add("make", "a transaction a shard: table, index on region, schema ringshard, functions, guard, and its arcs of the ring")
        .add("again", "what is there stays; an older catalog is upgraded; after an interruption the next run goes on")
        .add("settings", "the cluster's id and the URLs go into the configuration file, unless the environment names the shards")
        .add("answer", "a line a shard, and what was done about it")
}

pub(crate) fn shards(context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let names = known.cluster.shards().names();
    let count = names.len();
    Ok(known
        .steps
        .add("shards", format!("{count} of {count} are asked at once: {}", listed(&names)))
        .add("refresh", "each says its epoch, topology, change and wish; the newest word counts")
        .statement(preview::size())
        .add("answer", "a line a shard; one that does not answer is `down`, and only if none does the command fails (69)"))
}

pub(crate) fn stats(args: &StatsArgs, context: &Context<'_>) -> Result<Steps> {
    let names = context.shards()?.names();
    let twice = format!("each is asked again after {:?}; rates are of that time", args.interval);
    let steps = Steps::default()
        .add("shards", format!("each is asked at once, by a connection of its own: {}", listed(&names)))
        .add("probe", "BEGIN READ ONLY, there and back; all of it is one transaction")
        .add("ring", "each says its epoch, topology, change and wish; the newest word counts")
        .statement(preview::stats());
    Ok(match (args.prometheus, args.host) {
        (true, _) => steps.add("answer", "the text format of Prometheus; of a shard that does not answer, that it is not up"),
        (false, true) => steps
            .add("host", format!("this machine is looked at, and again after {:?}", args.interval))
            .add("answer", "a line a measure: cpu, memory, disks of the data, network, processes of Postgres and ringshard"),
        (false, false) => steps
            .add("again", twice)
            .add("answer", "a line a shard; one that does not answer is `down`, and only if none does the command fails (69)"),
    })
}

pub(crate) fn doctor(context: &Context<'_>) -> Result<Steps> {
    let names = context.shards()?.names();
    Ok(Steps::default()
        .add("local", "the private Postgres is looked at, and not started")
        .add("shards", format!("each by a connection of its own: {}", listed(&names)))
        .add("checks", "each question is sent alone, so that one that fails is one cross: version, rights, table, guard, clock, disk and more")
        .add("together", "do they belong to one cluster and agree on the epoch, and has each position one owner")
        .add("answer", "a line a check, with what to type for a cross; exit code 1 for a cross, 69 if a shard is down; nothing is changed"))
}

pub(crate) fn local(command: &LocalCommand) -> Steps {
    let steps = Steps::default();
    match command {
        LocalCommand::Start => steps.add("make", "its data are made by initdb if there are none").add(
            "start",
            "pg_ctl starts it, on a socket in a folder that only its user may enter, and on no port",
        ),
        LocalCommand::Stop => steps.add("stop", "it is stopped if it runs; its data stay"),
        LocalCommand::Status => {
            steps.add("look", "where its files are, and whether it runs; it is not started")
        }
        LocalCommand::Destroy => steps
            .add("question", "nothing is deleted unless it is agreed to (--yes)")
            .add("delete", "it is stopped, and all its data are deleted, with all shards in it"),
    }
}

pub(crate) fn config(command: &ConfigCommand) -> Steps {
    let ConfigCommand::Show = command;
    Steps::default()
        .add("read", "flags, RINGSHARD_* variables, the file, PG* for what URLs leave out, defaults; no server is asked")
        .add("answer", "each setting, its value and where it comes from; of passwords only where they come from")
}

pub(crate) fn completions(args: &CompletionsArgs) -> Steps {
    let shell = args.shell;
    Steps::default()
        .add("answer", format!("a script for {shell}, made from the definition of the command line"))
}

pub(crate) fn man(args: &ManArgs) -> Steps {
    Steps::default().add("folder", format!("`{}` is made if it is not there", args.dir.display())).add(
        "write",
        "a page for ringshard and one for each command, made from the definition of the command line",
    )
}
